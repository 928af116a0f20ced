"""Sending transactions: simulated first, paid by EIP-1559, with nonces that no thread or process uses twice.

One way for every contract of this project. `TransactionSender.send` does all of it and returns what came of it;
`submit` and `wait` are its two halves, for several transactions that go out before the first is awaited.

Before anything is sent, the account must hold what is paid and the most that gas can cost, and the node must have run
the call without a refusal. A refusal is a sentence (`ssv_pool.registry.reverts`).

Reading the next nonce and sending with it are one step under a lock file per chain and account, which holds between
threads and between processes of one user. A process elsewhere that uses the same key may still be faster; the node
then refuses the nonce, and it is read again.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from eth_account.signers.local import LocalAccount
from eth_typing import ChecksumAddress
from eth_utils.crypto import keccak
from hexbytes import HexBytes
from web3 import Web3
from web3.contract.contract import ContractConstructor, ContractFunction
from web3.exceptions import ContractLogicError, TimeExhausted, TransactionNotFound, Web3RPCError
from web3.types import BlockIdentifier, Nonce, TxParams, TxReceipt, Wei

from ssv_pool.errors import ConfigError, UnavailableError
from ssv_pool.registry import chain
from ssv_pool.registry.amounts import GWEI, ether
from ssv_pool.registry.artifacts import Abi
from ssv_pool.registry.chain import ContractError, translated

__all__ = ["ZERO_ADDRESS", "Pending", "Plan", "Progress", "Sent", "TransactionSender", "ether", "state_folder"]

ZERO_ADDRESS: Final = "0x" + "00" * 20
"""Where nothing is; stands for a contract's address while it is being made."""

_POLL_SECONDS: Final = 0.1
_LOCK_SECONDS: Final = 120.0
_NONCE_TRIES: Final = 20
_KNOWN: Final = ("already known", "already imported", "alreadyknown", "known transaction")
_TAKEN: Final = (
    "nonce too low",
    "replacement transaction underpriced",
    "oldnonce",
    "nonce_too_low",
    "nonce is too low",
)


@dataclass(frozen=True, slots=True)
class Plan:
    """A call that the node has run without refusal, and what sending it costs."""

    action: str
    sender: ChecksumAddress
    to: str | None
    """The contract; None when the transaction makes one."""
    data: bytes
    value: int
    """Wei that goes along."""
    gas: int
    """Most gas the transaction may use: the node's estimate and a fifth."""
    max_fee_per_gas: int
    """Wei."""
    max_priority_fee_per_gas: int
    """Wei."""

    @property
    def highest_cost(self) -> int:
        """Wei that the account must hold: value and the most that gas can cost."""
        return self.value + self.gas * self.max_fee_per_gas


@dataclass(frozen=True, slots=True)
class Pending:
    """A transaction that the node has taken."""

    plan: Plan
    nonce: int
    tx_hash: bytes
    """32 bytes."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of a call: mined without refusal, or after a dry run only planned."""

    plan: Plan
    tx_hash: bytes | None = None
    """32 bytes; None after a dry run."""
    mined: TxReceipt | None = None
    """None after a dry run."""

    @property
    def receipt(self) -> TxReceipt:
        """The receipt of a mined transaction. Raises ContractError after a dry run, which has none."""
        if self.mined is None:
            raise ContractError(f"{self.plan.action}: a dry run sends nothing and has no receipt")
        return self.mined

    def as_json(self) -> dict[str, Any]:
        """For ``--json``: amounts in wei, as decimal text where they may exceed 53 bits."""
        plan = self.plan
        shown: dict[str, Any] = {
            "action": plan.action,
            "dry_run": self.mined is None,
            "from": plan.sender,
            "to": plan.to,
            "value": str(plan.value),
            "gas": plan.gas,
            "max_fee_per_gas": str(plan.max_fee_per_gas),
            "max_priority_fee_per_gas": str(plan.max_priority_fee_per_gas),
        }
        if self.mined is not None:
            shown |= {
                "transaction": f"0x{bytes(self.mined['transactionHash']).hex()}",
                "block": self.mined["blockNumber"],
                "gas_used": self.mined["gasUsed"],
                "cost": str(self.mined["gasUsed"] * self.mined.get("effectiveGasPrice", 0)),
            }
        return shown


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a transaction stands."""

    action: str
    stage: Literal["simulated", "sent", "mined"]
    tx_hash: bytes | None
    """32 bytes once it is sent."""
    block: int | None = None
    """Number of the block it is in."""

    def __str__(self) -> str:
        """One line for people."""
        if self.tx_hash is None:
            return f"{self.action}: {self.stage}"
        place = "" if self.block is None else f" in block {self.block}"
        return f"{self.action}: {self.stage} 0x{self.tx_hash.hex()}{place}"


def state_folder() -> Path:
    """Where lock files are: ``$XDG_STATE_HOME/ssv-pool``, else ``~/.local/state/ssv-pool``."""
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "ssv-pool"


class TransactionSender:
    """Sends one account's transactions.

    Args:
        w3: connection to an execution node.
        account: who signs and pays.
        timeout: seconds to wait for a transaction to be mined.
        on_progress: is told when a transaction was simulated, sent and mined.
        highest_fee: most wei per gas that is paid, whatever the chain asks; None for twice the base fee and the tip.
        locks: folder of the lock files; all processes that use the account must have the same.
    """

    def __init__(
        self,
        w3: Web3,
        account: LocalAccount,
        *,
        timeout: float = 120.0,
        on_progress: Callable[[Progress], None] | None = None,
        highest_fee: int | None = None,
        locks: Path | None = None,
    ) -> None:
        self.w3 = w3
        self.account = account
        self.timeout = timeout
        self._on_progress = on_progress
        self._highest_fee = highest_fee
        self._locks = locks

    @property
    def address(self) -> ChecksumAddress:
        """The account's address."""
        return chain.checksummed(str(self.account.address), "account")

    def check_chain(self, expected: int) -> None:
        """See `ssv_pool.registry.chain.check_chain`."""
        chain.check_chain(self.w3, expected)

    def check_contract(self, address: str, abi: Abi, what: str, *, views: tuple[str, ...]) -> None:
        """See `ssv_pool.registry.chain.check_contract`."""
        chain.check_contract(self.w3, address, abi, what, views=views)

    def send(
        self, action: str, call: ContractFunction | ContractConstructor, *, value: int = 0, dry_run: bool = False
    ) -> Sent:
        """Simulate a call, send it and wait until it is mined.

        Args:
            action: what it does, such as "register operator"; every error text begins with it.
            call: the bound function or constructor.
            value: wei to send along.
            dry_run: whether to stop after the simulation.

        Raises:
            ContractError: the call was refused, the account holds too little, or it failed when it was mined.
            UnavailableError: the node does not answer, or did not mine it in time.
        """
        if dry_run:
            return Sent(self.plan(action, call, value=value))
        return self.wait(self.submit(action, call, value=value))

    def plan(self, action: str, call: ContractFunction | ContractConstructor, *, value: int = 0) -> Plan:
        """Simulate a call and work out what it costs; nothing is sent. Raises as `send`."""
        draft: Any = {"from": self.address, "value": Wei(value)}
        with translated(self.w3, action):
            # All fields that web3 would ask the node for are given, so that this only encodes.
            built: Any = call.build_transaction(
                {
                    "from": self.address,
                    "gas": 0,
                    "maxFeePerGas": Wei(0),
                    "maxPriorityFeePerGas": Wei(0),
                    "chainId": 0,
                    "nonce": Nonce(0),
                }
            )
            draft["data"] = built["data"]
            if built.get("to"):
                draft["to"] = built["to"]
            # The pending state counts this account's transactions that are not mined yet, as the nonce does.
            balance = self.w3.eth.get_balance(self.address, "pending")
            if balance < value:
                raise self._too_little(action, balance, value, "the amount that goes along")
            gas = self._simulate(draft)
            tip, fee = self._fees(action)
        plan = Plan(
            action=action,
            sender=self.address,
            to=draft.get("to"),
            data=bytes(HexBytes(built["data"])),
            value=value,
            # Room for a neighbour's transaction that comes first and makes ours write a new slot.
            gas=gas + gas // 5,
            max_fee_per_gas=fee,
            max_priority_fee_per_gas=tip,
        )
        if balance < plan.highest_cost:
            raise self._too_little(action, balance, plan.highest_cost, "the amount and the most that gas can cost")
        self._tell(Progress(action, "simulated", None))
        return plan

    def submit(self, action: str, call: ContractFunction | ContractConstructor, *, value: int = 0) -> Pending:
        """Simulate and send a call, without waiting for it to be mined. Raises as `send`."""
        with translated(self.w3, action):
            chain_id = self.w3.eth.chain_id
        with self._alone(action, chain_id):
            # Planned under the lock: an own transaction that another thread has just sent is in the pending state.
            plan = self.plan(action, call, value=value)
            pending = self._broadcast(plan, chain_id)
        self._tell(Progress(action, "sent", pending.tx_hash))
        return pending

    def wait(self, pending: Pending) -> Sent:
        """Wait until a transaction is mined.

        Raises:
            ContractError: it failed when it was mined; the text says why, as far as running it again shows.
            UnavailableError: the node does not answer, or did not mine it in time.
        """
        plan, tx_hash = pending.plan, HexBytes(pending.tx_hash)
        action = f"{plan.action}: transaction 0x{pending.tx_hash.hex()}"
        with translated(self.w3, action, self.timeout):
            try:
                receipt = self.w3.eth.wait_for_transaction_receipt(
                    tx_hash, timeout=self.timeout, poll_latency=_POLL_SECONDS
                )
            except TimeExhausted:
                raise UnavailableError(
                    f"{action} is not mined after {self.timeout:g} s and still may be: look it up before sending again"
                ) from None
        if receipt["status"] != 1:
            with translated(self.w3, plan.action):
                # Run again on the state it met it is refused again; that raises, and is translated.
                again: TxParams = {"from": plan.sender, "value": Wei(plan.value), "data": HexBytes(plan.data)}
                if plan.to is not None:
                    again["to"] = plan.to
                self.w3.eth.call(again, receipt["blockNumber"] - 1)
            raise ContractError(f"{action} failed in block {receipt['blockNumber']}")
        self._tell(Progress(plan.action, "mined", pending.tx_hash, receipt["blockNumber"]))
        return Sent(plan, pending.tx_hash, receipt)

    def _simulate(self, draft: TxParams) -> int:
        """Run a call without sending it; the gas it needs."""
        block: BlockIdentifier = "pending"
        try:
            self.w3.eth.call(draft, block)
        except ContractLogicError:
            raise
        except Web3RPCError as error:
            if "pending" not in chain.reason(error).lower():
                raise
            # Some nodes keep no pending state.
            block = "latest"
            self.w3.eth.call(draft, block)
        return int(self.w3.eth.estimate_gas(draft, block))

    def _fees(self, action: str) -> tuple[int, int]:
        """Tip and highest fee, wei per gas."""
        tip = int(self.w3.eth.max_priority_fee)
        base = int(self.w3.eth.get_block("latest").get("baseFeePerGas", 0))
        fee = 2 * base + tip
        if self._highest_fee is None:
            return tip, fee
        if base > self._highest_fee:
            raise ContractError(
                f"{action}: the chain asks {base / GWEI:g} gwei per gas, which is above the limit of "
                f"{self._highest_fee / GWEI:g}: try later, or raise the limit"
            )
        return min(tip, self._highest_fee - base), min(fee, self._highest_fee)

    def _broadcast(self, plan: Plan, chain_id: int) -> Pending:
        """Sign with the next nonce and send; again with a newer one while somebody else takes it."""
        refused = ""
        for _ in range(_NONCE_TRIES):
            with translated(self.w3, plan.action):
                nonce = self.w3.eth.get_transaction_count(plan.sender, "pending")
            transaction: Any = {
                "type": 2,
                "chainId": chain_id,
                "nonce": nonce,
                "value": plan.value,
                "data": plan.data,
                "gas": plan.gas,
                "maxFeePerGas": plan.max_fee_per_gas,
                "maxPriorityFeePerGas": plan.max_priority_fee_per_gas,
            }
            if plan.to is not None:
                transaction["to"] = plan.to
            raw = bytes(self.account.sign_transaction(transaction).raw_transaction)
            pending = Pending(plan, nonce, keccak(raw))
            refused = self._raw(plan.action, raw, pending.tx_hash)
            if not refused:
                return pending
            time.sleep(_POLL_SECONDS)
        raise ContractError(
            f"{plan.action}: {refused}; {_NONCE_TRIES} tries: another program sends from {plan.sender} all the time"
        )

    def _raw(self, action: str, raw: bytes, tx_hash: bytes) -> str:
        """Send signed bytes; empty when they were taken, else the node's words about a nonce that is taken."""
        with translated(self.w3, action):
            try:
                self.w3.eth.send_raw_transaction(HexBytes(raw))
            except Web3RPCError as error:
                words = chain.reason(error)
                if any(known in words.lower() for known in _KNOWN):
                    return ""
                if any(taken in words.lower() for taken in _TAKEN):
                    # Mined already, when the node took it and its first answer was lost.
                    return "" if self._is_known(tx_hash) else words
                raise
            except OSError:
                raise UnavailableError(
                    f"{action}: execution node {chain.host_of(self.w3)} does not answer; transaction "
                    f"0x{tx_hash.hex()} may have been sent: look it up before sending again"
                ) from None
        return ""

    def _is_known(self, tx_hash: bytes) -> bool:
        try:
            self.w3.eth.get_transaction(HexBytes(tx_hash))
        except TransactionNotFound:
            return False
        return True

    def _too_little(self, action: str, balance: int, needed: int, what: str) -> ContractError:
        return ContractError(
            f"{action}: account {self.address} holds {ether(balance)} ETH, expected at least {ether(needed)} ETH "
            f"({what}): send it the difference first"
        )

    def _tell(self, progress: Progress) -> None:
        if self._on_progress is not None:
            self._on_progress(progress)

    @contextmanager
    def _alone(self, action: str, chain_id: int) -> Iterator[None]:
        """Hold the account's lock file: between threads and processes."""
        folder = self._locks or state_folder()
        path = folder / f"nonce-{chain_id}-{self.address.lower()}.lock"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Each opening locks for itself, so that threads of one process exclude each other too.
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigError(
                f"lock file {path}: {error.strerror}, expected a folder that can be written: name one by XDG_STATE_HOME"
            ) from None
        try:
            deadline = time.monotonic() + _LOCK_SECONDS
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise UnavailableError(
                            f"{action}: another process has been sending from {self.address} for {_LOCK_SECONDS:g} s "
                            f"({path}): stop it or wait for it"
                        ) from None
                    time.sleep(_POLL_SECONDS / 5)
            yield
        finally:
            os.close(descriptor)

"""The beacon node's connection to the execution chain (anvil): mines its blocks, pays withdrawals, reads deposits."""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Final

import aiohttp
import structlog
from eth_account import Account
from eth_account.signers.local import LocalAccount

from ssv_pool.bounded_json import loads
from ssv_pool.devnet.beacon.execution import DEPOSIT_TOPIC, DepositLogError, Withdrawal, read_deposit
from ssv_pool.devnet.beacon.node import BeaconNode

PAYER_KEY: Final = hashlib.sha256(b"withdrawals of the devnet's beacon chain").digest()
"""Key of the account that pays withdrawals: anybody can compute it, it is worth nothing outside a devnet."""

PAYER_BALANCE: Final = 1 << 96
"""What that account is given, Wei: more than all withdrawals of a devnet's life."""

PAYMENT_GAS: Final = 150_000
GAS_PRICE: Final = 100 * 10**9
"""Wei for each unit of gas that a payment offers; the same always, so that a payment sent twice is one transaction."""

WEI_PER_GWEI: Final = 10**9
RETRY_SECONDS: Final = 0.5
ANSWER_SECONDS: Final = 20.0
ANSWER_BYTES: Final = 8 << 20
BLOCKS_AT_ONCE: Final = 64
"""Blocks mined before others get their turn, where the node was away for a while."""

_PUSH20, _SELFDESTRUCT = b"\x73", b"\xff"


class ExecutionError(Exception):
    """The execution node does not answer, or not as it should."""


Call = Callable[..., Any]


def payment(chain_id: int, withdrawal: Withdrawal) -> str:
    """The signed transaction that pays one withdrawal, 0x hex.

    A withdrawal runs no code of its receiver and needs none of its gas: so does a contract that destroys itself while
    it is created. Its nonce is the withdrawal's index: the chain takes each index once, whoever sends it how often.
    """
    account: LocalAccount = Account.from_key(PAYER_KEY)
    transaction: dict[str, Any] = {
        "chainId": chain_id,
        "nonce": withdrawal.index,
        "gas": PAYMENT_GAS,
        "maxFeePerGas": GAS_PRICE,
        "maxPriorityFeePerGas": GAS_PRICE,
        "value": withdrawal.amount * WEI_PER_GWEI,
        "data": "0x" + (_PUSH20 + withdrawal.address + _SELFDESTRUCT).hex(),
    }
    return "0x" + bytes(account.sign_transaction(transaction).raw_transaction).hex()


class ExecutionLink:
    """Drives the execution chain by the clock of a beacon node whose options have a schedule for it."""

    def __init__(self, node: BeaconNode, url: str) -> None:
        """Raises ValueError: the node has no schedule of execution blocks or no deposit contract."""
        schedule, contract = node.options.execution, node.options.deposit_contract
        if schedule is None or contract is None:
            raise ValueError("execution node: expected --execution-start and --deposit-contract with it")
        self._node = node
        self._schedule = schedule
        self._contract = contract
        self._url = url
        self._payer = str(Account.from_key(PAYER_KEY).address)
        self._next_log_block = 0
        self._paid: dict[int, Withdrawal] = {}
        self._checked_slot = 0
        self._log = structlog.get_logger("beacon")

    async def run(self) -> None:
        """Mine, pay and read until cancelled; what fails is tried again."""
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as client:

            async def call(method: str, *parameters: Any) -> Any:
                return await _call(client, self._url, method, parameters)

            while True:
                try:
                    await self.step(call)
                except (ExecutionError, DepositLogError) as error:
                    self._log.warning("execution chain", reason=str(error))
                    await asyncio.sleep(RETRY_SECONDS)
                    continue
                now = self._node.clock.now()
                await asyncio.sleep(max(0.01, 1 - now % 1))

    async def step(self, call: Call) -> None:
        """Bring the execution chain to the present: every block that is due, with the withdrawals it has to hold.

        Args:
            call: calls a JSON-RPC method with its parameters and returns the result.

        Raises:
            ExecutionError: the execution node does not answer as it should.
            DepositLogError: the deposit contract's logs are none.
        """
        node = self._node
        latest = _number(await call("eth_blockNumber"))
        due = min(self._schedule.due(node.clock.now()), latest + BLOCKS_AT_ONCE)
        for number in range(latest + 1, due + 1):
            slot = self._schedule.slot_of(number, node.clock.genesis_time, node.clock.slot_duration_ms // 1000)
            if node.distance():
                return  # started again and behind the other nodes: the blocks to pay for are still to come
            await self._pay_up_to(call, slot)
            await call("evm_mine")
            await self._read_deposits(call, number)
        if self._next_log_block <= latest:
            await self._read_deposits(call, latest)
        self._check_payments()

    async def _pay_up_to(self, call: Call, slot: int) -> None:
        """Send what the canonical blocks up to ``slot`` withdraw and the chain has not been sent yet."""
        if slot < 0:
            return
        history = self._node.chain.history
        paid = _number(await call("eth_getTransactionCount", self._payer, "latest"))
        due = self._node.ledger.withdrawals(history.at_or_before(slot).root, paid)
        if not due:
            return
        if _number(await call("eth_getBalance", self._payer, "latest")) < PAYER_BALANCE // 2:
            await call("anvil_setBalance", self._payer, hex(PAYER_BALANCE))
        chain_id = _number(await call("eth_chainId"))
        for withdrawal in due:
            try:
                await call("eth_sendRawTransaction", payment(chain_id, withdrawal))
            except ExecutionError as error:
                # Sent before and not mined yet: the node says so, and that is as good.
                if "already" not in str(error):
                    raise
            self._paid[withdrawal.index] = withdrawal

    async def _read_deposits(self, call: Call, last: int) -> None:
        query = {
            "address": "0x" + self._contract.hex(),
            "topics": [DEPOSIT_TOPIC],
            "fromBlock": hex(self._next_log_block),
            "toBlock": hex(last),
        }
        logs = await call("eth_getLogs", query)
        if not isinstance(logs, list):
            raise ExecutionError("eth_getLogs: expected a list")
        self._node.ledger.add([read_deposit(_data(log)) for log in logs])
        self._next_log_block = last + 1

    def _check_payments(self) -> None:
        """Say so when the final chain withdraws something else than what was paid: a reorganisation was too deep."""
        node = self._node
        final = node.chain.history.get(bytes(node.chain.store.finalized_checkpoint.root))
        if final is None or final.slot <= self._checked_slot or not self._paid:
            return
        self._checked_slot = final.slot
        for withdrawal in node.ledger.withdrawals(final.root, min(self._paid)):
            paid = self._paid.pop(withdrawal.index, None)
            if paid is not None and paid != withdrawal:
                self._log.error(
                    "withdrawal paid otherwise", index=withdrawal.index, paid=paid.amount, final=withdrawal.amount
                )


async def _call(client: aiohttp.ClientSession, url: str, method: str, parameters: Sequence[Any]) -> Any:
    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(parameters)}
    try:
        async with client.post(url, json=request) as response:
            raw = await response.content.read(ANSWER_BYTES + 1)
            while len(raw) <= ANSWER_BYTES and (more := await response.content.read(ANSWER_BYTES + 1)):
                raw += more
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise ExecutionError(f"{method}: no answer ({type(error).__name__})") from error
    if len(raw) > ANSWER_BYTES:
        raise ExecutionError(f"{method}: answer of more than {ANSWER_BYTES} bytes")
    try:
        answer = loads(raw)
    except ValueError as error:
        raise ExecutionError(f"{method}: answer is no JSON") from error
    if not isinstance(answer, dict):
        raise ExecutionError(f"{method}: expected an object")
    if answer.get("error") is not None:
        reason = answer["error"].get("message") if isinstance(answer["error"], dict) else answer["error"]
        raise ExecutionError(f"{method}: refused: {reason}")
    return answer.get("result")


def _number(value: Any) -> int:
    try:
        return int(str(value), 16)
    except ValueError:
        raise ExecutionError(f"execution node: found {value!r}, expected a hex number") from None


def _data(log: Any) -> bytes:
    data = log.get("data") if isinstance(log, dict) else None
    if not isinstance(data, str) or not data.startswith("0x"):
        raise DepositLogError("deposit log: no data")
    try:
        return bytes.fromhex(data[2:])
    except ValueError:
        raise DepositLogError("deposit log: data is no hex") from None

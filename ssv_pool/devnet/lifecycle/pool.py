"""What the life needs on the execution chain: accounts, parameters, the deposit contract, the staking pool, a key."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_typing import ChecksumAddress
from eth_utils.address import to_checksum_address
from hexbytes import HexBytes

from ssv_pool.crypto import operator_keys
from ssv_pool.crypto.files import write_private
from ssv_pool.devnet.anvil import account_key
from ssv_pool.devnet.cluster import OperatorFiles, Registry
from ssv_pool.pool.approvals import Committee, sign
from ssv_pool.pool.calls import POOL, PoolParameters, deposit_contract_deployment, in_order
from ssv_pool.pool.contract import PoolContract
from ssv_pool.pool.deposit_data import DepositNetwork
from ssv_pool.pool.inventory import make_key
from ssv_pool.pool.keyshares import ShareOperator
from ssv_pool.registry.amounts import WEI
from ssv_pool.registry.artifacts import published_abi
from ssv_pool.registry.chain import translated
from ssv_pool.registry.transactions import TransactionSender

STAKES: Final = (20 * WEI, 10 * WEI, 6 * WEI)
"""What the stakers deposit: a validator's 32 ETH and what operators are paid."""

OPERATOR_FEE: Final = 10 * 10**9
"""Wei per block and validator that each operator asks."""

NETWORK_FEE: Final = 10**9
"""Wei per block and validator."""

CLUSTER_DEPOSIT: Final = WEI
"""What the cluster of the devnet's other validators gets."""

FEE: Final = 500
"""Basis points of the gain, for the operators and for the treasury."""

MAX_YEARLY_GAIN: Final = 10_000
"""Basis points a year: as much as a pool may have."""

MAX_LOSS: Final = 500
CLUSTER_BUDGET: Final = 500
"""Basis points of the pool's assets."""

NETWORK: Final = DepositNetwork("devnet", bytes.fromhex("00000001"))
"""The minimal preset's, which the embedded beacon node's chain has."""

KEEPER_SECONDS: Final = 6.0
"""A keeper's round: four of them share two cores with all else, and what is not begun in its round is not done."""

_FIRST_MEMBER, _FIRST_STAKER, _TREASURY = 1, 5, 8
"""Which of anvil's accounts is whose; the first one owns the contracts."""


def account(index: int) -> LocalAccount:
    """One of anvil's funded accounts."""
    found: LocalAccount = Account.from_key(account_key(index))
    return found


def members(count: int) -> tuple[LocalAccount, ...]:
    """The operators' accounts, by operator id: each owns its operator and is a member of the pool."""
    return tuple(account(_FIRST_MEMBER + place) for place in range(count))


@dataclass(frozen=True, slots=True)
class Event:
    """An event of the pool's contract."""

    name: str
    block: int
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class LifePool:
    """The pool on the chain and those who deal with it."""

    contract: PoolContract
    deposit_contract: str
    """Address of the deposit contract."""
    members: tuple[LocalAccount, ...]
    """In order of their operators' ids."""
    treasury: str
    stakers: tuple[LocalAccount, ...]
    receivers: tuple[ChecksumAddress, ...]
    """Where each staker wants to be paid: accounts that hold nothing else, so that what they hold is the payout."""

    @property
    def address(self) -> ChecksumAddress:
        """The pool's address."""
        return self.contract.address

    def head(self) -> int:
        """Number of the execution chain's last block. Raises UnavailableError."""
        with translated(self.contract.w3, "ask for the block number"):
            return int(self.contract.w3.eth.block_number)

    def balance(self, address: ChecksumAddress) -> int:
        """Wei that an account holds. Raises UnavailableError."""
        with translated(self.contract.w3, f"ask for the balance of {address}"):
            return int(self.contract.w3.eth.get_balance(address))

    def events(self, first: int, last: int) -> list[Event]:
        """The pool's events in these blocks, both included, in order. Raises ContractError, UnavailableError."""
        w3 = self.contract.w3
        known: Any = w3.eth.contract(address=self.address, abi=published_abi(POOL)).events
        kinds = {bytes(HexBytes(event.topic)): event for event in known}
        with translated(w3, "read the pool's events"):
            logs = w3.eth.get_logs({"address": self.address, "fromBlock": first, "toBlock": last})
        found = []
        for log in logs:
            kind = kinds.get(bytes(log["topics"][0]))
            if kind is not None:
                data = kind.process_log(log)
                found.append(Event(str(data["event"]), int(data["blockNumber"]), dict(data["args"])))
        return found


def prepare_registry(registry: Registry) -> None:
    """Let the network take a fee too. Raises ContractError, UnavailableError."""
    contract = registry.contract
    contract.send(registry.owner, contract.calls.set_parameter("network-fee", NETWORK_FEE))


def deploy_pool(registry: Registry, operator_ids: Sequence[int]) -> LifePool:
    """Deploy a deposit contract and a pool whose members are the operators' owners; they allow their committee.

    Raises:
        ContractFileError: a contract cannot be compiled.
        ContractError, UnavailableError: the chain refuses a transaction, or does not answer.
    """
    w3, people = registry.contract.w3, members(len(operator_ids))
    sender = TransactionSender(w3, registry.owner)
    call = deposit_contract_deployment(w3)
    deposit_contract = str(sender.send(call.action, call.function).receipt["contractAddress"])
    treasury = str(account(_TREASURY).address)
    contract = PoolContract.deploy(
        w3,
        sender,
        registry.contract.address,
        deposit_contract,
        [str(member.address) for member in people],
        quorum=2 * len(people) // 3 + 1,
        parameters=PoolParameters(treasury, FEE, FEE, MAX_YEARLY_GAIN, MAX_LOSS, CLUSTER_BUDGET),
    )
    message = Committee(tuple(operator_ids), True, contract.number("clusterNonce"))
    approvals = in_order(sign(contract.domain(), message, member) for member in people)
    contract.send(people[0], contract.calls.allow_committee(message, approvals))
    return LifePool(
        contract=contract,
        deposit_contract=deposit_contract,
        members=people,
        treasury=treasury,
        stakers=tuple(account(_FIRST_STAKER + place) for place in range(len(STAKES))),
        receivers=tuple(_fresh_address(place) for place in range(len(STAKES))),
    )


def _fresh_address(place: int) -> ChecksumAddress:
    digest = hashlib.sha256(b"receiver %d of the devnet's life cycle" % place).digest()
    return to_checksum_address(digest[:20])


def keeper_sections(pool: LifePool, files: Sequence[OperatorFiles], folder: Path) -> dict[int, dict[str, Any]]:
    """Make one validator's key for the pool's inventory, and each operator's settings of its keeper.

    Args:
        pool: the pool.
        files: the operators; the first has the inventory.
        folder: where the inventory is made.

    Raises:
        KeyFileError: the files cannot be written.
    """
    inventory = folder / "inventory"
    operators = [
        ShareOperator(item.operator_id, operator_keys.public_key_from_base64(item.public_key)) for item in files
    ]
    make_key(inventory, pool.address, 0, operators, NETWORK, datetime.now(UTC))
    committee = ",".join(str(item.operator_id) for item in files)
    sections = {}
    for item, member in zip(files, pool.members, strict=True):
        write_private(item.folder / "member.key", b"0x" + bytes(member.key).hex().encode() + b"\n")
        sections[int(item.operator_id)] = {
            "pool": {
                "contract": pool.address,
                "first_block": pool.contract.first_block,
                "key_file": "member.key",
                "inventory": str(inventory),
                "peers": [f"http://127.0.0.1:{other.api_port}" for other in files if other is not item],
                "committees": [committee],
                "report_epochs": 1,
                "poll_seconds": KEEPER_SECONDS,
            }
        }
    return sections

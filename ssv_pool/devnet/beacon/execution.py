"""What the beacon chain takes from the execution chain and gives back: deposits from logs, withdrawals, block numbers.

An execution client makes one block for each slot's payload. The devnet's execution chain (anvil) knows nothing of
beacon blocks, so the beacon node drives it: it mines a block every second, and a payload names the block that is mined
some slots later, when nothing can replace the payload any more. A block with that number holds all withdrawals of the
chain up to the payload and none of a later one: whoever compares a beacon state with its payload's execution block
finds every wei exactly once, as on a real chain.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ssv_pool.devnet.beacon.history import BlockEntry, History
from ssv_pool.devnet.beacon.memo import BoundedMemo

BLOCK_SECONDS = 1
"""Seconds between two blocks of the execution chain."""

LAG_SLOTS = 2
"""Slots between a beacon block and the execution block that its payload names: the blocks after it show whether it
stays. Reorganisations of the devnet's one beacon node are no deeper than one block."""

DEPOSIT_TOPIC = "0x649bbc62d0e31342afea4e5cd82d4049e7e1ee912fc0889aa790803be39038c5"
"""Topic of the deposit contract's ``DepositEvent(bytes,bytes,bytes,bytes,bytes)``."""

DEPOSIT_EVENT_BYTES = 576
"""Length of its data (EIP-6110)."""

_FIELDS = (("pubkey", 160, 48), ("withdrawal_credentials", 256, 32), ("amount", 320, 8), ("signature", 384, 96))
_INDEX = ("index", 512, 8)
"""Name, offset and length in bytes of the event's five byte strings; each begins with its length as a word."""


class DepositLogError(ValueError):
    """A log of the deposit contract that no deposit contract writes."""


@dataclass(frozen=True, slots=True)
class Deposit:
    """One deposit as the contract's log says it (EIP-6110's deposit request)."""

    pubkey: bytes
    """48 bytes."""
    withdrawal_credentials: bytes
    """32 bytes."""
    amount: int
    """Gwei."""
    signature: bytes
    """96 bytes; whether it is good is for the beacon chain to find out."""
    index: int
    """The contract's count of deposits before this one."""


def read_deposit(data: bytes) -> Deposit:
    """The deposit in a DepositEvent's data. Raises DepositLogError: the data is laid out otherwise (EIP-6110)."""
    if len(data) != DEPOSIT_EVENT_BYTES:
        raise DepositLogError(f"deposit log: found {len(data)} bytes, expected {DEPOSIT_EVENT_BYTES}")
    found: dict[str, bytes] = {}
    for place, (name, offset, length) in enumerate((*_FIELDS, _INDEX)):
        position = int.from_bytes(data[32 * place : 32 * place + 32], "big")
        size = int.from_bytes(data[offset : offset + 32], "big")
        if (position, size) != (offset, length):
            raise DepositLogError(
                f"deposit log: {name} of {size} bytes at {position}, expected {length} bytes at {offset}"
            )
        found[name] = data[offset + 32 : offset + 32 + length]
    return Deposit(
        pubkey=found["pubkey"],
        withdrawal_credentials=found["withdrawal_credentials"],
        amount=int.from_bytes(found["amount"], "little"),
        signature=found["signature"],
        index=int.from_bytes(found["index"], "little"),
    )


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """One withdrawal of a payload."""

    index: int
    """The chain's count of withdrawals before this one."""
    validator_index: int
    address: bytes
    """20 bytes."""
    amount: int
    """Gwei."""


@dataclass(frozen=True, slots=True)
class ExecutionSchedule:
    """Which execution block is mined when, and which one a slot's payload names."""

    number: int
    """Number of the execution chain's head when the beacon node took over."""
    time: int
    """When that was, whole seconds since the UNIX epoch; not after genesis."""

    def due(self, now: float) -> int:
        """The number that the head should have at ``now``."""
        return self.number + max(0, int(now - self.time) // BLOCK_SECONDS)

    def block_of(self, slot: int, genesis_time: int, slot_seconds: int) -> int:
        """The block that the payload of ``slot`` names."""
        return self.due(genesis_time + (slot + LAG_SLOTS) * slot_seconds)

    def slot_of(self, number: int, genesis_time: int, slot_seconds: int) -> int:
        """The last slot whose payload names block ``number`` or one before it; negative if it is none."""
        mined = self.time + (number - self.number) * BLOCK_SECONDS
        return (mined - genesis_time) // slot_seconds - LAG_SLOTS


@dataclass(frozen=True, slots=True)
class _Contents:
    deposits: int
    """Deposits in the chain up to the block."""
    withdrawals: tuple[Withdrawal, ...]
    """Withdrawals of the block's payload."""


class ExecutionLedger:
    """Deposits that the execution chain has, and what the blocks of the beacon chain have taken of them and paid."""

    def __init__(self, spec: Any, history: History, schedule: ExecutionSchedule | None = None) -> None:
        """Without a schedule there is no execution chain: no deposits, and payloads are numbered one by one."""
        self.schedule = schedule
        self._spec = spec
        self._history = history
        self._deposits: list[Deposit] = []
        self._contents: BoundedMemo[bytes, _Contents] = BoundedMemo(4096)

    @property
    def count(self) -> int:
        """Deposits that are known of."""
        return len(self._deposits)

    def add(self, deposits: Iterable[Deposit]) -> None:
        """Take in deposits in the order of their index; known ones are passed over.

        Raises:
            DepositLogError: one is missing before them.
        """
        for deposit in deposits:
            if deposit.index > len(self._deposits):
                raise DepositLogError(f"deposit {deposit.index}: came after {len(self._deposits)} deposits")
            if deposit.index == len(self._deposits):
                self._deposits.append(deposit)

    def requests(self, parent_root: bytes) -> Any:
        """The ExecutionRequests for a block on ``parent_root``: the deposits that its chain does not have yet."""
        spec = self._spec
        if not self._deposits:
            return spec.ExecutionRequests()
        first = self._read(parent_root).deposits
        last = first + int(spec.MAX_DEPOSIT_REQUESTS_PER_PAYLOAD)
        return spec.ExecutionRequests(
            deposits=[
                spec.DepositRequest(
                    pubkey=deposit.pubkey,
                    withdrawal_credentials=deposit.withdrawal_credentials,
                    amount=deposit.amount,
                    signature=deposit.signature,
                    index=deposit.index,
                )
                for deposit in self._deposits[first:last]
            ]
        )

    def withdrawals(self, root: bytes, first_index: int) -> list[Withdrawal]:
        """The withdrawals of the chain up to block ``root``, from ``first_index`` on, in order."""
        found: list[Withdrawal] = []
        entry = self._history.get(root)
        while entry is not None:
            own = self._read(entry.root).withdrawals
            found[:0] = [item for item in own if item.index >= first_index]
            if own and own[0].index <= first_index:
                break
            entry = self._history.get(entry.parent_root)
        return found

    def _read(self, root: bytes) -> _Contents:
        """What block ``root`` holds; blocks before it are read first, oldest first."""
        unread: list[BlockEntry] = []
        entry = self._history.get(root)
        while entry is not None and entry.root not in self._contents:
            unread.append(entry)
            entry = self._history.get(entry.parent_root)
        deposits = 0
        if entry is not None and (known := self._contents.get(entry.root)) is not None:
            deposits = known.deposits
        for block in reversed(unread):
            body = self._spec.SignedBeaconBlock.decode_bytes(block.signed_block).message.body
            taken = [int(request.index) + 1 for request in body.execution_requests.deposits]
            deposits = max((deposits, *taken))
            self._contents.put(block.root, _Contents(deposits, _withdrawals(body.execution_payload)))
        contents = self._contents.get(root)
        return contents if contents is not None else _Contents(0, ())


def _withdrawals(payload: Any) -> tuple[Withdrawal, ...]:
    return tuple(
        Withdrawal(int(item.index), int(item.validator_index), bytes(item.address), int(item.amount))
        for item in payload.withdrawals
    )

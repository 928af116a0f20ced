"""How far the registry's events are applied, and the record of each block and event.

The cursor moves only from the block that the mover saw last: of two processes that apply the same block, the second
finds the cursor moved and applies nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from ssv_pool.errors import ConfigError
from ssv_pool.store.models import RegistryBlock, RegistryEvent, SyncCursor
from ssv_pool.store.upsert import insert_missing

KEPT_BLOCK_HASHES = 4096
"""For so many blocks back all hashes seen are kept, not only those of blocks with events."""


@dataclass(frozen=True, slots=True)
class Block:
    """A block of the execution chain."""

    number: int
    hash: bytes
    """32 bytes."""
    parent_hash: bytes
    """32 bytes."""
    time: int
    """Timestamp, seconds since the UNIX epoch."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far the events are applied."""

    block_number: int
    """Last block applied; one before the first block when none is."""
    block_hash: bytes | None
    """Its hash, 32 bytes; None when none is applied."""
    block_time: int
    """Its timestamp; 0 when none is applied."""
    head_number: int
    """The chain's head when it was last looked at; -1 before that."""


@dataclass(frozen=True, slots=True)
class EventRecord:
    """What became of one event."""

    log_index: int
    transaction_hash: bytes
    """32 bytes."""
    name: str
    outcome: str
    """``applied``, ``ignored`` or ``malformed``."""
    reason: str | None
    """Why it is malformed or ignored: a fixed name."""
    detail: str | None
    """One line for a person."""


def open_cursor(session: Session, chain_id: int, contract: bytes, first_block: int) -> Cursor:
    """The cursor, made when missing.

    Args:
        session: a writing transaction.
        chain_id: the execution chain.
        contract: address of the registry contract, 20 bytes.
        first_block: the first block that may have events.

    Raises:
        ConfigError: the store was filled from another contract or chain.
    """
    first = {
        "id": 1,
        "chain_id": chain_id,
        "contract": contract,
        "block_number": first_block - 1,
        "block_hash": None,
        "block_time": 0,
        "head_number": -1,
    }
    insert_missing(session, SyncCursor, [first])
    row = session.scalars(select(SyncCursor)).one()
    if (row.chain_id, row.contract) != (chain_id, contract):
        raise ConfigError(
            f"store: holds the registry 0x{row.contract.hex()} of chain {row.chain_id}, "
            f"expected 0x{contract.hex()} of chain {chain_id}; give each network a data folder of its own"
        )
    return _cursor(row)


def read_cursor(session: Session) -> Cursor | None:
    """The cursor; None before the first sync."""
    row = session.scalars(select(SyncCursor)).one_or_none()
    return None if row is None else _cursor(row)


def note_head(session: Session, head_number: int) -> None:
    """Store the chain's head as it was seen now."""
    session.execute(update(SyncCursor).values(head_number=head_number))


def advance(session: Session, expected: int, block: Block) -> bool:
    """Move the cursor from block ``expected`` to ``block``. Returns False, changing nothing, when it is elsewhere.

    Holds the cursor against other processes until the transaction ends.
    """
    statement = (
        update(SyncCursor)
        .where(SyncCursor.block_number == expected)
        .values(block_number=block.number, block_hash=block.hash, block_time=block.time)
        .returning(SyncCursor.block_number)
    )
    return session.execute(statement.execution_options(synchronize_session=False)).first() is not None


def record_block(session: Session, block: Block, events: Sequence[EventRecord]) -> None:
    """Store a block's hash and what became of its events."""
    record_blocks(session, [(block, events)])


def record_blocks(session: Session, blocks: Sequence[tuple[Block, Sequence[EventRecord]]]) -> None:
    """``record_block`` for several blocks at once."""
    session.execute(
        insert(RegistryBlock),
        [
            {
                "number": block.number,
                "hash": block.hash,
                "parent_hash": block.parent_hash,
                "time": block.time,
                "events": len(events),
            }
            for block, events in blocks
        ],
    )
    rows = [
        {
            "block_number": block.number,
            "log_index": event.log_index,
            "transaction_hash": event.transaction_hash,
            "name": event.name,
            "outcome": event.outcome,
            "reason": event.reason,
            "detail": event.detail,
        }
        for block, events in blocks
        for event in events
    ]
    if rows:
        session.execute(insert(RegistryEvent), rows)


def prune_blocks(session: Session, latest: int) -> None:
    """Forget blocks without events that are more than ``KEPT_BLOCK_HASHES`` before block ``latest``."""
    old = RegistryBlock.number <= latest - KEPT_BLOCK_HASHES
    session.execute(delete(RegistryBlock).where(RegistryBlock.events == 0, old))


def _cursor(row: SyncCursor) -> Cursor:
    return Cursor(row.block_number, row.block_hash, row.block_time, row.head_number)

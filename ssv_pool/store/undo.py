"""Taking applied blocks back when the chain was reorganised below them.

While a block's changes are recorded, every row of the registry is kept as it was before (``remember``). Going back
puts the rows back, last change first, and moves the cursor to the block that both chains have. What remains is, but for
the beacon node's metadata, what a store would hold that never saw the lost blocks.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Table, and_, delete, exists, func, insert, select, update
from sqlalchemy.orm import Session

from ssv_pool.store.cursor import Block, Cursor
from ssv_pool.store.models import (
    Base,
    CommitteeMembership,
    ExitRequest,
    FeeRecipientChange,
    Operator,
    Owner,
    RegistryBlock,
    RegistryEvent,
    RegistryRepair,
    RegistryUndo,
    StoreState,
    SyncCursor,
    Validator,
)
from ssv_pool.store.pending import flush_pending

UNDO_BLOCKS = 4096
"""Blocks behind the head that can be taken back: 13 hours and 39 minutes; the beacon chain finalises within minutes."""

_INFO = "ssv_undo"
_BEACON_COLUMNS = frozenset({"validator_index", "status", "activation_epoch", "exit_epoch"})
"""Columns of a validator that no event sets."""
_MODELS: tuple[type[Base], ...] = (Operator, Owner, FeeRecipientChange, CommitteeMembership, Validator, ExitRequest)
_TABLES: dict[str, Table] = {model.__tablename__: Base.metadata.tables[model.__tablename__] for model in _MODELS}


@dataclass(slots=True)
class _Recording:
    block_number: int
    place: int = 0


@dataclass(frozen=True, slots=True)
class Repairs:
    """How often something was put right."""

    gaps: int = 0
    """Blocks whose logs a node had given incompletely, or with logs that are not theirs."""
    rollbacks: int = 0
    """Times that applied blocks were taken back."""


@contextmanager
def recorded(session: Session, block_number: int) -> Iterator[None]:
    """Within this, changes of the registry are kept so that they can be taken back."""
    session.add(RegistryUndo(block_number=block_number, place=0, table_name="", key={}, before=None))
    session.info[_INFO] = _Recording(block_number)
    try:
        yield
    finally:
        del session.info[_INFO]


def remember(session: Session, model: type[Base], **key: Any) -> None:
    """Keep the row with this primary key as it is now, where changes are recorded; to be called before it changes."""
    recording: _Recording | None = session.info.get(_INFO)
    if recording is None:
        return
    flush_pending(session)
    table = _TABLES[model.__tablename__]
    row = session.execute(select(table).where(*_where(table, key))).mappings().one_or_none()
    recording.place += 1
    session.add(
        RegistryUndo(
            block_number=recording.block_number,
            place=recording.place,
            table_name=table.name,
            key=_pack(key),
            before=None if row is None else _pack(dict(row)),
        )
    )


def can_go_back(session: Session, block_number: int) -> bool:
    """Whether all blocks after this one that had events can be taken back."""
    marked = exists().where(RegistryUndo.block_number == RegistryBlock.number, RegistryUndo.place == 0)
    lost = select(func.count()).where(RegistryBlock.number > block_number, RegistryBlock.events > 0, ~marked)
    return not session.scalar(lost)


def kept_blocks(session: Session, after: int) -> list[tuple[int, bytes]]:
    """Number and hash of the applied blocks that are on record after block ``after``, ascending."""
    query = select(RegistryBlock.number, RegistryBlock.hash).where(RegistryBlock.number > after)
    return [(number, block_hash) for number, block_hash in session.execute(query.order_by(RegistryBlock.number))]


def go_back(session: Session, cursor: Cursor, ancestor: Block | None, first_block: int) -> int | None:
    """Take all blocks after ``ancestor`` back.

    Args:
        session: a writing transaction.
        cursor: the cursor as the caller saw it.
        ancestor: the last block that stays; None for none.
        first_block: the first block that may have events.

    Returns:
        How many changes were undone; None, with nothing done, when the cursor is elsewhere meanwhile.
    """
    number = first_block - 1 if ancestor is None else ancestor.number
    moved = session.execute(
        update(SyncCursor)
        .where(SyncCursor.block_number == cursor.block_number, SyncCursor.block_hash == cursor.block_hash)
        .values(
            block_number=number,
            block_hash=None if ancestor is None else ancestor.hash,
            block_time=0 if ancestor is None else ancestor.time,
        )
        .returning(SyncCursor.block_number)
        .execution_options(synchronize_session=False)
    ).first()
    if moved is None:
        return None
    changes = select(RegistryUndo).where(RegistryUndo.block_number > number, RegistryUndo.place > 0)
    undone = 0
    for change in session.scalars(changes.order_by(RegistryUndo.block_number.desc(), RegistryUndo.place.desc())).all():
        _put_back(session, _TABLES[change.table_name], _unpack(change.key), change.before)
        undone += 1
    session.execute(delete(RegistryUndo).where(RegistryUndo.block_number > number))
    session.execute(delete(RegistryEvent).where(RegistryEvent.block_number > number))
    session.execute(delete(RegistryBlock).where(RegistryBlock.number > number))
    session.execute(update(StoreState).values(version=StoreState.version + 1))
    session.expire_all()
    return undone


def forget_registry(session: Session) -> None:
    """Forget all that was read from the contract and the cursor: the next synchronisation begins anew.

    Slashing protection is kept elsewhere and stays.
    """
    others: tuple[type[Base], ...] = (RegistryUndo, RegistryEvent, RegistryBlock, SyncCursor)
    for model in _MODELS + others:
        session.execute(delete(model))
    session.execute(update(StoreState).values(version=StoreState.version + 1))


def prune_undo(session: Session, head: int) -> None:
    """Forget what blocks more than ``UNDO_BLOCKS`` before block ``head`` changed."""
    session.execute(delete(RegistryUndo).where(RegistryUndo.block_number <= head - UNDO_BLOCKS))


def note_repair(session: Session, kind: str, block_number: int, detail: str) -> None:
    """Keep a line about something that was put right: a ``gap`` or a ``rollback``."""
    session.add(RegistryRepair(time=time.time(), kind=kind, block_number=block_number, detail=detail))


def repairs(session: Session) -> Repairs:
    """How often something was put right, since the store was made."""
    found = session.execute(select(RegistryRepair.kind, func.count()).group_by(RegistryRepair.kind))
    counts: dict[str, int] = {row[0]: row[1] for row in found}
    return Repairs(counts.get("gap", 0), counts.get("rollback", 0))


def latest_repairs(session: Session, limit: int = 100) -> list[RegistryRepair]:
    """The latest things that were put right, latest first."""
    return list(session.scalars(select(RegistryRepair).order_by(RegistryRepair.number.desc()).limit(limit)))


def _put_back(session: Session, table: Table, key: Mapping[str, Any], packed: Mapping[str, Any] | None) -> None:
    where = and_(*_where(table, key))
    if packed is None:
        session.execute(delete(table).where(where))
        return
    before = _unpack(packed)
    # What the beacon node said since then still holds.
    values = {name: value for name, value in before.items() if name not in _BEACON_COLUMNS}
    known = session.scalar(select(func.count()).select_from(table).where(where))
    session.execute(update(table).where(where).values(values) if known else insert(table).values(before))


def _where(table: Table, key: Mapping[str, Any]) -> list[Any]:
    return [table.c[name] == value for name, value in key.items()]


def _pack(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: f"0x{value.hex()}" if isinstance(value, bytes) else value for name, value in row.items()}


def _unpack(packed: Mapping[str, Any]) -> dict[str, Any]:
    # No text column of the registry begins like this: a fee is decimal, a status a word.
    return {
        name: bytes.fromhex(value[2:]) if isinstance(value, str) and value.startswith("0x") else value
        for name, value in packed.items()
    }

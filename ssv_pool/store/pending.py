"""What a writing transaction that applies many registry events keeps in memory, instead of asking the store each time.

Nothing here outlives its transaction. Without ``preload`` every question goes to the store.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from ssv_pool.store.models import Base, Operator, Owner, Validator

_INFO = "ssv_pending"
_MOST_NAMED = 500


@dataclass(slots=True)
class Pending:
    """What is known of the registry within a transaction, and validators that are not inserted yet."""

    operators: set[int] = field(default_factory=set)
    """All that are registered."""
    owners: dict[bytes, Owner] = field(default_factory=dict)
    """Rows that were loaded or made."""
    validator_owners: dict[bytes, bytes | None] = field(default_factory=dict)
    """Validator → its owner, None when it is not registered; for those asked about."""
    committees: set[tuple[bytes, tuple[int, ...]]] = field(default_factory=set)
    """Committees (32-byte id, operators) whose members were brought on record in this transaction."""
    new_validators: list[dict[str, Any]] = field(default_factory=list)
    """Rows to be inserted."""


def preload(session: Session, owners: Iterable[bytes], validators: Iterable[bytes]) -> None:
    """Load what events about these owners (20 bytes) and validators (48 bytes) will ask for.

    Until the transaction ends, ``flush_pending`` must come before a query that may concern new validators.
    """
    pending = Pending(operators=set(session.scalars(select(Operator.operator_id))))
    for part in _parts(owners):
        rows = session.scalars(select(Owner).where(Owner.owner.in_(part)))
        pending.owners.update((row.owner, row) for row in rows)
    for part in _parts(validators):
        pending.validator_owners.update(dict.fromkeys(part))
        query = select(Validator.public_key, Validator.owner).where(Validator.public_key.in_(part))
        pending.validator_owners.update((key, owner) for key, owner in session.execute(query))
    session.info[_INFO] = pending


def pending_of(session: Session) -> Pending | None:
    """What the transaction keeps in memory; None when it keeps nothing."""
    found: Pending | None = session.info.get(_INFO)
    return found


def flush_pending(session: Session) -> None:
    """Bring to the store what was put off."""
    pending = pending_of(session)
    if pending is not None and pending.new_validators:
        rows, pending.new_validators = pending.new_validators, []
        session.execute(insert(Base.metadata.tables[Validator.__tablename__]), rows)
    session.flush()


def _parts(items: Iterable[bytes]) -> Iterable[Sequence[bytes]]:
    ordered = sorted(set(items))
    return [ordered[start : start + _MOST_NAMED] for start in range(0, len(ordered), _MOST_NAMED)]

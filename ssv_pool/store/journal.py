"""The duty journal: one entry a duty, in the order of slots, bounded by pruning.

What the node says of a duty and what workers add (submitted, accepted) come in any order and may come twice: an entry
is put together from both, and a step keeps the time that was told first.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from ssv_pool.protocol.events import Outcome
from ssv_pool.protocol.types.primitives import OperatorId, Slot
from ssv_pool.store.models import JournalRow
from ssv_pool.store.upsert import insert_missing

REFUSED = "refused"
"""The step at which the own beacon node first refused what a duty came to."""

MAX_DETAIL = 400
"""Characters of a beacon node's text that are kept."""


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One duty and how it went."""

    key: str
    """The duty's key, at most 200 characters: role, slot, committee or validator."""
    role: int
    """Runner role number."""
    slot: Slot
    executor: bytes = b""
    """Committee id (32 bytes) or validator public key (48 bytes); empty while only steps are known."""
    outcome: str | None = None
    """How it ended; None while only steps are known."""
    reason: str | None = None
    """Why it failed: a name from the core's fixed list; None when it did not."""
    detail: str = ""
    """One line for a person."""
    round: int = 0
    """Round in which consensus was reached; 0 when it was not."""
    silent_operators: tuple[OperatorId, ...] = ()
    """Committee members from whom nothing came."""
    steps: Mapping[str, float] = field(default_factory=dict)
    """Name of a step → when it was reached, seconds since the UNIX epoch."""


def record(session: Session, entry: JournalEntry) -> None:
    """Write what is known of a duty; steps already there keep their times. The same twice changes nothing.

    A duty that completed stays completed: a node that was killed does its last duties again, and then lacks messages
    that the others will not send a second time.
    """
    row = _locked_row(session, entry)
    if row.outcome == Outcome.COMPLETED.value != entry.outcome:
        return
    row.role, row.slot, row.executor = entry.role, entry.slot, entry.executor
    # What was found out after it completed stays too.
    reason = entry.reason or (row.reason if row.outcome == entry.outcome else None)
    row.outcome, row.reason, row.detail = entry.outcome, reason, entry.detail or row.detail
    row.round, row.silent_operators = entry.round, list(entry.silent_operators)
    row.steps = {**entry.steps, **row.steps}


def add_steps(session: Session, key: str, role: int, slot: Slot, steps: Mapping[str, float]) -> None:
    """Add steps to a duty, also before ``record`` was called for it. A step already there keeps its time."""
    row = _locked_row(session, JournalEntry(key, role, slot))
    row.steps = {**steps, **row.steps}


def add_refusal(session: Session, key: str, role: int, slot: Slot, when: float, text: str) -> None:
    """Note that the own beacon node refused what a duty came to, and what it said; the first refusal counts.

    Also before ``record`` was called for it. An entry with the step ``refused`` and without ``accepted`` was not
    accepted (yet); its detail is the node's text, where the core had nothing to say.

    Args:
        session: a transaction.
        key: the duty's key.
        role: its runner role number.
        slot: its slot.
        when: when it was refused, seconds since the UNIX epoch.
        text: the node's words, one line.
    """
    row = _locked_row(session, JournalEntry(key, role, slot))
    row.steps = {REFUSED: when, **row.steps}
    row.detail = row.detail or text[:MAX_DETAIL]


def add_finding(session: Session, finding: JournalEntry) -> None:
    """Add what was found out of a duty afterwards; makes the entry where there is none.

    Steps already there keep their times; outcome, reason, detail and executor count only where there are none.
    """
    row = _locked_row(session, finding)
    row.steps = {**finding.steps, **row.steps}
    row.executor = row.executor or finding.executor
    row.outcome = row.outcome or finding.outcome
    if row.reason is None and finding.reason is not None:
        row.reason = finding.reason
        row.detail = "; ".join(text for text in (finding.detail, row.detail) if text)[: 2 * MAX_DETAIL]


def entries(
    session: Session,
    *,
    role: int | None = None,
    from_slot: int = 0,
    to_slot: int | None = None,
    limit: int | None = None,
) -> list[JournalEntry]:
    """Entries in the order of slots; with ``limit`` only the latest ones.

    Args:
        session: a transaction.
        role: only this runner role.
        from_slot: no earlier slots.
        to_slot: no later slots.
        limit: at most so many.
    """
    query = select(JournalRow).where(JournalRow.slot >= from_slot)
    if role is not None:
        query = query.where(JournalRow.role == role)
    if to_slot is not None:
        query = query.where(JournalRow.slot <= to_slot)
    query = query.order_by(JournalRow.slot.desc(), JournalRow.key.desc()).limit(limit)
    return [_entry(row) for row in session.scalars(query)][::-1]


def prune_journal(session: Session, *, keep: int) -> int:
    """Forget whole old slots; the latest ``keep`` entries stay. Returns how many went."""
    oldest_kept = session.scalar(select(JournalRow.slot).order_by(JournalRow.slot.desc()).offset(keep).limit(1))
    if oldest_kept is None:
        return 0
    too_old = JournalRow.slot < oldest_kept
    count = session.scalar(select(func.count()).select_from(JournalRow).where(too_old)) or 0
    session.execute(delete(JournalRow).where(too_old))
    return count


def _locked_row(session: Session, entry: JournalEntry) -> JournalRow:
    """The duty's row, made when missing, held against other writers until the transaction ends."""
    empty = {
        "key": entry.key,
        "role": entry.role,
        "slot": entry.slot,
        "executor": entry.executor,
        "outcome": None,
        "reason": None,
        "detail": "",
        "round": 0,
        "silent_operators": [],
        "steps": {},
    }
    insert_missing(session, JournalRow, [empty])
    query = select(JournalRow).where(JournalRow.key == entry.key).with_for_update()
    return session.scalars(query.execution_options(populate_existing=True)).one()


def _entry(row: JournalRow) -> JournalEntry:
    return JournalEntry(
        key=row.key,
        role=row.role,
        slot=Slot(row.slot),
        executor=row.executor,
        outcome=row.outcome,
        reason=row.reason,
        detail=row.detail,
        round=row.round,
        silent_operators=tuple(OperatorId(i) for i in row.silent_operators),
        steps=row.steps,
    )

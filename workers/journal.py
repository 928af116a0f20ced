"""Tasks that keep the duty journal, and forget what is old."""

import time
from typing import Any

from ssv_pool.errors import UnavailableError
from ssv_pool.messaging.codec import CodecError
from ssv_pool.messaging.commands import JOURNAL, JournalEntries, JournalEntry
from ssv_pool.messaging.tasks import RECORD_DUTY
from ssv_pool.observability.logs import logger
from ssv_pool.protocol.events import Reason
from ssv_pool.protocol.types.primitives import Epoch
from ssv_pool.store import journal
from ssv_pool.store.duties import prune_duties
from workers import schedule
from workers.app import app, context

KEPT_ENTRIES = 200_000
"""Duties kept in the journal: a month of one committee."""

KEPT_EPOCHS = 4
"""Past epochs whose plans are kept."""

_log = logger(__name__)


@app.task(name=RECORD_DUTY, bind=True, acks_late=True, max_retries=20)
def record_duty(self: Any, payload: str) -> None:
    """Keep duties' stories, in one transaction."""
    try:
        told: JournalEntry | JournalEntries = JOURNAL.decode(payload)
    except CodecError as error:
        _log.error("a journal entry is malformed: dropped", problem=str(error))
        return
    try:
        with context.database.session() as session:
            for entry in told.entries if isinstance(told, JournalEntries) else (told,):
                journal.record(session, _stored(entry))
    except UnavailableError as error:
        _log.warning("journal entry not kept: trying again", key=told.key, problem=str(error))
        raise self.retry(countdown=2.0) from None


@app.task(name=schedule.PRUNE)
def prune(key: str, until: float) -> None:
    """Forget old journal entries and plans."""
    context.run_periodic(key, until, _prune)


def _stored(entry: JournalEntry) -> journal.JournalEntry:
    record = entry.record
    return journal.JournalEntry(
        key=record.key,
        role=int(record.role),
        slot=record.slot,
        executor=record.committee_id,
        outcome=record.outcome.value,
        reason=None if record.reason is Reason.NONE else record.reason.value,
        detail=record.detail,
        round=record.round,
        silent_operators=record.silent_operators,
        steps={step.name: step.time for step in record.steps},
    )


def _prune() -> bool:
    chain = context.chain()
    try:
        with context.database.session() as session:
            journal.prune_journal(session, keep=KEPT_ENTRIES)
            if chain is not None:
                prune_duties(session, Epoch(max(0, chain.epoch_at(time.time()) - KEPT_EPOCHS)))
    except UnavailableError as error:
        _log.warning("old entries not forgotten", problem=str(error))
        return False
    return True

"""The task that posts what the committees signed, whatever it is, until it is accepted or too late."""

import hashlib
import threading
import time
from datetime import UTC, datetime
from typing import Any

import redis
from celery.exceptions import CeleryError
from kombu.exceptions import KombuError, OperationalError

from ssv_pool.beacon.submissions import NOUNS, last_instant, post, role_of, size_of
from ssv_pool.errors import UnavailableError
from ssv_pool.messaging.codec import CodecError
from ssv_pool.messaging.commands import (
    SUBMISSIONS,
    AttestationSubmission,
    BlockSubmission,
    ExitSubmission,
    Submission,
    SyncMessageSubmission,
)
from ssv_pool.messaging.tasks import EXPIRY_SECONDS, ORDINARY, SUBMIT, URGENT, read_submission
from ssv_pool.observability import metrics
from ssv_pool.observability.logs import logger
from ssv_pool.store import journal
from workers import schedule
from workers.app import app, context

QUICK_ATTEMPTS = 3
"""Attempts to post that follow each other within the task; later ones are tasks of their own."""

QUICK_SECONDS = 0.5
"""After an attempt that took longer none follows within the task: a node that hangs must not hold the threads."""

SLOT_SECONDS = 0.2
"""How long a submission waits for its turn to post before it goes back to the queue."""

LONGEST_PAUSE = 4.0
"""Longest pause between two attempts to post, in seconds; well below the visibility timeout."""

BROKER_PAUSE = 0.2
"""Pause before a block is read from the broker again, in seconds."""

_DEAR = (AttestationSubmission, BlockSubmission, ExitSubmission)
"""What costs the validators if nobody posts it: a person should look."""

_log = logger(__name__)

_posting_slots = threading.BoundedSemaphore(max(1, context.settings.worker.concurrency // 3))
"""A third of the threads may post at once: the others are for the next slot's beginning. Blocks do not wait."""


@app.task(name=SUBMIT, bind=True, acks_late=True)
def submit(self: Any, payload: str, attempt: int = 0, started: float | None = None, told: bool = False) -> None:
    """Post something signed; what is not accepted is tried again until the deadline."""
    try:
        submission = read_submission(payload, context.payloads)
    except CodecError as error:
        _log.error("a submission is malformed: dropped", problem=str(error))
        return
    except redis.RedisError as error:
        _log.warning("a block is not read from the broker: trying again", problem=str(error).partition("\n")[0])
        raise self.retry(countdown=BROKER_PAUSE, max_retries=None) from None
    if not attempt and isinstance(submission, AttestationSubmission | SyncMessageSubmission):
        context.attested.keep_decided(submission)
    posting = _Posting(submission, attempt, started or time.time(), _last_instant(submission), told)
    key = f"submit:{submission.key}:{hashlib.sha256(payload.encode()).hexdigest()[:16]}"
    posting.run(key)
    while posting.left is not None:
        pause = min(LONGEST_PAUSE, 0.25 * 2 ** min(posting.attempt, 6))
        # The same bytes while nothing of it is accepted: a block's lie on the broker, the task only names them.
        again = payload if posting.left is submission else SUBMISSIONS.encode(posting.left).decode()
        try:
            # A task of its own: waiting here would keep a thread from the duties of the next slots.
            self.apply_async(
                (again, posting.attempt, posting.started, posting.told),
                countdown=pause,
                # Later than the deadline: the task says itself that it was not met.
                expires=datetime.fromtimestamp(max(submission.deadline, time.time() + pause) + EXPIRY_SECONDS, UTC),
                priority=URGENT if isinstance(submission, BlockSubmission) else ORDINARY,
                retry=False,
            )
        except (OperationalError, KombuError, CeleryError, OSError):
            time.sleep(pause)
            posting.run(key)
        else:
            return


class _Posting:
    """One submission on its way: what is left of it, and how often it was tried."""

    def __init__(self, submission: Submission, attempt: int, started: float, until: float, told: bool) -> None:
        self.left: Submission | None = submission
        self.attempt = attempt
        self.started = started
        self._until = until
        self.told = told
        """Whether the journal has a refusal of it; an attempt that nobody answered left none there."""

    def run(self, key: str) -> None:
        """Try to post what is left, unless another worker does or did."""
        submission = self.left
        if submission is None:
            return
        urgent = isinstance(submission, BlockSubmission)
        if not urgent and not _posting_slots.acquire(timeout=SLOT_SECONDS):
            return
        keep = max(60.0, submission.deadline - time.time())
        try:
            before = self.attempt
            context.run_claimed(key, schedule.RETRY_SECONDS, keep, self._post)
            if self.attempt == before:
                # Somebody else has it in hand, or had.
                self.left = None
        except redis.RedisError:
            # Posting twice does no harm, not posting does.
            self._post()
        finally:
            if not urgent:
                _posting_slots.release()

    def _post(self) -> bool:
        """Try a few times at once, then leave the rest to another task."""
        for quick in range(1, QUICK_ATTEMPTS + 1):
            submission = self.left
            if submission is None:
                break
            noun = NOUNS[type(submission)]
            started = time.time()
            if started >= self._until:
                _count(noun, "late")
                if context.first_time("not posted", noun, submission.slot):
                    said = _log.error if isinstance(submission, _DEAR) else _log.warning
                    said(f"{noun} not posted in time", slot=submission.slot, left=size_of(submission))
                self.attempt += 1
                self.left = None
                break
            result = post(context.beacon, submission, started)
            self.attempt += 1
            self.left = result.left
            if result.left is None:
                if result.problem:
                    _count(noun, "malformed")
                    _log.error(f"{noun} malformed: dropped", slot=submission.slot, problem=result.problem)
                else:
                    _count(noun, "accepted")
                    _note_accepted(submission, self.started)
                break
            if self.attempt == 1 and context.first_time("not accepted", noun, submission.slot):
                _log.warning(f"{noun} not accepted: trying again", slot=submission.slot, problem=result.problem)
            if result.refused and not self.told:
                _count(noun, "refused")
                self.told = _note_refused(submission, started, result.problem)
            if self.attempt > QUICK_ATTEMPTS or time.time() - started > QUICK_SECONDS:
                break
            time.sleep(0.1 * quick)
        return self.left is None


def _count(noun: str, result: str) -> None:
    metrics.SUBMISSIONS.labels(noun.replace(" ", "_"), result).inc()


def _last_instant(submission: Submission) -> float:
    try:
        return last_instant(context.chain(), submission)
    except UnavailableError:
        return submission.deadline


def _note_accepted(submission: Submission, started: float) -> None:
    # A slot's attestations are the duty's result; its sync committee messages go beside them.
    prefix = "sync_" if isinstance(submission, SyncMessageSubmission) else ""
    steps = {f"{prefix}submitted": started, f"{prefix}accepted": time.time()}
    try:
        with context.database.session() as session:
            journal.add_steps(session, submission.key, int(role_of(submission)), submission.slot, steps)
    except UnavailableError as error:
        _log.warning("times of a submission are not in the journal", key=submission.key, problem=str(error))


def _note_refused(submission: Submission, when: float, problem: str) -> bool:
    """Whether the journal has it now."""
    try:
        with context.database.session() as session:
            role = int(role_of(submission))
            if isinstance(submission, SyncMessageSubmission):
                # Says nothing of the attestations, by which the duty is judged.
                journal.add_steps(session, submission.key, role, submission.slot, {"sync_refused": when})
            else:
                journal.add_refusal(session, submission.key, role, submission.slot, when, problem)
    except UnavailableError as error:
        _log.warning("a refusal is not in the journal", key=submission.key, problem=str(error))
        return False
    return True

"""Tasks that talk with the beacon node: its state, the validators, and posting attestations."""

import hashlib
import threading
import time
from datetime import UTC, datetime
from typing import Any

import redis
from celery.exceptions import CeleryError
from kombu.exceptions import KombuError, OperationalError

from ssv_pool.beacon.attester import submit
from ssv_pool.beacon.planner import refresh_metadata
from ssv_pool.errors import UnavailableError
from ssv_pool.messaging.codec import CodecError
from ssv_pool.messaging.commands import SUBMISSIONS, AttestationSubmission
from ssv_pool.messaging.tasks import EXPIRY_SECONDS, SUBMIT_ATTESTATIONS
from ssv_pool.observability.logs import logger
from ssv_pool.protocol.types.roles import RunnerRole
from ssv_pool.store.chain import save_chain
from ssv_pool.store.journal import add_steps
from workers import schedule
from workers.app import app, context
from workers.changes import registry_changed

BEACON_PART = "beacon_node"

QUICK_ATTEMPTS = 3
"""Attempts to post that follow each other within the task; later ones are tasks of their own."""

QUICK_SECONDS = 0.5
"""After an attempt that took longer none follows within the task: a node that hangs must not hold the threads."""

SLOT_SECONDS = 0.2
"""How long a submission waits for its turn to post before it goes back to the queue."""

LONGEST_PAUSE = 4.0
"""Longest pause between two attempts to post, in seconds; well below the visibility timeout."""

_log = logger(__name__)

_posting_slots = threading.BoundedSemaphore(max(1, context.settings.worker.concurrency // 2))
"""Half of the threads may post at once: the others are for the next slot's beginning."""


@app.task(name=schedule.REFRESH_BEACON)
def refresh_beacon(key: str, until: float) -> None:
    """Look how the beacon node is, and keep the chain's constants."""
    context.run_periodic(key, until, _refresh_beacon)


@app.task(name=schedule.REFRESH_VALIDATORS)
def refresh_validators(key: str, until: float) -> None:
    """Bring the validators' beacon metadata up to date."""
    context.run_periodic(key, until, _refresh_validators)


@app.task(name=SUBMIT_ATTESTATIONS, bind=True, acks_late=True)
def submit_attestations(self: Any, payload: str, attempt: int = 0, started: float | None = None) -> None:
    """Post attestations; what is not accepted is tried again until the deadline."""
    try:
        submission: AttestationSubmission = SUBMISSIONS.decode(payload)
    except CodecError as error:
        _log.error("a submission is malformed: dropped", problem=str(error))
        return
    posting = _Posting(submission, attempt, started or time.time())
    key = f"submit:{submission.key}:{hashlib.sha256(payload.encode()).hexdigest()[:16]}"
    posting.run(key)
    while posting.left is not None:
        pause = min(LONGEST_PAUSE, 0.25 * 2 ** min(posting.attempt, 6))
        try:
            # A task of its own: waiting here would keep a thread from the duties of the next slots.
            self.apply_async(
                (SUBMISSIONS.encode(posting.left).decode(), posting.attempt, posting.started),
                countdown=pause,
                # Later than the deadline: the task says itself that it was not met.
                expires=datetime.fromtimestamp(submission.deadline + EXPIRY_SECONDS, UTC),
                retry=False,
            )
        except (OperationalError, KombuError, CeleryError, OSError):
            time.sleep(pause)
            posting.run(key)
        else:
            return


class _Posting:
    """One submission on its way: what is left of it, and how often it was tried."""

    def __init__(self, submission: AttestationSubmission, attempt: int, started: float) -> None:
        self.left: AttestationSubmission | None = submission
        self.attempt = attempt
        self.started = started

    def run(self, key: str) -> None:
        """Try to post what is left, unless another worker does or did."""
        submission = self.left
        if submission is None:
            return
        keep = max(60.0, submission.deadline - time.time())
        if not _posting_slots.acquire(timeout=SLOT_SECONDS):
            return
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
            _posting_slots.release()

    def _post(self) -> bool:
        """Try a few times at once, then leave the rest to another task."""
        for quick in range(1, QUICK_ATTEMPTS + 1):
            submission = self.left
            if submission is None:
                break
            started = time.time()
            if started >= submission.deadline:
                _log.error("attestations not posted in time", slot=submission.slot, left=len(submission.attestations))
                self.left = None
                break
            result = submit(context.beacon, submission, started)
            self.attempt += 1
            self.left = result.left
            if result.left is None:
                _accepted(submission, self.started)
                break
            if self.attempt == 1:
                _log.warning("attestations not accepted: trying again", slot=submission.slot, problem=result.problem)
            if self.attempt > QUICK_ATTEMPTS or time.time() - started > QUICK_SECONDS:
                break
            time.sleep(0.1 * quick)
        return self.left is None


def _refresh_beacon() -> bool:
    try:
        status = context.beacon.syncing()
        chain = context.beacon.chain()
        with context.database.session() as session:
            new = save_chain(session, chain)
    except UnavailableError as error:
        context.report(BEACON_PART, str(error))
        return True
    if new:
        _log.info("chain constants kept", slot_ms=chain.slot_duration_ms, slots_per_epoch=chain.slots_per_epoch)
    context.report(BEACON_PART, status.problem, head_slot=status.head_slot, sync_distance=status.distance)
    return True


def _refresh_validators() -> bool:
    try:
        changed = refresh_metadata(context.database, context.beacon)
    except UnavailableError as error:
        _log.debug("validator metadata not refreshed", problem=str(error))
        return False
    if changed:
        _log.info("validator metadata changed", validators=changed)
        registry_changed(app, context, validators=False)
    return True


def _accepted(submission: AttestationSubmission, started: float) -> None:
    steps = {"submitted": started, "accepted": time.time()}
    try:
        with context.database.session() as session:
            add_steps(session, submission.key, int(RunnerRole.COMMITTEE), submission.slot, steps)
    except UnavailableError as error:
        _log.warning("times of a submission are not in the journal", key=submission.key, problem=str(error))

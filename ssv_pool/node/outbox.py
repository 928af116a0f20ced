"""Hands the node's results to the workers, from a thread of its own: the event loop never waits for the broker."""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from ssv_pool.errors import UnavailableError
from ssv_pool.messaging.commands import AttestationSubmission, JournalEntry
from ssv_pool.observability import metrics
from ssv_pool.observability.logs import logger
from ssv_pool.protocol.chain import BeaconChain
from ssv_pool.protocol.events import DutyRecord, Outcome, SubmitAttestations

log = logger("node.outbox")

CAPACITY = 2048
"""Submissions, and as many journal entries, that may wait for a broker that is away; then the oldest go."""


class Sender(Protocol):
    """What is asked of the way to the workers (`ssv_pool.messaging.tasks.TaskSender`)."""

    def submit_attestations(self, submission: AttestationSubmission) -> None:
        """Have attestations posted. Raises UnavailableError when the broker stays away."""
        ...

    def record_duty(self, entry: JournalEntry) -> None:
        """Have a duty's story kept. Raises UnavailableError when the broker stays away."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


class Outbox:
    """Two queues, submissions before journal entries, and the thread that empties them."""

    def __init__(self, sender: Sender, clock: Callable[[], float] = time.time, capacity: int = CAPACITY) -> None:
        self._sender = sender
        self._clock = clock
        self._capacity = capacity
        self._submissions: deque[AttestationSubmission] = deque()
        self._journal: deque[JournalEntry] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self, timeout: float) -> None:
        """Send what waits, then end; gives up after ``timeout`` seconds."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join(timeout)
        if left := len(self._submissions) + len(self._journal) + self._thread.is_alive():
            log.error("results lost at the end, the broker does not take them", count=left)
        self._sender.close()

    def submit(self, effect: SubmitAttestations, chain: BeaconChain) -> None:
        """Have attestations posted."""
        fork = chain.fork_at(chain.epoch_of(effect.slot)).name
        self._put(
            self._submissions,
            AttestationSubmission(effect.key, effect.slot, fork, tuple(effect.attestations), effect.deadline),
        )

    def record(self, record: DutyRecord) -> None:
        """Have a duty's story kept, and count it."""
        _observe(record)
        self._put(self._journal, JournalEntry(record))

    def _put(self, waiting: "deque[AttestationSubmission] | deque[JournalEntry]", item: object) -> None:
        with self._changed:
            if len(waiting) >= self._capacity:
                self._dropped(waiting.popleft(), "too many wait for the broker")
            waiting.append(item)  # type: ignore[arg-type]
            self._changed.notify()

    def _take(self) -> AttestationSubmission | JournalEntry | None:
        """The next result; waits for one. None when there is nothing left and nothing more will come."""
        with self._changed:
            while not (self._submissions or self._journal):
                if self._closing:
                    return None
                self._changed.wait()
            return self._submissions.popleft() if self._submissions else self._journal.popleft()

    def _run(self) -> None:
        while (item := self._take()) is not None:
            try:
                self._send(item)
            except UnavailableError as error:
                self._dropped(item, str(error))
            except Exception as error:
                # Whatever it is, the next result may pass, and without this thread none would.
                log.exception("result not handed over", key=item.key)
                self._dropped(item, type(error).__name__)

    def _send(self, item: AttestationSubmission | JournalEntry) -> None:
        if isinstance(item, JournalEntry):
            self._sender.record_duty(item)
        elif item.deadline <= self._clock():
            self._dropped(item, "its deadline has passed")
        else:
            self._sender.submit_attestations(item)

    def _dropped(self, item: AttestationSubmission | JournalEntry, why: str) -> None:
        kind = "submission" if isinstance(item, AttestationSubmission) else "journal"
        metrics.OUTBOX_DROPPED.labels(kind).inc()
        log.error("result dropped", kind=kind, key=item.key, why=why)


def _observe(record: DutyRecord) -> None:
    role = record.role.name.lower()
    metrics.DUTIES.labels(role, record.outcome.value, record.reason.value).inc()
    steps = {step.name: step.time for step in record.steps}
    for histogram, start, end in (
        (metrics.START_DELAY, "due", "begun"),
        (metrics.CONSENSUS_TIME, "consensus_started", "decided"),
        (metrics.POST_CONSENSUS_TIME, "decided", "reconstructed"),
        (metrics.DUTY_TIME, "due", "reconstructed"),
    ):
        if start in steps and end in steps:
            histogram.labels(role).observe(max(0.0, steps[end] - steps[start]))
    if record.outcome is Outcome.COMPLETED and record.round > 1:
        metrics.ROUNDS_CHANGED.labels(role).inc()

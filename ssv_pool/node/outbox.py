"""Hands the node's results to the workers, from a thread of its own: the event loop never waits for the broker."""

import queue
import threading

from ssv_pool.errors import UnavailableError
from ssv_pool.messaging.commands import AttestationSubmission, JournalEntry
from ssv_pool.messaging.tasks import TaskSender
from ssv_pool.observability import metrics
from ssv_pool.observability.logs import logger
from ssv_pool.protocol.chain import BeaconChain
from ssv_pool.protocol.events import DutyRecord, Outcome, SubmitAttestations

log = logger("node.outbox")

CAPACITY = 4096
"""Results that may wait for a broker that is away; submissions among them are worth nothing after their deadline."""


class Outbox:
    """Two queues, submissions before journal entries, and the thread that empties them."""

    def __init__(self, sender: TaskSender) -> None:
        self._sender = sender
        self._queue: queue.PriorityQueue[tuple[int, int, AttestationSubmission | JournalEntry | None]] = (
            queue.PriorityQueue(CAPACITY)
        )
        self._number = 0
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self, timeout: float) -> None:
        """Send what waits, then end; gives up after ``timeout`` seconds."""
        self._put(9, None)
        self._thread.join(timeout)
        self._sender.close()

    def submit(self, effect: SubmitAttestations, chain: BeaconChain) -> None:
        """Have attestations posted."""
        fork = chain.fork_at(chain.epoch_of(effect.slot)).name
        self._put(0, AttestationSubmission(effect.key, effect.slot, fork, tuple(effect.attestations), effect.deadline))

    def record(self, record: DutyRecord) -> None:
        """Have a duty's story kept, and count it."""
        _observe(record)
        self._put(1, JournalEntry(record))

    def _put(self, priority: int, item: AttestationSubmission | JournalEntry | None) -> None:
        self._number += 1
        try:
            self._queue.put_nowait((priority, self._number, item))
        except queue.Full:
            metrics.OUTBOX_DROPPED.inc()
            log.error("result dropped, the broker is away for too long", key=item.key if item else None)

    def _run(self) -> None:
        while True:
            _priority, _number, item = self._queue.get()
            if item is None:
                return
            try:
                if isinstance(item, AttestationSubmission):
                    self._sender.submit_attestations(item)
                else:
                    self._sender.record_duty(item)
            except UnavailableError as error:
                log.error("result not handed over", key=item.key, problem=str(error))


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

"""Hands the node's results to the workers, from a thread of its own: the event loop never waits for the broker.

Stories of duties that end together share a task: on a small chain forty of them end within a second, when workers have
better things to do.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ssv_pool.errors import UnavailableError
from ssv_pool.messaging.commands import BeaconRequest, JournalEntries, JournalEntry, Submission
from ssv_pool.node.submissions import submission_of
from ssv_pool.observability import metrics
from ssv_pool.observability.logs import logger
from ssv_pool.protocol.chain import BeaconChain
from ssv_pool.protocol.events import AskKind, DutyRecord, Outcome, SubmitBlock, SubmitEffect

log = logger("node.outbox")

JOURNAL_ENTRIES = 64
"""Most stories in one task."""

JOURNAL_PAUSE = 0.25
"""Seconds that a story waits for others."""

CAPACITY = 2048
"""Blocks, other submissions, and journal entries that may wait, each, for a broker that is away; then the oldest go."""


class Sender(Protocol):
    """What is asked of the way to the workers (`ssv_pool.messaging.tasks.TaskSender`)."""

    def submit(self, submission: Submission) -> None:
        """Have something posted. Raises UnavailableError when the broker stays away."""
        ...

    def ask_beacon(self, request: BeaconRequest) -> None:
        """Have an object fetched from the beacon node. Raises UnavailableError when the broker stays away."""
        ...

    def record_duties(self, entries: JournalEntries) -> None:
        """Have duties' stories kept. Raises UnavailableError when the broker stays away."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


@dataclass(frozen=True, slots=True)
class _Signed:
    """Something signed, to be encoded on the thread."""

    effect: SubmitEffect
    chain: BeaconChain

    @property
    def key(self) -> str:
        return self.effect.key

    @property
    def deadline(self) -> float:
        return self.effect.deadline


_Urgent = _Signed | BeaconRequest
_Item = _Urgent | JournalEntries


class Outbox:
    """Three queues and the thread that empties them: blocks first, then other duties, then journal entries."""

    def __init__(self, sender: Sender, clock: Callable[[], float] = time.time, capacity: int = CAPACITY) -> None:
        self._sender = sender
        self._clock = clock
        self._capacity = capacity
        self._blocks: deque[_Urgent] = deque()
        self._duties: deque[_Urgent] = deque()
        self._journal: deque[JournalEntry] = deque()
        self._journal_due = 0.0
        """When the stories that wait have waited long enough, by the monotonic clock."""
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
        if left := len(self._blocks) + len(self._duties) + len(self._journal) + self._thread.is_alive():
            log.error("results lost at the end, the broker does not take them", count=left)
        self._sender.close()

    def submit(self, effect: SubmitEffect, chain: BeaconChain) -> None:
        """Have something signed posted to the beacon node."""
        self._put(self._blocks if isinstance(effect, SubmitBlock) else self._duties, _Signed(effect, chain))

    def ask(self, request: BeaconRequest) -> None:
        """Have an object fetched from the beacon node."""
        self._put(self._blocks if request.kind is AskKind.BLOCK else self._duties, request)

    def record(self, record: DutyRecord) -> None:
        """Have a duty's story kept, and count it."""
        _observe(record)
        with self._changed:
            if len(self._journal) >= self._capacity:
                self._dropped(JournalEntries((self._journal.popleft(),)), "too many wait for the broker")
            if not self._journal:
                self._journal_due = time.monotonic() + JOURNAL_PAUSE
            self._journal.append(JournalEntry(record))
            self._changed.notify()

    def _put(self, waiting: deque[_Urgent], item: _Urgent) -> None:
        with self._changed:
            if len(waiting) >= self._capacity:
                self._dropped(waiting.popleft(), "too many wait for the broker")
            waiting.append(item)
            self._changed.notify()

    def _take(self) -> _Item | None:
        """The next result; waits for one. None when there is nothing left and nothing more will come."""
        with self._changed:
            while True:
                if urgent := self._blocks or self._duties:
                    return urgent.popleft()
                pause = self._journal_due - time.monotonic()
                if self._journal and (self._closing or pause <= 0 or len(self._journal) >= JOURNAL_ENTRIES):
                    count = min(len(self._journal), JOURNAL_ENTRIES)
                    return JournalEntries(tuple(self._journal.popleft() for _ in range(count)))
                if self._closing:
                    return None
                self._changed.wait(pause if self._journal else None)

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

    def _send(self, item: _Item) -> None:
        if isinstance(item, JournalEntries):
            self._sender.record_duties(item)
        elif item.deadline <= self._clock():
            self._dropped(item, "its deadline has passed")
        elif isinstance(item, BeaconRequest):
            self._sender.ask_beacon(item)
        else:
            self._sender.submit(submission_of(item.effect, item.chain))

    def _dropped(self, item: _Item, why: str) -> None:
        kind = _KINDS[type(item)]
        metrics.OUTBOX_DROPPED.labels(kind).inc(len(item.entries) if isinstance(item, JournalEntries) else 1)
        log.error("result dropped", kind=kind, key=item.key, why=why)


_KINDS: dict[type, str] = {_Signed: "submission", BeaconRequest: "request", JournalEntries: "journal"}


def _observe(record: DutyRecord) -> None:
    role = record.role.name.lower()
    metrics.DUTIES.labels(role, record.outcome.value, record.reason.value).inc()
    steps = {step.name: step.time for step in record.steps}
    for histogram, start, end in (
        (metrics.START_DELAY, "due", "begun"),
        (metrics.PRE_CONSENSUS_TIME, "begun", "pre_consensus"),
        (metrics.BEACON_TIME, "asked", "received"),
        (metrics.CONSENSUS_TIME, "consensus_started", "decided"),
        (metrics.POST_CONSENSUS_TIME, "decided", "reconstructed"),
        (metrics.DUTY_TIME, "due", "reconstructed"),
    ):
        if start in steps and end in steps:
            histogram.labels(role).observe(max(0.0, steps[end] - steps[start]))
    if record.outcome is Outcome.COMPLETED and record.round > 1:
        metrics.ROUNDS_CHANGED.labels(role).inc()

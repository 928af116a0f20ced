"""Several beacon nodes as one: the best is asked first, the next one when it is slow or fails; all get what is posted.

The order is that of the settings unless something speaks against a node: it failed lately, an answer of it is
overdue, it is syncing or its execution node is away, its head is behind the others', it answers much later than they
do. Nodes are asked where they stand every few seconds, by the way, while there is anything to ask.
"""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Generic

from ssv_pool.beacon import answers
from ssv_pool.beacon.answers import SyncStatus, member, octets
from ssv_pool.beacon.errors import BeaconError
from ssv_pool.beacon.node import Attempt, BeaconNode, Request, Result
from ssv_pool.observability import metrics
from ssv_pool.observability.logs import logger
from ssv_pool.protocol.types.primitives import Root

CHECK_SECONDS = 4.0
"""Age of what is known of the nodes after which they are asked again where they stand."""

CHECK_TIMEOUT = 2.0
"""Time limit of that question, in seconds."""

SLOWER_STEP = 0.1
"""A node comes behind another that answers so many seconds sooner."""

GRACE_SECONDS = 0.1
"""So much longer than a request's time limit its end is waited for, because it says what took so long."""

_log = logger(__name__)

_SYNCING = Request("GET", "/eth/v1/node/syncing")
_GENESIS = Request("GET", "/eth/v1/beacon/genesis")


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """Where one node stands."""

    name: str
    """Scheme, host and port."""
    status: SyncStatus | None
    """What it says; None when it does not answer."""
    problem: str | None
    """Why it cannot be used now, one line; None when it can."""
    error: BeaconError | None = None
    """What went wrong with the question; None when it was answered."""


class BeaconNodes:
    """The own nodes. Thread-safe."""

    def __init__(
        self, nodes: Sequence[BeaconNode], hedge_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Make one.

        Args:
            nodes: at least one, best first.
            hedge_seconds: so long an answer is waited for before the next node is asked too.
            clock: monotonic time in seconds.
        """
        self._nodes = tuple(nodes)
        self._hedge = hedge_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._checked = float("-inf")
        self._in_trouble: dict[str, bool] = {}

    def __iter__(self) -> Iterator[BeaconNode]:
        """In the order of the settings."""
        return iter(self._nodes)

    def ranked(self) -> list[BeaconNode]:
        """The nodes, best first; without those of another chain than the first's."""
        nodes = [node for node in self._nodes if self.is_ours(node)]
        head = max((node.status.head_slot for node in nodes if node.status is not None), default=0)
        quickest = min((node.answer_seconds for node in nodes if node.status is not None), default=0.0)
        return sorted(nodes, key=lambda node: _rank(node, head, quickest))

    def is_ours(self, node: BeaconNode) -> bool:
        """Whether nothing says that the node is of another chain than the first one that told its chain."""
        return node.genesis is None or node.genesis == self._chain()

    def first(self, attempt: Attempt[Result], timeout: float, hedge: float | None = None) -> Result:
        """The first good result. The next node is tried when one fails, or is slow: then both.

        Args:
            attempt: what to try on a node.
            timeout: seconds for it all.
            hedge: so long one node is waited for before the next one is tried; the settings' time by default.

        Raises:
            BeaconError: no node gave a good result in time: the best node's error.
        """
        until = self._clock() + timeout
        if len(self._nodes) == 1:
            return self._nodes[0].run(attempt, until)
        self._check_by_the_way()
        pause = min(self._hedge if hedge is None else hedge, timeout / 2)
        return _Race(attempt, until, self._clock).run(self.ranked(), pause)

    def everywhere(
        self,
        attempt: Attempt[Result],
        timeout: float,
        good: Callable[[Result], bool] = lambda _: True,
        *,
        only_healthy: bool = True,
    ) -> list[Result]:
        """Try something on all healthy nodes at once, and on the others when none of these gives a good result.

        Args:
            attempt: what to try on a node.
            timeout: seconds for it all.
            good: whether a result is all that is wanted.
            only_healthy: whether nodes in trouble are left for later; else all are tried at once.

        Returns:
            One good result as soon as there is one; the other nodes go on by themselves. Without one all results.

        Raises:
            BeaconError: every node failed: the best node's error.
        """
        until = self._clock() + timeout
        if len(self._nodes) == 1:
            return [self._nodes[0].run(attempt, until)]
        self._check_by_the_way()
        ranked = self.ranked()
        healthy = [node for node in ranked if node.healthy or not only_healthy]
        race = _Race(attempt, until, self._clock)
        return race.run_all(healthy, [node for node in ranked if node not in healthy], good)

    def check(self, timeout: float = CHECK_TIMEOUT) -> list[NodeStatus]:
        """Ask all nodes at once where they stand, within so many seconds; in the order of the settings."""
        self._checked = self._clock()
        found: dict[BeaconNode, NodeStatus] = {}

        def ask(node: BeaconNode) -> None:
            found[node] = self._check(node, timeout)

        threads = [threading.Thread(target=ask, args=(node,), daemon=True) for node in self._nodes[1:]]
        for thread in threads:
            thread.start()
        ask(self._nodes[0])
        for thread in threads:
            thread.join()
        return [self._tell(node, found[node]) for node in self._nodes]

    def close(self) -> None:
        """Close all connections."""
        for node in self._nodes:
            node.close()

    def _check(self, node: BeaconNode, timeout: float) -> NodeStatus:
        started = self._clock()
        status: SyncStatus | None = None
        try:
            status = node.run(_standing, started + timeout)
        except BeaconError as error:
            found = NodeStatus(node.name, None, str(error), error)
        else:
            found = NodeStatus(node.name, status, status.problem)
        node.note_status(status, self._clock() - started)
        metrics.BEACON_SYNC_STATUS.labels(node.label).set(_state(status))
        if len(self._nodes) > 1 and node.genesis is None:
            # Before its chain is known, and in older nodes, it does not say; that is no trouble.
            with suppress(BeaconError):
                node.genesis = _genesis(node, started + timeout)
        return found

    def _chain(self) -> Root | None:
        """The genesis validators root of the first node that tells it."""
        return next((node.genesis for node in self._nodes if node.genesis is not None), None)

    def _tell(self, node: BeaconNode, found: NodeStatus) -> NodeStatus:
        """One line in the log when a node's trouble begins, and one when it ends; of a single node others tell."""
        chain = self._chain()
        if node.genesis is not None and chain is not None and node.genesis != chain:
            roots = f"genesis validators root 0x{node.genesis.hex()[:16]}…, expected 0x{chain.hex()[:16]}…"
            found = replace(found, problem=f"of another chain: {roots}")
        with self._lock:
            before = self._in_trouble.get(found.name, False)
            self._in_trouble[found.name] = found.problem is not None
        if len(self._nodes) == 1:
            return found
        if found.problem is not None and not before:
            _log.warning("a beacon node is in trouble: others are asked first", node=found.name, problem=found.problem)
        elif found.problem is None and before:
            _log.info("a beacon node is well again", node=found.name)
        return found

    def _check_by_the_way(self) -> None:
        with self._lock:
            if self._clock() - self._checked < CHECK_SECONDS:
                return
            self._checked = self._clock()
        threading.Thread(target=self.check, name="beacon-check", daemon=True).start()


def _genesis(node: BeaconNode, until: float) -> Root:
    answer = node.send(_GENESIS, until)
    return answer.read(lambda body: Root(octets(member(body, "data", dict), "genesis_validators_root", 32)))


def _standing(node: BeaconNode, until: float) -> SyncStatus:
    return node.send(_SYNCING, until).read(answers.sync_status)


class _Race(Generic[Result]):
    """One attempt on several nodes, each on a thread of its own, because a node may hang."""

    def __init__(self, attempt: Attempt[Result], until: float, clock: Callable[[], float]) -> None:
        self._attempt = attempt
        self._until = until
        self._clock = clock
        self._lock = threading.Lock()
        self._ends: queue.SimpleQueue[tuple[BeaconNode, Result | Exception]] = queue.SimpleQueue()
        self._order: dict[BeaconNode, threading.Thread] = {}
        self._running: set[BeaconNode] = set()
        self._late: set[BeaconNode] = set()
        self._problems: dict[BeaconNode, BeaconError] = {}

    def run(self, nodes: Sequence[BeaconNode], pause: float) -> Result:
        """One node after the other, ``pause`` seconds apart, until one gives a result."""
        waiting = list(nodes)
        self._start(waiting.pop(0))
        pending = 1
        while pending:
            end = self._next(min(pause, self._left()) if waiting else self._left())
            if end is None:
                self._mark_late()
                if self._left() <= 0:
                    break
            elif isinstance(end[1], Exception):
                pending -= 1
                self._note(end[0], end[1])
            else:
                return end[1]
            if waiting:
                self._start(waiting.pop(0))
                pending += 1
        raise self._error()

    def run_all(
        self, nodes: Sequence[BeaconNode], others: Sequence[BeaconNode], good: Callable[[Result], bool]
    ) -> list[Result]:
        """All ``nodes`` at once, and then ``others`` where no result of those is good."""
        results: list[Result] = []
        for group in (nodes, others):
            for node in group:
                self._start(node)
            pending = len(group)
            while pending:
                end = self._next(self._left())
                if end is None:
                    self._mark_late()
                    break
                pending -= 1
                if isinstance(end[1], Exception):
                    self._note(end[0], end[1])
                elif good(end[1]):
                    return [end[1]]
                else:
                    results.append(end[1])
        if not results:
            raise self._error()
        return results

    def _start(self, node: BeaconNode) -> None:
        thread = threading.Thread(target=self._try, args=(node,), name=f"beacon-{node.label}", daemon=True)
        self._order[node] = thread
        self._running.add(node)
        thread.start()

    def _try(self, node: BeaconNode) -> None:
        end: Result | Exception
        try:
            end = node.run(self._attempt, self._until)
        except Exception as error:  # noqa: BLE001 - raised again where it is waited for
            end = error
        with self._lock:
            self._running.discard(node)
            if node in self._late:
                node.lag(-1)
        self._ends.put((node, end))

    def _next(self, wait: float) -> tuple[BeaconNode, Result | Exception] | None:
        try:
            return self._ends.get(timeout=wait if wait < self._left() else wait + GRACE_SECONDS)
        except queue.Empty:
            return None

    def _left(self) -> float:
        return max(0.0, self._until - self._clock())

    def _mark_late(self) -> None:
        """Whoever is still at it counts as slow until it is done."""
        with self._lock:
            for node in self._running - self._late:
                self._late.add(node)
                node.lag(1)

    def _note(self, node: BeaconNode, error: Exception) -> None:
        if not isinstance(error, BeaconError):
            raise error
        self._problems[node] = error

    def _error(self) -> BeaconError:
        """The best node's error, and in short those of the others."""
        errors = [self._problems.get(node) or self._overdue(node) for node in self._order]
        first = errors[0]
        also = [
            f"{node.label} {'no answer' if error.status is None else f'status {error.status}'}"
            for node, error in zip(self._order, errors, strict=True)
            if error is not first
        ]
        return first.beside(also)

    def _overdue(self, node: BeaconNode) -> BeaconError:
        endpoint = node.under_way(self._order[node].ident) or "a request"
        return BeaconError(endpoint, None, "timed out", node.name)


def _rank(node: BeaconNode, head: int, quickest: float) -> tuple[int, int, int, int]:
    """What the nodes are sorted by."""
    status = node.status
    if node.failing:
        trouble = 3
    elif status is not None and status.problem is not None:
        trouble = 4 if status.syncing else 2
    else:
        trouble = int(node.slow)
    behind = 0 if status is None else max(0, head - status.head_slot - 1)
    slower = 0 if status is None else int((node.answer_seconds - quickest) / SLOWER_STEP)
    return trouble, behind, slower, node.position


def _state(status: SyncStatus | None) -> int:
    """The metric's number: 0 no answer, 1 syncing, 2 in sync but not usable, 3 in sync."""
    if status is None:
        return 0
    if status.syncing:
        return 1
    return 3 if status.problem is None else 2

"""Which execution node is asked: the best one that answers, keeps up with the others and told no falsehood."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ssv_pool.registry.rpc import ExecutionError, ExecutionNode

LAG_BLOCKS = 3
"""A node whose head is further behind the best one's is asked after the others: 36 s on a public network."""

HEADS_SECONDS = 12.0
"""The heads of all nodes are compared so often at the most."""

LONGEST_PAUSE = 60.0
"""A node that fails is left alone for 1 s, then twice as long each time up to this, while others can be asked."""


@dataclass(frozen=True, slots=True)
class NodeState:
    """How one execution node was when it was last asked."""

    name: str
    """Scheme, host and port."""
    problem: str | None
    """One line; None when it answered."""
    head: int | None
    """Its latest block; None when it never said."""
    lag: int
    """Blocks that its head is behind the best node's."""
    gaps: int
    """Blocks whose logs it gave wrongly."""


@dataclass(slots=True)
class _Watched:
    node: ExecutionNode
    rank: int
    head: int | None = None
    problem: str | None = None
    failures: int = 0
    retry_at: float = 0.0
    gaps: int = 0


class NodeRanking:
    """The execution nodes, and what is known of them.

    Args:
        nodes: best first, as configured.
        clock: seconds that never go back.
    """

    def __init__(self, nodes: Sequence[ExecutionNode], clock: Callable[[], float] = time.monotonic) -> None:
        self._watched = [_Watched(node, rank) for rank, node in enumerate(nodes)]
        self._clock = clock
        self._compared_at: float | None = None

    def ranked(self) -> list[ExecutionNode]:
        """All nodes, the one to ask first in front: those that failed lately and those that lag come last."""
        self._compare_heads()
        now = self._clock()
        best = self._best_head()

        def order(watched: _Watched) -> tuple[bool, bool, bool, int]:
            lagging = watched.head is not None and watched.head < best - LAG_BLOCKS
            return (watched.retry_at > now, lagging, watched.gaps > 0, watched.rank)

        return [watched.node for watched in sorted(self._watched, key=order)]

    def answered(self, node: ExecutionNode, head: int) -> None:
        """A node did all that was asked of it."""
        watched = self._of(node)
        watched.head, watched.problem, watched.failures, watched.retry_at = head, None, 0, 0.0

    def failed(self, node: ExecutionNode, problem: str) -> None:
        """A node could not do what was asked of it."""
        watched = self._of(node)
        watched.problem = problem
        watched.failures += 1
        watched.retry_at = self._clock() + min(LONGEST_PAUSE, 2.0 ** min(watched.failures - 1, 10))

    def told_falsehood(self, node: ExecutionNode, blocks: int) -> None:
        """A node gave the logs of so many blocks wrongly: it comes after those that never did."""
        self._of(node).gaps += blocks

    def trusted(self, node: ExecutionNode) -> bool:
        """Whether the node never gave logs wrongly."""
        return self._of(node).gaps == 0

    def states(self) -> tuple[NodeState, ...]:
        """How the nodes are, in the order in which they are configured."""
        best = self._best_head()
        return tuple(
            NodeState(
                watched.node.name,
                watched.problem,
                watched.head,
                0 if watched.head is None else best - watched.head,
                watched.gaps,
            )
            for watched in self._watched
        )

    def _best_head(self) -> int:
        return max((watched.head for watched in self._watched if watched.head is not None), default=0)

    def _compare_heads(self) -> None:
        """Ask all nodes that are not left alone for their heads, now and then; with one node there is no choice."""
        now = self._clock()
        if len(self._watched) == 1 or (self._compared_at is not None and now - self._compared_at < HEADS_SECONDS):
            return
        self._compared_at = now
        for watched in self._watched:
            if watched.retry_at > now:
                continue
            try:
                watched.head = watched.node.head().number
            except ExecutionError as error:
                self.failed(watched.node, str(error))

    def _of(self, node: ExecutionNode) -> _Watched:
        return next(watched for watched in self._watched if watched.node is node)

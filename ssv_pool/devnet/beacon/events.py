"""The node's events, as subscribers of the events endpoint get them."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

TOPICS = frozenset(
    {
        "head",
        "block",
        "attestation",
        "single_attestation",
        "finalized_checkpoint",
        "chain_reorg",
        "voluntary_exit",
        "contribution_and_proof",
    }
)
"""Topics of the Beacon API that this node sends."""

QUEUE_LENGTH = 4096
"""Events kept for a subscriber that does not read; one more and it is cut off."""


@dataclass(eq=False, slots=True)
class Subscription:
    """One subscriber's queue. ``None`` in the queue ends it."""

    topics: frozenset[str]
    queue: "asyncio.Queue[tuple[str, Any] | None]" = field(default_factory=lambda: asyncio.Queue(QUEUE_LENGTH + 1))


class EventBroker:
    """Hands each event to all subscribers of its topic, never waiting for one."""

    def __init__(self) -> None:
        self._subscriptions: set[Subscription] = set()

    def subscribe(self, topics: Collection[str]) -> Subscription:
        """Begin a subscription; end it with ``unsubscribe``."""
        subscription = Subscription(frozenset(topics))
        self._subscriptions.add(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription; ending it twice is fine."""
        self._subscriptions.discard(subscription)

    def emit(self, topic: str, data: Any) -> None:
        """Send ``data`` (a JSON value) to the subscribers of ``topic``."""
        for subscription in [entry for entry in self._subscriptions if topic in entry.topics]:
            if subscription.queue.qsize() >= QUEUE_LENGTH:
                self._end(subscription)
            else:
                subscription.queue.put_nowait((topic, data))

    def wanted(self, topic: str) -> bool:
        """Whether anybody listens to ``topic``: saves making events for nobody."""
        return any(topic in subscription.topics for subscription in self._subscriptions)

    def close(self) -> None:
        """End all subscriptions."""
        for subscription in list(self._subscriptions):
            self._end(subscription)

    def _end(self, subscription: Subscription) -> None:
        self._subscriptions.discard(subscription)
        subscription.queue.put_nowait(None)

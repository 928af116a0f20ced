"""Memory of message ids, bounded in time and number."""

from collections import deque


class SeenCache:
    """Remembers which messages were seen, each for a fixed time from its first sight.

    libp2p's own cache has no bound, runs a thread of its own, and prolongs an entry at each look. The key is topic and
    id: ids are made of the data alone, so with the id as key a peer could send a message on a wrong topic first and
    have the right one dropped as a repeat.
    """

    def __init__(self, ttl: float, limit: int) -> None:
        self._ttl = ttl
        self._limit = limit
        self._keys: set[tuple[str, bytes]] = set()
        self._order: deque[tuple[float, tuple[str, bytes]]] = deque()

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, topic: str, message_id: bytes, now: float) -> bool:
        """Remember a message; False if it was known already."""
        self._expire(now)
        key = (topic, message_id)
        if key in self._keys:
            return False
        if len(self._keys) >= self._limit:
            self._keys.discard(self._order.popleft()[1])
        self._keys.add(key)
        self._order.append((now + self._ttl, key))
        return True

    def has(self, topic: str, message_id: bytes) -> bool:
        """Tell whether the message was seen and is not forgotten yet."""
        return (topic, message_id) in self._keys

    def _expire(self, now: float) -> None:
        while self._order and self._order[0][0] <= now:
            self._keys.discard(self._order.popleft()[1])

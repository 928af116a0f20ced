"""Blocks between node and workers: plain bytes under keys of their own that expire.

In the command stream they would stay for thousands of commands, and on their way through JSON and the task queue they
would be encoded five times over: a block of 4 MB took 280 ms of CPU on its way, and takes 13.
"""

import time
import uuid
from collections.abc import Callable
from typing import Any

import redis

from ssv_pool.messaging.codec import CodecError
from ssv_pool.messaging.commands import MAX_PAYLOAD_BYTES

INLINE_BYTES = 16 * 1024
"""Longest payload that travels inside its message."""

KEPT_SECONDS = 10.0
"""How long a payload outlives the deadline of its message; a reader that was killed reads it a second time."""


class Payloads:
    """Payloads of one operator on the broker. Thread-safe."""

    def __init__(self, client: redis.Redis, instance: str, clock: Callable[[], float] = time.time) -> None:
        self._client = client
        self._prefix = f"{instance}:payload:"
        self._clock = clock

    def put(self, raw: bytes, deadline: float, pipe: Any = None, *, kept: float = KEPT_SECONDS) -> str:
        """Store a payload and return its name.

        Args:
            raw: the payload, at most MAX_PAYLOAD_BYTES.
            deadline: when it is worth nothing any more, seconds since the UNIX epoch.
            pipe: the pipeline that is to store it; None: it is stored at once.
            kept: how many seconds it outlives the deadline.

        Raises:
            CodecError: it is too long.
            redis.RedisError: the broker does not answer.
        """
        if len(raw) > MAX_PAYLOAD_BYTES:
            raise CodecError(f"payload: found {len(raw)} bytes, expected at most {MAX_PAYLOAD_BYTES}")
        name = uuid.uuid4().hex
        seconds = max(0.0, deadline - self._clock()) + kept
        (self._client if pipe is None else pipe).set(self._prefix + name, raw, px=int(seconds * 1000))
        return name

    def get(self, name: str) -> bytes | None:
        """The payload of a name; None when it has expired. Raises redis.RedisError."""
        found = self._client.get(self._prefix + name)
        return found if isinstance(found, bytes) else None

"""What waits to be sent to one peer."""

from collections import deque
from collections.abc import Callable

import trio

from ssv_pool.network.frames import encode_varint

MAX_ENTRIES = 1024
"""RPCs waiting for one peer. The library's 32 lose messages in the first burst."""

MAX_BYTES = 32 * 1024 * 1024
"""Bytes waiting for one peer: three messages of the largest size, or a thousand ordinary ones."""

BATCH_BYTES = 128 * 1024
"""Size in bytes up to which waiting RPCs are sent as one."""

FRAME_GAP = 0.02
"""Seconds from one frame to the next for the same peer.

A frame costs several times what a message in it costs: encryption, a system call and a dozen switches between tasks on
either side. The first message after a pause leaves at once; those that follow soon leave together, and those that the
peer has shown to have by then are left out.
"""


class Outbox:
    """A bounded queue of encoded RPCs that leaves in batches.

    Encoded RPCs can be joined: two protobuf messages end to end are their merge. So a queue becomes one frame, one
    encryption and one system call, and a message for many peers is encoded once.
    """

    def __init__(
        self,
        *,
        max_entries: int = MAX_ENTRIES,
        max_bytes: int = MAX_BYTES,
        batch_bytes: int = BATCH_BYTES,
        frame_gap: float = FRAME_GAP,
        take: Callable[[bytes], bool] = lambda _id: True,
    ) -> None:
        """Make an empty outbox.

        Args:
            max_entries: RPCs it takes.
            max_bytes: bytes it takes.
            batch_bytes: size up to which RPCs are joined.
            frame_gap: seconds from one frame to the next.
            take: asked about a message when its turn comes; False leaves it out, as the peer has it by now.
        """
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._batch_bytes = batch_bytes
        self._frame_gap = frame_gap
        self._next_frame = 0.0
        self._take = take
        self._control: deque[bytes] = deque()
        self._messages: deque[tuple[bytes, bytes]] = deque()
        self._bytes = 0
        self._closed = False
        self._wake = trio.Event()

    def __len__(self) -> int:
        return len(self._control) + len(self._messages)

    def push_control(self, rpc: bytes) -> bool:
        """Queue an encoded RPC without messages, ahead of all messages; False if there is no room."""
        if not self._has_room(len(rpc)):
            return False
        self._control.append(rpc)
        self._grew(len(rpc))
        return True

    def push_message(self, rpc: bytes, message_id: bytes = b"") -> bool:
        """Queue an encoded RPC with one message (with its id) or several (without); False if there is no room."""
        if not self._has_room(len(rpc)):
            return False
        self._messages.append((rpc, message_id))
        self._grew(len(rpc))
        return True

    async def pop(self) -> bytes | None:
        """Wait for the next frame, its length in front; None once the outbox is closed."""
        while not self._closed:
            if not len(self):
                self._wake = trio.Event()
                await self._wake.wait()
            elif trio.current_time() < self._next_frame:
                await trio.sleep_until(self._next_frame)
            elif batch := self._batch():
                self._next_frame = trio.current_time() + self._frame_gap
                return batch
        return None

    def close(self) -> None:
        """Take and give nothing any more."""
        self._closed = True
        self._wake.set()

    def _has_room(self, size: int) -> bool:
        return not self._closed and len(self) < self._max_entries and self._bytes + size <= self._max_bytes

    def _grew(self, size: int) -> None:
        self._bytes += size
        self._wake.set()

    def _batch(self) -> bytes | None:
        parts: list[bytes] = []
        size = 0
        while self._control and (not parts or size + len(self._control[0]) <= self._batch_bytes):
            parts.append(self._control.popleft())
            size += len(parts[-1])
        while self._messages and (not parts or size + len(self._messages[0][0]) <= self._batch_bytes):
            rpc, message_id = self._messages.popleft()
            if message_id and not self._take(message_id):
                self._bytes -= len(rpc)
                continue
            parts.append(rpc)
            size += len(rpc)
        self._bytes -= size
        return encode_varint(size) + b"".join(parts) if parts else None

"""The command stream from the workers to the node: one bounded stream on the broker, read by one consumer group.

Writing is an append; the server keeps it over a crash. Reading hands each command over once for its key, drops those
past their deadline, and reads again what a killed reader had in hand. Both sides survive a broker that goes away.

Large payloads, which are blocks, lie beside the stream.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace

import redis

from ssv_pool.messaging.codec import CodecError
from ssv_pool.messaging.commands import COMMANDS, BeaconAnswer, Command
from ssv_pool.messaging.payloads import INLINE_BYTES, Payloads
from ssv_pool.observability.logs import logger

STREAM_LENGTH = 4096
"""About how many commands the stream keeps."""

REMEMBERED_KEYS = 16384
"""How many keys a reader remembers to drop repeats."""

READ_COUNT = 256
"""Most commands handed over in one read."""

MAX_BLOCK_MS = 2000
"""Longest wait of one read: well below the client's socket time limit."""

_GROUP = "node"
_FIELD = b"command"
_PAYLOAD = b"payload"
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0

_StreamEntry = tuple[bytes, dict[bytes, bytes] | None]
"""Id of an entry and its fields; None for one that was trimmed away."""

_log = logger(__name__)


def stream_name(instance: str) -> str:
    """The stream of one operator on the broker."""
    return f"{instance}:commands"


class CommandBus:
    """The workers' side."""

    def __init__(self, client: redis.Redis, instance: str) -> None:
        self._client = client
        self._stream = stream_name(instance)
        self._payloads = Payloads(client, instance)

    def publish(self, *commands: Command) -> None:
        """Append commands to the stream, all or none.

        Raises:
            redis.RedisError: the broker does not answer.
            CodecError: a payload is too long.
        """
        with self._client.pipeline(transaction=True) as pipe:
            for command in commands:
                fields: dict[bytes, bytes] = {}
                if isinstance(command, BeaconAnswer) and len(command.payload) > INLINE_BYTES:
                    fields[_PAYLOAD] = self._payloads.put(command.payload, command.deadline, pipe).encode()
                    command = replace(command, payload=b"")  # noqa: PLW2901
                fields[_FIELD] = COMMANDS.encode(command)
                pipe.xadd(self._stream, fields, maxlen=STREAM_LENGTH, approximate=True)  # type: ignore[arg-type]
            pipe.execute()


@dataclass(slots=True)
class ReadCounts:
    """What a reader dropped, and why."""

    repeated: int = 0
    """A key seen before."""
    late: int = 0
    """Past the deadline."""
    malformed: int = 0
    """Not a command."""


class CommandReader:
    """The node's side. To be used by one thread."""

    def __init__(
        self,
        client: redis.Redis,
        instance: str,
        consumer: str = "node",
        *,
        clock: Callable[[], float] = time.time,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """Make a reader.

        Args:
            client: the broker.
            instance: the operator's key prefix.
            consumer: name of this reader in the group; the same after a restart, so that it gets what it had in hand.
            clock: the wall clock that deadlines are compared with.
            pause: how to wait between two attempts to reach the broker.
        """
        self._client = client
        self._stream = stream_name(instance)
        self._payloads = Payloads(client, instance)
        self._consumer = consumer
        self._clock = clock
        self._pause = pause
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._unacknowledged: list[bytes] = []
        self._position = "0"
        self._next_pause = _FIRST_PAUSE
        self.counts = ReadCounts()
        self.connected = False
        """Whether the broker answered the last read."""

    def read(self, block_ms: int = 1000) -> list[Command]:
        """The next commands, at once or after at most ``block_ms``; an empty list when there are none.

        What the previous call returned is acknowledged first: a reader killed in between gets it again. While the
        broker is away this waits a moment (growing to a second) and returns an empty list; it never raises for that.
        """
        try:
            entries = self._read(min(block_ms, MAX_BLOCK_MS))
            payloads = self._fetch(entries)
        except redis.RedisError as error:
            self._lost(error)
            return []
        if not self.connected:
            _log.info("broker answers: reading commands")
        self.connected, self._next_pause = True, _FIRST_PAUSE
        accepted = (self._accept(entry, values, payloads.get(entry)) for entry, values in entries)
        return [command for command in accepted if command is not None]

    def _fetch(self, entries: list[_StreamEntry]) -> dict[bytes, bytes]:
        """The payloads that lie beside the stream, by entry; one that has expired is missing."""
        names = {entry: values[_PAYLOAD] for entry, values in entries if values and _PAYLOAD in values}
        found = ((entry, self._payloads.get(name.decode("ascii", "replace"))) for entry, name in names.items())
        return {entry: payload for entry, payload in found if payload is not None}

    def _read(self, block_ms: int) -> list[_StreamEntry]:
        if self._unacknowledged:
            self._client.xack(self._stream, _GROUP, *self._unacknowledged)
            self._unacknowledged.clear()
        try:
            entries = self._read_group(block_ms)
        except redis.ResponseError as error:
            if not str(error).startswith("NOGROUP"):
                raise
            # First use, or the server came back empty: begin at the start, deadlines sort out what is old.
            self._create_group()
            self._position = "0"
            entries = self._read_group(block_ms)
        if not entries and self._position == "0":
            # Nothing left of what an earlier reader of this name had in hand.
            self._position = ">"
            entries = self._read_group(block_ms)
        if not entries:
            # Idle: look next time whether an answer was lost on the way, its commands would be in hand unread.
            self._position = "0"
        self._unacknowledged = [entry for entry, _ in entries]
        return entries

    def _read_group(self, block_ms: int) -> list[_StreamEntry]:
        reply = self._client.xreadgroup(
            _GROUP, self._consumer, {self._stream: self._position}, count=READ_COUNT, block=max(1, block_ms)
        )
        return list(reply[0][1]) if reply else []  # type: ignore[index]

    def _create_group(self) -> None:
        try:
            self._client.xgroup_create(self._stream, _GROUP, id="0", mkstream=True)
        except redis.ResponseError as error:
            if not str(error).startswith("BUSYGROUP"):
                raise

    def _accept(self, entry: bytes, values: dict[bytes, bytes] | None, payload: bytes | None) -> Command | None:
        if not values:
            # It was in hand when its stream entry was trimmed away.
            self.counts.late += 1
            return None
        try:
            command: Command = COMMANDS.decode(values.get(_FIELD, b""))
        except CodecError as error:
            self.counts.malformed += 1
            _log.warning("a command on the stream is malformed: dropped", entry=entry.decode(), problem=str(error))
            return None
        if _PAYLOAD in values:
            if payload is None or not isinstance(command, BeaconAnswer):
                self.counts.late += 1
                return None
            command = replace(command, payload=payload)
        if command.key in self._seen:
            self.counts.repeated += 1
            return None
        self._seen[command.key] = None
        if len(self._seen) > REMEMBERED_KEYS:
            self._seen.popitem(last=False)
        if command.deadline is not None and command.deadline <= self._clock():
            self.counts.late += 1
            return None
        return command

    def _lost(self, error: redis.RedisError) -> None:
        if self.connected or self._next_pause == _FIRST_PAUSE:
            _log.warning("broker does not answer: trying again", problem=str(error).partition("\n")[0])
        self.connected = False
        self._unacknowledged.clear()
        self._position = "0"
        self._pause(self._next_pause)
        self._next_pause = min(2 * self._next_pause, _LONGEST_PAUSE)

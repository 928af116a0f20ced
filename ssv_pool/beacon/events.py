"""Server-sent events of all own nodes as one stream that never ends: a node that falls silent is listened to again."""

import queue
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from ssv_pool import bounded_json
from ssv_pool.beacon import answers
from ssv_pool.beacon.errors import BeaconError
from ssv_pool.beacon.node import BeaconNode, reason
from ssv_pool.observability.logs import logger

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Pauses before a stream is opened again, in seconds, each twice the one before until the node is heard again."""

LINE_BYTES = 2**20
"""Most bytes of one line of a stream."""

WAITING_EVENTS = 1024
"""Events that wait to be taken; what comes beyond them is dropped."""

KNOWN_EVENTS = 256
"""Latest events that are remembered, to pass on once what several nodes tell."""

STOP_SECONDS = 0.5
"""How often a reader that waits looks whether it should stop."""

ENDPOINT = "GET /eth/v1/events"

_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class BeaconEvent:
    """One server-sent event."""

    topic: str
    """``head``, ``chain_reorg`` and the like."""
    data: dict[str, Any]
    """Its JSON."""
    node: str = ""
    """Scheme, host and port of the node that told it first."""


class EventStream:
    """The events of several nodes. Iterate over it once; ``close`` ends it."""

    def __init__(
        self,
        nodes: Iterable[BeaconNode],
        topics: Iterable[str],
        silence: float | None,
        wait: Callable[[threading.Event, float], bool] = threading.Event.wait,
        believed: Callable[[BeaconNode], bool] = lambda _: True,
    ) -> None:
        """Make one; nothing is opened before it is iterated over.

        Args:
            nodes: whom to listen to.
            topics: the events wanted.
            silence: seconds without a sign of life after which a stream counts as broken; None for ever.
            wait: waits for the stop, or so many seconds; to be replaced in tests.
            believed: whether a node's events count now.
        """
        self._nodes = tuple(nodes)
        self._topics = tuple(topics)
        self._silence = silence
        self._wait = wait
        self._believed = believed
        self._stop = threading.Event()
        self._events: queue.Queue[BeaconEvent] = queue.Queue(WAITING_EVENTS)
        self._known: OrderedDict[str, None] = OrderedDict()

    def close(self) -> None:
        """End the stream: the iteration ends at once, the threads with the next sign of life of their nodes."""
        self._stop.set()

    def __iter__(self) -> Iterator[BeaconEvent]:
        """Every event once, until ``close``. What a node tells that other nodes told before is left out."""
        for node in self._nodes:
            threading.Thread(target=self._follow, args=(node,), name=f"events-{node.label}", daemon=True).start()
        try:
            while not self._stop.is_set():
                try:
                    event = self._events.get(timeout=STOP_SECONDS)
                except queue.Empty:
                    continue
                if not self._seen(event):
                    yield event
        finally:
            self._stop.set()

    def _seen(self, event: BeaconEvent) -> bool:
        # Whether a head was verified by an execution node yet is each node's own story.
        content = {name: value for name, value in event.data.items() if name != "execution_optimistic"}
        key = f"{event.topic} {sorted(content.items(), key=lambda entry: entry[0])}"
        if key in self._known:
            return True
        self._known[key] = None
        while len(self._known) > KNOWN_EVENTS:
            self._known.popitem(last=False)
        return False

    def _follow(self, node: BeaconNode) -> None:
        pause = FIRST_PAUSE
        while not self._stop.is_set():
            heard = False
            try:
                for event in _read(node, self._topics, self._silence):
                    heard = True
                    if self._stop.is_set():
                        return
                    if not self._believed(node):
                        continue
                    try:
                        self._events.put_nowait(event)
                    except queue.Full:
                        _log.warning("events come faster than they are taken: one is dropped", node=node.name)
                problem = "the node ended it"
            except BeaconError as error:
                problem = str(error)
            pause = FIRST_PAUSE if heard else min(2 * pause, LONGEST_PAUSE)
            _log.debug("event stream over: opening it again", node=node.name, pause=pause, problem=problem)
            if self._wait(self._stop, pause):
                return


def _read(node: BeaconNode, topics: tuple[str, ...], silence: float | None) -> Iterator[BeaconEvent]:
    """One node's events until its stream ends. Raises BeaconError when it breaks or cannot be opened."""
    try:
        with node.stream("/eth/v1/events", list(topics), silence) as response:
            if response.status_code != 200:
                raise BeaconError(ENDPOINT, response.status_code, answers.error_text(_start_of(response)), node.name)
            topic = ""
            for line in _lines(response):
                field, _, value = line.partition(b":")
                if field == b"event":
                    topic = value.strip().decode(errors="replace")
                elif field == b"data" and topic in topics:
                    yield _event(node, topic, value)
    except httpx.HTTPError as error:
        raise BeaconError(ENDPOINT, None, reason(error), node.name) from None
    except RuntimeError as error:
        if not node.closed:
            raise
        raise BeaconError(ENDPOINT, None, f"closed: {error}", node.name) from None


def _lines(response: httpx.Response) -> Iterator[bytes]:
    rest = b""
    for part in response.iter_bytes():
        *lines, rest = (rest + part).split(b"\n")
        yield from (line.rstrip(b"\r") for line in lines)
        if len(rest) > LINE_BYTES:
            raise BeaconError(ENDPOINT, 200, f"bad answer: a line above {LINE_BYTES} bytes")


def _start_of(response: httpx.Response) -> bytes:
    for part in response.iter_bytes():
        return part[:1024]
    return b""


def _event(node: BeaconNode, topic: str, text: bytes) -> BeaconEvent:
    try:
        data = bounded_json.loads(text)
    except ValueError:
        data = None
    if not isinstance(data, dict):
        found = text[:60].decode(errors="replace")
        raise BeaconError(ENDPOINT, 200, f"bad answer: event {topic}: found {found!r}, expected an object", node.name)
    return BeaconEvent(topic, data, node.name)

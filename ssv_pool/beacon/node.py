"""One beacon node: requests to it with a time limit and a bound on the answer, and what is known of its health.

It survives the habits of nodes in use: a kept connection that the node closed is opened again, list parameters are
repeated, a route that a node lacks is remembered so that its older one is asked at once.
"""

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import httpx

from ssv_pool import bounded_json
from ssv_pool.beacon import answers
from ssv_pool.beacon.answers import AnswerError, SyncStatus
from ssv_pool.beacon.errors import BeaconError
from ssv_pool.observability import metrics
from ssv_pool.protocol.types.primitives import Root

KEEP_ALIVE_SECONDS = 4.0
"""An unused connection is dropped after this; nodes close theirs after 5 s and more."""

CONNECT_SECONDS = 2.0
"""Time limit of one connection attempt."""

ANSWER_BYTES = 16 * 2**20
"""Most bytes of an answer, unless the request says otherwise: the duties of 50 000 validators."""

ERROR_BYTES = 64 * 2**10
"""Bytes that are read of an answer that is an error."""

ABSENT = frozenset({404, 405, 501})
"""How nodes say that they do not have a route."""

NO_SSZ = frozenset({406, 415})
"""How nodes say that they do not speak SSZ on a route."""

ABSENT_SECONDS = 600.0
"""How long it is remembered that a node lacks a route: it may be replaced by a newer one meanwhile."""

FAILURE_SECONDS = 10.0
"""How long a failure counts against a node of which nothing is heard since."""

SLOW_SECONDS = 30.0
"""How long it is remembered that an answer of a node was overdue: some of its answers may be quick all the same."""

SSZ = "application/octet-stream"
"""Content type of SSZ."""

JSON = "application/json"
"""Content type of JSON."""

PREFER_SSZ = f"{SSZ};q=1,{JSON};q=0.9"
"""What is accepted where SSZ is wanted."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Request:
    """One request."""

    method: str
    """``GET`` or ``POST``."""
    path: str
    """Path on the node."""
    route: str = ""
    """The path's pattern, for the metrics; empty: the path has no variable part."""
    params: Mapping[str, str | list[str]] | None = None
    """Query parameters; a list repeats the parameter."""
    body: Any = None
    """JSON to send."""
    ssz: bytes | None = None
    """SSZ to send; in place of ``body``."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Further headers."""
    accept: str = JSON
    """Content types that are understood."""
    limit: int = ANSWER_BYTES
    """Most bytes of the answer."""

    @property
    def endpoint(self) -> str:
        """Method and path, for errors."""
        return f"{self.method} {self.path}"

    @property
    def content(self) -> bytes | None:
        """The body's bytes; None when nothing is sent."""
        if self.ssz is not None:
            return self.ssz
        return None if self.body is None else json.dumps(self.body, separators=(",", ":")).encode()

    def sent_headers(self) -> dict[str, str]:
        """All headers that this request needs."""
        headers = {"accept": self.accept, **self.headers}
        if self.ssz is not None or self.body is not None:
            headers["content-type"] = JSON if self.ssz is None else SSZ
        return headers


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer."""

    endpoint: str
    """Method and path of the request."""
    status: int
    """HTTP status."""
    headers: httpx.Headers
    """Its headers."""
    content: bytes
    """Its body, within the request's limit."""

    @property
    def is_ssz(self) -> bool:
        """Whether the body is SSZ."""
        content_type: str = self.headers.get("content-type", "")
        return content_type.partition(";")[0].strip().lower() == SSZ

    @property
    def fork(self) -> str:
        """The fork that ``Eth-Consensus-Version`` names, in lower case; empty when the node does not say it."""
        name: str = self.headers.get("eth-consensus-version", "")
        return name.strip().lower()[:32]

    def json(self) -> Any:
        """The body's JSON. Raises BeaconError when it is none."""
        try:
            return bounded_json.loads(self.content)
        except ValueError as error:
            raise self.bad(str(error)) from None

    def read(self, reader: Callable[[Any], Result]) -> Result:
        """What ``reader`` makes of a good answer's JSON. Raises BeaconError: it is an error, or not understood."""
        self.check()
        body = self.json()
        try:
            return reader(body)
        except (ValueError, AnswerError) as error:
            raise self.bad(str(error)) from None

    def check(self) -> None:
        """Raises BeaconError unless the status is one of success."""
        if not 200 <= self.status < 300:
            raise self.error()

    def error(self) -> BeaconError:
        """This answer as an error, with the node's words."""
        return BeaconError(self.endpoint, self.status, answers.error_text(self.content))

    def bad(self, problem: str) -> BeaconError:
        """The error of an answer that is not what the Beacon API says."""
        return BeaconError(self.endpoint, self.status, f"bad answer: {problem}")


class BeaconNode:
    """One node. Thread-safe."""

    def __init__(
        self,
        url: str,
        position: int = 0,
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Make one; nothing is sent yet.

        Args:
            url: base URL.
            position: its place in the settings, 0 is best.
            transport: for tests.
            clock: monotonic time in seconds.
        """
        limits = httpx.Limits(max_connections=32, max_keepalive_connections=16, keepalive_expiry=KEEP_ALIVE_SECONDS)
        self._client = httpx.Client(
            base_url=url,
            limits=limits,
            # Nodes are near: packing costs more time than it saves, and unpacked bytes are what is bounded.
            headers={"accept-encoding": "identity"},
            # The nodes are the operator's own: a proxy of the surroundings has no part in it.
            trust_env=False,
            transport=transport,
        )
        self._clock = clock
        self._lock = threading.Lock()
        self._absent: dict[str, float] = {}
        self._failed: float | None = None
        self._lagging = 0
        self._lagged: float | None = None
        self._under_way: dict[int, str] = {}
        self.position = position
        """Place in the settings."""
        base = self._client.base_url
        self.label = f"{base.host}{f':{base.port}' if base.port else ''}"
        """Host and port: its name in metrics."""
        self.name = f"{base.scheme}://{self.label}"
        """Its name in messages: the URL may hold a key, so scheme, host and port only."""
        self.status: SyncStatus | None = None
        """Where it stood when it was last asked; None before that and while it does not answer."""
        self.genesis: Root | None = None
        """Its chain's genesis validators root, 32 bytes; None while it is not known."""
        self.answer_seconds = 0.0
        """Recent mean time of its answers to the question where it stands."""

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called."""
        return self._client.is_closed

    def run(self, attempt: "Attempt[Result]", until: float) -> Result:
        """Try something on this node; its health takes note of how that went.

        Args:
            attempt: sends the requests.
            until: the clock's time at which to give up.

        Raises:
            BeaconError: it failed; the error names this node.
        """
        try:
            result = attempt(self, until)
        except BeaconError as error:
            # A 4xx is about the request. Everything else says that the node is in trouble.
            if error.status is None or error.status >= 500 or error.status < 300:
                self._failed = self._clock()
            raise error.at(self.name) from None
        self._failed = None
        return result

    def send(self, request: Request, until: float) -> Answer:
        """Send a request and read the answer, whatever its status. Raises BeaconError when none came in time."""
        endpoint = f"{request.method} {request.route or request.path}"
        thread = threading.get_ident()
        self._under_way[thread] = request.endpoint
        try:
            with metrics.BEACON_REQUEST_TIME.labels(self.label, endpoint).time():
                return self._send_again(request, until)
        except httpx.HTTPError as error:
            raise BeaconError(request.endpoint, None, reason(error)) from None
        finally:
            del self._under_way[thread]

    def ask(self, request: Request, until: float) -> Answer:
        """Send a request that prefers SSZ; a node that refuses to speak of SSZ at all is asked for JSON."""
        note = f"SSZ {request.route or request.path}"
        if not self.lacks(note):
            answer = self.send(request, until)
            if answer.status not in NO_SSZ:
                return answer
            self.note_absent(note)
        return self.send(replace(request, accept=JSON), until)

    def tell(self, request: Request, body: Callable[[], Any], until: float) -> Answer:
        """Send a request whose body is SSZ; a node that does not take it gets the JSON that ``body`` makes."""
        note = f"SSZ {request.route or request.path}"
        if not self.lacks(note):
            answer = self.send(request, until)
            if answer.status not in NO_SSZ:
                return answer
            self.note_absent(note)
        return self.send(replace(request, ssz=None, body=body()), until)

    def stream(self, path: str, topics: list[str], silence: float | None) -> Any:
        """Open a stream of server-sent events: a context manager that gives httpx's response."""
        return self._client.stream(
            "GET",
            path,
            params={"topics": topics},
            timeout=httpx.Timeout(silence, connect=CONNECT_SECONDS),
            headers={"accept": "text/event-stream"},
        )

    def lacks(self, route: str) -> bool:
        """Whether the node said lately that it does not have ``route``."""
        since = self._absent.get(route)
        return since is not None and self._clock() - since < ABSENT_SECONDS

    def note_absent(self, route: str) -> None:
        """The node does not have ``route``."""
        self._absent[route] = self._clock()

    def note_status(self, status: SyncStatus | None, seconds: float) -> None:
        """Where it stands (None: it did not say) and how long the answer took."""
        self.status = status
        self.answer_seconds = seconds if not self.answer_seconds else 0.7 * self.answer_seconds + 0.3 * seconds

    def lag(self, change: int) -> None:
        """One request more (+1) or less (-1) of this node is slower than it should be."""
        with self._lock:
            self._lagging += change
            self._lagged = self._clock()

    def under_way(self, thread: int | None) -> str:
        """The endpoint that a thread waits for, by the thread's ident; empty when it waits for none."""
        return "" if thread is None else self._under_way.get(thread, "")

    @property
    def lagging(self) -> bool:
        """Whether requests to it are under way that should be answered by now."""
        return self._lagging > 0

    @property
    def slow(self) -> bool:
        """Whether an answer of it is overdue, or was not long ago."""
        return self.lagging or (self._lagged is not None and self._clock() - self._lagged < SLOW_SECONDS)

    @property
    def failing(self) -> bool:
        """Whether the last attempt on it failed, not long ago."""
        return self._failed is not None and self._clock() - self._failed < FAILURE_SECONDS

    @property
    def healthy(self) -> bool:
        """Whether nothing speaks against using it."""
        return not self.failing and not self.lagging and (self.status is None or self.status.problem is None)

    def _send_again(self, request: Request, until: float) -> Answer:
        """Once more at once where the node closed a kept connection just then: all that is sent may be sent twice."""
        started = self._clock()
        try:
            return self._send(request, until)
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
            if self._clock() - started > 1:
                raise
        return self._send(request, until)

    def _send(self, request: Request, until: float) -> Answer:
        left = until - self._clock()
        if left <= 0:
            raise BeaconError(request.endpoint, None, "timed out (no time left)")
        timeout = httpx.Timeout(left, connect=min(left, CONNECT_SECONDS))
        try:
            with self._client.stream(
                request.method,
                request.path,
                params=request.params,
                content=request.content,
                headers=request.sent_headers(),
                timeout=timeout,
            ) as response:
                content = self._content(request, response, until)
        except RuntimeError as error:
            if not self._client.is_closed:
                raise
            raise BeaconError(request.endpoint, None, f"closed: {error}") from None
        return Answer(request.endpoint, response.status_code, response.headers, content)

    def _content(self, request: Request, response: httpx.Response, until: float) -> bytes:
        """The body within its bound and time. Of an error the beginning is enough."""
        good = response.is_success
        limit = request.limit if good else ERROR_BYTES
        parts: list[bytes] = []
        size = 0
        for part in response.iter_bytes():
            # What is whole by now is good, however late; what is not has had its time.
            if parts and self._clock() > until:
                raise BeaconError(request.endpoint, None, "timed out (the answer trickles)")
            parts.append(part)
            size += len(part)
            if size > limit:
                if not good:
                    break
                raise BeaconError(request.endpoint, response.status_code, f"answer above {limit} bytes")
        return b"".join(parts)[: limit if not good else None]


Attempt = Callable[[BeaconNode, float], Result]
"""Something to try on one node until a time of its clock; raises BeaconError."""


def reason(error: httpx.HTTPError) -> str:
    """What went wrong on the way, one line."""
    if isinstance(error, httpx.TimeoutException):
        return f"timed out ({type(error).__name__})"
    return str(error) or type(error).__name__

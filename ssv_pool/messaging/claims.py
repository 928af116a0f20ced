"""Claims: who of several workers does a piece of work, so that it is done once and not lost with a killed worker.

One key on the broker for each piece of work. It holds the claimant's token for a short lease while the work runs, which
a thread of the claimant renews; then it says that the work is done. A dead claimant stops renewing, the lease runs out,
and the next one who tries gets the claim.
"""

import enum
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import redis

from ssv_pool.observability.logs import logger

_DONE = b"done"

_RENEW = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return 0
"""

_RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""

_log = logger(__name__)


class ClaimState(enum.Enum):
    """How a piece of work stands."""

    FREE = "free"
    """Nobody has it in hand, and it is not done."""
    HELD = "held"
    """A worker has it in hand and is alive, or died less than a lease ago."""
    DONE = "done"
    """It is done."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim in hand."""

    key: str
    """Names the work."""
    token: bytes
    """Names the claimant."""
    lease_ms: int
    """How long the claim outlives its claimant, in milliseconds."""


class Claims:
    """Claims of one operator. Thread-safe. Every method raises redis.RedisError when the broker does not answer."""

    def __init__(self, client: redis.Redis, instance: str) -> None:
        self._client = client
        self._prefix = f"{instance}:claim:"
        self._keeper = _LeaseKeeper(self._renew)

    def take(self, key: str, lease_seconds: float) -> Claim | ClaimState:
        """Claim a piece of work: the claim, or HELD or DONE when it is not to be had."""
        claim = Claim(key, uuid.uuid4().hex.encode(), max(1, int(lease_seconds * 1000)))
        # With GET the answer is the same when a lost reply makes the client send the command a second time.
        found = self._client.set(self._prefix + key, claim.token, nx=True, px=claim.lease_ms, get=True)
        if found is None or found == claim.token:
            return claim
        return ClaimState.DONE if found == _DONE else ClaimState.HELD

    def finish(self, claim: Claim, keep_seconds: float) -> None:
        """Say that the work is done; remembered for ``keep_seconds``."""
        self._client.set(self._prefix + claim.key, _DONE, px=max(1, int(keep_seconds * 1000)))

    def release(self, claim: Claim) -> None:
        """Give the work back undone, for anybody to take at once."""
        self._run(_RELEASE, claim, claim.token)

    def states(self, keys: list[str]) -> list[ClaimState]:
        """How each piece of work stands."""
        if not keys:
            return []
        found: Any = self._client.mget([self._prefix + key for key in keys])
        return [_state(value) for value in found]

    @contextmanager
    def kept(self, claim: Claim) -> Iterator[None]:
        """Renew the claim's lease in the background while the body runs, however long that takes."""
        self._keeper.add(claim)
        try:
            yield
        finally:
            self._keeper.remove(claim)

    def _renew(self, claim: Claim) -> bool:
        return bool(self._run(_RENEW, claim, claim.token, claim.lease_ms))

    def _run(self, script: str, claim: Claim, *arguments: bytes | int) -> Any:
        evaluate: Callable[..., Any] = self._client.eval
        return evaluate(script, 1, self._prefix + claim.key, *arguments)


def _state(value: bytes | None) -> ClaimState:
    if value is None:
        return ClaimState.FREE
    return ClaimState.DONE if value == _DONE else ClaimState.HELD


class _LeaseKeeper:
    """One daemon thread that renews every claim in hand each third of its lease; it dies with the process."""

    def __init__(self, renew: Callable[[Claim], bool]) -> None:
        self._renew = renew
        self._condition = threading.Condition()
        self._next: dict[Claim, float] = {}
        self._thread: threading.Thread | None = None

    def add(self, claim: Claim) -> None:
        with self._condition:
            self._next[claim] = time.monotonic() + claim.lease_ms / 3000
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="lease-keeper", daemon=True)
                self._thread.start()
            self._condition.notify()

    def remove(self, claim: Claim) -> None:
        with self._condition:
            self._next.pop(claim, None)

    def _run(self) -> None:
        while True:
            with self._condition:
                while not self._next:
                    self._condition.wait()
                claim, when = min(self._next.items(), key=lambda item: item[1])
                pause = when - time.monotonic()
                if pause > 0:
                    self._condition.wait(pause)
                    continue
                self._next[claim] = time.monotonic() + claim.lease_ms / 3000
            try:
                if not self._renew(claim):
                    self.remove(claim)
            except redis.RedisError as error:
                _log.debug("a claim could not be renewed", key=claim.key, problem=str(error))

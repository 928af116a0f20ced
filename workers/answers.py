"""The task that fetches from the beacon node what a duty under way needs, and answers the node."""

import threading
import time
from datetime import UTC, datetime
from typing import Any

import redis
from celery.exceptions import CeleryError
from kombu.exceptions import KombuError, OperationalError

from ssv_pool.beacon.errors import BeaconError
from ssv_pool.beacon.requests import BadRequestError, Found
from ssv_pool.errors import UnavailableError
from ssv_pool.messaging.codec import CodecError
from ssv_pool.messaging.commands import REQUESTS, BeaconAnswer, BeaconRequest
from ssv_pool.messaging.tasks import ASK_BEACON, EXPIRY_SECONDS, ORDINARY, URGENT
from ssv_pool.observability.logs import logger
from ssv_pool.protocol.chain import BeaconChain
from ssv_pool.protocol.events import AskKind
from workers import schedule
from workers.app import app, context

TURN_SECONDS = 0.2
"""How long a request waits for its turn before it goes back to the queue."""

PAUSES = (0.1, 0.2, 0.4, 0.8)
"""Pauses between attempts in seconds, the last one over and over."""

PUBLISH_SECONDS = 0.1
"""Pause between two attempts to reach the broker."""

_log = logger(__name__)

_turns = threading.BoundedSemaphore(max(1, context.settings.worker.concurrency // 3))
"""A third of the threads may ask at once. Who wants a block does not wait."""


@app.task(name=ASK_BEACON, bind=True, acks_late=True)
def ask_beacon(self: Any, payload: str, attempt: int = 0) -> None:
    """Fetch an object and answer with it; with an error only when it came too late for another attempt."""
    try:
        request: BeaconRequest = REQUESTS.decode(payload)
    except CodecError as error:
        _log.error("a request is malformed: dropped", problem=str(error))
        return
    if time.time() >= request.deadline:
        _log.warning("a request came too late", key=request.key, kind=request.kind.value)
        return
    again = _ask(request, attempt)
    if again is None:
        return
    try:
        # A task of its own: waiting here would keep a thread from others.
        self.apply_async(
            (payload, again),
            countdown=PAUSES[min(again, len(PAUSES) - 1)],
            expires=datetime.fromtimestamp(request.deadline + EXPIRY_SECONDS, UTC),
            priority=_priority(request),
            retry=False,
        )
    except (OperationalError, KombuError, CeleryError, OSError) as error:
        _answer(request, _failure(request, f"broker: {str(error).partition(chr(10))[0]}"))


def _ask(request: BeaconRequest, attempt: int) -> int | None:
    """Try once, unless another worker does or did; returns the next attempt's number, None when there is none."""
    urgent = request.kind is AskKind.BLOCK
    if not urgent and not _turns.acquire(timeout=TURN_SECONDS):
        return attempt
    again: list[int] = []

    def work() -> bool:
        answer = _fetch(request, attempt)
        if answer is None:
            again.append(attempt + 1)
            return False
        return _answer(request, answer)

    try:
        context.run_claimed(request.key, schedule.RETRY_SECONDS, max(60.0, request.deadline - time.time()), work)
    except redis.RedisError:
        # Without the broker there is no claim, and no answer either before it is back: the same attempt again.
        again.append(attempt)
    finally:
        if not urgent:
            _turns.release()
    return again[0] if again else None


def _fetch(request: BeaconRequest, attempt: int) -> BeaconAnswer | None:
    """The answer; None when another attempt is worth it."""
    try:
        chain = context.chain()
        if chain is None:
            return _failure(request, "the beacon chain's constants are not known yet")
        found = context.asker.answer(chain, request)
    except BadRequestError as error:
        _log.error("a request cannot be answered", key=request.key, problem=str(error))
        return _failure(request, str(error))
    except (BeaconError, UnavailableError) as error:
        kind = request.kind.value
        if attempt == 0 and context.first_time("unanswered", kind, request.slot):
            _log.warning("a request was not answered: trying again", slot=request.slot, kind=kind, problem=str(error))
        if time.time() + PAUSES[min(attempt, len(PAUSES) - 1)] < _last_attempt(chain, request):
            return None
        return _failure(request, str(error))
    return _success(request, found)


def _last_attempt(chain: BeaconChain | None, request: BeaconRequest) -> float:
    """Until when another attempt may help: the duty still needs time for consensus and signatures."""
    if chain is None:
        return request.deadline
    if request.kind is AskKind.BLOCK:
        return min(request.deadline, chain.aggregate_due(request.slot))
    return min(request.deadline, chain.start_of(request.slot + 1) + chain.slot_seconds / 3)


def _answer(request: BeaconRequest, answer: BeaconAnswer) -> bool:
    """Hand an answer to the node; returns whether the broker took it in time."""
    while True:
        try:
            context.bus.publish(answer)
        except redis.RedisError as error:
            if time.time() + PUBLISH_SECONDS >= request.deadline:
                problem = str(error).partition("\n")[0]
                _log.error("an answer did not reach the node", key=request.key, problem=problem)
                return False
            time.sleep(PUBLISH_SECONDS)
        else:
            return True


def _success(request: BeaconRequest, found: Found) -> BeaconAnswer:
    return _made(request, found.payload, found.version, "")


def _failure(request: BeaconRequest, problem: str) -> BeaconAnswer:
    return _made(request, b"", 0, problem)


def _made(request: BeaconRequest, payload: bytes, version: int, error: str) -> BeaconAnswer:
    return BeaconAnswer(
        key=request.key,
        committee_id=request.committee_id,
        public_key=request.public_key,
        request_id=request.request_id,
        payload=payload,
        version=version,
        error=error,
        deadline=request.deadline,
    )


def _priority(request: BeaconRequest) -> int:
    return URGENT if request.kind is AskKind.BLOCK else ORDINARY

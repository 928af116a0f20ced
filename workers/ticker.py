"""The clock of a worker: publishes each piece of work a moment early, and again when nobody does it.

Every worker has one, none is the leader: a worker that is killed takes nothing with it. What several tickers publish
twice is done once, because whoever does it claims it.
"""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import redis
from celery import Celery
from celery.exceptions import CeleryError
from kombu.exceptions import KombuError, OperationalError

from ssv_pool.errors import SsvPoolError
from ssv_pool.messaging.claims import ClaimState
from ssv_pool.messaging.tasks import ORDINARY, URGENT
from ssv_pool.observability.logs import logger
from ssv_pool.protocol.chain import BeaconChain
from workers import schedule
from workers.context import WorkerContext
from workers.schedule import Piece

LONGEST_WAIT = 0.5
"""Longest sleep in seconds: so late can it notice that the chain's constants became known."""

TROUBLE_PAUSE = 0.1
"""Pause in seconds when the broker does not answer."""

_log = logger(__name__)


class Ticker:
    """Runs in a daemon thread of its own."""

    def __init__(self, app: Celery, context: WorkerContext, now: Callable[[], float] = time.time) -> None:
        self._app = app
        self._context = context
        self._now = now
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ticker", daemon=True)
        self._looks: dict[str, tuple[float, Piece]] = {}
        self._chain: BeaconChain | None = None
        self._listed = self._since = 0.0
        self._trouble = False

    def start(self) -> None:
        """Begin to tick."""
        self._thread.start()

    def stop(self) -> None:
        """End; returns at once."""
        self._stop.set()

    def _run(self) -> None:
        now = self._listed = self._since = self._now()
        self._look_at(schedule.first_pieces(self._context.settings, now))
        while not self._stop.is_set():
            try:
                pause = self._tick()
            except (redis.RedisError, OperationalError, KombuError, CeleryError, OSError, SsvPoolError) as error:
                pause = TROUBLE_PAUSE
                if not self._trouble:
                    _log.warning("ticker cannot publish: trying again", problem=str(error).partition("\n")[0])
                self._trouble = True
            else:
                if self._trouble:
                    _log.info("ticker publishes again")
                self._trouble = False
            self._stop.wait(pause)

    def _tick(self) -> float:
        """List what is new, publish what is due and not done; returns how long to sleep."""
        now = self._now()
        self._follow_chain(now)
        horizon = now + LONGEST_WAIT
        self._look_at(schedule.steady_pieces(self._context.settings, self._listed, horizon))
        if self._chain is not None:
            self._look_at(schedule.slot_pieces(self._chain, self._listed, horizon))
            self._look_at(schedule.epoch_pieces(self._chain, self._listed, horizon))
        self._listed = horizon
        self._publish(now)
        nearest = min((when for when, _ in self._looks.values()), default=horizon)
        return max(0.001, min(nearest - self._now(), LONGEST_WAIT / 2))

    def _follow_chain(self, now: float) -> None:
        chain = self._context.chain()
        if chain is not None and chain != self._chain:
            self._chain = chain
            self._look_at(schedule.chain_start_pieces(chain, now))
            self._look_at(schedule.slot_pieces(chain, now, self._listed))
            self._look_at(schedule.epoch_pieces(chain, now, self._listed))

    def _look_at(self, pieces: Iterator[Piece]) -> None:
        for piece in pieces:
            self._looks.setdefault(piece.key, (piece.publish, piece))

    def _publish(self, now: float) -> None:
        due = [piece for when, piece in self._looks.values() if when <= now]
        if not due:
            return
        due.sort(key=lambda piece: piece.task != schedule.PROPOSE_SLOT)
        for piece, state in zip(due, self._context.claims.states([piece.key for piece in due]), strict=True):
            if state is ClaimState.DONE:
                del self._looks[piece.key]
            elif piece.until <= now:
                del self._looks[piece.key]
                if piece.task in schedule.DUTIES and piece.begin > self._since:
                    _log.warning(f"a slot's {schedule.DUTIES[piece.task]} were not started in time", key=piece.key)
            else:
                if state is ClaimState.FREE:
                    self._send(piece)
                self._looks[piece.key] = (max(now, piece.begin) + piece.again, piece)

    def _send(self, piece: Piece) -> None:
        # The task itself looks at ``until``; the broker need not drop it to the instant.
        expires = piece.until + 1
        if self._now() >= expires:
            # A stall of the machine or the broker: Celery has a page about tasks that expired before they were sent.
            return
        self._app.send_task(
            piece.task,
            (piece.key, piece.until, *piece.arguments),
            expires=datetime.fromtimestamp(expires, UTC),
            priority=URGENT if piece.task == schedule.PROPOSE_SLOT else ORDINARY,
            retry=False,
            ignore_result=True,
        )

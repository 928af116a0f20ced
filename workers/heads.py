"""Listens to the beacon nodes' head events.

A new head starts its slot's attestations early, and one of another chain has the duties planned anew.
"""

import threading
import time
from datetime import UTC, datetime
from typing import Any

from celery import Celery
from celery.exceptions import CeleryError
from kombu.exceptions import KombuError, OperationalError

from ssv_pool.beacon.answers import AnswerError, number, octets
from ssv_pool.beacon.errors import BeaconError
from ssv_pool.beacon.events import EventStream
from ssv_pool.beacon.planner import stale_epochs
from ssv_pool.errors import UnavailableError
from ssv_pool.observability.logs import logger
from ssv_pool.protocol.chain import BeaconChain
from ssv_pool.protocol.types.primitives import Root, Slot
from workers import schedule
from workers.context import WorkerContext

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Pauses before it is listened again after trouble with store or broker, in seconds; streams mend themselves."""

SILENT_SLOTS = 8
"""A stream without an event for so many slots counts as broken."""

_log = logger(__name__)


class HeadWatcher:
    """Runs in a daemon thread of its own.

    Without it attestations wait until they are due, and duties are planned twice an epoch all the same.
    """

    def __init__(self, app: Celery, context: WorkerContext) -> None:
        self._app = app
        self._context = context
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="head-watcher", daemon=True)
        self._stream: EventStream | None = None
        self._asked: set[str] = set()

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def stop(self) -> None:
        """End; returns at once."""
        self._stop.set()
        if self._stream is not None:
            self._stream.close()

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self._stop.wait(pause):
            try:
                chain = self._context.chain()
                if chain is None:
                    continue
                silence = max(60.0, SILENT_SLOTS * chain.slot_seconds)
                self._stream = self._context.beacon.event_stream(("head",), silence=silence)
                for event in self._stream:
                    if self._stop.is_set():
                        return
                    pause = FIRST_PAUSE
                    self._on_head(chain, event.data)
            except (BeaconError, UnavailableError, OperationalError, KombuError, CeleryError, OSError) as error:
                # Whatever else needs store and broker says what is wrong; this is an extra.
                _log.debug("head events end: listening again", problem=str(error).partition("\n")[0])
                pause = min(2 * pause, LONGEST_PAUSE)

    def _on_head(self, chain: BeaconChain, data: dict[str, Any]) -> None:
        try:
            slot = Slot(number(data, "slot"))
            previous = Root(octets(data, "previous_duty_dependent_root", 32))
            current = Root(octets(data, "current_duty_dependent_root", 32))
        except AnswerError as error:
            _log.debug("head event not understood", problem=str(error))
            return
        self._context.heads.note(slot)
        with self._context.database.read() as session:
            stale = stale_epochs(session, chain, slot, previous, current)
        # Once for each slot: planning that failed is asked for again with the next head.
        keys = {f"plan:root:{epoch}:{previous.hex()}:{current.hex()}:{slot}": epoch for epoch in stale}
        for key in keys.keys() - self._asked:
            _log.info("the chain moved duties: planning again", epoch=keys[key])
            until = time.time() + chain.slots_per_epoch * chain.slot_seconds
            self._app.send_task(
                schedule.PLAN_DUTIES,
                (key, until),
                expires=datetime.fromtimestamp(until, UTC),
                retry=False,
                ignore_result=True,
            )
        self._asked = set(keys)

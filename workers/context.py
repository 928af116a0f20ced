"""What the tasks of one worker process share, made at first use."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TypeVar

import redis

from ssv_pool.beacon.attested import Attested
from ssv_pool.beacon.attester import Attester
from ssv_pool.beacon.client import BeaconClient
from ssv_pool.beacon.heads import HeadBoard
from ssv_pool.beacon.inclusion import note_no_data
from ssv_pool.beacon.planner import CommitteeSlot
from ssv_pool.beacon.requests import Asker
from ssv_pool.beacon.window import SlotWindow
from ssv_pool.errors import KeyFileError, UnavailableError
from ssv_pool.messaging.broker import BrokerUrl
from ssv_pool.messaging.bus import CommandBus
from ssv_pool.messaging.claims import Claim, Claims, ClaimState
from ssv_pool.messaging.identity import announced_operator
from ssv_pool.messaging.payloads import Payloads
from ssv_pool.observability.logs import logger
from ssv_pool.protocol.chain import BeaconChain
from ssv_pool.protocol.types.primitives import OperatorId
from ssv_pool.settings import Settings
from ssv_pool.store.chain import load_chain
from ssv_pool.store.database import Database
from ssv_pool.store.registry import operator_with_key
from ssv_pool.store.status import report_status, statuses

CHAIN_SECONDS = 10.0
"""How long the chain's constants are used before they are read from the store again."""

ATTESTED_SECONDS = 900.0
"""How long what was attested is kept at the most: two epochs of a public network are less."""

SAID_THINGS = 256
"""Latest things said that are remembered."""

CLAIM_SECONDS = 2.0
"""How long a claim on periodic work outlives its worker."""

_log = logger(__name__)

_Made = TypeVar("_Made")


class WorkerContext:
    """One per process; its parts are thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.broker = BrokerUrl.of(settings)
        self.heads = HeadBoard()
        self._lock = threading.RLock()
        self._parts: dict[str, object] = {}
        self._chain: tuple[float, BeaconChain] | None = None
        self._public_key: bytes | None = None
        self._said: OrderedDict[tuple[object, ...], None] = OrderedDict()

    @property
    def redis(self) -> redis.Redis:
        """The broker."""
        return self._once("redis", self.broker.client)

    @property
    def database(self) -> Database:
        """The store, with its tables. Raises UnavailableError when it cannot be reached."""

        def make() -> Database:
            database = Database(self.settings.store_url)
            database.create_schema()
            return database

        return self._once("database", make)

    @property
    def beacon(self) -> BeaconClient:
        """The own beacon nodes."""
        beacon = self.settings.beacon

        def make() -> BeaconClient:
            return BeaconClient(beacon.nodes, beacon.timeout_seconds, hedge_seconds=beacon.hedge_seconds)

        return self._once("beacon", make)

    @property
    def claims(self) -> Claims:
        """Who does what."""
        return self._once("claims", lambda: Claims(self.redis, self.settings.instance))

    @property
    def payloads(self) -> Payloads:
        """Blocks that lie beside their tasks."""
        return self._once("payloads", lambda: Payloads(self.redis, self.settings.instance))

    @property
    def bus(self) -> CommandBus:
        """The way to the node."""
        return self._once("bus", lambda: CommandBus(self.redis, self.settings.instance))

    @property
    def attester(self) -> Attester:
        """Starts attestation duties."""
        timeout = self.settings.beacon.timeout_seconds
        return self._once(
            "attester",
            lambda: Attester(self.beacon, self.bus, timeout, keep=self.attested.keep_own, missed=self._note_missed),
        )

    @property
    def attested(self) -> Attested:
        """What was attested lately."""
        return self._once("attested", lambda: Attested(self.redis, self.settings.instance, ATTESTED_SECONDS))

    @property
    def asker(self) -> Asker:
        """Answers what the node asks of the beacon nodes."""
        timeout, boost = self.settings.beacon.timeout_seconds, self.settings.validators.builder_boost
        return self._once("asker", lambda: Asker(self.beacon, self.attested, timeout, builder_boost=boost))

    def chain(self) -> BeaconChain | None:
        """The beacon chain's constants; None until a beacon node could be asked. Raises UnavailableError."""
        kept = self._chain
        if kept is not None and time.monotonic() - kept[0] < CHAIN_SECONDS:
            return kept[1]
        with self.database.read() as session:
            chain = load_chain(session)
        self._chain = None if chain is None else (time.monotonic(), chain)
        return chain

    def operator_id(self) -> OperatorId | None:
        """This operator's number; None while its key is not known or not registered. Raises UnavailableError."""
        key = self._own_public_key()
        if key is None:
            return None
        with self.database.read() as session:
            return operator_with_key(session, key)

    def first_time(self, *what: object) -> bool:
        """Whether this is said for the first time: what many duties of a slot have in common is one line in the log."""
        with self._lock:
            if what in self._said:
                return False
            self._said[what] = None
            if len(self._said) > SAID_THINGS:
                self._said.popitem(last=False)
            return True

    def run_claimed(self, key: str, lease: float, keep: float, work: Callable[[], bool]) -> bool:
        """Do a piece of work unless another worker does it or it is done.

        Args:
            key: names the work.
            lease: seconds that the claim outlives this process.
            keep: seconds for which it is remembered that the work is done.
            work: does it; returns whether it is done. If not, or if it raises, anybody may try again at once.

        Returns:
            Whether it was done here and now.

        Raises:
            redis.RedisError: the broker did not answer before the work began.
        """
        claim = self.claims.take(key, lease)
        if isinstance(claim, ClaimState):
            return False
        done = False
        try:
            with self.claims.kept(claim):
                done = work()
        finally:
            self.settle(claim, keep if done else None)
        return done

    def run_periodic(self, key: str, until: float, work: Callable[[], bool]) -> None:
        """``run_claimed`` for work that the ticker publishes again by itself: a failure only puts it off."""
        now = time.time()
        if now >= until:
            return
        try:
            self.run_claimed(key, CLAIM_SECONDS, max(60.0, 2 * (until - now)), work)
        except redis.RedisError as error:
            # The ticker says in the log that the broker is away.
            _log.debug("work put off", key=key, problem=str(error).partition("\n")[0])
        except UnavailableError as error:
            _log.warning("work put off", key=key, problem=str(error))

    def report(self, part: str, problem: str | None, **details: object) -> None:
        """Keep how a part is for the node's health; one line in the log when that changed between good and bad."""
        try:
            with self.database.session() as session:
                before = statuses(session).get(part)
                report_status(session, part, problem, time.time(), details)
        except UnavailableError as error:
            _log.warning("store does not take a status", part=part, problem=str(error))
            return
        was_bad = before is not None and before.problem is not None
        if problem is not None and not was_bad:
            _log.warning("trouble: trying again until it passes", part=part, problem=problem)
        elif problem is None and was_bad:
            _log.info("recovered", part=part)

    def settle(self, claim: Claim, keep: float | None) -> None:
        """Mark work as done, remembered for ``keep`` seconds, or give it back (None).

        A broker that is away gets a few seconds to come back.
        """
        deadline = time.monotonic() + 5.0
        while True:
            try:
                if keep is None:
                    self.claims.release(claim)
                else:
                    self.claims.finish(claim, keep)
            except redis.RedisError as error:
                if time.monotonic() > deadline:
                    _log.warning("a claim could not be settled", key=claim.key, problem=str(error).partition("\n")[0])
                    return
                time.sleep(0.1)
            else:
                return

    def _note_missed(self, window: SlotWindow, committees: Sequence[CommitteeSlot], problem: str) -> None:
        try:
            note_no_data(self.database, window, committees, problem)
        except UnavailableError as error:
            _log.warning("missed duties are not in the journal", slot=window.slot, problem=str(error))

    def _own_public_key(self) -> bytes | None:
        """ASCII base64 of the own key's PEM: from the key file where it is, else as the node announced it."""
        if self._public_key is None:
            self._public_key = _from_key_file(self.settings) or announced_operator(self.redis, self.settings.instance)
        return self._public_key

    def _once(self, name: str, make: Callable[[], _Made]) -> _Made:
        with self._lock:
            if name not in self._parts:
                self._parts[name] = make()
            return self._parts[name]  # type: ignore[return-value]


def _from_key_file(settings: Settings) -> bytes | None:
    import base64

    from ssv_pool.crypto.key_file import read_public_key

    path = settings.operator.private_key_file
    if not path.exists():
        return None
    try:
        return base64.b64encode(read_public_key(path))
    except KeyFileError as error:
        _log.debug("public key not taken from the key file", problem=str(error))
        return None

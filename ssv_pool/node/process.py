"""The node process: wires network, validation, committees, signer and bus together, and ends them in order.

Nothing here decides anything about duties: messages and commands go to the committees, effects go to the network and to
the workers.
"""

import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from dataclasses import asdict

import redis
import trio

from ssv_pool import __version__
from ssv_pool.crypto.operator_keys import OperatorKeyring
from ssv_pool.crypto.threshold import BlsThreshold
from ssv_pool.errors import UnavailableError
from ssv_pool.messaging.broker import BrokerUrl
from ssv_pool.messaging.bus import CommandReader
from ssv_pool.messaging.commands import BeaconAnswer, Command, DutiesPlanned, RegistryChanged, StartCommand
from ssv_pool.messaging.identity import announce_operator
from ssv_pool.messaging.tasks import TaskSender
from ssv_pool.network import GossipMessage, Introduction, Network, NetworkError, NetworkSettings, PeerStatus
from ssv_pool.network.identity import load_or_create
from ssv_pool.network.settings import PeerAddress
from ssv_pool.node.commands import reply_of, start_of
from ssv_pool.node.cores import LocalCores
from ssv_pool.node.dispatcher import Dispatcher, Ports
from ssv_pool.node.forks import known_topics
from ssv_pool.node.gossip import Gossip, accepted_of, slot_of
from ssv_pool.node.outbox import Outbox
from ssv_pool.node.registry import OwnCommittee, RegistryReader, RegistryState
from ssv_pool.node.status import DutyStatus, status_page
from ssv_pool.observability import metrics
from ssv_pool.observability.health import Health
from ssv_pool.observability.http import StatusServer, api_routes, metrics_routes
from ssv_pool.observability.logs import logger
from ssv_pool.protocol.chain import BeaconChain
from ssv_pool.protocol.events import DutyRecord, MessageReceived, SubmitEffect
from ssv_pool.protocol.types.messages import SignedSSVMessage
from ssv_pool.protocol.types.primitives import Epoch, PublicKey
from ssv_pool.settings import Settings, fork_schedule
from ssv_pool.signer.local import LocalSigner
from ssv_pool.signer.slashing import SlashingProtection
from ssv_pool.store.database import Database
from ssv_pool.store.pool import MESSAGES_PATH, messages_page

log = logger("node")

PARTS = ("p2p", "beacon_node", "execution_node", "event_syncer", "broker", "store", "operator")
"""Parts named in health."""

WORKER_PARTS = ("beacon_node", "execution_node", "event_syncer")
"""Those of them that workers look after."""

MAINNET_SLOTS_PER_EPOCH = 32
"""SLOTS_PER_EPOCH of the mainnet preset."""

POLL_SECONDS = 1.0
"""Pause between two looks at the store's version; a command makes it look at once."""

BOOK_SECONDS = 12.0
"""Pause between two looks at others' duties in the store; a command makes it look at once."""

REPORT_SECONDS = 1.0
"""Pause between two updates of health and gauges."""

SILENT_SECONDS = 20.0
"""A part of the node's own that says nothing for so long is stuck: health says so."""

READ_MS = 1000
"""Longest wait for commands in one read."""

LAG_SECONDS = 0.25
"""Length of the sleep whose lateness is the event loop's lag."""

GRACE_SECONDS = 45.0
"""How long running duties may go on after SIGTERM, at most; well below the supervisor's minute."""

GRACE_SLOTS = 2
"""A duty that has not ended after so many more slots lacks a quorum: waiting for its deadline would be in vain."""

HAND_OVER_SECONDS = 5.0
"""How long the last results may take to reach the broker at the end."""

KEPT_EPOCHS = 2048
"""Epochs of signing history that are kept entry by entry, for exports: nine days on mainnet."""

PRUNE_SECONDS = 6 * 3600.0
"""Pause between two prunings of the signing history."""

FIRST_PRUNE_SECONDS = 600.0
"""Pause before the first: what a start brings comes first."""


class Node:
    """The parts of one node and the loops between them."""

    def __init__(
        self, settings: Settings, keyring: OperatorKeyring, protection: SlashingProtection, database: Database
    ) -> None:
        """Open ports and connections; nothing runs yet. Raises UnavailableError for a port in use."""
        self.settings = settings
        self.health = Health(PARTS)
        self.view = RegistryState()
        self.chain: BeaconChain | None = None
        self.duties = DutyStatus()
        self.malformed_events: dict[str, int] = {}
        """Reason → how many registry events were ignored for it."""
        self.peers: tuple[PeerStatus, ...] = ()
        """Configured peers as they last were; the status page is made on another thread."""
        self._keyring = keyring
        self._protection = protection
        # Until the chain is known nothing is judged or sent: its own slots per epoch come with it.
        self._forks = fork_schedule(settings, slots_per_epoch=MAINNET_SLOTS_PER_EPOCH)
        self._signer = LocalSigner(protection)
        self._cores = LocalCores(self._forks, keyring, self._signer, BlsThreshold(), settings.validators.gas_limit)
        self._reader = RegistryReader(
            database,
            keyring,
            self._signer,
            protection,
            settings.ssv_network.domain_type,
            settings.validators.graffiti_bytes,
        )
        self._gossip = Gossip(self._forks, keyring)
        self._network = Network(
            NetworkSettings(
                identity=load_or_create(settings.identity_path),
                host=settings.p2p.host,
                port=settings.p2p.tcp_port,
                peers=tuple(PeerAddress.parse(text) for text in settings.p2p.peers),
                known_topics=known_topics(settings),
                introduction=Introduction(self._network_id, f"ssv-pool/{__version__}"),
            ),
            self._gossip.judge,
        )
        broker = BrokerUrl.of(settings)
        self._broker = broker.client()
        self._commands = CommandReader(self._broker, settings.instance)
        self._dropped = {"late": 0, "repeated": 0, "malformed": 0}
        self._outbox = Outbox(TaskSender(broker, settings.instance))
        self._dispatcher = Dispatcher(Ports(self._publish, self._submit, self._outbox.ask, self._ended), self._cores)
        self._look = trio.Event()
        self._book_due = 0.0
        """When others' duties are read again, by the event loop's clock."""
        self._stopping = False
        with ExitStack() as opened:
            routes: dict[str, Callable[[], object]] = {"/v1/node/status": lambda: status_page(self)}
            if settings.pool.contract is not None:
                routes[MESSAGES_PATH] = lambda: messages_page(database, time.time())
            host = settings.api_host
            metrics_server = StatusServer(host, settings.metrics_port, metrics_routes())
            opened.callback(metrics_server.close)
            api_server = StatusServer(host, settings.api_port, api_routes(self.health, routes))
            opened.callback(api_server.close)
            self.api_port = api_server.port
            self._servers = opened.pop_all()

    @property
    def running_duties(self) -> int:
        """How many duties run."""
        return self._dispatcher.running

    def close(self) -> None:
        """Free the ports and hand over the last results."""
        with self._servers:
            self._outbox.close(HAND_OVER_SECONDS)
            self._broker.close()

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT, then let running duties finish; a second signal ends that too."""
        self._outbox.start()
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async with trio.open_nursery() as nursery:
                await nursery.start(self._dispatcher.run)
                await nursery.start(self._network.run)
                log.info("listening", addresses=self._network.addresses, api_port=self.api_port)
                for loop in (
                    self._receive,
                    self._read_commands,
                    self._follow_registry,
                    self._report,
                    self._measure_lag,
                    self._prune,
                ):
                    nursery.start_soon(loop)
                await self._wait_for(signals)
                self._stopping = True
                nursery.start_soon(self._hurry, signals, nursery.cancel_scope)
                with trio.move_on_after(self._grace):
                    await self._dispatcher.wait_idle()
                if self.running_duties:
                    log.warning("duties given up", running_duties=self.running_duties)
                nursery.cancel_scope.cancel()

    async def _wait_for(self, signals: AsyncIterator[int]) -> None:
        number = await anext(signals)
        log.info("stopping", signal=signal.Signals(number).name, running_duties=self.running_duties)

    async def _hurry(self, signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
        await self._wait_for(signals)
        scope.cancel()

    @property
    def _grace(self) -> float:
        return GRACE_SECONDS if self.chain is None else min(GRACE_SECONDS, GRACE_SLOTS * self.chain.slot_seconds)

    # The network's side

    async def _receive(self) -> None:
        async for message in self._network.messages:
            self._dispatch(message)

    def _dispatch(self, message: GossipMessage) -> None:
        accepted = accepted_of(message)
        self._dispatcher.receive(MessageReceived(accepted.message, verified=True), accepted.content)

    async def _publish(self, own: OwnCommittee, message: SignedSSVMessage) -> None:
        try:
            await self._network.publish(self._topic_of(own, message), message.encode())
        except NetworkError as error:
            log.error("message not published", problem=str(error))

    def _topic_of(self, own: OwnCommittee, message: SignedSSVMessage) -> str:
        if self.chain is None:
            raise NetworkError("message before the beacon chain is known")
        ids, slots_per_epoch = own.member.operator_ids, self.chain.slots_per_epoch
        return self._forks.topic_of_message(ids, slot_of(message), slots_per_epoch)

    def _network_id(self) -> str:
        """What peers compare in the handshake; it changes at a fork, and connections made before stay."""
        fork = self._forks.alan
        if self.chain is not None:
            fork = self._forks.at_epoch(self.chain.epoch_at(time.time()))
        return f"0x{fork.domain.hex()}"

    # The workers' side

    async def _read_commands(self) -> None:
        """A thread reads the stream; each command is handled here as it comes.

        What comes after SIGTERM stays on the broker: the node that is started next gets it, if it is not late.
        """
        announced = False
        while True:
            commands = await trio.to_thread.run_sync(self._read_batch, abandon_on_cancel=True)  # type: ignore[call-arg]
            if self._stopping:
                return
            self._count_dropped()
            problem = None if self._commands.connected else "does not answer, trying again"
            self._report_part("broker", problem)
            announced = self._commands.connected and (announced or await self._announce())
            for command in commands:
                self._handle_command(command)

    def _read_batch(self) -> list[Command]:
        return self._commands.read(READ_MS)

    async def _announce(self) -> bool:
        """Tell workers without a key file whose they are; again whenever the broker was away."""
        key = self._keyring.public_key_base64.encode()
        try:
            await trio.to_thread.run_sync(announce_operator, self._broker, self.settings.instance, key)
        except redis.RedisError as error:
            log.warning("operator not announced, trying again", problem=str(error).partition("\n")[0])
            return False
        return True

    def _count_dropped(self) -> None:
        for why, count in asdict(self._commands.counts).items():
            metrics.COMMANDS_DROPPED.labels(why).inc(count - self._dropped[why])
            self._dropped[why] = count

    def _handle_command(self, command: Command) -> None:
        match command:
            case RegistryChanged():
                self._look.set()
            case DutiesPlanned():
                self._book_due = 0.0
                self._look.set()
            case BeaconAnswer(committee_id=committee_id, public_key=key):
                known = self._dispatcher.reply(committee_id, PublicKey(key) if key else None, reply_of(command))
                self._note_stranger(command, known=known)
            case _:
                self._note_stranger(command, known=self._dispatcher.start(command.committee_id, start_of(command)))

    def _note_stranger(self, command: StartCommand | BeaconAnswer, *, known: bool) -> None:
        if not known:
            metrics.COMMANDS_DROPPED.labels("unknown_committee").inc()
            log.warning("command for a committee or validator that is not run here", key=command.key)

    def _submit(self, effect: SubmitEffect) -> None:
        if self.chain is not None:
            self._outbox.submit(effect, self.chain)

    def _ended(self, record: DutyRecord) -> None:
        self.duties.note(record)
        self._outbox.record(record)
        if record.completed < record.validators:
            log.warning("duty not completed", key=record.key, reason=record.reason.value, detail=record.detail)
        else:
            role = record.role.name.lower()
            log.info("duty completed", role=role, slot=record.slot, round=record.round, validators=record.validators)

    # The registry's side

    async def _follow_registry(self) -> None:
        """Take the registry over whenever the store's version moves."""
        while True:
            self._look = trio.Event()
            problem = None
            try:
                await self._take_over()
                await self._follow_forks()
                await self._read_duty_book()
            except UnavailableError as error:
                problem = str(error)
            self._report_part("store", problem)
            with trio.move_on_after(POLL_SECONDS):
                await self._look.wait()

    async def _take_over(self) -> None:
        version, chain = await trio.to_thread.run_sync(self._reader.look)
        if chain is None or (version == self.view.version and chain == self.chain):
            return
        if chain != self.chain:
            await trio.to_thread.run_sync(self._protection.bind, chain.genesis_validators_root)
            log.info("beacon chain known", genesis_time=chain.genesis_time, fork=chain.forks[-1].name)
            self.chain = chain
            self._forks = fork_schedule(self.settings, chain.slots_per_epoch)
            self._cores.forks = self._forks
            self._gossip.follow(self._forks)
        view = await trio.to_thread.run_sync(self._reader.load, chain, time.time())
        await self._apply(view, chain)

    async def _apply(self, view: RegistryState, chain: BeaconChain) -> None:
        for gone in self.view.statuses.keys() - view.statuses.keys():
            metrics.VALIDATORS.remove(gone)
        for status, count in view.statuses.items():
            metrics.VALIDATORS.labels(status).set(count)
        self.view = view
        self._gossip.update(view, chain)
        wanted = self._wanted_topics(view, chain)
        for topic in sorted(wanted - set(self._network.topics)):
            await self._network.subscribe(topic)
        await self._dispatcher.set_committees(view.own, chain)
        for topic in set(self._network.topics) - wanted:
            await self._network.unsubscribe(topic)
        await trio.to_thread.run_sync(self._reader.forget)
        log.info(
            "registry taken over",
            version=view.version,
            block=view.block_number,
            operator_id=view.operator_id,
            committees=len(view.own),
            validators=view.validators,
            bad_shares=len(view.bad_shares),
        )

    def _wanted_topics(self, view: RegistryState, chain: BeaconChain) -> set[str]:
        """The topics of all own committees; around a fork those of both forks."""
        slot = chain.slot_at(time.time())
        return {
            topic
            for own in view.own.values()
            for topic in self._forks.topics(own.member.operator_ids, slot, chain.slots_per_epoch)
        }

    async def _follow_forks(self) -> None:
        """Join and leave topics as a fork comes and goes by."""
        if self.chain is None or not self._forks.scheduled:
            return
        wanted = self._wanted_topics(self.view, self.chain)
        for topic in sorted(wanted - set(self._network.topics)):
            await self._network.subscribe(topic)
        for topic in set(self._network.topics) - wanted:
            await self._network.unsubscribe(topic)

    async def _read_duty_book(self) -> None:
        """Learn who proposes and who is in the sync committee: gossip validation asks that of all validators."""
        if self.chain is None or trio.current_time() < self._book_due:
            return
        self._book_due = trio.current_time() + BOOK_SECONDS
        epoch = self.chain.epoch_at(time.time())
        self._gossip.duties.take(await trio.to_thread.run_sync(self._reader.duty_book, epoch))

    # Health and metrics

    async def _report(self) -> None:
        while True:
            self._report_network()
            await self._report_workers()
            await trio.sleep(REPORT_SECONDS)

    def _report_network(self) -> None:
        self.peers = tuple(peer for peer in self._network.peers() if peer.address is not None)
        connected = sum(peer.connected for peer in self.peers)
        metrics.PEERS_CONNECTED.set(connected)
        for name, value in asdict(self._network.counters).items():
            metrics.GOSSIP_EVENTS.labels(name).set(value)
        problem = None
        if not self._network.running:
            problem = "the host failed and is being built anew"
        elif self.peers and not connected:
            problem = f"connected to none of {len(self.peers)} configured peers"
        self._report_part("p2p", problem)
        registered = self.view.operator_id is not None
        self._report_part("operator", None if registered else "this key is not registered on the contract yet")

    async def _report_workers(self) -> None:
        """What workers last said of the parts they look after; nothing that is old passes for good."""
        try:
            statuses = await trio.to_thread.run_sync(self._reader.statuses)
        except UnavailableError:
            for part in WORKER_PARTS:
                self._report_part(part, "not known, the store does not answer")
            return
        if (syncer := statuses.get("event_syncer")) is not None:
            self.malformed_events = dict(syncer.details.get("malformed", self.malformed_events))
            metrics.SYNC_LAG.set(syncer.details.get("lag", 0))
            for kind, count in syncer.details.get("repairs", {}).items():
                metrics.SYNC_REPAIRS.labels(kind).set(count)
        if (execution := statuses.get("execution_node")) is not None:
            for name, lag in execution.details.get("nodes", {}).items():
                metrics.EXECUTION_LAG.labels(name).set(lag)
        for reason, count in self.malformed_events.items():
            metrics.EVENTS_MALFORMED.labels(reason).set(count)
        now = time.time()
        for part in WORKER_PARTS:
            found = statuses.get(part)
            if found is None:
                problem: str | None = "no worker has reported yet"
            elif now - found.updated > self._stale_seconds:
                problem = f"last report of a worker is older than {self._stale_seconds:.0f} s"
            else:
                problem = found.problem
            self._report_part(part, problem)

    @property
    def _stale_seconds(self) -> float:
        """Workers look at their parts at every poll; several missed ones mean that no worker runs."""
        return max(60.0, 5 * self.settings.registry.poll_seconds)

    def _report_part(self, part: str, problem: str | None) -> None:
        if self.health.report(part, problem, stale_after=SILENT_SECONDS):
            (log.info if problem is None else log.warning)("health", part=part, status=problem or "good")

    async def _prune(self) -> None:
        """Keep the signing history bounded: a floor stands for what is older than KEPT_EPOCHS."""
        await trio.sleep(FIRST_PRUNE_SECONDS)
        while True:
            if self.chain is not None:
                epoch = Epoch(max(0, self.chain.epoch_at(time.time()) - KEPT_EPOCHS))
                await trio.to_thread.run_sync(self._protection.prune, epoch, self.chain.first_slot(epoch))
            await trio.sleep(PRUNE_SECONDS)

    async def _measure_lag(self) -> None:
        while True:
            due = trio.current_time() + LAG_SECONDS
            await trio.sleep_until(due)
            metrics.LOOP_LAG.observe(max(0.0, trio.current_time() - due))

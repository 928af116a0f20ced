"""The node process: wires network, validation, committees, signer and bus together, and ends them in order.

Nothing here decides anything about duties: messages and commands go to the committees, effects go to the network and to
the workers.
"""

import signal
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict

import trio

from ssv_pool.crypto.files import read_password
from ssv_pool.crypto.key_file import read_key_file
from ssv_pool.crypto.operator_keys import OperatorKeyring
from ssv_pool.crypto.threshold import BlsThreshold
from ssv_pool.errors import SsvPoolError, UnavailableError
from ssv_pool.messaging.broker import BrokerUrl
from ssv_pool.messaging.bus import CommandReader
from ssv_pool.messaging.commands import Command, RegistryChanged, StartCommitteeDuty
from ssv_pool.messaging.tasks import TaskSender
from ssv_pool.network import GossipMessage, Network, NetworkSettings
from ssv_pool.network.identity import load_or_create
from ssv_pool.network.settings import PeerAddress
from ssv_pool.node.dispatcher import Dispatcher
from ssv_pool.node.gossip import Gossip, accepted_of
from ssv_pool.node.outbox import Outbox
from ssv_pool.node.registry import RegistryReader, RegistryState
from ssv_pool.node.status import DutyStatus, status_page
from ssv_pool.observability import metrics
from ssv_pool.observability.health import Health
from ssv_pool.observability.http import StatusServer, api_routes, metrics_routes
from ssv_pool.observability.logs import configure_logging, logger
from ssv_pool.protocol.chain import BeaconChain
from ssv_pool.protocol.committee import Committee
from ssv_pool.protocol.events import DutyRecord, MessageReceived, StartDuty, SubmitAttestations
from ssv_pool.protocol.forks import ForkSchedule, alan_fork
from ssv_pool.protocol.types.duties import CommitteeDuty
from ssv_pool.protocol.types.ids import committee_of
from ssv_pool.protocol.types.messages import SignedSSVMessage
from ssv_pool.protocol.types.primitives import CommitteeId, Epoch
from ssv_pool.settings import Settings
from ssv_pool.signer.local import LocalSigner
from ssv_pool.signer.slashing import SlashingProtection
from ssv_pool.store.database import Database

log = logger("node")

PARTS = ("p2p", "beacon_node", "execution_node", "event_syncer", "broker", "operator")
"""Parts named in health."""

POLL_SECONDS = 1.0
"""Pause between two looks at the store's version; a command makes it look at once."""

REPORT_SECONDS = 2.0
"""Pause between two updates of health and gauges."""

LAG_SECONDS = 0.25
"""Length of the sleep whose lateness is the event loop's lag."""

GRACE_SECONDS = 50.0
"""How long running duties may go on after SIGTERM; below the supervisor's minute."""

KEPT_EPOCHS = 2048
"""Epochs of signing history that are kept entry by entry, for exports: nine days on mainnet."""

PRUNE_SECONDS = 6 * 3600.0
"""Pause between two prunings of the signing history."""

SWITCH_SECONDS = 0.001
"""How long the committees' thread may hold the interpreter while the event loop wants it."""


def run_node(settings: Settings) -> None:
    """Run the node until SIGTERM or Ctrl-C.

    Raises:
        SsvPoolError: a key file, port or database that cannot be used.
    """
    configure_logging(settings.log.level, settings.log.format, process="node")
    sys.setswitchinterval(SWITCH_SECONDS)
    password = read_password(settings.operator.password_file)
    keyring = read_key_file(settings.operator.private_key_file, password)
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with ExitStack() as stack:
        protection = stack.enter_context(SlashingProtection(settings.slashing_path))
        database = Database(settings.store_url)
        stack.callback(database.close)
        node = Node(settings, keyring, protection, database)
        stack.callback(node.close)
        try:
            trio.run(node.run)
        except BaseExceptionGroup as group:
            known = _only_ours(group)
            if known is None:
                raise
            raise known from None


def _only_ours(group: BaseExceptionGroup[BaseException]) -> SsvPoolError | None:
    """The error of ours that a group consists of, so that it can be shown as one line."""
    leaves: list[BaseException] = [group]
    while leaves and isinstance(leaves[0], BaseExceptionGroup):
        leaves = [leaf for inner in leaves if isinstance(inner, BaseExceptionGroup) for leaf in inner.exceptions]
    return leaves[0] if len(leaves) == 1 and isinstance(leaves[0], SsvPoolError) else None


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
        self._keyring = keyring
        self._protection = protection
        self._database = database
        self._forks = ForkSchedule(alan_fork(settings.ssv_network.domain_type))
        self._signer = LocalSigner(protection)
        self._reader = RegistryReader(database, keyring, self._signer, protection, settings.ssv_network.domain_type)
        self._gossip = Gossip(self._forks, keyring)
        self._network = Network(
            NetworkSettings(
                identity=load_or_create(settings.identity_path),
                host=settings.p2p.host,
                port=settings.p2p.tcp_port,
                peers=tuple(PeerAddress.parse(text) for text in settings.p2p.peers),
            ),
            self._gossip.judge,
        )
        broker = BrokerUrl.of(settings)
        self._commands = CommandReader(broker.client(), settings.instance)
        self._outbox = Outbox(TaskSender(broker, settings.instance))
        self._dispatcher = Dispatcher(self._publish, self._submit, self._ended)
        self._committees: dict[CommitteeId, Committee] = {}
        self._look = trio.Event()
        self._stopping = False
        routes = {"/v1/node/status": lambda: status_page(self)}
        self._servers = [
            StatusServer(settings.api_host, settings.metrics_port, metrics_routes()),
            StatusServer(settings.api_host, settings.api_port, api_routes(self.health, routes)),
        ]

    @property
    def network(self) -> Network:
        """The peer-to-peer network."""
        return self._network

    @property
    def running_duties(self) -> frozenset[str]:
        """Keys of the duties that run."""
        return self._dispatcher.running

    def close(self) -> None:
        """Free the ports and hand over the last results."""
        self._outbox.close(timeout=5.0)
        for server in self._servers:
            server.close()

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT, then let running duties finish."""
        self._outbox.start()
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async with trio.open_nursery() as nursery:
                await nursery.start(self._dispatcher.run)
                await nursery.start(self._network.run)
                log.info("listening", addresses=self._network.addresses, api_port=self._servers[1].port)
                for loop in (
                    self._receive,
                    self._read_commands,
                    self._follow_registry,
                    self._report,
                    self._measure_lag,
                    self._prune,
                ):
                    nursery.start_soon(loop)
                async for number in signals:
                    log.info("stopping", signal=signal.Signals(number).name, running_duties=len(self.running_duties))
                    break
                self._stopping = True
                with trio.move_on_after(GRACE_SECONDS):
                    await self._dispatcher.wait_idle()
                nursery.cancel_scope.cancel()

    # The network's side

    async def _receive(self) -> None:
        async for message in self._network.messages:
            self._dispatch(message)

    def _dispatch(self, message: GossipMessage) -> None:
        accepted = accepted_of(message)
        event = MessageReceived(accepted.message, verified=True)
        self._dispatcher.receive(committee_of(accepted.message.ssv_message.msg_id), event, accepted.content)

    async def _publish(self, committee_id: CommitteeId, message: SignedSSVMessage) -> None:
        known = self.view.committees.get(committee_id)
        if known is not None:
            await self._network.publish(self._forks.alan.topic(known.operator_ids), message.encode())

    # The workers' side

    async def _read_commands(self) -> None:
        """A thread reads the stream; each command is handled here as it comes."""
        while True:
            commands = await trio.to_thread.run_sync(self._commands.read, abandon_on_cancel=True)  # type: ignore[call-arg]
            if not self._commands.connected:
                self._report_part("broker", "does not answer, trying again")
            else:
                self._report_part("broker")
            for command in commands:
                self._handle_command(command)

    def _handle_command(self, command: Command) -> None:
        match command:
            case StartCommitteeDuty():
                self._start_duty(command)
            case RegistryChanged():
                self._look.set()

    def _start_duty(self, command: StartCommitteeDuty) -> None:
        if self._stopping:
            metrics.DUTIES_LATE.labels("stopping").inc()
            return
        duty = StartDuty(
            duty=CommitteeDuty(command.slot, command.validator_duties),
            beacon_vote=command.beacon_vote,
            due=command.due,
            begun=command.begun,
            deadline=command.deadline,
            key=command.key,
        )
        if not self._dispatcher.start(command.committee_id, duty):
            metrics.DUTIES_LATE.labels("unknown_committee").inc()
            log.warning("duty of a committee that is not run here", key=command.key)

    def _submit(self, effect: SubmitAttestations) -> None:
        if self.chain is not None:
            self._outbox.submit(effect, self.chain)

    def _ended(self, record: DutyRecord) -> None:
        self.duties.note(record)
        self._outbox.record(record)
        if record.completed < record.validators:
            log.warning("duty not completed", key=record.key, reason=record.reason.value, detail=record.detail)
        else:
            log.info("duty completed", slot=record.slot, round=record.round, validators=record.validators)

    # The registry's side

    async def _follow_registry(self) -> None:
        """Take the registry over whenever the store's version moves."""
        while True:
            try:
                await self._take_over()
            except UnavailableError as error:
                self._report_part("event_syncer", str(error))
            self._look = trio.Event()
            with trio.move_on_after(POLL_SECONDS):
                await self._look.wait()

    async def _take_over(self) -> None:
        if self.chain is None:
            self.chain = await trio.to_thread.run_sync(self._reader.chain)
            if self.chain is None:
                return
            self._protection.bind(self.chain.genesis_validators_root)
            log.info("beacon chain known", genesis_time=self.chain.genesis_time)
        version = await trio.to_thread.run_sync(self._reader.version)
        if version == self.view.version:
            return
        now = time.time()
        chain = self.chain
        view = await trio.to_thread.run_sync(self._reader.load, chain.epoch_at(now), chain.slot_at(now))
        await self._apply(view, chain)

    async def _apply(self, view: RegistryState, chain: BeaconChain) -> None:
        self.view = view
        self._gossip.update(view, chain)
        for committee_id in self._committees.keys() - view.own.keys():
            del self._committees[committee_id]
        for committee_id, own in view.own.items():
            committee = self._committees.get(committee_id)
            if committee is None:
                self._committees[committee_id] = Committee(
                    own.member,
                    own.shares,
                    self._forks,
                    chain,
                    self._keyring,
                    self._signer,
                    BlsThreshold(),
                    clock=time.time,
                )
            else:
                self._dispatcher.update(committee_id, own.member, own.shares)
        self._dispatcher.set_committees(self._committees)
        wanted = {self._forks.alan.topic(own.member.operator_ids) for own in view.own.values()}
        for topic in set(self._network.topics) - wanted:
            await self._network.unsubscribe(topic)
        for topic in sorted(wanted - set(self._network.topics)):
            await self._network.subscribe(topic)
        shares = sum(len(own.shares) for own in view.own.values())
        log.info(
            "registry taken over",
            version=view.version,
            block=view.block_number,
            operator_id=view.operator_id,
            committees=len(view.own),
            validators=shares,
            bad_shares=len(view.bad_shares),
        )

    # Health and metrics

    async def _report(self) -> None:
        while True:
            await self._report_once()
            await trio.sleep(REPORT_SECONDS)

    async def _report_once(self) -> None:
        peers = [peer for peer in self._network.peers() if peer.address is not None]
        connected = sum(peer.connected for peer in peers)
        metrics.PEERS_CONNECTED.set(connected)
        for name, value in asdict(self._network.counters).items():
            metrics.GOSSIP_EVENTS.labels(name).set(value)
        for status, count in self.view.statuses.items():
            metrics.VALIDATORS.labels(status).set(count)
        lonely = bool(peers) and connected == 0
        self._report_part("p2p", f"connected to none of {len(peers)} configured peers" if lonely else None)
        own = self.view.operator_id
        self._report_part("operator", None if own is not None else "this key is not registered on the contract yet")
        try:
            statuses = await trio.to_thread.run_sync(self._reader.statuses)
        except UnavailableError as error:
            self._report_part("event_syncer", str(error))
            return
        for part in ("beacon_node", "execution_node", "event_syncer"):
            found = statuses.get(part)
            if found is None:
                self._report_part(part, "no worker has reported yet")
            elif found.problem is None and time.time() - found.updated > self._stale_seconds:
                self._report_part(part, f"last report of a worker {time.time() - found.updated:.0f} s ago")
            else:
                self._report_part(part, found.problem)

    @property
    def _stale_seconds(self) -> float:
        """Workers look at their parts at every poll; several missed ones mean that no worker runs."""
        return max(60.0, 5 * self.settings.registry.poll_seconds)

    def _report_part(self, part: str, problem: str | None = None) -> None:
        if self.health.report(part, problem):
            (log.info if problem is None else log.warning)("health", part=part, status=problem or "good")

    async def _prune(self) -> None:
        """Keep the signing history bounded: a floor stands for what is older than KEPT_EPOCHS."""
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

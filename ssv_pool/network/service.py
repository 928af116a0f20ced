"""The operator's peer-to-peer network: one object for the node, whatever happens to the host below it."""

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import trio

from ssv_pool.errors import UnavailableError
from ssv_pool.network.errors import NetworkError
from ssv_pool.network.imports import skip_autotls
from ssv_pool.network.node_info import NodeInfo
from ssv_pool.network.scores import PeerScores
from ssv_pool.network.settings import Counters, GossipMessage, NetworkSettings, PeerStatus, Validate
from ssv_pool.network.topics import MAX_MESSAGE_SIZE, subnet_of

if TYPE_CHECKING:
    from ssv_pool.network.session import Session

logger = logging.getLogger(__name__)

FIRST_BACK_OFF = 0.5
"""Seconds before a crashed host is built anew."""

LONGEST_BACK_OFF = 30.0
"""Seconds between two attempts when the host keeps crashing."""

HEALTHY_AFTER = 60.0
"""Seconds after which a host's crash is taken for the first one."""


class Network:
    """Connects to peers, publishes messages, and delivers those that validation accepts.

    The host under it is built anew when it crashes; subscriptions, stream handlers, the port and the peers' status
    survive that.
    """

    def __init__(
        self, settings: NetworkSettings, validate: Validate, *, clock: Callable[[], float] = time.time
    ) -> None:
        """Make a network that is not running yet.

        Args:
            settings: identity, addresses, limits.
            validate: judges each new message of a peer once; plain or async. A plain one runs in the network's task,
                so it must be quick; an async one holds up its sender's further messages only.
            clock: Unix time, for the peers' status.
        """
        self.counters = Counters()
        self.messages: trio.MemoryReceiveChannel[GossipMessage]
        """Accepted messages in the order they were accepted; own messages are not among them."""
        self._send_message, self.messages = trio.open_memory_channel[GossipMessage](settings.delivery_queue)
        self._settings = settings
        self._validate = validate
        self._clock = clock
        self._topics: dict[str, None] = {}
        self._handlers: dict[str, Callable[[Any], Awaitable[None]]] = {}
        self._session: Session | None = None
        self._book: Any = None
        # Outlives the host: a peer's misdeeds do not end with ours.
        self._scores = PeerScores(settings.scores, time.monotonic, settings.known_topics)

    @property
    def peer_id(self) -> str:
        """Our own peer id in base58."""
        return self._settings.identity.peer_id

    @property
    def addresses(self) -> tuple[str, ...]:
        """Multiaddresses we listen on, ending in our peer id; empty while the host is down."""
        return self._session.addresses if self._session else ()

    @property
    def running(self) -> bool:
        """Whether the host is up at this moment."""
        return self._session is not None

    @property
    def topics(self) -> tuple[str, ...]:
        """Topics we are subscribed to, in the order of subscription."""
        return tuple(self._topics)

    async def run(self, *, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
        """Run until cancelled; starts with the addresses listened on.

        Raises:
            UnavailableError: the port cannot be had at the start. Later it is tried again.
        """
        # Here and not at the top: the import takes seconds, and commands that only read settings need no host.
        skip_autotls()
        from ssv_pool.network.peers import PeerBook
        from ssv_pool.network.session import Session

        self._book = PeerBook(self._settings.peers, self.counters, self._clock)
        back_off = FIRST_BACK_OFF
        started = False
        while True:
            began = trio.current_time()
            session = Session(
                self._settings,
                self.counters,
                self._book,
                self._validate,
                self._deliver,
                self._handlers,
                self._scores,
                self._own_info,
            )
            try:
                async with session.running():
                    for topic in self._topics:
                        await session.pubsub.subscribe(topic)
                    self._session = session
                    self._settings = replace(self._settings, port=session.port)
                    if not started:
                        started = True
                        task_status.started(session.addresses)
                    await trio.sleep_forever()
            except Exception as error:
                if not started:
                    raise
                if isinstance(error, UnavailableError):
                    logger.warning("network not up again yet: %s", error)
                else:
                    logger.error("network host failed, it is built anew: %r", error, exc_info=error)
            finally:
                self._session = None
                self._book.all_gone()
            if trio.current_time() - began > HEALTHY_AFTER:
                back_off = FIRST_BACK_OFF
            self.counters.rebuilds += 1
            await trio.sleep(back_off)
            back_off = min(2 * back_off, LONGEST_BACK_OFF)

    async def subscribe(self, topic: str) -> None:
        """Take part in a topic; stays in force over rebuilds.

        Raises:
            NetworkError: the topic is not one of the network's.
        """
        if topic not in self._settings.known_topics:
            raise NetworkError(f"topic: {topic!r} is not one of the network's topics")
        self._topics[topic] = None
        if self._session:
            await self._session.pubsub.subscribe(topic)

    async def unsubscribe(self, topic: str) -> None:
        """Leave a topic; nothing happens if we are not in it."""
        self._topics.pop(topic, None)
        if self._session:
            await self._session.pubsub.unsubscribe(topic)

    async def publish(self, topic: str, data: bytes) -> int:
        """Send a message to the topic's peers and return how many it was queued for.

        Does not wait for anything; 0 means nobody was there, the host is being rebuilt, or the same data was seen.

        Raises:
            NetworkError: the data is empty or too large, or the topic is not one of the network's.
        """
        if not 0 < len(data) <= MAX_MESSAGE_SIZE:
            raise NetworkError(f"message: {len(data)} bytes, expected 1 to {MAX_MESSAGE_SIZE}")
        if topic not in self._settings.known_topics:
            raise NetworkError(f"topic: {topic!r} is not one of the network's topics")
        peers = self._session.pubsub.originate(topic, data) if self._session else 0
        if peers:
            self.counters.published += 1
        else:
            self.counters.published_to_nobody += 1
        return peers

    def set_stream_handler(self, protocol: str, handler: Callable[[Any], Awaitable[None]]) -> None:
        """Serve a protocol's inbound streams, now and over rebuilds; the handler's failure ends its stream only."""
        self._handlers[protocol] = handler
        if self._session:
            self._session.set_stream_handler(protocol, handler)

    def peers(self) -> tuple[PeerStatus, ...]:
        """Configured peers in their order, then others that are connected."""
        if self._book is None:
            return tuple(
                PeerStatus(peer.peer_id, peer.text, connected=False, since=None, rtt=None, topics=(), last_error=None)
                for peer in self._settings.peers
            )
        statuses: tuple[PeerStatus, ...] = self._book.statuses(self._topics_of)
        return statuses

    def _own_info(self) -> NodeInfo:
        introduction = self._settings.introduction
        if introduction is None:
            raise NetworkError("handshake: this node has no introduction")
        return NodeInfo(
            introduction.network_id(),
            introduction.node_version,
            introduction.execution_node,
            introduction.consensus_node,
            frozenset(subnet for topic in self._topics if (subnet := subnet_of(topic)) is not None),
        )

    def _topics_of(self, peer_id: str) -> tuple[str, ...]:
        return self._session.topics_of(peer_id) if self._session else ()

    def _deliver(self, message: GossipMessage) -> bool:
        try:
            self._send_message.send_nowait(message)
        except (trio.WouldBlock, trio.BrokenResourceError):
            return False
        return True

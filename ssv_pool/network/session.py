"""One life of the host: from listening to a crash or the end."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import trio
from libp2p.custom_types import TProtocol
from libp2p.tools.anyio_service import background_trio_service
from multiaddr import Multiaddr

from ssv_pool.errors import UnavailableError
from ssv_pool.network.handshake import Handshakes
from ssv_pool.network.host import build_host, check_port, close_sockets
from ssv_pool.network.node_info import NodeInfo
from ssv_pool.network.peers import PeerBook, keep_connected, watch_connections
from ssv_pool.network.pubsub import CommitteePubsub
from ssv_pool.network.router import CommitteeRouter
from ssv_pool.network.scores import PeerScores
from ssv_pool.network.settings import Counters, GossipMessage, NetworkSettings, Validate


class Session:
    """Host, pubsub and router, and the tasks that look after the peers."""

    def __init__(
        self,
        settings: NetworkSettings,
        counters: Counters,
        book: PeerBook,
        validate: Validate,
        deliver: Callable[[GossipMessage], bool],
        handlers: Mapping[str, Callable[[Any], Awaitable[None]]],
        scores: PeerScores,
        own_info: Callable[[], NodeInfo],
    ) -> None:
        self._settings = settings
        self._counters = counters
        self._book = book
        self.host = build_host(settings, counters)
        self.router = CommitteeRouter(settings.gossip, settings.known_topics, counters, scores)
        self.pubsub = CommitteePubsub(self.host, self.router, settings, counters, validate, deliver)
        self.host.get_network().register_notifee(book)
        self._handshakes: Handshakes | None = None
        if settings.introduction is not None:
            self._handshakes = Handshakes(self.host, settings.identity, book, counters, own_info, scores.is_graylisted)
        for protocol, handler in handlers.items():
            self.set_stream_handler(protocol, handler)

    @property
    def port(self) -> int:
        """TCP port listened on."""
        return int(Multiaddr(self.addresses[0]).value_for_protocol("tcp"))

    @property
    def addresses(self) -> tuple[str, ...]:
        """Multiaddresses listened on, with our peer id."""
        return tuple(
            str(address) if "/p2p/" in str(address) else f"{address}/p2p/{self._settings.identity.peer_id}"
            for address in self.host.get_addrs()
        )

    def set_stream_handler(self, protocol: str, handler: Callable[[Any], Awaitable[None]]) -> None:
        """Serve a protocol; all streams pass the guard."""
        self.host.set_stream_handler(TProtocol(protocol), handler)

    def topics_of(self, peer_id: str) -> tuple[str, ...]:
        """Topics a peer is subscribed to, sorted."""
        return tuple(
            sorted(topic for topic, peers in self.pubsub.peer_topics.items() if any(str(p) == peer_id for p in peers))
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Listen, and run everything inside the block.

        Raises:
            UnavailableError: the port cannot be had.
        """
        settings = self._settings
        check_port(settings.host, settings.port)
        family = "ip6" if ":" in settings.host else "ip4"
        address = Multiaddr(f"/{family}/{settings.host}/tcp/{settings.port}")
        swarm = self.host.get_network()
        try:
            async with (
                self.host.run([address]),
                background_trio_service(self.pubsub),
                background_trio_service(self.router),
                trio.open_nursery() as nursery,
            ):
                if not swarm.listeners:
                    raise UnavailableError(f"p2p port: cannot listen on {settings.host}:{settings.port}")
                await self.pubsub.wait_until_ready()
                for peer in settings.peers:
                    if peer.peer_id != settings.identity.peer_id:
                        nursery.start_soon(keep_connected, swarm, self._book, peer, settings)
                nursery.start_soon(watch_connections, swarm, self._book, settings, self._counters)
                nursery.start_soon(self._age)
                if self._handshakes is not None:
                    nursery.start_soon(self._handshakes.run)
                try:
                    yield
                finally:
                    nursery.cancel_scope.cancel()
                    await close_sockets(self.host)
        finally:
            await close_sockets(self.host)

    async def _age(self) -> None:
        while True:
            await trio.sleep(self._settings.gossip.heartbeat)
            self.pubsub.turn_known()

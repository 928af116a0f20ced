"""The libp2p host: TCP, Noise alone, Yamux, and no way for a peer's stream to take the host down."""

import errno
import logging
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import trio
from libp2p.crypto.keys import KeyPair
from libp2p.crypto.secp256k1 import Secp256k1PrivateKey
from libp2p.crypto.x25519 import create_new_key_pair as create_noise_key_pair
from libp2p.custom_types import TProtocol
from libp2p.host.basic_host import BasicHost
from libp2p.network.config import ConnectionConfig, RetryConfig
from libp2p.network.swarm import Swarm
from libp2p.peer.id import ID
from libp2p.peer.peerstore import PeerStore
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE_PROTOCOL
from libp2p.security.noise.transport import Transport as NoiseTransport
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX_PROTOCOL
from libp2p.transport.upgrader import TransportUpgrader

from ssv_pool.errors import UnavailableError
from ssv_pool.network.settings import Counters, NetworkSettings
from ssv_pool.network.transport import (
    BoundedYamux,
    BufferedTCP,
    BufferedTCPStream,
    Muxers,
    install_lean_streams,
)

logger = logging.getLogger(__name__)

MAX_STREAMS_PER_PEER = 32
"""Streams a peer may have open towards us; the protocols in use need three."""

StreamHandler = Callable[[Any], Awaitable[None]]
"""Serves one inbound stream."""


class StreamGuard:
    """Runs the handler of each inbound stream so that its failure stays its own.

    The library lets an exception of any stream handler, its own included, rise through the connection's and the host's
    nurseries: one bad frame of one peer ends the host.
    """

    def __init__(self, handler: StreamHandler, counters: Counters) -> None:
        self._handler = handler
        self._counters = counters
        self._open: Counter[ID] = Counter()

    async def __call__(self, stream: Any) -> None:
        """Serve a stream, or refuse it when its peer has too many."""
        peer = stream.muxed_conn.peer_id
        if self._open[peer] >= MAX_STREAMS_PER_PEER:
            self._counters.refused_streams += 1
            await stream.reset()
            return
        self._open[peer] += 1
        try:
            await self._handler(stream)
        except Exception as error:
            self._counters.handler_errors += 1
            logger.warning("stream of peer %s reset: its handler failed: %r", peer, error)
            logger.debug("handler failure", exc_info=error)
            await stream.reset()
        finally:
            self._open[peer] -= 1
            if not self._open[peer]:
                del self._open[peer]


class LeanSwarm(Swarm):  # type: ignore[misc,unused-ignore]
    """A swarm that frees an inbound connection's slot when the connection ends.

    The library keeps slot and task of every inbound connection until the host stops, so that after 250 connections in
    its lifetime a host accepts no more.
    """

    async def run(self) -> None:
        """Run, with nobody dialling but our own loop.

        The library's connector dials any address it ever heard of while there are fewer connections than half of what
        is allowed, and has no switch.
        """
        self.auto_connector.run_background_task = _no_task
        await super().run()

    def _schedule_auto_connect(self) -> None:
        """Dial nobody when a connection ends."""

    async def _do_handle_inbound_connection(self, stream: Any, maddr: Any, _failure_event: Any) -> None:
        try:
            connection = await self.upgrade_inbound_raw_conn(_inbound(stream), maddr)
        except Exception as error:  # noqa: BLE001 - anything a stranger's first bytes can cause
            logger.debug("inbound connection dropped: %r", error)
            await stream.close()
            return
        await connection.event_closed.wait()


async def _no_task(_nursery: Any) -> None:
    """Stand in for the connector's loop."""


def _inbound(stream: Any) -> Any:
    from libp2p.network.connection.raw_connection import RawConnection

    return RawConnection(BufferedTCPStream(stream.stream), initiator=False)


def build_host(settings: NetworkSettings, counters: Counters) -> BasicHost:
    """Make a host that is not running yet.

    Built from its parts rather than with the library's ``new_host``: that one also offers plaintext and secio, and adds
    a resource manager whose connection counts leak.
    """
    install_lean_streams()
    private_key = Secp256k1PrivateKey.new(settings.identity.secret)
    key_pair = KeyPair(private_key, private_key.get_public_key())
    peer_id = ID.from_pubkey(key_pair.public_key)
    peerstore = PeerStore()
    peerstore.add_key_pair(peer_id, key_pair)
    noise = NoiseTransport(key_pair, noise_privkey=create_noise_key_pair().private_key)
    upgrader = TransportUpgrader({TProtocol(NOISE_PROTOCOL): noise}, {})
    upgrader.muxer_multistream = Muxers({TProtocol(YAMUX_PROTOCOL): BoundedYamux})
    swarm = LeanSwarm(
        peer_id,
        peerstore,
        upgrader,
        transports=[BufferedTCP()],
        # Peers are dialled again by our own loop, which knows which ones matter and when to stop.
        retry_config=RetryConfig(max_retries=0),
        connection_config=ConnectionConfig(
            max_connections=settings.max_connections,
            high_watermark=settings.max_connections,
            # Every slot may be taken by inbound connections.
            min_connections=0,
            low_watermark=0,
        ),
    )
    host = BasicHost(network=swarm, disable_identify_address_discovery=True)
    swarm.set_stream_handler(StreamGuard(host._swarm_stream_handler, counters))  # noqa: SLF001 - the guard's place
    return host


def check_port(host: str, port: int) -> None:
    """Make sure that nobody listens on the port yet.

    The library listens with SO_REUSEPORT, so a second process on the same port would start without an error and take
    half of the first one's connections.

    Raises:
        UnavailableError: the port is taken, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            raise UnavailableError(f"p2p port: cannot listen on {host}:{port}: {_reason(error)}") from None


async def close_sockets(host: BasicHost) -> None:
    """Close the listening sockets and those of all connections.

    The library does not reach its own closing of them when it is cancelled. The listeners belong to tasks outside every
    nursery: those of a host that crashed would go on accepting connections, and the peers would wait for its answers.
    """
    swarm = host.get_network()
    with trio.CancelScope(shield=True), trio.move_on_after(2):
        for listener in list(swarm.listeners.values()):
            await listener.close()
        for connection in swarm.get_connections():
            await connection.muxed_conn.secured_conn.close()


def _reason(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "the port is in use by another process"
    if error.errno == errno.EADDRNOTAVAIL:
        return "the address does not belong to this machine"
    return error.strerror or str(error)

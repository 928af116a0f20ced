"""The handshake of the SSV network: whoever dialled asks, and neither side keeps a peer that is not for it.

One stream, one request and one answer, each a signed envelope (``node_info``). The accepting side gives the dialling
one some time to ask. Peers that were configured by the operator are wanted whatever subnets they take part in: at the
start neither side knows its own yet.
"""

import logging
from collections import Counter
from collections.abc import Callable
from typing import Any

import trio
from libp2p.abc import INotifee
from libp2p.custom_types import TProtocol
from libp2p.io.exceptions import IOException
from libp2p.network.connection.exceptions import RawConnError
from libp2p.network.exceptions import SwarmException
from libp2p.network.stream.exceptions import StreamEOF, StreamError
from libp2p.peer.id import ID

from ssv_pool.network.errors import HandshakeError
from ssv_pool.network.identity import Identity
from ssv_pool.network.node_info import MAX_INFO_SIZE, NodeInfo, printable, seal, unseal
from ssv_pool.network.peers import PeerBook
from ssv_pool.network.settings import Counters

logger = logging.getLogger(__name__)

PROTOCOL = TProtocol("/ssv/info/0.0.1")
"""The handshake's protocol id."""

REQUEST_TIMEOUT = 10.0
"""Seconds the dialling side waits for the answer, and either side for a whole envelope."""

SERVE_TIMEOUT = 20.0
"""Seconds in which the dialling peer has to have asked."""

MAX_REQUESTS = 32
"""Requests of one peer that are answered while it is connected."""

QUEUED = 256
"""Connections that may wait to be looked at; more than there can be."""

_STREAM_ERRORS = (StreamError, SwarmException, IOException, RawConnError, OSError)


class Handshakes(INotifee):  # type: ignore[misc,unused-ignore]
    """Runs the handshake on every connection of a host."""

    def __init__(
        self,
        host: Any,
        identity: Identity,
        book: PeerBook,
        counters: Counters,
        own_info: Callable[[], NodeInfo],
        is_bad: Callable[[ID], bool],
    ) -> None:
        """Make the handshakes of a host.

        Args:
            host: the libp2p host.
            identity: the key that signs.
            book: where is noted what peers tell of themselves, or why they were refused.
            counters: where handshakes are counted.
            own_info: how this node introduces itself now.
            is_bad: whether a peer is known to be bad.
        """
        self._host = host
        self._identity = identity
        self._book = book
        self._counters = counters
        self._own_info = own_info
        self._is_bad = is_bad
        self._done: dict[ID, trio.Event] = {}
        self._requests: Counter[ID] = Counter()
        self._sealed: tuple[NodeInfo, bytes] | None = None
        self._send, self._connections = trio.open_memory_channel[Any](QUEUED)
        host.set_stream_handler(PROTOCOL, self.serve)
        host.get_network().register_notifee(self)

    async def run(self) -> None:
        """Look at each new connection, until cancelled."""
        async with trio.open_nursery() as nursery:
            async for connection in self._connections:
                nursery.start_soon(self._check, connection)

    async def serve(self, stream: Any) -> None:
        """Answer a peer that asks; one that is not for us gets no answer, and its connection ends."""
        peer = stream.muxed_conn.peer_id
        self._requests[peer] += self._is_connected(peer)
        if not 0 < self._requests[peer] <= MAX_REQUESTS:
            await stream.reset()
            return
        try:
            with trio.fail_after(REQUEST_TIMEOUT):
                info = unseal(await _read(stream), peer.to_bytes())
                self._judge(peer, info, inbound=not self._is_configured(peer))
                await stream.write(self._envelope())
                await stream.close()
        except (HandshakeError, trio.TooSlowError, *_STREAM_ERRORS) as error:
            await stream.reset()
            await self._refuse(peer, _reason(error))
            return
        self._accept(peer, info)

    async def _check(self, connection: Any) -> None:
        peer = connection.muxed_conn.peer_id
        try:
            if self._is_bad(peer):
                raise HandshakeError("its score is that of a bad peer")
            if connection.muxed_conn.is_initiator:
                with trio.fail_after(REQUEST_TIMEOUT):
                    info = await self._ask(peer)
                self._judge(peer, info, inbound=False)
                self._accept(peer, info)
            elif self._is_connected(peer):
                with trio.fail_after(SERVE_TIMEOUT):
                    await self._event(peer).wait()
        except (HandshakeError, trio.TooSlowError, *_STREAM_ERRORS) as error:
            if not connection.is_closed:
                await self._refuse(peer, _reason(error))
        except Exception as error:
            logger.debug("handshake with peer %s failed", peer, exc_info=error)
            if not connection.is_closed:
                await self._refuse(peer, repr(error))

    async def _ask(self, peer: ID) -> NodeInfo:
        stream = await self._host.new_stream(peer, [PROTOCOL])
        try:
            await stream.write(self._envelope())
            await stream.close_write()
            return unseal(await _read(stream), peer.to_bytes())
        finally:
            with trio.CancelScope(shield=True), trio.move_on_after(1):
                await stream.reset()

    def _judge(self, peer: ID, info: NodeInfo, *, inbound: bool) -> None:
        """The filters. Raises HandshakeError."""
        own = self._own_info()
        if info.network_id != own.network_id:
            raise HandshakeError(f"its network id is {printable(info.network_id)!r}, expected {own.network_id!r}")
        if self._is_bad(peer):
            raise HandshakeError("its score is that of a bad peer")
        if inbound and own.subnets and info.subnets is not None and not own.subnets & info.subnets:
            raise HandshakeError("it takes part in none of our subnets")

    def _is_configured(self, peer: ID) -> bool:
        record = self._book.find(str(peer))
        return record is not None and record.address is not None

    def _is_connected(self, peer: ID) -> bool:
        """Whether what is noted of the peer will be forgotten when its connection ends."""
        return bool(self._host.get_network().get_connections(peer))

    def _accept(self, peer: ID, info: NodeInfo) -> None:
        self._counters.handshakes += 1
        if (record := self._book.find(str(peer))) is not None:
            record.info = info
        if self._is_connected(peer):
            self._event(peer).set()

    async def _refuse(self, peer: ID, why: str) -> None:
        self._counters.handshakes_refused += 1
        if (record := self._book.find(str(peer))) is not None:
            record.last_error = f"handshake: {why}"
        logger.warning("peer %s refused: handshake: %s", peer, why)
        await self._host.get_network().close_peer(peer)

    def _event(self, peer: ID) -> trio.Event:
        return self._done.setdefault(peer, trio.Event())

    def _envelope(self) -> bytes:
        """Our own envelope; signed anew when something in it changed."""
        info = self._own_info()
        if self._sealed is None or self._sealed[0] != info:
            self._sealed = (info, seal(info, self._identity))
        return self._sealed[1]

    # What the swarm tells.

    async def connected(self, network: Any, conn: Any) -> None:  # noqa: ARG002 - the library's interface
        """A connection began."""
        try:
            self._send.send_nowait(conn)
        except trio.WouldBlock:
            await conn.close()

    async def disconnected(self, network: Any, conn: Any) -> None:
        """A connection ended; a peer without any has to shake hands again."""
        peer = conn.muxed_conn.peer_id
        if not network.get_connections(peer):
            self._done.pop(peer, None)
            self._requests.pop(peer, None)

    async def opened_stream(self, network: Any, stream: Any) -> None:
        """Not of interest."""

    async def closed_stream(self, network: Any, stream: Any) -> None:
        """Not of interest."""

    async def listen(self, network: Any, multiaddr: Any) -> None:
        """Not of interest."""

    async def listen_close(self, network: Any, multiaddr: Any) -> None:
        """Not of interest."""


async def _read(stream: Any) -> bytes:
    """Read to the end of what the peer writes. Raises HandshakeError when that is too much."""
    data = b""
    try:
        while True:
            piece = await stream.read(MAX_INFO_SIZE)
            if not piece:
                return data
            data += piece
            if len(data) > MAX_INFO_SIZE:
                raise HandshakeError(f"more than {MAX_INFO_SIZE} bytes")
    except StreamEOF:
        return data


def _reason(error: BaseException) -> str:
    if isinstance(error, trio.TooSlowError):
        return "not finished in time"
    if isinstance(error, HandshakeError):
        return str(error)
    return f"its stream failed: {str(error).splitlines()[0] if str(error) else type(error).__name__}"

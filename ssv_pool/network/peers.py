"""Keeping configured peers connected, noticing dead connections, and the status of both."""

import logging
import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import trio
from libp2p.abc import INotifee
from libp2p.peer.id import ID
from multiaddr import Multiaddr

from ssv_pool.network.node_info import NodeInfo
from ssv_pool.network.settings import Counters, NetworkSettings, PeerAddress, PeerStatus

logger = logging.getLogger(__name__)

FIRST_PAUSE = 0.5
"""Seconds before a failed dial is tried again."""

LONGEST_PAUSE = 3.0
"""Seconds between two dials of a peer that stays away; a restarted peer waits no longer than this."""

POLITE_PAUSE = 2.0
"""Seconds that the side with the greater peer id leaves the dialling to the other, so that two sides that know each
other make one connection, not two."""

WATCH_INTERVAL = 0.5
"""Seconds between two looks at all connections."""


@dataclass(slots=True)
class PeerRecord:
    """What is known of a peer."""

    address: PeerAddress | None = None
    connected: bool = False
    since: float | None = None
    rtt: float | None = None
    last_error: str | None = None
    info: NodeInfo | None = None
    """What it told in the handshake."""


class PeerBook(INotifee):  # type: ignore[misc,unused-ignore]
    """State of all peers; outlives the host. Hears of connections from the swarm."""

    def __init__(self, addresses: tuple[PeerAddress, ...], counters: Counters, clock: Callable[[], float]) -> None:
        self._counters = counters
        self._clock = clock
        self._records = {address.peer_id: PeerRecord(address) for address in addresses}
        self._changed = trio.Event()

    def record(self, peer_id: str) -> PeerRecord:
        """The record of a peer, made if it is new."""
        return self._records.setdefault(peer_id, PeerRecord())

    def find(self, peer_id: str) -> PeerRecord | None:
        """The record of a peer; None for one that is neither configured nor connected."""
        return self._records.get(peer_id)

    def statuses(self, topics: Callable[[str], tuple[str, ...]]) -> tuple[PeerStatus, ...]:
        """All configured peers in their order, then the others that are connected."""
        return tuple(
            PeerStatus(
                peer_id=peer_id,
                address=record.address.text if record.address else None,
                connected=record.connected,
                since=record.since,
                rtt=record.rtt,
                topics=topics(peer_id) if record.connected else (),
                last_error=record.last_error,
                node_version=record.info.node_version if record.info else None,
            )
            for peer_id, record in self._records.items()
        )

    def measured(self, peer_id: str, rtt: float) -> None:
        """Note a connected peer's round trip time in seconds; 0 means not known yet."""
        record = self._records.get(peer_id)
        if record is not None and record.connected and rtt:
            record.rtt = rtt

    def all_gone(self) -> None:
        """The host ended, and every connection with it."""
        for peer_id in [peer_id for peer_id, record in self._records.items() if record.connected]:
            self._set(peer_id, connected=False)

    async def wait_for(self, peer_id: str, *, connected: bool) -> None:
        """Return when a peer is connected, or when it is not."""
        while self.record(peer_id).connected is not connected:
            await self._changed.wait()

    async def connected(self, network: Any, conn: Any) -> None:  # noqa: ARG002 - the library's interface
        """A connection began."""
        self._set(str(conn.muxed_conn.peer_id), connected=True)

    async def disconnected(self, network: Any, conn: Any) -> None:
        """A connection ended; the peer is gone if it was the last one."""
        peer = conn.muxed_conn.peer_id
        if not network.get_connections(peer):
            self._set(str(peer), connected=False)

    async def opened_stream(self, network: Any, stream: Any) -> None:
        """Not of interest."""

    async def closed_stream(self, network: Any, stream: Any) -> None:
        """Not of interest."""

    async def listen(self, network: Any, multiaddr: Any) -> None:
        """Not of interest."""

    async def listen_close(self, network: Any, multiaddr: Any) -> None:
        """Not of interest."""

    def _set(self, peer_id: str, *, connected: bool) -> None:
        record = self.record(peer_id)
        if record.connected == connected:
            return
        record.connected = connected
        record.since = self._clock()
        if connected:
            record.last_error = None
            self._counters.connects += 1
        else:
            record.rtt = record.info = None
            self._counters.disconnects += 1
            if record.address is None:
                # Strangers come and go without number.
                self._records.pop(peer_id, None)
        self._changed.set()
        self._changed = trio.Event()
        logger.info("peer %s %s", peer_id, "connected" if connected else "disconnected")


async def keep_connected(swarm: Any, book: PeerBook, address: PeerAddress, settings: NetworkSettings) -> None:
    """Dial one peer whenever it is not connected.

    Past the library's dialling by peer id, which refuses a peer for a minute after one failure and prefers addresses
    that the peer gave for itself.
    """
    peer = ID.from_base58(address.peer_id)
    target = Multiaddr(address.text)
    record = book.record(address.peer_id)
    polite = settings.identity.peer_id_bytes > peer.to_bytes()
    pause = FIRST_PAUSE
    while True:
        await book.wait_for(address.peer_id, connected=False)
        if record.last_error is None:
            pause = FIRST_PAUSE
        if polite:
            with trio.move_on_after(POLITE_PAUSE) as patience:
                await book.wait_for(address.peer_id, connected=True)
            if not patience.cancelled_caught:
                continue
        try:
            with trio.fail_after(settings.dial_timeout):
                await swarm.dial_addr(target, peer)
        except Exception as error:  # noqa: BLE001 - a dial fails in many ways, all with the same answer: again
            record.last_error = _cause(error)
            logger.debug("dial of %s failed: %r", address.text, error)
        await trio.sleep(pause * random.uniform(0.75, 1.25))
        pause = min(pause * 1.5, LONGEST_PAUSE)


async def watch_connections(swarm: Any, book: PeerBook, settings: NetworkSettings, counters: Counters) -> None:
    """End connections whose peer does not answer pings.

    A peer that lost its power or its route leaves a connection that looks open for as long as TCP retransmits, some
    15 minutes.
    """
    async with trio.open_nursery() as nursery:
        while True:
            await trio.sleep(WATCH_INTERVAL)
            for connection in swarm.get_connections():
                book.measured(str(connection.muxed_conn.peer_id), connection.muxed_conn.rtt())
                silence = connection.muxed_conn.silence()
                if silence >= settings.dead_after and not connection.is_closed:
                    counters.dead_connections += 1
                    logger.warning(
                        "connection to peer %s closed: no answer for %.0f s", connection.muxed_conn.peer_id, silence
                    )
                    nursery.start_soon(_abandon, connection)


async def _abandon(connection: Any) -> None:
    with trio.move_on_after(2):
        # The socket first: the library's closing writes a farewell, which waits for good when the dead peer's socket
        # buffer is full; and whatever else waits to write to the peer then fails.
        await connection.muxed_conn.secured_conn.close()
    await connection.close()


def _cause(error: BaseException) -> str:
    """The innermost cause of a dial's failure in one line."""
    if isinstance(error, trio.TooSlowError):
        return "timed out"
    while True:
        if isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        elif error.__cause__ is not None:
            error = error.__cause__
        else:
            break
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return str(error).splitlines()[0] if str(error) else type(error).__name__

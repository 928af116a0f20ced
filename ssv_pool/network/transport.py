"""TCP and Yamux as libp2p 0.8.1 ships them, with what hostile peers and many small messages need."""

import struct
from typing import Any

import trio
from libp2p.io.exceptions import ConnectionClosedError, IOException
from libp2p.io.trio import TrioTCPStream
from libp2p.network.connection.exceptions import RawConnError
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.stream_muxer.muxer_multistream import MuxerMultistream
from libp2p.stream_muxer.yamux import yamux
from libp2p.transport.exceptions import OpenConnectionError
from libp2p.transport.tcp.tcp import TCP
from multiaddr import Multiaddr

READ_SIZE = 64 * 1024
"""Bytes asked of the socket at a time."""

WINDOW_UPDATE_SIZE = 32 * 1024
"""Bytes read from a stream before its sender is told, an eighth of Yamux's window."""

MAX_UNREAD = 1024 * 1024
"""Bytes of a stream that may wait unread, four windows; a peer that sends more ignores the flow control."""


class BufferedTCPStream(TrioTCPStream):  # type: ignore[misc,unused-ignore]
    """A TCP stream that reads what is there.

    The library asks the socket for a Noise frame's two length bytes, then for the frame: two system calls a frame.
    It also gives up a frame that arrives in more than a hundred pieces; here a read returns all the bytes it was asked
    for unless the connection ends.
    """

    def __init__(self, stream: trio.SocketStream) -> None:
        super().__init__(stream)
        self._buffer = bytearray()

    async def read(self, n: int | None = None) -> bytes:
        """Read exactly ``n`` bytes, or fewer at the end of the connection; without ``n`` what is there."""
        if n == 0:
            return b""
        buffer = self._buffer
        # Most reads find here what they want. Taking the lock lets every other task run in between.
        if n is not None and n <= len(buffer) and not self.read_lock.locked():
            return self._take(n)
        async with self.read_lock:
            while len(buffer) < (n or 1):
                data = await self._receive()
                if not data:
                    break
                buffer += data
            return self._take(len(buffer) if n is None else min(n, len(buffer)))

    def _take(self, size: int) -> bytes:
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    async def _receive(self) -> bytes:
        try:
            return bytes(await self.stream.receive_some(READ_SIZE))
        except trio.BrokenResourceError as error:
            raise ConnectionClosedError(f"TCP connection reset by the peer: {error}", transport="tcp") from error
        except trio.ClosedResourceError:
            return b""


class BufferedTCP(TCP):  # type: ignore[misc,unused-ignore]
    """TCP that dials with buffered streams, and without an ERROR in the log for each peer that is down."""

    async def _dial_resolved(self, maddr: Multiaddr, source: tuple[str, int] | None = None) -> RawConnection:  # noqa: ARG002
        host = next((maddr.value_for_protocol(p.code) for p in maddr.protocols() if p.name in ("ip4", "ip6")), None)
        if host is None:
            raise OpenConnectionError(f"no IP address in {maddr}")
        try:
            stream = await trio.open_tcp_stream(host, int(maddr.value_for_protocol("tcp")))
        except OSError as error:
            raise OpenConnectionError(f"{maddr}: {error}") from error
        return RawConnection(BufferedTCPStream(stream), initiator=True)


class LeanYamuxStream(yamux.YamuxStream):  # type: ignore[misc,unused-ignore]
    """A Yamux stream that returns receive window in steps of 32 KB.

    The library sends a window update after nearly every read: a frame, an encryption and a system call for each message
    received. Its window also grows with the speed of the link; here it stays at 256 KB, which bounds what a peer can
    make this node hold.
    """

    _pending_recv_release: int
    recv_window: int

    async def _auto_tune_and_send_window_update(self, *, bytes_read: int = 0) -> None:
        self._pending_recv_release += bytes_read
        if self._pending_recv_release >= WINDOW_UPDATE_SIZE:
            released, self._pending_recv_release = self._pending_recv_release, 0
            self.recv_window += released
            await self.send_window_update(released, skip_lock=True)


class _StreamBuffer(bytearray):
    """A stream's unread bytes; more than a peer may send ends the connection."""

    __slots__ = ("connection",)

    connection: "BoundedYamux"

    def extend(self, data: Any) -> None:
        if len(self) + len(data) > MAX_UNREAD:
            # The library logs the overrun and keeps the bytes. This ends its read loop, which closes the connection.
            self.connection.event_shutting_down.set()
            return
        super().extend(data)


class _StreamBuffers(dict[int, bytearray]):
    """The buffers of a connection's streams: whatever buffer is put in becomes a bounded one."""

    def __init__(self, connection: "BoundedYamux") -> None:
        super().__init__()
        self._connection = connection

    def __setitem__(self, stream_id: int, buffer: bytearray) -> None:
        bounded = _StreamBuffer(buffer)
        bounded.connection = self._connection
        super().__setitem__(stream_id, bounded)


class BoundedYamux(yamux.Yamux):  # type: ignore[misc,unused-ignore]
    """A Yamux connection that knows whether its peer is alive, and whose peer cannot fill the memory.

    Liveness is asked with Yamux's own ping, one small frame each way that every implementation answers. The library's
    monitor opens and negotiates a stream for each ping, which with twelve peers costs more than their gossip.
    """

    _ping_id: int
    ping_interval = 2.0
    """Seconds from a ping's answer to the next ping."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.stream_buffers = _StreamBuffers(self)
        self._waiting_since: float | None = None

    def silence(self) -> float:
        """Seconds for which a ping has been waiting for its answer; 0 when none is."""
        return 0.0 if self._waiting_since is None else trio.current_time() - self._waiting_since

    async def _measure_rtt_loop(self) -> None:
        while not self.event_shutting_down.is_set():
            self._ping_id = (self._ping_id + 1) % 2**32
            self._ping_event = trio.Event()
            self._waiting_since = self._ping_sent_time = trio.current_time()
            ping = struct.pack(yamux.YAMUX_HEADER_FORMAT, 0, yamux.TYPE_PING, yamux.FLAG_SYN, 0, self._ping_id)
            try:
                # No time limit here: a write cut off half way would garble the connection. It may wait for good when
                # the peer is dead, which is what silence() tells.
                await self._write_frame(ping)
            except (IOException, RawConnError):
                return
            await self._ping_event.wait()
            self._waiting_since = None
            await trio.sleep(self.ping_interval)


class Muxers(MuxerMultistream):  # type: ignore[misc,unused-ignore]
    """Negotiates the muxer and makes connections of the class that was configured.

    The library's makes its own Yamux whatever class is given for Yamux's protocol.
    """

    async def new_conn(self, conn: Any, peer_id: Any) -> Any:
        """Agree with the peer on a muxer and put it on a secured connection."""
        protocol, connection_class = await self._selector.select(conn, conn.is_initiator, self.negotiate_timeout)
        connection = connection_class(conn, peer_id, is_initiator=conn.is_initiator)
        return self._annotate_connection(connection, conn, protocol)


def install_lean_streams() -> None:
    """Make Yamux use :class:`LeanYamuxStream`; it names its stream class in two methods of 300 lines."""
    yamux.YamuxStream = LeanYamuxStream

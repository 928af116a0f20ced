"""Connections between the beacon nodes of one devnet: each node dials the peers it was given and is dialled by others.

Both sides say hello, the one that does not know the other's head asks for blocks, and from then on each passes on what
it accepts. A connection that breaks is dialled again, so a node that was stopped catches up when it returns.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

import aiohttp
import structlog
from aiohttp import web

from ssv_pool.devnet.beacon.exchange import Exchange
from ssv_pool.devnet.beacon.frames import (
    MAX_FRAME_BYTES,
    FrameError,
    FrameKind,
    Hello,
    SentUpTo,
    decode_frame,
    encode_frame,
    encode_slot,
)
from ssv_pool.devnet.beacon.node import BeaconNode

PATH = "/devnet/peer"
"""Where a node takes its peers' connections."""

RETRY_SECONDS = 0.25
"""Pause before a peer is dialled again."""

HELLO_SECONDS = 10.0
"""How long the other side may take to introduce itself."""

HEARTBEAT_SECONDS = 30.0
"""Pause between pings; a connection that does not answer one within half of it is given up. Only for machines that
vanish: a process that is killed closes its connections, and a busy one is not to lose them."""

OUTBOX_FRAMES = 8192
"""Frames kept for a connection that does not read; one more and it is cut off (it dials again and catches up)."""

_ENDED = (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)

Socket = aiohttp.ClientWebSocketResponse | web.WebSocketResponse


@dataclass(eq=False, slots=True)
class _Session:
    socket: Socket
    dialled: bool
    """Whether this node dialled."""
    peer: bytes = b""
    """Identity of the other side; empty before its hello."""
    outbox: "asyncio.Queue[bytes]" = field(default_factory=lambda: asyncio.Queue(OUTBOX_FRAMES))
    wanted_head: int = -1
    """Slot of the head that is being caught up with; -1 when there is nothing to catch up with."""


class Following:
    """A node's connections to other nodes."""

    def __init__(self, node: BeaconNode, peers: Sequence[str] = ()) -> None:
        """Make the connections' owner; nothing is dialled before ``run``.

        Args:
            node: the node.
            peers: base URLs of nodes to dial.
        """
        self._node = node
        self._peers = tuple(peers)
        self._identity = secrets.token_bytes(16)
        self._sessions: dict[bytes, _Session] = {}
        self._untried = set(self._peers)
        self._closing: set[asyncio.Task[None]] = set()
        self._exchange = Exchange(node, self._send_to_all_but)
        self._log = structlog.get_logger("beacon")
        node.distance = self.distance

    @property
    def connected(self) -> int:
        """Nodes that this one is connected with."""
        return len(self._sessions)

    def distance(self) -> int:
        """Slots that this node is behind the others as far as it knows; 0 when it has what they have."""
        head = self._node.chain.history.head.slot
        wanted = max((session.wanted_head for session in self._sessions.values()), default=-1)
        if self._untried and self._node.clock.started():
            # It has just been started and has asked nobody yet what it missed.
            wanted = max(wanted, self._node.clock.slot())
        return max(0, wanted - head)

    async def run(self) -> None:
        """Keep connections to the peers, until cancelled."""
        async with aiohttp.ClientSession() as client, asyncio.TaskGroup() as tasks:
            for url in self._peers:
                tasks.create_task(self._keep(client, url))
            await asyncio.Event().wait()

    async def _keep(self, client: aiohttp.ClientSession, url: str) -> None:
        peer = b""
        while True:
            if peer not in self._sessions:
                try:
                    peer = await self._dial(client, url) or peer
                except (aiohttp.ClientError, OSError, TimeoutError):
                    self._untried.discard(url)  # it is not there: what is here is all there is
            if peer == self._identity:
                self._log.warning("peer is this node itself", url=url)
                return
            await asyncio.sleep(RETRY_SECONDS)

    async def _dial(self, client: aiohttp.ClientSession, url: str) -> bytes:
        """Dial once and stay connected until it breaks; returns the peer's identity, empty if it gave none."""
        async with asyncio.timeout(HELLO_SECONDS):
            socket = await client.ws_connect(
                url + PATH, heartbeat=HEARTBEAT_SECONDS, max_msg_size=MAX_FRAME_BYTES, compress=0
            )
        session = _Session(socket, dialled=True)
        await self._converse(session, url)
        return session.peer

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """Take a peer's connection and stay with it until it ends."""
        socket = web.WebSocketResponse(heartbeat=HEARTBEAT_SECONDS, max_msg_size=MAX_FRAME_BYTES, compress=False)
        await socket.prepare(request)
        await self._converse(_Session(socket, dialled=False), "")
        return socket

    async def close(self) -> None:
        """End all connections."""
        for session in list(self._sessions.values()):
            await session.socket.close()

    # ---- one connection

    async def _converse(self, session: _Session, url: str) -> None:
        try:
            await session.socket.send_bytes(encode_frame(FrameKind.HELLO, self._hello().encode()))
            hello = await self._read_hello(session)
            if not self._admit(session, hello):
                self._untried.discard(url)
                return
            writer = asyncio.create_task(self._write(session))
            try:
                self._catch_up(session, hello)
                self._untried.discard(url)
                await self._read(session)
            finally:
                writer.cancel()
                self._part(session)
                if url and session.wanted_head >= 0:
                    self._untried.add(url)  # it broke off before everything had come
        except FrameError as error:
            self._untried.discard(url)
            self._log.warning("peer cut off", reason=str(error))
        except (ConnectionError, TimeoutError, aiohttp.ClientError) as error:
            if session.wanted_head < 0:
                self._untried.discard(url)
            self._log.info("peer lost", reason=type(error).__name__)
        finally:
            await session.socket.close()

    def _hello(self) -> Hello:
        self._node.chain.tick()
        self._node.chain.head()
        history = self._node.chain.history
        return Hello(self._identity, history.genesis.root, history.head.root, history.head.slot)

    async def _read_hello(self, session: _Session) -> Hello:
        async with asyncio.timeout(HELLO_SECONDS):
            kind, content = decode_frame(_content(await session.socket.receive()))
        if kind is not FrameKind.HELLO:
            raise FrameError(f"first frame: found {kind.name}, expected HELLO")
        return Hello.decode(content)

    def _admit(self, session: _Session, hello: Hello) -> bool:
        """Whether to go on with a connection: same chain, another node, and the better of two connections."""
        session.peer = hello.identity
        if hello.identity == self._identity:
            return False
        genesis = self._node.chain.history.genesis.root
        if hello.genesis_root != genesis:
            raise FrameError(f"genesis: found {hello.genesis_root.hex()}, expected {genesis.hex()}")
        other = self._sessions.get(hello.identity)
        if other is not None:
            if not self._better(session):
                return False
            while not other.outbox.empty():
                session.outbox.put_nowait(other.outbox.get_nowait())
        self._sessions[hello.identity] = session
        if other is not None:
            self._close_soon(other)
        self._log.info("peer connected", head=hello.head_slot, dialled=session.dialled)
        return True

    def _better(self, session: _Session) -> bool:
        """Of two connections between two nodes, both keep the one that the lower identity dialled."""
        return session.dialled == (self._identity < session.peer)

    def _part(self, session: _Session) -> None:
        if self._sessions.get(session.peer) is session:
            del self._sessions[session.peer]

    async def _read(self, session: _Session) -> None:
        while True:
            message = await session.socket.receive()
            if message.type in _ENDED:
                return
            kind, content = decode_frame(_content(message))
            if kind is FrameKind.SENT_UP_TO:
                self._go_on(session, SentUpTo.decode(content))
                continue
            for frame in self._receive(session, kind, content):
                self._send(session, frame)
            # Requests of clients get their turn between two blocks of a long catch-up.
            await asyncio.sleep(0)

    def _receive(self, session: _Session, kind: FrameKind, content: bytes) -> list[bytes]:
        try:
            return self._exchange.receive(kind, content, session)
        except FrameError:
            raise
        except Exception:  # noqa: BLE001 - whatever it is, it is in the log with its trace, and the chain must go on
            self._log.exception("frame of a peer failed", kind=kind.name)
            return []

    async def _write(self, session: _Session) -> None:
        with contextlib.suppress(ConnectionError, aiohttp.ClientError):
            while True:
                await session.socket.send_bytes(await session.outbox.get())

    # ---- catching up

    def _catch_up(self, session: _Session, hello: Hello) -> None:
        if not self._exchange.knows(hello.head_root):
            session.wanted_head = hello.head_slot
            self._send(session, encode_frame(FrameKind.BLOCKS_WANTED, encode_slot(self._exchange.first_wanted())))

    def _go_on(self, session: _Session, sent: SentUpTo) -> None:
        """The blocks asked for have come: ask for the next ones if there are more."""
        if sent.last < sent.head:
            session.wanted_head = sent.head
            self._send(session, encode_frame(FrameKind.BLOCKS_WANTED, encode_slot(sent.last + 1)))
        else:
            session.wanted_head = -1
            self._log.info("caught up", head=self._node.chain.history.head.slot, peer_head=sent.head)

    # ---- sending

    def _send_to_all_but(self, frame: bytes, source: object) -> None:
        for session in list(self._sessions.values()):
            if session is not source:
                self._send(session, frame)

    def _send(self, session: _Session, frame: bytes) -> None:
        try:
            session.outbox.put_nowait(frame)
        except asyncio.QueueFull:
            self._log.warning("peer does not read: cut off")
            self._part(session)
            self._close_soon(session)

    def _close_soon(self, session: _Session) -> None:
        task = asyncio.get_running_loop().create_task(_close(session.socket))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


async def _close(socket: Socket) -> None:
    await socket.close()


def _content(message: aiohttp.WSMessage) -> bytes:
    if message.type is not aiohttp.WSMsgType.BINARY:
        raise FrameError(f"message: found {message.type.name}, expected binary")
    return bytes(message.data)

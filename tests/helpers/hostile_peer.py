"""A peer that is nobody's operator: it listens to a committee's gossip and sends it everything it should not."""

import contextlib
import itertools
import random
from collections.abc import AsyncIterator, Sequence

import trio

from ssv_pool.network import Introduction, Network, NetworkSettings, PeerAddress, Verdict
from ssv_pool.network.frames import encode_varint
from ssv_pool.network.identity import new_identity
from ssv_pool.network.topics import MAX_MESSAGE_SIZE
from ssv_pool.networks import network_named

KEPT = 500
"""Genuine messages that are kept to be sent again."""


class HostilePeer:
    """Connected to all operators and in the mesh of their topic."""

    def __init__(self, addresses: Sequence[str], topic: str) -> None:
        identity = new_identity()
        peers = tuple(map(PeerAddress.parse, addresses))
        # It introduces itself as an honest peer of the network would: else it would not be listened to at all.
        introduction = Introduction(lambda: f"0x{network_named('devnet').domain_type.hex()}", "hostile/1")
        settings = NetworkSettings(identity, host="127.0.0.1", port=0, peers=peers, introduction=introduction)
        self.network = Network(settings, lambda _sender, _topic, _data: Verdict.ACCEPT)
        self._topic = topic
        self._publisher = identity.peer_id_bytes
        self._numbers = itertools.count(1)
        self._random = random.Random(4)
        self.genuine: list[bytes] = []
        """Messages of the committee that it heard."""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run inside the block; connected to all peers when it begins."""
        await self.network.subscribe(self._topic)
        async with trio.open_nursery() as nursery:
            await nursery.start(self.network.run)
            nursery.start_soon(self._listen)
            await self.connected()
            yield
            nursery.cancel_scope.cancel()

    async def connected(self) -> None:
        """Wait until it can send to all peers."""
        with trio.fail_after(60):
            while len(self._router.outboxes) < len(self.network.peers()):  # noqa: ASYNC110 - it tells of no changes
                await trio.sleep(0.05)

    async def heard(self, count: int) -> None:
        """Wait until it heard so many genuine messages."""
        with trio.fail_after(90):
            while len(self.genuine) < count:  # noqa: ASYNC110 - it tells of no changes
                await trio.sleep(0.05)

    def garbage(self, count: int) -> None:
        """Bytes that mean nothing, of all sizes."""
        self._send([self._random.randbytes(self._random.choice((1, 2, 7, 60, 300, 2000))) for _ in range(count)])

    def spoiled(self, count: int) -> None:
        """Genuine messages with a bit changed, cut short, or with something behind them."""
        messages = []
        for original in self._random.choices(self.genuine, k=count):
            raw = bytearray(original)
            place = self._random.randrange(len(raw))
            kind = self._random.randrange(3)
            if kind == 0:
                raw[place] ^= 1 << self._random.randrange(8)
            elif kind == 1:
                del raw[place:]
            else:
                raw += self._random.randbytes(place + 1)
            messages.append(bytes(raw) or b"\0")
        self._send(messages)

    def replay(self) -> None:
        """Everything that was heard, once more."""
        self._send(self.genuine)

    def signed_and_nameless(self) -> None:
        """Messages whose envelope breaks the rules: with a signature, without data, without publisher."""
        from libp2p.pubsub.pb import rpc_pb2

        text = self.genuine[-1]
        fields = [
            {"data": text, "signature": b"s" * 70, "from_id": self._publisher},
            {"data": b"", "from_id": self._publisher},
            {"data": text},
        ]
        bad = [rpc_pb2.Message(topicIDs=[self._topic], seqno=self._number(), **each) for each in fields]
        self._to_all(rpc_pb2.RPC(publish=bad))

    def oversized_message(self) -> None:
        """One message a byte larger than allowed, to one peer."""
        raw = self._rpc([bytes(MAX_MESSAGE_SIZE + 1)])
        next(iter(self._router.outboxes.values())).push_message(raw)

    async def oversized_frame(self) -> None:
        """To every peer a frame that says it has 2 GiB; they end the connection, and it is made anew."""
        counters, peers = self.network.counters, list(self._router.outboxes)
        cut_off = counters.disconnects + len(peers)
        for peer in peers:
            stream = self._session.pubsub.peers.get(peer)
            if stream is not None:
                with contextlib.suppress(Exception):  # the peer is allowed to be gone before all is sent
                    await stream.write(encode_varint(2**31) + b"x" * 1000)
        with trio.fail_after(60):
            while counters.disconnects < cut_off:  # noqa: ASYNC110 - it tells of no changes
                await trio.sleep(0.05)
        await self.connected()

    async def _listen(self) -> None:
        async for message in self.network.messages:
            if len(self.genuine) < KEPT:
                self.genuine.append(message.data)

    def _send(self, messages: Sequence[bytes]) -> None:
        for start in range(0, len(messages), 50):
            raw = self._rpc(messages[start : start + 50])
            for outbox in self._router.outboxes.values():
                outbox.push_message(raw)

    def _rpc(self, messages: Sequence[bytes]) -> bytes:
        from libp2p.pubsub.pb import rpc_pb2

        publish = [
            rpc_pb2.Message(data=data, topicIDs=[self._topic], from_id=self._publisher, seqno=self._number())
            for data in messages
        ]
        encoded: bytes = rpc_pb2.RPC(publish=publish).SerializeToString()
        return encoded

    def _to_all(self, rpc: object) -> None:
        for peer in list(self._router.outboxes):
            self._router.send_rpc(peer, rpc)

    def _number(self) -> bytes:
        return next(self._numbers).to_bytes(8, "big")

    @property
    def _session(self):
        assert self.network._session is not None
        return self.network._session

    @property
    def _router(self):
        return self._session.router

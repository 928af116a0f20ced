"""Real hosts on loopback, and a peer that does not keep to the rules."""

import contextlib
import functools
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import trio
from libp2p.custom_types import TProtocol
from libp2p.peer.id import ID
from libp2p.pubsub.pb import rpc_pb2
from multiaddr import Multiaddr

from ssv_pool.network import Network, NetworkSettings, PeerAddress, Verdict, alan_topic
from ssv_pool.network.frames import FrameReader, encode_varint
from ssv_pool.network.host import build_host, close_sockets
from ssv_pool.network.identity import Identity, new_identity
from ssv_pool.network.router import MESHSUB
from ssv_pool.network.settings import Counters

TOPIC = alan_topic(9)


async def until(condition: Callable[[], Any], seconds: float = 20) -> None:
    """Wait for a condition of the hosts' state, which tells of no changes, with a deadline."""
    with trio.fail_after(seconds):
        while not condition():  # noqa: ASYNC110
            await trio.sleep(0.01)


def in_trio(test):
    """Run an async test under a deadline."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        async def main() -> None:
            with trio.fail_after(60):
                await test(*args, **kwargs)

        trio.run(main)

    return run


def accept(_sender: bytes, _topic: str, _data: bytes) -> Verdict:
    return Verdict.ACCEPT


@contextlib.asynccontextmanager
async def running(network: Network) -> AsyncIterator[str]:
    """Run a network inside the block; gives its address."""
    async with trio.open_nursery() as nursery:
        (address,) = await nursery.start(network.run)
        try:
            yield address
        finally:
            nursery.cancel_scope.cancel()


def network(*peers: str, validate: Any = accept, identity: Identity | None = None, **settings: Any) -> Network:
    return Network(
        NetworkSettings(
            identity or new_identity(),
            host="127.0.0.1",
            port=settings.pop("port", 0),
            peers=tuple(map(PeerAddress.parse, peers)),
            **settings,
        ),
        validate,
    )


def in_mesh(*networks: Network) -> bool:
    return all(len(net._session.router.mesh.get(TOPIC, ())) == len(networks) - 1 for net in networks if net._session)


@contextlib.asynccontextmanager
async def committee(count: int, **settings: Any) -> AsyncIterator[list[Network]]:
    """Some networks, all connected and in one another's mesh of one topic."""
    async with contextlib.AsyncExitStack() as stack:
        networks: list[Network] = []
        addresses: list[str] = []
        for _ in range(count):
            net = network(*addresses, **settings)
            await net.subscribe(TOPIC)
            addresses.append(await stack.enter_async_context(running(net)))
            networks.append(net)
        await until(lambda: in_mesh(*networks))
        yield networks


@dataclass
class Stranger:
    """A host that speaks gossip by hand."""

    host: Any
    connection: Any
    stream: Any
    received: list[rpc_pb2.RPC] = field(default_factory=list)

    @property
    def peer_id(self) -> ID:
        return self.host.get_id()

    async def send_raw(self, data: bytes) -> None:
        await self.stream.write(data)

    async def send(self, rpc: rpc_pb2.RPC) -> None:
        raw = rpc.SerializeToString()
        await self.send_raw(encode_varint(len(raw)) + raw)

    async def subscribe(self) -> None:
        await self.send(rpc_pb2.RPC(subscriptions=[rpc_pb2.RPC.SubOpts(subscribe=True, topicid=TOPIC)]))

    async def publish(self, data: bytes, **fields: Any) -> None:
        fields = {"topicIDs": [TOPIC], "from_id": self.peer_id.to_bytes(), "seqno": bytes(8), **fields}
        await self.send(rpc_pb2.RPC(publish=[rpc_pb2.Message(data=data, **fields)]))

    def messages(self) -> list[rpc_pb2.Message]:
        return [msg for rpc in self.received for msg in rpc.publish]

    @property
    def cut_off(self) -> bool:
        return bool(self.connection.muxed_conn.event_shutting_down.is_set())


@contextlib.asynccontextmanager
async def stranger(address: str) -> AsyncIterator[Stranger]:
    """Connect a hand-driven host to a network."""
    from libp2p.tools.anyio_service import background_trio_service

    peer = PeerAddress.parse(address)
    host = build_host(NetworkSettings(new_identity()), Counters())
    received: list[rpc_pb2.RPC] = []

    async def collect(stream: Any) -> None:
        reader = FrameReader(1 << 24)
        with contextlib.suppress(Exception):
            while True:
                received.extend(map(rpc_pb2.RPC.FromString, reader.feed(await stream.read(1 << 16))))

    host.set_stream_handler(MESHSUB, collect)
    try:
        async with background_trio_service(host.get_network()):
            connection = await host.get_network().dial_addr(Multiaddr(address), ID.from_base58(peer.peer_id))
            stream = await host.new_stream(ID.from_base58(peer.peer_id), [TProtocol(MESHSUB)])
            yield Stranger(host, connection, stream, received)
    finally:
        await close_sockets(host)

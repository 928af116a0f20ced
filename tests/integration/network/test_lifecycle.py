"""Connections that break, come back or never come about; hosts that crash."""

import socket

import pytest
import trio
from hosts import TOPIC, accept, committee, in_mesh, in_trio, network, running, until

from ssv_pool.errors import UnavailableError
from ssv_pool.network import Network, NetworkSettings
from ssv_pool.network.identity import new_identity
from ssv_pool.network.transport import BoundedYamux


class Wire:
    """A TCP relay that can be cut without either end being told."""

    def __init__(self) -> None:
        self.flows = trio.Event()
        self.flows.set()
        self._stops = trio.Event()

    def cut(self) -> None:
        self.flows = trio.Event()

    def mend(self) -> None:
        self.flows.set()

    async def serve(self, target: int, task_status=trio.TASK_STATUS_IGNORED) -> None:
        async def relay(stream: trio.SocketStream) -> None:
            other = await trio.open_tcp_stream("127.0.0.1", target)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._copy, stream, other)
                nursery.start_soon(self._copy, other, stream)

        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(trio.serve_tcp, relay, 0)
            task_status.started(listeners[0].socket.getsockname()[1])

    async def _copy(self, source: trio.SocketStream, target: trio.SocketStream) -> None:
        try:
            async for data in source:
                await self.flows.wait()
                await target.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        await source.aclose()
        await target.aclose()


@in_trio
async def test_a_half_open_connection_is_noticed_and_made_anew(monkeypatch) -> None:
    monkeypatch.setattr(BoundedYamux, "ping_interval", 0.1)
    one = network(dead_after=0.5)
    await one.subscribe(TOPIC)
    wire = Wire()
    async with running(one) as address, trio.open_nursery() as nursery:
        port = await nursery.start(wire.serve, int(address.split("/")[4]))
        two = network(address.replace(address.split("/")[4], str(port)), dead_after=0.5, dial_timeout=1)
        await two.subscribe(TOPIC)
        async with running(two):
            await until(lambda: in_mesh(one, two) and two.peers()[0].rtt)

            wire.cut()
            # More than fits the sockets' buffers: the sender's write waits for good, and so would a farewell.
            for number in range(8):
                await two.publish(TOPIC, bytes([number]) * 4_000_000)
            await until(lambda: not two.peers()[0].connected and not one.peers())
            assert two.counters.dead_connections == 1

            wire.mend()
            await until(lambda: in_mesh(one, two))
            await two.publish(TOPIC, b"after")
            with trio.fail_after(10):
                while (await one.messages.receive()).data != b"after":
                    pass
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("restarted", [0, 1])
@in_trio
async def test_a_restarted_peer_is_connected_again(restarted: int) -> None:
    identities = sorted((new_identity(), new_identity()), key=lambda identity: identity.peer_id_bytes)
    with socket.socket() as one, socket.socket() as two:
        for sock in (one, two):
            sock.bind(("127.0.0.1", 0))
        ports = [sock.getsockname()[1] for sock in (one, two)]
    addresses = [
        f"/ip4/127.0.0.1/tcp/{port}/p2p/{identity.peer_id}" for port, identity in zip(ports, identities, strict=True)
    ]

    def make(index: int) -> Network:
        return network(addresses[1 - index], identity=identities[index], port=ports[index])

    stays = make(1 - restarted)
    await stays.subscribe(TOPIC)
    async with running(stays):
        for life in range(2):
            again = make(restarted)
            await again.subscribe(TOPIC)
            async with running(again):
                await until(lambda again=again: in_mesh(stays, again))
                connections = stays._session.host.get_network().get_connections()
                assert len(connections) == 1, "both know each other's address, one dials"
                data = b"life %d" % life
                await again.publish(TOPIC, data)
                with trio.fail_after(10):
                    assert (await stays.messages.receive()).data == data
            await until(lambda: not stays.peers()[0].connected)
        await until(lambda: stays.peers()[0].last_error == "Connection refused")


@in_trio
async def test_a_crashed_host_is_built_anew() -> None:
    async with committee(2) as (one, two):
        address = one.addresses

        async def crashes() -> None:
            raise RuntimeError("a fault in the library")

        one._session.pubsub.manager.run_task(crashes)
        await until(lambda: one.counters.rebuilds == 1 and one.running)
        assert one.addresses == address, "the port is the same, and the old host does not listen on it"
        await until(lambda: in_mesh(one, two))
        await two.publish(TOPIC, b"after the crash")
        with trio.fail_after(10):
            assert (await one.messages.receive()).data == b"after the crash"


@in_trio
async def test_a_port_in_use() -> None:
    async with committee(1) as (one,):
        port = int(one.addresses[0].split("/")[4])
        with pytest.raises(ExceptionGroup) as caught:
            async with running(network(port=port)):
                pass
        error = caught.value.exceptions[0]
        while isinstance(error, ExceptionGroup):
            (error,) = error.exceptions
        assert isinstance(error, UnavailableError)
        assert str(error) == f"p2p port: cannot listen on 127.0.0.1:{port}: the port is in use by another process"


@in_trio
async def test_an_address_of_another_machine() -> None:
    net = Network(NetworkSettings(new_identity(), host="192.0.2.1", port=0), accept)

    with pytest.raises(UnavailableError) as caught:
        await net.run()

    assert str(caught.value) == ("p2p port: cannot listen on 192.0.2.1:0: the address does not belong to this machine")


@in_trio
async def test_a_peer_with_another_key_than_configured() -> None:
    async with committee(1) as (one,):
        port = one.addresses[0].split("/")[4]
        two = network(f"/ip4/127.0.0.1/tcp/{port}/p2p/{new_identity().peer_id}")
        async with running(two):
            await until(lambda: two.peers()[0].last_error)
            status = two.peers()[0]
            assert not status.connected
            assert status.last_error.startswith("peer id does not correspond to the received pubkey")

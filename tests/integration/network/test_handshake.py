"""Handshakes between real hosts, and peers whose handshakes are not in order."""

import contextlib

import pytest
import trio
from hosts import TOPIC, in_mesh, in_trio, network, running, stranger, until
from libp2p.peer.id import ID
from libp2p.pubsub.pb import rpc_pb2
from multiaddr import Multiaddr

from ssv_pool.network import alan_topic, handshake
from ssv_pool.network.host import build_host, close_sockets
from ssv_pool.network.identity import new_identity
from ssv_pool.network.node_info import MAX_INFO_SIZE, NodeInfo, seal, unseal
from ssv_pool.network.settings import Counters, Introduction, NetworkSettings

INFO = NodeInfo("0x00000402", "other/1", subnets=frozenset({9}))


def introduction(network_id="0x00000402", version="ssv-pool/1"):
    return Introduction(lambda: network_id, version)


def introduced(*peers, network_id="0x00000402", **settings):
    return network(*peers, introduction=introduction(network_id), **settings)


@contextlib.asynccontextmanager
async def dialled(address):
    """A hand-driven peer that has dialled a network, with its identity."""
    from libp2p.tools.anyio_service import background_trio_service

    identity = new_identity()
    host = build_host(NetworkSettings(identity), Counters())
    peer = ID.from_base58(address.rpartition("/")[2])
    try:
        async with background_trio_service(host.get_network()):
            connection = await host.get_network().dial_addr(Multiaddr(address), peer)
            yield identity, host, peer, connection
    finally:
        await close_sockets(host)


async def ask(host, peer, data):
    """Send bytes as a handshake and read the answer; empty when there is none."""
    answer = b""
    with contextlib.suppress(Exception):
        stream = await host.new_stream(peer, [handshake.PROTOCOL])
        await stream.write(data)
        await stream.close_write()
        while piece := await stream.read(MAX_INFO_SIZE):
            answer += piece
    return answer


def cut_off(connection):
    return connection.muxed_conn.event_shutting_down.is_set()


@in_trio
async def test_peers_of_one_network_shake_hands_and_gossip():
    first = introduced()
    await first.subscribe(TOPIC)
    async with running(first) as address:
        second = introduced(address)
        await second.subscribe(TOPIC)
        async with running(second):
            await until(lambda: first.counters.handshakes and second.counters.handshakes)
            await until(lambda: in_mesh(first, second))
            assert second.peers()[0].node_version == "ssv-pool/1"
            assert first.peers()[0].node_version == "ssv-pool/1"
            await second.publish(TOPIC, b"vote")
            assert (await first.messages.receive()).data == b"vote"
    assert first.counters.handshakes_refused == second.counters.handshakes_refused == 0


@in_trio
async def test_a_configured_peer_of_another_network_is_refused_and_says_why():
    first = introduced()
    async with running(first) as address:
        second = introduced(address, network_id="0x00000403")
        async with running(second):
            await until(lambda: first.counters.handshakes_refused)
            await until(lambda: second.peers()[0].last_error is not None)
            await until(lambda: not first.peers())
    assert "handshake" in second.peers()[0].last_error


@in_trio
async def test_a_peer_that_dials_is_told_who_we_are():
    net = introduced()
    await net.subscribe(TOPIC)
    async with running(net) as address, dialled(address) as (identity, host, peer, connection):
        answer = await ask(host, peer, seal(INFO, identity))
        info = unseal(answer, peer.to_bytes())
        assert info == NodeInfo("0x00000402", "ssv-pool/1", subnets=frozenset({9}))
        await until(lambda: net.peers()[0].node_version == "other/1")
        assert not cut_off(connection)


def sealed(info):
    return lambda identity: seal(info, identity)


REFUSED = {
    "nothing": lambda _identity: b"",
    "garbage": lambda _identity: b"\xff" * 100,
    "too long": lambda identity: seal(INFO, identity) + bytes(10 * MAX_INFO_SIZE),
    "of another peer": lambda _identity: seal(INFO, new_identity()),
    "another network": sealed(NodeInfo("0x00000001", subnets=frozenset({9}))),
    "no shared subnet": sealed(NodeInfo("0x00000402", subnets=frozenset({10}))),
    "no subnet": sealed(NodeInfo("0x00000402", subnets=frozenset())),
}


@pytest.mark.parametrize("name", REFUSED)
@in_trio
async def test_peers_that_are_not_for_us_get_no_answer_and_are_cut_off(name):
    net = introduced()
    await net.subscribe(TOPIC)
    async with running(net) as address, dialled(address) as (identity, host, peer, connection):
        assert await ask(host, peer, REFUSED[name](identity)) == b""
        await until(lambda: cut_off(connection))
        assert net.counters.handshakes_refused == 1
        await until(lambda: not net.peers())
        assert net.running
        assert net.counters.rebuilds == 0


ALLOWED = {
    "subnets not told": NodeInfo("0x00000402", subnets=None),
    "a shared subnet": NodeInfo("0x00000402", subnets=frozenset({9, 10})),
}


@pytest.mark.parametrize("name", ALLOWED)
@in_trio
async def test_peers_that_may_be_for_us_are_kept(name):
    net = introduced()
    await net.subscribe(TOPIC)
    async with running(net) as address, dialled(address) as (identity, host, peer, connection):
        assert await ask(host, peer, seal(ALLOWED[name], identity))
        await until(lambda: net.counters.handshakes == 1)
        assert not cut_off(connection)


@in_trio
async def test_without_subnets_of_our_own_none_must_be_shared():
    net = introduced()
    async with running(net) as address, dialled(address) as (identity, host, peer, _connection):
        assert await ask(host, peer, seal(INFO, identity))


@in_trio
async def test_a_peer_that_dials_and_does_not_ask_is_cut_off(monkeypatch):
    monkeypatch.setattr(handshake, "SERVE_TIMEOUT", 0.5)
    net = introduced()
    async with running(net) as address, dialled(address) as (_identity, _host, _peer, connection):
        await until(lambda: cut_off(connection))
        assert net.counters.handshakes_refused == 1


@in_trio
async def test_a_peer_that_asks_slowly_is_cut_off(monkeypatch):
    monkeypatch.setattr(handshake, "REQUEST_TIMEOUT", 0.5)
    net = introduced()
    async with running(net) as address, dialled(address) as (identity, host, peer, connection):
        stream = await host.new_stream(peer, [handshake.PROTOCOL])
        await stream.write(seal(INFO, identity)[:50])
        await until(lambda: cut_off(connection))
        assert net.counters.handshakes_refused == 1


@in_trio
async def test_a_dialled_peer_without_the_handshake_is_cut_off():
    silent = network()
    async with running(silent) as address:
        net = introduced(address)
        async with running(net):
            await until(lambda: net.counters.handshakes_refused)
            await until(lambda: "handshake" in (net.peers()[0].last_error or ""))


@in_trio
async def test_a_flood_of_handshakes_ends_and_leaves_nothing():
    net = introduced()
    async with running(net) as address:
        async with dialled(address) as (identity, host, peer, _connection):
            answers = [await ask(host, peer, seal(INFO, identity)) for _ in range(handshake.MAX_REQUESTS + 3)]
        assert all(answers[: handshake.MAX_REQUESTS])
        assert answers[handshake.MAX_REQUESTS :] == [b""] * 3
        await until(lambda: not net.peers())
        shakes = net._session._handshakes
        await until(lambda: not shakes._done and not shakes._requests)


@in_trio
async def test_a_peer_on_the_graylist_is_not_read_and_not_let_in_again():
    net = introduced(validate=lambda _sender, _topic, _data: "no verdict")
    from ssv_pool.network import Verdict

    net._validate = lambda _sender, _topic, data: Verdict.REJECT if data.startswith(b"bad") else Verdict.ACCEPT
    await net.subscribe(TOPIC)
    async with running(net) as address, stranger(address) as bad:
        await bad.subscribe()
        for number in range(25):
            await bad.publish(b"bad %d" % number)
        await until(lambda: net.counters.graylisted)
        assert net.counters.rejected == 20
        await bad.publish(b"good")
        graylisted = net.counters.graylisted
        await bad.publish(b"good too")
        await until(lambda: net.counters.graylisted > graylisted)
        assert net.counters.delivered == 0
        await until(lambda: not net._session.router.mesh[TOPIC])
        # A new connection of the same peer is refused at once.
        await net._session._handshakes._check(net._session.host.get_network().get_connections(bad.peer_id)[0])
        await until(lambda: bad.cut_off)
    assert net.counters.handshakes_refused == 1


@in_trio
async def test_the_rest_of_a_frame_is_not_read_either():
    from ssv_pool.network import Verdict

    net = network(validate=lambda *_: Verdict.REJECT)
    await net.subscribe(TOPIC)
    async with running(net) as address, stranger(address) as bad:
        fields = {"topicIDs": [TOPIC], "from_id": bad.peer_id.to_bytes(), "seqno": bytes(8)}
        await bad.send(rpc_pb2.RPC(publish=[rpc_pb2.Message(data=b"%d" % n, **fields) for n in range(500)]))
        await until(lambda: net.counters.graylisted)
        assert net.counters.rejected == 20


@in_trio
async def test_a_rejection_that_proves_nothing_costs_nothing():
    from ssv_pool.network import Judgement, Verdict

    net = network(validate=lambda *_: Judgement(Verdict.REJECT, blames_peer=False))
    await net.subscribe(TOPIC)
    async with running(net) as address, stranger(address) as peer:
        await peer.subscribe()
        for number in range(30):
            await peer.publish(b"%d" % number)
        await until(lambda: net.counters.rejected == 30)
        assert net._scores.score(peer.peer_id) >= 0
        assert net.counters.graylisted == 0


@in_trio
async def test_one_invalid_message_costs_the_place_in_the_mesh_only():
    from ssv_pool.network import Verdict

    net = network(validate=lambda _sender, _topic, data: Verdict.REJECT if data == b"bad" else Verdict.ACCEPT)
    await net.subscribe(TOPIC)
    async with running(net) as address, stranger(address) as peer:
        await peer.subscribe()
        await until(lambda: net._session.router.mesh[TOPIC])
        await peer.publish(b"bad")
        await until(lambda: not net._session.router.mesh[TOPIC])
        await peer.publish(b"good")
        with trio.fail_after(10):
            assert (await net.messages.receive()).data == b"good"
        assert await net.publish(TOPIC, b"own") == 1
    assert alan_topic(9) == TOPIC

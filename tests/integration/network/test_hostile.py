"""Peers that break the rules: the host lives, and the others go on."""

import pytest
import trio
from hosts import TOPIC, committee, in_mesh, in_trio, stranger, until
from libp2p.custom_types import TProtocol
from libp2p.pubsub.pb import rpc_pb2

from ssv_pool.network import alan_topic
from ssv_pool.network.frames import encode_varint
from ssv_pool.network.topics import message_id


async def goes_on(nets, lost: int = 0) -> None:
    """The committee still exchanges messages, over the connections it had; the first one lost some others."""
    await until(lambda: nets[0].counters.disconnects == lost)
    data = b"still here"
    await nets[0].publish(TOPIC, data)
    with trio.fail_after(10):
        while (await nets[1].messages.receive()).data != data:
            pass
    assert in_mesh(*nets)
    assert [net.counters.rebuilds for net in nets] == [0, 0]
    assert [net.counters.disconnects for net in nets] == [lost, 0]


BAD_FRAMES = {
    "garbage": encode_varint(40) + b"\xff" * 40,
    "endless length": b"\xff" * 11,
    "announced too large": encode_varint(10 * 1024 * 1024),
    "not an RPC inside": encode_varint(4) + b"\x12\x02\x0f\x0f",
    "millions of empty messages": encode_varint(40_000) + b"\x12\x00" * 20_000,
    "too many subscriptions": encode_varint(520) + b"\x0a\x02\x08\x01" * 130,
}


@pytest.mark.parametrize("name", BAD_FRAMES)
@in_trio
async def test_bad_frames_end_the_connection_and_nothing_else(name: str) -> None:
    """In the library an exception in a stream handler ends the host."""
    async with committee(2) as nets, stranger(nets[0].addresses[0]) as bad:
        await bad.send_raw(BAD_FRAMES[name])
        await until(lambda: bad.cut_off)
        assert nets[0].counters.bad_frames == 1
        await goes_on(nets, lost=1)


@in_trio
async def test_bytes_that_are_no_handshake() -> None:
    async with committee(2) as nets:
        port = int(nets[0].addresses[0].split("/")[4])
        half_a_handshake = b"\x13/multistream/1.0.0\n\x07/noise\n" + b"\xff" * 99
        for data in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 5000, half_a_handshake):
            stream = await trio.open_tcp_stream("127.0.0.1", port)
            if data:
                await stream.send_all(data)
            await stream.aclose()
        await goes_on(nets)


@in_trio
async def test_messages_that_are_refused_leave_room_for_the_good_copy() -> None:
    async with committee(2) as nets, stranger(nets[0].addresses[0]) as bad:
        await nets[0].subscribe(alan_topic(10))
        us = nets[0]._settings.identity.peer_id_bytes
        await bad.publish(b"vote", signature=b"s" * 70)
        await bad.publish(b"vote", key=b"k" * 37)
        await bad.publish(b"vote", from_id=us)
        await bad.publish(b"vote", from_id=b"")
        await bad.publish(b"vote", topicIDs=[TOPIC, alan_topic(10)])
        await bad.publish(b"vote", topicIDs=[])
        await bad.publish(b"vote", topicIDs=["unknown"])
        await bad.send_raw(encode_varint(8) + b"\x12\x06\x22\x04\xff\xfe\xfd\xfc")  # a topic that is no text
        await bad.publish(b"vote", topicIDs=[alan_topic(10)])
        await bad.publish(b"")
        await until(lambda: nets[0].counters.rejected == 3)

        await nets[1].publish(TOPIC, b"vote")
        with trio.fail_after(10):
            got = [await nets[0].messages.receive() for _ in range(2)]
        assert [(m.topic, m.data) for m in got] == [(alan_topic(10), b"vote"), (TOPIC, b"vote")]
        counters = nets[0].counters
        assert (counters.signed, counters.from_self, counters.malformed, counters.delivered) == (2, 1, 3, 2)


@in_trio
async def test_replays_are_dropped() -> None:
    async with committee(2) as nets, stranger(nets[0].addresses[0]) as bad:
        for number in range(50):
            await bad.publish(b"again", seqno=number.to_bytes(8, "big"))
        await until(lambda: nets[0].counters.duplicates == 49)
        assert nets[0].counters.delivered == 1
        await until(lambda: nets[1].counters.delivered == 1)
        assert nets[1].counters.duplicates == 0
        await goes_on(nets)


@in_trio
async def test_a_handler_that_fails_loses_its_stream_only() -> None:
    async with committee(2) as nets, stranger(nets[0].addresses[0]) as peer:

        async def fails(_stream) -> None:
            raise ExceptionGroup("several", [ValueError("one"), KeyError("two")])

        nets[0].set_stream_handler("/test/1", fails)
        stream = await peer.host.new_stream(peer.connection.muxed_conn.peer_id, [TProtocol("/test/1")])
        with pytest.raises(Exception):  # noqa: B017, PT011 - the library has several for a reset stream
            await stream.read(1)
        assert nets[0].counters.handler_errors == 1
        assert not peer.cut_off
        await goes_on(nets)


@in_trio
async def test_a_peer_has_a_limited_number_of_streams() -> None:
    async with committee(2) as nets, stranger(nets[0].addresses[0]) as bad:

        async def holds(_stream) -> None:
            await trio.sleep_forever()

        nets[0].set_stream_handler("/test/1", holds)

        async def opens() -> None:
            stream = await bad.connection.muxed_conn.open_stream()
            await stream.write(b"\x13/multistream/1.0.0\n\x08/test/1\n")

        for _ in range(40):
            await opens()
        await until(lambda: nets[0].counters.refused_streams >= 8)
        await goes_on(nets)


@in_trio
async def test_a_peer_that_ignores_flow_control_is_cut_off() -> None:
    """The library logs it and keeps the bytes."""
    async with committee(2) as nets, stranger(nets[0].addresses[0]) as bad:

        async def holds(_stream) -> None:
            await trio.sleep_forever()

        nets[0].set_stream_handler("/test/1", holds)
        stream = await bad.host.new_stream(bad.connection.muxed_conn.peer_id, [TProtocol("/test/1")])
        muxed = stream.muxed_stream
        with trio.move_on_after(10):
            for _ in range(80):
                muxed.send_window = 1 << 20
                try:
                    await muxed.write(bytes(60_000))
                except Exception:  # noqa: BLE001 - the connection went, as it should
                    break
        await until(lambda: bad.cut_off)
        await goes_on(nets, lost=1)


@in_trio
async def test_inbound_slots_come_back() -> None:
    """The library keeps a slot for each inbound connection there ever was."""
    async with committee(2, max_connections=4) as nets:
        for _ in range(8):
            async with stranger(nets[0].addresses[0]) as peer:
                await peer.publish(b"one of eight")
                await until(lambda: nets[0].counters.received > 0)
                await peer.connection.close()
            await until(lambda: len(nets[0].peers()) == 1)
        assert nets[0].counters.received == 8


@in_trio
async def test_offers_are_asked_for_and_requests_answered_within_bounds() -> None:
    """The library files messages under another id than it offers, so requests find nothing."""
    async with committee(2) as nets, stranger(nets[0].addresses[0]) as peer:
        await until(lambda: peer.peer_id in nets[0]._session.router.outboxes)
        known = message_id(b"known")
        await nets[0].publish(TOPIC, b"known")
        offer = rpc_pb2.ControlIHave(topicID=TOPIC, messageIDs=[known, b"new one 0000", b"new one 0000"])
        await peer.send(rpc_pb2.RPC(control=rpc_pb2.ControlMessage(ihave=[offer])))
        await until(lambda: any(rpc.control.iwant for rpc in peer.received))
        asked = [key for rpc in peer.received for iwant in rpc.control.iwant for key in iwant.messageIDs]
        assert asked == [b"new one 0000"]

        await nets[0].publish(TOPIC, b"wanted")
        for _ in range(6):
            want = rpc_pb2.ControlIWant(messageIDs=[message_id(b"wanted"), b"no such"])
            await peer.send(rpc_pb2.RPC(control=rpc_pb2.ControlMessage(iwant=[want])))
        await peer.publish(b"last")
        await until(lambda: nets[0].counters.delivered == 1)
        await until(lambda: len(peer.messages()) >= 3)
        assert [msg.data for msg in peer.messages()] == [b"wanted"] * 3
        (message, *_) = peer.messages()
        assert message.from_id == nets[0]._settings.identity.peer_id_bytes
        assert len(message.seqno) == 8
        assert not message.HasField("signature")
        assert not message.HasField("key")


@in_trio
async def test_lazy_gossip_reaches_who_is_in_no_mesh() -> None:
    """A subscriber whose grafts are withheld still hears what there is to ask for."""
    async with committee(2) as nets, stranger(nets[0].addresses[0]) as peer:
        await nets[1].publish(TOPIC, b"before")
        await until(lambda: nets[0].counters.delivered == 1)
        await peer.subscribe()
        await until(lambda: [msg.data for msg in peer.messages()] == [b"before"])
        prune = rpc_pb2.ControlPrune(topicID=TOPIC, backoff=60)
        await peer.send(rpc_pb2.RPC(control=rpc_pb2.ControlMessage(prune=[prune])))
        await until(lambda: len(nets[0]._session.router.mesh[TOPIC]) == 1)
        await nets[1].publish(TOPIC, b"offered")
        await until(
            lambda: (
                message_id(b"offered")
                in [key for rpc in peer.received for ihave in rpc.control.ihave for key in ihave.messageIDs]
            )
        )
        assert b"offered" not in [msg.data for msg in peer.messages()]


@in_trio
async def test_control_data_on_unknown_topics_leaves_nothing_behind() -> None:
    async with committee(2) as nets, stranger(nets[0].addresses[0]) as bad:
        for number in range(200):
            topic = f"made up {number}"
            control = rpc_pb2.ControlMessage(
                graft=[rpc_pb2.ControlGraft(topicID=topic)], prune=[rpc_pb2.ControlPrune(topicID=topic)]
            )
            subscription = rpc_pb2.RPC.SubOpts(subscribe=True, topicid=topic)
            await bad.send(rpc_pb2.RPC(subscriptions=[subscription], control=control))
        await bad.publish(b"done")
        await until(lambda: nets[0].counters.delivered == 1)
        router = nets[0]._session.router
        assert set(router.back_off) | set(nets[0]._session.pubsub.peer_topics) == {TOPIC}
        assert not router.graft_flood_tracking[bad.peer_id]


@in_trio
async def test_a_second_gossip_stream_replaces_the_first() -> None:
    async with committee(2) as nets, stranger(nets[0].addresses[0]) as peer:
        await peer.send_raw(encode_varint(1000) + b"half a frame")
        peer.stream = await peer.host.new_stream(peer.connection.muxed_conn.peer_id, [TProtocol("/meshsub/1.1.0")])
        await peer.publish(b"on the new one")
        await until(lambda: nets[0].counters.delivered == 1)
        assert len(nets[0]._session.pubsub._inbound) == 2

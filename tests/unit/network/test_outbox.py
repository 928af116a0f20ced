import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from libp2p.pubsub.pb import rpc_pb2

from ssv_pool.network.frames import FrameReader
from ssv_pool.network.outbox import Outbox


def rpc_with(data: bytes) -> bytes:
    return rpc_pb2.RPC(publish=[rpc_pb2.Message(data=data, topicIDs=["t"])]).SerializeToString()


@given(st.lists(st.binary(max_size=100), min_size=1, max_size=50))
def test_what_waits_leaves_as_one_rpc(messages: list[bytes]) -> None:
    async def main() -> None:
        outbox = Outbox()
        for data in messages:
            assert outbox.push_message(rpc_with(data))
        frame = await outbox.pop()
        (raw,) = FrameReader(1 << 24).feed(frame)
        assert [msg.data for msg in rpc_pb2.RPC.FromString(raw).publish] == messages
        assert len(outbox) == 0

    trio.run(main)


def in_trio(test):
    async def main() -> None:
        with trio.fail_after(2):
            await test()

    def run() -> None:
        trio.run(main)

    run.__name__ = test.__name__
    return run


async def popped(outbox: Outbox) -> rpc_pb2.RPC:
    (raw,) = FrameReader(1 << 24).feed(await outbox.pop())
    return rpc_pb2.RPC.FromString(raw)


@in_trio
async def test_control_goes_first() -> None:
    outbox = Outbox(batch_bytes=1)
    outbox.push_message(rpc_with(b"m"))
    outbox.push_control(
        rpc_pb2.RPC(subscriptions=[rpc_pb2.RPC.SubOpts(subscribe=True, topicid="t")]).SerializeToString()
    )

    assert (await popped(outbox)).subscriptions[0].topicid == "t"
    assert (await popped(outbox)).publish[0].data == b"m"


@in_trio
async def test_batches_have_a_size() -> None:
    outbox = Outbox(batch_bytes=250)
    for number in range(5):
        outbox.push_message(rpc_with(bytes([number]) * 100))

    sizes = [len((await popped(outbox)).publish) for _ in range(3)]

    assert sizes == [2, 2, 1]


@in_trio
async def test_full_by_number_and_by_bytes() -> None:
    outbox = Outbox(max_entries=2, max_bytes=1000)

    assert [outbox.push_message(b"x") for _ in range(3)] == [True, True, False]
    await outbox.pop()
    assert [outbox.push_message(bytes(size)) for size in (1001, 1000)] == [False, True]


@in_trio
async def test_messages_the_peer_has_by_now_are_left_out() -> None:
    known = {b"known"}
    outbox = Outbox(take=lambda key: key not in known)
    outbox.push_message(rpc_with(b"1"), b"known")
    outbox.push_message(rpc_with(b"2"), b"new")

    assert [msg.data for msg in (await popped(outbox)).publish] == [b"2"]
    assert outbox.push_message(bytes(32 * 1024 * 1024)), "the room of what was left out is free again"


@in_trio
async def test_closing_ends_the_wait() -> None:
    outbox = Outbox()
    got = []

    async def wait() -> None:
        got.append(await outbox.pop())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        outbox.close()

    assert got == [None]
    assert not outbox.push_message(b"x")


def test_frames_keep_their_distance_and_the_first_leaves_at_once() -> None:
    async def main() -> None:
        outbox = Outbox(frame_gap=0.5)
        await trio.sleep(10)
        started = trio.current_time()
        outbox.push_message(rpc_with(b"first"))
        assert [msg.data for msg in (await popped(outbox)).publish] == [b"first"]
        assert trio.current_time() == started

        async with trio.open_nursery() as nursery:
            nursery.start_soon(push_later, outbox)
            frame = await popped(outbox)
        # What came before its time leaves with it.
        assert [msg.data for msg in frame.publish] == [b"second", b"third"]
        assert trio.current_time() - started == 0.5

    async def push_later(outbox: Outbox) -> None:
        await trio.sleep(0.1)
        outbox.push_message(rpc_with(b"second"))
        await trio.sleep(0.3)
        outbox.push_message(rpc_with(b"third"))

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_what_the_peer_has_by_then_is_left_out_and_a_closed_outbox_gives_no_more() -> None:
    async def main() -> None:
        has: set[bytes] = set()
        outbox = Outbox(frame_gap=0.5, take=lambda key: key not in has)
        outbox.push_message(rpc_with(b"first"), b"1")
        await popped(outbox)
        outbox.push_message(rpc_with(b"second"), b"2")
        outbox.push_message(rpc_with(b"third"), b"3")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(learn, has)
            assert [msg.data for msg in (await popped(outbox)).publish] == [b"third"]
        outbox.push_message(rpc_with(b"fourth"), b"4")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(close_later, outbox)
            assert await outbox.pop() is None

    async def learn(has: set[bytes]) -> None:
        await trio.sleep(0.2)
        has.add(b"2")

    async def close_later(outbox: Outbox) -> None:
        await trio.sleep(0.2)
        outbox.close()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))

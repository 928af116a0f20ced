"""One node's side of a connection; the test speaks the other side by hand."""

import asyncio
import contextlib

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from beacon_stepper import SteppedNode

from ssv_pool.devnet.beacon import follow
from ssv_pool.devnet.beacon.follow import PATH, Following
from ssv_pool.devnet.beacon.frames import FrameKind, Hello, SentUpTo, decode_frame, encode_frame, encode_slot
from ssv_pool.devnet.beacon.simulated import DutyKind

LOWEST, HIGHEST = bytes(16), b"\xff" * 16


@pytest.fixture(scope="module")
def stepped():
    """A node in slot 5, and no validator outside."""
    stepped = SteppedNode(external=frozenset(), external_duties=frozenset(DutyKind))
    stepped.run_slots(0, 5)
    return stepped


@contextlib.asynccontextmanager
async def served(stepped, peers=()):
    """A node that takes connections and dials its peers; gives the connections' owner and a function that dials it."""
    following = Following(stepped.node, peers)
    app = web.Application()
    app.add_routes([web.get(PATH, following.serve)])
    async with TestServer(app) as server, aiohttp.ClientSession() as client:

        async def dial():
            return await client.ws_connect(server.make_url(PATH), max_msg_size=0)

        running = asyncio.create_task(following.run())
        try:
            yield following, dial
        finally:
            running.cancel()
            await following.close()
            stepped.node.intake.listeners.clear()
            stepped.node.gate.own_vote_listeners.clear()
            stepped.node.prepare_listeners.clear()


def hello_of(stepped, identity=HIGHEST, **changes):
    history = stepped.node.chain.history
    fields = {"genesis_root": history.genesis.root, "head_root": history.head.root, "head_slot": history.head.slot}
    return encode_frame(FrameKind.HELLO, Hello(identity, **(fields | changes)).encode())


async def frame(socket):
    message = await asyncio.wait_for(socket.receive(), 10)
    return None if message.type is not aiohttp.WSMsgType.BINARY else decode_frame(message.data)


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - nothing to wait on: the other side is not told
            await asyncio.sleep(0.005)


def run(test):
    asyncio.run(test)


def test_both_say_hello_and_the_chain_is_sent_on_request(stepped):
    async def go():
        async with served(stepped) as (following, dial):
            socket = await dial()
            kind, content = await frame(socket)
            assert kind is FrameKind.HELLO
            hello = Hello.decode(content)
            history = stepped.node.chain.history
            assert (hello.genesis_root, hello.head_root) == (history.genesis.root, history.head.root)
            assert hello.head_slot == history.head.slot
            await socket.send_bytes(hello_of(stepped))
            await socket.send_bytes(encode_frame(FrameKind.BLOCKS_WANTED, encode_slot(1)))
            frames = []
            while not frames or frames[-1][0] is FrameKind.BLOCK:
                frames.append(await frame(socket))
            assert frames[-1] == (FrameKind.SENT_UP_TO, SentUpTo(history.head.slot, history.head.slot).encode())
            assert [content for _, content in frames[:-1]] == [
                entry.signed_block for slot in range(1, 6) if (entry := history.at(slot)) is not None
            ]
            assert following.connected == 1
            await socket.close()
            await until(lambda: following.connected == 0)

    run(go())


def test_who_does_not_know_the_head_asks_and_says_that_it_is_behind(stepped):
    async def go():
        async with served(stepped) as (following, dial):
            socket = await dial()
            await frame(socket)
            await socket.send_bytes(hello_of(stepped, head_root=b"\x01" * 32, head_slot=90))
            assert await frame(socket) == (FrameKind.BLOCKS_WANTED, encode_slot(1))
            head = stepped.node.chain.history.head.slot
            assert following.distance() == stepped.node.distance() == 90 - head
            # There is more than what came: it asks on from there, until it has everything.
            await socket.send_bytes(encode_frame(FrameKind.SENT_UP_TO, SentUpTo(64, 91).encode()))
            assert await frame(socket) == (FrameKind.BLOCKS_WANTED, encode_slot(65))
            assert following.distance() == 91 - head
            await socket.send_bytes(encode_frame(FrameKind.SENT_UP_TO, SentUpTo(91, 91).encode()))
            await until(lambda: following.distance() == 0)

    run(go())


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(lambda stepped: hello_of(stepped, genesis_root=b"\x02" * 32), id="another chain"),
        pytest.param(lambda stepped: encode_frame(FrameKind.BLOCKS_WANTED, encode_slot(1)), id="no hello"),
        pytest.param(lambda stepped: b"\xfe", id="unknown kind"),
        pytest.param(lambda stepped: hello_of(stepped)[:-1], id="short hello"),
    ],
)
def test_strangers_are_sent_away(stepped, first):
    async def go():
        async with served(stepped) as (following, dial):
            socket = await dial()
            await frame(socket)
            await socket.send_bytes(first(stepped))
            assert await frame(socket) is None
            assert following.connected == 0

    run(go())


def test_junk_ends_a_connection(stepped):
    async def go():
        async with served(stepped) as (following, dial):
            socket = await dial()
            await frame(socket)
            await socket.send_bytes(hello_of(stepped))
            await until(lambda: following.connected == 1)
            await socket.send_bytes(encode_frame(FrameKind.BLOCK, b"junk"))
            assert await frame(socket) is None
            await until(lambda: following.connected == 0)

    run(go())


def test_of_two_connections_the_one_that_the_lower_identity_dialled_is_kept(stepped):
    async def go():
        async with served(stepped) as (following, dial):
            # The test dials twice: both connections are the other side's. With the lower identity the later one wins.
            first, second = await dial(), await dial()
            for socket in (first, second):
                await frame(socket)
                await socket.send_bytes(hello_of(stepped, LOWEST))
                await until(lambda: following.connected == 1)
            assert await frame(first) is None
            assert following.connected == 1
            # With the higher identity the first one stays.
            third, fourth = await dial(), await dial()
            for socket in (third, fourth):
                await frame(socket)
                await socket.send_bytes(hello_of(stepped, HIGHEST))
            assert await frame(fourth) is None
            await third.send_bytes(encode_frame(FrameKind.BLOCKS_WANTED, encode_slot(6)))
            assert (await frame(third))[0] is FrameKind.SENT_UP_TO

    run(go())


def test_who_does_not_read_is_cut_off(stepped, monkeypatch):
    monkeypatch.setattr(follow, "OUTBOX_FRAMES", 2)

    async def go():
        async with served(stepped) as (following, dial):
            socket = await dial()
            await frame(socket)
            await socket.send_bytes(hello_of(stepped))
            await until(lambda: following.connected == 1)
            for number in range(4):  # no pause in which anything could be sent
                following._send_to_all_but(encode_frame(FrameKind.BLOCK, bytes([number])), None)
            assert following.connected == 0
            while await frame(socket) is not None:
                pass

    run(go())


def test_who_loses_the_others_before_it_has_everything_stays_behind(stepped, monkeypatch):
    monkeypatch.setattr(follow, "RETRY_SECONDS", 0.01)
    asked = []
    release = asyncio.Event()

    async def other(request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await frame(socket)
        if asked:
            await release.wait()
        await socket.send_bytes(hello_of(stepped, head_root=b"\x01" * 32, head_slot=90))
        asked.append(await frame(socket))
        if len(asked) == 1:
            await socket.close()
            return socket
        await socket.send_bytes(encode_frame(FrameKind.SENT_UP_TO, SentUpTo(90, 90).encode()))
        await frame(socket)
        return socket

    async def go():
        app = web.Application()
        app.add_routes([web.get(PATH, other)])
        stepped.go_to(9)
        async with TestServer(app) as peer, served(stepped, [str(peer.make_url("")).rstrip("/")]) as (following, _dial):
            await until(lambda: len(asked) == 1 and following.connected == 0)
            assert following.distance() == 9 - stepped.node.chain.history.head.slot
            release.set()
            await until(lambda: following.connected == 1 and following.distance() == 0)
            assert len(asked) == 2

    run(go())


def test_a_peer_is_dialled_again_and_until_it_was_tried_the_node_is_behind(stepped, monkeypatch):
    monkeypatch.setattr(follow, "RETRY_SECONDS", 0.01)
    dials = []

    async def other(request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        dials.append(await frame(socket))
        await socket.send_bytes(hello_of(stepped))
        await socket.close()
        return socket

    async def go():
        app = web.Application()
        app.add_routes([web.get(PATH, other)])
        stepped.go_to(9)
        async with TestServer(app) as peer:
            untried = Following(stepped.node, ["http://127.0.0.1:1"])
            assert untried.distance() == 9 - stepped.node.chain.history.head.slot
            async with served(stepped, [str(peer.make_url("")).rstrip("/")]) as (following, _dial):
                await until(lambda: len(dials) >= 3)
                assert following.distance() == 0
        assert {kind for kind, _ in dials} == {FrameKind.HELLO}

    run(go())

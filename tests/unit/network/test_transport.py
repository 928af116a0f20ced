import trio
import trio.testing

from ssv_pool.network.transport import BufferedTCPStream


class Socket:
    """Gives chunks when the test says so."""

    def __init__(self) -> None:
        self.send, self.chunks = trio.open_memory_channel[bytes](10)
        self.asked = 0

    async def receive_some(self, _most: int) -> bytes:
        self.asked += 1
        return await self.chunks.receive()


def test_reads_come_from_what_is_there_without_a_turn_of_other_tasks() -> None:
    async def main() -> None:
        socket = Socket()
        stream = BufferedTCPStream(socket)
        socket.send.send_nowait(b"\x00\x03abc\x00\x02de")
        assert await stream.read(2) == b"\x00\x03"
        with trio.testing.assert_no_checkpoints():
            assert await stream.read(3) == b"abc"
            assert await stream.read(2) == b"\x00\x02"
        assert socket.asked == 1
        socket.send.send_nowait(b"")
        assert await stream.read(5) == b"de"
        assert await stream.read(0) == b""

    trio.run(main)


def test_who_waits_for_more_gets_it_before_who_comes_later() -> None:
    async def main() -> None:
        socket = Socket()
        stream = BufferedTCPStream(socket)
        taken: list[bytes] = []

        async def read(size: int) -> None:
            taken.append(await stream.read(size))

        with trio.fail_after(2):
            async with trio.open_nursery() as nursery:
                socket.send.send_nowait(b"ab")
                nursery.start_soon(read, 4)
                await trio.testing.wait_all_tasks_blocked()
                nursery.start_soon(read, 1)
                await trio.testing.wait_all_tasks_blocked()
                socket.send.send_nowait(b"cde")
        assert taken == [b"abcd", b"e"]

    trio.run(main)

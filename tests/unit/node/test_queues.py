"""The committee's queue: urgent first, bounded, own events never dropped."""

import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from ssv_pool.node.queues import ORDINARY, OWN, URGENT, CommitteeQueue


@given(st.lists(st.sampled_from([OWN, URGENT, ORDINARY]), max_size=40))
def test_order_is_by_priority_then_arrival(priorities: list[int]) -> None:
    queue: CommitteeQueue[tuple[int, int]] = CommitteeQueue()
    for number, priority in enumerate(priorities):
        assert queue.put((priority, number), priority)

    async def drain() -> list[tuple[int, int]]:
        return [await queue.get() for _ in range(len(queue))]

    assert trio.run(drain) == sorted((priority, number) for number, priority in enumerate(priorities))


def test_a_full_queue_drops_messages_and_keeps_own_events() -> None:
    queue: CommitteeQueue[str] = CommitteeQueue(capacity=2)
    assert queue.put("a", ORDINARY)
    assert queue.put("b", ORDINARY)
    assert not queue.put("c", URGENT)
    assert queue.put("timer", OWN)
    assert len(queue) == 3


def test_a_waiting_reader_wakes() -> None:
    queue: CommitteeQueue[str] = CommitteeQueue()
    got: list[str] = []

    async def main() -> None:
        async with trio.open_nursery() as nursery:

            async def read() -> None:
                got.append(await queue.get())

            nursery.start_soon(read)
            await trio.testing.wait_all_tasks_blocked()
            queue.put("late", ORDINARY)

    trio.run(main)
    assert got == ["late"]

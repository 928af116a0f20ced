"""The committee's queue: urgent first, bounded, own events never dropped."""

from types import SimpleNamespace

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from ssv_pool.node.queues import CommitteeQueue, Priority, message_priority
from ssv_pool.protocol.events import MessageReceived
from ssv_pool.protocol.types import DomainType, PublicKey, QBFTMessage, QBFTMessageType, RunnerRole
from ssv_pool.protocol.types.ids import validator_message_id

PRIORITIES = st.lists(st.sampled_from(Priority), max_size=40)


def filled(priorities: list[Priority]) -> CommitteeQueue[tuple[int, int]]:
    queue: CommitteeQueue[tuple[int, int]] = CommitteeQueue()
    for number, priority in enumerate(priorities):
        queue.put((priority, number), priority)
    return queue


@given(PRIORITIES, st.integers(1, 5))
def test_order_is_by_priority_then_arrival(priorities: list[Priority], most: int) -> None:
    queue = filled(priorities)

    async def drain() -> list[tuple[int, int]]:
        found = []
        while len(queue):
            taken = await queue.take(most)
            assert 1 <= len(taken) <= most
            found += [entry.event for entry in taken]
        return found

    assert trio.run(drain) == sorted((priority, number) for number, priority in enumerate(priorities))


@given(PRIORITIES.filter(bool), st.integers(1, 5), st.data())
def test_what_is_put_back_keeps_its_place(priorities: list[Priority], most: int, data: st.DataObject) -> None:
    queue = filled(priorities)

    async def drain() -> list[tuple[int, int]]:
        found = []
        while len(queue):
            taken = await queue.take(most)
            done = data.draw(st.integers(1, len(taken)))
            queue.put_back(taken[done:])
            found += [entry.event for entry in taken[:done]]
        return found

    assert trio.run(drain) == sorted((priority, number) for number, priority in enumerate(priorities))


def test_a_full_queue_drops_messages_and_keeps_own_events() -> None:
    queue: CommitteeQueue[str] = CommitteeQueue(capacity=2)
    assert queue.offer("a", Priority.ORDINARY)
    assert queue.offer("b", Priority.ORDINARY)
    assert not queue.offer("c", Priority.PROPOSING)
    queue.put("timer", Priority.OWN)
    assert len(queue) == 3


def test_a_waiting_reader_wakes() -> None:
    queue: CommitteeQueue[str] = CommitteeQueue()
    got: list[str] = []

    async def main() -> None:
        async with trio.open_nursery() as nursery:

            async def read() -> None:
                got.extend(entry.event for entry in await queue.take(3))

            nursery.start_soon(read)
            await trio.testing.wait_all_tasks_blocked()
            queue.put("late", Priority.ORDINARY)

    trio.run(main)
    assert got == ["late"]


def consensus(kind: QBFTMessageType) -> QBFTMessage:
    return QBFTMessage(kind, 1, 1, bytes(56), bytes(32))


@pytest.mark.parametrize(
    ("role", "signers", "content", "priority"),
    [
        (RunnerRole.COMMITTEE, 1, consensus(QBFTMessageType.PROPOSAL), Priority.URGENT),
        (RunnerRole.COMMITTEE, 1, consensus(QBFTMessageType.COMMIT), Priority.ORDINARY),
        (RunnerRole.COMMITTEE, 3, consensus(QBFTMessageType.COMMIT), Priority.URGENT),
        (RunnerRole.AGGREGATOR, 1, consensus(QBFTMessageType.PREPARE), Priority.ORDINARY),
        (RunnerRole.AGGREGATOR, 1, object(), Priority.ORDINARY),
        (RunnerRole.PROPOSER, 1, consensus(QBFTMessageType.PREPARE), Priority.PROPOSING),
        (RunnerRole.PROPOSER, 1, object(), Priority.PROPOSING),
    ],
)
def test_what_is_urgent(role: RunnerRole, signers: int, content: object, priority: Priority) -> None:
    message_id = validator_message_id(DomainType(bytes(4)), role, PublicKey(bytes(48)))
    message = SimpleNamespace(operator_ids=tuple(range(signers)), ssv_message=SimpleNamespace(msg_id=message_id))
    assert message_priority(MessageReceived(message, verified=True), content) is priority  # type: ignore[arg-type]

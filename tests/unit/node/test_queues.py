"""The committee's queue: urgent first, bounded, own events never dropped."""

from types import SimpleNamespace

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from ssv_pool.node.queues import CommitteeQueue, Priority, message_priority, timer_priority
from ssv_pool.protocol.events import MessageReceived, TimerKey, TimerKind
from ssv_pool.protocol.types import DomainType, PublicKey, QBFTMessage, QBFTMessageType, RunnerRole, Slot
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
    assert queue.offer("a", Priority.SIGNATURES)
    assert queue.offer("b", Priority.SIGNATURES)
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
            queue.put("late", Priority.SIGNATURES)

    trio.run(main)
    assert got == ["late"]


def consensus(kind: QBFTMessageType) -> QBFTMessage:
    return QBFTMessage(kind, 1, 1, bytes(56), bytes(32))


ROLES = (RunnerRole.PROPOSER, RunnerRole.COMMITTEE, RunnerRole.AGGREGATOR, RunnerRole.AGGREGATOR_COMMITTEE)


@pytest.mark.parametrize(
    ("signers", "content", "priorities"),
    [
        (1, consensus(QBFTMessageType.PROPOSAL), [Priority.URGENT] * 3),
        (3, consensus(QBFTMessageType.COMMIT), [Priority.URGENT] * 3),
        (1, consensus(QBFTMessageType.COMMIT), [Priority.ATTESTING, Priority.CONSENSUS, Priority.CONSENSUS]),
        (1, consensus(QBFTMessageType.ROUND_CHANGE), [Priority.ATTESTING, Priority.CONSENSUS, Priority.CONSENSUS]),
        (1, object(), [Priority.ATTESTING, Priority.SIGNATURES, Priority.SIGNATURES]),
    ],
)
def test_how_urgent_a_message_is(signers: int, content: object, priorities: list[Priority]) -> None:
    found = []
    for role in ROLES:
        message_id = validator_message_id(DomainType(bytes(4)), role, PublicKey(bytes(48)))
        message = SimpleNamespace(operator_ids=tuple(range(signers)), ssv_message=SimpleNamespace(msg_id=message_id))
        found.append(message_priority(MessageReceived(message, verified=True), content))  # type: ignore[arg-type]
    assert found == [Priority.PROPOSING, *priorities]


@pytest.mark.parametrize(
    ("kind", "priorities"),
    [
        (TimerKind.ROUND, [Priority.ATTESTING, Priority.CONSENSUS, Priority.CONSENSUS]),
        (TimerKind.DEADLINE, [Priority.ATTESTING, Priority.CONSENSUS, Priority.CONSENSUS]),
        (TimerKind.CONTINUE, [Priority.ATTESTING, Priority.SIGNATURES, Priority.SIGNATURES]),
    ],
)
def test_how_urgent_a_timer_is(kind: TimerKind, priorities: list[Priority]) -> None:
    ids = [validator_message_id(DomainType(bytes(4)), role, PublicKey(bytes(48))) for role in ROLES]
    assert [timer_priority(TimerKey(i, Slot(1), kind)) for i in ids] == [Priority.PROPOSING, *priorities]


def test_a_timer_waits_for_the_messages_that_came_before_it() -> None:
    """They may decide the round that it would give up."""
    queue: CommitteeQueue[str] = CommitteeQueue()
    aggregator = validator_message_id(DomainType(bytes(4)), RunnerRole.AGGREGATOR, PublicKey(bytes(48)))
    queue.put("commit", Priority.CONSENSUS)
    queue.put("timer", timer_priority(TimerKey(aggregator, Slot(1), TimerKind.ROUND)))
    queue.put("later commit", Priority.CONSENSUS)

    async def drain() -> list[str]:
        return [entry.event for entry in await queue.take(3)]

    assert trio.run(drain) == ["commit", "timer", "later commit"]

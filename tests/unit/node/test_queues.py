"""The committee's queue: urgent first, bounded, own events never dropped."""

from types import SimpleNamespace

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from ssv_pool.node.queues import CommitteeQueue, Priority, Turns, message_priority, timer_priority
from ssv_pool.protocol.events import MessageReceived, TimerKey, TimerKind
from ssv_pool.protocol.types import DomainType, PublicKey, QBFTMessage, QBFTMessageType, RunnerRole, Slot
from ssv_pool.protocol.types.ids import validator_message_id

PRIORITIES = st.lists(st.sampled_from(Priority), max_size=40)


def filled(priorities: list[Priority]) -> CommitteeQueue[tuple[int, int]]:
    queue: CommitteeQueue[tuple[int, int]] = CommitteeQueue()
    for number, priority in enumerate(priorities):
        queue.put((priority, number), priority)
    return queue


@settings(deadline=None)
@given(PRIORITIES, st.integers(1, 5))
def test_order_is_by_priority_then_arrival(priorities: list[Priority], most: int) -> None:
    queue = filled(priorities)
    found = []
    while len(queue):
        assert queue.urgency == min(sorted(priorities)[len(found) :])
        taken = queue.take(most)
        assert 1 <= len(taken) <= most
        found += [entry.event for entry in taken]
    assert found == sorted((priority, number) for number, priority in enumerate(priorities))
    assert queue.urgency > max(Priority)


@settings(deadline=None)
@given(PRIORITIES.filter(bool), st.integers(1, 5), st.data())
def test_what_is_put_back_keeps_its_place(priorities: list[Priority], most: int, data: st.DataObject) -> None:
    queue = filled(priorities)
    found = []
    while len(queue):
        taken = queue.take(most)
        done = data.draw(st.integers(1, len(taken)))
        queue.put_back(taken[done:])
        found += [entry.event for entry in taken[:done]]
    assert found == sorted((priority, number) for number, priority in enumerate(priorities))


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
                await queue.wait()
                got.extend(entry.event for entry in queue.take(3))

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
    assert [entry.event for entry in queue.take(3)] == ["commit", "timer", "later commit"]


def test_the_most_urgent_committee_has_the_next_turn() -> None:
    turns, order = Turns(), []
    queues: dict[str, CommitteeQueue[str]] = {name: CommitteeQueue() for name in "abcd"}

    async def go(name: str) -> None:
        async with turns.turn(queues[name]):
            order.append(name)
            await trio.testing.wait_all_tasks_blocked()
            if name == "a":
                # What comes while it waits counts too.
                queues["d"].put("proposal", Priority.PROPOSING)

    async def main() -> None:
        for name in "abc":
            queues[name].put("signatures", Priority.SIGNATURES)
        async with trio.open_nursery() as nursery:
            for name in "abcd":
                nursery.start_soon(go, name)
                await trio.lowlevel.checkpoint()
        async with turns.turn(queues["b"]):
            order.append("free")

    trio.run(main)
    assert order == ["a", "d", "b", "c", "free"]


def test_a_turn_that_is_given_up_goes_to_the_next() -> None:
    turns, order = Turns(), []
    first, second, third = (CommitteeQueue[str]() for _ in range(3))

    async def go(name: str, queue: CommitteeQueue[str]) -> None:
        async with turns.turn(queue):
            order.append(name)

    async def main() -> None:
        async with trio.open_nursery() as nursery, turns.turn(first):
            with trio.move_on_after(0):
                await go("cancelled", second)
            nursery.start_soon(go, "third", third)
            await trio.testing.wait_all_tasks_blocked()
        async with turns.turn(first):
            order.append("free")

    trio.run(main)
    assert order == ["third", "free"]

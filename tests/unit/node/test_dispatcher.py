"""The dispatcher on a mock clock, with cores that only note what they are given."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing
from committee_network import DOMAIN, chain
from prometheus_client import REGISTRY

from ssv_pool.messaging.commands import BeaconRequest
from ssv_pool.node.dispatcher import TURN_EVENTS, Dispatcher, Ports
from ssv_pool.node.queues import CommitteeQueue
from ssv_pool.node.registry import OwnCommittee
from ssv_pool.protocol.chain import BeaconChain
from ssv_pool.protocol.events import (
    ArmTimer,
    AskBeacon,
    AskKind,
    BeaconReply,
    Broadcast,
    DutyEnded,
    Effect,
    Event,
    MessageReceived,
    Rejected,
    StartDuty,
    StartValidatorDuty,
    SubmitAttestations,
    SubmitBlock,
    TimerFired,
    TimerKey,
    TimerKind,
)
from ssv_pool.protocol.types.ids import committee_message_id, validator_message_id
from ssv_pool.protocol.types.primitives import CommitteeId, MessageId, PublicKey, Slot
from ssv_pool.protocol.types.roles import BeaconRole, RunnerRole

A, B = CommitteeId(b"a" * 32), CommitteeId(b"b" * 32)
CHAIN = chain()
START = 1_700_000_000.0


def value(kind: type, **fields: Any) -> Any:
    """One of the core's values with only some of its fields: nothing here looks at the others."""
    made = object.__new__(kind)
    for name, content in fields.items():
        object.__setattr__(made, name, content)
    return made


def key(index: int) -> PublicKey:
    return PublicKey(index.to_bytes(48, "big"))


def share(index: int, share_key: bytes = b"") -> Any:
    return SimpleNamespace(
        validator_index=index, validator_pubkey=key(index), share_pubkey=share_key or key(index + 1000), committee=()
    )


def own(committee_id: CommitteeId, *validators: int) -> OwnCommittee:
    member: Any = SimpleNamespace(committee_id=committee_id)
    return OwnCommittee(member, {index: share(index) for index in validators})  # type: ignore[misc]


def duty(slot: int) -> StartDuty:
    return value(StartDuty, duty=SimpleNamespace(slot=slot), key=f"duty:{slot}")


def validator_duty(slot: int, index: int, role: BeaconRole = BeaconRole.PROPOSER) -> StartValidatorDuty:
    return value(StartValidatorDuty, duty=SimpleNamespace(slot=slot, pubkey=key(index), type=role), key=f"duty:{slot}")


def ended(slot: int) -> DutyEnded:
    return DutyEnded(value(type("Record", (), {}), key=f"duty:{slot}"))


def message(name: str, message_id: bytes = b"") -> MessageReceived:
    inner = SimpleNamespace(msg_id=message_id or committee_message_id(DOMAIN, RunnerRole.COMMITTEE, A))
    return value(
        MessageReceived, message=SimpleNamespace(operator_ids=(1,), name=name, ssv_message=inner), verified=True
    )


def validator_message(name: str, index: int, role: RunnerRole = RunnerRole.AGGREGATOR) -> MessageReceived:
    return message(name, validator_message_id(DOMAIN, role, key(index)))


def timer(slot: int, role: RunnerRole = RunnerRole.COMMITTEE) -> TimerKey:
    return TimerKey(MessageId(committee_message_id(DOMAIN, role, A)), Slot(slot), TimerKind.ROUND)


@dataclass
class StubCore:
    """Answers from a table; runs what is started until told that it ended."""

    answers: Callable[[Event], list[Effect]] = lambda _: []
    share: Any = None
    seen: list[object] = field(default_factory=list)
    runners: dict[int, object] = field(default_factory=dict)

    def handle(self, event: Event, now: float) -> list[Effect]:
        self.seen.append((event, now) if isinstance(event, TimerFired) else event)
        if isinstance(event, StartDuty | StartValidatorDuty):
            self.runners[event.duty.slot] = event
        effects = self.answers(event)
        for effect in effects:
            if isinstance(effect, DutyEnded):
                self.runners.pop(int(effect.record.key.partition(":")[2]))
        return effects

    def update(self, member: Any, shares: Any, new_chain: BeaconChain | None = None) -> list[Effect]:
        if self.share is not None:
            self.share = shares
            self.seen.append(("update", shares.validator_index, new_chain))
            return []
        self.seen.append(("update", sorted(shares), new_chain))
        return [] if shares else self.leave()

    def leave(self) -> list[Effect]:
        gone, self.runners = self.runners, {}
        return [ended(slot) for slot in gone]


@dataclass
class StubCores:
    """Makes stubs and keeps them."""

    answers: Callable[[Event], list[Effect]]
    made: dict[CommitteeId, StubCore] = field(default_factory=dict)
    validators: dict[int, StubCore] = field(default_factory=dict)

    def committee(self, committee: OwnCommittee, _chain: BeaconChain) -> StubCore:
        self.made[committee.member.committee_id] = StubCore(self.answers)
        return self.made[committee.member.committee_id]

    def validator(self, _member: Any, mine: Any, _chain: BeaconChain) -> StubCore:
        self.validators[mine.validator_index] = StubCore(self.answers, mine)
        return self.validators[mine.validator_index]


@dataclass
class Bench:
    """A running dispatcher and what came out of it."""

    dispatcher: Dispatcher
    made: StubCores
    out: list[object]
    clock: trio.testing.MockClock

    @property
    def cores(self) -> dict[CommitteeId, StubCore]:
        return self.made.made

    @property
    def validators(self) -> dict[int, StubCore]:
        return self.made.validators

    async def settle(self) -> None:
        """Until every queue is empty and no thread works."""
        while True:
            await trio.testing.wait_all_tasks_blocked()
            busy = self.dispatcher._limiter.borrowed_tokens or any(map(len, self.queues))
            if not busy:
                return

    @property
    def queues(self) -> list[CommitteeQueue[Any]]:
        return [lane.queue for lane in (*self.dispatcher._lanes.values(), *self.dispatcher._leaving)]


def run(scenario: Callable[[Bench], Awaitable[None]], answers: Callable[[Event], list[Effect]] = lambda _: []) -> None:
    clock = trio.testing.MockClock()

    async def main() -> None:
        out: list[object] = []
        made = StubCores(answers)

        async def publish(committee: OwnCommittee, sent: Any) -> None:
            out.append(("publish", committee.member.committee_id, sent))

        ports = Ports(
            publish,
            lambda effect: out.append(("submit", effect)),
            lambda request: out.append(("ask", request, clock.current_time())),
            lambda record: out.append(record.key),
        )
        dispatcher = Dispatcher(ports, made, clock=lambda: START + clock.current_time())  # type: ignore[arg-type]
        async with trio.open_nursery() as nursery:
            await nursery.start(dispatcher.run)
            await scenario(Bench(dispatcher, made, out, clock))
            nursery.cancel_scope.cancel()

    trio.run(main, clock=clock)


def test_effects_go_where_they_belong_in_their_order() -> None:
    submission = value(SubmitAttestations, key="k")

    def answers(event: Event) -> list[Effect]:
        if isinstance(event, StartDuty):
            return [Broadcast("m1"), submission, Rejected("rule", "detail"), ended(7), Broadcast("m2")]  # type: ignore[arg-type]
        return []

    async def scenario(bench: Bench) -> None:
        await bench.dispatcher.set_committees({A: own(A, 1)}, CHAIN)
        assert bench.dispatcher.start(A, duty(7))
        assert not bench.dispatcher.start(B, duty(7))
        await bench.dispatcher.wait_idle()
        assert bench.out == [("publish", A, "m1"), ("submit", submission), "duty:7", ("publish", A, "m2")]

    run(scenario, answers)


def test_own_events_come_before_messages_and_messages_of_strangers_are_ignored() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.dispatcher.set_committees({A: own(A, 1)}, CHAIN)
        first, start = message("first"), duty(3)
        bench.dispatcher.receive(message("stranger", committee_message_id(DOMAIN, RunnerRole.COMMITTEE, B)), None)
        bench.dispatcher.receive(first, None)
        bench.dispatcher.start(A, start)
        await bench.settle()
        assert bench.cores[A].seen == [start, first]

    run(scenario)


def test_timers_fire_at_their_time_by_the_wall_clock() -> None:
    def answers(event: Event) -> list[Effect]:
        return [ArmTimer(timer(3), START + 12.5), ArmTimer(timer(4), START - 1)] if isinstance(event, StartDuty) else []

    async def scenario(bench: Bench) -> None:
        start = duty(3)
        await bench.dispatcher.set_committees({A: own(A, 1)}, CHAIN)
        bench.dispatcher.start(A, start)
        await bench.settle()
        assert bench.cores[A].seen == [start, (TimerFired(timer(4)), START)]
        bench.clock.jump(12.5)
        await bench.settle()
        assert bench.cores[A].seen[2:] == [(TimerFired(timer(3)), START + 12.5)]

    run(scenario, answers)


def test_a_committee_that_fails_on_an_event_goes_on_and_holds_up_no_other() -> None:
    def answers(event: Event) -> list[Effect]:
        if isinstance(event, MessageReceived):
            raise ValueError("bug")  # noqa: TRY004 - any error will do
        return [ended(event.duty.slot)] if isinstance(event, StartDuty) else []

    async def scenario(bench: Bench) -> None:
        before = REGISTRY.get_sample_value("ssv_node_committee_errors_total") or 0.0
        await bench.dispatcher.set_committees({A: own(A, 1), B: own(B, 2)}, CHAIN)
        bench.dispatcher.receive(message("bad"), None)
        await bench.settle()
        assert bench.dispatcher.start(A, duty(1))
        assert bench.dispatcher.start(B, duty(2))
        await bench.dispatcher.wait_idle()
        assert sorted(bench.out) == ["duty:1", "duty:2"]  # type: ignore[type-var]
        assert REGISTRY.get_sample_value("ssv_node_committee_errors_total") == before + 1

    run(scenario, answers)


def test_only_what_changed_is_updated() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.dispatcher.set_committees({A: own(A, 1), B: own(B, 2)}, CHAIN)
        first = dict(bench.cores)
        member = own(A).member
        await bench.dispatcher.set_committees(
            {A: OwnCommittee(member, {1: share(1), 3: share(3)}), B: bench.dispatcher._lanes[B].own},  # type: ignore[dict-item]
            CHAIN,
        )
        assert bench.cores == first
        assert (first[A].seen, first[B].seen) == ([("update", [1, 3], CHAIN)], [])
        other = chain("electra")
        await bench.dispatcher.set_committees({i: lane.own for i, lane in bench.dispatcher._lanes.items()}, other)
        assert first[B].seen == [("update", [2], other)]

    run(scenario)


def test_a_committee_that_leaves_ends_its_duties_before_its_shares_may_be_forgotten() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.dispatcher.set_committees({A: own(A, 1), B: own(B, 2)}, CHAIN)
        bench.dispatcher.start(A, duty(5))
        await bench.settle()
        assert bench.dispatcher.running == 1
        bench.dispatcher.start(A, duty(6))
        await bench.dispatcher.set_committees({B: bench.dispatcher._lanes[B].own}, CHAIN)
        assert bench.cores[A].seen[-1] == ("update", [], CHAIN)
        assert bench.out == ["duty:5", "duty:6"]
        assert bench.dispatcher.running == 0
        assert not bench.dispatcher.start(A, duty(7))
        assert not bench.dispatcher._leaving

    run(scenario)


def test_a_committee_that_comes_back_starts_anew() -> None:
    def answers(event: Event) -> list[Effect]:
        return [ArmTimer(timer(1), START + 60)] if isinstance(event, StartDuty) else []

    async def scenario(bench: Bench) -> None:
        await bench.dispatcher.set_committees({A: own(A, 1)}, CHAIN)
        old = bench.cores[A]
        bench.dispatcher.start(A, duty(1))
        await bench.settle()
        await bench.dispatcher.set_committees({}, CHAIN)
        await bench.dispatcher.set_committees({A: own(A, 1)}, CHAIN)
        assert bench.cores[A] is not old
        bench.clock.jump(61)
        await bench.settle()
        assert bench.cores[A].seen == []
        assert not any(isinstance(event, tuple) and isinstance(event[0], TimerFired) for event in old.seen)

    run(scenario)


def test_idle_means_that_nothing_waits_either() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.dispatcher.wait_idle()
        await bench.dispatcher.set_committees({A: own(A, 1)}, CHAIN)
        bench.dispatcher.start(A, duty(5))
        assert bench.dispatcher.running == 1
        woken: list[str] = []

        async def wait() -> None:
            await bench.dispatcher.wait_idle()
            woken.append("idle")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await bench.settle()
            assert woken == []
            bench.cores[A].answers = lambda _: [ended(5)]
            bench.dispatcher.receive(message("last"), None)
        assert woken == ["idle"]

    run(scenario)


def test_a_repeated_duty_does_not_hold_up_the_end() -> None:
    """The core refuses a repeat without a record of its own: nothing must wait for one."""

    def answers(event: Event) -> list[Effect]:
        return [Rejected("duplicate_duty", "begun already")] if isinstance(event, StartDuty) else [ended(5)]

    async def scenario(bench: Bench) -> None:
        await bench.dispatcher.set_committees({A: own(A, 1)}, CHAIN)
        bench.dispatcher.start(A, duty(5))
        bench.dispatcher.start(A, duty(5))
        bench.dispatcher.receive(message("decides"), None)
        await bench.dispatcher.wait_idle()
        assert bench.out == ["duty:5"]

    run(scenario, answers)


def test_it_has_to_run_first() -> None:
    async def main() -> None:
        idle = Ports(None, None, None, None)  # type: ignore[arg-type]
        with pytest.raises(RuntimeError, match="does not run yet"):
            await Dispatcher(idle, StubCores(lambda _: [])).set_committees({}, CHAIN)  # type: ignore[arg-type]

    trio.run(main)


def test_a_validator_has_a_core_of_its_own_from_its_first_event_on() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.dispatcher.set_committees({A: own(A, 1, 2), B: own(B, 3)}, CHAIN)
        start, early = validator_duty(5, 1), validator_message("early", 3)
        assert bench.dispatcher.start(A, start)
        assert not bench.dispatcher.start(B, start), "another committee's validator"
        assert not bench.dispatcher.start(A, validator_duty(5, 9)), "nobody's validator"
        bench.dispatcher.receive(early, None)
        bench.dispatcher.receive(validator_message("stranger", 9), None)
        await bench.settle()
        assert {index: core.seen for index, core in bench.validators.items()} == {1: [start], 3: [early]}
        assert bench.cores[A].seen == bench.cores[B].seen == []
        assert bench.dispatcher.running == 1

    run(scenario)


def test_timers_and_answers_go_to_whom_they_are_for() -> None:
    def answers(event: Event) -> list[Effect]:
        if isinstance(event, StartValidatorDuty):
            return [ArmTimer(timer(5, RunnerRole.PROPOSER), START + 1)]
        return [ArmTimer(timer(6), START + 1)] if isinstance(event, StartDuty) else []

    async def scenario(bench: Bench) -> None:
        await bench.dispatcher.set_committees({A: own(A, 1)}, CHAIN)
        bench.dispatcher.start(A, duty(6))
        bench.dispatcher.start(A, validator_duty(5, 1))
        await bench.settle()
        bench.clock.jump(1)
        await bench.settle()
        to_validator, to_committee = BeaconReply("v", b"1"), BeaconReply("c", b"2")
        assert bench.dispatcher.reply(A, key(1), to_validator)
        assert bench.dispatcher.reply(A, None, to_committee)
        assert not bench.dispatcher.reply(A, key(2), to_validator)
        assert not bench.dispatcher.reply(B, None, to_committee)
        await bench.settle()
        assert bench.validators[1].seen[1:] == [(TimerFired(timer(5, RunnerRole.PROPOSER)), START + 1), to_validator]
        assert bench.cores[A].seen[1:] == [(TimerFired(timer(6)), START + 1), to_committee]

    run(scenario, answers)


@pytest.mark.parametrize(
    ("kind", "seconds"), [(AskKind.BLOCK, 0.0), (AskKind.AGGREGATE, 20.0), (AskKind.CONTRIBUTIONS, 20.0)]
)
def test_aggregates_are_asked_for_when_they_are_due(kind: AskKind, seconds: float) -> None:
    """Slot 1 begins 12 s after genesis, two thirds of it are over after 20 s."""
    asked = AskBeacon("7", kind, Slot(1), (("name", "value"),), START + 60)

    async def scenario(bench: Bench) -> None:
        await bench.dispatcher.set_committees({A: own(A, 1)}, CHAIN)
        bench.dispatcher.start(A, duty(1))
        bench.dispatcher.start(A, validator_duty(1, 1))
        await bench.settle()
        bench.clock.autojump_threshold = 0
        await trio.sleep(30)
        expected = [
            BeaconRequest("ask:7", A, executor, "7", kind, Slot(1), (("name", "value"),), START + 60)
            for executor in (b"", key(1))
        ]
        found = [(request, when) for name, request, when in bench.out if name == "ask"]  # type: ignore[misc]
        assert sorted(found, key=lambda item: item[0].public_key) == [(request, seconds) for request in expected]

    run(scenario, lambda event: [asked] if isinstance(event, StartDuty | StartValidatorDuty) else [])


def test_whatever_is_signed_is_submitted() -> None:
    block = value(SubmitBlock, key="b")

    async def scenario(bench: Bench) -> None:
        await bench.dispatcher.set_committees({A: own(A, 1)}, CHAIN)
        bench.dispatcher.start(A, validator_duty(1, 1))
        await bench.dispatcher.wait_idle()
        assert bench.out == [("submit", block), "duty:1"]

    run(scenario, lambda _: [block, ended(1)])


def test_what_belongs_to_a_proposal_goes_before_everything_else() -> None:
    order: list[Event] = []

    async def scenario(bench: Bench) -> None:
        await bench.dispatcher.set_committees({A: own(A, 1)}, CHAIN)
        last, start, urgent = message("last"), duty(3), validator_message("block", 1, RunnerRole.PROPOSER)
        aggregator, block = validator_duty(3, 1, BeaconRole.AGGREGATOR), validator_duty(4, 1)
        bench.dispatcher.receive(last, None)
        bench.dispatcher.start(A, start)
        bench.dispatcher.start(A, aggregator)
        bench.dispatcher.receive(urgent, None)
        bench.dispatcher.start(A, block)
        await bench.settle()
        assert order == [urgent, block, start, aggregator, last]

    run(scenario, lambda event: order.append(event) or [])  # type: ignore[func-returns-value]


def test_a_proposal_does_not_overtake_the_change_that_brings_its_validator() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.dispatcher.set_committees({A: own(A, 1)}, CHAIN)
        block, lane = validator_duty(4, 2), bench.dispatcher._lanes[A]
        # As set_committees does, without giving the committee's task a chance in between.
        bench.dispatcher._by_validator[key(2)] = lane
        bench.dispatcher._update(lane, own(A, 1, 2), CHAIN, leaving=False)
        assert bench.dispatcher.start(A, block)
        await bench.settle()
        assert bench.validators[2].seen == [block]

    run(scenario)


def test_small_events_share_a_turn_and_whatever_acts_ends_it() -> None:
    turns: list[int] = []

    def answers(event: Event) -> list[Effect]:
        return [Broadcast("out")] if isinstance(event, MessageReceived) and event.message.name == "acts" else []  # type: ignore[arg-type]

    async def scenario(bench: Bench) -> None:
        await bench.dispatcher.set_committees({A: own(A, 1)}, CHAIN)
        take_turn = bench.dispatcher._take_turn

        def counted(*arguments: Any) -> Any:
            turn = take_turn(*arguments)
            turns.append(len(turn.done))
            return turn

        bench.dispatcher._take_turn = counted  # type: ignore[method-assign]
        events = [message("quiet"), message("acts"), *(message("quiet") for _ in range(TURN_EVENTS + 1))]
        for event in events:
            bench.dispatcher.receive(event, None)
        await bench.settle()
        assert bench.cores[A].seen == events
        assert turns[0] == 2
        assert max(turns) <= TURN_EVENTS
        assert len(turns) < len(events)

    run(scenario, answers)


def test_a_validator_that_leaves_ends_its_duties_and_is_forgotten() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.dispatcher.set_committees({A: own(A, 1, 2)}, CHAIN)
        for index in (1, 2):
            bench.dispatcher.start(A, validator_duty(index, index))
        await bench.settle()
        first, second = bench.validators[1], bench.validators[2]
        await bench.dispatcher.set_committees({A: own(A, 2)}, CHAIN)
        assert bench.out == ["duty:1"]
        assert (bench.dispatcher.running, second.seen[-1]) == (1, ("update", 2, CHAIN))
        assert not bench.dispatcher.start(A, validator_duty(7, 1))
        bench.dispatcher.receive(validator_message("late", 1), None)
        await bench.dispatcher.set_committees({A: own(A, 1, 2)}, CHAIN)
        bench.dispatcher.start(A, validator_duty(8, 1))
        await bench.settle()
        assert bench.validators[1] is not first
        assert bench.validators[2] is second

    run(scenario)


def test_a_validator_with_a_new_share_starts_anew() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.dispatcher.set_committees({A: own(A, 1)}, CHAIN)
        bench.dispatcher.start(A, validator_duty(1, 1))
        await bench.settle()
        old = bench.validators[1]
        again = OwnCommittee(own(A).member, {1: share(1, b"another")})  # type: ignore[dict-item]
        await bench.dispatcher.set_committees({A: again}, CHAIN)
        assert bench.out == ["duty:1"]
        bench.dispatcher.start(A, validator_duty(2, 1))
        await bench.settle()
        assert bench.validators[1] is not old
        assert bench.validators[1].share.share_pubkey == b"another"

    run(scenario)


def test_validators_duties_end_with_their_committee() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.dispatcher.set_committees({A: own(A, 1)}, CHAIN)
        bench.dispatcher.start(A, validator_duty(1, 1))
        await bench.dispatcher.set_committees({}, CHAIN)
        assert bench.out == ["duty:1"]
        assert bench.dispatcher.running == 0

    run(scenario)

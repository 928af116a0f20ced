"""The dispatcher on a mock clock, with cores that only note what they are given."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing
from committee_network import chain
from prometheus_client import REGISTRY

from ssv_pool.node.dispatcher import Dispatcher, Ports
from ssv_pool.node.queues import CommitteeQueue
from ssv_pool.node.registry import OwnCommittee
from ssv_pool.protocol.chain import BeaconChain
from ssv_pool.protocol.events import (
    ArmTimer,
    AskBeacon,
    Broadcast,
    DutyEnded,
    Effect,
    Event,
    MessageReceived,
    Rejected,
    StartDuty,
    SubmitAttestations,
    TimerFired,
    TimerKey,
    TimerKind,
)
from ssv_pool.protocol.types.primitives import CommitteeId, MessageId, Slot

A, B = CommitteeId(b"a" * 32), CommitteeId(b"b" * 32)
CHAIN = chain()
START = 1_700_000_000.0


def value(kind: type, **fields: Any) -> Any:
    """One of the core's values with only some of its fields: nothing here looks at the others."""
    made = object.__new__(kind)
    for name, content in fields.items():
        object.__setattr__(made, name, content)
    return made


def own(committee_id: CommitteeId, *validators: int) -> OwnCommittee:
    return OwnCommittee(SimpleNamespace(committee_id=committee_id), dict.fromkeys(validators))  # type: ignore[arg-type]


def duty(slot: int) -> StartDuty:
    return value(StartDuty, duty=SimpleNamespace(slot=slot), key=f"duty:{slot}")


def ended(slot: int) -> DutyEnded:
    return DutyEnded(value(type("Record", (), {}), key=f"duty:{slot}"))


def message(name: str) -> MessageReceived:
    return value(MessageReceived, message=SimpleNamespace(operator_ids=(1,), name=name), verified=True)


def timer(slot: int) -> TimerKey:
    return TimerKey(MessageId(bytes(56)), Slot(slot), TimerKind.ROUND)


@dataclass
class StubCore:
    """Answers from a table; runs what is started until told that it ended."""

    answers: Callable[[Event], list[Effect]] = lambda _: []
    seen: list[object] = field(default_factory=list)
    runners: dict[int, object] = field(default_factory=dict)

    def handle(self, event: Event, now: float) -> list[Effect]:
        self.seen.append((event, now) if isinstance(event, TimerFired) else event)
        if isinstance(event, StartDuty):
            self.runners[event.duty.slot] = event
        effects = self.answers(event)
        for effect in effects:
            if isinstance(effect, DutyEnded):
                self.runners.pop(int(effect.record.key.partition(":")[2]))
        return effects

    def update(self, member: Any, shares: Mapping[Any, Any], new_chain: BeaconChain | None = None) -> list[Effect]:
        self.seen.append(("update", sorted(shares), new_chain))
        if shares:
            return []
        gone, self.runners = self.runners, {}
        return [ended(slot) for slot in gone]


@dataclass
class Bench:
    """A running dispatcher and what came out of it."""

    dispatcher: Dispatcher
    cores: dict[CommitteeId, StubCore]
    out: list[object]
    clock: trio.testing.MockClock

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
        cores: dict[CommitteeId, StubCore] = {}

        async def publish(committee: OwnCommittee, sent: Any) -> None:
            out.append(("publish", committee.member.committee_id, sent))

        def make(committee: OwnCommittee, _chain: BeaconChain) -> StubCore:
            cores[committee.member.committee_id] = StubCore(answers)
            return cores[committee.member.committee_id]

        ports = Ports(publish, lambda effect: out.append(("submit", effect)), lambda record: out.append(record.key))
        dispatcher = Dispatcher(ports, make, clock=lambda: START + clock.current_time())
        async with trio.open_nursery() as nursery:
            await nursery.start(dispatcher.run)
            await scenario(Bench(dispatcher, cores, out, clock))
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
        bench.dispatcher.receive(B, message("stranger"), None)
        bench.dispatcher.receive(A, first, None)
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
        bench.dispatcher.receive(A, message("bad"), None)
        await bench.settle()
        assert bench.dispatcher.start(A, duty(1))
        assert bench.dispatcher.start(B, duty(2))
        await bench.dispatcher.wait_idle()
        assert sorted(bench.out) == ["duty:1", "duty:2"]  # type: ignore[type-var]
        assert REGISTRY.get_sample_value("ssv_node_committee_errors_total") == before + 1

    run(scenario, answers)


def test_an_effect_nobody_handles_is_no_end() -> None:
    def answers(event: Event) -> list[Effect]:
        return [AskBeacon("1", "block", Slot(1)), ended(1)] if isinstance(event, StartDuty) else []

    async def scenario(bench: Bench) -> None:
        await bench.dispatcher.set_committees({A: own(A, 1)}, CHAIN)
        bench.dispatcher.start(A, duty(1))
        await bench.dispatcher.wait_idle()
        assert bench.out == ["duty:1"]

    run(scenario, answers)


def test_only_what_changed_is_updated() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.dispatcher.set_committees({A: own(A, 1), B: own(B, 2)}, CHAIN)
        first = dict(bench.cores)
        member = own(A).member
        await bench.dispatcher.set_committees(
            {A: OwnCommittee(member, {1: None, 3: None}), B: bench.dispatcher._lanes[B].own},  # type: ignore[dict-item]
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
            bench.dispatcher.receive(A, message("last"), None)
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
        bench.dispatcher.receive(A, message("decides"), None)
        await bench.dispatcher.wait_idle()
        assert bench.out == ["duty:5"]

    run(scenario, answers)


def test_it_has_to_run_first() -> None:
    async def main() -> None:
        idle = Ports(None, None, None)  # type: ignore[arg-type]
        with pytest.raises(RuntimeError, match="does not run yet"):
            await Dispatcher(idle, StubCore).set_committees({}, CHAIN)  # type: ignore[arg-type]

    trio.run(main)

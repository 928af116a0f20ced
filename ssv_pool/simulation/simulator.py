"""One seed's run: an event queue with a virtual clock, the operators' committee objects, and the network between them.

Everything random comes from one generator seeded with the seed, and nothing depends on the clock, on the process or on
hash randomisation: the same settings and seed give the same run, event by event.
"""

import heapq
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from random import Random

from ssv_pool.protocol.committee import Committee
from ssv_pool.protocol.events import (
    ArmTimer,
    Broadcast,
    DutyEnded,
    Effect,
    Event,
    MessageReceived,
    StartDuty,
    SubmitAttestations,
    SubmitSyncCommitteeMessages,
    TimerFired,
)
from ssv_pool.protocol.forks import ForkSchedule, alan_fork
from ssv_pool.protocol.runners import Runner
from ssv_pool.protocol.types.messages import SignedSSVMessage
from ssv_pool.protocol.types.primitives import Epoch, PublicKey, Root, Slot
from ssv_pool.protocol.types.roles import RunnerRole
from ssv_pool.simulation.byzantine import Adversary
from ssv_pool.simulation.describe import describe_effect, describe_message
from ssv_pool.simulation.invariants import Invariants, Violation
from ssv_pool.simulation.plan import CHAIN, Crash, DutyPlan, Fault, Plan, draw
from ssv_pool.simulation.profiles import PROFILES, Profile
from ssv_pool.simulation.standins import (
    DOMAIN,
    StandInKeys,
    StandInSigner,
    StandInThreshold,
    make_member,
    make_shares,
)

_FORKS = ForkSchedule(alan_fork(DOMAIN))

MAX_STEPS = 200_000
"""More steps than any run needs: beyond, something goes round in circles."""

GOSSIP_SECONDS = 0.8
"""How long it takes others at most to pass on what a Byzantine operator sent to a few."""

_DELIVER, _TIMER, _START, _CRASH, _RESTART, _INJECT = range(6)


@dataclass(frozen=True, slots=True)
class Settings:
    """What a seed is played with."""

    operators: int = 4
    """Size of the committee: 4, 7, 10 or 13."""
    faults: int = 1
    """How many operators may be faulty, at most (operators - 1) / 3."""
    profile: str = "lossy"
    """Name of the profile."""

    def __post_init__(self) -> None:
        """Refuse what makes no sense. Raises ValueError."""
        if self.operators not in (4, 7, 10, 13):
            raise ValueError(f"{self.operators} operators, expected 4, 7, 10 or 13")
        if not 0 <= self.faults <= (self.operators - 1) // 3:
            raise ValueError(f"{self.faults} faults, expected 0 to {(self.operators - 1) // 3} of {self.operators}")
        if self.profile not in PROFILES:
            raise ValueError(f"profile {self.profile!r}, expected one of {', '.join(PROFILES)}")


@dataclass(slots=True)
class SeedResult:
    """How a seed went."""

    seed: int
    violation: str = ""
    """Which invariant did not hold; empty if all did."""
    steps: int = 0
    """How many events the operators took."""
    messages: int = 0
    """How many copies of messages were sent."""
    rounds: int = 0
    """The highest round in which an honest operator's duty ended."""
    completed: int = 0
    """How many duties completed, counted for each operator."""
    ended: int = 0
    """How many duties ended, counted for each operator."""
    trace: list[str] = field(default_factory=list)
    """What happened, if it was asked for."""


class Node:
    """One operator with the real code; a Byzantine one with two faces is two nodes."""

    __slots__ = ("adversary", "alive", "committee", "decided", "life", "operator_id", "position", "runners", "signer")

    def __init__(self, position: int, signer: StandInSigner) -> None:
        self.committee: Committee
        self.position = position
        self.operator_id = position + 1
        self.signer = signer
        self.adversary: Adversary | None = None
        self.alive = True
        self.life = 0
        self.runners: dict[Slot, Runner] = {}
        self.decided: set[Slot] = set()


class Simulation:
    """A run."""

    def __init__(self, plan: Plan, profile: Profile, rng: Random, *, trace: bool = False) -> None:
        self.plan = plan
        self.rng = rng
        self.now = 0.0
        self.steps = 0
        self.messages = 0
        self.invariants = Invariants(plan)
        self.trace: list[str] | None = list(plan.lines) if trace else None
        self._profile = profile
        self._chance = rng.random
        self._queue: list[tuple[float, int, int, Node, object]] = []
        self._count = 0
        self._start = plan.duties[0].due
        self._crowd = [self._make_node(position) for position in range(plan.size)]
        self.nodes = list(self._crowd)
        for position, fault in enumerate(plan.faults):
            if fault is Fault.BYZANTINE:
                self._corrupt(position)

    def run(self) -> None:
        """Play until nothing is left to happen. Raises Violation."""
        for duty in self.plan.duties:
            for node in self.nodes:
                begun = duty.due + duty.skews[node.position]
                self._push(begun, _START, node, duty)
        for position, crash in self.plan.crashes.items():
            self._push(crash.at, _CRASH, self.nodes[position], None)
            if crash.back is not None:
                self._push(crash.back, _RESTART, self.nodes[position], crash)
        queue = self._queue
        pop = heapq.heappop
        while queue:
            self.now, _, code, node, payload = pop(queue)
            if code == _DELIVER:
                self._deliver(node, payload)  # type: ignore[arg-type]
            elif code == _TIMER:
                self._wake(node, payload)  # type: ignore[arg-type]
            else:
                self._happen(code, node, payload)
            if self.steps > MAX_STEPS:
                raise Violation(f"termination: still busy after {MAX_STEPS} steps")

    def broadcast(self, sender: int, message: SignedSSVMessage, *, verified: bool = True) -> None:
        """Send a message from a position to all others."""
        event = MessageReceived(message, verified)
        for node in self.nodes:
            if node.position != sender:
                self.send(sender, node, event)

    def broadcast_to(self, sender: int, receivers: Collection[int], message: SignedSSVMessage) -> None:
        """Send a Byzantine operator's message to some; where the plan has gossip, those pass it on to the others."""
        event = MessageReceived(message, verified=False)
        gossip = self.plan.gossip and any(position != sender for position in receivers)
        for node in self.nodes:
            if node.position == sender:
                continue
            if node.position in receivers:
                self.send(sender, node, event)
            elif gossip:
                self.send(sender, node, event, self.plan.base_delay + GOSSIP_SECONDS * self._chance() ** 2)

    def send(self, sender: int, node: Node, event: MessageReceived, extra: float = 0.0) -> None:
        """Send one copy on its way, with whatever the network does to it."""
        plan, chance, now = self.plan, self._chance, self.now
        self.messages += 1
        delay = plan.base_delay * (0.5 + chance()) + extra
        if now < plan.heal:
            profile = self._profile
            for split in plan.partitions:
                if split.start <= now < split.end and (sender in split.group) != (node.position in split.group):
                    if plan.recovers:
                        self._push(split.end + delay, _DELIVER, node, event)
                    return
            if plan.loss and chance() < plan.loss:
                if plan.recovers:
                    self._push(plan.heal + delay + 0.5 * chance(), _DELIVER, node, event)
                return
            if profile.slow and chance() < profile.slow:
                delay += chance() * profile.slow_seconds
            if profile.duplication and chance() < profile.duplication:
                self._push(now + delay + chance(), _DELIVER, node, event)
        self._push(now + delay, _DELIVER, node, event)

    def inject(self, at: float, sender: Node, message: SignedSSVMessage) -> None:
        """Have a Byzantine operator send a message to a random part of the others, later."""
        self._push(at, _INJECT, sender, message)

    def note(self, position: int, text: str) -> None:
        """Add a line to the trace."""
        if self.trace is not None:
            self.trace.append(f"{self.now - self._start:+9.3f}  operator {position + 1} {text}")

    def _make_node(self, position: int) -> Node:
        watch = self.invariants.on_signed

        def on_signed(share: PublicKey, source: Epoch, target: Epoch, root: Root) -> None:
            watch(position, share, source, target, root)

        node = Node(position, StandInSigner(on_signed))
        self._boot(node)
        return node

    def _boot(self, node: Node) -> None:
        plan = self.plan
        node.committee = Committee(
            make_member(plan.size, node.operator_id),
            make_shares(plan.size, node.operator_id, plan.validators),
            _FORKS,
            CHAIN,
            StandInKeys(node.operator_id),
            node.signer,
            StandInThreshold(2 * ((plan.size - 1) // 3) + 1),
        )
        node.runners = {}
        node.decided = set()

    def _corrupt(self, position: int) -> None:
        node = self.nodes[position]
        node.adversary = Adversary(self, node, self.rng)
        node.signer = StandInSigner(lambda *_: None, slashing_rules=False)
        self._boot(node)
        if node.adversary.two_faced:
            twin = Node(position, node.signer)
            twin.adversary = node.adversary
            self._boot(twin)
            self.nodes.append(twin)

    def _push(self, at: float, code: int, node: Node, payload: object) -> None:
        self._count += 1
        heapq.heappush(self._queue, (max(at, self.now), self._count, code, node, payload))

    def _happen(self, code: int, node: Node, payload: object) -> None:
        if code == _START and isinstance(payload, DutyPlan):
            self._begin(node, payload)
        elif code == _CRASH:
            self.note(node.position, "dies")
            node.alive = False
            node.life += 1
        elif code == _RESTART and isinstance(payload, Crash):
            self.note(node.position, "is back")
            node.alive = True
            self._boot(node)
            if payload.redelivered:
                for duty in self.plan.duties:
                    if duty.due <= self.now:
                        self._begin(node, duty)
        elif code == _INJECT and isinstance(payload, SignedSSVMessage):
            self.note(node.position, f"injects {describe_message(payload) if self.trace is not None else ''}")
            receivers = [position for position in range(self.plan.size) if self._chance() < 0.7]
            self.broadcast_to(node.position, receivers, payload)

    def _begin(self, node: Node, plan: DutyPlan) -> None:
        if not node.alive:
            return
        vote = plan.votes[node.position]
        if node.adversary is not None:
            vote = node.adversary.vote(node, plan)
        self.note(node.position, f"begins slot {plan.duty.slot}")
        self._step(node, StartDuty(plan.duty, vote, plan.due, self.now, plan.deadline))

    def _deliver(self, node: Node, event: MessageReceived) -> None:
        if not node.alive:
            return
        if self.trace is not None:
            self.note(node.position, f"receives {describe_message(event.message)}")
        if node.adversary is not None:
            node.adversary.see(event.message)
        self._step(node, event)

    def _wake(self, node: Node, payload: tuple[int, TimerFired]) -> None:
        life, event = payload
        if node.life == life and node.alive:
            self._step(node, event)

    def _step(self, node: Node, event: Event) -> None:
        self.steps += 1
        committee = node.committee
        effects = committee.handle(event, self.now)
        if node.adversary is not None:
            self._perform_corrupt(node, effects)
            return
        runners = node.runners
        if type(event) is StartDuty:
            slot = event.duty.slot
            runner = committee.runners.get((RunnerRole.COMMITTEE, slot))
            if runner is not None:
                runners[slot] = runner
        for slot, runner in runners.items():
            state = runner.state
            if slot in node.decided or state is None or state.instance is None:
                continue
            qbft = state.instance.state
            if qbft.decided:
                node.decided.add(slot)
                self.note(node.position, f"decided slot {slot} in round {qbft.round}")
                self.invariants.on_decided(node.position, slot, qbft.decided_value or b"")
        if effects:
            self.invariants.check_signed()
            self._perform(node, effects)

    def _perform(self, node: Node, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if self.trace is not None and (text := describe_effect(effect)):
                self.note(node.position, text)
            match effect:
                case Broadcast(message=message):
                    if self.trace is not None:
                        self.note(node.position, f"sends {describe_message(message)}")
                    self.broadcast(node.position, message)
                case ArmTimer(timer=timer, at=at):
                    self._push(at, _TIMER, node, (node.life, TimerFired(timer)))
                case SubmitAttestations():
                    self.invariants.on_attestations(node.position, effect)
                case SubmitSyncCommitteeMessages():
                    self.invariants.on_sync_messages(node.position, effect)
                case DutyEnded(record=record):
                    self.invariants.on_end(node.position, record, self.now)
                case _:
                    pass

    def _perform_corrupt(self, node: Node, effects: Sequence[Effect]) -> None:
        adversary = node.adversary
        if adversary is None:
            return
        for effect in effects:
            match effect:
                case Broadcast(message=message):
                    adversary.say(node, message)
                case ArmTimer(timer=timer, at=at):
                    self._push(at, _TIMER, node, (node.life, TimerFired(timer)))
                case _:
                    pass


def run_seed(settings: Settings, seed: int, *, trace: bool = False) -> SeedResult:
    """Play one seed. An exception of the core is a violation too."""
    profile = PROFILES[settings.profile]
    rng = Random(f"{settings.profile}/{settings.operators}/{settings.faults}/{seed}")
    plan = draw(profile, settings.operators, settings.faults, rng, explain=trace)
    simulation = Simulation(plan, profile, rng, trace=trace)
    result = SeedResult(seed)
    try:
        simulation.run()
        simulation.invariants.at_the_end()
    except Violation as violation:
        result.violation = str(violation)
    except Exception as error:  # noqa: BLE001 - whatever the core raises is a finding, and is reported with its seed
        result.violation = f"the core raised {type(error).__name__}: {error}"
    result.steps = simulation.steps
    result.messages = simulation.messages
    for (position, _), ends in simulation.invariants.records.items():
        result.ended += 1
        result.completed += ends[-1][0].outcome.value == "completed"
        if plan.faults[position] is Fault.NONE:
            result.rounds = max(result.rounds, ends[-1][0].round)
    if simulation.trace is not None:
        result.trace = simulation.trace
        if result.violation:
            result.trace.append(f"VIOLATION {result.violation}")
    return result

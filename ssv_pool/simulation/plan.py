"""What a seed's run will be: duties, views, faults and the network's times, all drawn before it begins."""

import enum
import functools
from dataclasses import dataclass, field
from hashlib import sha256
from random import Random

from ssv_pool.protocol.chain import BeaconChain, ForkVersion
from ssv_pool.protocol.types.beacon import BeaconVote, Checkpoint
from ssv_pool.protocol.types.duties import CommitteeDuty, ValidatorDuty
from ssv_pool.protocol.types.primitives import Epoch, Root, Slot, ValidatorIndex
from ssv_pool.protocol.types.roles import BeaconRole
from ssv_pool.simulation.profiles import Profile
from ssv_pool.simulation.standins import validator_key

GENESIS = 1_700_000_000.0
"""Start of slot 0."""

CHAIN = BeaconChain(GENESIS, Root(bytes(32)), 12_000, 32, (ForkVersion(Epoch(0), b"\x05\0\0\0", "fulu"),))
"""The simulated beacon chain."""

FIRST_EPOCH = 20
"""Epoch of the first duty; traps need epochs before it."""

DUTY_SLOTS = 32
"""How many slots after its own a duty's deadline lies."""

HEAL_BY = 9.0
"""The network heals at the latest so many seconds after the first duty is due: time for several rounds remains."""


class Fault(enum.Enum):
    """What an operator does wrong."""

    NONE = "honest"
    CRASH = "crashes"
    STALE = "stale view"
    BYZANTINE = "byzantine"


@dataclass(frozen=True, slots=True)
class DutyPlan:
    """One duty of the committee."""

    duty: CommitteeDuty
    due: float
    deadline: float
    votes: tuple[BeaconVote, ...]
    """What the beacon node of each operator says, by position."""
    skews: tuple[float, ...]
    """How long after it is due each operator begins."""
    must_complete: bool
    """Whether honest operators have to complete it; otherwise it only has to end."""


@dataclass(frozen=True, slots=True)
class Crash:
    """When an operator dies, and when it comes back: None, never."""

    at: float
    back: float | None
    redelivered: bool
    """Whether its duties are handed to it again when it comes back."""


@dataclass(frozen=True, slots=True)
class Partition:
    """Two groups that do not hear each other for a while."""

    start: float
    end: float
    group: frozenset[int]
    """Positions on one side."""


@dataclass(slots=True)
class Plan:
    """A seed's run."""

    size: int
    validators: int
    duties: list[DutyPlan]
    faults: tuple[Fault, ...]
    """By position."""
    crashes: dict[int, Crash]
    """By position."""
    partitions: list[Partition]
    heal: float
    """When the network is well; before it loses, delays and splits."""
    loss: float
    recovers: bool
    """Whether lost messages arrive after the network has healed, as gossip makes them."""
    gossip: bool
    """Whether honest operators pass on what they get: so that nobody can keep a message from some for good."""
    base_delay: float
    lines: list[str] = field(default_factory=list)
    """The plan for readers of a trace; filled only for one."""


def root_of(text: str) -> Root:
    """A root with a name."""
    return Root(sha256(text.encode()).digest())


@functools.cache
def make_vote(head: int, source: int, target: int, branch: str = "") -> BeaconVote:
    """A view: one of several heads on a branch of the chain."""
    return BeaconVote(
        root_of(f"head {head}{branch}"),
        Checkpoint(Epoch(source), root_of(f"epoch {source}{branch}")),
        Checkpoint(Epoch(target), root_of(f"epoch {target}{branch}")),
    )


@functools.cache
def make_duty(slot: int, validators: int, sync: bool) -> CommitteeDuty:
    """Attestations of all validators, and with ``sync`` the first one's sync committee message."""
    duties = [
        ValidatorDuty(BeaconRole.ATTESTER, validator_key(i), Slot(slot), ValidatorIndex(i), i % 4, 64, 4, i)
        for i in range(1, validators + 1)
    ]
    if sync:
        duties.append(
            ValidatorDuty(BeaconRole.SYNC_COMMITTEE, validator_key(1), Slot(slot), ValidatorIndex(1), 0, 0, 0, 0)
        )
    return CommitteeDuty(Slot(slot), tuple(duties))


def draw(profile: Profile, size: int, faults: int, rng: Random, *, explain: bool = False) -> Plan:
    """Draw a run with up to ``faults`` faulty operators of ``size``."""
    chance = rng.random
    kinds = _draw_faults(profile, size, faults, rng)
    validators = 1 + int(chance() * 2.2)
    first = CHAIN.first_slot(FIRST_EPOCH) + int(chance() * 32)
    due = CHAIN.attestation_due(first)
    troubled = bool(profile.loss or profile.slow or profile.partition)
    heal = due + (chance() * HEAL_BY if troubled else 0.0)
    plan = Plan(
        size=size,
        validators=validators,
        duties=[],
        faults=kinds,
        crashes={},
        partitions=[],
        heal=heal,
        loss=profile.loss * chance(),
        recovers=not chance() < profile.for_good,
        gossip=chance() < 0.7,
        base_delay=0.005 + 0.1 * chance() ** 2,
    )
    heads = 3 if chance() < profile.heads else 1
    source, target = FIRST_EPOCH - 1, FIRST_EPOCH
    must = plan.recovers and (plan.gossip or Fault.BYZANTINE not in kinds)
    trap = chance() < profile.trap
    plan.duties.append(_draw_duty(plan, first, source, target, heads, must and not trap, rng))
    if trap:
        plan.duties.append(_draw_trap(plan, first, heads, rng))
    elif chance() < profile.second:
        plan.duties.append(_draw_duty(plan, first + 32, source + 1, target + 1, heads, must, rng))
    for position, kind in enumerate(kinds):
        if kind is Fault.CRASH:
            at = due - 0.5 + 5 * chance() ** 2
            back = None if chance() < 0.25 else at + 8 * chance() ** 2
            plan.crashes[position] = Crash(at, back, chance() < 0.8)
    if chance() < profile.partition:
        for _ in range(1 + int(chance() * 3)):
            start = due - 1 + chance() * (heal - due + 1)
            end = start + chance() * (heal - start)
            group = frozenset(rng.sample(range(size), 1 + int(chance() * (size - 1))))
            plan.partitions.append(Partition(start, end, group))
    if explain:
        _explain(plan)
    return plan


def _draw_faults(profile: Profile, size: int, faults: int, rng: Random) -> tuple[Fault, ...]:
    kinds = [Fault.NONE] * size
    weights = (profile.crash, profile.stale, profile.byzantine)
    whole = sum(weights)
    if not whole:
        return tuple(kinds)
    for position in rng.sample(range(size), faults):
        pick = rng.random() * max(1.0, whole)
        for kind, weight in zip((Fault.CRASH, Fault.STALE, Fault.BYZANTINE), weights, strict=True):
            if pick < weight:
                kinds[position] = kind
                break
            pick -= weight
    return tuple(kinds)


def _draw_duty(plan: Plan, slot: int, source: int, target: int, heads: int, must: bool, rng: Random) -> DutyPlan:
    chance = rng.random
    votes = []
    for kind in plan.faults:
        head = int(chance() * heads)
        if kind is Fault.STALE:
            which = int(chance() * 3)
            if which == 0:
                votes.append(make_vote(head, source - 1, target - 1))
            elif which == 1:
                votes.append(make_vote(head, source, target, " of another branch"))
            else:
                votes.append(make_vote(head, source - 1, target))
        else:
            votes.append(make_vote(head, source, target))
    spread = 0.1 if chance() < 0.7 else 2.5
    return DutyPlan(
        duty=make_duty(slot, plan.validators, chance() < 0.2),
        due=CHAIN.attestation_due(slot),
        deadline=CHAIN.start_of(slot + DUTY_SLOTS),
        votes=tuple(votes),
        skews=tuple([chance() * spread for _ in votes]),
        must_complete=must,
    )


def _draw_trap(plan: Plan, first: int, heads: int, rng: Random) -> DutyPlan:
    """A duty of the same validators whose attestation contradicts the first one's: double, surrounding, surrounded."""
    which = int(rng.random() * 3)
    slot = first + 1 + int(rng.random() * 2)
    source, target = FIRST_EPOCH - 1, FIRST_EPOCH
    if which == 1:
        source, target = source - 2, target + 1
    elif which == 2:
        source, target = source + 1, target + 2
        first_duty = plan.duties[0]
        around = make_vote(0, FIRST_EPOCH - 4, FIRST_EPOCH + 3)
        plan.duties[0] = DutyPlan(
            first_duty.duty, first_duty.due, first_duty.deadline, (around,) * plan.size, first_duty.skews, False
        )
    return _draw_duty(plan, slot, source, target, heads, False, rng)


def _explain(plan: Plan) -> None:
    start = plan.duties[0].due
    faulty = ", ".join(f"operator {i + 1} {kind.value}" for i, kind in enumerate(plan.faults) if kind is not Fault.NONE)
    plan.lines.append(
        f"plan: {plan.size} operators, {plan.validators} validators, {faulty or 'no faulty operator'}, "
        f"loss {plan.loss:.2f} {'recovered' if plan.recovers else 'for good'}, "
        f"{'gossip' if plan.gossip else 'no gossip'}, healed {plan.heal - start:+.3f} s"
    )
    for item in plan.duties:
        votes = " ".join(
            f"{i + 1}:{vote.block_root.hex()[:4]}/{vote.source.epoch}>{vote.target.epoch}"
            for i, vote in enumerate(item.votes)
        )
        must = "must complete" if item.must_complete else "must end"
        plan.lines.append(f"plan: slot {item.duty.slot} due {item.due - start:+.3f} s, {must}, views {votes}")
    for position, crash in plan.crashes.items():
        back = "never back" if crash.back is None else f"back {crash.back - start:+.3f} s"
        plan.lines.append(f"plan: operator {position + 1} dies {crash.at - start:+.3f} s, {back}")
    for split in plan.partitions:
        group = sorted(position + 1 for position in split.group)
        plan.lines.append(f"plan: {group} alone from {split.start - start:+.3f} s to {split.end - start:+.3f} s")

"""The protocol core in the middle of duties: messages of peers and answers of the beacon node, of every role."""

import functools
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random

from fuzzing.messages import inside, resigned, traffic
from fuzzing.model import Target
from fuzzing.mutation import mutate
from fuzzing.values import block_samples
from ssv_pool.protocol import types as t
from ssv_pool.protocol.committee import Committee
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
    Outcome,
    StartAggregatorCommitteeDuty,
    StartDuty,
    StartEvent,
    StartValidatorDuty,
    TimerFired,
    TimerKind,
)
from ssv_pool.protocol.executor import DutyExecutor
from ssv_pool.protocol.forks import ForkSchedule, alan_fork, boole_fork
from ssv_pool.protocol.runners import Selection
from ssv_pool.protocol.types.aggregator_committee import AggregatorCommitteeDuty
from ssv_pool.protocol.types.attestations import AggregateAndProof, ElectraAttestation
from ssv_pool.protocol.types.contributions import Contribution, Contributions, SyncCommitteeContribution
from ssv_pool.protocol.types.ids import message_role
from ssv_pool.protocol.types.roles import BeaconRole
from ssv_pool.protocol.types.versions import DataVersion
from ssv_pool.protocol.validator import Validator
from ssv_pool.simulation import plan as plans
from ssv_pool.simulation import standins

ALAN = ForkSchedule(alan_fork(standins.DOMAIN))
BOOLE_FORK = boole_fork(standins.DOMAIN, "simulation", 32)
BOOLE = ForkSchedule(replace(alan_fork(standins.DOMAIN), domain=t.DomainType(bytes(4))), BOOLE_FORK, t.Epoch(0))

SLOT = t.Slot(32 * plans.FIRST_EPOCH + 5)
"""Slot of the duties."""

ROUNDS_OF_A_DUTY = 60
"""After so many inputs the duty begins anew."""

SIGNATURE = t.Signature(b"\x09" * 96)


class Everyone(Selection):
    """Everybody is chosen to aggregate."""

    def is_aggregator(self, committee_index: int, committee_length: int, proof: t.Signature) -> bool:  # noqa: ARG002
        """Always."""
        return True

    def is_sync_committee_aggregator(self, proof: t.Signature) -> bool:  # noqa: ARG002
        """Always."""
        return True


@dataclass(frozen=True, slots=True)
class Scene:
    """A duty that the simulated committee can do."""

    make: Callable[[int], DutyExecutor]
    """One operator."""
    event: StartEvent
    """Begins the duty."""


def scene(role: BeaconRole) -> Scene:
    """A duty of one validator, in Alan."""
    due = plans.CHAIN.start_of(SLOT)

    def make(own: int) -> DutyExecutor:
        share = standins.make_shares(4, own, 1)[t.ValidatorIndex(1)]
        signer = standins.StandInSigner(lambda *_: None)
        return Validator(
            standins.make_member(4, own),
            share,
            ALAN,
            plans.CHAIN,
            standins.StandInKeys(own),
            signer,
            standins.StandInThreshold(3),
            selection=Everyone(),
        )

    return Scene(make, StartValidatorDuty(duty_of(role), due, due, due + 380))


def aggregator_committee() -> Scene:
    """All aggregations of a committee of two validators, in Boole."""
    due = plans.CHAIN.start_of(SLOT)
    second = {"pubkey": standins.validator_key(2), "validator_index": t.ValidatorIndex(2)}
    duties = [
        replace(duty_of(role), **change)
        for role in (BeaconRole.AGGREGATOR, BeaconRole.SYNC_COMMITTEE_CONTRIBUTION)
        for change in ({}, second)
    ]

    def make(own: int) -> DutyExecutor:
        return Committee(
            standins.make_member(4, own),
            standins.make_shares(4, own, 2),
            BOOLE,
            plans.CHAIN,
            standins.StandInKeys(own),
            standins.StandInSigner(lambda *_: None),
            standins.StandInThreshold(3),
            selection=Everyone(),
        )

    duty = AggregatorCommitteeDuty(SLOT, tuple(duties))
    return Scene(make, StartAggregatorCommitteeDuty(duty, due, due, due + 380))


def duty_of(role: BeaconRole) -> t.ValidatorDuty:
    """The duty of validator 1."""
    return t.ValidatorDuty(
        role,
        standins.validator_key(1),
        SLOT,
        t.ValidatorIndex(1),
        2,
        64,
        4,
        7,
        validator_sync_committee_indices=(1, 130),
    )


def answer(request: AskBeacon) -> BeaconReply:
    """What a beacon node says."""
    arguments = dict(request.arguments)
    version = DataVersion.FULU
    match request.kind:
        case AskKind.BLOCK:
            payload = block_samples(version)[1]
        case AskKind.AGGREGATE:
            vote = plans.make_vote(0, plans.FIRST_EPOCH - 1, plans.FIRST_EPOCH)
            data = t.AttestationData(SLOT, 0, vote.block_root, vote.source, vote.target)
            attestation = ElectraAttestation(b"\x0f\x01", data, SIGNATURE, bytes((4, 0, 0, 0, 0, 0, 0, 0)))
            payload = attestation.encode()
            if message_role(t.MessageId(bytes.fromhex(request.request_id.split(":")[0]))) == t.RunnerRole.AGGREGATOR:
                proof = t.Signature(bytes.fromhex(arguments["selection_proof"]))
                payload = AggregateAndProof(t.ValidatorIndex(1), attestation, proof).encode()
        case AskKind.CONTRIBUTIONS:
            places = [int(place) for place in arguments["subcommittees"].split(",")]
            proofs = [bytes.fromhex(proof) for proof in arguments["selection_proofs"].split(",")]
            root = plans.root_of("head")
            payload = Contributions(
                tuple(
                    Contribution(t.Signature(proof), SyncCommitteeContribution(SLOT, root, place, bytes(16), SIGNATURE))
                    for place, proof in zip(places, proofs, strict=True)
                )
            ).encode()
    return BeaconReply(request.request_id, payload, version)


def rehearse(scene: Scene) -> list[t.SignedSSVMessage]:
    """All messages of a duty that goes well, in their order. Raises AssertionError where it does not complete."""
    operators = {own: scene.make(own) for own in range(1, 5)}
    queue: deque[tuple[int, Event]] = deque((own, scene.event) for own in operators)
    sent: list[t.SignedSSVMessage] = []
    completed = 0
    while queue:
        own, event = queue.popleft()
        for effect in operators[own].handle(event, scene.event.due):
            match effect:
                case Broadcast(message=message):
                    sent.append(message)
                    queue += [(other, MessageReceived(message, verified=True)) for other in operators if other != own]
                case AskBeacon():
                    queue.append((own, answer(effect)))
                case ArmTimer(timer=timer) if timer.kind is TimerKind.CONTINUE:
                    queue.append((own, TimerFired(timer)))
                case DutyEnded(record=record):
                    completed += record.outcome is Outcome.COMPLETED
    if completed != len(operators):
        raise AssertionError(f"{completed} of {len(operators)} operators completed the rehearsed duty")
    return sent


@functools.cache
def rehearsed(boole: bool) -> tuple[t.SignedSSVMessage, ...]:
    """Messages of all duties but the committee's attestations."""
    if boole:
        return tuple(rehearse(aggregator_committee()))
    roles = (
        BeaconRole.PROPOSER,
        BeaconRole.AGGREGATOR,
        BeaconRole.SYNC_COMMITTEE_CONTRIBUTION,
        BeaconRole.VALIDATOR_REGISTRATION,
        BeaconRole.VOLUNTARY_EXIT,
    )
    return tuple(message for role in roles for message in rehearse(scene(role)))


def duty_target(scene: Scene) -> Target:
    """Operator 2 does the duty over and over, while some of what it hears is as it should be and most is not."""
    messages = tuple(rehearse(scene))
    rng = Random(9)
    counter = [0]
    state: list[DutyExecutor] = []
    now = scene.event.due

    def give(event: Event) -> None:
        pending: deque[Effect] = deque(state[0].handle(event, now))
        while pending:
            effect = pending.popleft()
            if isinstance(effect, AskBeacon):
                reply = answer(effect)
                if rng.random() < 0.7:
                    reply = replace(reply, payload=mutate(rng, (reply.payload,)))
                elif rng.random() < 0.3:
                    reply = replace(reply, version=int(rng.random() * 10))
                pending += state[0].handle(reply, now)
            elif isinstance(effect, ArmTimer) and effect.timer.kind is TimerKind.CONTINUE:
                pending += state[0].handle(TimerFired(effect.timer), now)

    def feed(raw: bytes) -> None:
        number = counter[0] % ROUNDS_OF_A_DUTY
        counter[0] += 1
        if number == 0:
            state[:] = [scene.make(2)]
            give(scene.event)
        message: t.SignedSSVMessage | None
        if number % 2:
            message = messages[(number // 2) % len(messages)]
        elif number % 4:
            message = resigned(raw)
        else:
            message = inside(rng, messages)
        if message is not None:
            give(MessageReceived(message, verified=bool(number % 3)))

    return Target(tuple(message.encode() for message in messages), feed)


def core_target() -> Target:
    """The committee's core, in the middle of duties, with messages that passed the check of the signatures."""
    counter = [0]
    rng = Random(8)
    state: list[Committee] = []
    slots = sorted({t.QBFTMessage.decode(m.ssv_message.data).height for m in traffic() if not m.ssv_message.msg_type})

    def renew() -> None:
        committee = Committee(
            standins.make_member(4, 2),
            standins.make_shares(4, 2, 3),
            ForkSchedule(alan_fork(standins.DOMAIN)),
            plans.CHAIN,
            standins.StandInKeys(2),
            standins.StandInSigner(lambda *_: None),
            standins.StandInThreshold(3),
        )
        state[:] = [committee]
        for slot in slots[counter[0] // 200 % 3 :: 3]:
            due = plans.CHAIN.attestation_due(slot)
            epoch = slot // 32
            vote = plans.make_vote(0, epoch - 1, epoch)
            duty = StartDuty(plans.make_duty(slot, 3, True), vote, due, due, due + 380)
            committee.handle(duty, due)

    def feed(raw: bytes) -> None:
        if counter[0] % 200 == 0:
            renew()
        counter[0] += 1
        message = resigned(raw) if counter[0] % 3 else inside(rng, traffic())
        if message is None:
            return
        now = plans.CHAIN.attestation_due(slots[counter[0] % len(slots)]) + 1
        for effect in state[0].handle(MessageReceived(message, verified=bool(counter[0] % 2)), now):
            del effect

    return Target(tuple(message.encode() for message in traffic()), feed)

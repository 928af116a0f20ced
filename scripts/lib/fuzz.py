"""Feeds mutated messages to every decoder, to the gossip validator and to the protocol core.

Nothing but the declared errors may come out, what is accepted has to encode to the same bytes again, and memory must
not grow. Inputs are made from valid ones by a seeded generator, so a finding is repeated with the same seed. See
docs/simulation.md.
"""

import argparse
import functools
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

from ssv_pool.crypto.shares_data import SharesData, SharesDataError
from ssv_pool.messaging.codec import CodecError
from ssv_pool.messaging.commands import COMMANDS, JOURNAL, SUBMISSIONS
from ssv_pool.protocol import types as t
from ssv_pool.protocol.committee import Committee
from ssv_pool.protocol.events import MessageReceived, StartDuty
from ssv_pool.protocol.forks import ForkSchedule, ProtocolFork, alan_fork, boole_fork
from ssv_pool.protocol.types import attestations, beacon_schemas, blocks, contributions, schema
from ssv_pool.protocol.types.aggregator_committee import AggregatorCommitteeConsensusData, AssignedAggregator
from ssv_pool.protocol.types.consensus_data import ProposerConsensusData
from ssv_pool.protocol.types.errors import ProtocolError
from ssv_pool.protocol.validation import CommitteeView, Validator
from ssv_pool.protocol.validation.view import ValidatorView
from ssv_pool.registry import abi
from ssv_pool.registry.abi import AbiDecodeError
from ssv_pool.simulation import plan as plans
from ssv_pool.simulation import standins
from ssv_pool.simulation.profiles import PROFILES
from ssv_pool.simulation.simulator import Simulation

MAX_GROWTH = 48 << 20
"""How many bytes a process may grow between a fifth of the inputs and the end."""

INTERESTING = (
    0,
    1,
    2,
    3,
    4,
    7,
    8,
    12,
    13,
    14,
    32,
    56,
    96,
    112,
    255,
    256,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFE,
    0xFFFFFFFF,
)
"""Numbers that lengths, offsets and counts break at."""

Feed = Callable[[bytes], None]
"""Takes one input; raises what it finds. Declared errors are caught in it."""


@dataclass(frozen=True, slots=True)
class Target:
    """Something that takes bytes from outside."""

    samples: tuple[bytes, ...]
    """Valid inputs."""
    feed: Feed


@dataclass(frozen=True, slots=True)
class Report:
    """What came of one target."""

    name: str
    inputs: int
    seconds: float
    growth: int
    """Bytes by which the process grew after a fifth of the inputs."""
    finding: str = ""
    """The input (hex) and what it caused; empty if nothing."""


def mutate(rng: Random, samples: tuple[bytes, ...]) -> bytes:
    """One input: a sample with one to four changes."""
    random = rng.random
    raw = bytearray(samples[int(random() * len(samples))])
    for _ in range(1 + int(random() * random() * 4)):
        kind = int(random() * 9)
        size = len(raw)
        at = int(random() * size) if size else 0
        if kind <= 1 and size:
            raw[at] ^= 1 << int(random() * 8)
        elif kind == 2 and size:
            raw[at] = int(random() * 256)
        elif kind == 3:
            # Offsets and counts stand at multiples of four.
            number = INTERESTING[int(random() * len(INTERESTING))] if random() < 0.6 else int(random() * (size + 8))
            raw[at & ~3 : (at & ~3) + 4] = number.to_bytes(4, "little")
        elif kind == 4:
            del raw[at:]
        elif kind == 5:
            raw += rng.randbytes(1 + int(random() * 40))
        elif kind == 6:
            del raw[at : at + 1 + int(random() * 16)]
        elif kind == 7:
            raw[at:at] = raw[at : at + 1 + int(random() * 64)]
        else:
            other = samples[int(random() * len(samples))]
            raw[at:] = other[int(random() * (len(other) + 1)) :]
    return bytes(raw)


def codec(kind: Any, *samples: Any, declared: type[Exception] = ProtocolError) -> Target:
    """A target that decodes, and encodes again what it accepts."""

    def feed(raw: bytes) -> None:
        try:
            value = kind.decode(raw)
        except declared:
            return
        if value.encode() != raw:
            raise AssertionError("accepted, but encodes to other bytes")

    return Target(tuple(sample.encode() for sample in samples), feed)


def function(call: Callable[[bytes], Any], declared: type[Exception], *samples: bytes) -> Target:
    """A target that decodes only."""

    def feed(raw: bytes) -> None:
        try:
            call(raw)
        except declared:
            return

    return Target(samples, feed)


@functools.cache
def traffic(profile: str = "chaos", runs: int = 25) -> tuple[t.SignedSSVMessage, ...]:
    """Messages of simulated committees of four, each once."""
    found: dict[t.SignedSSVMessage, None] = {}
    for seed in range(runs):
        rng = Random(seed)
        plan = plans.draw(PROFILES[profile], 4, 1, rng)
        simulation = Simulation(plan, PROFILES[profile], rng)
        send = simulation.send

        def tap(sender: int, node: Any, event: MessageReceived, extra: float = 0.0, send: Any = send) -> None:
            found.setdefault(event.message)
            send(sender, node, event, extra)

        simulation.send = tap  # type: ignore[method-assign]
        simulation.run()
    return tuple(found)


def zero(kind: Any) -> Any:
    """A small value of an SSZ type."""
    match kind:
        case schema.Uint():
            return 1
        case schema.Bytes() | schema.Bitvector():
            return bytes(kind.size)
        case schema.ByteList():
            return b"xyz"[: kind.limit]
        case schema.Bitlist():
            return b"\x03"
        case schema.U64List():
            return (1, 2)
        case schema.List():
            return (zero(kind.item), zero(kind.item))[: kind.limit]
        case schema.Vector():
            return (zero(kind.item),) * kind.count
        case schema.Container():
            return kind.record._make(zero(field) for field in kind.fields.values())
        case _:
            raise TypeError(f"no value for {kind!r}")


class View:
    """The registry of the simulated committee."""

    def __init__(self) -> None:
        member = standins.make_member(4, 1)
        self._committees = {member.committee_id: CommitteeView(member.operator_ids, 3, in_sync_committee=True)}

    def committee(self, committee_id: t.CommitteeId) -> CommitteeView | None:
        """The one that there is."""
        return self._committees.get(committee_id)

    def operator_key(self, operator_id: t.OperatorId) -> bytes | None:
        """More operators than the committee has."""
        return standins.operator_key(operator_id) if 0 < operator_id < 20 else None

    def validator(self, public_key: t.PublicKey) -> ValidatorView | None:
        """One in two is registered."""
        committee = next(iter(self._committees.values()))
        return ValidatorView(committee, t.ValidatorIndex(1), False, t.Epoch(0)) if public_key[-1] % 2 else None

    def proposes(self, index: t.ValidatorIndex, slot: t.Slot) -> bool | None:
        """Anything."""
        return (None, True, False)[(slot + index) % 3]

    def in_sync_committee(self, index: t.ValidatorIndex, epoch: t.Epoch) -> bool | None:
        """Anything."""
        return (None, True, False)[(epoch + index) % 3]

    def exits(self, public_key: t.PublicKey, slot: t.Slot) -> int | None:
        """Anything."""
        return (None, 1, 2)[(slot + public_key[0]) % 3]


def resigned(raw: bytes) -> t.SignedSSVMessage | None:
    """The mutated message signed again by its signers, so that it comes past the check of the signatures."""
    try:
        message = t.SignedSSVMessage.decode(raw)
    except ProtocolError:
        return None
    return sign_again(message)


def sign_again(message: t.SignedSSVMessage) -> t.SignedSSVMessage:
    """The message with its signers' signatures."""
    encoded = message.ssv_message.encode()
    signatures = tuple(
        standins.operator_signature(standins.operator_key(signer % 20), encoded) for signer in message.operator_ids
    )
    return replace(message, signatures=signatures)


def inside(rng: Random, messages: tuple[t.SignedSSVMessage, ...]) -> t.SignedSSVMessage:
    """A message changed in its content only, or not at all; its value fits its root again, and its signatures fit."""
    message = messages[int(rng.random() * len(messages))]
    inner = message.ssv_message
    data = mutate(rng, (inner.data,)) if rng.random() < 0.8 else inner.data
    if message.full_data and rng.random() < 0.5:
        message = replace(message, full_data=mutate(rng, (message.full_data,)))
        try:
            content = t.QBFTMessage.decode(data)
        except ProtocolError:
            pass
        else:
            data = replace(content, root=t.Root(sha256(message.full_data).digest())).encode()
    return sign_again(replace(message, ssv_message=replace(inner, data=data)))


def slot_of(message: t.SignedSSVMessage) -> int:
    """The slot a message says it is of; 0 where it does not decode."""
    try:
        if message.ssv_message.msg_type == t.MsgType.CONSENSUS:
            return t.QBFTMessage.decode(message.ssv_message.data).height
        return t.PartialSignatureMessages.decode(message.ssv_message.data).slot
    except ProtocolError:
        return 0


def gossip_target(fork: ProtocolFork) -> Target:
    """The gossip validator, with bytes changed anywhere, the same signed again, and messages changed inside."""
    validator = Validator(View(), fork, plans.CHAIN, standins.StandInKeys(1))
    topic = fork.topic(standins.make_member(4, 1).operator_ids)
    rng = Random(7)
    counter = [0]

    def feed(raw: bytes) -> None:
        counter[0] += 1
        number = counter[0]
        message = None
        if number % 4 == 1:
            message = resigned(raw)
        elif number % 2 == 0:
            message = inside(rng, traffic())
        now = plans.CHAIN.start_of(plans.CHAIN.first_slot(plans.FIRST_EPOCH)) + rng.random() * 800
        if message is not None:
            raw = message.encode()
            if 0 < (slot := slot_of(message)) < 100_000:
                now = plans.CHAIN.start_of(slot) + 4 + rng.random() ** 4 * 420
        peer = b"peer %d" % int(rng.random() * 3000)
        validator.validate(peer, topic if number % 97 else "elsewhere", raw, now)

    return Target(tuple(message.encode() for message in traffic()), feed)


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


def targets() -> dict[str, Callable[[], Target]]:
    """All of them by name; made when they are needed."""
    root, signature = t.Root(b"\x07" * 32), t.Signature(b"\x09" * 96)
    vote = plans.make_vote(0, 19, 20)
    data = t.AttestationData(t.Slot(640), 0, vote.block_root, vote.source, vote.target)
    duty = plans.make_duty(640, 2, True).validator_duties[0]
    sync_duty = replace(duty, validator_sync_committee_indices=(1, 5, 9))
    part = contributions.SyncCommitteeContribution(t.Slot(640), root, 1, bytes(16), signature)
    contribution = contributions.Contribution(signature, part)
    phase0 = attestations.Attestation(b"\x0f\x01", data, signature)
    electra = attestations.ElectraAttestation(b"\x0f\x01", data, signature, bytes(8))
    assigned = AssignedAggregator(t.ValidatorIndex(3), signature, 4)
    made: dict[str, Callable[[], Target]] = {
        "SignedSSVMessage": lambda: codec(t.SignedSSVMessage, *traffic()),
        "SSVMessage": lambda: codec(t.SSVMessage, *(message.ssv_message for message in traffic())),
        "QBFTMessage": lambda: codec(t.QBFTMessage, *_contents(t.QBFTMessage, t.MsgType.CONSENSUS)),
        "PartialSignatureMessages": lambda: codec(
            t.PartialSignatureMessages, *_contents(t.PartialSignatureMessages, t.MsgType.PARTIAL_SIGNATURE)
        ),
        "Checkpoint": lambda: codec(t.Checkpoint, vote.source),
        "AttestationData": lambda: codec(t.AttestationData, data),
        "BeaconVote": lambda: codec(t.BeaconVote, vote),
        "ValidatorDuty": lambda: codec(t.ValidatorDuty, duty, sync_duty),
        "Share": lambda: codec(t.Share, *standins.make_shares(4, 1, 2).values()),
        "CommitteeMember": lambda: codec(t.CommitteeMember, standins.make_member(4, 1), standins.make_member(7, 2)),
        "ProposerConsensusData": lambda: codec(
            ProposerConsensusData, ProposerConsensusData(duty, 6, b"block"), ProposerConsensusData(sync_duty, 7, b"")
        ),
        "AssignedAggregator": lambda: codec(AssignedAggregator, assigned),
        "AggregatorCommitteeConsensusData": lambda: codec(
            AggregatorCommitteeConsensusData,
            AggregatorCommitteeConsensusData(
                6, (assigned, assigned), (4, 5), (electra.encode(), electra.encode()), (assigned,), (part,)
            ),
            AggregatorCommitteeConsensusData(5, (assigned,), (4,), (phase0.encode(),)),
        ),
        "SyncCommitteeContribution": lambda: codec(contributions.SyncCommitteeContribution, part),
        "Contribution": lambda: codec(contributions.Contribution, contribution),
        "Contributions": lambda: codec(
            contributions.Contributions,
            contributions.Contributions((contribution,)),
            contributions.Contributions((contribution,) * 3),
        ),
        "Attestation": lambda: codec(attestations.Attestation, phase0),
        "ElectraAttestation": lambda: codec(attestations.ElectraAttestation, electra),
        "AggregateAndProof": lambda: function(
            lambda raw: attestations.AggregateAndProof.decode(5 + raw[0] % 2 if raw else 5, raw),
            ProtocolError,
            attestations.AggregateAndProof(t.ValidatorIndex(4), phase0, signature).encode(),
            attestations.AggregateAndProof(t.ValidatorIndex(5), electra, signature).encode(),
        ),
        "SharesData": lambda: function(
            lambda raw: SharesData.decode(raw, 4), SharesDataError, bytes(range(256)) * 5 + bytes(32)
        ),
        "registry events": registry_target,
        "commands": lambda: command_target(COMMANDS.decode),
        "submissions": lambda: command_target(SUBMISSIONS.decode),
        "journal": lambda: command_target(JOURNAL.decode),
        "gossip validator": lambda: gossip_target(alan_fork(standins.DOMAIN)),
        "gossip validator of Boole": lambda: gossip_target(boole_fork(standins.DOMAIN, "simulation", 32)),
        "committee core": core_target,
    }
    for version in (4, 5, 6, 7):
        made[f"blocks version {version}"] = functools.partial(block_target, version)
    return made


def _contents(kind: Any, msg_type: int) -> list[Any]:
    messages = [message.ssv_message for message in traffic()]
    return [kind.decode(message.data) for message in messages if message.msg_type == msg_type]


def block_target(version: int) -> Target:
    """Blocks of one fork of the beacon chain, full and blinded; blobs are left out of the samples, they are large."""
    schemas = beacon_schemas.block_schemas(version)
    samples = [schemas.blinded.encode(zero(schemas.blinded))]
    if schemas.contents is None:
        samples.append(schemas.full.encode(zero(schemas.full)))
    else:
        contents = zero(schemas.contents)
        empty = {name: () for name in ("kzg_proofs", "blobs") if name in schemas.contents.fields}
        samples.append(schemas.contents.encode(contents._replace(**empty)))

    def feed(raw: bytes) -> None:
        try:
            block = blocks.decode_block(version, raw)
        except ProtocolError:
            return
        if block.schema.encode(block.object) != raw:
            raise AssertionError("accepted, but encodes to other bytes")

    return Target(tuple(samples), feed)


def registry_target() -> Target:
    """Data of the registry contract's events; the first byte says which event."""
    from eth_abi import encode

    events = list(abi.EVENTS.values())
    values = {
        "uint64": 7,
        "uint256": 8,
        "uint32": 9,
        "bool": True,
        "address": "0x" + "11" * 20,
        "bytes": b"some bytes",
        "uint64[]": [1, 2, 3, 4],
        "(uint32,uint64,uint64,bool,uint256)": (1, 2, 3, True, 4),
    }
    samples = [
        bytes([number]) + encode(event.plain, [values[kind] for kind in event.plain])
        for number, event in enumerate(events)
    ]

    def feed(raw: bytes) -> None:
        event = events[raw[0] % len(events) if raw else 0]
        topics = [event.topic, *[sha256(raw[:k]).digest() for k in range(len(event.indexed))]]
        try:
            event.decode(topics, raw[1:])
        except AbiDecodeError:
            return

    return Target(tuple(samples), feed)


def command_target(decode: Callable[[bytes], Any]) -> Target:
    """Messages between workers and node; JSON that looks like them."""
    body = {
        "type": "StartCommitteeDuty",
        "key": "committee:1:aa",
        "slot": 5,
        "due": 1.5,
        "committee_id": "0x" + "aa" * 32,
        "beacon_vote": {"block_root": "0x" + "00" * 32, "source": {"epoch": 1, "root": "0x" + "00" * 32}},
        "validator_duties": [{"type": 0, "slot": 5}],
        "nested": [[[[{}]]]],
        "number": 1e308,
    }
    names = ("StartCommitteeDuty", "RegistryChanged", "AttestationSubmission", "JournalEntry")
    samples = [json.dumps({**body, "type": name}).encode() for name in names]
    samples.append(json.dumps({"type": "RegistryChanged", "version": 3}).encode())
    return function(decode, CodecError, *samples, b"[" * 3000, b'{"type":"JournalEntry","type":"x"}')


def resident() -> int:
    """Bytes of memory this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def run(job: tuple[str, int, int]) -> Report:
    """Feed one target."""
    name, inputs, seed = job
    target = targets()[name]()
    rng = Random(f"{name}/{seed}")
    started = time.process_time()
    mark = inputs // 5
    before = resident()
    number = 0
    try:
        for sample in target.samples:
            raw = sample
            target.feed(raw)
        for number in range(inputs):
            raw = mutate(rng, target.samples)
            target.feed(raw)
            if number == mark:
                before = resident()
    except Exception as error:  # noqa: BLE001 - whatever is raised here is the finding
        seconds = time.process_time() - started
        return Report(name, number, seconds, 0, f"{type(error).__name__}: {error}; input 0x{raw.hex()}")
    growth = resident() - before
    finding = f"the process grew by {growth} bytes" if growth > MAX_GROWTH else ""
    return Report(name, inputs, time.process_time() - started, growth, finding)


def main() -> int:
    """Feed them all; the exit status is 1 if anything was found."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=1_000_000, metavar="N", help="for each target (default 10^6)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", metavar="TEXT", help="targets with this in their name")
    parser.add_argument("--processes", type=int, default=2, help="(default 2)")
    parser.add_argument("--list", action="store_true", help="list the targets and do nothing")
    options = parser.parse_args()
    names = [name for name in targets() if options.only.lower() in name.lower()]
    if options.list:
        print("\n".join(names))
        return 0
    if not names:
        parser.error(f"no target has {options.only!r} in its name")
    print(f"{'target':<36}{'inputs':>10}{'seconds':>10}{'growth MiB':>12}  finding", flush=True)
    found = 0
    jobs = [(name, options.inputs, options.seed) for name in names]
    # One process a target: what one keeps in memory says nothing about another.
    with multiprocessing.get_context("fork").Pool(options.processes, maxtasksperchild=1) as pool:
        for report in pool.imap_unordered(run, jobs, chunksize=1):
            found += bool(report.finding)
            print(
                f"{report.name:<36}{report.inputs:>10}{report.seconds:>10.1f}{report.growth / (1 << 20):>12.1f}"
                f"  {report.finding[:2000] or '-'}",
                flush=True,
            )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

"""Feeds mutated messages to every decoder, to the gossip validator and to the protocol core.

Nothing but the declared errors may come out, what is accepted has to encode to the same bytes again, and memory must
not grow. Inputs are made from valid ones by a seeded generator, so a finding is repeated with the same seed. See
docs/simulation.md.
"""

import argparse
import functools
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from fuzzing import duties, edges
from fuzzing.messages import gossip_target, traffic
from fuzzing.model import Target, codec, function
from fuzzing.values import attestation_target, block_target

from ssv_pool.crypto.shares_data import SharesData, SharesDataError
from ssv_pool.protocol import types as t
from ssv_pool.protocol.forks import alan_fork
from ssv_pool.protocol.types import attestations, contributions
from ssv_pool.protocol.types.aggregator_committee import AggregatorCommitteeConsensusData, AssignedAggregator
from ssv_pool.protocol.types.beacon_schemas import BLOCK_VERSIONS
from ssv_pool.protocol.types.consensus_data import ProposerConsensusData
from ssv_pool.protocol.types.errors import ProtocolError
from ssv_pool.protocol.types.presets import MINIMAL
from ssv_pool.protocol.types.roles import BeaconRole
from ssv_pool.simulation import plan as plans
from ssv_pool.simulation import standins

MAX_GROWTH = 48 << 20
"""How many bytes a process may grow between a fifth of the inputs and the end."""


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
        "ElectraAttestation of the minimal preset": lambda: attestation_target(
            MINIMAL, replace(electra, committee_bits=bytes((1,))).encode()
        ),
        "registry events": edges.registry_target,
        "commands": edges.commands,
        "submissions": edges.submissions,
        "requests": edges.requests,
        "journal": edges.journal,
        "node info": edges.node_info,
        "node info envelope": edges.node_info_envelope,
        "gossip frames": edges.gossip_frames,
        "slashing protection file": edges.slashing_protection,
        "gossip validator": lambda: gossip_target(alan_fork(standins.DOMAIN), duties.rehearsed(False)),
        "gossip validator of Boole": lambda: gossip_target(duties.BOOLE_FORK, duties.rehearsed(True)),
        "committee core": duties.core_target,
        "proposer core": lambda: duties.duty_target(duties.scene(BeaconRole.PROPOSER)),
        "aggregator core": lambda: duties.duty_target(duties.scene(BeaconRole.AGGREGATOR)),
        "sync committee contribution core": lambda: duties.duty_target(
            duties.scene(BeaconRole.SYNC_COMMITTEE_CONTRIBUTION)
        ),
        "aggregator committee core": lambda: duties.duty_target(duties.aggregator_committee()),
    }
    for version in BLOCK_VERSIONS:
        made[f"blocks of {version.name.lower()}"] = functools.partial(block_target, version)
        made[f"blocks of {version.name.lower()}, minimal preset"] = functools.partial(block_target, version, MINIMAL)
    return made


def _contents(kind: Any, msg_type: int) -> list[Any]:
    messages = [message.ssv_message for message in traffic()]
    return [kind.decode(message.data) for message in messages if message.msg_type == msg_type]


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
            raw = target.mutate(rng, target.samples)
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

"""Every duty by four real nodes over sockets, in both protocol versions; the test plays their workers."""

import functools
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import trio
from committee_network import root, vote
from executor_network import zero
from node_cluster import COMMITTEE, NodeCluster, Operator

from ssv_pool.messaging.commands import (
    AggregateSubmission,
    BeaconAnswer,
    BeaconRequest,
    BeginAggregatorCommitteeDuty,
    BeginValidatorDuty,
    BlockSubmission,
    Command,
    ContributionSubmission,
    DutiesPlanned,
    ExitSubmission,
    RegistrationSubmission,
    RegistryChanged,
    StartCommitteeDuty,
    SyncMessageSubmission,
    aggregator_committee_key,
    committee_duty_key,
    validator_duty_key,
)
from ssv_pool.observability import metrics
from ssv_pool.protocol.events import AskKind, Outcome
from ssv_pool.protocol.types.attestations import AggregateAndProof, ElectraAttestation
from ssv_pool.protocol.types.beacon import AttestationData, Checkpoint
from ssv_pool.protocol.types.beacon_schemas import block_schemas
from ssv_pool.protocol.types.contributions import Contribution, Contributions, SyncCommitteeContribution
from ssv_pool.protocol.types.duties import ValidatorDuty
from ssv_pool.protocol.types.presets import MINIMAL
from ssv_pool.protocol.types.primitives import Epoch, Root, Signature, Slot, ValidatorIndex
from ssv_pool.protocol.types.roles import BeaconRole, RunnerRole
from ssv_pool.protocol.types.versions import DataVersion
from ssv_pool.store import registry_changes as changes
from ssv_pool.store.duties import Proposal, SyncCommittee, SyncMembership, replace_proposals, replace_sync_committee

pytestmark = pytest.mark.integration

PLACES = (1, 9)
"""Places of validator 1 in the sync committee: in subcommittees 0 and 1 of the minimal preset."""

BLOB_BYTES = 131_072
BLOBS = 6


def block_of(slot: Slot, operator: Operator) -> bytes:
    """A block with blobs, another one of each operator's beacon node."""
    schemas = block_schemas(DataVersion.ELECTRA, MINIMAL)
    full = zero(schemas.full)._replace(slot=slot, proposer_index=0)
    body = full.body._replace(graffiti=bytes([operator.operator_id]) * 32)
    contents = zero(schemas.contents)._replace(
        block=full._replace(body=body), kzg_proofs=(bytes(48),) * BLOBS, blobs=(bytes(BLOB_BYTES),) * BLOBS
    )
    return schemas.contents.encode(contents)


def attestation(slot: Slot) -> ElectraAttestation:
    data = AttestationData(slot, 0, root("head"), Checkpoint(Epoch(0), root("s")), Checkpoint(Epoch(1), root("t")))
    return ElectraAttestation(b"\x0f", data, Signature(bytes(96)), b"\x01")


def contributions(request: BeaconRequest) -> bytes:
    arguments = dict(request.arguments)
    pairs = zip(arguments["subcommittees"].split(","), arguments["selection_proofs"].split(","), strict=True)
    items = tuple(
        Contribution(
            Signature(bytes.fromhex(proof)),
            SyncCommitteeContribution(request.slot, root("head"), int(number), b"\x01".ljust(16, b"\0"), bytes(96)),
        )
        for number, proof in pairs
    )
    return Contributions(items).encode()


def answer(operator: Operator, request: BeaconRequest) -> BeaconAnswer:
    """What an operator's worker finds at its beacon node."""
    match request.kind:
        case AskKind.BLOCK:
            payload = block_of(request.slot, operator)
        case AskKind.CONTRIBUTIONS:
            payload = contributions(request)
        case AskKind.AGGREGATE if request.public_key:
            arguments = dict(request.arguments)
            proof = Signature(bytes.fromhex(arguments["selection_proof"]))
            index = ValidatorIndex(int(arguments["validator_index"]))
            payload = AggregateAndProof(index, attestation(request.slot), proof).encode()
        case _:
            payload = attestation(request.slot).encode()
    version = int(DataVersion.ELECTRA)
    names = (request.key, request.committee_id, request.public_key, request.request_id)
    return BeaconAnswer(*names, payload, version, "", request.deadline)


class Scenario:
    """Begins duties at all nodes and says what came of them."""

    def __init__(self, cluster: NodeCluster) -> None:
        self.cluster = cluster
        self.slot = Slot(cluster.chain.slot_at(time.time()) + 2)
        self.due = cluster.chain.start_of(self.slot)
        self.deadline = cluster.chain.start_of(self.slot + 8)
        for operator in cluster.operators:
            operator.bus.answer = functools.partial(answer, operator)

    def duty(self, role: BeaconRole, number: int, places: tuple[int, ...] = ()) -> ValidatorDuty:
        key = self.cluster.key(number)
        return ValidatorDuty(role, key, self.slot, ValidatorIndex(number), 0, 4, 1, number, places)

    def plan(self) -> None:
        """What is planned, and the exit that the contract's event asks for: gossip validation wants to know."""
        cluster, chain, epoch = self.cluster, self.cluster.chain, self.cluster.chain.epoch_of(self.slot)
        proposal = Proposal(self.slot, ValidatorIndex(0), cluster.key(0))
        member = SyncMembership(ValidatorIndex(1), cluster.key(1), PLACES)
        asked = int(chain.start_of(self.slot - 4)) + 1

        def write(session: Any) -> None:
            replace_proposals(session, epoch, Root(bytes(32)), [proposal])
            replace_sync_committee(session, SyncCommittee(Epoch(0), Epoch(99), 1, (member,)))
            changes.add_exit_request(session, cluster.key(0), bytes(20), 20, 0, asked)
            changes.bump_version(session)

        cluster.store(write)
        cluster.send(RegistryChanged(99))
        cluster.send(DutiesPlanned(epoch, time.time()))

    def known(self) -> bool:
        """Whether every node has read the plan."""
        nodes = [self.cluster.node_of(operator) for operator in self.cluster.operators]
        return all(node._gossip.proposes(ValidatorIndex(0), self.slot) for node in nodes) and all(
            node.view.exits(self.cluster.key(0), self.slot) for node in nodes
        )

    def of_validator(self, role: BeaconRole, number: int, places: tuple[int, ...] = ()) -> BeginValidatorDuty:
        duty = self.duty(role, number, places)
        key = validator_duty_key(role, self.slot, duty.pubkey)
        return BeginValidatorDuty(key, COMMITTEE, duty, self.due, self.due, self.deadline)

    def sync_messages(self) -> StartCommitteeDuty:
        key = committee_duty_key(self.slot, COMMITTEE)
        duties = (self.duty(BeaconRole.SYNC_COMMITTEE, 1),)
        target = self.cluster.chain.epoch_of(self.slot)
        own = vote(source=target - 1, target=target)
        return StartCommitteeDuty(key, COMMITTEE, self.slot, duties, own, self.due, self.due, self.deadline)

    def aggregations(self) -> BeginAggregatorCommitteeDuty:
        key = aggregator_committee_key(self.slot, COMMITTEE)
        duties = (
            self.duty(BeaconRole.AGGREGATOR, 0),
            self.duty(BeaconRole.AGGREGATOR, 1),
            self.duty(BeaconRole.SYNC_COMMITTEE_CONTRIBUTION, 1, PLACES),
        )
        return BeginAggregatorCommitteeDuty(key, COMMITTEE, self.slot, duties, self.due, self.due, self.deadline)

    async def run(self, commands: Sequence[Command]) -> None:
        """Plan, begin everything when the slot begins, and wait until all has ended."""
        self.plan()
        await self.cluster.until(self.known, "duties known to gossip validation", 20)
        await self.cluster.sleep_until(self.due)
        for command in commands:
            self.cluster.send(command)
        buses = [operator.bus for operator in self.cluster.operators]
        await self.cluster.until(
            lambda: all(len(bus.records) == len(commands) for bus in buses), "every duty has ended", 40
        )


def check(cluster: NodeCluster, duties: int) -> None:
    """All completed in round 1; blocks and proofs are the committee's, the same from every operator."""
    for operator in cluster.operators:
        stories = {record.key: (record.outcome, record.detail, record.round) for record in operator.bus.records}
        assert len(stories) == duties
        assert {outcome for outcome, _, _ in stories.values()} == {Outcome.COMPLETED}, stories
    blocks = [
        submission
        for operator in cluster.operators
        for submission in operator.bus.submissions
        if isinstance(submission, BlockSubmission)
    ]
    assert Counter(block.blinded for block in blocks) == {True: 3, False: 1}
    assert len({block.signed_block for block in blocks}) == 2
    assert max(len(block.signed_block) for block in blocks) > BLOBS * BLOB_BYTES
    others = [
        Counter({submission for submission in operator.bus.submissions if not isinstance(submission, BlockSubmission)})
        for operator in cluster.operators
    ]
    assert all(other == others[0] for other in others)


def kinds(operator: Operator) -> Counter[type]:
    return Counter(type(submission) for submission in operator.bus.submissions)


def refused() -> float:
    """How many messages gossip validation has rejected so far in this process."""
    return sum(
        sample.value
        for family in metrics.MESSAGE_VALIDATIONS.collect()
        for sample in family.samples
        if sample.labels.get("verdict") == "reject" and sample.name.endswith("_total")
    )


def run(cluster: NodeCluster, commands_of: Callable[[Scenario], list[Command]]) -> None:
    before = refused()

    async def main() -> None:
        with trio.fail_after(150):
            async with cluster.running():
                scenario = Scenario(cluster)
                await scenario.run(commands_of(scenario))

    with cluster.open():
        trio.run(main)
    assert refused() == before


def test_every_duty_in_alan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = NodeCluster(tmp_path, monkeypatch)
    run(
        cluster,
        lambda scenario: [
            scenario.of_validator(BeaconRole.PROPOSER, 0),
            scenario.of_validator(BeaconRole.VALIDATOR_REGISTRATION, 1),
            scenario.of_validator(BeaconRole.VOLUNTARY_EXIT, 0),
            scenario.of_validator(BeaconRole.AGGREGATOR, 0),
            scenario.of_validator(BeaconRole.AGGREGATOR, 1),
            scenario.of_validator(BeaconRole.SYNC_COMMITTEE_CONTRIBUTION, 1, PLACES),
            scenario.sync_messages(),
        ],
    )
    check(cluster, 7)
    for operator in cluster.operators:
        assert kinds(operator) == {
            BlockSubmission: 1,
            RegistrationSubmission: 1,
            ExitSubmission: 1,
            AggregateSubmission: 2,
            ContributionSubmission: 1,
            SyncMessageSubmission: 1,
        }
        steps = {record.role: [step.name for step in record.steps] for record in operator.bus.records}
        assert steps[RunnerRole.PROPOSER][:6] == [
            *("due", "begun", "pre_consensus", "asked", "received", "consensus_started"),
        ]


def test_every_duty_in_boole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = NodeCluster(tmp_path, monkeypatch, boole_epoch=0)
    run(
        cluster,
        lambda scenario: [
            scenario.of_validator(BeaconRole.PROPOSER, 0),
            scenario.of_validator(BeaconRole.VALIDATOR_REGISTRATION, 1),
            scenario.of_validator(BeaconRole.VOLUNTARY_EXIT, 0),
            scenario.aggregations(),
            scenario.sync_messages(),
        ],
    )
    check(cluster, 5)
    for operator in cluster.operators:
        assert kinds(operator)[BlockSubmission] == 1
        found = [item for item in operator.bus.submissions if isinstance(item, AggregateSubmission)]
        assert sum(len(item.aggregates) for item in found) == 2
        made = [item for item in operator.bus.submissions if isinstance(item, ContributionSubmission)]
        assert sum(len(item.contributions) for item in made) == len(PLACES)

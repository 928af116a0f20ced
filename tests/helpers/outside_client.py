"""A validator client that holds whole interop keys and does every duty through the workers' own beacon client.

It shows what the beacon client and a beacon node make of each other, without operators between them.
"""

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import Any

from ssv_pool.beacon.client import BeaconClient
from ssv_pool.crypto import bls
from ssv_pool.devnet.interop import interop_secret_key
from ssv_pool.protocol.chain import BeaconChain
from ssv_pool.protocol.events import SignedAttestation, SignedSyncCommitteeMessage
from ssv_pool.protocol.types import ssz
from ssv_pool.protocol.types.attestations import AggregateAndProof, SignedAggregateAndProof, decode_attestation
from ssv_pool.protocol.types.beacon import (
    DOMAIN_AGGREGATE_AND_PROOF,
    DOMAIN_BEACON_ATTESTER,
    DOMAIN_BEACON_PROPOSER,
    DOMAIN_CONTRIBUTION_AND_PROOF,
    DOMAIN_RANDAO,
    DOMAIN_SELECTION_PROOF,
    DOMAIN_SYNC_COMMITTEE,
    DOMAIN_SYNC_COMMITTEE_SELECTION_PROOF,
    DOMAIN_VOLUNTARY_EXIT,
    AttestationData,
    compute_domain,
    signing_root,
)
from ssv_pool.protocol.types.blocks import decode_block
from ssv_pool.protocol.types.contributions import (
    ContributionAndProof,
    SignedContributionAndProof,
    SyncAggregatorSelectionData,
)
from ssv_pool.protocol.types.operations import SignedVoluntaryExit, VoluntaryExit
from ssv_pool.protocol.types.primitives import Root


@dataclass
class OutsideClient:
    """Does the duties of ``validators``, one slot after the other, in the thread that calls ``run_slot``."""

    client: BeaconClient
    validators: Sequence[int]
    proposed: dict[int, Root] = field(default_factory=dict)
    """Root of each block that was taken, by slot."""
    voted: dict[tuple[int, int], AttestationData] = field(default_factory=dict)
    """Attestation data by slot and validator, of those that were taken."""
    refused: list[object] = field(default_factory=list)
    """What a node refused."""
    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """Objects taken, by kind."""
    _plans: dict[int, tuple[Any, Any, Any]] = field(default_factory=dict)
    _chain: BeaconChain | None = None

    @property
    def chain(self) -> BeaconChain:
        if self._chain is None:
            self._chain = self.client.chain()
        return self._chain

    def prepare(self, fee_recipient: bytes) -> None:
        """Say who gets the fees."""
        self.client.prepare_proposers([(index, fee_recipient) for index in self.validators])

    def run_slot(self, slot: int) -> None:
        """Everything that is due in ``slot``, at its time; what is past is done at once."""
        self._wait(self.chain.start_of(slot))
        epoch = self.chain.epoch_of(slot)
        attesters, proposals, members = self._plan(epoch)
        for proposal in proposals:
            if slot and proposal.slot == slot and proposal.validator_index in self.validators:
                self._propose(slot, proposal.validator_index)
        self._wait(self.chain.attestation_due(slot))
        duties = [duty for duty in attesters if duty.slot == slot]
        data = self._attest(slot, duties)
        root = self._sync(slot, members)
        self._wait(self.chain.aggregate_due(slot))
        self._aggregate(slot, duties, data)
        self._contribute(slot, members, root)

    def exit(self, validator: int, epoch: int = 0) -> None:
        """Leave the chain."""
        message = VoluntaryExit(epoch, validator)
        # Signed for the fork in force until Capella, and from Deneb on for ever for Capella's (EIP-7044).
        fork = next((fork for fork in self.chain.forks if fork.name == "capella"), self.chain.fork_at(epoch))
        domain = compute_domain(DOMAIN_VOLUNTARY_EXIT, fork.version, self.chain.genesis_validators_root)
        signature = bls.sign(interop_secret_key(validator), signing_root(message.hash_tree_root(), domain))
        self.client.submit_exit(SignedVoluntaryExit(message, signature).encode())

    def _plan(self, epoch: int) -> tuple[Any, Any, Any]:
        if epoch not in self._plans:
            self._plans[epoch] = (
                self.client.attester_duties(epoch, self.validators).duties,
                self.client.proposer_duties(epoch).proposals,
                self.client.sync_duties(epoch, self.validators),
            )
        return self._plans[epoch]

    def _propose(self, slot: int, proposer: int) -> None:
        epoch = self.chain.epoch_of(slot)
        reveal = self._sign(proposer, ssz.u64_root(epoch), DOMAIN_RANDAO, epoch)
        made = self.client.produce_block(slot, reveal, b"outside client")
        block = decode_block(made.version, made.ssz, self.chain.preset)
        signed = block.signed(self._sign(proposer, block.root, DOMAIN_BEACON_PROPOSER, epoch))
        self.client.submit_block(made.fork, made.version, made.blinded, signed)
        self.proposed[slot] = block.root
        self.counts["blocks"] += 1

    def _attest(self, slot: int, duties: Sequence[Any]) -> dict[int, AttestationData]:
        found = {
            index: self.client.attestation_data(slot, index) for index in {duty.committee_index for duty in duties}
        }
        attestations = []
        for duty in duties:
            data = found[duty.committee_index]
            root = data.hash_tree_root()
            attestations.append(
                SignedAttestation(
                    validator_index=duty.validator_index,
                    committee_index=duty.committee_index,
                    committee_length=duty.committee_length,
                    validator_committee_index=duty.validator_committee_index,
                    data=data,
                    signature=self._sign(duty.validator_index, root, DOMAIN_BEACON_ATTESTER, data.target.epoch),
                )
            )
        if attestations:
            self.refused += self.client.submit_attestations(self._fork(slot), attestations)
            self.counts["attestations"] += len(attestations)
            self.voted |= {(slot, item.validator_index): item.data for item in attestations}
        return found

    def _sync(self, slot: int, members: Sequence[Any]) -> Root:
        root = self.client.block_root("head")
        epoch = self.chain.epoch_of(slot)
        messages = [
            SignedSyncCommitteeMessage(
                member.validator_index, root, self._sign(member.validator_index, root, DOMAIN_SYNC_COMMITTEE, epoch)
            )
            for member in members
        ]
        if messages:
            self.refused += self.client.submit_sync_messages(slot, messages)
            self.counts["sync messages"] += len(messages)
        return root

    def _aggregate(self, slot: int, duties: Sequence[Any], data: dict[int, AttestationData]) -> None:
        """One aggregate for each beacon committee: in the minimal preset every member may make it."""
        epoch, fork, signed, version = self.chain.epoch_of(slot), self._fork(slot), [], 0
        for duty in {duty.committee_index: duty for duty in duties}.values():
            root = data[duty.committee_index].hash_tree_root()
            version, raw = self.client.aggregate(slot, duty.committee_index, root, fork)
            aggregate = decode_attestation(version, raw, self.chain.preset)
            proof = self._sign(duty.validator_index, ssz.u64_root(slot), DOMAIN_SELECTION_PROOF, epoch)
            message = AggregateAndProof(duty.validator_index, aggregate, proof)
            root = message.hash_tree_root(self.chain.preset)
            signature = self._sign(duty.validator_index, root, DOMAIN_AGGREGATE_AND_PROOF, epoch)
            signed.append(SignedAggregateAndProof(message, signature).encode())
        if signed:
            self.refused += self.client.submit_aggregates(fork, version, signed)
            self.counts["aggregates"] += len(signed)

    def _contribute(self, slot: int, members: Sequence[Any], root: Root) -> None:
        """One contribution for each subcommittee in which there is a member."""
        epoch, signed = self.chain.epoch_of(slot), []
        size = self.chain.preset.subcommittee_size
        chosen_members = {place // size: member for member in members for place in member.places}
        for index, aggregator in chosen_members.items():
            validator = aggregator.validator_index
            contribution = self.client.sync_contribution(slot, index, root)
            chosen = SyncAggregatorSelectionData(slot, index).hash_tree_root()
            proof = self._sign(validator, chosen, DOMAIN_SYNC_COMMITTEE_SELECTION_PROOF, epoch)
            message = ContributionAndProof(validator, contribution, proof)
            signature = self._sign(validator, message.hash_tree_root(), DOMAIN_CONTRIBUTION_AND_PROOF, epoch)
            signed.append(SignedContributionAndProof(message, signature).encode())
        if signed:
            self.refused += self.client.submit_contributions(signed)
            self.counts["contributions"] += len(signed)

    def _fork(self, slot: int) -> str:
        return self.chain.fork_at(self.chain.epoch_of(slot)).name

    def _sign(self, validator: int, root: Root, domain_type: bytes, epoch: int) -> bytes:
        version = self.chain.fork_at(epoch).version
        domain = compute_domain(domain_type, version, self.chain.genesis_validators_root)
        return bls.sign(interop_secret_key(validator), signing_root(root, domain))

    def _wait(self, instant: float) -> None:
        Event().wait(max(0.0, instant - time.time()))

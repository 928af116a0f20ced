"""The sync committee contribution runner (Alan): selection proofs together, then contributions decided and signed."""

from collections.abc import Sequence

from ssv_pool.protocol.events import AskBeacon, AskKind, BeaconReply, SubmitContributions
from ssv_pool.protocol.runners.collector import Pair
from ssv_pool.protocol.runners.validator import ConsensusRunner
from ssv_pool.protocol.types.beacon import (
    DOMAIN_CONTRIBUTION_AND_PROOF,
    DOMAIN_SYNC_COMMITTEE_SELECTION_PROOF,
    signing_root,
)
from ssv_pool.protocol.types.consensus_data import ProposerConsensusData, contributions_of
from ssv_pool.protocol.types.contributions import (
    ContributionAndProof,
    SignedContributionAndProof,
    SyncAggregatorSelectionData,
)
from ssv_pool.protocol.types.errors import ErrorCode, ProtocolError
from ssv_pool.protocol.types.primitives import Root, Round, Slot
from ssv_pool.protocol.types.roles import BeaconRole, PartialSignatureType, RunnerRole


class ContributionRunner(ConsensusRunner):
    """Makes the contributions of the subcommittees one validator is in."""

    role = RunnerRole.SYNC_COMMITTEE_CONTRIBUTION
    beacon_role = BeaconRole.SYNC_COMMITTEE_CONTRIBUTION
    pre_consensus_type = PartialSignatureType.CONTRIBUTION_PROOFS

    def pre_consensus_roots(self) -> Sequence[Root]:
        """One for each place in the sync committee, in the duty's order: equal ones where a subcommittee repeats."""
        slot = self.duty.slot
        domain = self.domain(DOMAIN_SYNC_COMMITTEE_SELECTION_PROOF, slot)
        return [
            signing_root(SyncAggregatorSelectionData(slot, subcommittee).hash_tree_root(), domain)
            for subcommittee in self._subcommittees()
        ]

    def on_pre_consensus_quorum(self, roots: Sequence[Root]) -> None:
        """Ask for the contributions of the subcommittees that the validator is chosen for."""
        proofs = self.rebuild_all(self._running_state().pre_consensus, roots)
        # By position, as the specification pairs them, though equal roots count once.
        selected = [
            (subcommittee, proof)
            for subcommittee, proof in zip(self._subcommittees(), proofs, strict=False)
            if self.services.selection.is_sync_committee_aggregator(proof)
        ]
        if not selected:
            self.give_up()
            return
        self.ask(
            AskKind.CONTRIBUTIONS,
            [
                ("subcommittees", ",".join(str(subcommittee) for subcommittee, _ in selected)),
                ("selection_proofs", ",".join(proof.hex() for _, proof in selected)),
            ],
        )

    def on_reply(self, request: AskBeacon, reply: BeaconReply) -> None:  # noqa: ARG002
        """Let the committee decide on the contributions."""
        if not self.accept_reply(reply):
            raise ProtocolError("the beacon node gave no contributions")
        self.propose(reply.version, reply.payload)

    def check_data(self, data: ProposerConsensusData) -> None:
        """It must hold what its duty says."""
        data.validate_alan()

    def post_consensus_roots(self) -> Sequence[Root]:
        """Each contribution and proof, in their domain."""
        return [root for root, _ in self._decided_contributions()]

    def on_post_consensus_quorum(self, roots: Sequence[Root]) -> None:
        """Rebuild the signatures, hand over those that verify, finish if all do.

        A quorum takes effect once: what is not handed over beside one that fails would never be.
        """
        state = self._running_state()
        index = self.share.validator_index
        rebuilt = self.collector.rebuild(state.post_consensus, [Pair(index, root) for root in roots], roots)
        contributions = dict(self._decided_contributions())
        signed = []
        for root in roots:
            signature = rebuilt.signatures.get(Pair(index, root))
            if signature is not None and root in contributions:
                signed.append(SignedContributionAndProof(contributions[root], signature))
        if signed:
            self.submitted(len(signed))
            self.outbox.emit(SubmitContributions(state.duty.slot, tuple(signed), self.deadline, self.story.key))
        if rebuilt.failed:
            raise ProtocolError(
                f"{len(rebuilt.failed)} of {len(roots)} rebuilt signatures do not verify",
                ErrorCode.RECONSTRUCT_SIGNATURE,
            )
        self.finish()

    def expected_signatures(self) -> int:
        """One for each decided contribution."""
        state = self.state
        return 1 if state is None or not state.decided_value else len(contributions_of(self._value()).items)

    def round_deadline(self, slot: Slot, round_: Round) -> float:
        """Counted from the instant contributions of the slot are due."""
        return self.services.chain.aggregate_due(slot) + self.services.timings.elapsed_after(round_)

    def _subcommittees(self) -> list[int]:
        return [self.services.selection.subcommittee(place) for place in self.duty.validator_sync_committee_indices]

    def _value(self) -> ProposerConsensusData:
        return ProposerConsensusData.decode(b"" if self.state is None else self.state.decided_value)

    def _decided_contributions(self) -> list[tuple[Root, ContributionAndProof]]:
        data = self.decided
        domain = self.domain(DOMAIN_CONTRIBUTION_AND_PROOF, data.duty.slot)
        objects = [
            ContributionAndProof(self.duty.validator_index, item.contribution, item.selection_proof)
            for item in contributions_of(data).items
        ]
        return [(signing_root(item.hash_tree_root(), domain), item) for item in objects]

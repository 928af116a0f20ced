"""The aggregator runner (Alan): a selection proof together, then one aggregate decided and signed."""

from collections.abc import Sequence

from ssv_pool.protocol.events import AskBeacon, AskKind, BeaconReply, SubmitAggregates
from ssv_pool.protocol.runners.validator import ConsensusRunner
from ssv_pool.protocol.types import ssz
from ssv_pool.protocol.types.attestations import SignedAggregateAndProof
from ssv_pool.protocol.types.beacon import DOMAIN_AGGREGATE_AND_PROOF, DOMAIN_SELECTION_PROOF, signing_root
from ssv_pool.protocol.types.consensus_data import ProposerConsensusData, aggregate_of
from ssv_pool.protocol.types.primitives import Root, Round, Slot
from ssv_pool.protocol.types.roles import BeaconRole, PartialSignatureType, RunnerRole


class AggregatorRunner(ConsensusRunner):
    """Aggregates a beacon committee's attestations for one validator."""

    role = RunnerRole.AGGREGATOR
    beacon_role = BeaconRole.AGGREGATOR
    pre_consensus_type = PartialSignatureType.SELECTION_PROOF

    def pre_consensus_roots(self) -> Sequence[Root]:
        """The slot, in the selection proofs' domain."""
        slot = self.duty.slot
        return [signing_root(ssz.u64_root(slot), self.domain(DOMAIN_SELECTION_PROOF, slot))]

    def on_pre_consensus_quorum(self, roots: Sequence[Root]) -> None:
        """Ask for the aggregate if the validator is chosen."""
        (proof,) = self.rebuild_all(self._running_state().pre_consensus, roots)
        duty = self.duty
        if not self.services.selection.is_aggregator(duty.committee_index, duty.committee_length, proof):
            self.give_up()
            return
        self.ask(
            AskKind.AGGREGATE,
            [
                ("committee_index", str(duty.committee_index)),
                ("committee_length", str(duty.committee_length)),
                ("validator_index", str(duty.validator_index)),
                ("selection_proof", proof.hex()),
            ],
        )

    def on_reply(self, request: AskBeacon, reply: BeaconReply) -> None:  # noqa: ARG002
        """Let the committee decide on the aggregate."""
        if self.accept_reply(reply):
            self.propose(reply.version, reply.payload)
        else:
            self.give_up()

    def check_data(self, data: ProposerConsensusData) -> None:
        """It must hold what its duty says."""
        data.validate_alan(self.services.chain.preset)

    def post_consensus_roots(self) -> Sequence[Root]:
        """The aggregate and proof, in their domain."""
        data, preset = self.decided, self.services.chain.preset
        domain = self.domain(DOMAIN_AGGREGATE_AND_PROOF, data.duty.slot)
        return [signing_root(aggregate_of(data, preset).hash_tree_root(preset), domain)]

    def on_post_consensus_quorum(self, roots: Sequence[Root]) -> None:
        """Rebuild the signature, hand the aggregate over, finish."""
        state = self._running_state()
        (signature,) = self.rebuild_all(state.post_consensus, roots)
        data = self.decided
        signed = SignedAggregateAndProof(aggregate_of(data, self.services.chain.preset), signature)
        self.submitted()
        self.outbox.emit(SubmitAggregates(state.duty.slot, data.version, (signed,), self.deadline, self.story.key))
        self.finish()

    def round_deadline(self, slot: Slot, round_: Round) -> float:
        """Counted from the instant aggregates of the slot are due."""
        return self.services.chain.aggregate_due(slot) + self.services.timings.elapsed_after(round_)

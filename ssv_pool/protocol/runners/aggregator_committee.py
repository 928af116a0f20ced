"""The aggregator committee runner (Boole): all aggregates and contributions of a committee's validators in one slot.

Operators sign all selection proofs in one message. When a quorum's proofs show that some validators are chosen, the
runner asks the beacon node for their aggregates, and the committee decides on who aggregates what. Each operator then
signs for those of the decided aggregators that are its own duty's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ssv_pool.protocol.events import (
    AskBeacon,
    AskKind,
    BeaconReply,
    Outcome,
    Reason,
    SubmitAggregates,
    SubmitContributions,
)
from ssv_pool.protocol.runners.base import Runner
from ssv_pool.protocol.runners.collector import Pair
from ssv_pool.protocol.runners.services import Outbox, Services
from ssv_pool.protocol.runners.state import Duty
from ssv_pool.protocol.runners.story import DutyStory
from ssv_pool.protocol.types import ssz
from ssv_pool.protocol.types.aggregator_committee import (
    AggregatorCommitteeConsensusData,
    AggregatorCommitteeDuty,
    AssignedAggregator,
)
from ssv_pool.protocol.types.attestations import AggregateAndProof, SignedAggregateAndProof
from ssv_pool.protocol.types.beacon import (
    DOMAIN_AGGREGATE_AND_PROOF,
    DOMAIN_CONTRIBUTION_AND_PROOF,
    DOMAIN_SELECTION_PROOF,
    DOMAIN_SYNC_COMMITTEE_SELECTION_PROOF,
    signing_root,
)
from ssv_pool.protocol.types.contributions import (
    ContributionAndProof,
    Contributions,
    SignedContributionAndProof,
    SyncAggregatorSelectionData,
    SyncCommitteeContribution,
)
from ssv_pool.protocol.types.duties import ValidatorDuty
from ssv_pool.protocol.types.errors import ErrorCode, ProtocolError
from ssv_pool.protocol.types.partial import PartialSignatureMessages
from ssv_pool.protocol.types.primitives import (
    MessageId,
    OperatorId,
    Root,
    Round,
    Signature,
    Slot,
    ValidatorIndex,
)
from ssv_pool.protocol.types.roles import BeaconRole, PartialSignatureType, RunnerRole
from ssv_pool.protocol.types.share import CommitteeMember, Share
from ssv_pool.protocol.types.versions import DataVersion


@dataclass(frozen=True, slots=True)
class _Proof:
    """One selection proof of the duty."""

    index: ValidatorIndex
    role: BeaconRole
    root: Root
    committee_index: int
    """The beacon committee; for a contributor the subcommittee."""
    committee_length: int


@dataclass(frozen=True, slots=True)
class _Decided:
    """What is signed for one decided aggregator or contributor."""

    role: BeaconRole
    index: ValidatorIndex
    root: Root
    message: AggregateAndProof | ContributionAndProof


class AggregatorCommitteeRunner(Runner):
    """Does a committee's aggregations of one slot."""

    role = RunnerRole.AGGREGATOR_COMMITTEE

    def __init__(
        self,
        services: Services,
        member: CommitteeMember,
        shares: Mapping[ValidatorIndex, Share],
        identifier: MessageId,
        outbox: Outbox,
    ) -> None:
        """Make a runner. Raises ProtocolError where there are no shares."""
        if not shares:
            raise ProtocolError("no shares provided")
        super().__init__(services, member, shares, identifier, outbox)
        self._forget_duty()

    def start(self, duty: Duty, story: DutyStory, deadline: float) -> None:
        """Begin a duty in place of the one before."""
        self._forget_duty()
        super().start(duty, story, deadline)

    @property
    def duty(self) -> AggregatorCommitteeDuty:
        """The duty it does."""
        duty = self._running_state().duty
        if not isinstance(duty, AggregatorCommitteeDuty):
            raise TypeError("an aggregator committee runner was started with another duty")
        return duty

    def execute(self) -> None:
        """Sign all selection proofs, and send them in one message."""
        self.duty.validate(self.shares)
        proofs = self._proofs()
        if not proofs:
            self.finish()
            return
        keys = [self.shares[proof.index].share_pubkey for proof in proofs]
        signatures = self.services.signer.sign_roots(keys, [proof.root for proof in proofs])
        self.send_partials(
            PartialSignatureType.AGGREGATOR_COMMITTEE,
            self.duty.slot,
            [
                self.partial(signature, proof.root, proof.index)
                for signature, proof in zip(signatures, proofs, strict=True)
            ],
        )

    def process_pre_consensus(self, partials: PartialSignatureMessages) -> None:
        """Take one operator's selection proofs; once consensus has begun they are ignored. Raises ProtocolError."""
        state = self._running_state()
        if state.instance is not None or state.decided_value:
            return
        if partials.messages:
            self._seen.add(partials.messages[0].signer)
        self.check_partials(partials, state.duty.slot)
        roots = self.add_partials(state.pre_consensus, partials.messages)
        if not roots:
            if self._everyone_was_seen() and not self.requests:
                self.finish()
            return
        failed = self._select(sorted(roots))
        if not self.requests and (self._everything_was_checked() or self._everyone_was_seen()):
            self.finish()
        if failed:
            raise ProtocolError(f"{failed} selection proofs do not verify", ErrorCode.RECONSTRUCT_SIGNATURE)

    def on_reply(self, request: AskBeacon, reply: BeaconReply) -> None:
        """Note an aggregate or contribution; with the last one let the committee decide."""
        committee_index = int(dict(request.arguments)["committee_index"])
        error = reply.error
        if not error and request.kind == AskKind.AGGREGATE:
            self._attestations[committee_index] = reply.payload
        elif not error:
            matching = [
                item.contribution
                for item in Contributions.decode(reply.payload).items
                if item.contribution.subcommittee_index == committee_index
            ]
            if matching:
                self._contributions[committee_index] = matching[0]
            else:
                error = f"no contribution for subcommittee {committee_index}"
        if error:
            self.beacon_error = error
        state = self._running_state()
        if not self.requests and state.instance is None:
            value = self._value()
            if value.aggregators or value.contributors:
                value.validate(self.services.chain.preset)
                self.decide(self.duty.slot, value.encode())
        if error:
            raise ProtocolError(f"the beacon node gave nothing to aggregate: {error}")

    def check_decodes(self, value: bytes) -> None:
        """Whether a decided value is aggregator committee data. Raises ProtocolError."""
        self._decode(value)

    def check_value(self, value: bytes) -> None:
        """Aggregators and aggregates must belong together; nothing is compared with the own duties."""
        try:
            data = self._decode(value)
        except ProtocolError as error:
            raise ProtocolError(str(error), ErrorCode.AGG_COMM_CONSENSUS_DATA_DECODE) from error
        data.validate(self.services.chain.preset)

    def on_decided(self, value: bytes) -> None:
        """Sign for the decided aggregators and contributors that are this duty's, and send the partial signatures."""
        own = {(duty.type, duty.validator_index) for duty in self._own_duties()}
        signing = [item for item in self._decided_items(value) if (item.role, item.index) in own]
        if not signing:
            if not self._left_out(self._decode(value)):
                self.end(Outcome.COMPLETED, Reason.NONE, "no aggregator of the decided value is this duty's")
            return
        keys = [self.shares[item.index].share_pubkey for item in signing]
        signatures = self.services.signer.sign_roots(keys, [item.root for item in signing])
        self.send_partials(
            PartialSignatureType.POST_CONSENSUS,
            self.duty.slot,
            [
                self.partial(signature, item.root, item.index)
                for signature, item in zip(signatures, signing, strict=True)
            ],
        )
        self.story.reach("signed", self.services.clock())

    def on_post_consensus_quorum(self, roots: Sequence[Root]) -> None:
        """Rebuild what can be, and hand it over; finish when nothing is missing."""
        state = self._running_state()
        items = self._decided_items(state.decided_value)
        # Aggregates are searched before contributions, each in the decided order: the first of a root counts.
        by_root = {item.root: item for item in reversed(items)}
        due = {
            Pair(item.index, item.root): item
            for item in (by_root[root] for root in sorted(roots) if root in by_root)
            if item.index in self.shares
            and (item.role, item.index, item.root) not in self._submitted
            and state.post_consensus.has_quorum(item.index, item.root)
        }
        rebuilt = self.collector.rebuild(state.post_consensus, list(due), roots)
        aggregates, contributions = [], []
        for pair, item in due.items():
            signature = rebuilt.signatures.get(pair)
            if signature is None:
                continue
            self._submitted.add((item.role, item.index, item.root))
            if isinstance(item.message, AggregateAndProof):
                aggregates.append(SignedAggregateAndProof(item.message, signature))
            else:
                contributions.append(SignedContributionAndProof(item.message, signature))
        if rebuilt.signatures:
            self.story.reach_again("reconstructed", self.services.clock())
        slot, deadline, key = state.duty.slot, self.deadline, self.story.key
        if aggregates:
            version = self._decode(state.decided_value).version
            self.outbox.emit(SubmitAggregates(slot, version, tuple(aggregates), deadline, key))
        if contributions:
            self.outbox.emit(SubmitContributions(slot, tuple(contributions), deadline, key))
        if rebuilt.failed:
            cause = ProtocolError(
                f"{len(rebuilt.failed)} of {len(due)} rebuilt signatures do not verify",
                ErrorCode.RECONSTRUCT_SIGNATURE,
            )
            raise ProtocolError(
                f"quorum with invalid signatures: {cause}", ErrorCode.POST_CONSENSUS_QUORUM_WITH_INVALID_SIGNATURES
            ) from cause
        self._finish_if_complete(items)

    def round_deadline(self, slot: Slot, round_: Round) -> float:
        """Counted from the instant aggregates of the slot are due."""
        return self.services.chain.aggregate_due(slot) + self.services.timings.elapsed_after(round_)

    def expected_signatures(self) -> int:
        """One for each decided or chosen aggregator and contributor here; before the decision one for each duty."""
        state = self.state
        if state is None:
            return 0
        if not state.decided_value:
            duty = state.duty
            return len(duty.validator_duties) if isinstance(duty, AggregatorCommitteeDuty) else 0
        data = self._decode(state.decided_value)
        own = sum(1 for item in (*data.aggregators, *data.contributors) if item.validator_index in self.shares)
        return own + self._left_out(data)

    def completed_signatures(self) -> int:
        """Those handed over."""
        return len(self._submitted)

    def _forget_duty(self) -> None:
        self._seen: set[OperatorId] = set()
        """Operators that sent selection proofs."""
        self._checked: set[tuple[ValidatorIndex, Root]] = set()
        """Selection proofs of which it is known whether they choose their validator."""
        self._selected: list[tuple[_Proof, Signature]] = []
        self._attestations: dict[int, bytes] = {}
        self._contributions: dict[int, SyncCommitteeContribution] = {}
        self._submitted: set[tuple[BeaconRole, ValidatorIndex, Root]] = set()

    def _own_duties(self) -> list[ValidatorDuty]:
        return [duty for duty in self.duty.validator_duties if duty.validator_index in self.shares]

    def _proofs(self) -> list[_Proof]:
        """The selection proofs of the own duties, in the duty's order."""
        slot = self.duty.slot
        selection = self.domain(DOMAIN_SELECTION_PROOF, slot)
        sync_selection = self.domain(DOMAIN_SYNC_COMMITTEE_SELECTION_PROOF, slot)
        slot_root = signing_root(ssz.u64_root(slot), selection)
        proofs = []
        for duty in self._own_duties():
            index = duty.validator_index
            if duty.type == BeaconRole.AGGREGATOR:
                proofs.append(
                    _Proof(index, BeaconRole.AGGREGATOR, slot_root, duty.committee_index, duty.committee_length)
                )
                continue
            places = duty.validator_sync_committee_indices
            for subcommittee in dict.fromkeys(map(self.services.selection.subcommittee, places)):
                data = SyncAggregatorSelectionData(slot, subcommittee)
                root = signing_root(data.hash_tree_root(), sync_selection)
                proofs.append(_Proof(index, BeaconRole.SYNC_COMMITTEE_CONTRIBUTION, root, subcommittee, 0))
        return proofs

    def _select(self, roots: Sequence[Root]) -> int:
        """Find who is chosen by the proofs over newly quorate roots, and ask for their aggregates.

        Returns:
            How many proofs do not verify.
        """
        container = self._running_state().pre_consensus
        by_root: dict[Root, list[_Proof]] = {}
        for proof in sorted(self._proofs(), key=lambda proof: proof.index):
            by_root.setdefault(proof.root, []).append(proof)
        due = {
            Pair(proof.index, root): proof
            for root in roots
            for proof in by_root.get(root, ())
            if container.has_quorum(proof.index, root)
        }
        rebuilt = self.collector.rebuild(container, list(due), roots)
        for pair, proof in due.items():
            signature = rebuilt.signatures.get(pair)
            if signature is None:
                continue
            self._checked.add((proof.index, proof.root))
            if self._is_chosen(proof, signature):
                self._selected.append((proof, signature))
                self._ask_for(proof, signature)
        return len(rebuilt.failed)

    def _is_chosen(self, proof: _Proof, signature: Signature) -> bool:
        rules = self.services.selection
        if proof.role == BeaconRole.AGGREGATOR:
            return rules.is_aggregator(proof.committee_index, proof.committee_length, signature)
        return rules.is_sync_committee_aggregator(signature)

    def _ask_for(self, proof: _Proof, signature: Signature) -> None:
        """Ask for the aggregate of a beacon committee or the contribution of a subcommittee, once."""
        kind = AskKind.AGGREGATE if proof.role == BeaconRole.AGGREGATOR else AskKind.CONTRIBUTIONS
        index = str(proof.committee_index)
        known = self._attestations if kind == AskKind.AGGREGATE else self._contributions
        asked = any(
            request.kind == kind and ("committee_index", index) in request.arguments
            for request in self.requests.values()
        )
        if asked or proof.committee_index in known:
            return
        self.ask(
            kind,
            [
                ("committee_index", index),
                ("committee_length", str(proof.committee_length)),
                ("validator_index", str(proof.index)),
                ("selection_proof", signature.hex()),
            ]
            if kind == AskKind.AGGREGATE
            else [("committee_index", index), ("subcommittees", index), ("selection_proofs", signature.hex())],
        )

    def _value(self) -> AggregatorCommitteeConsensusData:
        """The value to propose: everyone chosen for whom there is an aggregate."""
        chain = self.services.chain
        fork = chain.fork_at(chain.epoch_of(self.duty.slot)).name
        aggregators, contributors = [], []
        attestations: dict[int, bytes] = {}
        contributions: dict[int, SyncCommitteeContribution] = {}
        for proof, signature in self._selected:
            index = proof.committee_index
            assigned = AssignedAggregator(proof.index, signature, index)
            if proof.role == BeaconRole.AGGREGATOR and index in self._attestations:
                aggregators.append(assigned)
                attestations[index] = self._attestations[index]
            elif proof.role == BeaconRole.SYNC_COMMITTEE_CONTRIBUTION and index in self._contributions:
                contributors.append(assigned)
                contributions[index] = self._contributions[index]
        return AggregatorCommitteeConsensusData(
            version=DataVersion[fork.upper()],
            aggregators=tuple(aggregators),
            aggregator_committee_indexes=tuple(attestations),
            aggregated_attestations=tuple(attestations.values()),
            contributors=tuple(contributors),
            sync_committee_contributions=tuple(contributions.values()),
        )

    def _everyone_was_seen(self) -> bool:
        return len(self._seen) >= len(self.member.committee)

    def _everything_was_checked(self) -> bool:
        return all((proof.index, proof.root) in self._checked for proof in self._proofs())

    def _decode(self, value: bytes) -> AggregatorCommitteeConsensusData:
        try:
            return AggregatorCommitteeConsensusData.decode(value)
        except ProtocolError as error:
            raise ProtocolError(f"no aggregator committee data: {error}") from None

    def _decided_items(self, value: bytes) -> list[_Decided]:
        """What every decided aggregator, then every contributor signs."""
        data, slot, preset = self._decode(value), self.duty.slot, self.services.chain.preset
        aggregate_domain = self.domain(DOMAIN_AGGREGATE_AND_PROOF, slot)
        contribution_domain = self.domain(DOMAIN_CONTRIBUTION_AND_PROOF, slot)
        items = [
            _Decided(
                BeaconRole.AGGREGATOR,
                message.aggregator_index,
                signing_root(message.hash_tree_root(preset), aggregate_domain),
                message,
            )
            for message in data.aggregate_and_proofs(preset)
        ]
        items += [
            _Decided(
                BeaconRole.SYNC_COMMITTEE_CONTRIBUTION,
                proof.aggregator_index,
                signing_root(proof.hash_tree_root(), contribution_domain),
                proof,
            )
            for proof in data.contribution_and_proofs()
        ]
        return items

    def _left_out(self, data: AggregatorCommitteeConsensusData) -> int:
        """How many validators were chosen, as far as is known here, and are not in the decided value."""
        decided = {(BeaconRole.AGGREGATOR, item.validator_index) for item in data.aggregators}
        decided |= {(BeaconRole.SYNC_COMMITTEE_CONTRIBUTION, item.validator_index) for item in data.contributors}
        chosen = {(proof.role, proof.index) for proof, _ in self._selected if proof.index in self.shares}
        return len(chosen - decided)

    def _finish_if_complete(self, items: Sequence[_Decided]) -> None:
        duties = {(duty.type, duty.validator_index) for duty in self._own_duties()}
        wanted = [item for item in items if (item.role, item.index) in duties]
        if any((item.role, item.index, item.root) not in self._submitted for item in wanted):
            return
        if duties == {(item.role, item.index) for item in wanted}:
            self.finish()
        elif not self._left_out(self._decode(self._running_state().decided_value)):
            # By the specification a validator that was not chosen leaves the runner unfinished for ever; the duty is
            # done all the same.
            self.end(Outcome.COMPLETED, Reason.NONE, "")

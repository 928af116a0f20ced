"""The committee runner: attestations and sync committee messages of all the committee's validators in one slot.

The committee decides one beacon vote (head, source, target); every operator signs for each of its validators that has a
duty in the slot, and sends all the partial signatures in one message.
"""

from collections.abc import Mapping, Sequence

from ssv_pool.protocol.events import (
    SignedAttestation,
    SignedSyncCommitteeMessage,
    SubmitAttestations,
    SubmitSyncCommitteeMessages,
)
from ssv_pool.protocol.runners.base import Runner
from ssv_pool.protocol.runners.collector import Pair
from ssv_pool.protocol.runners.services import Outbox, Services
from ssv_pool.protocol.types.beacon import (
    DOMAIN_BEACON_ATTESTER,
    DOMAIN_SYNC_COMMITTEE,
    AttestationData,
    BeaconVote,
    signing_root,
)
from ssv_pool.protocol.types.duties import CommitteeDuty, ValidatorDuty
from ssv_pool.protocol.types.errors import ErrorCode, ProtocolError
from ssv_pool.protocol.types.partial import PartialSignatureMessage, PartialSignatureMessages
from ssv_pool.protocol.types.primitives import MessageId, PublicKey, Root, Round, Signature, Slot, ValidatorIndex
from ssv_pool.protocol.types.roles import BeaconRole, PartialSignatureType, RunnerRole
from ssv_pool.protocol.types.share import CommitteeMember, Share

PRE_ELECTRA = frozenset({"phase0", "altair", "bellatrix", "capella", "deneb"})
"""Beacon forks in which attestation data names the beacon committee; afterwards its index is 0."""

_What = tuple[int, ValidatorIndex]
"""One signature of the duty: a beacon role and the validator that does it."""


def check_beacon_vote(value: bytes, own: BeaconVote, *, whole_checkpoints: bool = True) -> BeaconVote:
    """Decode a vote and hold it against the own beacon node's view.

    Args:
        value: the encoded vote, 112 bytes.
        own: the own view of the same slot.
        whole_checkpoints: compare epochs and roots of source and target, as the client (v2.3.7) does; otherwise epochs
            only, as later specifications do.

    Raises:
        ProtocolError: DECODE_BEACON_VOTE, ATTESTATION_SOURCE_NOT_LESS_THAN_TARGET or CHECKPOINT_MISMATCH.
    """
    try:
        vote = BeaconVote.decode(value)
    except ProtocolError as error:
        raise ProtocolError(f"no beacon vote: {error}", ErrorCode.DECODE_BEACON_VOTE) from error
    vote.validate()
    for name, found, wanted in (("source", vote.source, own.source), ("target", vote.target, own.target)):
        if found.epoch != wanted.epoch or (whole_checkpoints and found.root != wanted.root):
            raise ProtocolError(
                f"{name} is epoch {found.epoch} root 0x{found.root.hex()}, "
                f"the own view is epoch {wanted.epoch} root 0x{wanted.root.hex()}",
                ErrorCode.CHECKPOINT_MISMATCH,
            )
    return vote


class CommitteeRunner(Runner):
    """Does a committee's duties of one slot."""

    role = RunnerRole.COMMITTEE

    def __init__(
        self,
        services: Services,
        member: CommitteeMember,
        shares: Mapping[ValidatorIndex, Share],
        identifier: MessageId,
        outbox: Outbox,
        own_vote: BeaconVote,
    ) -> None:
        """Make a runner; ``own_vote`` is the own beacon node's view. Raises ProtocolError where there are no shares."""
        if not shares:
            raise ProtocolError("no shares")
        super().__init__(services, member, shares, identifier, outbox)
        self.own_vote = own_vote
        self._data: dict[Root, AttestationData] = {}
        self._expected: dict[_What, Root] = {}
        self._submitted: set[_What] = set()

    @property
    def duty(self) -> CommitteeDuty:
        """The duty it does."""
        duty = self._running_state().duty
        if not isinstance(duty, CommitteeDuty):
            raise TypeError("a committee runner was started with a validator's duty")
        return duty

    def execute(self) -> None:
        """Let the committee decide, with the own view as proposal."""
        self.decide(self.duty.slot, self.own_vote.encode())

    def check_value(self, value: bytes) -> None:
        """The vote must equal the own view but for the head, and must not be slashable for any share."""
        vote = check_beacon_vote(value, self.own_vote, whole_checkpoints=self.services.fork.whole_checkpoints)
        slashable = self.services.signer.slashable_attestations(
            [self.shares[duty.validator_index].share_pubkey for duty in self._own_duties(BeaconRole.ATTESTER)],
            vote.source.epoch,
            vote.target.epoch,
        )
        if slashable:
            raise ProtocolError(
                f"an attestation from epoch {vote.source.epoch} to {vote.target.epoch} is slashable for "
                f"{len(slashable)} shares, the first is 0x{slashable[0].hex()}",
                ErrorCode.SLASHABLE_ATTESTATION,
            )

    def check_decodes(self, value: bytes) -> None:
        """Whether a decided value is a beacon vote. Raises ProtocolError."""
        try:
            BeaconVote.decode(value)
        except ProtocolError as error:
            raise ProtocolError(f"no beacon vote: {error}") from None

    def on_decided(self, value: bytes) -> None:
        """Sign attestations and sync committee messages for the decided vote, and send the partial signatures."""
        vote = BeaconVote.decode(value)
        self._expect(vote)
        duties = self._own_duties()
        if not duties:
            self.finish()  # all its validators left the registry while the committee decided
            return
        signatures = self._sign(vote)
        self.broadcast_partials(
            PartialSignatureMessages(
                PartialSignatureType.POST_CONSENSUS,
                self.duty.slot,
                tuple(
                    PartialSignatureMessage(
                        signatures[_what(duty)],
                        self._expected[_what(duty)],
                        self.member.operator_id,
                        duty.validator_index,
                    )
                    for duty in duties
                ),
            )
        )
        self.story.reach("signed", self.services.clock())

    def on_post_consensus_quorum(self, roots: Sequence[Root]) -> None:
        """Rebuild what can be, and hand it over; finish when nothing is missing."""
        state = self._running_state()
        attesters = self._due(BeaconRole.ATTESTER, roots)
        sync_members = self._due(BeaconRole.SYNC_COMMITTEE, roots)
        pairs = [*attesters, *sync_members]
        if not pairs:
            return
        rebuilt = self.collector.rebuild(state.post_consensus, pairs, roots)
        if rebuilt.signatures:
            self.story.reach_again("reconstructed", self.services.clock())
        self._submit_attestations(attesters, rebuilt.signatures)
        self._submit_sync_messages(sync_members, rebuilt.signatures)
        if rebuilt.failed:
            raise ProtocolError(
                f"{len(rebuilt.failed)} of {len(pairs)} rebuilt signatures do not verify, "
                f"{self.dropped_partials} partial signatures dropped so far",
                ErrorCode.RECONSTRUCT_SIGNATURE,
            )
        self._finish_if_complete()

    def round_deadline(self, slot: Slot, round_: Round) -> float:
        """Counted from the instant attestations of the slot are due, whenever this operator began."""
        return self.services.chain.attestation_due(slot) + self.services.timings.elapsed_after(round_)

    def expected_signatures(self) -> int:
        """One for each duty of a validator with a share."""
        return 0 if self.state is None else len(self._duties_with_share(self.state.duty))

    def completed_signatures(self) -> int:
        """Those handed over."""
        return len(self._submitted)

    def forget(self, indices: Sequence[ValidatorIndex]) -> None:
        """Do nothing more for these validators; the duty may thereby be complete."""
        super().forget(indices)
        if self.awaits_signatures:
            self._finish_if_complete()

    def _expect(self, vote: BeaconVote) -> None:
        """Work out what is signed for each duty."""
        slot = self.duty.slot
        chain = self.services.chain
        names_committee = chain.fork_at(chain.epoch_of(slot)).name in PRE_ELECTRA
        attester_domain = self.domain(DOMAIN_BEACON_ATTESTER, slot)
        sync_root = signing_root(vote.block_root, self.domain(DOMAIN_SYNC_COMMITTEE, slot))
        roots: dict[int, Root] = {}
        for duty in self._own_duties():
            if duty.type == BeaconRole.SYNC_COMMITTEE:
                self._expected[_what(duty)] = sync_root
                continue
            index = duty.committee_index if names_committee else 0
            if index not in roots:
                data = AttestationData(slot, index, vote.block_root, vote.source, vote.target)
                roots[index] = signing_root(data.hash_tree_root(), attester_domain)
                self._data[roots[index]] = data
            self._expected[_what(duty)] = roots[index]

    def _sign(self, vote: BeaconVote) -> dict[_What, Signature]:
        """Sign everything with the own shares, attestations in one batch. Raises SlashableError."""
        signer = self.services.signer
        signed: dict[_What, Signature] = {}
        attesters = [_what(duty) for duty in self._own_duties(BeaconRole.ATTESTER)]
        if attesters:
            shares, roots = self._shares_and_roots(attesters)
            signatures = signer.sign_attestations(shares, roots, vote.source.epoch, vote.target.epoch)
            signed.update(zip(attesters, signatures, strict=True))
        sync_members = [_what(duty) for duty in self._own_duties(BeaconRole.SYNC_COMMITTEE)]
        if sync_members:
            signed.update(zip(sync_members, signer.sign_roots(*self._shares_and_roots(sync_members)), strict=True))
        return signed

    def _shares_and_roots(self, whats: Sequence[_What]) -> tuple[list[PublicKey], list[Root]]:
        return [self.shares[index].share_pubkey for _, index in whats], [self._expected[what] for what in whats]

    def _own_duties(self, role: BeaconRole | None = None) -> list[ValidatorDuty]:
        duties = self._duties_with_share(self.duty)
        return duties if role is None else [duty for duty in duties if duty.type == role]

    def _duties_with_share(self, duty: object) -> list[ValidatorDuty]:
        if not isinstance(duty, CommitteeDuty):
            return []
        return [item for item in duty.validator_duties if item.validator_index in self.shares]

    def _due(self, role: BeaconRole, roots: Sequence[Root]) -> dict[Pair, ValidatorDuty]:
        """What of a role has a quorum for one of ``roots`` and is not submitted yet, in the duty's order."""
        state = self._running_state()
        if not self._expected:
            self._expect(BeaconVote.decode(state.decided_value))
        container = state.post_consensus
        newly_quorate = set(roots)
        due = {}
        for duty in self._own_duties(role):
            root = self._expected[_what(duty)]
            if (
                root in newly_quorate
                and _what(duty) not in self._submitted
                and container.has_quorum(duty.validator_index, root)
            ):
                due[Pair(duty.validator_index, root)] = duty
        return due

    def _submit_attestations(self, due: Mapping[Pair, ValidatorDuty], signatures: Mapping[Pair, Signature]) -> None:
        attestations = []
        for pair, duty in due.items():
            if pair in signatures:
                attestations.append(
                    SignedAttestation(
                        validator_index=duty.validator_index,
                        committee_index=duty.committee_index,
                        committee_length=duty.committee_length,
                        validator_committee_index=duty.validator_committee_index,
                        data=self._data[pair.root],
                        signature=signatures[pair],
                    )
                )
                self._submitted.add(_what(duty))
        if attestations:
            self.outbox.emit(SubmitAttestations(self.duty.slot, tuple(attestations), self.deadline, self.story.key))

    def _submit_sync_messages(self, due: Mapping[Pair, ValidatorDuty], signatures: Mapping[Pair, Signature]) -> None:
        block_root = BeaconVote.decode(self._running_state().decided_value).block_root
        messages = []
        for pair, duty in due.items():
            if pair in signatures:
                messages.append(SignedSyncCommitteeMessage(duty.validator_index, block_root, signatures[pair]))
                self._submitted.add(_what(duty))
        if messages:
            self.outbox.emit(
                SubmitSyncCommitteeMessages(self.duty.slot, tuple(messages), self.deadline, self.story.key)
            )

    def _finish_if_complete(self) -> None:
        if all(_what(duty) in self._submitted for duty in self._own_duties()):
            self.finish()


def _what(duty: ValidatorDuty) -> _What:
    return duty.type, duty.validator_index

"""What the runners of single validators share: one share, signatures before consensus, and known roots.

A validator's runner knows exactly what each partial signature message must sign, before consensus and after it, so it
refuses messages with other roots.
"""

from abc import abstractmethod
from collections.abc import Mapping, Sequence

from ssv_pool.protocol.events import BeaconReply, Outcome, Reason
from ssv_pool.protocol.qbft import ProcessingMessage
from ssv_pool.protocol.runners.base import Runner
from ssv_pool.protocol.runners.collector import Pair
from ssv_pool.protocol.runners.partials import PartialSignatureContainer
from ssv_pool.protocol.runners.services import Outbox, Services
from ssv_pool.protocol.runners.state import Duty
from ssv_pool.protocol.runners.story import DutyStory
from ssv_pool.protocol.types.consensus_data import ProposerConsensusData
from ssv_pool.protocol.types.duties import ValidatorDuty
from ssv_pool.protocol.types.errors import ErrorCode, ProtocolError
from ssv_pool.protocol.types.partial import PartialSignatureMessages
from ssv_pool.protocol.types.primitives import MessageId, Root, Round, Signature, Slot, ValidatorIndex
from ssv_pool.protocol.types.roles import BeaconRole, PartialSignatureType
from ssv_pool.protocol.types.share import CommitteeMember, Share

FUTURE_EPOCHS = 1
"""How many epochs ahead of the current one a decided duty may be."""


class ValidatorRunner(Runner):
    """A runner of one validator's duties of one role."""

    pre_consensus_type: PartialSignatureType
    """Type of the partial signatures it sends before consensus."""

    def __init__(
        self,
        services: Services,
        member: CommitteeMember,
        shares: Mapping[ValidatorIndex, Share],
        identifier: MessageId,
        outbox: Outbox,
    ) -> None:
        """Make a runner; ``shares`` holds the validator's. Raises ProtocolError where there is not exactly one."""
        if len(shares) != 1:
            raise ProtocolError(f"must have one share, got {len(shares)}")
        super().__init__(services, member, shares, identifier, outbox)
        (self.share,) = shares.values()
        self._completed = 0

    @abstractmethod
    def pre_consensus_roots(self) -> Sequence[Root]:
        """What partial signatures before consensus sign, in the order of the own message."""

    @abstractmethod
    def on_pre_consensus_quorum(self, roots: Sequence[Root]) -> None:
        """A quorum signed these roots. Raises ProtocolError."""

    @property
    def duty(self) -> ValidatorDuty:
        """The duty it does."""
        duty = self._running_state().duty
        if not isinstance(duty, ValidatorDuty):
            raise TypeError(f"a {self.role.name.lower()} runner was started with a committee's duty")
        return duty

    def start(self, duty: Duty, story: DutyStory, deadline: float) -> None:
        """Begin a duty in place of the one before."""
        self._completed = 0
        super().start(duty, story, deadline)

    def execute(self) -> None:
        """Sign what is needed beforehand, and send it."""
        roots = self.pre_consensus_roots()
        signatures = self.services.signer.sign_roots([self.share.share_pubkey] * len(roots), roots)
        self.send_partials(
            self.pre_consensus_type,
            self.duty.slot,
            [
                self.partial(signature, root, self.share.validator_index)
                for signature, root in zip(signatures, roots, strict=True)
            ],
        )

    def process_pre_consensus(self, partials: PartialSignatureMessages) -> None:
        """Take one operator's partial signatures from before consensus. Raises ProtocolError."""
        state = self._running_state()
        self.check_partials(partials, state.duty.slot)
        self.check_roots(partials, self.pre_consensus_roots())
        roots = self.add_partials(state.pre_consensus, partials.messages)
        if roots:
            self.on_pre_consensus_quorum(roots)

    def check_roots(self, partials: PartialSignatureMessages, expected: Sequence[Root]) -> None:
        """Whether a message signs exactly ``expected`` for this validator, in any order. Raises ProtocolError."""
        for message in partials.messages:
            if message.validator_index not in self.shares:
                raise ProtocolError(
                    f"partial signature for validator {message.validator_index}, expected {self.share.validator_index}",
                    ErrorCode.UNKNOWN_VALIDATOR_INDEX,
                )
        if len(partials.messages) != len(expected):
            raise ProtocolError(
                f"{len(partials.messages)} partial signatures, expected {len(expected)}", ErrorCode.WRONG_ROOTS_COUNT
            )
        if sorted(message.signing_root for message in partials.messages) != sorted(expected):
            raise ProtocolError(
                f"operator {partials.messages[0].signer} signed other roots than this duty's",
                ErrorCode.WRONG_SIGNING_ROOT,
            )

    def rebuild_all(self, container: PartialSignatureContainer, roots: Sequence[Root]) -> list[Signature]:
        """Rebuild the signatures over ``roots``. Raises ProtocolError (RECONSTRUCT_SIGNATURE) where one fails."""
        index = self.share.validator_index
        rebuilt = self.collector.rebuild(container, [Pair(index, root) for root in roots], roots)
        if rebuilt.failed:
            raise ProtocolError(
                f"{len(rebuilt.failed)} of {len(roots)} rebuilt signatures do not verify, "
                f"{self.dropped_partials} partial signatures dropped so far",
                ErrorCode.RECONSTRUCT_SIGNATURE,
            )
        return [rebuilt.signatures[Pair(index, root)] for root in roots]

    def expected_signatures(self) -> int:
        """One, unless a role says otherwise."""
        return 1

    def completed_signatures(self) -> int:
        """Those handed over."""
        return self._completed

    def submitted(self, count: int = 1) -> None:
        """Note signatures that were handed over."""
        self._completed += count
        self.story.reach_again("reconstructed", self.services.clock())


class NoConsensusRunner(ValidatorRunner):
    """A runner whose duty needs no decision: what is signed follows from the duty."""

    consensus_code: ErrorCode
    """Refuses consensus messages."""
    post_consensus_code: ErrorCode
    """Refuses partial signatures after consensus."""

    @property
    def awaits_value(self) -> bool:
        """Consensus never begins."""
        return False

    def check_start(self, duty: Duty) -> None:
        """A duty begins where it is later than the one before."""
        if self.state is not None and self.state.duty.slot >= duty.slot:
            raise ProtocolError(
                f"the duty of slot {duty.slot} has passed: the runner is at {self.state.duty.slot}",
                ErrorCode.DUTY_ALREADY_PASSED,
            )

    def process_consensus(self, message: ProcessingMessage) -> None:  # noqa: ARG002
        """There is no consensus. Raises ProtocolError."""
        raise ProtocolError(f"the {self.role.name.lower()} role has no consensus", self.consensus_code)

    def process_post_consensus(self, partials: PartialSignatureMessages) -> None:
        """There is no consensus. Raises ProtocolError."""
        raise ProtocolError(
            f"the {self.role.name.lower()} role has no signatures after consensus, "
            f"operator {partials.messages[0].signer} sent some",
            self.post_consensus_code,
        )

    def check_value(self, value: bytes) -> None:
        """There is no consensus. Raises ProtocolError."""
        raise ProtocolError(
            f"the {self.role.name.lower()} role decides nothing, not {len(value)} bytes", self.consensus_code
        )

    def on_decided(self, value: bytes) -> None:
        """There is no consensus. Raises ProtocolError."""
        self.check_value(value)

    def on_post_consensus_quorum(self, roots: Sequence[Root]) -> None:
        """There is no consensus. Raises ProtocolError."""
        raise ProtocolError(f"no quorum expected for {len(roots)} roots", self.post_consensus_code)

    def round_deadline(self, slot: Slot, round_: Round) -> float:
        """There are no rounds; the answer is the slot's end."""
        return self.services.chain.start_of(slot + round_)

    def on_pre_consensus_quorum(self, roots: Sequence[Root]) -> None:
        """Rebuild the signature and hand it over."""
        (signature,) = self.rebuild_all(self._running_state().pre_consensus, roots)
        self.submitted()
        self.submit(signature)
        self.finish()

    @abstractmethod
    def submit(self, signature: Signature) -> None:
        """Hand the signed object over."""


class ConsensusRunner(ValidatorRunner):
    """A runner that decides on consensus data: a duty and an object from the beacon node."""

    beacon_role: BeaconRole
    """The duty type that decided values must have."""

    @abstractmethod
    def check_data(self, data: ProposerConsensusData) -> None:
        """Whether the object in a value is one of this role's. Raises ProtocolError."""

    @abstractmethod
    def post_consensus_roots(self) -> Sequence[Root]:
        """What partial signatures after consensus sign, in the order of the own message."""

    @property
    def decided(self) -> ProposerConsensusData:
        """What was decided. Raises ProtocolError where nothing was."""
        return self.decode_value(self._running_state().decided_value)

    def decode_value(self, value: bytes) -> ProposerConsensusData:
        """Read a value. Raises ProtocolError without a code."""
        try:
            return ProposerConsensusData.decode(value)
        except ProtocolError as error:
            raise ProtocolError(f"no consensus data: {error}") from None

    def check_decodes(self, value: bytes) -> None:
        """Whether a value is consensus data. Raises ProtocolError."""
        self.decode_value(value)

    def check_value(self, value: bytes) -> None:
        """The object must be one of this role's, and the duty one of this validator's, not far in the future."""
        data = self.decode_checked(value)
        try:
            self.check_data(data)
        except ProtocolError as error:
            raise ProtocolError(f"invalid consensus data: {error}", ErrorCode.QBFT_VALUE_INVALID) from error
        self.check_duty(data.duty)

    def decode_checked(self, value: bytes) -> ProposerConsensusData:
        """Read a value with the fork's code for one that does not decode."""
        return self.decode_value(value)

    def check_duty(self, duty: ValidatorDuty) -> None:
        """Whether a decided duty is this validator's of this role. Raises ProtocolError (50, 51, 53, 52)."""
        chain = self.services.chain
        current = chain.epoch_at(self.services.clock())
        if chain.epoch_of(duty.slot) > current + FUTURE_EPOCHS:
            raise ProtocolError(
                f"duty of epoch {chain.epoch_of(duty.slot)}, the current one is {current}",
                ErrorCode.DUTY_EPOCH_TOO_FAR_FUTURE,
            )
        if duty.type != self.beacon_role:
            raise ProtocolError(
                f"duty of type {duty.type}, expected {self.beacon_role.value}", ErrorCode.WRONG_BEACON_ROLE_TYPE
            )
        if duty.pubkey != self.share.validator_pubkey:
            raise ProtocolError(
                f"duty of validator 0x{duty.pubkey.hex()}, expected 0x{self.share.validator_pubkey.hex()}",
                ErrorCode.WRONG_VALIDATOR_PUBKEY,
            )
        if duty.validator_index != self.share.validator_index:
            raise ProtocolError(
                f"duty of validator {duty.validator_index}, expected {self.share.validator_index}",
                ErrorCode.WRONG_VALIDATOR_INDEX,
            )

    def check_post_consensus(self, partials: PartialSignatureMessages) -> None:
        """The slot is the decided duty's, the roots are what was decided."""
        data = self.decided
        self.check_partials(partials, data.duty.slot)
        self.check_roots(partials, self.post_consensus_roots())

    def on_decided(self, value: bytes) -> None:  # noqa: ARG002  it is in the state
        """Sign what was decided, and send the partial signatures."""
        roots = self.post_consensus_roots()
        slot = self.decided.duty.slot
        self.send_partials(
            PartialSignatureType.POST_CONSENSUS,
            slot,
            [
                self.partial(signature, root, self.share.validator_index)
                for signature, root in zip(self.sign_decided(roots, slot), roots, strict=True)
            ],
        )
        self.story.reach("signed", self.services.clock())

    def sign_decided(self, roots: Sequence[Root], slot: Slot) -> list[Signature]:  # noqa: ARG002
        """Sign the decided roots. Raises SlashableError where they can be slashed."""
        return self.services.signer.sign_roots([self.share.share_pubkey] * len(roots), roots)

    def propose(self, version: int, data: bytes) -> None:
        """Have the committee decide on an object of the beacon node. Raises ProtocolError."""
        duty = self.duty
        self.decide(duty.slot, ProposerConsensusData(duty, version, data).encode())

    def accept_reply(self, reply: BeaconReply) -> bool:
        """Whether the beacon node gave an object; raises ProtocolError where it failed."""
        if reply.error:
            raise ProtocolError(f"the beacon node gave nothing to decide on: {reply.error}")
        return bool(reply.payload)

    def give_up(self) -> None:
        """The validator was not selected: there is nothing more to do."""
        self._running_state().finished = True
        self.end(Outcome.COMPLETED, Reason.NONE, "the validator was not selected")

"""What all duty runners share (PROTOCOL: common machinery).

A runner does one duty at a time in up to three phases: it collects partial signatures it needs beforehand, lets the
committee decide a value, and collects the partial signatures over what was decided. A role's own file says what is
signed, what a valid value is, and what becomes of the rebuilt signatures.

Methods raise ProtocolError for what they refuse, with the specification's codes; the committee object that owns the
runner turns these into effects. What a runner wants done goes into its outbox.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from hashlib import sha256

from ssv_pool.protocol.events import (
    NO_ROUND,
    ArmTimer,
    AskBeacon,
    AskKind,
    BeaconReply,
    DutyEnded,
    Outcome,
    Reason,
    TimerKey,
    TimerKind,
)
from ssv_pool.protocol.ports import SlashableError
from ssv_pool.protocol.qbft import Context, Controller, InstanceState, ProcessingMessage
from ssv_pool.protocol.runners.collector import SignatureCollector
from ssv_pool.protocol.runners.partials import PartialSignatureContainer
from ssv_pool.protocol.runners.services import Outbox, Services
from ssv_pool.protocol.runners.state import Duty, RunnerState
from ssv_pool.protocol.runners.story import DutyStory
from ssv_pool.protocol.types.beacon import compute_domain
from ssv_pool.protocol.types.errors import ErrorCode, ProtocolError
from ssv_pool.protocol.types.messages import SignedSSVMessage, SSVMessage
from ssv_pool.protocol.types.partial import PartialSignatureMessage, PartialSignatureMessages
from ssv_pool.protocol.types.primitives import (
    Domain,
    MessageId,
    Root,
    Round,
    Signature,
    Slot,
    ValidatorIndex,
)
from ssv_pool.protocol.types.roles import MsgType, PartialSignatureType, QBFTMessageType, RunnerRole
from ssv_pool.protocol.types.share import CommitteeMember, Share

_VALUE_CHECK_CODES = frozenset(
    {
        ErrorCode.DECODE_BEACON_VOTE,
        ErrorCode.ATTESTATION_SOURCE_NOT_LESS_THAN_TARGET,
        ErrorCode.CHECKPOINT_MISMATCH,
        ErrorCode.SLASHABLE_ATTESTATION,
        ErrorCode.QBFT_VALUE_INVALID,
        ErrorCode.DUTY_EPOCH_TOO_FAR_FUTURE,
        ErrorCode.WRONG_BEACON_ROLE_TYPE,
        ErrorCode.WRONG_VALIDATOR_PUBKEY,
        ErrorCode.WRONG_VALIDATOR_INDEX,
        ErrorCode.PROPOSER_CONSENSUS_DATA_DECODE,
        ErrorCode.AGG_COMM_CONSENSUS_DATA_DECODE,
    }
)
"""Codes of a proposal whose value is what is wrong with it."""


class Runner(ABC):
    """A duty runner; see the module's text."""

    role: RunnerRole
    """Which role it is."""

    def __init__(
        self,
        services: Services,
        member: CommitteeMember,
        shares: Mapping[ValidatorIndex, Share],
        identifier: MessageId,
        outbox: Outbox,
    ) -> None:
        """Make a runner that has not started.

        Args:
            services: what all runners are given.
            member: this operator in its committee.
            shares: the shares it does duties for, by validator index.
            identifier: message id of its messages, 56 bytes.
            outbox: takes its effects.
        """
        self.services = services
        self.member = member
        self.shares = dict(shares)
        self.identifier = identifier
        self.outbox = outbox
        self.state: RunnerState | None = None
        self.story = DutyStory("", self.role, Slot(0), member)
        self.deadline = 0.0
        self.ended = False
        """Whether DutyEnded was emitted."""
        self.collector = SignatureCollector(services.threshold, self.shares)
        self.requests: dict[str, AskBeacon] = {}
        """What was asked of the beacon node and not answered yet, by request id."""
        self.beacon_error = ""
        """Why the beacon node's last answer held nothing; empty if it did."""
        context = Context(
            member=member,
            identifier=identifier,
            keys=services.keys,
            leader=lambda height, round_: services.fork.leader(member.operator_ids, height, round_),
            check_value=self.check_value,
            output=self,
        )
        self.controller = Controller(context, services.stored_instances)

    @abstractmethod
    def execute(self) -> None:
        """Begin the duty in ``state``: sign what is needed beforehand, or decide at once. Raises ProtocolError."""

    @abstractmethod
    def check_value(self, value: bytes) -> None:
        """The role's value check. Raises ProtocolError."""

    @abstractmethod
    def on_decided(self, value: bytes) -> None:
        """Sign what was decided and broadcast the partial signatures. Raises SlashableError."""

    @abstractmethod
    def on_post_consensus_quorum(self, roots: Sequence[Root]) -> None:
        """A quorum signed these roots for at least one validator each. Raises ProtocolError."""

    @abstractmethod
    def round_deadline(self, slot: Slot, round_: Round) -> float:
        """When a round of this role ends, seconds since the UNIX epoch."""

    @abstractmethod
    def expected_signatures(self) -> int:
        """How many signatures the duty asks for."""

    @abstractmethod
    def completed_signatures(self) -> int:
        """How many of them have been rebuilt."""

    def process_pre_consensus(self, partials: PartialSignatureMessages) -> None:
        """Take partial signatures from before consensus. Roles that need some override this. Raises ProtocolError."""
        raise ProtocolError(
            f"the {self.role.name.lower()} role has no signatures before consensus, "
            f"operator {partials.messages[0].signer} sent type {partials.type}"
        )

    def process_reply(self, reply: BeaconReply) -> None:
        """Take the beacon node's answer to a request of this runner. Raises ProtocolError of what follows from it."""
        request = self.requests.pop(reply.request_id, None)
        if request is None or not self.running:
            return
        self.beacon_error = reply.error
        self.story.reach_again("received", self.services.clock())
        self.on_reply(request, reply)

    def on_reply(self, request: AskBeacon, reply: BeaconReply) -> None:  # noqa: B027  some ask nothing
        """What a role does with an answer; ``reply.error`` says whether there is one. Raises ProtocolError."""

    def check_decodes(self, value: bytes) -> None:  # noqa: B027  some decide nothing
        """Whether a decided value is one of this role's at all. Raises ProtocolError without a code."""

    def check_start(self, duty: Duty) -> None:
        """Whether a duty may begin now. Raises ProtocolError (DUTY_ALREADY_PASSED)."""
        if self.controller.height != 0 and self.controller.height >= duty.slot:
            raise ProtocolError(
                f"the duty of slot {duty.slot} has passed: the runner is at {self.controller.height}",
                ErrorCode.DUTY_ALREADY_PASSED,
            )

    def start(self, duty: Duty, story: DutyStory, deadline: float) -> None:
        """Begin a duty in place of the one before.

        Args:
            duty: the duty.
            story: its story so far.
            deadline: when its result is worth nothing any more.

        Raises:
            ProtocolError: DUTY_ALREADY_PASSED, or what the first step says.
        """
        self.check_start(duty)
        limit = self.services.fork.max_partial_messages
        self.state = RunnerState(
            duty,
            PartialSignatureContainer(self.member.quorum, limit),
            PartialSignatureContainer(self.member.quorum, limit),
        )
        self.story = story
        self.deadline = deadline
        self.ended = False
        self.collector.dropped.clear()
        self.requests = {}
        self.beacon_error = ""
        self.outbox.emit(ArmTimer(self._timer(duty.slot, TimerKind.DEADLINE), deadline))
        self.execute()

    @property
    def running(self) -> bool:
        """Whether it has a duty that is not finished."""
        return self.state is not None and not self.state.finished

    @property
    def awaits_value(self) -> bool:
        """Whether consensus is still to begin here: the own proposal is not there yet."""
        return self.state is not None and not self.state.finished and self.state.instance is None

    @property
    def awaits_signatures(self) -> bool:
        """Whether a value is decided and partial signatures are what is missing."""
        return self.state is not None and not self.state.finished and bool(self.state.decided_value)

    @property
    def stage(self) -> tuple[object, ...]:
        """Changes whenever a message that came too early may have become timely."""
        if self.state is None:
            return ()
        instance = self.state.instance
        if instance is None:
            return (self.state.duty.slot, self.state.finished)
        proposal = instance.state.accepted_proposal
        return (
            self.state.finished,
            instance.state.round,
            None if proposal is None else proposal.content.root,
            instance.state.decided,
            self.state.decided_value,
        )

    def decide(self, slot: Slot, value: bytes) -> None:
        """Have the committee decide, with ``value`` as the own proposal. Raises ProtocolError of the value check."""
        state = self._running_state()
        self.story.reach("consensus_started", self.services.clock())
        state.instance = self.controller.start(slot, value)

    def process_consensus(self, message: ProcessingMessage) -> None:
        """Take one consensus message, its signatures verified. Raises ProtocolError."""
        running = self.state if self.running else None
        if running is not None and running.instance is not None and running.instance.state.decided:
            raise ProtocolError(
                "consensus of this duty has finished", ErrorCode.SKIP_CONSENSUS_MESSAGE_AS_CONSENSUS_HAS_FINISHED
            )
        try:
            decided = self.controller.process_decoded(message)
        except ProtocolError as error:
            is_proposal = message.content.msg_type == QBFTMessageType.PROPOSAL
            if is_proposal and error.outermost_code in _VALUE_CHECK_CODES:
                self.story.proposal_refused = f"operator {message.signers[0]}: {error}"
            raise
        if running is None:
            return
        self._note_progress(running)
        if decided is None:
            return
        if running.instance is None or message.content.height != running.instance.state.height:
            raise ProtocolError(
                f"height {message.content.height} was decided, which is not what this duty waits for",
                ErrorCode.DECIDED_WRONG_INSTANCE,
            )
        self.story.hear(decided.operator_ids)
        try:
            self.check_decodes(decided.full_data)
            self.check_value(decided.full_data)
        except ProtocolError as error:
            self.end(Outcome.FAILED, Reason.DECIDED_VALUE_REFUSED, str(error))
            raise
        running.decided_value = decided.full_data
        try:
            self.on_decided(decided.full_data)
        except SlashableError as error:
            self.end(Outcome.FAILED, Reason.SIGNING_REFUSED, str(error))
            raise ProtocolError(f"signing was refused: {error}", ErrorCode.SLASHABLE_ATTESTATION) from error

    def process_post_consensus(self, partials: PartialSignatureMessages) -> None:
        """Take one operator's partial signatures over what was decided. Raises ProtocolError."""
        state = self._running_state()
        if not state.decided_value:
            raise ProtocolError("no value was decided yet", ErrorCode.NO_DECIDED_VALUE)
        if state.instance is None:
            raise ProtocolError("consensus has not begun", ErrorCode.NO_RUNNING_CONSENSUS_INSTANCE)
        if not state.instance.state.decided:
            raise ProtocolError("consensus has not ended", ErrorCode.CONSENSUS_INSTANCE_NOT_DECIDED)
        self.check_post_consensus(partials)
        roots = self.add_partials(state.post_consensus, partials.messages)
        if roots:
            self.on_post_consensus_quorum(roots)

    def check_post_consensus(self, partials: PartialSignatureMessages) -> None:
        """What a post-consensus message has to be; roles that know its roots exactly add to this."""
        self.check_partials(partials, self._running_state().duty.slot)

    def time_out(self, round_: Round) -> None:
        """A round's timer ran out. Raises ProtocolError."""
        if self.state is not None and not self.ended:
            self.controller.time_out(self.state.duty.slot, round_)

    def forget(self, indices: Sequence[ValidatorIndex]) -> None:
        """Do nothing more for these validators: they left the registry. Without any left the duty ends."""
        for index in indices:
            self.shares.pop(index, None)
        if indices and not self.shares:
            self.end(Outcome.FAILED, Reason.NO_SHARES, "all its validators left the registry")

    def expire(self) -> None:
        """The deadline has come: end the duty, with what hindered it."""
        if self.ended or self.state is None:
            return
        self.end(Outcome.FAILED, *self._hindrance(self.state))

    def end(self, outcome: Outcome, reason: Reason, detail: str) -> None:
        """Emit the duty's end, once."""
        if self.ended or self.state is None:
            return
        self.ended = True
        instance = self.state.instance
        self.outbox.emit(
            DutyEnded(
                self.story.record(
                    outcome,
                    reason,
                    detail,
                    NO_ROUND if instance is None else instance.state.round,
                    self.expected_signatures(),
                    self.completed_signatures(),
                )
            )
        )

    def finish(self) -> None:
        """Everything was submitted."""
        self._running_state().finished = True
        self.end(Outcome.COMPLETED, Reason.NONE, "")

    def broadcast(self, message: SignedSSVMessage) -> None:
        """Send a message to the committee (the consensus instance's output)."""
        self.outbox.broadcast(message)

    def arm_round_timer(self, height: Slot, round_: Round) -> None:
        """Arm the timer of a round (the consensus instance's output)."""
        self.outbox.emit(ArmTimer(self._timer(height, TimerKind.ROUND, round_), self.round_deadline(height, round_)))

    def broadcast_partials(self, partials: PartialSignatureMessages) -> None:
        """Sign a message with own partial signatures and send it."""
        message = SSVMessage(MsgType.PARTIAL_SIGNATURE, self.identifier, partials.encode())
        signature = self.services.keys.sign(message.encode())
        self.outbox.broadcast(SignedSSVMessage((signature,), (self.member.operator_id,), message))

    def ask(self, kind: AskKind, arguments: Sequence[tuple[str, str]]) -> None:
        """Ask the beacon node for an object; the answer comes to ``on_reply``."""
        slot = self._running_state().duty.slot
        text = ",".join(value for _, value in arguments)
        request_id = f"{self.identifier.hex()}:{slot}:{kind.value}:{sha256(text.encode()).hexdigest()[:16]}"
        request = AskBeacon(request_id, kind, slot, tuple(arguments), self.deadline)
        self.requests[request_id] = request
        self.story.reach("asked", self.services.clock())
        self.outbox.emit(request)

    def partial(self, signature: Signature, root: Root, index: ValidatorIndex) -> PartialSignatureMessage:
        """One of this operator's partial signatures."""
        return PartialSignatureMessage(signature, root, self.member.operator_id, index)

    def send_partials(self, kind: PartialSignatureType, slot: Slot, items: Sequence[PartialSignatureMessage]) -> None:
        """Send own partial signatures, all in one message."""
        self.broadcast_partials(PartialSignatureMessages(kind, slot, tuple(items)))

    def domain(self, domain_type: bytes, slot: Slot) -> Domain:
        """The beacon chain's signature domain of a type in the fork of a slot."""
        chain = self.services.chain
        version = chain.fork_at(chain.epoch_of(slot)).version
        return compute_domain(domain_type, version, chain.genesis_validators_root)

    def check_partials(self, partials: PartialSignatureMessages, slot: Slot) -> None:
        """Rules for all partial signature messages (spec: validate for slot). Raises ProtocolError."""
        partials.validate()
        if partials.slot < slot:
            raise ProtocolError(
                f"partial signatures of slot {partials.slot}, expected {slot}",
                ErrorCode.PARTIAL_SIG_MESSAGE_INVALID_SLOT,
            )
        if partials.slot > slot:
            raise ProtocolError(
                f"partial signatures of slot {partials.slot}, expected {slot}",
                ErrorCode.PARTIAL_SIG_MESSAGE_FUTURE_SLOT,
            )
        if self.member.operator(partials.messages[0].signer) is None:
            raise ProtocolError(f"unknown signer {partials.messages[0].signer}")

    def add_partials(
        self, container: PartialSignatureContainer, messages: Sequence[PartialSignatureMessage]
    ) -> list[Root]:
        """Store partial signatures; returns the roots that thereby got a quorum for some validator, each once."""
        roots = self.collector.add(container, messages)
        if roots and self.state is not None and container is self.state.pre_consensus:
            self.story.reach("pre_consensus", self.services.clock())
        return roots

    @property
    def dropped_partials(self) -> int:
        """How many partial signatures were found invalid."""
        return self.collector.dropped.total()

    def _note_progress(self, state: RunnerState) -> None:
        if state.instance is None:
            return
        now = self.services.clock()
        if state.instance.state.accepted_proposal is not None:
            self.story.reach("proposed", now)
        if state.instance.state.last_prepared_round:
            self.story.reach("prepared", now)
        if state.instance.state.decided:
            self.story.reach("decided", now)

    def _hindrance(self, state: RunnerState) -> tuple[Reason, str]:
        """Why the duty has not completed by now."""
        completed = f"{self.completed_signatures()} of {self.expected_signatures()} signatures completed"
        if state.decided_value:
            if self.dropped_partials:
                bad = ", ".join(f"{count} of operator {own}" for own, count in sorted(self.collector.dropped.items()))
                return Reason.INVALID_PARTIAL_SIGNATURES, f"{completed}, invalid partial signatures: {bad}"
            return Reason.NO_SIGNATURE_QUORUM, f"{completed}{self._missing_from(state.post_consensus)}"
        if state.instance is None:
            if self.beacon_error:
                return Reason.NO_BEACON_DATA, self.beacon_error
            if self.requests:
                return Reason.NO_BEACON_DATA, f"{len(self.requests)} requests to the beacon node were not answered"
            if state.pre_consensus.signatures:
                missing = self._missing_from(state.pre_consensus)
                return Reason.NO_SIGNATURE_QUORUM, f"too few valid signatures before consensus{missing}"
            return Reason.OWN_VALUE_REFUSED, "consensus was never begun"
        reason, detail = self._consensus_hindrance(state.instance.state)
        if state.instance.state.round >= self.controller.context.cutoff_round:
            return Reason.ROUNDS_EXHAUSTED, detail
        return reason, detail

    def _missing_from(self, container: PartialSignatureContainer) -> str:
        """Whose partial signatures are missing, as the end of a sentence."""
        missing = sorted(set(self.member.operator_ids) - container.signers())
        return f", none from operators {', '.join(map(str, missing))}" if missing else ""

    def _consensus_hindrance(self, consensus: InstanceState) -> tuple[Reason, str]:
        """Why nothing was decided by now."""
        if consensus.last_prepared_round:
            detail = f"prepared in round {consensus.last_prepared_round}, not decided by round {consensus.round}"
            return Reason.NO_COMMIT_QUORUM, detail
        if self.story.proposal_refused:
            return Reason.PROPOSAL_REFUSED, self.story.proposal_refused
        if any(consensus.proposals):
            return Reason.NO_PREPARE_QUORUM, f"not prepared by round {consensus.round}"
        return Reason.NO_PROPOSAL, f"no proposal accepted by round {consensus.round}"

    def _running_state(self) -> RunnerState:
        if self.state is None or self.state.finished:
            raise ProtocolError("no duty is running", ErrorCode.NO_RUNNING_DUTY)
        return self.state

    def _timer(self, slot: Slot, kind: TimerKind, round_: Round = NO_ROUND) -> TimerKey:
        return TimerKey(self.identifier, slot, kind, round_)

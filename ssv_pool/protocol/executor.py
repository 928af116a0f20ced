"""What the objects that own runners share: events in, effects out.

A committee does its committee duties, a validator object the duties of one validator; both add the same to what the
specification says of them:

* They process their own messages themselves: what they broadcast does not have to come back. The heavy part of that,
  rebuilding signatures, waits until the message has left (a timer of kind CONTINUE).
* A message that comes too early (its duty has not begun here, no proposal was accepted yet, a later round, nothing
  decided yet) is kept and offered again when the duty has moved on. What is kept is bounded by slot, sender and size.
* Each duty ends with exactly one record, at its deadline at the latest, and is then forgotten.

Nothing here does input or output, or calls anything but what ``ports`` describes.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable

from ssv_pool.protocol.chain import BeaconChain
from ssv_pool.protocol.early import Delivery, EarlyMessages, Where
from ssv_pool.protocol.events import (
    NO_ROUND,
    NO_SLOT,
    ArmTimer,
    BeaconReply,
    Broadcast,
    DutyEnded,
    Effect,
    Event,
    MessageReceived,
    Outcome,
    Reason,
    Rejected,
    StartAggregatorCommitteeDuty,
    StartDuty,
    StartEvent,
    StartValidatorDuty,
    TimerFired,
    TimerKey,
    TimerKind,
)
from ssv_pool.protocol.forks import ForkSchedule, ProtocolFork
from ssv_pool.protocol.ports import OperatorKeys, ShareSigner, ThresholdScheme
from ssv_pool.protocol.qbft import ProcessingMessage, RoundTimings
from ssv_pool.protocol.runners import Duty, DutyStory, Runner, Selection, Services
from ssv_pool.protocol.types.duties import ValidatorDuty
from ssv_pool.protocol.types.errors import ErrorCode, ProtocolError
from ssv_pool.protocol.types.ids import message_domain, message_role
from ssv_pool.protocol.types.messages import SignedSSVMessage
from ssv_pool.protocol.types.partial import PartialSignatureMessages
from ssv_pool.protocol.types.primitives import OperatorId, Slot
from ssv_pool.protocol.types.roles import MsgType, PartialSignatureType, QBFTMessageType, RunnerRole
from ssv_pool.protocol.types.share import CommitteeMember

MAX_RUNNERS = 64
"""How many duties an object runs at once: a committee has at most one of each slot, two epochs of them."""

EARLY_SLOTS_BACK = 3
"""Messages of duties that have not begun here are kept from this many slots before the current one..."""

EARLY_SLOTS_AHEAD = 1
"""...to this many after it."""

REMEMBERED_SLOTS = 64
"""How many slots after its deadline an ended duty is remembered, so that a repeat of it does nothing."""

MAX_VOTE_BYTES = 4096
"""Longest value of a committee duty taken from others; a beacon vote has 112 bytes."""

MAX_VALUE_BYTES = 8_388_836
"""Longest value of the other roles: the limit of a message's full data."""

MAX_STEP_BYTES = 52_000
"""Longest content of a consensus message other than a proposal; a round change with its proof has 48 284 at most."""

_NOT_BEGUN = frozenset({ErrorCode.FUTURE_MESSAGE, ErrorCode.NO_RUNNER_FOR_SLOT})

_TOO_EARLY = _NOT_BEGUN | {
    ErrorCode.NO_DECIDED_VALUE,
    ErrorCode.NO_RUNNING_CONSENSUS_INSTANCE,
    ErrorCode.CONSENSUS_INSTANCE_NOT_DECIDED,
    ErrorCode.WRONG_MESSAGE_ROUND,
    ErrorCode.NO_PROPOSAL_FOR_CURRENT_ROUND,
}
"""Refusals that a later state may take back (Go client: errors that put a message back into its queue)."""


class _Outbox:
    """Collects the effects of one call, and own messages, which the committee processes too."""

    __slots__ = ("effects", "own")

    def __init__(self) -> None:
        self.effects: list[Effect] = []
        self.own: deque[SignedSSVMessage] = deque()

    def broadcast(self, message: SignedSSVMessage) -> None:
        self.effects.append(Broadcast(message))
        self.own.append(message)

    def emit(self, effect: Effect) -> None:
        self.effects.append(effect)

    def take(self) -> list[Effect]:
        effects, self.effects = self.effects, []
        return effects


class DutyExecutor(ABC):
    """All duties of one executor. Not reentrant; any one thread at a time may call it."""

    def __init__(
        self,
        member: CommitteeMember,
        forks: ForkSchedule,
        chain: BeaconChain,
        operator_keys: OperatorKeys,
        share_signer: ShareSigner,
        threshold: ThresholdScheme,
        timings: RoundTimings | None = None,
        clock: Callable[[], float] | None = None,
        selection: Selection | None = None,
    ) -> None:
        """Make an executor without duties; ``Committee`` says what the arguments are."""
        self.member = member
        self.runners: dict[Where, Runner] = {}
        self._forks = forks
        self._chain = chain
        self._keys = operator_keys
        self._signer = share_signer
        self._threshold = threshold
        self._timings = timings or RoundTimings()
        self._selection = selection or Selection(chain.preset)
        self._now = 0.0
        self._slot = -1
        self._clock = clock or (lambda: self._now)
        self._outbox = _Outbox()
        self._early = EarlyMessages()
        self._stages: dict[Where, tuple[object, ...]] = {}
        self._touched: set[Where] = set()
        self._put_off: deque[Delivery] = deque()
        self._ended: dict[Where, float] = {}

    @abstractmethod
    def key_of(self, role: RunnerRole, slot: Slot) -> str:
        """The key of a duty where the event names none."""

    @abstractmethod
    def role_of(self, event: StartEvent) -> RunnerRole:
        """Which runner does a duty; UNKNOWN for what is not this executor's."""

    @abstractmethod
    def start_duty(self, event: StartEvent) -> None:
        """Make the duty's runner and start it (spec: StartDuty). Raises ProtocolError; a runner that was made stays."""

    @abstractmethod
    def check_addressee(self, message: SignedSSVMessage) -> RunnerRole:
        """Whether a message is for this executor, and for which role of it. Raises ProtocolError."""

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Take one event.

        Args:
            event: what happened.
            now: when, seconds since the UNIX epoch.

        Returns:
            What is to be done, in this order.
        """
        self._now = now
        self._expire_late()
        while self._put_off:
            self._offer(self._put_off.popleft())
        match event:
            case StartDuty() | StartValidatorDuty() | StartAggregatorCommitteeDuty():
                self._start(event)
            case MessageReceived():
                self._receive(event.message, verified=event.verified)
            case TimerFired():
                self._timer_fired(event.timer)
            case BeaconReply():
                self._reply(event)
        self._settle()
        self._drop_ended()
        if self._put_off:
            # Others may wait for the messages of this call: the heavy rest is done when those have left.
            first = self._put_off[0]
            timer = TimerKey(first.message.ssv_message.msg_id, first.where[1], TimerKind.CONTINUE)
            self._outbox.emit(ArmTimer(timer, now))
        return self._outbox.take()

    def services(self, fork: ProtocolFork) -> Services:
        """What a runner of a fork is given."""
        return Services(
            fork=fork,
            chain=self._chain,
            keys=self._keys,
            signer=self._signer,
            threshold=self._threshold,
            timings=self._timings,
            clock=self._clock,
            selection=self._selection,
        )

    def fork_of(self, slot: Slot) -> ProtocolFork:
        """The fork of a duty or message of a slot."""
        return self._forks.at_slot(slot, self._chain.slots_per_epoch)

    def process_message(self, message: SignedSSVMessage, *, verified: bool = False) -> None:
        """Check a message and give it to its runner (spec: ProcessMessage). Raises ProtocolError."""
        delivery = self._admit(message, verified=verified)
        self._deliver(delivery, self.runner_for(delivery.where))

    def runner_for(self, where: Where) -> Runner | None:
        """The runner that judges a message of (role, slot) as the specification has it."""
        return self.runners.get(where)

    def _start(self, event: StartEvent) -> None:
        slot = event.duty.slot
        where = (self.role_of(event), slot)
        if where in self.runners or where in self._ended:
            self._reject("duplicate_duty", f"the duty of slot {slot} was begun already", slot)
            return
        if self._now >= event.deadline:
            late = self._now - event.deadline
            self._refuse_duty(event, Outcome.EXPIRED, Reason.EXPIRED, f"it came {late:.3f} s after its deadline")
            return
        if len(self.runners) >= MAX_RUNNERS:
            self._refuse_duty(event, Outcome.FAILED, Reason.OVERLOADED, f"{len(self.runners)} duties run already")
            return
        try:
            self.start_duty(event)
        except ProtocolError as error:
            runner = self.runners.get(where)
            if runner is not None:
                # Only a committee's duty begins with a value; the others begin with what the duty itself says.
                refused = Reason.OWN_VALUE_REFUSED if isinstance(event, StartDuty) else Reason.INVALID_DUTY
                runner.end(Outcome.FAILED, refused, str(error))
                return
            no_share = error.code in {ErrorCode.NO_VALIDATOR_SHARES, ErrorCode.NO_BEACON_DUTIES}
            reason = Reason.NO_SHARES if no_share else Reason.INVALID_DUTY
            self._refuse_duty(event, Outcome.FAILED, reason, str(error))

    def _run(self, where: Where, runner: Runner, event: StartEvent, duty: Duty) -> None:
        """Store a runner and start it. Raises ProtocolError of its first step; the runner stays."""
        self.runners[where] = runner
        self._touched.add(where)
        runner.start(duty, self._story(event), event.deadline)

    def _story(self, event: StartEvent) -> DutyStory:
        slot, role = event.duty.slot, self.role_of(event)
        story = DutyStory(event.key or self.key_of(role, slot), role, slot, self.member)
        story.reach("due", event.due)
        story.reach("begun", event.begun)
        return story

    def _refuse_duty(self, event: StartEvent, outcome: Outcome, reason: Reason, detail: str) -> None:
        duty = event.duty
        validators = 1 if isinstance(duty, ValidatorDuty) else len(duty.validator_duties)
        record = self._story(event).record(outcome, reason, detail, NO_ROUND, validators, 0)
        self._outbox.emit(DutyEnded(record))
        self._remember_end((self.role_of(event), duty.slot), event.deadline)

    def _reply(self, reply: BeaconReply) -> None:
        for where, runner in self.runners.items():
            if reply.request_id in runner.requests and not runner.ended:
                self._touched.add(where)
                try:
                    runner.process_reply(reply)
                except ProtocolError as error:
                    self._reject(_rule(error), str(error), where[1])
                return
        self._reject("no_request", f"nothing waits for the answer {reply.request_id}")

    def _receive(self, message: SignedSSVMessage, *, verified: bool) -> None:
        """Take a message from anywhere: what is refused becomes an effect."""
        try:
            delivery = self._admit(message, verified=verified)
        except ProtocolError as error:
            self._reject_message(error, message)
            return
        excess = self._excess(delivery)
        if excess:
            self._reject("limit", excess, delivery.where[1], message.operator_ids)
            return
        self._offer(delivery)

    def _excess(self, delivery: Delivery) -> str:
        """Which limit a message breaks, that keeps what members can make this operator store small; empty if none."""
        content = delivery.content
        if isinstance(content, PartialSignatureMessages):
            return ""
        role, slot = delivery.where
        rules = self._forks.at_slot(slot, self._chain.slots_per_epoch).roles.get(role)
        if rules is None or rules.max_round is None or content.content.round > rules.max_round:
            return f"round {content.content.round} is over the {role.name.lower()} role's last"
        limit = MAX_VOTE_BYTES if role == RunnerRole.COMMITTEE else MAX_VALUE_BYTES
        if len(delivery.message.full_data) > limit:
            return f"a value of {len(delivery.message.full_data)} bytes, expected at most {limit}"
        size = len(delivery.message.ssv_message.data)
        if content.content.msg_type != QBFTMessageType.PROPOSAL and size > MAX_STEP_BYTES:
            return f"content of {size} bytes, expected at most {MAX_STEP_BYTES}"
        return ""

    def _offer(self, delivery: Delivery) -> None:
        """Give an admitted message to its runner; keep it where it comes too early."""
        runner = self.runners.get(delivery.where)
        if delivery.where in self._ended or (runner is not None and runner.ended):
            return
        try:
            if runner is not None and runner.awaits_value and isinstance(delivery.content, ProcessingMessage):
                # A decided message would be taken for one of another duty, and be lost.
                raise ProtocolError("consensus of this duty has not begun here", ErrorCode.FUTURE_MESSAGE)
            self._deliver(delivery, runner)
        except ProtocolError as error:
            if not _too_early(error, delivery):
                self._reject_message(error, delivery.message, delivery.where[1])
            elif not self._keep(delivery):
                self._reject(
                    "too_early",
                    f"came too early and there is no room to keep it: {error}",
                    delivery.where[1],
                    delivery.message.operator_ids,
                )

    def _keep(self, delivery: Delivery) -> bool:
        slot = delivery.where[1]
        current = self._chain.slot_at(self._now)
        if delivery.where not in self.runners and not (
            current - EARLY_SLOTS_BACK <= slot <= current + EARLY_SLOTS_AHEAD
        ):
            return False
        return self._early.keep(delivery)

    def _admit(self, message: SignedSSVMessage, *, verified: bool) -> Delivery:
        """Check everything about a message that needs no runner, in the specification's order. Raises ProtocolError."""
        message.validate()
        inner = message.ssv_message
        if self._forks.boole is not None and message_domain(inner.msg_id) == self._forks.boole.domain:
            inner.validate()
        if not verified:
            self._verify(message)
        role = self.check_addressee(message)
        if not inner.data:
            raise ProtocolError("the message has no data")
        if inner.msg_type == MsgType.CONSENSUS:
            content = ProcessingMessage.from_signed(message)
            content.validate()
            return Delivery((role, content.content.height), message, content)
        if inner.msg_type == MsgType.PARTIAL_SIGNATURE:
            partials = self._decode_partials(message)
            return Delivery((role, partials.slot), message, partials)
        raise ProtocolError(f"message type {inner.msg_type}, expected consensus or partial signatures")

    def _decode_partials(self, message: SignedSSVMessage) -> PartialSignatureMessages:
        longest = (self._forks.boole or self._forks.alan).max_partial_messages
        try:
            partials = PartialSignatureMessages.decode(message.ssv_message.data, longest)
        except ProtocolError as error:
            raise ProtocolError(f"the message's data is no partial signature message: {error}") from None
        if len(message.operator_ids) != 1:
            raise ProtocolError(f"partial signatures with {len(message.operator_ids)} signers, expected one")
        partials.validate_for_signer(message.operator_ids[0])
        limit = self.fork_of(partials.slot).max_partial_messages
        if len(partials.messages) > limit:
            raise ProtocolError(f"{len(partials.messages)} partial signatures, expected at most {limit}")
        return partials

    def _deliver(self, delivery: Delivery, runner: Runner | None) -> None:
        if runner is None:
            raise ProtocolError(f"no duty of slot {delivery.where[1]} has begun", ErrorCode.NO_RUNNER_FOR_SLOT)
        self._touched.add(delivery.where)
        runner.story.hear(delivery.message.operator_ids)
        if isinstance(delivery.content, ProcessingMessage):
            runner.process_consensus(delivery.content)
        elif delivery.content.type == PartialSignatureType.POST_CONSENSUS:
            runner.process_post_consensus(delivery.content)
        else:
            self.check_pre_consensus_type(delivery.where[0], delivery.content)
            runner.process_pre_consensus(delivery.content)

    def check_pre_consensus_type(self, role: RunnerRole, partials: PartialSignatureMessages) -> None:  # noqa: B027
        """Whether a role takes partial signatures of a type before consensus. Raises ProtocolError."""

    def _verify(self, message: SignedSSVMessage) -> None:
        encoded = message.ssv_message.encode()
        for operator_id, signature in zip(message.operator_ids, message.signatures, strict=True):
            operator = self.member.operator(operator_id)
            if operator is None or not self._keys.verify(operator.pubkey, encoded, signature):
                raise ProtocolError(
                    f"the signature of operator {operator_id} does not verify",
                    ErrorCode.SSV_MESSAGE_HAS_INVALID_SIGNATURE,
                )

    def _timer_fired(self, timer: TimerKey) -> None:
        where = (RunnerRole(message_role(timer.identifier)), timer.slot)
        runner = self.runners.get(where)
        if runner is None:
            return
        match timer.kind:
            case TimerKind.ROUND:
                self._touched.add(where)
                try:
                    runner.time_out(timer.round)
                except ProtocolError as error:
                    self._reject(_rule(error), str(error), timer.slot)
            case TimerKind.DEADLINE:
                runner.expire()
            case TimerKind.CONTINUE:
                pass  # every call does first what was put off

    def _settle(self) -> None:
        """Process own messages, and offer early ones to duties that have moved on, until nothing moves any more."""
        while self._outbox.own or self._touched:
            while self._outbox.own:
                self._process_own(self._outbox.own.popleft())
            if not self._touched:
                return
            where = self._touched.pop()
            runner = self.runners.get(where)
            if runner is None or runner.ended or runner.stage == self._stages.get(where):
                continue
            self._stages[where] = runner.stage
            for delivery in self._early.take(where):
                if isinstance(delivery.content, PartialSignatureMessages) and runner.awaits_signatures:
                    self._put_off.append(delivery)
                else:
                    self._offer(delivery)

    def _process_own(self, message: SignedSSVMessage) -> None:
        if len(message.operator_ids) > 1:
            return  # the decided message that this operator put together: it knows
        try:
            delivery = self._admit(message, verified=True)
        except ProtocolError as error:
            self._reject_message(error, message)
            return
        if isinstance(delivery.content, PartialSignatureMessages):
            self._put_off.append(delivery)
        else:
            self._offer(delivery)

    def _expire_late(self) -> None:
        """Once a slot: end duties whose deadline timer got lost, and forget what is old."""
        slot = self._chain.slot_at(self._now)
        if slot == self._slot:
            return
        self._slot = slot
        for runner in self.runners.values():
            if self._now > runner.deadline:
                runner.expire()
        self._drop_ended()
        self._early.forget_before(min([slot - EARLY_SLOTS_BACK, *(where[1] for where in self.runners)]))
        for where in [where for where, until in self._ended.items() if until < self._now]:
            del self._ended[where]

    def _drop_ended(self) -> None:
        for where in [where for where, runner in self.runners.items() if runner.ended]:
            self._remember_end(where, self.runners.pop(where).deadline)

    def _remember_end(self, where: Where, deadline: float) -> None:
        self._ended[where] = max(deadline, self._now) + REMEMBERED_SLOTS * self._chain.slot_seconds
        self._early.forget(where)
        self._stages.pop(where, None)

    def _reject_message(self, error: ProtocolError, message: SignedSSVMessage, slot: Slot = NO_SLOT) -> None:
        self._reject(_rule(error), str(error), slot, message.operator_ids)

    def _reject(self, rule: str, detail: str, slot: Slot = NO_SLOT, operators: tuple[OperatorId, ...] = ()) -> None:
        self._outbox.emit(Rejected(rule, detail, slot, operators))


def _too_early(error: ProtocolError, delivery: Delivery) -> bool:
    content = delivery.content
    if isinstance(content, ProcessingMessage) and content.content.msg_type not in {
        QBFTMessageType.PREPARE,
        QBFTMessageType.COMMIT,
    }:
        # A wrong round here is one of an embedded message, and stays wrong.
        return error.code in _NOT_BEGUN
    return error.code in _TOO_EARLY


def _rule(error: ProtocolError) -> str:
    code = error.outermost_code
    return "plain" if code is None else code.name.lower()

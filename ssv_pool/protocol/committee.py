"""The core of one committee: its attestations and sync committee messages, in Boole its aggregations too.

Start reading at ``executor``: this is what a committee adds to it.
"""

from collections.abc import Callable, Mapping, Sequence

from ssv_pool.protocol.chain import BeaconChain
from ssv_pool.protocol.events import Effect, StartAggregatorCommitteeDuty, StartDuty, StartEvent
from ssv_pool.protocol.executor import MAX_RUNNERS, DutyExecutor
from ssv_pool.protocol.forks import ForkSchedule
from ssv_pool.protocol.ports import OperatorKeys, ShareSigner, ThresholdScheme
from ssv_pool.protocol.qbft import RoundTimings
from ssv_pool.protocol.runners import AggregatorCommitteeRunner, CommitteeRunner, Runner, Selection
from ssv_pool.protocol.types.aggregator_committee import AggregatorCommitteeDuty
from ssv_pool.protocol.types.duties import CommitteeDuty, ValidatorDuty
from ssv_pool.protocol.types.errors import ErrorCode, ProtocolError
from ssv_pool.protocol.types.ids import committee_message_id, committee_of, message_role
from ssv_pool.protocol.types.messages import SignedSSVMessage
from ssv_pool.protocol.types.partial import PartialSignatureMessages
from ssv_pool.protocol.types.primitives import MessageId, Slot, ValidatorIndex
from ssv_pool.protocol.types.roles import COMMITTEE_ROLES, PartialSignatureType, RunnerRole
from ssv_pool.protocol.types.share import CommitteeMember, Share

__all__ = ["MAX_RUNNERS", "Committee"]


class Committee(DutyExecutor):
    """All duties of one committee. Not reentrant; any one thread at a time may call it."""

    def __init__(
        self,
        member: CommitteeMember,
        shares: Mapping[ValidatorIndex, Share],
        forks: ForkSchedule,
        chain: BeaconChain,
        operator_keys: OperatorKeys,
        share_signer: ShareSigner,
        threshold: ThresholdScheme,
        timings: RoundTimings | None = None,
        clock: Callable[[], float] | None = None,
        selection: Selection | None = None,
    ) -> None:
        """Make a committee without duties.

        Args:
            member: this operator in the committee.
            shares: the shares of the committee's validators, by validator index.
            forks: the SSV network's forks.
            chain: the beacon chain's constants.
            operator_keys: RSA keys of the operators.
            share_signer: signs with this operator's shares.
            threshold: rebuilds and checks BLS signatures.
            timings: lengths of QBFT rounds; None: the protocol's.
            clock: where the times of a duty's steps come from; None: the time given with each event.
            selection: who is an aggregator; None: the beacon chain's rules.
        """
        super().__init__(member, forks, chain, operator_keys, share_signer, threshold, timings, clock, selection)
        self.shares = dict(shares)

    def update(
        self,
        member: CommitteeMember,
        shares: Mapping[ValidatorIndex, Share],
        chain: BeaconChain | None = None,
    ) -> list[Effect]:
        """The registry changed, or the beacon chain's fork schedule did.

        Running duties go on as they began, but without the validators that are gone.
        """
        self._chain = chain or self._chain
        gone = [index for index in self.shares if index not in shares]
        self.member = member
        self.shares = dict(shares)
        for runner in self.runners.values():
            runner.forget(gone)
        self._drop_ended()
        return self._outbox.take()

    def key_of(self, role: RunnerRole, slot: Slot) -> str:
        """The key of a committee's duty where the event names none: role, slot, committee."""
        return f"{role.name.lower()}:{slot}:{self.member.committee_id.hex()}"

    def role_of(self, event: StartEvent) -> RunnerRole:
        """Which of the two committee runners does a duty."""
        match event:
            case StartDuty():
                return RunnerRole.COMMITTEE
            case StartAggregatorCommitteeDuty():
                return RunnerRole.AGGREGATOR_COMMITTEE
            case _:
                return RunnerRole.UNKNOWN

    def start_duty(self, event: StartEvent) -> None:
        """Make the slot's runner and start it (spec: StartDuty).

        Raises:
            ProtocolError: NO_BEACON_DUTIES, NO_VALIDATOR_SHARES, a runner for the slot exists, or what its first step
                says; then the runner stays.
        """
        role, slot = self.role_of(event), event.duty.slot
        if isinstance(event.duty, ValidatorDuty):
            raise ProtocolError("a validator's duty is not a committee's")
        if (role, slot) in self.runners:
            raise ProtocolError(f"a runner for slot {slot} exists already")
        if not event.duty.validator_duties:
            raise ProtocolError(f"the duty of slot {slot} is for no validators", ErrorCode.NO_BEACON_DUTIES)
        duties = self._own(event.duty.validator_duties)
        if not duties:
            raise ProtocolError(
                f"no share of any of the {len(event.duty.validator_duties)} validators in the duty of slot {slot}",
                ErrorCode.NO_VALIDATOR_SHARES,
            )
        fork = self.fork_of(slot)
        if role not in fork.roles:
            raise ProtocolError(f"the {role.name.lower()} role does not exist in {fork.name}")
        shares = {item.validator_index: self.shares[item.validator_index] for item in duties}
        identifier = committee_message_id(fork.domain, role, self.member.committee_id)
        if fork.strict_types:
            for item in duties:
                item.validate()
        duty: CommitteeDuty | AggregatorCommitteeDuty
        if isinstance(event, StartAggregatorCommitteeDuty):
            duty = AggregatorCommitteeDuty(
                slot, duties
            )  # checked by its runner, which stays stored where it is refused
        else:
            duty = CommitteeDuty(slot, duties)
            if fork.strict_types:
                duty.validate()
        self._run((role, slot), self.make_runner(event, shares, identifier), event, duty)

    def make_runner(self, event: StartEvent, shares: Mapping[ValidatorIndex, Share], identifier: MessageId) -> Runner:
        """A runner for a duty, not started."""
        services = self.services(self.fork_of(event.duty.slot))
        if isinstance(event, StartDuty):
            return CommitteeRunner(services, self.member, shares, identifier, self._outbox, event.beacon_vote)
        return AggregatorCommitteeRunner(services, self.member, shares, identifier, self._outbox)

    def check_addressee(self, message: SignedSSVMessage) -> RunnerRole:
        """The committee's id must be in the message id, and a committee's role."""
        message_id = message.ssv_message.msg_id
        if committee_of(message_id) != self.member.committee_id:
            raise ProtocolError(
                f"committee 0x{committee_of(message_id).hex()}, expected 0x{self.member.committee_id.hex()}",
                ErrorCode.MESSAGE_ID_COMMITTEE_ID_MISMATCH,
            )
        role = message_role(message_id)
        has_boole = self._forks.boole is not None
        if role not in COMMITTEE_ROLES or (role == RunnerRole.AGGREGATOR_COMMITTEE and not has_boole):
            code = ErrorCode.COMMITTEE_WRONG_ROLE if has_boole else None
            raise ProtocolError(f"role {role} is not one of a committee", code)
        return RunnerRole(role)

    def check_pre_consensus_type(self, role: RunnerRole, partials: PartialSignatureMessages) -> None:
        """Only the aggregator committee has signatures before consensus, of one type."""
        if role != RunnerRole.AGGREGATOR_COMMITTEE or partials.type != PartialSignatureType.AGGREGATOR_COMMITTEE:
            raise ProtocolError(
                f"the {role.name.lower()} role takes no partial signatures of type {partials.type}, "
                f"operator {partials.messages[0].signer} sent some"
            )

    def _own(self, duties: Sequence[ValidatorDuty]) -> tuple[ValidatorDuty, ...]:
        return tuple(duty for duty in duties if duty.validator_index in self.shares)

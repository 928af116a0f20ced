"""The core of one validator: its blocks, registrations and exits, in Alan its aggregations too.

Start reading at ``executor``: this is what a validator adds to it.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from ssv_pool.protocol.chain import BeaconChain
from ssv_pool.protocol.early import Where
from ssv_pool.protocol.events import Effect, StartEvent, StartValidatorDuty
from ssv_pool.protocol.executor import DutyExecutor
from ssv_pool.protocol.forks import ForkSchedule, ProtocolFork
from ssv_pool.protocol.ports import OperatorKeys, ShareSigner, ThresholdScheme
from ssv_pool.protocol.qbft import RoundTimings
from ssv_pool.protocol.runners import (
    AggregatorRunner,
    ContributionRunner,
    ProposerRunner,
    RegistrationRunner,
    Runner,
    Selection,
    Services,
    ValidatorRunner,
    VoluntaryExitRunner,
)
from ssv_pool.protocol.runners.services import DEFAULT_GAS_LIMIT
from ssv_pool.protocol.types.duties import ValidatorDuty
from ssv_pool.protocol.types.errors import ProtocolError
from ssv_pool.protocol.types.ids import message_executor, message_role, validator_message_id
from ssv_pool.protocol.types.messages import SignedSSVMessage
from ssv_pool.protocol.types.primitives import Slot
from ssv_pool.protocol.types.roles import COMMITTEE_ROLES, RunnerRole
from ssv_pool.protocol.types.share import CommitteeMember, Share

RUNNERS: Mapping[RunnerRole, type[ValidatorRunner]] = MappingProxyType(
    {
        RunnerRole.AGGREGATOR: AggregatorRunner,
        RunnerRole.PROPOSER: ProposerRunner,
        RunnerRole.SYNC_COMMITTEE_CONTRIBUTION: ContributionRunner,
        RunnerRole.VALIDATOR_REGISTRATION: RegistrationRunner,
        RunnerRole.VOLUNTARY_EXIT: VoluntaryExitRunner,
    }
)
"""The runner of each role that is a validator's."""


class Validator(DutyExecutor):
    """All duties of one validator. Not reentrant; any one thread at a time may call it."""

    def __init__(
        self,
        member: CommitteeMember,
        share: Share,
        forks: ForkSchedule,
        chain: BeaconChain,
        operator_keys: OperatorKeys,
        share_signer: ShareSigner,
        threshold: ThresholdScheme,
        timings: RoundTimings | None = None,
        clock: Callable[[], float] | None = None,
        selection: Selection | None = None,
        gas_limit: int = DEFAULT_GAS_LIMIT,
    ) -> None:
        """Make a validator without duties.

        ``share`` is its share; ``gas_limit`` is that of its registrations, and all operators of the committee must have
        the same. The other arguments are those of ``Committee``.
        """
        super().__init__(member, forks, chain, operator_keys, share_signer, threshold, timings, clock, selection)
        self.share = share
        self.gas_limit = gas_limit

    def services(self, fork: ProtocolFork) -> Services:
        """What a runner of a fork is given."""
        return replace(super().services(fork), gas_limit=self.gas_limit)

    def update(self, member: CommitteeMember, share: Share, chain: BeaconChain | None = None) -> list[Effect]:
        """The registry changed, or the beacon chain's fork schedule did; running duties go on as they began."""
        self._chain = chain or self._chain
        self.member = member
        self.share = share
        return self._outbox.take()

    def leave(self) -> list[Effect]:
        """The registry has the validator no more, or with another share: its duties end."""
        for runner in self.runners.values():
            runner.forget(list(runner.shares))
        self._drop_ended()
        return self._outbox.take()

    def key_of(self, role: RunnerRole, slot: Slot) -> str:
        """The key of a duty where the event names none: role, slot, validator."""
        return f"{role.name.lower()}:{slot}:{self.share.validator_pubkey.hex()}"

    def role_of(self, event: StartEvent) -> RunnerRole:
        """The runner of a duty's type in the fork of its slot."""
        if not isinstance(event, StartValidatorDuty):
            return RunnerRole.UNKNOWN
        role = self.fork_of(event.duty.slot).runner_role(event.duty.type)
        return RunnerRole.UNKNOWN if role in COMMITTEE_ROLES else role

    def start_duty(self, event: StartEvent) -> None:
        """Make the duty's runner and start it (spec: StartDuty).

        Raises:
            ProtocolError: the duty is not this validator's, or what its first step says; then the runner stays.
        """
        duty = event.duty
        if not isinstance(duty, ValidatorDuty):
            raise ProtocolError("a committee's duty is not a validator's")
        role, fork = self.role_of(event), self.fork_of(duty.slot)
        if fork.strict_types:
            duty.validate()
        if duty.pubkey != self.share.validator_pubkey:
            raise ProtocolError(
                f"duty of validator 0x{duty.pubkey.hex()}, expected 0x{self.share.validator_pubkey.hex()}"
            )
        self._run((role, duty.slot), self.make_runner(role, duty), event, duty)

    def make_runner(self, role: RunnerRole, duty: ValidatorDuty) -> Runner:
        """A runner for a duty, not started. Raises ProtocolError for a duty that is no validator's."""
        kind = RUNNERS.get(role)
        if kind is None:
            raise ProtocolError(f"no runner for a duty of type {duty.type}")
        fork = self.fork_of(duty.slot)
        identifier = validator_message_id(fork.domain, role, self.share.validator_pubkey)
        shares = {self.share.validator_index: self.share}
        return kind(self.services(fork), self.member, shares, identifier, self._outbox)

    def runner_for(self, where: Where) -> Runner | None:
        """The runner of exactly this slot, else the role's newest: it refuses the message with the right code."""
        exact = self.runners.get(where)
        if exact is not None:
            return exact
        slots = [slot for role, slot in self.runners if role == where[0]]
        return self.runners[where[0], max(slots)] if slots else None

    def check_addressee(self, message: SignedSSVMessage) -> RunnerRole:
        """The validator's key must be in the message id, and a role that a validator has."""
        message_id = message.ssv_message.msg_id
        role = message_role(message_id)
        if role not in RUNNERS:
            raise ProtocolError(f"role {role} is not one of a validator")
        if message_executor(message_id) != self.share.validator_pubkey:
            raise ProtocolError(
                f"validator 0x{message_executor(message_id).hex()}, expected 0x{self.share.validator_pubkey.hex()}"
            )
        return RunnerRole(role)

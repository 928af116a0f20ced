"""What a test of the module ``ssv`` runs in: the runner or object under test, and what came out of it."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from ssv_pool.crypto.threshold import BlsThreshold
from ssv_pool.protocol.committee import Committee
from ssv_pool.protocol.events import (
    AskBeacon,
    StartAggregatorCommitteeDuty,
    StartDuty,
    StartEvent,
    StartValidatorDuty,
)
from ssv_pool.protocol.executor import DutyExecutor
from ssv_pool.protocol.forks import ForkSchedule, ProtocolFork
from ssv_pool.protocol.qbft import RoundTimings
from ssv_pool.protocol.runners import (
    AggregatorCommitteeRunner,
    AggregatorRunner,
    CommitteeRunner,
    ContributionRunner,
    Duty,
    ProposerRunner,
    RegistrationRunner,
    Runner,
    Selection,
    Services,
    VoluntaryExitRunner,
)
from ssv_pool.protocol.types.aggregator_committee import AggregatorCommitteeDuty
from ssv_pool.protocol.types.duties import CommitteeDuty, ValidatorDuty
from ssv_pool.protocol.types.errors import ErrorCode, ProtocolError
from ssv_pool.protocol.types.partial import PartialSignatureMessages
from ssv_pool.protocol.types.primitives import (
    DomainType,
    Epoch,
    MessageId,
    OperatorId,
    ValidatorIndex,
)
from ssv_pool.protocol.types.roles import (
    MsgType,
    RunnerRole,
)
from ssv_pool.protocol.types.share import CommitteeMember, Share
from ssv_pool.protocol.validator import Validator
from ssv_pool.spectests import fixtures, world
from ssv_pool.spectests.model import Json, SpecFork, SpecTest, check_equal
from ssv_pool.spectests.submissions import submitted_roots

LEADER = OperatorId(1)
"""Leader of every round in this module's tests."""

DEADLINE = 2.0**40
"""Deadline of every duty: none."""

OTHER_DOMAIN = DomainType(bytes(4))
"""Domain of the fork that is over before Boole's tests begin."""

RUNNERS: Mapping[RunnerRole, type[Runner]] = MappingProxyType(
    {
        RunnerRole.COMMITTEE: CommitteeRunner,
        RunnerRole.AGGREGATOR: AggregatorRunner,
        RunnerRole.PROPOSER: ProposerRunner,
        RunnerRole.SYNC_COMMITTEE_CONTRIBUTION: ContributionRunner,
        RunnerRole.VALIDATOR_REGISTRATION: RegistrationRunner,
        RunnerRole.VOLUNTARY_EXIT: VoluntaryExitRunner,
        RunnerRole.AGGREGATOR_COMMITTEE: AggregatorCommitteeRunner,
    }
)
"""The runner of each role."""


class Bench:
    """One test's surroundings, and what came out of it."""

    def __init__(self, test: SpecTest, selection: Selection | None = None) -> None:
        self.test = test
        self.recorder = world.Recorder()
        self.signer = world.SuiteSigner()
        self.selection = selection or selection_of(test)
        self.error: ProtocolError | None = None
        self.fork = _rules(test.fork)
        self.forks = (
            ForkSchedule(self.fork)
            if test.fork is SpecFork.ALAN
            else ForkSchedule(replace(_rules(SpecFork.ALAN), domain=OTHER_DOMAIN), self.fork, Epoch(0))
        )
        self._answered = 0

    @property
    def services(self) -> Services:
        """What runners are given."""
        return Services(
            fork=self.fork,
            chain=world.CHAIN,
            keys=world.SuiteKeys(),
            signer=self.signer,
            threshold=BlsThreshold(),
            timings=RoundTimings(),
            clock=world.now,
            selection=self.selection,
            stored_instances=None,
            blinds_blocks=False,
            gas_limit=world.GAS_LIMIT,
        )

    def make_runner(
        self, role: RunnerRole, member: CommitteeMember, shares: Mapping[ValidatorIndex, Share], identifier: MessageId
    ) -> Runner:
        """A runner of any role. Raises ProtocolError where the shares are not as many as the role wants."""
        if role == RunnerRole.COMMITTEE:
            return CommitteeRunner(self.services, member, shares, identifier, self.recorder, world.OWN_VOTE)
        return RUNNERS[role](self.services, member, shares, identifier, self.recorder)

    def attempt(self, step: Callable[[], None], runners: Callable[[], Iterable[Runner]]) -> None:
        """Do a step, then answer what it asked of the beacon node; remember the last error."""
        try:
            step()
        except ProtocolError as error:
            self.error = error
        while self._answered < len(self.recorder.effects):
            effect = self.recorder.effects[self._answered]
            self._answered += 1
            if isinstance(effect, AskBeacon):
                self._answer(effect, runners())

    def _answer(self, request: AskBeacon, runners: Iterable[Runner]) -> None:
        reply = world.answer(request, self.test)
        for runner in runners:
            if request.request_id in runner.requests:
                try:
                    runner.process_reply(reply)
                except ProtocolError as error:
                    self.error = error
                return

    def check_outputs(self, expected: Json, *, any_order: bool = False, with_slots: bool = True) -> None:
        """Compare the partial signature messages sent: type, slot, and the roots of each as a multiset.

        Args:
            expected: the messages in the file.
            any_order: the order of messages may differ.
            with_slots: whether slots count; the tests of new duties name the slot of the duty before.
        """
        found = [
            _outline(PartialSignatureMessages.decode(message.ssv_message.data, self.fork.max_partial_messages))
            for message in self.recorder.sent
            if message.ssv_message.msg_type == MsgType.PARTIAL_SIGNATURE
        ]
        wanted = [_outline(fixtures.partial_messages(item)) for item in expected or []]
        if not with_slots:
            found = [(kind, 0, roots) for kind, _, roots in found]
            wanted = [(kind, 0, roots) for kind, _, roots in wanted]
        if any_order:
            found, wanted = sorted(found), sorted(wanted)
        check_equal("partial signature messages sent", found, wanted)

    def check_submissions(self, expected: Json) -> None:
        """Compare the roots of what was handed to the beacon node, as a multiset."""
        found = Counter(root.hex() for effect in self.recorder.effects for root in submitted_roots(effect))
        check_equal("submitted roots", found, Counter(expected or []))


class SpecCommittee(Committee):
    """A committee object in a test's surroundings."""

    def __init__(self, bench: Bench, member: CommitteeMember, shares: Mapping[ValidatorIndex, Share]) -> None:
        super().__init__(
            member, shares, bench.forks, world.CHAIN, world.SuiteKeys(), bench.signer, BlsThreshold(), clock=world.now
        )
        self._bench = bench
        self._outbox = bench.recorder  # type: ignore[assignment]

    def services(self, fork: ProtocolFork) -> Services:  # noqa: ARG002
        """The bench's."""
        return self._bench.services


class SpecValidator(Validator):
    """A validator object around a test's runner, which serves all duties of its role."""

    def __init__(self, bench: Bench, runner: Runner) -> None:
        (share,) = runner.shares.values()
        super().__init__(
            runner.member,
            share,
            bench.forks,
            world.CHAIN,
            world.SuiteKeys(),
            bench.signer,
            BlsThreshold(),
            clock=world.now,
        )
        self._outbox = bench.recorder  # type: ignore[assignment]
        self._runner = runner

    def make_runner(self, role: RunnerRole, duty: ValidatorDuty) -> Runner:
        """The test's runner. Raises ProtocolError where that has another role."""
        if role != self._runner.role:
            raise ProtocolError(f"no runner for a duty of type {duty.type}")
        return self._runner


def _rules(fork: SpecFork) -> ProtocolFork:
    return replace(fork.rules, leader=lambda ids, height, round_: LEADER, whole_checkpoints=False)  # noqa: ARG005


def start_event(duty: Duty) -> StartEvent:
    """The event that begins a duty, due now."""
    now = world.now()
    match duty:
        case CommitteeDuty():
            return StartDuty(duty, world.OWN_VOTE, now, now, DEADLINE)
        case AggregatorCommitteeDuty():
            return StartAggregatorCommitteeDuty(duty, now, now, DEADLINE)
        case ValidatorDuty():
            return StartValidatorDuty(duty, now, now, DEADLINE)


def process(executor: DutyExecutor, value: Json) -> None:
    """Give a message to the object. Raises ProtocolError."""
    if value["SSVMessage"] is None:
        # Go's nil has no counterpart here: what comes before it in the order of checks is still checked.
        placeholder = {"MsgType": 0, "MsgID": "00" * 56, "Data": ""}
        fixtures.signed_message(value | {"SSVMessage": placeholder}).validate()
        raise ProtocolError("the message holds nothing", ErrorCode.NIL_SSV_MESSAGE)
    executor.process_message(fixtures.signed_message(value))


def selection_of(test: SpecTest, proofs: Mapping[bytes, bool] | None = None) -> Selection:
    """Who is an aggregator in a test: everyone, but for the beacon committees and proofs it names."""
    committees = dict(zip(test.get("BeaconAggregators") or [], test.get("BeaconAggregatorsValues") or [], strict=True))
    return world.SuiteSelection(
        places_are_subcommittees=test.fork is SpecFork.ALAN, committees=committees, proofs=proofs
    )


def _outline(partials: PartialSignatureMessages) -> tuple[int, int, list[tuple[bytes, int]]]:
    return (
        int(partials.type),
        int(partials.slot),
        sorted((message.signing_root, int(message.validator_index)) for message in partials.messages),
    )

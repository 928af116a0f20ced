"""The suite's module ``ssv``: runners, and the committee and validator objects around them."""

import functools
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path
from types import MappingProxyType

from ssv_pool.crypto import bls
from ssv_pool.crypto.threshold import BlsThreshold
from ssv_pool.protocol.committee import Committee
from ssv_pool.protocol.events import (
    AskBeacon,
    Effect,
    StartAggregatorCommitteeDuty,
    StartDuty,
    StartEvent,
    StartValidatorDuty,
    SubmitAggregates,
    SubmitAttestations,
    SubmitBlock,
    SubmitContributions,
    SubmitExit,
    SubmitRegistration,
    SubmitSyncCommitteeMessages,
)
from ssv_pool.protocol.executor import DutyExecutor
from ssv_pool.protocol.forks import ForkSchedule, ProtocolFork
from ssv_pool.protocol.ports import Reconstruction
from ssv_pool.protocol.qbft import RoundTimings
from ssv_pool.protocol.runners import (
    AggregatorCommitteeRunner,
    AggregatorRunner,
    CommitteeRunner,
    ContributionRunner,
    Duty,
    DutyStory,
    PartialSignatureContainer,
    ProposerRunner,
    RegistrationRunner,
    Runner,
    RunnerState,
    Selection,
    Services,
    VoluntaryExitRunner,
)
from ssv_pool.protocol.types.aggregator_committee import AggregatorCommitteeDuty
from ssv_pool.protocol.types.attestations import Attestation, SingleAttestation, one_bit
from ssv_pool.protocol.types.beacon import BeaconVote
from ssv_pool.protocol.types.contributions import SyncCommitteeMessage
from ssv_pool.protocol.types.duties import CommitteeDuty, ValidatorDuty
from ssv_pool.protocol.types.errors import ErrorCode, ProtocolError
from ssv_pool.protocol.types.ids import committee_message_id, validator_message_id
from ssv_pool.protocol.types.messages import QBFTMessage
from ssv_pool.protocol.types.partial import PartialSignatureMessages
from ssv_pool.protocol.types.primitives import (
    DomainType,
    Epoch,
    MessageId,
    OperatorId,
    PublicKey,
    Root,
    Slot,
    ValidatorIndex,
)
from ssv_pool.protocol.types.roles import (
    COMMITTEE_ROLES,
    BeaconRole,
    MsgType,
    QBFTMessageType,
    RunnerRole,
)
from ssv_pool.protocol.types.share import CommitteeMember, Share
from ssv_pool.protocol.types.versions import DataVersion
from ssv_pool.protocol.validator import Validator
from ssv_pool.spectests import fixtures, states, world
from ssv_pool.spectests.model import Json, MismatchError, SpecFork, SpecTest, check_equal
from ssv_pool.spectests.registry import spec_test
from ssv_pool.spectests.sources import folders, smallest_first

LEADER = OperatorId(1)
"""Leader of every round in this module's tests."""

DEADLINE = 2.0**40
"""Deadline of every duty: none."""

BOOLE_DUTY_PUBKEY = PublicKey(
    bytes.fromhex("b99696418493e6f324c8f7680f4de75e97fc9bdf709b93fb21149f4267eeaabae6c89d1091657d2c54eb387d8e6e3847")
)
"""The key in the duty of Boole's tests of selection proofs: not the share's, as it stands there."""

OTHER_DOMAIN = DomainType(bytes(4))
"""Domain of the fork that is over before Boole's tests begin."""

FOUR = 4
"""Operators of the main validator."""

NO_CONSENSUS = frozenset({RunnerRole.VALIDATOR_REGISTRATION, RunnerRole.VOLUNTARY_EXIT})
"""Roles whose runners have no controller."""

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


class _Bench:
    """One test's surroundings, and what came out of it."""

    def __init__(self, test: SpecTest, selection: Selection | None = None) -> None:
        self.test = test
        self.recorder = world.Recorder()
        self.signer = world.SuiteSigner()
        self.selection = selection or _selection(test)
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
        found = Counter(root.hex() for effect in self.recorder.effects for root in _submitted_roots(effect))
        check_equal("submitted roots", found, Counter(expected or []))


class _SpecCommittee(Committee):
    """A committee object in a test's surroundings."""

    def __init__(self, bench: _Bench, member: CommitteeMember, shares: Mapping[ValidatorIndex, Share]) -> None:
        super().__init__(
            member, shares, bench.forks, world.CHAIN, world.SuiteKeys(), bench.signer, BlsThreshold(), clock=world.now
        )
        self._bench = bench
        self._outbox = bench.recorder  # type: ignore[assignment]

    def services(self, fork: ProtocolFork) -> Services:  # noqa: ARG002
        """The bench's."""
        return self._bench.services


class _SpecValidator(Validator):
    """A validator object around a test's runner, which serves all duties of its role."""

    def __init__(self, bench: _Bench, runner: Runner) -> None:
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


@spec_test("ssv", "tests.MsgProcessingSpecTest")
@spec_test("ssv", "tests.MultiMsgProcessingSpecTest", inner="Tests")
def message_processing(test: SpecTest) -> None:
    """One runner in its committee or validator object: a duty, and messages."""
    bench = _Bench(test)
    runner = _runner(bench, test["Runner"]["BaseRunner"])
    duty = states.duty(test.content)
    if duty is None:
        raise MismatchError("the test has no duty")
    executor: DutyExecutor
    if runner.role in COMMITTEE_ROLES:
        executor = _SpecCommittee(bench, runner.member, runner.shares)
    else:
        executor = _SpecValidator(bench, runner)
    where = (runner.role, duty.slot)
    if test["DontStartDuty"]:
        executor.runners[where] = runner
    else:
        bench.attempt(lambda: executor.start_duty(_start(duty)), executor.runners.values)
    for value in test["Messages"] or []:
        bench.attempt(lambda value=value: _process(executor, value), executor.runners.values)  # type: ignore[misc]
        if test["DecidedSlashable"]:
            _mark_slashable(bench, value, runner.shares.values())
    test.check_error(bench.error)
    bench.check_outputs(test["OutputMessages"])
    bench.check_submissions(test["BeaconBroadcastedRoots"])
    final = executor.runners.get(where, runner)
    states.check_state(
        states.export_runner(final, with_controller=runner.role not in NO_CONSENSUS), test.expected_state()
    )


@spec_test("ssv", "committee.CommitteeSpecTest")
@spec_test("ssv", "committee.MultiCommitteeSpecTest", inner="Tests")
def committee(test: SpecTest) -> None:
    """One committee object: duties and messages in any order."""
    bench = _Bench(test)
    given = test["Committee"]
    member = fixtures.committee_member(given["CommitteeMember"])
    made = _SpecCommittee(bench, member, states.shares(given["Share"]))
    for name, role in _RUNNER_MAPS.items():
        for slot, value in (given.get(name) or {}).items():
            made.runners[role, Slot(int(slot))] = _runner(bench, value["BaseRunner"])
    for value in test["Input"] or []:
        if "SSVMessage" in value:
            bench.attempt(lambda value=value: _process(made, value), made.runners.values)  # type: ignore[misc]
        else:
            event = _start(_committee_duty(value))
            bench.attempt(lambda event=event: made.start_duty(event), made.runners.values)  # type: ignore[misc]
    test.check_error(bench.error)
    bench.check_outputs(test["OutputMessages"], any_order=True)
    bench.check_submissions(test["BeaconBroadcastedRoots"])
    exported: Json = {
        name: {
            str(slot): states.export_runner(runner, with_controller=True)
            for (kind, slot), runner in made.runners.items()
            if kind == role
        }
        for name, role in _RUNNER_MAPS.items()
        if (name == "Runners") == (test.fork is SpecFork.ALAN)
    }
    exported["CommitteeMember"] = states.export_member(made.member)
    exported["Share"] = states.export_shares(made.shares)
    states.check_state(exported, test.expected_state())


@spec_test("ssv", "newduty.MultiStartNewRunnerDutySpecTest", inner="Tests")
def new_duty(test: SpecTest) -> None:
    """One runner that is started with a duty."""
    bench = _Bench(test)
    runner = _runner(bench, test["Runner"]["BaseRunner"])
    duty = states.duty(test.content)
    if duty is None:
        raise MismatchError("the test has no duty")
    story = DutyStory("", runner.role, duty.slot, runner.member)
    bench.attempt(lambda: runner.start(duty, story, DEADLINE), lambda: [runner])
    test.check_error(bench.error)
    if bench.recorder.sent or bench.error is None:
        bench.check_outputs(test["OutputMessages"], with_slots=False)
    states.check_state(
        states.export_runner(runner, with_controller=runner.role not in NO_CONSENSUS), test.expected_state()
    )


@spec_test("ssv", "valcheck.SpecTest")
@spec_test("ssv", "valcheck.MultiSpecTest", inner="Tests")
def value_check(test: SpecTest) -> None:
    """A role's value check."""
    bench = _Bench(test)
    bench.signer.slot = Slot(int(test["DutySlot"]))
    bench.signer.slashable = {
        bytes.fromhex(key): {Slot(int(slot)) for slot in slots} for key, slots in (test["SlashableSlots"] or {}).items()
    }
    role = RunnerRole(test["RunnerRole"])
    value = fixtures.unbase64(test["Input"])
    error: ProtocolError | None = None
    try:
        if role == RunnerRole.COMMITTEE:
            _vote_checker(bench, test).check_value(value)
        else:
            member, share = _main_validator(test)
            identifier = validator_message_id(bench.fork.domain, role, share.validator_pubkey)
            bench.make_runner(role, member, {share.validator_index: share}, identifier).check_value(value)
    except ProtocolError as refused:
        error = refused
    if test["AnyError"]:
        if error is None:
            raise MismatchError("no error, expected any")
    else:
        test.check_error(error)


@spec_test("ssv", "partialsigcontainer.PartialSigContainerTest")
def partial_signature_container(test: SpecTest) -> None:
    """Collecting partial signatures, and rebuilding the whole one."""
    container = PartialSignatureContainer(test["Quorum"], states.MAX_PARTIALS)
    messages = [fixtures.partial_message(item) for item in test["SignatureMsgs"] or []]
    for message in messages:
        container.add(message.validator_index, message.signing_root, message.signer, message.partial_signature)
    first = messages[0]
    index, root = first.validator_index, first.signing_root
    check_equal("quorum", container.has_quorum(index, root), test["ExpectedQuorum"])
    key = PublicKey(fixtures.unbase64(test["ValidatorPubKey"]))
    (signature,) = BlsThreshold().reconstruct([Reconstruction(key, root, container.partials(index, root))])
    if signature is None:
        test.check_error(ProtocolError("does not verify", ErrorCode.RECONSTRUCT_SIGNATURE))
        return
    test.check_error(None)
    check_equal("signature", signature, fixtures.unbase64(test["ExpectedResult"]))


@spec_test("ssv", "runnerconstruction.RunnerConstructionSpecTest")
def runner_construction(test: SpecTest) -> None:
    """How many shares each role's runner wants."""
    bench = _Bench(test)
    member, main = _main_validator(test)
    shares = states.shares(test["Shares"])
    for number, text in test["RoleError"].items():
        role = RunnerRole(int(number))
        identifier = (
            committee_message_id(bench.fork.domain, role, member.committee_id)
            if role in COMMITTEE_ROLES
            else validator_message_id(bench.fork.domain, role, main.validator_pubkey)
        )
        found = ""
        try:
            bench.make_runner(role, member, shares, identifier)
        except ProtocolError as error:
            found = str(error)
        if text not in found or bool(text) != bool(found):
            raise MismatchError(f"role {role.name} with {len(shares)} shares: error {found!r}, expected {text!r}")


@spec_test("ssv", "synccommitteeaggregator.SyncCommitteeAggregatorProofSpecTest")
def sync_committee_aggregator(test: SpecTest) -> None:
    """Which selection proofs make the main validator a contributor."""
    proofs = {bytes.fromhex(proof): chosen for proof, chosen in (test["ProofRootsMap"] or {}).items()}
    bench = _Bench(test, _selection(test, proofs))
    member, share = _main_validator(test)
    duty = ValidatorDuty(
        BeaconRole.SYNC_COMMITTEE_CONTRIBUTION,
        share.validator_pubkey if test.fork is SpecFork.ALAN else BOOLE_DUTY_PUBKEY,
        world.DUTY_SLOT,
        share.validator_index,
        committee_index=3,
        committee_length=128,
        committees_at_slot=36,
        validator_committee_index=11,
        validator_sync_committee_indices=(0, 1, 2) if test.fork is SpecFork.ALAN else (0, 129, 257),
    )
    executor: DutyExecutor
    event: StartEvent
    if test.fork is SpecFork.ALAN:
        role = RunnerRole.SYNC_COMMITTEE_CONTRIBUTION
        identifier = validator_message_id(bench.fork.domain, role, share.validator_pubkey)
        executor = _SpecValidator(bench, bench.make_runner(role, member, {share.validator_index: share}, identifier))
        event = _start(duty)
    else:
        role = RunnerRole.AGGREGATOR_COMMITTEE
        executor = _SpecCommittee(bench, member, {share.validator_index: share})
        event = _start(AggregatorCommitteeDuty(duty.slot, (duty,)))
    bench.attempt(lambda: executor.start_duty(event), executor.runners.values)
    for value in test["Messages"] or []:
        bench.attempt(lambda value=value: _process(executor, value), executor.runners.values)  # type: ignore[misc]
    test.check_error(bench.error, 0)
    states.check_state(states.export_runner_state(executor.runners[role, duty.slot].state), test.expected_state())


_RUNNER_FILES = "tests.M*SpecTest_*.json"
"""Files whose tests have runners with their committees."""

_RUNNER_MAPS: Mapping[str, RunnerRole] = MappingProxyType(
    {
        "Runners": RunnerRole.COMMITTEE,
        "CommitteeRunners": RunnerRole.COMMITTEE,
        "AggregatorCommitteeRunners": RunnerRole.AGGREGATOR_COMMITTEE,
    }
)
"""Fields of a committee's state; the first is Alan's."""


def _rules(fork: SpecFork) -> ProtocolFork:
    return replace(fork.rules, leader=lambda ids, height, round_: LEADER, whole_checkpoints=False)  # noqa: ARG005


def _runner(bench: _Bench, value: Json) -> Runner:
    """A runner in a test's state."""
    role = RunnerRole(value["RunnerRoleType"])
    shares = states.shares(value["Share"])
    controller = value["QBFTController"]
    if controller is not None:
        member = fixtures.committee_member(controller["CommitteeMember"])
        identifier = MessageId(fixtures.unbase64(controller["Identifier"]))
    else:
        share = next(iter(shares.values()))
        member = _member_of(bench.test, share)
        identifier = validator_message_id(bench.fork.domain, role, share.validator_pubkey)
    runner = bench.make_runner(role, member, shares, identifier)
    states.restore_runner(runner, value)
    return runner


def _members(content: Json) -> Iterator[CommitteeMember]:
    """The committee members in a file's runners that have a controller."""
    for test in content.get("Tests") or [content]:
        controller = ((test.get("Runner") or {}).get("BaseRunner") or {}).get("QBFTController")
        if controller is not None:
            yield fixtures.committee_member(controller["CommitteeMember"])


def _member_of(test: SpecTest, share: Share) -> CommitteeMember:
    """The member whose validator a runner without controller serves: of a committee with the share's operators."""
    wanted = {member.signer for member in share.committee}
    for content in chain([test.whole], _contents(test)):
        for member in _members(content):
            if set(member.operator_ids) == wanted:
                return member
    raise MismatchError(f"no file has a committee of operators {sorted(wanted)}")


def _main_validator(test: SpecTest) -> tuple[CommitteeMember, Share]:
    """The suite's main validator, with four operators."""
    for folder in folders(test):
        found = _main_validator_in(folder)
        if found is not None:
            return found
    raise MismatchError("no file has a runner of the main validator")


@functools.cache
def _main_validator_in(folder: Path) -> tuple[CommitteeMember, Share] | None:
    key = bls.secret_to_public(bls.secret_from_bytes(world.VALIDATOR_SECRET))
    for path in smallest_first(folder, _RUNNER_FILES):
        content = json.loads(path.read_text(encoding="utf-8"))
        for test in content.get("Tests") or [content]:
            base = (test.get("Runner") or {}).get("BaseRunner") or {}
            if base.get("QBFTController") is None:
                continue
            member = fixtures.committee_member(base["QBFTController"]["CommitteeMember"])
            for share in states.shares(base["Share"]).values():
                is_main = (share.validator_pubkey, share.validator_index) == (key, world.VALIDATOR_INDEX)
                if is_main and len(member.committee) == len(share.committee) == FOUR:
                    return member, share
    return None


def _contents(test: SpecTest) -> Iterator[Json]:
    """The content of other files with runners, small ones first."""
    for folder in folders(test):
        for path in smallest_first(folder, _RUNNER_FILES):
            yield json.loads(path.read_text(encoding="utf-8"))


def _vote_checker(bench: _Bench, test: SpecTest) -> CommitteeRunner:
    """A committee runner with the test's view of the chain; its shares have the test's keys, which are mere handles."""
    member, share = _main_validator(test)
    keys = [fixtures.unbase64(key) for key in test.get("ShareValidatorsPK") or [states.base64_text(share.share_pubkey)]]
    shares = {
        ValidatorIndex(index): replace(share, validator_index=ValidatorIndex(index), share_pubkey=PublicKey(key))
        for index, key in enumerate(keys, 1)
    }
    own = BeaconVote(
        world.BLOCK_ROOT, fixtures.checkpoint(test["ExpectedSource"]), fixtures.checkpoint(test["ExpectedTarget"])
    )
    identifier = committee_message_id(bench.fork.domain, RunnerRole.COMMITTEE, member.committee_id)
    runner = CommitteeRunner(bench.services, member, shares, identifier, bench.recorder, own)
    duties = tuple(
        ValidatorDuty(BeaconRole.ATTESTER, share.validator_pubkey, bench.signer.slot, index) for index in shares
    )
    none = PartialSignatureContainer(member.quorum, states.MAX_PARTIALS)
    runner.state = RunnerState(CommitteeDuty(bench.signer.slot, duties), none, none)
    return runner


def _start(duty: Duty) -> StartEvent:
    now = world.now()
    match duty:
        case CommitteeDuty():
            return StartDuty(duty, world.OWN_VOTE, now, now, DEADLINE)
        case AggregatorCommitteeDuty():
            return StartAggregatorCommitteeDuty(duty, now, now, DEADLINE)
        case ValidatorDuty():
            return StartValidatorDuty(duty, now, now, DEADLINE)


def _committee_duty(value: Json) -> CommitteeDuty | AggregatorCommitteeDuty:
    items = tuple(fixtures.validator_duty(item) for item in value["ValidatorDuties"] or [] if item is not None)
    aggregates = {BeaconRole.AGGREGATOR, BeaconRole.SYNC_COMMITTEE_CONTRIBUTION}
    kind = AggregatorCommitteeDuty if items and items[0].type in aggregates else CommitteeDuty
    return kind(Slot(int(value["Slot"])), items)


def _process(executor: DutyExecutor, value: Json) -> None:
    """Give a message to the object. Raises ProtocolError."""
    if value["SSVMessage"] is None:
        # Go's nil has no counterpart here: what comes before it in the order of checks is still checked.
        placeholder = {"MsgType": 0, "MsgID": "00" * 56, "Data": ""}
        fixtures.signed_message(value | {"SSVMessage": placeholder}).validate()
        raise ProtocolError("the message holds nothing", ErrorCode.NIL_SSV_MESSAGE)
    executor.process_message(fixtures.signed_message(value))


def _mark_slashable(bench: _Bench, value: Json, shares: Iterable[Share]) -> None:
    """After a proposal all shares are slashable at its height."""
    message = fixtures.signed_message(value)
    if message.ssv_message.msg_type != MsgType.CONSENSUS:
        return
    content = QBFTMessage.decode(message.ssv_message.data)
    if content.msg_type == QBFTMessageType.PROPOSAL:
        for share in shares:
            bench.signer.slashable.setdefault(share.share_pubkey, set()).add(content.height)


def _selection(test: SpecTest, proofs: Mapping[bytes, bool] | None = None) -> Selection:
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


def _submitted_roots(effect: Effect) -> list[Root]:
    match effect:
        case SubmitAttestations(attestations=attestations):
            electra = DataVersion[world.CHAIN.fork_at(world.CHAIN.epoch_of(effect.slot)).name.upper()]
            return [
                SingleAttestation(
                    item.committee_index, item.validator_index, item.data, item.signature
                ).hash_tree_root()
                if electra >= DataVersion.ELECTRA
                else Attestation(
                    one_bit(item.validator_committee_index, item.committee_length), item.data, item.signature
                ).hash_tree_root()
                for item in attestations
            ]
        case SubmitSyncCommitteeMessages(slot=slot, messages=messages):
            return [
                SyncCommitteeMessage(slot, item.block_root, item.validator_index, item.signature).hash_tree_root()
                for item in messages
            ]
        case SubmitBlock(block=block, signature=signature):
            return [block.signed_root(signature)]
        case SubmitRegistration(registration=registration):
            return [registration.hash_tree_root()]
        case SubmitExit(exit=voluntary_exit):
            return [voluntary_exit.hash_tree_root()]
        case SubmitAggregates(aggregates=aggregates):
            return [item.hash_tree_root() for item in aggregates]
        case SubmitContributions(contributions=contributions):
            return [item.hash_tree_root() for item in contributions]
        case _:
            return []

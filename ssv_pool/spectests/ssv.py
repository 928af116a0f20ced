"""The suite's module ``ssv``: runners, and the committee and validator objects around them."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from ssv_pool.crypto.threshold import BlsThreshold
from ssv_pool.protocol.events import (
    StartEvent,
)
from ssv_pool.protocol.executor import DutyExecutor
from ssv_pool.protocol.ports import Reconstruction
from ssv_pool.protocol.runners import (
    CommitteeRunner,
    DutyStory,
    PartialSignatureContainer,
    Runner,
    RunnerState,
)
from ssv_pool.protocol.types.aggregator_committee import AggregatorCommitteeDuty
from ssv_pool.protocol.types.beacon import BeaconVote
from ssv_pool.protocol.types.duties import CommitteeDuty, ValidatorDuty
from ssv_pool.protocol.types.errors import ErrorCode, ProtocolError
from ssv_pool.protocol.types.ids import committee_message_id, validator_message_id
from ssv_pool.protocol.types.messages import QBFTMessage
from ssv_pool.protocol.types.primitives import (
    MessageId,
    PublicKey,
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
from ssv_pool.protocol.types.share import Share
from ssv_pool.spectests import fixtures, states, world
from ssv_pool.spectests.bench import DEADLINE, Bench, SpecCommittee, SpecValidator, process, selection_of, start_event
from ssv_pool.spectests.members import main_validator, member_of
from ssv_pool.spectests.model import Json, MismatchError, SpecFork, SpecTest, check_equal
from ssv_pool.spectests.registry import spec_test

BOOLE_DUTY_PUBKEY = PublicKey(
    bytes.fromhex("b99696418493e6f324c8f7680f4de75e97fc9bdf709b93fb21149f4267eeaabae6c89d1091657d2c54eb387d8e6e3847")
)
"""The key in the duty of Boole's tests of selection proofs: not the share's, as it stands there."""

NO_CONSENSUS = frozenset({RunnerRole.VALIDATOR_REGISTRATION, RunnerRole.VOLUNTARY_EXIT})
"""Roles whose runners have no controller."""


@spec_test("ssv", "tests.MsgProcessingSpecTest")
@spec_test("ssv", "tests.MultiMsgProcessingSpecTest", inner="Tests")
def message_processing(test: SpecTest) -> None:
    """One runner in its committee or validator object: a duty, and messages."""
    bench = Bench(test)
    runner = _runner(bench, test["Runner"]["BaseRunner"])
    duty = states.duty(test.content)
    if duty is None:
        raise MismatchError("the test has no duty")
    executor: DutyExecutor
    if runner.role in COMMITTEE_ROLES:
        executor = SpecCommittee(bench, runner.member, runner.shares)
    else:
        executor = SpecValidator(bench, runner)
    where = (runner.role, duty.slot)
    if test["DontStartDuty"]:
        executor.runners[where] = runner
    else:
        bench.attempt(lambda: executor.start_duty(start_event(duty)), executor.runners.values)
    for value in test["Messages"] or []:
        bench.attempt(lambda value=value: process(executor, value), executor.runners.values)  # type: ignore[misc]
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
    bench = Bench(test)
    given = test["Committee"]
    member = fixtures.committee_member(given["CommitteeMember"])
    made = SpecCommittee(bench, member, states.shares(given["Share"]))
    for name, role in _RUNNER_MAPS.items():
        for slot, value in (given.get(name) or {}).items():
            made.runners[role, Slot(int(slot))] = _runner(bench, value["BaseRunner"])
    for value in test["Input"] or []:
        if "SSVMessage" in value:
            bench.attempt(lambda value=value: process(made, value), made.runners.values)  # type: ignore[misc]
        else:
            event = start_event(_committee_duty(value))
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
    bench = Bench(test)
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
    bench = Bench(test)
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
            member, share = main_validator(test)
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
    bench = Bench(test)
    member, main = main_validator(test)
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
    bench = Bench(test, selection_of(test, proofs))
    member, share = main_validator(test)
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
        executor = SpecValidator(bench, bench.make_runner(role, member, {share.validator_index: share}, identifier))
        event = start_event(duty)
    else:
        role = RunnerRole.AGGREGATOR_COMMITTEE
        executor = SpecCommittee(bench, member, {share.validator_index: share})
        event = start_event(AggregatorCommitteeDuty(duty.slot, (duty,)))
    bench.attempt(lambda: executor.start_duty(event), executor.runners.values)
    for value in test["Messages"] or []:
        bench.attempt(lambda value=value: process(executor, value), executor.runners.values)  # type: ignore[misc]
    test.check_error(bench.error, 0)
    states.check_state(states.export_runner_state(executor.runners[role, duty.slot].state), test.expected_state())


_RUNNER_MAPS: Mapping[str, RunnerRole] = MappingProxyType(
    {
        "Runners": RunnerRole.COMMITTEE,
        "CommitteeRunners": RunnerRole.COMMITTEE,
        "AggregatorCommitteeRunners": RunnerRole.AGGREGATOR_COMMITTEE,
    }
)
"""Fields of a committee's state; the first is Alan's."""


def _runner(bench: Bench, value: Json) -> Runner:
    """A runner in a test's state."""
    role = RunnerRole(value["RunnerRoleType"])
    shares = states.shares(value["Share"])
    controller = value["QBFTController"]
    if controller is not None:
        member = fixtures.committee_member(controller["CommitteeMember"])
        identifier = MessageId(fixtures.unbase64(controller["Identifier"]))
    else:
        share = next(iter(shares.values()))
        member = member_of(bench.test, share)
        identifier = validator_message_id(bench.fork.domain, role, share.validator_pubkey)
    runner = bench.make_runner(role, member, shares, identifier)
    states.restore_runner(runner, value)
    return runner


def _vote_checker(bench: Bench, test: SpecTest) -> CommitteeRunner:
    """A committee runner with the test's view of the chain; its shares have the test's keys, which are mere handles."""
    member, share = main_validator(test)
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


def _committee_duty(value: Json) -> CommitteeDuty | AggregatorCommitteeDuty:
    items = tuple(fixtures.validator_duty(item) for item in value["ValidatorDuties"] or [] if item is not None)
    aggregates = {BeaconRole.AGGREGATOR, BeaconRole.SYNC_COMMITTEE_CONTRIBUTION}
    kind = AggregatorCommitteeDuty if items and items[0].type in aggregates else CommitteeDuty
    return kind(Slot(int(value["Slot"])), items)


def _mark_slashable(bench: Bench, value: Json, shares: Iterable[Share]) -> None:
    """After a proposal all shares are slashable at its height."""
    message = fixtures.signed_message(value)
    if message.ssv_message.msg_type != MsgType.CONSENSUS:
        return
    content = QBFTMessage.decode(message.ssv_message.data)
    if content.msg_type == QBFTMessageType.PROPOSAL:
        for share in shares:
            bench.signer.slashable.setdefault(share.share_pubkey, set()).add(content.height)

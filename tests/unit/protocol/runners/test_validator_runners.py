"""Proposals, registrations, exits and Alan's aggregations by four operators, from the duty to the beacon node."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from committee_network import (
    FORKS,
    FakeKeys,
    FakeSigner,
    FakeThreshold,
    chain,
    fake_signature,
    make_member,
    make_shares,
    root,
    validator_key,
    vote,
    whole_signature,
)
from executor_network import Beacon, ExecutorNetwork, Operator, empty_block

from ssv_pool.protocol.events import (
    AskBeacon,
    AskKind,
    BeaconReply,
    DutyEnded,
    MessageReceived,
    Outcome,
    Reason,
    StartDuty,
    StartValidatorDuty,
    SubmitAggregates,
    SubmitBlock,
    SubmitContributions,
    SubmitExit,
    SubmitRegistration,
)
from ssv_pool.protocol.runners import ProposerRunner, Selection
from ssv_pool.protocol.types import ssz
from ssv_pool.protocol.types.attestations import AggregateAndProof, Attestation, one_bit
from ssv_pool.protocol.types.beacon import (
    DOMAIN_APPLICATION_BUILDER,
    DOMAIN_BEACON_PROPOSER,
    DOMAIN_RANDAO,
    DOMAIN_VOLUNTARY_EXIT,
    AttestationData,
    Checkpoint,
    compute_domain,
    signing_root,
)
from ssv_pool.protocol.types.blocks import blinded_of
from ssv_pool.protocol.types.contributions import Contribution, Contributions, SyncCommitteeContribution
from ssv_pool.protocol.types.duties import CommitteeDuty, ValidatorDuty
from ssv_pool.protocol.types.errors import ErrorCode, ProtocolError
from ssv_pool.protocol.types.messages import SignedSSVMessage
from ssv_pool.protocol.types.operations import (
    SignedValidatorRegistration,
    SignedVoluntaryExit,
    ValidatorRegistration,
    VoluntaryExit,
)
from ssv_pool.protocol.types.partial import PartialSignatureMessages
from ssv_pool.protocol.types.primitives import Epoch, Root, Signature, Slot, ValidatorIndex
from ssv_pool.protocol.types.roles import BeaconRole, MsgType, PartialSignatureType, RunnerRole
from ssv_pool.protocol.types.versions import DataVersion
from ssv_pool.protocol.validator import Validator

SLOT = Slot(40)
IDS = (1, 2, 3, 4)
CHAIN = chain("deneb")
KEY = validator_key(1)
VERSION = DataVersion.DENEB


class Chosen(Selection):
    """Chooses everyone, or nobody."""

    def __init__(self, *, everyone: bool = True) -> None:
        super().__init__()
        self.everyone = everyone

    def is_aggregator(self, committee_index: int, committee_length: int, proof: Signature) -> bool:
        return self.everyone

    def is_sync_committee_aggregator(self, proof: Signature) -> bool:
        return self.everyone


def make(selection: Selection | None = None) -> Callable[[int, FakeSigner], Validator]:
    def validator(own: int, signer: FakeSigner) -> Validator:
        share = make_shares(IDS, own, 1)[ValidatorIndex(1)]
        share = replace(share, fee_recipient=bytes(range(20)), graffiti=b"g".ljust(32, b"\0"))
        return Validator(
            make_member(IDS, own), share, FORKS, CHAIN, FakeKeys(own), signer, FakeThreshold(), selection=selection
        )

    return validator


def duty(role: BeaconRole, slot: int = SLOT, places: tuple[int, ...] = ()) -> StartValidatorDuty:
    due = CHAIN.start_of(slot)
    item = ValidatorDuty(role, KEY, Slot(slot), ValidatorIndex(1), 3, 64, 4, 5, places)
    return StartValidatorDuty(item, due, due, CHAIN.start_of(slot + 2))


def no_beacon(operator: Operator, request: AskBeacon) -> BeaconReply | None:
    raise AssertionError(f"operator {operator.operator_id} asked for {request}")


def blocks(operator: Operator, request: AskBeacon) -> BeaconReply:
    """Each beacon node makes another block."""
    assert request.kind is AskKind.BLOCK
    block = empty_block(SLOT, proposer=operator.operator_id)
    return BeaconReply(request.request_id, block.raw, block.version)


def run(role: BeaconRole, beacon: Beacon = no_beacon, places: tuple[int, ...] = (), **options) -> ExecutorNetwork:
    network = ExecutorNetwork(make(options.get("selection")), beacon)
    network.start(duty(role, places=places))
    network.run()
    return network


def outcomes(network: ExecutorNetwork) -> list[tuple[Outcome, Reason]]:
    return [(record.outcome, record.reason) for operator in network.operators for record in operator.records]


COMPLETED = [(Outcome.COMPLETED, Reason.NONE)] * 4


def domain(kind: bytes) -> bytes:
    return compute_domain(kind, CHAIN.forks[0].version, CHAIN.genesis_validators_root)


def test_a_registration_needs_no_decision() -> None:
    network = run(BeaconRole.VALIDATOR_REGISTRATION)
    epoch_start = int(CHAIN.start_of(32))
    registration = ValidatorRegistration(bytes(range(20)), 36_000_000, epoch_start, KEY)
    builders = compute_domain(DOMAIN_APPLICATION_BUILDER, CHAIN.forks[0].version, Root(bytes(32)))
    signature = whole_signature(KEY, signing_root(registration.hash_tree_root(), builders))
    deadline, key = CHAIN.start_of(SLOT + 2), f"validator_registration:{SLOT}:{KEY.hex()}"
    submission = SubmitRegistration(SLOT, SignedValidatorRegistration(registration, signature), deadline, key)
    assert [operator.submissions for operator in network.operators] == [[submission]] * 4
    assert outcomes(network) == COMPLETED
    assert [len(operator.sent) for operator in network.operators] == [1] * 4


def test_an_exit_needs_no_decision() -> None:
    network = run(BeaconRole.VOLUNTARY_EXIT)
    leaving = VoluntaryExit(Epoch(1), ValidatorIndex(1))
    signature = whole_signature(KEY, signing_root(leaving.hash_tree_root(), domain(DOMAIN_VOLUNTARY_EXIT)))
    for operator in network.operators:
        [submission] = operator.submissions
        assert isinstance(submission, SubmitExit)
        assert submission.exit == SignedVoluntaryExit(leaving, signature)
    assert outcomes(network) == COMPLETED


def test_the_leader_submits_its_full_block_and_the_others_its_blinded_one() -> None:
    network = run(BeaconRole.PROPOSER, blocks)
    leader = network.operators[0]
    full = empty_block(SLOT, proposer=leader.operator_id)
    signature = whole_signature(KEY, signing_root(full.root, domain(DOMAIN_BEACON_PROPOSER)))
    reveal = whole_signature(KEY, signing_root(ssz.u64_root(1), domain(DOMAIN_RANDAO)))
    for operator in network.operators:
        [submission] = operator.submissions
        assert isinstance(submission, SubmitBlock)
        assert submission.signature == signature
        expected = full if operator is leader else blinded_of(full)
        assert (submission.block.blinded, submission.block.raw) == (expected.blinded, expected.raw)
        [request] = operator.asked
        assert dict(request.arguments) == {"randao_reveal": reveal.hex(), "graffiti": b"g".ljust(32, b"\0").hex()}
    assert outcomes(network) == COMPLETED
    steps = [step.name for step in leader.records[0].steps]
    assert steps == [
        "due",
        "begun",
        "pre_consensus",
        "asked",
        "received",
        "consensus_started",
        "proposed",
        "prepared",
        "decided",
        "signed",
        "reconstructed",
    ]


def test_one_beacon_node_without_a_block_fails_its_operator_alone() -> None:
    def beacon(operator: Operator, request: AskBeacon) -> BeaconReply:
        if operator.operator_id == 3:
            return BeaconReply(request.request_id, error="503 from the beacon node")
        return blocks(operator, request)

    network = run(BeaconRole.PROPOSER, beacon)
    for operator in network.operators:
        [record] = operator.records
        if operator.operator_id == 3:
            assert (record.outcome, record.reason) == (Outcome.FAILED, Reason.NO_BEACON_DATA)
            assert record.detail == "503 from the beacon node"
        else:
            assert (record.outcome, record.reason) == (Outcome.COMPLETED, Reason.NONE)


def test_a_beacon_node_that_never_answers_is_named() -> None:
    network = run(BeaconRole.PROPOSER, lambda operator, request: None)
    assert outcomes(network) == [(Outcome.FAILED, Reason.NO_BEACON_DATA)] * 4
    assert network.operators[0].records[0].detail == "1 requests to the beacon node were not answered"


def test_an_answer_nobody_waits_for_is_refused() -> None:
    network = run(BeaconRole.PROPOSER, blocks)
    operator = network.operators[0]
    [request] = operator.asked
    network.handle(operator, BeaconReply(request.request_id, b"late", 5))
    assert operator.rejected[-1].rule == "no_request"


def test_an_operator_that_begins_late_takes_what_came_before() -> None:
    network = ExecutorNetwork(make(), blocks)
    network.start(duty(BeaconRole.PROPOSER), delays=(0, 0, 0, 0.5))
    network.run()
    assert outcomes(network)[:3] == COMPLETED[:3]
    late = network.operators[3].records[0]
    assert (late.outcome, late.reason) == (Outcome.COMPLETED, Reason.NONE)


def bad_partials(sender: Operator, message: SignedSSVMessage) -> SignedSSVMessage | None:
    """Operator 4 signs the right roots with a wrong key."""
    inner = message.ssv_message
    if sender.operator_id != 4 or inner.msg_type != MsgType.PARTIAL_SIGNATURE:
        return message
    partials = PartialSignatureMessages.decode(inner.data)
    items = tuple(item._replace(partial_signature=fake_signature(b"bad", b"")) for item in partials.messages)
    forged = replace(inner, data=replace(partials, messages=items).encode())
    return replace(message, signatures=(FakeKeys(4).sign(forged.encode()),), ssv_message=forged)


@pytest.mark.parametrize(
    ("role", "beacon"),
    [
        (BeaconRole.PROPOSER, blocks),
        (BeaconRole.VALIDATOR_REGISTRATION, no_beacon),
        (BeaconRole.VOLUNTARY_EXIT, no_beacon),
    ],
)
def test_one_operators_wrong_signatures_are_dropped(role: BeaconRole, beacon: Beacon) -> None:
    network = ExecutorNetwork(make(), beacon)
    network.forge = bad_partials
    network.start(duty(role), delays=(0.3, 0.2, 0.1, 0))
    network.run()
    assert outcomes(network)[:3] == COMPLETED[:3]
    codes = {rejected.rule for operator in network.operators[:3] for rejected in operator.rejected}
    assert "reconstruct_signature" in codes


def aggregate(operator: Operator, request: AskBeacon) -> BeaconReply:
    assert request.kind is AskKind.AGGREGATE
    arguments = dict(request.arguments)
    data = AttestationData(SLOT, 3, root("head"), Checkpoint(Epoch(0), root("s")), Checkpoint(Epoch(1), root("t")))
    proof = Signature(bytes.fromhex(arguments["selection_proof"]))
    made = AggregateAndProof(
        ValidatorIndex(int(arguments["validator_index"])),
        Attestation(one_bit(5, 64), data, Signature(bytes(96))),
        proof,
    )
    return BeaconReply(request.request_id, made.encode(), VERSION)


def test_a_chosen_aggregator_submits_one_aggregate() -> None:
    network = run(BeaconRole.AGGREGATOR, aggregate, selection=Chosen())
    assert outcomes(network) == COMPLETED
    for operator in network.operators:
        [submission] = operator.submissions
        assert isinstance(submission, SubmitAggregates)
        [signed] = submission.aggregates
        assert (submission.version, signed.message.aggregator_index) == (VERSION, 1)
        assert dict(operator.asked[0].arguments)["committee_index"] == "3"


@pytest.mark.parametrize("role", [BeaconRole.AGGREGATOR, BeaconRole.SYNC_COMMITTEE_CONTRIBUTION])
def test_a_validator_that_is_not_chosen_is_done_at_once(role: BeaconRole) -> None:
    network = run(role, selection=Chosen(everyone=False), places=(0,))
    assert outcomes(network) == COMPLETED
    assert {record.detail for operator in network.operators for record in operator.records} == {
        "the validator was not selected"
    }
    assert [operator.submissions for operator in network.operators] == [[]] * 4


def contributions(operator: Operator, request: AskBeacon) -> BeaconReply:
    assert request.kind is AskKind.CONTRIBUTIONS
    arguments = dict(request.arguments)
    pairs = zip(arguments["subcommittees"].split(","), arguments["selection_proofs"].split(","), strict=True)
    items = tuple(
        Contribution(
            Signature(bytes.fromhex(proof)),
            SyncCommitteeContribution(SLOT, root("head"), int(number), bytes(16), Signature(bytes(96))),
        )
        for number, proof in pairs
    )
    return BeaconReply(request.request_id, Contributions(items).encode(), VERSION)


def test_a_contributor_submits_for_each_of_its_subcommittees() -> None:
    network = run(BeaconRole.SYNC_COMMITTEE_CONTRIBUTION, contributions, places=(5, 300), selection=Chosen())
    assert outcomes(network) == COMPLETED
    for operator in network.operators:
        submitted = [item for submission in operator.submissions for item in submission.contributions]
        assert all(isinstance(submission, SubmitContributions) for submission in operator.submissions)
        assert sorted(item.message.contribution.subcommittee_index for item in submitted) == [0, 2]
        assert operator.records[0].completed == 2


def test_a_contribution_does_not_wait_for_another_that_cannot_be_rebuilt_yet() -> None:
    def forge(sender: Operator, message: SignedSSVMessage) -> SignedSSVMessage | None:
        """Operator 4's signature over the first contribution is wrong."""
        inner = message.ssv_message
        if sender.operator_id != 4 or inner.msg_type != MsgType.PARTIAL_SIGNATURE:
            return message
        partials = PartialSignatureMessages.decode(inner.data)
        if partials.type != PartialSignatureType.POST_CONSENSUS:
            return message
        first, *others = partials.messages
        items = (first._replace(partial_signature=fake_signature(b"bad", b"")), *others)
        forged = replace(inner, data=replace(partials, messages=items).encode())
        return replace(message, signatures=(FakeKeys(4).sign(forged.encode()),), ssv_message=forged)

    def hold(sender: Operator, message: SignedSSVMessage) -> float:
        """Operator 3's partial signatures come last: the first quorum has the wrong one."""
        return 0.5 if sender.operator_id == 3 and message.ssv_message.msg_type == MsgType.PARTIAL_SIGNATURE else 0.0

    network = ExecutorNetwork(make(Chosen()), contributions)
    network.forge, network.hold = forge, hold
    network.start(duty(BeaconRole.SYNC_COMMITTEE_CONTRIBUTION, places=(5, 300)))
    network.run()
    for operator in network.operators[:2]:
        handed_over = [
            [item.message.contribution.subcommittee_index for item in submission.contributions]
            for submission in operator.submissions
        ]
        assert sorted(handed_over) == [[0], [2]]  # the sound one at once, the other when operator 3 was heard
        assert [(record.outcome, record.completed) for record in operator.records] == [(Outcome.COMPLETED, 2)]


def test_duties_that_are_not_the_validators_are_refused() -> None:
    validator = make()(1, FakeSigner())
    other = duty(BeaconRole.PROPOSER)
    cases = [
        replace(other, duty=replace(other.duty, pubkey=validator_key(2))),
        replace(other, duty=replace(other.duty, type=BeaconRole.ATTESTER)),
        replace(other, duty=replace(other.duty, type=99)),
        StartDuty(CommitteeDuty(SLOT, (other.duty,)), vote(), other.due, other.begun, other.deadline),
    ]
    for case in cases:
        with pytest.raises(ProtocolError):
            validator.start_duty(case)
    assert validator.runners == {}


def test_messages_for_others_are_refused() -> None:
    network = run(BeaconRole.VALIDATOR_REGISTRATION)
    message = network.operators[1].sent[0]
    validator = make()(1, FakeSigner())
    inner = message.ssv_message
    for msg_id in (inner.msg_id[:8] + bytes(48), inner.msg_id[:4] + bytes(4) + inner.msg_id[8:]):
        forged = replace(inner, msg_id=msg_id)
        envelope = replace(message, signatures=(FakeKeys(2).sign(forged.encode()),), ssv_message=forged)
        with pytest.raises(ProtocolError) as caught:
            validator.process_message(envelope)
        assert caught.value.code is None
    with pytest.raises(ProtocolError) as caught:
        validator.process_message(message)
    assert caught.value.code == ErrorCode.NO_RUNNER_FOR_SLOT


def test_the_roles_newest_runner_refuses_messages_of_other_slots() -> None:
    network = run(BeaconRole.VALIDATOR_REGISTRATION)
    message = network.operators[1].sent[0]
    validator = make()(1, FakeSigner())
    validator.start_duty(duty(BeaconRole.VALIDATOR_REGISTRATION, SLOT + 1))
    with pytest.raises(ProtocolError) as caught:
        validator.process_message(message)
    assert caught.value.code == ErrorCode.PARTIAL_SIG_MESSAGE_INVALID_SLOT


def test_a_slashable_block_is_neither_agreed_to_nor_signed() -> None:
    network = ExecutorNetwork(make(), blocks)
    for operator in network.operators:
        share = operator.executor.share  # type: ignore[attr-defined]
        operator.signer.marked.add(share.share_pubkey)
    network.start(duty(BeaconRole.PROPOSER))
    network.run()
    assert {record.outcome for operator in network.operators for record in operator.records} == {Outcome.FAILED}
    assert [operator.submissions for operator in network.operators] == [[]] * 4


def test_two_duties_of_one_role_run_side_by_side() -> None:
    network = ExecutorNetwork(make(), no_beacon)
    for slot in (SLOT, SLOT + 1):
        network.start(duty(BeaconRole.VALIDATOR_REGISTRATION, slot))
    network.run()
    assert outcomes(network) == [*COMPLETED, *COMPLETED]


def test_a_repeated_duty_does_nothing() -> None:
    network = ExecutorNetwork(make(), no_beacon)
    for _ in range(2):
        network.start(duty(BeaconRole.VALIDATOR_REGISTRATION))
    network.run()
    assert outcomes(network) == COMPLETED
    assert {operator.rejected[0].rule for operator in network.operators} == {"duplicate_duty"}


def test_a_validator_that_leaves_ends_all_its_duties() -> None:
    network = ExecutorNetwork(make(), blocks)
    operator = network.operators[0]
    for role in (BeaconRole.PROPOSER, BeaconRole.VALIDATOR_REGISTRATION):
        network.handle(operator, duty(role))
    validator = operator.executor
    assert isinstance(validator, Validator)
    ended = [effect.record for effect in validator.leave() if isinstance(effect, DutyEnded)]
    assert [(record.role, record.reason) for record in ended] == [
        (RunnerRole.PROPOSER, Reason.NO_SHARES),
        (RunnerRole.VALIDATOR_REGISTRATION, Reason.NO_SHARES),
    ]
    assert not validator.runners
    assert validator.leave() == []


def test_a_runner_wants_one_share() -> None:
    validator = make()(1, FakeSigner())
    shares = make_shares(IDS, 1, 2)
    services = validator.services(FORKS.alan)
    for given in ({}, shares):
        with pytest.raises(ProtocolError, match=rf"^must have one share, got {len(given)}$"):
            ProposerRunner(services, validator.member, given, bytes(56), validator._outbox)


def test_an_early_message_waits_for_its_duty() -> None:
    network = run(BeaconRole.VALIDATOR_REGISTRATION)
    messages = [operator.sent[0] for operator in network.operators]
    validator = make()(1, FakeSigner())
    now = CHAIN.start_of(SLOT)
    for message in messages[1:3]:
        assert validator.handle(MessageReceived(message, verified=False), now - 1) == []
    effects = validator.handle(duty(BeaconRole.VALIDATOR_REGISTRATION), now)
    timers = [effect for effect in effects if getattr(effect, "timer", None) is not None]
    assert len(timers) == 2
    effects = validator.handle(MessageReceived(messages[3], verified=False), now + 1)
    assert any(isinstance(effect, SubmitRegistration) for effect in effects)


def test_the_roles_have_the_runners_of_their_fork() -> None:
    validator = make()(1, FakeSigner())
    roles = [validator.role_of(duty(BeaconRole(role))) for role in range(7)]
    assert roles == [
        RunnerRole.UNKNOWN,
        RunnerRole.AGGREGATOR,
        RunnerRole.PROPOSER,
        RunnerRole.UNKNOWN,
        RunnerRole.SYNC_COMMITTEE_CONTRIBUTION,
        RunnerRole.VALIDATOR_REGISTRATION,
        RunnerRole.VOLUNTARY_EXIT,
    ]


def test_a_decided_duty_may_be_one_epoch_ahead() -> None:
    validator = make()(1, FakeSigner())
    validator._now = CHAIN.start_of(0)
    item = duty(BeaconRole.PROPOSER).duty
    runner = validator.make_runner(RunnerRole.PROPOSER, item)
    assert isinstance(runner, ProposerRunner)
    runner.check_duty(replace(item, slot=Slot(63)))
    with pytest.raises(ProtocolError) as caught:
        runner.check_duty(replace(item, slot=Slot(64)))
    assert caught.value.code == ErrorCode.DUTY_EPOCH_TOO_FAR_FUTURE

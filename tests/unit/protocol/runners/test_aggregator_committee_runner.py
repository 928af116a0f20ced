"""Boole's aggregations by four operators, from the duty to the beacon node; and the forks side by side."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from committee_network import (
    DOMAIN,
    FakeKeys,
    FakeSigner,
    FakeThreshold,
    chain,
    fake_signature,
    make_duty,
    make_member,
    make_shares,
    root,
    validator_key,
    vote,
)
from executor_network import Beacon, ExecutorNetwork, Operator

from ssv_pool.protocol.committee import Committee
from ssv_pool.protocol.events import (
    AskBeacon,
    AskKind,
    BeaconReply,
    DutyEnded,
    MessageReceived,
    Outcome,
    Reason,
    StartAggregatorCommitteeDuty,
    StartDuty,
    StartValidatorDuty,
    SubmitAggregates,
    SubmitContributions,
)
from ssv_pool.protocol.forks import ForkSchedule, alan_fork, boole_fork
from ssv_pool.protocol.runners import AggregatorCommitteeRunner, Selection
from ssv_pool.protocol.types.aggregator_committee import AggregatorCommitteeDuty
from ssv_pool.protocol.types.attestations import Attestation, one_bit
from ssv_pool.protocol.types.beacon import AttestationData, Checkpoint
from ssv_pool.protocol.types.contributions import Contribution, Contributions, SyncCommitteeContribution
from ssv_pool.protocol.types.duties import ValidatorDuty
from ssv_pool.protocol.types.errors import ErrorCode, ProtocolError
from ssv_pool.protocol.types.messages import SignedSSVMessage
from ssv_pool.protocol.types.partial import PartialSignatureMessage, PartialSignatureMessages
from ssv_pool.protocol.types.primitives import DomainType, Epoch, OperatorId, Signature, Slot, ValidatorIndex
from ssv_pool.protocol.types.roles import BeaconRole, MsgType, PartialSignatureType, RunnerRole

SLOT = Slot(40)
IDS = (1, 2, 3, 4)
CHAIN = chain("deneb")
BOOLE_DOMAIN = DomainType(bytes.fromhex("00000302"))
FORKS = ForkSchedule(alan_fork(DOMAIN), boole_fork(BOOLE_DOMAIN, "jato", 32), Epoch(1))


class OddProofs(Selection):
    """Chooses the beacon committees and sync committee members of these numbers."""

    def __init__(self, committees: set[int] | None = None, *, sync: bool = True) -> None:
        super().__init__()
        self.committees = committees
        self.sync = sync

    def is_aggregator(self, committee_index: int, committee_length: int, proof: Signature) -> bool:
        return self.committees is None or committee_index in self.committees

    def is_sync_committee_aggregator(self, proof: Signature) -> bool:
        return self.sync


def make(selection: Selection | None = None) -> Callable[[int, FakeSigner], Committee]:
    return lambda own, signer: Committee(
        make_member(IDS, own),
        make_shares(IDS, own, 3),
        FORKS,
        CHAIN,
        FakeKeys(own),
        signer,
        FakeThreshold(),
        selection=selection or OddProofs(),
    )


def aggregator(index: int, committee: int) -> ValidatorDuty:
    return ValidatorDuty(
        BeaconRole.AGGREGATOR, validator_key(index), SLOT, ValidatorIndex(index), committee, 64, 4, index
    )


def contributor(index: int, *places: int) -> ValidatorDuty:
    return ValidatorDuty(
        BeaconRole.SYNC_COMMITTEE_CONTRIBUTION,
        validator_key(index),
        SLOT,
        ValidatorIndex(index),
        validator_sync_committee_indices=places,
    )


def start(*duties: ValidatorDuty, slot: int = SLOT) -> StartAggregatorCommitteeDuty:
    due = CHAIN.start_of(slot)
    return StartAggregatorCommitteeDuty(AggregatorCommitteeDuty(Slot(slot), duties), due, due, CHAIN.start_of(slot + 2))


def beacon(operator: Operator, request: AskBeacon) -> BeaconReply:
    arguments = dict(request.arguments)
    number = int(arguments["committee_index"])
    if request.kind is AskKind.AGGREGATE:
        data = AttestationData(
            SLOT, number, root("head"), Checkpoint(Epoch(0), root("s")), Checkpoint(Epoch(1), root("t"))
        )
        return BeaconReply(request.request_id, Attestation(one_bit(5, 64), data, Signature(bytes(96))).encode(), 5)
    proof = Signature(bytes.fromhex(arguments["selection_proofs"]))
    contribution = SyncCommitteeContribution(SLOT, root("head"), number, bytes(16), Signature(bytes(96)))
    return BeaconReply(request.request_id, Contributions((Contribution(proof, contribution),)).encode(), 5)


def run(*duties: ValidatorDuty, answers: Beacon = beacon, selection: Selection | None = None) -> ExecutorNetwork:
    network = ExecutorNetwork(make(selection), answers)
    network.start(start(*duties))
    network.run()
    return network


def outcomes(network: ExecutorNetwork) -> set[tuple[Outcome, Reason, int, int]]:
    return {
        (record.outcome, record.reason, record.completed, record.validators)
        for operator in network.operators
        for record in operator.records
    }


def submitted(operator: Operator) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """(validator, beacon committee) and (validator, subcommittee) of what was handed over."""
    aggregates, contributions = [], []
    for submission in operator.submissions:
        match submission:
            case SubmitAggregates(aggregates=items):
                aggregates += [(item.message.aggregator_index, item.message.aggregate.data.index) for item in items]
            case SubmitContributions(contributions=items):
                contributions += [
                    (item.message.aggregator_index, item.message.contribution.subcommittee_index) for item in items
                ]
    return sorted(aggregates), sorted(contributions)


def test_aggregates_and_contributions_are_decided_together() -> None:
    network = run(aggregator(1, 2), aggregator(2, 2), aggregator(3, 7), contributor(2, 3, 200, 201))
    assert outcomes(network) == {(Outcome.COMPLETED, Reason.NONE, 5, 5)}
    for operator in network.operators:
        assert submitted(operator) == ([(1, 2), (2, 2), (3, 7)], [(2, 0), (2, 1)])
        # One request a beacon committee and a subcommittee, however many validators want it.
        assert sorted(
            (request.kind.value, dict(request.arguments)["committee_index"]) for request in operator.asked
        ) == [
            ("aggregate", "2"),
            ("aggregate", "7"),
            ("contributions", "0"),
            ("contributions", "1"),
        ]
        decided = [message for message in operator.sent if len(message.operator_ids) > 1]
        assert len(decided) <= 1


def test_an_operator_signs_only_for_those_of_its_own_duty() -> None:
    network = ExecutorNetwork(make(), beacon)
    whole, less = start(aggregator(1, 2), contributor(1, 3)), start(aggregator(1, 2))
    for operator in network.operators:
        event = less if operator.operator_id == 4 else whole
        network.at(event.due, lambda operator=operator, event=event: network.handle(operator, event))
    network.run()
    signed = {
        operator.operator_id: [
            len(partials.messages)
            for message in operator.sent
            if message.ssv_message.msg_type == MsgType.PARTIAL_SIGNATURE
            and (partials := PartialSignatureMessages.decode(message.ssv_message.data)).type
            == PartialSignatureType.POST_CONSENSUS
        ]
        for operator in network.operators
    }
    assert signed == {1: [2], 2: [2], 3: [2], 4: [1]}


def test_nobody_chosen_ends_the_duty() -> None:
    network = run(aggregator(1, 2), contributor(2, 3), selection=OddProofs(set(), sync=False))
    assert {record.outcome for operator in network.operators for record in operator.records} == {Outcome.COMPLETED}
    assert [operator.submissions for operator in network.operators] == [[]] * 4
    assert [operator.asked for operator in network.operators] == [[]] * 4


def test_a_validator_that_is_not_chosen_does_not_keep_the_duty_open() -> None:
    network = ExecutorNetwork(make(OddProofs({2})), beacon)
    network.start(start(aggregator(1, 2), aggregator(2, 3)))
    network.run(until=CHAIN.start_of(SLOT + 1))
    for operator in network.operators:
        assert submitted(operator) == ([(1, 2)], [])
        assert not operator.executor.runners
    assert outcomes(network) == {(Outcome.COMPLETED, Reason.NONE, 1, 1)}


def test_what_a_beacon_node_does_not_give_is_left_out() -> None:
    def partly(operator: Operator, request: AskBeacon) -> BeaconReply:
        if dict(request.arguments)["committee_index"] == "7":
            return BeaconReply(request.request_id, error="404 no aggregate")
        return beacon(operator, request)

    network = run(aggregator(1, 2), aggregator(3, 7), answers=partly)
    for operator in network.operators:
        assert submitted(operator) == ([(1, 2)], [])
        assert "plain" in {rejected.rule for rejected in operator.rejected}
    assert outcomes(network) == {(Outcome.FAILED, Reason.NO_SIGNATURE_QUORUM, 1, 2)}


def test_without_any_answer_the_record_names_the_beacon_node() -> None:
    network = run(
        aggregator(1, 2), answers=lambda operator, request: BeaconReply(request.request_id, error="504 timed out")
    )
    assert outcomes(network) == {(Outcome.FAILED, Reason.NO_BEACON_DATA, 0, 1)}


def test_a_contribution_of_another_subcommittee_is_not_taken() -> None:
    def other(operator: Operator, request: AskBeacon) -> BeaconReply:
        return beacon(operator, replace(request, arguments=(("committee_index", "3"), *request.arguments[1:])))

    network = run(contributor(1, 5), answers=other)
    assert outcomes(network) == {(Outcome.FAILED, Reason.NO_BEACON_DATA, 0, 1)}


@pytest.mark.parametrize("phase", ["before consensus", "after consensus"])
def test_one_operators_wrong_signatures_are_dropped(phase: str) -> None:
    network = ExecutorNetwork(make(), beacon)

    def forge(sender: Operator, message: SignedSSVMessage) -> SignedSSVMessage | None:
        inner = message.ssv_message
        if sender.operator_id != 4 or inner.msg_type != MsgType.PARTIAL_SIGNATURE:
            return message
        partials = PartialSignatureMessages.decode(inner.data)
        if (partials.type == 0) != (phase == "after consensus"):
            return message
        items = tuple(item._replace(partial_signature=fake_signature(b"bad", b"")) for item in partials.messages)
        forged = replace(inner, data=replace(partials, messages=items).encode())
        return replace(message, signatures=(FakeKeys(4).sign(forged.encode()),), ssv_message=forged)

    network.forge = forge
    # The wrong ones come third, so that they are part of the first quorum.
    network.hold = lambda sender, message: (
        0.5 if sender.operator_id == 2 and message.ssv_message.msg_type == MsgType.PARTIAL_SIGNATURE else 0.0
    )
    network.start(start(aggregator(1, 2), contributor(2, 3)))
    network.run()
    for operator in network.operators[:3]:
        assert submitted(operator) == ([(1, 2)], [(2, 0)])
        assert [record.outcome for record in operator.records] == [Outcome.COMPLETED]
    rules = {rejected.rule for operator in network.operators[:3] for rejected in operator.rejected}
    wanted = "reconstruct_signature" if phase == "before consensus" else "post_consensus_quorum_with_invalid_signatures"
    assert wanted in rules


def test_proofs_that_come_during_consensus_are_ignored() -> None:
    network = run(aggregator(1, 2))
    late = network.operators[3].sent[0]
    committee = make()(1, FakeSigner())
    network_of_one = [operator.sent[0] for operator in network.operators]
    committee.start_duty(start(aggregator(1, 2)))
    [runner] = committee.runners.values()
    for message in network_of_one[:3]:
        committee.process_message(message)
    for request in list(runner.requests.values()):
        runner.process_reply(beacon(network.operators[0], request))
    assert runner.state is not None
    assert runner.state.instance is not None
    before = {key: dict(value) for key, value in runner.state.pre_consensus.signatures[ValidatorIndex(1)].items()}
    committee.process_message(late)
    assert runner.state.pre_consensus.signatures[ValidatorIndex(1)] == before


def test_invalid_duties_are_refused_with_the_specifications_codes() -> None:
    committee = make()(1, FakeSigner())
    good = aggregator(1, 2)
    for duties, code in [
        ((), ErrorCode.NO_BEACON_DUTIES),
        ((aggregator(9, 2),), ErrorCode.NO_VALIDATOR_SHARES),
        ((replace(good, committee_length=0),), ErrorCode.INVALID_VALIDATOR_DUTY),
        ((replace(good, slot=SLOT + 1),), ErrorCode.INVALID_AGGREGATOR_COMMITTEE_DUTY),
        ((replace(good, type=BeaconRole.ATTESTER),), ErrorCode.INVALID_AGGREGATOR_COMMITTEE_DUTY),
    ]:
        with pytest.raises(ProtocolError) as caught:
            committee.start_duty(start(*duties))
        assert caught.value.code == code
        committee.runners.clear()
    due = StartValidatorDuty(good, 0, 0, 1)
    with pytest.raises(ProtocolError):
        committee.start_duty(due)


def test_a_duty_of_another_slot_ends_as_invalid() -> None:
    committee = make()(1, FakeSigner())
    effects = committee.handle(start(replace(aggregator(1, 2), slot=SLOT + 1)), CHAIN.start_of(SLOT))
    [record] = [effect.record for effect in effects if isinstance(effect, DutyEnded)]
    assert (record.outcome, record.reason) == (Outcome.FAILED, Reason.INVALID_DUTY)
    assert record.detail == f"duty of validator 1 is of slot {SLOT + 1}, expected {SLOT}"


def test_alan_has_no_aggregator_committee() -> None:
    committee = make()(1, FakeSigner())
    with pytest.raises(ProtocolError, match="does not exist in alan"):
        committee.start_duty(start(replace(aggregator(1, 2), slot=Slot(31)), slot=31))


def test_both_committee_roles_run_in_one_slot() -> None:
    network = ExecutorNetwork(make(), beacon)
    network.start(start(aggregator(1, 2)))
    due = CHAIN.attestation_due(SLOT)
    attesting = StartDuty(make_duty(SLOT, 3), vote(), due, due, CHAIN.start_of(SLOT + 2))
    network.start(attesting)
    network.run()
    roles = sorted(record.role for operator in network.operators for record in operator.records)
    assert roles == [RunnerRole.COMMITTEE] * 4 + [RunnerRole.AGGREGATOR_COMMITTEE] * 4
    assert {record.outcome for operator in network.operators for record in operator.records} == {Outcome.COMPLETED}


def test_a_committee_crosses_the_fork() -> None:
    network = ExecutorNetwork(make(), beacon)
    for slot, own in ((31, vote()), (32, vote(source=1, target=2))):
        due = CHAIN.attestation_due(slot)
        duty = make_duty(slot, 3)
        duties = tuple(replace(item, validator_committee_index=1) for item in duty.validator_duties)
        network.start(StartDuty(replace(duty, validator_duties=duties), own, due, due, CHAIN.start_of(slot + 2)))
    network.run()
    assert {record.outcome for operator in network.operators for record in operator.records} == {Outcome.COMPLETED}
    domains = [message.ssv_message.msg_id[:4] for message in network.operators[0].sent]
    assert set(domains) == {bytes(DOMAIN), bytes(BOOLE_DOMAIN)}
    assert domains == sorted(domains)


def test_roles_of_validators_are_refused_with_boole_known() -> None:
    network = run(aggregator(1, 2))
    message = network.operators[1].sent[0]
    inner = message.ssv_message
    forged = replace(inner, msg_id=inner.msg_id[:4] + (2).to_bytes(4, "little") + inner.msg_id[8:])
    envelope = replace(message, signatures=(FakeKeys(2).sign(forged.encode()),), ssv_message=forged)
    committee = make()(1, FakeSigner())
    with pytest.raises(ProtocolError) as caught:
        committee.process_message(envelope)
    assert caught.value.code == ErrorCode.COMMITTEE_WRONG_ROLE


def test_a_runner_needs_shares() -> None:
    committee = make()(1, FakeSigner())
    services = committee.services(FORKS.at_slot(SLOT, 32))
    with pytest.raises(ProtocolError, match=r"^no shares provided$"):
        AggregatorCommitteeRunner(services, committee.member, {}, bytes(56), committee._outbox)


def test_proofs_before_the_own_duty_are_kept() -> None:
    network = run(aggregator(1, 2))
    committee = make()(1, FakeSigner())
    now = CHAIN.start_of(SLOT)
    for operator in network.operators[1:]:
        assert committee.handle(MessageReceived(operator.sent[0], verified=False), now - 1) == []
    effects = committee.handle(start(aggregator(1, 2)), now)
    effects += committee.handle(BeaconReply("nothing"), now)
    assert any(isinstance(effect, AskBeacon) for effect in effects)


def test_when_everyone_was_heard_and_nothing_has_a_quorum_the_duty_is_over() -> None:
    committee = make()(1, FakeSigner())
    committee.start_duty(start(aggregator(1, 2)))
    [runner] = committee.runners.values()
    assert runner.state is not None
    for number in IDS:
        assert not runner.state.finished
        item = PartialSignatureMessage(
            Signature(bytes(96)), root(f"root {number}"), OperatorId(number), ValidatorIndex(1)
        )
        runner.process_pre_consensus(PartialSignatureMessages(PartialSignatureType.AGGREGATOR_COMMITTEE, SLOT, (item,)))
    assert runner.state.finished


def test_what_was_submitted_is_not_submitted_again() -> None:
    def partly(operator: Operator, request: AskBeacon) -> BeaconReply:
        if dict(request.arguments)["committee_index"] == "3":
            return BeaconReply(request.request_id, error="404 no aggregate")
        return beacon(operator, request)

    network = ExecutorNetwork(make(), partly)
    network.start(start(aggregator(1, 2), aggregator(2, 3)))
    network.run(until=CHAIN.start_of(SLOT + 1))
    operator = network.operators[0]
    assert submitted(operator) == ([(1, 2)], [])
    [runner] = operator.executor.runners.values()
    assert runner.state is not None
    runner.on_post_consensus_quorum(list(runner.state.post_consensus.signatures[ValidatorIndex(1)]))
    assert operator.executor._outbox.take() == []

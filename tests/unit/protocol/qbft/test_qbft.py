"""Containers, timers, and what the specification's vectors do not show of instance and controller."""

import itertools
from dataclasses import replace

import pytest
from committee_network import DOMAIN, FakeKeys, make_member
from hypothesis import given, settings
from hypothesis import strategies as st

from ssv_pool.protocol.qbft import (
    Context,
    Controller,
    MessageContainer,
    ProcessingMessage,
    RoundTimings,
    distinct_signers,
    hash_value,
)
from ssv_pool.protocol.types.errors import ErrorCode, ProtocolError
from ssv_pool.protocol.types.ids import committee_message_id
from ssv_pool.protocol.types.messages import QBFTMessage, SignedSSVMessage, SSVMessage
from ssv_pool.protocol.types.primitives import OperatorId, Root, Round, Slot
from ssv_pool.protocol.types.roles import MsgType, QBFTMessageType, RunnerRole

IDS = (1, 2, 3, 4)
HEIGHT = Slot(7)
MEMBER = make_member(IDS, 1)
IDENTIFIER = committee_message_id(DOMAIN, RunnerRole.COMMITTEE, MEMBER.committee_id)
REFUSED = b"refused"


class Operator:
    """One operator's controller and what it put out. Operator 1 leads round 1, operator 2 round 2, and so on."""

    def __init__(self, own: int) -> None:
        self.sent: list[SignedSSVMessage] = []
        self.armed: list[Round] = []
        self.controller = Controller(
            Context(
                member=make_member(IDS, own),
                identifier=IDENTIFIER,
                keys=FakeKeys(own),
                leader=lambda height, round_: OperatorId(IDS[(round_ - 1) % 4]),
                check_value=check_value,
                output=self,
            )
        )

    def broadcast(self, message: SignedSSVMessage) -> None:
        self.sent.append(message)

    def arm_round_timer(self, height: Slot, round_: Round) -> None:
        self.armed.append(round_)

    def take(self) -> list[SignedSSVMessage]:
        sent, self.sent = self.sent, []
        return sent


def check_value(value: bytes) -> None:
    if value in {REFUSED, b""}:
        raise ProtocolError("refused", ErrorCode.QBFT_VALUE_INVALID)


def signed(operator_id: int, content: QBFTMessage, full_data: bytes = b"") -> SignedSSVMessage:
    inner = SSVMessage(MsgType.CONSENSUS, IDENTIFIER, content.encode())
    return SignedSSVMessage((FakeKeys(operator_id).sign(inner.encode()),), (OperatorId(operator_id),), inner, full_data)


def content(kind: QBFTMessageType, round_: int = 1, value: bytes = b"value") -> QBFTMessage:
    return QBFTMessage(kind, HEIGHT, Round(round_), IDENTIFIER, hash_value(value))


def decode(message: SignedSSVMessage) -> QBFTMessage:
    return QBFTMessage.decode(message.ssv_message.data)


def start_all(*values: bytes) -> list[Operator]:
    operators = [Operator(own) for own in IDS]
    for operator, value in zip(operators, values, strict=True):
        operator.controller.start(HEIGHT, value)
    return operators


def exchange(operators: list[Operator], kinds: set[QBFTMessageType]) -> None:
    """Deliver everything of these kinds to all until nothing is left; drop the rest."""
    while messages := [message for operator in operators for message in operator.take()]:
        for message, operator in itertools.product(messages, operators):
            instance = operator.controller.instance(HEIGHT)
            finished = instance is None or instance.state.decided
            if decode(message).msg_type in kinds and len(message.operator_ids) == 1 and not finished:
                operator.controller.process(message)


def test_a_value_prepared_by_a_quorum_is_what_later_leaders_propose() -> None:
    operators = start_all(b"one", b"two", b"three", b"four")
    exchange(operators, {QBFTMessageType.PROPOSAL, QBFTMessageType.PREPARE})  # all prepared, all commits lost
    for operator in operators:
        operator.controller.time_out(HEIGHT, Round(1))
    round_changes = [message for operator in operators for message in operator.take()]
    assert [(decode(m).round, decode(m).data_round, m.full_data) for m in round_changes] == [(2, 1, b"one")] * 4
    for message, operator in itertools.product(round_changes, operators):
        operator.controller.process(message)
    [proposal] = operators[1].take()
    assert (proposal.full_data, decode(proposal).round) == (b"one", 2)
    operators[1].sent.append(proposal)
    exchange(operators, set(QBFTMessageType))
    for operator in operators:
        instance = operator.controller.instance(HEIGHT)
        assert instance is not None
        assert (instance.state.decided, instance.state.decided_value, instance.state.round) == (True, b"one", 2)


def test_a_leader_cannot_propose_another_value_than_the_one_prepared() -> None:
    operators = start_all(b"one", b"two", b"three", b"four")
    exchange(operators, {QBFTMessageType.PROPOSAL, QBFTMessageType.PREPARE})
    for operator in operators:
        operator.controller.time_out(HEIGHT, Round(1))
    round_changes = [operator.take()[0] for operator in operators]
    justification = tuple(message.without_full_data().encode() for message in round_changes)
    forged = replace(
        content(QBFTMessageType.PROPOSAL, 2, b"two"),
        round_change_justification=justification,
        prepare_justification=decode(round_changes[0]).round_change_justification,
    )
    with pytest.raises(ProtocolError) as caught:
        operators[0].controller.process(signed(2, forged, b"two"))
    assert caught.value.outermost_code == ErrorCode.ROOT_HASH_INVALID
    # Without the round changes of those who had prepared there is no quorum.
    forged = replace(forged, round_change_justification=justification[:2], prepare_justification=())
    with pytest.raises(ProtocolError) as caught:
        operators[0].controller.process(signed(2, forged, b"two"))
    assert caught.value.outermost_code == ErrorCode.ROOT_HASH_INVALID


def test_a_prepared_claim_without_proof_is_refused() -> None:
    [operator] = start_all(b"one", b"two", b"three", b"four")[:1]
    claim = replace(content(QBFTMessageType.ROUND_CHANGE, 3, b"evil"), data_round=Round(2))
    with pytest.raises(ProtocolError) as caught:
        operator.controller.process(signed(2, claim, b"evil"))
    assert caught.value.code == ErrorCode.JUSTIFICATIONS_NO_QUORUM_INVALID


def test_f_plus_one_round_changes_pull_along_to_the_earliest_round() -> None:
    [operator] = start_all(b"one", b"two", b"three", b"four")[:1]
    operator.take()
    empty = replace(content(QBFTMessageType.ROUND_CHANGE), root=Root(bytes(32)))
    operator.controller.process(signed(2, replace(empty, round=Round(5))))
    assert operator.take() == []
    operator.controller.process(signed(3, replace(empty, round=Round(3))))
    assert [(decode(m).msg_type, decode(m).round) for m in operator.take()] == [(QBFTMessageType.ROUND_CHANGE, 3)]
    assert operator.armed == [1, 3]


def test_the_cut_off_stops_all_but_decided_messages() -> None:
    operators = start_all(b"one", b"two", b"three", b"four")
    exchange(operators[:1], {QBFTMessageType.PROPOSAL})
    last = operators[3]
    for round_ in range(1, 12):
        last.controller.time_out(HEIGHT, Round(round_))
    assert [decode(message).round for message in last.take()] == list(range(2, 13))
    with pytest.raises(ProtocolError) as caught:
        last.controller.time_out(HEIGHT, Round(12))
    assert caught.value.code == ErrorCode.TIMEOUT_INSTANCE
    with pytest.raises(ProtocolError) as caught:
        last.controller.process(signed(1, content(QBFTMessageType.PROPOSAL, 13), b"value"))
    assert caught.value.code == ErrorCode.INSTANCE_STOPPED_PROCESSING_MESSAGES
    commits = [signed(operator_id, content(QBFTMessageType.COMMIT)) for operator_id in (1, 2, 3)]
    decided = replace(
        commits[0],
        signatures=tuple(commit.signatures[0] for commit in commits),
        operator_ids=tuple(commit.operator_ids[0] for commit in commits),
        full_data=b"value",
    )
    assert last.controller.process(decided) == decided
    assert last.controller.process(decided) is None


def test_another_height_stops_the_one_before_and_a_small_store_forgets_it() -> None:
    operator = Operator(2)
    controller = Controller(operator.controller.context, capacity=2)
    for height in (1, 2, 3):
        controller.start(Slot(height), b"value")
    assert [(i.state.height, i.force_stopped) for i in controller.instances] == [(3, False), (2, True)]
    with pytest.raises(ProtocolError) as caught:
        controller.start(Slot(2), b"value")
    assert caught.value.code == ErrorCode.START_INSTANCE


def test_a_decided_message_with_a_forged_signature_is_refused() -> None:
    operator = Operator(2)
    operator.controller.start(HEIGHT, b"value")
    commits = [signed(operator_id, content(QBFTMessageType.COMMIT)) for operator_id in (1, 3)]
    forged = replace(
        commits[0],
        signatures=(*(commit.signatures[0] for commit in commits), bytes(256)),
        operator_ids=(OperatorId(1), OperatorId(3), OperatorId(4)),
        full_data=b"value",
    )
    with pytest.raises(ProtocolError) as caught:
        operator.controller.process(forged)
    assert caught.value.code == ErrorCode.MESSAGE_SIGNATURE_INVALID


messages = st.builds(
    lambda operator_id, kind, round_, value, data_round, height, extra: signed(
        operator_id,
        replace(
            content(QBFTMessageType(kind), round_, value),
            data_round=Round(data_round),
            height=Slot(height),
            round_change_justification=extra,
        ),
        value if kind in {0, 3} else b"",
    ),
    st.integers(1, 5),
    st.sampled_from([0, 0, 1, 1, 1, 2, 2, 2, 3, 3]),
    st.integers(1, 3),
    st.sampled_from([b"one", b"two", REFUSED]),
    st.sampled_from([0, 0, 0, 1, 2]),
    st.sampled_from([7, 7, 7, 7, 8]),
    st.sampled_from([(), (), (b"\x01",)]),
)


@given(st.lists(st.one_of(messages, st.just(None)), max_size=40), st.sampled_from(IDS))
@settings(max_examples=200, deadline=None)
def test_any_messages_leave_a_sound_state(sequence: list[SignedSSVMessage | None], own: int) -> None:
    """Whatever comes: only ProtocolError, a decision is final, rounds never go back, one message a kind and round."""
    operator = Operator(own)
    instance = operator.controller.start(HEIGHT, b"one")
    decided: bytes | None = None
    for message in sequence:
        before = instance.state.round
        try:
            if message is None:
                operator.controller.time_out(HEIGHT, instance.state.round)
            else:
                operator.controller.process(message)
        except ProtocolError:
            pass
        assert instance.state.round >= before
        if decided is not None:
            assert instance.state.decided_value == decided
        decided = instance.state.decided_value
        assert decided != REFUSED
    sent = [(decode(m).msg_type, decode(m).round) for m in operator.sent if len(m.operator_ids) == 1]
    assert len(set(sent)) == len(sent)


def processing(operator_ids: tuple[int, ...], value: bytes = b"value", round_: int = 1) -> ProcessingMessage:
    commit = content(QBFTMessageType.COMMIT, round_, value)
    inner = SSVMessage(MsgType.CONSENSUS, IDENTIFIER, commit.encode())
    ids = tuple(map(OperatorId, operator_ids))
    return ProcessingMessage(SignedSSVMessage((b"s",) * len(ids), ids, inner), commit)


def test_one_message_per_set_of_signers_and_round_counts() -> None:
    container = MessageContainer()
    assert container.add_first(processing((1,)))
    assert not container.add_first(processing((1,), b"other value"))
    assert container.add_first(processing((1,), round_=2))
    assert container.add_first(processing((2, 1)))
    assert not container.add_first(processing((1, 2)))
    assert [message.signers for message in container.of_round(Round(1))] == [(1,), (2, 1)]
    assert container.rounds == (1, 2)
    assert distinct_signers(container) == 2


signer_sets = st.lists(st.sets(st.integers(1, 7), min_size=1, max_size=4).map(tuple), max_size=7)


@given(signer_sets)
def test_longest_unique_signers(sets: list[tuple[int, ...]]) -> None:
    container = MessageContainer()
    for operator_ids in sets:
        container.add(processing(operator_ids))
        container.add(processing(operator_ids, b"other"))
    signers, collected = container.longest_unique_signers(Round(1), hash_value(b"value"))
    assert [signer for message in collected for signer in message.signers] == list(signers)
    assert len(set(signers)) == len(signers)
    assert all(message.content.root == hash_value(b"value") for message in collected)
    if sets:
        assert len(signers) >= max(map(len, sets))
    if all(len(operator_ids) == 1 for operator_ids in sets):
        assert set(signers) == {operator_id for (operator_id,) in sets}


@pytest.mark.parametrize(
    ("round_", "elapsed", "length"), [(1, 2, 2), (2, 4, 2), (8, 16, 2), (9, 136, 120), (12, 496, 120)]
)
def test_round_lengths(round_: int, elapsed: float, length: float) -> None:
    timings = RoundTimings()
    assert (timings.elapsed_after(Round(round_)), timings.length_of(Round(round_))) == (elapsed, length)

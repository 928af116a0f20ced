"""Operators that prepared different values in different rounds: no vector shows how the committee comes out of it."""

from dataclasses import replace

import pytest
from committee_network import DOMAIN, FakeKeys, make_member

from ssv_pool.protocol.qbft import Context, Controller, hash_value
from ssv_pool.protocol.types.errors import ErrorCode, ProtocolError
from ssv_pool.protocol.types.ids import committee_message_id
from ssv_pool.protocol.types.messages import QBFTMessage, SignedSSVMessage, SSVMessage
from ssv_pool.protocol.types.primitives import OperatorId, Root, Round, Slot
from ssv_pool.protocol.types.roles import MsgType, QBFTMessageType, RunnerRole

IDS = (1, 2, 3, 4)
HEIGHT = Slot(7)
IDENTIFIER = committee_message_id(DOMAIN, RunnerRole.COMMITTEE, make_member(IDS, 1).committee_id)
FIRST, SECOND = b"prepared in round 1", b"prepared in round 2"


class Operator:
    """A controller and what it sent. Operator r leads round r."""

    def __init__(self, own: int, refused: bytes = b"") -> None:
        self.sent: list[SignedSSVMessage] = []
        self.refused = refused
        self.controller = Controller(
            Context(
                member=make_member(IDS, own),
                identifier=IDENTIFIER,
                keys=FakeKeys(own),
                leader=lambda height, round_: OperatorId(IDS[(round_ - 1) % 4]),
                check_value=self.check_value,
                output=self,
            )
        )
        self.instance = self.controller.start(HEIGHT, b"own %d" % own)
        self.take()

    def check_value(self, value: bytes) -> None:
        if value == self.refused:
            raise ProtocolError("refused", ErrorCode.QBFT_VALUE_INVALID)

    def broadcast(self, message: SignedSSVMessage) -> None:
        self.sent.append(message)

    def arm_round_timer(self, height: Slot, round_: Round) -> None:
        pass

    def take(self) -> list[SignedSSVMessage]:
        sent, self.sent = self.sent, []
        return sent

    def receive(self, *messages: SignedSSVMessage) -> list[SignedSSVMessage]:
        for message in messages:
            self.controller.process(message)
        return self.take()

    def time_out(self) -> SignedSSVMessage:
        self.controller.time_out(HEIGHT, self.instance.state.round)
        [message] = self.take()
        return message

    def prepare(self, value: bytes, round_: int) -> None:
        """Have it prepare a value in the round it is in."""
        changes = [asks(operator_id, round_) for operator_id in IDS[1:]] if round_ > 1 else []
        proposed = replace(
            content(QBFTMessageType.PROPOSAL, round_, value), round_change_justification=encoded(changes)
        )
        sent = self.receive(signed(round_, proposed, value), *prepares(value, round_))
        assert [decode(message).msg_type for message in sent] == [QBFTMessageType.PREPARE, QBFTMessageType.COMMIT]


def signed(operator_id: int, content: QBFTMessage, full_data: bytes = b"") -> SignedSSVMessage:
    inner = SSVMessage(MsgType.CONSENSUS, IDENTIFIER, content.encode())
    return SignedSSVMessage((FakeKeys(operator_id).sign(inner.encode()),), (OperatorId(operator_id),), inner, full_data)


def content(kind: QBFTMessageType, round_: int, value: bytes) -> QBFTMessage:
    return QBFTMessage(kind, HEIGHT, Round(round_), IDENTIFIER, hash_value(value))


def encoded(messages: list[SignedSSVMessage]) -> tuple[bytes, ...]:
    return tuple(message.without_full_data().encode() for message in messages)


def decode(message: SignedSSVMessage) -> QBFTMessage:
    return QBFTMessage.decode(message.ssv_message.data)


def prepares(value: bytes, round_: int) -> list[SignedSSVMessage]:
    return [signed(operator_id, content(QBFTMessageType.PREPARE, round_, value)) for operator_id in (1, 2, 3)]


def asks(operator_id: int, round_: int, value: bytes = b"", prepared: int = 0) -> SignedSSVMessage:
    """An operator's round change, with what it prepared in which round."""
    asked = replace(content(QBFTMessageType.ROUND_CHANGE, round_, value), root=Root(bytes(32)))
    if prepared:
        asked = replace(
            asked,
            root=hash_value(value),
            data_round=Round(prepared),
            round_change_justification=encoded(prepares(value, prepared)),
        )
    return signed(operator_id, asked, value)


def in_round_three(own: int, refused: bytes = b"") -> Operator:
    operator = Operator(own, refused)
    operator.time_out()
    operator.time_out()
    return operator


def summary(message: SignedSSVMessage) -> tuple[bytes, list[int], set[int]]:
    """What a proposal proposes, whose round changes it brings, and the rounds of its prepares."""
    proposal = decode(message)
    assert (proposal.msg_type, proposal.round) == (QBFTMessageType.PROPOSAL, 3)
    changes = [SignedSSVMessage.decode(raw) for raw in proposal.round_change_justification]
    proof = [decode(SignedSSVMessage.decode(raw)) for raw in proposal.prepare_justification]
    return message.full_data, [change.operator_ids[0] for change in changes], {prepare.round for prepare in proof}


def test_the_leader_leaves_out_what_does_not_fit_the_value_prepared_last() -> None:
    leader = in_round_three(3)
    assert leader.receive(asks(1, 3, FIRST, 1), asks(2, 3, SECOND, 2), asks(4, 3, SECOND, 2)) == []
    [proposal] = leader.receive(asks(3, 3))
    assert summary(proposal) == (SECOND, [2, 4, 3], {2})
    for own in IDS:
        follower = in_round_three(own)
        assert [decode(message).msg_type for message in follower.receive(proposal)] == [QBFTMessageType.PREPARE]


def test_without_choice_it_takes_the_value_prepared_before() -> None:
    leader = in_round_three(3, refused=SECOND)
    assert leader.receive(asks(2, 3, SECOND, 2), asks(1, 3, FIRST, 1), asks(4, 3)) == []
    [proposal] = leader.receive(asks(3, 3))
    assert summary(proposal) == (FIRST, [1, 4, 3], {1})


def test_a_quorum_that_prepared_nothing_leaves_the_choice_to_the_leader() -> None:
    leader = in_round_three(3, refused=FIRST)
    assert leader.receive(asks(1, 3, FIRST, 1), asks(2, 3), asks(4, 3)) == []
    [proposal] = leader.receive(asks(3, 3))
    assert summary(proposal) == (b"own 3", [2, 4, 3], set())


def test_it_proposes_once_a_round() -> None:
    leader = in_round_three(3)
    [proposal] = leader.receive(asks(1, 3, FIRST, 1), asks(2, 3), asks(4, 3))
    assert summary(proposal) == (FIRST, [1, 2, 4], {1})
    assert leader.receive(asks(3, 3)) == []


def test_only_the_leader_chooses() -> None:
    follower = in_round_three(4)
    assert follower.receive(asks(1, 3, FIRST, 1), asks(2, 3, SECOND, 2), asks(3, 3), asks(4, 3)) == []


def test_what_was_prepared_later_takes_the_place_of_what_was_prepared_here() -> None:
    operator = Operator(1)
    operator.prepare(FIRST, 1)
    own = decode(operator.time_out())
    assert (own.round, own.root, own.data_round) == (2, hash_value(FIRST), 1)
    operator.time_out()
    assert operator.receive(asks(2, 3, SECOND, 2)) == []
    asked = operator.time_out()
    changed = decode(asked)
    assert (changed.round, changed.root, changed.data_round, asked.full_data) == (4, hash_value(SECOND), 2, SECOND)
    assert changed.round_change_justification == encoded(prepares(SECOND, 2))
    assert operator.instance.state.last_prepared_value == FIRST  # the state is the specification's
    # It is a valid round change: with it the next leader has its quorum.
    leader = Operator(4)
    for _ in range(3):
        leader.time_out()
    [proposal] = leader.receive(asked, asks(2, 4, SECOND, 2), asks(3, 4, SECOND, 2))
    assert proposal.full_data == SECOND
    # What it prepares itself after that counts again.
    assert operator.receive(asks(3, 4, FIRST, 1)) == []
    assert decode(operator.time_out()).data_round == 2


@pytest.mark.parametrize(
    ("prepared_here", "refused", "shown"),
    [
        ((), b"", asks(2, 4, SECOND, 2)),  # nothing prepared here: fits every proof as it is
        ((FIRST, 1), SECOND, asks(2, 4, SECOND, 2)),  # the own check refuses it
        ((SECOND, 2), b"", asks(2, 4, FIRST, 1)),  # prepared before, not later
        ((FIRST, 1), b"", asks(2, 4)),  # nothing shown
    ],
)
def test_else_an_operator_keeps_to_what_it_prepared(
    prepared_here: tuple[bytes, int] | tuple[()], refused: bytes, shown: SignedSSVMessage
) -> None:
    operator = Operator(1, refused)
    value, round_ = prepared_here or (b"", 0)
    for number in (1, 2):
        if number == round_:
            operator.prepare(value, number)
        operator.time_out()
    operator.receive(shown)
    asked = decode(operator.time_out())
    assert (asked.round, asked.data_round, asked.root) == (4, round_, hash_value(value) if round_ else bytes(32))


def test_a_claim_without_proof_is_not_taken_over() -> None:
    operator = Operator(1)
    operator.prepare(FIRST, 1)
    operator.time_out()
    operator.time_out()
    claim = replace(content(QBFTMessageType.ROUND_CHANGE, 3, b"evil"), data_round=Round(2))
    with pytest.raises(ProtocolError):
        operator.receive(signed(2, claim, b"evil"))
    assert decode(operator.time_out()).root == hash_value(FIRST)

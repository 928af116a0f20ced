"""The prepares that prove a proposal of a later round, each rule about them broken alone: no vector shows these."""

from dataclasses import replace

import pytest
from committee_network import DOMAIN, FakeKeys, make_member

from ssv_pool.protocol.qbft import Context, Controller, hash_value
from ssv_pool.protocol.types.errors import ErrorCode, ProtocolError
from ssv_pool.protocol.types.ids import committee_message_id
from ssv_pool.protocol.types.messages import QBFTMessage, SignedSSVMessage, SSVMessage
from ssv_pool.protocol.types.primitives import CommitteeId, OperatorId, Root, Round, Slot
from ssv_pool.protocol.types.roles import MsgType, QBFTMessageType, RunnerRole

IDS = (1, 2, 3, 4)
HEIGHT = Slot(7)
MEMBER = make_member(IDS, 4)
IDENTIFIER = committee_message_id(DOMAIN, RunnerRole.COMMITTEE, MEMBER.committee_id)
OTHER_ROLE = committee_message_id(DOMAIN, RunnerRole.AGGREGATOR_COMMITTEE, MEMBER.committee_id)
VALUE = b"value"


class Silent:
    def broadcast(self, message: SignedSSVMessage) -> None:
        self.last = message

    def arm_round_timer(self, height: Slot, round_: Round) -> None:
        pass


def signed(operator_id: int, content: QBFTMessage, full_data: bytes = b"") -> SignedSSVMessage:
    inner = SSVMessage(MsgType.CONSENSUS, IDENTIFIER, content.encode())
    return SignedSSVMessage((FakeKeys(operator_id).sign(inner.encode()),), (OperatorId(operator_id),), inner, full_data)


def content(kind: QBFTMessageType, round_: int) -> QBFTMessage:
    return QBFTMessage(kind, HEIGHT, Round(round_), IDENTIFIER, hash_value(VALUE))


def round_change(operator_id: int, **changed: object) -> SignedSSVMessage:
    """Asks for round 2, having prepared nothing; ``changed`` fields differ."""
    asked = replace(content(QBFTMessageType.ROUND_CHANGE, 2), root=Root(bytes(32)))
    return signed(operator_id, replace(asked, **changed))


def proposal_after(round_changes: list[SignedSSVMessage]) -> SignedSSVMessage:
    """Operator 2's in round 2, because of these round changes alone."""
    proposed = content(QBFTMessageType.PROPOSAL, 2)
    return signed(2, replace(proposed, round_change_justification=encoded(round_changes)), VALUE)


def encoded(messages: list[SignedSSVMessage]) -> tuple[bytes, ...]:
    return tuple(message.without_full_data().encode() for message in messages)


def prepares(*operator_ids: int) -> list[SignedSSVMessage]:
    return [signed(operator_id, content(QBFTMessageType.PREPARE, 1)) for operator_id in operator_ids]


def proposal(proof: list[SignedSSVMessage]) -> SignedSSVMessage:
    """Operator 2's in round 2, which operators 1 to 3 asked for, all having prepared; with ``proof``."""
    asked = replace(
        content(QBFTMessageType.ROUND_CHANGE, 2),
        data_round=Round(1),
        round_change_justification=encoded(prepares(1, 2, 3)),
    )
    proposed = replace(
        content(QBFTMessageType.PROPOSAL, 2),
        round_change_justification=encoded([signed(operator_id, asked, VALUE) for operator_id in (1, 2, 3)]),
        prepare_justification=encoded(proof),
    )
    return signed(2, proposed, VALUE)


def take(message: SignedSSVMessage) -> Controller:
    controller = Controller(
        Context(
            member=MEMBER,
            identifier=IDENTIFIER,
            keys=FakeKeys(4),
            leader=lambda height, round_: OperatorId(IDS[(round_ - 1) % 4]),
            check_value=lambda value: None,
            output=Silent(),
        )
    )
    controller.start(HEIGHT, b"own")
    controller.process(message)
    return controller


def test_a_quorum_of_prepares_proves_it() -> None:
    instance = take(proposal(prepares(1, 2, 3))).instance(HEIGHT)
    assert instance is not None
    assert (instance.state.round, instance.state.accepted_proposal is not None) == (2, True)


@pytest.mark.parametrize("proof", [[], prepares(1, 2), prepares(1, 2) + prepares(2)])
def test_fewer_than_a_quorum_of_operators_do_not(proof: list[SignedSSVMessage]) -> None:
    with pytest.raises(ProtocolError, match=r"^prepares of [02] operators, expected 3$"):
        take(proposal(proof))


def test_each_of_their_signatures_counts() -> None:
    first, second, third = prepares(1, 2, 3)
    forged = replace(third, signatures=(bytes(256),))
    with pytest.raises(ProtocolError) as caught:
        take(proposal([first, second, forged]))
    assert caught.value.outermost_code == ErrorCode.PREPARE_MESSAGE_INVALID


def test_prepares_of_another_round_do_not() -> None:
    others = [signed(operator_id, content(QBFTMessageType.PREPARE, 2)) for operator_id in (1, 2, 3)]
    with pytest.raises(ProtocolError) as caught:
        take(proposal(others))
    assert caught.value.outermost_code == ErrorCode.PREPARE_MESSAGE_INVALID


def test_a_quorum_of_round_changes_justifies_it() -> None:
    instance = take(proposal_after([round_change(number) for number in (1, 2, 3)])).instance(HEIGHT)
    assert instance is not None
    assert (instance.state.round, instance.state.accepted_proposal is not None) == (2, True)


@pytest.mark.parametrize("senders", [(), (1,), (1, 2), (1, 2, 2), (2, 2, 2)])
def test_round_changes_of_fewer_than_a_quorum_of_operators_justify_nothing(senders: tuple[int, ...]) -> None:
    with pytest.raises(ProtocolError):
        take(proposal_after([round_change(number) for number in senders]))


def test_a_round_change_that_somebody_else_signed_justifies_nothing() -> None:
    first, second, third = (round_change(number) for number in (1, 2, 3))
    with pytest.raises(ProtocolError):
        take(proposal_after([first, second, replace(third, operator_ids=(OperatorId(4),))]))


@pytest.mark.parametrize(
    "replayed",
    [
        {"height": Slot(6)},
        {"round": Round(3)},
        {"round": Round(1)},
        {"identifier": OTHER_ROLE},
        {"identifier": committee_message_id(DOMAIN, RunnerRole.COMMITTEE, CommitteeId(b"\x01" * 32))},
    ],
    ids=["earlier duty", "later round", "earlier round", "other role", "other committee"],
)
def test_round_changes_of_another_duty_or_round_are_no_justification(replayed: dict[str, object]) -> None:
    """Replay: well signed by a quorum, but said of something else."""
    with pytest.raises(ProtocolError):
        take(proposal_after([round_change(number, **replayed) for number in (1, 2, 3)]))


@pytest.mark.parametrize(
    "replayed", [{"height": Slot(6)}, {"identifier": OTHER_ROLE}], ids=["earlier duty", "other role"]
)
def test_prepares_of_another_duty_prove_nothing(replayed: dict[str, object]) -> None:
    """Replay: a quorum did prepare this value, in another duty."""
    other = replace(content(QBFTMessageType.PREPARE, 1), **replayed)
    with pytest.raises(ProtocolError) as caught:
        take(proposal([signed(number, other) for number in (1, 2, 3)]))
    assert caught.value.outermost_code == ErrorCode.PREPARE_MESSAGE_INVALID

"""What the controller refuses before any instance sees it."""

from dataclasses import replace

import pytest
from committee_network import DOMAIN, FakeKeys, make_member

from ssv_pool.protocol.qbft import Context, Controller, hash_value
from ssv_pool.protocol.types.errors import ErrorCode, ProtocolError
from ssv_pool.protocol.types.ids import committee_message_id
from ssv_pool.protocol.types.messages import QBFTMessage, SignedSSVMessage, SSVMessage
from ssv_pool.protocol.types.primitives import OperatorId, Round, Slot
from ssv_pool.protocol.types.roles import MsgType, QBFTMessageType, RunnerRole

MEMBER = make_member((1, 2, 3, 4), 2)
IDENTIFIER = committee_message_id(DOMAIN, RunnerRole.COMMITTEE, MEMBER.committee_id)
PROPOSAL = QBFTMessage(QBFTMessageType.PROPOSAL, Slot(7), Round(1), IDENTIFIER, hash_value(b"value"))


class Sent(list[SignedSSVMessage]):
    def broadcast(self, message: SignedSSVMessage) -> None:
        self.append(message)

    def arm_round_timer(self, height: Slot, round_: Round) -> None:
        pass


def process(content: QBFTMessage) -> Sent:
    sent = Sent()
    controller = Controller(
        Context(
            member=MEMBER,
            identifier=IDENTIFIER,
            keys=FakeKeys(2),
            leader=lambda height, round_: OperatorId(1),
            check_value=lambda value: None,
            output=sent,
        )
    )
    controller.start(Slot(7), b"own")
    inner = SSVMessage(MsgType.CONSENSUS, IDENTIFIER, content.encode())
    controller.process(SignedSSVMessage((FakeKeys(1).sign(inner.encode()),), (OperatorId(1),), inner, b"value"))
    return sent


def test_a_message_of_another_executor_is_refused() -> None:
    assert len(process(PROPOSAL)) == 1
    other = committee_message_id(DOMAIN, RunnerRole.COMMITTEE, make_member((1, 2, 3, 5), 2).committee_id)
    with pytest.raises(ProtocolError) as caught:
        process(replace(PROPOSAL, identifier=other))
    assert caught.value.outermost_code == ErrorCode.MESSAGE_IDENTIFIER_INVALID

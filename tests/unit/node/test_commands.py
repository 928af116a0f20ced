"""Commands as events."""

from committee_network import make_duty, validator_key, vote

from ssv_pool.messaging.commands import (
    BeaconAnswer,
    BeginAggregatorCommitteeDuty,
    BeginValidatorDuty,
    StartCommitteeDuty,
)
from ssv_pool.node.commands import reply_of, start_of
from ssv_pool.protocol.events import BeaconReply, StartAggregatorCommitteeDuty, StartDuty, StartValidatorDuty
from ssv_pool.protocol.types.aggregator_committee import AggregatorCommitteeDuty
from ssv_pool.protocol.types.duties import ValidatorDuty
from ssv_pool.protocol.types.roles import BeaconRole

COMMITTEE = bytes(32)
TIMES = (1.0, 2.0, 3.0)


def test_every_start_becomes_the_event_of_its_duty():
    duty = make_duty(5, 2, sync=(1,))
    assert start_of(StartCommitteeDuty("k", COMMITTEE, 5, duty.validator_duties, vote(), *TIMES)) == StartDuty(
        duty, vote(), *TIMES, "k"
    )
    block = ValidatorDuty(BeaconRole.PROPOSER, validator_key(1), 5, 1)
    assert start_of(BeginValidatorDuty("k", COMMITTEE, block, *TIMES)) == StartValidatorDuty(block, *TIMES, "k")
    aggregation = ValidatorDuty(BeaconRole.AGGREGATOR, validator_key(1), 5, 1)
    assert start_of(
        BeginAggregatorCommitteeDuty("k", COMMITTEE, 5, (aggregation,), *TIMES)
    ) == StartAggregatorCommitteeDuty(AggregatorCommitteeDuty(5, (aggregation,)), *TIMES, "k")


def test_an_answer_becomes_a_reply():
    answer = BeaconAnswer("ask:7", COMMITTEE, b"", "7", b"block", 6, "", 9.0)
    assert reply_of(answer) == BeaconReply("7", b"block", 6, "")
    failure = BeaconAnswer("ask:7", COMMITTEE, b"", "7", b"", 0, "503", 9.0)
    assert reply_of(failure) == BeaconReply("7", error="503")

"""Commands of the workers as events of the core."""

from ssv_pool.messaging.commands import (
    BeaconAnswer,
    BeginAggregatorCommitteeDuty,
    BeginValidatorDuty,
    StartCommand,
    StartCommitteeDuty,
)
from ssv_pool.protocol.events import (
    BeaconReply,
    StartAggregatorCommitteeDuty,
    StartDuty,
    StartEvent,
    StartValidatorDuty,
)
from ssv_pool.protocol.types.aggregator_committee import AggregatorCommitteeDuty
from ssv_pool.protocol.types.duties import CommitteeDuty


def start_of(command: StartCommand) -> StartEvent:
    """The event that begins the command's duty."""
    due, begun, deadline, key = command.due, command.begun, command.deadline, command.key
    match command:
        case StartCommitteeDuty():
            duty = CommitteeDuty(command.slot, command.validator_duties)
            return StartDuty(duty, command.beacon_vote, due, begun, deadline, key)
        case BeginValidatorDuty():
            return StartValidatorDuty(command.duty, due, begun, deadline, key)
        case BeginAggregatorCommitteeDuty():
            aggregations = AggregatorCommitteeDuty(command.slot, command.validator_duties)
            return StartAggregatorCommitteeDuty(aggregations, due, begun, deadline, key)


def reply_of(answer: BeaconAnswer) -> BeaconReply:
    """The event that hands a beacon node's answer over."""
    return BeaconReply(answer.request_id, answer.payload, answer.version, answer.error)

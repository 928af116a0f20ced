"""The beginning of a proposal: a command at the slot's start.

The beacon node is asked for the block later, when the operators have made the RANDAO reveal together.
"""

from collections.abc import Sequence

from ssv_pool.beacon.window import SlotWindow
from ssv_pool.messaging.commands import BeginValidatorDuty, validator_duty_key
from ssv_pool.protocol.chain import BeaconChain
from ssv_pool.protocol.types.duties import ValidatorDuty
from ssv_pool.protocol.types.primitives import CommitteeId
from ssv_pool.protocol.types.roles import BeaconRole


def proposal_commands(
    chain: BeaconChain, window: SlotWindow, proposals: Sequence[tuple[CommitteeId, ValidatorDuty]]
) -> list[BeginValidatorDuty]:
    """One command for each proposal. A block that is not out when the next slot begins is worth nothing.

    Args:
        chain: the beacon chain's constants.
        window: the slot.
        proposals: each with the proposer's committee.
    """
    return [
        BeginValidatorDuty(
            key=validator_duty_key(BeaconRole.PROPOSER, window.slot, duty.pubkey),
            committee_id=committee_id,
            duty=duty,
            due=window.due,
            begun=window.begun,
            deadline=chain.start_of(window.slot + 1),
        )
        for committee_id, duty in proposals
    ]

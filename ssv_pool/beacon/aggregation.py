"""The beginning of aggregation, at the slot's start: by validator in Alan, by committee in Boole (PROTOCOL 3.6 to 3.9).

Selection proofs are signed at once; what is aggregated is fetched two thirds into the slot.
"""

from collections.abc import Sequence

from ssv_pool.beacon.attester import sync_deadline
from ssv_pool.beacon.window import SlotWindow
from ssv_pool.messaging.commands import (
    BeginAggregatorCommitteeDuty,
    BeginValidatorDuty,
    aggregator_committee_key,
    validator_duty_key,
)
from ssv_pool.protocol.chain import BeaconChain
from ssv_pool.protocol.forks import ForkSchedule
from ssv_pool.protocol.types.duties import ValidatorDuty
from ssv_pool.protocol.types.primitives import CommitteeId
from ssv_pool.protocol.types.roles import BeaconRole, RunnerRole

_ORDER = {BeaconRole.AGGREGATOR: 0, BeaconRole.SYNC_COMMITTEE_CONTRIBUTION: 1}


def aggregation_commands(
    chain: BeaconChain,
    forks: ForkSchedule,
    window: SlotWindow,
    aggregations: Sequence[tuple[CommitteeId, ValidatorDuty]],
) -> list[BeginValidatorDuty] | list[BeginAggregatorCommitteeDuty]:
    """The commands for a slot's aggregators and contributors.

    Args:
        chain: the beacon chain's constants.
        forks: which protocol version the slot's epoch has.
        window: the slot.
        aggregations: AGGREGATOR and SYNC_COMMITTEE_CONTRIBUTION duties, each with the validator's committee.
    """
    if RunnerRole.AGGREGATOR_COMMITTEE in forks.at_epoch(chain.epoch_of(window.slot)).roles:
        return _by_committee(chain, window, aggregations)
    return [
        BeginValidatorDuty(
            key=validator_duty_key(BeaconRole(duty.type), window.slot, duty.pubkey),
            committee_id=committee_id,
            duty=duty,
            due=window.due,
            begun=window.begun,
            deadline=_deadline(chain, [duty]),
        )
        for committee_id, duty in aggregations
    ]


def _by_committee(
    chain: BeaconChain, window: SlotWindow, aggregations: Sequence[tuple[CommitteeId, ValidatorDuty]]
) -> list[BeginAggregatorCommitteeDuty]:
    grouped: dict[CommitteeId, list[ValidatorDuty]] = {}
    for committee_id, duty in aggregations:
        grouped.setdefault(committee_id, []).append(duty)
    return [
        BeginAggregatorCommitteeDuty(
            key=aggregator_committee_key(window.slot, committee_id),
            committee_id=committee_id,
            slot=window.slot,
            validator_duties=tuple(
                sorted(duties, key=lambda duty: (_ORDER[BeaconRole(duty.type)], duty.validator_index))
            ),
            due=window.due,
            begun=window.begun,
            deadline=_deadline(chain, duties),
        )
        for committee_id, duties in sorted(grouped.items())
    ]


def _deadline(chain: BeaconChain, duties: Sequence[ValidatorDuty]) -> float:
    """An aggregate is worth something for an epoch, a contribution until the slot's end."""
    slot = duties[0].slot
    aggregates = any(duty.type == BeaconRole.AGGREGATOR for duty in duties)
    return chain.start_of(slot + chain.slots_per_epoch) if aggregates else sync_deadline(chain, slot)

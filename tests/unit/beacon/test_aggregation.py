from ssv_pool.beacon.aggregation import aggregation_commands
from ssv_pool.beacon.proposals import proposal_commands
from ssv_pool.beacon.window import SlotWindow
from ssv_pool.messaging.commands import BeginAggregatorCommitteeDuty, BeginValidatorDuty
from ssv_pool.protocol.chain import BeaconChain, ForkVersion
from ssv_pool.protocol.forks import ForkSchedule, alan_fork, boole_fork
from ssv_pool.protocol.types import BeaconRole, ValidatorDuty

CHAIN = BeaconChain(1000.0, bytes(32), 1000, 8, (ForkVersion(0, bytes(4), "fulu"),))
ALAN = alan_fork(bytes(4))
# Boole from epoch 2, slot 16, on.
FORKS = ForkSchedule(ALAN, boole_fork(bytes([1]) * 4, "devnet", 8), 2)
FIRST, SECOND = bytes([1]) * 32, bytes([2]) * 32


def window(slot):
    return SlotWindow(slot, 1000.0 + slot, 1000.25 + slot, 1001.0 + slot)


def duty(role, index, slot):
    places = (index,) if role is BeaconRole.SYNC_COMMITTEE_CONTRIBUTION else ()
    return ValidatorDuty(int(role), bytes([index]) * 48, slot, index, validator_sync_committee_indices=places)


def found(slot):
    aggregator, contributor = BeaconRole.AGGREGATOR, BeaconRole.SYNC_COMMITTEE_CONTRIBUTION
    return [
        (SECOND, duty(contributor, 5, slot)),
        (FIRST, duty(contributor, 3, slot)),
        (FIRST, duty(aggregator, 4, slot)),
        (FIRST, duty(aggregator, 2, slot)),
    ]


def test_in_alan_every_validator_has_a_duty_of_its_own():
    commands = aggregation_commands(CHAIN, FORKS, window(15), found(15))
    assert commands[0] == BeginValidatorDuty(
        key=f"sync_committee_contribution:15:{'05' * 48}",
        committee_id=SECOND,
        duty=duty(BeaconRole.SYNC_COMMITTEE_CONTRIBUTION, 5, 15),
        due=1015.0,
        begun=1015.25,
        # The next slot's proposer has it by then or not.
        deadline=1016.5,
    )
    assert [(command.key[:13], command.deadline) for command in commands[2:]] == [("aggregator:15", 1023.0)] * 2
    assert len(commands) == 4


def test_in_boole_a_committee_has_one_duty_aggregators_first():
    commands = aggregation_commands(CHAIN, FORKS, window(16), found(16))
    assert commands == [
        BeginAggregatorCommitteeDuty(
            key=f"aggregator_committee:16:{'01' * 32}",
            committee_id=FIRST,
            slot=16,
            validator_duties=(
                duty(BeaconRole.AGGREGATOR, 2, 16),
                duty(BeaconRole.AGGREGATOR, 4, 16),
                duty(BeaconRole.SYNC_COMMITTEE_CONTRIBUTION, 3, 16),
            ),
            due=1016.0,
            begun=1016.25,
            deadline=1024.0,
        ),
        BeginAggregatorCommitteeDuty(
            key=f"aggregator_committee:16:{'02' * 32}",
            committee_id=SECOND,
            slot=16,
            validator_duties=(duty(BeaconRole.SYNC_COMMITTEE_CONTRIBUTION, 5, 16),),
            due=1016.0,
            begun=1016.25,
            deadline=1017.5,
        ),
    ]


def test_without_boole_it_is_alan_for_ever():
    commands = aggregation_commands(CHAIN, ForkSchedule(ALAN), window(10**9), found(10**9))
    assert {type(command) for command in commands} == {BeginValidatorDuty}


def test_a_proposal_is_due_at_the_slots_start_and_over_at_its_end():
    proposal = duty(BeaconRole.PROPOSER, 7, 15)
    assert proposal_commands(CHAIN, window(15), [(FIRST, proposal)]) == [
        BeginValidatorDuty(f"proposer:15:{'07' * 48}", FIRST, proposal, 1015.0, 1015.25, 1016.0)
    ]
    assert proposal_commands(CHAIN, window(15), []) == []

import pytest

from ssv_pool.protocol.forks import ForkSchedule, alan_fork, boole_fork
from ssv_pool.protocol.types import FAR_FUTURE_EPOCH, BeaconRole, DomainType, Epoch, OperatorId, RunnerRole

ALAN = alan_fork(DomainType(bytes.fromhex("00000402")))
BOOLE = boole_fork(DomainType(bytes.fromhex("00000403")), "local", 32)


def ids(*numbers):
    return tuple(map(OperatorId, numbers))


def test_alan_alone_is_in_force_at_every_epoch():
    schedule = ForkSchedule(ALAN)
    assert {schedule.at_epoch(Epoch(epoch)).name for epoch in (0, 1, 2**64 - 2, FAR_FUTURE_EPOCH)} == {"alan"}


def test_boole_never_starts_by_default_even_at_the_largest_epoch_and_slot():
    schedule = ForkSchedule(ALAN, BOOLE)
    assert schedule.at_epoch(FAR_FUTURE_EPOCH) is ALAN
    assert schedule.at_slot(2**64 - 1, 32) is ALAN
    assert schedule.at_slot(2**64 - 1, 1) is ALAN


def test_boole_starts_at_its_epoch():
    schedule = ForkSchedule(ALAN, BOOLE, Epoch(10))
    assert [schedule.at_slot(slot, 32).name for slot in (0, 319, 320, 2**64 - 1)] == ["alan", "alan", "boole", "boole"]


def test_an_epoch_for_boole_needs_its_rules():
    with pytest.raises(ValueError, match=r"^Boole is set for epoch 10, but its rules are not given$"):
        ForkSchedule(ALAN, None, Epoch(10))


def test_forks_that_messages_cannot_tell_are_refused():
    with pytest.raises(ValueError, match=r"^Boole has Alan's domain type 00000402, expected another$"):
        ForkSchedule(ALAN, boole_fork(ALAN.domain, "local", 32))


@pytest.mark.parametrize(
    ("slot", "served", "acceptable"),
    [
        (0, ["alan"], ["alan", "boole"]),
        (287, ["alan"], ["alan", "boole"]),
        (288, ["alan", "boole"], ["alan", "boole"]),
        (319, ["alan", "boole"], ["alan", "boole"]),
        (320, ["boole", "alan"], ["boole", "alan"]),
        (353, ["boole", "alan"], ["boole", "alan"]),
        (354, ["boole"], ["boole"]),
        (2**64 - 1, ["boole"], ["boole"]),
    ],
)
def test_both_forks_are_served_around_the_fork(slot, served, acceptable):
    schedule = ForkSchedule(ALAN, BOOLE, Epoch(10))
    assert [fork.name for fork in schedule.served_at(slot, 32)] == served
    assert [fork.name for fork in schedule.acceptable_at(slot, 32)] == acceptable
    assert schedule.topics(ids(1, 2, 3, 4), slot, 32) == tuple(
        {"alan": "ssv.v2.114", "boole": "/ssv/local/boole/11"}[name] for name in served
    )


@pytest.mark.parametrize("slot", [0, 320, 2**64 - 1])
def test_without_an_epoch_alan_alone_is_served(slot):
    for schedule in (ForkSchedule(ALAN), ForkSchedule(ALAN, BOOLE)):
        assert schedule.served_at(slot, 32) == schedule.acceptable_at(slot, 32) == (ALAN,)


def test_a_fork_in_the_first_epoch_has_no_time_before_it():
    assert ForkSchedule(ALAN, BOOLE, Epoch(0)).served_at(0, 32) == (BOOLE, ALAN)


def test_a_messages_slot_and_no_clock_chooses_its_topic():
    schedule = ForkSchedule(ALAN, BOOLE, Epoch(10))
    topics = [schedule.topic_of_message(ids(1, 2, 3, 4), slot, 32) for slot in (319, 320)]
    assert topics == ["ssv.v2.114", "/ssv/local/boole/11"]


@pytest.mark.parametrize(
    ("height", "round_", "alan", "boole"),
    [(0, 1, 1, 1), (0, 2, 2, 2), (0, 5, 1, 1), (1, 1, 2, 2), (31, 1, 4, 4), (32, 1, 1, 2), (67, 4, 3, 1)],
)
def test_leader(height, round_, alan, boole):
    assert ALAN.leader(ids(1, 2, 3, 4), height, round_) == alan
    assert BOOLE.leader(ids(1, 2, 3, 4), height, round_) == boole


def test_alan_takes_the_committee_in_its_order_and_boole_sorts_it():
    assert ALAN.leader(ids(4, 3, 2, 1), 0, 1) == 4
    assert BOOLE.leader(ids(4, 3, 2, 1), 0, 1) == 1


@pytest.mark.parametrize(
    ("operators", "alan", "boole"),
    [
        (ids(1, 2, 3, 4), "ssv.v2.114", "/ssv/local/boole/11"),
        (ids(5, 6, 7, 8), "ssv.v2.36", "/ssv/local/boole/7"),
        (ids(1, 2, 3, 4, 5, 6, 7), "ssv.v2.90", "/ssv/local/boole/7"),
        (ids(400, 300, 200, 100), "ssv.v2.88", "/ssv/local/boole/83"),
    ],
)
def test_topic(operators, alan, boole):
    assert (ALAN.topic(operators), BOOLE.topic(operators)) == (alan, boole)


def test_aggregation_is_a_validators_role_in_alan_and_a_committees_in_boole():
    assert set(ALAN.roles) ^ set(BOOLE.roles) == {
        RunnerRole.AGGREGATOR,
        RunnerRole.SYNC_COMMITTEE_CONTRIBUTION,
        RunnerRole.AGGREGATOR_COMMITTEE,
    }


@pytest.mark.parametrize(
    ("beacon_role", "alan", "boole"),
    [
        (BeaconRole.ATTESTER, RunnerRole.COMMITTEE, RunnerRole.COMMITTEE),
        (BeaconRole.SYNC_COMMITTEE, RunnerRole.COMMITTEE, RunnerRole.COMMITTEE),
        (BeaconRole.PROPOSER, RunnerRole.PROPOSER, RunnerRole.PROPOSER),
        (BeaconRole.AGGREGATOR, RunnerRole.AGGREGATOR, RunnerRole.AGGREGATOR_COMMITTEE),
        (
            BeaconRole.SYNC_COMMITTEE_CONTRIBUTION,
            RunnerRole.SYNC_COMMITTEE_CONTRIBUTION,
            RunnerRole.AGGREGATOR_COMMITTEE,
        ),
        (BeaconRole.VALIDATOR_REGISTRATION, RunnerRole.VALIDATOR_REGISTRATION, RunnerRole.VALIDATOR_REGISTRATION),
        (BeaconRole.VOLUNTARY_EXIT, RunnerRole.VOLUNTARY_EXIT, RunnerRole.VOLUNTARY_EXIT),
        (BeaconRole.UNKNOWN, RunnerRole.UNKNOWN, RunnerRole.UNKNOWN),
        (7, RunnerRole.UNKNOWN, RunnerRole.UNKNOWN),
    ],
)
def test_runner_role(beacon_role, alan, boole):
    assert (ALAN.runner_role(beacon_role), BOOLE.runner_role(beacon_role)) == (alan, boole)

"""The devnet's options, what is done when, and what is expected of each epoch."""

from pathlib import Path
from typing import Any

import pytest

from ssv_pool.devnet.config import (
    Attack,
    BeaconKind,
    BeaconStop,
    DevnetConfig,
    Exit,
    Kill,
    default_slot_seconds,
    faulty,
    parse_clusters,
)
from ssv_pool.devnet.schedule import (
    Action,
    Deed,
    Outage,
    attacked_operator,
    expectation,
    operators_down,
    overall_expectation,
    plan_actions,
    plan_beacon_outages,
    plan_outages,
)
from ssv_pool.errors import ConfigError

FOUR = (1, 2, 3, 4)
OVERLAP = ((1, 2, 3, 4), (4, 5, 6, 7), (1, 2, 3, 4, 5, 6, 7))


def config(**changes: object) -> DevnetConfig:
    values: dict[str, object] = {
        "operators": 4, "validators": 8, "epochs": 5, "slot_seconds": 4, "report_dir": Path("r"),
    }  # fmt: skip
    return DevnetConfig(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"operators": 5}, "--operators: found 5, expected 4, 7, 10 or 13"),
        ({"validators": 65}, "--validators: found 65, expected 1 to 64"),
        ({"epochs": 0}, "--epochs: found 0, expected at least 1"),
        ({"slot_seconds": 0}, "--slot-seconds: found 0, expected at least 1"),
        ({"kills": (Kill(5, 2),)}, "--kill 5@2: found 5 operators, expected at most 4"),
        ({"kills": (Kill(1, 5),)}, "--kill 1@5: found epoch 5, expected one below the last, 5"),
        ({"exits": (Exit(1, 5),)}, "--exit 1@5: found epoch 5, expected one below the last, 5"),
        ({"exits": (Exit(5, 1), Exit(4, 2))}, "--exit: found 9 validators in all, expected at most 8"),
        ({"boole_epoch": -1}, "--boole-epoch: found -1, expected 0 or more"),
        ({"beacon_nodes": 5}, "--beacon-nodes: found 5, expected 1 to 4"),
        ({"beacon_stops": (BeaconStop(1, 2),)}, "--stop-beacon 1@2: expected one of 1 beacon nodes to be left"),
        (
            {"beacon_nodes": 3, "beacon_stops": (BeaconStop(1, 2), BeaconStop(1, 3), BeaconStop(2, 3))},
            "--stop-beacon 2@3: expected one of 3 beacon nodes to be left",
        ),
        (
            {"beacon": BeaconKind.LODESTAR, "attack": Attack("slow")},
            "--beacon lodestar: found --beacon-nodes or --attack, expected neither",
        ),
        (
            {"clusters": OVERLAP},
            "--clusters: found operator 7 with --operators 4, expected none above it, and at most 13",
        ),
        (
            {"clusters": OVERLAP, "operators": 7, "validators": 2},
            "--validators: found 2, expected one for each of 3 clusters",
        ),
    ],
)
def test_contradictions_are_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config(**changes)
    assert str(caught.value) == message


@pytest.mark.parametrize("text", ["", "1", "@2", "1@", "0@2", "1@0", "-1@2", "a@b", "1@2@3", "1@2\n", "9999999@1"])
@pytest.mark.parametrize(("kind", "option"), [(Kill, "--kill"), (BeaconStop, "--stop-beacon"), (Exit, "--exit")])
def test_a_malformed_event_is_refused(kind: type[Kill], option: str, text: str) -> None:
    with pytest.raises(ConfigError, match=f"^{option}: found .*expected .@EPOCH"):
        kind.parse(text)


def test_events_are_read_and_written() -> None:
    assert [kind.parse("2@3") for kind in (Kill, BeaconStop, Exit)] == [Kill(2, 3), BeaconStop(2, 3), Exit(2, 3)]
    assert str(Kill(2, 3)) == "2@3"
    assert [str(Attack.parse(text)) for text in ("stale-head", "500s@3")] == ["stale-head", "500s@3"]
    assert Attack.parse("500s@3") == Attack("500s", 3)


@pytest.mark.parametrize("text", ["", "@3", "A", "slow@", "slow@x", "slow@1@2", "-" * 41])
def test_a_malformed_attack_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^--attack: found"):
        Attack.parse(text)


def test_clusters_are_lists_and_ranges_or_a_name() -> None:
    assert parse_clusters("1,2,3,4;4-7") == OVERLAP[:2]
    assert parse_clusters("4, 3,2,1") == (FOUR,)
    assert parse_clusters("overlap") == parse_clusters("1-4;4-7;1-7") == OVERLAP


@pytest.mark.parametrize("text", ["", ";", "1-5", "1,2,3,3", "1-4,4", "0-3", "1-4;", "a-d", "1..4", "4-1", "overlaps"])
def test_malformed_clusters_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^--clusters: found"):
        parse_clusters(text)


def test_validators_are_spread_over_the_committees_in_turn() -> None:
    within = config(operators=7, clusters=OVERLAP, validators=64)
    assert [within.committee_of(index) for index in range(4)] == [*OVERLAP, OVERLAP[0]]
    assert within.whole_chain
    assert config().committees == (FOUR,)
    assert [faulty(committee) for committee in OVERLAP] == [1, 1, 2]


@pytest.mark.parametrize(
    ("validators", "committees", "seconds"),
    [(8, (FOUR,), 4), (64, (FOUR,), 12), (16, (FOUR,), 5), (8, (range(7),), 6), (64, OVERLAP, 18)],
)
def test_slots_are_longer_where_there_is_more_to_do(validators: int, committees: Any, seconds: int) -> None:
    assert default_slot_seconds(validators, committees) == seconds
    assert default_slot_seconds(validators, committees, BeaconKind.LODESTAR) == seconds + 1


def test_the_highest_validators_leave_first() -> None:
    assert config(exits=(Exit(2, 1), Exit(2, 1), Exit(1, 3))).leaving == ((1, 7), (1, 6), (1, 5), (1, 4), (3, 3))


def test_the_seed_chooses_who_is_killed() -> None:
    kills = (Kill(2, 2), Kill(1, 4))
    first = plan_outages(config(kills=kills, seed=7), FOUR)
    assert first == plan_outages(config(kills=kills, seed=7), FOUR)
    assert [(outage.epoch, len(outage.operators)) for outage in first] == [(2, 2), (4, 1)]
    assert len({plan_outages(config(kills=kills, seed=seed), FOUR) for seed in range(20)}) > 1


def test_a_beacon_node_with_validators_of_its_own_is_never_stopped() -> None:
    stops = {"beacon_nodes": 3, "beacon_stops": (BeaconStop(1, 2),)}

    def stopped(validators: int) -> set[int]:
        plans = (plan_beacon_outages(config(**stops, validators=validators, seed=seed)) for seed in range(30))
        return {number for plan in plans for outage in plan for number in outage.operators}

    assert stopped(8) == {2, 3}
    assert stopped(64) == {1, 2, 3}


def test_one_operator_is_lied_to() -> None:
    assert attacked_operator(config(), FOUR) is None
    assert {attacked_operator(config(attack=Attack("slow"), seed=seed), FOUR) for seed in range(30)} == set(FOUR)


def test_everything_that_is_done_is_in_order() -> None:
    within = config(exits=(Exit(1, 2),), beacon_nodes=2)
    outages = (Outage(1, (3,)), Outage(2, (3, 4)))
    assert plan_actions(within, outages, (Outage(2, (2,)),)) == [
        Action(8, Deed.KILL, 3),
        # Who returns and is killed at once ends up down.
        Action(16, Deed.RESTART, 3),
        Action(16, Deed.EXIT, 7),
        Action(16, Deed.STOP_BEACON, 2),
        Action(16, Deed.KILL, 3),
        Action(16, Deed.KILL, 4),
        Action(24, Deed.RESTART, 3),
        Action(24, Deed.RESTART, 4),
        Action(24, Deed.START_BEACON, 2),
    ]


def test_expectations_follow_from_who_is_down() -> None:
    outages = plan_outages(config(kills=(Kill(1, 2),)), FOUR)
    assert [expectation(FOUR, outages, epoch) for epoch in range(1, 6)] == ["all"] * 5
    outages = plan_outages(config(kills=(Kill(2, 2),)), FOUR)
    assert len(operators_down(outages, 2)) == 2
    assert [expectation(FOUR, outages, epoch) for epoch in range(1, 6)] == ["all", "none", "some", "all", "all"]


def test_expectations_differ_between_committees() -> None:
    within = config(operators=7, clusters=OVERLAP)
    outages = (Outage(2, (5, 6)),)
    assert [[expectation(committee, outages, epoch) for epoch in (2, 3)] for committee in OVERLAP] == [
        ["all", "all"],
        ["none", "some"],
        ["all", "all"],
    ]
    assert [overall_expectation(within, outages, epoch) for epoch in (1, 2, 3, 4)] == ["all", "some", "some", "all"]

"""The devnet's options, outages and what is expected of each epoch."""

from pathlib import Path

import pytest

from ssv_pool.devnet.config import DevnetConfig, Kill
from ssv_pool.devnet.schedule import expectation, operators_down, plan_outages
from ssv_pool.errors import ConfigError


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
    ],
)
def test_contradictions_are_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config(**changes)
    assert str(caught.value) == message


@pytest.mark.parametrize("text", ["", "1", "@2", "1@", "0@2", "1@0", "-1@2", "a@b", "1@2@3"])
def test_a_malformed_kill_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected K@EPOCH"):
        Kill.parse(text)


def test_the_seed_chooses_who_is_killed() -> None:
    kills = (Kill(2, 2), Kill(1, 4))
    first = plan_outages(config(kills=kills, seed=7), [1, 2, 3, 4])
    assert first == plan_outages(config(kills=kills, seed=7), [1, 2, 3, 4])
    assert [(outage.epoch, len(outage.operators)) for outage in first] == [(2, 2), (4, 1)]
    assert len({plan_outages(config(kills=kills, seed=seed), [1, 2, 3, 4]) for seed in range(20)}) > 1


def test_expectations_follow_from_who_is_down() -> None:
    within = config(kills=(Kill(1, 2),))
    outages = plan_outages(within, [1, 2, 3, 4])
    assert [expectation(within, outages, epoch) for epoch in range(1, 6)] == ["all"] * 5
    beyond = config(kills=(Kill(2, 2),))
    outages = plan_outages(beyond, [1, 2, 3, 4])
    assert len(operators_down(outages, 2)) == 2
    assert [expectation(beyond, outages, epoch) for epoch in range(1, 6)] == ["all", "none", "some", "all", "all"]

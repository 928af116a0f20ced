import pytest

from ssv_pool.devnet.beacon.__main__ import parse_address, parse_config, parse_indices, parse_schedule
from ssv_pool.devnet.beacon.execution import ExecutionSchedule
from ssv_pool.errors import ConfigError


def test_options_are_read():
    assert parse_config(["SHARD_COMMITTEE_PERIOD=0", "MAX_SEED_LOOKAHEAD=1"]) == {
        "SHARD_COMMITTEE_PERIOD": 0,
        "MAX_SEED_LOOKAHEAD": 1,
    }
    assert parse_address(None) is None
    assert parse_address("0x" + "aB" * 20) == b"\xab" * 20
    assert parse_schedule(None) is None
    assert parse_schedule("12@1700000000") == ExecutionSchedule(12, 1_700_000_000)
    assert parse_indices("0-2,7") == {0, 1, 2, 7}


@pytest.mark.parametrize(
    ("parse", "value"),
    [
        (parse_config, ["SHARD_COMMITTEE_PERIOD"]),
        (parse_config, ["SHARD_COMMITTEE_PERIOD=-1"]),
        (parse_config, ["=1"]),
        (parse_config, ["A=" + "9" * 21]),
        (parse_address, "0x12"),
        (parse_address, "ab" * 20),
        (parse_schedule, "12"),
        (parse_schedule, "@1700000000"),
        (parse_schedule, "-1@5"),
        (parse_indices, "3-1"),
    ],
)
def test_options_that_say_nothing_are_refused(parse, value):
    with pytest.raises(ConfigError, match="expected"):
        parse(value)

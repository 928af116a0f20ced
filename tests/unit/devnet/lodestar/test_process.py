import socket
from pathlib import Path

import pytest

from ssv_pool.devnet.lodestar.process import LodestarOptions, arguments, free_ports
from ssv_pool.errors import ConfigError


def test_the_external_validators_come_first():
    given = arguments(LodestarOptions(1000, 6, 64, 16), Path("data"), 5052, 9000, "http://127.0.0.1:8551")
    assert given[given.index("--startValidators") + 1] == "16..63"
    params = {"SECONDS_PER_SLOT": 6, "SHARD_COMMITTEE_PERIOD": 0, "CAPELLA_FORK_EPOCH": 0}
    assert {f"--params.{name}={value}" for name, value in params.items()} <= set(given)
    assert "--startValidators" not in arguments(LodestarOptions(1000, external=64), Path("data"), 1, 2, "http://e")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"slot_seconds": 0}, "Lodestar: slot of 0 s, expected at least 1"),
        ({"external": 65}, "Lodestar: 65 external of 64 validators, expected at most all"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ConfigError) as raised:
        LodestarOptions(1000, **options)
    assert str(raised.value) == message


def test_free_ports_are_free_for_both_transports():
    with free_ports(3) as ports:
        assert len(set(ports)) == 3
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", ports[0]))
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        for port in ports:
            with socket.socket(type=kind) as free:
                free.bind(("127.0.0.1", port))

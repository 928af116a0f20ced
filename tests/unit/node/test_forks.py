"""The protocol versions that the settings ask for: Alan for ever, or Boole from an epoch on."""

from ssv_pool.node.forks import known_topics
from ssv_pool.protocol.types.primitives import Epoch
from ssv_pool.settings import Settings, fork_schedule, load_settings

BASE = {"NETWORK": "hoodi", "DATA_DIR": "/d", "PRIVATE_KEY_FILE": "/k", "PASSWORD_FILE": "/p"}
NEVER = 2**64 - 1


def settings(**environment: str) -> Settings:
    return load_settings(None, environment=BASE | environment)


def test_alan_for_ever_by_default() -> None:
    for chosen in (settings(), settings(BOOLE_EPOCH=str(NEVER))):
        forks = fork_schedule(chosen, 32)
        assert not forks.scheduled
        assert [forks.at_epoch(Epoch(epoch)).name for epoch in (0, NEVER - 1, NEVER)] == ["alan"] * 3
        assert len(known_topics(chosen)) == 128


def test_boole_from_the_configured_epoch_on() -> None:
    chosen = settings(BOOLE_EPOCH="7")
    forks = fork_schedule(chosen, 8)
    assert [forks.at_epoch(Epoch(epoch)).name for epoch in (0, 6, 7, 8)] == ["alan", "alan", "boole", "boole"]
    assert (forks.at_epoch(Epoch(6)).domain.hex(), forks.at_epoch(Epoch(7)).domain.hex()) == ("00000503", "00000504")
    topics = known_topics(chosen)
    assert len(topics) == 256
    assert {"ssv.v2.0", "/ssv/hoodi/boole/127"} <= topics

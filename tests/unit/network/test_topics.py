import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from ssv_pool.network.topics import ALAN_TOPICS, alan_topic, boole_topics, message_id, subnet_of


def test_topics() -> None:
    assert alan_topic(0) == "ssv.v2.0"
    assert alan_topic(127) == "ssv.v2.127"
    assert len(ALAN_TOPICS) == 128


@pytest.mark.parametrize("subnet", [-1, 128])
def test_unknown_subnet(subnet: int) -> None:
    with pytest.raises(ValueError, match=f"subnet: {subnet}, expected 0 to 127"):
        alan_topic(subnet)


def test_message_id_of_nothing() -> None:
    assert message_id(b"") == b"invalid:empty"


def test_message_id_vector() -> None:
    # xxHash64 of "abc" with seed 0 is 0x44bc2cf5ad770999 (the algorithm's published test value).
    assert message_id(b"abc") == bytes.fromhex("990977adf52cbc44") + bytes(4)


@given(st.binary(min_size=1, max_size=300))
def test_message_id_is_the_hash_in_little_endian(data: bytes) -> None:
    assert message_id(data) == xxhash.xxh64(data).digest()[::-1] + bytes(4)


def test_every_topic_of_either_fork_names_its_subnet():
    assert {subnet_of(topic) for topic in ALAN_TOPICS} == set(range(128))
    assert {subnet_of(topic) for topic in boole_topics("hoodi")} == set(range(128))
    assert "/ssv/hoodi/boole/127" in boole_topics("hoodi")


@pytest.mark.parametrize("topic", ["", "ssv.v2.", "ssv.v2.128", "ssv.v2.x", "ssv.v2.²", "ssv.v3.1", "/ssv/a/boole/-1"])
def test_other_topics_name_none(topic):
    assert subnet_of(topic) is None

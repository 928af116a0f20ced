from hypothesis import given
from hypothesis import strategies as st

from ssv_pool.network.seen import SeenCache


def test_known_until_its_time_is_over_whatever_comes_between() -> None:
    seen = SeenCache(ttl=10, limit=100)

    assert seen.add("a", b"1", now=0)
    assert not seen.add("a", b"1", now=9)
    assert seen.add("a", b"1", now=10)


def test_topics_do_not_hide_each_other() -> None:
    seen = SeenCache(ttl=10, limit=100)
    seen.add("wrong", b"1", now=0)

    assert not seen.has("right", b"1")
    assert seen.add("right", b"1", now=0)


def test_the_oldest_goes_when_it_is_full() -> None:
    seen = SeenCache(ttl=10, limit=2)
    for number in range(3):
        seen.add("a", bytes([number]), now=0)

    assert [seen.has("a", bytes([number])) for number in range(3)] == [False, True, True]


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 20)), max_size=60))
def test_against_a_plain_model(steps: list[tuple[int, int]]) -> None:
    seen = SeenCache(ttl=7, limit=1000)
    model: dict[int, int] = {}
    now = 0
    for pause, number in steps:
        now += pause
        new = number not in model or model[number] <= now
        assert seen.add("t", bytes([number]), now) is new
        if new:
            model[number] = now + 7
        assert len(seen) <= 21

"""Health: every part starts bad, says why, and cannot stay green by falling silent."""

from ssv_pool.observability.health import Health


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_parts_start_bad_and_become_good() -> None:
    health = Health(("p2p", "broker"), Clock())
    assert health.snapshot() == {"p2p": "bad: starting", "broker": "bad: starting"}
    assert health.report("p2p")
    assert not health.ready
    assert health.report("broker")
    assert health.ready


def test_a_problem_is_named_and_only_changes_are_told() -> None:
    health = Health(("p2p",), Clock())
    assert health.report("p2p", "no peers")
    assert not health.report("p2p", "no peers")
    assert health.snapshot() == {"p2p": "bad: no peers"}
    assert health.report("p2p")


def test_silence_turns_a_part_bad() -> None:
    clock = Clock()
    health = Health(("syncer",), clock)
    health.report("syncer", stale_after=30)
    clock.now += 31
    assert health.snapshot() == {"syncer": "bad: no report for 31 s, expected one every 30 s"}

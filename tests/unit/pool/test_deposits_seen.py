"""Whether somebody has deposited for a key: by the beacon state and by logs that are as many as the contract says."""

from types import SimpleNamespace

import pytest

from ssv_pool.errors import UnavailableError
from ssv_pool.pool.observation import COUNTED_BLOCKS, PoolObserver

BLOCK = 10_000
OURS, OTHERS = b"\x01" * 48, b"\x02" * 48


class Observer(PoolObserver):
    """One that asks nobody: what beacon node, logs and contract say is given."""

    def __init__(self, pending: object, logs: list[tuple[bytes, int]], count: int, before: int) -> None:
        self._beacon = SimpleNamespace(pending_deposits=lambda: pending)  # type: ignore[assignment]
        self._deposit_logs = SimpleNamespace(up_to=lambda block: logs)  # type: ignore[assignment]
        self._deposit_contract = SimpleNamespace()
        self.counts = {BLOCK: count, BLOCK - COUNTED_BLOCKS - 1: before}

    def _deposit_count(self, block: int) -> int:
        return self.counts[block]


def seen(*given: object) -> frozenset[bytes] | None:
    return Observer(*given)._deposited({OURS}, BLOCK)  # type: ignore[arg-type]


def test_a_deposit_is_seen_in_the_logs_and_where_it_waits() -> None:
    assert seen(frozenset(), [(OTHERS, 7), (OURS, 8)], 9, 8) == {OURS}
    assert seen(frozenset({OURS}), [(OTHERS, 8)], 9, 8) == {OURS}
    assert seen(frozenset({OTHERS}), [(OTHERS, 8)], 9, 8) == frozenset()
    assert seen(frozenset(), [], 0, 0) == frozenset()


def test_nothing_is_said_where_the_beacon_node_does_not_tell_what_waits() -> None:
    assert seen(None, [(OTHERS, 8)], 9, 8) is None


@pytest.mark.parametrize(
    ("logs", "count", "before"),
    [
        ([], 9, 8),
        ([(OTHERS, 8)], 9, 7),
        ([(OTHERS, 7)], 9, 8),
        ([(OTHERS, 6), (OTHERS, 8)], 9, 8),
        ([(OTHERS, 8), (OTHERS, 9)], 9, 8),
    ],
    ids=["all", "the first of the latest", "the last", "one in the middle", "one too many"],
)
def test_logs_left_out_are_noticed(logs: list[tuple[bytes, int]], count: int, before: int) -> None:
    """A provider that hides one deposit hides the one that decides who may withdraw."""
    with pytest.raises(UnavailableError, match="with gaps: not judged by these"):
        seen(frozenset(), logs, count, before)


def test_old_deposits_need_not_be_in_the_logs() -> None:
    """They are in the beacon state, or wait in it."""
    assert seen(frozenset(), [], 9, 9) == frozenset()

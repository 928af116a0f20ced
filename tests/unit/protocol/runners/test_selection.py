"""How many are chosen to aggregate: about sixteen of a committee, by a hash that nobody can steer."""

import pytest

from ssv_pool.protocol.runners import Selection
from ssv_pool.protocol.types.primitives import Signature

PROOFS = [Signature(number.to_bytes(4, "big") * 24) for number in range(4096)]


@pytest.mark.parametrize(
    ("length", "share"), [(1, 1), (16, 1), (31, 1), (32, 1 / 2), (64, 1 / 4), (512, 1 / 32), (2048, 1 / 128)]
)
def test_about_sixteen_of_a_beacon_committee_aggregate(length: int, share: float) -> None:
    chosen = sum(Selection().is_aggregator(3, length, proof) for proof in PROOFS)
    assert abs(chosen - share * len(PROOFS)) <= 4 * (len(PROOFS) * share * (1 - share)) ** 0.5


def test_about_sixteen_of_a_sync_subcommittee_contribute() -> None:
    chosen = sum(Selection().is_sync_committee_aggregator(proof) for proof in PROOFS)
    assert abs(chosen - len(PROOFS) / 8) <= 4 * (len(PROOFS) / 8 * 7 / 8) ** 0.5


def test_a_place_belongs_to_a_quarter_of_the_sync_committee() -> None:
    assert [Selection().subcommittee(place) for place in (0, 127, 128, 383, 384, 511)] == [0, 0, 1, 2, 3, 3]

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssv_pool.crypto import bls
from ssv_pool.crypto.shamir import SharingError, recover, split, threshold_of, weights_at_zero
from ssv_pool.protocol.types.primitives import OperatorId

ids = st.lists(st.integers(1, 2**64 - 1), min_size=13, max_size=13, unique=True)


@settings(deadline=None)
@given(st.integers(1, bls.GROUP_ORDER - 1), ids, st.sampled_from([4, 7, 10, 13]), st.randoms())
def test_any_quorum_recovers_and_fewer_do_not(secret: int, operators: list[int], size: int, random: object) -> None:
    operators = [OperatorId(i) for i in operators[:size]]
    threshold = threshold_of(size)
    shares = split(secret, operators, threshold)
    assert list(shares) == operators
    for count in (threshold, size):
        chosen = random.sample(operators, count)
        assert recover({i: shares[i] for i in chosen}) == secret
    assert recover({i: shares[i] for i in random.sample(operators, threshold - 1)}) != secret


def test_every_quorum_of_seven() -> None:
    operators = [OperatorId(i) for i in range(1, 8)]
    shares = split(99, operators, 5)
    assert {recover({i: shares[i] for i in chosen}) for chosen in itertools.combinations(operators, 5)} == {99}


def test_shares_are_fresh_every_time() -> None:
    operators = [OperatorId(i) for i in range(1, 5)]
    assert split(5, operators, 3) != split(5, operators, 3)


@pytest.mark.parametrize(("size", "quorum"), [(4, 3), (7, 5), (10, 7), (13, 9)])
def test_threshold(size: int, quorum: int) -> None:
    assert threshold_of(size) == quorum


def test_other_committee_sizes_are_refused() -> None:
    for size in (0, 1, 3, 5, 16):
        with pytest.raises(SharingError, match=rf"^committee: {size} operators, expected 4, 7, 10 or 13$"):
            threshold_of(size)


def test_weights_of_neighbouring_ids_are_small_integers() -> None:
    weights = weights_at_zero((OperatorId(1), OperatorId(2), OperatorId(3), OperatorId(4)))
    assert (weights.numerators, weights.denominator) == ((4, -6, 4, -1), 1)
    weights = weights_at_zero((OperatorId(4), OperatorId(1), OperatorId(2)))
    assert (weights.numerators, weights.denominator) == ((1, 8, -6), 3)
    assert sum(weights.modular()) % bls.GROUP_ORDER == 1


@pytest.mark.parametrize(
    ("operators", "threshold", "text"),
    [
        ([], 1, "operator ids: none, expected at least one"),
        ([1, 2, 2], 2, "operator ids: 1, 2, 2, expected no id twice"),
        ([0, 1, 2], 2, "operator id: 0, expected from 1 to 18446744073709551615"),
        ([1, 2**64], 2, "operator id: 18446744073709551616, expected from 1 to 18446744073709551615"),
        ([1, 2, 3], 4, "threshold: 4, expected from 1 to the number of operators, 3"),
        ([1, 2, 3], 0, "threshold: 0, expected from 1 to the number of operators, 3"),
    ],
)
def test_impossible_sharings_are_refused(operators: list[int], threshold: int, text: str) -> None:
    with pytest.raises(SharingError) as caught:
        split(5, [OperatorId(i) for i in operators], threshold)
    assert str(caught.value) == text

import random

import pytest
from beacon_parity import public_key, published, sign

from ssv_pool.devnet.beacon.memo import BoundedMemo
from ssv_pool.devnet.beacon.overlay.signatures import SignatureBook
from ssv_pool.devnet.interop import CURVE_ORDER, interop_secret_key

MESSAGE = b"\x11" * 32
KEYS = [public_key(index) for index in range(10)]


@pytest.fixture
def book():
    return SignatureBook()


@pytest.mark.parametrize("bad", [set(), {0}, {9}, {3, 4, 8}, set(range(10))])
def test_a_batch_finds_exactly_the_bad_ones(book, bad):
    signatures = [sign([index + (index in bad)], MESSAGE) for index in range(10)]
    expected = [index not in bad for index in range(10)]
    assert book.verify_each(KEYS, MESSAGE, signatures) == expected
    assert book.verify_each(KEYS, MESSAGE, signatures) == expected


def test_two_wrong_signatures_that_cancel_out_are_found(book):
    """Their sum is right, so a check of plain sums would pass."""
    bls = published().bls
    points = [bls.G2.from_compressed_bytes_unchecked(sign([index], MESSAGE)) for index in (0, 1)]
    shift = bls.G2()
    forged = [(points[0] + shift).to_compressed_bytes(), (points[1] + -shift).to_compressed_bytes()]
    assert bls.Aggregate(forged) == sign([0, 1], MESSAGE)
    assert book.verify_each(KEYS[:2], MESSAGE, [bytes(signature) for signature in forged]) == [False, False]


@pytest.mark.parametrize(
    ("pubkey", "signature"),
    [
        (KEYS[0], b"\0" * 96),
        (KEYS[0], b"\xc0" + b"\0" * 95),
        (KEYS[0], b"\xff" * 96),
        (b"\xc0" + b"\0" * 47, b"\xc0" + b"\0" * 95),
        (b"\0" * 48, sign([0], MESSAGE)),
    ],
)
def test_malformed_points(book, pubkey, signature):
    assert book.verify_each([pubkey, KEYS[1]], MESSAGE, [signature, sign([1], MESSAGE)]) == [False, True]
    assert not book.module.Verify(pubkey, MESSAGE, signature)


def test_the_module_answers_as_the_published_one(book):
    rng = random.Random(3)
    bls = published().bls
    for _ in range(6):
        indices = rng.sample(range(10), rng.randrange(1, 5))
        keys = [KEYS[index] for index in indices]
        for signature in (sign(indices, MESSAGE), sign([*indices, 0], MESSAGE)):
            expected = bls.FastAggregateVerify(keys, MESSAGE, signature)
            for _ in range(2):
                assert book.module.FastAggregateVerify(keys, MESSAGE, signature) == expected
    assert not book.module.FastAggregateVerify([], MESSAGE, sign([0], MESSAGE))


def test_trust_is_for_exactly_this_signature(book):
    signature = book.sign((interop_secret_key(0) + interop_secret_key(1)) % CURVE_ORDER, MESSAGE, KEYS[:2])
    assert signature == sign([0, 1], MESSAGE)
    assert book.module.FastAggregateVerify(KEYS[:2], MESSAGE, signature)
    assert not book.module.FastAggregateVerify(KEYS[:1], MESSAGE, signature)
    assert not book.module.FastAggregateVerify(KEYS[:2], b"\x12" * 32, signature)
    assert not book.module.Verify(KEYS[0], MESSAGE, signature)


def test_the_published_module_is_untouched(book):
    assert book.module is not published().bls
    assert book.module.Verify is not published().bls.Verify


def test_memo_forgets_what_was_used_longest_ago():
    memo = BoundedMemo(2)
    memo.put("a", 1)
    memo.put("b", 2)
    assert memo.get("a") == 1
    memo.put("c", 3)
    assert (memo.get("a"), memo.get("b"), memo.get("c"), len(memo)) == (1, None, 3, 2)
    assert "b" not in memo

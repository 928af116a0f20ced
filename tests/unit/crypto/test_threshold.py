import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from py_ecc.bls import G2ProofOfPossession as Reference

from ssv_pool.crypto import bls
from ssv_pool.crypto.shamir import split, threshold_of
from ssv_pool.crypto.threshold import BlsThreshold
from ssv_pool.protocol.ports import Reconstruction
from ssv_pool.protocol.types.primitives import OperatorId, PublicKey, Root, Signature

ROOT = Root(b"\x11" * 32)
scheme = BlsThreshold()


def validator(
    operators: list[int], root: Root = ROOT, count: int | None = None, secret: int | None = None
) -> tuple[int, Reconstruction]:
    """A random validator's key and the partial signatures of its first `count` operators (default: a quorum)."""
    secret = secret or bls.random_secret()
    threshold = threshold_of(len(operators))
    shares = split(secret, [OperatorId(i) for i in operators], threshold)
    signers = list(shares)[: count or threshold]
    partials = {i: bls.sign(shares[i], root) for i in signers}
    return secret, Reconstruction(bls.secret_to_public(secret), root, partials)


def spoiled(item: Reconstruction, signer: int, partial: bytes) -> Reconstruction:
    return Reconstruction(item.public_key, item.root, {**item.partials, OperatorId(signer): Signature(partial)})


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(1, 5000), min_size=13, max_size=13, unique=True), st.sampled_from([4, 7, 10, 13]), st.data()
)
def test_quorum_or_more_give_the_validator_s_signature(ids: list[int], size: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(threshold_of(size), size))
    secret, item = validator(ids[:size], count=count)
    assert scheme.reconstruct([item]) == [bls.sign(secret, ROOT)]


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_whose_partials_come_first_changes_nothing(data: st.DataObject) -> None:
    """Every operator rebuilds from those it got, in the order in which they came: all get one signature."""
    secret, everything = validator([1, 5, 9, 2000], count=4)
    order = data.draw(st.permutations(list(everything.partials)))[: data.draw(st.integers(3, 4))]
    item = Reconstruction(everything.public_key, ROOT, {number: everything.partials[number] for number in order})
    assert scheme.reconstruct([item]) == [bls.sign(secret, ROOT)]


def test_ids_of_any_size() -> None:
    secret, item = validator([2**64 - 1, 2**63, 17, 2**40 + 1])
    assert scheme.reconstruct([item]) == [bls.sign(secret, ROOT)]


@settings(max_examples=1, deadline=None)
@given(st.integers(1, bls.GROUP_ORDER - 1))
def test_the_result_is_the_reference_s(secret: int) -> None:
    _, item = validator([3, 8, 9, 21], secret=secret)
    assert scheme.reconstruct([item]) == [Reference.Sign(secret, ROOT)]


@pytest.mark.parametrize("bad", [set(), {0}, {11}, {4, 5}, {0, 3, 6, 9}, set(range(12))])
def test_the_bad_ones_of_a_batch_are_found(bad: set[int]) -> None:
    roots = [Root(bytes([i % 3]) * 32) for i in range(12)]
    made = [validator([1, 2, 3, 4], roots[i], count=3 + i % 2) for i in range(12)]
    items = [
        spoiled(item, 2, bls.sign(bls.random_secret(), roots[i])) if i in bad else item
        for i, (_, item) in enumerate(made)
    ]
    expected = [None if i in bad else bls.sign(secret, roots[i]) for i, (secret, _) in enumerate(made)]
    assert scheme.reconstruct(items) == expected


@pytest.mark.parametrize(
    "partial", [b"", bytes(96), b"\xff" * 96, b"\xc0" + bytes(95), b"\xa0" * 96], ids=lambda p: p[:2].hex()
)
def test_malformed_partials_spoil_only_their_validator(partial: bytes) -> None:
    (secret, good), (_, other) = validator([1, 2, 3, 4]), validator([1, 2, 3, 4])
    assert scheme.reconstruct([spoiled(other, 3, partial), good]) == [None, bls.sign(secret, ROOT)]


def test_malformed_keys_and_ids_spoil_only_their_validator() -> None:
    secret, good = validator([1, 2, 3, 4])
    items = [
        Reconstruction(PublicKey(bytes(48)), ROOT, good.partials),
        Reconstruction(good.public_key, ROOT, {}),
        Reconstruction(good.public_key, ROOT, {OperatorId(0): Signature(bytes(96))}),
        Reconstruction(PublicKey(b"\xc0" + bytes(47)), ROOT, good.partials),
        good,
    ]
    assert scheme.reconstruct(items) == [None, None, None, None, bls.sign(secret, ROOT)]


def test_fewer_than_a_quorum_give_nothing() -> None:
    _, item = validator([1, 2, 3, 4], count=2)
    assert scheme.reconstruct([item]) == [None]


def test_nothing_to_do() -> None:
    assert scheme.reconstruct([]) == []
    assert scheme.verify_many([]) == []


def test_verify() -> None:
    signature = bls.sign(5, ROOT)
    assert scheme.verify(bls.secret_to_public(5), ROOT, signature)
    assert not scheme.verify(bls.secret_to_public(6), ROOT, signature)
    assert not scheme.verify(bls.secret_to_public(5), ROOT, Signature(bytes(96)))


def test_verify_many_tells_which() -> None:
    generator = random.Random(7)
    keys = list(range(1, 41))
    bad = set(generator.sample(range(40), 6))
    items = [
        (bls.secret_to_public(key), ROOT, bls.sign(key + 1 if i in bad else key, ROOT)) for i, key in enumerate(keys)
    ]
    items[13] = (items[13][0], ROOT, Signature(b"\xff" * 96))
    items[14] = (PublicKey(b"short"), ROOT, items[14][2])
    assert scheme.verify_many(items) == [i not in bad | {13, 14} for i in range(40)]

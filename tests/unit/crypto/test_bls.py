"""BLS against py_ecc, the reference in Python. It takes a second an operation, hence the few examples."""

import secrets

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from py_ecc.bls import G2ProofOfPossession as Reference
from py_ecc.bls.g2_primitives import G2_to_signature, pubkey_to_G1, signature_to_G2
from py_ecc.optimized_bls12_381 import add, multiply

from ssv_pool.crypto import bls
from ssv_pool.crypto.bls import BlsError

secret_keys = st.integers(1, bls.GROUP_ORDER - 1)
messages = st.binary(min_size=32, max_size=32)
slow = settings(max_examples=5, deadline=None)


@slow
@given(secret_keys, messages)
def test_keys_and_signatures_are_the_reference_s(secret: int, message: bytes) -> None:
    public_key, signature = bls.secret_to_public(secret), bls.sign(secret, message)
    assert public_key == Reference.SkToPk(secret)
    assert signature == Reference.Sign(secret, message)
    assert bls.verify(public_key, message, signature)
    assert Reference.Verify(public_key, message, signature)


@slow
@given(st.lists(st.tuples(secret_keys, st.integers(-(2**90), 2**90)), min_size=1, max_size=4))
def test_combine_is_the_reference_s_sum_of_products(terms: list[tuple[int, int]]) -> None:
    signatures = [bls.sign(secret, bytes(32)) for secret, _ in terms]
    expected = None
    for signature, (_, scalar) in zip(signatures, terms, strict=True):
        term = multiply(signature_to_G2(signature), scalar % bls.GROUP_ORDER)
        expected = term if expected is None else add(expected, term)
    combined = bls.combine([bls.signature_point(s) for s in signatures], [scalar for _, scalar in terms])
    assert bls.encode_signature(combined) == b"".join(part.to_bytes(48, "big") for part in _compressed(expected))


def _compressed(point: object) -> tuple[int, int]:
    encoded = G2_to_signature(point)
    return int.from_bytes(encoded[:48], "big"), int.from_bytes(encoded[48:], "big")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-(2**255), 2**255), min_size=1, max_size=40))
def test_combine_is_the_library_s_sum_of_products(scalars: list[int]) -> None:
    points = [bls.hash_point(bytes([i])) for i in range(len(scalars))]
    expected = bls.multiply(points[0], 0)
    for point, scalar in zip(points, scalars, strict=True):
        expected = expected + bls.multiply(point, scalar)
    assert bls.combine(points, scalars) == expected


@slow
@given(st.binary(min_size=48, max_size=48))
def test_public_keys_are_judged_as_the_reference_does(raw: bytes) -> None:
    assert bls.validate_public_key(raw) == Reference.KeyValidate(raw)


def test_a_real_key_is_valid_and_its_neighbours_are_judged_alike() -> None:
    good = bls.secret_to_public(7)
    assert bls.validate_public_key(good)
    assert pubkey_to_G1(good)
    for changed in (good[:-1], good + b"\0", good[:-1] + bytes([good[-1] ^ 1]), b"\xc0" + bytes(47), b""):
        assert not bls.validate_public_key(changed)


def test_a_changed_message_key_or_signature_does_not_verify() -> None:
    secret, message = bls.random_secret(), secrets.token_bytes(32)
    public_key, signature = bls.secret_to_public(secret), bls.sign(secret, message)
    assert bls.verify(public_key, message, signature)
    assert not bls.verify(public_key, bytes(32), signature)
    assert not bls.verify(bls.secret_to_public(secret ^ 1), message, signature)
    assert not bls.verify(public_key, message, bls.sign(secret ^ 1, message))
    assert not bls.verify(public_key, message, signature[:-1])
    assert not bls.verify(public_key, message, b"\xc0" + bytes(95))


def test_a_batch_fails_with_one_bad_signature_wherever_it_is() -> None:
    keys = [bls.random_secret() for _ in range(9)]
    items = [
        (bls.secret_to_public(k), bytes([i % 3]) * 32, bls.sign(k, bytes([i % 3]) * 32)) for i, k in enumerate(keys)
    ]
    assert bls.batch_verify(items)
    assert bls.batch_verify([])
    for position in range(len(items)):
        broken = list(items)
        broken[position] = (items[position][0], bytes(32), bls.sign(keys[position], b"\xff" * 32))
        assert not bls.batch_verify(broken)


def test_a_batch_sees_errors_that_cancel_out() -> None:
    """Two wrong signatures whose sum is right: a plain aggregate would pass."""
    keys = [bls.random_secret(), bls.random_secret()]
    message = bytes(32)
    first, second = (bls.signature_point(bls.sign(key, message)) for key in keys)
    shift = bls.hash_point(b"shift")
    forged = [bls.encode_signature(first + shift), bls.encode_signature(second + -shift)]
    publics = [bls.secret_to_public(key) for key in keys]
    assert bls.fast_aggregate_verify(publics, message, bls.aggregate_signatures(forged))
    assert not bls.batch_verify([(publics[0], message, forged[0]), (publics[1], message, forged[1])])


@pytest.mark.parametrize("secret", [0, bls.GROUP_ORDER, bls.GROUP_ORDER + 5, -1])
def test_impossible_secrets_are_refused_without_being_named(secret: int) -> None:
    for operation in (bls.secret_to_public, bls.secret_to_bytes, lambda s: bls.sign(s, bytes(32))):
        with pytest.raises(BlsError) as caught:
            operation(secret)
        assert str(caught.value) == "BLS secret key: out of range, expected a number from 1 up to the group order"


def test_secret_bytes_are_read_strictly() -> None:
    assert bls.secret_from_bytes((5).to_bytes(32, "big")) == 5
    assert bls.secret_to_bytes(5) == (5).to_bytes(32, "big")
    with pytest.raises(BlsError, match=r"^BLS secret key: 31 bytes, expected 32$"):
        bls.secret_from_bytes(bytes(31))


def test_aggregates_of_nothing_are_refused() -> None:
    with pytest.raises(BlsError):
        bls.aggregate_signatures([])
    with pytest.raises(BlsError):
        bls.aggregate_public_keys([])
    assert not bls.fast_aggregate_verify([], bytes(32), b"\xc0" + bytes(95))
    assert not bls.aggregate_verify([], [], b"\xc0" + bytes(95))
    assert not bls.aggregate_verify([bls.secret_to_public(1)], [], bls.sign(1, bytes(32)))


def test_caches_are_bounded() -> None:
    assert bls.public_key_point.cache_parameters()["maxsize"] == 16384
    assert bls.hash_point.cache_parameters()["maxsize"] == 256


def test_points_of_made_signatures_are_kept_for_a_while(monkeypatch):
    monkeypatch.setattr(bls, "_MADE_SIGNATURES", 2)
    bls.forget_recent()
    made = [bls.sign(secret, bytes(32)) for secret in (5, 6, 7, 8, 9)]
    kept = [bls._made_signatures.get(signature) is not None for signature in made]
    assert kept == [False, False, True, True, True]
    points = [bls.signature_point(signature) for signature in made]
    bls.forget_recent()
    assert [bls.signature_point(signature) for signature in made] == points
    assert [bls.encode_signature(point) for point in points] == made

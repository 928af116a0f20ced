"""BLS signatures on BLS12-381 as Ethereum uses them: public keys in G1, signatures in G2, proof-of-possession suite.

This is the one place that touches the native library (blst, through pyblst). Everything outside works on plain ints
(secret keys) and compressed points (48 and 96 bytes). Points from outside are checked for encoding, curve and subgroup
when they are decoded; an identity point is never accepted as a public key or as a signature to verify.

Sources: IETF draft-irtf-cfrg-bls-signature-05, consensus-specs phase0 "BLS signatures".
"""

import secrets
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeAlias

from pyblst import BlstP1Element, BlstP2Element, final_verify, miller_loop

from ssv_pool.errors import SsvPoolError
from ssv_pool.protocol.types.primitives import PublicKey, Signature

GROUP_ORDER = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
"""Order r of the groups G1, G2 and of the field of secret keys."""

SIGNATURE_SUITE = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_"
"""Domain separation tag of the hash to G2 (the "ETH2" suite)."""

PUBLIC_KEY_SIZE = 48
"""Bytes of a compressed G1 point."""

SIGNATURE_SIZE = 96
"""Bytes of a compressed G2 point."""

SECRET_SIZE = 32
"""Bytes of a secret key, big-endian."""

PointG1: TypeAlias = BlstP1Element
"""A decoded point of G1, checked to be in the subgroup."""

PointG2: TypeAlias = BlstP2Element
"""A decoded point of G2, checked to be in the subgroup."""

_G1_IDENTITY = BlstP1Element()
_G2_IDENTITY = BlstP2Element()
_G1_GENERATOR = BlstP1Element.uncompress(
    bytes.fromhex("97f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb"),
)

_CACHED_PUBLIC_KEYS = 16384
"""Decoded public keys kept: 0.06 ms saved each; a few hundred bytes each."""

_CACHED_MESSAGES = 256
"""Hashed messages kept: all partial signatures of a slot share a handful of signing roots, 0.2 ms each."""

_MADE_SIGNATURES = 2048
"""Own signatures whose points are kept, in each of two generations: decoding one takes half as long as making it."""

_SCALAR_BITS = 64
"""Bits of the random factors of a batch check; a forgery passes with probability 2^-64."""


class _MadeSignatures:
    """The points of signatures made here, which are soon decoded again to be put together with others'.

    Two generations, so that the oldest go without being looked for. Any thread may add.
    """

    def __init__(self) -> None:
        self._now: dict[bytes, PointG2] = {}
        self._before: dict[bytes, PointG2] = {}

    def add(self, signature: bytes, point: PointG2) -> None:
        if len(self._now) >= _MADE_SIGNATURES:
            self._now, self._before = {}, self._now
        self._now[signature] = point

    def get(self, signature: bytes) -> PointG2 | None:
        return self._now.get(signature) or self._before.get(signature)

    def clear(self) -> None:
        self._now, self._before = {}, {}


_made_signatures = _MadeSignatures()


class BlsError(SsvPoolError, ValueError):
    """Bytes that are not what they should be: a public key, a signature or a secret key."""


def random_secret() -> int:
    """A fresh secret key, uniform in [1, r), from the operating system's random source."""
    return secrets.randbelow(GROUP_ORDER - 1) + 1


def secret_from_bytes(raw: bytes) -> int:
    """The secret key in 32 big-endian bytes. Raises BlsError (without the value) if it is not in [1, r)."""
    if len(raw) != SECRET_SIZE:
        raise BlsError(f"BLS secret key: {len(raw)} bytes, expected {SECRET_SIZE}")
    secret = int.from_bytes(raw, "big")
    check_secret(secret)
    return secret


def secret_to_bytes(secret: int) -> bytes:
    """A secret key as 32 big-endian bytes."""
    check_secret(secret)
    return secret.to_bytes(SECRET_SIZE, "big")


def check_secret(secret: int) -> None:
    """Raises BlsError (without the value) if ``secret`` is not in [1, r)."""
    if not 0 < secret < GROUP_ORDER:
        raise BlsError("BLS secret key: out of range, expected a number from 1 up to the group order")


def secret_to_public(secret: int) -> PublicKey:
    """The public key of a secret key, 48 bytes."""
    check_secret(secret)
    return PublicKey(_G1_GENERATOR.scalar_mul(secret).compress())


def validate_public_key(public_key: bytes) -> bool:
    """Whether the bytes are a valid public key: 48 bytes, on the curve, in the subgroup, not the identity."""
    try:
        public_key_point(public_key)
    except BlsError:
        return False
    return True


@lru_cache(maxsize=_CACHED_PUBLIC_KEYS)
def public_key_point(public_key: bytes) -> PointG1:
    """Decode a public key (48 bytes), remembering recent ones. Raises BlsError where `validate_public_key` says no."""
    point = _decode_g1(public_key)
    if point == _G1_IDENTITY:
        raise BlsError(f"BLS public key 0x{public_key.hex()}: the identity point is not a key")
    return point


def _decode_g1(raw: bytes) -> PointG1:
    # The library would also take the 96-byte uncompressed form.
    if len(raw) != PUBLIC_KEY_SIZE:
        raise BlsError(f"BLS public key: {len(raw)} bytes, expected {PUBLIC_KEY_SIZE}")
    try:
        return BlstP1Element.uncompress(bytes(raw))
    except ValueError:
        raise BlsError(f"BLS public key 0x{raw.hex()}: not a point of the group G1") from None


def signature_point(signature: bytes) -> PointG2:
    """Decode a signature (96 bytes); the identity is a point too. Raises BlsError."""
    if len(signature) != SIGNATURE_SIZE:
        raise BlsError(f"BLS signature: {len(signature)} bytes, expected {SIGNATURE_SIZE}")
    raw = bytes(signature)
    made = _made_signatures.get(raw)
    if made is not None:
        return made
    try:
        return BlstP2Element.uncompress(raw)
    except ValueError:
        raise BlsError(f"BLS signature 0x{raw.hex()}: not a point of the group G2") from None


def encode_signature(point: PointG2) -> Signature:
    """A point of G2 as 96 bytes."""
    return Signature(point.compress())


def is_identity(point: PointG2) -> bool:
    """Whether the point of G2 is the identity, which no honest signature is."""
    return bool(point == _G2_IDENTITY)


@lru_cache(maxsize=_CACHED_MESSAGES)
def hash_point(message: bytes, suite: bytes = SIGNATURE_SUITE) -> PointG2:
    """Hash a message to G2, remembering recent ones: many keys that sign one message share one hash."""
    return BlstP2Element.hash_to_group(message, suite)


def forget_recent() -> None:
    """Forget hashed messages and made signatures: to measure what one operator does where several share a process."""
    hash_point.cache_clear()
    _made_signatures.clear()


def sign(secret: int, message: bytes) -> Signature:
    """Sign ``message`` (in practice a 32-byte signing root); returns 96 bytes. Raises BlsError for a bad secret."""
    check_secret(secret)
    point = hash_point(message).scalar_mul(secret)
    signature = Signature(point.compress())
    _made_signatures.add(signature, point)
    return signature


def verify(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the signature is valid; malformed keys and signatures give False."""
    try:
        key, point = public_key_point(public_key), signature_point(signature)
    except BlsError:
        return False
    return pairing_check([(key, hash_point(message))], point)


def pairing_check(pairs: Sequence[tuple[PointG1, PointG2]], signature: PointG2) -> bool:
    """Whether the product of e(key, message point) over all pairs equals e(generator, signature)."""
    if not pairs or is_identity(signature):
        return False
    product = miller_loop(*pairs[0])
    for key, message in pairs[1:]:
        product = product * miller_loop(key, message)
    return bool(final_verify(product, miller_loop(_G1_GENERATOR, signature)))


def aggregate_signatures(signatures: Sequence[bytes]) -> Signature:
    """Add up signatures. Raises BlsError if there are none or one is malformed."""
    if not signatures:
        raise BlsError("BLS aggregate: no signatures, expected at least one")
    total = _G2_IDENTITY
    for signature in signatures:
        total = total + signature_point(signature)
    return encode_signature(total)


def aggregate_public_keys(public_keys: Sequence[bytes]) -> PublicKey:
    """Add up public keys. Raises BlsError if there are none or one is malformed."""
    if not public_keys:
        raise BlsError("BLS aggregate: no public keys, expected at least one")
    total = _G1_IDENTITY
    for public_key in public_keys:
        total = total + public_key_point(public_key)
    return PublicKey(total.compress())


def fast_aggregate_verify(public_keys: Sequence[bytes], message: bytes, signature: bytes) -> bool:
    """Whether an aggregate signature of all the keys over one message is valid; malformed input gives False."""
    try:
        return verify(aggregate_public_keys(public_keys), message, signature)
    except BlsError:
        return False


def aggregate_verify(public_keys: Sequence[bytes], messages: Sequence[bytes], signature: bytes) -> bool:
    """Whether an aggregate signature, each key over its own message, is valid; malformed input gives False."""
    if len(public_keys) != len(messages):
        return False
    try:
        pairs = [(public_key_point(k), hash_point(m)) for k, m in zip(public_keys, messages, strict=True)]
        return pairing_check(pairs, signature_point(signature))
    except BlsError:
        return False


def batch_verify(items: Sequence[tuple[bytes, bytes, bytes]]) -> bool:
    """Whether all of many (public key, message, signature) are valid, for less than checking each.

    An empty batch is valid; a malformed key or signature gives False.
    """
    try:
        decoded = [(public_key_point(key), message, signature_point(sig)) for key, message, sig in items]
    except BlsError:
        return False
    return batch_check(decoded)


def batch_check(items: Sequence[tuple[PointG1, bytes, PointG2]]) -> bool:
    """`batch_verify` over decoded points: one random linear combination, one pairing a distinct message.

    With independent random factors c_i, the product of e(sum of c_i·key_i, H(message)) over the messages equals
    e(generator, sum of c_i·signature_i) for invalid signatures only with probability 2^-64.
    """
    if not items:
        return True
    if any(is_identity(point) for _, _, point in items):
        return False
    if len(items) == 1:
        key, message, signature = items[0]
        return pairing_check([(key, hash_point(message))], signature)
    scalars = [secrets.randbits(_SCALAR_BITS) | 1 for _ in items]
    by_message: dict[bytes, tuple[list[PointG1], list[int]]] = {}
    for (key, message, _), scalar in zip(items, scalars, strict=True):
        keys, factors = by_message.setdefault(message, ([], []))
        keys.append(key)
        factors.append(scalar)
    pairs = [
        (_sum_of_products(keys, factors, _G1_IDENTITY), hash_point(message))
        for message, (keys, factors) in by_message.items()
    ]
    return pairing_check(pairs, combine([point for _, _, point in items], scalars))


def combine(points: Sequence[PointG2], scalars: Sequence[int]) -> PointG2:
    """The sum of scalar·point in G2; scalars may be negative. Fastest for short scalars (under about 100 bits)."""
    signed = [
        (-point, -scalar) if scalar < 0 else (point, scalar) for point, scalar in zip(points, scalars, strict=True)
    ]
    return _sum_of_products([p for p, _ in signed], [s for _, s in signed], _G2_IDENTITY)


def multiply(point: PointG2, scalar: int) -> PointG2:
    """scalar·point in G2, in constant time for a given bit length; the scalar is taken modulo the group order."""
    return point.scalar_mul(scalar % GROUP_ORDER)


def _sum_of_products(points: Sequence[Any], scalars: Sequence[int], identity: Any) -> Any:
    """Pippenger's bucket method. Not constant-time: only for public values.

    The library multiplies a point by a 64-bit number no faster than by a 255-bit one and has no multi-scalar
    multiplication, but its additions are cheap (2.5 µs in G2), so buckets win by several times.
    """
    bits = max((scalar.bit_length() for scalar in scalars), default=0)
    # Cost of one window of w bits: an addition a point and two a bucket.
    width = min(range(1, 11), key=lambda w: -(-bits // w) * (len(points) + 2 * (1 << w)))
    mask = (1 << width) - 1
    total = identity
    for shift in range((-(-bits // width) - 1) * width, -1, -width):
        if total is not identity:
            for _ in range(width):
                total = total + total
        buckets: dict[int, Any] = {}
        for point, scalar in zip(points, scalars, strict=True):
            digit = scalar >> shift & mask
            if digit:
                held = buckets.get(digit)
                buckets[digit] = point if held is None else held + point
        if not buckets:
            continue
        running = window_sum = identity
        for digit in range(max(buckets), 0, -1):
            held = buckets.get(digit)
            if held is not None:
                running = running + held
            window_sum = window_sum + running
        total = total + window_sum
    return total

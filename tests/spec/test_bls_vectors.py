"""All published BLS12-381 vectors of the ethereum/bls12-381-tests kind."""

from collections import Counter
from typing import Any

import pytest
from vector_archives import json_members, needs

from ssv_pool.crypto import bls
from ssv_pool.crypto.bls import BlsError

ARCHIVE = "bls12-381.tar.xz"
pytestmark = needs(ARCHIVE)

COUNTS = {
    "aggregate": 6,
    "aggregate_verify": 5,
    "batch_verify": 4,
    "deserialization_G1": 16,
    "deserialization_G2": 18,
    "fast_aggregate_verify": 12,
    "hash_to_G2": 4,
    "sign": 10,
    "verify": 29,
}

FIELD_MODULUS = 0x1A0111EA397FE69A4B1BA7B6434BACD764774B84F38512BF6730D2A0F6B0F6241EABFFFEB153FFFFB9FEFFFFFFFFAAAB


def raw(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def run(handler: str, given: Any) -> Any:
    """The result of a vector's operation in the vector's own form; None where it must fail."""
    try:
        return OPERATIONS[handler](given)
    except BlsError:
        return None


def hash_to_g2(given: Any) -> dict[str, str]:
    """These vectors are RFC 9380's (appendix J.10.1), with its own domain separation tag."""
    suite = b"QUUX-V01-CS02-with-BLS12381G2_XMD:SHA-256_SSWU_RO_"
    return {"compressed": bls.encode_signature(bls.hash_point(given["msg"].encode(), suite)).hex()}


def compressed_form(expected: Any) -> dict[str, str]:
    """A vector's affine point in compressed form: x1 ‖ x0, flags in the first byte (Zcash encoding)."""
    x0, x1 = (int(part, 16) for part in expected["x"].split(","))
    y0, y1 = (int(part, 16) for part in expected["y"].split(","))
    larger = y1 > FIELD_MODULUS // 2 if y1 else y0 > FIELD_MODULUS // 2
    encoded = bytearray(x1.to_bytes(48, "big") + x0.to_bytes(48, "big"))
    encoded[0] |= 0x80 | (0x20 if larger else 0)
    return {"compressed": encoded.hex()}


def is_point_g1(given: Any) -> bool:
    key = raw(given["pubkey"])
    # The identity deserializes; as a key it is refused, which the verify vectors want.
    return bls.validate_public_key(key) or key == b"\xc0" + bytes(47)


def is_point_g2(given: Any) -> bool:
    try:
        bls.signature_point(raw(given["signature"]))
    except BlsError:
        return False
    return True


OPERATIONS = {
    "aggregate": lambda given: "0x" + bls.aggregate_signatures([raw(s) for s in given]).hex(),
    "aggregate_verify": lambda given: bls.aggregate_verify(
        [raw(k) for k in given["pubkeys"]], [raw(m) for m in given["messages"]], raw(given["signature"])
    ),
    "batch_verify": lambda given: bls.batch_verify(
        [
            (raw(k), raw(m), raw(s))
            for k, m, s in zip(given["pubkeys"], given["messages"], given["signatures"], strict=True)
        ]
    ),
    "deserialization_G1": is_point_g1,
    "deserialization_G2": is_point_g2,
    "fast_aggregate_verify": lambda given: bls.fast_aggregate_verify(
        [raw(k) for k in given["pubkeys"]], raw(given["message"]), raw(given["signature"])
    ),
    "hash_to_G2": hash_to_g2,
    "sign": lambda given: "0x" + bls.sign(bls.secret_from_bytes(raw(given["privkey"])), raw(given["message"])).hex(),
    "verify": lambda given: bls.verify(raw(given["pubkey"]), raw(given["message"]), raw(given["signature"])),
}


@pytest.mark.parametrize("path", json_members(ARCHIVE))
def test_vector(path: str) -> None:
    handler = path.split("/")[-2]
    vector = json_members(ARCHIVE)[path]
    expected = compressed_form(vector["output"]) if handler == "hash_to_G2" else vector["output"]
    assert run(handler, vector["input"]) == expected


def test_none_is_missing() -> None:
    assert Counter(path.split("/")[-2] for path in json_members(ARCHIVE)) == COUNTS

"""BLS for the executable specification: known-good signatures are not checked twice, many are checked at once.

A signature check is a pure function, so a positive result may be remembered. What this node signed itself, or found
valid in a batch, counts as checked; an aggregate of such signatures does too. Everything else goes through the
specification's own functions.
"""

import functools
import hashlib
import importlib.util
import secrets
from collections.abc import Sequence
from typing import Any

from ssv_pool.devnet.beacon.memo import BoundedMemo

_COEFFICIENT_BITS = 128
"""Size of the random factors of a batched check: a forged batch passes with a probability of 2**-128."""


def private_copy(name: str) -> Any:
    """A second, independent instance of the module ``name``, which may be patched without touching the first."""
    found = importlib.util.find_spec(name)
    if found is None or found.loader is None:
        raise ModuleNotFoundError(f"module {name}: not installed")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def _key(pubkeys: Sequence[bytes], message: bytes, signature: bytes) -> bytes:
    return hashlib.sha256(b"".join(map(bytes, pubkeys)) + bytes(message) + bytes(signature)).digest()


class SignatureBook:
    """The specification's ``bls`` module with a memory. ``module`` is what the specification is to use."""

    def __init__(self) -> None:
        self.module: Any = private_copy("eth_consensus_specs.utils.bls")
        """A private copy of the module whose Verify and FastAggregateVerify ask this book first."""
        self._valid: BoundedMemo[bytes, bool] = BoundedMemo(1 << 16)
        self._fast_aggregate_verify = self.module.FastAggregateVerify
        # Decoding a public key with its subgroup check costs a quarter of a verification; keys come again all the time.
        self.module._valid_pubkey_point = functools.lru_cache(1 << 16)(self.module._valid_pubkey_point)  # noqa: SLF001
        self.module.Verify = self._verify
        self.module.FastAggregateVerify = self._verify_aggregate

    def sign(self, secret_key: int, message: bytes, pubkeys: Sequence[bytes]) -> bytes:
        """Sign ``message`` with the (summed) secret key of ``pubkeys`` and trust the result; 96 bytes."""
        signature = bytes(self.module.Sign(secret_key, message))
        self.trust(pubkeys, message, signature)
        return signature

    def trust(self, pubkeys: Sequence[bytes], message: bytes, signature: bytes) -> None:
        """Remember that ``signature`` by ``pubkeys`` over ``message`` is valid, without looking."""
        self._valid.put(_key(pubkeys, message, signature), True)

    def verify_each(self, pubkeys: Sequence[bytes], message: bytes, signatures: Sequence[bytes]) -> list[bool]:
        """Whether each signature over the one ``message`` is valid under the public key at its place."""
        keys = [_key((pubkey,), message, signature) for pubkey, signature in zip(pubkeys, signatures, strict=True)]
        open_items = [place for place, key in enumerate(keys) if key not in self._valid]
        points = {}
        for place in open_items:
            pubkey_point = self.module._valid_pubkey_point(bytes(pubkeys[place]))  # noqa: SLF001
            signature_point = self.module._valid_signature_point(bytes(signatures[place]))  # noqa: SLF001
            if pubkey_point is not None and signature_point is not None:
                points[place] = (pubkey_point, signature_point)
        if points:
            hashed = self.module._hash_to_G2(bytes(message))  # noqa: SLF001
            for place in self._valid_places(points, hashed):
                self._valid.put(keys[place], True)
        return [key in self._valid for key in keys]

    def _valid_places(self, points: dict[int, tuple[Any, Any]], hashed: Any) -> list[int]:
        """The places whose signatures are valid: one check for all, halved until the bad ones are found."""
        if self._check(list(points.values()), hashed):
            return list(points)
        if len(points) == 1:
            return []
        places = list(points)
        middle = len(places) // 2
        halves = ({place: points[place] for place in half} for half in (places[:middle], places[middle:]))
        return [place for half in halves for place in self._valid_places(half, hashed)]

    def _check(self, pairs: Sequence[tuple[Any, Any]], hashed: Any) -> bool:
        """One pairing check of a random combination of signatures against the same combination of keys."""
        bls = self.module
        pubkey_sum, signature_sum = pairs[0]
        if len(pairs) > 1:
            factors = [bls.Scalar(secrets.randbits(_COEFFICIENT_BITS) | 1) for _ in pairs]
            pubkey_sum = bls.G1.multiexp_unchecked([pubkey for pubkey, _ in pairs], factors)
            signature_sum = bls.G2.multiexp_unchecked([signature for _, signature in pairs], factors)
        return bool(bls.GT.pairing_check([-bls.G1(), pubkey_sum], [signature_sum, hashed]))

    def _verify(self, pubkey: bytes, message: bytes, signature: bytes) -> bool:
        return self._verify_aggregate([pubkey], message, signature)

    def _verify_aggregate(self, pubkeys: Sequence[bytes], message: bytes, signature: bytes) -> bool:
        pubkeys = [bytes(pubkey) for pubkey in pubkeys]
        key = _key(pubkeys, message, signature)
        if key in self._valid:
            return True
        # For one key the two functions of the standard are the same check.
        valid = bool(self._fast_aggregate_verify(pubkeys, message, signature))
        if valid:
            self._valid.put(key, True)
        return valid

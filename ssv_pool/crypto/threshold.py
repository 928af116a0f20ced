"""BLS threshold signatures in batches: rebuild many validators' signatures, check them all at once.

All attesters of a slot sign the same root, so one pairing check of a random combination serves a whole committee. Only
when it fails, the batch is halved until the bad ones stand alone.
"""

from collections.abc import Sequence

from ssv_pool.crypto import bls
from ssv_pool.crypto.bls import BlsError, PointG1, PointG2
from ssv_pool.crypto.shamir import SharingError, weights_at_zero
from ssv_pool.protocol.ports import Reconstruction
from ssv_pool.protocol.types.primitives import PublicKey, Root, Signature

_LINEAR_BELOW = 4
"""A failing batch of at most this size is checked one by one instead of halved further."""


class BlsThreshold:
    """Implements `ssv_pool.protocol.ports.ThresholdScheme`. Holds no state and may be used from several threads."""

    def reconstruct(self, items: Sequence[Reconstruction]) -> list[Signature | None]:
        """Rebuild and verify many signatures; None where a point is bad or the result does not verify."""
        rebuilt: list[PointG2 | None] = [_rebuild(item) for item in items]
        checkable: list[tuple[int, tuple[PointG1, bytes, PointG2]]] = []
        for position, (item, point) in enumerate(zip(items, rebuilt, strict=True)):
            if point is None:
                continue
            try:
                checkable.append((position, (bls.public_key_point(item.public_key), item.root, point)))
            except BlsError:
                continue
        good = _find_valid([entry for _, entry in checkable])
        result: list[Signature | None] = [None] * len(items)
        for (position, (_, _, point)), valid in zip(checkable, good, strict=True):
            if valid:
                result[position] = bls.encode_signature(point)
        return result

    def verify(self, public_key: PublicKey, root: Root, signature: Signature) -> bool:
        """Whether one signature over a 32-byte root is valid; a malformed point gives False."""
        return bls.verify(public_key, root, signature)

    def verify_many(self, items: Sequence[tuple[PublicKey, Root, Signature]]) -> list[bool]:
        """Which of many signatures are valid: one batched check, halved only where it fails.

        For the partial signatures of one operator over a slot this costs a tenth of checking each.
        """
        decoded: list[tuple[int, tuple[PointG1, bytes, PointG2]]] = []
        for position, (public_key, root, signature) in enumerate(items):
            try:
                decoded.append((position, (bls.public_key_point(public_key), root, bls.signature_point(signature))))
            except BlsError:
                continue
        result = [False] * len(items)
        for (position, _), valid in zip(decoded, _find_valid([entry for _, entry in decoded]), strict=True):
            result[position] = valid
        return result


def _rebuild(item: Reconstruction) -> PointG2 | None:
    try:
        weights = weights_at_zero(tuple(item.partials))
        points = [bls.signature_point(partial) for partial in item.partials.values()]
    except (BlsError, SharingError):
        return None
    # Buckets of additions beat the library's full-size multiplications while the numerators are short; the bound is
    # where both took the same time.
    if max(numerator.bit_length() for numerator in weights.numerators) > 45 + 12 * len(points):
        total = bls.multiply(points[0], weights.modular()[0])
        for point, weight in zip(points[1:], weights.modular()[1:], strict=True):
            total = total + bls.multiply(point, weight)
        return total
    total = bls.combine(points, weights.numerators)
    return total if weights.denominator == 1 else bls.multiply(total, weights.inverse_denominator)


def _find_valid(items: Sequence[tuple[PointG1, bytes, PointG2]]) -> list[bool]:
    good = [True] * len(items)

    def search(start: int, end: int, *, known_bad: bool) -> None:
        """Mark the invalid ones of items[start:end]; known_bad spares a check whose failure is certain."""
        if not known_bad and bls.batch_check(items[start:end]):
            return
        if end - start <= _LINEAR_BELOW:
            for index in range(start, end):
                good[index] = bls.batch_check(items[index : index + 1])
            return
        middle = (start + end) // 2
        search(start, middle, known_bad=False)
        search(middle, end, known_bad=all(good[start:middle]))

    search(0, len(items), known_bad=False)
    return good

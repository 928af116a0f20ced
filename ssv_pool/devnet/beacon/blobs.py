"""Blobs for blocks: real commitments and cell proofs, made once."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from eth_consensus_specs.utils import kzg

FIELD_ELEMENTS = 4096
"""Field elements of 32 bytes in one blob."""

CELLS = 128
"""Cells of an extended blob, and so proofs for one blob since Fulu."""


@dataclass(frozen=True, slots=True)
class BlobBundle:
    """The blobs of one block."""

    commitments: tuple[bytes, ...] = ()
    """KZG commitments, 48 bytes each."""
    proofs: tuple[bytes, ...] = ()
    """Cell proofs, 48 bytes each: ``CELLS`` for each blob, in the blobs' order."""
    blobs: tuple[bytes, ...] = ()
    """131072 bytes each."""


NO_BLOBS = BlobBundle()


def make_bundle(count: int) -> BlobBundle:
    """``count`` different blobs with their commitments and proofs; a quarter of a second each."""
    if not count:
        return NO_BLOBS
    kzg.load_trusted_setup()
    blobs = [_blob(number) for number in range(count)]
    commitments = [bytes(kzg.blob_to_kzg_commitment(blob)) for blob in blobs]
    proofs = [bytes(proof) for blob in blobs for proof in kzg.compute_cells_and_kzg_proofs(blob)[1]]
    return BlobBundle(tuple(commitments), tuple(proofs), tuple(blobs))


def first_of(bundle: BlobBundle, count: int) -> BlobBundle:
    """The first ``count`` blobs of a bundle."""
    return BlobBundle(bundle.commitments[:count], bundle.proofs[: count * CELLS], bundle.blobs[:count])


def check_bundle(commitments: Sequence[bytes], proofs: Sequence[bytes], blobs: Sequence[bytes]) -> None:
    """Check that ``proofs`` and ``blobs`` are those of a block's ``commitments``.

    Raises:
        ValueError: a wrong number of them, or a proof that does not hold.
    """
    if len(blobs) != len(commitments):
        raise ValueError(f"blobs: found {len(blobs)}, expected {len(commitments)} as the block has commitments")
    if len(proofs) != CELLS * len(blobs):
        raise ValueError(f"kzg_proofs: found {len(proofs)}, expected {CELLS * len(blobs)}")
    if not blobs:
        return
    kzg.load_trusted_setup()
    try:
        cells = [cell for blob in blobs for cell in kzg.compute_cells(blob)]
        of_cells = [commitment for commitment in commitments for _ in range(CELLS)]
        valid = kzg.verify_cell_kzg_proof_batch(of_cells, list(range(CELLS)) * len(blobs), cells, proofs)
    except AssertionError as error:
        raise ValueError(f"blobs: not field elements, commitments and proofs ({error})") from error
    if not valid:
        raise ValueError("kzg_proofs: they do not prove the blobs against the block's commitments")


def _blob(number: int) -> bytes:
    """A blob whose elements are all below the field's order: the first byte of each is zero."""
    elements = (hashlib.sha256(f"{number}:{place}".encode()).digest()[:31] for place in range(FIELD_ELEMENTS))
    return b"".join(b"\0" + element for element in elements)

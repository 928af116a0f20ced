"""The executable specification made fast: the same results in a fraction of the time.

The specification is written to be read; its epoch transition is quadratic and its fork choice worse. Each class here
replaces functions of one private copy of the specification module by ones that compute the same on plain integers or
remember what was computed before. Tests compare them with the unpatched functions on random states and block trees.
"""

from dataclasses import dataclass
from typing import Any

from ssv_pool.devnet.beacon.overlay import ssz
from ssv_pool.devnet.beacon.overlay.block import BlockOverlay
from ssv_pool.devnet.beacon.overlay.columns import ColumnCache
from ssv_pool.devnet.beacon.overlay.epoch import EpochOverlay
from ssv_pool.devnet.beacon.overlay.forkchoice import ForkChoiceOverlay
from ssv_pool.devnet.beacon.overlay.patching import patch
from ssv_pool.devnet.beacon.overlay.registry import RegistryOverlay
from ssv_pool.devnet.beacon.overlay.signatures import SignatureBook, private_copy


@dataclass(frozen=True, slots=True)
class FastSpec:
    """A patched specification module and the caches behind it."""

    spec: Any
    """The module; everything in it is called as in the specification."""
    columns: ColumnCache
    """Validators as plain integers."""
    signatures: SignatureBook
    """The BLS functions the module uses, with their memory."""
    blocks: BlockOverlay
    """Memory of executed blocks."""


def fast_spec(module_name: str) -> FastSpec:
    """A private, patched copy of the specification module ``module_name`` (``eth_consensus_specs.fulu.minimal``)."""
    ssz.install()
    spec: Any = private_copy(module_name)
    columns, signatures = ColumnCache(), SignatureBook()
    spec.bls = signatures.module
    blocks = BlockOverlay(spec, columns)
    for overlay in (
        RegistryOverlay(spec, columns),
        EpochOverlay(spec, columns),
        blocks,
        ForkChoiceOverlay(spec, columns),
    ):
        patch(spec, overlay)
    return FastSpec(spec=spec, columns=columns, signatures=signatures, blocks=blocks)

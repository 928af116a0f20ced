"""Who is an aggregator: the beacon chain's rules over selection proofs (specification: phase0 and altair validator)."""

from hashlib import sha256

from ssv_pool.protocol.types.presets import MAINNET, Preset
from ssv_pool.protocol.types.primitives import Signature

TARGET_AGGREGATORS_PER_COMMITTEE = 16
"""About how many members of a beacon committee aggregate."""

TARGET_AGGREGATORS_PER_SYNC_SUBCOMMITTEE = 16
"""About how many members of a sync subcommittee aggregate."""


class Selection:
    """The beacon chain's rules; tests put their own in its place."""

    def __init__(self, preset: Preset = MAINNET) -> None:
        """Make the rules of a preset."""
        self._subcommittee_size = preset.subcommittee_size

    def subcommittee(self, place: int) -> int:
        """Which part of the sync committee a place in it belongs to."""
        return place // self._subcommittee_size

    def is_aggregator(self, committee_index: int, committee_length: int, proof: Signature) -> bool:  # noqa: ARG002
        """Whether a member of a beacon committee aggregates.

        Args:
            committee_index: the beacon committee; the rule is the same for all.
            committee_length: number of validators in the beacon committee.
            proof: the member's whole signature over the slot, 96 bytes.
        """
        return _is_chosen(proof, max(1, committee_length // TARGET_AGGREGATORS_PER_COMMITTEE))

    def is_sync_committee_aggregator(self, proof: Signature) -> bool:
        """Whether a member of a sync subcommittee makes its contribution; ``proof`` has 96 bytes."""
        return _is_chosen(proof, max(1, self._subcommittee_size // TARGET_AGGREGATORS_PER_SYNC_SUBCOMMITTEE))


def _is_chosen(proof: Signature, modulo: int) -> bool:
    return int.from_bytes(sha256(proof).digest()[:8], "little") % modulo == 0

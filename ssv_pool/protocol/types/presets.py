"""Sizes that differ between the beacon chain's presets: mainnet, and minimal for small test chains.

Only what containers and duties here depend on; the beacon chain's specification has more. The first number of each
field's text is mainnet's.
"""

from dataclasses import dataclass

SYNC_COMMITTEE_SUBNETS = 4
"""Parts of the sync committee whose messages are aggregated apart; the same in every preset."""


@dataclass(frozen=True, slots=True)
class Preset:
    """One preset of the beacon chain."""

    name: str
    """What a beacon node's configuration calls it (PRESET_BASE)."""
    sync_committee_size: int
    """Places in the sync committee: 512 or 32."""
    epochs_per_sync_committee_period: int
    """How long a sync committee serves: 256 or 8."""
    max_validators_per_committee: int
    """Most validators of a beacon committee: 2048 in both."""
    max_committees_per_slot: int
    """Beacon committees in a slot, and committee bits of an Electra attestation: 64 or 4."""
    max_withdrawals_per_payload: int
    """Most withdrawals in a block: 16 or 4."""

    @property
    def subcommittee_size(self) -> int:
        """Places in one part of the sync committee: 128 or 8."""
        return self.sync_committee_size // SYNC_COMMITTEE_SUBNETS

    @property
    def max_attesters_per_slot(self) -> int:
        """Limit of an Electra attestation's aggregation bits: 131 072 or 8192."""
        return self.max_validators_per_committee * self.max_committees_per_slot

    @property
    def committee_bytes(self) -> int:
        """Length of an Electra attestation's committee bits in bytes: 8 or 1."""
        return (self.max_committees_per_slot + 7) // 8


MAINNET = Preset(
    name="mainnet",
    sync_committee_size=512,
    epochs_per_sync_committee_period=256,
    max_validators_per_committee=2048,
    max_committees_per_slot=64,
    max_withdrawals_per_payload=16,
)
"""The preset of all public networks here."""

MINIMAL = Preset(
    name="minimal",
    sync_committee_size=32,
    epochs_per_sync_committee_period=8,
    max_validators_per_committee=2048,
    max_committees_per_slot=4,
    max_withdrawals_per_payload=4,
)
"""The preset of small test chains."""

_BY_NAME = {preset.name: preset for preset in (MAINNET, MINIMAL)}


def preset_named(name: str) -> Preset:
    """The preset that a beacon node calls ``name``. Raises ValueError for any other."""
    preset = _BY_NAME.get(name)
    if preset is None:
        raise ValueError(f"preset {name!r}, expected one of {', '.join(_BY_NAME)}")
    return preset

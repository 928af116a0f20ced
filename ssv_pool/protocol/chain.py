"""What the core needs to know of the beacon chain, and all slot arithmetic.

Times are seconds since the UNIX epoch as floats; nothing here reads a clock.
"""

from dataclasses import dataclass

from ssv_pool.protocol.types.presets import MAINNET, Preset
from ssv_pool.protocol.types.primitives import Epoch, Root, Slot


@dataclass(frozen=True, slots=True)
class ForkVersion:
    """One entry of the beacon chain's fork schedule."""

    epoch: Epoch
    """First epoch of the fork."""
    version: bytes
    """Fork version, 4 bytes."""
    name: str
    """Lower-case fork name: ``capella``, ``deneb``, ``electra``, ``fulu``."""


@dataclass(frozen=True, slots=True)
class BeaconChain:
    """The beacon chain's constants, as the own beacon node states them, and its clock arithmetic."""

    genesis_time: float
    """Start of slot 0, seconds since the UNIX epoch."""
    genesis_validators_root: Root
    """Root of the validators at genesis, 32 bytes."""
    slot_duration_ms: int
    """Length of a slot in milliseconds (SLOT_DURATION_MS)."""
    slots_per_epoch: int
    """SLOTS_PER_EPOCH: 32 on mainnet, 8 in the minimal preset."""
    forks: tuple[ForkVersion, ...]
    """The fork schedule in ascending order of epochs; the first entry is at epoch 0."""
    preset: Preset = MAINNET
    """Sizes of the chain's containers and committees (PRESET_BASE)."""

    @property
    def slot_seconds(self) -> float:
        """Length of a slot in seconds."""
        return self.slot_duration_ms / 1000

    def slot_at(self, now: float) -> Slot:
        """The slot that runs at ``now``; 0 before genesis."""
        return Slot(max(0, int((now - self.genesis_time) * 1000 // self.slot_duration_ms)))

    def epoch_at(self, now: float) -> Epoch:
        """The epoch that runs at ``now``; 0 before genesis."""
        return self.epoch_of(self.slot_at(now))

    def start_of(self, slot: Slot | int) -> float:
        """When ``slot`` starts, seconds since the UNIX epoch."""
        return self.genesis_time + slot * self.slot_duration_ms / 1000

    def attestation_due(self, slot: Slot | int) -> float:
        """When the attestations of ``slot`` are due: a third into the slot."""
        return self.start_of(slot) + self.slot_duration_ms / 3000

    def aggregate_due(self, slot: Slot | int) -> float:
        """When the aggregates of ``slot`` are due: two thirds into the slot."""
        return self.start_of(slot) + 2 * self.slot_duration_ms / 3000

    def epoch_of(self, slot: Slot | int) -> Epoch:
        """The epoch that ``slot`` belongs to."""
        return Epoch(slot // self.slots_per_epoch)

    def first_slot(self, epoch: Epoch | int) -> Slot:
        """The first slot of ``epoch``."""
        return Slot(epoch * self.slots_per_epoch)

    def fork_at(self, epoch: Epoch | int) -> ForkVersion:
        """The fork in force at ``epoch``: the last entry that is not later."""
        current = self.forks[0]
        for fork in self.forks:
            if fork.epoch <= epoch:
                current = fork
        return current

"""What validation must know of the registry and of duties."""

from dataclasses import dataclass
from typing import Protocol

from ssv_pool.protocol.types.primitives import CommitteeId, Epoch, OperatorId, PublicKey, Slot, ValidatorIndex


@dataclass(frozen=True, slots=True)
class CommitteeView:
    """One committee of the registry, be this operator in it or not."""

    operator_ids: tuple[OperatorId, ...]
    """In the committee's order: ascending."""
    validator_count: int
    """How many validators the committee runs; liquidated and exited ones do not count."""
    in_sync_committee: bool
    """Whether any of them is in the sync committee now, or that is not known: it then has a duty in each slot."""

    @property
    def quorum(self) -> int:
        """How many operators decide: 2f + 1."""
        return 2 * ((len(self.operator_ids) - 1) // 3) + 1


@dataclass(frozen=True, slots=True)
class ValidatorView:
    """One validator of the registry."""

    committee: CommitteeView
    """The committee that runs it."""
    index: ValidatorIndex | None
    """Its index in the beacon state; None until the beacon node has told its metadata."""
    liquidated: bool
    """Whether its cluster is liquidated."""
    attesting_from: Epoch | None
    """First epoch in which it attests: 0 for one that is active, None for one that is not and has no date."""


class RegistryView(Protocol):
    """The registry as this node knows it. Every call may be made for each message and has to be a look-up in memory."""

    def committee(self, committee_id: CommitteeId) -> CommitteeView | None:
        """The committee with this id (32 bytes), None when no validator was ever registered with it."""
        ...

    def operator_key(self, operator_id: OperatorId) -> bytes | None:
        """An operator's public key (its PEM, 459 bytes), None when it is not registered or was removed."""
        ...

    def validator(self, public_key: PublicKey) -> ValidatorView | None:
        """The validator with this public key (48 bytes), None when it is not registered."""
        ...

    def proposes(self, index: ValidatorIndex, slot: Slot) -> bool | None:
        """Whether the validator proposes the block of ``slot``, None while the epoch's proposers are not known."""
        ...

    def in_sync_committee(self, index: ValidatorIndex, epoch: Epoch) -> bool | None:
        """Whether the validator is in the sync committee of ``epoch``, None while its members are not known."""
        ...

    def exits(self, public_key: PublicKey, slot: Slot) -> int | None:
        """How many exits of the validator the contract asked for that fall on ``slot``, None when that is not known."""
        ...

"""What validation must know of the registry."""

from dataclasses import dataclass
from typing import Protocol

from ssv_pool.protocol.types.primitives import CommitteeId, OperatorId


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


class RegistryView(Protocol):
    """The registry as this node knows it. Both calls are made for each message and have to be look-ups in memory."""

    def committee(self, committee_id: CommitteeId) -> CommitteeView | None:
        """The committee with this id (32 bytes), None when no validator was ever registered with it."""
        ...

    def operator_key(self, operator_id: OperatorId) -> bytes | None:
        """An operator's public key (its PEM, 459 bytes), None when it is not registered or was removed."""
        ...

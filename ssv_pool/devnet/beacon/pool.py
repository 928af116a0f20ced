"""Attestations that were checked and wait to be put into a block or aggregated."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ssv_pool.devnet.beacon.memo import BoundedMemo


def disjoint(votes: Iterable[tuple[frozenset[int], bytes]]) -> list[tuple[frozenset[int], bytes]]:
    """Votes that share no place, largest first: what one aggregate can hold."""
    used: set[int] = set()
    chosen = []
    for places, signature in sorted(votes, key=lambda vote: -len(vote[0])):
        if not places & used:
            used |= places
            chosen.append((places, signature))
    return chosen


@dataclass(slots=True)
class CommitteeVotes:
    """The votes of one committee for one attestation data."""

    members: tuple[int, ...]
    """Validator indices of the committee in order of their places."""
    votes: list[tuple[frozenset[int], bytes]] = field(default_factory=list)
    """Places that signed, and their (aggregate) signature of 96 bytes."""

    def disjoint(self) -> list[tuple[frozenset[int], bytes]]:
        """Votes that share no place, largest first: what one aggregate can hold."""
        return disjoint(self.votes)


@dataclass(slots=True)
class DataVotes:
    """All votes for one attestation data."""

    root: bytes
    """Hash tree root of the data, 32 bytes."""
    data: Any
    """The AttestationData."""
    committees: dict[int, CommitteeVotes] = field(default_factory=dict)
    """By committee index."""


class AttestationPool:
    """Checked attestations by their data; knows nothing of the chain."""

    def __init__(self, spec: Any, bls: Any) -> None:
        self._spec = spec
        self._bls = bls
        self._entries: dict[bytes, DataVotes] = {}
        self._aggregates: BoundedMemo[tuple[bytes, int, int], Any] = BoundedMemo(256)

    def add(
        self, data: Any, committee_index: int, members: Sequence[int], places: frozenset[int], signature: bytes
    ) -> None:
        """Add a checked vote of the ``places`` of a committee with these ``members``."""
        root = bytes(data.hash_tree_root())
        entry = self._entries.setdefault(root, DataVotes(root, data))
        committee = entry.committees.setdefault(committee_index, CommitteeVotes(tuple(members)))
        if (places, signature) not in committee.votes:
            committee.votes.append((places, signature))

    def newest_first(self) -> Iterator[DataVotes]:
        """All entries, highest slot first."""
        return iter(sorted(self._entries.values(), key=lambda entry: -int(entry.data.slot)))

    def get(self, root: bytes) -> DataVotes | None:
        """The votes for the attestation data with this root, or None."""
        return self._entries.get(root)

    def aggregate(self, entry: DataVotes, committee_index: int) -> Any:
        """The largest aggregate of one committee's votes, as a network Attestation (one committee bit); shared."""
        key = (entry.root, committee_index, len(entry.committees[committee_index].votes))
        found = self._aggregates.get(key)
        return found if found is not None else self._aggregates.put(key, self._make_aggregate(entry, committee_index))

    def _make_aggregate(self, entry: DataVotes, committee_index: int) -> Any:
        spec = self._spec
        committee = entry.committees[committee_index]
        chosen = committee.disjoint()
        places: frozenset[int] = frozenset().union(*(vote[0] for vote in chosen))
        return spec.Attestation(
            aggregation_bits=[place in places for place in range(len(committee.members))],
            data=entry.data,
            signature=self._bls.Aggregate([signature for _, signature in chosen]),
            committee_bits=[index == committee_index for index in range(spec.MAX_COMMITTEES_PER_SLOT)],
        )

    def count(self, before_slot: int) -> int:
        """Votes for slots before ``before_slot``: grows with everything that arrives for them."""
        return sum(
            len(votes.votes)
            for entry in self._entries.values()
            if int(entry.data.slot) < before_slot
            for votes in entry.committees.values()
        )

    def prune(self, first_slot: int) -> None:
        """Forget attestations for slots before ``first_slot``."""
        self._entries = {root: entry for root, entry in self._entries.items() if int(entry.data.slot) >= first_slot}

    def __len__(self) -> int:
        return sum(len(votes.votes) for entry in self._entries.values() for votes in entry.committees.values())

"""What became of the duties of a run: judged one by one from the chain and from what the beacon nodes received.

Nothing here is taken from the operators' own logs, unless the beacon node keeps no record.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ssv_pool.devnet.inclusion import CanonicalBlock
from ssv_pool.devnet.record import Received


@dataclass(frozen=True, slots=True)
class Result:
    """One duty of one validator."""

    validator_index: int
    slot: int
    done: bool
    """Whether the chain holds what the duty had to make, or the beacon node was given it in time."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Duties counted."""

    assigned: int
    done: int

    @classmethod
    def of(cls, results: Iterable[Result], wanted: Callable[[Result], bool] = lambda _: True) -> "Tally":
        """Count those of ``results`` that are ``wanted``."""
        chosen = [result.done for result in results if wanted(result)]
        return cls(len(chosen), sum(chosen))

    @property
    def missed(self) -> int:
        """Duties that were not done."""
        return self.assigned - self.done

    @property
    def rate(self) -> float:
        """Done / assigned; 1.0 where nothing was assigned."""
        return self.done / self.assigned if self.assigned else 1.0


def proposals(
    validators: Collection[int], proposers: Mapping[int, int], blocks: Sequence[CanonicalBlock], slots: Iterable[int]
) -> list[Result]:
    """Whether the slots in which one of ``validators`` had to propose have a block.

    Args:
        validators: whose proposals.
        proposers: slot → who has to propose; a slot that is not named counts by its block's proposer.
        blocks: the canonical blocks.
        slots: the slots that count.
    """
    made = {block.slot: block.proposer_index for block in blocks}
    wanted = frozenset(validators)
    duties = ((slot, proposers.get(slot, made.get(slot))) for slot in slots)
    return [Result(index, slot, slot in made) for slot, index in duties if index is not None and index in wanted]


def sync_messages(
    validators: Collection[int],
    committees: Mapping[int, Sequence[int]],
    blocks: Iterable[CanonicalBlock],
    slots: Collection[int],
    slots_per_epoch: int,
) -> list[Result]:
    """Whether blocks hold the sync committee signatures of ``validators``, one result for each place in the committee.

    A signature of a slot can be in the next slot's block alone: slots without one count nowhere.

    Args:
        validators: whose signatures.
        committees: epoch → members by place; epochs that are not named count nowhere.
        blocks: the canonical blocks.
        slots: the slots of signing that count.
        slots_per_epoch: the chain's.
    """
    wanted, wanted_slots = frozenset(validators), frozenset(slots)
    return [
        Result(member, block.slot - 1, block.sync_bits[place])
        for block in sorted(blocks, key=lambda block: block.slot)
        if block.slot - 1 in wanted_slots
        for place, member in enumerate(committees.get(block.slot // slots_per_epoch, ()))
        if member in wanted
    ]


def aggregates(attesters: Iterable[tuple[int, int]], delivered: Collection[tuple[int, int]]) -> list[Result]:
    """Whether each attester handed in an aggregate: committees so small have nobody who is not an aggregator.

    Args:
        attesters: slot and index of each.
        delivered: slot and index of each aggregate that a beacon node took.
    """
    found = frozenset(delivered)
    return [Result(index, slot, (slot, index) in found) for slot, index in attesters]


def contributions(
    validators: Collection[int],
    committees: Mapping[int, Sequence[int]],
    delivered: Collection[tuple[int, int, int]],
    slots: Iterable[int],
    slots_per_epoch: int,
) -> list[Result]:
    """Whether each sync committee member handed in a contribution of each of its subcommittees.

    Subcommittees so small have nobody who is not an aggregator.

    Args:
        validators: whose contributions.
        committees: epoch → members by place; the committee of the next slot's epoch is asked.
        delivered: slot, index and subcommittee of each contribution that a beacon node took.
        slots: the slots that count.
        slots_per_epoch: the chain's.
    """
    wanted, found = frozenset(validators), frozenset(delivered)
    results = []
    for slot in slots:
        members = committees.get((slot + 1) // slots_per_epoch, ())
        size = max(1, len(members) // SUBCOMMITTEES)
        pairs = sorted({(member, place // size) for place, member in enumerate(members) if member in wanted})
        results += [Result(member, slot, (slot, member, number) in found) for member, number in pairs]
    return results


SUBCOMMITTEES = 4
"""SYNC_COMMITTEE_SUBNET_COUNT."""


def taken_aggregates(received: Iterable[Received]) -> set[tuple[int, int]]:
    """Slot and index of the aggregates that a beacon node took."""
    return {(item.slot, item.validator_index) for item in received if item.kind == "aggregate" and item.taken}


def taken_contributions(received: Iterable[Received]) -> set[tuple[int, int, int]]:
    """Slot, index and subcommittee of the contributions that a beacon node took."""
    return {
        (item.slot, item.validator_index, item.subcommittee)
        for item in received
        if item.kind == "contribution" and item.taken
    }


def participation_by_epoch(blocks: Iterable[CanonicalBlock], slots_per_epoch: int) -> dict[int, float]:
    """Epoch → share of the sync committee that signed in its slots, over those whose next slot has a block.

    A slot's signatures are in the next slot's block, which may be in the next epoch.
    """
    bits: dict[int, list[bool]] = {}
    for block in blocks:
        bits.setdefault((block.slot - 1) // slots_per_epoch, []).extend(block.sync_bits)
    return {epoch: sum(found) / len(found) for epoch, found in sorted(bits.items()) if found}


def exits_included(blocks: Iterable[CanonicalBlock]) -> dict[int, int]:
    """Validator → slot of the block that holds its voluntary exit."""
    return {index: block.slot for block in sorted(blocks, key=lambda b: b.slot) for index in block.exits}


def late_duties(
    received: Iterable[Received], exit_epochs: Mapping[int, int], slots_per_epoch: int
) -> Iterator[Received]:
    """What validators signed for slots after their exit."""
    for item in received:
        left = exit_epochs.get(item.validator_index)
        of_an_active_one = item.kind in {"attestation", "block", "aggregate"}
        if left is not None and of_an_active_one and item.slot >= left * slots_per_epoch:
            yield item

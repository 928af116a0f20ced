"""An independent search for slashable attestations and blocks among everything that was signed.

It knows nothing of the slashing protection it checks: it takes signed votes and blocks, wherever they were seen, and
applies the conditions of the beacon chain (``is_slashable_attestation_data``, ``process_proposer_slashing``).
"""

import enum
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ssv_pool.devnet.inclusion import CanonicalBlock, Committees
from ssv_pool.devnet.record import Received


@dataclass(frozen=True, slots=True)
class SignedVote:
    """One attestation that a validator signed."""

    validator_index: int
    source_epoch: int
    target_epoch: int
    data_root: str
    """Hash tree root of the attestation data, 0x hex of 32 bytes: two votes with the same root are one vote."""
    origin: str
    """Where it was seen, for the reader of a finding."""


@dataclass(frozen=True, slots=True)
class SignedBlock:
    """One block that a validator signed."""

    validator_index: int
    slot: int
    root: str
    """Hash tree root of the block, 0x hex of 32 bytes: two blocks with the same root are one block."""
    origin: str
    """Where it was seen, for the reader of a finding."""


class OffenceKind(enum.Enum):
    """Which condition two signatures break."""

    DOUBLE = "double vote"
    SURROUND = "surround vote"
    PROPOSAL = "double proposal"


@dataclass(frozen=True, slots=True)
class Offence:
    """Two votes of one validator that together are slashable. In a surround vote the first surrounds the second."""

    kind: OffenceKind
    first: SignedVote
    second: SignedVote

    def __str__(self) -> str:
        votes = " and ".join(
            f"{vote.source_epoch}->{vote.target_epoch} {vote.data_root} ({vote.origin})"
            for vote in (self.first, self.second)
        )
        return f"validator {self.first.validator_index}: {self.kind.value}: {votes}"


@dataclass(frozen=True, slots=True)
class BlockOffence:
    """Two blocks of one validator for one slot."""

    first: SignedBlock
    second: SignedBlock
    kind: OffenceKind = OffenceKind.PROPOSAL

    def __str__(self) -> str:
        blocks = " and ".join(f"{block.root} ({block.origin})" for block in (self.first, self.second))
        return f"validator {self.first.validator_index}: {self.kind.value}: slot {self.first.slot}: {blocks}"


def find_offences(votes: Iterable[SignedVote]) -> list[Offence]:
    """All slashable votes among ``votes``.

    Each vote that doubles an earlier one, and each that is surrounded, gives one finding with one partner: the result
    is empty exactly if no two votes are slashable.
    """
    validators: dict[int, dict[str, SignedVote]] = {}
    for vote in votes:
        validators.setdefault(vote.validator_index, {}).setdefault(vote.data_root, vote)
    return [
        offence
        for _index, distinct in sorted(validators.items())
        for offence in [*_doubles(distinct.values()), *_surrounds(distinct.values())]
    ]


def _doubles(votes: Iterable[SignedVote]) -> Iterator[Offence]:
    """Different data for one target epoch."""
    seen: dict[int, SignedVote] = {}
    for vote in votes:
        first = seen.setdefault(vote.target_epoch, vote)
        if first is not vote:
            yield Offence(OffenceKind.DOUBLE, first, vote)


def _surrounds(votes: Iterable[SignedVote]) -> Iterator[Offence]:
    """A vote with a lower source and a higher target than another's.

    In order of the source, a vote is surrounded exactly if one with a lower source has a higher target; it is enough
    to keep the one with the highest.
    """
    widest: SignedVote | None = None
    same_source: list[SignedVote] = []
    for vote in sorted(votes, key=lambda entry: entry.source_epoch):
        if same_source and same_source[0].source_epoch < vote.source_epoch:
            widest = max(filter(None, [widest, *same_source]), key=lambda entry: entry.target_epoch)
            same_source = []
        if widest is not None and vote.target_epoch < widest.target_epoch:
            yield Offence(OffenceKind.SURROUND, widest, vote)
        same_source.append(vote)


def find_double_proposals(blocks: Iterable[SignedBlock]) -> list[BlockOffence]:
    """All blocks that differ from an earlier one of the same validator and slot; empty exactly if none is slashable."""
    seen: dict[tuple[int, int], dict[str, SignedBlock]] = {}
    for block in blocks:
        seen.setdefault((block.validator_index, block.slot), {}).setdefault(block.root, block)
    distinct = [list(seen[key].values()) for key in sorted(seen)]
    return [BlockOffence(first, other) for first, *others in distinct for other in others]


def votes_received(received: Iterable[Received]) -> Iterator[SignedVote]:
    """The votes that beacon nodes received, whatever their verdict on them was."""
    for item in received:
        if item.kind == "attestation":
            yield SignedVote(item.validator_index, item.source_epoch, item.target_epoch, item.root, item.origin)


def blocks_received(received: Iterable[Received]) -> Iterator[SignedBlock]:
    """The blocks that beacon nodes received, whatever their verdict on them was."""
    for item in received:
        if item.kind == "block":
            yield SignedBlock(item.validator_index, item.slot, item.root, item.origin)


def canonical_proposals(blocks: Sequence[CanonicalBlock]) -> Iterator[SignedBlock]:
    """The canonical blocks, in order, but the last: each one's root is named by the block after it."""
    for block, following in pairwise(blocks):
        root = "0x" + following.parent_root.hex()
        yield SignedBlock(block.proposer_index, block.slot, root, f"block of slot {block.slot}")


def votes_of_blocks(blocks: Iterable[CanonicalBlock], committees: Committees) -> Iterator[SignedVote]:
    """The votes in ``blocks`` of the committees given. Raises ValueError: bits and committees differ."""
    for block in blocks:
        for attestation in block.attestations:
            data = attestation.data
            if all((data.slot, index) in committees for index in attestation.committee_indices):
                root = "0x" + data.hash_tree_root().hex()
                for voter in attestation.voters(committees):
                    origin = f"block of slot {block.slot}"
                    yield SignedVote(voter, int(data.source.epoch), int(data.target.epoch), root, origin)

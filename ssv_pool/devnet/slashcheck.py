"""An independent search for slashable attestations among everything that was signed.

It knows nothing of the slashing protection it checks: it takes signed votes, wherever they were seen, and applies the
two conditions of the beacon chain (``is_slashable_attestation_data``).
"""

import enum
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ssv_pool.devnet.inclusion import CanonicalBlock, Committees


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


class OffenceKind(enum.Enum):
    """Which condition two votes break."""

    DOUBLE = "double vote"
    SURROUND = "surround vote"


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


def votes_of_record(path: Path) -> Iterator[SignedVote]:
    """The votes in a file that the embedded beacon node wrote (``--record``), whatever its verdict on them was.

    Raises:
        OSError: the file cannot be read.
        ValueError: a line is not one of the node's.
    """
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                entry = json.loads(line)
                yield SignedVote(
                    validator_index=int(entry["validator_index"]),
                    source_epoch=int(entry["source_epoch"]),
                    target_epoch=int(entry["target_epoch"]),
                    data_root=str(entry["data_root"]),
                    origin=f"line {number} of {path.name}",
                )
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(f"{path}: line {number}: not an attestation record ({error!r})") from error


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

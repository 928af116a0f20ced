"""Reads what an embedded beacon node received: every validly signed object, whatever its verdict on it was."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Received:
    """One object that a beacon node received."""

    kind: str
    """``attestation``, ``block``, ``sync_message``, ``aggregate``, ``contribution``, ``voluntary_exit`` or
    ``registration``."""
    validator_index: int
    """Who signed it."""
    slot: int
    """What slot it is for."""
    received: float
    """When it came, seconds since the UNIX epoch."""
    verdict: str
    """``accepted``, ``duplicate``, ``covered``, or ``ignored: …`` and ``rejected: …`` with the rule's text."""
    origin: str
    """File and line, for the reader of a finding."""
    root: str = ""
    """Attestation, aggregate: hash tree root of the data. Block: of the block. 0x hex of 32 bytes."""
    source_epoch: int = 0
    """Attestations only."""
    target_epoch: int = 0
    """Attestations only."""
    subcommittee: int = 0
    """Contributions only."""

    @property
    def taken(self) -> bool:
        """Whether the node did not refuse it: it may have had it, or more than it, before."""
        return not self.verdict.startswith("rejected")


def read_record(path: Path) -> Iterator[Received]:
    """The objects in a file that the embedded beacon node wrote (``--record``).

    Raises:
        OSError: the file cannot be read.
        ValueError: a line is not one of the node's.
    """
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                entry = json.loads(line)
                kind = str(entry.get("kind", "attestation"))
                votes = kind == "attestation"
                yield Received(
                    kind=kind,
                    validator_index=int(entry["validator_index"]),
                    slot=int(entry["slot"]),
                    received=float(entry["received"]),
                    verdict=str(entry["verdict"]),
                    origin=f"line {number} of {path.name}",
                    root=str(entry["data_root"] if votes else entry["root"] if kind == "block" else ""),
                    source_epoch=int(entry["source_epoch"]) if votes else 0,
                    target_epoch=int(entry["target_epoch"]) if votes else 0,
                    subcommittee=int(entry["subcommittee_index"]) if kind == "contribution" else 0,
                )
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                raise ValueError(f"{path}: line {number}: not a record of the beacon node ({error!r})") from error

"""A file of every validly signed object that reached the node, for the independent search for slashable ones."""

import enum
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self


class ObjectKind(enum.Enum):
    """What outside clients hand in. A record's ``details`` by kind stand beside each."""

    ATTESTATION = "attestation"
    """source_epoch, target_epoch, data_root."""
    BLOCK = "block"
    """root, blinded; the validator is the proposer."""
    SYNC_MESSAGE = "sync_message"
    """root: the block signed for."""
    CONTRIBUTION = "contribution"
    """root, subcommittee_index, participants; the validator is the aggregator."""
    AGGREGATE = "aggregate"
    """source_epoch, target_epoch, data_root, committee_index, participants; the validator is the aggregator."""
    VOLUNTARY_EXIT = "voluntary_exit"
    """epoch; the slot is the one in which it came."""
    REGISTRATION = "registration"
    """fee_recipient, gas_limit, timestamp; the slot is the one in which it came."""


@dataclass(frozen=True, slots=True)
class RecordEntry:
    """One object with a valid signature, whether it was accepted or not."""

    kind: ObjectKind
    validator_index: int
    slot: int
    received: float
    """When it came, seconds since the UNIX epoch."""
    verdict: str
    """``accepted``, ``duplicate``, ``covered``, or ``ignored: …`` and ``rejected: …`` with the rule's text."""
    details: Mapping[str, Any]
    """What is particular to the kind: roots as 0x hex of 32 bytes, numbers, flags."""


class ObjectRecord:
    """Appends entries as JSON lines; without a path it does nothing."""

    def __init__(self, path: Path | None) -> None:
        self._file = path.open("a", encoding="utf-8") if path is not None else None

    def write(self, entries: Sequence[RecordEntry]) -> None:
        """Append ``entries`` and hand them to the operating system."""
        if self._file is None or not entries:
            return
        for entry in entries:
            line = {
                "kind": entry.kind.value,
                "validator_index": entry.validator_index,
                "slot": entry.slot,
                **entry.details,
                "received": entry.received,
                "verdict": entry.verdict,
            }
            self._file.write(json.dumps(line, separators=(",", ":")) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

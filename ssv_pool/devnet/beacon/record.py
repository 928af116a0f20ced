"""A file of every validly signed attestation that reached the node, for the independent search for slashable ones."""

import json
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self


@dataclass(frozen=True, slots=True)
class RecordEntry:
    """One attestation with a valid signature, whether it was accepted or not."""

    validator_index: int
    slot: int
    source_epoch: int
    target_epoch: int
    data_root: str
    """Hash tree root of the attestation data, 0x hex of 32 bytes."""
    received: float
    """When it came, seconds since the UNIX epoch."""
    verdict: str
    """``accepted``, ``duplicate``, or ``ignored: …`` and ``rejected: …`` with the rule's text."""


class AttestationRecord:
    """Appends entries as JSON lines; without a path it does nothing."""

    def __init__(self, path: Path | None) -> None:
        self._file = path.open("a", encoding="utf-8") if path is not None else None

    def write(self, entries: list[RecordEntry]) -> None:
        """Append ``entries`` and hand them to the operating system."""
        if self._file is None or not entries:
            return
        for entry in entries:
            line = {name: getattr(entry, name) for name in RecordEntry.__slots__}
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

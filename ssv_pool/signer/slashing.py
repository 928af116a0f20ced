"""Slashing protection (EIP-3076): what each share key has signed, on disk before any signature exists.

One SQLite file, owned by one process. For each share key it keeps the complete history of signed attestations and
blocks, and marks: the highest epochs and slot of that history (`top`), and lower bounds under which nothing is signed
any more (`floor`: EIP-3076's minima, raised at registration and by pruning, never lowered).

A new attestation is allowed when

1. its source is not later than its target, and both fit in 63 bits;
2. source >= top source and target > top target: it can neither repeat nor surround nor be surrounded; or else
3. source >= floor source and target > floor target, and no attestation of the history has the same target, surrounds
   it or is surrounded by it; or else
4. it was recorded before with exactly this source, target and signing root: repeating it adds nothing.

A new block is allowed when its slot is over the floor and the history has no block of that slot, or this very one.

A share key without marks (never raised) signs nothing. Nothing is forgotten when a validator is removed: it may come
back.
"""

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from ssv_pool.protocol.ports import SlashableError
from ssv_pool.protocol.types.primitives import Epoch, PublicKey, Root, Slot
from ssv_pool.signer.slashing_file import SlashingProtectionError, lock, open_database

__all__ = ["NO_MARKS", "History", "Marks", "SlashingProtection", "SlashingProtectionError"]

_LARGEST = 2**63 - 1
"""Largest epoch or slot of the file's integers; chains never come near, hostile messages do."""


@dataclass(frozen=True, slots=True)
class Marks:
    """A share key's bounds. -1 where there is none."""

    floor_source: int
    """No attestation with an earlier source is signed."""
    floor_target: int
    """No attestation with this or an earlier target is signed, unless it was before."""
    floor_slot: int
    """No block of this or an earlier slot is signed, unless it was before."""
    top_source: int
    """The latest source among floor and history."""
    top_target: int
    """The latest target among floor and history."""
    top_slot: int
    """The latest block slot among floor and history."""


@dataclass(frozen=True, slots=True)
class History:
    """What one share key has signed."""

    share: PublicKey
    """The share's public key."""
    attestations: tuple[tuple[int, int, bytes], ...]
    """(source epoch, target epoch, signing root) of each; the root is empty where it is not known."""
    blocks: tuple[tuple[int, bytes], ...]
    """(slot, signing root) of each."""


NO_MARKS = Marks(-1, -1, -1, -1, -1, -1)


class SlashingProtection:
    """The slashing protection file, open and locked for this process. Usable from any thread, one call at a time."""

    def __init__(self, path: Path) -> None:
        """Open the file, or create it with mode 0600.

        Raises:
            SlashingProtectionError: another process has it, it is damaged or something else, or it cannot be opened.
        """
        # Through a link the lock would stand beside the link, and a second process could come in beside the file.
        self._path = path.resolve()
        self._guard = threading.Lock()
        self._lock_file = lock(self._path)
        try:
            self._database = open_database(self._path)
        except BaseException:
            os.close(self._lock_file)
            raise
        self._marks: dict[PublicKey, tuple[int, Marks]] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"SlashingProtection({self._path})"

    def close(self) -> None:
        """Close the file and give up the lock. Nothing is lost without it; may be called twice."""
        with self._guard:
            self._database.close()
            if self._lock_file >= 0:
                os.close(self._lock_file)
                self._lock_file = -1

    def bind(self, genesis_validators_root: Root) -> None:
        """Tie the file to a chain, on first use. Raises SlashingProtectionError if it belongs to another one."""
        with self._transaction() as database:
            database.execute(
                "INSERT OR IGNORE INTO about VALUES ('genesis_validators_root', ?)", (bytes(genesis_validators_root),)
            )
        bound = self.genesis_validators_root()
        if bound != genesis_validators_root:
            raise SlashingProtectionError(
                f"{self._path}: belongs to the chain with genesis validators root 0x{(bound or b'').hex()}, "
                f"expected 0x{genesis_validators_root.hex()}",
            )

    def genesis_validators_root(self) -> Root | None:
        """The chain the file is tied to; None before `bind`."""
        with self._reading() as database:
            row = database.execute("SELECT value FROM about WHERE name = 'genesis_validators_root'").fetchone()
        return None if row is None else Root(row[0])

    def raise_to(self, shares: Iterable[PublicKey], source: Epoch, target: Epoch, block_slot: Slot) -> None:
        """Forbid everything up to these epochs and this slot, for share keys that start (again); never lowers a mark.

        Registers share keys that are not known yet.

        Args:
            shares: share public keys.
            source: no attestation with an earlier source will be signed.
            target: no attestation with this or an earlier target will be signed.
            block_slot: no block of this or an earlier slot will be signed.
        """
        if not 0 <= source <= target <= _LARGEST or not 0 <= block_slot <= _LARGEST:
            raise SlashingProtectionError(f"marks: source {source}, target {target}, slot {block_slot}: out of range")
        with self._transaction() as database:
            marks = self._loaded(database)
            changed = {
                share: _raised(marks[share][1] if share in marks else NO_MARKS, source, target, block_slot)
                for share in shares
            }
            self._write_marks(database, changed)

    def knows(self, share: PublicKey) -> bool:
        """Whether the share key has marks; without them it signs nothing."""
        with self._reading() as database:
            return share in self._loaded(database)

    def marks(self, share: PublicKey) -> Marks | None:
        """A share key's marks; None if it is not known."""
        with self._reading() as database:
            entry = self._loaded(database).get(share)
        return None if entry is None else entry[1]

    def slashable_attestations(self, shares: Sequence[PublicKey], source: Epoch, target: Epoch) -> list[PublicKey]:
        """The share keys for which a new attestation (source, target) must not be signed. Changes nothing."""
        with self._reading() as database:
            refused = self._refused(database, dict.fromkeys(shares, b""), source, target)
        return [share for share in shares if share in refused]

    def record_attestations(
        self, shares: Sequence[PublicKey], roots: Sequence[Root], source: Epoch, target: Epoch
    ) -> None:
        """Record one attestation a share, all in one transaction that is on disk when this returns.

        Args:
            shares: share public keys.
            roots: the signing root for each, 32 bytes.
            source: source epoch of all.
            target: target epoch of all.

        Raises:
            SlashableError: one of them must not be signed; then none was recorded.
            SlashingProtectionError: the file failed; then none may be signed.
        """
        wanted: dict[PublicKey, bytes] = {}
        for share, root in zip(shares, roots, strict=True):
            if wanted.setdefault(share, root) != root:
                raise SlashableError(
                    f"share 0x{share.hex()}: two signing roots for target epoch {target} at once, expected one",
                )
        with self._transaction() as database:
            refused = self._refused(database, wanted, source, target)
            if refused:
                raise SlashableError(next(iter(refused.values())))
            marks = self._loaded(database)
            database.executemany(
                "INSERT OR IGNORE INTO attestation VALUES (?, ?, ?, ?)",
                [(target, marks[share][0], source, root) for share, root in wanted.items()],
            )
            self._write_marks(database, {share: _with_attestation(marks[share][1], source, target) for share in wanted})

    def slashable_block(self, share: PublicKey, slot: Slot) -> bool:
        """Whether a new block of that slot must not be signed with the share key. Changes nothing."""
        with self._reading() as database:
            return self._block_refusal(database, share, slot, b"") is not None

    def record_block(self, share: PublicKey, slot: Slot, root: Root) -> None:
        """Record a block in a transaction that is on disk when this returns. Raises like `record_attestations`."""
        with self._transaction() as database:
            refusal = self._block_refusal(database, share, slot, root)
            if refusal is not None:
                raise SlashableError(refusal)
            number, marks = self._loaded(database)[share]
            database.execute("INSERT OR IGNORE INTO block VALUES (?, ?, ?)", (slot, number, root))
            self._write_marks(database, {share: _with_block(marks, slot)})

    def prune(self, before: Epoch, before_slot: Slot) -> int:
        """Replace the history before an epoch and a slot by floors as high; returns how many entries went.

        Safe at any time: what is forgotten can no longer be signed, nor anything beside it.
        """
        with self._transaction() as database:
            marks = self._loaded(database)
            # A forgotten attestation could surround or be surrounded: sources below it are forbidden with it.
            sources = dict(
                database.execute(
                    "SELECT share, max(source) FROM attestation WHERE target < ? GROUP BY share", (before,)
                )
            )
            blocks = dict(
                database.execute("SELECT share, max(slot) FROM block WHERE slot < ? GROUP BY share", (before_slot,))
            )
            self._write_marks(
                database,
                {
                    share: _raised(
                        held,
                        sources.get(number, -1),
                        before - 1 if number in sources else -1,
                        blocks.get(number, -1),
                    )
                    for share, (number, held) in marks.items()
                    if number in sources or number in blocks
                },
            )
            gone = database.execute("DELETE FROM attestation WHERE target < ?", (before,)).rowcount
            return gone + database.execute("DELETE FROM block WHERE slot < ?", (before_slot,)).rowcount

    def import_history(self, histories: Iterable[History]) -> None:
        """Add what share keys signed elsewhere, in one transaction, and raise their floors to the latest of it.

        Imported histories may contradict themselves or lack signing roots; nothing at or below them is signed again,
        unless it is recorded with the same root.
        """
        with self._transaction() as database:
            for history in histories:
                held = self._loaded(database).get(history.share)
                marks = _raised(
                    held[1] if held else NO_MARKS,
                    max((source for source, _, _ in history.attestations), default=-1),
                    max((max(source, target) for source, target, _ in history.attestations), default=-1),
                    max((slot for slot, _ in history.blocks), default=-1),
                )
                self._write_marks(database, {history.share: marks})
                number = self._loaded(database)[history.share][0]
                database.executemany(
                    "INSERT OR IGNORE INTO attestation VALUES (?, ?, ?, ?)",
                    [(target, number, source, root) for source, target, root in history.attestations],
                )
                database.executemany(
                    "INSERT OR IGNORE INTO block VALUES (?, ?, ?)",
                    [(slot, number, root) for slot, root in history.blocks],
                )

    def export_history(self) -> list[History]:
        """All that the file knows, share by share, floors included as entries without a signing root."""
        with self._reading() as database:
            histories = []
            for share, (number, marks) in sorted(self._loaded(database).items()):
                attestations = {
                    (row[0], row[1], row[2])
                    for row in database.execute(
                        "SELECT source, target, signing_root FROM attestation WHERE share = ?", (number,)
                    )
                }
                blocks = {
                    (row[0], row[1])
                    for row in database.execute("SELECT slot, signing_root FROM block WHERE share = ?", (number,))
                }
                if marks.floor_target >= 0:
                    attestations |= _unless_covered(attestations, marks.floor_source, marks.floor_target)
                if marks.floor_slot >= 0 and not any(slot == marks.floor_slot for slot, _ in blocks):
                    blocks.add((marks.floor_slot, b""))
                histories.append(History(share, tuple(sorted(attestations)), tuple(sorted(blocks))))
        return histories

    def _refused(
        self, database: sqlite3.Connection, wanted: Mapping[PublicKey, bytes], source: int, target: int
    ) -> dict[PublicKey, str]:
        """Share key → why, for those that must not sign; an empty root equals no recorded one."""
        if source > target or target > _LARGEST:
            return {
                share: f"share 0x{share.hex()}: attestation with source epoch {source} and target epoch {target}, "
                f"expected source <= target <= {_LARGEST}"
                for share in wanted
            }
        marks = self._loaded(database)
        refused: dict[PublicKey, str] = {}
        doubtful: dict[int, PublicKey] = {}
        for share in wanted:
            entry = marks.get(share)
            if entry is None:
                refused[share] = (
                    f"share 0x{share.hex()}: not known to the slashing protection, expected it raised first"
                )
            elif source < entry[1].top_source or target <= entry[1].top_target:
                doubtful[entry[0]] = share
        if not doubtful:
            return refused
        repeated: set[int] = set()
        conflicts: dict[int, tuple[int, int]] = {}
        # Sources are not later than targets, so everything that could conflict has a target after `source`, or the
        # same one.
        rows = database.execute(
            "SELECT share, source, target, signing_root FROM attestation WHERE target >= ? AND "
            "(target = ? OR (source < ? AND target > ?) OR (source > ? AND target < ?))",
            (min(source + 1, target), target, source, target, source, target),
        )
        for number, old_source, old_target, root in rows:
            share_key = doubtful.get(number)
            if share_key is None:
                continue
            if root and (old_source, old_target, root) == (source, target, wanted[share_key]):
                repeated.add(number)
            else:
                conflicts[number] = (old_source, old_target)
        for number, share in doubtful.items():
            if number in repeated:
                continue
            held = marks[share][1]
            found = f"share 0x{share.hex()}: attestation with source epoch {source} and target epoch {target}"
            if number in conflicts:
                refused[share] = "{}, slashable beside the signed one with source {} and target {}".format(
                    found, *conflicts[number]
                )
            elif source < held.floor_source or target <= held.floor_target:
                refused[share] = (
                    f"{found}, expected source >= {held.floor_source} and target > {held.floor_target} (lower bounds)"
                )
        return refused

    def _block_refusal(self, database: sqlite3.Connection, share: PublicKey, slot: int, root: bytes) -> str | None:
        entry = self._loaded(database).get(share)
        if entry is None:
            return f"share 0x{share.hex()}: not known to the slashing protection, expected it raised first"
        number, marks = entry
        if slot > _LARGEST:
            return f"share 0x{share.hex()}: block of slot {slot}, expected at most {_LARGEST}"
        if slot > marks.top_slot:
            return None
        signed = [
            row[0]
            for row in database.execute("SELECT signing_root FROM block WHERE slot = ? AND share = ?", (slot, number))
        ]
        if root and root in signed:
            return None
        if signed:
            return f"share 0x{share.hex()}: block of slot {slot}, slashable beside the signed one of that slot"
        if slot <= marks.floor_slot:
            return f"share 0x{share.hex()}: block of slot {slot}, expected slot > {marks.floor_slot} (lower bound)"
        return None

    def _write_marks(self, database: sqlite3.Connection, changed: Mapping[PublicKey, Marks]) -> None:
        """Write marks and remember them; a transaction that fails drops what is remembered."""
        marks = self._loaded(database)
        rows = [
            (share, m.floor_source, m.floor_target, m.floor_slot, m.top_source, m.top_target, m.top_slot)
            for share, m in changed.items()
            if share not in marks or marks[share][1] != m
        ]
        database.executemany(
            "INSERT INTO share (public_key, floor_source, floor_target, floor_slot, top_source, top_target, top_slot) "
            "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (public_key) DO UPDATE SET "
            "floor_source = excluded.floor_source, floor_target = excluded.floor_target, "
            "floor_slot = excluded.floor_slot, top_source = excluded.top_source, "
            "top_target = excluded.top_target, top_slot = excluded.top_slot",
            rows,
        )
        for share, new in changed.items():
            if share in marks:
                marks[share] = (marks[share][0], new)
            else:
                number = database.execute("SELECT id FROM share WHERE public_key = ?", (share,)).fetchone()[0]
                marks[share] = (number, new)

    def _loaded(self, database: sqlite3.Connection) -> dict[PublicKey, tuple[int, Marks]]:
        """All marks, remembered: nobody else writes the file."""
        if self._marks is None:
            rows = database.execute(
                "SELECT public_key, id, floor_source, floor_target, floor_slot, top_source, top_target, top_slot "
                "FROM share"
            )
            self._marks = {PublicKey(row[0]): (row[1], Marks(*row[2:])) for row in rows}
        return self._marks

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._guard:
            try:
                yield self._database
            except sqlite3.Error as error:
                raise SlashingProtectionError(f"{self._path}: cannot be read: {error}") from error

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """One transaction, on disk when the block is left; undone, with what is remembered, if anything fails."""
        with self._guard:
            try:
                self._database.execute("BEGIN IMMEDIATE")
                yield self._database
                self._database.execute("COMMIT")
            except BaseException as error:
                self._marks = None
                with suppress(sqlite3.Error):
                    self._database.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise SlashingProtectionError(f"{self._path}: cannot be written: {error}") from error
                raise


def _raised(marks: Marks, source: int, target: int, slot: int) -> Marks:
    return Marks(
        floor_source=max(marks.floor_source, source),
        floor_target=max(marks.floor_target, target),
        floor_slot=max(marks.floor_slot, slot),
        top_source=max(marks.top_source, source),
        top_target=max(marks.top_target, target),
        top_slot=max(marks.top_slot, slot),
    )


def _unless_covered(attestations: set[tuple[int, int, bytes]], source: int, target: int) -> set[tuple[int, int, bytes]]:
    """The lower bounds as an entry, unless entries already stand at both."""
    sources, targets = {entry[0] for entry in attestations}, {entry[1] for entry in attestations}
    return set() if source in sources and target in targets else {(max(source, 0), target, b"")}


def _with_attestation(marks: Marks, source: int, target: int) -> Marks:
    return replace(marks, top_source=max(marks.top_source, source), top_target=max(marks.top_target, target))


def _with_block(marks: Marks, slot: int) -> Marks:
    return replace(marks, top_slot=max(marks.top_slot, slot))

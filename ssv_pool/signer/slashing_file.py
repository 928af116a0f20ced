"""The file of the slashing protection: its schema, its lock, and how it is opened safely."""

import fcntl
import os
import sqlite3
from pathlib import Path

from ssv_pool.errors import SsvPoolError

_APPLICATION_ID = 0x53535650
_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE about (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE share (
    id INTEGER PRIMARY KEY,
    public_key BLOB NOT NULL UNIQUE CHECK (length(public_key) = 48),
    floor_source INTEGER NOT NULL,
    floor_target INTEGER NOT NULL,
    floor_slot INTEGER NOT NULL,
    top_source INTEGER NOT NULL,
    top_target INTEGER NOT NULL,
    top_slot INTEGER NOT NULL
);
CREATE TABLE attestation (
    target INTEGER NOT NULL,
    share INTEGER NOT NULL REFERENCES share,
    source INTEGER NOT NULL,
    signing_root BLOB NOT NULL,
    PRIMARY KEY (target, share, source, signing_root)
) WITHOUT ROWID;
CREATE TABLE block (
    slot INTEGER NOT NULL,
    share INTEGER NOT NULL REFERENCES share,
    signing_root BLOB NOT NULL,
    PRIMARY KEY (slot, share, signing_root)
) WITHOUT ROWID;
"""
# Histories are ordered by time and not by share: a batch of a slot appends to one page instead of touching one a share.
# An unknown signing root (imported histories may lack them) is the empty blob; it equals no other.


class SlashingProtectionError(SsvPoolError):
    """The slashing protection file cannot be used: locked, damaged, of another chain, or the disk fails."""


def lock(path: Path) -> int:
    """Take the lock file beside the database; the operating system frees it when the process dies, however it dies.

    Returns:
        The lock file's descriptor: the lock lasts until it is closed.

    Raises:
        SlashingProtectionError: another process holds the lock, or the lock file cannot be opened.
    """
    lock_path = path.with_name(f"{path.name}.lock")
    try:
        descriptor = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SlashingProtectionError(f"{lock_path}: cannot be opened: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
        os.close(descriptor)
        raise SlashingProtectionError(
            f"{path}: in use by another process (pid {holder or 'unknown'}); two must never sign with the same keys",
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def open_database(path: Path) -> sqlite3.Connection:
    """Open the file, or create it with mode 0600; each commit is synced to disk. Raises SlashingProtectionError."""
    try:
        # Created by us, SQLite would leave it readable to others; its -wal file takes over the mode.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        os.fchmod(descriptor, 0o600)
        os.close(descriptor)
    except OSError as error:
        raise SlashingProtectionError(f"{path}: cannot be opened: {error.strerror}") from None
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0)
    try:
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        database.execute("PRAGMA journal_mode = WAL")
        # FULL syncs the log at each commit: a commit that returned survives a power cut.
        database.execute("PRAGMA synchronous = FULL")
        database.execute("PRAGMA foreign_keys = ON")
        _prepare(database, path)
    except sqlite3.Error as error:
        database.close()
        raise SlashingProtectionError(f"{path}: not a usable slashing protection file: {error}") from None
    except BaseException:
        database.close()
        raise
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return database


def _prepare(database: sqlite3.Connection, path: Path) -> None:
    """Create the schema in an empty file; refuse anything that is not ours or not whole."""
    application, version = (
        database.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
    )
    tables = database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if (application, version, tables) == (0, 0, 0):
        database.execute("BEGIN IMMEDIATE")
        for statement in _SCHEMA.split(";"):
            database.execute(statement)
        database.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        database.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
        database.execute("COMMIT")
        return
    if application != _APPLICATION_ID or version != _SCHEMA_VERSION:
        raise SlashingProtectionError(
            f"{path}: not a slashing protection file of version {_SCHEMA_VERSION} (application {application}, "
            f"version {version})",
        )
    verdict = database.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise SlashingProtectionError(f"{path}: damaged: {verdict}")

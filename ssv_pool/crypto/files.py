"""Files that only their owner may read: written whole or not at all, mode 0600 from the first byte on."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

from ssv_pool.errors import KeyFileError

_LARGEST_FILE = 64 * 1024 * 1024
"""Bytes; no key file or key shares file comes near."""


def write_private(path: Path, data: bytes, *, overwrite: bool = False) -> None:
    """Write a file with mode 0600 so that a crash leaves either all of it or none.

    Raises:
        KeyFileError: the file exists (and ``overwrite`` is false) or cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if overwrite:
                temporary.replace(path)
            else:
                # A link fails where the name is taken, a rename would silently replace the other file.
                os.link(temporary, path, follow_symlinks=False)
        finally:
            with suppress(FileNotFoundError):
                temporary.unlink()
        _sync_directory(path.parent)
    except FileExistsError:
        raise KeyFileError(f"{path}: exists already and is not overwritten") from None
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be written: {error.strerror}") from None


def refuse_existing(path: Path) -> None:
    """Raises KeyFileError if the name is taken; to be asked before work whose result would find no place."""
    if path.exists() or path.is_symlink():
        raise KeyFileError(f"{path}: exists already and is not overwritten")


def read_file(path: Path) -> bytes:
    """A file's bytes. Raises KeyFileError if it cannot be read or is absurdly large."""
    try:
        if path.stat().st_size > _LARGEST_FILE:
            raise KeyFileError(f"{path}: over {_LARGEST_FILE} bytes, which no key file is")
        return path.read_bytes()
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be read: {error.strerror}") from None


def read_password(path: Path) -> str:
    """The password in a file, without the line break at its end. Raises KeyFileError if there is none."""
    try:
        password = read_file(path).decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise KeyFileError(f"{path}: password file is not UTF-8 text") from None
    if not password.strip():
        raise KeyFileError(f"{path}: password file is empty, expected a password")
    return password


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

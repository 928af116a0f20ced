"""Finds the suite's files: in the published archives, or in any folder laid out like them."""

import hashlib
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from ssv_pool.errors import ConfigError
from ssv_pool.spectests.model import SpecFile, SpecFork
from ssv_pool.spectests.registry import MODULES

VECTORS_VARIABLE = "SSV_VECTORS"
"""Environment variable with the folder that holds the archives."""


def default_vectors() -> Path:
    """The folder that SSV_VECTORS names, else ``shared/vectors`` beside the checkout."""
    named = os.environ.get(VECTORS_VARIABLE)
    return Path(named) if named else Path(__file__).resolve().parents[2].parent / "shared" / "vectors"


def archive_name(fork: SpecFork) -> str:
    """The published archive of a release."""
    return f"ssv-spec-{fork}.tar.xz"


def roots(vectors: Path, forks: Sequence[SpecFork]) -> dict[SpecFork, Path]:
    """Where each release's files are, unpacked where need be.

    ``vectors`` is a folder with archives or folders ``ssv-spec-<fork>`` or ``<fork>``; or, for a single fork, an
    archive or a folder with the modules themselves.

    Raises:
        ConfigError: a release is not there.
    """
    if len(forks) == 1 and (vectors.is_file() or _has_modules(vectors)):
        return {forks[0]: unpacked(vectors) if vectors.is_file() else vectors}
    found = {}
    for fork in forks:
        candidates = (vectors / archive_name(fork), vectors / f"ssv-spec-{fork}", vectors / fork.value)
        path = next((path for path in candidates if path.exists()), None)
        if path is None:
            hint = "; it holds modules itself, so name one fork" if _has_modules(vectors) else ""
            raise ConfigError(f"{vectors} has no {archive_name(fork)}, expected it or a folder {fork}{hint}")
        found[fork] = unpacked(path) if path.is_file() else path
    return found


def find_files(root: Path, fork: SpecFork, module: str) -> Iterator[SpecFile]:
    """All test files of a module, sorted by name. Both the archives' layout and the specification's own are known."""
    folder = _tests_folder(root, module)
    if folder is not None:
        for path in sorted(folder.glob("*.json")):
            yield SpecFile(fork, module, path)


def unpacked(archive: Path) -> Path:
    """Unpack an archive once into a cache outside the repository, of this user alone.

    Raises:
        ConfigError: the cache is somebody else's, or the archive cannot be read.
    """
    stat = archive.stat()
    tag = hashlib.sha256(f"{archive.resolve()}:{stat.st_size}:{stat.st_mtime_ns}".encode()).hexdigest()[:16]
    cache = Path(tempfile.gettempdir()) / f"ssv-vectors-{os.getuid()}"
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    if cache.is_symlink() or cache.stat().st_uid != os.getuid():
        raise ConfigError(f"{cache} is not this user's own folder, expected it to be: set TMPDIR to another place")
    folder = cache / tag
    if not folder.is_dir():
        fresh = Path(tempfile.mkdtemp(dir=cache))
        try:
            with tarfile.open(archive) as tar:
                _unpack(tar, fresh)
            fresh.rename(folder)
        except tarfile.TarError as error:
            raise ConfigError(f"{archive} cannot be read as an archive: {error}") from error
        except OSError:
            if not folder.is_dir():  # else another process was faster
                raise
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return folder


def _unpack(archive: tarfile.TarFile, folder: Path) -> None:
    """Write an archive's plain files below ``folder``; links, devices and paths that lead out of it are left out.

    The standard library's own filter for this is missing before Python 3.11.4.
    """
    for member in archive:
        source = archive.extractfile(member) if member.isfile() else None
        path = Path(member.name)
        if source is not None and ".." not in path.parts and not path.is_absolute():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(source.read())


def _tests_folder(root: Path, module: str) -> Path | None:
    candidates = (root / module / "tests", root / module / "spectest" / "generate" / "tests")
    return next((path for path in candidates if path.is_dir()), None)


def _has_modules(folder: Path) -> bool:
    return any(_tests_folder(folder, module) is not None for module in MODULES)

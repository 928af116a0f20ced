"""Where fixed objects of the suite are found that a test needs and does not hold: keys, committees, blocks.

They stand in other tests. A folder with a part of the suite may lack those, so the published archive is looked at next.
"""

import functools
from pathlib import Path

from ssv_pool.spectests.archives import archive_name, default_vectors, find_files, unpacked
from ssv_pool.spectests.model import SpecFork, SpecTest


def folders(test: SpecTest) -> tuple[Path, ...]:
    """The folder of the test's file, then that of the same module in the published archive where that is there."""
    own = test.file.path.parent
    return (own, *(folder for folder in _published(test.fork, test.file.module) if folder != own))


def smallest_first(folder: Path, pattern: str) -> list[Path]:
    """The files of a folder that match, the cheap ones to read first."""
    return sorted(folder.glob(pattern), key=lambda path: (path.stat().st_size, path.name))


@functools.cache
def _published(fork: SpecFork, module: str) -> tuple[Path, ...]:
    archive = default_vectors() / archive_name(fork)
    if not archive.is_file():
        return ()
    first = next(find_files(unpacked(archive), fork, module), None)
    return () if first is None else (first.path.parent,)

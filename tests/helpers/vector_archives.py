"""Reads the small archives of published test vectors, which stay outside the repository."""

import functools
import json
import tarfile
from typing import Any

import pytest

from ssv_pool.spectests.archives import default_vectors

VECTORS = default_vectors()
"""Folder with the archives."""


@functools.cache
def json_members(archive: str) -> dict[str, Any]:
    """Path inside the archive → parsed JSON, sorted by path; empty where the archive is missing."""
    path = VECTORS / archive
    if not path.is_file():
        return {}
    with tarfile.open(path) as tar:
        found = {}
        for member in tar:
            file = tar.extractfile(member) if member.name.endswith(".json") else None
            if file is not None:
                found[member.name.removeprefix("./")] = json.load(file)
    return dict(sorted(found.items()))


def needs(archive: str) -> pytest.MarkDecorator:
    """Skip, saying where to get it, where the archive is missing."""
    return pytest.mark.skipif(
        not (VECTORS / archive).is_file(),
        reason=f"{archive} is not in {VECTORS}: set SSV_VECTORS to the folder that holds it",
    )

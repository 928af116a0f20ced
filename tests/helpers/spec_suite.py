"""The SSV specification's test files as pytest parameters."""

import pytest

from ssv_pool.spectests.archives import VECTORS_VARIABLE, archive_name, default_vectors, find_files, roots
from ssv_pool.spectests.model import SpecFork


def parameters(module):
    """Every file of a module in both releases; one skipped parameter a release whose archive is missing."""
    found = []
    for fork in SpecFork:
        archive = default_vectors() / archive_name(fork)
        if not archive.exists():
            reason = f"{archive.name} is not in {archive.parent}: set {VECTORS_VARIABLE} to the folder that holds it"
            found.append(pytest.param(None, id=fork.value, marks=pytest.mark.skip(reason=reason)))
            continue
        files = find_files(roots(default_vectors(), [fork])[fork], fork, module)
        found += [pytest.param(file, id=f"{fork}-{file.path.stem}") for file in files]
    return found

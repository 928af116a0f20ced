"""The specification's tests of its types, both releases, every file that is there; and that each of them can fail."""

import json
from dataclasses import replace

import pytest
from spec_suite import parameters

from ssv_pool.spectests.run import run_file

FILES = parameters("types")


@pytest.mark.parametrize("file", FILES)
def test_types(file):
    result = run_file(file)
    assert (result.tests, result.failures) == (1, ())


def flipped(value):
    """An expectation that is not met: another code, root, length, role or answer."""
    match value:
        case bool():
            return not value
        case int():
            return value + 1 if value else 1
        case list():
            return [value[0] ^ 1, *value[1:]]
        case str():
            return ("1" if value[0] == "0" else "0") + value[1:]
    raise AssertionError(value)


EXPECTATIONS = (
    "ExpectedErrorCode",
    "ExpectedHasQuorum",
    "ExpectedFullCommittee",
    "ExpectedRoot",
    "ExpectedCdRoot",
    "ExpectedBlkRoot",
    "ExpectedSigningRoot",
    "ExpectedEncodedLength",
    "Blinded",
    "BelongsToValidator",
    "RunnerRole",
)


@pytest.mark.parametrize("file", FILES)
def test_other_expectations_fail(file, tmp_path):
    content = file.read()
    errs = bool(content.get("ExpectedErrorCode"))
    changed = [name for name in EXPECTATIONS if name in content]
    if errs and "ExpectedHasQuorum" not in content:
        changed = ["ExpectedErrorCode"]  # nothing else is compared then
    for name in changed:
        path = tmp_path / file.path.name
        path.write_text(json.dumps(content | {name: flipped(content[name])}))
        assert len(run_file(replace(file, path=path)).failures) == 1, name

"""The specification's tests of its types, both releases, every file that is there."""

import pytest
from spec_suite import parameters

from ssv_pool.spectests.run import run_file


@pytest.mark.parametrize("file", parameters("types"))
def test_types(file):
    result = run_file(file)
    assert (result.tests, result.failures) == (1, ())

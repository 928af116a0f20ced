"""Fixtures that several kinds of tests share."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def live(tmp_path_factory):
    """A network of four operators with faults built in, shared by all tests that need one: see ``LiveNetwork``.

    Every test leaves it attesting.
    """
    from live_network import LiveNetwork

    with LiveNetwork(Path(tmp_path_factory.mktemp("live"))) as network:
        yield network

"""Fixtures that several kinds of tests share."""

from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests on the shared network come last: it would take its share of the cores while others measure times."""
    items.sort(key=lambda item: "live" in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session", autouse=True)
def state_folder(tmp_path_factory):
    """Lock files of accounts that send transactions: with the tests' other files, for child processes too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session")
def live(tmp_path_factory):
    """A network of four operators with faults built in, shared by all tests that need one: see ``LiveNetwork``.

    Every test leaves it attesting.
    """
    from live_network import LiveNetwork

    with LiveNetwork(Path(tmp_path_factory.mktemp("live"))) as network:
        yield network
        assert network.cluster.offences() == [], "whatever happened, nobody signed anything slashable"

from collections.abc import Iterator
from pathlib import Path

import pytest
from registry_chain import Chain, operators_added

from ssv_pool.registry.handler import EventHandler
from ssv_pool.store import Database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "store.sqlite")
    database.create_schema()
    yield database
    database.close()


@pytest.fixture
def chain(database: Database) -> Chain:
    """A chain on which operators 1 to 13 are registered."""
    chain = Chain(database, EventHandler())
    chain.mine(*operators_added(13))
    return chain

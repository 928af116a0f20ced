from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from servers import PostgresServer

from ssv_pool.store import Database


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with PostgresServer() as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.integration)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty store, in each of the two databases."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.sqlite'}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture
def open_database(url: str) -> Iterator[Callable[[], Database]]:
    """Opens the store once more: as another process would."""
    opened: list[Database] = []

    def open_it() -> Database:
        opened.append(Database(url))
        return opened[-1]

    yield open_it
    for database in opened:
        database.close()


@pytest.fixture
def database(open_database: Callable[[], Database]) -> Database:
    """A store with its tables."""
    database = open_database()
    database.create_schema()
    return database

import builtins
import re
import sqlite3
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from servers import PostgresServer
from sqlalchemy import inspect, select, text, update
from sqlalchemy.schema import DropTable

from ssv_pool.errors import ConfigError, UnavailableError
from ssv_pool.protocol.types.primitives import Epoch
from ssv_pool.store import Database
from ssv_pool.store.duties import DutyBookContent, load_duty_book
from ssv_pool.store.models import (
    SCHEMA_VERSION,
    PartStatus,
    ProposerDuty,
    StoreState,
    SyncMember,
    SyncPeriod,
    Validator,
)
from ssv_pool.store.registry_changes import NewValidator, add_validator, bump_version
from ssv_pool.store.status import Status, report_status, statuses


def test_the_schema_is_made_once(database: Database, open_database: Callable[[], Database]) -> None:
    with database.session() as session:
        bump_version(session)
    again = open_database()
    again.create_schema()
    assert again.version() == 2


def test_many_make_the_schema_at_once(open_database: Callable[[], Database]) -> None:
    errors: list[BaseException] = []

    def make(database: Database) -> None:
        try:
            database.create_schema()
        except BaseException as error:  # noqa: BLE001 - handed to the test
            errors.append(error)

    threads = [threading.Thread(target=make, args=(open_database(),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert open_database().version() == 1


def test_a_store_of_an_earlier_version_gets_the_tables_that_it_lacks(database: Database) -> None:
    with database.session() as session:
        for model in (SyncMember, SyncPeriod, ProposerDuty):
            session.execute(DropTable(inspect(model).local_table))
        session.execute(update(StoreState).values(schema_version=1))
    database.create_schema()
    with database.read() as session:
        assert session.scalar(select(StoreState.schema_version)) == SCHEMA_VERSION
        assert load_duty_book(session, Epoch(0), Epoch(9)) == DutyBookContent({}, ())


def test_a_store_of_another_version_is_refused(database: Database) -> None:
    with database.session() as session:
        session.execute(update(StoreState).values(schema_version=999))
    with pytest.raises(ConfigError, match=rf": schema version 999, expected {SCHEMA_VERSION}$"):
        database.create_schema()


def test_an_exception_undoes_the_transaction(database: Database) -> None:
    def fail_after_a_change() -> None:
        with database.session() as session:
            bump_version(session)
            raise KeyError

    with pytest.raises(KeyError):
        fail_after_a_change()
    assert database.version() == 1


def test_writers_wait_for_each_other(database: Database, open_database: Callable[[], Database]) -> None:
    """Read, then write what was read plus one: nothing is lost between several writers."""
    other = open_database()

    def count(store: Database) -> None:
        for _ in range(25):
            with store.session() as session:
                version = session.scalar(select(StoreState.version).with_for_update())
                session.execute(update(StoreState).values(version=(version or 0) + 1))

    threads = [threading.Thread(target=count, args=(store,)) for store in (database, other, database, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert database.version() == 101


def test_a_reader_sees_one_state_while_a_writer_goes_on(database: Database) -> None:
    with database.read() as reader:
        before = reader.scalar(select(StoreState.version))
        with database.session() as writer:
            bump_version(writer)
        assert reader.scalar(select(StoreState.version)) == before
    assert database.version() == (before or 0) + 1


def test_a_reader_writes_nothing_on_postgresql(database: Database, url: str) -> None:
    if url.startswith("sqlite"):
        pytest.skip("SQLite's deferred transactions would take the write lock; nothing in the readers writes")
    with pytest.raises(UnavailableError, match="read-only transaction"), database.read() as session:
        bump_version(session)


def test_a_store_without_tables_is_unavailable(open_database: Callable[[], Database]) -> None:
    with pytest.raises(UnavailableError, match=r"no such table|does not exist"):
        open_database().version()


def test_statuses(database: Database) -> None:
    with database.session() as session:
        report_status(session, "execution_node", "not synced", 1.5, {"head": 7})
        report_status(session, "beacon_node", None, 1.5)
        report_status(session, "execution_node", None, 2.5)
    with database.read() as session:
        assert statuses(session) == {"beacon_node": Status(None, 1.5, {}), "execution_node": Status(None, 2.5, {})}


def test_numbers_of_64_bits_are_kept(database: Database) -> None:
    with database.session() as session:
        new = NewValidator(b"v" * 48, b"o" * 20, (1, 2, 3, 2**64 - 1), (b"k" * 48,) * 4, (b"e" * 256,) * 4, 1, 1)  # type: ignore[arg-type]
        add_validator(session, new)
    for number in (0, 2**63 - 1, 2**63, 2**64 - 1):
        with database.session() as session:
            session.execute(update(Validator).values(activation_epoch=number))
        with database.read() as session:
            assert session.scalar(select(Validator.activation_epoch)) == number
            assert session.scalar(select(Validator.public_key).where(Validator.activation_epoch == number))
    with pytest.raises(Exception, match="is not an unsigned 64-bit number"), database.session() as session:
        session.execute(update(Validator).values(activation_epoch=2**64))


# SQLite alone


def test_the_file_is_the_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "store.sqlite"
    database = Database(path)
    database.create_schema()
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == {"store.sqlite": 0o600, "store.sqlite-wal": 0o600, "store.sqlite-shm": 0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    database.close()


def test_a_file_that_others_could_read_is_closed_to_them(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    path.touch(0o644)
    Database(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_sqlite_settings(tmp_path: Path) -> None:
    database = Database(tmp_path / "store.sqlite")
    with database.read() as session:
        found = {
            name: session.scalar(text(f"PRAGMA {name}"))
            for name in ("journal_mode", "foreign_keys", "synchronous", "busy_timeout")
        }
    assert found == {"journal_mode": "wal", "foreign_keys": 1, "synchronous": 1, "busy_timeout": 15000}
    database.close()


def test_a_folder_in_place_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError) as caught:
        Database(tmp_path)
    assert str(caught.value) == f"store {tmp_path}: cannot be opened (Is a directory)"


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    path.write_bytes(b"something else entirely" * 100)
    with pytest.raises(UnavailableError) as caught:
        Database(path).create_schema()
    assert str(caught.value) == f"store sqlite:///{path}: file is not a database"


def test_a_lock_that_is_not_released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ssv_pool.store.database._BUSY_SECONDS", 0.05)
    path = tmp_path / "store.sqlite"
    database = Database(path)
    database.create_schema()
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(UnavailableError) as caught, database.session() as session:
        session.add(PartStatus(part="x", problem=None, updated=0, details={}))
    assert str(caught.value) == f"store sqlite:///{path}: database is locked"
    holder.rollback()
    holder.close()
    with database.session() as session:
        session.add(PartStatus(part="x", problem=None, updated=0, details={}))
    database.close()


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("mysql://user:secret@host/db", "store: database kind 'mysql', expected sqlite or postgresql"),
        ("secret nonsense", "store: the database URL is not understood, expected sqlite:///PATH or postgresql://…"),
        ("sqlite://", "store: an SQLite URL needs a file, expected sqlite:///PATH"),
        ("sqlite:///:memory:", "store: an SQLite URL needs a file, expected sqlite:///PATH"),
    ],
)
def test_urls_that_do_not_do(url: str, error: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Database(url)
    assert str(caught.value) == error


# PostgreSQL alone


def test_a_server_that_is_not_there_is_named_without_the_password() -> None:
    pytest.importorskip("psycopg")
    database = Database("postgresql://ssv:s3cret@127.0.0.1:1/db")
    with pytest.raises(UnavailableError) as caught:
        database.create_schema()
    assert re.fullmatch(r"store postgresql\+psycopg://ssv:\*\*\*@127\.0\.0\.1:1/db: [^\n]+", str(caught.value))
    assert "s3cret" not in str(caught.value)


def test_a_driver_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *args: object, **kwargs: object) -> object:
        if name == "psycopg" or name.startswith("psycopg."):
            raise ImportError(name)
        return real(name, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ConfigError) as caught:
        Database("postgresql://ssv@host/db")
    assert str(caught.value) == (
        "store: PostgreSQL needs the psycopg driver, install the extra 'postgresql' of this package"
    )


@pytest.mark.integration
def test_a_server_that_goes_away_and_comes_back() -> None:
    with PostgresServer() as server:
        database = Database(server.new_database())
        database.create_schema()
        server.stop()
        with pytest.raises(UnavailableError):
            database.version()
        server.start()
        assert database.version() == 1
        database.close()

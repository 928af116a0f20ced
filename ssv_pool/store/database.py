"""Opening the store: one engine, two kinds of transaction.

SQLite runs in WAL mode, so that the node reads while workers write. A writing transaction takes the write lock at its
start: two writers wait for each other instead of failing when the second one upgrades its lock.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, select, text, update
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, NoSuchModuleError, ProgrammingError
from sqlalchemy.orm import Session

from ssv_pool.errors import ConfigError, UnavailableError
from ssv_pool.store.models import EXTENDABLE_VERSION, SCHEMA_VERSION, Base, StoreState

_BUSY_SECONDS = 15
_CONNECT_SECONDS = 5
_SCHEMA_LOCK = 0x5353_5650
_READ_ONLY = "ssv_read_only"


class Database:
    """The store at one URL. Safe to share between threads, not to carry across a fork.

    Args:
        url: ``sqlite:///path``, ``postgresql://user@host/name``, or the path of a SQLite file.

    Raises:
        ConfigError: the URL is not understood, names another kind of database, or its driver is not installed.
        UnavailableError: the SQLite file cannot be made or opened.
    """

    def __init__(self, url: str | Path) -> None:
        self._url = _parse(url)
        self.name: str = self._url.render_as_string(hide_password=True)
        """The URL without its password, for messages."""
        if self._url.get_backend_name() == "sqlite":
            _prepare_file(Path(self._url.database or ""))
            self._engine = _sqlite_engine(self._url)
        else:
            self._engine = _postgresql_engine(self._url)
        self._reader = self._engine.execution_options(**{_READ_ONLY: True})

    def create_schema(self) -> None:
        """Make the tables that are missing, those that an earlier version did not have too.

        Does nothing on a store that has them all; safe in several processes at once.

        Raises:
            ConfigError: the store was made by a later version of this program.
            UnavailableError: the database cannot be reached.
        """
        with self.session() as session:
            connection = session.connection()
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _SCHEMA_LOCK})
            Base.metadata.create_all(connection)
            found = session.scalar(select(StoreState.schema_version))
            if found is None:
                session.add(StoreState(id=1, schema_version=SCHEMA_VERSION, version=1))
            elif EXTENDABLE_VERSION <= found < SCHEMA_VERSION:
                session.execute(update(StoreState).values(schema_version=SCHEMA_VERSION))
            elif found != SCHEMA_VERSION:
                raise ConfigError(f"store {self.name}: schema version {found}, expected {SCHEMA_VERSION}")

    @contextmanager
    def session(self) -> Iterator[Session]:
        """A transaction that writes: committed at the end, rolled back when an exception leaves it.

        Raises:
            UnavailableError: the database cannot be reached, is locked for too long, is full or is damaged.
        """
        with self._transaction(self._engine) as session:
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction that only reads: all its queries see one state. Raises UnavailableError as ``session``."""
        with self._transaction(self._reader) as session:
            yield session

    def version(self) -> int:
        """The number that every change of the registry or of validator metadata raises; cheap enough to poll."""
        with self.read() as session:
            return session.scalar(select(StoreState.version)) or 0

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    @contextmanager
    def _transaction(self, engine: Engine) -> Iterator[Session]:
        try:
            with Session(engine, expire_on_commit=False) as session, session.begin():
                yield session
        except DBAPIError as error:
            if isinstance(error, IntegrityError | ProgrammingError | DataError) and not _missing_tables(error):
                raise
            raise UnavailableError(f"store {self.name}: {_first_line(error)}") from error


def _parse(url: str | Path) -> URL:
    if isinstance(url, Path):
        return URL.create("sqlite", database=str(url))
    try:
        parsed = make_url(url)
    except ArgumentError:
        # The text may hold a password: it is not repeated.
        raise ConfigError(
            "store: the database URL is not understood, expected sqlite:///PATH or postgresql://…"
        ) from None
    match parsed.get_backend_name():
        case "sqlite":
            if not parsed.database or parsed.database == ":memory:":
                raise ConfigError("store: an SQLite URL needs a file, expected sqlite:///PATH")
            return parsed.set(drivername="sqlite")
        case "postgresql" | "postgres":
            return parsed.set(drivername="postgresql+psycopg")
        case other:
            raise ConfigError(f"store: database kind {other!r}, expected sqlite or postgresql")


def _prepare_file(path: Path) -> None:
    """Make the file with mode 0600 before SQLite would make it with the process's mask; WAL files inherit the mode."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.fchmod(descriptor, 0o600)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise UnavailableError(f"store {path}: cannot be opened ({error.strerror})") from error


def _sqlite_engine(url: URL) -> Engine:
    engine = create_engine(url, connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: Any) -> None:
        # The driver's habit of opening transactions by itself, late, is switched off: see _on_begin.
        connection.isolation_level = None
        cursor = connection.cursor()
        try:
            cursor.execute(f"PRAGMA busy_timeout={_BUSY_SECONDS * 1000}")
            cursor.execute("PRAGMA journal_mode=WAL")
            # A power cut may lose the last transactions but never tears one: the chain is read again from the cursor.
            cursor.execute("PRAGMA synchronous=NORMAL")
            cursor.execute("PRAGMA foreign_keys=ON")
        finally:
            cursor.close()

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        reading = connection.get_execution_options().get(_READ_ONLY)
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    return engine


def _postgresql_engine(url: URL) -> Engine:
    try:
        engine = create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": _CONNECT_SECONDS})
    except (ImportError, NoSuchModuleError):
        raise ConfigError(
            "store: PostgreSQL needs the psycopg driver, install the extra 'postgresql' of this package"
        ) from None

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        if connection.get_execution_options().get(_READ_ONLY):
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")

    return engine


def _missing_tables(error: DBAPIError) -> bool:
    """Whether a query met a store without tables: the process that makes them has not come to it yet."""
    return isinstance(error, ProgrammingError) and type(error.orig).__name__ == "UndefinedTable"


def _first_line(error: DBAPIError) -> str:
    lines = str(error.orig).splitlines()
    return lines[0] if lines else type(error.orig).__name__

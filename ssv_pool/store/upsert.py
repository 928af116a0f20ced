"""Insert-or-update in the two dialects that the store speaks."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Table, inspect
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from ssv_pool.store.models import Base


def upsert(session: Session, model: type[Base], rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert ``rows``; where the primary key is there, update the other columns given."""
    if not rows:
        return
    statement = _insert(session, model)
    keys = _primary_key(model)
    changed = {name: statement.excluded[name] for name in rows[0] if name not in keys}
    session.execute(statement.on_conflict_do_update(index_elements=keys, set_=changed), list(rows))


def insert_missing(session: Session, model: type[Base], rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert those of ``rows`` whose primary key is not there."""
    if rows:
        session.execute(_insert(session, model).on_conflict_do_nothing(index_elements=_primary_key(model)), list(rows))


def _insert(session: Session, model: type[Base]) -> sqlite.Insert | postgresql.Insert:
    table = inspect(model).local_table
    if not isinstance(table, Table):
        raise TypeError(f"{model.__name__} is not mapped to a table")
    postgres = session.get_bind().dialect.name == "postgresql"
    return postgresql.insert(table) if postgres else sqlite.insert(table)


def _primary_key(model: type[Base]) -> list[str]:
    return [column.name for column in inspect(model).primary_key]

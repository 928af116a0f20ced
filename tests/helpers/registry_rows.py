"""All that a store holds of the registry, to compare two stores row by row."""

from typing import Any

from sqlalchemy import select

from ssv_pool.store import Database
from ssv_pool.store.models import (
    CommitteeMembership,
    ExitRequest,
    FeeRecipientChange,
    Operator,
    Owner,
    RegistryEvent,
    Validator,
)

MODELS = (Operator, Owner, FeeRecipientChange, CommitteeMembership, Validator, ExitRequest, RegistryEvent)


def registry_rows(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Table → its rows in the order of their keys."""
    found = {}
    with database.read() as session:
        for model in MODELS:
            table = model.__table__
            rows = session.execute(select(table).order_by(*table.primary_key.columns))
            found[table.name] = [tuple(row) for row in rows]
    return found

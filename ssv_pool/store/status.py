"""What workers found of the parts they look after, for the node's health and metrics."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from ssv_pool.store.models import PartStatus
from ssv_pool.store.upsert import upsert


@dataclass(frozen=True, slots=True)
class Status:
    """How a part was when a worker last looked."""

    problem: str | None
    """One line; None when all was well."""
    updated: float
    """When that was, seconds since the UNIX epoch."""
    details: Mapping[str, Any]
    """Figures worth showing, by name."""


def report_status(
    session: Session, part: str, problem: str | None, now: float, details: Mapping[str, Any] | None = None
) -> None:
    """Say how ``part`` (``execution_node``, ``beacon_node``, ``event_syncer``, …) is."""
    values = {"part": part, "problem": problem, "updated": now, "details": dict(details or {})}
    upsert(session, PartStatus, [values])


def statuses(session: Session) -> dict[str, Status]:
    """Part → what was last said of it."""
    return {row.part: Status(row.problem, row.updated, row.details) for row in session.scalars(select(PartStatus))}

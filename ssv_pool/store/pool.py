"""What a keeper leaves in the store: the messages it has signed, which other members fetch, and its audit lines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from ssv_pool.protocol.types.primitives import PublicKey
from ssv_pool.store.database import Database
from ssv_pool.store.models import PoolAudit, PoolMessage, SyncCursor, Validator
from ssv_pool.store.upsert import insert_missing

MESSAGES_PATH = "/v1/pool/messages"
"""Path of the node API where they are served."""

SERVED_MESSAGES = 128
"""Most messages that are served; the latest ones."""

SERVED_SECONDS = 7 * 86_400.0
"""Older messages are not served any more: what they ask for was done or is not wanted."""

MAX_DETAIL = 1_000
"""Characters of an audit line's text that are kept."""

KEPT_LINES = 100_000
"""Audit lines that are kept; the latest ones."""


@dataclass(frozen=True, slots=True)
class SignedRecord:
    """A signed message as it is stored."""

    kind: str
    body: Mapping[str, Any]
    """What was signed, as JSON."""
    digest: bytes
    """EIP-712 digest, 32 bytes."""
    signer: bytes
    """Address, 20 bytes."""
    signature: bytes
    """65 bytes: r, s, v."""
    signed_at: float
    """Seconds since the UNIX epoch."""


@dataclass(frozen=True, slots=True)
class AuditLine:
    """One line of the audit."""

    time: float
    """Seconds since the UNIX epoch."""
    task: str
    subject: str
    """What it is about: a public key, operator ids, a report's number."""
    outcome: str
    """``signed``, ``sent``, ``refused``, ``warned``, ``noted`` or ``failed``."""
    detail: str
    """One line."""
    tx_hash: bytes | None = None
    """The transaction, 32 bytes."""
    number: int = 0
    """Place in the order of lines; 0 before it is stored."""


def keep_message(session: Session, message: SignedRecord) -> None:
    """Store a message; one that is there already stays as it is. Old ones go."""
    row = {
        "kind": message.kind,
        "body": dict(message.body),
        "digest": message.digest,
        "signer": message.signer,
        "signature": message.signature,
        "signed_at": message.signed_at,
    }
    insert_missing(session, PoolMessage, [row])
    session.execute(delete(PoolMessage).where(PoolMessage.signed_at < message.signed_at - SERVED_SECONDS))


def own_messages(session: Session, now: float) -> list[SignedRecord]:
    """The messages to serve, latest first.

    Args:
        session: a transaction.
        now: seconds since the UNIX epoch.
    """
    query = select(PoolMessage).where(PoolMessage.signed_at > now - SERVED_SECONDS)
    rows = session.scalars(query.order_by(PoolMessage.signed_at.desc(), PoolMessage.digest).limit(SERVED_MESSAGES))
    return [SignedRecord(row.kind, row.body, row.digest, row.signer, row.signature, row.signed_at) for row in rows]


def messages_page(database: Database, now: float) -> dict[str, Any]:
    """What the node API answers at ``MESSAGES_PATH``. Raises UnavailableError: the store does not answer.

    Args:
        database: the store.
        now: seconds since the UNIX epoch.
    """
    with database.read() as session:
        records = own_messages(session, now)
    return {
        "messages": [
            {"kind": record.kind, "body": record.body, "signature": f"0x{record.signature.hex()}"} for record in records
        ]
    }


def add_line(session: Session, line: AuditLine, *, repeat: bool = True) -> bool:
    """Write an audit line.

    Args:
        session: a transaction.
        line: the line; its number is given here.
        repeat: whether it is written also where the latest line of this task and subject says the same.

    Returns:
        Whether it was written.
    """
    if not repeat:
        query = select(PoolAudit).where(PoolAudit.task == line.task, PoolAudit.subject == line.subject)
        last = session.scalar(query.order_by(PoolAudit.number.desc()).limit(1))
        if last is not None and (last.outcome, last.detail) == (line.outcome, line.detail[:MAX_DETAIL]):
            return False
    row = PoolAudit(
        time=line.time,
        task=line.task,
        subject=line.subject[:200],
        outcome=line.outcome,
        detail=line.detail[:MAX_DETAIL],
        tx_hash=line.tx_hash,
    )
    session.add(row)
    session.flush()
    session.execute(delete(PoolAudit).where(PoolAudit.number <= row.number - KEPT_LINES))
    return True


def audit_lines(session: Session, *, task: str | None = None, limit: int = 50) -> list[AuditLine]:
    """The latest audit lines, oldest first.

    Args:
        session: a transaction.
        task: only this task's.
        limit: at most so many.
    """
    query = select(PoolAudit)
    if task is not None:
        query = query.where(PoolAudit.task == task)
    rows = list(session.scalars(query.order_by(PoolAudit.number.desc()).limit(limit)))
    return [
        AuditLine(row.time, row.task, row.subject, row.outcome, row.detail, row.tx_hash, row.number)
        for row in reversed(rows)
    ]


def applied_block(session: Session) -> int:
    """The last block whose registry events are applied; -1 before the first."""
    row = session.execute(select(SyncCursor.block_number, SyncCursor.block_hash)).one_or_none()
    return -1 if row is None or row[1] is None else row[0]


def registered_to(session: Session, owner: bytes, public_keys: Sequence[PublicKey]) -> frozenset[bytes]:
    """Those of some validators (a few hundred at most) that are registered to an owner.

    Args:
        session: a transaction.
        owner: address, 20 bytes.
        public_keys: 48 bytes each.
    """
    query = select(Validator.public_key).where(Validator.owner == owner, Validator.public_key.in_(public_keys))
    return frozenset(session.scalars(query))

"""The tables. One store belongs to one registry contract on one chain; several processes read and write it at once.

Integers of the protocol are unsigned 64 bit and are kept lossless in signed columns (see ``Uint64``). Byte strings are
kept as bytes; lists of operator ids as 8-byte big-endian numbers one after the other.
"""

from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, Dialect, Double, ForeignKey, Index, Integer, LargeBinary, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

SCHEMA_VERSION = 3
"""Version of the tables below; raised by every change of them."""

EXTENDABLE_VERSION = 1
"""Stores from this version on lack tables at the most: they are brought up to date by making those."""

_WRAP = 2**64
_HALF = 2**63


class Uint64(TypeDecorator[int]):
    """An unsigned 64-bit number in a signed column: values from 2**63 on wrap to negative ones, as in two's complement.

    Equality works for all values, order only below 2**63; nothing that is ordered in a query reaches that.
    """

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        """To the column. Raises ValueError for a number that is not an unsigned 64-bit one."""
        if value is None:
            return None
        if not 0 <= value < _WRAP:
            raise ValueError(f"{value} is not an unsigned 64-bit number")
        return value - _WRAP if value >= _HALF else value

    def process_result_value(self, value: int | None, dialect: Dialect) -> int | None:  # noqa: ARG002
        """From the column."""
        return value + _WRAP if value is not None and value < 0 else value


class Base(DeclarativeBase):
    """Base of all tables."""


class StoreState(Base):
    """One row: what this store is and how often its registry changed."""

    __tablename__ = "store_state"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    schema_version: Mapped[int] = mapped_column(Integer)
    version: Mapped[int] = mapped_column(BigInteger)
    """Raised in each transaction that changed the registry or validator metadata; cheap to poll."""


class ChainInfo(Base):
    """One row: the beacon chain's constants as the own beacon node stated them."""

    __tablename__ = "chain_info"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    content: Mapped[dict[str, Any]] = mapped_column(JSON)


class PartStatus(Base):
    """What a worker last found of a part of the operator (execution node, beacon node, …), for health and metrics."""

    __tablename__ = "part_status"

    part: Mapped[str] = mapped_column(String(64), primary_key=True)
    problem: Mapped[str | None] = mapped_column(Text)
    """One line; NULL when all is well."""
    updated: Mapped[float] = mapped_column(Double)
    """When it was reported, seconds since the UNIX epoch."""
    details: Mapped[dict[str, Any]] = mapped_column(JSON)


class SyncCursor(Base):
    """One row: how far the registry's events are applied, and which contract on which chain they are of."""

    __tablename__ = "sync_cursor"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    chain_id: Mapped[int] = mapped_column(Uint64)
    contract: Mapped[bytes] = mapped_column(LargeBinary)
    """Address, 20 bytes."""
    block_number: Mapped[int] = mapped_column(BigInteger)
    """Last block applied; one before the first block when none is."""
    block_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Its hash, 32 bytes; NULL when none is applied."""
    block_time: Mapped[int] = mapped_column(BigInteger)
    """Its timestamp, seconds since the UNIX epoch; 0 when none is applied."""
    head_number: Mapped[int] = mapped_column(BigInteger)
    """The chain's head when it was last looked at; -1 before that."""


class RegistryBlock(Base):
    """A block that was applied: one with events, or the last of a range. A rollback compares its hash."""

    __tablename__ = "registry_blocks"
    __table_args__ = (Index("ix_registry_blocks_events", "events", "number"),)

    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    hash: Mapped[bytes] = mapped_column(LargeBinary)
    parent_hash: Mapped[bytes] = mapped_column(LargeBinary)
    time: Mapped[int] = mapped_column(BigInteger)
    events: Mapped[int] = mapped_column(Integer)
    """How many events it has that this store knows by name."""


class RegistryEvent(Base):
    """One event of the registry contract that was read: applied, without effect, or malformed and why."""

    __tablename__ = "registry_events"
    __table_args__ = (Index("ix_registry_events_outcome", "outcome"),)

    block_number: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("registry_blocks.number", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    log_index: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    transaction_hash: Mapped[bytes] = mapped_column(LargeBinary)
    name: Mapped[str] = mapped_column(String(64))
    outcome: Mapped[str] = mapped_column(String(16))
    """``applied``, ``ignored`` or ``malformed``."""
    reason: Mapped[str | None] = mapped_column(String(64))
    """Why it is malformed or ignored: a fixed name."""
    detail: Mapped[str | None] = mapped_column(Text)


class RegistryUndo(Base):
    """What a row of the registry was before a block changed it: a rollback puts it back, last change first."""

    __tablename__ = "registry_undo"

    block_number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    place: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    """Place among the block's changes, from 1; 0 says only that the block can be undone."""
    table_name: Mapped[str] = mapped_column(String(64))
    """Name of the row's table; empty at place 0."""
    key: Mapped[dict[str, Any]] = mapped_column(JSON)
    """Primary key by column; byte strings as 0x and hex digits."""
    before: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    """All columns before the change; NULL when there was no such row."""


class RegistryRepair(Base):
    """Something that was wrong with what an execution node said, or with what was applied, and was put right."""

    __tablename__ = "registry_repairs"

    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    time: Mapped[float] = mapped_column(Double)
    """Seconds since the UNIX epoch."""
    kind: Mapped[str] = mapped_column(String(16), index=True)
    """``gap`` or ``rollback``."""
    block_number: Mapped[int] = mapped_column(BigInteger)
    """The block whose logs were incomplete, or the one that was gone back to."""
    detail: Mapped[str] = mapped_column(Text)
    """One line."""


class Operator(Base):
    """An operator that is registered now."""

    __tablename__ = "operators"

    operator_id: Mapped[int] = mapped_column(Uint64, primary_key=True, autoincrement=False)
    owner: Mapped[bytes] = mapped_column(LargeBinary)
    """Address, 20 bytes."""
    public_key: Mapped[bytes] = mapped_column(LargeBinary)
    """As on chain: ASCII base64 of the RSA key's PEM; not checked, since anybody may register anything."""
    public_key_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    """sha256 of ``public_key``: an index entry of bounded size."""
    fee: Mapped[str] = mapped_column(String(78))
    """uint256 as decimal text."""
    registered_block: Mapped[int] = mapped_column(BigInteger)


class Owner(Base):
    """An account that registered validators or set its fee recipient."""

    __tablename__ = "owners"

    owner: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    """Address, 20 bytes."""
    nonce: Mapped[int] = mapped_column(Integer)
    """Nonce of the next registration: number of its ValidatorAdded events, modulo 2**16."""
    fee_recipient: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Address, 20 bytes; NULL means the owner itself."""


class FeeRecipientChange(Base):
    """When an owner last changed its fee recipient: its validators are registered anew some slots later."""

    __tablename__ = "fee_recipient_changes"

    owner: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    """Address, 20 bytes."""
    block_time: Mapped[int] = mapped_column(BigInteger, index=True)
    """Timestamp of the event's block, seconds since the UNIX epoch."""


class CommitteeMembership(Base):
    """Which operators are in which committee; finds an operator's validators."""

    __tablename__ = "committee_members"

    operator_id: Mapped[int] = mapped_column(Uint64, primary_key=True, autoincrement=False)
    committee_id: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)


class Validator(Base):
    """A validator that is registered now."""

    __tablename__ = "validators"

    public_key: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    """48 bytes."""
    owner: Mapped[bytes] = mapped_column(LargeBinary, index=True)
    cluster_id: Mapped[bytes] = mapped_column(LargeBinary, index=True)
    """keccak256 over owner and operator ids, 32 bytes."""
    committee_id: Mapped[bytes] = mapped_column(LargeBinary, index=True)
    """sha256 over the operator ids, 32 bytes."""
    operator_ids: Mapped[bytes] = mapped_column(LargeBinary)
    """8 bytes each, in the event's order."""
    share_public_keys: Mapped[bytes] = mapped_column(LargeBinary)
    """48 bytes each, in the order of ``operator_ids``."""
    encrypted_shares: Mapped[bytes] = mapped_column(LargeBinary)
    """256 bytes each, in the order of ``operator_ids``."""
    liquidated: Mapped[bool] = mapped_column(Boolean)
    registered_block: Mapped[int] = mapped_column(BigInteger)
    registered_time: Mapped[int] = mapped_column(BigInteger)
    """Timestamp of that block, seconds since the UNIX epoch."""
    active_since: Mapped[int] = mapped_column(BigInteger)
    """Timestamp of the block that registered or last reactivated it: duties begin in the epoch after that."""
    validator_index: Mapped[int | None] = mapped_column(Uint64)
    """Index in the beacon state; this and what follows is NULL until the beacon node knows the validator."""
    status: Mapped[str | None] = mapped_column(String(32))
    """Status by the Beacon API's names."""
    activation_epoch: Mapped[int | None] = mapped_column(Uint64)
    exit_epoch: Mapped[int | None] = mapped_column(Uint64)


class ExitRequest(Base):
    """A ValidatorExited event. The chain's block time says for which slot the exit is."""

    __tablename__ = "exit_requests"

    block_number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    log_index: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    block_time: Mapped[int] = mapped_column(BigInteger)
    public_key: Mapped[bytes] = mapped_column(LargeBinary, index=True)
    owner: Mapped[bytes] = mapped_column(LargeBinary)


class DutyPlan(Base):
    """An epoch whose duties of one role were fetched."""

    __tablename__ = "duty_plans"

    role: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    """Beacon role number."""
    epoch: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    dependent_root: Mapped[bytes] = mapped_column(LargeBinary)
    """The duties hold while the chain has this root, 32 bytes."""
    store_version: Mapped[int] = mapped_column(BigInteger)
    """The store's version when they were asked for: a later one may have more validators."""


class AttesterDuty(Base):
    """One validator's attestation duty of one epoch."""

    __tablename__ = "attester_duties"

    epoch: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    validator_index: Mapped[int] = mapped_column(Uint64, primary_key=True, autoincrement=False)
    slot: Mapped[int] = mapped_column(BigInteger, index=True)
    public_key: Mapped[bytes] = mapped_column(LargeBinary)
    committee_index: Mapped[int] = mapped_column(BigInteger)
    committee_length: Mapped[int] = mapped_column(BigInteger)
    committees_at_slot: Mapped[int] = mapped_column(BigInteger)
    validator_committee_index: Mapped[int] = mapped_column(BigInteger)


class ProposerDuty(Base):
    """Who proposes in one slot of an epoch that was planned; of all validators of the chain, own or not."""

    __tablename__ = "proposer_duties"

    epoch: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    slot: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    validator_index: Mapped[int] = mapped_column(Uint64)
    public_key: Mapped[bytes] = mapped_column(LargeBinary)


class SyncPeriod(Base):
    """A sync committee whose registered members were fetched."""

    __tablename__ = "sync_periods"

    first_epoch: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    last_epoch: Mapped[int] = mapped_column(BigInteger)
    """The last epoch in which it serves."""
    store_version: Mapped[int] = mapped_column(BigInteger)
    """The store's version when they were asked for: a later one may have more validators."""


class SyncMember(Base):
    """One registered validator in one sync committee."""

    __tablename__ = "sync_members"

    first_epoch: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    """First epoch of the committee's period."""
    validator_index: Mapped[int] = mapped_column(Uint64, primary_key=True, autoincrement=False)
    public_key: Mapped[bytes] = mapped_column(LargeBinary)
    places: Mapped[list[int]] = mapped_column(JSON)
    """Its places in the committee, ascending."""


class JournalRow(Base):
    """One duty and how it went."""

    __tablename__ = "duty_journal"

    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    """The duty's key: role, slot, committee or validator."""
    role: Mapped[int] = mapped_column(Integer)
    """Runner role number."""
    slot: Mapped[int] = mapped_column(BigInteger, index=True)
    executor: Mapped[bytes] = mapped_column(LargeBinary)
    """Committee id (32 bytes) or validator public key (48 bytes); empty while only steps are known."""
    outcome: Mapped[str | None] = mapped_column(String(32))
    """NULL while only steps are known."""
    reason: Mapped[str | None] = mapped_column(String(64))
    detail: Mapped[str] = mapped_column(Text)
    round: Mapped[int] = mapped_column(Integer)
    silent_operators: Mapped[list[int]] = mapped_column(JSON)
    steps: Mapped[dict[str, float]] = mapped_column(JSON)
    """Name of a step → when it was reached, seconds since the UNIX epoch."""


class PoolMessage(Base):
    """Something of a staking pool that this operator's keeper has signed; other members fetch it."""

    __tablename__ = "pool_messages"

    digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    """EIP-712 digest of what is signed, 32 bytes."""
    signer: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    """Address, 20 bytes."""
    kind: Mapped[str] = mapped_column(String(32))
    body: Mapped[dict[str, Any]] = mapped_column(JSON)
    signature: Mapped[bytes] = mapped_column(LargeBinary)
    """65 bytes."""
    signed_at: Mapped[float] = mapped_column(Double, index=True)
    """Seconds since the UNIX epoch."""


class PoolAudit(Base):
    """What a keeper did, or found that somebody should know."""

    __tablename__ = "pool_audit"
    __table_args__ = (Index("ix_pool_audit_subject", "task", "subject"),)

    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=True)
    time: Mapped[float] = mapped_column(Double)
    """Seconds since the UNIX epoch."""
    task: Mapped[str] = mapped_column(String(32))
    subject: Mapped[str] = mapped_column(String(200))
    """What it is about: a public key, operator ids, a report's number."""
    outcome: Mapped[str] = mapped_column(String(16))
    detail: Mapped[str] = mapped_column(Text)
    """One line."""
    tx_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    """The transaction, 32 bytes."""

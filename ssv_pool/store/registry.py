"""Reading the registry from the store. What changes it is in ``registry_changes``."""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any, cast

from sqlalchemy import ColumnElement, Row, Select, func, select
from sqlalchemy.orm import Session

from ssv_pool.protocol.types.primitives import CommitteeId, OperatorId, PublicKey, ValidatorIndex
from ssv_pool.store.models import (
    CommitteeMembership,
    ExitRequest,
    FeeRecipientChange,
    Operator,
    Owner,
    RegistryEvent,
    StoreState,
    SyncCursor,
    Validator,
)
from ssv_pool.store.records import (
    ENCRYPTED_SHARE_BYTES,
    SHARE_KEY_BYTES,
    OperatorRecord,
    OwnShare,
    RegistrySnapshot,
    ValidatorRecord,
    split_bytes,
    unpack_ids,
)


def load_registry(session: Session) -> RegistrySnapshot:
    """The whole registry in three queries; the encrypted shares are left out (see ``own_shares``)."""
    applied = SyncCursor.block_hash.is_not(None)
    state = session.execute(
        select(StoreState.version, SyncCursor.block_number).outerjoin_from(StoreState, SyncCursor, applied)
    ).one_or_none()
    version, block_number = (0, None) if state is None else state
    operators = session.execute(select(Operator.operator_id, Operator.owner, Operator.public_key))
    return RegistrySnapshot(
        version=version,
        block_number=-1 if block_number is None else block_number,
        operators={
            OperatorId(operator_id): OperatorRecord(OperatorId(operator_id), owner, public_key)
            for operator_id, owner, public_key in operators
        },
        validators=tuple(_validators(session)),
    )


def validators_of_operator(session: Session, operator_id: OperatorId) -> list[ValidatorRecord]:
    """The validators in whose committee ``operator_id`` is, in the order of their public keys."""
    found = _validators(session, Validator.committee_id.in_(_committees_of(operator_id)))
    # A committee id holds the ids' low 32 bits only: two committees may share it.
    return [validator for validator in found if operator_id in validator.operator_ids]


def registered_indices(session: Session) -> dict[ValidatorIndex, PublicKey]:
    """The validators that the beacon chain knows, own or not: index in the beacon state → public key."""
    query = select(Validator.validator_index, Validator.public_key).where(Validator.validator_index.is_not(None))
    return {ValidatorIndex(index): PublicKey(key) for index, key in session.execute(query) if index is not None}


def own_shares(
    session: Session, operator_id: OperatorId, validators: Sequence[PublicKey] | None = None
) -> list[OwnShare]:
    """The encrypted shares of one operator.

    Args:
        session: a transaction.
        operator_id: the operator.
        validators: public keys of the validators wanted (a few hundred at most); None for all.
    """
    columns = (Validator.public_key, Validator.operator_ids, Validator.share_public_keys, Validator.encrypted_shares)
    query = select(*columns).where(Validator.committee_id.in_(_committees_of(operator_id)))
    if validators is not None:
        query = query.where(Validator.public_key.in_(validators))
    shares = []
    for public_key, packed_ids, share_keys, encrypted in session.execute(query.order_by(Validator.public_key)):
        ids = unpack_ids(packed_ids)
        if operator_id in ids:
            position = ids.index(operator_id)
            share_key = split_bytes(share_keys, SHARE_KEY_BYTES)[position]
            ciphertext = split_bytes(encrypted, ENCRYPTED_SHARE_BYTES)[position]
            shares.append(OwnShare(PublicKey(public_key), PublicKey(share_key), ciphertext))
    return shares


def operator_with_key(session: Session, public_key: bytes) -> OperatorId | None:
    """The operator that registered ``public_key`` (ASCII base64 of the PEM); None when none did."""
    query = select(Operator.operator_id).where(Operator.public_key_hash == sha256(public_key).digest())
    return cast("OperatorId | None", session.scalar(query))


def owner_nonces(session: Session, owners: Iterable[bytes]) -> dict[bytes, int]:
    """Owner (20 bytes) → nonce of its next registration, for those of ``owners`` that are known."""
    wanted = sorted(owners)
    nonces: dict[bytes, int] = {}
    for start in range(0, len(wanted), 500):
        query = select(Owner.owner, Owner.nonce).where(Owner.owner.in_(wanted[start : start + 500]))
        nonces.update((owner, nonce) for owner, nonce in session.execute(query))
    return nonces


def exit_requests(session: Session, after_block: int = -1) -> list[ExitRequest]:
    """The exit requests of later blocks than ``after_block``, in the chain's order."""
    query = select(ExitRequest).where(ExitRequest.block_number > after_block)
    return list(session.scalars(query.order_by(ExitRequest.block_number, ExitRequest.log_index)))


def exit_requests_since(session: Session, block_time: int) -> list[ExitRequest]:
    """The exit requests of blocks from ``block_time`` (seconds since the UNIX epoch) on, in the chain's order."""
    query = select(ExitRequest).where(ExitRequest.block_time >= block_time)
    return list(session.scalars(query.order_by(ExitRequest.block_number, ExitRequest.log_index)))


def fee_recipient_changes_since(session: Session, block_time: int) -> list[tuple[bytes, int]]:
    """Owners (20 bytes) that changed their fee recipient from ``block_time`` on, and when they last did."""
    query = select(FeeRecipientChange.owner, FeeRecipientChange.block_time)
    return [(owner, when) for owner, when in session.execute(query.where(FeeRecipientChange.block_time >= block_time))]


def event_counts(session: Session) -> dict[tuple[str, str], int]:
    """How many events had which outcome: (event name, outcome) → count."""
    query = select(RegistryEvent.name, RegistryEvent.outcome, func.count())
    rows = session.execute(query.group_by(RegistryEvent.name, RegistryEvent.outcome))
    return {(name, outcome): count for name, outcome, count in rows}


def malformed_counts(session: Session) -> dict[str, int]:
    """Reason → how many events are malformed for it."""
    query = select(RegistryEvent.reason, func.count()).where(RegistryEvent.outcome == "malformed")
    return {reason or "": count for reason, count in session.execute(query.group_by(RegistryEvent.reason))}


def malformed_events(session: Session, limit: int = 100) -> list[RegistryEvent]:
    """The latest events that were malformed, latest first."""
    query = select(RegistryEvent).where(RegistryEvent.outcome == "malformed")
    order = query.order_by(RegistryEvent.block_number.desc(), RegistryEvent.log_index.desc())
    return list(session.scalars(order.limit(limit)))


def _committees_of(operator_id: OperatorId) -> Select[bytes]:
    return select(CommitteeMembership.committee_id).where(CommitteeMembership.operator_id == operator_id)


def _validators(session: Session, *where: ColumnElement[bool]) -> Iterable[ValidatorRecord]:
    columns = (
        Validator.public_key,
        Validator.owner,
        Owner.fee_recipient,
        Validator.operator_ids,
        Validator.share_public_keys,
        Validator.committee_id,
        Validator.cluster_id,
        Validator.liquidated,
        Validator.registered_block,
        Validator.registered_time,
        Validator.active_since,
        Validator.validator_index,
        Validator.status,
        Validator.activation_epoch,
        Validator.exit_epoch,
    )
    query: Select[*tuple[Any, ...]] = (
        select(*columns).outerjoin_from(Validator, Owner, Owner.owner == Validator.owner).where(*where)
    )
    committees: dict[bytes, tuple[OperatorId, ...]] = {}
    for row in session.execute(query.order_by(Validator.public_key)):
        yield _validator(row, committees)


def _validator(row: Row[*tuple[Any, ...]], committees: dict[bytes, tuple[OperatorId, ...]]) -> ValidatorRecord:
    """Make a record; validators of one committee share one tuple of operator ids."""
    public_key, owner, fee_recipient, packed_ids, share_keys, committee_id, *rest = row
    ids = committees.get(packed_ids)
    if ids is None:
        ids = committees[packed_ids] = unpack_ids(packed_ids)
    return ValidatorRecord(
        public_key,
        owner,
        owner if fee_recipient is None else fee_recipient,
        ids,
        cast("tuple[PublicKey, ...]", split_bytes(share_keys, SHARE_KEY_BYTES)),
        CommitteeId(committee_id),
        *rest,
    )

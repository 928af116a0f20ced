"""What changes the registry in the store. Each function works inside the caller's transaction.

The rules that decide whether an event may change anything are in ``ssv_pool.registry.handler``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session

from ssv_pool.protocol.types.ids import cluster_id, committee_id
from ssv_pool.protocol.types.primitives import OperatorId, PublicKey
from ssv_pool.store.models import (
    CommitteeMembership,
    ExitRequest,
    FeeRecipientChange,
    Operator,
    Owner,
    StoreState,
    Validator,
)
from ssv_pool.store.pending import flush_pending, pending_of
from ssv_pool.store.records import ValidatorMetadata, pack_ids, unpack_ids
from ssv_pool.store.undo import remember
from ssv_pool.store.upsert import insert_missing, upsert

NONCE_MODULUS = 2**16
"""The registration nonce is a 16-bit counter in every client."""


@dataclass(frozen=True, slots=True)
class NewValidator:
    """A registration that passed all checks."""

    public_key: PublicKey
    owner: bytes
    """Address, 20 bytes."""
    operator_ids: tuple[OperatorId, ...]
    share_public_keys: tuple[PublicKey, ...]
    """48 bytes each, in the order of ``operator_ids``."""
    encrypted_shares: tuple[bytes, ...]
    """256 bytes each, in the order of ``operator_ids``."""
    block_number: int
    block_time: int
    """Seconds since the UNIX epoch."""


def bump_version(session: Session) -> None:
    """Say that the registry or validator metadata changed."""
    session.execute(update(StoreState).values(version=StoreState.version + 1))


def add_operator(
    session: Session, operator_id: OperatorId, owner: bytes, public_key: bytes, fee: int, block_number: int
) -> None:
    """Store an operator."""
    remember(session, Operator, operator_id=operator_id)
    session.add(
        Operator(
            operator_id=operator_id,
            owner=owner,
            public_key=public_key,
            public_key_hash=sha256(public_key).digest(),
            fee=str(fee),
            registered_block=block_number,
        )
    )
    session.flush()
    pending = pending_of(session)
    if pending is not None:
        pending.operators.add(operator_id)


def remove_operator(session: Session, operator_id: OperatorId) -> bool:
    """Delete an operator; validators go on listing it. Returns whether it was there."""
    row = session.get(Operator, operator_id)
    if row is None:
        return False
    remember(session, Operator, operator_id=operator_id)
    session.delete(row)
    session.flush()
    pending = pending_of(session)
    if pending is not None:
        pending.operators.discard(operator_id)
    return True


def take_nonce(session: Session, owner: bytes) -> int:
    """The owner's registration nonce, which is used up by this call."""
    remember(session, Owner, owner=owner)
    row = _owner(session, owner)
    nonce = row.nonce
    row.nonce = (nonce + 1) % NONCE_MODULUS
    return nonce


def set_fee_recipient(session: Session, owner: bytes, recipient: bytes, block_time: int) -> bool:
    """Set the address (20 bytes) that gets the block rewards of an owner's validators. Returns whether it changed.

    When it did is remembered: ``block_time`` is the event's, seconds since the UNIX epoch.
    """
    remember(session, Owner, owner=owner)
    row = _owner(session, owner)
    changed = row.fee_recipient != recipient
    row.fee_recipient = recipient
    if changed:
        remember(session, FeeRecipientChange, owner=owner)
        upsert(session, FeeRecipientChange, [{"owner": owner, "block_time": block_time}])
    return changed


def validator_owner(session: Session, public_key: bytes) -> bytes | None:
    """The owner (20 bytes) of a registered validator; None when there is no such validator."""
    pending = pending_of(session)
    if pending is not None and public_key in pending.validator_owners:
        return pending.validator_owners[public_key]
    flush_pending(session)
    return session.scalar(select(Validator.owner).where(Validator.public_key == public_key))


def missing_operators(session: Session, operator_ids: tuple[OperatorId, ...]) -> list[OperatorId]:
    """Those of ``operator_ids`` that are not registered, in the same order."""
    pending = pending_of(session)
    if pending is not None:
        found = pending.operators
    else:
        found = set(session.scalars(select(Operator.operator_id).where(Operator.operator_id.in_(operator_ids))))
    return [operator_id for operator_id in operator_ids if operator_id not in found]


def add_validator(session: Session, new: NewValidator) -> None:
    """Store a validator."""
    committee = committee_id(new.operator_ids)
    remember(session, Validator, public_key=new.public_key)
    row = {
        "public_key": new.public_key,
        "owner": new.owner,
        "cluster_id": cluster_id(new.owner, new.operator_ids),
        "committee_id": committee,
        "operator_ids": pack_ids(new.operator_ids),
        "share_public_keys": b"".join(new.share_public_keys),
        "encrypted_shares": b"".join(new.encrypted_shares),
        "liquidated": False,
        "registered_block": new.block_number,
        "registered_time": new.block_time,
        "active_since": new.block_time,
    }
    pending = pending_of(session)
    if pending is None:
        session.execute(insert(Validator), [row])
    else:
        pending.new_validators.append(row)
        pending.validator_owners[new.public_key] = new.owner
        if (committee, new.operator_ids) in pending.committees:
            return
        pending.committees.add((committee, new.operator_ids))
    for operator_id in new.operator_ids:
        remember(session, CommitteeMembership, operator_id=operator_id, committee_id=committee)
    members = [{"operator_id": operator_id, "committee_id": committee} for operator_id in new.operator_ids]
    insert_missing(session, CommitteeMembership, members)


def remove_validator(session: Session, public_key: bytes) -> None:
    """Delete a validator, and its committee's membership when it was the last one there."""
    flush_pending(session)
    row = session.get(Validator, public_key)
    if row is None:
        return
    committee = row.committee_id
    ids = unpack_ids(row.operator_ids)
    remember(session, Validator, public_key=public_key)
    session.delete(row)
    session.flush()
    pending = pending_of(session)
    if pending is not None:
        pending.validator_owners[public_key] = None
        # The next registration looks again whether the members are on record.
        pending.committees = {known for known in pending.committees if known[0] != committee}
    others = select(func.count()).select_from(Validator).where(Validator.committee_id == committee)
    if not session.scalar(others):
        for operator_id in ids:
            remember(session, CommitteeMembership, operator_id=operator_id, committee_id=committee)
        session.execute(
            delete(CommitteeMembership)
            .where(CommitteeMembership.committee_id == committee)
            .where(CommitteeMembership.operator_id.in_(ids))
        )


def set_liquidated(session: Session, cluster: bytes, *, liquidated: bool, block_time: int) -> int:
    """Set the flag on all validators of a cluster (32-byte id). Returns how many changed.

    A reactivated validator counts as active since ``block_time``.
    """
    flush_pending(session)
    query = select(Validator).where(Validator.cluster_id == cluster, Validator.liquidated != liquidated)
    changed = session.scalars(query).all()
    for validator in changed:
        remember(session, Validator, public_key=validator.public_key)
        validator.liquidated = liquidated
        if not liquidated:
            validator.active_since = block_time
    session.flush()
    return len(changed)


def add_exit_request(
    session: Session, public_key: bytes, owner: bytes, block_number: int, log_index: int, block_time: int
) -> None:
    """Store that an owner asked for a validator's exit."""
    remember(session, ExitRequest, block_number=block_number, log_index=log_index)
    session.add(
        ExitRequest(
            block_number=block_number, log_index=log_index, block_time=block_time, public_key=public_key, owner=owner
        )
    )


def update_metadata(session: Session, metadata: Mapping[PublicKey, ValidatorMetadata]) -> int:
    """Store what the beacon node says of validators; unknown ones are left out. Returns how many changed.

    Raises the store's version when any changed.
    """
    changed = 0
    keys = list(metadata)
    for start in range(0, len(keys), 500):
        query = select(Validator).where(Validator.public_key.in_(keys[start : start + 500]))
        for row in session.scalars(query):
            new = metadata[PublicKey(row.public_key)]
            values = (new.index, new.status, new.activation_epoch, new.exit_epoch)
            if values != (row.validator_index, row.status, row.activation_epoch, row.exit_epoch):
                row.validator_index, row.status, row.activation_epoch, row.exit_epoch = values
                changed += 1
    if changed:
        session.flush()
        bump_version(session)
    return changed


def _owner(session: Session, owner: bytes) -> Owner:
    pending = pending_of(session)
    row = session.get(Owner, owner) if pending is None else pending.owners.get(owner)
    if row is None and pending is not None:
        row = session.get(Owner, owner)
    if row is None:
        row = Owner(owner=owner, nonce=0)
        session.add(row)
        session.flush()
    if pending is not None:
        pending.owners[owner] = row
    return row

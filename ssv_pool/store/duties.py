"""Planned duties in the store: one plan for each (role, epoch), replaced as a whole."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from ssv_pool.protocol.types.duties import ValidatorDuty
from ssv_pool.protocol.types.primitives import Epoch, PublicKey, Root, Slot, ValidatorIndex
from ssv_pool.protocol.types.roles import BeaconRole
from ssv_pool.store.models import AttesterDuty, DutyPlan
from ssv_pool.store.upsert import upsert


@dataclass(frozen=True, slots=True)
class Plan:
    """For what the duties of one epoch were asked."""

    dependent_root: Root
    """The duties hold while the chain has this root, 32 bytes."""
    store_version: int
    """The store's version then; a later one may have more validators."""


def replace_duties(
    session: Session,
    epoch: Epoch,
    dependent_root: Root,
    duties: Sequence[ValidatorDuty],
    *,
    store_version: int = 0,
) -> None:
    """Store all attestation duties of ``epoch`` instead of those stored before. The same twice changes nothing."""
    plan = {
        "role": int(BeaconRole.ATTESTER),
        "epoch": epoch,
        "dependent_root": dependent_root,
        "store_version": store_version,
    }
    # The plan's row first: it makes a second process that plans the same epoch wait for this transaction.
    upsert(session, DutyPlan, [plan])
    session.execute(delete(AttesterDuty).where(AttesterDuty.epoch == epoch))
    rows = {
        duty.validator_index: {
            "epoch": epoch,
            "validator_index": duty.validator_index,
            "slot": duty.slot,
            "public_key": duty.pubkey,
            "committee_index": duty.committee_index,
            "committee_length": duty.committee_length,
            "committees_at_slot": duty.committees_at_slot,
            "validator_committee_index": duty.validator_committee_index,
        }
        for duty in duties
    }
    upsert(session, AttesterDuty, list(rows.values()))


def plan_of(session: Session, epoch: Epoch, role: BeaconRole = BeaconRole.ATTESTER) -> Plan | None:
    """For what the duties of ``epoch`` were asked; None when they were not."""
    row = session.get(DutyPlan, (int(role), epoch))
    return None if row is None else Plan(Root(row.dependent_root), row.store_version)


def has_epoch(session: Session, epoch: Epoch, role: BeaconRole = BeaconRole.ATTESTER) -> bool:
    """Whether the duties of ``epoch`` are stored (there may be none)."""
    return plan_of(session, epoch, role) is not None


def duties_of_slot(session: Session, slot: Slot) -> list[ValidatorDuty]:
    """The attestation duties of ``slot`` in the order of validator indices."""
    query = select(AttesterDuty).where(AttesterDuty.slot == slot).order_by(AttesterDuty.validator_index)
    return [
        ValidatorDuty(
            type=int(BeaconRole.ATTESTER),
            pubkey=PublicKey(row.public_key),
            slot=Slot(row.slot),
            validator_index=ValidatorIndex(row.validator_index),
            committee_index=row.committee_index,
            committee_length=row.committee_length,
            committees_at_slot=row.committees_at_slot,
            validator_committee_index=row.validator_committee_index,
        )
        for row in session.scalars(query)
    ]


def prune_duties(session: Session, before: Epoch) -> None:
    """Forget the duties of earlier epochs than ``before``."""
    session.execute(delete(AttesterDuty).where(AttesterDuty.epoch < before))
    session.execute(delete(DutyPlan).where(DutyPlan.epoch < before))

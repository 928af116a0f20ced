"""Planned duties in the store: attesters and proposers epoch by epoch, sync committees period by period.

Each plan is replaced as a whole. Attesters are the own validators; proposers are all of the chain's and sync committee
members all that are registered, because gossip validation asks for those of other operators too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from ssv_pool.protocol.types.duties import ValidatorDuty
from ssv_pool.protocol.types.primitives import Epoch, PublicKey, Root, Slot, ValidatorIndex
from ssv_pool.protocol.types.roles import BeaconRole
from ssv_pool.store.models import AttesterDuty, DutyPlan, ProposerDuty, SyncMember, SyncPeriod
from ssv_pool.store.upsert import upsert


@dataclass(frozen=True, slots=True)
class Plan:
    """For what the duties of one epoch were asked."""

    dependent_root: Root
    """The duties hold while the chain has this root, 32 bytes."""
    store_version: int
    """The store's version then; a later one may have more validators."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """Who proposes in one slot."""

    slot: Slot
    """The slot."""
    validator_index: ValidatorIndex
    """The proposer's index."""
    public_key: PublicKey
    """The proposer's key, 48 bytes."""


@dataclass(frozen=True, slots=True)
class SyncMembership:
    """One registered validator in one sync committee."""

    validator_index: ValidatorIndex
    """The validator's index."""
    public_key: PublicKey
    """The validator's key, 48 bytes."""
    places: tuple[int, ...]
    """Its places in the committee, ascending, from 0."""


@dataclass(frozen=True, slots=True)
class SyncCommittee:
    """The registered members of one sync committee."""

    first: Epoch
    """First epoch in which it serves."""
    last: Epoch
    """Last epoch in which it serves."""
    store_version: int
    """The store's version when it was asked for; a later one may have more validators."""
    members: tuple[SyncMembership, ...]
    """By ascending validator index."""


@dataclass(frozen=True, slots=True)
class DutyBookContent:
    """What the store knows of other validators' duties too: the matter of gossip validation's duty book."""

    proposers: Mapping[Epoch, Mapping[Slot, ValidatorIndex]]
    """Epoch → slot → proposer, for every epoch that is planned."""
    sync_committees: tuple[SyncCommittee, ...]
    """Those that serve in the epochs asked for, by ascending first epoch."""


def replace_duties(
    session: Session,
    epoch: Epoch,
    dependent_root: Root,
    duties: Sequence[ValidatorDuty],
    *,
    store_version: int = 0,
) -> None:
    """Store all attestation duties of ``epoch`` instead of those stored before. The same twice changes nothing."""
    _replace_plan(session, BeaconRole.ATTESTER, epoch, dependent_root, store_version)
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


def replace_proposals(
    session: Session, epoch: Epoch, dependent_root: Root, proposals: Sequence[Proposal], *, store_version: int = 0
) -> None:
    """Store all proposers of ``epoch`` instead of those stored before. The same twice changes nothing."""
    _replace_plan(session, BeaconRole.PROPOSER, epoch, dependent_root, store_version)
    session.execute(delete(ProposerDuty).where(ProposerDuty.epoch == epoch))
    rows = {
        proposal.slot: {
            "epoch": epoch,
            "slot": proposal.slot,
            "validator_index": proposal.validator_index,
            "public_key": proposal.public_key,
        }
        for proposal in proposals
    }
    upsert(session, ProposerDuty, list(rows.values()))


def replace_sync_committee(session: Session, committee: SyncCommittee) -> None:
    """Store a sync committee's registered members instead of those stored for its period before."""
    period = {
        "first_epoch": committee.first,
        "last_epoch": committee.last,
        "store_version": committee.store_version,
    }
    # The period's row first, as a plan's: a second process that stores the same waits for this transaction.
    upsert(session, SyncPeriod, [period])
    session.execute(delete(SyncMember).where(SyncMember.first_epoch == committee.first))
    rows = {
        member.validator_index: {
            "first_epoch": committee.first,
            "validator_index": member.validator_index,
            "public_key": member.public_key,
            "places": list(member.places),
        }
        for member in committee.members
    }
    upsert(session, SyncMember, list(rows.values()))


def plan_of(session: Session, epoch: Epoch, role: BeaconRole = BeaconRole.ATTESTER) -> Plan | None:
    """For what the duties of ``epoch`` were asked; None when they were not. ``role``: ATTESTER or PROPOSER."""
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


def proposal_of_slot(session: Session, epoch: Epoch, slot: Slot) -> Proposal | None:
    """Who proposes in ``slot`` of ``epoch``; None when that is not planned."""
    row = session.get(ProposerDuty, (epoch, slot))
    return None if row is None else _proposal(row)


def proposals_of_epoch(session: Session, epoch: Epoch) -> list[Proposal]:
    """All proposers of ``epoch`` by ascending slot; empty when they are not planned."""
    query = select(ProposerDuty).where(ProposerDuty.epoch == epoch).order_by(ProposerDuty.slot)
    return [_proposal(row) for row in session.scalars(query)]


def sync_committee_of(session: Session, epoch: Epoch) -> SyncCommittee | None:
    """The sync committee that serves in ``epoch``; None when it is not planned."""
    found = sync_committees(session, epoch, epoch)
    return found[-1] if found else None


def sync_committees(session: Session, first: Epoch, last: Epoch) -> list[SyncCommittee]:
    """The sync committees that serve in one of the epochs from ``first`` to ``last``, by ascending first epoch."""
    serve = (SyncPeriod.first_epoch <= last) & (SyncPeriod.last_epoch >= first)
    periods = session.scalars(select(SyncPeriod).where(serve).order_by(SyncPeriod.first_epoch))
    return [_sync_committee(session, period) for period in periods]


def load_duty_book(session: Session, first: Epoch, last: Epoch) -> DutyBookContent:
    """Proposers of the planned epochs from ``first`` to ``last``, and the sync committees that serve in any of them."""
    planned = select(DutyPlan.epoch).where(
        DutyPlan.role == int(BeaconRole.PROPOSER), DutyPlan.epoch >= first, DutyPlan.epoch <= last
    )
    proposers: dict[Epoch, dict[Slot, ValidatorIndex]] = {
        Epoch(epoch): {} for epoch in session.scalars(planned.order_by(DutyPlan.epoch))
    }
    columns = (ProposerDuty.epoch, ProposerDuty.slot, ProposerDuty.validator_index)
    rows = session.execute(select(*columns).where(ProposerDuty.epoch >= first, ProposerDuty.epoch <= last))
    for epoch, slot, index in rows:
        proposers[Epoch(epoch)][Slot(slot)] = ValidatorIndex(index)
    return DutyBookContent(proposers, tuple(sync_committees(session, first, last)))


def prune_duties(session: Session, before: Epoch) -> None:
    """Forget the duties of earlier epochs than ``before``, and sync committees that do not serve any more then."""
    session.execute(delete(AttesterDuty).where(AttesterDuty.epoch < before))
    session.execute(delete(ProposerDuty).where(ProposerDuty.epoch < before))
    session.execute(delete(DutyPlan).where(DutyPlan.epoch < before))
    over = select(SyncPeriod.first_epoch).where(SyncPeriod.last_epoch < before)
    session.execute(delete(SyncMember).where(SyncMember.first_epoch.in_(over)))
    session.execute(delete(SyncPeriod).where(SyncPeriod.last_epoch < before))


def _replace_plan(session: Session, role: BeaconRole, epoch: Epoch, dependent_root: Root, store_version: int) -> None:
    """Write the plan's row. First of all: it makes a second process that plans the same epoch wait for this one."""
    plan = {"role": int(role), "epoch": epoch, "dependent_root": dependent_root, "store_version": store_version}
    upsert(session, DutyPlan, [plan])


def _proposal(row: ProposerDuty) -> Proposal:
    return Proposal(Slot(row.slot), ValidatorIndex(row.validator_index), PublicKey(row.public_key))


def _sync_committee(session: Session, period: SyncPeriod) -> SyncCommittee:
    members = session.scalars(select(SyncMember).where(SyncMember.first_epoch == period.first_epoch))
    return SyncCommittee(
        Epoch(period.first_epoch),
        Epoch(period.last_epoch),
        period.store_version,
        tuple(
            sorted(
                (
                    SyncMembership(
                        ValidatorIndex(row.validator_index), PublicKey(row.public_key), tuple(sorted(row.places))
                    )
                    for row in members
                ),
                key=lambda member: member.validator_index,
            )
        ),
    )

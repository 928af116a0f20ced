"""Which validators have duties, when, and in which committees: planned an epoch ahead, looked up slot by slot.

A slot's sync committee messages go into the next slot's block, so that in slot s the committee of slot s + 1 serves:
at the end of a period the new committee begins one slot early.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from ssv_pool.beacon.client import BeaconClient
from ssv_pool.beacon.errors import BeaconError
from ssv_pool.protocol.chain import BeaconChain
from ssv_pool.protocol.types.duties import MAX_SYNC_COMMITTEE_INDICES, ValidatorDuty
from ssv_pool.protocol.types.primitives import CommitteeId, Epoch, OperatorId, PublicKey, Root, Slot, ValidatorIndex
from ssv_pool.protocol.types.roles import BeaconRole
from ssv_pool.store.database import Database
from ssv_pool.store.duties import (
    SyncCommittee,
    SyncMembership,
    duties_of_slot,
    has_epoch,
    plan_of,
    proposal_of_slot,
    proposals_of_epoch,
    replace_duties,
    replace_proposals,
    replace_sync_committee,
    sync_committee_of,
)
from ssv_pool.store.records import ValidatorMetadata, ValidatorRecord
from ssv_pool.store.registry import load_registry, registered_indices, validators_of_operator
from ssv_pool.store.registry_changes import update_metadata

UNSETTLED_ROOT = Root(bytes(32))
"""Dependent root of proposers that were planned ahead of their epoch: they are asked for again when it begins."""


@dataclass(frozen=True, slots=True)
class PlanResult:
    """What planning one epoch found."""

    epoch: Epoch
    """The epoch."""
    validators: int
    """Own validators that take part in it."""
    duties: int = 0
    """Their attestation duties."""
    proposals: int = 0
    """Their blocks to propose."""
    sync_members: int = 0
    """Those of them in the epoch's sync committee."""
    changed: bool = False
    """Whether a stored plan was missing or another one."""
    problems: tuple[str, ...] = ()
    """What could not be planned and why, one line each; what was stored of it before is kept."""


@dataclass(frozen=True, slots=True)
class CommitteeSlot:
    """What one committee has to attest and to vote for in one slot."""

    committee_id: CommitteeId
    """The committee, 32 bytes."""
    duties: tuple[ValidatorDuty, ...]
    """Attester duties, then sync committee duties, each by ascending validator index; at least one."""


def takes_part(validator: ValidatorRecord, chain: BeaconChain, epoch: Epoch) -> bool:
    """Whether a validator has duties in ``epoch``: known to the chain, active then, not liquidated, registered before.

    PROTOCOL 3.9: from the epoch after its registration (or reactivation) on.
    """
    if validator.status is None or not _is_served(validator, chain, epoch):
        return False
    if validator.exit_epoch is not None and validator.exit_epoch <= epoch:
        return False
    if validator.status.startswith("active"):
        return True
    activation = validator.activation_epoch
    return validator.status == "pending_queued" and activation is not None and activation <= epoch


def votes_in_sync_committee(validator: ValidatorRecord, chain: BeaconChain, epoch: Epoch) -> bool:
    """Whether a member of a sync committee votes in ``epoch``: after its exit too, to the end of the period.

    The beacon chain counts the votes of members that have exited, and takes from them what missing votes cost.
    """
    if not _is_served(validator, chain, epoch) or validator.status is None:
        return False
    return validator.status.startswith(("active", "exited", "withdrawal_possible"))


def plan_epoch(
    database: Database,
    client: BeaconClient,
    chain: BeaconChain,
    operator_id: OperatorId,
    epoch: Epoch,
    now: Callable[[], float] = time.time,
) -> PlanResult:
    """Ask for the duties of ``epoch`` (this or the next one) and store them, where they are not what is stored.

    Each kind of duty fails by itself: what failed is in the result's ``problems``.

    Args:
        database: the store.
        client: the own beacon nodes.
        chain: the chain's constants.
        operator_id: whose validators' attestations are planned.
        epoch: the epoch.
        now: seconds since the UNIX epoch.

    Raises:
        UnavailableError: the store cannot be reached.
    """
    # The version first: what changes after it makes the next planning differ.
    version = database.version()
    with database.read() as session:
        own = validators_of_operator(session, operator_id)
    active = {v.index: v.public_key for v in own if v.index is not None and takes_part(v, chain, epoch)}
    ahead = epoch > chain.epoch_at(now())
    planner = _Planner(database, client, chain, epoch, version, active, ahead=ahead)
    result = PlanResult(epoch, len(active))
    for step in (planner.attesters, planner.proposers, planner.sync_committees):
        try:
            result = step(result)
        except BeaconError as error:
            result = replace(result, problems=(*result.problems, str(error)))
    return result


def plan_is_stale(session: Session, epoch: Epoch, dependent_root: Root, role: BeaconRole = BeaconRole.ATTESTER) -> bool:
    """Whether the stored plan of ``epoch`` was made for another chain than one with ``dependent_root``."""
    plan = plan_of(session, epoch, role)
    return plan is not None and plan.dependent_root != dependent_root


def stale_epochs(session: Session, chain: BeaconChain, slot: Slot, previous: Root, current: Root) -> list[Epoch]:
    """The epochs whose plans were made for another chain than that of a new head.

    Args:
        session: a transaction.
        chain: the chain's constants.
        slot: the head's slot.
        previous: the head event's ``previous_duty_dependent_root``, 32 bytes.
        current: the head event's ``current_duty_dependent_root``, 32 bytes.
    """
    epoch = chain.epoch_of(slot)
    following = Epoch(epoch + 1)
    stale = []
    proposers = plan_of(session, epoch, BeaconRole.PROPOSER)
    # Proposers depend on the epoch's own first root; from Fulu on on the one before it, which nodes tell or not.
    moved = proposers is not None and proposers.dependent_root not in (previous, current, UNSETTLED_ROOT)
    if moved or plan_is_stale(session, epoch, previous):
        stale.append(epoch)
    if plan_is_stale(session, following, current):
        stale.append(following)
    return stale


def committees_of_slot(
    session: Session, chain: BeaconChain, operator_id: OperatorId, slot: Slot
) -> list[CommitteeSlot] | None:
    """What each committee of the operator has to attest and to vote for in ``slot``, by ascending committee id.

    The registry has the last word: who was removed or liquidated since the epoch was planned is left out.

    Returns:
        The committees that have duties; None when the slot's epoch is not planned yet.
    """
    epoch = chain.epoch_of(slot)
    if not has_epoch(session, epoch):
        return None
    duties = duties_of_slot(session, slot)
    members = _sync_members(session, chain, slot)
    if not duties and not members:
        return []
    own = {v.public_key: v for v in validators_of_operator(session, operator_id)}
    grouped: dict[CommitteeId, list[ValidatorDuty]] = {}
    for duty in duties:
        validator = own.get(duty.pubkey)
        if validator is not None and validator.index == duty.validator_index and takes_part(validator, chain, epoch):
            grouped.setdefault(validator.committee_id, []).append(duty)
    for committee_id, duty in _sync_duties(own, members, chain, slot, BeaconRole.SYNC_COMMITTEE):
        grouped.setdefault(committee_id, []).append(duty)
    return [CommitteeSlot(committee_id, tuple(grouped[committee_id])) for committee_id in sorted(grouped)]


def proposals_of_slot(
    session: Session, chain: BeaconChain, operator_id: OperatorId, slot: Slot
) -> list[tuple[CommitteeId, ValidatorDuty]]:
    """The block to propose in ``slot``, if its proposer is an own validator: committee and duty; else empty."""
    epoch = chain.epoch_of(slot)
    proposal = proposal_of_slot(session, epoch, slot)
    if proposal is None:
        return []
    duty = ValidatorDuty(int(BeaconRole.PROPOSER), proposal.public_key, slot, proposal.validator_index)
    return [
        (validator.committee_id, duty)
        for validator in validators_of_operator(session, operator_id)
        if validator.public_key == duty.pubkey
        and validator.index == duty.validator_index
        and takes_part(validator, chain, epoch)
    ]


def aggregations_of_slot(
    session: Session, chain: BeaconChain, operator_id: OperatorId, slot: Slot
) -> list[tuple[CommitteeId, ValidatorDuty]]:
    """The aggregator duties of the slot's attesters, and the contribution duties of the sync committee's members.

    Whether a validator is chosen turns out when its selection proof is there. Sorted by committee id, then aggregators
    before contributors, then by validator index.
    """
    epoch = chain.epoch_of(slot)
    own = {v.public_key: v for v in validators_of_operator(session, operator_id)}
    found: list[tuple[CommitteeId, ValidatorDuty]] = []
    for duty in duties_of_slot(session, slot):
        validator = own.get(duty.pubkey)
        if validator is not None and validator.index == duty.validator_index and takes_part(validator, chain, epoch):
            found.append((validator.committee_id, replace(duty, type=int(BeaconRole.AGGREGATOR))))
    members = _sync_members(session, chain, slot)
    found += _sync_duties(own, members, chain, slot, BeaconRole.SYNC_COMMITTEE_CONTRIBUTION)
    return sorted(found, key=lambda entry: (entry[0], entry[1].type, entry[1].validator_index))


def sync_period(chain: BeaconChain, epoch: Epoch) -> tuple[Epoch, Epoch]:
    """The first and the last epoch of the sync committee that serves in ``epoch``."""
    length = chain.preset.epochs_per_sync_committee_period
    first = epoch - epoch % length
    return Epoch(first), Epoch(first + length - 1)


def refresh_metadata(database: Database, client: BeaconClient) -> int:
    """Bring index, status and epochs of all registered validators up to date. Returns how many changed.

    All, not only the own: gossip validation needs the others' indices.

    Raises:
        BeaconError: no beacon node gave a good answer.
        UnavailableError: the store cannot be reached.
    """
    with database.read() as session:
        keys = [validator.public_key for validator in load_registry(session).validators]
    if not keys:
        return 0
    found = _metadata(client, keys)
    with database.session() as session:
        return update_metadata(session, found)


class _Planner:
    """Plans one epoch, one kind of duty after the other."""

    def __init__(
        self,
        database: Database,
        client: BeaconClient,
        chain: BeaconChain,
        epoch: Epoch,
        version: int,
        active: Mapping[ValidatorIndex, PublicKey],
        *,
        ahead: bool,
    ) -> None:
        self._database = database
        self._client = client
        self._chain = chain
        self._epoch = epoch
        self._version = version
        self._active = active
        self._ahead = ahead

    def attesters(self, result: PlanResult) -> PlanResult:
        """The own validators' attestations. Raises BeaconError."""
        # The node is asked even for nobody: the dependent root says when the chain under the plan changed.
        found = self._client.attester_duties(self._epoch, sorted(self._active))
        endpoint = f"POST /eth/v1/validator/duties/attester/{self._epoch}"
        duties = []
        for duty in found.duties:
            expected = self._active.get(duty.validator_index)
            if expected is not None:
                self._check(endpoint, duty.validator_index, duty.pubkey, expected, duty.slot)
                duties.append(duty)
        changed = self._store(
            BeaconRole.ATTESTER,
            found.dependent_root,
            lambda session: replace_duties(
                session, self._epoch, found.dependent_root, duties, store_version=self._version
            ),
        )
        return replace(result, duties=len(duties), changed=result.changed or changed)

    def proposers(self, result: PlanResult) -> PlanResult:
        """Who proposes, of all validators. Raises BeaconError."""
        found = self._client.proposer_duties(self._epoch)
        endpoint = f"GET /eth/v1/validator/duties/proposer/{self._epoch}"
        if self._ahead and {self._chain.epoch_of(item.slot) for item in found.proposals} == {self._epoch - 1}:
            # Older nodes answer for the next epoch with the present one's slots: asked again when it begins.
            return result
        for proposal in found.proposals:
            expected = self._active.get(proposal.validator_index, proposal.public_key)
            self._check(endpoint, proposal.validator_index, proposal.public_key, expected, proposal.slot)
        with self._database.read() as session:
            before = proposals_of_epoch(session, self._epoch)
            planned = has_epoch(session, self._epoch, BeaconRole.PROPOSER)
        # Ahead of their epoch their root is that of the present head: it says nothing yet.
        root = UNSETTLED_ROOT if self._ahead else found.dependent_root
        differs = before != list(found.proposals)
        written = self._store(
            BeaconRole.PROPOSER,
            root,
            lambda session: replace_proposals(session, self._epoch, root, found.proposals, store_version=self._version),
            differs=differs,
        )
        changed = differs or (written and not planned)
        own = sum(proposal.validator_index in self._active for proposal in found.proposals)
        return replace(result, proposals=own, changed=result.changed or changed)

    def sync_committees(self, result: PlanResult) -> PlanResult:
        """The sync committees of this epoch and, for its last slot, of the next. Raises BeaconError."""
        changed = result.changed
        # The later epoch first: it is the earlier one that counts where both are of one period.
        periods = {sync_period(self._chain, epoch): epoch for epoch in (Epoch(self._epoch + 1), self._epoch)}
        for (first, last), epoch in sorted(periods.items()):
            with self._database.read() as session:
                stored = sync_committee_of(session, epoch)
            # It was fixed when the period before it began. Asked again when it begins itself: the chain may have moved.
            if stored is not None and stored.store_version == self._version and self._epoch != first:
                continue
            committee = SyncCommittee(first, last, self._version, self._sync_members(epoch))
            if stored != committee:
                with self._database.session() as session:
                    replace_sync_committee(session, committee)
                changed = changed or stored is None or stored.members != committee.members
        with self._database.read() as session:
            serving = sync_committee_of(session, self._epoch)
        members = () if serving is None else serving.members
        own = sum(member.validator_index in self._active for member in members)
        return replace(result, sync_members=own, changed=changed)

    def _sync_members(self, epoch: Epoch) -> tuple[SyncMembership, ...]:
        with self._database.read() as session:
            registered = registered_indices(session)
        if not registered:
            return ()
        endpoint = f"POST /eth/v1/validator/duties/sync/{epoch}"
        members = {}
        size = self._chain.preset.sync_committee_size
        for member in self._client.sync_duties(epoch, sorted(registered)):
            expected = registered.get(member.validator_index)
            if expected is None:
                continue
            self._check(endpoint, member.validator_index, member.public_key, expected, None)
            if not member.places or member.places[-1] >= size:
                what = f"validator {member.validator_index}: found places {list(member.places)}"
                raise BeaconError(endpoint, 200, f"bad answer: {what}, expected some below {size}")
            members[member.validator_index] = member
        return tuple(members[index] for index in sorted(members))

    def _store(
        self, role: BeaconRole, dependent_root: Root, write: Callable[[Session], None], *, differs: bool = False
    ) -> bool:
        """Write a plan that is not the stored one; returns whether it was written."""
        with self._database.read() as session:
            plan = plan_of(session, self._epoch, role)
        same = plan is not None and (plan.dependent_root, plan.store_version) == (dependent_root, self._version)
        if same and not differs:
            return False
        with self._database.session() as session:
            write(session)
        return True

    def _check(
        self, endpoint: str, index: ValidatorIndex, found: PublicKey, expected: PublicKey, slot: Slot | None
    ) -> None:
        """A node that mixes up epoch or keys is not believed at all."""
        if found == expected and (slot is None or self._chain.epoch_of(slot) == self._epoch):
            return
        place = "" if slot is None else f" at slot {slot}"
        wanted = "" if slot is None else f" in epoch {self._epoch}"
        what = f"validator {index}: found key 0x{found.hex()[:16]}…{place}"
        raise BeaconError(endpoint, 200, f"bad answer: {what}, expected 0x{expected.hex()[:16]}…{wanted}")


def _is_served(validator: ValidatorRecord, chain: BeaconChain, epoch: Epoch) -> bool:
    """Whether this operator works for the validator in ``epoch``, if the chain lets it."""
    if validator.liquidated or validator.index is None:
        return False
    return epoch > chain.epoch_at(validator.active_since)


def _sync_members(session: Session, chain: BeaconChain, slot: Slot) -> tuple[SyncMembership, ...]:
    """The registered members whose vote of ``slot`` counts: those of the next slot's committee."""
    committee = sync_committee_of(session, chain.epoch_of(slot + 1))
    return () if committee is None else committee.members


def _sync_duties(
    own: Mapping[PublicKey, ValidatorRecord],
    members: Iterable[SyncMembership],
    chain: BeaconChain,
    slot: Slot,
    role: BeaconRole,
) -> list[tuple[CommitteeId, ValidatorDuty]]:
    epoch = chain.epoch_of(slot)
    found = []
    for member in members:
        validator = own.get(member.public_key)
        if validator is None or validator.index != member.validator_index:
            continue
        if votes_in_sync_committee(validator, chain, epoch):
            # A duty has room for 13 places; only on a chain of a few validators does one have more.
            places = member.places[:MAX_SYNC_COMMITTEE_INDICES]
            duty = ValidatorDuty(
                int(role),
                member.public_key,
                slot,
                member.validator_index,
                validator_sync_committee_indices=places,
            )
            found.append((validator.committee_id, duty))
    return found


def _metadata(client: BeaconClient, keys: Sequence[PublicKey]) -> dict[PublicKey, ValidatorMetadata]:
    return {
        validator.public_key: ValidatorMetadata(
            validator.index, validator.status, validator.activation_epoch, validator.exit_epoch
        )
        for validator in client.validators(keys)
    }

"""Which validators have duties, when, and in which committees: planned an epoch ahead, looked up slot by slot."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from ssv_pool.beacon.client import BeaconClient
from ssv_pool.beacon.errors import BeaconError
from ssv_pool.protocol.chain import BeaconChain
from ssv_pool.protocol.types.duties import ValidatorDuty
from ssv_pool.protocol.types.primitives import CommitteeId, Epoch, OperatorId, PublicKey, Root, Slot
from ssv_pool.store.database import Database
from ssv_pool.store.duties import duties_of_slot, has_epoch, plan_of, replace_duties
from ssv_pool.store.records import ValidatorMetadata, ValidatorRecord
from ssv_pool.store.registry import load_registry, validators_of_operator
from ssv_pool.store.registry_changes import update_metadata


@dataclass(frozen=True, slots=True)
class PlanResult:
    """What planning one epoch found."""

    epoch: Epoch
    """The epoch."""
    validators: int
    """Own validators that take part in it."""
    duties: int
    """Their attestation duties."""
    changed: bool
    """Whether the stored plan was missing or another one."""


@dataclass(frozen=True, slots=True)
class CommitteeSlot:
    """What one committee has to attest in one slot."""

    committee_id: CommitteeId
    """The committee, 32 bytes."""
    duties: tuple[ValidatorDuty, ...]
    """By ascending validator index; at least one."""


def takes_part(validator: ValidatorRecord, chain: BeaconChain, epoch: Epoch) -> bool:
    """Whether a validator has duties in ``epoch``: known to the chain, active then, not liquidated, registered before.

    PROTOCOL 3.9: from the epoch after its registration (or reactivation) on.
    """
    if validator.liquidated or validator.index is None or validator.status is None:
        return False
    if epoch <= chain.epoch_at(validator.active_since):
        return False
    if validator.exit_epoch is not None and validator.exit_epoch <= epoch:
        return False
    if validator.status.startswith("active"):
        return True
    activation = validator.activation_epoch
    return validator.status == "pending_queued" and activation is not None and activation <= epoch


def plan_epoch(
    database: Database, client: BeaconClient, chain: BeaconChain, operator_id: OperatorId, epoch: Epoch
) -> PlanResult:
    """Ask for the duties of ``epoch`` (this or the next one) and store them, if they are not what is stored.

    Raises:
        BeaconError: no beacon node gave a good answer.
        UnavailableError: the store cannot be reached.
    """
    # The version first: what changes after it makes the next planning differ.
    version = database.version()
    with database.read() as session:
        own = validators_of_operator(session, operator_id)
        plan = plan_of(session, epoch)
    active = {v.index: v for v in own if v.index is not None and takes_part(v, chain, epoch)}
    # The node is asked even for nobody: the dependent root says when the chain under the plan changed.
    found = client.attester_duties(epoch, sorted(active))
    duties = _checked(found.duties, chain, epoch, {index: v.public_key for index, v in active.items()})
    if plan is not None and (plan.dependent_root, plan.store_version) == (found.dependent_root, version):
        return PlanResult(epoch, len(active), len(duties), changed=False)
    with database.session() as session:
        replace_duties(session, epoch, found.dependent_root, duties, store_version=version)
    return PlanResult(epoch, len(active), len(duties), changed=True)


def plan_is_stale(session: Session, epoch: Epoch, dependent_root: Root) -> bool:
    """Whether the stored plan of ``epoch`` was made for another chain than one with ``dependent_root``."""
    plan = plan_of(session, epoch)
    return plan is not None and plan.dependent_root != dependent_root


def committees_of_slot(
    session: Session, chain: BeaconChain, operator_id: OperatorId, slot: Slot
) -> list[CommitteeSlot] | None:
    """What each committee of the operator has to attest in ``slot``, by ascending committee id.

    The registry has the last word: who was removed or liquidated since the epoch was planned is left out.

    Returns:
        The committees that have duties; None when the slot's epoch is not planned yet.
    """
    epoch = chain.epoch_of(slot)
    if not has_epoch(session, epoch):
        return None
    duties = duties_of_slot(session, slot)
    if not duties:
        return []
    own = {v.public_key: v for v in validators_of_operator(session, operator_id) if takes_part(v, chain, epoch)}
    grouped: dict[CommitteeId, list[ValidatorDuty]] = {}
    for duty in duties:
        validator = own.get(duty.pubkey)
        if validator is not None and validator.index == duty.validator_index:
            grouped.setdefault(validator.committee_id, []).append(duty)
    return [CommitteeSlot(committee_id, tuple(grouped[committee_id])) for committee_id in sorted(grouped)]


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


def _metadata(client: BeaconClient, keys: Sequence[PublicKey]) -> dict[PublicKey, ValidatorMetadata]:
    return {
        validator.public_key: ValidatorMetadata(
            validator.index, validator.status, validator.activation_epoch, validator.exit_epoch
        )
        for validator in client.validators(keys)
    }


def _checked(
    duties: Iterable[ValidatorDuty], chain: BeaconChain, epoch: Epoch, keys: dict[int, PublicKey]
) -> list[ValidatorDuty]:
    """The duties of validators that were asked for; a node that mixes up epoch or keys is not believed at all."""
    checked = []
    for duty in duties:
        expected = keys.get(duty.validator_index)
        if expected is None:
            continue
        if duty.pubkey != expected or chain.epoch_of(duty.slot) != epoch:
            endpoint = f"POST /eth/v1/validator/duties/attester/{epoch}"
            what = f"validator {duty.validator_index}: found key 0x{duty.pubkey.hex()[:16]}… at slot {duty.slot}"
            raise BeaconError(endpoint, 200, f"bad answer: {what}, expected 0x{expected.hex()[:16]}… in epoch {epoch}")
        checked.append(duty)
    return checked

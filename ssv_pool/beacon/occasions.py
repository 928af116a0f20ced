"""Duties that no beacon node plans: registrations with block builders, and voluntary exits (PROTOCOL 3.5)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from ssv_pool.beacon.planner import takes_part
from ssv_pool.beacon.window import SlotWindow
from ssv_pool.messaging.commands import BeginValidatorDuty, validator_duty_key
from ssv_pool.protocol.chain import BeaconChain
from ssv_pool.protocol.types.duties import ValidatorDuty
from ssv_pool.protocol.types.primitives import CommitteeId, OperatorId, PublicKey, Slot
from ssv_pool.protocol.types.roles import BeaconRole
from ssv_pool.store.records import ValidatorRecord
from ssv_pool.store.registry import exit_requests_since, fee_recipient_changes_since, validators_of_operator

REGISTRATION_EPOCHS = 10
"""A validator is registered once in so many epochs."""

POSTPONEMENT_SLOTS = 4
"""So many slots after the slot of the contract's event falls what it asks for: all operators know of it by then."""

EXIT_SECONDS = 86_400
"""For so long after the event an exit is still begun by an operator that comes to know of it; gossip carries its
signatures for as many blocks."""

REGISTRATION_SECONDS = 3_600
"""The same for the registration that follows a new fee recipient; the regular one comes soon anyway."""

EXIT_EPOCHS = 2
"""For so many epochs the operators' signatures of an exit are waited for, and it is posted again."""


@dataclass(frozen=True, slots=True)
class Occasions:
    """What one slot brings besides the planned duties."""

    regular: tuple[tuple[CommitteeId, ValidatorDuty], ...] = ()
    """Registrations whose turn it is in this very slot."""
    once: tuple[tuple[CommitteeId, ValidatorDuty], ...] = ()
    """Exits and registrations that an event asked for, due in this slot or earlier: each is begun once, by its key."""


def occasions_of_slot(session: Session, chain: BeaconChain, operator_id: OperatorId, slot: Slot) -> Occasions:
    """Registrations and exits of the operator's validators that are due when ``slot`` begins.

    An event's block is known only some blocks later, so that most of what it asks for is due at once; the duty keeps
    the slot that follows from the block's time, which is the same for all operators.
    """
    epoch = chain.epoch_of(slot)
    own = {v.public_key: v for v in validators_of_operator(session, operator_id) if takes_part(v, chain, epoch)}
    if not own:
        return Occasions()
    now = chain.start_of(slot)
    turn = REGISTRATION_EPOCHS * chain.slots_per_epoch
    regular = [
        _duty(BeaconRole.VALIDATOR_REGISTRATION, validator, slot)
        for validator in own.values()
        if validator.index is not None and validator.index % turn == slot % turn
    ]
    exits = exit_requests_since(session, int(now) - EXIT_SECONDS)
    once = _exits(chain, slot, own, [(PublicKey(request.public_key), request.block_time) for request in exits])
    changes = dict(fee_recipient_changes_since(session, int(now) - REGISTRATION_SECONDS))
    for validator in own.values():
        if validator.owner in changes:
            due = _slot_after(chain, changes[validator.owner])
            if due <= slot:
                once.append(_duty(BeaconRole.VALIDATOR_REGISTRATION, validator, due))
    return Occasions(tuple(regular), tuple(once))


def occasion_commands(
    chain: BeaconChain, window: SlotWindow, duties: Sequence[tuple[CommitteeId, ValidatorDuty]]
) -> list[BeginValidatorDuty]:
    """One command for each registration and exit. What an earlier slot asked for is due from now on."""
    commands = []
    for committee_id, duty in duties:
        role = BeaconRole(duty.type)
        epochs = EXIT_EPOCHS if role is BeaconRole.VOLUNTARY_EXIT else 1
        commands.append(
            BeginValidatorDuty(
                key=validator_duty_key(role, duty.slot, duty.pubkey),
                committee_id=committee_id,
                duty=duty,
                due=window.due,
                begun=window.begun,
                deadline=chain.start_of(window.slot + epochs * chain.slots_per_epoch),
            )
        )
    return commands


def _exits(
    chain: BeaconChain,
    slot: Slot,
    own: dict[PublicKey, ValidatorRecord],
    requests: Iterable[tuple[PublicKey, int]],
) -> list[tuple[CommitteeId, ValidatorDuty]]:
    """The exits due: of each validator that is not on its way out already the first that was asked for."""
    found: dict[PublicKey, tuple[CommitteeId, ValidatorDuty]] = {}
    for public_key, block_time in requests:
        validator = own.get(public_key)
        due = _slot_after(chain, block_time)
        if validator is None or validator.status != "active_ongoing" or due > slot or public_key in found:
            continue
        found[public_key] = _duty(BeaconRole.VOLUNTARY_EXIT, validator, due)
    return list(found.values())


def _duty(role: BeaconRole, validator: ValidatorRecord, slot: Slot) -> tuple[CommitteeId, ValidatorDuty]:
    if validator.index is None:
        raise ValueError(f"validator 0x{validator.public_key.hex()} has no index yet, so it has no duty")
    return validator.committee_id, ValidatorDuty(int(role), validator.public_key, slot, validator.index)


def _slot_after(chain: BeaconChain, block_time: float) -> Slot:
    return Slot(chain.slot_at(block_time) + POSTPONEMENT_SLOTS)

"""Rules 31 to 35: when a message may come, and for which and how many duties."""

from ssv_pool.protocol.types.primitives import Round, Slot
from ssv_pool.protocol.types.roles import RunnerRole
from ssv_pool.protocol.validation.envelope import Envelope
from ssv_pool.protocol.validation.moment import Moment
from ssv_pool.protocol.validation.rules import Rule, RuleBrokenError

QUICK_ROUNDS = 8
"""Rounds with the quick timeout (PROTOCOL 2.1)."""

QUICK_TIMEOUT = 2.0
"""Length of a quick round in seconds."""

SLOW_TIMEOUT = 120.0
"""Length of a round after the quick ones in seconds."""

CLOCK_TOLERANCE = 0.05
"""How far clocks may differ, seconds."""

LATE_MARGIN = 3.0
"""Seconds added to the role's number of late slots."""


def estimated_round(since_slot_start: float) -> Round:
    """The highest round that can run this many seconds into the slot: counted from the slot's very start."""
    quick = 1 + int(max(since_slot_start, 0.0) // QUICK_TIMEOUT)
    if quick <= QUICK_ROUNDS:
        return Round(quick)
    return Round(1 + QUICK_ROUNDS + int((since_slot_start - QUICK_ROUNDS * QUICK_TIMEOUT) // SLOW_TIMEOUT))


def check_round_is_near(round_: Round, slot: Slot, moment: Moment) -> None:
    """Rule 31. Raises RuleBrokenError."""
    allowed = estimated_round(moment.now - moment.chain.start_of(slot)) + 1
    if round_ > allowed:
        raise RuleBrokenError(Rule.ROUND_TOO_EARLY, f"round is {round_}, expected at most {allowed} by now")


def check_no_later_slot(envelope: Envelope, slot: Slot, moment: Moment) -> None:
    """Rule 32, for roles of one validator: its duties come one after the other. Raises RuleBrokenError."""
    for signer in envelope.message.operator_ids:
        latest = moment.state.latest_slot(moment.peer, envelope.executor, signer)
        if latest is not None and latest > slot:
            raise RuleBrokenError(
                Rule.LATER_SLOT_SEEN, f"slot is {slot}, expected at least {latest} of operator {signer}"
            )


def check_duty_known(envelope: Envelope, slot: Slot, moment: Moment, *, randao: bool = False) -> None:
    """Rule 33, for roles of one validator. Raises RuleBrokenError.

    Args:
        envelope: the message.
        slot: its duty's slot.
        moment: when and whence it came.
        randao: whether it carries RANDAO signatures. In an epoch's first slot these may be there before the proposers
            of the epoch are known.
    """
    validator = envelope.validator
    if validator is None or validator.index is None:
        return
    chain = moment.chain
    if envelope.role is RunnerRole.PROPOSER:
        known = moment.view.proposes(validator.index, slot)
        first_slot = slot % chain.slots_per_epoch == 0
        if known is None and randao and first_slot and slot >= chain.slot_at(moment.now):
            return
        duty = f"proposer of slot {slot}"
    elif envelope.role is RunnerRole.SYNC_COMMITTEE_CONTRIBUTION:
        epoch = chain.epoch_of(slot)
        known = moment.view.in_sync_committee(validator.index, epoch)
        following = chain.epoch_of(slot + 1)
        if not known and following != epoch:
            # The last votes of a period go into the next one's first block: they are the next committee's.
            known = moment.view.in_sync_committee(validator.index, following) or known
        duty = f"member of the sync committee of epoch {epoch}"
    else:
        return
    if not known:
        why = "is not known to be" if known is None else "is not"
        raise RuleBrokenError(Rule.NO_DUTY, f"validator {validator.index} {why} {duty}")


def check_time(slot: Slot, late_slots: int | None, moment: Moment) -> None:
    """Rule 34. Raises RuleBrokenError."""
    start_of, now = moment.chain.start_of, moment.now
    if (early := start_of(slot) - now) > CLOCK_TOLERANCE:
        raise RuleBrokenError(Rule.EARLY, f"slot {slot} starts in {early:.3g} s, expected a slot that has started")
    if late_slots is None:
        return
    late = now - (start_of(slot + late_slots) + LATE_MARGIN)
    if late > CLOCK_TOLERANCE:
        raise RuleBrokenError(
            Rule.LATE, f"slot {slot} is {late:.3g} s past its end of {late_slots} slots and {LATE_MARGIN:.0f} s"
        )


def check_duty_count(envelope: Envelope, slot: Slot, moment: Moment) -> None:
    """Rule 35. Raises RuleBrokenError.

    A slot that the ring has gone past is refused as late (rule 34), as it could not be remembered.
    """
    state, peer = moment.state, moment.peer
    if state.is_past(peer, envelope.executor, slot) or (
        moment.shared is not None and moment.shared.is_past(b"", envelope.executor, slot)
    ):
        raise RuleBrokenError(Rule.LATE, f"slot {slot} is older than what is remembered")
    allowed = _allowed_duties(envelope, slot, moment)
    slots_per_epoch = moment.chain.slots_per_epoch
    if allowed is None or allowed >= slots_per_epoch:
        return  # an epoch has no more slots than that
    for signer in envelope.message.operator_ids:
        duties = 1 + state.other_duties(peer, envelope.executor, signer, slot, slots_per_epoch)
        if duties > allowed:
            raise RuleBrokenError(
                Rule.TOO_MANY_DUTIES, f"duty {duties} of operator {signer} in this epoch, expected at most {allowed}"
            )


def _allowed_duties(envelope: Envelope, slot: Slot, moment: Moment) -> int | None:
    """Most duties of one signer in an epoch, None for no limit."""
    match envelope.role:
        case RunnerRole.COMMITTEE | RunnerRole.AGGREGATOR_COMMITTEE:
            committee, most = envelope.committee, moment.chain.slots_per_epoch
            # Two duties a validator, as a reorg moves one.
            return most if committee.in_sync_committee else min(most, 2 * committee.validator_count)
        case RunnerRole.AGGREGATOR | RunnerRole.VALIDATOR_REGISTRATION:
            return 2
        case RunnerRole.VOLUNTARY_EXIT:
            return moment.view.exits(envelope.validator_key, slot) or 0
        case _:
            return None

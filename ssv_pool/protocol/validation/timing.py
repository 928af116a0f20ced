"""Rules 31, 34 and 35: when a message may come, and for how many duties."""

from ssv_pool.protocol.chain import BeaconChain
from ssv_pool.protocol.types.primitives import Round, Slot
from ssv_pool.protocol.validation.envelope import Envelope
from ssv_pool.protocol.validation.rules import Rule, RuleBrokenError
from ssv_pool.protocol.validation.state import SeenState

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


def check_round_is_near(round_: Round, slot: Slot, chain: BeaconChain, now: float) -> None:
    """Rule 31. Raises RuleBrokenError."""
    allowed = estimated_round(now - chain.start_of(slot)) + 1
    if round_ > allowed:
        raise RuleBrokenError(Rule.ROUND_TOO_EARLY, f"round is {round_}, expected at most {allowed} by now")


def check_time(slot: Slot, late_slots: int | None, chain: BeaconChain, now: float) -> None:
    """Rule 34. Raises RuleBrokenError."""
    if (early := chain.start_of(slot) - now) > CLOCK_TOLERANCE:
        raise RuleBrokenError(Rule.EARLY, f"slot {slot} starts in {early:.3g} s, expected a slot that has started")
    if late_slots is None:
        return
    late = now - (chain.start_of(slot + late_slots) + LATE_MARGIN)
    if late > CLOCK_TOLERANCE:
        raise RuleBrokenError(
            Rule.LATE, f"slot {slot} is {late:.3g} s past its end of {late_slots} slots and {LATE_MARGIN:.0f} s"
        )


def check_duty_count(envelope: Envelope, peer: bytes, slot: Slot, state: SeenState, slots_per_epoch: int) -> None:
    """Rule 35 for a committee: two duties a validator and epoch, as a reorg moves one. Raises RuleBrokenError.

    A slot that the ring has gone past is refused as late (rule 34), as it could not be remembered.
    """
    if state.is_past(peer, envelope.executor, slot):
        raise RuleBrokenError(Rule.LATE, f"slot {slot} is older than what is remembered")
    committee = envelope.committee
    allowed = slots_per_epoch if committee.in_sync_committee else min(slots_per_epoch, 2 * committee.validator_count)
    if allowed == slots_per_epoch:
        return  # an epoch has no more slots than that
    for signer in envelope.message.operator_ids:
        duties = 1 + state.other_duties(peer, envelope.executor, signer, slot, slots_per_epoch)
        if duties > allowed:
            raise RuleBrokenError(
                Rule.TOO_MANY_DUTIES, f"duty {duties} of operator {signer} in this epoch, expected at most {allowed}"
            )

"""A report on a pool's validators: computed alike by every member, from a beacon state that is final.

All members take the same slot, the first of every so many epochs, so that equal data make equal reports; signatures
are of whole reports.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ssv_pool.pool.approvals import Report
from ssv_pool.pool.view import DEPOSIT, WITHDRAWAL_DONE, BeaconFacts

GWEI: Final = 10**9
"""Wei in one gwei."""


@dataclass(frozen=True, slots=True)
class LastReport:
    """What the contract says of its last report; all zero before the first."""

    number: int
    slot: int
    block_number: int
    exited: int


@dataclass(frozen=True, slots=True)
class ReportFacts:
    """The pool at one slot of the beacon chain and the execution block in that state."""

    slot: int
    block_number: int
    funded: Sequence[bytes]
    """Public keys of all validators ever funded by that block."""
    exit_requested: Collection[bytes]
    """Public keys of all validators whose exit was requested by that block."""
    state: Mapping[bytes, BeaconFacts]
    """Those of them that the beacon state has."""
    deposited_total: int
    """depositedTotal() at that block, wei."""
    received_total: int
    """receivedTotal() at that block, wei."""
    unbooked: int
    """unbooked() at that block, wei."""


def reference_epoch(finalized_epoch: int, every: int) -> int:
    """The epoch whose first slot the next report is about: the latest final one of every so many.

    Args:
        finalized_epoch: the finalized checkpoint's.
        every: epochs between two reports.
    """
    return finalized_epoch - finalized_epoch % every


def compute_report(last: LastReport, facts: ReportFacts) -> Report | None:
    """The report that these facts make; None where the contract has one of this slot or block, or of a later one."""
    if facts.slot <= last.slot or facts.block_number <= last.block_number:
        return None
    balances = [facts.state[key].balance * GWEI if key in facts.state else DEPOSIT for key in facts.funded]
    gone = [key for key in facts.exit_requested if key in facts.state and facts.state[key].status == WITHDRAWAL_DONE]
    return Report(
        number=last.number + 1,
        slot=facts.slot,
        block_number=facts.block_number,
        beacon_balance=sum(balances),
        deposits_counted=facts.deposited_total,
        received=facts.received_total + facts.unbooked,
        # A late reward can bring a validator that was withdrawn back for a while; it stays counted.
        exited=max(last.exited, len(gone)),
    )

"""The books of a pool's life: what came in, what it earned, what it cost, what was paid out, what is left.

Every amount is read where it is made - transactions' values, withdrawals of beacon blocks, the chain's balances - and
not from the pool's own accounts; those are compared with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Books:
    """All amounts in wei."""

    deposits: int
    """Sent along by stakers."""
    validators: int
    """Paid into the deposit contract."""
    returned: int
    """Paid by the beacon chain's withdrawals to the pool."""
    on_beacon: int
    """Balances that the pool's validators still have there."""
    clusters: int
    """Paid for operators' service, less what came back."""
    payouts: int
    """Received by stakers."""
    balance: int
    """What the pool's contract holds at the end."""
    buffered: int
    """Of that, by the pool's own books: free."""
    reserved: int
    """Of that: waiting for a claim."""
    unbooked: int
    """Of that: not yet reported."""
    reported: int
    """Sum of the changes that the reports booked."""
    fee_shares: Mapping[str, int]
    """Whose shares from fees are worth what."""
    staker_shares: int
    """What shares that are not from fees are worth."""

    @property
    def rewards(self) -> int:
        """What the validators earned or, negative, lost."""
        return self.returned + self.on_beacon - self.validators

    @property
    def left(self) -> int:
        """What belongs to the pool at the end."""
        return self.balance + self.on_beacon

    @property
    def fees(self) -> int:
        """What clusters cost, and the shares for operators and treasury."""
        return self.clusters + sum(self.fee_shares.values())

    @property
    def dust(self) -> int:
        """What is left and belongs to no share: divisions are rounded to the pool's good."""
        return self.left - sum(self.fee_shares.values()) - self.staker_shares

    def faults(self) -> list[str]:
        """What does not add up, to the wei; empty when the books are balanced."""
        comparisons = (
            ("payouts", self.payouts, self.deposits + self.rewards - self.clusters - self.left),
            ("the pool's balance in its own books", self.buffered + self.reserved + self.unbooked, self.balance),
            ("reported and not yet reported rewards", self.reported + self.unbooked, self.rewards),
        )
        found = [f"{name}: {value}, expected {wanted}" for name, value, wanted in comparisons if value != wanted]
        if self.dust < 0:
            found.append(f"shares: worth {-self.dust} more than what is left, {self.left}")
        return found

    def as_json(self) -> dict[str, Any]:
        """For ``report.json``: wei as decimal text."""
        faults = self.faults()
        return {
            "deposits": str(self.deposits),
            "rewards": str(self.rewards),
            "fees": {
                "clusters": str(self.clusters),
                **{name: str(value) for name, value in self.fee_shares.items()},
                "all": str(self.fees),
            },
            "payouts": str(self.payouts),
            "left": {
                "all": str(self.left),
                "fee_shares": str(sum(self.fee_shares.values())),
                "staker_shares": str(self.staker_shares),
                "dust": str(self.dust),
                "on_beacon_chain": str(self.on_beacon),
            },
            "validators": str(self.validators),
            "returned": str(self.returned),
            "reported": str(self.reported),
            "faults": faults,
            "balanced": not faults,
        }

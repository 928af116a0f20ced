"""The staking pool's books in plain Python: what every call does to them, or why it must be refused."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from contract_vm import refusal
from pool_vm import DEPOSIT, ETHER, YEAR, Limits, Report

BASIS = 10_000
LEAST_STAKE, LEAST_REQUEST, MOST_REQUEST, LEAST_SUPPLY = ETHER // 100, ETHER // 1_000, 1_000 * ETHER, ETHER // 1_000
WINDOW = 30 * 86_400
MAX_AGE = 7_200
TREASURY = "treasury"


def as_fraction(price: tuple[int, int]) -> Fraction:
    """A price to compare."""
    return Fraction(price[0], price[1]) if price[1] else Fraction(0)


def has_shares(price: tuple[int, int]) -> bool:
    """Whether it is a price."""
    return price[1] != 0


@dataclass
class Request:
    """Somebody who leaves; worth at most what was asked, then what it was made ready with."""

    owner: str
    shares: int
    assets: int
    block: int
    state: int = 1


@dataclass
class Books:
    """The pool's. Accounts are names; `members` is what fees are split among."""

    limits: Limits
    members: Sequence[str]
    last_time: int
    buffered: int = 0
    reserved: int = 0
    unbooked: int = 0
    beacon: int = 0
    deposited: int = 0
    counted: int = 0
    received: int = 0
    shares: dict[str, int] = field(default_factory=dict)
    queued: int = 0
    queued_assets: int = 0
    requests: list[Request] = field(default_factory=list)
    ready: int = 0
    """Requests that were made ready, the first ones."""
    mark: tuple[int, int] = (0, 0)
    """Assets and shares: the price that leavers get at most."""
    low: tuple[int, int] = (0, 0)
    """The lowest price before something came in since the last report, if anything did."""
    last: Report = field(default_factory=lambda: Report(0, 0, 0, 0, 0, 0, 0))
    window: int = 0
    paid: int = 0
    exits_asked: int = 0
    waiting: int = 0

    # What there is

    @property
    def supply(self) -> int:
        """All shares, those in the queue too."""
        return sum(self.shares.values()) + self.queued

    @property
    def assets(self) -> int:
        """All the shares are parts of."""
        return self.buffered + self.beacon + self.deposited - self.counted

    def value(self, shares: int) -> int:
        """At the present price."""
        return shares * self.assets // self.supply if self.supply else shares

    def leaving(self, shares: int) -> int:
        """At the price that leavers get."""
        assets, supply = self.mark
        return min(self.value(shares), shares * assets // supply) if supply else self.value(shares)

    @property
    def pending(self) -> int:
        """What open requests are worth together at most."""
        return min(self.queued_assets, self.value(self.queued))

    @property
    def free(self) -> int:
        """For validators."""
        return max(0, self.buffered - self.pending)

    @property
    def exits_under_way(self) -> int:
        """Asked for and not reported as done."""
        return self.exits_asked - self.last.exited

    def allowance(self, now: int) -> int:
        """What clusters may be paid."""
        budget = self.assets * self.limits.budget // BASIS
        return budget if now >= self.window + WINDOW else max(0, budget - self.paid)

    def highest(self, now: int) -> int:
        """The highest gain a report books."""
        return max(self.assets, 32 * ETHER) * self.limits.yearly_gain * (now - self.last_time) // (BASIS * YEAR)

    # What happens

    def mint(self, account: str, shares: int) -> None:
        """Give new shares."""
        self.shares[account] = self.shares.get(account, 0) + shares

    def stake_error(self, wei: int) -> bytes | None:
        """Why a stake is refused."""
        if wei < LEAST_STAKE:
            return refusal("StakeTooSmall(uint256,uint256)", wei, LEAST_STAKE)
        if self.supply and not self.assets:
            return refusal("NothingLeft()")
        return None

    def stake(self, account: str, wei: int) -> int:
        """Shares for ether."""
        shares = wei * self.supply // self.assets if self.supply else wei
        self.buffered += wei
        self.mint(account, shares)
        return shares

    def request_error(self, account: str, shares: int) -> bytes | None:
        """Why a request is refused."""
        balance, assets = self.shares.get(account, 0), self.leaving(shares)
        if shares > balance:
            return refusal("InsufficientShares(uint256,uint256)", balance, shares)
        if not shares or (assets < LEAST_REQUEST and shares != balance):
            return refusal("RequestTooSmall(uint256,uint256)", assets, LEAST_REQUEST)
        if assets > MOST_REQUEST:
            return refusal("RequestTooLarge(uint256,uint256)", assets, MOST_REQUEST)
        return None

    def request(self, account: str, shares: int, block: int) -> Request:
        """Put shares into the queue."""
        request = Request(account, shares, self.leaving(shares), block)
        self.shares[account] -= shares
        self.queued += shares
        self.queued_assets += request.assets
        self.requests.append(request)
        return request

    def comes_in(self, price: tuple[int, int]) -> None:
        """Leavers get no part of what comes in at this price, until the next but one report."""
        if price[1]:
            self.mark = min(filter(has_shares, (self.mark, price)), key=as_fraction)
            self.low = min(filter(has_shares, (self.low, price)), key=as_fraction)

    def treasury_gets(self, wei: int, before: int) -> None:
        """What came in while nobody of size was there."""
        self.mint(TREASURY, wei * self.supply // before if self.supply and before else wei)

    def finalize(self, limit: int) -> int:
        """Make requests ready; how many."""
        if self.ready == len(self.requests) or not self.last.block:
            return 0
        price, done = (self.assets, self.supply), 0
        while done < limit and self.ready < len(self.requests):
            request = self.requests[self.ready]
            value = min(request.assets, self.value(request.shares))
            if request.block >= self.last.block or value > self.buffered:
                break
            self.buffered -= value
            self.reserved += value
            self.queued -= request.shares
            self.queued_assets -= request.assets
            request.assets, request.state = value, 2
            self.ready += 1
            done += 1
        if done:
            self.comes_in(price)
        if done and self.supply < LEAST_SUPPLY:
            kept = self.supply * price[0] // price[1]
            if self.assets > kept:
                self.treasury_gets(self.assets - kept, kept)
        return done

    def claim(self, number: int) -> int:
        """Pay a request that is ready; what was paid."""
        request = self.requests[number - 1]
        request.state = 3
        self.reserved -= request.assets
        return request.assets

    def spend_error(self, wei: int, now: int) -> bytes | None:
        """Why a cluster's payment is refused."""
        allowance = self.allowance(now)
        if not wei:
            return None
        if wei > allowance:
            return refusal("BudgetExceeded(uint256,uint256)", allowance, wei)
        if wei > self.buffered:
            return refusal("NotEnoughFree(uint256,uint256)", self.buffered, wei)
        return None

    def spend(self, wei: int, now: int) -> None:
        """Pay a cluster."""
        if not wei:
            return
        self.buffered -= wei
        if now >= self.window + WINDOW:
            self.window, self.paid = now, wei
        else:
            self.paid += wei

    def refund(self, wei: int) -> None:
        """A cluster gave back."""
        before = self.assets
        self.comes_in((before, self.supply))
        self.buffered += wei
        if self.supply < LEAST_SUPPLY and wei:
            self.treasury_gets(wei, before)

    def fund(self) -> None:
        """A deposit."""
        self.buffered -= DEPOSIT
        self.deposited += DEPOSIT
        self.waiting -= 1

    def report_error(self, report: Report, block: int, now: int) -> bytes | None:
        """Why a report that a quorum signed is refused."""
        last, there = self.last, self.received + self.unbooked
        if report.number != last.number + 1:
            return refusal("WrongReportNumber(uint64)", last.number + 1)
        earlier = report.block <= last.block or report.exited < last.exited or report.counted < self.counted
        if earlier or report.block + MAX_AGE < block or report.received < self.received:
            return refusal("ReportTooOld()")
        if report.block >= block or report.counted > self.deposited or report.exited > self.exits_asked:
            return refusal("ReportFromFuture()")
        if report.received > there:
            return refusal("ReportExceedsBalance(uint256,uint256)", report.received, there)
        change, lowest = self.change(report), self.assets * self.limits.loss // BASIS
        if change < -lowest:
            highest = self.highest(now)
            return refusal("ReportOutOfBounds(int256,int256,int256)", change, -lowest, highest)
        return None

    def change(self, report: Report) -> int:
        """What a report says was gained."""
        validators = report.beacon + self.deposited - report.counted
        return validators + report.received - self.received - (self.assets - self.buffered)

    def report(self, report: Report, now: int) -> None:
        """Book a report."""
        received = report.received - self.received
        excess = max(0, self.change(report) - self.highest(now))
        gain = self.change(report) - excess
        before = self.assets
        price = self.assets, self.supply
        self.mark = min((self.low, price), key=as_fraction) if self.low[1] else price
        self.low = (0, 0)
        booked = received - min(received, excess)
        self.buffered += booked
        self.unbooked -= booked
        self.received += booked
        self.beacon = report.beacon - (excess - min(received, excess))
        self.counted = report.counted
        self.last, self.last_time = report, now
        if gain > 0:
            self.fees(gain, before)
        self.finalize(16)

    def fees(self, gain: int, before: int) -> None:
        """Shares for members and the treasury."""
        if self.supply < LEAST_SUPPLY:
            self.treasury_gets(gain, before)
            return
        operators = gain * self.limits.operator_fee // BASIS
        fees = operators + gain * self.limits.treasury_fee // BASIS
        if not fees:
            return
        minted = fees * self.supply // (self.assets - fees)
        each = minted * operators // (fees * len(self.members))
        for member in self.members:
            self.mint(member, each)
        self.mint(TREASURY, minted - each * len(self.members))

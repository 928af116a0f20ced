# pragma version 0.4.3
"""
@title Reports: what the validators are worth and what has come in, signed by a quorum
@license Apache-2.0
@dev A report can move the price of a share no faster than the parameters say. A higher gain is booked later, what came
     in first; a higher loss is refused. So a quorum that lies cannot take what others have, nor can it hurry.
"""
from . import council
from . import shares
from . import validators
from . import vault

uses: council
uses: shares
uses: validators
uses: vault

YEAR: constant(uint256) = 365 * 86_400
BASIS_POINTS: constant(uint256) = 10_000
BATCH: constant(uint256) = 16
# About a day: a report that somebody kept back is worth nothing later.
MAX_AGE: constant(uint256) = 7_200
# Gains are bounded as those of at least so much: what comes in when all have left is booked too.
LEAST_BASE: constant(uint256) = 32 * 10**18

REPORT_TYPE: constant(bytes32) = keccak256(
    "Report(uint64 number,uint64 slot,uint64 blockNumber,uint256 beaconBalance,uint256 depositsCounted,uint256 received,uint64 exited)"
)


struct Report:
    number: uint64
    slot: uint64
    blockNumber: uint64
    beaconBalance: uint256
    depositsCounted: uint256
    received: uint256
    exited: uint64


event Reported:
    number: indexed(uint64)
    slot: uint64
    blockNumber: uint64
    change: int256
    totalAssets: uint256
    totalSupply: uint256
    feeShares: uint256


event GainDeferred:
    number: indexed(uint64)
    assets: uint256


last: Report
last_time: uint256


@deploy
def __init__():
    self.last_time = block.timestamp


@external
@nonreentrant
def report(report: Report, approvals: DynArray[Bytes[65], council.MAX_MEMBERS]):
    """
    @notice Books gain or loss and what has come in, pays fees in shares, and makes up to 16 withdrawals ready.
    @param report number: reportCount() + 1; slot and execution block of the state it speaks of; beaconBalance: of all
           the pool's validators, wei, 32 ether for a deposit that is not in the state yet; depositsCounted:
           depositedTotal() at that block; received: receivedTotal() + unbooked() at that block; exited: how many of the
           validators that were asked to exit have been withdrawn by then, of all ever
    @param approvals signatures of a quorum over Report
    """
    council._check_running()
    self._check(report)
    council._check_approvals(keccak256(abi_encode(REPORT_TYPE, report)), approvals)

    before: uint256 = vault._assets()
    received: uint256 = report.received - vault.receivedTotal
    beacon: uint256 = report.beaconBalance
    old: uint256 = before - vault.buffered
    new: uint256 = beacon + vault.depositedTotal - report.depositsCounted + received
    most: uint256 = self._most(before)
    if new > old + most:
        # The rest stays for later reports: as ether that is not booked yet, then as a lower balance of the validators.
        excess: uint256 = new - old - most
        new -= excess
        log GainDeferred(number=report.number, assets=excess)
        cut: uint256 = min(excess, received)
        received -= cut
        beacon -= excess - cut
    change: int256 = convert(new, int256) - convert(old, int256)
    least: uint256 = before * convert(council.values.maxLoss, uint256) // BASIS_POINTS
    if new + least < old:
        raw_revert(
            abi_encode(
                change,
                -convert(least, int256),
                convert(most, int256),
                method_id=method_id("ReportOutOfBounds(int256,int256,int256)"),
            )
        )

    vault._mark_report(before)
    vault.buffered += received
    vault.receivedTotal += received
    vault.beaconBalance = beacon
    vault.depositsCounted = report.depositsCounted
    vault.ready_before = convert(report.blockNumber, uint256)
    validators.exits_done = report.exited
    self.last = report
    self.last_time = block.timestamp
    fee_shares: uint256 = 0
    if new > old:
        fee_shares = self._pay_fees(new - old, before)
    vault._finalize(BATCH)
    log Reported(
        number=report.number,
        slot=report.slot,
        blockNumber=report.blockNumber,
        change=change,
        totalAssets=vault._assets(),
        totalSupply=shares.totalSupply,
        feeShares=fee_shares,
    )


@external
@view
def reportCount() -> uint64:
    """
    @notice How many reports were booked.
    """
    return self.last.number


@external
@view
def lastReport() -> (Report, uint256):
    """
    @notice The last report as it was signed, and when it was booked. What was booked of it is in beaconBalance() and
            receivedTotal().
    """
    return self.last, self.last_time


@external
@view
def reportBounds() -> (int256, int256):
    """
    @notice The lowest and highest change that a report would book now, wei.
    """
    before: uint256 = vault._assets()
    least: uint256 = before * convert(council.values.maxLoss, uint256) // BASIS_POINTS
    return -convert(least, int256), convert(self._most(before), int256)


@internal
@view
def _check(report: Report):
    if report.number != self.last.number + 1:
        raw_revert(abi_encode(self.last.number + 1, method_id=method_id("WrongReportNumber(uint64)")))
    block_number: uint256 = convert(report.blockNumber, uint256)
    # The slot is not compared: nothing here can tell a wrong one, and a far one would keep all later reports out.
    if (
        report.blockNumber <= self.last.blockNumber
        or block_number + MAX_AGE < block.number
        or report.depositsCounted < vault.depositsCounted
        or report.received < vault.receivedTotal
        or report.exited < validators.exits_done
    ):
        raw_revert(method_id("ReportTooOld()"))
    if (
        block_number >= block.number
        or report.depositsCounted > vault.depositedTotal
        or report.exited > validators.exits_requested
        or report.beaconBalance > 2**128
    ):
        raw_revert(method_id("ReportFromFuture()"))
    there: uint256 = vault.receivedTotal + vault._unbooked()
    if report.received > there:
        raw_revert(abi_encode(report.received, there, method_id=method_id("ReportExceedsBalance(uint256,uint256)")))


@internal
@view
def _most(before: uint256) -> uint256:
    base: uint256 = max(before, LEAST_BASE)
    elapsed: uint256 = block.timestamp - self.last_time
    return base * convert(council.values.maxYearlyGain, uint256) * elapsed // (BASIS_POINTS * YEAR)


@internal
def _pay_fees(gain: uint256, before: uint256) -> uint256:
    supply: uint256 = shares.totalSupply
    if supply < vault.MIN_SUPPLY:
        vault._to_treasury(gain, before)
        return shares.totalSupply - supply
    operators: uint256 = gain * convert(council.values.operatorFee, uint256) // BASIS_POINTS
    treasury: uint256 = gain * convert(council.values.treasuryFee, uint256) // BASIS_POINTS
    fees: uint256 = operators + treasury
    if fees == 0:
        return 0
    # So many that they are worth the fees when they are minted.
    minted: uint256 = fees * supply // (before + gain - fees)
    each: uint256 = minted * operators // (fees * len(council.council))
    rest: uint256 = minted
    if each != 0:
        for member: address in council.council:
            shares._mint(member, each)
            rest -= each
    if rest != 0:
        shares._mint(council.values.treasury, rest)
    return minted

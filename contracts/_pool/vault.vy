# pragma version 0.4.3
"""
@title The pool's books: staking, the price of a share, the queue of those who leave
@license Apache-2.0
@dev Every wei the contract holds is buffered (in the books, free), reserved (for withdrawals that are ready) or unbooked
     (came in without a call: withdrawals of validators, tips, gifts), and becomes buffered only by a report. So nobody
     can move the price by sending ether here.

     What could be gained by coming and going around a report is taken away in two ways. A request is worth what its
     shares were worth before the last gain, if that was less, and never more later. And it waits for a report of a block
     after its own, so a loss that it runs from has been reported first.

     Whatever comes in while less than MIN_SUPPLY shares are there (with none: all that leavers left behind) goes to the
     treasury at the price of before. Else the owner of the last wei of shares would get a price that later stakes are
     rounded away by.
"""
from . import council
from . import shares

uses: council
uses: shares

MIN_STAKE: constant(uint256) = 10**16
MIN_REQUEST: constant(uint256) = 10**15
MAX_REQUEST: constant(uint256) = 1_000 * 10**18
MIN_SUPPLY: constant(uint256) = 10**15
MAX_BATCH: constant(uint256) = 256

OPEN: constant(uint256) = 1
CLAIMABLE: constant(uint256) = 2
CLAIMED: constant(uint256) = 3

ADDRESS_MASK: constant(uint256) = 2**160 - 1
BLOCK_SHIFT: constant(uint256) = 160
WORD64: constant(uint256) = 2**64 - 1
STATE_SHIFT: constant(uint256) = 224
WORD128: constant(uint256) = 2**128 - 1


event Staked:
    sender: indexed(address)
    receiver: indexed(address)
    assets: uint256
    shares: uint256


event WithdrawalRequested:
    id: indexed(uint256)
    owner: indexed(address)
    receiver: indexed(address)
    shares: uint256
    assets: uint256


event WithdrawalRedirected:
    id: indexed(uint256)
    receiver: indexed(address)


event WithdrawalFinalized:
    id: indexed(uint256)
    shares: uint256
    assets: uint256


event WithdrawalClaimed:
    id: indexed(uint256)
    receiver: indexed(address)
    assets: uint256


# owner | block << 160 | state << 224; receiver; shares | assets << 128
struct Request:
    owner_block_state: uint256
    receiver: address
    amounts: uint256


buffered: public(uint256)
reserved: public(uint256)
depositedTotal: public(uint256)
depositsCounted: public(uint256)
beaconBalance: public(uint256)
receivedTotal: public(uint256)

requestCount: public(uint256)
nextToFinalize: public(uint256)
requests: HashMap[uint256, Request]
pending_shares: uint256
pending_assets: uint256

# Requests of earlier blocks are ready: the block of the last report.
ready_before: uint256
# Price for those who leave, as assets and shares: before the last gain. No shares: only the present price counts.
mark_assets: uint256
mark_shares: uint256
# The lowest price before anything came in otherwise since the last report, which is the next mark if it is the lower one.
low_assets: uint256
low_shares: uint256


@deploy
def __init__():
    self.nextToFinalize = 1


# Staking


@external
@payable
@nonreentrant
def stake() -> uint256:
    """
    @notice Takes the ether sent, at least 0.01, and gives shares for it.
    @return shares
    """
    return self._stake(msg.sender)


@external
@payable
@nonreentrant
def stakeFor(receiver: address) -> uint256:
    """
    @notice Takes the ether sent, at least 0.01, and gives shares for it to a receiver.
    @return shares
    """
    shares._check_receiver(receiver)
    return self._stake(receiver)


# Leaving


@external
@nonreentrant
def requestWithdrawal(amount: uint256, receiver: address) -> uint256:
    """
    @notice Puts shares of the caller into the queue. They earn nothing more: the request is worth what the shares are
            worth now, or less after a loss. It is ready after a report of a later block, in the order of requests.
    @param amount shares, worth 0.001 to 1000 ether, or all that the caller has where it is less
    @param receiver who is paid
    @return number of the request, from 1
    """
    shares._check_receiver(receiver)
    balance: uint256 = shares.balanceOf[msg.sender]
    if amount > balance:
        raw_revert(abi_encode(balance, amount, method_id=method_id("InsufficientShares(uint256,uint256)")))
    assets: uint256 = self._leaving_value(amount)
    if amount == 0 or (assets < MIN_REQUEST and amount != balance):
        raw_revert(abi_encode(assets, MIN_REQUEST, method_id=method_id("RequestTooSmall(uint256,uint256)")))
    if assets > MAX_REQUEST:
        raw_revert(abi_encode(assets, MAX_REQUEST, method_id=method_id("RequestTooLarge(uint256,uint256)")))
    shares._move(msg.sender, self, amount)
    id: uint256 = self.requestCount + 1
    self.requestCount = id
    self.requests[id] = Request(
        owner_block_state=convert(msg.sender, uint256) | (block.number << BLOCK_SHIFT) | (OPEN << STATE_SHIFT),
        receiver=receiver,
        amounts=amount | (assets << 128),
    )
    self.pending_shares += amount
    self.pending_assets += assets
    log WithdrawalRequested(id=id, owner=msg.sender, receiver=receiver, shares=amount, assets=assets)
    return id


@external
@nonreentrant
def redirectWithdrawal(id: uint256, receiver: address):
    """
    @notice Names another receiver for a request of the caller that is not paid yet: one that cannot take ether would
            leave it here for ever.
    """
    shares._check_receiver(receiver)
    record: uint256 = self.requests[id].owner_block_state
    if convert(record & ADDRESS_MASK, address) != msg.sender or record >> STATE_SHIFT == CLAIMED:
        raw_revert(abi_encode(id, method_id=method_id("NothingToClaim(uint256)")))
    self.requests[id].receiver = receiver
    log WithdrawalRedirected(id=id, receiver=receiver)


@external
@nonreentrant
def finalizeWithdrawals(limit: uint256) -> uint256:
    """
    @notice Makes requests ready that were made before the last report's block and that there is money for, first in,
            first out. Anybody may.
    @param limit how many at most
    @return how many
    """
    return self._finalize(min(limit, MAX_BATCH))


@external
@nonreentrant
def claim(id: uint256):
    """
    @notice Pays the receiver of a request that is ready. Anybody may.
    """
    self._claim(id)


@external
@nonreentrant
def claimMany(ids: DynArray[uint256, MAX_BATCH]):
    """
    @notice Pays the receivers of several requests, all or none.
    """
    for id: uint256 in ids:
        self._claim(id)


# Views


@external
@view
def totalAssets() -> uint256:
    """
    @notice All that the shares are parts of, wei.
    """
    return self._assets()


@external
@view
def convertToShares(assets: uint256) -> uint256:
    """
    @notice How many shares a stake would get now.
    """
    return self._shares_for(assets)


@external
@view
def convertToAssets(amount: uint256) -> uint256:
    """
    @notice What shares are worth now, wei.
    """
    return self._value(amount)


@external
@view
def withdrawalValue(amount: uint256) -> uint256:
    """
    @notice What a request of these shares would be worth now, wei: at the price before the last gain where it was lower.
    """
    return self._leaving_value(amount)


@external
@view
def unbooked() -> uint256:
    """
    @notice What has come in and waits for a report, wei.
    """
    return self._unbooked()


@external
@view
def pendingWithdrawals() -> uint256:
    """
    @notice What all open requests are worth together at most, wei.
    """
    return self._pending_value()


@external
@view
def fundable() -> uint256:
    """
    @notice What is free for validators, wei.
    """
    return self._free()


@external
@view
def withdrawal(id: uint256) -> (address, address, uint256, uint256, uint64, uint8):
    """
    @notice A request: owner, receiver, shares, its worth (before it is ready: at most), block, state (1 open,
            2 claimable, 3 claimed; 0 there is none).
    """
    request: Request = self.requests[id]
    record: uint256 = request.owner_block_state
    return (
        convert(record & ADDRESS_MASK, address),
        request.receiver,
        request.amounts & WORD128,
        request.amounts >> 128,
        convert((record >> BLOCK_SHIFT) & WORD64, uint64),
        convert(record >> STATE_SHIFT, uint8),
    )


# For the other parts


@internal
@view
def _assets() -> uint256:
    return self.buffered + self.beaconBalance + self.depositedTotal - self.depositsCounted


@internal
@view
def _unbooked() -> uint256:
    return self.balance - self.buffered - self.reserved


@internal
@view
def _pending_value() -> uint256:
    # Of each request the lower of two values counts; of both sums the lower one is not below that.
    return min(self.pending_assets, self._value(self.pending_shares))


@internal
@view
def _free() -> uint256:
    pending: uint256 = self._pending_value()
    return self.buffered - min(self.buffered, pending)


@internal
def _take(amount: uint256):
    if amount > self.buffered:
        raw_revert(abi_encode(self.buffered, amount, method_id=method_id("NotEnoughFree(uint256,uint256)")))
    self.buffered -= amount


@internal
def _mark(assets: uint256, supply: uint256):
    # Those who leave before the next report get no part of what comes in now, and those who came for it and leave after
    # the report neither.
    if supply == 0:
        return
    if self._lower(assets, supply, self.mark_assets, self.mark_shares):
        self.mark_assets = assets
        self.mark_shares = supply
    if self._lower(assets, supply, self.low_assets, self.low_shares):
        self.low_assets = assets
        self.low_shares = supply


@internal
def _mark_report(assets: uint256):
    supply: uint256 = shares.totalSupply
    if supply != 0 and self.low_shares != 0 and not self._lower(assets, supply, self.low_assets, self.low_shares):
        self.mark_assets = self.low_assets
        self.mark_shares = self.low_shares
    else:
        self.mark_assets = assets
        self.mark_shares = supply
    self.low_assets = 0
    self.low_shares = 0


@internal
@pure
def _lower(assets: uint256, supply: uint256, other_assets: uint256, other_supply: uint256) -> bool:
    return other_supply == 0 or assets * other_supply < other_assets * supply


@internal
def _refund(amount: uint256):
    before: uint256 = self._assets()
    self._mark(before, shares.totalSupply)
    self.buffered += amount
    if shares.totalSupply < MIN_SUPPLY:
        self._to_treasury(amount, before)


@internal
def _to_treasury(amount: uint256, before: uint256):
    supply: uint256 = shares.totalSupply
    minted: uint256 = amount
    if supply != 0 and before != 0:
        minted = amount * supply // before
    if minted != 0:
        shares._mint(council.values.treasury, minted)


@internal
def _finalize(limit: uint256) -> uint256:
    id: uint256 = self.nextToFinalize
    if id > self.requestCount or self.ready_before == 0:
        return 0
    first: uint256 = id
    assets: uint256 = self._assets()
    supply: uint256 = shares.totalSupply
    price_assets: uint256 = assets
    price_shares: uint256 = supply
    buffered: uint256 = self.buffered
    for _: uint256 in range(limit, bound=MAX_BATCH):
        if id > self.requestCount:
            break
        request: Request = self.requests[id]
        if (request.owner_block_state >> BLOCK_SHIFT) & WORD64 >= self.ready_before:
            break
        amount: uint256 = request.amounts & WORD128
        asked: uint256 = request.amounts >> 128
        value: uint256 = min(asked, amount * assets // supply)
        if value > buffered:
            break
        buffered -= value
        assets -= value
        supply -= amount
        self.pending_shares -= amount
        self.pending_assets -= asked
        self.reserved += value
        self.requests[id].owner_block_state = (
            (request.owner_block_state & (2**STATE_SHIFT - 1)) | (CLAIMABLE << STATE_SHIFT)
        )
        self.requests[id].amounts = amount | (value << 128)
        shares._burn_queued(amount)
        log WithdrawalFinalized(id=id, shares=amount, assets=value)
        id += 1
    self.nextToFinalize = id
    self.buffered = buffered
    if id == first:
        return 0
    self._mark(price_assets, price_shares)
    if supply < MIN_SUPPLY:
        kept: uint256 = supply * price_assets // price_shares
        if assets > kept:
            self._to_treasury(assets - kept, kept)
    return id - first


# Internals


@internal
@payable
def _stake(receiver: address) -> uint256:
    council._check_running()
    if msg.value < MIN_STAKE:
        raw_revert(abi_encode(msg.value, MIN_STAKE, method_id=method_id("StakeTooSmall(uint256,uint256)")))
    if shares.totalSupply != 0 and self._assets() == 0:
        raw_revert(method_id("NothingLeft()"))
    minted: uint256 = self._shares_for(msg.value)
    if minted == 0:
        raw_revert(abi_encode(msg.value, self._value(1), method_id=method_id("StakeTooSmall(uint256,uint256)")))
    self.buffered += msg.value
    shares._mint(receiver, minted)
    log Staked(sender=msg.sender, receiver=receiver, assets=msg.value, shares=minted)
    return minted


@internal
def _claim(id: uint256):
    request: Request = self.requests[id]
    record: uint256 = request.owner_block_state
    if record >> STATE_SHIFT != CLAIMABLE:
        raw_revert(abi_encode(id, method_id=method_id("NothingToClaim(uint256)")))
    value: uint256 = request.amounts >> 128
    self.requests[id].owner_block_state = (record & (2**STATE_SHIFT - 1)) | (CLAIMED << STATE_SHIFT)
    self.reserved -= value
    log WithdrawalClaimed(id=id, receiver=request.receiver, assets=value)
    if not raw_call(request.receiver, b"", value=value, revert_on_failure=False):
        raw_revert(method_id("ETHTransferFailed()"))


@internal
@view
def _shares_for(assets: uint256) -> uint256:
    supply: uint256 = shares.totalSupply
    if supply == 0:
        return assets
    total: uint256 = self._assets()
    if total == 0:
        return 0
    return assets * supply // total


@internal
@view
def _value(amount: uint256) -> uint256:
    supply: uint256 = shares.totalSupply
    if supply == 0:
        return amount
    return amount * self._assets() // supply


@internal
@view
def _leaving_value(amount: uint256) -> uint256:
    value: uint256 = self._value(amount)
    if self.mark_shares == 0:
        return value
    return min(value, amount * self.mark_assets // self.mark_shares)

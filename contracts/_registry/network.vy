# pragma version 0.4.3
"""
@title The network's parameters, its fee and its earnings
@license Apache-2.0
@dev Fees, indices and earnings are in units of 100,000 wei. The index is what one validator has cost since the first
     block: it grows by the fee with every block. Fees are bounded so that a sum of indices fits 64 bits for decades.
"""
from . import governance

uses: governance

UNIT: constant(uint256) = 100_000
# 2**32 units a block are about 0.0004 ether; 14 such fees fill 64 bits in 300 million blocks.
MAX_FEE_UNITS: constant(uint256) = 2**32 - 1
# About three days of blocks: the shortest time that liquidators may be given.
MIN_THRESHOLD_BLOCKS: constant(uint64) = 21_480
MAX_BASIS_POINTS: constant(uint64) = 10_000


event NetworkFeeUpdated:
    oldFee: uint256
    newFee: uint256


event NetworkEarningsWithdrawn:
    value: uint256
    recipient: address


event OperatorFeeIncreaseLimitUpdated:
    value: uint64


event DeclareOperatorFeePeriodUpdated:
    value: uint64


event ExecuteOperatorFeePeriodUpdated:
    value: uint64


event LiquidationThresholdPeriodUpdated:
    value: uint64


event MinimumLiquidationCollateralUpdated:
    value: uint256


event OperatorMaximumFeeUpdated:
    maxFee: uint256


# What operators are bound by
fee_increase_limit: uint64
declare_period: uint64
execute_period: uint64
maximum_operator_fee: uint256

# What clusters are bound by
threshold_blocks: uint64
minimum_collateral: uint256

fee: uint256
index: uint256
index_block: uint256
earnings: uint256


@deploy
def __init__():
    self.fee_increase_limit = 1_000
    self.declare_period = 7 * 86_400
    self.execute_period = 7 * 86_400
    self.maximum_operator_fee = MAX_FEE_UNITS * UNIT
    self.threshold_blocks = 50_400
    self.index_block = block.number


@external
def updateNetworkFee(fee: uint256):
    """
    @notice Sets what the network takes.
    @param fee wei per block and validator, a multiple of 100,000
    """
    governance._check_owner()
    units: uint256 = self._units(fee)
    if units > MAX_FEE_UNITS:
        raw_revert(method_id("MaxValueExceeded()"))
    log NetworkFeeUpdated(oldFee=self.fee * UNIT, newFee=fee)
    self.index = self._index()
    self.index_block = block.number
    self.fee = units


@external
def withdrawNetworkEarnings(amount: uint256):
    """
    @notice Pays the owner from what the network has earned.
    @param amount wei, a multiple of 100,000
    """
    governance._check_owner()
    units: uint256 = self._units(amount)
    if units > self.earnings:
        raw_revert(method_id("InsufficientBalance()"))
    self.earnings -= units
    self._pay(msg.sender, amount)
    log NetworkEarningsWithdrawn(value=amount, recipient=msg.sender)


@external
def updateOperatorFeeIncreaseLimit(percentage: uint64):
    """
    @notice Sets by how much one declaration may raise an operator's fee.
    @param percentage hundredths of a percent
    """
    governance._check_owner()
    if percentage > MAX_BASIS_POINTS:
        raw_revert(method_id("MaxValueExceeded()"))
    self.fee_increase_limit = percentage
    log OperatorFeeIncreaseLimitUpdated(value=percentage)


@external
def updateDeclareOperatorFeePeriod(timeInSeconds: uint64):
    """
    @notice Sets how long a declared fee waits.
    """
    governance._check_owner()
    self.declare_period = timeInSeconds
    log DeclareOperatorFeePeriodUpdated(value=timeInSeconds)


@external
def updateExecuteOperatorFeePeriod(timeInSeconds: uint64):
    """
    @notice Sets how long a declared fee can be put into force after it has waited.
    """
    governance._check_owner()
    self.execute_period = timeInSeconds
    log ExecuteOperatorFeePeriodUpdated(value=timeInSeconds)


@external
def updateLiquidationThresholdPeriod(blocks: uint64):
    """
    @notice Sets for how many blocks a cluster must be able to pay.
    """
    governance._check_owner()
    if blocks < MIN_THRESHOLD_BLOCKS:
        raw_revert(method_id("NewBlockPeriodIsBelowMinimum()"))
    self.threshold_blocks = blocks
    log LiquidationThresholdPeriodUpdated(value=blocks)


@external
def updateMinimumLiquidationCollateral(amount: uint256):
    """
    @notice Sets what a cluster must hold at least: it is what pays a liquidator.
    @param amount wei
    """
    governance._check_owner()
    self.minimum_collateral = amount
    log MinimumLiquidationCollateralUpdated(value=amount)


@external
def updateMaximumOperatorFee(maxFee: uint256):
    """
    @notice Sets the highest fee that an operator may ask; fees in force stay.
    @param maxFee wei per block and validator
    """
    governance._check_owner()
    if maxFee // UNIT > MAX_FEE_UNITS:
        raw_revert(method_id("MaxValueExceeded()"))
    self.maximum_operator_fee = maxFee
    log OperatorMaximumFeeUpdated(maxFee=maxFee)


@external
@view
def getNetworkFee() -> uint256:
    """
    @notice What the network takes, wei per block and validator.
    """
    return self.fee * UNIT


@external
@view
def getNetworkEarnings() -> uint256:
    """
    @notice What the network has earned and not withdrawn, wei. Clusters pay when something is done with them.
    """
    return self.earnings * UNIT


@external
@view
def getOperatorFeeIncreaseLimit() -> uint64:
    """
    @notice By how much one declaration may raise a fee, hundredths of a percent.
    """
    return self.fee_increase_limit


@external
@view
def getOperatorFeePeriods() -> (uint64, uint64):
    """
    @notice How long a declared fee waits, and for how long it can then be put into force; seconds.
    """
    return self.declare_period, self.execute_period


@external
@view
def getMaximumOperatorFee() -> uint256:
    """
    @notice The highest fee an operator may ask, wei per block and validator.
    """
    return self.maximum_operator_fee


@external
@view
def getLiquidationThresholdPeriod() -> uint64:
    """
    @notice For how many blocks a cluster must be able to pay.
    """
    return self.threshold_blocks


@external
@view
def getMinimumLiquidationCollateral() -> uint256:
    """
    @notice What a cluster must hold at least, wei.
    """
    return self.minimum_collateral


@internal
@view
def _index() -> uint256:
    return self.index + (block.number - self.index_block) * self.fee


@internal
@pure
def _units(amount: uint256) -> uint256:
    if amount % UNIT != 0:
        raw_revert(method_id("MaxPrecisionExceeded()"))
    return amount // UNIT


@internal
def _pay(receiver: address, amount: uint256):
    # Whoever pays has booked it before: a receiver that calls again meets the new state.
    if not raw_call(receiver, b"", value=amount, revert_on_failure=False):
        raw_revert(method_id("ETHTransferFailed()"))

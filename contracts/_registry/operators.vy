# pragma version 0.4.3
"""
@title Operators: registration, fees, earnings, who may use them
@license Apache-2.0
@dev An operator's index is what it has cost one validator since its registration. It grows by the fee with every block
     and stands still when the operator is removed. Earnings are what clusters have paid: they come in when something is
     done with a cluster, and are the owner's also after the operator is removed.
"""
from . import network

uses: network

MAX_OPERATOR_KEY: constant(uint256) = 1024
MAX_LIST: constant(uint256) = 32
MAX_FEE_UNITS: constant(uint256) = 2**32 - 1
# The lowest fee but none, wei: what is lower is not worth its arithmetic.
MINIMAL_FEE: constant(uint256) = 10**9
UNIT: constant(uint256) = 100_000

# A record is one word: owner (160 bits) | validators (32) | fee (32) | private (1) | removed (1). Zero: no operator.
OWNER_MASK: constant(uint256) = 2**160 - 1
COUNT_SHIFT: constant(uint256) = 160
FEE_SHIFT: constant(uint256) = 192
WORD32: constant(uint256) = 2**32 - 1
PRIVATE_BIT: constant(uint256) = 2**224
REMOVED_BIT: constant(uint256) = 2**225

# An account is one word: earnings (128 bits) | index at the block (64) | block of the last change of the fee (64).
EARNINGS_MASK: constant(uint256) = 2**128 - 1
INDEX_SHIFT: constant(uint256) = 128
WORD64: constant(uint256) = 2**64 - 1
BLOCK_SHIFT: constant(uint256) = 192


struct OperatorData:
    owner: address
    fee: uint256
    validatorCount: uint32
    whitelistedAddress: address
    isPrivate: bool
    isActive: bool


struct Declaration:
    fee: uint64
    begin: uint64
    end: uint64


event OperatorAdded:
    operatorId: indexed(uint64)
    owner: indexed(address)
    publicKey: Bytes[MAX_OPERATOR_KEY]
    fee: uint256


event OperatorRemoved:
    operatorId: indexed(uint64)


event OperatorPrivacyStatusUpdated:
    operatorIds: DynArray[uint64, MAX_LIST]
    toPrivate: bool


event OperatorMultipleWhitelistUpdated:
    operatorIds: DynArray[uint64, MAX_LIST]
    whitelistAddresses: DynArray[address, MAX_LIST]


event OperatorMultipleWhitelistRemoved:
    operatorIds: DynArray[uint64, MAX_LIST]
    whitelistAddresses: DynArray[address, MAX_LIST]


event OperatorFeeDeclared:
    owner: indexed(address)
    operatorId: indexed(uint64)
    blockNumber: uint256
    fee: uint256


event OperatorFeeDeclarationCancelled:
    owner: indexed(address)
    operatorId: indexed(uint64)


event OperatorFeeExecuted:
    owner: indexed(address)
    operatorId: indexed(uint64)
    blockNumber: uint256
    fee: uint256


event OperatorWithdrawn:
    owner: indexed(address)
    operatorId: indexed(uint64)
    value: uint256


last_id: uint64
records: HashMap[uint64, uint256]
accounts: HashMap[uint64, uint256]
# keccak256(operator public key) => taken; stays so after removal, a key names one operator for ever
keys: HashMap[bytes32, bool]
declarations: HashMap[uint64, Declaration]
whitelists: HashMap[uint64, HashMap[address, bool]]


@external
def registerOperator(publicKey: Bytes[MAX_OPERATOR_KEY], fee: uint256, setPrivate: bool) -> uint64:
    """
    @notice Registers an operator that the caller owns.
    @param publicKey ABI-encoded string: base64 of the PEM of an RSA-2048 public key; not looked into
    @param fee wei per block and validator, a multiple of 100,000: nothing, or from the lowest to the highest fee
    @param setPrivate whether only whitelisted owners may use the operator
    @return the operator's id; ids count up from 1
    """
    units: uint256 = self._fee_units(fee)
    key_hash: bytes32 = keccak256(publicKey)
    if self.keys[key_hash]:
        raw_revert(method_id("OperatorAlreadyExists()"))
    self.keys[key_hash] = True

    operator_id: uint64 = self.last_id + 1
    self.last_id = operator_id
    record: uint256 = convert(msg.sender, uint256) | (units << FEE_SHIFT)
    if setPrivate:
        record |= PRIVATE_BIT
    self.records[operator_id] = record
    self.accounts[operator_id] = block.number << BLOCK_SHIFT
    log OperatorAdded(operatorId=operator_id, owner=msg.sender, publicKey=publicKey, fee=fee)
    log OperatorPrivacyStatusUpdated(operatorIds=[operator_id], toPrivate=setPrivate)
    return operator_id


@external
def removeOperator(operatorId: uint64):
    """
    @notice Removes an operator of the caller and pays what it has earned. Clusters that name it keep their other
            operators, but take no more validators; what they still owe it comes in later.
    """
    record: uint256 = self._own(operatorId, False)
    self._freeze(operatorId, record, 0)
    self.records[operatorId] = (record & OWNER_MASK) | REMOVED_BIT
    self.declarations[operatorId] = empty(Declaration)
    log OperatorRemoved(operatorId=operatorId)
    earned: uint256 = self.accounts[operatorId] & EARNINGS_MASK
    if earned != 0:
        self._withdraw(operatorId, earned)


# Fees


@external
def declareOperatorFee(operatorId: uint64, fee: uint256):
    """
    @notice Announces a new fee of an operator of the caller. It can be put into force after the declaration period.
    @param fee wei per block and validator
    """
    record: uint256 = self._own(operatorId, False)
    units: uint256 = self._fee_units(fee)
    current: uint256 = (record >> FEE_SHIFT) & WORD32
    if units == current:
        raw_revert(method_id("SameFeeChangeNotAllowed()"))
    if current == 0:
        raw_revert(method_id("FeeIncreaseNotAllowed()"))
    if units * 10_000 > current * (10_000 + convert(network.fee_increase_limit, uint256)):
        raw_revert(method_id("FeeExceedsIncreaseLimit()"))
    begin: uint64 = convert(block.timestamp, uint64) + network.declare_period
    self.declarations[operatorId] = Declaration(
        fee=convert(units, uint64), begin=begin, end=begin + network.execute_period
    )
    log OperatorFeeDeclared(owner=msg.sender, operatorId=operatorId, blockNumber=block.number, fee=fee)


@external
def executeOperatorFee(operatorId: uint64):
    """
    @notice Puts the declared fee of an operator of the caller into force.
    """
    record: uint256 = self._own(operatorId, False)
    declared: Declaration = self._declared(operatorId)
    now: uint64 = convert(block.timestamp, uint64)
    if now < declared.begin or now > declared.end:
        raw_revert(method_id("ApprovalNotWithinTimeframe()"))
    units: uint256 = convert(declared.fee, uint256)
    if units * UNIT > network.maximum_operator_fee:
        raw_revert(method_id("FeeTooHigh()"))
    self._set_fee(operatorId, record, units)


@external
def cancelDeclaredOperatorFee(operatorId: uint64):
    """
    @notice Takes a declared fee back.
    """
    self._own(operatorId, False)
    self._declared(operatorId)
    self.declarations[operatorId] = empty(Declaration)
    log OperatorFeeDeclarationCancelled(owner=msg.sender, operatorId=operatorId)


@external
def reduceOperatorFee(operatorId: uint64, fee: uint256):
    """
    @notice Lowers the fee of an operator of the caller at once.
    @param fee wei per block and validator
    """
    record: uint256 = self._own(operatorId, False)
    units: uint256 = self._fee_units(fee)
    if units >= (record >> FEE_SHIFT) & WORD32:
        raw_revert(method_id("FeeIncreaseNotAllowed()"))
    self._set_fee(operatorId, record, units)


# Earnings


@external
def withdrawOperatorEarnings(operatorId: uint64, amount: uint256):
    """
    @notice Pays the caller from what an operator of the caller has earned.
    @param amount wei, a multiple of 100,000
    """
    self._own(operatorId, True)
    self._withdraw(operatorId, network._units(amount))


@external
def withdrawAllOperatorEarnings(operatorId: uint64):
    """
    @notice Pays the caller all that an operator of the caller has earned.
    """
    self._own(operatorId, True)
    self._withdraw(operatorId, self.accounts[operatorId] & EARNINGS_MASK)


# Who may use an operator


@external
def setOperatorsPrivateUnchecked(operatorIds: DynArray[uint64, MAX_LIST]):
    """
    @notice Closes operators of the caller to owners that are not on their lists; clusters there are stay.
    """
    self._set_privacy(operatorIds, True)


@external
def setOperatorsPublicUnchecked(operatorIds: DynArray[uint64, MAX_LIST]):
    """
    @notice Opens operators of the caller to everybody.
    """
    self._set_privacy(operatorIds, False)


@external
def setOperatorsWhitelists(
    operatorIds: DynArray[uint64, MAX_LIST], whitelistAddresses: DynArray[address, MAX_LIST]
):
    """
    @notice Puts owners on the lists of operators of the caller.
    """
    self._set_whitelists(operatorIds, whitelistAddresses, True)
    log OperatorMultipleWhitelistUpdated(operatorIds=operatorIds, whitelistAddresses=whitelistAddresses)


@external
def removeOperatorsWhitelists(
    operatorIds: DynArray[uint64, MAX_LIST], whitelistAddresses: DynArray[address, MAX_LIST]
):
    """
    @notice Takes owners off the lists of operators of the caller.
    """
    self._set_whitelists(operatorIds, whitelistAddresses, False)
    log OperatorMultipleWhitelistRemoved(operatorIds=operatorIds, whitelistAddresses=whitelistAddresses)


# Views


@external
@view
def getOperatorById(operatorId: uint64) -> OperatorData:
    """
    @notice An operator's record. One that was removed has its owner only; all is zero where there never was one.
    """
    record: uint256 = self.records[operatorId]
    return OperatorData(
        owner=convert(record & OWNER_MASK, address),
        fee=((record >> FEE_SHIFT) & WORD32) * UNIT,
        validatorCount=convert((record >> COUNT_SHIFT) & WORD32, uint32),
        whitelistedAddress=empty(address),
        isPrivate=record & PRIVATE_BIT != 0,
        isActive=record != 0 and record & REMOVED_BIT == 0,
    )


@external
@view
def getOperatorFee(operatorId: uint64) -> uint256:
    """
    @notice An operator's fee, wei per block and validator.
    """
    return ((self.records[operatorId] >> FEE_SHIFT) & WORD32) * UNIT


@external
@view
def getOperatorDeclaredFee(operatorId: uint64) -> (bool, uint256, uint64, uint64):
    """
    @notice Whether a fee is declared, the fee, and from when to when it can be put into force.
    """
    declared: Declaration = self.declarations[operatorId]
    return declared.begin != 0, convert(declared.fee, uint256) * UNIT, declared.begin, declared.end


@external
@view
def getOperatorEarnings(operatorId: uint64) -> uint256:
    """
    @notice What clusters have paid to an operator and its owner has not withdrawn, wei.
    """
    return (self.accounts[operatorId] & EARNINGS_MASK) * UNIT


@external
@view
def isAddressWhitelisted(operatorId: uint64, account: address) -> bool:
    """
    @notice Whether an owner is on an operator's list.
    """
    return self.whitelists[operatorId][account]


# For clusters


@internal
@view
def _index(operator_id: uint64) -> uint256:
    # What the operator has cost one validator up to now; an operator that was removed costs nothing more.
    account: uint256 = self.accounts[operator_id]
    fee: uint256 = (self.records[operator_id] >> FEE_SHIFT) & WORD32
    return ((account >> INDEX_SHIFT) & WORD64) + (block.number - (account >> BLOCK_SHIFT)) * fee


@internal
def _earn(operator_id: uint64, units: uint256):
    self.accounts[operator_id] += units


@internal
@view
def _check_open(operator_id: uint64, record: uint256, owner: address):
    if record & PRIVATE_BIT != 0 and not self.whitelists[operator_id][owner]:
        raw_revert(abi_encode(operator_id, method_id=method_id("CallerNotWhitelistedWithData(uint64)")))


# Internals


@internal
@view
def _own(operator_id: uint64, also_removed: bool) -> uint256:
    record: uint256 = self.records[operator_id]
    if record == 0 or (record & REMOVED_BIT != 0 and not also_removed):
        raw_revert(method_id("OperatorDoesNotExist()"))
    owner: address = convert(record & OWNER_MASK, address)
    if owner != msg.sender:
        raw_revert(abi_encode(msg.sender, owner, method_id=method_id("CallerNotOwnerWithData(address,address)")))
    return record


@internal
@view
def _fee_units(fee: uint256) -> uint256:
    units: uint256 = network._units(fee)
    if fee != 0 and fee < MINIMAL_FEE:
        raw_revert(method_id("FeeTooLow()"))
    if fee > network.maximum_operator_fee:
        raw_revert(method_id("FeeTooHigh()"))
    return units


@internal
@view
def _declared(operator_id: uint64) -> Declaration:
    declared: Declaration = self.declarations[operator_id]
    if declared.begin == 0:
        raw_revert(method_id("NoFeeDeclared()"))
    return declared


@internal
def _freeze(operator_id: uint64, record: uint256, fee: uint256):
    # What was earned at the old fee is in the index; from this block on the new one counts.
    index: uint256 = self._index(operator_id)
    self.accounts[operator_id] = (
        (self.accounts[operator_id] & EARNINGS_MASK) | (index << INDEX_SHIFT) | (block.number << BLOCK_SHIFT)
    )
    self.records[operator_id] = (record & ~(WORD32 << FEE_SHIFT)) | (fee << FEE_SHIFT)


@internal
def _set_fee(operator_id: uint64, record: uint256, units: uint256):
    self._freeze(operator_id, record, units)
    self.declarations[operator_id] = empty(Declaration)
    log OperatorFeeExecuted(
        owner=msg.sender, operatorId=operator_id, blockNumber=block.number, fee=units * UNIT
    )


@internal
def _withdraw(operator_id: uint64, units: uint256):
    earned: uint256 = self.accounts[operator_id] & EARNINGS_MASK
    if units == 0 or units > earned:
        raw_revert(method_id("InsufficientBalance()"))
    self.accounts[operator_id] -= units
    network._pay(msg.sender, units * UNIT)
    log OperatorWithdrawn(owner=msg.sender, operatorId=operator_id, value=units * UNIT)


@internal
def _set_privacy(operator_ids: DynArray[uint64, MAX_LIST], private: bool):
    if len(operator_ids) == 0:
        raw_revert(method_id("InvalidOperatorIdsLength()"))
    for operator_id: uint64 in operator_ids:
        record: uint256 = self._own(operator_id, False)
        self.records[operator_id] = record | PRIVATE_BIT if private else record & ~PRIVATE_BIT
    log OperatorPrivacyStatusUpdated(operatorIds=operator_ids, toPrivate=private)


@internal
def _set_whitelists(
    operator_ids: DynArray[uint64, MAX_LIST], accounts: DynArray[address, MAX_LIST], listed: bool
):
    if len(operator_ids) == 0:
        raw_revert(method_id("InvalidOperatorIdsLength()"))
    if len(accounts) == 0:
        raw_revert(method_id("InvalidWhitelistAddressesLength()"))
    for operator_id: uint64 in operator_ids:
        self._own(operator_id, False)
        for account: address in accounts:
            if account == empty(address):
                raw_revert(method_id("ZeroAddressNotAllowed()"))
            self.whitelists[operator_id][account] = listed

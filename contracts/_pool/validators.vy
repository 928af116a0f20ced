# pragma version 0.4.3
"""
@title The pool's validators: registration, funding, clusters, exits
@license Apache-2.0
@dev Validators are made with committees of operators that a quorum has allowed, from ether that no leaver waits for, and
     with the pool's own withdrawal credentials. A key is used once. What clusters are paid is bounded in every window of
     30 days; it is an expense, so the price of a share falls by it.
"""
from . import council
from . import vault

uses: council
uses: vault

MAX_OPERATORS: constant(uint256) = 13
MAX_IDS_BYTES: constant(uint256) = 32 + 32 * MAX_OPERATORS
MAX_SHARES: constant(uint256) = 96 + MAX_OPERATORS * (48 + 256)
MAX_EXITS: constant(uint256) = 16
DEPOSIT: constant(uint256) = 32 * 10**18
WINDOW: constant(uint256) = 30 * 86_400
BASIS_POINTS: constant(uint256) = 10_000

REGISTERED: constant(uint8) = 1
FUNDED: constant(uint8) = 2
EXIT_REQUESTED: constant(uint8) = 3
RETIRED: constant(uint8) = 4

COMMITTEE_TYPE: constant(bytes32) = keccak256("Committee(uint64[] operatorIds,bool allowed,uint256 nonce)")
FUNDING_TYPE: constant(bytes32) = keccak256(
    "Funding(bytes publicKey,bytes signature,bytes32 depositDataRoot,bytes32 depositRoot)"
)
PAYMENT_TYPE: constant(bytes32) = keccak256("ClusterPayment(uint64[] operatorIds,uint256 amount,uint256 nonce)")
REFUND_TYPE: constant(bytes32) = keccak256("ClusterRefund(uint64[] operatorIds,uint256 amount,uint256 nonce)")
REACTIVATION_TYPE: constant(bytes32) = keccak256(
    "ClusterReactivation(uint64[] operatorIds,uint256 amount,uint256 nonce)"
)
REMOVAL_TYPE: constant(bytes32) = keccak256("Removal(bytes publicKey)")


struct Cluster:
    validatorCount: uint32
    networkFeeIndex: uint64
    index: uint64
    active: bool
    balance: uint256


interface Registry:
    def registerValidator(
        publicKey: Bytes[48],
        operatorIds: DynArray[uint64, MAX_OPERATORS],
        sharesData: Bytes[MAX_SHARES],
        cluster: Cluster,
    ): payable
    def removeValidator(
        publicKey: Bytes[48], operatorIds: DynArray[uint64, MAX_OPERATORS], cluster: Cluster
    ): nonpayable
    def exitValidator(publicKey: Bytes[48], operatorIds: DynArray[uint64, MAX_OPERATORS]): nonpayable
    def deposit(
        clusterOwner: address, operatorIds: DynArray[uint64, MAX_OPERATORS], cluster: Cluster
    ): payable
    def withdraw(operatorIds: DynArray[uint64, MAX_OPERATORS], amount: uint256, cluster: Cluster): nonpayable
    def reactivate(operatorIds: DynArray[uint64, MAX_OPERATORS], cluster: Cluster): payable


interface DepositContract:
    def get_deposit_root() -> bytes32: view
    def deposit(
        pubkey: Bytes[48],
        withdrawal_credentials: Bytes[32],
        signature: Bytes[96],
        deposit_data_root: bytes32,
    ): payable


event CommitteeAllowed:
    operatorIds: DynArray[uint64, MAX_OPERATORS]
    allowed: bool


event ValidatorRegistered:
    publicKey: Bytes[48]
    operatorIds: DynArray[uint64, MAX_OPERATORS]
    payment: uint256


event ValidatorFunded:
    publicKey: Bytes[48]
    index: uint64


event ValidatorExitRequested:
    publicKey: Bytes[48]


event ValidatorRetired:
    publicKey: Bytes[48]


event ClusterPaid:
    operatorIds: DynArray[uint64, MAX_OPERATORS]
    amount: uint256


event ClusterRefunded:
    operatorIds: DynArray[uint64, MAX_OPERATORS]
    amount: uint256


registry: public(immutable(address))
depositContract: public(immutable(address))

# keccak256(operator ids, 32 bytes each) => whether validators may be registered with them
committees: HashMap[bytes32, bool]
# keccak256(public key) => state
states: HashMap[bytes32, uint8]
# A public key in two words.
funded_keys: HashMap[uint256, bytes32[2]]
funded: uint64
# Registered keys that wait for their deposit.
waiting: uint256
exits_requested: uint64
exits_done: uint64

clusterNonce: public(uint256)
window_start: uint256
window_paid: uint256


@deploy
def __init__(registry_address: address, deposit_contract: address):
    if not (registry_address.is_contract and deposit_contract.is_contract):
        raw_revert(method_id("NotAContract()"))
    registry = registry_address
    depositContract = deposit_contract


# Committees and validators


@external
@nonreentrant
def allowCommittee(
    operatorIds: DynArray[uint64, MAX_OPERATORS],
    allowed: bool,
    nonce: uint256,
    approvals: DynArray[Bytes[65], council.MAX_MEMBERS],
):
    """
    @notice Lets members register validators with these operators, or no more. Without it one member could pay operators
            of its own from the pool.
    @param operatorIds ascending, as the registry takes them
    @param nonce clusterNonce()
    @param approvals signatures of a quorum over Committee
    """
    ids_hash: bytes32 = self._ids_hash(operatorIds)
    self._use_nonce(nonce)
    council._check_approvals(keccak256(abi_encode(COMMITTEE_TYPE, ids_hash, allowed, nonce)), approvals)
    self.committees[ids_hash] = allowed
    log CommitteeAllowed(operatorIds=operatorIds, allowed=allowed)


@external
@nonreentrant
def registerValidator(
    publicKey: Bytes[48],
    operatorIds: DynArray[uint64, MAX_OPERATORS],
    sharesData: Bytes[MAX_SHARES],
    payment: uint256,
    cluster: Cluster,
):
    """
    @notice Registers a validator of the pool with a committee that is allowed. By any member, while 32 ether are free
            for each key that is registered and has no deposit yet.
    @param payment wei for the cluster, within the window's budget
    @param cluster the state in the cluster's last event in the registry
    """
    council._check_member()
    council._check_running()
    if not self.committees[self._ids_hash(operatorIds)]:
        raw_revert(method_id("CommitteeNotAllowed()"))
    key: bytes32 = keccak256(publicKey)
    if self.states[key] != 0:
        raw_revert(abi_encode(publicKey, method_id=method_id("KeyUsed(bytes)")))
    self.waiting += 1
    self._check_free(self.waiting * DEPOSIT)
    self.states[key] = REGISTERED
    self._spend(payment)
    log ValidatorRegistered(publicKey=publicKey, operatorIds=operatorIds, payment=payment)
    extcall Registry(registry).registerValidator(publicKey, operatorIds, sharesData, cluster, value=payment)


@external
@nonreentrant
def fundValidator(
    publicKey: Bytes[48],
    signature: Bytes[96],
    depositDataRoot: bytes32,
    depositRoot: bytes32,
    approvals: DynArray[Bytes[65], council.MAX_MEMBERS],
):
    """
    @notice Deposits 32 ether for a registered validator. Whoever deposits first for a key decides who may withdraw, so
            members sign the root of all deposits among which they saw none for this key; one more and it is refused.
    @param depositRoot the deposit contract's get_deposit_root()
    @param approvals signatures of a quorum over Funding
    """
    council._check_running()
    key: bytes32 = keccak256(publicKey)
    self._check_state(publicKey, key, REGISTERED)
    council._check_approvals(
        keccak256(abi_encode(FUNDING_TYPE, key, keccak256(signature), depositDataRoot, depositRoot)), approvals
    )
    found: bytes32 = staticcall DepositContract(depositContract).get_deposit_root()
    if found != depositRoot:
        raw_revert(abi_encode(depositRoot, found, method_id=method_id("DepositRootChanged(bytes32,bytes32)")))
    self._check_free(DEPOSIT)
    vault.buffered -= DEPOSIT
    vault.depositedTotal += DEPOSIT
    self.states[key] = FUNDED
    self.waiting -= 1
    index: uint64 = self.funded
    self.funded = index + 1
    self.funded_keys[convert(index, uint256)] = [
        convert(slice(publicKey, 0, 32), bytes32), convert(slice(publicKey, 16, 32), bytes32)
    ]
    log ValidatorFunded(publicKey=publicKey, index=index)
    extcall DepositContract(depositContract).deposit(
        publicKey, concat(self._credentials(), b""), signature, depositDataRoot, value=DEPOSIT
    )


@external
@nonreentrant
def exitValidators(
    publicKeys: DynArray[Bytes[48], MAX_EXITS], operatorIds: DynArray[uint64, MAX_OPERATORS]
):
    """
    @notice Asks one committee to exit validators. By any member, and only while leavers wait for more than what is
            buffered and on its way.
    """
    council._check_member()
    pending: uint256 = vault._pending_value()
    for publicKey: Bytes[48] in publicKeys:
        key: bytes32 = keccak256(publicKey)
        self._check_state(publicKey, key, FUNDED)
        if pending <= vault.buffered + DEPOSIT * convert(self._exits_under_way(), uint256):
            raw_revert(method_id("NoExitNeeded()"))
        self.states[key] = EXIT_REQUESTED
        self.exits_requested += 1
        log ValidatorExitRequested(publicKey=publicKey)
        extcall Registry(registry).exitValidator(publicKey, operatorIds)


@external
@nonreentrant
def removeValidator(
    publicKey: Bytes[48],
    operatorIds: DynArray[uint64, MAX_OPERATORS],
    cluster: Cluster,
    approvals: DynArray[Bytes[65], council.MAX_MEMBERS],
):
    """
    @notice Takes a validator out of the registry for good: one that never got its deposit, or that was withdrawn.
    @param approvals signatures of a quorum over Removal
    """
    key: bytes32 = keccak256(publicKey)
    state: uint8 = self.states[key]
    if state == 0 or state == RETIRED:
        raw_revert(abi_encode(publicKey, state, method_id=method_id("WrongValidatorState(bytes,uint8)")))
    council._check_approvals(keccak256(abi_encode(REMOVAL_TYPE, key)), approvals)
    if state == REGISTERED:
        self.waiting -= 1
    self.states[key] = RETIRED
    log ValidatorRetired(publicKey=publicKey)
    extcall Registry(registry).removeValidator(publicKey, operatorIds, cluster)


# Clusters


@external
@nonreentrant
def payCluster(
    operatorIds: DynArray[uint64, MAX_OPERATORS],
    amount: uint256,
    cluster: Cluster,
    nonce: uint256,
    approvals: DynArray[Bytes[65], council.MAX_MEMBERS],
):
    """
    @notice Adds to the balance of a cluster of the pool, within the window's budget.
    @param nonce clusterNonce()
    @param approvals signatures of a quorum over ClusterPayment
    """
    council._check_running()
    self._approve(PAYMENT_TYPE, operatorIds, amount, nonce, approvals)
    self._spend(amount)
    log ClusterPaid(operatorIds=operatorIds, amount=amount)
    extcall Registry(registry).deposit(self, operatorIds, cluster, value=amount)


@external
@nonreentrant
def reactivateCluster(
    operatorIds: DynArray[uint64, MAX_OPERATORS],
    amount: uint256,
    cluster: Cluster,
    nonce: uint256,
    approvals: DynArray[Bytes[65], council.MAX_MEMBERS],
):
    """
    @notice Starts a liquidated cluster of the pool again, within the window's budget.
    @param approvals signatures of a quorum over ClusterReactivation
    """
    council._check_running()
    self._approve(REACTIVATION_TYPE, operatorIds, amount, nonce, approvals)
    self._spend(amount)
    log ClusterPaid(operatorIds=operatorIds, amount=amount)
    extcall Registry(registry).reactivate(operatorIds, cluster, value=amount)


@external
@nonreentrant
def refundCluster(
    operatorIds: DynArray[uint64, MAX_OPERATORS],
    amount: uint256,
    cluster: Cluster,
    nonce: uint256,
    approvals: DynArray[Bytes[65], council.MAX_MEMBERS],
):
    """
    @notice Takes back from the balance of a cluster of the pool what its validators do not need; booked at once.
    @param approvals signatures of a quorum over ClusterRefund
    """
    self._approve(REFUND_TYPE, operatorIds, amount, nonce, approvals)
    before: uint256 = self.balance
    extcall Registry(registry).withdraw(operatorIds, amount, cluster)
    came: uint256 = self.balance - before
    vault._refund(came)
    log ClusterRefunded(operatorIds=operatorIds, amount=came)


# Views


@external
@view
def withdrawalCredentials() -> bytes32:
    """
    @notice What validators' deposits name: the pool's address (0x01).
    """
    return self._credentials()


@external
@view
def committeeAllowed(operatorIds: DynArray[uint64, MAX_OPERATORS]) -> bool:
    """
    @notice Whether validators may be registered with these operators.
    """
    return self.committees[self._ids_hash(operatorIds)]


@external
@view
def clusterAllowance() -> uint256:
    """
    @notice What clusters may still be paid in this window of 30 days, wei.
    """
    return self._allowance(self._window_over())


@external
@view
def exitsUnderWay() -> uint64:
    """
    @notice How many validators were asked to exit and are not reported as withdrawn.
    """
    return self._exits_under_way()


@external
@view
def validatorState(publicKey: Bytes[48]) -> uint8:
    """
    @notice 0 unknown, 1 registered, 2 funded, 3 exit requested, 4 retired.
    """
    return self.states[keccak256(publicKey)]


@external
@view
def validatorCount() -> uint64:
    """
    @notice How many validators were ever funded.
    """
    return self.funded


@external
@view
def validatorAt(index: uint64) -> Bytes[48]:
    """
    @notice Public key of the validator that was funded in this place; nothing where there is none.
    """
    if index >= self.funded:
        return b""
    words: bytes32[2] = self.funded_keys[convert(index, uint256)]
    return concat(words[0], slice(words[1], 16, 16))


# Internals


@internal
@view
def _credentials() -> bytes32:
    return convert((1 << 248) | convert(self, uint256), bytes32)


@internal
@pure
def _ids_hash(operator_ids: DynArray[uint64, MAX_OPERATORS]) -> bytes32:
    # The encoding of an array is its length and its elements; the elements alone are what is hashed.
    encoded: Bytes[64 + 32 * MAX_OPERATORS] = abi_encode(operator_ids, ensure_tuple=False)
    return keccak256(slice(encoded, 32, 32 * len(operator_ids)))


@internal
def _use_nonce(nonce: uint256):
    if nonce != self.clusterNonce:
        raw_revert(abi_encode(self.clusterNonce, method_id=method_id("WrongNonce(uint256)")))
    self.clusterNonce = nonce + 1


@internal
def _approve(
    type_hash: bytes32,
    operator_ids: DynArray[uint64, MAX_OPERATORS],
    amount: uint256,
    nonce: uint256,
    approvals: DynArray[Bytes[65], council.MAX_MEMBERS],
):
    self._use_nonce(nonce)
    council._check_approvals(
        keccak256(abi_encode(type_hash, self._ids_hash(operator_ids), amount, nonce)), approvals
    )


@internal
@view
def _window_over() -> bool:
    return block.timestamp >= self.window_start + WINDOW


@internal
@view
def _allowance(new_window: bool) -> uint256:
    budget: uint256 = vault._assets() * convert(council.values.clusterBudget, uint256) // BASIS_POINTS
    if new_window:
        return budget
    return budget - min(budget, self.window_paid)


@internal
def _spend(amount: uint256):
    if amount == 0:
        return
    new_window: bool = self._window_over()
    allowance: uint256 = self._allowance(new_window)
    if amount > allowance:
        raw_revert(abi_encode(allowance, amount, method_id=method_id("BudgetExceeded(uint256,uint256)")))
    vault._take(amount)
    if new_window:
        self.window_start = block.timestamp
        self.window_paid = amount
    else:
        self.window_paid += amount


@internal
@view
def _check_free(needed: uint256):
    free: uint256 = vault._free()
    if free < needed:
        raw_revert(abi_encode(free, needed, method_id=method_id("NotEnoughFree(uint256,uint256)")))


@internal
@view
def _check_state(public_key: Bytes[48], key: bytes32, needed: uint8):
    state: uint8 = self.states[key]
    if state != needed:
        raw_revert(abi_encode(public_key, state, method_id=method_id("WrongValidatorState(bytes,uint8)")))


@internal
@view
def _exits_under_way() -> uint64:
    return self.exits_requested - self.exits_done

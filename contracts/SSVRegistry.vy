# pragma version 0.4.3
# pragma evm-version cancun
# pragma optimize gas
"""
@title Registry of operators, and of validators whose keys are shared among them
@license Apache-2.0
@notice The selectors, events and custom errors are those of the SSV network contract in its form paid in ETH, so that
        whatever reads or calls one of them can read and call the other.
@dev A cluster is the set of validators that one owner runs with one set of operators. Its state is not stored, only
     its hash: each caller brings the state (it stands in the cluster's last event), and the new state leaves in the
     event of the call. Fees are recorded but not charged yet: a cluster's balance changes only by what its owner puts
     in and takes out, and the two fee indices stay zero.
     A call with an array or byte string longer than the bounds below reverts without data.
"""

# The custom errors. Vyper 0.4 cannot declare them; scripts/abi reads these lines into the published ABI.
# error CallerNotOwnerWithData(address caller, address owner)
# error CallerNotWhitelistedWithData(uint64 operatorId)
# error ClusterDoesNotExist()
# error ClusterIsLiquidated()
# error EmptyPublicKeysList()
# error ETHTransferFailed()
# error ExceedValidatorLimitWithData(uint64 operatorId)
# error IncorrectClusterState()
# error IncorrectValidatorStateWithData(bytes publicKey)
# error InsufficientBalance()
# error InvalidOperatorIdsLength()
# error InvalidPublicKeyLength()
# error MaxPrecisionExceeded()
# error MaxValueExceeded()
# error OperatorAlreadyExists()
# error OperatorDoesNotExist()
# error OperatorsListNotUnique()
# error PublicKeysSharesLengthMismatch()
# error UnsortedOperatorsList()
# error ValidatorAlreadyExistsWithData(bytes publicKey)
# error ValidatorDoesNotExist()

PUBLIC_KEY_LENGTH: constant(uint256) = 48
MIN_OPERATORS: constant(uint256) = 4
MAX_OPERATORS: constant(uint256) = 13

# Bounds of what a call may carry. Those of keys and ids are wider than what is valid, so that the usual mistakes
# (a key as hex text, an operator too many) are answered by their custom error.
MAX_IDS: constant(uint256) = 32
MAX_IDS_BYTES: constant(uint256) = 32 + 32 * MAX_IDS
MAX_KEY: constant(uint256) = 128
MAX_SHARES: constant(uint256) = 96 + MAX_OPERATORS * (48 + 256)
MAX_OPERATOR_KEY: constant(uint256) = 1024
# Memory for a bulk call is laid out for the longest it may be, and paid for by the callers of shorter ones.
MAX_BULK: constant(uint256) = 20

# An operator is one word: owner (160 bits) | validators (32) | fee in FEE_UNIT (63) | private (1). Zero: no operator.
OWNER_MASK: constant(uint256) = 2**160 - 1
COUNT_SHIFT: constant(uint256) = 160
COUNT_MASK: constant(uint256) = 2**32 - 1
FEE_SHIFT: constant(uint256) = 192
FEE_MASK: constant(uint256) = 2**63 - 1
PRIVATE_SHIFT: constant(uint256) = 255
FEE_UNIT: constant(uint256) = 100_000


struct Cluster:
    validatorCount: uint32
    networkFeeIndex: uint64
    index: uint64
    active: bool
    balance: uint256


struct OperatorData:
    owner: address
    fee: uint256
    validatorCount: uint32
    whitelistedAddress: address
    isPrivate: bool
    isActive: bool


event OperatorAdded:
    operatorId: indexed(uint64)
    owner: indexed(address)
    publicKey: Bytes[MAX_OPERATOR_KEY]
    fee: uint256


event OperatorRemoved:
    operatorId: indexed(uint64)


event OperatorPrivacyStatusUpdated:
    operatorIds: DynArray[uint64, 1]
    toPrivate: bool


event ValidatorAdded:
    owner: indexed(address)
    operatorIds: DynArray[uint64, MAX_IDS]
    publicKey: Bytes[MAX_KEY]
    shares: Bytes[MAX_SHARES]
    cluster: Cluster


event ValidatorRemoved:
    owner: indexed(address)
    operatorIds: DynArray[uint64, MAX_IDS]
    publicKey: Bytes[MAX_KEY]
    cluster: Cluster


event ValidatorExited:
    owner: indexed(address)
    operatorIds: DynArray[uint64, MAX_IDS]
    publicKey: Bytes[MAX_KEY]


event ClusterWithdrawn:
    owner: indexed(address)
    operatorIds: DynArray[uint64, MAX_IDS]
    value: uint256
    cluster: Cluster


event FeeRecipientAddressUpdated:
    owner: indexed(address)
    recipientAddress: address


VALIDATORS_PER_OPERATOR: immutable(uint32)

last_operator_id: uint64
# operator id => packed operator (see above)
operators: HashMap[uint64, uint256]
# keccak256(operator public key) => taken; stays so after removal, a key names one operator for ever
operator_keys: HashMap[bytes32, bool]
# keccak256(validator public key ‖ owner) => keccak256(operator ids, 32 bytes each); zero: not registered
validators: HashMap[bytes32, bytes32]
# keccak256(owner ‖ operator ids, 32 bytes each) => hash of the cluster's state; zero: no such cluster
clusters: HashMap[bytes32, bytes32]


@deploy
def __init__(validatorsPerOperatorLimit: uint32):
    """
    @param validatorsPerOperatorLimit how many validators one operator may serve
    """
    VALIDATORS_PER_OPERATOR = validatorsPerOperatorLimit


# Operators


@external
def registerOperator(publicKey: Bytes[MAX_OPERATOR_KEY], fee: uint256, setPrivate: bool) -> uint64:
    """
    @notice Registers an operator that the caller owns.
    @param publicKey ABI-encoded string: base64 of the PEM of an RSA-2048 public key; not looked into
    @param fee wei per block and validator, a multiple of 100,000
    @param setPrivate whether only whitelisted owners may use the operator
    @return the operator's id; ids count up from 1
    """
    if fee % FEE_UNIT != 0:
        raw_revert(method_id("MaxPrecisionExceeded()"))
    if fee // FEE_UNIT > FEE_MASK:
        raw_revert(method_id("MaxValueExceeded()"))
    key_hash: bytes32 = keccak256(publicKey)
    if self.operator_keys[key_hash]:
        raw_revert(method_id("OperatorAlreadyExists()"))
    self.operator_keys[key_hash] = True

    operator_id: uint64 = self.last_operator_id + 1
    self.last_operator_id = operator_id
    self.operators[operator_id] = (
        convert(msg.sender, uint256)
        | ((fee // FEE_UNIT) << FEE_SHIFT)
        | (convert(setPrivate, uint256) << PRIVATE_SHIFT)
    )
    log OperatorAdded(operatorId=operator_id, owner=msg.sender, publicKey=publicKey, fee=fee)
    log OperatorPrivacyStatusUpdated(operatorIds=[operator_id], toPrivate=setPrivate)
    return operator_id


@external
def removeOperator(operatorId: uint64):
    """
    @notice Removes an operator of the caller. Clusters that name it keep their other operators, but take no more
            validators.
    """
    packed: uint256 = self.operators[operatorId]
    if packed == 0:
        raw_revert(method_id("OperatorDoesNotExist()"))
    owner: address = convert(packed & OWNER_MASK, address)
    if owner != msg.sender:
        raw_revert(abi_encode(msg.sender, owner, method_id=method_id("CallerNotOwnerWithData(address,address)")))
    self.operators[operatorId] = 0
    log OperatorRemoved(operatorId=operatorId)


# Validators


@external
@payable
def registerValidator(
    publicKey: Bytes[MAX_KEY],
    operatorIds: DynArray[uint64, MAX_IDS],
    sharesData: Bytes[MAX_SHARES],
    cluster: Cluster,
):
    """
    @notice Registers a validator of the caller with a cluster of operators.
    @param publicKey the validator's BLS public key, 48 bytes
    @param operatorIds 4, 7, 10 or 13 ids, ascending
    @param sharesData owner's signature, share public keys and encrypted shares; not looked into
    @param cluster the state in the cluster's last event; for a new cluster zeroes, active
    """
    self._check_size(operatorIds)
    packed_ids: Bytes[MAX_IDS_BYTES] = self._packed(operatorIds)
    self._add_key(publicKey, keccak256(packed_ids))
    after: Cluster = self._grow(operatorIds, packed_ids, cluster, 1)
    log ValidatorAdded(
        owner=msg.sender, operatorIds=operatorIds, publicKey=publicKey, shares=sharesData, cluster=after
    )


@external
@payable
def bulkRegisterValidator(
    publicKeys: DynArray[Bytes[MAX_KEY], MAX_BULK],
    operatorIds: DynArray[uint64, MAX_IDS],
    sharesData: DynArray[Bytes[MAX_SHARES], MAX_BULK],
    cluster: Cluster,
):
    """
    @notice Registers up to 20 validators of the caller with one cluster; each event carries the state after all.
    @param sharesData for each public key, in the same order
    """
    if len(publicKeys) == 0:
        raw_revert(method_id("EmptyPublicKeysList()"))
    if len(publicKeys) != len(sharesData):
        raw_revert(method_id("PublicKeysSharesLengthMismatch()"))
    self._check_size(operatorIds)
    packed_ids: Bytes[MAX_IDS_BYTES] = self._packed(operatorIds)
    ids_hash: bytes32 = keccak256(packed_ids)
    for i: uint256 in range(len(publicKeys), bound=MAX_BULK):
        self._add_key(publicKeys[i], ids_hash)
    after: Cluster = self._grow(operatorIds, packed_ids, cluster, convert(len(publicKeys), uint32))
    for i: uint256 in range(len(publicKeys), bound=MAX_BULK):
        log ValidatorAdded(
            owner=msg.sender,
            operatorIds=operatorIds,
            publicKey=publicKeys[i],
            shares=sharesData[i],
            cluster=after,
        )


@external
def removeValidator(publicKey: Bytes[MAX_KEY], operatorIds: DynArray[uint64, MAX_IDS], cluster: Cluster):
    """
    @notice Takes a validator of the caller from its cluster; the cluster's balance stays where it is.
    """
    packed_ids: Bytes[MAX_IDS_BYTES] = self._packed(operatorIds)
    cluster_id: bytes32 = self._check_cluster(packed_ids, cluster)
    self._remove_key(publicKey, keccak256(packed_ids))
    after: Cluster = self._shrink(operatorIds, cluster_id, cluster, 1)
    log ValidatorRemoved(owner=msg.sender, operatorIds=operatorIds, publicKey=publicKey, cluster=after)


@external
def bulkRemoveValidator(
    publicKeys: DynArray[Bytes[MAX_KEY], MAX_BULK], operatorIds: DynArray[uint64, MAX_IDS], cluster: Cluster
):
    """
    @notice Takes up to 20 validators of the caller from one cluster.
    """
    if len(publicKeys) == 0:
        raw_revert(method_id("ValidatorDoesNotExist()"))
    packed_ids: Bytes[MAX_IDS_BYTES] = self._packed(operatorIds)
    cluster_id: bytes32 = self._check_cluster(packed_ids, cluster)
    ids_hash: bytes32 = keccak256(packed_ids)
    for key: Bytes[MAX_KEY] in publicKeys:
        self._remove_key(key, ids_hash)
    after: Cluster = self._shrink(operatorIds, cluster_id, cluster, convert(len(publicKeys), uint32))
    for key: Bytes[MAX_KEY] in publicKeys:
        log ValidatorRemoved(owner=msg.sender, operatorIds=operatorIds, publicKey=key, cluster=after)


@external
def exitValidator(publicKey: Bytes[MAX_KEY], operatorIds: DynArray[uint64, MAX_IDS]):
    """
    @notice Asks the operators to sign the exit of a validator of the caller. It stays registered.
    """
    self._check_key(publicKey, keccak256(self._packed(operatorIds)))
    log ValidatorExited(owner=msg.sender, operatorIds=operatorIds, publicKey=publicKey)


@external
def bulkExitValidator(publicKeys: DynArray[Bytes[MAX_KEY], MAX_BULK], operatorIds: DynArray[uint64, MAX_IDS]):
    """
    @notice Asks the operators to sign the exits of up to 20 validators of the caller.
    """
    if len(publicKeys) == 0:
        raw_revert(method_id("ValidatorDoesNotExist()"))
    ids_hash: bytes32 = keccak256(self._packed(operatorIds))
    for key: Bytes[MAX_KEY] in publicKeys:
        self._check_key(key, ids_hash)
        log ValidatorExited(owner=msg.sender, operatorIds=operatorIds, publicKey=key)


@external
def withdraw(operatorIds: DynArray[uint64, MAX_IDS], amount: uint256, cluster: Cluster):
    """
    @notice Pays the caller from the balance of a cluster of the caller.
    @param amount wei
    """
    cluster_id: bytes32 = self._check_cluster(self._packed(operatorIds), cluster)
    if not cluster.active:
        raw_revert(method_id("ClusterIsLiquidated()"))
    if amount > cluster.balance:
        raw_revert(method_id("InsufficientBalance()"))
    after: Cluster = cluster
    after.balance -= amount
    # The new state is in place before the money leaves: a receiver that calls again meets the new state.
    self.clusters[cluster_id] = keccak256(abi_encode(after))
    if not raw_call(msg.sender, b"", value=amount, revert_on_failure=False):
        raw_revert(method_id("ETHTransferFailed()"))
    log ClusterWithdrawn(owner=msg.sender, operatorIds=operatorIds, value=amount, cluster=after)


@external
def setFeeRecipientAddress(recipientAddress: address):
    """
    @notice Names the address that receives the execution rewards of all validators of the caller.
    """
    log FeeRecipientAddressUpdated(owner=msg.sender, recipientAddress=recipientAddress)


# Views


@external
@view
def getOperatorById(operatorId: uint64) -> OperatorData:
    """
    @notice An operator's record; all zero when there is none or it was removed.
    """
    packed: uint256 = self.operators[operatorId]
    return OperatorData(
        owner=convert(packed & OWNER_MASK, address),
        fee=((packed >> FEE_SHIFT) & FEE_MASK) * FEE_UNIT,
        validatorCount=convert((packed >> COUNT_SHIFT) & COUNT_MASK, uint32),
        whitelistedAddress=empty(address),
        isPrivate=(packed >> PRIVATE_SHIFT) == 1,
        isActive=packed != 0,
    )


@external
@view
def getValidator(owner: address, publicKey: Bytes[MAX_KEY]) -> bool:
    """
    @notice Whether the owner has the validator registered.
    """
    return self.validators[keccak256(concat(publicKey, convert(owner, bytes20)))] != empty(bytes32)


@external
@view
def getValidatorsPerOperatorLimit() -> uint32:
    """
    @notice How many validators one operator may serve.
    """
    return VALIDATORS_PER_OPERATOR


# Internals


@internal
@pure
def _check_size(operator_ids: DynArray[uint64, MAX_IDS]):
    size: uint256 = len(operator_ids)
    if size < MIN_OPERATORS or size > MAX_OPERATORS or size % 3 != 1:
        raw_revert(method_id("InvalidOperatorIdsLength()"))


@internal
@pure
def _packed(operator_ids: DynArray[uint64, MAX_IDS]) -> Bytes[MAX_IDS_BYTES]:
    # The encoding of an array is its length and its elements; the elements alone are what is hashed.
    return slice(abi_encode(operator_ids, ensure_tuple=False), 32, 32 * len(operator_ids))


@internal
@view
def _key_id(public_key: Bytes[MAX_KEY]) -> bytes32:
    return keccak256(concat(public_key, convert(msg.sender, bytes20)))


@internal
def _add_key(public_key: Bytes[MAX_KEY], ids_hash: bytes32):
    if len(public_key) != PUBLIC_KEY_LENGTH:
        raw_revert(method_id("InvalidPublicKeyLength()"))
    key_id: bytes32 = self._key_id(public_key)
    if self.validators[key_id] != empty(bytes32):
        raw_revert(abi_encode(public_key, method_id=method_id("ValidatorAlreadyExistsWithData(bytes)")))
    self.validators[key_id] = ids_hash


@internal
@view
def _check_key(public_key: Bytes[MAX_KEY], ids_hash: bytes32) -> bytes32:
    key_id: bytes32 = self._key_id(public_key)
    if self.validators[key_id] != ids_hash:
        raw_revert(abi_encode(public_key, method_id=method_id("IncorrectValidatorStateWithData(bytes)")))
    return key_id


@internal
def _remove_key(public_key: Bytes[MAX_KEY], ids_hash: bytes32):
    self.validators[self._check_key(public_key, ids_hash)] = empty(bytes32)


@internal
@view
def _cluster_id(packed_ids: Bytes[MAX_IDS_BYTES]) -> bytes32:
    return keccak256(concat(convert(msg.sender, bytes20), packed_ids))


@internal
@view
def _check_cluster(packed_ids: Bytes[MAX_IDS_BYTES], cluster: Cluster) -> bytes32:
    cluster_id: bytes32 = self._cluster_id(packed_ids)
    stored: bytes32 = self.clusters[cluster_id]
    if stored == empty(bytes32):
        raw_revert(method_id("ClusterDoesNotExist()"))
    if stored != keccak256(abi_encode(cluster)):
        raw_revert(method_id("IncorrectClusterState()"))
    return cluster_id


@internal
@payable
def _grow(
    operator_ids: DynArray[uint64, MAX_IDS], packed_ids: Bytes[MAX_IDS_BYTES], cluster: Cluster, added: uint32
) -> Cluster:
    cluster_id: bytes32 = self._cluster_id(packed_ids)
    stored: bytes32 = self.clusters[cluster_id]
    if stored == empty(bytes32):
        if (
            cluster.validatorCount != 0
            or cluster.networkFeeIndex != 0
            or cluster.index != 0
            or cluster.balance != 0
            or not cluster.active
        ):
            raw_revert(method_id("IncorrectClusterState()"))
    elif stored != keccak256(abi_encode(cluster)):
        raw_revert(method_id("IncorrectClusterState()"))
    elif not cluster.active:
        raw_revert(method_id("ClusterIsLiquidated()"))

    previous: uint64 = 0
    for operator_id: uint64 in operator_ids:
        if previous != 0 and operator_id <= previous:
            if operator_id == previous:
                raw_revert(method_id("OperatorsListNotUnique()"))
            raw_revert(method_id("UnsortedOperatorsList()"))
        packed: uint256 = self.operators[operator_id]
        if packed == 0:
            raw_revert(method_id("OperatorDoesNotExist()"))
        previous = operator_id
        if packed >> PRIVATE_SHIFT == 1:
            raw_revert(abi_encode(operator_id, method_id=method_id("CallerNotWhitelistedWithData(uint64)")))
        count: uint256 = ((packed >> COUNT_SHIFT) & COUNT_MASK) + convert(added, uint256)
        if count > convert(VALIDATORS_PER_OPERATOR, uint256):
            raw_revert(abi_encode(operator_id, method_id=method_id("ExceedValidatorLimitWithData(uint64)")))
        self.operators[operator_id] = packed + (convert(added, uint256) << COUNT_SHIFT)

    after: Cluster = cluster
    after.validatorCount += added
    after.balance += msg.value
    self.clusters[cluster_id] = keccak256(abi_encode(after))
    return after


@internal
def _shrink(
    operator_ids: DynArray[uint64, MAX_IDS], cluster_id: bytes32, cluster: Cluster, removed: uint32
) -> Cluster:
    # A liquidated cluster's validators were taken off its operators' counts when it was liquidated.
    if cluster.active:
        for operator_id: uint64 in operator_ids:
            packed: uint256 = self.operators[operator_id]
            if packed != 0:
                self.operators[operator_id] = packed - (convert(removed, uint256) << COUNT_SHIFT)
    after: Cluster = cluster
    after.validatorCount -= removed
    self.clusters[cluster_id] = keccak256(abi_encode(after))
    return after

# pragma version 0.4.3
"""
@title Validators: registration with a cluster, removal, exit
@license Apache-2.0
"""
from . import clusters

uses: clusters

PUBLIC_KEY_LENGTH: constant(uint256) = 48
MAX_OPERATORS: constant(uint256) = 13

# Bounds of what a call may carry. Those of keys and ids are wider than what is valid, so that the usual mistakes
# (a key as hex text, an operator too many) are answered by their custom error.
MAX_IDS: constant(uint256) = 32
MAX_IDS_BYTES: constant(uint256) = 32 + 32 * MAX_IDS
MAX_KEY: constant(uint256) = 128
MAX_SHARES: constant(uint256) = 96 + MAX_OPERATORS * (48 + 256)
# Memory for a bulk call is laid out for the longest it may be, and paid for by the callers of shorter ones.
MAX_BULK: constant(uint256) = 20


event ValidatorAdded:
    owner: indexed(address)
    operatorIds: DynArray[uint64, MAX_IDS]
    publicKey: Bytes[MAX_KEY]
    shares: Bytes[MAX_SHARES]
    cluster: clusters.Cluster


event ValidatorRemoved:
    owner: indexed(address)
    operatorIds: DynArray[uint64, MAX_IDS]
    publicKey: Bytes[MAX_KEY]
    cluster: clusters.Cluster


event ValidatorExited:
    owner: indexed(address)
    operatorIds: DynArray[uint64, MAX_IDS]
    publicKey: Bytes[MAX_KEY]


event FeeRecipientAddressUpdated:
    owner: indexed(address)
    recipientAddress: address


# keccak256(validator public key ‖ owner) => keccak256(operator ids, 32 bytes each); zero: not registered
validators: HashMap[bytes32, bytes32]


@external
@payable
def registerValidator(
    publicKey: Bytes[MAX_KEY],
    operatorIds: DynArray[uint64, MAX_IDS],
    sharesData: Bytes[MAX_SHARES],
    cluster: clusters.Cluster,
):
    """
    @notice Registers a validator of the caller with a cluster of operators; what is sent along goes to its balance.
    @param publicKey the validator's BLS public key, 48 bytes
    @param operatorIds 4, 7, 10 or 13 ids, ascending
    @param sharesData owner's signature, share public keys and encrypted shares; not looked into
    @param cluster the state in the cluster's last event; for a new cluster zeroes, active
    """
    clusters._check_size(operatorIds)
    packed_ids: Bytes[MAX_IDS_BYTES] = clusters._packed(operatorIds)
    self._add_key(publicKey, keccak256(packed_ids))
    after: clusters.Cluster = clusters._grow(operatorIds, packed_ids, cluster, 1)
    log ValidatorAdded(
        owner=msg.sender, operatorIds=operatorIds, publicKey=publicKey, shares=sharesData, cluster=after
    )


@external
@payable
def bulkRegisterValidator(
    publicKeys: DynArray[Bytes[MAX_KEY], MAX_BULK],
    operatorIds: DynArray[uint64, MAX_IDS],
    sharesData: DynArray[Bytes[MAX_SHARES], MAX_BULK],
    cluster: clusters.Cluster,
):
    """
    @notice Registers up to 20 validators of the caller with one cluster; each event carries the state after all.
    @param sharesData for each public key, in the same order
    """
    if len(publicKeys) == 0:
        raw_revert(method_id("EmptyPublicKeysList()"))
    if len(publicKeys) != len(sharesData):
        raw_revert(method_id("PublicKeysSharesLengthMismatch()"))
    clusters._check_size(operatorIds)
    packed_ids: Bytes[MAX_IDS_BYTES] = clusters._packed(operatorIds)
    ids_hash: bytes32 = keccak256(packed_ids)
    for i: uint256 in range(len(publicKeys), bound=MAX_BULK):
        self._add_key(publicKeys[i], ids_hash)
    after: clusters.Cluster = clusters._grow(operatorIds, packed_ids, cluster, len(publicKeys))
    for i: uint256 in range(len(publicKeys), bound=MAX_BULK):
        log ValidatorAdded(
            owner=msg.sender,
            operatorIds=operatorIds,
            publicKey=publicKeys[i],
            shares=sharesData[i],
            cluster=after,
        )


@external
def removeValidator(publicKey: Bytes[MAX_KEY], operatorIds: DynArray[uint64, MAX_IDS], cluster: clusters.Cluster):
    """
    @notice Takes a validator of the caller from its cluster; the cluster's balance stays where it is.
    """
    packed_ids: Bytes[MAX_IDS_BYTES] = clusters._packed(operatorIds)
    cluster_id: bytes32 = clusters._check_cluster(msg.sender, packed_ids, cluster)
    self._remove_key(publicKey, keccak256(packed_ids))
    after: clusters.Cluster = clusters._shrink(operatorIds, cluster_id, cluster, 1)
    log ValidatorRemoved(owner=msg.sender, operatorIds=operatorIds, publicKey=publicKey, cluster=after)


@external
def bulkRemoveValidator(
    publicKeys: DynArray[Bytes[MAX_KEY], MAX_BULK], operatorIds: DynArray[uint64, MAX_IDS], cluster: clusters.Cluster
):
    """
    @notice Takes up to 20 validators of the caller from one cluster.
    """
    if len(publicKeys) == 0:
        raw_revert(method_id("ValidatorDoesNotExist()"))
    packed_ids: Bytes[MAX_IDS_BYTES] = clusters._packed(operatorIds)
    cluster_id: bytes32 = clusters._check_cluster(msg.sender, packed_ids, cluster)
    ids_hash: bytes32 = keccak256(packed_ids)
    for key: Bytes[MAX_KEY] in publicKeys:
        self._remove_key(key, ids_hash)
    after: clusters.Cluster = clusters._shrink(operatorIds, cluster_id, cluster, len(publicKeys))
    for key: Bytes[MAX_KEY] in publicKeys:
        log ValidatorRemoved(owner=msg.sender, operatorIds=operatorIds, publicKey=key, cluster=after)


@external
def exitValidator(publicKey: Bytes[MAX_KEY], operatorIds: DynArray[uint64, MAX_IDS]):
    """
    @notice Asks the operators to sign the exit of a validator of the caller. It stays registered.
    """
    self._check_key(publicKey, keccak256(clusters._packed(operatorIds)))
    log ValidatorExited(owner=msg.sender, operatorIds=operatorIds, publicKey=publicKey)


@external
def bulkExitValidator(publicKeys: DynArray[Bytes[MAX_KEY], MAX_BULK], operatorIds: DynArray[uint64, MAX_IDS]):
    """
    @notice Asks the operators to sign the exits of up to 20 validators of the caller.
    """
    if len(publicKeys) == 0:
        raw_revert(method_id("ValidatorDoesNotExist()"))
    ids_hash: bytes32 = keccak256(clusters._packed(operatorIds))
    for key: Bytes[MAX_KEY] in publicKeys:
        self._check_key(key, ids_hash)
        log ValidatorExited(owner=msg.sender, operatorIds=operatorIds, publicKey=key)


@external
def setFeeRecipientAddress(recipientAddress: address):
    """
    @notice Names the address that receives the execution rewards of all validators of the caller.
    """
    log FeeRecipientAddressUpdated(owner=msg.sender, recipientAddress=recipientAddress)


@external
@view
def getValidator(owner: address, publicKey: Bytes[MAX_KEY]) -> bool:
    """
    @notice Whether the owner has the validator registered.
    """
    return self.validators[keccak256(concat(publicKey, convert(owner, bytes20)))] != empty(bytes32)


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

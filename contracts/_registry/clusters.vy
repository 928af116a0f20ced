# pragma version 0.4.3
"""
@title Clusters: balance, settlement, liquidation
@license Apache-2.0
@dev A cluster is the set of validators that one owner runs with one set of operators. Its state is not stored, only
     its hash: each caller brings the state (it stands in the cluster's last event), and the new state leaves in the
     event of the call.

     Every call that brings a cluster's state settles it first: what its validators have cost since the last time leaves
     its balance and is booked to its operators and to the network. If the balance does not suffice, each gets its share
     of what there is. So at any time the contract holds just what stands in clusters, accounts of operators and the
     network's account together, whoever comes late. What each operator had cost at the last settlement is stored (the
     cluster's own index is only the sum).
"""
from . import network
from . import operators

uses: network
uses: operators

MIN_OPERATORS: constant(uint256) = 4
MAX_OPERATORS: constant(uint256) = 13
UNIT: constant(uint256) = 100_000

# The bound of what a call may carry is wider than what is valid, so that an operator too many is answered by its
# custom error.
MAX_IDS: constant(uint256) = 32
MAX_IDS_BYTES: constant(uint256) = 32 + 32 * MAX_IDS

# Operators' indices at a cluster's last settlement, 64 bits each, four in a word.
MARK_WORDS: constant(uint256) = 4
WORD64: constant(uint256) = 2**64 - 1


struct Cluster:
    validatorCount: uint32
    networkFeeIndex: uint64
    index: uint64
    active: bool
    balance: uint256


event ClusterDeposited:
    owner: indexed(address)
    operatorIds: DynArray[uint64, MAX_IDS]
    value: uint256
    cluster: Cluster


event ClusterWithdrawn:
    owner: indexed(address)
    operatorIds: DynArray[uint64, MAX_IDS]
    value: uint256
    cluster: Cluster


event ClusterLiquidated:
    owner: indexed(address)
    operatorIds: DynArray[uint64, MAX_IDS]
    cluster: Cluster


event ClusterReactivated:
    owner: indexed(address)
    operatorIds: DynArray[uint64, MAX_IDS]
    cluster: Cluster


VALIDATORS_PER_OPERATOR: immutable(uint256)

# keccak256(owner ‖ operator ids, 32 bytes each) => hash of the cluster's state; zero: no such cluster
states: HashMap[bytes32, bytes32]
marks: HashMap[bytes32, uint256[MARK_WORDS]]


@deploy
def __init__(validators_per_operator: uint32):
    VALIDATORS_PER_OPERATOR = convert(validators_per_operator, uint256)


# Balance


@external
@payable
def deposit(clusterOwner: address, operatorIds: DynArray[uint64, MAX_IDS], cluster: Cluster):
    """
    @notice Adds what is sent along to a cluster's balance; anybody may. With nothing sent it only settles the cluster,
            which is how its operators come to what they have earned.
    """
    cluster_id: bytes32 = self._check_cluster(clusterOwner, self._packed(operatorIds), cluster)
    after: Cluster = self._settled(operatorIds, cluster_id, cluster)
    after.balance += msg.value
    self.states[cluster_id] = keccak256(abi_encode(after))
    log ClusterDeposited(owner=clusterOwner, operatorIds=operatorIds, value=msg.value, cluster=after)


@external
def withdraw(operatorIds: DynArray[uint64, MAX_IDS], amount: uint256, cluster: Cluster):
    """
    @notice Pays the caller from the balance of a cluster of the caller; what its validators need stays.
    @param amount wei
    """
    cluster_id: bytes32 = self._check_cluster(msg.sender, self._packed(operatorIds), cluster)
    if not cluster.active:
        raw_revert(method_id("ClusterIsLiquidated()"))
    after: Cluster = self._settled(operatorIds, cluster_id, cluster)
    if amount > after.balance:
        raw_revert(method_id("InsufficientBalance()"))
    after.balance -= amount
    if self._liquidatable(operatorIds, after):
        raw_revert(method_id("InsufficientBalance()"))
    self.states[cluster_id] = keccak256(abi_encode(after))
    network._pay(msg.sender, amount)
    log ClusterWithdrawn(owner=msg.sender, operatorIds=operatorIds, value=amount, cluster=after)


@external
def liquidate(clusterOwner: address, operatorIds: DynArray[uint64, MAX_IDS], cluster: Cluster):
    """
    @notice Stops a cluster that cannot pay for long, and pays the caller what is left. An owner may stop its own at any
            time.
    """
    cluster_id: bytes32 = self._check_cluster(clusterOwner, self._packed(operatorIds), cluster)
    if not cluster.active:
        raw_revert(method_id("ClusterIsLiquidated()"))
    after: Cluster = self._settled(operatorIds, cluster_id, cluster)
    if clusterOwner != msg.sender and not self._liquidatable(operatorIds, after):
        raw_revert(method_id("ClusterNotLiquidatable()"))
    left: uint256 = after.balance
    self._serve_less(operatorIds, convert(after.validatorCount, uint256))
    after.active = False
    after.balance = 0
    after.index = 0
    after.networkFeeIndex = 0
    self.states[cluster_id] = keccak256(abi_encode(after))
    if left != 0:
        network._pay(msg.sender, left)
    log ClusterLiquidated(owner=clusterOwner, operatorIds=operatorIds, cluster=after)


@external
@payable
def reactivate(operatorIds: DynArray[uint64, MAX_IDS], cluster: Cluster):
    """
    @notice Starts a liquidated cluster of the caller again with what is sent along.
    """
    cluster_id: bytes32 = self._check_cluster(msg.sender, self._packed(operatorIds), cluster)
    if cluster.active:
        raw_revert(method_id("ClusterAlreadyEnabled()"))
    after: Cluster = cluster
    after.active = True
    after.balance += msg.value
    # Nothing is owed for the time it stood still: its validators count from here on.
    after.validatorCount = 0
    after = self._settled(operatorIds, cluster_id, after)
    after.validatorCount = cluster.validatorCount
    self._serve_more(operatorIds, convert(cluster.validatorCount, uint256), True)
    if self._liquidatable(operatorIds, after):
        raw_revert(method_id("InsufficientBalance()"))
    self.states[cluster_id] = keccak256(abi_encode(after))
    log ClusterReactivated(owner=msg.sender, operatorIds=operatorIds, cluster=after)


# Views


@external
@view
def getValidatorsPerOperatorLimit() -> uint32:
    """
    @notice How many validators one operator may serve.
    """
    return convert(VALIDATORS_PER_OPERATOR, uint32)


@external
@view
def getBalance(clusterOwner: address, operatorIds: DynArray[uint64, MAX_IDS], cluster: Cluster) -> uint256:
    """
    @notice What a cluster holds when all it owes by now is paid, wei.
    """
    self._check_cluster(clusterOwner, self._packed(operatorIds), cluster)
    if not cluster.active:
        return cluster.balance
    return cluster.balance - min(self._owed(operatorIds, cluster) * UNIT, cluster.balance)


@external
@view
def getBurnRate(clusterOwner: address, operatorIds: DynArray[uint64, MAX_IDS], cluster: Cluster) -> uint256:
    """
    @notice What a cluster pays with every block, wei.
    """
    self._check_cluster(clusterOwner, self._packed(operatorIds), cluster)
    if not cluster.active:
        return 0
    return self._burn_rate(operatorIds) * convert(cluster.validatorCount, uint256) * UNIT


@external
@view
def isLiquidatable(clusterOwner: address, operatorIds: DynArray[uint64, MAX_IDS], cluster: Cluster) -> bool:
    """
    @notice Whether anybody may liquidate a cluster now.
    """
    self._check_cluster(clusterOwner, self._packed(operatorIds), cluster)
    if not cluster.active:
        return False
    after: Cluster = cluster
    after.balance -= min(self._owed(operatorIds, cluster) * UNIT, cluster.balance)
    return self._liquidatable(operatorIds, after)


@external
@view
def isLiquidated(clusterOwner: address, operatorIds: DynArray[uint64, MAX_IDS], cluster: Cluster) -> bool:
    """
    @notice Whether a cluster was liquidated and not reactivated.
    """
    self._check_cluster(clusterOwner, self._packed(operatorIds), cluster)
    return not cluster.active


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
@pure
def _cluster_id(owner: address, packed_ids: Bytes[MAX_IDS_BYTES]) -> bytes32:
    return keccak256(concat(convert(owner, bytes20), packed_ids))


@internal
@view
def _check_cluster(owner: address, packed_ids: Bytes[MAX_IDS_BYTES], cluster: Cluster) -> bytes32:
    cluster_id: bytes32 = self._cluster_id(owner, packed_ids)
    stored: bytes32 = self.states[cluster_id]
    if stored == empty(bytes32):
        raw_revert(method_id("ClusterDoesNotExist()"))
    if stored != keccak256(abi_encode(cluster)):
        raw_revert(method_id("IncorrectClusterState()"))
    return cluster_id


@internal
@payable
def _grow(
    operator_ids: DynArray[uint64, MAX_IDS], packed_ids: Bytes[MAX_IDS_BYTES], cluster: Cluster, added: uint256
) -> Cluster:
    cluster_id: bytes32 = self._cluster_id(msg.sender, packed_ids)
    stored: bytes32 = self.states[cluster_id]
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

    self._serve_more(operator_ids, added, False)
    after: Cluster = self._settled(operator_ids, cluster_id, cluster)
    after.validatorCount += convert(added, uint32)
    after.balance += msg.value
    if self._liquidatable(operator_ids, after):
        raw_revert(method_id("InsufficientBalance()"))
    self.states[cluster_id] = keccak256(abi_encode(after))
    return after


@internal
def _shrink(
    operator_ids: DynArray[uint64, MAX_IDS], cluster_id: bytes32, cluster: Cluster, removed: uint256
) -> Cluster:
    after: Cluster = cluster
    # A liquidated cluster's validators were taken off its operators' counts when it was liquidated.
    if cluster.active:
        after = self._settled(operator_ids, cluster_id, cluster)
        self._serve_less(operator_ids, removed)
    after.validatorCount -= convert(removed, uint32)
    self.states[cluster_id] = keccak256(abi_encode(after))
    return after


@internal
def _serve_more(operator_ids: DynArray[uint64, MAX_IDS], added: uint256, removed_too: bool):
    previous: uint64 = 0
    for operator_id: uint64 in operator_ids:
        if previous != 0 and operator_id <= previous:
            if operator_id == previous:
                raw_revert(method_id("OperatorsListNotUnique()"))
            raw_revert(method_id("UnsortedOperatorsList()"))
        previous = operator_id
        record: uint256 = operators.records[operator_id]
        if record == 0 or record & operators.REMOVED_BIT != 0:
            # A cluster may go on without an operator that left; a new validator may not begin so.
            if removed_too:
                continue
            raw_revert(method_id("OperatorDoesNotExist()"))
        operators._check_open(operator_id, record, msg.sender)
        if ((record >> operators.COUNT_SHIFT) & operators.WORD32) + added > VALIDATORS_PER_OPERATOR:
            raw_revert(abi_encode(operator_id, method_id=method_id("ExceedValidatorLimitWithData(uint64)")))
        operators.records[operator_id] = record + (added << operators.COUNT_SHIFT)


@internal
def _serve_less(operator_ids: DynArray[uint64, MAX_IDS], removed: uint256):
    for operator_id: uint64 in operator_ids:
        record: uint256 = operators.records[operator_id]
        if record & operators.REMOVED_BIT == 0:
            operators.records[operator_id] = record - (removed << operators.COUNT_SHIFT)


@internal
def _settled(operator_ids: DynArray[uint64, MAX_IDS], cluster_id: bytes32, cluster: Cluster) -> Cluster:
    # The state with everything paid up to this block; the caller stores its hash.
    if not cluster.active:
        return cluster
    count: uint256 = convert(cluster.validatorCount, uint256)
    old: uint256[MARK_WORDS] = self.marks[cluster_id]
    new: uint256[MARK_WORDS] = empty(uint256[MARK_WORDS])
    dues: uint256[MAX_OPERATORS] = empty(uint256[MAX_OPERATORS])
    sum: uint256 = 0
    owed: uint256 = 0
    for i: uint256 in range(len(operator_ids), bound=MAX_OPERATORS):
        index: uint256 = operators._index(operator_ids[i])
        bits: uint256 = 64 * (i % 4)
        sum += index
        new[i // 4] |= index << bits
        if count != 0:
            dues[i] = (index - ((old[i // 4] >> bits) & WORD64)) * count
            owed += dues[i]
    network_index: uint256 = network._index()
    network_due: uint256 = (network_index - convert(cluster.networkFeeIndex, uint256)) * count
    owed += network_due
    available: uint256 = cluster.balance // UNIT
    paid: uint256 = min(owed, available)
    rest: uint256 = paid
    if paid != 0:
        for i: uint256 in range(len(operator_ids), bound=MAX_OPERATORS):
            # All that is due, or of too little the operator's share.
            part: uint256 = dues[i] * paid // owed
            if part != 0:
                rest -= part
                operators._earn(operator_ids[i], part)
        # What rounding leaves over is the network's.
        if rest != 0:
            network.earnings += rest
    for word: uint256 in range(MARK_WORDS):
        if new[word] != old[word]:
            self.marks[cluster_id][word] = new[word]
    after: Cluster = cluster
    after.balance -= paid * UNIT
    after.index = convert(sum, uint64)
    after.networkFeeIndex = convert(network_index, uint64)
    return after


@internal
@view
def _owed(operator_ids: DynArray[uint64, MAX_IDS], cluster: Cluster) -> uint256:
    sum: uint256 = network._index() - convert(cluster.networkFeeIndex, uint256)
    for operator_id: uint64 in operator_ids:
        sum += operators._index(operator_id)
    return (sum - convert(cluster.index, uint256)) * convert(cluster.validatorCount, uint256)


@internal
@view
def _burn_rate(operator_ids: DynArray[uint64, MAX_IDS]) -> uint256:
    rate: uint256 = network.fee
    for operator_id: uint64 in operator_ids:
        rate += (operators.records[operator_id] >> operators.FEE_SHIFT) & operators.WORD32
    return rate


@internal
@view
def _liquidatable(operator_ids: DynArray[uint64, MAX_IDS], settled: Cluster) -> bool:
    count: uint256 = convert(settled.validatorCount, uint256)
    if count == 0:
        return False
    if settled.balance < network.minimum_collateral:
        return True
    blocks: uint256 = convert(network.threshold_blocks, uint256)
    return settled.balance < blocks * self._burn_rate(operator_ids) * count * UNIT

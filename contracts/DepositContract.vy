# pragma version 0.4.3
# pragma evm-version cancun
# pragma optimize gas
"""
@title Deposits of validators
@license Apache-2.0
@notice For chains that have no beacon deposit contract. Calls, event, answers and reasons of refusal are byte for byte
        those of the beacon chain's (consensus specification, phase0 deposit contract; EIP-6110 reads its event).
@dev The deposits are the leaves of a Merkle tree of depth 32. Of the tree only the nodes on the path of the next leaf
     are kept: branch[h] is the root of the last whole subtree of height h that no later leaf is part of.
     Nothing leaves this contract: the money comes back on the beacon chain.
"""

interface ERC165:
    def supportsInterface(interfaceId: bytes4) -> bool: pure

implements: ERC165

DEPTH: constant(uint256) = 32
MAX_COUNT: constant(uint256) = 2**DEPTH - 1
ZERO32: constant(bytes32) = empty(bytes32)
# supportsInterface(bytes4), and the three functions of the deposit contract.
ERC165_ID: constant(bytes4) = 0x01ffc9a7
DEPOSIT_ID: constant(bytes4) = 0x85640907

# What a call may carry is bounded; a little over what is valid, so that a wrong length gets its reason.
MAX_FIELD: constant(uint256) = 128

event DepositEvent:
    pubkey: Bytes[48]
    withdrawal_credentials: Bytes[32]
    amount: Bytes[8]
    signature: Bytes[96]
    index: Bytes[8]

branch: bytes32[DEPTH]
# zero_hashes[h]: root of a subtree of height h without leaves.
zero_hashes: bytes32[DEPTH]
count: uint256


@deploy
def __init__():
    for height: uint256 in range(DEPTH - 1):
        self.zero_hashes[height + 1] = self._node(self.zero_hashes[height], self.zero_hashes[height])


@external
@payable
def deposit(
    pubkey: Bytes[MAX_FIELD],
    withdrawal_credentials: Bytes[MAX_FIELD],
    signature: Bytes[MAX_FIELD],
    deposit_data_root: bytes32,
):
    """
    @notice Deposits the ether sent for a validator.
    @param pubkey the validator's BLS public key, 48 bytes
    @param withdrawal_credentials who may withdraw, 32 bytes
    @param signature over the deposit message, 96 bytes; judged by the beacon chain, not here
    @param deposit_data_root SSZ root of the DepositData, against mistakes in the other arguments
    """
    assert len(pubkey) == 48, "DepositContract: invalid pubkey length"
    assert len(withdrawal_credentials) == 32, "DepositContract: invalid withdrawal_credentials length"
    assert len(signature) == 96, "DepositContract: invalid signature length"
    assert msg.value >= 10**18, "DepositContract: deposit value too low"
    assert msg.value % 10**9 == 0, "DepositContract: deposit value not multiple of gwei"
    amount: uint256 = msg.value // 10**9
    assert amount <= convert(max_value(uint64), uint256), "DepositContract: deposit value too high"

    amount_bytes: Bytes[8] = self._little_endian(amount)
    log DepositEvent(
        pubkey=slice(pubkey, 0, 48),
        withdrawal_credentials=slice(withdrawal_credentials, 0, 32),
        amount=amount_bytes,
        signature=slice(signature, 0, 96),
        index=self._little_endian(self.count),
    )

    pubkey_root: bytes32 = sha256(concat(slice(pubkey, 0, 48), slice(ZERO32, 0, 16)))
    signature_root: bytes32 = self._node(
        sha256(slice(signature, 0, 64)), sha256(concat(slice(signature, 64, 32), ZERO32))
    )
    leaf: bytes32 = self._node(
        self._node(pubkey_root, convert(slice(withdrawal_credentials, 0, 32), bytes32)),
        sha256(concat(amount_bytes, slice(ZERO32, 0, 24), signature_root)),
    )
    assert (
        leaf == deposit_data_root
    ), "DepositContract: reconstructed DepositData does not match supplied deposit_data_root"
    assert self.count < MAX_COUNT, "DepositContract: merkle tree full"

    self.count += 1
    size: uint256 = self.count
    for height: uint256 in range(DEPTH):
        # The lowest set bit of the number of leaves is the height of the subtree that this leaf has completed.
        if size & 1 == 1:
            self.branch[height] = leaf
            return
        leaf = self._node(self.branch[height], leaf)
        size >>= 1


@external
@view
def get_deposit_root() -> bytes32:
    """
    @notice Root of the tree of deposits, mixed with their number.
    """
    node: bytes32 = ZERO32
    size: uint256 = self.count
    for height: uint256 in range(DEPTH):
        if size & 1 == 1:
            node = self._node(self.branch[height], node)
        else:
            node = self._node(node, self.zero_hashes[height])
        size >>= 1
    return sha256(concat(node, self._little_endian(self.count), slice(ZERO32, 0, 24)))


@external
@view
def get_deposit_count() -> Bytes[8]:
    """
    @notice Number of deposits, little-endian in 8 bytes.
    """
    return self._little_endian(self.count)


@external
@pure
def supportsInterface(interfaceId: bytes4) -> bool:
    """
    @notice ERC-165.
    """
    return interfaceId == ERC165_ID or interfaceId == DEPOSIT_ID


@internal
@pure
def _node(left: bytes32, right: bytes32) -> bytes32:
    return sha256(concat(left, right))


@internal
@pure
def _little_endian(number: uint256) -> Bytes[8]:
    reversed: uint256 = 0
    for place: uint256 in range(8):
        reversed = (reversed << 8) | ((number >> (8 * place)) & 255)
    return slice(convert(reversed, bytes32), 24, 8)

# pragma version 0.4.3
# pragma evm-version cancun
# pragma optimize gas
"""
@title A pool of stakes whose validators are run by committees of operators
@license Apache-2.0
@notice Takes ether from many for shares of all it owns, makes validators of it through the registry and the beacon
        deposit contract, books what they earn or lose by signed reports, and pays those who leave in the order they
        asked. No function lets one party take deposits; docs/contracts.md says who may do what.
@dev The parts are in _pool/: shares (ERC-20), council (members, parameters, pause), vault (books, staking, queue),
     validators (registry, deposits, clusters, exits), reports; the owner in two steps is the registry's part.
     A call with an array or byte string longer than its bound reverts without data.
"""
from _registry import governance
from _pool import council
from _pool import reports
from _pool import shares
from _pool import validators
from _pool import vault

initializes: governance
initializes: council[governance := governance]
initializes: shares
initializes: vault[council := council, shares := shares]
initializes: validators[council := council, vault := vault]
initializes: reports[council := council, shares := shares, validators := validators, vault := vault]

# The custom errors. Vyper 0.4 cannot declare them; scripts/abi reads these lines into the published ABI.
# error ApprovalOfStranger(address signer)
# error ApprovalsUnsorted()
# error BudgetExceeded(uint256 allowance, uint256 asked)
# error CallerNotOwnerWithData(address caller, address owner)
# error CommitteeNotAllowed()
# error DepositRootChanged(bytes32 expected, bytes32 found)
# error ETHTransferFailed()
# error InsufficientAllowance(uint256 allowance, uint256 needed)
# error InsufficientShares(uint256 balance, uint256 needed)
# error InvalidMembers()
# error InvalidParameters()
# error InvalidReceiver(address receiver)
# error KeyUsed(bytes publicKey)
# error NoExitNeeded()
# error NotAContract()
# error NotAnnounced()
# error NotEnoughFree(uint256 free, uint256 needed)
# error NotMember(address caller)
# error NotPaused()
# error NothingLeft()
# error NothingToClaim(uint256 id)
# error PauseTooSoon(uint256 possibleFrom)
# error PoolPaused(uint256 until)
# error QuorumMissing(uint256 valid, uint256 needed)
# error ReportExceedsBalance(uint256 received, uint256 there)
# error ReportFromFuture()
# error ReportOutOfBounds(int256 change, int256 lowest, int256 highest)
# error ReportTooOld()
# error RequestTooLarge(uint256 assets, uint256 most)
# error RequestTooSmall(uint256 assets, uint256 least)
# error StakeTooSmall(uint256 assets, uint256 least)
# error TooEarly(uint256 executableAt)
# error WrongNonce(uint256 expected)
# error WrongReportNumber(uint64 expected)
# error WrongValidatorState(bytes publicKey, uint8 state)

exports: governance.__interface__
exports: council.__interface__
exports: shares.__interface__
exports: vault.__interface__
exports: validators.__interface__
exports: reports.__interface__


@deploy
def __init__(
    registry: address,
    depositContract: address,
    members: DynArray[address, council.MAX_MEMBERS],
    quorum: uint8,
    parameters: council.Parameters,
):
    """
    @notice Makes the caller the owner.
    @param members those who sign, ascending, 1 to 13
    @param quorum how many must sign, more than two thirds
    """
    governance.__init__()
    council.__init__(members, quorum, parameters)
    vault.__init__()
    validators.__init__(registry, depositContract)
    reports.__init__()


@external
@payable
def __default__():
    """
    @notice Takes ether: tips, what a cluster gives back, gifts. It belongs to the pool when a report has booked it.
    """
    pass

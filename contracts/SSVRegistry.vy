# pragma version 0.4.3
# pragma evm-version cancun
# pragma optimize gas
"""
@title Registry of operators, and of validators whose keys are shared among them
@license Apache-2.0
@notice The selectors, events and custom errors are those of the SSV network contract in its form paid in ETH, so that
        whatever reads or calls one of them can read and call the other. docs/contracts.md lists what differs, and why.
@dev The parts are in _registry/ (Brownie takes what lies in other folders for contracts): governance (who sets
     parameters), network (parameters, the network's fee), operators, clusters (balances, settlement, liquidation),
     validators. Amounts are wei outside and units of 100,000 wei inside.
     A call with an array or byte string longer than its bound reverts without data.
"""
from _registry import clusters
from _registry import governance
from _registry import network
from _registry import operators
from _registry import validators

initializes: governance
initializes: network[governance := governance]
initializes: operators[network := network]
initializes: clusters[network := network, operators := operators]
initializes: validators[clusters := clusters]

# The custom errors. Vyper 0.4 cannot declare them; scripts/abi reads these lines into the published ABI.
# error ApprovalNotWithinTimeframe()
# error CallerNotOwnerWithData(address caller, address owner)
# error CallerNotWhitelistedWithData(uint64 operatorId)
# error ClusterAlreadyEnabled()
# error ClusterDoesNotExist()
# error ClusterIsLiquidated()
# error ClusterNotLiquidatable()
# error EmptyPublicKeysList()
# error ETHTransferFailed()
# error ExceedValidatorLimitWithData(uint64 operatorId)
# error FeeExceedsIncreaseLimit()
# error FeeIncreaseNotAllowed()
# error FeeTooHigh()
# error FeeTooLow()
# error IncorrectClusterState()
# error IncorrectValidatorStateWithData(bytes publicKey)
# error InsufficientBalance()
# error InvalidOperatorIdsLength()
# error InvalidPublicKeyLength()
# error InvalidWhitelistAddressesLength()
# error MaxPrecisionExceeded()
# error MaxValueExceeded()
# error NewBlockPeriodIsBelowMinimum()
# error NoFeeDeclared()
# error OperatorAlreadyExists()
# error OperatorDoesNotExist()
# error OperatorsListNotUnique()
# error PublicKeysSharesLengthMismatch()
# error SameFeeChangeNotAllowed()
# error UnsortedOperatorsList()
# error ValidatorAlreadyExistsWithData(bytes publicKey)
# error ValidatorDoesNotExist()
# error ZeroAddressNotAllowed()

exports: governance.__interface__
exports: network.__interface__
exports: operators.__interface__
exports: clusters.__interface__
exports: validators.__interface__


@deploy
def __init__(validatorsPerOperatorLimit: uint32):
    """
    @notice Makes the caller the owner. The network takes nothing and asks no collateral until the owner says so.
    @param validatorsPerOperatorLimit how many validators one operator may serve
    """
    governance.__init__()
    network.__init__()
    clusters.__init__(validatorsPerOperatorLimit)

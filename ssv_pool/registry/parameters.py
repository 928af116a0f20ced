"""What a registry is deployed with and what its owner sets; imports nothing heavy, for command lines."""

from typing import Final

VALIDATORS_PER_OPERATOR: Final = 3_000
"""Default limit of validators per operator of a deployed registry."""

PARAMETERS: Final = {
    "network-fee": ("updateNetworkFee", "wei per block and validator"),
    "operator-fee-increase-limit": ("updateOperatorFeeIncreaseLimit", "hundredths of a percent"),
    "declare-period": ("updateDeclareOperatorFeePeriod", "seconds"),
    "execute-period": ("updateExecuteOperatorFeePeriod", "seconds"),
    "maximum-operator-fee": ("updateMaximumOperatorFee", "wei per block and validator"),
    "liquidation-threshold": ("updateLiquidationThresholdPeriod", "blocks"),
    "minimum-collateral": ("updateMinimumLiquidationCollateral", "wei"),
}
"""Parameters that the contract's owner sets: name → function and unit."""

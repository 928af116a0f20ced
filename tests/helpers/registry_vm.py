"""The registry contract in titanoboa, called and read through Solidity signatures alone.

Nothing here uses the ABI that the compiler wrote: calls, errors and events are encoded from their signatures.
"""

from collections.abc import Sequence
from typing import Any

from contract_vm import ContractVM, types_of
from eth_abi.abi import decode
from eth_utils.crypto import keccak

CLUSTER = "(uint32,uint64,uint64,bool,uint256)"
NEW_CLUSTER = (0, 0, 0, True, 0)
ZERO_ADDRESS = "0x" + "00" * 20
UNIT = 100_000
"""Wei of one unit of the contract's books."""

REGISTER_OPERATOR = "registerOperator(bytes,uint256,bool)"
REMOVE_OPERATOR = "removeOperator(uint64)"
REGISTER = f"registerValidator(bytes,uint64[],bytes,{CLUSTER})"
BULK_REGISTER = f"bulkRegisterValidator(bytes[],uint64[],bytes[],{CLUSTER})"
REMOVE = f"removeValidator(bytes,uint64[],{CLUSTER})"
BULK_REMOVE = f"bulkRemoveValidator(bytes[],uint64[],{CLUSTER})"
EXIT = "exitValidator(bytes,uint64[])"
BULK_EXIT = "bulkExitValidator(bytes[],uint64[])"
WITHDRAW = f"withdraw(uint64[],uint256,{CLUSTER})"
DEPOSIT = f"deposit(address,uint64[],{CLUSTER})"
LIQUIDATE = f"liquidate(address,uint64[],{CLUSTER})"
REACTIVATE = f"reactivate(uint64[],{CLUSTER})"
GET_BALANCE = f"getBalance(address,uint64[],{CLUSTER})"
BURN_RATE = f"getBurnRate(address,uint64[],{CLUSTER})"
LIQUIDATABLE = f"isLiquidatable(address,uint64[],{CLUSTER})"
FEE_RECIPIENT = "setFeeRecipientAddress(address)"

OPERATOR_ADDED = "OperatorAdded(uint64,address,bytes,uint256)"
OPERATOR_REMOVED = "OperatorRemoved(uint64)"
PRIVACY_UPDATED = "OperatorPrivacyStatusUpdated(uint64[],bool)"
VALIDATOR_ADDED = f"ValidatorAdded(address,uint64[],bytes,bytes,{CLUSTER})"
VALIDATOR_REMOVED = f"ValidatorRemoved(address,uint64[],bytes,{CLUSTER})"
VALIDATOR_EXITED = "ValidatorExited(address,uint64[],bytes)"
CLUSTER_WITHDRAWN = f"ClusterWithdrawn(address,uint64[],uint256,{CLUSTER})"
CLUSTER_DEPOSITED = f"ClusterDeposited(address,uint64[],uint256,{CLUSTER})"
CLUSTER_LIQUIDATED = f"ClusterLiquidated(address,uint64[],{CLUSTER})"
CLUSTER_REACTIVATED = f"ClusterReactivated(address,uint64[],{CLUSTER})"
FEE_RECIPIENT_UPDATED = "FeeRecipientAddressUpdated(address,address)"


class RegistryVM(ContractVM):
    """A newly deployed registry.

    Args:
        limit: validators per operator.
    """

    def __init__(self, limit: int = 60) -> None:
        super().__init__("SSVRegistry", limit)

    def operators(self, owner: str, count: int, fees: Sequence[int] = ()) -> list[int]:
        """Register operators, for nothing where no fee is given, and return their ids."""
        return [
            int.from_bytes(self.call(REGISTER_OPERATOR, f"{owner} {number}".encode(), fee, False, sender=owner), "big")
            for number, fee in enumerate(fees or [0] * count)
        ]

    def register(self, owner: str, keys: list[bytes], ids: list[int], cluster: Any, value: int = 0) -> tuple[Any, ...]:
        """Register validators in one call and return the cluster's new state."""
        self.call(BULK_REGISTER, keys, ids, [b"shares"] * len(keys), cluster, sender=owner, value=value)
        return tuple(decode(types_of(VALIDATOR_ADDED)[1:], self.logs[-1][1])[-1])

    def operator(self, operator_id: int) -> tuple[Any, ...]:
        """An operator's owner, fee, validators, whitelisted address, privacy, presence."""
        types = ["address", "uint256", "uint32", "address", "bool", "bool"]
        return tuple(decode(types, self.call("getOperatorById(uint64)", operator_id, sender=ZERO_ADDRESS)))

    def cluster_of(self, signature: str) -> tuple[Any, ...]:
        """The cluster's state in the last call's only log, an event of this signature."""
        ((topics, data),) = self.logs
        assert topics[0] == keccak(text=signature)
        return tuple(decode(types_of(signature)[1:], data)[-1])

    def number(self, signature: str, *values: Any) -> int:
        """What a view answers with."""
        return int.from_bytes(self.call(signature, *values, sender=ZERO_ADDRESS), "big")

    def earnings(self, ids: Sequence[int]) -> list[int]:
        """What operators have earned and not withdrawn, wei."""
        return [self.number("getOperatorEarnings(uint64)", operator_id) for operator_id in ids]

"""The registry contract in titanoboa, called and read through Solidity signatures alone.

Nothing here uses the ABI that the compiler wrote: calls, errors and events are encoded from their signatures.
"""

from typing import Any

from contract_vm import ContractVM, types_of
from eth_abi.abi import decode

CLUSTER = "(uint32,uint64,uint64,bool,uint256)"
NEW_CLUSTER = (0, 0, 0, True, 0)

REGISTER_OPERATOR = "registerOperator(bytes,uint256,bool)"
REMOVE_OPERATOR = "removeOperator(uint64)"
REGISTER = f"registerValidator(bytes,uint64[],bytes,{CLUSTER})"
BULK_REGISTER = f"bulkRegisterValidator(bytes[],uint64[],bytes[],{CLUSTER})"
REMOVE = f"removeValidator(bytes,uint64[],{CLUSTER})"
BULK_REMOVE = f"bulkRemoveValidator(bytes[],uint64[],{CLUSTER})"
EXIT = "exitValidator(bytes,uint64[])"
BULK_EXIT = "bulkExitValidator(bytes[],uint64[])"
WITHDRAW = f"withdraw(uint64[],uint256,{CLUSTER})"
FEE_RECIPIENT = "setFeeRecipientAddress(address)"

OPERATOR_ADDED = "OperatorAdded(uint64,address,bytes,uint256)"
OPERATOR_REMOVED = "OperatorRemoved(uint64)"
PRIVACY_UPDATED = "OperatorPrivacyStatusUpdated(uint64[],bool)"
VALIDATOR_ADDED = f"ValidatorAdded(address,uint64[],bytes,bytes,{CLUSTER})"
VALIDATOR_REMOVED = f"ValidatorRemoved(address,uint64[],bytes,{CLUSTER})"
VALIDATOR_EXITED = "ValidatorExited(address,uint64[],bytes)"
CLUSTER_WITHDRAWN = f"ClusterWithdrawn(address,uint64[],uint256,{CLUSTER})"
FEE_RECIPIENT_UPDATED = "FeeRecipientAddressUpdated(address,address)"


class RegistryVM(ContractVM):
    """A newly deployed registry.

    Args:
        limit: validators per operator.
    """

    def __init__(self, limit: int = 60) -> None:
        super().__init__("SSVRegistry", limit)

    def operators(self, owner: str, count: int) -> list[int]:
        """Register operators and return their ids."""
        return [
            int.from_bytes(self.call(REGISTER_OPERATOR, f"{owner} {number}".encode(), 0, False, sender=owner), "big")
            for number in range(count)
        ]

    def register(self, owner: str, keys: list[bytes], ids: list[int], cluster: Any, value: int = 0) -> tuple[Any, ...]:
        """Register validators in one call and return the cluster's new state."""
        self.call(BULK_REGISTER, keys, ids, [b"shares"] * len(keys), cluster, sender=owner, value=value)
        return tuple(decode(types_of(VALIDATOR_ADDED)[1:], self.logs[-1][1])[-1])

    def operator(self, operator_id: int) -> tuple[Any, ...]:
        """An operator's owner, fee, validators, whitelisted address, privacy, presence."""
        types = ["address", "uint256", "uint32", "address", "bool", "bool"]
        zero = "0x" + "00" * 20
        return tuple(decode(types, self.call("getOperatorById(uint64)", operator_id, sender=zero)))

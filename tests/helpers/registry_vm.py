"""The registry contract in titanoboa, called and read through Solidity signatures alone.

Nothing here uses the ABI that the compiler wrote: calls, errors and events are encoded from their signatures.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import boa
from eth_abi.abi import decode, encode
from eth_utils.crypto import keccak

SOURCE = Path(__file__).resolve().parent.parent.parent / "contracts" / "SSVRegistry.vy"

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

Log = tuple[tuple[bytes, ...], bytes]
"""A log's topics, 32 bytes each, and its data."""


def types_of(signature: str) -> list[str]:
    """The parameter types of a signature."""
    types, depth, start = [], 0, 0
    inner = signature[signature.index("(") + 1 : -1]
    for position, character in enumerate(inner):
        depth += (character == "(") - (character == ")")
        if character == "," and not depth:
            types.append(inner[start:position])
            start = position + 1
    return [*types, inner[start:]] if inner else []


def event(signature: str, *values: Any, indexed: int) -> Log:
    """The log that an event must leave; the first `indexed` parameters are topics."""
    types = types_of(signature)
    topics = [encode([kind], [value]) for kind, value in zip(types[:indexed], values[:indexed], strict=True)]
    return (keccak(text=signature), *topics), encode(types[indexed:], values[indexed:])


@dataclass
class RefusedError(Exception):
    """A call reverted."""

    data: bytes
    """What it reverted with."""


def refusal(signature: str, *values: Any) -> bytes:
    """What a call must revert with for a custom error."""
    return keccak(text=signature)[:4] + encode(types_of(signature), values)


@cache
def _deployer() -> Any:
    return boa.load_partial(str(SOURCE))


class RegistryVM:
    """A newly deployed registry.

    Args:
        limit: validators per operator.
    """

    def __init__(self, limit: int = 60) -> None:
        self.contract = _deployer().deploy(limit)
        self.logs: list[Log] = []
        """The logs of the last call."""

    def account(self) -> str:
        """An address that owns ether."""
        address: str = boa.env.generate_address()
        boa.env.set_balance(address, 10**24)
        return address

    def call(self, signature: str, *values: Any, sender: str, value: int = 0) -> bytes:
        """Call a function and return what it returns.

        Raises:
            RefusedError: it reverted.
        """
        calldata = keccak(text=signature)[:4] + encode(types_of(signature), values)
        run = boa.env.execute_code(to_address=self.contract.address, sender=sender, data=calldata, value=value)
        if run.is_error:
            raise RefusedError(bytes(run.output))
        self.logs = [
            (tuple(topic.to_bytes(32, "big") for topic in topics), bytes(data))
            for _, _, topics, data in run.get_raw_log_entries()
        ]
        return bytes(run.output)

    def refused(self, signature: str, *values: Any, sender: str, value: int = 0) -> bytes:
        """Call a function that must revert and return what it reverts with."""
        try:
            self.call(signature, *values, sender=sender, value=value)
        except RefusedError as refused:
            return refused.data
        raise AssertionError(f"{signature} was not refused")

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

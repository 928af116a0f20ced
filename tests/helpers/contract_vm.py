"""A contract in titanoboa, called and read through Solidity signatures alone.

Nothing here uses the ABI that the compiler wrote: calls, errors and events are encoded from their signatures.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import boa
from eth_abi.abi import encode
from eth_utils.crypto import keccak

CONTRACTS = Path(__file__).resolve().parent.parent.parent / "contracts"

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
def _deployer(name: str) -> Any:
    return boa.load_partial(str(CONTRACTS / f"{name}.vy"))


class ContractVM:
    """A newly deployed contract.

    Args:
        name: of the contract's source file.
        arguments: of its constructor.
    """

    def __init__(self, name: str, *arguments: Any) -> None:
        self.contract = _deployer(name).deploy(*arguments)
        self.logs: list[Log] = []
        """The logs of the last call."""

    def account(self, wei: int = 10**24) -> str:
        """An address that owns ether."""
        address: str = boa.env.generate_address()
        boa.env.set_balance(address, wei)
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

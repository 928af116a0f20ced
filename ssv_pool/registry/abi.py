"""The registry contract's events as this client reads them: signatures, topics, decoding of one log's words.

Topics are computed from the signatures; a test compares them with the published ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError, EncodingError
from eth_utils.crypto import keccak

CLUSTER_TYPE = "(uint32,uint64,uint64,bool,uint256)"
"""Validator count, network fee index, index, active, balance."""

_WORD = 32


class AbiDecodeError(ValueError):
    """Topics or data are not what the event's signature says."""


@dataclass(frozen=True, slots=True)
class EventAbi:
    """One event's name and arguments."""

    name: str
    indexed: tuple[str, ...]
    """Types of the indexed arguments, which come first in every event of this contract."""
    plain: tuple[str, ...]
    """Types of the other arguments."""
    topic: bytes = field(init=False)
    """keccak256 of the signature, 32 bytes."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "topic", keccak(text=self.signature))

    @property
    def signature(self) -> str:
        """Name and argument types, as hashed for the topic."""
        return f"{self.name}({','.join(self.indexed + self.plain)})"

    def decode(self, topics: Sequence[bytes], data: bytes) -> tuple[Any, ...]:
        """The arguments in order: ints, bytes (also for addresses, 20 bytes), bools, tuples.

        Only the canonical encoding is taken, byte for byte: that is what a contract emits.

        Raises:
            AbiDecodeError: another number of topics, a value out of its type's range, data cut short or too long.
        """
        if len(topics) != 1 + len(self.indexed):
            raise AbiDecodeError(f"{len(topics)} topics, expected {1 + len(self.indexed)}")
        values = [_topic_value(kind, topic) for kind, topic in zip(self.indexed, topics[1:], strict=True)]
        if not self.plain:
            if data:
                raise AbiDecodeError(f"{len(data)} bytes of data, expected none")
            return tuple(values)
        try:
            plain = decode(self.plain, data, strict=True)
            canonical = encode(self.plain, plain) == data
        except (DecodingError, EncodingError, OverflowError, ValueError) as error:
            raise AbiDecodeError(f"{len(data)} bytes of data do not decode ({type(error).__name__})") from None
        if not canonical:
            raise AbiDecodeError(f"{len(data)} bytes of data are not in canonical form")
        return (*values, *map(_plain_value, self.plain, plain))


OPERATOR_ADDED = EventAbi("OperatorAdded", ("uint64", "address"), ("bytes", "uint256"))
OPERATOR_REMOVED = EventAbi("OperatorRemoved", ("uint64",), ())
VALIDATOR_ADDED = EventAbi("ValidatorAdded", ("address",), ("uint64[]", "bytes", "bytes", CLUSTER_TYPE))
VALIDATOR_REMOVED = EventAbi("ValidatorRemoved", ("address",), ("uint64[]", "bytes", CLUSTER_TYPE))
CLUSTER_LIQUIDATED = EventAbi("ClusterLiquidated", ("address",), ("uint64[]", CLUSTER_TYPE))
CLUSTER_REACTIVATED = EventAbi("ClusterReactivated", ("address",), ("uint64[]", CLUSTER_TYPE))
FEE_RECIPIENT_UPDATED = EventAbi("FeeRecipientAddressUpdated", ("address",), ("address",))
VALIDATOR_EXITED = EventAbi("ValidatorExited", ("address",), ("uint64[]", "bytes"))

EVENTS: dict[bytes, EventAbi] = {
    event.topic: event
    for event in (
        OPERATOR_ADDED,
        OPERATOR_REMOVED,
        VALIDATOR_ADDED,
        VALIDATOR_REMOVED,
        CLUSTER_LIQUIDATED,
        CLUSTER_REACTIVATED,
        FEE_RECIPIENT_UPDATED,
        VALIDATOR_EXITED,
    )
}
"""Topic → event, for all events this client acts upon. Whatever else the contract emits is none of its business."""


def unpack_bytes(packed: bytes) -> bytes:
    """The content of one ABI-encoded ``bytes`` or ``string`` argument inside a byte string.

    Operators send their key packed like this, as they please: as in the clients of the field, neither padding nor
    what follows the content is looked at, so that all clients take the same keys.

    Raises:
        AbiDecodeError: offset or length point outside.
    """
    if len(packed) < 2 * _WORD:
        raise AbiDecodeError(f"packed bytes: {len(packed)} bytes, expected at least {2 * _WORD}")
    offset = int.from_bytes(packed[:_WORD], "big")
    if offset + _WORD > len(packed):
        raise AbiDecodeError(f"packed bytes: offset {offset} in {len(packed)} bytes")
    length = int.from_bytes(packed[offset : offset + _WORD], "big")
    start = offset + _WORD
    if start + length > len(packed):
        raise AbiDecodeError(f"packed bytes: length {length} at {offset} in {len(packed)} bytes")
    return packed[start : start + length]


def pack_bytes(content: bytes) -> bytes:
    """ABI-encode one ``bytes`` argument: what an operator sends as its key."""
    return encode(["bytes"], [content])


def _topic_value(kind: str, topic: bytes) -> int | bytes:
    size = 8 if kind == "uint64" else 20
    if len(topic) != _WORD or any(topic[:-size]):
        raise AbiDecodeError(f"topic 0x{topic.hex()}, expected {kind}")
    return int.from_bytes(topic, "big") if kind == "uint64" else topic[-size:]


def _plain_value(kind: str, value: Any) -> Any:
    """eth_abi gives addresses as hex text."""
    return bytes.fromhex(value[2:]) if kind == "address" else value

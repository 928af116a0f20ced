"""A log of the registry contract → a typed event, or a clear error."""

from dataclasses import dataclass
from typing import TypeAlias

from ssv_pool.protocol.types.primitives import OperatorId
from ssv_pool.registry import abi
from ssv_pool.registry.abi import AbiDecodeError, EventAbi


@dataclass(frozen=True, slots=True)
class Log:
    """One log as the execution node gave it."""

    topics: tuple[bytes, ...]
    """32 bytes each."""
    data: bytes
    block_number: int
    block_hash: bytes
    """32 bytes."""
    transaction_hash: bytes
    """32 bytes."""
    transaction_index: int
    log_index: int
    """Place in the block."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """The state of a cluster: the validators that one owner runs with one set of operators."""

    validator_count: int
    network_fee_index: int
    index: int
    active: bool
    balance: int


@dataclass(frozen=True, slots=True)
class OperatorAdded:
    """An operator registered."""

    operator_id: OperatorId
    owner: bytes
    """Address, 20 bytes."""
    public_key: bytes
    """Unpacked; for a proper operator ASCII base64 of the RSA key's PEM."""
    fee: int


@dataclass(frozen=True, slots=True)
class OperatorRemoved:
    """An operator left."""

    operator_id: OperatorId


@dataclass(frozen=True, slots=True)
class ValidatorAdded:
    """A validator was registered, or at least the contract says so: it does not look at keys and shares."""

    owner: bytes
    """Address, 20 bytes."""
    operator_ids: tuple[OperatorId, ...]
    public_key: bytes
    shares: bytes
    """Signature 96, n share public keys of 48, n encrypted shares of 256 bytes."""
    cluster: Cluster


@dataclass(frozen=True, slots=True)
class ValidatorRemoved:
    """A validator was taken out."""

    owner: bytes
    operator_ids: tuple[OperatorId, ...]
    public_key: bytes
    cluster: Cluster


@dataclass(frozen=True, slots=True)
class ClusterLiquidated:
    """A cluster ran out of money: its validators stop."""

    owner: bytes
    operator_ids: tuple[OperatorId, ...]
    cluster: Cluster


@dataclass(frozen=True, slots=True)
class ClusterReactivated:
    """A liquidated cluster was paid for again: its validators resume."""

    owner: bytes
    operator_ids: tuple[OperatorId, ...]
    cluster: Cluster


@dataclass(frozen=True, slots=True)
class FeeRecipientUpdated:
    """An owner chose who gets the block rewards of all its validators."""

    owner: bytes
    recipient: bytes
    """Address, 20 bytes."""


@dataclass(frozen=True, slots=True)
class ValidatorExited:
    """An owner asks for a validator's exit from the beacon chain."""

    owner: bytes
    operator_ids: tuple[OperatorId, ...]
    public_key: bytes


RegistryEvent: TypeAlias = (
    OperatorAdded
    | OperatorRemoved
    | ValidatorAdded
    | ValidatorRemoved
    | ClusterLiquidated
    | ClusterReactivated
    | FeeRecipientUpdated
    | ValidatorExited
)
"""An event that this client acts upon."""


def event_of(log: Log) -> EventAbi | None:
    """Which event the log is; None for one that this client does not act upon."""
    return abi.EVENTS.get(log.topics[0]) if log.topics else None


def decode_event(log: Log) -> RegistryEvent:
    """Decode a log for which ``event_of`` names an event.

    Raises:
        AbiDecodeError: topics or data are not what the event's signature says, or it is none of the known events.
    """
    event = event_of(log)
    if event is None:
        raise AbiDecodeError("not an event of the registry")
    values = event.decode(log.topics, log.data)
    match event.name:
        case "OperatorAdded":
            operator_id, owner, packed_key, fee = values
            return OperatorAdded(operator_id, owner, abi.unpack_bytes(packed_key), fee)
        case "ValidatorAdded":
            owner, ids, public_key, shares, cluster = values
            return ValidatorAdded(owner, tuple(ids), public_key, shares, Cluster(*cluster))
        case "ValidatorRemoved":
            owner, ids, public_key, cluster = values
            return ValidatorRemoved(owner, tuple(ids), public_key, Cluster(*cluster))
        case "ClusterLiquidated":
            owner, ids, cluster = values
            return ClusterLiquidated(owner, tuple(ids), Cluster(*cluster))
        case "ClusterReactivated":
            owner, ids, cluster = values
            return ClusterReactivated(owner, tuple(ids), Cluster(*cluster))
        case "ValidatorExited":
            owner, ids, public_key = values
            return ValidatorExited(owner, tuple(ids), public_key)
        case "FeeRecipientAddressUpdated":
            return FeeRecipientUpdated(*values)
        case _:
            return OperatorRemoved(*values)

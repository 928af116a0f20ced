"""Identifiers that are computed from others (PROTOCOL 1.2, 4.2)."""

from collections.abc import Iterable
from hashlib import sha256

from ssv_pool.protocol.types.primitives import CommitteeId, DomainType, MessageId, OperatorId, PublicKey
from ssv_pool.protocol.types.ssz import check_fixed

MESSAGE_ID_BYTES = 56
"""Domain type 4, runner role 4, duty executor 48."""

SUBNETS = 128
"""Number of gossip topics the committees are spread over."""

_EXECUTOR_BYTES = 48
_COMMITTEE_ID_BYTES = 32
_COMMITTEE_PADDING = bytes(_EXECUTOR_BYTES - _COMMITTEE_ID_BYTES)


def committee_id(operator_ids: Iterable[OperatorId]) -> CommitteeId:
    """sha256 over the ascending operator ids, each cut to its low 32 bits and written little-endian; 32 bytes."""
    ids = sorted(operator_ids)
    return CommitteeId(sha256(b"".join((i & 0xFFFFFFFF).to_bytes(4, "little") for i in ids)).digest())


def cluster_id(owner: bytes, operator_ids: Iterable[OperatorId]) -> bytes:
    """The registry contract's cluster key: keccak256 of the owner (20 bytes) and the ascending ids as uint256."""
    from eth_utils.crypto import keccak  # takes half a second to import, and only the registry's side needs it

    check_fixed("cluster owner", owner, 20)
    return keccak(owner + b"".join(i.to_bytes(32, "big") for i in sorted(operator_ids)))


def committee_message_id(domain: DomainType, role: int, committee: CommitteeId) -> MessageId:
    """Message id of a committee role: the executor is 16 zero bytes and the committee id."""
    check_fixed("committee id", committee, _COMMITTEE_ID_BYTES)
    return _message_id(domain, role, _COMMITTEE_PADDING + committee)


def validator_message_id(domain: DomainType, role: int, validator: PublicKey) -> MessageId:
    """Message id of a validator role: the executor is the validator's public key."""
    check_fixed("validator public key", validator, _EXECUTOR_BYTES)
    return _message_id(domain, role, validator)


def message_domain(message_id: MessageId) -> DomainType:
    """The SSV domain type in a message id, 4 bytes."""
    return DomainType(message_id[:4])


def message_role(message_id: MessageId) -> int:
    """The runner role in a message id, a signed 32-bit number that need not be a known RunnerRole."""
    return int.from_bytes(message_id[4:8], "little", signed=True)


def message_executor(message_id: MessageId) -> bytes:
    """The duty executor in a message id, 48 bytes."""
    return message_id[8:]


def committee_of(message_id: MessageId) -> CommitteeId:
    """The committee id in a message id of a committee role: its last 32 bytes (what precedes them is not compared)."""
    return CommitteeId(message_id[-_COMMITTEE_ID_BYTES:])


def alan_subnet(committee: CommitteeId) -> int:
    """The committee's subnet in Alan: its id as a big-endian number modulo 128."""
    return committee[-1] % SUBNETS


def boole_subnet(operator_ids: Iterable[OperatorId]) -> int:
    """The committee's subnet in Boole: the least sha256 of an operator id (u64 little-endian) modulo 128."""
    return min(sha256(i.to_bytes(8, "little")).digest() for i in operator_ids)[-1] % SUBNETS


def _message_id(domain: DomainType, role: int, executor: bytes) -> MessageId:
    check_fixed("domain type", domain, 4)
    return MessageId(domain + role.to_bytes(4, "little", signed=True) + executor)

"""Shares, operators and the committee as one of its members sees it (PROTOCOL 1.12)."""

import struct
from dataclasses import dataclass
from typing import Self

from ssv_pool.protocol.types import ssz
from ssv_pool.protocol.types.errors import ErrorCode, ProtocolError
from ssv_pool.protocol.types.ids import committee_id
from ssv_pool.protocol.types.primitives import CommitteeId, DomainType, OperatorId, PublicKey, Root, ValidatorIndex

MAX_COMMITTEE = 13
"""Most operators of a committee."""

OPERATOR_KEY_BYTES = 459
"""Length of an RSA-2048 public key in the PEM form operators publish."""

SPEC_DOMAINS = frozenset(
    DomainType(number.to_bytes(4, "big"))
    for number in (
        *(0x000000, 0x000001, 0x000002),  # mainnet: Genesis, Alan, Boole
        *(0x000100, 0x000200, 0x000201, 0x000301, 0x000302, 0x000401),  # Primus, Shifu, Jato, Jato V2
    )
)
"""The domains that the specification calls known. The networks that operators use are mostly not among them: these are
for its own tests, never for what comes over the wire."""

_MEMBER = struct.Struct("<48sQ")
_SHARE_HEAD = struct.Struct("<Q48s48sI4s20s32s")
_OPERATOR = struct.Struct("<Q459s")
_COMMITTEE_HEAD = struct.Struct("<Q32s459sQI4s")


@dataclass(frozen=True, slots=True)
class ShareMember:
    """One operator's part in a validator; 56 bytes."""

    share_pubkey: PublicKey
    """Public key of the operator's share, 48 bytes."""
    signer: OperatorId

    def encode(self) -> bytes:
        """The SSZ bytes. Raises ValueError when ``share_pubkey`` is not 48 bytes long."""
        ssz.check_fixed("ShareMember.share_pubkey", self.share_pubkey, 48)
        return _MEMBER.pack(self.share_pubkey, self.signer)

    def hash_tree_root(self) -> Root:
        """SSZ root, 32 bytes."""
        return ssz.container_root(ssz.bytes_root(self.share_pubkey), ssz.u64_root(self.signer))


@dataclass(frozen=True, slots=True)
class Share:
    """One validator as one operator holds it."""

    validator_index: ValidatorIndex
    validator_pubkey: PublicKey
    """48 bytes."""
    share_pubkey: PublicKey
    """Public key of this operator's share, 48 bytes."""
    committee: tuple[ShareMember, ...]
    """All operators of the validator in ascending order of ids."""
    domain_type: DomainType
    """4 bytes."""
    fee_recipient: bytes = bytes(20)
    """Execution address, 20 bytes."""
    graffiti: bytes = bytes(32)
    """32 bytes."""

    def member(self, operator_id: OperatorId) -> ShareMember | None:
        """The part of one operator, None when it has none."""
        return next((member for member in self.committee if member.signer == operator_id), None)

    def encode(self) -> bytes:
        """The SSZ bytes. Raises ValueError on a field of a wrong length."""
        for name, size in _SHARE_SIZES.items():
            ssz.check_fixed(f"Share.{name}", getattr(self, name), size)
        head = _SHARE_HEAD.pack(
            self.validator_index,
            self.validator_pubkey,
            self.share_pubkey,
            _SHARE_HEAD.size,
            self.domain_type,
            self.fee_recipient,
            self.graffiti,
        )
        return head + b"".join(member.encode() for member in self.committee)

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """Read the SSZ bytes. Raises ProtocolError (UNMARSHAL_SSZ)."""
        ssz.check_size("Share", raw, _SHARE_HEAD.size)
        index, pubkey, share_pubkey, offset, domain, fee_recipient, graffiti = _SHARE_HEAD.unpack_from(raw)
        items = _items("Share", raw, offset, _SHARE_HEAD.size, _MEMBER.size)
        committee = tuple(ShareMember(PublicKey(k), OperatorId(i)) for k, i in _MEMBER.iter_unpack(items))
        return cls(index, pubkey, share_pubkey, committee, domain, fee_recipient, graffiti)

    def validate(self, known_domains: frozenset[DomainType] | None = None) -> None:
        """Raises ProtocolError (88). Boole only; the domain is looked at only when ``known_domains`` are given."""
        problem = None
        signers = [member.signer for member in self.committee]
        if not any(self.validator_pubkey):
            problem = "a zero validator public key"
        elif not signers:
            problem = "an empty committee"
        elif 0 in signers:
            problem = "a signer 0"
        elif len(set(signers)) != len(signers):
            problem = "a repeated signer"
        elif known_domains is not None and self.domain_type not in known_domains:
            problem = f"an unknown domain {self.domain_type.hex()}"
        if problem is not None:
            raise ProtocolError(f"share of validator {self.validator_index} has {problem}", ErrorCode.INVALID_SHARE)

    def hash_tree_root(self) -> Root:
        """SSZ root, 32 bytes."""
        return ssz.container_root(
            ssz.u64_root(self.validator_index),
            ssz.bytes_root(self.validator_pubkey),
            ssz.bytes_root(self.share_pubkey),
            ssz.list_root([member.hash_tree_root() for member in self.committee], MAX_COMMITTEE),
            ssz.bytes_root(self.domain_type),
            ssz.bytes_root(self.fee_recipient),
            self.graffiti,
        )


_SHARE_SIZES = {"validator_pubkey": 48, "share_pubkey": 48, "domain_type": 4, "fee_recipient": 20, "graffiti": 32}


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator and its RSA public key; 467 bytes."""

    operator_id: OperatorId
    pubkey: bytes
    """The public key's PEM text, 459 bytes."""

    def encode(self) -> bytes:
        """The SSZ bytes. Raises ValueError when ``pubkey`` is not 459 bytes long."""
        ssz.check_fixed("Operator.pubkey", self.pubkey, OPERATOR_KEY_BYTES)
        return _OPERATOR.pack(self.operator_id, self.pubkey)

    def validate(self) -> None:
        """Raises ProtocolError (89) when the id is 0. Boole only."""
        if self.operator_id == 0:
            raise ProtocolError("operator id is 0, expected 1 or more", ErrorCode.INVALID_OPERATOR)

    def hash_tree_root(self) -> Root:
        """SSZ root, 32 bytes."""
        return ssz.container_root(ssz.u64_root(self.operator_id), ssz.bytes_root(self.pubkey))


@dataclass(frozen=True, slots=True)
class CommitteeMember:
    """A committee, seen by the one of its operators that this process is."""

    operator_id: OperatorId
    """This operator."""
    committee_id: CommitteeId
    """32 bytes."""
    operator_pubkey: bytes
    """This operator's public key as PEM text, 459 bytes."""
    faulty_nodes: int
    """f: how many operators may fail; the committee has 3f + 1."""
    committee: tuple[Operator, ...]
    """All operators; their order decides who leads in Alan, ascending ids everywhere in practice."""
    domain_type: DomainType
    """4 bytes."""

    @property
    def quorum(self) -> int:
        """How many operators decide: 2f + 1."""
        return 2 * self.faulty_nodes + 1

    @property
    def partial_quorum(self) -> int:
        """How many operators contain an honest one: f + 1."""
        return self.faulty_nodes + 1

    @property
    def operator_ids(self) -> tuple[OperatorId, ...]:
        """The ids of the operators in the committee's order."""
        return tuple(operator.operator_id for operator in self.committee)

    def operator(self, operator_id: OperatorId) -> Operator | None:
        """One operator of the committee, None when it is not in it."""
        return next((operator for operator in self.committee if operator.operator_id == operator_id), None)

    def encode(self) -> bytes:
        """The SSZ bytes. Raises ValueError on a field of a wrong length."""
        ssz.check_fixed("CommitteeMember.committee_id", self.committee_id, 32)
        ssz.check_fixed("CommitteeMember.operator_pubkey", self.operator_pubkey, OPERATOR_KEY_BYTES)
        ssz.check_fixed("CommitteeMember.domain_type", self.domain_type, 4)
        head = _COMMITTEE_HEAD.pack(
            self.operator_id,
            self.committee_id,
            self.operator_pubkey,
            self.faulty_nodes,
            _COMMITTEE_HEAD.size,
            self.domain_type,
        )
        return head + b"".join(operator.encode() for operator in self.committee)

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """Read the SSZ bytes. Raises ProtocolError (UNMARSHAL_SSZ)."""
        ssz.check_size("CommitteeMember", raw, _COMMITTEE_HEAD.size)
        operator_id, id_, pubkey, faulty, offset, domain = _COMMITTEE_HEAD.unpack_from(raw)
        items = _items("CommitteeMember", raw, offset, _COMMITTEE_HEAD.size, _OPERATOR.size)
        committee = tuple(Operator(OperatorId(i), key) for i, key in _OPERATOR.iter_unpack(items))
        return cls(operator_id, id_, pubkey, faulty, committee, domain)

    def validate(self, known_domains: frozenset[DomainType] | None = None) -> None:
        """Raises ProtocolError (90). Boole only; the domain is looked at only when ``known_domains`` are given."""
        problem = self._problem()
        if problem is None and known_domains is not None and self.domain_type not in known_domains:
            problem = f"an unknown domain {self.domain_type.hex()}"
        if problem is not None:
            raise ProtocolError(
                f"committee {self.committee_id.hex()} has {problem}", ErrorCode.INVALID_COMMITTEE_MEMBER
            )

    def _problem(self) -> str | None:
        ids = self.operator_ids
        if self.operator_id == 0:
            return "own operator id 0"
        if not ids:
            return "no operators"
        if len(ids) != 3 * self.faulty_nodes + 1:
            return f"{len(ids)} operators with f = {self.faulty_nodes}, expected 3f + 1"
        if 0 in ids:
            return "an operator id 0"
        if len(set(ids)) != len(ids):
            return "a repeated operator id"
        if self.operator_id not in ids:
            return f"operators {ids} without the own, {self.operator_id}"
        if self.committee_id != committee_id(ids):
            return f"an id that is not the hash of its operators, {committee_id(ids).hex()}"
        return None

    def hash_tree_root(self) -> Root:
        """SSZ root, 32 bytes."""
        return ssz.container_root(
            ssz.u64_root(self.operator_id),
            self.committee_id,
            ssz.bytes_root(self.operator_pubkey),
            ssz.u64_root(self.faulty_nodes),
            ssz.list_root([operator.hash_tree_root() for operator in self.committee], MAX_COMMITTEE),
            ssz.bytes_root(self.domain_type),
        )


def _items(name: str, raw: bytes, offset: int, head_size: int, item_size: int) -> bytes:
    if offset != head_size:
        raise ssz.undecodable(name, f"first offset is {offset}, expected {head_size}")
    count, rest = divmod(len(raw) - head_size, item_size)
    if rest:
        raise ssz.undecodable(f"{name}.committee", f"{len(raw) - head_size} bytes, expected a multiple of {item_size}")
    ssz.check_limit(f"{name}.committee", count, MAX_COMMITTEE)
    return raw[head_size:]

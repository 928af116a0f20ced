"""SSVMessage, SignedSSVMessage and the QBFT message (PROTOCOL 1.4 to 1.6)."""

import struct
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Self

from ssv_pool.protocol.types import ssz
from ssv_pool.protocol.types.errors import ErrorCode, ProtocolError
from ssv_pool.protocol.types.ids import MESSAGE_ID_BYTES, message_role
from ssv_pool.protocol.types.primitives import MessageId, OperatorId, Root, Round, Slot
from ssv_pool.protocol.types.roles import MsgType, QBFTMessageType

MAX_SIGNERS = 13
"""Most operators of a committee, so most signers of a message and most justifications."""

MAX_SIGNATURE_BYTES = 256
"""Length of an RSA-2048 signature."""

MAX_DATA_BYTES = 726_932
"""Limit of SSVMessage.data in Boole, the larger one; Alan's is 722 412 (see forks)."""

MAX_FULL_DATA_BYTES = 8_388_836
"""Limit of SignedSSVMessage.full_data: the largest proposer consensus data."""

MAX_ROUND_CHANGE_JUSTIFICATION_BYTES = 51_852
"""Limit of one encoded round change inside a proposal."""

MAX_PREPARE_JUSTIFICATION_BYTES = 3_700
"""Limit of one encoded prepare inside a proposal or round change."""

NO_ROUND = Round(0)
"""The data round of what was never prepared."""

_SSV_HEAD = struct.Struct("<Q56sI")
_SIGNED_HEAD = struct.Struct("<4I")
_QBFT_HEAD = struct.Struct("<QQQI32sQII")


@dataclass(frozen=True, slots=True)
class SSVMessage:
    """What the operators sign with their RSA keys: a typed payload for one duty executor."""

    msg_type: int
    """A MsgType; a number that is none of them decodes and is refused by ``validate``."""
    msg_id: MessageId
    """Domain, role and duty executor, 56 bytes."""
    data: bytes
    """SSZ of a QBFTMessage or of PartialSignatureMessages."""

    def encode(self) -> bytes:
        """The SSZ bytes. Raises ValueError when ``msg_id`` is not 56 bytes long."""
        ssz.check_fixed("SSVMessage.msg_id", self.msg_id, MESSAGE_ID_BYTES)
        return _SSV_HEAD.pack(self.msg_type, self.msg_id, _SSV_HEAD.size) + self.data

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """Read the SSZ bytes. Raises ProtocolError (UNMARSHAL_SSZ)."""
        size = len(raw)
        if size < _SSV_HEAD.size:
            raise ssz.undecodable("SSVMessage", f"{size} bytes, expected at least {_SSV_HEAD.size}")
        msg_type, msg_id, offset = _SSV_HEAD.unpack_from(raw)
        if offset != _SSV_HEAD.size:
            raise ssz.undecodable("SSVMessage", f"first offset is {offset}, expected {_SSV_HEAD.size}")
        if size - offset > MAX_DATA_BYTES:
            raise ssz.undecodable("SSVMessage.data", f"{size - offset} bytes, expected at most {MAX_DATA_BYTES}")
        return cls(msg_type, MessageId(msg_id), raw[offset:])

    def validate(self) -> None:
        """Check type and sign of the role. Boole only: Alan has no such check. Raises ProtocolError (29, 87)."""
        if self.msg_type not in _MSG_TYPES:
            raise ProtocolError(
                f"SSVMessage.msg_type is {self.msg_type}, expected 0, 1 or 2", ErrorCode.MESSAGE_TYPE_INVALID
            )
        if (role := message_role(self.msg_id)) < 0:
            raise ProtocolError(
                f"role in the message id is {role}, expected 0 or more", ErrorCode.SSV_MESSAGE_INVALID_ROLE
            )

    def hash_tree_root(self) -> Root:
        """SSZ root, 32 bytes."""
        return ssz.container_root(
            ssz.u64_root(self.msg_type), ssz.bytes_root(self.msg_id), ssz.byte_list_root(self.data, MAX_DATA_BYTES)
        )


@dataclass(frozen=True, slots=True)
class SignedSSVMessage:
    """The envelope on the wire: one SSVMessage, its signers, and data that the signature covers only by a hash."""

    signatures: tuple[bytes, ...]
    """RSA signatures over the encoded ``ssv_message``, one a signer, 256 bytes each."""
    operator_ids: tuple[OperatorId, ...]
    """The signers; ascending on the wire."""
    ssv_message: SSVMessage
    full_data: bytes = b""
    """The consensus value where the message carries it; its sha256 is the QBFT message's root."""

    def encode(self) -> bytes:
        """The SSZ bytes."""
        signatures = ssz.encode_byte_lists(self.signatures)
        signers = struct.pack(f"<{len(self.operator_ids)}Q", *self.operator_ids)
        message = self.ssv_message.encode()
        second = _SIGNED_HEAD.size + len(signatures)
        third = second + len(signers)
        head = _SIGNED_HEAD.pack(_SIGNED_HEAD.size, second, third, third + len(message))
        return b"".join((head, signatures, signers, message, self.full_data))

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """Read the SSZ bytes. Raises ProtocolError (UNMARSHAL_SSZ)."""
        size = len(raw)
        ssz.check_size("SignedSSVMessage", raw, _SIGNED_HEAD.size)
        offsets = first, second, third, fourth = _SIGNED_HEAD.unpack_from(raw)
        ssz.check_offsets("SignedSSVMessage", offsets, _SIGNED_HEAD.size, size)
        if size - fourth > MAX_FULL_DATA_BYTES:
            raise ssz.undecodable(
                "SignedSSVMessage.full_data", f"{size - fourth} bytes, expected at most {MAX_FULL_DATA_BYTES}"
            )
        signatures = ssz.decode_byte_lists(
            "SignedSSVMessage.signatures", raw[first:second], MAX_SIGNERS, MAX_SIGNATURE_BYTES
        )
        signers = ssz.decode_u64_list("SignedSSVMessage.operator_ids", raw[second:third], MAX_SIGNERS)
        message = SSVMessage.decode(raw[third:fourth])
        return cls(signatures, tuple(map(OperatorId, signers)), message, raw[fourth:])

    def validate(self) -> None:
        """Check signers and signatures by count and form, not cryptographically.

        The inner message is not checked: Alan has no such check, in Boole call ``ssv_message.validate()`` afterwards.

        Raises:
            ProtocolError: with code 16, 9, 17, 15, 13 or 12, in this order of checks.
        """
        if not self.operator_ids:
            raise ProtocolError("signed message has no signers, expected one or more", ErrorCode.NO_SIGNERS)
        seen: set[OperatorId] = set()
        for signer in self.operator_ids:
            if signer in seen:
                raise ProtocolError(
                    f"signer {signer} occurs twice, expected distinct signers", ErrorCode.NON_UNIQUE_SIGNER
                )
            if signer == 0:
                raise ProtocolError("signer is 0, expected 1 or more", ErrorCode.ZERO_SIGNER_NOT_ALLOWED)
            seen.add(signer)
        if not self.signatures:
            raise ProtocolError("signed message has no signatures, expected one or more", ErrorCode.NO_SIGNATURES)
        if not all(self.signatures):
            raise ProtocolError("signed message has an empty signature", ErrorCode.EMPTY_SIGNATURE)
        if len(self.signatures) != len(self.operator_ids):
            raise ProtocolError(
                f"signed message has {len(self.signatures)} signatures, expected {len(self.operator_ids)} as signers",
                ErrorCode.INCORRECT_NUMBER_OF_SIGNATURES,
            )

    def matched_signers(self, operator_ids: Collection[OperatorId]) -> bool:
        """Whether the signers are as many as ``operator_ids`` and all among them."""
        return len(self.operator_ids) == len(operator_ids) and self.signers_in(operator_ids)

    def common_signers(self, operator_ids: Collection[OperatorId]) -> bool:
        """Whether any signer is among ``operator_ids``."""
        return any(signer in operator_ids for signer in self.operator_ids)

    def signers_in(self, operator_ids: Collection[OperatorId]) -> bool:
        """Whether every signer is among ``operator_ids``."""
        return all(signer in operator_ids for signer in self.operator_ids)

    def without_full_data(self) -> Self:
        """The same message with empty ``full_data``: the form in which messages become justifications."""
        return replace(self, full_data=b"") if self.full_data else self

    def aggregate(self, other: Self) -> Self:
        """This message with the signers and signatures of ``other`` appended, unsorted.

        Raises:
            ProtocolError: without a code, when the two share a signer or sign different messages.
        """
        if self.common_signers(other.operator_ids):
            raise ProtocolError(f"duplicate signers: {self.operator_ids} and {other.operator_ids} overlap")
        if self.ssv_message != other.ssv_message:
            raise ProtocolError("cannot aggregate: the two signed messages differ")
        return replace(
            self, signatures=self.signatures + other.signatures, operator_ids=self.operator_ids + other.operator_ids
        )

    def hash_tree_root(self) -> Root:
        """SSZ root, 32 bytes; covers signatures and full data."""
        return ssz.container_root(
            ssz.byte_lists_root(self.signatures, MAX_SIGNERS, MAX_SIGNATURE_BYTES),
            ssz.u64_list_root(self.operator_ids, MAX_SIGNERS),
            self.ssv_message.hash_tree_root(),
            ssz.byte_list_root(self.full_data, MAX_FULL_DATA_BYTES),
        )


@dataclass(frozen=True, slots=True)
class QBFTMessage:
    """A consensus message: the data of an SSVMessage of type CONSENSUS."""

    msg_type: int
    """A QBFTMessageType; a number that is none of them decodes and is refused by ``validate``."""
    height: Slot
    """The duty's slot."""
    round: Round
    """From 1."""
    identifier: bytes
    """The message id; at most 56 bytes decode, exactly 56 validate."""
    root: Root
    """sha256 of the value, not an SSZ root; 32 bytes."""
    data_round: Round = NO_ROUND
    """In a round change: the round in which the value was prepared, 0 when none was."""
    round_change_justification: tuple[bytes, ...] = ()
    """Encoded SignedSSVMessages without full data."""
    prepare_justification: tuple[bytes, ...] = ()
    """Encoded SignedSSVMessages without full data."""

    @property
    def is_prepared_round_change(self) -> bool:
        """Whether this is a round change of an operator that had prepared a value."""
        return self.msg_type == QBFTMessageType.ROUND_CHANGE and self.data_round != 0

    def encode(self) -> bytes:
        """The SSZ bytes. Raises ValueError when ``root`` is not 32 bytes long."""
        ssz.check_fixed("QBFTMessage.root", self.root, 32)
        round_changes = ssz.encode_byte_lists(self.round_change_justification)
        second = _QBFT_HEAD.size + len(self.identifier)
        head = _QBFT_HEAD.pack(
            self.msg_type,
            self.height,
            self.round,
            _QBFT_HEAD.size,
            self.root,
            self.data_round,
            second,
            second + len(round_changes),
        )
        return b"".join((head, self.identifier, round_changes, ssz.encode_byte_lists(self.prepare_justification)))

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """Read the SSZ bytes; the justifications stay encoded. Raises ProtocolError (UNMARSHAL_SSZ)."""
        ssz.check_size("QBFTMessage", raw, _QBFT_HEAD.size)
        msg_type, height, round_, first, root, data_round, second, third = _QBFT_HEAD.unpack_from(raw)
        ssz.check_offsets("QBFTMessage", (first, second, third), _QBFT_HEAD.size, len(raw))
        if second - first > MESSAGE_ID_BYTES:
            raise ssz.undecodable(
                "QBFTMessage.identifier", f"{second - first} bytes, expected at most {MESSAGE_ID_BYTES}"
            )
        return cls(
            msg_type,
            Slot(height),
            Round(round_),
            raw[first:second],
            Root(root),
            Round(data_round),
            ssz.decode_byte_lists(
                "QBFTMessage.round_change_justification",
                raw[second:third],
                MAX_SIGNERS,
                MAX_ROUND_CHANGE_JUSTIFICATION_BYTES,
            )
            if second < third
            else (),
            ssz.decode_byte_lists(
                "QBFTMessage.prepare_justification", raw[third:], MAX_SIGNERS, MAX_PREPARE_JUSTIFICATION_BYTES
            )
            if third < len(raw)
            else (),
        )

    def decoded_round_changes(self) -> tuple[SignedSSVMessage, ...]:
        """The round-change justifications, decoded. Raises ProtocolError (UNMARSHAL_SSZ)."""
        return tuple(map(SignedSSVMessage.decode, self.round_change_justification))

    def decoded_prepares(self) -> tuple[SignedSSVMessage, ...]:
        """The prepare justifications, decoded. Raises ProtocolError (UNMARSHAL_SSZ)."""
        return tuple(map(SignedSSVMessage.decode, self.prepare_justification))

    def validate(self) -> None:
        """Check the message alone. Raises ProtocolError with code 31, 1, 29 or 30, in this order of checks."""
        if len(self.identifier) != MESSAGE_ID_BYTES:
            raise ProtocolError(
                f"QBFT identifier is {len(self.identifier)} bytes long, expected {MESSAGE_ID_BYTES}",
                ErrorCode.MESSAGE_IDENTIFIER_INVALID,
            )
        if self.round_change_justification or self.prepare_justification:
            self.decoded_round_changes()
            self.decoded_prepares()
        if self.msg_type not in _QBFT_TYPES:
            raise ProtocolError(
                f"QBFT message type is {self.msg_type}, expected 0 to 3", ErrorCode.MESSAGE_TYPE_INVALID
            )
        if self.round == 0:
            raise ProtocolError("QBFT round is 0, expected 1 or more", ErrorCode.MESSAGE_ROUND_INVALID)

    def hash_tree_root(self) -> Root:
        """SSZ root, 32 bytes."""
        return ssz.container_root(
            ssz.u64_root(self.msg_type),
            ssz.u64_root(self.height),
            ssz.u64_root(self.round),
            ssz.byte_list_root(self.identifier, MESSAGE_ID_BYTES),
            self.root,
            ssz.u64_root(self.data_round),
            ssz.byte_lists_root(self.round_change_justification, MAX_SIGNERS, MAX_ROUND_CHANGE_JUSTIFICATION_BYTES),
            ssz.byte_lists_root(self.prepare_justification, MAX_SIGNERS, MAX_PREPARE_JUSTIFICATION_BYTES),
        )


_MSG_TYPES = frozenset(map(int, MsgType))
_QBFT_TYPES = frozenset(map(int, QBFTMessageType))

"""Partial signatures (PROTOCOL 1.7). One message carries those of all validators of a duty: 500 are usual."""

import struct
from dataclasses import dataclass
from typing import NamedTuple, Self

from ssv_pool.protocol.types import ssz
from ssv_pool.protocol.types.errors import ErrorCode, ProtocolError
from ssv_pool.protocol.types.primitives import OperatorId, Root, Signature, Slot, ValidatorIndex

MAX_PARTIAL_MESSAGES_ALAN = 1512
"""List limit in Alan. It shapes the hash tree root too."""

MAX_PARTIAL_MESSAGES_BOOLE = 5048
"""List limit in Boole: 3000 validators and 4 contributions of each of 512 sync committee members."""

_HEAD = struct.Struct("<QQI")
_ITEM = struct.Struct("<96s32sQQ")
_ITEM_PARTS = (96, 32)


class PartialSignatureMessage(NamedTuple):
    """One operator's signature share for one validator; 144 bytes.

    A named tuple and not a dataclass: a message of 500 of them decodes five times as fast.
    """

    partial_signature: Signature
    """96 bytes; decoding does not look whether it is a curve point."""
    signing_root: Root
    """32 bytes."""
    signer: OperatorId
    validator_index: ValidatorIndex

    def encode(self) -> bytes:
        """The SSZ bytes. Raises ValueError on a field of a wrong length."""
        ssz.check_fixed("PartialSignatureMessage.partial_signature", self.partial_signature, _ITEM_PARTS[0])
        ssz.check_fixed("PartialSignatureMessage.signing_root", self.signing_root, _ITEM_PARTS[1])
        return _ITEM.pack(*self)

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """Read the SSZ bytes. Raises ProtocolError (UNMARSHAL_SSZ)."""
        if len(raw) != _ITEM.size:
            raise ssz.undecodable("PartialSignatureMessage", f"{len(raw)} bytes, expected {_ITEM.size}")
        return cls._make(_ITEM.unpack(raw))

    def validate(self) -> None:
        """Raises ProtocolError (17) when the signer is 0."""
        if self.signer == 0:
            raise ProtocolError("partial signature has signer 0, expected 1 or more", ErrorCode.ZERO_SIGNER_NOT_ALLOWED)

    def hash_tree_root(self) -> Root:
        """SSZ root, 32 bytes."""
        return ssz.container_root(
            ssz.bytes_root(self.partial_signature),
            self.signing_root,
            ssz.u64_root(self.signer),
            ssz.u64_root(self.validator_index),
        )


@dataclass(frozen=True, slots=True)
class PartialSignatureMessages:
    """All partial signatures of one operator for one duty: the data of an SSVMessage of type PARTIAL_SIGNATURE."""

    type: int
    """A PartialSignatureType; a number that is none of them decodes."""
    slot: Slot
    """The duty's slot."""
    messages: tuple[PartialSignatureMessage, ...]

    def encode(self) -> bytes:
        """The SSZ bytes. Raises ValueError on an item with a field of a wrong length."""
        pack = _ITEM.pack
        parts = [_HEAD.pack(self.type, self.slot, _HEAD.size)]
        for message in self.messages:
            signature, root, signer, index = message
            if len(signature) != 96 or len(root) != 32:
                message.encode()  # says which field it is
            parts.append(pack(signature, root, signer, index))
        return b"".join(parts)

    @classmethod
    def decode(cls, raw: bytes, limit: int = MAX_PARTIAL_MESSAGES_ALAN) -> Self:
        """Read the SSZ bytes.

        Args:
            raw: the encoding.
            limit: the fork's list limit.

        Raises:
            ProtocolError: UNMARSHAL_SSZ.
        """
        ssz.check_size("PartialSignatureMessages", raw, _HEAD.size)
        type_, slot, offset = _HEAD.unpack_from(raw)
        if offset != _HEAD.size:
            raise ssz.undecodable("PartialSignatureMessages", f"first offset is {offset}, expected {_HEAD.size}")
        count, rest = divmod(len(raw) - offset, _ITEM.size)
        if rest:
            raise ssz.undecodable(
                "PartialSignatureMessages.messages",
                f"{len(raw) - offset} bytes, expected a multiple of {_ITEM.size}",
            )
        ssz.check_limit("PartialSignatureMessages.messages", count, limit)
        items = _ITEM.iter_unpack(memoryview(raw)[offset:])
        return cls(type_, Slot(slot), tuple(map(PartialSignatureMessage._make, items)))

    def validate(self) -> None:
        """Raises ProtocolError: no message (19); then for each signers that differ (18), signer 0 (17)."""
        if not self.messages:
            raise ProtocolError("no partial signatures, expected one or more", ErrorCode.NO_PARTIAL_SIG_MESSAGES)
        first = self.messages[0].signer
        for message in self.messages:
            if message.signer != first:
                raise ProtocolError(
                    f"partial signatures of signers {first} and {message.signer}, expected one signer",
                    ErrorCode.INCONSISTENT_SIGNERS,
                )
            message.validate()

    def validate_for_signer(self, signer: OperatorId) -> None:
        """``validate``, then raises ProtocolError (42) when the items are not of the message's ``signer``."""
        self.validate()
        if self.messages[0].signer != signer:
            raise ProtocolError(
                f"partial signatures of signer {self.messages[0].signer}, expected {signer}, who signed the message",
                ErrorCode.PARTIAL_SIG_INCONSISTENT_SIGNER,
            )

    def hash_tree_root(self, limit: int = MAX_PARTIAL_MESSAGES_ALAN) -> Root:
        """SSZ root, 32 bytes; ``limit`` is the fork's list limit."""
        return ssz.container_root(
            ssz.u64_root(self.type),
            ssz.u64_root(self.slot),
            ssz.list_root([message.hash_tree_root() for message in self.messages], limit),
        )

"""What beacon nodes of one devnet say to each other: one byte for the kind, then the kind's content.

Not the network protocol of Ethereum: a stand-in over one WebSocket a pair, for a few nodes that trust the machine they
share. Every object is still checked as if it came from a stranger.
"""

import enum
from dataclasses import dataclass

HELLO_BYTES = 16 + 32 + 32 + 8
MAX_FRAME_BYTES = 8 << 20
"""Largest frame, in bytes with its kind."""


class FrameError(ValueError):
    """A frame is not one of these; the text says what was found and what was expected."""


class FrameKind(enum.IntEnum):
    """What a frame holds."""

    HELLO = 0
    """A ``Hello``; the first frame of either side."""
    BLOCK = 1
    """SSZ SignedBeaconBlock."""
    ATTESTATION = 2
    """SSZ SingleAttestation."""
    VOTES = 3
    """SSZ Attestation with one committee bit: the joined votes of validators that the sender runs itself."""
    AGGREGATE = 4
    """SSZ SignedAggregateAndProof."""
    SYNC_MESSAGE = 5
    """SSZ SyncCommitteeMessage."""
    CONTRIBUTION = 6
    """SSZ SignedContributionAndProof."""
    VOLUNTARY_EXIT = 7
    """SSZ SignedVoluntaryExit."""
    SYNC_VOTES = 8
    """SSZ SyncCommitteeContribution: joined signatures of sync committee members that the sender runs itself."""
    BLOCKS_WANTED = 9
    """Slot, 8 bytes little-endian: the receiver is to send its canonical blocks from there on."""
    BLOCK_WANTED = 10
    """Root of a block, 32 bytes: the receiver is to send it if it has it."""
    SENT_UP_TO = 11
    """A ``SentUpTo``: the end of what BLOCKS_WANTED asked for."""


@dataclass(frozen=True, slots=True)
class Hello:
    """How a node introduces itself."""

    identity: bytes
    """16 random bytes, new at each start: two nodes that dial each other keep one connection."""
    genesis_root: bytes
    """Root of the genesis block, 32 bytes: nodes of different chains part."""
    head_root: bytes
    """Root of the sender's head, 32 bytes."""
    head_slot: int
    """Slot of the sender's head."""

    def encode(self) -> bytes:
        """The frame's content."""
        return self.identity + self.genesis_root + self.head_root + self.head_slot.to_bytes(8, "little")

    @classmethod
    def decode(cls, raw: bytes) -> "Hello":
        """Read a frame's content. Raises FrameError."""
        if len(raw) != HELLO_BYTES:
            raise FrameError(f"hello: found {len(raw)} bytes, expected {HELLO_BYTES}")
        return cls(raw[:16], raw[16:48], raw[48:80], int.from_bytes(raw[80:], "little"))


@dataclass(frozen=True, slots=True)
class SentUpTo:
    """How far the blocks went that were sent on request."""

    last: int
    """Up to this slot all canonical blocks have been sent."""
    head: int
    """Slot of the sender's head."""

    def encode(self) -> bytes:
        """The frame's content."""
        return encode_slot(self.last) + encode_slot(self.head)

    @classmethod
    def decode(cls, raw: bytes) -> "SentUpTo":
        """Read a frame's content. Raises FrameError."""
        return cls(decode_slot(raw[:8]), decode_slot(raw[8:]))


def encode_frame(kind: FrameKind, content: bytes) -> bytes:
    """One frame."""
    return bytes((kind,)) + content


def decode_frame(raw: bytes) -> tuple[FrameKind, bytes]:
    """The kind and the content of a frame. Raises FrameError: empty, too large, or of an unknown kind."""
    if not raw or len(raw) > MAX_FRAME_BYTES:
        raise FrameError(f"frame: found {len(raw)} bytes, expected 1 to {MAX_FRAME_BYTES}")
    try:
        return FrameKind(raw[0]), raw[1:]
    except ValueError:
        raise FrameError(f"frame: found kind {raw[0]}, expected 0 to {max(FrameKind)}") from None


def encode_slot(slot: int) -> bytes:
    """A slot, 8 bytes."""
    return slot.to_bytes(8, "little")


def decode_slot(raw: bytes) -> int:
    """A slot. Raises FrameError: not 8 bytes."""
    if len(raw) != 8:
        raise FrameError(f"slot: found {len(raw)} bytes, expected 8")
    return int.from_bytes(raw, "little")


def check_root(raw: bytes) -> bytes:
    """A root. Raises FrameError: not 32 bytes."""
    if len(raw) != 32:
        raise FrameError(f"root: found {len(raw)} bytes, expected 32")
    return raw

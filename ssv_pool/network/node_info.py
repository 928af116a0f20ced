"""What peers tell each other when they connect, and the signed envelope it travels in (PROTOCOL 4.4). Pure.

The envelope is libp2p's: a protobuf message with key, payload type, payload, and a signature over domain, type and
payload, each preceded by its length. Only secp256k1 keys are taken, as the network has no others.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ssv_pool import bounded_json
from ssv_pool.network.errors import FrameError, HandshakeError
from ssv_pool.network.frames import decode_varint, encode_varint
from ssv_pool.network.identity import IDENTITY_MULTIHASH, PUBLIC_KEY_PREFIX, SECP256K1_ORDER, Identity
from ssv_pool.network.topics import ALAN_SUBNETS

ENVELOPE_DOMAIN = b"ssv"
"""Domain of the envelope's signature."""

PAYLOAD_TYPE = b"ssv/nodeinfo"
"""Type of the envelope's payload."""

MAX_INFO_SIZE = 16 * 1024
"""Bytes an envelope may have; a usual one has 400."""

MAX_TEXT = 256
"""Characters kept of a version that a peer tells."""

_HASH = ec.ECDSA(hashes.SHA256())


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """A node as it introduces itself."""

    network_id: str
    """Domain type of the fork in force, ``0x`` and eight hex digits; compared as text."""
    node_version: str = ""
    execution_node: str = ""
    consensus_node: str = ""
    subnets: frozenset[int] | None = frozenset()
    """Subnets it takes part in, of 0 to 127; None when it did not say."""

    def encode(self) -> bytes:
        """The payload: JSON of three texts, of which the first is always empty and the third is JSON again."""
        metadata = {
            "NodeVersion": self.node_version,
            "ExecutionNode": self.execution_node,
            "ConsensusNode": self.consensus_node,
            "Subnets": "" if self.subnets is None else encode_subnets(self.subnets),
        }
        entries = ["", self.network_id, json.dumps(metadata, separators=(",", ":"))]
        return json.dumps({"Entries": entries}, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, raw: bytes) -> "NodeInfo":
        """Read a payload. Raises HandshakeError."""
        entries = _object("node info", raw).get("Entries")
        if not isinstance(entries, list) or len(entries) < 2 or not all(isinstance(text, str) for text in entries):
            raise HandshakeError("node info: Entries, expected two texts or more")
        if len(entries) < 3 or not entries[2]:
            return cls(entries[1], subnets=None)
        metadata = _object("node info's metadata", entries[2])
        texts = [metadata.get(name, "") for name in ("NodeVersion", "ExecutionNode", "ConsensusNode", "Subnets")]
        if not all(isinstance(text, str) for text in texts):
            raise HandshakeError("node info's metadata: a field that is no text")
        version, execution, consensus, subnets = texts
        return cls(
            entries[1],
            printable(version),
            printable(execution),
            printable(consensus),
            decode_subnets(subnets) if subnets else None,
        )


def encode_subnets(subnets: Iterable[int]) -> str:
    """Subnets as 32 hex digits: subnet i is bit i mod 8, the lowest first, of byte i div 8."""
    bits = sum(1 << subnet for subnet in set(subnets))
    return bits.to_bytes(ALAN_SUBNETS // 8, "little").hex()


def decode_subnets(text: str) -> frozenset[int]:
    """Read 32 hex digits. Raises HandshakeError."""
    digits = text.removeprefix("0x")
    try:
        raw = bytes.fromhex(digits)
    except ValueError:
        raw = b""
    if len(digits) != ALAN_SUBNETS // 4 or len(raw) != ALAN_SUBNETS // 8:
        raise HandshakeError(f"node info: subnets of {len(text)} characters, expected {ALAN_SUBNETS // 4} hex digits")
    bits = int.from_bytes(raw, "little")
    return frozenset(subnet for subnet in range(ALAN_SUBNETS) if bits >> subnet & 1)


def printable(text: str) -> str:
    """A peer's text as it may be logged: at most MAX_TEXT characters, all of them printable."""
    return "".join(character if character.isprintable() else "?" for character in text[:MAX_TEXT])


def seal(info: NodeInfo, identity: Identity) -> bytes:
    """Sign node info and put it into an envelope."""
    key = ec.derive_private_key(int.from_bytes(identity.secret, "big"), ec.SECP256K1())
    payload = info.encode()
    r, s = decode_dss_signature(key.sign(_signed_bytes(payload), _HASH))
    # Of the two signatures that are valid, implementations differ in whether they take the greater one.
    signature = encode_dss_signature(r, min(s, SECP256K1_ORDER - s))
    public_key = PUBLIC_KEY_PREFIX + key.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    fields = ((1, public_key), (2, PAYLOAD_TYPE), (3, payload), (5, signature))
    return b"".join(encode_varint(number << 3 | 2) + _with_length(value) for number, value in fields)


def unseal(raw: bytes, peer_id: bytes) -> NodeInfo:
    """Check an envelope and read the node info in it.

    Args:
        raw: the envelope.
        peer_id: id bytes of the peer at the other end, whose key must have signed it.

    Raises:
        HandshakeError: the envelope is malformed, another's, badly signed, or its content malformed.
    """
    if len(raw) > MAX_INFO_SIZE:
        raise HandshakeError(f"envelope: {len(raw)} bytes, expected at most {MAX_INFO_SIZE}")
    fields = _fields(raw)
    public_key, payload = fields.get(1, b""), fields.get(3, b"")
    if fields.get(2) != PAYLOAD_TYPE:
        raise HandshakeError("envelope: another payload type than ssv/nodeinfo")
    if IDENTITY_MULTIHASH + public_key != peer_id or not public_key.startswith(PUBLIC_KEY_PREFIX):
        raise HandshakeError("envelope: signed with another key than the peer's")
    try:
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), public_key[len(PUBLIC_KEY_PREFIX) :])
        key.verify(fields.get(5, b""), _signed_bytes(payload), _HASH)
    except (ValueError, InvalidSignature):
        raise HandshakeError("envelope: the signature is not valid") from None
    return NodeInfo.decode(payload)


def _signed_bytes(payload: bytes) -> bytes:
    return b"".join(map(_with_length, (ENVELOPE_DOMAIN, PAYLOAD_TYPE, payload)))


def _with_length(value: bytes) -> bytes:
    return encode_varint(len(value)) + value


def _fields(raw: bytes) -> dict[int, bytes]:
    """The fields of a protobuf message that has only byte strings, each at most once."""
    fields: dict[int, bytes] = {}
    position = 0
    try:
        while position < len(raw):
            key, position = _varint(raw, position)
            size, position = _varint(raw, position)
            if key & 7 != 2 or key >> 3 in fields or position + size > len(raw):
                raise HandshakeError("envelope: a field of another kind, repeated, or past the end")
            fields[key >> 3] = raw[position : position + size]
            position += size
    except FrameError as error:
        raise HandshakeError(f"envelope: {error}") from None
    return fields


def _varint(raw: bytes, position: int) -> tuple[int, int]:
    found = decode_varint(raw, position)
    if found is None:
        raise HandshakeError("envelope: ends within a field")
    return found


def _object(name: str, raw: bytes | str) -> dict[str, Any]:
    try:
        value = bounded_json.loads(raw)
    except ValueError:
        raise HandshakeError(f"{name}: not JSON") from None
    if not isinstance(value, dict):
        raise HandshakeError(f"{name}: JSON of type {type(value).__name__}, expected an object")
    return value

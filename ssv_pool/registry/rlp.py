"""RLP encoding and the root of an ordered Merkle Patricia trie: enough to check a block's hash and its receipts.

Sources: the Ethereum yellow paper, appendices B (RLP), C (hex-prefix encoding) and D (trie).
"""

from collections.abc import Sequence
from typing import TypeAlias

from eth_utils.crypto import keccak

Item: TypeAlias = "bytes | int | Sequence[Item]"
"""What can be encoded: byte strings, numbers of at least 0, lists of these."""

_HASH_BYTES = 32


def encode(item: Item) -> bytes:
    """RLP of a byte string, of a number (big-endian without leading zeros), or of a list of items."""
    if isinstance(item, int):
        item = item.to_bytes((item.bit_length() + 7) // 8, "big")
    if isinstance(item, bytes):
        if len(item) == 1 and item[0] < 0x80:
            return item
        return _prefix(len(item), 0x80) + item
    return _list([encode(part) for part in item])


def ordered_root(values: Sequence[bytes]) -> bytes:
    """Root (32 bytes) of the trie that maps the RLP of each position to the value there: a block's receipts root."""
    if not values:
        return keccak(encode(b""))
    entries = sorted((_nibbles(encode(place)), value) for place, value in enumerate(values))
    return keccak(_node(entries, 0))


def _node(entries: Sequence[tuple[bytes, bytes]], depth: int) -> bytes:
    """RLP of the node under which ``entries`` hang, sorted, all with the same first ``depth`` nibbles.

    No key is the beginning of another one, as RLP of numbers never is.
    """
    first, last = entries[0][0], entries[-1][0]
    if len(entries) == 1:
        return encode([_hex_prefix(first[depth:], leaf=True), entries[0][1]])
    shared = depth
    while first[shared] == last[shared]:
        shared += 1
    if shared > depth:
        return _list([encode(_hex_prefix(first[depth:shared], leaf=False)), _reference(entries, shared)])
    children: list[bytes] = []
    start = 0
    for nibble in range(16):
        end = start
        while end < len(entries) and entries[end][0][depth] == nibble:
            end += 1
        children.append(_reference(entries[start:end], depth + 1) if end > start else encode(b""))
        start = end
    return _list([*children, encode(b"")])


def _reference(entries: Sequence[tuple[bytes, bytes]], depth: int) -> bytes:
    node = _node(entries, depth)
    return node if len(node) < _HASH_BYTES else encode(keccak(node))


def _hex_prefix(nibbles: bytes, *, leaf: bool) -> bytes:
    flag = 2 if leaf else 0
    padded = bytes([flag + 1]) + nibbles if len(nibbles) % 2 else bytes([flag, 0]) + nibbles
    return bytes(high << 4 | low for high, low in zip(padded[::2], padded[1::2], strict=True))


def _nibbles(key: bytes) -> bytes:
    return bytes(nibble for byte in key for nibble in (byte >> 4, byte & 15))


def _list(parts: Sequence[bytes]) -> bytes:
    body = b"".join(parts)
    return _prefix(len(body), 0xC0) + body


def _prefix(length: int, base: int) -> bytes:
    if length < 56:
        return bytes([base + length])
    size = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([base + 55 + len(size)]) + size

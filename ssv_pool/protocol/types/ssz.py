"""What the protocol's containers need of SSZ: merkle roots, and strict reading of offsets and lists.

The decoders accept exactly what the encoders write: the first offset equals the size of the fixed part, offsets never
decrease or pass the end, list limits hold. So encode(decode(raw)) == raw for every raw that is accepted.
"""

import struct
from collections.abc import Sequence
from hashlib import sha256

from ssv_pool.protocol.types.errors import ErrorCode, ProtocolError
from ssv_pool.protocol.types.primitives import Root

BYTES_PER_CHUNK = 32
"""Size of a merkle leaf in bytes."""

_OFFSET_BYTES = 4


def _zero_hashes(depth: int) -> tuple[bytes, ...]:
    hashes = [bytes(BYTES_PER_CHUNK)]
    for _ in range(depth):
        hashes.append(sha256(hashes[-1] * 2).digest())
    return tuple(hashes)


_ZERO_HASHES = _zero_hashes(32)


def undecodable(name: str, problem: str) -> ProtocolError:
    """The error of a decoder: ``name`` is the container or field, ``problem`` says what was found and expected."""
    return ProtocolError(f"{name}: {problem}", ErrorCode.UNMARSHAL_SSZ)


def merkleize(chunks: Sequence[bytes], limit: int | None = None) -> Root:
    """Merkle root of 32-byte chunks, padded with zero chunks to the next power of two of ``limit`` (or their count)."""
    depth = (max(len(chunks) if limit is None else limit, 1) - 1).bit_length()
    if not chunks:
        return Root(_ZERO_HASHES[depth])
    layer = list(chunks)
    level = 0
    while len(layer) > 1:
        if len(layer) % 2:
            layer.append(_ZERO_HASHES[level])
        layer = [sha256(layer[i] + layer[i + 1]).digest() for i in range(0, len(layer), 2)]
        level += 1
    node = layer[0]
    # A short list of a large limit, such as a transaction, has most of its levels here.
    for zero in _ZERO_HASHES[level:depth]:
        node = sha256(node + zero).digest()
    return Root(node)


def container_root(*field_roots: bytes) -> Root:
    """Root of a container from the roots of its fields."""
    return merkleize(field_roots)


def u64_root(value: int) -> Root:
    """Root of a u64: little-endian, padded to 32 bytes."""
    return Root(value.to_bytes(8, "little") + bytes(24))


def bytes_root(value: bytes) -> Root:
    """Root of a byte vector whose length is that of ``value``."""
    return merkleize(_chunks(value))


def byte_list_root(value: bytes, limit: int) -> Root:
    """Root of a List[byte, limit]."""
    return _mix_in_length(merkleize(_chunks(value), _chunk_count(limit)), len(value))


def u64_list_root(values: Sequence[int], limit: int) -> Root:
    """Root of a List[u64, limit]: the numbers are packed four to a chunk."""
    packed = struct.pack(f"<{len(values)}Q", *values)
    return _mix_in_length(merkleize(_chunks(packed), _chunk_count(limit * 8)), len(values))


def list_root(item_roots: Sequence[bytes], limit: int) -> Root:
    """Root of a list of at most ``limit`` composite items from their roots."""
    return _mix_in_length(merkleize(item_roots, limit), len(item_roots))


def bitlist_root(value: bytes, limit: int) -> Root:
    """Root of a bit list of at most ``limit`` bits, given with the bit that marks its end."""
    number = int.from_bytes(value, "little")
    count = max(number.bit_length() - 1, 0)
    bits = (number & ~(1 << count)).to_bytes((count + 7) // 8, "little") if count else b""
    return _mix_in_length(merkleize(_chunks(bits), _chunk_count((limit + 7) // 8)), count)


def byte_lists_root(items: Sequence[bytes], limit: int, item_limit: int) -> Root:
    """Root of a List[List[byte, item_limit], limit]."""
    return list_root([byte_list_root(item, item_limit) for item in items], limit)


def check_fixed(name: str, value: bytes, size: int) -> None:
    """Refuse to encode a byte vector of a wrong length: struct would pad or cut it. Raises ValueError."""
    if len(value) != size:
        raise ValueError(f"{name} is {len(value)} bytes long, expected {size}")


def check_size(name: str, raw: bytes, fixed_size: int) -> None:
    """Refuse input shorter than the fixed part of a container with variable-size fields."""
    if len(raw) < fixed_size:
        raise undecodable(name, f"{len(raw)} bytes, expected at least {fixed_size}")


def check_offsets(name: str, offsets: Sequence[int], first: int, size: int) -> None:
    """Refuse offsets that do not start at ``first``, decrease, or run past ``size``."""
    if offsets[0] != first:
        raise undecodable(name, f"first offset is {offsets[0]}, expected {first}")
    previous = first
    for offset in offsets:
        if offset < previous:
            raise undecodable(name, f"offset {offset} is below the one before it, {previous}")
        previous = offset
    if previous > size:
        raise undecodable(name, f"offset {previous} is past the end, {size}")


def check_limit(name: str, count: int, limit: int) -> None:
    """Refuse a list longer than its limit."""
    if count > limit:
        raise undecodable(name, f"{count} items, expected at most {limit}")


def decode_u64_list(name: str, raw: bytes, limit: int) -> tuple[int, ...]:
    """Read a List[u64, limit]."""
    count, rest = divmod(len(raw), 8)
    if rest:
        raise undecodable(name, f"{len(raw)} bytes, expected a multiple of 8")
    check_limit(name, count, limit)
    return struct.unpack(f"<{count}Q", raw)


def split_list(name: str, raw: bytes, limit: int) -> tuple[bytes, ...]:
    """Cut a list of at most ``limit`` variable-size items; the first inner offset tells the number of items."""
    if not raw:
        return ()
    check_size(name, raw, _OFFSET_BYTES)
    first = int.from_bytes(raw[:_OFFSET_BYTES], "little")
    count, rest = divmod(first, _OFFSET_BYTES)
    if rest or not count:
        raise undecodable(name, f"first offset is {first}, expected a positive multiple of {_OFFSET_BYTES}")
    check_limit(name, count, limit)
    check_size(name, raw, first)
    if count == 1:
        return (raw[first:],)
    offsets = struct.unpack_from(f"<{count}I", raw)
    size = len(raw)
    check_offsets(name, offsets, first, size)
    return tuple(raw[start:end] for start, end in zip(offsets, (*offsets[1:], size), strict=True))


def split_vectors(name: str, raw: bytes, item_size: int, limit: int) -> tuple[bytes, ...]:
    """Cut a list of at most ``limit`` items of ``item_size`` bytes each."""
    count, rest = divmod(len(raw), item_size)
    if rest:
        raise undecodable(name, f"{len(raw)} bytes, expected a multiple of {item_size}")
    check_limit(name, count, limit)
    return tuple(raw[start : start + item_size] for start in range(0, len(raw), item_size))


def decode_byte_lists(name: str, raw: bytes, limit: int, item_limit: int) -> tuple[bytes, ...]:
    """Read a List[List[byte, item_limit], limit]."""
    items = split_list(name, raw, limit)
    for item in items:
        if len(item) > item_limit:
            raise undecodable(name, f"an item of {len(item)} bytes, expected at most {item_limit}")
    return items


def check_bitlist(name: str, raw: bytes, limit: int) -> bytes:
    """Refuse what is no bit list of at most ``limit`` bits; a bit list's last byte holds the bit that marks its end."""
    if not raw or not raw[-1]:
        raise undecodable(name, "no bit marks the end of the bit list")
    check_limit(name, 8 * len(raw) + raw[-1].bit_length() - 9, limit)
    return raw


def check_bitvector(name: str, raw: bytes, bits: int) -> bytes:
    """Refuse what is no vector of ``bits`` bits: of another length, or with a bit set beyond the last."""
    size = (bits + 7) // 8
    if len(raw) != size:
        raise undecodable(name, f"{len(raw)} bytes, expected {size}")
    if bits % 8 and raw[-1] >> bits % 8:
        raise undecodable(name, f"a bit beyond the last of {bits} is set")
    return raw


def encode_byte_lists(items: Sequence[bytes]) -> bytes:
    """Write a list of byte lists: the table of offsets, then the items."""
    if not items:
        return b""
    offset = _OFFSET_BYTES * len(items)
    offsets = []
    for item in items:
        offsets.append(offset)
        offset += len(item)
    return struct.pack(f"<{len(items)}I", *offsets) + b"".join(items)


def _chunk_count(size: int) -> int:
    return (size + BYTES_PER_CHUNK - 1) // BYTES_PER_CHUNK


def _chunks(value: bytes) -> list[bytes]:
    padded = value + bytes(-len(value) % BYTES_PER_CHUNK)
    return [padded[i : i + BYTES_PER_CHUNK] for i in range(0, len(padded), BYTES_PER_CHUNK)]


def _mix_in_length(root: bytes, length: int) -> Root:
    return Root(sha256(root + length.to_bytes(BYTES_PER_CHUNK, "little")).digest())

"""SSZ types as values, for the beacon chain's large and rarely handled objects: blocks.

The small hot messages have codecs of their own; a block has forty containers, and a table of them is easier to compare
with the beacon chain's specification than forty classes. A container decodes to a named tuple of its fields; byte
vectors and bit fields to bytes as they stand on the wire, numbers to int, lists to tuples. Nothing looks at BLS points.

Decoding accepts exactly what encoding writes, as in ``ssz``.
"""

import collections
import struct
from collections.abc import Sequence
from typing import Any, Protocol

from ssv_pool.protocol.types import ssz
from ssv_pool.protocol.types.errors import ProtocolError
from ssv_pool.protocol.types.primitives import Root

OFFSET_BYTES = 4
"""Size of an SSZ offset."""


class Kind(Protocol):
    """An SSZ type."""

    @property
    def size(self) -> int | None:
        """Length of every encoding in bytes; None when it varies."""

    def encode(self, value: Any) -> bytes:
        """The SSZ bytes. Raises ValueError on bytes of a wrong length, and what struct raises on numbers too large."""

    def decode(self, name: str, raw: bytes) -> Any:
        """Read the SSZ bytes; ``name`` is for the error. Raises ProtocolError (UNMARSHAL_SSZ)."""

    def root(self, value: Any) -> Root:
        """SSZ root, 32 bytes."""


class Uint:
    """An unsigned number of ``size`` bytes: uint64, uint256."""

    def __init__(self, size: int) -> None:
        self.size = size

    def encode(self, value: int) -> bytes:
        """Little-endian. Raises OverflowError when the number does not fit."""
        return value.to_bytes(self.size, "little")

    def decode(self, name: str, raw: bytes) -> int:
        """Raises ProtocolError (UNMARSHAL_SSZ)."""
        _check_exact(name, raw, self.size)
        return int.from_bytes(raw, "little")

    def root(self, value: int) -> Root:
        """SSZ root, 32 bytes."""
        return Root(self.encode(value).ljust(ssz.BYTES_PER_CHUNK, b"\0"))


class Bytes:
    """A byte vector."""

    def __init__(self, size: int) -> None:
        self.size = size

    def encode(self, value: bytes) -> bytes:
        """The bytes. Raises ValueError when they are not ``size`` many."""
        ssz.check_fixed(f"byte vector of {self.size}", value, self.size)
        return value

    def decode(self, name: str, raw: bytes) -> bytes:
        """Raises ProtocolError (UNMARSHAL_SSZ)."""
        _check_exact(name, raw, self.size)
        return raw

    def root(self, value: bytes) -> Root:
        """SSZ root, 32 bytes."""
        return ssz.bytes_root(value)


class Bitvector:
    """A vector of ``bits`` bits, kept as on the wire: lowest bit first."""

    def __init__(self, bits: int) -> None:
        self.bits = bits
        self.size = (bits + 7) // 8

    def encode(self, value: bytes) -> bytes:
        """The bytes. Raises ValueError when they are not ``size`` many."""
        ssz.check_fixed(f"vector of {self.bits} bits", value, self.size)
        return value

    def decode(self, name: str, raw: bytes) -> bytes:
        """Raises ProtocolError (UNMARSHAL_SSZ), also where a bit beyond the last is set."""
        return ssz.check_bitvector(name, raw, self.bits)

    def root(self, value: bytes) -> Root:
        """SSZ root, 32 bytes."""
        return ssz.bytes_root(value)


class ByteList:
    """A byte list of at most ``limit`` bytes."""

    size = None

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def encode(self, value: bytes) -> bytes:
        """The bytes."""
        return value

    def decode(self, name: str, raw: bytes) -> bytes:
        """Raises ProtocolError (UNMARSHAL_SSZ)."""
        ssz.check_limit(name, len(raw), self.limit)
        return raw

    def root(self, value: bytes) -> Root:
        """SSZ root, 32 bytes."""
        return ssz.byte_list_root(value, self.limit)


class Bitlist:
    """A bit list of at most ``limit`` bits, kept as on the wire: with the bit that marks its end."""

    size = None

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def encode(self, value: bytes) -> bytes:
        """The bytes."""
        return value

    def decode(self, name: str, raw: bytes) -> bytes:
        """Raises ProtocolError (UNMARSHAL_SSZ)."""
        return ssz.check_bitlist(name, raw, self.limit)

    def root(self, value: bytes) -> Root:
        """SSZ root, 32 bytes."""
        return ssz.bitlist_root(value, self.limit)


class U64List:
    """A list of at most ``limit`` uint64."""

    size = None

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def encode(self, value: Sequence[int]) -> bytes:
        """The SSZ bytes."""
        return struct.pack(f"<{len(value)}Q", *value)

    def decode(self, name: str, raw: bytes) -> tuple[int, ...]:
        """Raises ProtocolError (UNMARSHAL_SSZ)."""
        return ssz.decode_u64_list(name, raw, self.limit)

    def root(self, value: Sequence[int]) -> Root:
        """SSZ root, 32 bytes."""
        return ssz.u64_list_root(value, self.limit)


class List:
    """A list of at most ``limit`` items, none of them basic."""

    size = None

    def __init__(self, item: Kind, limit: int) -> None:
        self.item = item
        self.limit = limit

    def encode(self, value: Sequence[Any]) -> bytes:
        """The SSZ bytes."""
        items = [self.item.encode(item) for item in value]
        return ssz.encode_byte_lists(items) if self.item.size is None else b"".join(items)

    def decode(self, name: str, raw: bytes) -> tuple[Any, ...]:
        """Raises ProtocolError (UNMARSHAL_SSZ)."""
        if self.item.size is None:
            parts = ssz.split_list(name, raw, self.limit)
        else:
            parts = ssz.split_vectors(name, raw, self.item.size, self.limit)
        return tuple(self.item.decode(name, part) for part in parts)

    def root(self, value: Sequence[Any]) -> Root:
        """SSZ root, 32 bytes."""
        return ssz.list_root([self.item.root(item) for item in value], self.limit)


class Vector:
    """``count`` items of a fixed size, none of them basic."""

    def __init__(self, item: Kind, count: int) -> None:
        if item.size is None:
            raise ValueError("a vector's items are of variable size, expected a fixed one")
        self.item = item
        self.count = count
        self.size = item.size * count

    def encode(self, value: Sequence[Any]) -> bytes:
        """The SSZ bytes. Raises ValueError when the items are not ``count`` many."""
        if len(value) != self.count:
            raise ValueError(f"a vector has {len(value)} items, expected {self.count}")
        return b"".join(self.item.encode(item) for item in value)

    def decode(self, name: str, raw: bytes) -> tuple[Any, ...]:
        """Raises ProtocolError (UNMARSHAL_SSZ)."""
        _check_exact(name, raw, self.size)
        return tuple(
            self.item.decode(name, part) for part in ssz.split_vectors(name, raw, self.size // self.count, self.count)
        )

    def root(self, value: Sequence[Any]) -> Root:
        """SSZ root, 32 bytes."""
        return ssz.merkleize([self.item.root(item) for item in value])


class Container:
    """Named fields in order; decodes to a named tuple, whose class is ``record``."""

    def __init__(self, name: str, **fields: Kind) -> None:
        self.name = name
        self.fields = fields
        self.record: Any = collections.namedtuple(name, fields)  # type: ignore[misc]  # noqa: PYI024  made from a table
        self.fixed_part = sum(OFFSET_BYTES if kind.size is None else kind.size for kind in fields.values())
        """Length of the fixed part in bytes."""
        variable = any(kind.size is None for kind in fields.values())
        self.size = None if variable else self.fixed_part

    def extended(self, name: str, **fields: Kind) -> "Container":
        """A container with these fields replaced in their place, or appended where they are new."""
        return Container(name, **(self.fields | fields))

    def encode(self, value: Any) -> bytes:
        """The SSZ bytes."""
        head, tail, offset = [], [], self.fixed_part
        for kind, item in zip(self.fields.values(), value, strict=True):
            encoded = kind.encode(item)
            if kind.size is None:
                head.append(struct.pack("<I", offset))
                tail.append(encoded)
                offset += len(encoded)
            else:
                head.append(encoded)
        return b"".join(head + tail)

    def decode(self, name: str, raw: bytes) -> Any:
        """Raises ProtocolError (UNMARSHAL_SSZ)."""
        if self.size is None:
            ssz.check_size(name, raw, self.fixed_part)
        else:
            _check_exact(name, raw, self.size)
        values: dict[str, Any] = {}
        offsets: dict[str, int] = {}
        position = 0
        for field, kind in self.fields.items():
            if kind.size is None:
                offsets[field] = int.from_bytes(raw[position : position + OFFSET_BYTES], "little")
                position += OFFSET_BYTES
            else:
                values[field] = kind.decode(f"{name}.{field}", raw[position : position + kind.size])
                position += kind.size
        if offsets:
            starts = list(offsets.values())
            ssz.check_offsets(name, starts, self.fixed_part, len(raw))
            for field, start, end in zip(offsets, starts, [*starts[1:], len(raw)], strict=True):
                values[field] = self.fields[field].decode(f"{name}.{field}", raw[start:end])
        return self.record(**values)

    def read(self, raw: bytes) -> Any:
        """``decode`` under the container's own name. Raises ProtocolError (UNMARSHAL_SSZ)."""
        return self.decode(self.name, raw)

    def accepts(self, raw: bytes) -> bool:
        """Whether ``raw`` decodes."""
        try:
            self.read(raw)
        except ProtocolError:
            return False
        return True

    def root(self, value: Any) -> Root:
        """SSZ root, 32 bytes."""
        return ssz.container_root(*(kind.root(item) for kind, item in zip(self.fields.values(), value, strict=True)))


def _check_exact(name: str, raw: bytes, size: int) -> None:
    if len(raw) != size:
        raise ssz.undecodable(name, f"{len(raw)} bytes, expected {size}")

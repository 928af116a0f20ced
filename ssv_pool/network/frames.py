"""Framing of gossip RPCs: a length as varint, then that many bytes of protobuf. Pure: bytes in, frames out."""

from ssv_pool.network.errors import FrameError

MAX_VARINT_SIZE = 10
"""Bytes of the longest varint (64 bits)."""

MAX_RPC_ENTRIES = 8192
"""Top-level fields (messages, subscriptions) one RPC may have.

A frame of the largest size could else hold millions of empty messages, each of them an object in memory.
"""

MAX_CONTROL_SIZE = 1024 * 1024
"""Bytes of control data one RPC may have; ids of 12 bytes for every topic fit many times over."""

_CONTROL_FIELD = 3
_LENGTH_DELIMITED = 2


def encode_varint(value: int) -> bytes:
    """Encode an unsigned integer as a protobuf varint."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def decode_varint(data: bytes | bytearray, start: int) -> tuple[int, int] | None:
    """Decode a varint at a position: (value, position after it), or None if it is not complete.

    Raises:
        FrameError: it is longer than ten bytes.
    """
    value = shift = 0
    for position in range(start, min(len(data), start + MAX_VARINT_SIZE)):
        byte = data[position]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position + 1
        shift += 7
    if len(data) - start >= MAX_VARINT_SIZE:
        raise FrameError(f"varint: over {MAX_VARINT_SIZE} bytes")
    return None


class FrameReader:
    """Cuts a byte stream into frames, from reads as large as they come.

    The library reads a frame's length byte by byte, each through all layers of the connection.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Take what was read and return the frames that are complete now.

        Raises:
            FrameError: a frame is announced that is larger than the limit, or its length is not a varint.
        """
        buffer = self._buffer
        buffer += data
        frames = []
        position = 0
        while (header := decode_varint(buffer, position)) is not None:
            size, start = header
            if size > self._limit:
                raise FrameError(f"frame: {size} bytes announced, expected at most {self._limit}")
            if len(buffer) - start < size:
                break
            frames.append(bytes(buffer[start : start + size]))
            position = start + size
        del buffer[:position]
        return frames


def check_rpc(frame: bytes) -> None:
    """Check an RPC's outline before it is decoded into objects.

    Raises:
        FrameError: too many entries, too much control data, or not the outline of a protobuf message.
    """
    position = entries = control = 0
    end = len(frame)
    while position < end:
        key, position = _varint_in(frame, position)
        if key & 7 == _LENGTH_DELIMITED:
            size, position = _varint_in(frame, position)
            position += size
            if key >> 3 == _CONTROL_FIELD:
                control += size
        else:
            position = _skip_scalar(frame, key & 7, position)
        entries += 1
        if entries > MAX_RPC_ENTRIES:
            raise FrameError(f"rpc: over {MAX_RPC_ENTRIES} entries")
    if position != end:
        raise FrameError("rpc: a field runs over the frame's end")
    if control > MAX_CONTROL_SIZE:
        raise FrameError(f"rpc: {control} bytes of control data, expected at most {MAX_CONTROL_SIZE}")


def _varint_in(frame: bytes, position: int) -> tuple[int, int]:
    decoded = decode_varint(frame, position)
    if decoded is None:
        raise FrameError("rpc: ends within a field")
    return decoded


def _skip_scalar(frame: bytes, wire_type: int, position: int) -> int:
    if wire_type == 0:
        return _varint_in(frame, position)[1]
    if wire_type == 1:
        return position + 8
    if wire_type == 5:
        return position + 4
    raise FrameError(f"rpc: wire type {wire_type}")

"""The Beacon API's JSON of SSZ objects, over the tables of ``protocol.types.schema``.

Numbers are decimal texts, bytes and bit fields 0x hex of their SSZ bytes, lists are arrays, containers objects.
"""

from collections.abc import Sequence
from typing import Any

from ssv_pool.beacon.answers import AnswerError, member
from ssv_pool.protocol.types.errors import ProtocolError
from ssv_pool.protocol.types.schema import (
    Bitlist,
    Bitvector,
    ByteList,
    Bytes,
    Container,
    Kind,
    List,
    U64List,
    Uint,
    Vector,
)


def to_json(kind: Kind, value: Any) -> Any:
    """The JSON of a value of ``kind``, as ``kind.decode`` gives it."""
    match kind:
        case Uint():
            return str(value)
        case Bytes() | ByteList() | Bitlist() | Bitvector():
            return f"0x{value.hex()}"
        case U64List():
            return [str(item) for item in value]
        case List() | Vector():
            return [to_json(kind.item, item) for item in value]
        case Container():
            return {name: to_json(field, item) for (name, field), item in zip(kind.fields.items(), value, strict=True)}
    raise TypeError(f"{type(kind).__name__} has no JSON form")


def from_json(kind: Kind, name: str, body: Any) -> Any:
    """Read the JSON of a value of ``kind``; ``name`` is for the error. Fields that the container lacks are ignored.

    Raises:
        AnswerError: something is missing, of another type, or beyond its limit.
    """
    match kind:
        case Uint():
            return _number(name, body, 8 * kind.size)
        case Bytes() | ByteList() | Bitlist() | Bitvector():
            return _octets(kind, name, body)
        case U64List():
            items = _items(name, body, kind.limit)
            return tuple(_number(name, item, 64) for item in items)
        case List():
            items = _items(name, body, kind.limit)
            return tuple(from_json(kind.item, name, item) for item in items)
        case Vector():
            items = _items(name, body, kind.count)
            if len(items) != kind.count:
                raise AnswerError(f"{name}: found {len(items)} items, expected {kind.count}")
            return tuple(from_json(kind.item, name, item) for item in items)
        case Container():
            if not isinstance(body, dict):
                raise AnswerError(f"{name}: found {str(body)[:60]!r}, expected an object")
            return kind.record(
                **{
                    field: from_json(of, f"{name}.{field}", _field(name, body, field))
                    for field, of in kind.fields.items()
                }
            )
    raise TypeError(f"{type(kind).__name__} has no JSON form")


def _field(name: str, body: dict[str, Any], field: str) -> Any:
    try:
        return member(body, field, object)
    except AnswerError as error:
        raise AnswerError(f"{name}.{error}") from None


def _items(name: str, body: Any, limit: int) -> Sequence[Any]:
    if not isinstance(body, list):
        raise AnswerError(f"{name}: found {str(body)[:60]!r}, expected a list")
    if len(body) > limit:
        raise AnswerError(f"{name}: found {len(body)} items, expected at most {limit}")
    return body


def _number(name: str, body: Any, bits: int) -> int:
    # A text of 78 digits holds every number of 256 bits; longer ones are not worth converting.
    if not isinstance(body, str) or not (body.isascii() and body.isdecimal()) or len(body) > 78 or int(body) >> bits:
        raise AnswerError(f"{name}: found {str(body)[:60]!r}, expected a decimal number below 2^{bits}")
    return int(body)


def _octets(kind: Bytes | ByteList | Bitlist | Bitvector, name: str, body: Any) -> bytes:
    raw: bytes | None = None
    if isinstance(body, str) and body.startswith("0x"):
        try:
            raw = bytes.fromhex(body[2:])
        except ValueError:
            raw = None
    # fromhex skips blanks: the lengths tell.
    if raw is None or 2 * len(raw) + 2 != len(body):
        raise AnswerError(f"{name}: found {str(body)[:60]!r}, expected 0x and bytes in hex")
    try:
        return kind.decode(name, raw)
    except ProtocolError as error:
        raise AnswerError(str(error)) from None

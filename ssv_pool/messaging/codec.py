"""The one codec of everything that crosses a process boundary inside an operator: frozen dataclasses as strict JSON.

Bytes are ``0x`` hex of the length their type demands, integers are unsigned 64-bit, times are numbers, enumerations go
by value. A key too many, a key too few, another type or another length is a CodecError. The rules for a type are worked
out once, at import.
"""

import enum
import json
import math
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from ssv_pool import bounded_json
from ssv_pool.errors import SsvPoolError
from ssv_pool.protocol.types import primitives

MAX_BYTES = 4 * 1024 * 1024
"""Longest message that a codec decodes unless it is made for longer ones (500 attestations take about 400 KB)."""

_LENGTHS: dict[object, int] = {
    primitives.Root: 32,
    primitives.PublicKey: 48,
    primitives.Signature: 96,
    primitives.Domain: 32,
    primitives.DomainType: 4,
    primitives.CommitteeId: 32,
    primitives.MessageId: 56,
}

_Json = Any
_Pack = Callable[[Any], _Json]
_Unpack = Callable[[_Json, str], Any]


class CodecError(SsvPoolError):
    """Bytes from another process are not the message they should be."""


@dataclass(frozen=True, slots=True)
class _Rule:
    pack: _Pack
    unpack: _Unpack


class Codec:
    """Encodes and decodes a closed set of dataclasses; the JSON's ``type`` is the class name."""

    def __init__(self, *kinds: type, max_bytes: int = MAX_BYTES) -> None:
        """Make a codec of these dataclasses that decodes messages of at most ``max_bytes``."""
        self._kinds = {kind.__name__: (kind, _rule(kind)) for kind in kinds}
        self._max_bytes = max_bytes

    def encode(self, message: object) -> bytes:
        """JSON of a message; raises CodecError for a type that this codec does not know."""
        name = type(message).__name__
        kind, rule = self._kinds.get(name, (None, None))
        if rule is None or type(message) is not kind:
            raise CodecError(f"message: found type {name}, expected one of {', '.join(self._kinds)}")
        body = {"type": name, **rule.pack(message)}
        return json.dumps(body, separators=(",", ":"), allow_nan=False).encode()

    def decode(self, raw: bytes | str) -> Any:
        """The message in ``raw``; raises CodecError for anything that ``encode`` cannot have made."""
        if len(raw) > self._max_bytes:
            raise CodecError(f"message: found {len(raw)} bytes, expected at most {self._max_bytes}")
        try:
            body = bounded_json.loads(raw, object_pairs_hook=_unique)
        except ValueError:
            raise CodecError("message: not JSON, expected an object") from None
        name = body.pop("type", None) if isinstance(body, dict) else None
        _, rule = self._kinds.get(name, (None, None)) if isinstance(name, str) else (None, None)
        if rule is None:
            raise CodecError(f"message: found type {str(name)[:40]!r}, expected one of {', '.join(self._kinds)}")
        return rule.unpack(body, str(name))


def _unique(pairs: list[tuple[str, _Json]]) -> dict[str, _Json]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key twice")
    return found


def _rule(annotation: Any) -> _Rule:
    """The rule for one annotated type."""
    if annotation in _LENGTHS:
        return _bytes_rule(_LENGTHS[annotation])
    if isinstance(annotation, typing.NewType):
        return _rule(annotation.__supertype__)
    if annotation is bytes:
        return _bytes_rule(None)
    if typing.get_origin(annotation) is tuple:
        return _tuple_rule(typing.get_args(annotation))
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        return _optional_rule(typing.get_args(annotation))
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return _enum_rule(annotation)
    if annotation in _PLAIN:
        return _Rule(lambda value: value, _PLAIN[annotation])
    if is_dataclass(annotation) and isinstance(annotation, type):
        return _dataclass_rule(annotation)
    raise TypeError(f"no rule for {annotation!r}")


def _dataclass_rule(kind: type) -> _Rule:
    hints = typing.get_type_hints(kind)
    rules = {field.name: _rule(hints[field.name]) for field in fields(kind)}
    packers = [(name, rule.pack) for name, rule in rules.items()]
    unpackers = [(name, rule.unpack) for name, rule in rules.items()]

    def pack(value: Any) -> _Json:
        return {name: convert(getattr(value, name)) for name, convert in packers}

    def unpack(value: _Json, where: str) -> Any:
        if not isinstance(value, dict) or value.keys() != rules.keys():
            found = sorted(value) if isinstance(value, dict) else type(value).__name__
            raise CodecError(f"{where}: found {str(found)[:200]}, expected the keys {sorted(rules)}")
        return kind(**{name: convert(value[name], f"{where}.{name}") for name, convert in unpackers})

    return _Rule(pack, unpack)


def _bytes_rule(length: int | None) -> _Rule:
    def pack(value: bytes) -> _Json:
        return "0x" + value.hex()

    def unpack(value: _Json, where: str) -> bytes:
        if isinstance(value, str) and value[:2] == "0x" and (length is None or len(value) == 2 + 2 * length):
            try:
                raw = bytes.fromhex(value[2:])
            except ValueError:
                raw = None
            # bytes.fromhex skips spaces: compare the length again.
            if raw is not None and 2 * len(raw) == len(value) - 2:
                return raw
        raise CodecError(f"{where}: found {str(value)[:80]!r}, expected 0x and {length or 'some'} bytes in hex")

    return _Rule(pack, unpack)


def _tuple_rule(arguments: tuple[Any, ...]) -> _Rule:
    if Ellipsis not in arguments:
        return _record_rule([_rule(argument) for argument in arguments])
    item = _rule(arguments[0])

    def pack(value: tuple[Any, ...]) -> _Json:
        return [item.pack(entry) for entry in value]

    def unpack(value: _Json, where: str) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise CodecError(f"{where}: found {type(value).__name__}, expected a list")
        return tuple(item.unpack(entry, f"{where}[{place}]") for place, entry in enumerate(value))

    return _Rule(pack, unpack)


def _record_rule(items: list[_Rule]) -> _Rule:
    """A tuple of fixed length."""

    def pack(value: tuple[Any, ...]) -> _Json:
        return [item.pack(entry) for item, entry in zip(items, value, strict=True)]

    def unpack(value: _Json, where: str) -> tuple[Any, ...]:
        if not isinstance(value, list) or len(value) != len(items):
            found = f"{len(value)} entries" if isinstance(value, list) else type(value).__name__
            raise CodecError(f"{where}: found {found}, expected a list of {len(items)}")
        pairs = zip(items, value, strict=True)
        return tuple(item.unpack(entry, f"{where}[{place}]") for place, (item, entry) in enumerate(pairs))

    return _Rule(pack, unpack)


def _optional_rule(arguments: tuple[Any, ...]) -> _Rule:
    inner = [argument for argument in arguments if argument is not type(None)]
    if len(inner) != 1 or len(arguments) != 2:
        raise TypeError(f"no rule for a union of {arguments}")
    rule = _rule(inner[0])
    return _Rule(
        lambda value: None if value is None else rule.pack(value),
        lambda value, where: None if value is None else rule.unpack(value, where),
    )


def _enum_rule(kind: type[enum.Enum]) -> _Rule:
    known = {(type(member.value), member.value): member for member in kind}

    def unpack(value: _Json, where: str) -> enum.Enum:
        member = known.get((type(value), value)) if isinstance(value, str | int) else None
        if member is None:
            raise CodecError(f"{where}: found {str(value)[:80]!r}, expected a {kind.__name__}")
        return member

    return _Rule(lambda member: member.value, unpack)


def _integer(value: _Json, where: str) -> int:
    if type(value) is not int or not 0 <= value < 2**64:
        raise CodecError(f"{where}: found {str(value)[:80]!r}, expected an unsigned 64-bit integer")
    return value


def _number(value: _Json, where: str) -> float:
    if type(value) not in (int, float) or not math.isfinite(value):
        raise CodecError(f"{where}: found {str(value)[:80]!r}, expected a number")
    return float(value)


def _text(value: _Json, where: str) -> str:
    if not isinstance(value, str):
        raise CodecError(f"{where}: found {type(value).__name__}, expected a text")
    return value


def _flag(value: _Json, where: str) -> bool:
    if not isinstance(value, bool):
        raise CodecError(f"{where}: found {type(value).__name__}, expected true or false")
    return value


_PLAIN: dict[object, _Unpack] = {int: _integer, float: _number, str: _text, bool: _flag}

"""The Beacon API's JSON to SSZ objects and back, strictly.

Integers are decimal strings, bytes are ``0x`` hex of the exact length, containers have all their fields and no other.
"""

import json
import re
from typing import Any

from remerkleable.basic import boolean, uint
from remerkleable.bitfields import Bitlist, Bitvector
from remerkleable.byte_arrays import RawBytesView
from remerkleable.complex import Container, List, Vector

from ssv_pool import bounded_json

_DECIMAL = re.compile(r"0|[1-9][0-9]{0,77}", re.ASCII)
_HEX = re.compile(r"0x(?:[0-9a-fA-F]{2})*", re.ASCII)


class JsonError(ValueError):
    """A JSON text is not what the API expects; the text names the place, what was found and what was expected."""


def parse_json(raw: bytes) -> Any:
    """Decode UTF-8 JSON. Raises JsonError: no JSON, a key given twice, or a constant like NaN."""
    try:
        return bounded_json.loads(raw.decode("utf-8"), object_pairs_hook=_unique_keys, parse_constant=_refuse_constant)
    except JsonError:
        raise
    except ValueError as error:
        raise JsonError(f"body: not valid JSON ({type(error).__name__})") from error


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise JsonError("body: a key is given twice in one object")
    return result


def _refuse_constant(name: str) -> Any:
    raise JsonError(f"body: {name} is no JSON number")


def parse_uint(value: Any, place: str, bits: int = 64) -> int:
    """A decimal string as an integer. Raises JsonError: no string, a sign, leading zeros, or too large."""
    if not isinstance(value, str) or not _DECIMAL.fullmatch(value):
        raise JsonError(f"{place}: found {_shown(value)}, expected an unsigned integer as a decimal string")
    number = int(value)
    if number >> bits:
        raise JsonError(f"{place}: found {value}, expected an integer below 2^{bits}")
    return number


def parse_hex(value: Any, place: str, length: int | None = None) -> bytes:
    """``0x`` hex as bytes. Raises JsonError: not hex, or not ``length`` bytes."""
    if not isinstance(value, str) or not _HEX.fullmatch(value):
        raise JsonError(f"{place}: found {_shown(value)}, expected 0x and hex digits")
    raw = bytes.fromhex(value[2:])
    if length is not None and len(raw) != length:
        raise JsonError(f"{place}: found {len(raw)} bytes, expected {length}")
    return raw


def to_json(view: Any) -> Any:
    """The JSON value of an SSZ object."""
    if isinstance(view, boolean):
        return bool(view)
    if isinstance(view, uint):
        return str(int(view))
    if isinstance(view, (RawBytesView, Bitlist, Bitvector)):
        return "0x" + view.encode_bytes().hex()
    if isinstance(view, Container):
        return {name: to_json(getattr(view, name)) for name in type(view).fields()}
    if isinstance(view, (List, Vector)):
        return [to_json(element) for element in view]
    raise TypeError(f"{type(view).__name__}: no JSON form known")


def from_json(ssz_type: Any, value: Any, place: str = "") -> Any:
    """The SSZ object of type ``ssz_type`` that ``value`` describes.

    Raises:
        JsonError: a field is missing, unknown or malformed; ``place`` and the field's path say which.
    """
    place = place or ssz_type.__name__
    if issubclass(ssz_type, boolean):
        if not isinstance(value, bool):
            raise JsonError(f"{place}: found {_shown(value)}, expected true or false")
        return ssz_type(value)
    if issubclass(ssz_type, uint):
        return ssz_type(parse_uint(value, place, 8 * int(ssz_type.type_byte_length())))
    if issubclass(ssz_type, (RawBytesView, Bitlist, Bitvector)):
        return _bytes_from_json(ssz_type, value, place)
    if issubclass(ssz_type, Container):
        return _container_from_json(ssz_type, value, place)
    if issubclass(ssz_type, (List, Vector)):
        return _elements_from_json(ssz_type, value, place)
    raise TypeError(f"{ssz_type.__name__}: no JSON form known")


def _bytes_from_json(ssz_type: Any, value: Any, place: str) -> Any:
    raw = parse_hex(value, place)
    try:
        view = ssz_type.decode_bytes(raw)
        canonical = view.encode_bytes() == raw
    except Exception as error:  # the SSZ library raises nothing more precise
        raise JsonError(f"{place}: {len(raw)} bytes are no {ssz_type.__name__} ({error})") from error
    if not canonical:
        raise JsonError(f"{place}: not the canonical encoding of a {ssz_type.__name__}")
    return view


def _container_from_json(ssz_type: Any, value: Any, place: str) -> Any:
    fields = ssz_type.fields()
    if not isinstance(value, dict):
        raise JsonError(f"{place}: found {_shown(value)}, expected an object")
    if value.keys() != fields.keys():
        missing, unknown = sorted(fields.keys() - value.keys()), sorted(value.keys() - fields.keys())
        raise JsonError(f"{place}: missing fields {missing}, unknown fields {unknown}")
    return ssz_type(**{name: from_json(kind, value[name], f"{place}.{name}") for name, kind in fields.items()})


def _elements_from_json(ssz_type: Any, value: Any, place: str) -> Any:
    if not isinstance(value, list):
        raise JsonError(f"{place}: found {_shown(value)}, expected an array")
    limit = int(ssz_type.limit() if issubclass(ssz_type, List) else ssz_type.vector_length())
    if len(value) > limit or (len(value) != limit and issubclass(ssz_type, Vector)):
        raise JsonError(f"{place}: found {len(value)} elements, expected {limit}")
    element_type = ssz_type.element_cls()
    elements = [from_json(element_type, element, f"{place}[{index}]") for index, element in enumerate(value)]
    return ssz_type(*elements) if elements else ssz_type()


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."

"""JSON from outside, with a bound on its nesting.

The standard parser recurses in C and relies on the interpreter's recursion limit, which a library in use (py_ecc)
raises so far that a hundred thousand brackets overflow the C stack and kill the process.
"""

import json
import re
from collections.abc import Callable
from itertools import accumulate
from typing import Any

MAX_DEPTH = 64
"""Levels of nesting that are read; the deepest objects of any API in use have about ten."""

_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_TEXT = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)


def loads(
    raw: bytes | str,
    *,
    object_pairs_hook: Callable[[list[tuple[str, Any]]], Any] | None = None,
    parse_constant: Callable[[str], Any] | None = None,
) -> Any:
    """Read JSON as ``json.loads`` does.

    Raises:
        ValueError: it is not JSON, or nested deeper than MAX_DEPTH.
    """
    data = raw.encode("utf-8", "surrogatepass") if isinstance(raw, str) else raw
    if _too_deep(data):
        raise ValueError(f"JSON nested deeper than {MAX_DEPTH} levels")
    return json.loads(raw, object_pairs_hook=object_pairs_hook, parse_constant=parse_constant)


def _too_deep(raw: bytes) -> bool:
    """Whether brackets outside of texts nest deeper than MAX_DEPTH."""
    if raw.count(b"[") + raw.count(b"{") <= MAX_DEPTH:
        return False  # at once, for a block of megabytes in one text
    brackets = _TEXT.sub(b"", raw).translate(None, _NOT_BRACKETS)
    return max(accumulate(map(_STEP.__getitem__, brackets)), default=0) > MAX_DEPTH

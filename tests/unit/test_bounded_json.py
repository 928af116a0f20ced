"""JSON from outside: read as the standard parser reads it, and refused before it can overflow the C stack."""

import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssv_pool.bounded_json import MAX_DEPTH, loads

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet='[]{}"\\a\n'),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(alphabet='[]{}"\\'), inner, max_size=4),
)


@given(VALUES)
def test_the_same_as_the_standard_parser(value: object) -> None:
    assert loads(json.dumps(value)) == value
    assert loads(json.dumps(value, ensure_ascii=False).encode()) == value


@pytest.mark.parametrize("deep", [100_000, MAX_DEPTH + 1])
@pytest.mark.parametrize("filler", ["", '"]]]]]]]]",', '"\\"]",'])
def test_deep_nesting_is_refused_whatever_the_recursion_limit(deep: int, filler: str) -> None:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(10**6)
    try:
        with pytest.raises(ValueError, match="JSON nested deeper than 64 levels"):
            loads(f"[{filler}" * deep + "]" * deep)
    finally:
        sys.setrecursionlimit(limit)


def test_brackets_in_texts_do_not_count() -> None:
    assert loads(json.dumps(["[" * 1000, {"{" * 1000: "]"}])) == ["[" * 1000, {"{" * 1000: "]"}]
    assert loads("[" * MAX_DEPTH + "]" * MAX_DEPTH) is not None

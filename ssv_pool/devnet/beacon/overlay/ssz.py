"""Faster property look-ups for the SSZ library: the same answers, remembered per type.

The library recomputes a container type's field table, depth and byte lengths on every attribute access, though types
never change after they were made. That is most of the time the specification spends.
"""

import functools
import hashlib
from typing import Any

from remerkleable import complex as ssz_complex
from remerkleable import tree as ssz_tree

_REMEMBERED = (
    "fields",
    "tree_depth",
    "is_fixed_byte_length",
    "type_byte_length",
    "min_byte_length",
    "max_byte_length",
    "default_node",
)
"""Class methods of Container whose result depends on the type alone and is never changed by callers."""


def _remember(owner: Any, name: str) -> None:
    original = owner.__dict__[name].__func__
    results: dict[Any, Any] = {}

    @functools.wraps(original)
    def remembered(cls: Any) -> Any:
        try:
            return results[cls]
        except KeyError:
            return results.setdefault(cls, original(cls))

    setattr(owner, name, classmethod(remembered))


def _element_type(cls: Any, index: int) -> Any:
    try:
        return _element_types[cls][index]
    except KeyError:
        return _element_types.setdefault(cls, list(cls.fields().values()))[index]


_element_types: dict[Any, list[Any]] = {}


def _pair_getter(self: Any, target: int) -> Any:
    """Walk from a pair node to the node at generalized index ``target``, iteratively."""
    if target < 1:
        raise ssz_tree.NavigationError
    node = self
    try:
        for bit in bin(target)[3:]:
            node = node.right if bit == "1" else node.left
    except AttributeError:
        raise ssz_tree.NavigationError from None
    return node


def _pair_root(self: Any) -> Any:
    """The hash of a pair node, remembered in the node; sha256 without the indirections of the library."""
    root = self._root
    if root is None:
        left, right = self.left, self.right
        left_root, right_root = left._root, right._root  # noqa: SLF001 - nodes of the same tree
        if left_root is None:
            left_root = left.merkle_root()
        if right_root is None:
            right_root = right.merkle_root()
        root = self._root = hashlib.sha256(left_root + right_root).digest()
    return root


@functools.cache
def install() -> None:
    """Replace the library's methods in this process; a second call does nothing."""
    container = ssz_complex.Container
    for name in _REMEMBERED:
        _remember(container, name)
    container.item_elem_cls = classmethod(_element_type)
    ssz_tree.PairNode.getter = _pair_getter
    ssz_tree.PairNode.merkle_root = _pair_root

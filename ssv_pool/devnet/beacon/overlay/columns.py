"""Lists of the beacon state as plain Python integers.

Reading one number out of an SSZ list costs microseconds and a page of objects; an epoch transition reads each list
many times. Here a packed list is read or written whole, and the validators are kept as columns, one list a field,
remembered by the hash of the registry.
"""

import struct
from collections.abc import Sequence
from typing import Any

from remerkleable.tree import PairNode, RootNode, subtree_fill_to_contents

from ssv_pool.devnet.beacon.memo import BoundedMemo

_CHUNK = 32
"""Bytes in one leaf of an SSZ tree."""


def _first_leaves(node: Any, depth: int, count: int) -> list[Any]:
    """The first ``count`` nodes ``depth`` levels below ``node``, from left to right."""
    if count <= 0:
        return []
    if depth == 0:
        return [node]
    half = 1 << (depth - 1)
    return _first_leaves(node.left, depth - 1, min(count, half)) + _first_leaves(node.right, depth - 1, count - half)


def read_list(view: Any) -> list[int]:
    """The numbers of a packed ``List[uint8]`` or ``List[uint64]``."""
    length = int(view.length())
    size = int(view.element_cls().type_byte_length())
    leaves = _first_leaves(view.get_backing().left, view.contents_depth(), -(-length * size // _CHUNK))
    raw = b"".join(leaf.merkle_root() for leaf in leaves)
    return list(raw[:length]) if size == 1 else list(struct.unpack_from(f"<{length}Q", raw))


def write_list(list_type: Any, values: Sequence[int]) -> Any:
    """A packed list of ``list_type`` (``List[uint8]`` or ``List[uint64]``) holding ``values``.

    Raises:
        ValueError, struct.error: a value does not fit the element type.
    """
    size = int(list_type.element_cls().type_byte_length())
    raw = bytes(values) if size == 1 else struct.pack(f"<{len(values)}Q", *values)
    raw += b"\0" * (-len(raw) % _CHUNK)
    leaves = [RootNode(raw[start : start + _CHUNK]) for start in range(0, len(raw), _CHUNK)]
    contents = subtree_fill_to_contents(leaves, list_type.contents_depth())
    return list_type(backing=PairNode(contents, RootNode(len(values).to_bytes(_CHUNK, "little"))))


Row = tuple[bytes, int, bool, int, int, int, int]


def _read_validator(node: Any) -> Row:
    """One validator's fields from its eight leaves (Validator, phase 0: the order has never changed)."""
    left, right = node.left, node.right
    key = left.left.left

    def number(leaf: Any) -> int:
        return int.from_bytes(leaf.merkle_root()[:8], "little")

    return (
        bytes(key.left.merkle_root() + key.right.merkle_root()[:16]),
        number(left.right.left),
        left.right.right.merkle_root()[0] == 1,
        number(right.left.left),
        number(right.left.right),
        number(right.right.left),
        number(right.right.right),
    )


class Columns:
    """The validators of one registry, a list for each field, all indexed by validator index."""

    __slots__ = (
        "_active",
        "_indices",
        "activation_epochs",
        "effective_balances",
        "eligibility_epochs",
        "exit_epochs",
        "pubkeys",
        "slashed",
        "withdrawable_epochs",
    )

    def __init__(self, rows: Sequence[Row]) -> None:
        self.pubkeys = [row[0] for row in rows]
        self.effective_balances = [row[1] for row in rows]
        self.slashed = [row[2] for row in rows]
        self.eligibility_epochs = [row[3] for row in rows]
        self.activation_epochs = [row[4] for row in rows]
        self.exit_epochs = [row[5] for row in rows]
        self.withdrawable_epochs = [row[6] for row in rows]
        self._active: dict[int, list[int]] = {}
        self._indices: dict[bytes, int] | None = None

    def __len__(self) -> int:
        return len(self.pubkeys)

    def is_active(self, index: int, epoch: int) -> bool:
        """Whether validator ``index`` is active at ``epoch``."""
        return self.activation_epochs[index] <= epoch < self.exit_epochs[index]

    def active(self, epoch: int) -> list[int]:
        """The indices of the validators active at ``epoch``, ascending. Not to be changed by the caller."""
        found = self._active.get(epoch)
        if found is None:
            found = self._active[epoch] = [index for index in range(len(self)) if self.is_active(index, epoch)]
        return found

    def index_of(self, pubkey: bytes) -> int | None:
        """The index of the first validator with this public key (48 bytes), or None."""
        if self._indices is None:
            self._indices = {}
            for index, key in enumerate(self.pubkeys):
                self._indices.setdefault(key, index)
        return self._indices.get(pubkey)


class ColumnCache:
    """Columns by the root of the validator registry they were read from."""

    def __init__(self) -> None:
        self._columns: BoundedMemo[bytes, Columns] = BoundedMemo(8)
        self._rows: BoundedMemo[bytes, Row] = BoundedMemo(1 << 16)

    def of(self, state: Any) -> Columns:
        """The columns of the validators of ``state``."""
        validators = state.validators
        root = bytes(validators.get_backing().merkle_root())
        found = self._columns.get(root)
        return found if found is not None else self._columns.put(root, self._read(validators))

    def _read(self, validators: Any) -> Columns:
        leaves = _first_leaves(validators.get_backing().left, validators.contents_depth(), int(validators.length()))
        rows = []
        for leaf in leaves:
            root = bytes(leaf.merkle_root())
            rows.append(self._rows.get(root) or self._rows.put(root, _read_validator(leaf)))
        return Columns(rows)

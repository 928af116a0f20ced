"""The blocks the node has seen and which of them are canonical, long after fork choice forgot them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BlockEntry:
    """One imported block."""

    root: bytes
    """Hash tree root of the block, 32 bytes."""
    slot: int
    parent_root: bytes
    """Root of the parent, 32 bytes; all zero for genesis."""
    state_root: bytes
    """Root of the state after the block, 32 bytes."""
    signed_block: bytes
    """SSZ of the SignedBeaconBlock."""


@dataclass(frozen=True, slots=True)
class Reorganization:
    """The head moved to a block that does not descend from the old head."""

    old_head: bytes
    depth: int
    """Blocks of the old branch that are no longer canonical."""


class History:
    """Blocks by root, canonical roots by slot; at most ``limit`` slots back from the head."""

    def __init__(self, genesis: BlockEntry, limit: int) -> None:
        self.genesis = genesis
        self._limit = limit
        self._entries: dict[bytes, BlockEntry] = {genesis.root: genesis}
        self._canonical: dict[int, bytes] = {genesis.slot: genesis.root}
        self._head = genesis

    @property
    def head(self) -> BlockEntry:
        """The canonical block with the highest slot."""
        return self._head

    def add(self, entry: BlockEntry) -> None:
        """Keep a block; it becomes canonical when ``set_head`` says so."""
        self._entries[entry.root] = entry

    def get(self, root: bytes) -> BlockEntry | None:
        """The block with this root, or None."""
        return self._entries.get(root)

    def find_state(self, state_root: bytes) -> BlockEntry | None:
        """The block whose post-state has this root, or None."""
        return next((entry for entry in reversed(self._entries.values()) if entry.state_root == state_root), None)

    def is_canonical(self, entry: BlockEntry) -> bool:
        """Whether the block is on the head's chain."""
        return self._canonical.get(entry.slot) == entry.root

    def at(self, slot: int) -> BlockEntry | None:
        """The canonical block of ``slot``, or None if the slot is empty or forgotten."""
        root = self._canonical.get(slot)
        return self._entries[root] if root is not None else None

    def at_or_before(self, slot: int) -> BlockEntry:
        """The latest canonical block that is not after ``slot`` (the genesis block if nothing else is left)."""
        for candidate in range(min(slot, self._head.slot), max(-1, self._head.slot - self._limit - 1), -1):
            root = self._canonical.get(candidate)
            if root is not None:
                return self._entries[root]
        return self.genesis

    def set_head(self, root: bytes) -> Reorganization | None:
        """Make the chain of ``root`` canonical; says whether blocks of the old chain were dropped."""
        old, new = self._head, self._entries[root]
        entry: BlockEntry | None = new
        path: dict[int, bytes] = {}
        while entry is not None and self._canonical.get(entry.slot) != entry.root:
            path[entry.slot] = entry.root
            entry = self._entries.get(entry.parent_root)
        fork_slot = entry.slot if entry is not None else -1
        dropped = {slot for slot in self._canonical if slot > fork_slot}
        depth = len(dropped)
        for slot in dropped:
            del self._canonical[slot]
        self._canonical |= path
        self._head = new
        return Reorganization(old.root, depth) if depth else None

    def forget_old(self) -> None:
        """Drop blocks more than the limit behind the head; the genesis block stays."""
        floor = self._head.slot - self._limit
        if floor <= 0:
            return
        old = [root for root, entry in self._entries.items() if 0 < entry.slot < floor]
        for root in old:
            entry = self._entries.pop(root)
            if self._canonical.get(entry.slot) == root:
                del self._canonical[entry.slot]

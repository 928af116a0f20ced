"""Overlay: the head of the chain in time linear in blocks and validators, without recursion."""

from collections.abc import Mapping, Sequence
from typing import Any

from ssv_pool.devnet.beacon.memo import BoundedMemo
from ssv_pool.devnet.beacon.overlay.columns import ColumnCache
from ssv_pool.devnet.beacon.overlay.patching import replaces


class ForkChoiceOverlay:
    """Replaces ``get_head`` and ``get_ancestor``, which recurse once for every block since finality."""

    def __init__(self, spec: Any, columns: ColumnCache) -> None:
        self._spec = spec
        self._columns = columns
        self._links: BoundedMemo[bytes, tuple[int, Any]] = BoundedMemo(1 << 14)

    def _link(self, store: Any, root: Any) -> tuple[int, Any]:
        """Slot and parent root of a block; reading them out of the SSZ tree is what costs."""
        found = self._links.get(root)
        if found is None:
            block = store.blocks[root]
            found = self._links.put(root, (int(block.slot), block.parent_root))
        return found

    @replaces
    def get_ancestor(self, store: Any, node: Any, slot: Any) -> Any:
        """Same result as the specification's ``get_ancestor``."""
        root = node.root
        wanted = int(slot)
        while True:
            if root not in store.blocks:
                raise KeyError(root)
            block_slot, parent = self._link(store, root)
            if block_slot <= wanted:
                return self._spec.ForkChoiceNode(root=root)
            root = parent

    @replaces
    def get_head(self, store: Any) -> Any:
        """Same result as the specification's ``get_head``."""
        links = {root: self._link(store, root) for root in store.blocks}
        order = sorted(links, key=lambda root: links[root][0])
        children: dict[Any, list[Any]] = {}
        for root in order:
            children.setdefault(links[root][1], []).append(root)
        justified = store.justified_checkpoint.root
        viable = self._viable(store, order, children, links[justified][0])
        scores = self._scores(store, order, links)
        head = justified
        while True:
            candidates = [child for child in children.get(head, ()) if child in viable]
            if not candidates:
                return self._spec.ForkChoiceNode(root=head)
            head = max(candidates, key=lambda root: (scores[root], root))

    def _viable(
        self, store: Any, order: Sequence[Any], children: Mapping[Any, list[Any]], justified_slot: int
    ) -> set[Any]:
        """The blocks from which a leaf with the expected checkpoints can be reached (``filter_block_tree``)."""
        viable: set[Any] = set()
        for root in reversed(order):
            if self._link(store, root)[0] < justified_slot:
                break
            if root in children:
                good = any(child in viable for child in children[root])
            else:
                good = self._leaf_is_viable(store, root)
            if good:
                viable.add(root)
        return viable

    def _leaf_is_viable(self, store: Any, root: Any) -> bool:
        spec = self._spec
        justified_epoch, finalized = store.justified_checkpoint.epoch, store.finalized_checkpoint
        voting_source = spec.get_voting_source(store, root)
        correct_justified = (
            justified_epoch == spec.GENESIS_EPOCH
            or voting_source.epoch == justified_epoch
            or voting_source.epoch + 2 >= spec.get_current_store_epoch(store)
        )
        return bool(correct_justified) and (
            finalized.epoch == spec.GENESIS_EPOCH
            or bool(finalized.root == spec.get_checkpoint_block(store, root, finalized.epoch))
        )

    def _scores(self, store: Any, order: Sequence[Any], links: Mapping[Any, tuple[int, Any]]) -> dict[Any, int]:
        """The weight of each block: votes for it and its descendants, with the proposer boost."""
        spec = self._spec
        state = store.checkpoint_states[store.justified_checkpoint]
        columns = self._columns.of(state)
        scores = dict.fromkeys(order, 0)
        for index in columns.active(int(spec.get_current_epoch(state))):
            message = store.latest_messages.get(index)
            if (
                message is not None
                and message.root in scores
                and not columns.slashed[index]
                and index not in store.equivocating_indices
            ):
                scores[message.root] += columns.effective_balances[index]
        if store.proposer_boost_root in scores:
            scores[store.proposer_boost_root] += int(spec.get_proposer_score(store))
        for root in reversed(order):
            parent = links[root][1]
            if parent in scores:
                scores[parent] += scores[root]
        return scores

"""The fork choice store, its head, and the states that follow from it.

Everything that changes the store goes through here: time, blocks, votes. Votes are checked by whoever hands them in
(``gossip``); blocks are checked here, first by the gossip rules and then by the state transition.
"""

from collections.abc import Callable, Sequence
from typing import Any

from ssv_pool.devnet.beacon.clock import SlotClock
from ssv_pool.devnet.beacon.events import EventBroker
from ssv_pool.devnet.beacon.history import BlockEntry, History
from ssv_pool.devnet.beacon.memo import BoundedMemo
from ssv_pool.devnet.beacon.overlay import FastSpec

KEPT_EPOCHS = 2
"""Epochs before finality whose blocks stay in fork choice: duties and gossip rules still look back at them."""


class BlockRefusedError(Exception):
    """A block was not imported; the text says whether it was ignored or rejected and by which rule."""


class Chain:
    """One chain from genesis, driven by the clock."""

    def __init__(
        self, fast: FastSpec, genesis_state: Any, clock: SlotClock, events: EventBroker, history_slots: int = 8192
    ) -> None:
        spec = fast.spec
        self.fast = fast
        self.spec: Any = spec
        self.clock = clock
        self.events = events
        self.genesis_state = genesis_state
        block = spec.BeaconBlock(state_root=spec.hash_tree_root(genesis_state))
        self.store: Any = spec.get_forkchoice_store(genesis_state, block)
        self.seen: Any = _empty_seen(spec)
        self.history = History(_entry(spec.SignedBeaconBlock(message=block)), history_slots)
        self._head: Any = None
        self.view: Callable[[Any], Any] = lambda root: root
        """The block that the node calls its head when fork choice says ``root``; an attack may choose another."""
        self._pending_votes: list[tuple[Any, Sequence[int]]] = []
        self._states: BoundedMemo[tuple[bytes, int], Any] = BoundedMemo(16)
        self._attestation_data: BoundedMemo[tuple[bytes, int], Any] = BoundedMemo(64)
        self._old_committees: dict[int, list[list[list[int]]]] = {}
        self._finalized = self.store.finalized_checkpoint

    def nothing_seen(self) -> Any:
        """An empty memory for the gossip rules: to judge an object as if it were the first."""
        return _empty_seen(self.spec)

    # ---- time

    def far_ahead(self, slot: Any) -> bool:
        """Whether ``slot`` is so late that the specification's arithmetic with instants would overflow."""
        return int(slot) > self.clock.slot() + self.clock.slots_per_epoch

    def tick(self) -> None:
        """Bring the store to the present: its time, the votes that are due, finality."""
        spec, store = self.spec, self.store
        seconds = max(self.clock.genesis_time, self.clock.now_ms() // 1000)
        if seconds > int(store.time):
            before = spec.get_current_slot(store)
            spec.on_tick(store, spec.Uint64(seconds))
            if spec.get_current_slot(store) != before:
                self._head = None
                self._apply_votes()
        if store.finalized_checkpoint != self._finalized:
            self._finalized = store.finalized_checkpoint
            self._announce_finality()

    def _apply_votes(self) -> None:
        """Count the votes of past slots (a vote counts from the slot after its own)."""
        spec, store = self.spec, self.store
        current = spec.get_current_slot(store)
        due = [vote for vote in self._pending_votes if vote[0].slot < current]
        self._pending_votes = [vote for vote in self._pending_votes if vote[0].slot >= current]
        for data, voters in due:
            attestation = spec.Attestation(data=data)
            try:
                spec.validate_on_attestation(store, attestation, is_from_block=False)
            except AssertionError:
                continue  # its block is newer than its slot, or it came so late that its target is out of range
            spec.update_latest_messages(store, [spec.ValidatorIndex(voter) for voter in voters], attestation)

    def add_vote(self, data: Any, voters: Sequence[int]) -> None:
        """Let a checked attestation of ``voters`` count in fork choice as soon as its slot is over."""
        self._pending_votes.append((data, voters))

    # ---- head and states

    def head(self) -> Any:
        """Root of the head block, as of the last ``tick``."""
        if self._head is None:
            # The fork choice reads the justified checkpoint's state and expects it to be there.
            self.spec.store_target_checkpoint_state(self.store, self.store.justified_checkpoint)
            self._head = self.view(self.spec.get_head(self.store).root)
            if bytes(self._head) != self.history.head.root:
                self._move_head(bytes(self._head))
        return self._head

    def _move_head(self, root: bytes) -> None:
        spec = self.spec
        reorganization = self.history.set_head(root)
        head = self.history.head
        epoch = head.slot // int(spec.SLOTS_PER_EPOCH)
        if reorganization is not None:
            old = self.history.get(reorganization.old_head)
            self.events.emit(
                "chain_reorg",
                {
                    "slot": str(head.slot),
                    "depth": str(reorganization.depth),
                    "old_head_block": "0x" + reorganization.old_head.hex(),
                    "new_head_block": "0x" + head.root.hex(),
                    "old_head_state": "0x" + (old.state_root.hex() if old is not None else "00" * 32),
                    "new_head_state": "0x" + head.state_root.hex(),
                    "epoch": str(epoch),
                    "execution_optimistic": False,
                },
            )
        self.events.emit(
            "head",
            {
                "slot": str(head.slot),
                "block": "0x" + head.root.hex(),
                "state": "0x" + head.state_root.hex(),
                "epoch_transition": head.slot % int(spec.SLOTS_PER_EPOCH) == 0,
                "previous_duty_dependent_root": "0x" + self.dependent_root(epoch).hex(),
                "current_duty_dependent_root": "0x" + self.dependent_root(epoch + 1).hex(),
                "execution_optimistic": False,
            },
        )

    def state_at(self, slot: int, root: bytes | None = None) -> Any:
        """The state of block ``root`` (the head if None) at ``slot`` or, if that is later, right after the block.

        The state is shared: copy it before changing it.
        """
        root = self.head() if root is None else self.spec.Root(root)
        state = self.store.block_states[root]
        if int(state.slot) >= slot:
            return state
        key = (bytes(root), slot)
        advanced = self._states.get(key)
        if advanced is None:
            advanced = state.copy()
            self.spec.process_slots(advanced, self.spec.Slot(slot))
            self._states.put(key, advanced)
        return advanced

    def current_state(self) -> Any:
        """The head's state at the current slot; shared, copy before changing."""
        return self.state_at(self.clock.slot())

    def attestation_data(self, slot: int) -> Any:
        """What an honest validator attests to in ``slot``, judged by the present head."""
        spec = self.spec
        self.head()
        entry = self.history.head if self.history.head.slot <= slot else self.history.at_or_before(slot)
        key = (entry.root, slot)
        data = self._attestation_data.get(key)
        if data is None:
            state = self.state_at(slot, entry.root)
            epoch = spec.compute_epoch_at_slot(spec.Slot(slot))
            start = spec.compute_start_slot_at_epoch(epoch)
            target = entry.root if entry.slot <= start else spec.get_block_root_at_slot(state, start)
            data = spec.AttestationData(
                slot=slot,
                index=0,
                beacon_block_root=entry.root,
                source=state.current_justified_checkpoint,
                target=spec.Checkpoint(epoch=epoch, root=target),
            )
            self._attestation_data.put(key, data)
        return data

    # ---- duties

    def dependent_root(self, epoch: int) -> bytes:
        """Root of the last block that can change the attester duties of ``epoch`` (beacon API: ``dependent_root``)."""
        if epoch <= 1:
            return self.history.genesis.root
        return self.history.at_or_before((epoch - 1) * int(self.spec.SLOTS_PER_EPOCH) - 1).root

    def committees(self, epoch: int) -> list[list[list[int]]] | None:
        """Validator indices by slot of the epoch, committee and place; None where they are not known."""
        old = self._old_committees.get(epoch)
        if old is not None:
            return old
        return self._compute_committees(epoch) if self._committees_known(epoch) else None

    def _committees_known(self, epoch: int) -> bool:
        """Whether the present state still holds the RANDAO mix that shuffled ``epoch``."""
        current = self.clock.epoch()
        kept = int(self.spec.EPOCHS_PER_HISTORICAL_VECTOR) - int(self.spec.MIN_SEED_LOOKAHEAD) - 2
        return current - kept < epoch <= current + 1

    def _compute_committees(self, epoch: int) -> list[list[list[int]]]:
        spec, state = self.spec, self.current_state()
        count = int(spec.get_committee_count_per_slot(state, spec.Epoch(epoch)))
        first = epoch * int(spec.SLOTS_PER_EPOCH)
        return [
            [
                [
                    int(member)
                    for member in spec.get_beacon_committee(state, spec.Slot(slot), spec.CommitteeIndex(index))
                ]
                for index in range(count)
            ]
            for slot in range(first, first + int(spec.SLOTS_PER_EPOCH))
        ]

    def keep_old_committees(self) -> None:
        """Write down the committees of epochs that nothing can change any more, before their seeds are lost."""
        first = max(self._old_committees, default=-1) + 1
        for epoch in range(first, int(self.store.finalized_checkpoint.epoch)):
            if self._committees_known(epoch):
                self._old_committees[epoch] = self._compute_committees(epoch)

    # ---- blocks

    def import_block(self, signed_block: Any) -> bytes:
        """Check a block and add it to the chain; returns its root. A known block is fine.

        Raises:
            BlockRefusedError: a gossip rule or the state transition refuses it.
        """
        spec, store = self.spec, self.store
        self.tick()
        block = signed_block.message
        root = block.hash_tree_root()
        if root in store.blocks:
            known = self.history.get(bytes(root))
            # A signature over one message by one key is one value: any other is wrong.
            if known is not None and known.signed_block != bytes(signed_block.encode_bytes()):
                raise BlockRefusedError("rejected: invalid proposer signature")
            return bytes(root)
        self._check_block_gossip(signed_block)
        self.head()
        try:
            spec.on_block(store, signed_block)
        except Exception as error:
            # The gossip rules marked the proposer's slot as used; an invalid block must not block a valid one.
            self.seen.proposer_slots.discard((block.proposer_index, block.slot))
            raise BlockRefusedError(f"rejected: state transition failed ({_reason(error)})") from error
        for attestation in block.body.attestations:
            try:
                spec.on_attestation(store, attestation, is_from_block=True)
            except (AssertionError, KeyError):
                continue  # valid in its block, but its vote is for a block that fork choice has dropped
        self.history.add(_entry(signed_block))
        event = {"slot": str(block.slot), "block": "0x" + root.hex(), "execution_optimistic": False}
        self.events.emit("block", event)
        self._head = None
        self.head()
        return bytes(root)

    def _check_block_gossip(self, signed_block: Any) -> None:
        spec = self.spec
        if signed_block.message.parent_root not in self.store.block_states:
            raise BlockRefusedError("ignored: block's parent has not been seen")
        now = spec.Uint64(self.clock.now_ms())
        if self.far_ahead(signed_block.message.slot):
            raise BlockRefusedError("ignored: block is from a future slot")
        try:
            spec.validate_beacon_block_gossip(self.seen, self.store, self.current_state(), signed_block, now)
        except spec.GossipIgnore as error:
            raise BlockRefusedError(f"ignored: {error}") from error
        except spec.GossipReject as error:
            raise BlockRefusedError(f"rejected: {error}") from error

    # ---- finality

    def _announce_finality(self) -> None:
        checkpoint = self._finalized
        entry = self.history.get(bytes(checkpoint.root))
        self.events.emit(
            "finalized_checkpoint",
            {
                "block": "0x" + bytes(checkpoint.root).hex(),
                "state": "0x" + (entry.state_root.hex() if entry is not None else "00" * 32),
                "epoch": str(checkpoint.epoch),
                "execution_optimistic": False,
            },
        )
        self.keep_old_committees()
        self._prune()

    def _prune(self) -> None:
        """Forget what finality made irrelevant to fork choice."""
        spec, store = self.spec, self.store
        finalized_root = store.finalized_checkpoint.root
        floor = int(store.blocks[finalized_root].slot) - KEPT_EPOCHS * int(spec.SLOTS_PER_EPOCH)
        for root in [root for root, block in store.blocks.items() if int(block.slot) < floor]:
            for table in (store.blocks, store.block_states, store.block_timeliness, store.unrealized_justifications):
                table.pop(root, None)
        epoch_floor = int(store.finalized_checkpoint.epoch) - KEPT_EPOCHS
        for checkpoint in [entry for entry in store.checkpoint_states if int(entry.epoch) < epoch_floor]:
            del store.checkpoint_states[checkpoint]
        votes = self.seen.attestation_validator_epochs
        votes.difference_update([entry for entry in votes if int(entry[1]) < epoch_floor])
        proposals = self.seen.proposer_slots
        proposals.difference_update([entry for entry in proposals if int(entry[1]) < floor])
        self.history.forget_old()


def _entry(signed_block: Any) -> BlockEntry:
    block = signed_block.message
    return BlockEntry(
        root=bytes(block.hash_tree_root()),
        slot=int(block.slot),
        parent_root=bytes(block.parent_root),
        state_root=bytes(block.state_root),
        signed_block=bytes(signed_block.encode_bytes()),
    )


def _empty_seen(spec: Any) -> Any:
    """The gossip rules' memory, empty: every field is a set or a dictionary."""
    kinds = spec.Seen.__annotations__
    return spec.Seen(**{name: {} if "Dict" in str(kind) else set() for name, kind in kinds.items()})


def _reason(error: Exception) -> str:
    text = str(error).splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__

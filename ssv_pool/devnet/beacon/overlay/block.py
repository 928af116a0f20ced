"""Overlay: block operations, and transitions that this process has done before."""

from collections.abc import Sequence
from typing import Any

from ssv_pool.devnet.beacon.memo import BoundedMemo
from ssv_pool.devnet.beacon.overlay.columns import ColumnCache, read_list, write_list
from ssv_pool.devnet.beacon.overlay.patching import replaces


class BlockOverlay:
    """Replaces the costly parts of ``process_block``, and remembers whole transitions by what went in."""

    def __init__(self, spec: Any, columns: ColumnCache) -> None:
        self._spec = spec
        self._columns = columns
        self._increment = int(spec.EFFECTIVE_BALANCE_INCREMENT)
        self._process_slots = spec.process_slots
        self._state_transition = spec.state_transition
        self._advanced: BoundedMemo[tuple[bytes, int], Any] = BoundedMemo(16)
        self._executed: BoundedMemo[tuple[bytes, bytes], Any] = BoundedMemo(8)
        self._sync_members: BoundedMemo[bytes, tuple[list[bytes], list[int]]] = BoundedMemo(8)

    @replaces
    def process_slots(self, state: Any, slot: Any) -> None:
        """Same result as the specification's ``process_slots``."""
        if not state.slot < slot:
            raise AssertionError(f"slot {slot}: expected one after the state's slot {state.slot}")
        key = (bytes(state.hash_tree_root()), int(slot))
        backing = self._advanced.get(key)
        if backing is None:
            self._process_slots(state, slot)
            self._advanced.put(key, state.get_backing())
        else:
            state.set_backing(backing)

    def remember_execution(self, pre_root: bytes, block_root: bytes, post_state: Any) -> None:
        """Remember that ``block_root`` on the state ``pre_root`` gives ``post_state``, as its state root says."""
        self._executed.put((bytes(pre_root), bytes(block_root)), post_state.get_backing())

    @replaces
    def state_transition(self, state: Any, signed_block: Any, validate_result: bool = True) -> None:
        """Same result as the specification's ``state_transition``."""
        key = (bytes(state.hash_tree_root()), bytes(signed_block.message.hash_tree_root()))
        backing = self._executed.get(key)
        if backing is None or not validate_result:
            self._state_transition(state, signed_block, validate_result)
            return
        state.set_backing(backing)
        if not self._spec.verify_block_signature(state, signed_block):
            raise AssertionError("block signature is invalid")

    @replaces
    def process_attestation(self, state: Any, attestation: Any) -> None:
        """Same result as the specification's ``process_attestation``."""
        spec = self._spec
        data = attestation.data
        current = spec.get_current_epoch(state)
        _require(data.target.epoch in (spec.get_previous_epoch(state), current), "target epoch out of range")
        _require(data.target.epoch == spec.compute_epoch_at_slot(data.slot), "target epoch is not the slot's")
        _require(data.slot + spec.MIN_ATTESTATION_INCLUSION_DELAY <= state.slot, "attestation is too new")
        _require(data.index == 0, "data index is not zero")
        attesters = self._attesters(state, attestation)
        flags = spec.get_attestation_participation_flag_indices(state, data, state.slot - data.slot)
        columns = self._columns.of(state)
        domain = spec.get_domain(state, spec.DOMAIN_BEACON_ATTESTER, data.target.epoch)
        _require(
            spec.bls.FastAggregateVerify(
                [columns.pubkeys[index] for index in attesters],
                spec.compute_signing_root(data, domain),
                attestation.signature,
            ),
            "attestation signature is invalid",
        )
        name = "current_epoch_participation" if data.target.epoch == current else "previous_epoch_participation"
        participation = read_list(getattr(state, name))
        numerator = self._set_flags(state, participation, attesters, [int(flag) for flag in flags])
        setattr(state, name, write_list(type(getattr(state, name)), participation))
        weight, proposer_weight = int(spec.WEIGHT_DENOMINATOR), int(spec.PROPOSER_WEIGHT)
        reward = spec.Gwei(numerator // ((weight - proposer_weight) * weight // proposer_weight))
        spec.increase_balance(state, spec.get_beacon_proposer_index(state), reward)

    def _attesters(self, state: Any, attestation: Any) -> list[int]:
        """The validators whose bits are set, ascending, after the checks of the bit fields' shape."""
        spec = self._spec
        data = attestation.data
        bits = [bool(bit) for bit in attestation.aggregation_bits]
        count = spec.get_committee_count_per_slot(state, data.target.epoch)
        offset = 0
        attesters: set[int] = set()
        for committee_index in spec.get_committee_indices(attestation.committee_bits):
            _require(committee_index < count, "committee index out of range")
            committee = spec.get_beacon_committee(state, data.slot, committee_index)
            _require(offset + len(committee) <= len(bits), "too few aggregation bits")
            committee_bits = bits[offset : offset + len(committee)]
            voters = {int(index) for index, bit in zip(committee, committee_bits, strict=True) if bit}
            _require(bool(voters), "nobody of the committee attested")
            attesters |= voters
            offset += len(committee)
        _require(len(bits) == offset, "too many aggregation bits")
        return sorted(attesters)

    def _set_flags(self, state: Any, participation: list[int], attesters: Sequence[int], flags: list[int]) -> int:
        """Set the flags that are new; returns the numerator of the proposer's reward."""
        spec = self._spec
        effective = self._columns.of(state).effective_balances
        per_increment = int(spec.get_base_reward_per_increment(state))
        weights = [int(weight) for weight in spec.PARTICIPATION_FLAG_WEIGHTS]
        numerator = 0
        for index in attesters:
            fresh = [flag for flag in flags if not participation[index] >> flag & 1]
            for flag in fresh:
                participation[index] |= 1 << flag
                numerator += effective[index] // self._increment * per_increment * weights[flag]
        return numerator

    @replaces
    def process_sync_aggregate(self, state: Any, sync_aggregate: Any) -> None:
        """Same result as the specification's ``process_sync_aggregate``."""
        spec = self._spec
        committee = state.current_sync_committee
        pubkeys, members = self._sync_committee(state, committee)
        bits = [bool(bit) for bit in sync_aggregate.sync_committee_bits]
        previous = max(state.slot, spec.Slot(1)) - spec.Slot(1)
        domain = spec.get_domain(state, spec.DOMAIN_SYNC_COMMITTEE, spec.compute_epoch_at_slot(previous))
        root = spec.compute_signing_root(spec.get_block_root_at_slot(state, previous), domain)
        signers = (
            [committee.aggregate_pubkey]
            if all(bits)
            else [pubkey for pubkey, bit in zip(pubkeys, bits, strict=True) if bit]
        )
        _require(
            spec.eth_fast_aggregate_verify(signers, root, sync_aggregate.sync_committee_signature),
            "sync aggregate signature is invalid",
        )
        reward, proposer_reward = self._sync_rewards(state)
        proposer = int(spec.get_beacon_proposer_index(state))
        balances = read_list(state.balances)
        for index, bit in zip(members, bits, strict=True):
            if bit:
                balances[index] += reward
                balances[proposer] += proposer_reward
            else:
                balances[index] -= min(balances[index], reward)
        state.balances = write_list(type(state.balances), balances)

    def _sync_committee(self, state: Any, committee: Any) -> tuple[list[bytes], list[int]]:
        """Public keys and validator indices of a sync committee (an index never changes once given)."""
        root = bytes(committee.hash_tree_root())
        found = self._sync_members.get(root)
        if found is not None:
            return found
        pubkeys = [bytes(pubkey) for pubkey in committee.pubkeys]
        columns = self._columns.of(state)
        indices = [columns.index_of(pubkey) for pubkey in pubkeys]
        members = [index for index in indices if index is not None]
        _require(len(members) == len(pubkeys), "sync committee member is no validator")
        return self._sync_members.put(root, (pubkeys, members))

    def _sync_rewards(self, state: Any) -> tuple[int, int]:
        """What a participant and the proposer get for one set bit, in Gwei."""
        spec = self._spec
        increments = int(spec.get_total_active_balance(state)) // self._increment
        total = int(spec.get_base_reward_per_increment(state)) * increments
        weight, proposer_weight = int(spec.WEIGHT_DENOMINATOR), int(spec.PROPOSER_WEIGHT)
        most = total * int(spec.SYNC_REWARD_WEIGHT) // weight // int(spec.SLOTS_PER_EPOCH)
        reward = most // int(spec.SYNC_COMMITTEE_SIZE)
        return reward, reward * proposer_weight // (weight - proposer_weight)


def _require(condition: bool, text: str) -> None:
    """Raise what the specification raises for an invalid block; unlike an assert statement, also under ``-O``."""
    if not condition:
        raise AssertionError(text)

"""Overlay: who is active, who sits in which committee, who proposes."""

import hashlib
import itertools
import struct
from collections.abc import Sequence
from typing import Any

from ssv_pool.devnet.beacon.memo import BoundedMemo
from ssv_pool.devnet.beacon.overlay.columns import ColumnCache
from ssv_pool.devnet.beacon.overlay.patching import replaces


class RegistryOverlay:
    """Replaces the functions that only read validators and RANDAO mixes."""

    def __init__(self, spec: Any, columns: ColumnCache) -> None:
        self._spec = spec
        self._columns = columns
        self._increment = int(spec.EFFECTIVE_BALANCE_INCREMENT)
        self._permutations: BoundedMemo[tuple[int, bytes], list[int]] = BoundedMemo(256)
        self._committees: BoundedMemo[tuple[bytes, bytes, int], list[list[Any]]] = BoundedMemo(16)

    @replaces
    def get_active_validator_indices(self, state: Any, epoch: Any) -> list[Any]:
        """Same result as the specification's ``get_active_validator_indices``."""
        index_type = self._spec.ValidatorIndex
        return [index_type(index) for index in self._columns.of(state).active(int(epoch))]

    @replaces
    def get_committee_count_per_slot(self, state: Any, epoch: Any) -> Any:
        """Same result as the specification's ``get_committee_count_per_slot``."""
        spec = self._spec
        active = len(self._columns.of(state).active(int(epoch)))
        wanted = active // int(spec.SLOTS_PER_EPOCH) // int(spec.TARGET_COMMITTEE_SIZE)
        return spec.Uint64(max(1, min(int(spec.MAX_COMMITTEES_PER_SLOT), wanted)))

    @replaces
    def get_beacon_committee(self, state: Any, slot: Any, index: Any) -> list[Any]:
        """Same result as the specification's ``get_beacon_committee``."""
        spec = self._spec
        epoch = spec.compute_epoch_at_slot(slot)
        count = int(spec.get_committee_count_per_slot(state, epoch))
        place = int(slot) % int(spec.SLOTS_PER_EPOCH) * count + int(index)
        seed = bytes(spec.get_seed(state, epoch, spec.DOMAIN_BEACON_ATTESTER))
        key = (bytes(state.validators.get_backing().merkle_root()), seed, int(epoch))
        committees = self._committees.get(key)
        if committees is None:
            committees = self._committees.put(key, self._shuffle(state, int(epoch), seed, count))
        if place < len(committees):
            return committees[place]
        # An index beyond the committees of the slot: the specification reads past them, into the next slots'.
        active = spec.get_active_validator_indices(state, epoch)
        return list(spec.compute_committee(active, seed, spec.Uint64(place), spec.Uint64(len(committees))))

    def _shuffle(self, state: Any, epoch: int, seed: bytes, count: int) -> list[list[Any]]:
        """All committees of ``epoch`` in order of slot and index."""
        spec = self._spec
        active = spec.get_active_validator_indices(state, epoch)
        total, committees = len(active), count * int(spec.SLOTS_PER_EPOCH)
        order = self.compute_shuffled_permutation(total, seed)
        shuffled = [active[position] for position in order]
        bounds = [total * place // committees for place in range(committees + 1)]
        return [shuffled[start:end] for start, end in itertools.pairwise(bounds)]

    @replaces
    def get_total_balance(self, state: Any, indices: Any) -> Any:
        """Same result as the specification's ``get_total_balance``."""
        balances = self._columns.of(state).effective_balances
        return self._spec.Gwei(max(self._increment, sum(balances[index] for index in indices)))

    @replaces
    def get_total_active_balance(self, state: Any) -> Any:
        """Same result as the specification's ``get_total_active_balance``."""
        columns = self._columns.of(state)
        balances = columns.effective_balances
        active = columns.active(int(self._spec.get_current_epoch(state)))
        return self._spec.Gwei(max(self._increment, sum(balances[index] for index in active)))

    @replaces
    def get_base_reward(self, state: Any, index: Any) -> Any:
        """Same result as the specification's ``get_base_reward``."""
        increments = self._columns.of(state).effective_balances[index] // self._increment
        return self._spec.Gwei(increments * int(self._spec.get_base_reward_per_increment(state)))

    @replaces
    def compute_shuffled_permutation(self, index_count: Any, seed: Any) -> list[int]:
        """Same result as the specification's ``compute_shuffled_permutation``."""
        key = (int(index_count), bytes(seed))
        order = self._permutations.get(key)
        if order is None:
            order = self._permutations.put(key, permutation(*key, rounds=int(self._spec.SHUFFLE_ROUND_COUNT)))
        return order

    @replaces
    def compute_proposer_index(self, state: Any, indices: Sequence[Any], seed: Any) -> Any:
        """Same result as the specification's ``compute_proposer_index``."""
        if not indices:
            raise AssertionError("no active validator to propose")
        return self._sample(state, indices, seed, 1)[0]

    @replaces
    def get_next_sync_committee_indices(self, state: Any) -> list[Any]:
        """Same result as the specification's ``get_next_sync_committee_indices``."""
        spec = self._spec
        epoch = spec.Epoch(spec.get_current_epoch(state) + 1)
        active = spec.get_active_validator_indices(state, epoch)
        seed = spec.get_seed(state, epoch, spec.DOMAIN_SYNC_COMMITTEE)
        return self._sample(state, active, seed, int(spec.SYNC_COMMITTEE_SIZE))

    def _sample(self, state: Any, indices: Sequence[Any], seed: Any, wanted: int) -> list[Any]:
        """The first ``wanted`` candidates in shuffled order that a draw by effective balance accepts."""
        balances = self._columns.of(state).effective_balances
        ceiling = int(self._spec.MAX_EFFECTIVE_BALANCE_ELECTRA)
        order = self.compute_shuffled_permutation(len(indices), seed)
        chosen: list[Any] = []
        draws = b""
        position = 0
        while len(chosen) < wanted:
            if position % 16 == 0:
                draws = bytes(self._spec.hash(bytes(seed) + struct.pack("<Q", position // 16)))
            candidate = indices[order[position % len(indices)]]
            draw = int.from_bytes(draws[position % 16 * 2 : position % 16 * 2 + 2], "little")
            if balances[candidate] * 0xFFFF >= ceiling * draw:
                chosen.append(candidate)
            position += 1
        return chosen


def permutation(count: int, seed: bytes, *, rounds: int) -> list[int]:
    """The specification's swap-or-not shuffle of ``count`` indices, all at once.

    Each round mirrors positions at a pivot and swaps a pair where its bit is set. Applied to a list from the last
    round to the first, the swaps build the whole permutation in place.
    """
    order = list(range(count))
    buckets = (count + 255) // 256
    for current_round in range(rounds - 1, -1, -1):
        prefix = seed + bytes((current_round,))
        pivot = int.from_bytes(hashlib.sha256(prefix).digest()[:8], "little") % count if count else 0
        source = b"".join(hashlib.sha256(prefix + bucket.to_bytes(4, "little")).digest() for bucket in range(buckets))
        bits = bin(int.from_bytes(source, "little") | 1 << (256 * buckets))[:2:-1]
        for mirror, first, last in (
            (pivot, pivot // 2 + 1, pivot + 1),
            (pivot + count, (pivot + count) // 2 + 1, count),
        ):
            for position in range(first, last):
                if bits[position] == "1":
                    other = mirror - position
                    order[position], order[other] = order[other], order[position]
    return order

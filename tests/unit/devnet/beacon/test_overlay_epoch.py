import random

import pytest
from beacon_parity import EFFORT, assert_same, fast, interop_state, published, random_state

from ssv_pool.devnet.beacon.overlay import patching, ssz
from ssv_pool.devnet.beacon.overlay.block import BlockOverlay
from ssv_pool.devnet.beacon.overlay.columns import read_list, write_list
from ssv_pool.devnet.beacon.overlay.epoch import EpochOverlay
from ssv_pool.devnet.beacon.overlay.forkchoice import ForkChoiceOverlay
from ssv_pool.devnet.beacon.overlay.registry import RegistryOverlay, permutation

EPOCH_STEPS = (
    "process_justification_and_finalization",
    "process_inactivity_updates",
    "process_rewards_and_penalties",
    "process_registry_updates",
    "process_slashings",
    "process_effective_balance_updates",
    "process_participation_flag_updates",
    "process_sync_committee_updates",
    "process_proposer_lookahead",
    "process_epoch",
)

CASES = [(count, seed) for seed in range(4 * EFFORT) for count in (9, 24)]


@pytest.mark.parametrize(("count", "seed"), CASES)
def test_epoch_transition(count, seed):
    rng = random.Random(f"epoch {count} {seed}")
    state = random_state(published(), count, rng)
    for step in EPOCH_STEPS:
        assert_same(state, lambda spec, copy, step=step: getattr(spec, step)(copy))


@pytest.mark.parametrize(("count", "seed"), CASES)
def test_registry_functions(count, seed):
    rng = random.Random(f"registry {count} {seed}")
    state = random_state(published(), count, rng)
    current = int(published().get_current_epoch(state))
    for epoch in {max(0, current - 1), current, current + 1}:
        assert_same(state, lambda spec, copy, e=epoch: list(spec.get_active_validator_indices(copy, spec.Epoch(e))))
        count_at = assert_same(
            state, lambda spec, copy, e=epoch: spec.get_committee_count_per_slot(copy, spec.Epoch(e))
        )
        for slot in range(epoch * 8, epoch * 8 + 8):
            for index in range(int(count_at[1]) + 1):
                assert_same(
                    state,
                    lambda spec, copy, s=slot, i=index: list(
                        spec.get_beacon_committee(copy, spec.Slot(s), spec.CommitteeIndex(i))
                    ),
                )
    assert_same(state, lambda spec, copy: spec.get_total_active_balance(copy))
    assert_same(state, lambda spec, copy: spec.get_total_balance(copy, {0, 3, 5}))
    assert_same(state, lambda spec, copy: [spec.get_base_reward(copy, index) for index in range(count)])
    assert_same(state, lambda spec, copy: list(spec.get_eligible_validator_indices(copy)))
    assert_same(state, lambda spec, copy: list(spec.get_next_sync_committee_indices(copy)))
    for flag in range(3):
        for epoch in range(current + 2):
            assert_same(
                state,
                lambda spec, copy, f=flag, e=epoch: spec.get_unslashed_participating_indices(copy, f, spec.Epoch(e)),
            )


@pytest.mark.parametrize("count", [1, 2, 3, 31, 255, 256, 257, 600])
def test_permutation(count):
    rng = random.Random(count)
    spec = published()
    for _ in range(2):
        seed = rng.randbytes(32)
        expected = [int(index) for index in spec._compute_shuffled_permutation(spec.Uint64(count), spec.Bytes32(seed))]
        assert permutation(count, seed, rounds=int(spec.SHUFFLE_ROUND_COUNT)) == expected


@pytest.mark.parametrize("seed", range(4 * EFFORT))
def test_process_slots_once_and_again(seed):
    rng = random.Random(f"slots {seed}")
    state = random_state(published(), 12, rng)
    target = int(state.slot) + rng.randrange(1, 12)
    for _ in range(2):  # the second time it is remembered
        assert_same(state, lambda spec, copy: spec.process_slots(copy, spec.Slot(target)))
    assert_same(state, lambda spec, copy: spec.process_slots(copy, copy.slot))


@pytest.mark.parametrize("length", [0, 1, 4, 5, 31, 32, 33, 100])
def test_lists_survive_the_way_through_plain_integers(length):
    rng = random.Random(length)
    state = interop_state(fast().spec, 9)
    for name, bits in (("balances", 64), ("current_epoch_participation", 8)):
        list_type = type(getattr(state, name))
        values = [rng.getrandbits(bits) for _ in range(length)]
        view = list_type(*values)
        assert read_list(view) == values
        assert write_list(list_type, values).hash_tree_root() == view.hash_tree_root()


def test_columns_follow_the_registry():
    spec = fast().spec
    state = interop_state(spec, 9)
    assert fast().columns.of(state).index_of(bytes(state.validators[7].pubkey)) == 7
    state.validators[7].exit_epoch = 5
    columns = fast().columns.of(state)
    assert columns.active(4) == list(range(9))
    assert columns.active(5) == [0, 1, 2, 3, 4, 5, 6, 8]
    assert columns.index_of(b"\1" * 48) is None


@pytest.mark.parametrize("overlay", [RegistryOverlay, EpochOverlay, BlockOverlay, ForkChoiceOverlay])
def test_every_replaced_function_exists(overlay):
    names = patching.replaced_names(overlay)
    assert names
    assert [name for name in names if not callable(getattr(published(), name, None))] == []


def test_container_properties_are_what_the_library_computes():
    ssz.install()
    spec = published()
    for ssz_type in (
        spec.BeaconState,
        spec.SignedBeaconBlock,
        spec.Attestation,
        spec.Validator,
        spec.SingleAttestation,
    ):
        for name in ssz._REMEMBERED:
            if name == "type_byte_length" and not ssz_type.is_fixed_byte_length():
                continue
            remembered = getattr(ssz_type, name)
            original = remembered.__func__.__wrapped__
            if name == "default_node":
                assert remembered().merkle_root() == original(ssz_type).merkle_root()
            else:
                assert remembered() == original(ssz_type)
        for place, field in enumerate(ssz_type.fields().values()):
            assert ssz_type.item_elem_cls(place) is field

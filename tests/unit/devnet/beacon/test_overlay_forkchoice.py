import random

import pytest
from beacon_parity import EFFORT, fast, interop_state, published

VALIDATORS = 16


def random_store(spec, seed):
    """A block tree with random votes, checkpoints, slashed and equivocating validators; the same for both modules."""
    rng = random.Random(f"tree {seed}")
    state = interop_state(spec, VALIDATORS)
    for validator in state.validators:
        if rng.random() < 0.2:
            validator.slashed = True
        if rng.random() < 0.2:
            validator.effective_balance = rng.choice([16, 64, 2048]) * 10**9
    genesis = spec.BeaconBlock(state_root=state.hash_tree_root())
    store = spec.get_forkchoice_store(state, genesis)
    genesis_root = genesis.hash_tree_root()
    roots = [genesis_root]
    justified_epoch = rng.randrange(4)
    for number in range(rng.randrange(1, 30)):
        parent = rng.choice(roots[-5:])
        slot = store.blocks[parent].slot + rng.randrange(1, 4)
        block = spec.BeaconBlock(slot=slot, parent_root=parent, state_root=bytes([number]) * 32)
        root = block.hash_tree_root()
        store.blocks[root] = block
        post = state.copy()
        # Most branches agree with the store, so that votes decide; the others must be filtered out.
        source, unrealized = (justified_epoch if rng.random() < 0.8 else rng.randrange(5) for _ in range(2))
        post.current_justified_checkpoint = spec.Checkpoint(epoch=source, root=genesis_root)
        store.block_states[root] = post
        store.block_timeliness[root] = rng.random() < 0.5
        store.unrealized_justifications[root] = spec.Checkpoint(epoch=unrealized)
        roots.append(root)
    last = max(int(block.slot) for block in store.blocks.values())
    store.time = spec.Uint64(int(store.genesis_time) + 6 * (last + rng.randrange(10)))
    justified = rng.choice(roots[:4])
    store.justified_checkpoint = spec.Checkpoint(epoch=justified_epoch, root=justified)
    store.checkpoint_states[store.justified_checkpoint] = state
    finalized_epoch = spec.Epoch(rng.choice([0, 0, 1]))
    finalized_root = spec.get_checkpoint_block(store, justified, finalized_epoch)
    store.finalized_checkpoint = spec.Checkpoint(epoch=finalized_epoch, root=finalized_root)
    for index in range(VALIDATORS):
        if rng.random() < 0.8:
            message = spec.LatestMessage(epoch=spec.Epoch(1), root=rng.choice(roots))
            store.latest_messages[spec.ValidatorIndex(index)] = message
    if rng.random() < 0.5:
        store.proposer_boost_root = rng.choice(roots)
    store.equivocating_indices = {spec.ValidatorIndex(index) for index in range(VALIDATORS) if rng.random() < 0.1}
    return store, roots


@pytest.mark.parametrize("seed", range(80 * EFFORT))
def test_head_and_ancestors(seed):
    expected_store, roots = random_store(published(), seed)
    store, same_roots = random_store(fast().spec, seed)
    assert [bytes(root) for root in roots] == [bytes(root) for root in same_roots]
    assert bytes(fast().spec.get_head(store).root) == bytes(published().get_head(expected_store).root)
    for root in roots[::3]:
        for slot in (0, 3, 9, 40):
            expected = published().get_ancestor(expected_store, published().ForkChoiceNode(root=root), slot)
            assert bytes(fast().spec.get_ancestor(store, fast().spec.ForkChoiceNode(root=root), slot).root) == bytes(
                expected.root
            )


def test_a_long_time_without_finality_is_no_recursion():
    spec = fast().spec
    state = interop_state(spec, VALIDATORS)
    genesis = spec.BeaconBlock(state_root=state.hash_tree_root())
    store = spec.get_forkchoice_store(state, genesis)
    parent = genesis.hash_tree_root()
    for slot in range(1, 1500):
        block = spec.BeaconBlock(slot=slot, parent_root=parent)
        parent = block.hash_tree_root()
        store.blocks[parent] = block
        store.block_states[parent] = state
        store.unrealized_justifications[parent] = spec.Checkpoint()
    store.time = spec.Uint64(int(store.genesis_time) + 6 * 1500)
    assert spec.get_head(store).root == parent
    assert spec.get_checkpoint_block(store, parent, spec.Epoch(0)) == genesis.hash_tree_root()


def test_the_random_trees_depend_on_what_is_compared():
    """Votes of slashed validators, the boost and the viability of branches each decide some of the heads."""
    spec = published()
    decided = {"slashed": 0, "equivocating": 0, "boost": 0, "viability": 0}
    for seed in range(80):
        store, roots = random_store(spec, seed)
        heads = {"as it is": spec.get_head(store).root}
        boost, equivocating = store.proposer_boost_root, store.equivocating_indices
        store.proposer_boost_root = spec.Root()
        heads["boost"] = spec.get_head(store).root
        store.proposer_boost_root, store.equivocating_indices = boost, set()
        heads["equivocating"] = spec.get_head(store).root
        store.equivocating_indices = equivocating
        for validator in store.checkpoint_states[store.justified_checkpoint].validators:
            validator.slashed = False
        heads["slashed"] = spec.get_head(store).root
        store, roots = random_store(spec, seed)
        for root in roots:
            store.unrealized_justifications[root] = store.justified_checkpoint
            store.block_states[root].current_justified_checkpoint = store.justified_checkpoint
        heads["viability"] = spec.get_head(store).root
        for name in decided:
            decided[name] += heads[name] != heads["as it is"]
    assert all(decided.values()), decided

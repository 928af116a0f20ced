import pytest
from beacon_parity import EFFORT
from beacon_stepper import SteppedNode

from ssv_pool.devnet.beacon.chain import BlockRefusedError
from ssv_pool.devnet.beacon.codec import to_json
from ssv_pool.devnet.beacon.events import TOPICS
from ssv_pool.devnet.beacon.simulated import DutyKind
from ssv_pool.devnet.inclusion import count_inclusion, parse_block
from ssv_pool.devnet.slashcheck import find_offences, votes_of_blocks

HALF = frozenset(range(32))


def canonical_blocks(node):
    decode = node.spec.SignedBeaconBlock.decode_bytes
    entries = (node.chain.history.at(slot) for slot in range(1, node.chain.history.head.slot + 1))
    return [parse_block(to_json(decode(entry.signed_block))) for entry in entries if entry is not None]


def committee_table(node, epochs):
    return {
        (epoch * 8 + offset, index): members
        for epoch in epochs
        for offset, of_slot in enumerate(node.chain.committees(epoch))
        for index, members in enumerate(of_slot)
    }


def drain(subscription):
    events = []
    while not subscription.queue.empty():
        events.append(subscription.queue.get_nowait())
    return events


def test_all_simulated_the_chain_finalizes_and_includes_every_vote():
    stepped = SteppedNode()
    stepped.run_slots(0, 48)
    node = stepped.node
    assert int(node.chain.store.finalized_checkpoint.epoch) == 4
    assert int(node.chain.store.justified_checkpoint.epoch) == 5
    committees = committee_table(node, range(6))
    blocks = canonical_blocks(node)
    inclusion = count_inclusion(range(64), committees, blocks, range(48))
    assert (inclusion.assigned, inclusion.included, inclusion.correct_head) == (6 * 64, 6 * 64, 6 * 64)
    assert inclusion.effectiveness == 1.0
    assert find_offences(votes_of_blocks(blocks, committees)) == []


def test_two_nodes_agree_and_a_foreign_block_is_executed():
    ours, theirs = SteppedNode(), SteppedNode()
    for slot in range(9):
        theirs.run_slot(slot)
        ours.go_to(slot)
        if slot:
            entry = theirs.node.chain.history.head
            root = ours.node.chain.import_block(ours.node.spec.SignedBeaconBlock.decode_bytes(entry.signed_block))
            assert root == entry.root
        ours.attest()
    assert ours.node.chain.history.head == theirs.node.chain.history.head


def test_a_chain_with_missing_blocks_goes_on():
    duties = frozenset({DutyKind.PROPOSE})
    stepped = SteppedNode(external=frozenset(range(24)), external_duties=duties)
    stepped.run_slots(0, 40)
    missing = [slot for slot in range(1, 41) if stepped.node.chain.history.at(slot) is None]
    assert missing
    assert int(stepped.node.chain.store.finalized_checkpoint.epoch) >= 2
    inclusion = count_inclusion(
        range(64), committee_table(stepped.node, range(4)), canonical_blocks(stepped.node), range(32)
    )
    assert inclusion.rate == 1.0
    # After a row of empty slots a block may be too small for all votes: it holds eight attestations.
    assert inclusion.effectiveness > 0.99


def test_without_half_of_the_votes_nothing_is_final_but_the_chain_lives():
    stepped = SteppedNode(external=HALF)
    stepped.run_slots(0, 60 * EFFORT)
    chain = stepped.node.chain
    assert chain.history.head.slot == 60 * EFFORT
    assert int(chain.store.finalized_checkpoint.epoch) == 0
    assert int(chain.store.justified_checkpoint.epoch) == 0


def test_a_pause_of_the_machine_is_survived():
    stepped = SteppedNode()
    stepped.run_slots(0, 5)
    stepped.run_slots(61, 62)
    assert stepped.node.chain.history.head.slot == 62
    assert stepped.node.chain.history.at(30) is None


def test_before_genesis():
    stepped = SteppedNode()
    chain = stepped.node.chain
    chain.tick()
    assert chain.history.head == chain.history.genesis
    assert int(chain.current_state().slot) == 0
    assert [len(chain.committees(epoch)) for epoch in (0, 1)] == [8, 8]
    assert chain.committees(2) is None
    assert chain.dependent_root(0) == chain.dependent_root(1) == chain.history.genesis.root


def test_dependent_root_and_duties_do_not_move_after_it():
    stepped = SteppedNode()
    stepped.run_slots(0, 8)
    duties, root = stepped.node.chain.committees(2), stepped.node.chain.dependent_root(2)
    assert root == stepped.node.chain.history.at(7).root
    stepped.run_slots(9, 18)
    assert stepped.node.chain.committees(2) == duties
    assert stepped.node.chain.dependent_root(2) == root


def test_old_committees_stay_known():
    stepped = SteppedNode()
    stepped.run_slots(0, 8)
    early = [stepped.node.chain.committees(epoch) for epoch in (0, 1)]
    stepped.run_slots(9, 40)
    assert int(stepped.node.chain.store.finalized_checkpoint.epoch) == 3
    stepped.go_to(80 * 8)  # by now the state has forgotten the seeds of the first epochs
    assert [stepped.node.chain.committees(epoch) for epoch in (0, 1)] == early
    assert stepped.node.chain.committees(5) is None


def test_finality_frees_old_states():
    stepped = SteppedNode()
    stepped.run_slots(0, 48)
    store = stepped.node.chain.store
    kept = {int(block.slot) for block in store.blocks.values()}
    assert int(store.finalized_checkpoint.epoch) == 4
    assert kept == set(range(16, 49))
    assert len(store.block_states) == len(store.unrealized_justifications) == len(kept)
    assert min(int(checkpoint.epoch) for checkpoint in store.checkpoint_states) >= 2
    assert len(stepped.node.chain.seen.proposer_slots) == len(kept)
    assert stepped.node.chain.history.at(1) is not None


def test_events():
    stepped = SteppedNode()
    subscription = stepped.node.events.subscribe(TOPICS)
    stepped.run_slots(0, 2)
    head = stepped.node.chain.history.head
    genesis = "0x" + stepped.node.chain.history.genesis.root.hex()
    topics = [topic for topic, _ in drain(subscription)]
    assert topics == ["block", "head", "block", "head"]
    stepped.run_slot(3)
    entry = stepped.node.chain.history.head
    assert drain(subscription) == [
        ("block", {"slot": "3", "block": "0x" + entry.root.hex(), "execution_optimistic": False}),
        (
            "head",
            {
                "slot": "3",
                "block": "0x" + entry.root.hex(),
                "state": "0x" + entry.state_root.hex(),
                "epoch_transition": False,
                "previous_duty_dependent_root": genesis,
                "current_duty_dependent_root": genesis,
                "execution_optimistic": False,
            },
        ),
    ]
    assert entry.parent_root == head.root


def test_a_late_block_is_reorganized_away():
    ours, theirs = SteppedNode(), SteppedNode()
    for slot in range(3):
        for stepped in (ours, theirs):
            stepped.run_slot(slot)
    subscription = ours.node.events.subscribe({"chain_reorg"})
    ours.go_to(3)
    ours.propose()
    orphan = ours.node.chain.history.head
    assert orphan.slot == 3
    theirs.go_to(4)
    theirs.propose()
    ours.go_to(4)
    foreign = theirs.node.chain.history.head
    ours.node.chain.import_block(ours.node.spec.SignedBeaconBlock.decode_bytes(foreign.signed_block))
    assert ours.node.chain.history.head == foreign
    assert ours.node.chain.history.at(3) is None
    [(_, event)] = drain(subscription)
    assert (event["depth"], event["slot"]) == ("1", "4")
    assert event["old_head_block"] == "0x" + orphan.root.hex()
    ours.attest()
    ours.run_slot(5)
    assert ours.node.chain.history.head.slot == 5


@pytest.fixture
def offered():
    """A node in slot 3 and the good block that another node made for it."""
    ours, theirs = SteppedNode(), SteppedNode()
    for slot in range(3):
        ours.run_slot(slot)
        theirs.run_slot(slot)
    ours.go_to(3)
    theirs.go_to(3)
    theirs.propose()
    signed = ours.node.spec.SignedBeaconBlock.decode_bytes(theirs.node.chain.history.head.signed_block)
    return ours, signed


def resign(stepped, signed):
    return stepped.node.simulated.sign_block(stepped.node.chain.current_state(), signed.message)


def test_bad_blocks_are_refused_and_do_not_block_the_good_one(offered):
    ours, signed = offered
    chain = ours.node.chain
    bad = signed.copy()
    bad.message.state_root = b"\1" * 32
    with pytest.raises(BlockRefusedError, match="rejected: invalid proposer signature"):
        chain.import_block(bad)
    with pytest.raises(BlockRefusedError, match="rejected: state transition failed"):
        chain.import_block(resign(ours, bad))
    bad = signed.copy()
    bad.message.parent_root = b"\1" * 32
    with pytest.raises(BlockRefusedError, match="ignored: block's parent has not been seen"):
        chain.import_block(bad)
    bad = signed.copy()
    bad.message.proposer_index = (int(bad.message.proposer_index) + 1) % 64
    with pytest.raises(BlockRefusedError, match="rejected: block proposer_index does not match expected proposer"):
        chain.import_block(resign(ours, bad))
    bad = signed.copy()
    bad.message.slot = 2**40
    with pytest.raises(BlockRefusedError, match="ignored: block is from a future slot"):
        chain.import_block(resign(ours, bad))
    chain.import_block(signed)
    assert chain.history.head.slot == 3
    assert chain.import_block(signed) == chain.history.head.root


def test_a_second_block_of_the_proposer_is_ignored(offered):
    ours, signed = offered
    ours.propose()
    other = signed.copy()
    other.message.body.graffiti = b"\2" * 32
    with pytest.raises(BlockRefusedError, match="ignored: block is not the first valid block"):
        ours.node.chain.import_block(resign(ours, other))


def test_a_block_with_a_forged_attestation_is_refused(offered):
    ours, signed = offered
    attestation = signed.message.body.attestations[0]
    attestation.signature = signed.signature
    signed.message.body.attestations[0] = attestation
    with pytest.raises(BlockRefusedError, match=r"rejected: state transition failed \(.*signature is invalid\)"):
        ours.node.chain.import_block(resign(ours, signed))

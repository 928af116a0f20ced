"""What a validator remembers from message to message, and that it does not grow without end."""

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from ssv_pool.protocol.types import OperatorId, Slot
from ssv_pool.protocol.validation.state import MAX_DECIDED, RING_SLOTS, SeenState

EXECUTOR, PEER = b"executor", b"peer"


def consensus(state, slot, *signers, peer=PEER, executor=EXECUTOR, round_=1, type_=1, root=None):
    state.record_consensus(peer, executor, Slot(slot), signers, round_, type_, root)


def test_nothing_is_found_where_nothing_was_recorded():
    state = SeenState()
    assert state.find(PEER, EXECUTOR, Slot(5)) is None
    assert state.other_duties(PEER, EXECUTOR, OperatorId(1), Slot(5), 32) == 0
    assert not state.is_past(PEER, EXECUTOR, Slot(5))


def test_peers_and_executors_are_apart():
    state = SeenState()
    consensus(state, 5, 1)
    assert state.find(PEER, EXECUTOR, Slot(5)) is not None
    assert state.find(b"other", EXECUTOR, Slot(5)) is None
    assert state.find(PEER, b"other", Slot(5)) is None


def test_a_higher_round_begins_anew_and_a_lower_one_changes_nothing_but_its_type():
    state = SeenState()
    consensus(state, 5, 1, type_=0, root=b"root")
    signer = state.find(PEER, EXECUTOR, Slot(5)).signers[1]
    assert (signer.round, signer.types, signer.proposal_root) == (1, 0b1, b"root")
    consensus(state, 5, 1, round_=3, type_=2)
    assert (signer.round, signer.types, signer.proposal_root) == (3, 0b100, None)


def test_a_ring_keeps_34_slots():
    state = SeenState()
    for slot in range(100, 200):
        consensus(state, slot, 1, 2, 3)
    assert state.size == RING_SLOTS * 4
    assert state.find(PEER, EXECUTOR, Slot(165)) is None
    assert state.find(PEER, EXECUTOR, Slot(166)) is not None
    assert state.is_past(PEER, EXECUTOR, Slot(165))
    assert not state.is_past(PEER, EXECUTOR, Slot(166))
    assert not state.is_past(PEER, EXECUTOR, Slot(200))


def test_duties_are_counted_in_the_slots_epoch_without_the_slot_itself():
    state = SeenState()
    for slot in (31, 32, 40, 63, 64):
        consensus(state, slot, 1)
    assert state.other_duties(PEER, EXECUTOR, OperatorId(1), Slot(40), 32) == 2
    assert state.other_duties(PEER, EXECUTOR, OperatorId(1), Slot(41), 32) == 3
    assert state.other_duties(PEER, EXECUTOR, OperatorId(2), Slot(41), 32) == 0


def test_decided_messages_of_a_slot_are_bounded():
    state = SeenState()
    for count, signers in enumerate(combinations(range(1, 14), 9), start=1):
        consensus(state, 5, *signers)
        assert len(state.find(PEER, EXECUTOR, Slot(5)).decided) == min(count, MAX_DECIDED)


def test_one_peer_cannot_push_out_what_is_known_of_others():
    state = SeenState(max_records=100, max_records_per_peer=60)
    consensus(state, 5, 1, peer=b"quiet")
    for number in range(1000):
        consensus(state, 5, 1, peer=b"loud", executor=number.to_bytes(4, "little"))
    assert state.find(b"quiet", EXECUTOR, Slot(5)) is not None
    assert state.size == 61
    for number in range(1000):
        consensus(state, 5, 1, peer=b"louder", executor=number.to_bytes(4, "little"))
    assert state.find(b"quiet", EXECUTOR, Slot(5)) is not None
    assert state.size == 100


def test_the_peer_longest_not_heard_of_is_forgotten():
    state = SeenState(max_peers=3)
    for name in (b"a", b"b", b"c", b"a", b"d"):
        consensus(state, 5, 1, peer=name)
    assert [name for name in (b"a", b"b", b"c", b"d") if state.find(name, EXECUTOR, Slot(5))] == [b"a", b"c", b"d"]
    assert state.size == 3


def test_over_the_total_a_peer_with_one_executor_is_forgotten_whole():
    state = SeenState(max_records=4)
    consensus(state, 5, 1, 2, peer=b"a")
    consensus(state, 5, 1, peer=b"b")
    consensus(state, 5, 1, peer=b"c")
    assert state.find(b"a", EXECUTOR, Slot(5)) is None
    assert state.size == 2


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"a", b"b", b"c", b"d"]),
            st.sampled_from([b"x", b"y", b"z"]),
            st.integers(0, 80),
            st.sampled_from([(1,), (2,), (1, 2, 3), (2, 3, 4)]),
            st.integers(1, 3),
        ),
        max_size=200,
    )
)
def test_the_count_is_the_number_of_records_kept(steps):
    state = SeenState(max_records=40, max_records_per_peer=20, max_peers=3)
    for peer, executor, slot, signers, round_ in steps:
        if state.is_past(peer, executor, Slot(slot)):
            continue
        if len(signers) == 1 and round_ == 3:
            state.record_partials(peer, executor, Slot(slot), signers[0], 2)
        else:
            consensus(state, slot, *signers, peer=peer, executor=executor, round_=round_)
        kept = [
            record
            for known in state._peers.values()
            for ring in known.executors.values()
            for record in ring.slots.values()
        ]
        assert state.size == sum(record.size for record in kept)
        assert len(state._peers) <= 3
        assert all(len(known.executors) == 1 or known.size <= 20 for known in state._peers.values())
        assert state.size <= 40 or len(state._peers) == 1

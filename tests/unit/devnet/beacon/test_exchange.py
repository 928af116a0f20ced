"""Nodes that pass frames to each other without any connection, on one clock."""

from collections import deque

import pytest
from beacon_stepper import SteppedNode

from ssv_pool.devnet.beacon import exchange
from ssv_pool.devnet.beacon.exchange import Exchange
from ssv_pool.devnet.beacon.frames import FrameError, FrameKind, SentUpTo, decode_frame, encode_frame, encode_slot
from ssv_pool.devnet.beacon.node import BeaconNode, NodeOptions
from ssv_pool.devnet.beacon.simulated import DutyKind

ALL_DUTIES = frozenset(DutyKind)
EXTERNAL = frozenset(range(8))


class Wire:
    """Nodes in a row, each connected with its neighbours; frames are delivered when ``deliver`` is called."""

    def __init__(self, *nodes):
        self.nodes = nodes
        self.frames = deque()
        self.delivered = []
        self.down = set()
        self.exchanges = [Exchange(node, self.sender(place)) for place, node in enumerate(nodes)]

    def sender(self, place):
        def send(frame, source):
            for other in (place - 1, place + 1):
                if 0 <= other < len(self.nodes) and other != source:
                    self.frames.append((place, other, frame))

        return send

    def deliver(self):
        while self.frames:
            sender, receiver, frame = self.frames.popleft()
            if self.down & {sender, receiver}:
                continue
            kind, content = decode_frame(frame)
            self.delivered.append((sender, receiver, kind))
            if kind is FrameKind.SENT_UP_TO:
                continue
            for answer in self.exchanges[receiver].receive(kind, content, sender):
                self.frames.append((receiver, sender, answer))


@pytest.fixture
def network():
    """The node with validators, one that follows it, and one that follows only the follower."""
    stepped = SteppedNode(external=EXTERNAL, external_duties=ALL_DUTIES)
    options = NodeOptions(
        genesis_time=stepped.node.options.genesis_time,
        slot_duration_ms=2000,
        external=frozenset(range(64)),
        external_duties=ALL_DUTIES,
    )
    followers = [BeaconNode(options, stepped.clock) for _ in range(2)]
    yield stepped, Wire(stepped.node, *followers)
    for node in (stepped.node, *followers):
        node.close()


def run_slots(stepped, wire, first, last):
    for slot in range(first, last + 1):
        stepped.run_slot(slot)
        wire.deliver()
        for node in wire.nodes[1:]:
            node.chain.tick()
            node.chain.head()


def heads(wire):
    return [node.chain.history.head.root for node in wire.nodes]


def test_followers_see_the_chain_and_its_votes(network):
    stepped, wire = network
    run_slots(stepped, wire, 0, 12)
    assert len(set(heads(wire))) == 1
    assert stepped.node.chain.history.head.slot >= 10
    # The votes themselves have come, not only those in blocks: the last slot's are in no block yet.
    assert [len(node.pool) for node in wire.nodes] == [len(stepped.node.pool)] * 3
    voters = [validator for validator in range(8, 64) if stepped.node.gate.is_live(validator, 1)]
    assert voters
    assert all(node.gate.is_live(validator, 1) for node in wire.nodes[1:] for validator in voters)
    # What the simulated members of the sync committee sign is there for a block that is made elsewhere.
    node = wire.nodes[2]
    state = node.chain.current_state()
    head = node.chain.history.head
    whole = node.sync_pool.whole(head.slot, head.root, bytes(state.current_sync_committee.hash_tree_root()))
    columns = node.chain.fast.columns.of(state)
    members = [columns.index_of(bytes(key)) for key in state.current_sync_committee.pubkeys]
    assert head.slot == 12
    assert whole is not None
    assert whole[0] == {place for place, index in enumerate(members) if index not in EXTERNAL}


def test_what_comes_in_at_the_end_of_the_row_reaches_its_beginning_once(network):
    stepped, wire = network
    validator = 3
    slot, _ = stepped.duty_of(validator, 0)
    run_slots(stepped, wire, 0, slot)
    attestation = stepped.attestation(validator, 0)
    wire.delivered.clear()
    assert [verdict.text for verdict in wire.nodes[2].gate.submit([attestation])] == ["accepted"]
    wire.deliver()
    assert wire.delivered == [(2, 1, FrameKind.ATTESTATION), (1, 0, FrameKind.ATTESTATION)]
    assert stepped.submit(attestation) == ["duplicate"]


def test_a_block_without_its_parent_waits_and_asks_for_it(network):
    stepped, wire = network
    run_slots(stepped, wire, 0, 2)
    wire.down = {1}
    run_slots(stepped, wire, 3, 5)
    wire.down = set()
    before = wire.nodes[1].chain.history.head.slot
    wire.delivered.clear()
    run_slots(stepped, wire, 6, 6)
    assert before <= 2
    assert len(set(heads(wire))) == 1
    assert (1, 0, FrameKind.BLOCK_WANTED) in wire.delivered


def test_votes_wait_for_their_block(network):
    stepped, wire = network
    run_slots(stepped, wire, 0, 3)
    stepped.run_slot(4)
    frames = [entry for entry in wire.frames if entry[1] == 1]
    wire.frames.clear()
    blocks = [entry for entry in frames if entry[2][0] == FrameKind.BLOCK]
    votes = [entry for entry in frames if entry[2][0] == FrameKind.VOTES]
    assert blocks
    assert votes
    before = len(wire.nodes[1].pool)
    answers = [answer for _, _, frame in votes for answer in wire.exchanges[1].receive(*decode_frame(frame), source=0)]
    assert [decode_frame(answer)[0] for answer in answers] == [FrameKind.BLOCK_WANTED]
    assert len(wire.nodes[1].pool) == before
    wire.exchanges[1].receive(*decode_frame(blocks[0][2]), source=0)
    assert len(wire.nodes[1].pool) == before + len(votes) == len(stepped.node.pool)


def test_missed_blocks_are_sent_in_pages(network, monkeypatch):
    stepped, wire = network
    monkeypatch.setattr(exchange, "BLOCKS_AT_ONCE", 3)
    run_slots(stepped, wire, 0, 8)
    asked = wire.exchanges[0].receive(FrameKind.BLOCKS_WANTED, encode_slot(1), source=1)
    kinds = [decode_frame(frame)[0] for frame in asked]
    assert kinds == [FrameKind.BLOCK] * 3 + [FrameKind.SENT_UP_TO]
    sent = SentUpTo.decode(decode_frame(asked[-1])[1])
    head = stepped.node.chain.history.head.slot
    assert sent == SentUpTo(stepped.node.spec.SignedBeaconBlock.decode_bytes(asked[2][1:]).message.slot, head)
    rest = wire.exchanges[0].receive(FrameKind.BLOCKS_WANTED, encode_slot(head), source=1)
    assert [decode_frame(frame)[0] for frame in rest] == [FrameKind.BLOCK, FrameKind.SENT_UP_TO]
    assert SentUpTo.decode(decode_frame(rest[-1])[1]) == SentUpTo(head, head)


def test_a_block_asked_for_by_root_comes_if_it_is_there(network):
    stepped, wire = network
    run_slots(stepped, wire, 0, 2)
    head = stepped.node.chain.history.head
    assert wire.exchanges[0].receive(FrameKind.BLOCK_WANTED, head.root, 1) == [
        encode_frame(FrameKind.BLOCK, head.signed_block)
    ]
    assert wire.exchanges[0].receive(FrameKind.BLOCK_WANTED, bytes(32), 1) == []


def test_joined_votes_are_checked(network):
    stepped, wire = network
    run_slots(stepped, wire, 0, 3)
    stepped.run_slot(4)
    frame = next(frame for _, receiver, frame in wire.frames if receiver == 1 and frame[0] == FrameKind.VOTES)
    block = next(frame for _, receiver, frame in wire.frames if receiver == 1 and frame[0] == FrameKind.BLOCK)
    wire.frames.clear()
    follower = wire.nodes[1]
    wire.exchanges[1].receive(*decode_frame(block), source=0)
    spec = follower.spec
    vote = spec.Attestation.decode_bytes(frame[1:])
    forged, foreign, unjustified = vote.copy(), vote.copy(), vote.copy()
    forged.signature = stepped.sign(63, vote.data)
    foreign.data.target.root = b"\x07" * 32
    unjustified.data.source.root = b"\x07" * 32
    before = len(follower.pool)
    for wrong in (forged, foreign, unjustified):
        assert wire.exchanges[1].receive(FrameKind.VOTES, bytes(wrong.encode_bytes()), 0) == []
        assert len(follower.pool) == before
    wire.exchanges[1].receive(*decode_frame(frame), source=0)
    assert len(follower.pool) == before + 1


def test_junk_is_a_frame_error(network):
    _, wire = network
    for kind in FrameKind:
        with pytest.raises(FrameError):
            wire.exchanges[1].receive(kind, b"\x01\x02\x03", 0)

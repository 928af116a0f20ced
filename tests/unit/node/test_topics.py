"""Topics around a fork: the clock says which the node is on, a message's own slot where it goes."""

from types import SimpleNamespace

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from ssv_pool.node import process
from ssv_pool.node.gossip import slot_of
from ssv_pool.node.process import Node
from ssv_pool.node.registry import OwnCommittee, RegistryState
from ssv_pool.protocol import types as t
from ssv_pool.protocol.chain import BeaconChain, ForkVersion
from ssv_pool.protocol.forks import ForkSchedule, alan_fork, boole_fork

SLOTS = st.integers(0, 2**64 - 1)


def signed(kind, content):
    return t.SignedSSVMessage((bytes(256),), (1,), t.SSVMessage(kind, bytes(56), content.encode()))


@given(SLOTS, st.sampled_from(t.QBFTMessageType))
def test_a_consensus_message_is_of_its_height(slot, kind):
    content = t.QBFTMessage(kind, slot, 1, bytes(56), bytes(32))
    assert slot_of(signed(t.MsgType.CONSENSUS, content)) == slot


@given(SLOTS, st.sampled_from(t.PartialSignatureType))
def test_partial_signatures_are_of_their_slot(slot, kind):
    item = t.PartialSignatureMessage(bytes(96), bytes(32), 1, 7)
    assert slot_of(signed(t.MsgType.PARTIAL_SIGNATURE, t.PartialSignatureMessages(kind, slot, (item,)))) == slot


class FakeNetwork:
    def __init__(self):
        self.topics = []

    async def subscribe(self, topic):
        self.topics.append(topic)

    async def unsubscribe(self, topic):
        self.topics.remove(topic)


IDS = (1, 2, 3, 4)
ALAN = alan_fork(t.DomainType(bytes.fromhex("00000402")))
BOOLE = boole_fork(t.DomainType(bytes.fromhex("00000403")), "devnet", 32)
OWN = OwnCommittee(SimpleNamespace(operator_ids=IDS), {})
ALAN_TOPIC, BOOLE_TOPIC = ALAN.topic(IDS), BOOLE.topic(IDS)


@pytest.fixture
def node(monkeypatch):
    """A node without sockets and files, and with a clock that the test sets by slot; Boole begins at slot 320."""
    made = object.__new__(Node)
    made._forks = ForkSchedule(ALAN, BOOLE, t.Epoch(10))
    made._network = FakeNetwork()
    made.view = RegistryState(own={t.committee_id(IDS): OWN})
    made.chain = BeaconChain(0.0, t.Root(bytes(32)), 12_000, 32, (ForkVersion(t.Epoch(0), bytes(4), "electra"),))
    made.now = 0
    monkeypatch.setattr(process.time, "time", lambda: made.now * 12)
    return made


@pytest.mark.parametrize(
    ("slot", "topics", "network_id"),
    [
        (0, [ALAN_TOPIC], "0x00000402"),
        (288, [BOOLE_TOPIC, ALAN_TOPIC], "0x00000402"),
        (320, [BOOLE_TOPIC, ALAN_TOPIC], "0x00000403"),
        (354, [BOOLE_TOPIC], "0x00000403"),
    ],
)
def test_around_a_fork_the_node_is_on_the_topics_of_both(node, slot, topics, network_id):
    node.now = slot
    trio.run(node._follow_forks)
    assert node._network.topics == topics
    assert node._network_id() == network_id


def test_topics_come_and_go_as_the_fork_goes_by(node):
    seen = []
    for node.now in (287, 288, 320, 353, 354):
        trio.run(node._follow_forks)
        seen.append(set(node._network.topics))
    both = {ALAN_TOPIC, BOOLE_TOPIC}
    assert seen == [{ALAN_TOPIC}, both, both, both, {BOOLE_TOPIC}]


@pytest.mark.parametrize(("slot", "topic"), [(319, ALAN_TOPIC), (320, BOOLE_TOPIC)])
def test_an_own_message_goes_to_the_topic_of_its_slot_whatever_the_time(node, slot, topic):
    message = signed(t.MsgType.CONSENSUS, t.QBFTMessage(1, slot, 1, bytes(56), bytes(32)))
    for node.now in (319, 320, 340):
        assert node._topic_of(OWN, message) == topic

"""The slot of an own message, which chooses its topic."""

from hypothesis import given
from hypothesis import strategies as st

from ssv_pool.node.gossip import slot_of
from ssv_pool.protocol import types as t

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

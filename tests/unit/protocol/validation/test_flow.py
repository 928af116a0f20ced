"""Sequences of messages: whole duties, floods, and bytes that are no messages at all."""

from dataclasses import replace
from hashlib import sha256
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssv_pool.protocol import types as t
from ssv_pool.protocol.chain import BeaconChain, ForkVersion
from ssv_pool.protocol.forks import ForkSchedule, alan_fork
from ssv_pool.protocol.types import MsgType, QBFTMessageType
from ssv_pool.protocol.validation import Accepted, CommitteeView, Refused, Rule, Validator
from ssv_pool.protocol.validation.state import MAX_DECIDED

CHAIN = BeaconChain(0.0, t.Root(bytes(32)), 12_000, 32, (ForkVersion(t.Epoch(0), bytes(4), "electra"),))
DOMAIN = t.DomainType(bytes.fromhex("00000402"))
FORK = alan_fork(DOMAIN)
VALUE = bytes(112)
SLOT = t.Slot(320)
PEER = b"peer"


class Keys:
    def __init__(self):
        self.valid = True
        self.looked_at = 0

    def sign(self, message):
        return bytes(256)

    def verify(self, public_key, message, signature):
        self.looked_at += 1
        return self.valid


class Net:
    """One committee, its validator of gossip, and a clock that the messages set."""

    def __init__(self, operators=4, validators=2, in_sync_committee=False, **options):
        self.operators = tuple(map(t.OperatorId, range(1, operators + 1)))
        self.committee_id = t.committee_id(self.operators)
        self.view = CommitteeView(self.operators, validators, in_sync_committee)
        self.mid = t.committee_message_id(DOMAIN, t.RunnerRole.COMMITTEE, self.committee_id)
        self.keys = Keys()
        self.validator = Validator(self, ForkSchedule(FORK), CHAIN, self.keys, **options)

    def committee(self, committee_id):
        return self.view if committee_id == self.committee_id else None

    def operator_key(self, operator_id):
        return b"key"

    def qbft(self, type_, *signers, slot=SLOT, round_=1, full_data=b"", **fields):
        content = t.QBFTMessage(type_, slot, round_, self.mid, sha256(VALUE).digest(), **fields)
        return self.signed(MsgType.CONSENSUS, content, signers, full_data)

    def partials(self, signer, slot=SLOT, count=1):
        items = tuple(t.PartialSignatureMessage(bytes(96), bytes(32), signer, index) for index in range(count))
        content = t.PartialSignatureMessages(0, slot, items)
        return self.signed(MsgType.PARTIAL_SIGNATURE, content, (signer,))

    def signed(self, msg_type, content, signers, full_data=b""):
        inner = t.SSVMessage(msg_type, self.mid, content.encode())
        return t.SignedSSVMessage((bytes(256),) * len(signers), signers, inner, full_data)

    def send(self, message, peer=PEER, since=0.0, slot=SLOT):
        raw = message if isinstance(message, bytes) else message.encode()
        return self.validator.validate(peer, FORK.topic(self.operators), raw, CHAIN.start_of(slot) + since)


def all_accepted(results):
    return [result for result in results if not isinstance(result, Accepted)] == []


@pytest.mark.parametrize("operators", [4, 7, 10, 13])
def test_a_duty_over_two_rounds_from_one_peer(operators):
    net = Net(operators)
    kinds = QBFTMessageType
    proposals = [
        net.qbft(kinds.PROPOSAL, FORK.leader(net.operators, SLOT, t.Round(round_)), round_=round_, full_data=VALUE)
        for round_ in (1, 2)
    ]
    first = [proposals[0]] + [net.qbft(kinds.PREPARE, signer) for signer in net.operators]
    changes = [net.qbft(kinds.ROUND_CHANGE, signer, round_=2) for signer in net.operators]
    second = [proposals[1]]
    second += [net.qbft(kinds.PREPARE, signer, round_=2) for signer in net.operators]
    second += [net.qbft(kinds.COMMIT, signer, round_=2) for signer in net.operators]
    quorum = net.view.quorum
    decided = [net.qbft(kinds.COMMIT, *net.operators[i : i + quorum], round_=2, full_data=VALUE) for i in range(2)]
    partials = [net.partials(signer, count=2) for signer in net.operators]
    assert all_accepted(net.send(message, since=4) for message in first)
    assert all_accepted(net.send(message, since=6) for message in changes + second + decided + partials)


def test_a_message_may_come_once_from_each_peer():
    net = Net()
    message = net.qbft(QBFTMessageType.PREPARE, 1)
    assert all_accepted(net.send(message, peer=peer) for peer in (b"a", b"b"))
    assert net.send(message, peer=b"a").rule is Rule.REPEATED_TYPE


def test_a_bad_signature_leaves_no_trace():
    net = Net()
    message = net.qbft(QBFTMessageType.PREPARE, 1)
    net.keys.valid = False
    assert net.send(message) == Refused(Rule.CONSENSUS_SIGNATURE, "the signature of operator 1 is not valid")
    net.keys.valid = True
    assert isinstance(net.send(message), Accepted)


def test_a_committee_of_two_validators_has_four_duties_an_epoch():
    net = Net(validators=2)
    for slot in range(320, 324):
        assert isinstance(net.send(net.qbft(QBFTMessageType.PREPARE, 1, slot=slot), slot=slot), Accepted)
        assert isinstance(net.send(net.partials(1, slot=slot), slot=slot), Accepted)
    net.keys.looked_at = 0
    expected = Refused(Rule.TOO_MANY_DUTIES, "duty 5 of operator 1 in this epoch, expected at most 4")
    assert net.send(net.qbft(QBFTMessageType.PREPARE, 1, slot=324), slot=324) == expected
    assert net.send(net.partials(1, slot=324), slot=324) == expected
    assert net.send(net.qbft(QBFTMessageType.COMMIT, 1, 2, 3, slot=324), slot=324) == expected
    assert net.keys.looked_at == 0
    assert isinstance(net.send(net.qbft(QBFTMessageType.PREPARE, 2, slot=324), slot=324), Accepted)
    assert isinstance(net.send(net.qbft(QBFTMessageType.PREPARE, 1, slot=352), slot=352), Accepted)


@pytest.mark.parametrize(
    ("validators", "in_sync_committee"), [(16, False), (1, True)], ids=["many validators", "sync committee"]
)
def test_a_committee_may_have_a_duty_in_every_slot(validators, in_sync_committee):
    net = Net(validators=validators, in_sync_committee=in_sync_committee)
    assert all_accepted(
        net.send(net.qbft(QBFTMessageType.PREPARE, 1, slot=slot), slot=slot) for slot in range(320, 352)
    )


def test_a_slot_older_than_the_memory_is_late():
    net = Net(validators=16)
    assert isinstance(net.send(net.qbft(QBFTMessageType.PREPARE, 1, slot=354), slot=354), Accepted)
    assert net.send(net.qbft(QBFTMessageType.PREPARE, 1, slot=320), slot=354) == Refused(
        Rule.LATE, "slot 320 is older than what is remembered"
    )


def test_a_flood_of_decided_messages_with_different_signers_ends():
    net = Net(operators=13)
    flood = [net.qbft(QBFTMessageType.COMMIT, *signers, full_data=VALUE) for signers in combinations(net.operators, 9)]
    results = [net.send(message) for message in flood]
    assert all_accepted(results[:MAX_DECIDED])
    assert {result.rule for result in results[MAX_DECIDED:]} == {Rule.TOO_MANY_DECIDED}
    assert net.keys.looked_at == 9 * MAX_DECIDED


def test_partials_do_not_count_against_consensus_messages_nor_the_reverse():
    net = Net()
    assert isinstance(net.send(net.partials(1)), Accepted)
    assert isinstance(net.send(net.qbft(QBFTMessageType.PREPARE, 1)), Accepted)
    assert net.send(net.partials(1, count=2)).rule is Rule.REPEATED_PARTIALS


def test_a_higher_round_does_not_allow_partial_signatures_again():
    net = Net()
    assert isinstance(net.send(net.partials(1)), Accepted)
    assert isinstance(net.send(net.qbft(QBFTMessageType.ROUND_CHANGE, 1, round_=2)), Accepted)
    assert net.send(net.partials(1, count=2)).rule is Rule.REPEATED_PARTIALS


def test_own_messages_are_decoded_and_nothing_else():
    net = Net(own_sender=b"me")
    net.keys.valid = False
    for message in (net.qbft(QBFTMessageType.PREPARE, 1, round_=99), net.partials(1)):
        for _ in range(2):
            assert isinstance(net.send(message, peer=b"me", since=9999), Accepted)
    assert net.send(b"garbage", peer=b"me").rule is Rule.UNDECODABLE
    assert net.keys.looked_at == 0


def test_padding_variants_of_a_committees_id_share_one_memory():
    net = Net()
    assert isinstance(net.send(net.qbft(QBFTMessageType.PREPARE, 1)), Accepted)
    net.mid = net.mid[:8] + b"\1" * 16 + net.mid[24:]
    assert net.send(net.qbft(QBFTMessageType.PREPARE, 1)).rule is Rule.REPEATED_TYPE


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_no_bytes_make_it_raise(data):
    net = Net(operators=4)
    change = net.qbft(QBFTMessageType.ROUND_CHANGE, 1, round_=2)
    seeds = [
        net.qbft(QBFTMessageType.PREPARE, 1),
        replace(net.qbft(QBFTMessageType.COMMIT, 1, 2, 3), full_data=VALUE),
        net.qbft(QBFTMessageType.PROPOSAL, 1, round_=2, full_data=VALUE, round_change_justification=(change.encode(),)),
        net.partials(1, count=2),
    ]
    raw = bytearray(data.draw(st.sampled_from(seeds)).encode())
    for _ in range(data.draw(st.integers(0, 4))):
        place = data.draw(st.integers(0, len(raw)))
        if data.draw(st.booleans()):
            del raw[place : place + data.draw(st.integers(1, 40))]
        else:
            raw[place : place + 8] = data.draw(st.binary(min_size=1, max_size=8))
    result = net.send(bytes(raw), since=2)
    assert isinstance(result, Accepted | Refused)
    if isinstance(result, Accepted):
        assert result.message.encode() == bytes(raw)
        assert result.content.encode() == result.message.ssv_message.data

"""Each rule that the committee role meets in Alan: a message that just keeps it, one that breaks it and none before.

Signatures are told apart by their first byte, so that the tests can also say that none was looked at before every
cheaper rule had passed.
"""

from dataclasses import dataclass, replace
from hashlib import sha256

import pytest

from ssv_pool.protocol import types as t
from ssv_pool.protocol.chain import BeaconChain, ForkVersion
from ssv_pool.protocol.forks import alan_fork
from ssv_pool.protocol.types import MsgType, PartialSignatureType, QBFTMessageType
from ssv_pool.protocol.validation import Accepted, CommitteeView, Refused, Rule, Validator, Verdict

CHAIN = BeaconChain(1000.0, t.Root(bytes(32)), 12_000, 32, (ForkVersion(t.Epoch(0), bytes(4), "electra"),))
DOMAIN = t.DomainType(bytes.fromhex("00000402"))
FORK = alan_fork(DOMAIN)
OPERATORS = tuple(map(t.OperatorId, (1, 2, 3, 4)))
COMMITTEE = t.committee_id(OPERATORS)
OTHERS = t.committee_id(map(t.OperatorId, (5, 6, 7, 8)))
TOPIC = "ssv.v2.114"
MID = t.committee_message_id(DOMAIN, t.RunnerRole.COMMITTEE, COMMITTEE)
SLOT = t.Slot(101)
NOW = CHAIN.start_of(SLOT) + 5
PEER = b"peer"

VALUE = bytes(range(112))
ROOT = t.Root(sha256(VALUE).digest())
LEADER = FORK.leader(OPERATORS, SLOT, t.Round(1))
SECOND_LEADER = FORK.leader(OPERATORS, SLOT, t.Round(2))


class View:
    def __init__(self):
        self.committees = {COMMITTEE: CommitteeView(OPERATORS, 2, in_sync_committee=False)}
        self.keys = {operator: b"key %d" % operator for operator in (*OPERATORS, 5, 6, 7, 8)}

    def committee(self, committee_id):
        return self.committees.get(committee_id)

    def operator_key(self, operator_id):
        return self.keys.get(operator_id)


class Keys:
    """A signature is valid when it begins with its key."""

    def __init__(self):
        self.looked_at = 0

    def sign(self, message):
        raise NotImplementedError

    def verify(self, public_key, message, signature):
        self.looked_at += 1
        return signature.startswith(public_key)


class Gossip:
    """A validator with the registry and clock around it."""

    def __init__(self, **options):
        self.view, self.keys = View(), Keys()
        self.validator = Validator(self.view, FORK, CHAIN, self.keys, **options)

    def send(self, message, now=NOW, topic=TOPIC, peer=PEER):
        raw = message if isinstance(message, bytes) else message.encode()
        return self.validator.validate(peer, topic, raw, now)


@pytest.fixture
def gossip():
    return Gossip()


def signature(signer):
    return (b"key %d" % signer).ljust(256, b"\0")


def signed(content, *signers, full_data=b"", mid=MID, msg_type=None):
    if msg_type is None:
        partial = isinstance(content, t.PartialSignatureMessages)
        msg_type = MsgType.PARTIAL_SIGNATURE if partial else MsgType.CONSENSUS
    data = content if isinstance(content, bytes) else content.encode()
    return t.SignedSSVMessage(tuple(map(signature, signers)), signers, t.SSVMessage(msg_type, mid, data), full_data)


QBFT = t.QBFTMessage(QBFTMessageType.PREPARE, SLOT, t.Round(1), MID, ROOT)
COMMIT = replace(QBFT, msg_type=QBFTMessageType.COMMIT)
PROPOSE = replace(QBFT, msg_type=QBFTMessageType.PROPOSAL)
CHANGE = replace(QBFT, msg_type=QBFTMessageType.ROUND_CHANGE, round=2)
PARTIAL = t.PartialSignatureMessage(t.Signature(bytes(96)), t.Root(bytes(32)), t.OperatorId(1), t.ValidatorIndex(7))
PARTIALS = t.PartialSignatureMessages(PartialSignatureType.POST_CONSENSUS, SLOT, (PARTIAL,))

PREPARE = signed(QBFT, 1)
PROPOSAL = signed(PROPOSE, LEADER, full_data=VALUE)
DECIDED = signed(COMMIT, 1, 2, 3, full_data=VALUE)
POST = signed(PARTIALS, 1)
JUSTIFICATION = PREPARE.encode()


def inner(message, **changes):
    return replace(message, ssv_message=replace(message.ssv_message, **changes))


def mid(domain=DOMAIN, role=0, committee=COMMITTEE):
    return t.committee_message_id(domain, role, committee)


def partials(*items, **changes):
    return signed(replace(PARTIALS, messages=items, **changes), 1)


@dataclass
class Case:
    rule: Rule
    detail: str
    message: t.SignedSSVMessage | bytes
    topic: str = TOPIC
    now: float = NOW
    before: tuple = ()
    """Messages that have been accepted from the peer."""


ACCEPTED = {
    "prepare": PREPARE,
    "commit": signed(COMMIT, 4),
    "proposal": PROPOSAL,
    "proposal without its value": signed(PROPOSE, LEADER),
    "proposal of round 2 with justifications": signed(
        replace(
            PROPOSE, round=2, prepare_justification=(JUSTIFICATION,), round_change_justification=(JUSTIFICATION,) * 3
        ),
        SECOND_LEADER,
        full_data=VALUE,
    ),
    "round change": signed(CHANGE, 1),
    "prepared round change": signed(
        replace(CHANGE, data_round=1, round_change_justification=(JUSTIFICATION,)), 1, full_data=VALUE
    ),
    "prepared round change without its value": signed(replace(CHANGE, data_round=1), 1),
    "decided by a quorum": DECIDED,
    "decided by all": signed(COMMIT, 1, 2, 3, 4, full_data=VALUE),
    "decided without its value": signed(COMMIT, 1, 3, 4),
    "decided in the last round, long before it can be": signed(replace(COMMIT, round=12), 1, 2, 3),
    "highest round by now": signed(replace(QBFT, round=4), 1),
    "partial signature": POST,
    "two partial signatures for each of two validators": partials(*(PARTIAL, PARTIAL._replace(validator_index=8)) * 2),
    "padding of the committee id is not looked at": signed(
        replace(QBFT, identifier=MID[:8] + b"\1" * 16 + MID[24:]), 1, mid=MID[:8] + b"\1" * 16 + MID[24:]
    ),
}


@pytest.mark.parametrize("message", ACCEPTED.values(), ids=ACCEPTED)
def test_accepted_with_its_decoded_content(gossip, message):
    partial = message.ssv_message.msg_type == MsgType.PARTIAL_SIGNATURE
    content_type = t.PartialSignatureMessages if partial else t.QBFTMessage
    assert gossip.send(message) == Accepted(message, content_type.decode(message.ssv_message.data))
    assert gossip.keys.looked_at == len(message.operator_ids)


ENVELOPE = [
    Case(Rule.EMPTY, "the message has 0 bytes", b""),
    Case(Rule.TOO_LONG, "the message has 9589484 bytes, expected at most 9589483", bytes(9_589_484)),
    Case(Rule.UNDECODABLE, "SignedSSVMessage: first offset is 0, expected 16", bytes(9_589_483)),
    Case(Rule.UNDECODABLE, "SSVMessage: 0 bytes, expected at least 68", b"\x10\0\0\0" * 4),
    Case(Rule.NO_SIGNERS, "the message has no signers", replace(PREPARE, operator_ids=(), signatures=())),
    Case(Rule.NO_SIGNATURES, "the message has no signatures", replace(PREPARE, signatures=())),
    Case(
        Rule.SIGNATURE_LENGTH,
        "a signature has 255 bytes, expected 256",
        replace(PREPARE, signatures=(signature(1)[:255],)),
    ),
    Case(
        Rule.SIGNERS_NOT_SORTED,
        "signers are (1, 3, 2), expected ascending ids",
        replace(DECIDED, operator_ids=(1, 3, 2)),
    ),
    Case(Rule.SIGNATURE_COUNT, "2 signatures, expected 3 as signers", replace(DECIDED, signatures=(signature(1),) * 2)),
    Case(Rule.ZERO_SIGNER, "a signer is 0, expected 1 or more", replace(PREPARE, operator_ids=(0,))),
    Case(Rule.REPEATED_SIGNER, "signer 2 occurs twice", replace(DECIDED, operator_ids=(1, 2, 2))),
    Case(Rule.UNKNOWN_OPERATOR, "operator 9 is not registered", replace(PREPARE, operator_ids=(9,))),
    Case(Rule.NO_DATA, "the message has 0 bytes of data", inner(PREPARE, data=b"")),
    Case(
        Rule.DATA_TOO_LONG,
        "the message has 722413 bytes of data, expected at most 722412",
        inner(PREPARE, data=bytes(722_413)),
    ),
    Case(Rule.MESSAGE_TYPE, "message type is 2, expected 0 or 1", inner(PREPARE, msg_type=2)),
    Case(
        Rule.MESSAGE_TYPE, "message type is 18446744073709551615, expected 0 or 1", inner(PREPARE, msg_type=2**64 - 1)
    ),
    Case(
        Rule.WRONG_DOMAIN,
        "domain is 00000403, expected 00000402",
        inner(PREPARE, msg_id=mid(domain=t.DomainType(bytes.fromhex("00000403")))),
    ),
    Case(Rule.WRONG_ROLE, "role is 6, expected one of [0, 1, 2, 3, 4, 5]", inner(PREPARE, msg_id=mid(role=6))),
    Case(Rule.WRONG_ROLE, "role is -1, expected one of [0, 1, 2, 3, 4, 5]", inner(PREPARE, msg_id=mid(role=-1))),
    Case(
        Rule.UNKNOWN_COMMITTEE,
        f"committee {OTHERS.hex()} is not registered",
        inner(PREPARE, msg_id=mid(committee=OTHERS)),
    ),
    Case(
        Rule.SIGNER_NOT_IN_COMMITTEE,
        "signers are (5,), expected operators of the committee (1, 2, 3, 4)",
        signed(QBFT, 5),
    ),
    Case(Rule.WRONG_TOPIC, "topic is 'ssv.v2.113', expected 'ssv.v2.114'", PREPARE, topic="ssv.v2.113"),
]

CONSENSUS = [
    Case(Rule.CONSENSUS_UNDECODABLE, "QBFTMessage: 5 bytes, expected at least 76", signed(b"hello", 1)),
    Case(Rule.SEVERAL_SIGNERS_NO_COMMIT, "3 signers of a message of type 1, expected 1", signed(QBFT, 1, 2, 3)),
    Case(Rule.DECIDED_WITHOUT_QUORUM, "2 signers, expected 1 or at least 3", signed(COMMIT, 1, 2)),
    Case(
        Rule.UNEXPECTED_FULL_DATA,
        "112 bytes of full data in a message of type 1, expected none",
        replace(PREPARE, full_data=VALUE),
    ),
    Case(
        Rule.UNEXPECTED_FULL_DATA,
        "112 bytes of full data in a message of type 2, expected none",
        signed(COMMIT, 1, full_data=VALUE),
    ),
    Case(Rule.FULL_DATA_HASH, "the root is not the hash of the full data", replace(PROPOSAL, full_data=VALUE + b"\0")),
    Case(Rule.CONSENSUS_TYPE, "consensus message type is 4, expected 0 to 3", signed(replace(QBFT, msg_type=4), 1)),
    Case(Rule.ZERO_ROUND, "round is 0, expected 1 or more", signed(replace(QBFT, round=0), 1)),
    Case(Rule.ROUND_TOO_HIGH, "round is 13, expected at most 12", signed(replace(COMMIT, round=13), 1, 2, 3)),
    Case(
        Rule.WRONG_IDENTIFIER,
        "the consensus message's identifier is not the message id",
        signed(replace(QBFT, identifier=mid(committee=OTHERS)), 1),
    ),
    Case(
        Rule.PREPARE_JUSTIFICATION_UNDECODABLE,
        "SignedSSVMessage: 1 bytes, expected at least 16",
        signed(replace(QBFT, prepare_justification=(b"x",)), 1),
    ),
    Case(
        Rule.UNEXPECTED_PREPARE_JUSTIFICATION,
        "prepare justifications in a message of type 3, expected them in proposals only",
        signed(replace(CHANGE, prepare_justification=(JUSTIFICATION,)), 1),
    ),
    Case(
        Rule.ROUND_CHANGE_JUSTIFICATION_UNDECODABLE,
        "SignedSSVMessage: 1 bytes, expected at least 16",
        signed(replace(CHANGE, round_change_justification=(JUSTIFICATION, b"x")), 1),
    ),
    Case(
        Rule.UNEXPECTED_ROUND_CHANGE_JUSTIFICATION,
        "round change justifications in a message of type 1, expected them in proposals and round changes only",
        signed(replace(QBFT, round_change_justification=(JUSTIFICATION,)), 1),
    ),
    Case(
        Rule.NOT_THE_LEADER,
        f"proposal of operator {SECOND_LEADER}, expected {LEADER}",
        signed(PROPOSE, SECOND_LEADER, full_data=VALUE),
    ),
    Case(
        Rule.PAST_ROUND,
        "round is 1, expected at least 2 of operator 1",
        PREPARE,
        before=(signed(CHANGE, 1),),
    ),
    Case(
        Rule.PAST_ROUND,
        "round is 1, expected at least 2 of operator 1",
        PREPARE,
        before=(signed(replace(COMMIT, round=2), 1, 2, 3),),
    ),
    Case(
        Rule.OTHER_PROPOSAL,
        f"operator {LEADER} proposed another value in round 1 before",
        signed(replace(PROPOSE, root=sha256(b"other").digest()), LEADER, full_data=b"other"),
        before=(PROPOSAL,),
    ),
    Case(Rule.REPEATED_TYPE, "operator 1 sent a message of type 1 in round 1 before", PREPARE, before=(PREPARE,)),
    Case(
        Rule.REPEATED_TYPE,
        "operator 1 sent a message of type 3 in round 2 before",
        signed(replace(CHANGE, data_round=1), 1),
        before=(signed(CHANGE, 1),),
    ),
    Case(Rule.REPEATED_DECIDED, "decided message of (1, 2, 3) was seen before", DECIDED, before=(DECIDED,)),
    Case(Rule.ROUND_TOO_EARLY, "round is 5, expected at most 4 by now", signed(replace(QBFT, round=5), 1)),
    Case(
        Rule.EARLY,
        "slot 101 starts in 0.06 s, expected a slot that has started",
        PREPARE,
        now=CHAIN.start_of(SLOT) - 0.06,
    ),
    Case(
        Rule.EARLY,
        "slot 18446744073709551615 starts in 2.21e+20 s, expected a slot that has started",
        signed(replace(QBFT, height=2**64 - 1), 1),
    ),
    Case(
        Rule.LATE,
        "slot 101 is 0.06 s past its end of 34 slots and 3 s",
        PREPARE,
        now=CHAIN.start_of(SLOT + 34) + 3.06,
    ),
    Case(
        Rule.CONSENSUS_SIGNATURE,
        "the signature of operator 1 is not valid",
        replace(PREPARE, signatures=(signature(2),)),
    ),
    Case(
        Rule.CONSENSUS_SIGNATURE,
        "the signature of operator 3 is not valid",
        replace(DECIDED, signatures=(signature(1), signature(2), signature(2))),
    ),
]

PARTIAL_SIGNATURES = [
    Case(
        Rule.PARTIAL_DATA_TOO_LONG,
        "partial signatures of 151221 bytes, expected at most 151220",
        signed(bytes(151_221), 1, msg_type=1),
    ),
    Case(
        Rule.PARTIAL_UNDECODABLE,
        "PartialSignatureMessages: first offset is 0, expected 20",
        signed(bytes(151_220), 1, msg_type=1),
    ),
    Case(Rule.PARTIAL_SIGNER_COUNT, "2 signers, expected 1", signed(PARTIALS, 1, 2)),
    Case(
        Rule.PARTIAL_FULL_DATA, "112 bytes of full data beside partial signatures", signed(PARTIALS, 1, full_data=VALUE)
    ),
    Case(Rule.PARTIAL_TYPE, "partial signature type is 7, expected 0 to 6", partials(PARTIAL, type=7)),
    Case(
        Rule.PARTIAL_TYPE_OF_ROLE,
        "partial signature type is 1, expected one of [0] for role COMMITTEE",
        partials(PARTIAL, type=PartialSignatureType.RANDAO),
    ),
    Case(Rule.NO_PARTIALS, "the message has no partial signatures", partials()),
    Case(
        Rule.PARTIAL_SIGNER,
        "partial signature of operator 2, expected 1",
        partials(PARTIAL, PARTIAL._replace(signer=t.OperatorId(2))),
    ),
    Case(
        Rule.REPEATED_PARTIALS,
        "operator 1 sent partial signatures for slot 101 before",
        partials(PARTIAL, PARTIAL),
        before=(POST,),
    ),
    Case(
        Rule.EARLY,
        "slot 101 starts in 0.06 s, expected a slot that has started",
        POST,
        now=CHAIN.start_of(SLOT) - 0.06,
    ),
    Case(
        Rule.LATE,
        "slot 101 is 0.06 s past its end of 34 slots and 3 s",
        POST,
        now=CHAIN.start_of(SLOT + 34) + 3.06,
    ),
    Case(
        Rule.TOO_MANY_PARTIALS,
        "5 partial signatures, expected at most 4 of 2 validators",
        partials(*(PARTIAL._replace(validator_index=index) for index in range(5))),
    ),
    Case(
        Rule.REPEATED_VALIDATOR, "3 partial signatures for validator 7, expected at most 2", partials(*(PARTIAL,) * 3)
    ),
    Case(Rule.PARTIAL_SIGNATURE, "the signature of operator 1 is not valid", replace(POST, signatures=(signature(2),))),
]

CASES = ENVELOPE + CONSENSUS + PARTIAL_SIGNATURES
SIGNATURE_RULES = {Rule.CONSENSUS_SIGNATURE, Rule.PARTIAL_SIGNATURE}


@pytest.mark.parametrize("case", CASES, ids=[f"{case.rule.number} {case.rule.label}" for case in CASES])
def test_refused_before_any_signature_is_looked_at(gossip, case):
    for message in case.before:
        assert isinstance(gossip.send(message), Accepted)
    gossip.keys.looked_at = 0
    kept = gossip.validator.state.size
    assert gossip.send(case.message, case.now, case.topic) == Refused(case.rule, case.detail)
    assert gossip.validator.state.size == kept, "a refused message is not remembered"
    if case.rule not in SIGNATURE_RULES:
        assert gossip.keys.looked_at == 0


def test_verdicts_follow_the_rule():
    ignored = {rule.label for rule in Rule if rule.verdict is Verdict.IGNORE}
    assert ignored == {
        "too_long",
        "unknown_operator",
        "wrong_domain",
        "wrong_fork",
        "unknown_committee",
        "unknown_validator",
        "liquidated",
        "no_metadata",
        "not_attesting",
        "wrong_topic",
        "round_too_high",
        "past_round",
        "repeated_decided",
        "too_many_decided",
        "repeated_by_other",
        "not_more_signers",
        "round_too_early",
        "later_slot_seen",
        "no_duty",
        "early",
        "late",
        "too_many_duties",
        "partial_validator",
        "partials_by_other",
    }
    assert Refused(Rule.LATE, "").verdict is Verdict.IGNORE
    assert Refused(Rule.EMPTY, "").verdict is Verdict.REJECT


def test_what_depends_on_this_nodes_view_is_not_held_against_the_peer():
    spared = {rule.label for rule in Rule if rule.verdict is Verdict.REJECT and not rule.blames_peer}
    assert spared == {
        "committee_without_validators",
        "signer_not_in_committee",
        "other_proposal",
        "repeated_type",
        "repeated_partials",
        "too_many_partials",
    }
    assert not any(rule.blames_peer for rule in Rule if rule.verdict is Verdict.IGNORE)


def test_a_committee_without_validators(gossip):
    gossip.view.committees[COMMITTEE] = CommitteeView(OPERATORS, 0, in_sync_committee=False)
    assert gossip.send(PREPARE) == Refused(
        Rule.COMMITTEE_WITHOUT_VALIDATORS, f"committee {COMMITTEE.hex()} has no validators, expected one or more"
    )


@pytest.mark.parametrize(
    "now", [CHAIN.start_of(SLOT) - 0.049, CHAIN.start_of(SLOT), CHAIN.start_of(SLOT + 34) + 3.049], ids=str
)
@pytest.mark.parametrize("message", [PREPARE, POST], ids=["prepare", "partials"])
def test_the_clock_tolerance_is_kept_at_both_ends(gossip, message, now):
    assert isinstance(gossip.send(message, now), Accepted)


@pytest.mark.parametrize(
    ("since", "highest"), [(0, 2), (1.99, 2), (2, 3), (14, 9), (16, 10), (135.9, 10), (136, 11), (256, 12)]
)
def test_a_round_may_be_one_ahead_of_the_estimate(gossip, since, highest):
    now = CHAIN.start_of(SLOT) + since
    assert isinstance(gossip.send(signed(replace(QBFT, round=highest), 1), now), Accepted)
    if highest < 12:
        refused = gossip.send(signed(replace(QBFT, round=highest + 1), 2), now)
        assert refused.rule is Rule.ROUND_TOO_EARLY

"""The containers' own checks: what passes, and each refusal with its code in the order of the checks."""

from dataclasses import replace

import pytest

from ssv_pool.protocol import types as t
from ssv_pool.protocol.types import ErrorCode, ProtocolError

MID = t.MessageId(bytes.fromhex("00000301") + bytes(52))
SSV = t.SSVMessage(t.MsgType.CONSENSUS, MID, b"data")
SIGNED = t.SignedSSVMessage((b"a", b"b"), (t.OperatorId(1), t.OperatorId(2)), SSV, b"full")
JUSTIFICATION = SIGNED.without_full_data().encode()
QBFT = t.QBFTMessage(0, t.Slot(5), t.Round(1), MID, t.Root(bytes(32)), t.Round(0), (JUSTIFICATION,), (JUSTIFICATION,))
PARTIAL = t.PartialSignatureMessage(t.Signature(bytes(96)), t.Root(bytes(32)), t.OperatorId(1), t.ValidatorIndex(7))
PARTIALS = t.PartialSignatureMessages(0, t.Slot(5), (PARTIAL, PARTIAL))
VOTE = t.BeaconVote(
    t.Root(bytes(32)),
    t.Checkpoint(t.Epoch(3), t.Root(bytes(32))),
    t.Checkpoint(t.Epoch(4), t.Root(bytes(32))),
)
KEY = t.PublicKey(b"\1" * 48)
DUTY = t.ValidatorDuty(t.BeaconRole.ATTESTER, KEY, t.Slot(5), t.ValidatorIndex(7), 1, 10, 2, 9)
COMMITTEE_DUTY = t.CommitteeDuty(t.Slot(5), (DUTY,))
SHARE = t.Share(
    t.ValidatorIndex(7), KEY, KEY, tuple(t.ShareMember(KEY, t.OperatorId(i)) for i in (1, 2)), t.DomainType(b"\0\0\0\1")
)
OPERATORS = tuple(t.Operator(t.OperatorId(i), bytes(459)) for i in (1, 2, 3, 4))
MEMBER = t.CommitteeMember(
    t.OperatorId(1), t.committee_id((1, 2, 3, 4)), bytes(459), 1, OPERATORS, t.DomainType(b"\0\0\0\1")
)


@pytest.mark.parametrize(
    "value", [SSV, SIGNED, QBFT, PARTIALS, VOTE, DUTY, COMMITTEE_DUTY, SHARE, OPERATORS[0], MEMBER], ids=repr
)
def test_accepted(value):
    value.validate()


def operators(*ids):
    return tuple(t.Operator(t.OperatorId(i), bytes(459)) for i in ids)


REFUSED = [
    (replace(SSV, msg_type=3), 29, "SSVMessage.msg_type is 3, expected 0, 1 or 2"),
    (replace(SSV, msg_id=bytes(4) + b"\xff" * 4 + bytes(48)), 87, "role in the message id is -1, expected 0 or more"),
    (replace(SIGNED, operator_ids=()), 16, "signed message has no signers, expected one or more"),
    (replace(SIGNED, operator_ids=(2, 2)), 9, "signer 2 occurs twice, expected distinct signers"),
    (replace(SIGNED, operator_ids=(0, 0)), 17, "signer is 0, expected 1 or more"),
    (replace(SIGNED, signatures=()), 15, "signed message has no signatures, expected one or more"),
    (replace(SIGNED, signatures=(b"a", b"")), 13, "signed message has an empty signature"),
    (replace(SIGNED, signatures=(b"a",)), 12, "signed message has 1 signatures, expected 2 as signers"),
    (replace(QBFT, identifier=MID[1:]), 31, "QBFT identifier is 55 bytes long, expected 56"),
    (
        replace(QBFT, round_change_justification=(JUSTIFICATION, b"")),
        1,
        "SignedSSVMessage: 0 bytes, expected at least 16",
    ),
    (replace(QBFT, prepare_justification=(b"",)), 1, "SignedSSVMessage: 0 bytes, expected at least 16"),
    (replace(QBFT, msg_type=4, round=0), 29, "QBFT message type is 4, expected 0 to 3"),
    (replace(QBFT, round=0), 30, "QBFT round is 0, expected 1 or more"),
    (replace(PARTIALS, messages=()), 19, "no partial signatures, expected one or more"),
    (
        replace(PARTIALS, messages=(PARTIAL, PARTIAL._replace(signer=2))),
        18,
        "partial signatures of signers 1 and 2, expected one signer",
    ),
    (
        replace(PARTIALS, messages=(PARTIAL._replace(signer=0),)),
        17,
        "partial signature has signer 0, expected 1 or more",
    ),
    (replace(VOTE, source=VOTE.target), 26, "beacon vote's source epoch is 4, expected one below its target 4"),
    (replace(DUTY, type=7), 91, "duty of validator 7 has type 7, expected 0 to 6"),
    (
        replace(DUTY, type=t.BeaconRole.UNKNOWN),
        91,
        "duty of validator 7 has type 18446744073709551615, expected 0 to 6",
    ),
    (replace(DUTY, pubkey=bytes(48)), 91, "duty of validator 7 has a zero public key"),
    (replace(DUTY, committee_length=0), 91, "duty of validator 7 has beacon committee length 0, expected 1 or more"),
    (
        replace(DUTY, validator_committee_index=10),
        91,
        "duty of validator 7 has place 10 in a beacon committee of 10, expected a lower place",
    ),
    (replace(COMMITTEE_DUTY, validator_duties=()), 24, "committee duty of slot 5 has no validator duties"),
    (
        replace(COMMITTEE_DUTY, validator_duties=(DUTY, replace(DUTY, slot=6))),
        10,
        "duty of validator 7 is of slot 6, expected 5",
    ),
    (
        replace(COMMITTEE_DUTY, validator_duties=(replace(DUTY, type=2),)),
        51,
        "duty of validator 7 has type 2, expected attester or sync committee",
    ),
    (
        replace(COMMITTEE_DUTY, validator_duties=(replace(DUTY, pubkey=bytes(48)),)),
        91,
        "duty of validator 7 has a zero public key",
    ),
    (replace(SHARE, validator_pubkey=bytes(48)), 88, "share of validator 7 has a zero validator public key"),
    (replace(SHARE, committee=()), 88, "share of validator 7 has an empty committee"),
    (replace(SHARE, committee=(t.ShareMember(KEY, 0),)), 88, "share of validator 7 has a signer 0"),
    (replace(SHARE, committee=SHARE.committee * 2), 88, "share of validator 7 has a repeated signer"),
    (t.Operator(t.OperatorId(0), bytes(459)), 89, "operator id is 0, expected 1 or more"),
]
_COMMITTEE = f"committee {MEMBER.committee_id.hex()} has "
REFUSED += [
    (replace(MEMBER, operator_id=0), 90, _COMMITTEE + "own operator id 0"),
    (replace(MEMBER, committee=()), 90, _COMMITTEE + "no operators"),
    (replace(MEMBER, faulty_nodes=2), 90, _COMMITTEE + "4 operators with f = 2, expected 3f + 1"),
    (replace(MEMBER, committee=operators(1, 2, 3)), 90, _COMMITTEE + "3 operators with f = 1, expected 3f + 1"),
    (replace(MEMBER, committee=operators(0, 1, 2, 3)), 90, _COMMITTEE + "an operator id 0"),
    (replace(MEMBER, committee=operators(1, 2, 3, 3)), 90, _COMMITTEE + "a repeated operator id"),
    (replace(MEMBER, operator_id=5), 90, _COMMITTEE + "operators (1, 2, 3, 4) without the own, 5"),
]


@pytest.mark.parametrize(("value", "code", "text"), REFUSED, ids=[f"{case[1]} {case[2]}" for case in REFUSED])
def test_refused(value, code, text):
    with pytest.raises(ProtocolError) as caught:
        value.validate()
    assert (str(caught.value), caught.value.code) == (text, ErrorCode(code))


def test_a_committee_id_must_be_the_hash_of_the_operators():
    with pytest.raises(ProtocolError) as caught:
        replace(MEMBER, committee_id=t.CommitteeId(bytes(32))).validate()
    assert caught.value.code is ErrorCode.INVALID_COMMITTEE_MEMBER


@pytest.mark.parametrize("value", [SHARE, MEMBER], ids=["share", "member"])
def test_domains_are_looked_at_only_when_known_ones_are_given(value):
    value.validate(frozenset({t.DomainType(b"\0\0\0\1")}))
    with pytest.raises(ProtocolError, match=r"has an unknown domain 00000001$"):
        value.validate(frozenset())


def test_partial_signatures_must_be_of_the_messages_signer():
    PARTIALS.validate_for_signer(t.OperatorId(1))
    with pytest.raises(ProtocolError) as caught:
        PARTIALS.validate_for_signer(t.OperatorId(2))
    assert caught.value.code is ErrorCode.PARTIAL_SIG_INCONSISTENT_SIGNER


def test_signers_are_compared_as_sets_and_by_count():
    assert SIGNED.matched_signers({2, 1})
    assert not SIGNED.matched_signers({1, 2, 3})
    assert SIGNED.signers_in({1, 2, 3})
    assert not SIGNED.signers_in({1, 3})
    assert SIGNED.common_signers({2, 9})
    assert not SIGNED.common_signers({9})


def test_aggregate_appends_signers_and_signatures():
    other = replace(SIGNED, signatures=(b"c",), operator_ids=(4,))
    assert SIGNED.aggregate(other) == replace(SIGNED, signatures=(b"a", b"b", b"c"), operator_ids=(1, 2, 4))


@pytest.mark.parametrize(
    ("other", "text"),
    [
        (SIGNED, "duplicate signers: (1, 2) and (1, 2) overlap"),
        (
            replace(SIGNED, operator_ids=(3, 4), ssv_message=replace(SSV, data=b"other")),
            "cannot aggregate: the two signed messages differ",
        ),
    ],
)
def test_what_cannot_be_aggregated(other, text):
    with pytest.raises(ProtocolError) as caught:
        SIGNED.aggregate(other)
    assert (str(caught.value), caught.value.code) == (text, None)


def test_without_full_data_drops_only_that():
    assert SIGNED.without_full_data() == replace(SIGNED, full_data=b"")
    assert SIGNED.without_full_data().without_full_data() == replace(SIGNED, full_data=b"")


def test_only_a_round_change_with_a_data_round_is_prepared():
    assert replace(QBFT, msg_type=3, data_round=1).is_prepared_round_change
    assert not replace(QBFT, msg_type=3).is_prepared_round_change
    assert not replace(QBFT, msg_type=1, data_round=1).is_prepared_round_change


@pytest.mark.parametrize(("operators_", "quorum", "partial"), [(4, 3, 2), (7, 5, 3), (10, 7, 4), (13, 9, 5)])
def test_quorums(operators_, quorum, partial):
    ids = range(1, operators_ + 1)
    member = replace(
        MEMBER, faulty_nodes=(operators_ - 1) // 3, committee=operators(*ids), committee_id=t.committee_id(ids)
    )
    member.validate()
    assert (member.quorum, member.partial_quorum) == (quorum, partial)
    assert member.operator(t.OperatorId(4)) == t.Operator(t.OperatorId(4), bytes(459))
    assert member.operator(t.OperatorId(14)) is None
    assert member.operator_ids == tuple(ids)


def test_the_part_of_one_operator_in_a_share():
    assert SHARE.member(t.OperatorId(2)) == t.ShareMember(KEY, t.OperatorId(2))
    assert SHARE.member(t.OperatorId(3)) is None


@pytest.mark.parametrize("value", [SHARE, MEMBER], ids=["share", "member"])
def test_the_specifications_domains(value):
    assert len(t.SPEC_DOMAINS) == 9
    for domain in ("00000001", "00000301", "00000401"):
        replace(value, domain_type=t.DomainType(bytes.fromhex(domain))).validate(t.SPEC_DOMAINS)
    with pytest.raises(ProtocolError, match=r"has an unknown domain 00000503$"):
        replace(value, domain_type=t.DomainType(bytes.fromhex("00000503"))).validate(t.SPEC_DOMAINS)

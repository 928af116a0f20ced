"""Hostile and non-canonical encodings, one by one, with the text of the refusal."""

import struct

import pytest

from ssv_pool.protocol import types as t
from ssv_pool.protocol.types import ErrorCode, ProtocolError

SSV = t.SSVMessage(0, t.MessageId(bytes(56)), b"data")
SIGNED = t.SignedSSVMessage((b"a" * 256, b"b" * 256), (t.OperatorId(1), t.OperatorId(2)), SSV, b"full")
QBFT = t.QBFTMessage(1, t.Slot(5), t.Round(1), bytes(56), t.Root(bytes(32)), t.Round(0), (b"x", b"yy"), (b"z",))
PARTIAL = t.PartialSignatureMessage(t.Signature(bytes(96)), t.Root(bytes(32)), t.OperatorId(1), t.ValidatorIndex(7))
PARTIALS = t.PartialSignatureMessages(0, t.Slot(5), (PARTIAL, PARTIAL))
DUTY = t.ValidatorDuty(0, t.PublicKey(bytes(48)), t.Slot(1), t.ValidatorIndex(2))
SHARE = t.Share(
    t.ValidatorIndex(1),
    t.PublicKey(bytes(48)),
    t.PublicKey(bytes(48)),
    (t.ShareMember(t.PublicKey(bytes(48)), t.OperatorId(1)),),
    t.DomainType(bytes(4)),
)


def with_u32(raw, place, value):
    return raw[:place] + struct.pack("<I", value) + raw[place + 4 :]


def signed_with_signatures(signatures):
    """A signed message whose encoded signature list is replaced by arbitrary bytes."""
    rest = struct.pack("<Q", 1) + SSV.encode()
    head = struct.pack("<4I", 16, 16 + len(signatures), 24 + len(signatures), 16 + len(signatures) + len(rest))
    return head + signatures + rest


CASES = [
    (t.SSVMessage, b"", "SSVMessage: 0 bytes, expected at least 68"),
    (t.SSVMessage, SSV.encode()[:67], "SSVMessage: 67 bytes, expected at least 68"),
    (t.SSVMessage, with_u32(SSV.encode(), 64, 69), "SSVMessage: first offset is 69, expected 68"),
    (t.SSVMessage, with_u32(SSV.encode(), 64, 67), "SSVMessage: first offset is 67, expected 68"),
    (t.SSVMessage, SSV.encode() + bytes(726_929), "SSVMessage.data: 726933 bytes, expected at most 726932"),
    (t.SignedSSVMessage, bytes(15), "SignedSSVMessage: 15 bytes, expected at least 16"),
    (t.SignedSSVMessage, bytes(16), "SignedSSVMessage: first offset is 0, expected 16"),
    (
        t.SignedSSVMessage,
        with_u32(SIGNED.encode(), 4, 15),
        "SignedSSVMessage: offset 15 is below the one before it, 16",
    ),
    (t.SignedSSVMessage, with_u32(SIGNED.encode(), 12, 9999), "SignedSSVMessage: offset 9999 is past the end, 628"),
    (
        t.SignedSSVMessage,
        SIGNED.encode() + bytes(8_388_833),
        "SignedSSVMessage.full_data: 8388837 bytes, expected at most 8388836",
    ),
    (t.SignedSSVMessage, signed_with_signatures(b"abc"), "SignedSSVMessage.signatures: 3 bytes, expected at least 4"),
    (
        t.SignedSSVMessage,
        signed_with_signatures(struct.pack("<I", 0)),
        "SignedSSVMessage.signatures: first offset is 0, expected a positive multiple of 4",
    ),
    (
        t.SignedSSVMessage,
        signed_with_signatures(struct.pack("<I", 5) + b"a"),
        "SignedSSVMessage.signatures: first offset is 5, expected a positive multiple of 4",
    ),
    (
        t.SignedSSVMessage,
        signed_with_signatures(struct.pack("<14I", *[56] * 14)),
        "SignedSSVMessage.signatures: 14 items, expected at most 13",
    ),
    (
        t.SignedSSVMessage,
        signed_with_signatures(struct.pack("<I", 0xFFFFFFFC)),
        "SignedSSVMessage.signatures: 1073741823 items, expected at most 13",
    ),
    (
        t.SignedSSVMessage,
        signed_with_signatures(struct.pack("<I", 8)),
        "SignedSSVMessage.signatures: 4 bytes, expected at least 8",
    ),
    (
        t.SignedSSVMessage,
        signed_with_signatures(struct.pack("<3I", 12, 13, 12) + b"ab"),
        "SignedSSVMessage.signatures: offset 12 is below the one before it, 13",
    ),
    (
        t.SignedSSVMessage,
        signed_with_signatures(struct.pack("<2I", 8, 11) + b"ab"),
        "SignedSSVMessage.signatures: offset 11 is past the end, 10",
    ),
    (
        t.SignedSSVMessage,
        signed_with_signatures(struct.pack("<I", 4) + bytes(257)),
        "SignedSSVMessage.signatures: an item of 257 bytes, expected at most 256",
    ),
    (
        t.SignedSSVMessage,
        struct.pack("<4I", 16, 16, 23, 23) + bytes(7),
        "SignedSSVMessage.operator_ids: 7 bytes, expected a multiple of 8",
    ),
    (
        t.SignedSSVMessage,
        struct.pack("<4I", 16, 16, 128, 128) + bytes(112),
        "SignedSSVMessage.operator_ids: 14 items, expected at most 13",
    ),
    (t.SignedSSVMessage, struct.pack("<4I", 16, 16, 16, 16), "SSVMessage: 0 bytes, expected at least 68"),
    (t.QBFTMessage, bytes(75), "QBFTMessage: 75 bytes, expected at least 76"),
    (t.QBFTMessage, with_u32(QBFT.encode(), 24, 77), "QBFTMessage: first offset is 77, expected 76"),
    (
        t.QBFTMessage,
        t.QBFTMessage(0, t.Slot(0), t.Round(0), bytes(57), t.Root(bytes(32))).encode(),
        "QBFTMessage.identifier: 57 bytes, expected at most 56",
    ),
    (
        t.QBFTMessage,
        t.QBFTMessage(0, t.Slot(0), t.Round(0), b"", t.Root(bytes(32)), t.Round(0), (bytes(51_853),)).encode(),
        "QBFTMessage.round_change_justification: an item of 51853 bytes, expected at most 51852",
    ),
    (
        t.QBFTMessage,
        t.QBFTMessage(0, t.Slot(0), t.Round(0), b"", t.Root(bytes(32)), t.Round(0), (), (bytes(3_701),)).encode(),
        "QBFTMessage.prepare_justification: an item of 3701 bytes, expected at most 3700",
    ),
    (t.PartialSignatureMessage, bytes(143), "PartialSignatureMessage: 143 bytes, expected 144"),
    (t.PartialSignatureMessages, bytes(19), "PartialSignatureMessages: 19 bytes, expected at least 20"),
    (
        t.PartialSignatureMessages,
        with_u32(PARTIALS.encode(), 16, 24),
        "PartialSignatureMessages: first offset is 24, expected 20",
    ),
    (
        t.PartialSignatureMessages,
        PARTIALS.encode() + b"\0",
        "PartialSignatureMessages.messages: 289 bytes, expected a multiple of 144",
    ),
    (
        t.PartialSignatureMessages,
        PARTIALS.encode() + bytes(144 * 1511),
        "PartialSignatureMessages.messages: 1513 items, expected at most 1512",
    ),
    (t.BeaconVote, bytes(113), "BeaconVote: 113 bytes, expected 112"),
    (t.AttestationData, bytes(127), "AttestationData: 127 bytes, expected 128"),
    (t.Checkpoint, bytes(41), "Checkpoint: 41 bytes, expected 40"),
    (t.ValidatorDuty, with_u32(DUTY.encode(), 104, 100), "ValidatorDuty: first offset is 100, expected 108"),
    (t.Share, with_u32(SHARE.encode(), 104, 165), "Share: first offset is 165, expected 164"),
    (t.Share, SHARE.encode() + b"\0", "Share.committee: 57 bytes, expected a multiple of 56"),
    (t.Share, SHARE.encode() + bytes(56 * 13), "Share.committee: 14 items, expected at most 13"),
    (t.CommitteeMember, bytes(514), "CommitteeMember: 514 bytes, expected at least 515"),
]


@pytest.mark.parametrize(("container", "raw", "text"), CASES, ids=[case[2] for case in CASES])
def test_refused(container, raw, text):
    with pytest.raises(ProtocolError) as caught:
        container.decode(raw)
    assert (str(caught.value), caught.value.code) == (text, ErrorCode.UNMARSHAL_SSZ)


def test_booles_limit_of_partial_signatures_is_the_callers_choice():
    raw = PARTIALS.encode() + bytes(144 * 1511)
    decoded = t.PartialSignatureMessages.decode(raw, t.MAX_PARTIAL_MESSAGES_BOOLE)
    assert decoded.encode() == raw
    assert decoded.hash_tree_root(t.MAX_PARTIAL_MESSAGES_BOOLE) != decoded.hash_tree_root(8192 * 2)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (t.SSVMessage(0, t.MessageId(bytes(55)), b""), "SSVMessage.msg_id is 55 bytes long, expected 56"),
        (
            t.QBFTMessage(0, t.Slot(0), t.Round(0), b"", t.Root(bytes(31))),
            "QBFTMessage.root is 31 bytes long, expected 32",
        ),
        (
            t.PartialSignatureMessages(0, t.Slot(0), (PARTIAL._replace(partial_signature=bytes(95)),)),
            "PartialSignatureMessage.partial_signature is 95 bytes long, expected 96",
        ),
        (
            t.PartialSignatureMessages(0, t.Slot(0), (PARTIAL._replace(signing_root=bytes(33)),)),
            "PartialSignatureMessage.signing_root is 33 bytes long, expected 32",
        ),
        (t.Checkpoint(t.Epoch(0), t.Root(b"")), "Checkpoint.root is 0 bytes long, expected 32"),
        (t.Operator(t.OperatorId(1), b"pem"), "Operator.pubkey is 3 bytes long, expected 459"),
    ],
    ids=str,
)
def test_a_field_of_a_wrong_length_is_not_padded_or_cut(value, text):
    with pytest.raises(ValueError, match=r"^") as caught:
        value.encode()
    assert str(caught.value) == text

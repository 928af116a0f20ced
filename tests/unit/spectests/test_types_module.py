"""Kinds of files that the published part of the suite lacks: made up here."""

import base64
import json

from ssv_pool.crypto import operator_keys
from ssv_pool.protocol.types.messages import SSVMessage
from ssv_pool.protocol.types.partial import PartialSignatureMessage, PartialSignatureMessages
from ssv_pool.spectests.model import SpecFile, SpecFork
from ssv_pool.spectests.run import run_file


def text(raw):
    return base64.b64encode(raw).decode()


def failures(tmp_path, go_type, content, fork=SpecFork.BOOLE):
    path = tmp_path / f"{go_type}_some.json"
    path.write_text(json.dumps({"Name": "some"} | content))
    return [failure.text for failure in run_file(SpecFile(fork, "types", path)).failures]


MESSAGE = SSVMessage(1, bytes(56), b"data")


def signed(**changes):
    inner = {"MsgType": 1, "MsgID": bytes(56).hex(), "Data": text(b"data")}
    return {"Signatures": ["AQ=="], "OperatorIDs": [1], "SSVMessage": inner, "FullData": None} | changes


def signed_test(tmp_path, message, code, keys=None, fork=SpecFork.BOOLE):
    content = {"Messages": [message], "RSAPublicKey": keys, "ExpectedErrorCode": code}
    return failures(tmp_path, "signedssvmsg.SignedSSVMessageTest", content, fork)


def test_signed_messages_without_a_message_or_with_too_few_signatures(tmp_path):
    assert signed_test(tmp_path, signed(SSVMessage=None), 14) == []
    assert signed_test(tmp_path, signed(SSVMessage=None), 16, fork=SpecFork.ALAN) == []
    assert signed_test(tmp_path, signed(OperatorIDs=[1, 2]), 12) == []


def test_booles_signed_messages_have_a_valid_message_inside(tmp_path):
    other = signed()
    other["SSVMessage"]["MsgType"] = 3
    assert signed_test(tmp_path, other, 29) == []
    assert signed_test(tmp_path, other, 0, fork=SpecFork.ALAN) == []


def test_signatures_are_verified_with_the_given_keys(tmp_path):
    private = operator_keys.generate()
    key = text(operator_keys.public_key_to_pem(private.public_key()))
    good = signed(Signatures=[text(operator_keys.OperatorKeyring(private).sign(MESSAGE.encode()))])
    assert signed_test(tmp_path, good, 0, [key]) == []
    other = text(operator_keys.public_key_to_pem(operator_keys.generate().public_key()))
    assert signed_test(tmp_path, good, 0, [other]) == ["an error, expected none: signature 0 is not by key 0"]


def test_partial_signature_messages_with_encodings_and_roots(tmp_path):
    item = PartialSignatureMessage(b"\1" * 96, b"\2" * 32, 3, 4)
    messages = PartialSignatureMessages(0, 5, (item,))
    value = {
        "PartialSignature": item.partial_signature.hex(),
        "SigningRoot": item.signing_root.hex(),
        "Signer": 3,
        "ValidatorIndex": "4",
    }
    content = {
        "Messages": [{"Type": 0, "Slot": "5", "Messages": [value]}],
        "EncodedMessages": [text(messages.encode())],
        "ExpectedRoots": [list(messages.hash_tree_root(5048))],
        "ExpectedErrorCode": 0,
    }
    go_type = "partialsigmessage.MsgSpecTest"
    assert failures(tmp_path, go_type, content) == []
    alan = failures(tmp_path, go_type, content, SpecFork.ALAN)
    assert alan == [f"root is {messages.hash_tree_root(1512).hex()}, expected {messages.hash_tree_root(5048).hex()}"]
    wrong = failures(tmp_path, go_type, content | {"EncodedMessages": [text(b"\0")]})
    assert wrong[0].startswith("encoding is ")


def test_unknown_roles_have_no_runner(tmp_path):
    for role in (7, 1000, 2**64 - 1):
        assert failures(tmp_path, "duty.DutySpecTest", {"BeaconRole": role, "RunnerRole": -1}) == []


def size_test(tmp_path, value, length, *, full):
    content = {"Object": value, "ExpectedEncodedLength": length, "IsMaxSize": full}
    return failures(tmp_path, "maxmsgsize.StructureSizeTest", content)


def test_the_largest_aggregator_committee_data(tmp_path):
    aggregator = {"ValidatorIndex": "1", "SelectionProof": f"0x{bytes(96).hex()}", "CommitteeIndex": 0}
    contribution = {
        "slot": "1",
        "beacon_block_root": f"0x{bytes(32).hex()}",
        "subcommittee_index": "0",
        "aggregation_bits": f"0x{bytes(16).hex()}",
        "signature": f"0x{bytes(96).hex()}",
    }
    value = {
        "Version": "electra",
        "Aggregators": [aggregator] * 3000,
        "AggregatorsCommitteeIndexes": [1] * 64,
        "AggregatedAttestations": [text(bytes(131_308))] * 64,
        "Contributors": [aggregator] * 2048,
        "SyncCommitteeContributions": [contribution] * 4,
    }
    assert size_test(tmp_path, value, 8_970_524, full=True) == []
    one_less = value | {"Contributors": [aggregator] * 2047}
    assert size_test(tmp_path, one_less, 8_970_412, full=False) == []
    assert size_test(tmp_path, one_less, 8_970_412, full=True) == ["contributors has 2047 items, expected 2048"]
    one_more = value | {"Contributors": [aggregator] * 2049}
    assert size_test(tmp_path, one_more, 8_970_636, full=False) == [
        "contributors has 2049 items, expected at most 2048"
    ]


def test_an_unknown_object_has_no_size(tmp_path):
    assert size_test(tmp_path, {"A": 1, "B": 2}, 1, full=False) == [
        "an object with the fields ['A', 'B'] is none of the known containers"
    ]

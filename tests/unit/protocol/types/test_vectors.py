"""The specification's own tests of its types (v1.2.2, Alan), read from the archive beside the project.

The archive is in the folder that SSV_VECTORS names, or in ../shared/vectors next to the project. The fixtures are not
part of this project: they are read as data and never copied. What the archive holds is run, whatever its file list.
"""

import base64
import json
import os
import tarfile
from functools import cache
from pathlib import Path

import pytest

from ssv_pool.protocol import types as t
from ssv_pool.protocol.forks import alan_fork
from ssv_pool.protocol.types import ALAN_CODES, ProtocolError

PROJECT = Path(__file__).parents[4]
ARCHIVE = Path(os.environ.get("SSV_VECTORS", PROJECT.parent / "shared" / "vectors")) / "ssv-spec-alan.tar.xz"

pytestmark = pytest.mark.skipif(
    not ARCHIVE.is_file(), reason=f"no {ARCHIVE.name}: set SSV_VECTORS to the folder of the test vectors"
)


@cache
def fixtures():
    """Go type → file name → content, of the module "types". They come first in the archive; the rest is not read."""
    found = {}
    with tarfile.open(ARCHIVE, "r|xz") as archive:
        for entry in archive:
            if not entry.name.startswith("types/"):
                break
            if entry.isfile() and entry.name.startswith("types/tests/"):
                name = Path(entry.name).name
                content = archive.extractfile(entry)
                found.setdefault(name.split("_")[0], {})[name] = json.loads(content.read())
    return found


def of_type(go_type):
    cases = fixtures().get(go_type, {}) if ARCHIVE.is_file() else {}
    return pytest.mark.parametrize("fixture", cases.values(), ids=cases.keys())


def unbase64(text):
    return base64.b64decode(text, validate=True) if text else b""


def ssv_message(value):
    return t.SSVMessage(value["MsgType"], t.MessageId(bytes.fromhex(value["MsgID"])), unbase64(value["Data"]))


def signed_message(value):
    return t.SignedSSVMessage(
        tuple(map(unbase64, value["Signatures"] or ())),
        tuple(value["OperatorIDs"] or ()),
        ssv_message(value["SSVMessage"]),
        unbase64(value["FullData"]),
    )


def qbft_message(value):
    return t.QBFTMessage(
        value["MsgType"],
        value["Height"],
        value["Round"],
        unbase64(value["Identifier"]),
        bytes.fromhex(value["Root"]),
        value["DataRound"],
        tuple(map(unbase64, value["RoundChangeJustification"] or ())),
        tuple(map(unbase64, value["PrepareJustification"] or ())),
    )


def partial_message(value):
    return t.PartialSignatureMessage(
        bytes.fromhex(value["PartialSignature"]),
        bytes.fromhex(value["SigningRoot"]),
        value["Signer"],
        int(value["ValidatorIndex"]),
    )


def partial_messages(value):
    return t.PartialSignatureMessages(
        value["Type"], int(value["Slot"]), tuple(map(partial_message, value["Messages"] or ()))
    )


def beacon_vote(value):
    def root(text):
        return t.Root(bytes.fromhex(text.removeprefix("0x")))

    def checkpoint(part):
        return t.Checkpoint(int(part["epoch"]), root(part["root"]))

    return t.BeaconVote(root(value["BlockRoot"]), checkpoint(value["Source"]), checkpoint(value["Target"]))


def code_of(check):
    """Alan's number of the error that ``check`` raises, 0 when it raises none."""
    try:
        check()
    except ProtocolError as error:
        return ALAN_CODES[error.outermost_code]
    return 0


ENCODINGS = {
    "beaconvote.EncodingTest": t.BeaconVote,
    "partialsigmessage.EncodingTest": t.PartialSignatureMessages,
    "share.EncodingTest": t.Share,
    "ssvmsg.EncodingTest": t.SSVMessage,
    "signedssvmsg.EncodingTest": t.SignedSSVMessage,
}


@pytest.mark.parametrize(("go_type", "container"), ENCODINGS.items(), ids=ENCODINGS)
def test_encoding(go_type, container):
    assert fixtures()[go_type]
    for fixture in fixtures()[go_type].values():
        raw = unbase64(fixture["Data"])
        value = container.decode(raw)
        assert value.encode() == raw
        if container is not t.SignedSSVMessage:  # its fixture records no root that is compared
            assert value.hash_tree_root() == bytes(fixture["ExpectedRoot"])


@of_type("signedssvmsg.SignedSSVMessageTest")
def test_signed_message(fixture):
    codes = [code_of(signed_message(value).validate) for value in fixture["Messages"]]
    assert codes[-1] == fixture["ExpectedErrorCode"]


@of_type("partialsigmessage.MsgSpecTest")
def test_partial_signature_messages(fixture):
    messages = [partial_messages(value) for value in fixture["Messages"]]
    assert [code_of(message.validate) for message in messages][-1] == fixture["ExpectedErrorCode"]
    for message, encoded in zip(messages, fixture["EncodedMessages"] or [], strict=False):
        assert message.encode() == unbase64(encoded)
    for message, root in zip(messages, fixture["ExpectedRoots"] or [], strict=False):
        assert message.hash_tree_root() == bytes(root)


@of_type("committeemember.CommitteeMemberTest")
def test_quorum_of_a_committee(fixture):
    value = fixture["CommitteeMember"]
    operators = tuple(
        t.Operator(part["OperatorID"], unbase64(part["SSVOperatorPubKey"])) for part in value["Committee"]
    )
    member = t.CommitteeMember(
        value["OperatorID"],
        bytes.fromhex(value["CommitteeID"]),
        unbase64(value["SSVOperatorPubKey"]),
        value["FaultyNodes"],
        operators,
        t.DomainType(bytes.fromhex("00000301")),
    )
    member.validate()
    message = signed_message(fixture["Message"])
    assert code_of(message.validate) == fixture["ExpectedErrorCode"]
    signers = set(message.operator_ids)
    assert (len(signers) >= member.quorum) == fixture["ExpectedHasQuorum"]
    assert (len(signers) == len(operators)) == fixture["ExpectedFullCommittee"]


@of_type("ssvmsg.SSVMessageTest")
def test_whom_a_message_belongs_to(fixture):
    validator = bytes.fromhex(  # the specification's four-share test key
        "8e80066551a81b318258709edaf7dd1f63cd686a0e4db8b29bbb7acfe65608677af5a527d9448ee47835485e02b50bc0"
    )
    for text in fixture["MessageIDs"]:
        belongs = t.message_executor(t.MessageId(bytes.fromhex(text))) == validator
        assert belongs == fixture["BelongsToValidator"]


@of_type("duty.DutySpecTest")
def test_runner_of_a_duty(fixture):
    fork = alan_fork(t.DomainType(bytes.fromhex("00000301")))
    assert fork.runner_role(fixture["BeaconRole"]) == fixture["RunnerRole"]


@of_type("maxmsgsize.StructureSizeTest")
def test_size(fixture):
    value = fixture["Object"]
    match value:
        case {"Signatures": _}:
            message = signed_message(value)
        case {"MsgID": _}:
            message = ssv_message(value)
        case {"Identifier": _}:
            message = qbft_message(value)
        case {"Messages": _}:
            message = partial_messages(value)
        case {"SigningRoot": _}:
            message = partial_message(value)
        case {"BlockRoot": _}:
            message = beacon_vote(value)
        case _:
            pytest.skip("a container of a role that is not built yet")
    raw = message.encode()
    assert len(raw) == fixture["ExpectedEncodedLength"]
    assert type(message).decode(raw) == message

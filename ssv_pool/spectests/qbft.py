"""The suite's module ``qbft``: instances, controllers, messages, leaders and timeouts."""

import functools
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa

from ssv_pool.crypto import operator_keys
from ssv_pool.protocol.qbft import Context, Controller, Instance, InstanceState, ProcessingMessage
from ssv_pool.protocol.qbft.messages import create_commit, create_prepare, create_proposal, create_round_change
from ssv_pool.protocol.types.errors import ErrorCode, ProtocolError
from ssv_pool.protocol.types.messages import QBFTMessage, SignedSSVMessage
from ssv_pool.protocol.types.primitives import MessageId, OperatorId, Root, Round, Slot
from ssv_pool.protocol.types.share import CommitteeMember
from ssv_pool.spectests import fixtures, states
from ssv_pool.spectests.model import Json, MismatchError, SpecFork, SpecTest, check_equal
from ssv_pool.spectests.registry import spec_test
from ssv_pool.spectests.sources import folders, smallest_first

IDENTIFIER = MessageId(bytes((1, 2, 3, 4)).ljust(56, b"\0"))
"""Identifier of all tests."""

CUTOFF = Round(15)
"""Cut-off round of the test configuration."""

LEADER = OperatorId(1)
"""Leader of every round, but..."""

OTHER_LEADER_HEIGHT = Slot(10)
"""...at this height the leader is..."""

OTHER_LEADER = OperatorId(2)
"""...this one."""

INVALID_VALUES = frozenset({b"", bytes((1, 1, 1, 1))})
"""The values that the tests' value check refuses."""

FOUR = 4
"""Operators of the usual committee."""

_KEYS_MARK = b'"PrivateKeys":'


@dataclass
class Recorder:
    """Keeps what an instance puts out."""

    sent: list[SignedSSVMessage] = field(default_factory=list)
    armed: list[tuple[Slot, Round]] = field(default_factory=list)

    def broadcast(self, message: SignedSSVMessage) -> None:
        """Keep a message."""
        self.sent.append(message)

    def arm_round_timer(self, height: Slot, round_: Round) -> None:
        """Keep a timer."""
        self.armed.append((height, round_))

    def timer(self) -> Json:
        """The timer's state as the tests write it."""
        return {"Timeouts": len(self.armed), "Round": self.armed[-1][1] if self.armed else 0}


def check_value(value: bytes) -> None:
    """The tests' value check. Raises ProtocolError."""
    if value in INVALID_VALUES:
        raise ProtocolError("invalid value", ErrorCode.QBFT_VALUE_INVALID)


def context(
    keys: operator_keys.OperatorKeyring,
    member: CommitteeMember,
    recorder: Recorder,
    leader: OperatorId = LEADER,
    identifier: bytes = IDENTIFIER,
) -> Context:
    """The tests' fixed surroundings."""
    return Context(
        member=member,
        identifier=MessageId(identifier),
        keys=keys,
        leader=lambda height, round_: leader,  # noqa: ARG005
        check_value=check_value,
        output=recorder,
        cutoff_round=CUTOFF,
    )


def keyring(test: SpecTest, member: CommitteeMember) -> operator_keys.OperatorKeyring:
    """The member's RSA key: the test's own, or from another file where the test has none."""
    own = _public_to_private(test.private_keys.get("OperatorKeys", {}).values())
    for keys in chain([own], map(_all_keys, folders(test))):
        if member.operator_pubkey in keys:
            return operator_keys.OperatorKeyring(keys[member.operator_pubkey])
    raise MismatchError(f"no file has the private key of operator {member.operator_id}")


@spec_test("qbft", "tests.MsgProcessingSpecTest")
def message_processing(test: SpecTest) -> None:
    """One instance and messages to it."""
    recorder = Recorder()
    made = _instance(test, recorder)
    error: ProtocolError | None = None
    for value in test["InputMessages"] or []:
        try:
            made.process(ProcessingMessage.from_signed(fixtures.signed_message(value)))
        except ProtocolError as refused:
            error = refused
    test.check_error(error)
    _check_outputs(test, made, recorder)
    states.check_state(states.export_instance_state(made), test.expected_state("qbft message processing "))


@spec_test("qbft", "tests.ControllerSpecTest")
def controller_run(test: SpecTest) -> None:
    """One controller that runs several instances."""
    recorder = Recorder()
    member = fixtures.committee_member(test["Controller"]["CommitteeMember"])
    identifier = fixtures.unbase64(test["Controller"]["Identifier"])
    controller = Controller(context(keyring(test, member), member, recorder, identifier=identifier))
    if test.get("StartHeight") is not None:
        controller.height = Slot(test["StartHeight"])
    error: ProtocolError | None = None
    found = []
    for index, run in enumerate(test["RunInstanceData"]):
        height = Slot(index if run.get("Height") is None else run["Height"])
        try:
            controller.start(height, fixtures.unbase64(run["InputValue"]))
        except ProtocolError as refused:
            error = refused
        if run["ExpectedTimerState"] is not None:
            check_equal("timer", recorder.timer(), run["ExpectedTimerState"])
        decided: list[SignedSSVMessage] = []
        for value in run["InputMessages"] or []:
            try:
                result = controller.process(fixtures.signed_message(value))
            except ProtocolError as refused:
                error = refused
            else:
                decided += [result] if result is not None else []
        expected = run["ExpectedDecidedState"]
        check_equal(
            "decided values",
            [message.full_data for message in decided],
            [fixtures.unbase64(expected["DecidedVal"])] * expected["DecidedCnt"],
        )
        if expected["BroadcastedDecided"] is not None:
            wanted = fixtures.signed_message(expected["BroadcastedDecided"])
            check_equal("number of broadcasts of the decided message", recorder.sent.count(wanted), 1)
        found.append(states.export_controller(controller))
    test.check_error(error)
    states.check_state(found, test.expected_state("qbft controller "))


@spec_test("qbft", "timeout.SpecTest")
def timeout(test: SpecTest) -> None:
    """One instance whose round runs out."""
    recorder = Recorder()
    made = _instance(test, recorder)
    error: ProtocolError | None = None
    try:
        made.time_out()
    except ProtocolError as refused:
        error = refused
    test.check_error(error)
    _check_outputs(test, made, recorder)
    # There is no file with the state after it; the test's root is that of the state before with these two changed.
    expected = test["Pre"]["State"] | {"Round": made.state.round}
    if made.state.accepted_proposal is None:
        expected["ProposalAcceptedForCurrentRound"] = None
    encoded = json.dumps(expected, separators=(",", ":"), ensure_ascii=False).encode()
    check_equal("root of the state", hashlib.sha256(encoded).hexdigest(), test["PostRoot"])
    states.check_state(states.export_instance_state(made), expected)


@spec_test("qbft", "tests.MsgSpecTest")
def message(test: SpecTest) -> None:
    """Validation, encoding and root of messages."""
    error: ProtocolError | None = None
    for index, value in enumerate(test["Messages"]):
        signed = fixtures.signed_message(value)
        try:
            signed.validate()
            if test.fork is SpecFork.BOOLE:
                signed.ssv_message.validate()
            QBFTMessage.decode(signed.ssv_message.data).validate()
        except ProtocolError as refused:
            error = refused
            continue
        if test["EncodedMessages"]:
            check_equal("encoding", signed.encode(), fixtures.unbase64(test["EncodedMessages"][index]))
            check_equal("message decoded again", SignedSSVMessage.decode(signed.encode()), signed)
        if test["ExpectedRoots"]:
            check_equal("root", signed.hash_tree_root(), fixtures.raw_bytes(test["ExpectedRoots"][index]))
    test.check_error(error)


@spec_test("qbft", "tests.CreateMsgSpecTest")
def create_message(test: SpecTest) -> None:
    """Making a message as operator 1."""
    # Half of these files leave member and identifier empty: the Go test takes those of the four-operator set then.
    given = test["CommitteeMember"]
    if not given["Committee"]:
        given = _four_operators(test)
    member = fixtures.committee_member(given)
    identifier = fixtures.unbase64(test["Identifier"]) or IDENTIFIER
    own = context(keyring(test, member), member, Recorder(), identifier=identifier)
    state = InstanceState(Slot(0), round=Round(test["Round"] or 0))
    value, root = fixtures.unbase64(test["StateValue"]), Root(fixtures.raw_bytes(test["Value"]))
    round_changes = [fixtures.signed_message(item) for item in test["RoundChangeJustifications"] or []]
    prepares = [fixtures.signed_message(item) for item in test["PrepareJustifications"] or []]
    match test["CreateType"]:
        case "createProposal":
            made = create_proposal(own, state, value, round_changes, prepares)
        case "CreatePrepare":
            made = create_prepare(own, state, state.round, root)
        case "CreateCommit":
            made = create_commit(own, state, root)
        case "CreateRoundChange":
            if prepares:
                state.last_prepared_round = Round(1)
                state.last_prepared_value = value
                for prepare in prepares:
                    state.prepares.add(ProcessingMessage.from_signed(prepare))
            made = create_round_change(own, state, Round(1))
        case unknown:
            raise MismatchError(f"unknown kind of message {unknown}")
    test.check_error(None)
    check_equal("root", made.hash_tree_root().hex(), test["ExpectedRoot"])


@spec_test("qbft", "tests.RoundRobinSpecTest")
def round_robin(test: SpecTest) -> None:
    """Leaders. The files of both releases have the leaders of their own release."""
    ids = fixtures.committee_member(test["Share"]).operator_ids
    leader = test.fork.rules.leader
    found = [leader(ids, Slot(h), Round(r)) for h, r in zip(test["Heights"], test["Rounds"], strict=True)]
    check_equal("leaders", found, test["Proposers"])


def _instance(test: SpecTest, recorder: Recorder) -> Instance:
    state = test["Pre"]["State"]
    member = fixtures.committee_member(state["CommitteeMember"])
    leader = OTHER_LEADER if state["Height"] == OTHER_LEADER_HEIGHT else LEADER
    identifier = fixtures.unbase64(state["ID"])
    return states.instance(test["Pre"], context(keyring(test, member), member, recorder, leader, identifier))


def _check_outputs(test: SpecTest, made: Instance, recorder: Recorder) -> None:
    expected = [fixtures.signed_message(value) for value in test["OutputMessages"] or []]
    check_equal("roots of the messages sent", _roots(recorder.sent), _roots(expected))
    for sent in recorder.sent:
        made.context.verify(sent)
    if test["ExpectedTimerState"] is not None:
        check_equal("timer", recorder.timer(), test["ExpectedTimerState"])


def _roots(messages: Iterable[SignedSSVMessage]) -> list[str]:
    return [signed.hash_tree_root().hex() for signed in messages]


def _public_to_private(pems: Iterable[str]) -> dict[bytes, rsa.RSAPrivateKey]:
    keys = [_private_key(pem) for pem in pems]
    return {operator_keys.public_key_to_pem(key.public_key()): key for key in keys}


@functools.cache
def _private_key(pem: str) -> rsa.RSAPrivateKey:
    return operator_keys.private_key_from_pem(bytes.fromhex(pem))


@functools.cache
def _all_keys(folder: Path) -> dict[bytes, rsa.RSAPrivateKey]:
    """The operators' keys of all files in a folder. Keys are the last thing in a file, so most of it is not parsed."""
    pems: set[str] = set()
    for path in sorted(folder.glob("*.json")):
        raw = path.read_bytes()
        mark = raw.rfind(_KEYS_MARK)
        if mark >= 0:
            keys, _ = json.JSONDecoder().raw_decode(raw[mark + len(_KEYS_MARK) :].decode().lstrip())
            pems.update((keys or {}).get("OperatorKeys", {}).values())
    return _public_to_private(pems)


def _four_operators(test: SpecTest) -> Json:
    for folder in folders(test):
        for path in smallest_first(folder, "tests.MsgProcessingSpecTest_*.json"):
            member = json.loads(path.read_text(encoding="utf-8"))["Pre"]["State"]["CommitteeMember"]
            if len(member["Committee"]) == FOUR and member["OperatorID"] == 1:
                return member
    raise MismatchError("no file has the committee of four operators")

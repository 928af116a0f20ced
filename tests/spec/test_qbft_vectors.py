"""The specification's QBFT tests (v1.2.2, Alan), every file that is there."""

import hashlib
import json
from pathlib import Path

import pytest
from qbft_vectors import (
    ARCHIVE,
    IDENTIFIER,
    Recorder,
    context,
    export_controller,
    export_state,
    instance,
    normalised,
)
from spec_vectors import (
    WHERE,
    assert_outcome,
    committee_member,
    expected_state,
    fixture_files,
    raw_bytes,
    read,
    signed_message,
    unbase64,
)

from ssv_pool.protocol.forks import alan_fork
from ssv_pool.protocol.qbft import Controller, InstanceState, ProcessingMessage
from ssv_pool.protocol.qbft.messages import create_commit, create_prepare, create_proposal, create_round_change
from ssv_pool.protocol.types.errors import ProtocolError
from ssv_pool.protocol.types.messages import QBFTMessage, SignedSSVMessage
from ssv_pool.protocol.types.primitives import DomainType, Root, Round, Slot


def parameters(prefix: str):
    files = fixture_files(ARCHIVE, "qbft", prefix)
    if not files:
        return [pytest.param(None, marks=pytest.mark.skip(reason=WHERE.format(ARCHIVE)))]
    return [pytest.param(path, id=path.stem.split("_", 1)[1]) for path in files]


def roots(messages: list[SignedSSVMessage]) -> list[str]:
    return [message.hash_tree_root().hex() for message in messages]


@pytest.mark.parametrize("path", parameters("tests.MsgProcessingSpecTest"))
def test_message_processing(path: Path) -> None:
    test = read(path)
    recorder = Recorder()
    made = instance(test["Pre"], recorder)
    last_error: ProtocolError | None = None
    for value in test["InputMessages"] or []:
        try:
            made.process(ProcessingMessage.from_signed(signed_message(value)))
        except ProtocolError as error:
            last_error = error
    assert_outcome(last_error, test["ExpectedErrorCode"])
    assert roots(recorder.sent) == roots([signed_message(value) for value in test["OutputMessages"] or []])
    for message in recorder.sent:
        made.context.verify(message)
    if test["ExpectedTimerState"] is not None:
        assert recorder.timer() == test["ExpectedTimerState"]
    expected = expected_state(path, f"qbft message processing {test['Name']}")
    assert expected is not None
    assert normalised(export_state(made)) == normalised(expected)


@pytest.mark.parametrize("path", parameters("tests.ControllerSpecTest"))
def test_controller(path: Path) -> None:
    test = read(path)
    recorder = Recorder()
    member = committee_member(test["Controller"]["CommitteeMember"])
    controller = Controller(context(member, recorder, identifier=unbase64(test["Controller"]["Identifier"])))
    if test.get("StartHeight") is not None:
        controller.height = Slot(test["StartHeight"])
    last_error: ProtocolError | None = None
    states = []
    for index, run in enumerate(test["RunInstanceData"]):
        height = Slot(index if run.get("Height") is None else run["Height"])
        try:
            controller.start(height, unbase64(run["InputValue"]))
        except ProtocolError as error:
            last_error = error
        if run["ExpectedTimerState"] is not None:
            assert recorder.timer() == run["ExpectedTimerState"]
        decided: list[SignedSSVMessage] = []
        for value in run["InputMessages"] or []:
            try:
                result = controller.process(signed_message(value))
            except ProtocolError as error:
                last_error = error
            else:
                decided += [result] if result is not None else []
        assert [message.full_data for message in decided] == (
            [unbase64(run["ExpectedDecidedState"]["DecidedVal"])] * run["ExpectedDecidedState"]["DecidedCnt"]
        )
        broadcast_decided = run["ExpectedDecidedState"]["BroadcastedDecided"]
        if broadcast_decided is not None:
            assert recorder.sent.count(signed_message(broadcast_decided)) == 1
        states.append(export_controller(controller))
    assert_outcome(last_error, test["ExpectedErrorCode"])
    expected = expected_state(path, f"qbft controller {test['Name']}")
    assert expected is not None
    assert normalised(states) == normalised(expected)


@pytest.mark.parametrize("path", parameters("timeout.SpecTest"))
def test_timeout(path: Path) -> None:
    test = read(path)
    recorder = Recorder()
    made = instance(test["Pre"], recorder)
    last_error: ProtocolError | None = None
    try:
        made.time_out()
    except ProtocolError as error:
        last_error = error
    assert_outcome(last_error, test["ExpectedErrorCode"])
    assert roots(recorder.sent) == roots([signed_message(value) for value in test["OutputMessages"] or []])
    if test["ExpectedTimerState"] is not None:
        assert recorder.timer() == test["ExpectedTimerState"]
    # There is no file with the state after it; the file's root is that of the state before with these two changed.
    expected = test["Pre"]["State"] | {"Round": made.state.round}
    if made.state.accepted_proposal is None:
        expected["ProposalAcceptedForCurrentRound"] = None
    encoded = json.dumps(expected, separators=(",", ":"), ensure_ascii=False).encode()
    assert hashlib.sha256(encoded).hexdigest() == test["PostRoot"]
    assert normalised(export_state(made)) == normalised(expected)


@pytest.mark.parametrize("path", parameters("tests.MsgSpecTest"))
def test_message(path: Path) -> None:
    test = read(path)
    last_error: ProtocolError | None = None
    for index, value in enumerate(test["Messages"]):
        message = signed_message(value)
        try:
            message.validate()
            QBFTMessage.decode(message.ssv_message.data).validate()
        except ProtocolError as error:
            last_error = error
            continue
        if test["EncodedMessages"]:
            assert message.encode() == unbase64(test["EncodedMessages"][index])
            assert SignedSSVMessage.decode(message.encode()) == message
        if test["ExpectedRoots"]:
            assert message.hash_tree_root() == raw_bytes(test["ExpectedRoots"][index])
    assert_outcome(last_error, test["ExpectedErrorCode"])


@pytest.mark.parametrize("path", parameters("tests.CreateMsgSpecTest"))
def test_create_message(path: Path) -> None:
    test = read(path)
    # Half of these files leave member and identifier empty: the Go test takes those of the four-operator set then.
    given = test["CommitteeMember"]
    if not given["Committee"]:
        given = read(fixture_files(ARCHIVE, "qbft", "tests.RoundRobinSpecTest_qbft_round_robin_4")[0])["Share"]
    own = context(committee_member(given), Recorder(), identifier=unbase64(test["Identifier"]) or IDENTIFIER)
    state = InstanceState(Slot(0), round=Round(test["Round"] or 0))
    value, root = unbase64(test["StateValue"]), Root(raw_bytes(test["Value"]))
    round_changes = [signed_message(item) for item in test["RoundChangeJustifications"] or []]
    prepares = [signed_message(item) for item in test["PrepareJustifications"] or []]
    match test["CreateType"]:
        case "createProposal":
            message = create_proposal(own, state, value, round_changes, prepares)
        case "CreatePrepare":
            message = create_prepare(own, state, state.round, root)
        case "CreateCommit":
            message = create_commit(own, state, root)
        case "CreateRoundChange":
            if prepares:
                state.last_prepared_round = Round(1)
                state.last_prepared_value = value
                for prepare in prepares:
                    state.prepares.add(ProcessingMessage.from_signed(prepare))
            message = create_round_change(own, state, Round(1))
        case unknown:
            pytest.fail(f"unknown message kind {unknown}")
    assert test["ExpectedErrorCode"] == 0
    assert message.hash_tree_root().hex() == test["ExpectedRoot"]


@pytest.mark.parametrize("path", parameters("tests.RoundRobinSpecTest"))
def test_round_robin(path: Path) -> None:
    test = read(path)
    leader = alan_fork(DomainType(bytes(4))).leader
    ids = committee_member(test["Share"]).operator_ids
    leaders = [leader(ids, Slot(h), Round(r)) for h, r in zip(test["Heights"], test["Rounds"], strict=True)]
    assert leaders == test["Proposers"]

import json
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssv_pool.messaging.broker import BrokerUrl
from ssv_pool.messaging.codec import Codec, CodecError
from ssv_pool.messaging.commands import (
    COMMANDS,
    JOURNAL,
    MAX_PAYLOAD_BYTES,
    REQUESTS,
    SUBMISSIONS,
    AggregateSubmission,
    AttestationSubmission,
    BeaconAnswer,
    BeaconRequest,
    BeginAggregatorCommitteeDuty,
    BeginValidatorDuty,
    BlockSubmission,
    ContributionSubmission,
    DutiesPlanned,
    ExitSubmission,
    JournalEntries,
    JournalEntry,
    RegistrationSubmission,
    RegistryChanged,
    StartCommitteeDuty,
    StoredBlockSubmission,
    SyncMessageSubmission,
    aggregator_committee_key,
    committee_duty_key,
    request_key,
    validator_duty_key,
)
from ssv_pool.messaging.tasks import TaskSender
from ssv_pool.protocol.events import (
    AskKind,
    DutyRecord,
    Outcome,
    Reason,
    SignedAttestation,
    SignedSyncCommitteeMessage,
    StepTime,
)
from ssv_pool.protocol.types import AttestationData, BeaconVote, Checkpoint, RunnerRole, ValidatorDuty
from ssv_pool.protocol.types.roles import BeaconRole

u64 = st.integers(0, 2**64 - 1)
times = st.floats(0, 4e9)
checkpoints = st.builds(Checkpoint, u64, st.binary(min_size=32, max_size=32))
votes = st.builds(BeaconVote, st.binary(min_size=32, max_size=32), checkpoints, checkpoints)
duties = st.builds(
    ValidatorDuty,
    st.integers(0, 6),
    st.binary(min_size=48, max_size=48),
    u64,
    u64,
    u64,
    u64,
    u64,
    u64,
    st.lists(u64, max_size=13).map(tuple),
)
starts = st.builds(
    StartCommitteeDuty,
    st.text(max_size=40),
    st.binary(min_size=32, max_size=32),
    u64,
    st.lists(duties, max_size=3).map(tuple),
    votes,
    times,
    times,
    times,
)
keys = st.text(max_size=40)
committees = st.binary(min_size=32, max_size=32)
executors = st.just(b"") | st.binary(min_size=48, max_size=48)
raws = st.binary(max_size=200)
commands = st.one_of(
    starts,
    st.builds(BeginValidatorDuty, keys, committees, duties, times, times, times),
    st.builds(
        BeginAggregatorCommitteeDuty,
        keys,
        committees,
        u64,
        st.lists(duties, max_size=3).map(tuple),
        times,
        times,
        times,
    ),
    st.builds(BeaconAnswer, keys, committees, executors, keys, raws, u64, st.text(max_size=40), times),
    st.builds(RegistryChanged, u64),
    st.builds(DutiesPlanned, u64, times),
)
requests = st.builds(
    BeaconRequest,
    keys,
    committees,
    executors,
    keys,
    st.sampled_from(AskKind),
    u64,
    st.lists(st.tuples(keys, keys), max_size=3).map(tuple),
    times,
)
attestations = st.builds(
    SignedAttestation,
    u64,
    u64,
    u64,
    u64,
    st.builds(AttestationData, u64, u64, st.binary(min_size=32, max_size=32), checkpoints, checkpoints),
    st.binary(min_size=96, max_size=96),
)
forks = st.sampled_from(["deneb", "fulu"])
sync_messages = st.builds(
    SignedSyncCommitteeMessage, u64, st.binary(min_size=32, max_size=32), st.binary(min_size=96, max_size=96)
)
blocks = st.builds(BlockSubmission, keys, u64, forks, u64, st.booleans(), raws, times)
submissions = st.one_of(
    st.builds(AttestationSubmission, keys, u64, forks, st.lists(attestations, max_size=3).map(tuple), times),
    st.builds(SyncMessageSubmission, keys, u64, st.lists(sync_messages, max_size=3).map(tuple), times),
    blocks,
    st.builds(StoredBlockSubmission, blocks, keys),
    st.builds(AggregateSubmission, keys, u64, forks, u64, st.lists(raws, max_size=3).map(tuple), times),
    st.builds(ContributionSubmission, keys, u64, st.lists(raws, max_size=3).map(tuple), times),
    st.builds(RegistrationSubmission, keys, u64, raws, times),
    st.builds(ExitSubmission, keys, u64, raws, times),
)
records = st.builds(
    DutyRecord,
    st.text(max_size=40),
    st.sampled_from(RunnerRole),
    u64,
    st.binary(min_size=32, max_size=32),
    st.sampled_from(Outcome),
    st.sampled_from(Reason),
    st.text(max_size=40),
    u64,
    st.lists(u64, max_size=4).map(tuple),
    u64,
    u64,
    st.lists(st.builds(StepTime, st.text(max_size=9), times), max_size=4).map(tuple),
)


@settings(max_examples=30, deadline=None)
@given(commands)
def test_a_command_comes_back_as_it_was(command):
    assert COMMANDS.decode(COMMANDS.encode(command)) == command


@settings(max_examples=30, deadline=None)
@given(submissions)
def test_a_submission_comes_back_as_it_was(submission):
    assert SUBMISSIONS.decode(SUBMISSIONS.encode(submission).decode()) == submission


@settings(max_examples=30, deadline=None)
@given(requests)
def test_a_request_comes_back_as_it_was(request):
    assert REQUESTS.decode(REQUESTS.encode(request).decode()) == request


@settings(max_examples=30, deadline=None)
@given(
    st.builds(JournalEntry, records)
    | st.builds(JournalEntries, st.lists(st.builds(JournalEntry, records), max_size=3).map(tuple))
)
def test_a_journal_entry_comes_back_as_it_was(entry):
    assert JOURNAL.decode(JOURNAL.encode(entry)) == entry


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60) | st.recursive(st.none() | u64 | st.text(), st.lists, max_leaves=5).map(json.dumps))
def test_junk_is_a_codec_error(raw):
    with pytest.raises(CodecError):
        COMMANDS.decode(raw)


@dataclass(frozen=True, slots=True)
class Sample:
    flag: bool
    count: int
    label: str | None
    raw: bytes
    pair: tuple[str, int]


SAMPLE = Codec(Sample)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"count": True}, "Sample.count: found 'True', expected an unsigned 64-bit integer"),
        ({"count": -1}, "Sample.count: found '-1', expected an unsigned 64-bit integer"),
        ({"count": 2**64}, f"Sample.count: found '{2**64}', expected an unsigned 64-bit integer"),
        ({"flag": 1}, "Sample.flag: found int, expected true or false"),
        ({"label": 5}, "Sample.label: found int, expected a text"),
        ({"raw": "0xabc"}, "Sample.raw: found '0xabc', expected 0x and some bytes in hex"),
        ({"raw": "0xab c1"}, "Sample.raw: found '0xab c1', expected 0x and some bytes in hex"),
        ({"pair": ["a"]}, "Sample.pair: found 1 entries, expected a list of 2"),
        ({"pair": ["a", 1, 2]}, "Sample.pair: found 3 entries, expected a list of 2"),
        ({"pair": "ab"}, "Sample.pair: found str, expected a list of 2"),
        ({"pair": [1, 1]}, "Sample.pair[0]: found int, expected a text"),
        (
            {"more": 1},
            (
                "Sample: found ['count', 'flag', 'label', 'more', 'pair', 'raw'], "
                "expected the keys ['count', 'flag', 'label', 'pair', 'raw']"
            ),
        ),
    ],
)
def test_what_encode_cannot_have_made_is_refused(change, message):
    body = json.loads(SAMPLE.encode(Sample(True, 1, None, b"\x01", ("a", 1))))
    with pytest.raises(CodecError) as error:
        SAMPLE.decode(json.dumps({**body, **change}))
    assert str(error.value) == message


def test_a_key_twice_is_refused():
    with pytest.raises(CodecError):
        SAMPLE.decode('{"type":"Sample","flag":true,"flag":true,"count":1,"label":null,"raw":"0x"}')


def test_only_known_types_are_encoded():
    with pytest.raises(CodecError):
        SAMPLE.encode(RegistryChanged(1))


def test_an_oversized_message_is_not_parsed():
    with pytest.raises(CodecError) as error:
        COMMANDS.decode(b" " * (4 * 1024 * 1024 + 1))
    assert str(error.value) == "message: found 4194305 bytes, expected at most 4194304"


def test_the_longest_block_fits_a_submission():
    block = BlockSubmission("k" * 200, 2**64 - 1, "electra", 6, False, bytes(MAX_PAYLOAD_BYTES), 1.7e9)
    assert SUBMISSIONS.decode(SUBMISSIONS.encode(block)) == block


def test_keys_name_what_they_are_for():
    committee, validator = bytes([1]) * 32, bytes([2]) * 48
    assert committee_duty_key(5, committee) == "committee:5:" + "01" * 32
    assert aggregator_committee_key(5, committee) == "aggregator_committee:5:" + "01" * 32
    assert [
        validator_duty_key(role, 5, validator).removesuffix(":5:" + "02" * 48)
        for role in BeaconRole
        if role not in {BeaconRole.ATTESTER, BeaconRole.SYNC_COMMITTEE, BeaconRole.UNKNOWN}
    ] == ["aggregator", "proposer", "sync_committee_contribution", "validator_registration", "voluntary_exit"]
    assert request_key("7:block") == "ask:7:block"
    assert DutiesPlanned(3, 1.0).key != DutiesPlanned(3, 2.0).key


def test_without_a_broker_the_task_carries_the_block(tmp_path):
    sent = []
    sender = TaskSender(BrokerUrl.unix(tmp_path / "nobody"), "op")
    sender._send = lambda *arguments: sent.append(arguments)
    block = BlockSubmission("k", 5, "electra", 6, False, bytes(1 << 20), 1.0)
    sender.submit(block)
    ((name, payload, *_),) = sent
    assert (name, SUBMISSIONS.decode(payload)) == ("ssv.submit", block)

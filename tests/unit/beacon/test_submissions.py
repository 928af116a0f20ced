import pytest

from ssv_pool.beacon.answers import Refusal
from ssv_pool.beacon.errors import BeaconError
from ssv_pool.beacon.submissions import NOUNS, SubmissionResult, last_instant, post, role_of, size_of
from ssv_pool.messaging.commands import (
    AggregateSubmission,
    AttestationSubmission,
    BlockSubmission,
    ContributionSubmission,
    ExitSubmission,
    RegistrationSubmission,
    SyncMessageSubmission,
)
from ssv_pool.protocol.chain import BeaconChain, ForkVersion
from ssv_pool.protocol.events import SignedAttestation, SignedSyncCommitteeMessage
from ssv_pool.protocol.types import AttestationData, Checkpoint, RunnerRole

CHAIN = BeaconChain(1000.0, bytes(32), 1000, 8, (ForkVersion(0, bytes(4), "fulu"),))
DATA = AttestationData(9, 0, bytes([1]) * 32, Checkpoint(0, bytes(32)), Checkpoint(1, bytes([2]) * 32))
NO_ANSWER = BeaconError("POST /x", None, "refused")


def attestations(*indices):
    signed = tuple(SignedAttestation(index, 0, 9, 0, DATA, bytes(96)) for index in indices)
    return AttestationSubmission("committee:9:00", 9, "fulu", signed, 2000.0)


def messages(*indices):
    signed = tuple(SignedSyncCommitteeMessage(index, bytes(32), bytes(96)) for index in indices)
    return SyncMessageSubmission("committee:9:00", 9, signed, 2000.0)


BLOCK = BlockSubmission("proposer:9:00", 9, "fulu", 7, True, b"block", 2000.0)
AGGREGATES = AggregateSubmission("aggregator:9:00", 9, "fulu", 7, (b"a", b"b"), 2000.0)
CONTRIBUTIONS = ContributionSubmission("sync_committee_contribution:9:00", 9, (b"c", b"d"), 2000.0)
REGISTRATION = RegistrationSubmission("validator_registration:9:00", 9, b"r", 2000.0)
EXIT = ExitSubmission("voluntary_exit:9:00", 9, b"e", 2000.0)
EVERY = (attestations(1), messages(1), BLOCK, AGGREGATES, CONTRIBUTIONS, REGISTRATION, EXIT)


class Node:
    """A client that answers every submission alike, and keeps what it was called with."""

    def __init__(self, answer=()):
        self.answer = answer
        self.calls = []

    def __getattr__(self, name):
        def call(*arguments, **named):
            self.calls.append((name, arguments, named))
            if isinstance(self.answer, Exception):
                raise self.answer
            return self.answer

        return call


def test_each_kind_goes_its_own_way():
    node = Node()
    for submission in EVERY:
        assert post(node, submission, 1000.0) == SubmissionResult(size_of(submission), None)
    assert node.calls == [
        ("submit_attestations", ("fulu", attestations(1).attestations), {"timeout": 4.0}),
        ("submit_sync_messages", (9, messages(1).messages), {"timeout": 4.0}),
        ("submit_block", ("fulu", 7, True, b"block"), {"timeout": 8.0}),
        ("submit_aggregates", ("fulu", 7, (b"a", b"b")), {"timeout": 4.0}),
        ("submit_contributions", ((b"c", b"d"),), {"timeout": 4.0}),
        ("submit_registrations", ([b"r"],), {"timeout": 4.0}),
        ("submit_exit", (b"e",), {"timeout": 4.0}),
    ]
    assert set(NOUNS) == {type(submission) for submission in EVERY}


@pytest.mark.parametrize(
    ("whole", "left"),
    [
        (attestations(1, 2, 3), attestations(2)),
        (messages(1, 2), messages(2)),
        (AGGREGATES, AggregateSubmission("aggregator:9:00", 9, "fulu", 7, (b"b",), 2000.0)),
        (CONTRIBUTIONS, ContributionSubmission("sync_committee_contribution:9:00", 9, (b"d",), 2000.0)),
    ],
)
def test_what_is_refused_is_left(whole, left):
    node = Node([Refusal(1, "unknown block"), Refusal(0, "already known")])
    problem = "1 refused, the first (position 1): unknown block"
    assert post(node, whole, 1000.0) == SubmissionResult(size_of(whole) - 1, left, problem, refused=True)


@pytest.mark.parametrize("submission", EVERY)
def test_no_answer_leaves_all_and_is_no_refusal(submission):
    problem = "beacon node: POST /x: no answer: refused"
    assert post(Node(NO_ANSWER), submission, 1000.0) == SubmissionResult(0, submission, problem)


def test_a_refusal_of_nothing_we_sent_is_no_refusal():
    assert post(Node([Refusal(7, "what")]), attestations(1), 1000.0) == SubmissionResult(1, None)


@pytest.mark.parametrize(("status", "refused"), [(400, True), (500, True), (404, False), (503, False)])
def test_an_error_about_what_was_posted_is_a_refusal(status, refused):
    result = post(Node(BeaconError("POST /x", status, "bad state root")), BLOCK, 1000.0)
    assert (result.left, result.refused) == (BLOCK, refused)
    assert result.problem == f"beacon node: POST /x: status {status}: bad state root"


def test_what_the_node_has_already_is_accepted():
    assert post(Node(BeaconError("POST /x", 400, "BLOCK_ALREADY_KNOWN")), BLOCK, 1000.0) == SubmissionResult(1, None)


def test_what_is_malformed_is_given_up():
    assert post(Node(ValueError("3 bytes")), EXIT, 1000.0) == SubmissionResult(0, None, "3 bytes")


def test_the_time_limit_ends_with_the_deadline():
    node = Node()
    for now in (1998.0, 1999.9):
        post(node, EXIT, now)
    assert [named["timeout"] for _, _, named in node.calls] == [2.0, 0.5]


def test_what_is_passed_on_in_its_own_slot_only_is_given_up_after_it():
    assert [last_instant(CHAIN, submission) for submission in EVERY] == [
        2000.0, 1010.5, 2000.0, 2000.0, 1010.5, 2000.0, 2000.0,
    ]  # fmt: skip
    assert last_instant(None, messages(1)) == 2000.0


def test_the_key_says_whose_duty_it_is():
    assert [role_of(submission) for submission in EVERY] == [
        RunnerRole.COMMITTEE,
        RunnerRole.COMMITTEE,
        RunnerRole.PROPOSER,
        RunnerRole.AGGREGATOR,
        RunnerRole.SYNC_COMMITTEE_CONTRIBUTION,
        RunnerRole.VALIDATOR_REGISTRATION,
        RunnerRole.VOLUNTARY_EXIT,
    ]
    committee = AggregateSubmission("aggregator_committee:9:00", 9, "fulu", 7, (b"a",), 2000.0)
    assert role_of(committee) is RunnerRole.AGGREGATOR_COMMITTEE

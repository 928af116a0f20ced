"""The outbox: what goes first, what is given up, and that nothing ends its thread."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from committee_network import chain
from executor_network import empty_block
from prometheus_client import REGISTRY

from ssv_pool.errors import UnavailableError
from ssv_pool.messaging.commands import AttestationSubmission, BeaconRequest, JournalEntries, Submission
from ssv_pool.node.outbox import JOURNAL_ENTRIES, Outbox
from ssv_pool.protocol.events import AskKind, DutyRecord, Outcome, Reason, StepTime, SubmitAttestations, SubmitBlock
from ssv_pool.protocol.types.primitives import CommitteeId, OperatorId, Round, Signature, Slot
from ssv_pool.protocol.types.roles import RunnerRole

CHAIN = chain()
NOW = 1_700_000_000.0


@dataclass
class FakeSender:
    """Notes what it is given; waits while ``gate`` is closed; fails where ``faults`` says so."""

    sent: list[str] = field(default_factory=list)
    faults: dict[str, Exception] = field(default_factory=dict)
    gate: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)
    closed: bool = False

    def submit(self, submission: Submission) -> None:
        self._send(f"submit {submission.key}", submission.key)

    def ask_beacon(self, request: BeaconRequest) -> None:
        self._send(f"ask {request.key}", request.key)

    def record_duties(self, entries: JournalEntries) -> None:
        self._send(f"record {' '.join(entry.key for entry in entries.entries)}", entries.key)

    def close(self) -> None:
        self.closed = True

    def _send(self, text: str, key: str) -> None:
        self.entered.set()
        assert self.gate.wait(30)
        if key in self.faults:
            raise self.faults[key]
        self.sent.append(text)


def submission(key: str, deadline: float = NOW + 9) -> SubmitAttestations:
    return SubmitAttestations(Slot(5), (), deadline, key)


def record(key: str, **changes: object) -> DutyRecord:
    values: dict[str, object] = {
        "key": key,
        "role": RunnerRole.COMMITTEE,
        "slot": Slot(5),
        "committee_id": CommitteeId(bytes(32)),
        "outcome": Outcome.COMPLETED,
        "reason": Reason.NONE,
        "detail": "",
        "round": Round(1),
        "silent_operators": (OperatorId(3),),
        "validators": 1,
        "completed": 1,
        "steps": (),
    }
    return DutyRecord(**{**values, **changes})  # type: ignore[arg-type]


@contextmanager
def running(sender: FakeSender, **options: int) -> Iterator[Outbox]:
    outbox = Outbox(sender, clock=lambda: NOW, **options)
    outbox.start()
    try:
        yield outbox
    finally:
        sender.gate.set()
        outbox.close(30)


def sample(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_submissions_go_before_journal_entries() -> None:
    sender = FakeSender()
    with running(sender) as outbox:
        outbox.record(record("first"))
        assert sender.entered.wait(30)
        outbox.record(record("a"))
        outbox.submit(submission("b"), CHAIN)
        outbox.record(record("c"))
        outbox.submit(submission("d"), CHAIN)
    assert sender.sent == ["record first", "submit b", "submit d", "record a c"]
    assert sender.closed


def test_a_submission_names_the_fork_of_its_slot() -> None:
    class Noting(FakeSender):
        def submit(self, submission: Submission) -> None:
            found.append(submission)

    found: list[Submission] = []
    with running(Noting()) as outbox:
        outbox.submit(submission("k"), CHAIN)
    assert found == [AttestationSubmission("k", Slot(5), "fulu", (), NOW + 9)]


def test_a_full_queue_gives_up_its_oldest_and_counts_it() -> None:
    sender = FakeSender()
    before = sample("ssv_node_outbox_dropped_total", kind="submission")
    with running(sender, capacity=2) as outbox:
        outbox.record(record("in hand"))
        assert sender.entered.wait(30)
        for key in "abcd":
            outbox.submit(submission(key), CHAIN)
        outbox.record(record("story"))
    assert sender.sent == ["record in hand", "submit c", "submit d", "record story"]
    assert sample("ssv_node_outbox_dropped_total", kind="submission") == before + 2


@pytest.mark.parametrize("fault", [UnavailableError("broker: away"), ValueError("a bug")])
def test_what_cannot_be_handed_over_is_counted_and_the_next_goes_on(fault: Exception) -> None:
    sender = FakeSender(faults={"bad": fault})
    before = sample("ssv_node_outbox_dropped_total", kind="submission")
    with running(sender) as outbox:
        outbox.submit(submission("bad"), CHAIN)
        outbox.submit(submission("good"), CHAIN)
    assert sender.sent == ["submit good"]
    assert sample("ssv_node_outbox_dropped_total", kind="submission") == before + 1


def test_stories_share_a_task_up_to_a_limit() -> None:
    sender = FakeSender()
    with running(sender) as outbox:
        outbox.submit(submission("in hand"), CHAIN)
        assert sender.entered.wait(30)
        for number in range(JOURNAL_ENTRIES + 1):
            outbox.record(record(f"n{number}"))
    first, second = sender.sent[1:]
    assert first.split() == ["record", *(f"n{number}" for number in range(JOURNAL_ENTRIES))]
    assert second == f"record n{JOURNAL_ENTRIES}"


def test_every_story_of_a_lost_task_is_counted() -> None:
    sender = FakeSender(faults={"a": UnavailableError("broker: away")})
    before = sample("ssv_node_outbox_dropped_total", kind="journal")
    with running(sender) as outbox:
        outbox.submit(submission("in hand"), CHAIN)
        assert sender.entered.wait(30)
        outbox.record(record("a"))
        outbox.record(record("b"))
    assert sample("ssv_node_outbox_dropped_total", kind="journal") == before + 2


def request(key: str, kind: AskKind = AskKind.AGGREGATE, deadline: float = NOW + 9) -> BeaconRequest:
    return BeaconRequest(key, CommitteeId(bytes(32)), b"", key, kind, Slot(5), (), deadline)


def test_what_belongs_to_blocks_goes_first_and_the_journal_last() -> None:
    sender = FakeSender()
    block = SubmitBlock(Slot(5), empty_block(5), Signature(bytes(96)), NOW + 9, "block")
    with running(sender) as outbox:
        outbox.record(record("in hand"))
        assert sender.entered.wait(30)
        outbox.record(record("story"))
        outbox.submit(submission("attestations"), CHAIN)
        outbox.ask(request("aggregate"))
        outbox.ask(request("ask block", AskKind.BLOCK))
        outbox.submit(block, CHAIN)
    assert sender.sent == [
        *("record in hand", "ask ask block", "submit block"),
        *("submit attestations", "ask aggregate", "record story"),
    ]


def test_a_request_past_its_deadline_is_not_sent() -> None:
    sender = FakeSender()
    before = sample("ssv_node_outbox_dropped_total", kind="request")
    with running(sender) as outbox:
        outbox.ask(request("late", deadline=NOW))
        outbox.ask(request("in time"))
    assert sender.sent == ["ask in time"]
    assert sample("ssv_node_outbox_dropped_total", kind="request") == before + 1


def test_a_submission_past_its_deadline_is_not_sent() -> None:
    sender = FakeSender()
    with running(sender) as outbox:
        outbox.submit(submission("late", deadline=NOW), CHAIN)
        outbox.submit(submission("in time", deadline=NOW + 0.1), CHAIN)
    assert sender.sent == ["submit in time"]


def test_the_end_does_not_wait_for_a_broker_that_is_away() -> None:
    sender = FakeSender()
    outbox = Outbox(sender, clock=lambda: NOW)
    outbox.start()
    outbox.record(record("stuck"))
    assert sender.entered.wait(30)
    outbox.close(0)
    assert sender.closed
    sender.gate.set()


def test_an_outbox_that_never_started_can_be_closed() -> None:
    sender = FakeSender()
    Outbox(sender).close(1)
    assert sender.closed


def test_a_duty_is_counted_and_its_steps_are_measured() -> None:
    steps = (
        *(StepTime("due", 10.0), StepTime("begun", 10.003), StepTime("consensus_started", 10.01)),
        *(StepTime("decided", 10.06), StepTime("reconstructed", 10.09)),
    )
    measured = {
        "ssv_duty_scheduler_slot_ticker_delay_duration_seconds_sum": 0.003,
        "ssv_runner_consensus_duration_seconds_sum": 0.05,
        "ssv_runner_post_consensus_duration_seconds_sum": 0.03,
        "ssv_runner_duty_duration_seconds_sum": 0.09,
        "ssv_validator_duty_rounds_changed_total": 1.0,
    }
    ended = {"role": "committee", "outcome": "completed", "reason": "none"}
    before = {name: sample(name, role="committee") for name in measured}
    duties = sample("ssv_duty_ended_total", **ended)
    sender = FakeSender()
    with running(sender) as outbox:
        outbox.record(record("k", steps=steps, round=Round(2)))
    found = {name: sample(name, role="committee") - before[name] for name in measured}
    assert found == pytest.approx(measured)
    assert sample("ssv_duty_ended_total", **ended) == duties + 1

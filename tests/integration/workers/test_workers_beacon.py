"""What workers do with the beacon node and the execution node: submissions, trouble, changes."""

import time

import pytest

from ssv_pool.messaging.commands import JournalEntry, RegistryChanged
from ssv_pool.protocol.events import DutyRecord, Outcome, Reason, StepTime
from ssv_pool.protocol.types import RunnerRole
from ssv_pool.store.registry import load_registry

pytestmark = pytest.mark.integration


def test_attestations_are_posted_again_until_accepted_and_the_journal_has_the_times(operator, wait_until):
    operator.prepare(slot_seconds=4)
    operator.start_workers(1)
    sender = operator.sender()
    record = DutyRecord(
        "plain", RunnerRole.COMMITTEE, 9, bytes(32), Outcome.COMPLETED, Reason.NONE, "", 1, (4,), 2, 2,
        (StepTime("due", 1.0), StepTime("decided", 2.0)),
    )  # fmt: skip
    sender.record_duty(JournalEntry(record))
    sender.submit(operator.submission("plain", [1, 2]))
    wait_until(lambda: operator.submitted() == [1, 2])
    entry = wait_until(lambda: (e := operator.journal().get("plain")) and {"accepted", "due"} <= e.steps.keys() and e)
    assert (entry.outcome, entry.reason, entry.silent_operators) == ("completed", None, (4,))
    assert entry.steps.keys() == {"due", "decided", "submitted", "accepted"}
    assert entry.steps["submitted"] <= entry.steps["accepted"]

    # The same again is a no-op.
    sender.submit(again := operator.submission("again", [7]))
    wait_until(lambda: "accepted" in operator.journal().get("again", entry).steps and 7 in operator.submitted())
    sender.submit(again)

    operator.call("/control?refuse=5")
    sender.submit(operator.submission("refused", [3, 4]))
    wait_until(lambda: {3, 4} <= set(operator.submitted()))

    operator.call("/control?partial=1")
    sender.submit(operator.submission("partial", [5, 6]))
    wait_until(lambda: {5, 6} <= set(operator.submitted()))
    assert operator.submitted() == [1, 2, 3, 4, 5, 6, 7]
    # One line a slot, whoever is concerned.
    assert len(operator.logs("attestations not accepted: trying again")) in (1, 2)
    wait_until(lambda: "accepted" in operator.journal()["partial"].steps)
    sender.close()


def test_what_is_not_accepted_by_the_deadline_is_given_up(operator, wait_until):
    operator.prepare(slot_seconds=4)
    operator.start_workers(1)
    operator.call("/control?refuse=1000")
    sender = operator.sender()
    sender.submit(operator.submission("hopeless", [1], seconds=2))
    wait_until(lambda: operator.call("/control")["refuse"] < 999)
    wait_until(lambda: operator.logs("attestations not posted in time"))
    assert operator.submitted() == []
    sender.close()


def test_a_submission_survives_the_kill_of_its_worker(operator, wait_until):
    operator.prepare(slot_seconds=4)
    workers, _ = operator.start_workers(2)
    operator.call("/control?hang=1")
    sender = operator.sender()
    sender.submit(operator.submission("survivor", [1, 2]))
    port = wait_until(lambda: operator.call("/log")["held_port"])
    victim = operator.holder_of(port)
    assert victim in workers
    operator.kill(victim)
    wait_until(lambda: operator.submitted() == [1, 2], 30)
    sender.close()


def test_a_beacon_node_in_trouble_is_one_warning_and_recovers_by_itself(operator, wait_until):
    operator.prepare(slot_seconds=2)
    workers, first = operator.start_workers(1)
    operator.wait_for_slot(first)
    assert wait_until(lambda: operator.statuses().get("beacon_node")).problem is None
    operator.call("/control?sick=1")
    bad = wait_until(lambda: (status := operator.statuses()["beacon_node"]).problem and status)
    node = f"http://127.0.0.1:{operator.beacon_port}"
    assert bad.problem == f"beacon node {node}: GET /eth/v1/node/syncing: status 503: sick"
    operator.restart_beacon()
    wait_until(lambda: operator.statuses()["beacon_node"].problem is None)
    operator.wait_for_slot(operator.slot() + 1)
    # The execution node is away all the time, and says so for itself and for what waits for it.
    warnings = [line for line in operator.logs("trouble: trying again until it passes") if "beacon_node" in line]
    assert len(warnings) == 1
    assert len(operator.logs('"part": "beacon_node", "event": "recovered"')) == 1
    execution = operator.statuses()["execution_node"]
    assert execution.problem == "execution node http://127.0.0.1:9: cannot be reached (ConnectError)"
    assert [worker.poll() for worker in workers] == [None]


def test_duties_are_planned_again_when_the_chain_moved_them(operator, wait_until):
    operator.prepare(slot_seconds=30)
    operator.start_workers(1)
    # Planning at the start may still be under way: its plans may already be for the first of these roots.
    for root in range(2, 9):
        operator.call(f"/control?root={root}")
        started = time.monotonic()
        wait_until(lambda: operator.logs("the chain moved duties") or time.monotonic() - started > 3)  # noqa: B023
    before = len(operator.call("/log")["duties"])
    operator.call("/control?root=9")
    wait_until(lambda: len(operator.call("/log")["duties"]) > before)
    wait_until(lambda: [operator.root_of(epoch) for epoch in (1, 2)] == [bytes([9]) * 32] * 2)


def test_registry_events_reach_store_node_and_plan(operator, wait_until):
    operator.prepare(slot_seconds=4, execution=True)
    operator.start_workers(2)
    wait_until(lambda: any(isinstance(command, RegistryChanged) for command in operator.commands()))
    with operator.database.read() as session:
        assert sorted(load_registry(session).operators) == [1, 2, 3, 4]
    assert wait_until(lambda: operator.statuses().get("event_syncer")).problem is None
    assert operator.statuses()["execution_node"].problem is None
    assert operator.statuses()["event_syncer"].details["lag"] == 0

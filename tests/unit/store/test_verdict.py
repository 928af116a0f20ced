"""Entries of the journal judged: good, late and why, failed and why, or not known yet."""

from dataclasses import replace

import pytest

from ssv_pool.protocol.chain import BeaconChain, ForkVersion
from ssv_pool.protocol.events import Reason
from ssv_pool.protocol.types.primitives import Epoch, Root, Slot
from ssv_pool.protocol.types.roles import RunnerRole
from ssv_pool.store.journal import JournalEntry
from ssv_pool.store.verdict import Verdict, judge, late_after

CHAIN = BeaconChain(1000.0, Root(bytes(32)), 12_000, 32, (ForkVersion(Epoch(0), bytes(4), "fulu"),))
SLOT = Slot(10)
START = 1120.0
STEPS = {
    "due": START + 4,
    "begun": START + 4.01,
    "consensus_started": START + 4.1,
    "proposed": START + 4.2,
    "prepared": START + 4.3,
    "decided": START + 4.4,
    "signed": START + 4.45,
    "reconstructed": START + 4.5,
    "submitted": START + 4.6,
    "accepted": START + 4.7,
}
GOOD = JournalEntry("committee:10:aa", RunnerRole.COMMITTEE, SLOT, b"c" * 32, "completed", round=1, steps=STEPS)


def later(step: str, seconds: float) -> JournalEntry:
    """The same with this step, and all after it, so much later."""
    names = list(STEPS)
    moved = names[names.index(step) :]
    return replace(GOOD, steps={name: at + seconds * (name in moved) for name, at in STEPS.items()})


def test_a_duty_done_in_time_is_good() -> None:
    assert judge(GOOD, CHAIN) == Verdict("good")
    assert judge(later("accepted", 7.3), CHAIN) == Verdict("good")


@pytest.mark.parametrize(
    ("step", "reason", "words"),
    [
        ("begun", Reason.NOT_STARTED, "it began only after 8.010 s"),
        ("consensus_started", Reason.NO_BEACON_DATA, "consensus began only after 8.090 s"),
        ("decided", Reason.ROUNDS_EXHAUSTED, "the committee decided only after 8.300 s; in round 1"),
        ("reconstructed", Reason.NO_SIGNATURE_QUORUM, "a quorum's partial signatures came only after 8.100 s"),
        ("submitted", Reason.SUBMISSION_REFUSED, "it was handed over only after 8.100 s"),
        ("accepted", Reason.SUBMISSION_REFUSED, "the beacon node took it only after 8.100 s"),
    ],
)
def test_a_late_duty_is_put_down_to_its_longest_step(step: str, reason: Reason, words: str) -> None:
    assert judge(later(step, 8.0), CHAIN) == Verdict("late", reason, f"0.700 s late: {words}")


def test_answers_of_the_beacon_node_that_take_long_make_a_block_late() -> None:
    steps = {"due": START, "begun": START, "pre_consensus": START + 0.1, "asked": START + 0.1, "received": START + 3.9}
    block = replace(
        GOOD, role=RunnerRole.PROPOSER, steps=steps | {"reconstructed": START + 4.2, "accepted": START + 4.5}
    )
    assert judge(block, CHAIN) == Verdict(
        "late", Reason.NO_BEACON_DATA, "0.500 s late: the beacon node's answer came only after 3.800 s"
    )


def test_the_wait_for_what_is_aggregated_is_nobodys_fault() -> None:
    steps = {"due": START, "begun": START, "pre_consensus": START + 0.1, "asked": START + 0.1, "received": START + 8.2}
    steps |= {"consensus_started": START + 8.2, "decided": START + 11.5, "reconstructed": START + 12.5}
    contribution = replace(GOOD, role=RunnerRole.SYNC_COMMITTEE_CONTRIBUTION, steps=steps, round=2)
    assert judge(contribution, CHAIN) == Verdict(
        "late", Reason.ROUNDS_EXHAUSTED, "0.500 s late: the committee decided only after 3.300 s; in round 2"
    )


def test_what_each_role_is_worth_until() -> None:
    assert late_after(GOOD, CHAIN) == START + 12
    assert late_after(replace(GOOD, role=RunnerRole.PROPOSER), CHAIN) == START + 4
    assert late_after(replace(GOOD, role=RunnerRole.VOLUNTARY_EXIT), CHAIN) is None
    assert judge(replace(later("begun", 500.0), role=RunnerRole.VALIDATOR_REGISTRATION), CHAIN).state == "good"


def test_without_the_chains_constants_nothing_is_late() -> None:
    assert judge(later("begun", 500.0), None) == Verdict("good")


def test_a_reason_in_the_journal_counts() -> None:
    failed = replace(GOOD, outcome="failed", reason="no_commit_quorum", detail="prepared in round 1")
    assert judge(failed, CHAIN) == Verdict("failed", Reason.NO_COMMIT_QUORUM, "prepared in round 1")
    lost = replace(GOOD, reason="not_included", detail="1 of 2 attestations")
    assert judge(lost, CHAIN) == Verdict("failed", Reason.NOT_INCLUDED, "1 of 2 attestations")
    assert judge(replace(GOOD, outcome="failed"), CHAIN) == Verdict("failed")
    assert judge(replace(lost, reason="of a later version"), CHAIN) == Verdict("failed", detail="1 of 2 attestations")


def test_a_refusal_counts_unless_it_was_accepted_or_included_after_all() -> None:
    steps = {name: at for name, at in STEPS.items() if name != "accepted"} | {"refused": START + 5}
    refused = replace(GOOD, steps=steps, detail="400 bad signature")
    assert judge(refused, CHAIN) == Verdict("failed", Reason.SUBMISSION_REFUSED, "400 bad signature")
    assert judge(replace(refused, steps=steps | {"accepted": START + 6}), CHAIN).state == "good"
    assert judge(replace(refused, steps=steps | {"included": START + 12}), CHAIN).state == "good"


def test_a_duty_of_which_only_steps_are_known_is_open() -> None:
    assert judge(replace(GOOD, outcome=None, steps={"submitted": 1.0}), CHAIN) == Verdict("open")
    assert judge(replace(GOOD, outcome=None), CHAIN) == Verdict("good")

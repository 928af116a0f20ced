import importlib
from types import SimpleNamespace

import pytest
import redis

from ssv_pool.beacon.submissions import SubmissionResult
from ssv_pool.messaging.claims import ClaimState
from ssv_pool.messaging.commands import AggregateSubmission, BlockSubmission

NOW = 1_000_036.0
BLOCK = BlockSubmission("proposer:9:00", 9, "fulu", 7, True, b"block", NOW + 4)
AGGREGATES = AggregateSubmission("aggregator:9:00", 9, "fulu", 7, (b"a", b"b"), NOW + 60)
REST = AggregateSubmission("aggregator:9:00", 9, "fulu", 7, (b"b",), NOW + 60)
REFUSED = SubmissionResult(0, BLOCK, "bad state root", refused=True)


@pytest.fixture
def world(worker_app, context, monkeypatch):
    """The module's parts in a world where posting has the results that it is told."""
    module = importlib.import_module("workers.submissions")
    monkeypatch.setattr(module, "context", context)
    monkeypatch.setattr(module, "time", context)
    context.results, context.posted, context.noted = [], [], []

    def post(client, submission, now):
        context.posted.append((submission, now))
        return context.results.pop(0)

    monkeypatch.setattr(module, "post", post)
    monkeypatch.setattr(
        module, "_note_accepted", lambda said, started: context.noted.append(("accepted", said, started))
    )
    context.store_is_there = True

    def note_refused(said, when, why):
        context.noted.append(("refused", said, why))
        return context.store_is_there

    monkeypatch.setattr(module, "_note_refused", note_refused)
    context.posting = lambda submission, attempt=0, told=False: module._Posting(
        submission, attempt, NOW - 1, submission.deadline, told
    )
    context.module = module
    return context


def test_what_is_accepted_is_done_and_in_the_journal(world):
    world.results = [SubmissionResult(1, None)]
    posting = world.posting(BLOCK)
    posting.run("key")
    assert (posting.left, posting.attempt, world.done) == (None, 1, ["key"])
    assert world.noted == [("accepted", BLOCK, NOW - 1)]


def test_a_few_quick_attempts_then_it_is_left_to_another_task(world):
    world.results = [REFUSED] * 4
    posting = world.posting(BLOCK)
    posting.run("key")
    assert (posting.left, posting.attempt, world.done) == (BLOCK, 3, [])
    # The journal is told of the first refusal only.
    assert world.noted == [("refused", BLOCK, "bad state root")]
    later = world.posting(BLOCK, attempt=3, told=posting.told)
    later.run("key")
    assert (later.left, later.attempt, len(world.noted)) == (BLOCK, 4, 1)


def test_a_refusal_after_attempts_without_an_answer_is_in_the_journal(world):
    world.results = [SubmissionResult(0, BLOCK, "no answer")] * 3 + [REFUSED]
    posting = world.posting(BLOCK)
    posting.run("key")
    assert (posting.attempt, posting.told, world.noted) == (3, False, [])
    later = world.posting(BLOCK, attempt=3, told=posting.told)
    later.run("key")
    assert (later.told, world.noted) == (True, [("refused", BLOCK, "bad state root")])


def test_a_refusal_that_the_store_did_not_take_is_told_again(world):
    world.results = [REFUSED, REFUSED, SubmissionResult(1, None)]
    world.store_is_there = False
    posting = world.posting(BLOCK)
    posting.run("key")
    assert [kind for kind, *_ in world.noted] == ["refused", "refused", "accepted"]
    assert not posting.told


def test_what_is_accepted_of_a_batch_is_not_posted_again(world):
    world.results = [SubmissionResult(1, REST, "unknown block", refused=True), SubmissionResult(1, None)]
    posting = world.posting(AGGREGATES)
    posting.run("key")
    assert [submission for submission, _ in world.posted] == [AGGREGATES, REST]
    assert [kind for kind, _, _ in world.noted] == ["refused", "accepted"]


def test_no_answer_is_no_refusal(world):
    world.results = [SubmissionResult(0, BLOCK, "no answer"), SubmissionResult(1, None)]
    world.posting(BLOCK).run("key")
    assert [kind for kind, _, _ in world.noted] == ["accepted"]


def test_after_its_deadline_it_is_given_up(world):
    world.now = BLOCK.deadline
    posting = world.posting(BLOCK)
    posting.run("key")
    assert (posting.left, world.posted, world.noted) == (None, [], [])
    assert world.done == ["key"]


def test_what_is_malformed_is_given_up(world):
    world.results = [SubmissionResult(0, None, "3 bytes")]
    posting = world.posting(BLOCK)
    posting.run("key")
    assert (posting.left, world.noted) == (None, [])


@pytest.mark.parametrize("state", [ClaimState.HELD, ClaimState.DONE])
def test_what_another_worker_does_is_left_to_it(world, state):
    world.claim = state
    posting = world.posting(BLOCK)
    posting.run("key")
    assert (posting.left, world.posted) == (None, [])


def test_without_the_broker_it_is_posted_all_the_same(world):
    world.claim = redis.ConnectionError("gone")
    world.results = [SubmissionResult(1, None)]
    posting = world.posting(BLOCK)
    posting.run("key")
    assert (posting.left, len(world.posted)) == (None, 1)


def test_blocks_do_not_wait_for_their_turn(world, monkeypatch):
    monkeypatch.setattr(
        world.module, "_posting_slots", SimpleNamespace(acquire=lambda timeout: False, release=lambda: 1 / 0)
    )
    world.results = [SubmissionResult(1, None)]
    aggregates, block = world.posting(AGGREGATES), world.posting(BLOCK)
    aggregates.run("one")
    block.run("two")
    assert (aggregates.left, aggregates.attempt) == (AGGREGATES, 0)
    assert (block.left, world.done) == (None, ["two"])

import importlib
from types import SimpleNamespace

import pytest
import redis

from ssv_pool.beacon.errors import BeaconError
from ssv_pool.beacon.requests import BadRequestError, Found
from ssv_pool.messaging.claims import ClaimState
from ssv_pool.messaging.commands import BeaconAnswer, BeaconRequest
from ssv_pool.messaging.tasks import URGENT
from ssv_pool.protocol.events import AskKind

SLOT = 9  # begins 36 s after genesis, at the clock's start
NO_BLOCK = BeaconError("GET /x", 503, "syncing")


def request(kind=AskKind.BLOCK, slot=SLOT, deadline=1_000_040.0):
    return BeaconRequest("ask:1", bytes(32), bytes(48), "1", kind, slot, (), deadline)


class Asker:
    def __init__(self, *found):
        self.found = list(found)
        self.calls = 0

    def answer(self, chain, asked):
        self.calls += 1
        found = self.found.pop(0) if len(self.found) > 1 else self.found[0]
        if isinstance(found, Exception):
            raise found
        return found


@pytest.fixture
def answers(worker_app, context, monkeypatch):
    module = importlib.import_module("workers.answers")
    monkeypatch.setattr(module, "context", context)
    monkeypatch.setattr(module, "time", context)
    context.published = []
    context.bus = SimpleNamespace(publish=context.published.append)
    return module


def answer(payload=b"", version=0, error=""):
    return BeaconAnswer("ask:1", bytes(32), bytes(48), "1", payload, version, error, 1_000_040.0)


def test_what_is_found_is_published_and_the_claim_is_done(answers, context):
    context.asker = Asker(Found(b"block", 7))
    assert answers._ask(request(), 0) is None
    assert context.published == [answer(b"block", 7)]
    assert context.done == ["ask:1"]


def test_a_beacon_node_in_trouble_is_asked_again_while_that_can_help(answers, context):
    context.asker = Asker(NO_BLOCK)
    attempt = 0
    while (following := answers._ask(request(), attempt)) is not None:
        assert context.published == []
        assert following == attempt + 1
        attempt = following
        context.now += 0.5
    # A block that comes after two thirds of the slot is no use: signing it takes time too.
    assert 37.8 < context.now - 1_000_000.0 < 38.8
    assert context.published == [answer(error="beacon node: GET /x: status 503: syncing")]


def test_one_line_in_the_log_for_all_that_ask_for_the_same(answers, context, monkeypatch):
    said = []
    monkeypatch.setattr(
        answers, "_log", SimpleNamespace(warning=lambda text, **what: said.append((text, what["kind"])))
    )
    context.asker = Asker(NO_BLOCK)
    for kind in (AskKind.BLOCK, AskKind.AGGREGATE, AskKind.AGGREGATE):
        assert answers._ask(request(kind, slot=SLOT), 0) == 1
    text = "a request was not answered: trying again"
    assert said == [(text, "block"), (text, "aggregate")]


def test_a_request_that_makes_no_sense_is_answered_at_once(answers, context):
    context.asker = Asker(BadRequestError("no such thing"))
    assert answers._ask(request(), 0) is None
    assert context.published == [answer(error="no such thing")]


def test_before_the_chain_is_known_there_is_no_answer_but_that(answers, context):
    context.known = None
    context.asker = Asker(Found(b"block", 7))
    assert answers._ask(request(), 0) is None
    assert context.published == [answer(error="the beacon chain's constants are not known yet")]


def test_what_another_worker_does_is_left_to_it(answers, context):
    context.asker = Asker(Found(b"block", 7))
    for context.claim in (ClaimState.HELD, ClaimState.DONE):
        assert answers._ask(request(), 0) is None
    assert context.published == []
    assert context.asker.calls == 0


def test_without_the_broker_the_same_attempt_is_made_again(answers, context):
    context.asker = Asker(Found(b"block", 7))
    context.claim = redis.ConnectionError("gone")
    assert answers._ask(request(), 3) == 3


def test_an_answer_waits_for_the_broker_until_the_deadline(answers, context):
    context.asker = Asker(Found(b"block", 7))
    gone = [redis.ConnectionError("gone")] * 2

    def publish(found):
        if gone:
            raise gone.pop()
        context.published.append(found)

    context.bus = SimpleNamespace(publish=publish)
    assert answers._ask(request(), 0) is None
    assert context.published == [answer(b"block", 7)]
    gone += [redis.ConnectionError("gone")] * 1000
    context.published.clear()
    context.done.clear()
    assert answers._ask(request(), 0) is None
    assert (context.published, context.done) == ([], [])
    assert 1_000_039.0 < context.now <= 1_000_040.0


def test_who_wants_a_block_does_not_wait_for_others(answers, context, monkeypatch):
    monkeypatch.setattr(answers, "_turns", SimpleNamespace(acquire=lambda timeout: False, release=lambda: 1 / 0))
    context.asker = Asker(Found(b"found", 7))
    assert answers._ask(request(AskKind.AGGREGATE), 4) == 4
    assert context.published == []
    assert answers._ask(request(AskKind.BLOCK), 4) is None
    assert context.published == [answer(b"found", 7)]
    assert answers._priority(request(AskKind.BLOCK)) == URGENT

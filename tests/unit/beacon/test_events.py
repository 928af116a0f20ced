import itertools
import threading

import httpx
import pytest
from beacon_mock import Node

from ssv_pool.beacon.events import KNOWN_EVENTS, WAITING_EVENTS, BeaconEvent, EventStream
from ssv_pool.beacon.node import BeaconNode

PATH = "GET /eth/v1/events"
SECONDS = 20.0


def event(slot, *, topic="head", optimistic=False):
    flag = str(optimistic).lower()
    return f'event: {topic}\ndata: {{"slot": "{slot}", "execution_optimistic": {flag}}}\n\n'.encode()


class Pauses:
    """In place of waiting: notes the pauses, and after so many has the stream closed."""

    def __init__(self, most):
        self.seconds = []
        self.most = most
        self.done = threading.Event()

    def __call__(self, stop, seconds):
        self.seconds.append(seconds)
        if len(self.seconds) < self.most:
            return False
        self.done.set()
        return True


def test_a_node_that_is_not_believed_is_heard_only():
    pauses = Pauses(1)
    node = BeaconNode("http://node0", 0, httpx.MockTransport(Node({PATH: (200, event(5))})))
    stream = EventStream([node], ["head"], None, wait=pauses, believed=lambda asked: asked is not node)
    events = []
    thread = threading.Thread(target=lambda: events.extend(stream))
    thread.start()
    assert pauses.done.wait(SECONDS)
    stream.close()
    thread.join(SECONDS)
    assert (events, pauses.seconds) == ([], [0.5])


def stream_of(*answers, pauses, topics=("head",)):
    """One node that gives these answers in turn, the last one for ever."""
    left = list(answers)
    mock = Node({PATH: lambda _: left.pop(0) if len(left) > 1 else left[0]})
    node = BeaconNode("http://node0", 0, httpx.MockTransport(mock))
    return EventStream([node], topics, None, wait=pauses)


def taken(stream, pauses):
    """The events up to slot 999's, after which the node went on as long as ``pauses`` says."""
    found = []
    for one in stream:
        if one.data["slot"] == "999":
            assert pauses.done.wait(SECONDS)
            return found
        found.append(one)
    raise AssertionError("the stream ended")


@pytest.mark.parametrize(
    "answer", [(503, {"message": "syncing"}), httpx.ConnectError("refused"), (200, b"event: head\ndata: [\n\n")]
)
def test_pauses_grow_while_nothing_is_heard(answer):
    pauses = Pauses(8)
    stream = stream_of(answer, pauses=pauses)
    events = []
    thread = threading.Thread(target=lambda: events.extend(stream))
    thread.start()
    assert pauses.done.wait(SECONDS)
    stream.close()
    thread.join(SECONDS)
    assert events == []
    assert pauses.seconds == [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]


def test_an_event_makes_them_short_again():
    pauses = Pauses(4)
    refused = httpx.ConnectError("refused")
    stream = stream_of(refused, refused, (200, event(5) + event(999)), refused, pauses=pauses)
    found = taken(stream, pauses)
    assert pauses.seconds == [1.0, 2.0, 0.5, 1.0]
    assert found == [BeaconEvent("head", {"slot": "5", "execution_optimistic": False}, "http://node0")]


def test_what_was_told_before_is_left_out():
    pauses = Pauses(1)
    told = event(5) + event(5) + event(6) + event(5, optimistic=True) + event(5, topic="block") + event(999)
    found = taken(stream_of((200, told), pauses=pauses, topics=("head", "block")), pauses)
    assert [(one.topic, one.data["slot"]) for one in found] == [("head", "5"), ("head", "6"), ("block", "5")]


def test_what_was_told_long_ago_is_told_again():
    pauses = Pauses(1)
    told = b"".join(event(slot) for slot in range(KNOWN_EVENTS + 1)) + event(0) + event(999)
    found = taken(stream_of((200, told), pauses=pauses), pauses)
    assert [one.data["slot"] for one in found] == [str(slot) for slot in range(KNOWN_EVENTS + 1)] + ["0"]


def test_other_topics_comments_and_carriage_returns_are_no_events():
    pauses = Pauses(1)
    told = b": hello\r\n\r\nevent: other\r\ndata: {}\r\n\r\nid: 4\r\n" + (event(5) + event(999)).replace(b"\n", b"\r\n")
    found = taken(stream_of((200, told), pauses=pauses), pauses)
    assert [one.data["slot"] for one in found] == ["5"]


def test_events_that_nobody_takes_are_bounded(monkeypatch):
    lines = []

    class Log:
        def warning(self, text, **words):
            lines.append((text, words))

        def debug(self, text, **words):
            pass

    monkeypatch.setattr("ssv_pool.beacon.events._log", Log())
    pauses = Pauses(1)
    told = b"".join(event(slot) for slot in range(WAITING_EVENTS + 2))
    stream = stream_of((200, told), pauses=pauses)
    events = iter(stream)
    assert next(events).data["slot"] == "0"
    assert pauses.done.wait(SECONDS)
    dropped = len(lines)
    assert lines == dropped * [("events come faster than they are taken: one is dropped", {"node": "http://node0"})]
    assert 1 <= dropped <= 2
    kept = WAITING_EVENTS + 1 - dropped
    assert len(list(itertools.islice(events, kept))) == kept
    stream.close()
    assert list(events) == []

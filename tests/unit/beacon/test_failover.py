"""Several beacon nodes over real connections: stopped, hanging, trickling, talking without end."""

import threading
import time

import pytest
from servers import FakeBeaconNode

from ssv_pool.beacon.client import BeaconClient
from ssv_pool.beacon.errors import BeaconError
from ssv_pool.beacon.events import BeaconEvent

SECONDS = 20.0
"""Deadline of whatever should happen at once."""

SYNCING = "GET /eth/v1/node/syncing"
ROOT = "GET /eth/v1/beacon/blocks/head/root"
POST = "POST /eth/v1/validator/prepare_beacon_proposer"
EVENTS = "GET /eth/v1/events"
IN_SYNC = {"data": {"head_slot": "9", "sync_distance": "0", "is_syncing": False}}


def root(number):
    return bytes([number]) * 32


def table(number):
    """What a good node answers: its head's root tells which node it is."""
    return {SYNCING: IN_SYNC, POST: {}, ROOT: {"data": {"root": "0x" + root(number).hex()}}}


@pytest.fixture
def nodes():
    with FakeBeaconNode(table(1)) as first, FakeBeaconNode(table(2)) as second:
        yield first, second


@pytest.fixture
def client(nodes):
    """Waits for the first node for long: a busy machine must not make it ask the second."""
    made = BeaconClient([node.url for node in nodes], SECONDS, hedge_seconds=SECONDS)
    yield made
    made.close()


def wait_for(condition):
    deadline = time.monotonic() + SECONDS
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        pause.wait(0.005)


def begin(handler, length):
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(length))
    handler.end_headers()


def test_a_stopped_node_is_passed_over_and_comes_back(nodes, client):
    first, _ = nodes
    assert client.block_root("head") == root(1)
    first.stop()
    assert client.block_root("head") == root(2)
    first.start()
    statuses = client.syncing_all()
    assert [status.problem for status in statuses] == [None, None]
    assert client.block_root("head") == root(1)


def test_a_node_that_hangs_is_passed_over_until_it_answers(nodes):
    first, _ = nodes
    client = BeaconClient([node.url for node in nodes], SECONDS, hedge_seconds=0.5)

    def hang(handler):
        assert first.released.wait(SECONDS)

    first.table[ROOT] = hang
    for _ in range(2):
        assert client.block_root("head") == root(2)
    # Only once: its answer is overdue.
    assert first.asked.count(ROOT) == 1
    client.close()


def test_a_connection_cut_within_the_answer_is_a_failure(nodes, client):
    first, _ = nodes

    def cut(handler):
        begin(handler, 1000)
        handler.wfile.write(b'{"data"')
        handler.close_connection = True

    first.table[ROOT] = cut
    assert client.block_root("head") == root(2)


def test_a_kept_connection_that_the_node_closed_is_opened_again(nodes):
    first, _ = nodes
    single = BeaconClient([first.url], SECONDS)
    assert single.block_root("head") == root(1)
    first.stop()
    first.start()
    assert single.block_root("head") == root(1)
    single.close()


def test_an_answer_without_end_is_not_read_to_its_end(nodes):
    first, _ = nodes

    def endless(handler):
        begin(handler, 2**40)
        while not first.released.is_set():
            handler.wfile.write(bytes(2**20))

    first.table[ROOT] = endless
    single = BeaconClient([first.url], SECONDS)
    with pytest.raises(BeaconError, match=r"blocks/head/root: status 200: answer above 16777216 bytes$"):
        single.block_root("head")
    single.close()


def test_an_error_without_end_is_cut_short(nodes):
    first, _ = nodes

    def endless(handler):
        handler.send_response(500)
        handler.end_headers()
        while not first.released.is_set():
            handler.wfile.write(b"oops " * 2**15)

    first.table[ROOT] = endless
    single = BeaconClient([first.url], SECONDS)
    with pytest.raises(BeaconError, match=r"blocks/head/root: status 500: oops oops"):
        single.block_root("head")
    single.close()


def test_an_answer_that_trickles_has_no_more_time_than_another(nodes):
    first, _ = nodes

    def trickle(handler):
        begin(handler, 1000)
        while not first.released.wait(0.02):
            handler.wfile.write(b" ")

    first.table[ROOT] = trickle
    single = BeaconClient([first.url], timeout=0.2)
    with pytest.raises(BeaconError, match=r"blocks/head/root: no answer: timed out \(the answer trickles\)$"):
        single.block_root("head")
    single.close()


def test_all_nodes_are_told(nodes, client):
    client.prepare_proposers([(1, bytes(20))])
    wait_for(lambda: all(node.asked.count(POST) == 1 for node in nodes))


def test_one_of_two_nodes_stopped_loses_no_submission(nodes, client):
    first, second = nodes
    first.stop()
    client.prepare_proposers([(1, bytes(20))])
    assert second.asked.count(POST) == 1


def test_with_every_node_stopped_the_error_names_them(nodes, client):
    for node in nodes:
        node.stop()
    with pytest.raises(BeaconError) as error:
        client.block_root("head")
    first, second = (node.url for node in nodes)
    assert str(error.value).startswith(f"beacon node {first}: {ROOT}: no answer: ")
    assert str(error.value).endswith(f"; also {second.removeprefix('http://')} no answer")
    assert [status.status for status in client.syncing_all()] == [None, None]
    with pytest.raises(BeaconError):
        client.syncing()


class Stream:
    """A node's events: what is put in goes out to whoever listens."""

    def __init__(self, node, heads):
        self.heads = list(heads)
        self.node = node
        self.listeners = 0
        node.table[EVENTS] = self

    def __call__(self, handler):
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.end_headers()
        released = self.node.released
        self.listeners += 1
        sent = 0
        while not released.wait(0.005):
            for head in self.heads[sent:]:
                handler.wfile.write(f'event: head\r\ndata: {{"slot": "{head}"}}\r\n\r\n'.encode())
            sent = len(self.heads)


class TestEvents:
    def test_of_all_nodes_each_event_once(self, nodes, client):
        streams = [Stream(node, [5]) for node in nodes]
        found = client.events(["head"], silence=SECONDS)
        assert next(found).data == {"slot": "5"}
        wait_for(lambda: all(stream.listeners for stream in streams))
        for stream in streams:
            stream.heads.append(6)
        streams[1].heads.append(7)
        assert [next(found).data["slot"] for _ in range(2)] == ["6", "7"]
        found.close()

    def test_a_stopped_node_is_missed_by_nobody_and_listened_to_again(self, nodes, client, monkeypatch):
        monkeypatch.setattr("ssv_pool.beacon.events.FIRST_PAUSE", 0.01)
        first, second = nodes
        streams = [Stream(node, []) for node in nodes]
        found = client.events(["head"], silence=SECONDS)
        streams[0].heads.append(5)
        assert next(found) == BeaconEvent("head", {"slot": "5"}, first.url)
        wait_for(lambda: streams[1].listeners == 1)
        first.stop()
        streams[1].heads.append(6)
        assert next(found) == BeaconEvent("head", {"slot": "6"}, second.url)
        streams[0].heads.clear()
        first.start()
        wait_for(lambda: streams[0].listeners == 2)
        streams[0].heads.append(7)
        assert next(found) == BeaconEvent("head", {"slot": "7"}, first.url)
        found.close()

    def test_what_is_no_event_ends_that_nodes_stream_only(self, nodes, client):
        first, second = nodes

        def nonsense(handler):
            handler.send_response(200)
            handler.end_headers()
            handler.wfile.write(b"event: head\ndata: [1]\n\n")
            first.released.wait(SECONDS)

        first.table[EVENTS] = nonsense
        Stream(second, [5])
        found = client.events(["head"], silence=SECONDS)
        assert next(found) == BeaconEvent("head", {"slot": "5"}, second.url)
        found.close()

    def test_a_line_without_end_is_not_kept(self, nodes, client, monkeypatch):
        monkeypatch.setattr("ssv_pool.beacon.events.FIRST_PAUSE", 0.01)
        first, second = nodes
        cut = []

        def endless(handler):
            handler.send_response(200)
            handler.end_headers()
            try:
                while not first.released.is_set():
                    handler.wfile.write(bytes(2**16))
            finally:
                cut.append(handler)

        first.table[EVENTS] = endless
        Stream(second, [5])
        found = client.events(["head"], silence=SECONDS)
        assert next(found).node == second.url
        wait_for(lambda: len(cut) >= 2)
        found.close()

    def test_another_thread_can_end_it(self, nodes, client):
        stream = client.event_stream(["head"], silence=SECONDS)
        ended = []
        thread = threading.Thread(target=lambda: ended.append(list(stream)))
        thread.start()
        stream.close()
        thread.join(SECONDS)
        assert ended == [[]]

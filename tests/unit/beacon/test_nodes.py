import threading

import httpx
import pytest
from beacon_mock import Node

from ssv_pool.beacon.answers import SyncStatus
from ssv_pool.beacon.errors import BeaconError
from ssv_pool.beacon.node import FAILURE_SECONDS, SLOW_SECONDS, BeaconNode, Request
from ssv_pool.beacon.nodes import CHECK_SECONDS, BeaconNodes

PATH = "/eth/v1/config/spec"
SECONDS = 20.0
"""Deadline of whatever should happen at once."""


def standing(head=100, *, syncing=False, optimistic=False, offline=False):
    return SyncStatus(head, 50 if syncing else 0, syncing, optimistic, offline)


def said(status):
    return 200, {
        "data": {
            "head_slot": str(status.head_slot),
            "sync_distance": str(status.distance),
            "is_syncing": status.syncing,
            "is_optimistic": status.optimistic,
            "el_offline": status.execution_offline,
        }
    }


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def nodes_of(*mocks, clock=None, hedge=0.02):
    """Nodes on a clock that stands still unless it is the real one."""
    made = [
        BeaconNode(f"http://node{number}", number, httpx.MockTransport(mock), **({"clock": clock} if clock else {}))
        for number, mock in enumerate(mocks)
    ]
    return BeaconNodes(made, hedge, **({"clock": clock} if clock else {}))


def ask(node, until):
    return node.send(Request("GET", PATH), until).read(lambda body: body["data"])


def names(nodes):
    return [node.position for node in nodes.ranked()]


class TestRanking:
    @pytest.mark.parametrize(
        ("statuses", "order"),
        [
            ([None, None, None], [0, 1, 2]),
            ([standing(), standing(), standing()], [0, 1, 2]),
            ([standing(syncing=True), standing(), standing()], [1, 2, 0]),
            ([standing(optimistic=True), standing(), standing(offline=True)], [1, 0, 2]),
            ([standing(syncing=True), standing(optimistic=True), standing(110)], [2, 1, 0]),
            # One slot behind is the moment between two questions; more is a head that does not move.
            ([standing(99), standing(100), standing(100)], [0, 1, 2]),
            ([standing(98), standing(100), standing(97)], [1, 0, 2]),
        ],
    )
    def test_by_what_nodes_say(self, statuses, order):
        nodes = nodes_of(Node(), Node(), Node())
        for node, status in zip(nodes, statuses, strict=True):
            if status is not None:
                node.note_status(status, 0.01)
        assert names(nodes) == order

    def test_by_the_time_of_their_answers(self):
        nodes = nodes_of(Node(), Node(), Node())
        for node, seconds in zip(nodes, (0.25, 0.05, 0.01), strict=True):
            node.note_status(standing(), seconds)
        assert names(nodes) == [1, 2, 0]
        for node in nodes:
            for _ in range(10):
                node.note_status(standing(), 0.01)
        assert names(nodes) == [0, 1, 2]

    def test_a_failure_counts_for_a_while(self):
        clock = Clock()
        nodes = nodes_of(Node({f"GET {PATH}": httpx.ConnectError("refused")}), Node(), clock=clock)
        first = next(iter(nodes))
        with pytest.raises(BeaconError):
            first.run(ask, clock.now + 1)
        assert (names(nodes), first.healthy) == ([1, 0], False)
        clock.now += FAILURE_SECONDS
        assert (names(nodes), first.healthy) == ([0, 1], True)

    def test_an_overdue_answer_counts_until_some_time_after_it_came(self):
        clock = Clock()
        nodes = nodes_of(Node(), Node(), clock=clock)
        first = next(iter(nodes))
        first.lag(1)
        clock.now += 2 * SLOW_SECONDS
        assert (names(nodes), first.healthy) == ([1, 0], False)
        first.lag(-1)
        assert (names(nodes), first.healthy) == ([1, 0], True)
        clock.now += SLOW_SECONDS
        assert names(nodes) == [0, 1]

    @pytest.mark.parametrize(
        ("answer", "counts"),
        [
            ((400, {"message": "no such slot"}), False),
            ((404, {"message": "no such block"}), False),
            ((500, {"message": "oops"}), True),
            ((200, b"<html>"), True),
            (httpx.ReadTimeout("x"), True),
        ],
    )
    def test_what_counts_as_a_failure_of_the_node(self, answer, counts):
        nodes = nodes_of(Node({f"GET {PATH}": answer}), Node(), clock=Clock())
        first = next(iter(nodes))
        with pytest.raises(BeaconError):
            first.run(ask, 101.0)
        assert first.failing is counts

    def test_an_answer_makes_good_for_a_failure(self):
        answers = [httpx.ConnectError("refused"), (200, {"data": "spec"})]
        nodes = nodes_of(Node({f"GET {PATH}": lambda _: answers.pop(0)}), Node(), clock=Clock())
        first = next(iter(nodes))
        with pytest.raises(BeaconError):
            first.run(ask, 101.0)
        assert first.run(ask, 101.0) == "spec"
        assert names(nodes) == [0, 1]


def good(text, **status):
    return Node({f"GET {PATH}": (200, {"data": text}), "GET /eth/v1/node/syncing": said(standing(**status))})


class Held(Node):
    """A node that answers when it is let."""

    def __init__(self, text):
        self.let = threading.Event()
        self.finished = threading.Event()
        super().__init__({f"GET {PATH}": self._answer})
        self._text = text

    def _answer(self, request):
        assert self.let.wait(SECONDS)
        self.finished.set()
        return 200, {"data": self._text}


class TestReading:
    def test_the_best_node_is_enough(self):
        second = good("second")
        assert nodes_of(good("first"), second, hedge=SECONDS).first(ask, SECONDS) == "first"
        assert second.asked("config") == []

    def test_the_next_one_is_asked_when_one_fails(self):
        assert nodes_of(Node(), Node(), good("third"), hedge=SECONDS).first(ask, SECONDS) == "third"

    def test_the_next_one_is_asked_too_when_one_is_slow(self, monkeypatch):
        monkeypatch.setattr("ssv_pool.beacon.node.SLOW_SECONDS", 0.0)
        slow = Held("first")
        nodes = nodes_of(slow, good("second"))
        try:
            assert nodes.first(ask, SECONDS) == "second"
            assert slow.asked("config") == [f"GET {PATH}"]
            # As long as its answer is overdue, the slow one is not asked first.
            assert names(nodes) == [1, 0]
            assert nodes.first(ask, SECONDS, hedge=SECONDS) == "second"
            assert slow.asked("config") == [f"GET {PATH}"]
        finally:
            slow.let.set()
        assert slow.finished.wait(SECONDS)
        wait_for(lambda: names(nodes) == [0, 1])

    def test_a_slow_answer_that_comes_first_counts(self):
        slow, slower = Held("first"), Held("second")
        nodes = nodes_of(slow, slower)
        found = []
        thread = threading.Thread(target=lambda: found.append(nodes.first(ask, SECONDS)))
        thread.start()
        wait_for(lambda: slower.asked("config"))
        slow.let.set()
        thread.join(SECONDS)
        slower.let.set()
        assert found == ["first"]

    def test_all_that_fail_are_told_in_one_line(self):
        nodes = nodes_of(
            Node({f"GET {PATH}": (503, {"message": "syncing"})}), Node({f"GET {PATH}": httpx.ConnectError("refused")})
        )
        with pytest.raises(BeaconError) as error:
            nodes.first(ask, SECONDS)
        assert str(error.value) == (f"beacon node http://node0: GET {PATH}: status 503: syncing; also node1 no answer")
        assert error.value.status == 503

    def test_time_is_limited_for_all_together(self):
        held = [Held("first"), Held("second")]
        nodes = nodes_of(*held)
        try:
            with pytest.raises(BeaconError) as error:
                nodes.first(ask, 0.1)
            assert str(error.value) == (
                f"beacon node http://node0: GET {PATH}: no answer: timed out; also node1 no answer"
            )
            assert all(node.lagging for node in nodes)
        finally:
            for node in held:
                node.let.set()

    def test_a_mistake_of_this_program_is_no_failure_of_a_node(self):
        def broken(node, until):
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            nodes_of(good("first"), good("second")).first(broken, SECONDS)


class TestPosting:
    def test_all_healthy_nodes_get_it(self):
        nodes = [good("first", syncing=True), good("second"), good("third")]
        made = nodes_of(*nodes)
        made.check()
        assert made.everywhere(ask, SECONDS)[0] in ("second", "third")
        wait_for(lambda: [len(node.asked("config")) for node in nodes] == [0, 1, 1])

    def test_one_that_takes_it_is_enough(self):
        held = Held("first")
        try:
            assert nodes_of(held, Node(), good("third")).everywhere(ask, SECONDS) == ["third"]
        finally:
            held.let.set()

    def test_nodes_in_trouble_are_tried_when_the_others_refuse(self):
        made = nodes_of(good("first", optimistic=True), Node())
        made.check()
        assert made.everywhere(ask, SECONDS) == ["first"]

    def test_results_that_are_not_good_are_all_returned(self):
        made = nodes_of(good("first"), Node(), good("third"))
        assert sorted(made.everywhere(ask, SECONDS, lambda _: False)) == ["first", "third"]

    def test_without_any_result_it_is_an_error(self):
        with pytest.raises(BeaconError, match=r"status 404: no route; also node1 status 404$"):
            nodes_of(Node(), Node()).everywhere(ask, SECONDS)

    def test_nodes_in_trouble_can_be_told_too(self):
        nodes = [good("first", syncing=True), good("second")]
        made = nodes_of(*nodes)
        made.check()
        made.everywhere(ask, SECONDS, only_healthy=False)
        wait_for(lambda: [len(node.asked("config")) for node in nodes] == [1, 1])


class TestStanding:
    def test_of_all_nodes(self):
        path = "GET /eth/v1/node/syncing"
        nodes = nodes_of(Node({path: said(standing())}), Node({path: said(standing(syncing=True))}), Node())
        found = nodes.check()
        assert [(status.name, status.status, status.problem) for status in found] == [
            ("http://node0", standing(), None),
            ("http://node1", standing(syncing=True), "syncing, 50 slots behind"),
            ("http://node2", None, "beacon node http://node2: GET /eth/v1/node/syncing: status 404: no route"),
        ]
        assert names(nodes) == [0, 2, 1]

    def test_is_asked_by_the_way_every_few_seconds(self):
        clock = Clock()
        path = "GET /eth/v1/node/syncing"
        first, second = (
            Node({path: said(standing()), f"GET {PATH}": (200, {"data": name})}) for name in ("first", "second")
        )
        nodes = nodes_of(first, second, clock=clock, hedge=SECONDS)
        for expected in (1, 1, 2):
            assert nodes.first(ask, SECONDS) == "first"
            wait_for(lambda: len(second.asked("syncing")) == expected)  # noqa: B023 - called at once
            clock.now += 0.6 * CHECK_SECONDS

    def test_trouble_is_one_line_and_its_end_another(self, monkeypatch):
        lines = []

        class Log:
            def warning(self, text, **words):
                lines.append((text, words))

            info = warning

        monkeypatch.setattr("ssv_pool.beacon.nodes._log", Log())
        said_now = [said(standing()), said(standing(offline=True)), said(standing(syncing=True)), said(standing())]
        second = Node({"GET /eth/v1/node/syncing": lambda _: said_now.pop(0)})
        nodes = nodes_of(good("first"), second)
        for _ in range(4):
            nodes.check()
        assert lines == [
            (
                "a beacon node is in trouble: others are asked first",
                {"node": "http://node1", "problem": "its execution node is offline"},
            ),
            ("a beacon node is well again", {"node": "http://node1"}),
        ]

    def test_a_node_of_another_chain_is_not_used(self):
        def of_chain(number, text):
            genesis = {"genesis_time": "0", "genesis_validators_root": "0x" + bytes([number]).hex() * 32}
            node = good(text)
            node.table["GET /eth/v1/beacon/genesis"] = (200, {"data": genesis})
            return node

        other = of_chain(2, "other")
        nodes = nodes_of(good("unknown"), of_chain(1, "first"), other, of_chain(1, "last"))
        assert [status.problem for status in nodes.check()] == [
            None,
            None,
            "of another chain: genesis validators root 0x0202020202020202…, expected 0x0101010101010101…",
            None,
        ]
        assert names(nodes) == [0, 1, 3]
        nodes.everywhere(ask, SECONDS, lambda _: False, only_healthy=False)
        assert other.asked("config") == []

    def test_a_single_node_is_not_asked(self):
        node = good("first")
        assert nodes_of(node).first(ask, SECONDS) == "first"
        assert node.asked("syncing") == []


def wait_for(condition):
    """Until a thread did what it should."""
    arrived = threading.Event()
    for _ in range(int(SECONDS / 0.005)):
        if condition():
            return
        arrived.wait(0.005)
    raise AssertionError("not in time")

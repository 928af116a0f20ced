"""What peers' scores come from, when they cost, and that nothing grows without end."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssv_pool.network.scores import PeerScores, ScoreParams

PARAMS = ScoreParams()
EPOCH = PARAMS.decay_interval


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def scores(clock):
    return PeerScores(PARAMS, clock, ["a", "b"])


def connect(scores, peer=b"peer", address="127.0.0.1"):
    scores.add_peer_ip(peer, address)
    return peer


def spoil(scores, count, peer=b"peer", topic="a"):
    for _ in range(count):
        scores.on_invalid_message(peer, topic)


def test_a_stranger_and_a_quiet_peer_have_score_0(scores):
    assert scores.score(b"nobody") == 0
    assert scores.score(connect(scores)) == 0
    assert scores.allow_publish(b"nobody")
    assert scores.allow_gossip(b"nobody")
    assert not scores.is_graylisted(b"nobody")


def test_invalid_messages_count_by_their_square_and_twenty_reach_the_graylist(scores):
    peer = connect(scores)
    for _ in range(100):
        scores.on_first_delivery(peer, "a")
    spoil(scores, 10)
    assert scores.allow_gossip(peer) is False
    assert scores.allow_publish(peer)
    spoil(scores, 5)
    assert not scores.allow_publish(peer)
    spoil(scores, 4)
    assert not scores.is_graylisted(peer)
    spoil(scores, 1)
    assert scores.is_graylisted(peer)


def test_the_graylist_is_left_after_some_epochs(scores, clock):
    peer = connect(scores)
    spoil(scores, 21)
    assert scores.is_graylisted(peer)
    clock.now += 3 * EPOCH
    assert not scores.is_graylisted(peer)
    clock.now += 200 * EPOCH
    assert scores.score(peer) == 0


def test_a_new_connection_mends_nothing(scores, clock):
    peer = connect(scores)
    spoil(scores, 25)
    scores.remove_peer(peer)
    assert scores.is_graylisted(peer)
    connect(scores)
    assert scores.is_graylisted(peer)
    scores.remove_peer(peer)
    clock.now += 101 * EPOCH
    scores.on_heartbeat()
    assert len(scores) == 0


def test_good_peers_are_forgotten_when_they_go(scores):
    peer = connect(scores)
    scores.on_first_delivery(peer, "a")
    scores.remove_peer(peer)
    assert len(scores) == 0


def test_the_mesh_and_first_deliveries_count_up_to_a_cap(scores, clock):
    peer = connect(scores)
    scores.on_join_mesh(peer, "a")
    clock.now += 12
    assert scores.score(peer) == pytest.approx(PARAMS.topic_weight * 10 / 300)
    clock.now += 100 * 3600
    assert scores.score(peer) == pytest.approx(PARAMS.topic_weight * 10)
    for _ in range(1000):
        scores.on_first_delivery(peer, "b")
    assert scores.score(peer) == pytest.approx(PARAMS.topic_weight * 90)
    scores.on_leave_mesh(peer, "a")
    assert scores.score(peer) == pytest.approx(PARAMS.topic_weight * 80)
    clock.now += 4 * EPOCH
    assert scores.score(peer) == pytest.approx(PARAMS.topic_weight * 0.8)


def test_a_few_breaches_of_protocol_cost_nothing(scores, clock):
    peer = connect(scores)
    for _ in range(6):
        scores.penalize_graft_flood(peer, 10.0)
    assert scores.score(peer) == 0
    scores.penalize_behavior(peer, 54)
    assert scores.is_graylisted(peer)
    clock.now += 10 * EPOCH
    assert scores.score(peer) == 0


def test_many_peers_of_one_address_cost_each_of_them(scores):
    crowd = [connect(scores, number, "192.0.2.1") for number in range(13)]
    assert scores.score(crowd[0]) == pytest.approx(-32.72 * 9)
    for peer in crowd[10:]:
        scores.remove_peer(peer)
    assert scores.score(crowd[0]) == 0
    assert scores._addresses["192.0.2.1"] == set(range(10))


def test_peers_on_this_machine_are_no_crowd(scores):
    for number in range(50):
        connect(scores, number, "127.0.0.1")
        connect(scores, 100 + number, "::1")
    assert scores.score(0) == scores.score(100) == 0
    assert scores._addresses == {}


def test_an_address_that_changes_is_counted_once(scores):
    for address in ("192.0.2.1", "192.0.2.2", "192.0.2.2"):
        connect(scores, b"peer", address)
    assert scores._addresses == {"192.0.2.2": {b"peer"}}
    scores.remove_peer(b"peer")
    assert scores._addresses == {}


def test_topics_of_no_network_are_not_counted(scores):
    connect(scores)
    spoil(scores, 1000, topic="unknown")
    assert scores.score(b"peer") == 0


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 30), st.sampled_from(["bad", "good", "come", "go", "breach", "wait"])), max_size=200
    )
)
def test_no_sequence_of_events_makes_it_grow(steps):
    clock = Clock()
    scores = PeerScores(ScoreParams(max_retained=4), clock, ["a"])
    connected = set()
    for peer, what in steps:
        match what:
            case "bad":
                scores.on_invalid_message(peer, "a")
            case "good":
                scores.on_first_delivery(peer, "a")
            case "come":
                scores.add_peer_ip(peer, f"192.0.2.{peer}")
                connected.add(peer)
            case "go":
                scores.remove_peer(peer)
                connected.discard(peer)
            case "breach":
                scores.penalize_behavior(peer, 5)
            case "wait":
                clock.now += EPOCH
                scores.on_heartbeat()
        assert len(scores) <= len(connected) + 4
        assert set(scores.ip_by_peer) == connected


def test_strangers_that_come_spoil_and_go_do_not_fill_the_memory(scores):
    for number in range(5000):
        connect(scores, number, f"198.51.{number // 256}.{number % 256}")
        spoil(scores, 30, peer=number)
        scores.remove_peer(number)
    assert len(scores) == PARAMS.max_retained
    assert scores._addresses == {}

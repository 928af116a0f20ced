"""Servers that an operator depends on go away, lie and come back: it says which, waits, and recovers by itself."""

import pytest
from live_cluster import until

pytestmark = pytest.mark.integration


def bad(operator, part, *words):
    """What health says of a part, once it has all these words."""

    def found():
        how = operator.health().get(part, "")
        return how if how.startswith("bad: ") and all(word in how for word in words) else None

    return until(found, what=operator.health)


def test_a_beacon_node_that_goes_away(live):
    operator = live.operator(3)
    address = live.beacon_proxy.url
    with live.beacon_proxy.away():
        bad(operator, "beacon_node", address)
        assert operator.health()["execution_node"] == "good"
        live.cluster.wait_attesting()
    until(operator.healthy, what=operator.health)
    before = operator.status()["duties"]["completed"]
    until(lambda: operator.status()["duties"]["completed"] > before, what=operator.status)
    assert operator.log_lines("recovered")


def test_a_beacon_node_that_is_not_synced(live):
    operator = live.operator(3)
    behind = {"head_slot": "1", "sync_distance": "7", "is_syncing": True, "is_optimistic": False, "el_offline": False}
    live.beacon_proxy.answers["/eth/v1/node/syncing"] = {"data": behind}
    bad(operator, "beacon_node", "syncing", "7 slots behind")
    live.beacon_proxy.answers.clear()
    until(operator.healthy, what=operator.health)


def test_an_execution_node_that_goes_away_then_is_not_synced(live):
    operator = live.operator(3)
    block = operator.status()["registry"]["block"]
    with live.execution_proxy.away():
        how = bad(operator, "execution_node", "cannot be reached")
        assert "key-that-nobody-may-see" not in how
        assert operator.health()["beacon_node"] == "good"
    live.execution_proxy.overrides["eth_syncing"] = {"currentBlock": "0x5", "highestBlock": "0x50"}
    bad(operator, "execution_node", "not synced, at block 5 of 80")
    live.execution_proxy.overrides.clear()
    until(operator.healthy, what=operator.health)
    assert operator.status()["registry"]["block"] >= block
    live.cluster.wait_attesting()


def test_the_embedded_broker_is_killed(live):
    operator = live.operator(2)
    broker = operator.child("valkey-server")
    assert broker is not None
    broker.kill()

    until(lambda: operator.log_lines("part died and was started again"), what=operator.log)
    until(operator.healthy, what=operator.health)
    works_on(operator)
    assert not operator.log_lines("part=worker pid=")[1:], "neither worker nor node was started again"
    assert not operator.log_lines("part=node pid=")[1:]


def test_the_broker_server_is_stopped_and_started(live):
    operator = live.separate
    live.valkey.stop()
    bad(operator, "broker", "does not answer")
    live.cluster.wait_attesting()
    live.valkey.start()
    until(operator.healthy, what=operator.health)
    works_on(operator)
    assert all(process.poll() is None for process in operator.parts.values()), "nobody died of it"


def works_on(operator):
    """Wait until the operator completes duties that begin from now on."""
    before = operator.status()["duties"]["completed"]
    until(lambda: operator.status()["duties"]["completed"] > before + 1, what=operator.status)

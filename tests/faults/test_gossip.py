"""A hostile peer in the gossip of a committee at work: the nodes live and the committee goes on attesting."""

import pytest
import trio
from hostile_peer import HostilePeer
from live_cluster import until

from ssv_pool.networks import network_named
from ssv_pool.protocol.forks import alan_fork

pytestmark = pytest.mark.integration

ROUND_SECONDS = 0.3


def test_a_hostile_peer(live):
    operators = live.operators
    topic = alan_fork(network_named("devnet").domain_type).topic([o.operator_id for o in operators])
    before = [counters(operator) for operator in operators]
    peer = HostilePeer([operator.files.peer_address for operator in operators], topic)

    trio.run(attack, peer, live.cluster)

    def seen():
        """What each operator counted since."""
        return [{n: now - b[n] for n, now in counters(o).items()} for o, b in zip(operators, before, strict=True)]

    def expected():
        return all(
            grown["rejected"] >= 20
            and grown["graylisted"] > 5
            and grown["duplicates"] > 10
            and grown["signed"]
            and grown["malformed"]
            and grown["bad_frames"]
            for grown in seen()
        )

    until(expected, what=seen)
    assert [grown["rebuilds"] for grown in seen()] == [0] * 4
    assert [grown["validator_errors"] for grown in seen()] == [0] * 4
    assert all(operator.metric("ssv_p2p_message_validations_total", verdict="reject") > 0 for operator in operators)
    until(lambda: all(operator.healthy() for operator in operators), what=live.cluster.healths)
    assert [operator.status()["peers"]["connected"] for operator in operators] == [3] * 4
    assert all("Traceback" not in operator.log() for operator in operators)


async def attack(peer, cluster):
    """Send everything, again and again, until the committee has attested under it."""
    done = trio.Event()

    async def watch():
        await trio.to_thread.run_sync(cluster.wait_attesting, 8)
        done.set()

    async with peer.running():
        await peer.heard(20)
        await peer.oversized_frame()
        met = oversized_met(cluster)
        peer.oversized_message()
        await trio.to_thread.run_sync(until, lambda: oversized_met(cluster) > met)
        # While it is still listened to: twenty invalid messages, and nothing more of it is read.
        peer.signed_and_nameless()
        peer.replay()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            while not done.is_set():
                peer.garbage(50)
                peer.spoiled(50)
                peer.replay()
                peer.signed_and_nameless()
                with trio.move_on_after(ROUND_SECONDS):
                    await done.wait()


def oversized_met(cluster):
    """How many messages of a forbidden size or form the operators dropped so far."""
    return sum(operator.metric("ssv_p2p_gossip_events_count", event="malformed") for operator in cluster.operators)


def counters(operator):
    names = (
        "rejected",
        "graylisted",
        "duplicates",
        "signed",
        "malformed",
        "bad_frames",
        "rebuilds",
        "validator_errors",
    )
    return {name: operator.metric("ssv_p2p_gossip_events_count", event=name) for name in names}

"""One operator's beacon node lies about what is justified: its operator signs nothing, the others go on without it."""

import json
import subprocess
import sys

import httpx
import pytest
from following_nodes import Node
from live_cluster import clean_environment, until

from ssv_pool.devnet.record import read_record
from ssv_pool.devnet.slashcheck import find_offences, votes_received

pytestmark = pytest.mark.integration

VICTIM = 3
"""The operator behind a proxy: what it is told is exchanged without a restart."""

REFUSED = ("proposal_refused", "decided_value_refused")
"""The second where the others had decided before it had to say anything to their proposal."""


@pytest.fixture
def liar(live):
    """A beacon node that follows the network's and lies when told to; the victim is put before it."""
    cluster = live.cluster
    port = cluster.beacon_port
    with httpx.Client(timeout=30, trust_env=False) as client:
        node = Node(
            cluster.folder,
            0,
            cluster.genesis_time,
            cluster.config.slot_seconds,
            *("--external", "0-63", "--peer", f"http://127.0.0.1:{port}"),
        )
        node.start()
        try:
            node.wait_ready()
            until(node.synced, what="the liar has caught up")

            def lie(mode):
                client.post(f"{node.url}/devnet/attack", json={"mode": mode}).raise_for_status()

            with live.beacon_proxy.before(node.url):
                yield node, lie
        finally:
            node.kill()
            node.client.close()


def journal(operator):
    """What the command line shows of an operator's duties."""
    command = (sys.executable, "-m", "ssv_pool", "duties", "--config", str(operator.files.config), "--json")
    shown = subprocess.run(command, capture_output=True, env=clean_environment(), check=True, timeout=60)
    return json.loads(shown.stdout)


def attestations(operator, first_slot):
    return [duty for duty in journal(operator) if duty["role"] == "committee" and duty["slot"] >= first_slot]


def test_a_wrong_source_is_signed_by_nobody(live, liar):
    node, lie = liar
    cluster, victim = live.cluster, live.operator(VICTIM)
    lie("wrong-justified")
    first = cluster.slot() + 2

    # The others attest on, the victim refuses what they propose and decide, and its journal says so.
    cluster.wait_attesting(8, first=first)
    refusals = until(
        lambda: [duty for duty in attestations(victim, first) if duty["reason"] in REFUSED],
        what=lambda: attestations(victim, first),
    )
    assert all("source is epoch" in duty["detail"] and "own view is epoch" in duty["detail"] for duty in refusals)
    assert all(duty["outcome"] == "failed" for duty in refusals)
    assert not any("signed" in duty["steps"] for duty in refusals)
    # The others' journals say who is missing.
    until(
        lambda: [d for d in attestations(live.operator(2), first) if d["silent_operators"] == [VICTIM]],
        what=lambda: attestations(live.operator(2), first),
    )

    lie(None)
    last = cluster.slot()
    until(
        lambda: [duty for duty in attestations(victim, last) if duty["outcome"] == "completed"],
        what=lambda: attestations(victim, last),
    )
    for record in (cluster.record, node.record):
        received = list(read_record(record))
        assert find_offences(votes_received(received)) == []
        votes = [item for item in received if item.kind == "attestation" and item.slot >= first]
        assert votes
        # Somebody who signs a source that is not justified is rejected: nobody did.
        assert [item for item in votes if not item.taken] == []

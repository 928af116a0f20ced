"""Beacon nodes that follow each other, as processes: what one takes the other has; who was killed catches up.

And our beacon client over two of them: one may be killed or hang at any moment.
"""

import threading
import time

import pytest
from following_nodes import following_nodes, wait_for
from outside_client import OutsideClient

from ssv_pool.beacon.client import BeaconClient
from ssv_pool.devnet.inclusion import ChainReader
from ssv_pool.devnet.record import read_record
from ssv_pool.devnet.slashcheck import find_offences, votes_received

pytestmark = pytest.mark.integration

VALIDATORS = range(16)


def test_two_nodes_are_one_chain(tmp_path):
    with following_nodes(tmp_path, 1, ("0-7", "0-63")) as ((first, second), _genesis_time):
        wait_for(lambda: second.head()[0] >= 2, 40, "blocks of the first node do not reach the second")
        second.kill()
        stopped_at = first.head()[0]
        wait_for(lambda: first.head()[0] >= stopped_at + 4, 20, "the first node does not go on alone")
        second.start()
        second.wait_ready()
        wait_for(second.synced, 20, "still syncing")
        assert second.head()[0] > stopped_at
        wait_for(lambda: first.head() == second.head(), 10, "the heads differ")

        # The first one is the chain's only proposer: killed, it must come back to the chain and not begin another.
        before = first.head()[0]
        first.kill()
        first.start()
        first.wait_ready()
        wait_for(lambda: second.head()[0] > before + 2, 20, "no block of the first node after its return")
        wait_for(lambda: first.head() == second.head(), 10, "the heads differ after the first node's return")
        assert first.complaints() + second.complaints() == []


@pytest.mark.slow
def test_a_beacon_node_is_killed_and_hangs_while_a_client_works(tmp_path):
    """Nothing is lost: the other node is asked at once, or half a second later, and everything reaches its chain."""
    with following_nodes(tmp_path, 2, ("0-63", "0-15")) as ((preferred, other), _genesis_time):
        client = BeaconClient([preferred.url, other.url], timeout=1.5)
        validators = OutsideClient(client, VALIDATORS)
        answers = Answers(client, validators.chain)
        answers.start()
        try:
            for slot in range(1, 17):
                if slot == 4:
                    after(0.7, preferred.kill)  # while this slot's attestations are made
                if slot == 7:
                    preferred.start()
                if slot == 11:
                    after(0.7, preferred.freeze)
                if slot == 14:
                    preferred.thaw()
                validators.run_slot(slot)
        finally:
            answers.stop()
        # Every request of both threads was answered in its time: an error would have ended them.
        assert answers.error is None
        assert answers.longest < 1.5
        assert validators.refused == []
        assert all(validators.counts[kind] for kind in ("blocks", "aggregates", "sync messages", "contributions"))
        validators._wait(validators.chain.attestation_due(18))
        with ChainReader(other.url) as reader:
            inclusion = reader.inclusion(VALIDATORS, 0, 1)
            blocks = reader.blocks(1, 18)
        wait_for(lambda: preferred.head() == other.head(), 15, "the node that was frozen has not caught up")
        client.close()
    late = {duty.slot for duty in inclusion.duties if duty.slot and duty.included_slot is None}
    assert late == set()
    assert {block.slot for block in blocks} >= set(validators.proposed)
    votes = [vote for node in (preferred, other) for vote in votes_received(read_record(node.record))]
    assert find_offences(votes) == []


class Answers(threading.Thread):
    """Asks for attestation data without a pause and remembers how long the slowest answer took."""

    def __init__(self, client, chain):
        super().__init__()
        self.client, self.chain = client, chain
        self.longest, self.error = 0.0, None
        self._end = threading.Event()

    def run(self):
        self._end.wait(max(0.0, self.chain.attestation_due(1) - time.time()))
        while not self._end.wait(0.02):
            started = time.monotonic()
            try:
                self.client.attestation_data(self.chain.slot_at(time.time()))
            except Exception as error:  # noqa: BLE001 - the test looks at it
                self.error = error
                return
            self.longest = max(self.longest, time.monotonic() - started)

    def stop(self):
        self._end.set()
        self.join()


def after(seconds, action):
    threading.Timer(seconds, action).start()

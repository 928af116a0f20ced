"""The growth path: one operator's node and two workers as commands of their own, on servers named by URL.

The other three operators of its committee run the default way, on one machine with nothing to install.
"""

import re
from collections import Counter

import pytest
from live_cluster import until

from ssv_pool.devnet.config import SLOTS_PER_EPOCH
from ssv_pool.messaging.bus import stream_name
from ssv_pool.messaging.commands import COMMANDS, StartCommitteeDuty
from ssv_pool.protocol.types.roles import BeaconRole
from ssv_pool.store.database import Database
from ssv_pool.store.journal import entries

pytestmark = pytest.mark.integration


@pytest.fixture
def separate(live):
    """Operator 1, if it could be given all servers."""
    if live.no_postgres:
        pytest.skip(live.no_postgres)
    return live.separate


def test_two_workers_and_a_node_on_servers_of_their_own(live, separate):
    assert live.store_url.startswith("postgresql://")
    assert live.valkey.url.startswith("redis://127.0.0.1:")
    first = live.cluster.slot() + 1

    epoch = live.cluster.wait_perfect_epoch()
    until(lambda: min(started_by_worker(separate).values()) > 0, what=lambda: started_by_worker(separate))

    assert live.cluster.epoch_inclusion(epoch).included == len(live.cluster.validators)
    slots = range(epoch * SLOTS_PER_EPOCH, (epoch + 1) * SLOTS_PER_EPOCH)
    commands = started(live, separate)
    of_epoch = [command for command in commands if command.slot in slots]
    assert of_epoch, "its workers began duties of that epoch"
    assert max(Counter(command.key for command in commands).values()) == 1, "no duty was begun twice"
    lines = [slot for name in workers(separate) for slot in started_slots(separate, name) if slot >= first]
    assert max(Counter(lines).values()) == 1, "no slot was worked on by both workers"

    attested = {
        command.key
        for command in of_epoch
        if any(duty.type == BeaconRole.ATTESTER for duty in command.validator_duties)
    }
    assert attested

    def accepted():
        """The keys of duties of the epoch whose votes this operator posted and the beacon node accepted."""
        database = Database(live.store_url)
        try:
            with database.read() as session:
                found = entries(session, from_slot=slots[0], to_slot=slots[-1])
        finally:
            database.close()
        return {entry.key for entry in found if entry.outcome == "completed" and "accepted" in entry.steps}

    until(lambda: attested <= accepted(), what=lambda: attested - accepted())


def test_a_worker_is_stopped_and_the_other_goes_on(live, separate):
    gone = separate.parts["worker1"]
    gone.terminate()
    assert gone.wait(90) == 0
    begun = len(started_slots(separate, "worker2"))
    until(lambda: len(started_slots(separate, "worker2")) >= begun + 2, what="the other worker begins duties")
    assert separate.healthy(), separate.health()
    separate.start_worker("worker1")
    until(lambda: separate.part_log("worker1").read_text().count(" ready.") == 2, what="the worker is back")
    live.cluster.wait_attesting()


def workers(separate):
    return [name for name in separate.parts if name.startswith("worker")]


def started_slots(separate, name):
    """The slots whose duties a worker began."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", separate.part_log(name).read_text(errors="replace"))
    return [int(match[1]) for match in re.finditer(r"attestations started .*\bslot=(\d+)", text)]


def started_by_worker(separate):
    return {name: len(started_slots(separate, name)) for name in workers(separate)}


def started(live, separate):
    """The duties on the operator's command stream."""
    with live.valkey.client() as client:
        stream = client.xrange(stream_name(f"operator-{separate.operator_id}"))
    commands = [COMMANDS.decode(values[b"command"]) for _, values in stream]
    return [command for command in commands if isinstance(command, StartCommitteeDuty)]

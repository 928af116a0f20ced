"""The embedded beacon node as a process, with a client that does every duty over HTTP."""

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import httpx
import pytest
from beacon_client import ValidatorClient

from ssv_pool.devnet.beacon.record import ObjectKind
from ssv_pool.devnet.inclusion import ChainReader
from ssv_pool.devnet.record import read_record
from ssv_pool.devnet.slashcheck import (
    blocks_received,
    find_double_proposals,
    find_offences,
    votes_of_blocks,
    votes_received,
)

pytestmark = pytest.mark.integration

SLOT_SECONDS = 2
EPOCHS = 3
LEAVER = 40
"""The validator that exits."""
LATE = 2
"""Slots in which a busy machine may make the client late."""


@contextmanager
def beacon_node(*arguments):
    """A running node: the process and what it printed."""
    command = [sys.executable, "-m", "ssv_pool.devnet.beacon", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline()
            assert line, process.stderr.read()
            yield process, json.loads(line)
        finally:
            if process.poll() is None:
                process.kill()


def wait_for(condition, seconds):
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "condition not met in time"
        pause.wait(0.05)


@pytest.mark.slow
def test_a_chain_that_lives_by_outside_validators_alone(tmp_path):
    """All 64 validators run outside: every block, vote, sync signature, aggregate and exit comes over HTTP."""
    record = tmp_path / "record.jsonl"
    options = ("--slot-ms", str(SLOT_SECONDS * 1000), "--genesis-delay", "15", "--record", str(record), "--builder")
    options += ("--external", "0-63", "--external-duties", "attest,propose,sync", "--blobs", "1")
    with beacon_node(*options, "--log-file", str(tmp_path / "log")) as (process, ready):
        url = f"http://127.0.0.1:{ready['port']}"
        client = ValidatorClient(url, ready["genesis_time"], SLOT_SECONDS, 64)
        client.register(range(32), b"\x77" * 20)
        client.actions[9] = [lambda: client.leave(LEAVER, 1)]
        stop = threading.Event()
        work = threading.Thread(target=client.run, args=(EPOCHS, stop))
        work.start()
        try:
            wait_for(lambda: not work.is_alive(), 15 + (EPOCHS + 1) * 8 * SLOT_SECONDS + 30)
            with ChainReader(url) as reader:
                inclusion = reader.inclusion(range(64), 0, EPOCHS - 1)
                blocks = reader.blocks(1, EPOCHS * 8)
                votes = list(votes_of_blocks(blocks, reader.committees(range(EPOCHS))))
            finality = client.get("/eth/v1/beacon/states/head/finality_checkpoints")
            leaver = client.get(f"/eth/v1/beacon/states/head/validators/{LEAVER}")
            head = client.get("/eth/v2/beacon/blocks/head")["message"]["body"]["execution_payload"]
        finally:
            stop.set()
            work.join()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    # On a busy machine the client may be late once; nothing else may be refused.
    late = [refusal for refusal in client.refusals if "is not for the current slot" in refusal]
    assert client.refusals == late
    assert len(late) <= LATE
    assert [block.slot for block in blocks] == list(range(1, EPOCHS * 8 + 1))
    assert int(finality["current_justified"]["epoch"]) == EPOCHS - 1
    assert inclusion.rate == 1.0
    assert inclusion.effectiveness > 0.97  # a busy machine may make a vote miss the next block of a short slot
    signed = [sum(block.sync_bits) for block in blocks[1:]]
    assert sum(signed) >= 32 * (len(signed) - LATE)
    assert [index for block in blocks for index in block.exits] == [LEAVER]
    assert leaver["status"] == "active_exiting"
    assert client.blinded > 0
    assert head["fee_recipient"] in ("0x" + "77" * 20, "0x" + "00" * 20)
    assert sorted(client.production_seconds)[len(client.production_seconds) // 2] < 0.3
    received = list(read_record(record))
    accepted = {kind.value: 0 for kind in ObjectKind}
    for item in received:
        accepted[item.kind] += item.verdict == "accepted"
    assert accepted.pop("contribution") >= (EPOCHS * 8 - LATE) * 4
    assert accepted.pop("sync_message") >= sum(signed) / 2  # some sit in two places
    assert accepted == {
        "attestation": EPOCHS * 64,
        "block": EPOCHS * 8,
        "aggregate": EPOCHS * 8 * 2,
        "voluntary_exit": 1,
        "registration": 32,
    }
    assert find_offences([*votes_received(received), *votes]) == []
    assert find_double_proposals(blocks_received(received)) == []


def test_a_taken_port_is_one_clear_line():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "ssv_pool.devnet.beacon", "--port", str(port)]
        result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 4
    assert result.stderr == f"error: port {port} on 127.0.0.1: cannot listen (Address already in use)\n"
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--slot-ms", "1500"), "slot duration 1500 ms: expected a multiple of 1000"),
        (("--validators", "4"), "4 validators: expected at least 8"),
        (("--external", "60-70"), "external validators [64, 65, 66, 67, 68, 69, 70]: expected indices below 64"),
        (("--external", "7-3"), "--external 7-3: expected an index or a range like 0-7"),
        (("--external-duties", "sleep"), "--external-duties sleep: expected some of attest, propose, sync"),
    ],
)
def test_bad_options_are_one_clear_line(arguments, message):
    command = [sys.executable, "-m", "ssv_pool.devnet.beacon", *arguments]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stderr) == (2, f"error: {message}\n")


def test_sigterm_before_genesis_and_with_open_streams():
    with beacon_node("--genesis-delay", "600") as (process, ready):
        url = f"http://127.0.0.1:{ready['port']}"
        with httpx.stream("GET", f"{url}/eth/v1/events?topics=head", timeout=10) as response:
            assert response.status_code == 200
            assert httpx.get(f"{url}/eth/v1/node/syncing").json()["data"]["head_slot"] == "0"
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0

"""The embedded beacon node as a process, with a client that does every duty over HTTP."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing, contextmanager

import httpx
import pytest
from live_cluster import until
from outside_client import OutsideClient

from ssv_pool.beacon.client import BeaconClient
from ssv_pool.crypto import bls
from ssv_pool.devnet.inclusion import ChainReader
from ssv_pool.devnet.interop import interop_secret_key
from ssv_pool.devnet.record import read_record
from ssv_pool.devnet.slashcheck import (
    blocks_received,
    find_double_proposals,
    find_offences,
    votes_of_blocks,
    votes_received,
)
from ssv_pool.protocol.types.beacon import DOMAIN_APPLICATION_BUILDER, compute_domain, signing_root
from ssv_pool.protocol.types.operations import SignedValidatorRegistration, ValidatorRegistration

pytestmark = pytest.mark.integration

SLOT_SECONDS = 2
EPOCHS = 3
LEAVER = 40
"""The validator that exits."""
FEES = b"\x77" * 20
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


def get(url, path):
    response = httpx.get(url + path)
    assert response.status_code == 200, response.text
    return response.json()["data"]


def justified(url):
    checkpoints = get(url, "/eth/v1/beacon/states/head/finality_checkpoints")
    return int(checkpoints["current_justified"]["epoch"])


def register(client, chain, indices):
    """Register validators for builders."""
    genesis = next(fork.version for fork in chain.forks if fork.name == "phase0")
    domain = compute_domain(DOMAIN_APPLICATION_BUILDER, genesis, bytes(32))
    signed = []
    for index in indices:
        secret = interop_secret_key(index)
        message = ValidatorRegistration(FEES, 30_000_000, int(time.time()), bls.secret_to_public(secret))
        signature = bls.sign(secret, signing_root(message.hash_tree_root(), domain))
        signed.append(SignedValidatorRegistration(message, signature).encode())
    return client.submit_registrations(signed)


@pytest.mark.slow
def test_a_chain_that_lives_by_outside_validators_alone(tmp_path):
    """All 64 validators run outside: every block, vote, sync signature, aggregate and exit comes over HTTP."""
    record = tmp_path / "record.jsonl"
    options = ("--slot-ms", str(SLOT_SECONDS * 1000), "--genesis-delay", "15", "--record", str(record), "--builder")
    options += ("--external", "0-63", "--external-duties", "attest,propose,sync", "--blobs", "1")
    with beacon_node(*options, "--log-file", str(tmp_path / "log")) as (process, ready):
        url = f"http://127.0.0.1:{ready['port']}"
        with closing(BeaconClient([url])) as client, ChainReader(url) as reader:
            validators = OutsideClient(client, range(64))
            assert register(client, validators.chain, range(32)) == []
            for slot in range(EPOCHS * 8):
                validators.run_slot(slot)
                if slot == 9:
                    validators.exit(LEAVER)
            inclusion = reader.inclusion(range(64), 0, EPOCHS - 2)
            blocks = reader.blocks(1, EPOCHS * 8 - 1)
            votes = list(votes_of_blocks(blocks, reader.committees(range(EPOCHS))))
        # An epoch is justified when the next one begins.
        until(lambda: justified(url) >= EPOCHS - 2, 5 * SLOT_SECONDS, lambda: f"justified: {justified(url)}")
        leaver = get(url, f"/eth/v1/beacon/states/head/validators/{LEAVER}")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    # On a busy machine the client may be late with a contribution; nothing else may be refused.
    late = [refusal for refusal in validators.refused if "is not for the current slot" in str(refusal)]
    assert validators.refused == late
    assert [block.slot for block in blocks] == list(range(1, EPOCHS * 8))
    assert inclusion.rate == 1.0
    assert inclusion.effectiveness > 0.97  # a busy machine may make a vote miss the next block of a short slot
    signed = [sum(block.sync_bits) for block in blocks[1:]]
    assert sum(signed) >= 32 * (len(signed) - LATE)
    assert [index for block in blocks for index in block.exits] == [LEAVER]
    assert leaver["status"] == "active_exiting"
    entries = [json.loads(line) for line in record.read_text().splitlines()]
    blinded = {entry["blinded"] for entry in entries if entry["kind"] == "block"}
    assert blinded == {True, False}, "a builder's blocks for some proposers, the node's own for the others"
    received = list(read_record(record))
    accepted = Counter(item.kind for item in received if item.verdict == "accepted")
    assert accepted.pop("contribution") >= (EPOCHS * 8 - LATE) * 4
    assert accepted.pop("sync_message") >= sum(signed) / 2  # some sit in two places
    assert accepted == {
        "attestation": EPOCHS * 64,
        "block": EPOCHS * 8 - 1,
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

"""The embedded beacon node as a process, with a client that attests over HTTP."""

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

from ssv_pool.crypto import bls
from ssv_pool.devnet.inclusion import ChainReader
from ssv_pool.devnet.interop import interop_secret_key
from ssv_pool.devnet.record import read_record
from ssv_pool.devnet.slashcheck import find_offences, votes_of_blocks, votes_received
from ssv_pool.protocol.types import DOMAIN_BEACON_ATTESTER, AttestationData, Checkpoint, compute_domain, signing_root

pytestmark = pytest.mark.integration

EXTERNAL = range(24)
SLOT_SECONDS = 1


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


class Attester:
    """A validator client for the external validators: asks for duties and data, signs, submits."""

    def __init__(self, url, genesis_time):
        self.client = httpx.Client(base_url=url, timeout=10)
        self.genesis_time = genesis_time
        schedule = self.get("/eth/v1/config/fork_schedule")
        root = bytes.fromhex(self.get("/eth/v1/beacon/genesis")["genesis_validators_root"][2:])
        version = bytes.fromhex(schedule[-1]["current_version"][2:])
        self.domain = compute_domain(DOMAIN_BEACON_ATTESTER, version, root)
        self.delays = []

    def get(self, path):
        response = self.client.get(path)
        assert response.status_code == 200, response.text
        return response.json()["data"]

    def duties(self, epoch):
        response = self.client.post(f"/eth/v1/validator/duties/attester/{epoch}", json=[str(i) for i in EXTERNAL])
        assert response.status_code == 200, response.text
        return response.json()["data"]

    def attest(self, slot, duties):
        asked = time.perf_counter()
        data = self.get(f"/eth/v1/validator/attestation_data?slot={slot}&committee_index=0")
        self.delays.append(time.perf_counter() - asked)
        root = signing_root(_data(data).hash_tree_root(), self.domain)
        attestations = [
            {
                "committee_index": duty["committee_index"],
                "attester_index": duty["validator_index"],
                "data": data,
                "signature": "0x" + bls.sign(interop_secret_key(int(duty["validator_index"])), root).hex(),
            }
            for duty in duties
        ]
        headers = {"Eth-Consensus-Version": "fulu"}
        response = self.client.post("/eth/v2/beacon/pool/attestations", json=attestations, headers=headers)
        assert response.status_code == 200, response.text

    def run(self, epochs, stop):
        for epoch in range(epochs):
            duties = self.duties(epoch)
            for slot in range(epoch * 8, epoch * 8 + 8):
                due = self.genesis_time + (slot + 1 / 3) * SLOT_SECONDS
                if stop.wait(max(0.0, due - time.time())):
                    return
                mine = [duty for duty in duties if int(duty["slot"]) == slot]
                if mine:
                    self.attest(slot, mine)


def _data(value):
    def checkpoint(entry):
        return Checkpoint(int(entry["epoch"]), bytes.fromhex(entry["root"][2:]))

    root = bytes.fromhex(value["beacon_block_root"][2:])
    source, target = checkpoint(value["source"]), checkpoint(value["target"])
    return AttestationData(int(value["slot"]), int(value["index"]), root, source, target)


def wait_for(condition, seconds):
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, "condition not met in time"
        pause.wait(0.05)


@pytest.mark.slow
def test_external_validators_attest_and_the_chain_finalizes(tmp_path):
    """24 of 64 validators run outside: without their votes there would be no two thirds, and nothing final."""
    record = tmp_path / "record.jsonl"
    options = ("--slot-ms", "1000", "--genesis-delay", "3", "--external", "0-23", "--record", str(record))
    with beacon_node(*options, "--log-file", str(tmp_path / "log")) as (process, ready):
        url = f"http://127.0.0.1:{ready['port']}"
        attester = Attester(url, ready["genesis_time"])
        stop = threading.Event()
        client = threading.Thread(target=attester.run, args=(5, stop))
        client.start()
        try:
            with ChainReader(url) as reader:
                wait_for(lambda: reader.head_slot() >= 34 or not client.is_alive(), 60)
                finality = attester.get("/eth/v1/beacon/states/head/finality_checkpoints")
                inclusion = reader.inclusion(EXTERNAL, 0, 3)
                committees = reader.committees(range(4))
                votes = list(votes_of_blocks(reader.blocks(1, 34), committees))
        finally:
            stop.set()
            client.join()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert int(finality["finalized"]["epoch"]) >= 2
    assert (inclusion.assigned, inclusion.included) == (4 * 24, 4 * 24)
    assert inclusion.rate == 1.0
    assert inclusion.effectiveness > 0.97  # a busy machine may make a vote miss the next block of a one second slot
    assert sorted(attester.delays)[len(attester.delays) // 2] < 0.1
    recorded = list(votes_received(read_record(record)))
    assert {vote.validator_index for vote in recorded} == set(EXTERNAL)
    assert {(vote.validator_index, vote.data_root) for vote in votes if vote.validator_index in EXTERNAL} <= {
        (vote.validator_index, vote.data_root) for vote in recorded
    }
    assert find_offences([*recorded, *votes]) == []


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

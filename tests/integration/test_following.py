"""Beacon nodes that follow each other, as processes: what one takes the other has; who was killed catches up."""

import contextlib
import json
import subprocess
import sys
import threading
import time

import httpx
import pytest

from ssv_pool.crypto import bls
from ssv_pool.devnet.interop import interop_secret_key
from ssv_pool.devnet.lodestar.process import free_ports
from ssv_pool.protocol.types import DOMAIN_BEACON_ATTESTER, AttestationData, Checkpoint, compute_domain, signing_root

pytestmark = pytest.mark.integration

SLOT_SECONDS = 1
EXTERNAL = "0-7"


class Node:
    """One beacon node of several."""

    def __init__(self, folder, port, genesis_time, external, *arguments):
        self.url = f"http://127.0.0.1:{port}"
        self.log = folder / f"{port}.log"
        self.command = [
            *(sys.executable, "-m", "ssv_pool.devnet.beacon", "--port", str(port)),
            *("--genesis-time", str(genesis_time), "--slot-ms", str(1000 * SLOT_SECONDS), "--external", external),
            *("--external-duties", "attest,propose,sync", "--log-file", str(self.log), *arguments),
        ]
        self.client = httpx.Client(base_url=self.url, timeout=10, trust_env=False)
        self.process = None

    def start(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def wait_ready(self):
        assert json.loads(self.process.stdout.readline() or b"{}"), self.process.stderr.read()

    def kill(self):
        self.process.kill()
        self.process.communicate()

    def get(self, path):
        response = self.client.get(path)
        response.raise_for_status()
        return response.json()["data"]

    def head(self):
        """Slot and root of the head."""
        header = self.get("/eth/v1/beacon/headers/head")
        return int(header["header"]["message"]["slot"]), header["root"]


@pytest.fixture
def nodes(tmp_path):
    with free_ports(2) as ports:
        pass
    # Importing the specification takes seconds of CPU for each.
    genesis_time = int(time.time()) + 15
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    # Each dials the other: one of the two connections is kept.
    first = Node(tmp_path, ports[0], genesis_time, EXTERNAL, "--peer", urls[1])
    second = Node(tmp_path, ports[1], genesis_time, "0-63", "--peer", urls[0])
    with contextlib.ExitStack() as stack:
        for node in (first, second):
            node.start()
            stack.callback(lambda node=node: node.kill())
        for node in (first, second):
            node.wait_ready()
        yield first, second, genesis_time


def wait_for(condition, seconds, what):
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, what
        pause.wait(0.05)


def test_two_nodes_are_one_chain(nodes):
    first, second, genesis_time = nodes
    wait_for(lambda: second.head()[0] >= 2, 40, "blocks of the first node do not reach the second")

    # An attestation that only the second node is told is in a block of the first.
    included = attest(second, genesis_time)
    wait_for(lambda: included(first), 15, "an attestation given to the second node is in no block")

    second.kill()
    stopped_at = first.head()[0]
    wait_for(lambda: first.head()[0] >= stopped_at + 4, 20, "the first node does not go on alone")
    second.start()
    second.wait_ready()
    wait_for(lambda: not second.get("/eth/v1/node/syncing")["is_syncing"], 20, "still syncing")
    assert second.head()[0] > stopped_at
    wait_for(lambda: first.head() == second.head(), 10, "the heads differ")

    # The first one is the chain's only proposer: killed, it must come back to the chain and not begin another.
    before = first.head()[0]
    first.kill()
    first.start()
    first.wait_ready()
    wait_for(lambda: second.head()[0] > before + 2, 20, "the second node sees no block of the first after its return")
    wait_for(lambda: first.head() == second.head(), 10, "the heads differ after the first node's return")
    refused = [line for node in (first, second) for line in node.log.read_text().splitlines() if "refused" in line]
    assert refused == []


def attest(node, genesis_time):
    """Attest for one external validator through ``node``; returns whether a node has that vote in a block."""
    now = int((time.time() - genesis_time) // SLOT_SECONDS)
    duties = [
        duty
        for epoch in (now // 8, now // 8 + 1)
        for duty in node.client.post(f"/eth/v1/validator/duties/attester/{epoch}", json=[str(i) for i in range(8)])
        .raise_for_status()
        .json()["data"]
    ]
    duty = min((duty for duty in duties if int(duty["slot"]) > now), key=lambda duty: int(duty["slot"]))
    slot, validator = int(duty["slot"]), int(duty["validator_index"])
    threading.Event().wait(max(0.0, genesis_time + (slot + 0.4) * SLOT_SECONDS - time.time()))
    value = node.get(f"/eth/v1/validator/attestation_data?slot={slot}&committee_index=0")
    genesis = node.get("/eth/v1/beacon/genesis")
    version = bytes.fromhex(node.get("/eth/v1/config/fork_schedule")[-1]["current_version"][2:])
    domain = compute_domain(DOMAIN_BEACON_ATTESTER, version, bytes.fromhex(genesis["genesis_validators_root"][2:]))
    source, target = (
        Checkpoint(int(value[name]["epoch"]), bytes.fromhex(value[name]["root"][2:])) for name in ("source", "target")
    )
    data = AttestationData(slot, 0, bytes.fromhex(value["beacon_block_root"][2:]), source, target)
    vote = {
        "committee_index": duty["committee_index"],
        "attester_index": duty["validator_index"],
        "data": value,
        "signature": "0x" + bls.sign(interop_secret_key(validator), signing_root(data.hash_tree_root(), domain)).hex(),
    }
    headers = {"Eth-Consensus-Version": "fulu"}
    response = node.client.post("/eth/v2/beacon/pool/attestations", json=[vote], headers=headers)
    assert response.status_code == 200, response.text
    place, committee = int(duty["validator_committee_index"]), int(duty["committee_index"])

    def is_in_block(entry):
        bits = int.from_bytes(bytes.fromhex(entry["aggregation_bits"][2:]), "little")
        committees = int.from_bytes(bytes.fromhex(entry["committee_bits"][2:]), "little")
        lengths = [int(duty["committee_length"])] * int(duty["committees_at_slot"])
        before = sum(lengths[index] for index in range(committee) if committees >> index & 1)
        return entry["data"] == value and committees >> committee & 1 and bits >> (before + place) & 1

    def included(other):
        for candidate in range(slot + 1, other.head()[0] + 1):
            response = other.client.get(f"/eth/v2/beacon/blocks/{candidate}")
            if response.status_code == 200:
                body = response.json()["data"]["message"]["body"]
                if any(is_in_block(entry) for entry in body["attestations"]):
                    return True
        return False

    return included

"""A beacon node that knows nothing but duties, and an execution node at ``/rpc``: a process of its own for the tests.

Prints its port as the first line. Every validator attests once an epoch, in slot ``index mod SLOTS_PER_EPOCH``, and
proposes in slot ``index mod 16``; validators 3 and 12 are in the sync committee.
``GET /control?…`` changes its behaviour: ``hold=<slot>`` (attestation data of that slot hangs for 60 s, once),
``refuse=<n>`` (the next n submissions get an error), ``partial=<n>`` (the next n submissions: the first is refused),
``sick=1|0`` (everything is 503), ``root=<byte>`` (the dependent root's byte),
``hang=1`` (the next submission hangs for 60 s), ``block=<n>`` (the next n blocks asked for are of another slot),
``quiet=1`` (no head events). ``GET /log`` is what happened.
"""

import argparse
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from eth_utils.crypto import keccak

from ssv_pool.registry import rlp

SYNC_MEMBERS = {3: [5, 200], 12: [7]}
"""Validator → its places in the sync committee."""


def root(byte):
    return "0x" + bytes([byte]).hex() * 32


class State:
    def __init__(self, options):
        self.options = options
        self.control = {"hold": -1, "refuse": 0, "partial": 0, "sick": 0, "root": 1, "hang": 0}
        self.control |= {"block": 0, "quiet": 0}
        self.log = {"data": [], "submitted": [], "held_port": None, "duties": [], "posted": [], "asked": []}
        self.log |= {"refused": []}
        self.lock = threading.Lock()

    def slot(self):
        return max(0, int((time.time() - self.options.genesis_time) // self.options.slot_seconds))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    state: State

    def log_message(self, *arguments):
        pass

    def answer(self, body, status=200):
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def take(self, name):
        with self.state.lock:
            if self.state.control[name] > 0:
                self.state.control[name] -= 1
                return True
            return False

    def do_GET(self):
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        state, options = self.state, self.state.options
        if url.path == "/control":
            state.control.update({key: int(value) for key, value in query.items()})
            return self.answer(state.control)
        if url.path == "/log":
            with state.lock:
                return self.answer(state.log)
        if state.control["sick"]:
            return self.answer({"code": 503, "message": "sick"}, 503)
        match url.path.split("/")[-1]:
            case "syncing":
                return self.answer(
                    {"data": {"head_slot": str(state.slot()), "sync_distance": "0", "is_syncing": False}}
                )
            case "genesis":
                data = {"genesis_time": str(options.genesis_time), "genesis_validators_root": root(7)}
                return self.answer({"data": data})
            case "spec":
                data = {
                    "SLOT_DURATION_MS": str(int(options.slot_seconds * 1000)),
                    "SLOTS_PER_EPOCH": str(options.slots_per_epoch),
                    "FULU_FORK_VERSION": "0x06000001",
                }
                return self.answer({"data": data})
            case "fork_schedule":
                return self.answer({"data": [{"epoch": "0", "current_version": "0x06000001"}]})
            case "attestation_data":
                return self.attestation_data(int(query["slot"]))
            case "aggregate_attestation":
                return self.aggregate(int(query["slot"]), int(query["committee_index"]), query["attestation_data_root"])
            case "sync_committee_contribution":
                return self.contribution(query)
        return self.by_path(url.path, query)

    def by_path(self, path, query):
        """What the whole path tells apart."""
        if path == "/eth/v1/events":
            return self.heads()
        if path.startswith("/eth/v1/validator/duties/proposer/"):
            return self.proposers(int(path.rsplit("/", 1)[1]))
        if path == "/eth/v1/beacon/states/head/committees":
            # One beacon committee a slot, in which each validator has the place of its number.
            members = [str(index) for index in range(32)]
            return self.answer({"data": [{"slot": query["slot"], "index": "0", "validators": members}]})
        if path.startswith("/eth/v2/beacon/blocks/"):
            return self.canonical_block(int(path.rsplit("/", 1)[1]))
        if path.startswith("/eth/v3/validator/blocks/"):
            return self.block(int(path.rsplit("/", 1)[1]), query)
        return self.answer({"code": 404, "message": "no such route"}, 404)

    def heads(self):
        """A head event every tenth of a second, until the listener goes."""
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        self.close_connection = True
        while not self.state.control["sick"]:
            if self.state.control["quiet"]:
                time.sleep(0.1)
                continue
            dependent = root(self.state.control["root"])
            data = {
                "slot": str(self.state.slot()),
                "previous_duty_dependent_root": dependent,
                "current_duty_dependent_root": dependent,
            }
            try:
                self.wfile.write(f"event: head\ndata: {json.dumps(data)}\n\n".encode())
            except OSError:
                return
            time.sleep(0.1)

    def attestation_data(self, slot):
        state = self.state
        with state.lock:
            held = state.control["hold"] == slot
            if held:
                state.control["hold"] = -1
                state.log["held_port"] = self.client_address[1]
            state.log["data"].append([slot, time.time()])
        if held:
            time.sleep(60)
        return self.answer({"data": self.data_of(slot)})

    def data_of(self, slot):
        epoch = slot // self.state.options.slots_per_epoch
        return {
            "slot": str(slot),
            "index": "0",
            "beacon_block_root": root(3),
            "source": {"epoch": str(max(0, epoch - 1)), "root": root(4)},
            "target": {"epoch": str(epoch), "root": root(5)},
        }

    def note(self, *what):
        with self.state.lock:
            self.state.log["asked"].append(list(what))

    def aggregate(self, slot, committee_index, data_root):
        self.note("aggregate", slot, committee_index)
        data = self.data_of(slot)
        if data_root != "0x" + data_root_of(data).hex():
            return self.answer({"code": 404, "message": "no aggregate of this data"}, 404)
        bits = (1 << committee_index).to_bytes(8, "little").hex()
        found = {"aggregation_bits": "0x07", "data": data, "signature": "0x" + "aa" * 96, "committee_bits": f"0x{bits}"}
        return self.answer({"version": "fulu", "data": found})

    def contribution(self, query):
        self.note("contribution", int(query["slot"]), int(query["subcommittee_index"]))
        if query["beacon_block_root"] != root(3):
            return self.answer({"code": 404, "message": "no contribution for this block"}, 404)
        found = {key: query[key] for key in ("slot", "beacon_block_root", "subcommittee_index")}
        return self.answer({"data": {**found, "aggregation_bits": "0x21" + "00" * 15, "signature": "0x" + "bb" * 96}})

    def proposers(self, epoch):
        spread = self.state.options.slots_per_epoch
        slots = range(epoch * spread, (epoch + 1) * spread)
        data = [
            {
                "pubkey": "0x" + (slot % 16).to_bytes(48, "big").hex(),
                "validator_index": str(slot % 16),
                "slot": str(slot),
            }
            for slot in slots
        ]
        return self.answer({"dependent_root": root(self.state.control["root"]), "data": data})

    def canonical_block(self, slot):
        """The block of a slot that is over: with what was submitted for the slot before, and a full sync committee."""
        if slot >= self.state.slot():
            return self.answer({"code": 404, "message": "no block"}, 404)
        with self.state.lock:
            voters = [index for index, voted in self.state.log["submitted"] if voted == slot - 1]
        bits = sum(1 << index for index in voters) | 1 << 32
        attestation = {
            "aggregation_bits": "0x" + bits.to_bytes(5, "little").hex(),
            "committee_bits": "0x0100000000000000",
            "data": {"slot": str(slot - 1), "index": "0"},
        }
        body = {
            "attestations": [attestation],
            "sync_aggregate": {"sync_committee_bits": "0x" + "ff" * 64},
            "voluntary_exits": [],
        }
        message = {"slot": str(slot), "proposer_index": str(slot % 16), "body": body}
        return self.answer({"version": "fulu", "data": {"message": message, "signature": "0x"}})

    def block(self, slot, query):
        self.note("block", slot, query.get("builder_boost_factor"))
        raw = block_of(slot + 1 if self.take("block") else slot, query)
        self.send_response(200)
        self.send_header("content-type", "application/octet-stream")
        self.send_header("eth-consensus-version", "fulu")
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def do_POST(self):
        raw = self.rfile.read(int(self.headers["content-length"]))
        is_ssz = self.headers["content-type"] == "application/octet-stream"
        body = len(raw) if is_ssz else json.loads(raw)
        state = self.state
        path = urlsplit(self.path).path
        if path == "/rpc":
            answers = [
                {"jsonrpc": "2.0", "id": asked["id"], "result": execution(asked["method"], asked["params"])}
                for asked in (body if isinstance(body, list) else [body])
            ]
            return self.answer(answers if isinstance(body, list) else answers[0])
        if state.control["sick"]:
            return self.answer({"code": 503, "message": "sick"}, 503)
        if path == "/eth/v1/beacon/states/head/validators":
            return self.answer({"data": [validator(key) for key in body["ids"]]})
        if path.startswith("/eth/v1/validator/duties/attester/"):
            epoch = int(path.rsplit("/", 1)[1])
            state.log["duties"].append(epoch)
            data = [self.duty(epoch, int(index)) for index in body]
            return self.answer({"dependent_root": root(state.control["root"]), "data": data})
        if path.startswith("/eth/v1/validator/duties/sync/"):
            members = [index for index in map(int, body) if index in SYNC_MEMBERS]
            return self.answer({"data": [self.sync_duty(index) for index in members]})
        if path in SUBMITTED | PREPARED:
            if path in SUBMITTED and self.take("refuse"):
                with state.lock:
                    state.log["refused"].append(path)
                return self.answer({"code": 400, "message": "not this one"}, 400)
            with state.lock:
                state.log["posted"].append([path, body])
            return self.answer({})
        if path == "/eth/v2/beacon/pool/attestations":
            if self.take("hang"):
                state.log["held_port"] = self.client_address[1]
                time.sleep(60)
            if self.take("refuse"):
                return self.answer({"code": 500, "message": "not now"}, 500)
            failures = [{"index": "0", "message": "unknown head block"}] if self.take("partial") else []
            accepted = body[1:] if failures else body
            with state.lock:
                for attestation in accepted:
                    state.log["submitted"].append(
                        [int(attestation["attester_index"]), int(attestation["data"]["slot"])]
                    )
            return self.answer({"code": 400, "failures": failures} if failures else {}, 400 if failures else 200)
        return self.answer({"code": 404, "message": "no such route"}, 404)

    def sync_duty(self, index):
        return {
            "pubkey": "0x" + index.to_bytes(48, "big").hex(),
            "validator_index": str(index),
            "validator_sync_committee_indices": [str(place) for place in SYNC_MEMBERS[index]],
        }

    def duty(self, epoch, index):
        spread = self.state.options.slots_per_epoch
        return {
            "pubkey": "0x" + index.to_bytes(48, "big").hex(),
            "validator_index": str(index),
            "committee_index": "0",
            "committee_length": "32",
            "committees_at_slot": "1",
            "validator_committee_index": str(index % 32),
            "slot": str(epoch * spread + index % spread),
        }


SUBMITTED = frozenset(
    {
        "/eth/v1/beacon/pool/sync_committees",
        "/eth/v1/beacon/pool/voluntary_exits",
        "/eth/v1/validator/contribution_and_proofs",
        "/eth/v1/validator/register_validator",
        "/eth/v2/beacon/blinded_blocks",
        "/eth/v2/beacon/blocks",
        "/eth/v2/validator/aggregate_and_proofs",
    }
)
"""What operators signed: taken and kept in the log, of SSZ its length, unless it is to be refused."""

PREPARED = frozenset(
    {
        "/eth/v1/validator/beacon_committee_subscriptions",
        "/eth/v1/validator/prepare_beacon_proposer",
        "/eth/v1/validator/sync_committee_subscriptions",
    }
)
"""What workers tell the node beforehand, at times of their own: taken and kept in the log, never refused in place of a
submission."""


def data_root_of(data):
    from ssv_pool.protocol.types import AttestationData, Checkpoint

    source, target = (
        Checkpoint(int(data[name]["epoch"]), bytes.fromhex(data[name]["root"][2:])) for name in ("source", "target")
    )
    head = bytes.fromhex(data["beacon_block_root"][2:])
    return AttestationData(int(data["slot"]), int(data["index"]), head, source, target).hash_tree_root()


def block_of(slot, query):
    """SSZ of the BlockContents of an empty Fulu block."""
    sys.path.insert(0, str(Path(__file__).parents[2] / "helpers"))
    from executor_network import zero

    from ssv_pool.protocol.types.beacon_schemas import block_schemas
    from ssv_pool.protocol.types.versions import DataVersion

    schemas = block_schemas(DataVersion.FULU)
    block = zero(schemas.full)
    body = block.body._replace(
        randao_reveal=bytes.fromhex(query["randao_reveal"][2:]), graffiti=bytes.fromhex(query["graffiti"][2:])
    )
    contents = zero(schemas.contents)._replace(block=block._replace(slot=slot, proposer_index=slot % 16, body=body))
    return schemas.contents.encode(contents)


def execution(method, parameters):
    """A chain of 20 blocks; in block 5 operator 5 was removed."""
    match method:
        case "eth_chainId":
            return "0x1"
        case "eth_syncing":
            return False
        case "eth_getCode":
            return "0x01"
        case "eth_getBlockByNumber":
            number = 20 if parameters[0] == "latest" else int(parameters[0], 16)
            # The latest block is never settled: only its time must be right.
            return header(number) | ({"timestamp": hex(int(time.time()))} if number == 20 else {})
        case "eth_getLogs":
            first, last = (int(parameters[0][key], 16) for key in ("fromBlock", "toBlock"))
            return [removed()] if first <= 5 <= last else []
        case "eth_getBlockReceipts":
            receipt = {
                "type": "0x0",
                "status": "0x1",
                "cumulativeGasUsed": "0x0",
                "logsBloom": BLOOM,
                "logs": [removed()],
            }
            return [receipt] if int(parameters[0], 16) == 5 else []
    return None


def header(number):
    """A block's header with its true hash; only block 5 has a receipt. The bloom allows everything."""
    topics = [bytes.fromhex(topic[2:]) for topic in REMOVED["topics"]]
    log = [bytes.fromhex(REMOVED["address"][2:]), topics, b""]
    receipts = [rlp.encode([1, 0, bytes.fromhex(BLOOM[2:]), [log]])] if number == 5 else []
    fields = {
        "parentHash": bytes.fromhex(header(number - 1)["hash"][2:]) if number else bytes(32),
        "sha3Uncles": bytes(32),
        "miner": bytes(20),
        "stateRoot": bytes(32),
        "transactionsRoot": bytes(32),
        "receiptsRoot": rlp.ordered_root(receipts),
        "logsBloom": bytes.fromhex(BLOOM[2:]),
        "difficulty": 0,
        "number": number,
        "gasLimit": 0,
        "gasUsed": 0,
        "timestamp": number,
        "extraData": b"",
        "mixHash": bytes(32),
        "nonce": bytes(8),
    }
    shown = {name: hex(value) if isinstance(value, int) else f"0x{value.hex()}" for name, value in fields.items()}
    block_hash = keccak(rlp.encode(list(fields.values()))).hex()
    return shown | {"hash": f"0x{block_hash}", "transactions": [REMOVED["transactionHash"]] if receipts else []}


def removed():
    return REMOVED | {"blockHash": header(5)["hash"]}


BLOOM = "0x" + "ff" * 256
REMOVED = {
    "address": "0x" + "11" * 20,
    "topics": ["0x0e0ba6c2b04de36d6d509ec5bd155c43a9fe862f8052096dd54f3902a74cca3e", "0x" + "00" * 31 + "05"],
    "data": "0x",
    "blockNumber": "0x5",
    "transactionHash": root(99),
    "transactionIndex": "0x0",
    "logIndex": "0x0",
    "removed": False,
}


def validator(key):
    return {
        "index": str(int(key, 16)),
        "balance": "32000000000",
        "status": "active_ongoing",
        "validator": {"pubkey": key, "activation_epoch": "0", "exit_epoch": str(2**64 - 1)},
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--genesis-time", type=int, required=True)
    parser.add_argument("--slot-seconds", type=float, required=True)
    parser.add_argument("--slots-per-epoch", type=int, default=8)
    parser.add_argument("--port", type=int, default=0)
    Handler.state = State(parser.parse_args())
    server = ThreadingHTTPServer(("127.0.0.1", Handler.state.options.port), Handler)
    server.daemon_threads = True
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main()

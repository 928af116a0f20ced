import asyncio
import json

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from beacon_stepper import GENESIS_TIME, SteppedNode

from ssv_pool.devnet.beacon.api import application
from ssv_pool.devnet.beacon.api.states import validator_status
from ssv_pool.devnet.beacon.codec import to_json
from ssv_pool.devnet.beacon.overlay.columns import Columns

FAR = 2**64 - 1


@pytest.fixture(scope="module")
def before_genesis():
    return SteppedNode(external=frozenset(range(8)))


@pytest.fixture(scope="module")
def running():
    """A node in slot 44 of a chain that has finalized epoch 3."""
    stepped = SteppedNode(external=frozenset(range(8)))
    stepped.run_slots(0, 44)
    return stepped


def call(stepped, method, path, body=None, raw=None, version="fulu"):
    """Status and JSON of one request."""

    async def go():
        async with TestClient(TestServer(application(stepped.node))) as client:
            data = raw if raw is not None else json.dumps(body).encode() if body is not None else None
            headers = {"Content-Type": "application/json"}
            headers |= {"Eth-Consensus-Version": version} if version else {}
            response = await client.request(method, path, data=data, headers=headers)
            text = await response.text()
            return response.status, json.loads(text) if text else None

    return asyncio.run(go())


def get(stepped, path):
    status, value = call(stepped, "GET", path)
    assert status == 200, value
    return value


def test_before_genesis(before_genesis):
    genesis = get(before_genesis, "/eth/v1/beacon/genesis")["data"]
    assert genesis["genesis_time"] == str(GENESIS_TIME)
    assert get(before_genesis, "/eth/v1/node/syncing")["data"]["is_syncing"] is False
    assert call(before_genesis, "GET", "/eth/v1/node/health") == (200, None)
    validators = get(before_genesis, "/eth/v1/beacon/states/head/validators?id=3")["data"]
    assert [(entry["index"], entry["status"]) for entry in validators] == [("3", "active_ongoing")]
    root = before_genesis.node.chain.history.genesis.root
    for epoch in (0, 1):
        status, duties = call(before_genesis, "POST", f"/eth/v1/validator/duties/attester/{epoch}", ["0", "5"])
        assert status == 200
        assert duties["dependent_root"] == "0x" + root.hex()
        assert sorted(entry["validator_index"] for entry in duties["data"]) == ["0", "5"]
        assert get(before_genesis, f"/eth/v1/validator/duties/proposer/{epoch}")["data"]
    status, error = call(before_genesis, "GET", "/eth/v1/validator/attestation_data?slot=0&committee_index=0")
    assert (status, error) == (400, {"code": 400, "message": f"slot 0: genesis is at {GENESIS_TIME}"})
    assert get(before_genesis, "/eth/v2/beacon/blocks/head")["data"]["message"]["slot"] == "0"


def test_configuration(running):
    spec = get(running, "/eth/v1/config/spec")["data"]
    assert {name: spec[name] for name in ("SLOT_DURATION_MS", "SECONDS_PER_SLOT", "SLOTS_PER_EPOCH")} == {
        "SLOT_DURATION_MS": "2000",
        "SECONDS_PER_SLOT": "2",
        "SLOTS_PER_EPOCH": "8",
    }
    assert spec["DOMAIN_BEACON_ATTESTER"] == "0x01000000"
    assert spec["FULU_FORK_EPOCH"] == "0"
    version = spec["FULU_FORK_VERSION"]
    fork = {"previous_version": version, "current_version": version, "epoch": "0"}
    schedule = get(running, "/eth/v1/config/fork_schedule")["data"]
    names = ("GENESIS", "ALTAIR", "BELLATRIX", "CAPELLA", "DENEB", "ELECTRA", "FULU")
    assert [entry["current_version"] for entry in schedule] == [spec[f"{name}_FORK_VERSION"] for name in names]
    assert [entry["previous_version"] for entry in schedule[1:]] == [
        entry["current_version"] for entry in schedule[:-1]
    ]
    assert {entry["epoch"] for entry in schedule} == {"0"}
    assert get(running, "/eth/v1/beacon/states/head/fork")["data"] == fork
    assert get(running, "/eth/v1/config/deposit_contract")["data"]["chain_id"] == spec["DEPOSIT_CHAIN_ID"]
    assert get(running, "/eth/v1/node/version")["data"]["version"].startswith("ssv-pool-devnet/")


def test_states(running):
    checkpoints = get(running, "/eth/v1/beacon/states/head/finality_checkpoints")
    assert [
        checkpoints["data"][name]["epoch"] for name in ("previous_justified", "current_justified", "finalized")
    ] == [
        "3",
        "4",
        "3",
    ]
    assert checkpoints["finalized"] is False
    assert get(running, "/eth/v1/beacon/states/finalized/root")["finalized"] is True
    head = running.node.chain.history.head
    assert (
        get(running, f"/eth/v1/beacon/states/0x{head.state_root.hex()}/root")["data"]["root"]
        == get(running, "/eth/v1/beacon/states/head/root")["data"]["root"]
    )
    assert get(running, "/eth/v1/beacon/states/44/root") == get(running, "/eth/v1/beacon/states/head/root")
    committees = get(running, "/eth/v1/beacon/states/head/committees")["data"]
    assert sorted(int(member) for entry in committees for member in entry["validators"]) == list(range(64))
    [one] = get(running, "/eth/v1/beacon/states/head/committees?epoch=4&slot=33&index=1")["data"]
    assert one in get(running, "/eth/v1/beacon/states/head/committees?epoch=4")["data"]
    assert (one["slot"], one["index"]) == ("33", "1")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/eth/v1/beacon/states/45/root", 404),
        ("/eth/v1/beacon/states/3/root", 404),
        ("/eth/v1/beacon/states/nonsense/root", 400),
        ("/eth/v1/beacon/states/0x12/root", 400),
        ("/eth/v1/beacon/states/0x" + "12" * 32 + "/root", 404),
        ("/eth/v1/beacon/states/head/validators/64", 404),
        ("/eth/v1/beacon/states/head/validators?status=sleeping", 400),
        ("/eth/v1/beacon/states/head/validators?id=x", 400),
        ("/eth/v1/beacon/states/head/committees?epoch=7", 400),
        ("/eth/v1/beacon/states/head/committees?epoch=-1", 400),
        ("/eth/v2/beacon/blocks/45", 404),
        ("/eth/v2/beacon/blocks/0x" + "12" * 32, 404),
        ("/eth/v1/validator/duties/proposer/9", 400),
        ("/eth/v1/validator/attestation_data?slot=45&committee_index=0", 400),
        ("/eth/v1/validator/attestation_data?slot=30&committee_index=0", 400),
        ("/eth/v1/validator/attestation_data?slot=44", 400),
        ("/eth/v1/events?topics=weather", 400),
        ("/eth/v1/events", 400),
        ("/eth/v1/nothing", 404),
        ("/eth/v2/beacon/pool/attestations", 405),
    ],
)
def test_errors_are_json(running, path, status):
    found, error = call(running, "GET", path)
    assert found == error["code"] == status
    assert error["message"]


def test_validators(running):
    by_index = get(running, "/eth/v1/beacon/states/head/validators?id=2&id=5,2")["data"]
    assert [entry["index"] for entry in by_index] == ["2", "5"]
    pubkeys = [entry["validator"]["pubkey"] for entry in by_index]
    unknown = "0x" + "ab" * 48
    status, by_pubkey = call(
        running, "POST", "/eth/v1/beacon/states/head/validators", {"ids": [*pubkeys, unknown], "statuses": ["active"]}
    )
    assert (status, by_pubkey["data"]) == (200, by_index)
    assert get(running, f"/eth/v1/beacon/states/head/validators/{pubkeys[0]}")["data"] == by_index[0]
    assert len(get(running, "/eth/v1/beacon/states/head/validators")["data"]) == 64
    assert get(running, "/eth/v1/beacon/states/head/validators?status=exited,pending_queued")["data"] == []
    for body in ([], {"ids": "3"}, {"ids": [3]}, {"identifiers": []}):
        assert call(running, "POST", "/eth/v1/beacon/states/head/validators", body)[0] == 400


def test_blocks(running):
    head = running.node.chain.history.head
    root = "0x" + head.root.hex()
    block = get(running, "/eth/v2/beacon/blocks/head")
    assert block["version"] == "fulu"
    assert block == get(running, "/eth/v2/beacon/blocks/44") == get(running, f"/eth/v2/beacon/blocks/{root}")
    assert get(running, "/eth/v1/beacon/blocks/head/root")["data"] == {"root": root}
    header = get(running, "/eth/v1/beacon/headers/head")["data"]
    assert (header["root"], header["canonical"]) == (root, True)
    assert header["header"]["message"]["parent_root"] == block["data"]["message"]["parent_root"]
    assert get(running, "/eth/v1/beacon/headers")["data"] == [header]
    assert get(running, "/eth/v1/beacon/headers?slot=44")["data"] == [header]
    assert (
        get(running, "/eth/v2/beacon/blocks/head/attestations")["data"]
        == block["data"]["message"]["body"]["attestations"]
    )
    assert get(running, "/eth/v2/beacon/blocks/genesis")["data"]["message"]["slot"] == "0"
    finalized = get(running, "/eth/v2/beacon/blocks/finalized")
    assert (finalized["finalized"], finalized["data"]["message"]["slot"]) == (True, "24")


def test_duties(running):
    status, duties = call(running, "POST", "/eth/v1/validator/duties/attester/6", [str(index) for index in range(64)])
    assert status == 200
    assert duties["dependent_root"] == "0x" + running.node.chain.history.at(39).root.hex()
    assert len(duties["data"]) == 64
    for duty in duties["data"]:
        committees = running.node.chain.committees(6)[int(duty["slot"]) % 8]
        members = committees[int(duty["committee_index"])]
        assert members[int(duty["validator_committee_index"])] == int(duty["validator_index"])
        assert (duty["committee_length"], duty["committees_at_slot"]) == (str(len(members)), str(len(committees)))
    for path, body in (("attester/7", ["1"]), ("attester/6", [1]), ("attester/6", {}), ("attester/x", [])):
        assert call(running, "POST", f"/eth/v1/validator/duties/{path}", body)[0] == 400
    proposers = get(running, "/eth/v2/validator/duties/proposer/5")
    assert [int(entry["slot"]) for entry in proposers["data"]] == list(range(40, 48))
    assert (
        proposers["data"][4]["validator_index"]
        == get(running, "/eth/v2/beacon/blocks/44")["data"]["message"]["proposer_index"]
    )
    status, sync = call(running, "POST", "/eth/v1/validator/duties/sync/5", [str(index) for index in range(64)])
    assert sum(len(entry["validator_sync_committee_indices"]) for entry in sync["data"]) == 32
    status, live = call(running, "POST", "/eth/v1/validator/liveness/5", ["1", "20"])
    assert [entry["index"] for entry in live["data"]] == ["1", "20"]


def test_attestation_data_and_submission(running):
    validator = next(index for index in range(8) if running.duty_of(index, 5)[0] <= 44)
    slot, committee = running.duty_of(validator, 5)
    data = get(running, f"/eth/v1/validator/attestation_data?slot={slot}&committee_index={committee}")["data"]
    assert data["beacon_block_root"] == "0x" + running.node.chain.history.at(slot).root.hex()
    assert data["target"] == {"epoch": "5", "root": "0x" + running.node.chain.history.at(40).root.hex()}
    assert data["source"]["epoch"] == "4"
    good = to_json(running.attestation(validator, 5))
    assert good["data"] == data
    path = "/eth/v2/beacon/pool/attestations"
    forged = good | {"signature": "0x" + "11" * 96}
    status, error = call(running, "POST", path, [good, forged, good | {"extra": 1}, 5, good])
    assert status == 400
    assert error["message"] == "3 of 5 attestations failed"
    assert [failure["index"] for failure in error["failures"]] == [1, 2, 3]
    assert error["failures"][0]["message"] == "rejected: invalid attestation signature"
    assert call(running, "POST", path, [good]) == (200, None)
    assert call(running, "POST", path, []) == (200, None)
    assert call(running, "POST", path, good)[0] == 400
    assert call(running, "POST", path, raw=b"[{]")[0] == 400
    for version in ("deneb", None):
        assert call(running, "POST", path, [good], version=version)[0] == 400
    assert call(running, "POST", path, raw=b"[" + b" " * (8 << 20) + b"]")[0] == 413
    status, live = call(running, "POST", "/eth/v1/validator/liveness/5", [str(validator)])
    assert live["data"] == [{"index": str(validator), "is_live": True}]


def test_events_are_streamed():
    stepped = SteppedNode()
    stepped.run_slots(0, 1)

    async def go():
        async with TestClient(TestServer(application(stepped.node))) as client:
            response = await client.get("/eth/v1/events?topics=head,block&topics=finalized_checkpoint")
            assert response.content_type == "text/event-stream"
            stepped.run_slot(2)
            lines = [(await response.content.readline()).decode() for _ in range(6)]
            stepped.node.events.close()
            assert await response.content.read() == b""
            return lines

    lines = asyncio.run(asyncio.wait_for(go(), 20))
    assert [lines[place] for place in (0, 2, 3, 5)] == ["event: block\n", "\n", "event: head\n", "\n"]
    event = json.loads(lines[4].removeprefix("data: "))
    assert (event["slot"], event["block"]) == ("2", "0x" + stepped.node.chain.history.head.root.hex())


def test_an_unexpected_error_is_an_answer_and_not_a_dead_server(running, monkeypatch):
    def broken(_slot):
        raise RuntimeError("surprise")

    monkeypatch.setattr(running.node.chain, "attestation_data", broken)
    status, error = call(running, "GET", "/eth/v1/validator/attestation_data?slot=44&committee_index=0")
    assert (status, error) == (500, {"code": 500, "message": "internal error; the node's log has it"})
    assert web.HTTPInternalServerError.status_code == status


@pytest.mark.parametrize(
    ("epochs", "slashed", "balance", "status"),
    [
        ((FAR, FAR, FAR, FAR), False, 1, "pending_initialized"),
        ((3, FAR, FAR, FAR), False, 1, "pending_queued"),
        ((3, 6, FAR, FAR), False, 1, "pending_queued"),
        ((3, 5, FAR, FAR), False, 1, "active_ongoing"),
        ((0, 0, 9, 20), False, 1, "active_exiting"),
        ((0, 0, 9, 20), True, 1, "active_slashed"),
        ((0, 0, 5, 20), False, 1, "exited_unslashed"),
        ((0, 0, 5, 20), True, 1, "exited_slashed"),
        ((0, 0, 2, 5), False, 1, "withdrawal_possible"),
        ((0, 0, 2, 5), True, 0, "withdrawal_done"),
    ],
)
def test_validator_status(epochs, slashed, balance, status):
    eligible, activation, leave, withdrawable = epochs
    columns = Columns([(b"\1" * 48, 32, slashed, eligible, activation, leave, withdrawable)])
    assert validator_status(columns, 0, 5, balance) == status

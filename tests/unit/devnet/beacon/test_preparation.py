import json

import pytest
from beacon_http import request
from beacon_outsider import Outsider
from beacon_stepper import SteppedNode

from ssv_pool.devnet.beacon.codec import from_json, to_json
from ssv_pool.devnet.beacon.payloads import _towards

REGISTER = "/eth/v1/validator/register_validator"
PREPARE = "/eth/v1/validator/prepare_beacon_proposer"
COMMITTEES = "/eth/v1/validator/beacon_committee_subscriptions"
SYNC = "/eth/v1/validator/sync_committee_subscriptions"


@pytest.fixture
def stepped(tmp_path):
    stepped = SteppedNode(record=tmp_path / "record.jsonl")
    stepped.run_slots(0, 1)
    yield stepped
    stepped.node.close()


@pytest.fixture
def client(stepped):
    return Outsider(stepped)


def register(client, *views):
    return request(client.stepped, "POST", REGISTER, [to_json(view) for view in views])


def test_registrations(stepped, client, tmp_path):
    now = int(stepped.clock.time)
    first, second = client.registration(3, now), client.registration(4, now + 10)
    assert register(client, first, first, second).status == 200
    pubkey = bytes(first.message.pubkey)
    assert stepped.node.relay.registration(pubkey) == first
    newer = client.registration(3, now + 1, gas_limit=1)
    raw = bytes(newer.encode_bytes())
    assert request(stepped, "POST", REGISTER, raw).status == 200
    assert stepped.node.relay.registration(pubkey) == newer
    lines = [json.loads(line) for line in (tmp_path / "record.jsonl").read_text().splitlines()]
    assert [(entry["validator_index"], entry["verdict"]) for entry in lines] == [
        (3, "accepted"),
        (3, "duplicate"),
        (4, "accepted"),
        (3, "accepted"),
    ]
    assert lines[0]["kind"] == "registration"
    assert lines[0]["fee_recipient"] == "0x" + "11" * 20


def test_refused_registrations(stepped, client):
    now = int(stepped.clock.time)
    stolen = client.registration(3, now)
    stolen.message.pubkey = client.registration(4, now).message.pubkey
    stranger = client.registration(3, now)
    stranger.message.pubkey = b"\1" * 48
    future = client.registration(3, now + 12)
    good = client.registration(3, now)
    older = client.registration(3, now - 1)
    answer = register(client, stolen, stranger, future, good, older)
    assert answer.status == 400
    assert answer.message == "4 of 5 registrations failed"
    assert [entry["message"] for entry in answer.json["failures"]] == [
        "rejected: invalid registration signature",
        "rejected: no validator has the public key 0x" + "01" * 48,
        f"rejected: registration is dated {now + 12}, which is in the future",
        f"ignored: one dated {now} is in force",
    ]
    assert register(client).status == 200
    assert request(stepped, "POST", REGISTER, [{}]).status == 400


def test_fee_recipients(stepped, client):
    stepped.go_to(2)
    proposer = client.proposer(2)
    entry = {"validator_index": str(proposer), "fee_recipient": "0x" + "ab" * 20}
    stranger = {"validator_index": "5000", "fee_recipient": "0x" + "cd" * 20}
    assert request(stepped, "POST", PREPARE, [entry, stranger]).status == 200
    assert stepped.node.relay.fee_recipients == {proposer: b"\xab" * 20}
    path = f"/eth/v2/validator/blocks/2?randao_reveal=0x{client.randao(2).hex()}"
    block = from_json(client.node.containers.block_contents, request(stepped, "GET", path).json["data"]).block
    assert bytes(block.body.execution_payload.fee_recipient) == b"\xab" * 20
    for body in (
        [{**entry, "fee_recipient": "0xab"}],
        [{**entry, "validator_index": 3}],
        [{"validator_index": "3"}],
        {},
        [3],
    ):
        assert request(stepped, "POST", PREPARE, body).status == 400
    assert stepped.node.relay.fee_recipients == {proposer: b"\xab" * 20}


def test_subscriptions(stepped):
    committee = {
        "validator_index": "3",
        "committee_index": "0",
        "committees_at_slot": "1",
        "slot": "5",
        "is_aggregator": True,
    }
    assert request(stepped, "POST", COMMITTEES, [committee]).status == 200
    for change in ({"is_aggregator": "true"}, {"slot": 5}, {"validator_index": "64"}, {"more": "1"}):
        assert request(stepped, "POST", COMMITTEES, [committee | change]).status == 400
    sync = {"validator_index": "3", "sync_committee_indices": ["0", "31"], "until_epoch": "8"}
    assert request(stepped, "POST", SYNC, [sync]).status == 200
    for change in ({"sync_committee_indices": ["32"]}, {"sync_committee_indices": "0"}, {"until_epoch": 8}):
        assert request(stepped, "POST", SYNC, [sync | change]).status == 400


@pytest.mark.parametrize(
    ("wanted", "expected"), [(None, 30_000_000), (36_000_000, 30_029_295), (1, 29_970_705), (30_000_001, 30_000_001)]
)
def test_the_gas_limit_moves_by_less_than_its_1024th_part(wanted, expected):
    assert _towards(30_000_000, wanted) == expected


def test_balances_and_sync_committees(stepped):
    path = "/eth/v1/beacon/states/head/validator_balances"
    pubkey = request(stepped, "GET", "/eth/v1/beacon/states/head/validators/5").json["data"]["validator"]["pubkey"]
    answer = request(stepped, "GET", f"{path}?id=3,{pubkey}&id=4&id=99").json
    assert answer["finalized"] is False
    assert [entry["index"] for entry in answer["data"]] == ["3", "4", "5"]
    assert all(int(entry["balance"]) > 31_000_000_000 for entry in answer["data"])
    assert request(stepped, "POST", path, ["3", pubkey, "4"]).json == answer
    assert len(request(stepped, "GET", path).json["data"]) == 64
    assert request(stepped, "POST", path, {}).status == 400
    path = "/eth/v1/beacon/states/head/sync_committees"
    committee = request(stepped, "GET", path).json["data"]
    assert len(committee["validators"]) == 32
    assert [len(part) for part in committee["validator_aggregates"]] == [8] * 4
    assert [index for part in committee["validator_aggregates"] for index in part] == committee["validators"]
    members = Outsider(stepped).sync_members()
    assert {int(index) for index in committee["validators"]} == set(members)
    assert request(stepped, "GET", f"{path}?epoch=8").status == 200
    assert request(stepped, "GET", f"{path}?epoch=16").status == 400

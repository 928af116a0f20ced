import json

import pytest
from beacon_http import request
from beacon_outsider import Outsider
from beacon_stepper import SteppedNode

from ssv_pool.devnet.beacon.codec import to_json

EXITS = "/eth/v1/beacon/pool/voluntary_exits"
FAR = 2**64 - 1


@pytest.fixture
def stepped(tmp_path):
    stepped = SteppedNode(record=tmp_path / "record.jsonl")
    stepped.run_slots(0, 2)
    yield stepped
    stepped.node.close()


@pytest.fixture
def client(stepped):
    return Outsider(stepped)


def send(client, signed):
    return request(client.stepped, "POST", EXITS, to_json(signed))


def test_an_exit_gets_into_a_block_and_ends_the_duties(stepped, client, tmp_path):
    events = stepped.node.events.subscribe({"voluntary_exit"})
    signed = client.voluntary_exit(7, 0)
    assert send(client, signed).status == 200
    assert send(client, signed).status == 200
    assert events.queue.get_nowait() == ("voluntary_exit", to_json(signed))
    assert events.queue.empty()
    assert request(stepped, "GET", EXITS).json == {"data": [to_json(signed)]}
    stepped.run_slot(3)
    block = stepped.node.chain.store.blocks[stepped.node.chain.head()]
    assert list(block.body.voluntary_exits) == [signed]
    validator = request(stepped, "GET", "/eth/v1/beacon/states/head/validators/7").json["data"]
    assert validator["status"] == "active_exiting"
    last = int(validator["validator"]["exit_epoch"])
    assert last == 5
    stepped.run_slots(4, last * 8)
    assert not any(stepped.node.chain.store.blocks[root].body.voluntary_exits for root in later_roots(stepped, 3))
    answer = request(stepped, "POST", f"/eth/v1/validator/duties/attester/{last}", ["7", "8"])
    assert [duty["validator_index"] for duty in answer.json["data"]] == ["8"]
    validator = request(stepped, "GET", "/eth/v1/beacon/states/head/validators/7").json["data"]
    assert validator["status"] == "exited_unslashed"
    # Final: the pool needs it no more.
    assert request(stepped, "GET", EXITS).json == {"data": []}
    lines = [json.loads(line) for line in (tmp_path / "record.jsonl").read_text().splitlines()]
    assert [(entry["kind"], entry["validator_index"], entry["verdict"]) for entry in lines] == [
        ("voluntary_exit", 7, "accepted"),
        ("voluntary_exit", 7, "duplicate"),
    ]


def later_roots(stepped, slot):
    return [root for root, block in stepped.node.chain.store.blocks.items() if int(block.slot) > slot]


def test_refused_exits(stepped, client):
    wrong = client.voluntary_exit(7, 0)
    wrong.message.validator_index = 8
    unknown = client.voluntary_exit(7, 0)
    unknown.message.validator_index = 64
    for signed, message in (
        (wrong, "voluntary exit rejected: invalid voluntary exit signature"),
        (unknown, "voluntary exit rejected: invalid voluntary exit signature"),
        (client.voluntary_exit(7, 1), "voluntary exit rejected: voluntary exit epoch is in the future"),
    ):
        answer = send(client, signed)
        assert (answer.status, answer.message) == (400, message)
    assert request(stepped, "POST", EXITS, []).status == 400
    assert request(stepped, "POST", EXITS, bytes(client.voluntary_exit(7, 0).encode_bytes())).status == 200
    stepped.run_slot(3)
    stepped.run_slots(4, 8)
    answer = send(client, client.voluntary_exit(7, 1))
    assert (answer.status, answer.message) == (
        400,
        "voluntary exit ignored: already seen voluntary exit for this validator",
    )


def test_more_exits_than_a_block_holds(stepped, client):
    most = int(client.spec.MAX_VOLUNTARY_EXITS)
    for index in range(most + 2):
        assert send(client, client.voluntary_exit(index, 0)).status == 200
    stepped.run_slots(3, 4)
    counts = [len(stepped.node.chain.store.blocks[root].body.voluntary_exits) for root in later_roots(stepped, 2)]
    assert counts == [most, 2]
    columns = stepped.node.chain.fast.columns.of(stepped.node.chain.current_state())
    assert [index for index, epoch in enumerate(columns.exit_epochs) if epoch != FAR] == list(range(most + 2))

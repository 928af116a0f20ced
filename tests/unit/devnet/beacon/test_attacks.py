import asyncio
import json

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer
from beacon_stepper import SteppedNode

from ssv_pool.devnet.beacon import attacks
from ssv_pool.devnet.beacon.api import application
from ssv_pool.devnet.beacon.attacks import STALE_SLOTS, Attacker, AttackMode, AttackOptions, parse_mode
from ssv_pool.errors import ConfigError

SLOT = 12
DATA = f"/eth/v1/validator/attestation_data?slot={SLOT}&committee_index=0"
FINALITY = "/eth/v1/beacon/states/head/finality_checkpoints"


@pytest.fixture
def stepped():
    stepped = SteppedNode(external=frozenset(range(8)))
    stepped.run_slots(0, SLOT)
    yield stepped
    stepped.node.close()


def talk(stepped, attacker, *requests):
    """Status and JSON of each request (method, path, body) to one node."""

    async def go():
        app = application(stepped.node)
        app.middlewares.insert(0, attacker.middleware)
        app.add_routes(attacker.routes())
        answers = []
        async with TestClient(TestServer(app)) as client:
            for method, path, *body in requests:
                response = await client.request(method, path, json=body[0] if body else None)
                text = await response.text()
                answers.append((response.status, json.loads(text) if text else None))
        return answers

    return asyncio.run(go())


def data_of(stepped, attacker, path=DATA):
    [(status, body)] = talk(stepped, attacker, ("GET", path))
    assert status == 200, body
    return body["data"]


def test_without_an_attack_nothing_changes(stepped):
    honest = data_of(stepped, Attacker(stepped.node))
    assert honest["slot"] == str(SLOT)
    assert honest["beacon_block_root"] == "0x" + stepped.node.chain.history.head.root.hex()
    assert honest["target"]["epoch"] == "1"


def test_a_stale_head_is_an_old_block_of_the_chain(stepped):
    honest = data_of(stepped, Attacker(stepped.node))
    attacker = Attacker(stepped.node)
    attacker.switch(AttackMode.STALE_HEAD)
    stepped.go_to(SLOT + 1)
    lie = data_of(stepped, attacker, f"/eth/v1/validator/attestation_data?slot={SLOT + 1}&committee_index=0")
    stale = stepped.node.chain.history.head
    assert stale.slot <= SLOT + 1 - STALE_SLOTS
    assert lie["beacon_block_root"] == "0x" + stale.root.hex() != honest["beacon_block_root"]
    assert (lie["source"], lie["target"]) == (honest["source"], honest["target"])
    attacker.switch(None)
    stepped.go_to(SLOT + 2)
    assert data_of(stepped, attacker)["beacon_block_root"] == honest["beacon_block_root"]


def test_a_wrong_source_does_not_exist(stepped):
    honest, attacker = data_of(stepped, Attacker(stepped.node)), Attacker(stepped.node)
    finality = data_of(stepped, attacker, FINALITY)
    attacker.switch(AttackMode.WRONG_JUSTIFIED)
    lie = data_of(stepped, attacker)
    assert lie | {"source": honest["source"]} == honest
    assert lie["source"]["root"] != honest["source"]["root"]
    assert int(lie["source"]["epoch"]) == max(0, int(honest["source"]["epoch"]) - 1)
    assert data_of(stepped, attacker) == lie
    told = data_of(stepped, attacker, FINALITY)
    assert told["current_justified"] == lie["source"]
    assert told | {"current_justified": finality["current_justified"]} == finality


def test_a_wrong_target_does_not_exist(stepped):
    honest, attacker = data_of(stepped, Attacker(stepped.node)), Attacker(stepped.node)
    attacker.switch(AttackMode.WRONG_TARGET)
    lie = data_of(stepped, attacker)
    assert lie | {"target": honest["target"]} == honest
    assert lie["target"]["epoch"] == honest["target"]["epoch"]
    assert lie["target"]["root"] != honest["target"]["root"]


def test_errors_and_their_end(stepped):
    attacker = Attacker(stepped.node, AttackOptions(AttackMode.ERRORS))
    broken = {"code": 500, "message": "this node is out of order"}
    assert talk(
        stepped,
        attacker,
        ("GET", "/eth/v1/node/version"),
        ("GET", "/devnet/attack"),
        ("POST", "/devnet/attack", {"mode": None}),
        ("GET", "/eth/v1/node/health"),
    ) == [(500, broken), (200, {"data": {"mode": "errors"}}), (200, {"data": {"mode": None}}), (200, None)]


def test_slow_answers_come_late(stepped, monkeypatch):
    waited = []
    sleep = asyncio.sleep

    async def counted(seconds, *rest):
        waited.append(seconds)
        await sleep(0, *rest)

    monkeypatch.setattr(attacks.asyncio, "sleep", counted)
    attacker = Attacker(stepped.node, AttackOptions(AttackMode.SLOW, seconds=2.5))
    attacker.switch(None)
    data_of(stepped, attacker)
    assert 2.5 not in waited
    attacker.switch(AttackMode.SLOW)
    data_of(stepped, attacker)
    assert 2.5 in waited


def test_streams_break(stepped, monkeypatch):
    monkeypatch.setattr(attacks, "STREAM_SECONDS", 0.05)
    attacker = Attacker(stepped.node)
    attacker.switch(AttackMode.DROPPED_STREAMS)

    async def go():
        app = application(stepped.node)
        app.middlewares.insert(0, attacker.middleware)
        async with TestClient(TestServer(app)) as client:
            response = await client.get("/eth/v1/events?topics=head")
            assert response.status == 200
            await response.content.read()

    with pytest.raises(aiohttp.ClientPayloadError):
        asyncio.run(go())


def test_an_attack_begins_with_its_epoch_and_can_be_called_off(stepped):
    attacker = Attacker(stepped.node, AttackOptions(AttackMode.SLOW, 3))
    assert attacker.mode is None
    stepped.go_to(23, 1.9)
    assert attacker.mode is None
    stepped.go_to(24)
    assert attacker.mode is AttackMode.SLOW
    called_off = Attacker(stepped.node, AttackOptions(AttackMode.SLOW, 4))
    called_off.switch(None)
    stepped.go_to(40)
    assert called_off.mode is None


@pytest.mark.parametrize("body", [{"mode": "nonsense"}, {"mode": 5}, [], {}, {"mode": None, "x": 1}])
def test_bad_orders_are_refused(stepped, body):
    attacker = Attacker(stepped.node)
    [(status, answer)] = talk(stepped, attacker, ("POST", "/devnet/attack", body))
    assert status == 400, answer
    assert attacker.mode is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epoch": -1}, "--attack-epoch: found -1, expected 0 or more"),
        ({"seconds": 0.0}, "--attack-seconds: found 0, expected above 0 and at most 3600"),
        ({"seconds": 4000.0}, "--attack-seconds: found 4000, expected above 0 and at most 3600"),
    ],
)
def test_attacks_that_cannot_be(options, message):
    with pytest.raises(ConfigError) as raised:
        AttackOptions(AttackMode.SLOW, **options)
    assert str(raised.value) == message


def test_names():
    assert [parse_mode(mode.value) for mode in AttackMode] == list(AttackMode)
    with pytest.raises(ConfigError) as raised:
        parse_mode("lies")
    assert str(raised.value) == (
        "--attack: found 'lies', expected one of stale-head, wrong-justified, wrong-target, slow, errors, "
        "dropped-streams"
    )

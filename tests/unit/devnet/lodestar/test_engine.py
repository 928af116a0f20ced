import http.client

import httpx
import pytest

from ssv_pool.devnet.lodestar.engine import KEPT, Engine, EngineError, EngineServer

GENESIS, FEES, MIX = "0x" + "00" * 32, "0x" + "11" * 20, "0x" + "22" * 32
VALID = {"status": "VALID", "latestValidHash": GENESIS, "validationError": None}
STATE = {"headBlockHash": GENESIS, "safeBlockHash": GENESIS, "finalizedBlockHash": GENESIS}


def attributes(**changes):
    return {"timestamp": "0x10", "prevRandao": MIX, "suggestedFeeRecipient": FEES, "withdrawals": []} | changes


def test_a_head_without_attributes_begins_nothing():
    answer = Engine().call("engine_forkchoiceUpdatedV2", [STATE, None])
    assert answer == {"payloadStatus": VALID, "payloadId": None}
    assert Engine().call("engine_forkchoiceUpdatedV1", [STATE]) == answer


def test_payloads_form_a_chain():
    engine = Engine()
    begun = engine.call("engine_forkchoiceUpdatedV2", [STATE, attributes()])
    answer = engine.call("engine_getPayloadV2", [begun["payloadId"]])
    payload = answer["executionPayload"]
    assert answer["blockValue"] == "0x1"
    assert {name: payload[name] for name in ("parentHash", "feeRecipient", "prevRandao", "blockNumber")} == {
        "parentHash": GENESIS,
        "feeRecipient": FEES,
        "prevRandao": MIX,
        "blockNumber": "0x1",
    }
    assert (payload["timestamp"], payload["withdrawals"], payload["transactions"]) == ("0x10", [], [])
    block_hash = payload["blockHash"]
    assert engine.call("engine_newPayloadV2", [payload]) == VALID | {"latestValidHash": block_hash}
    later = engine.call("engine_forkchoiceUpdatedV2", [STATE | {"headBlockHash": block_hash}, attributes()])
    second = engine.call("engine_getPayloadV2", [later["payloadId"]])["executionPayload"]
    assert (second["parentHash"], second["blockNumber"]) == (block_hash, "0x2")
    assert second["blockHash"] != block_hash


def test_the_first_version_has_neither_withdrawals_nor_a_value():
    engine = Engine()
    begun = engine.call("engine_forkchoiceUpdatedV1", [STATE, attributes(withdrawals=None)])
    payload = engine.call("engine_getPayloadV1", [begun["payloadId"]])
    assert "withdrawals" not in payload
    assert payload["parentHash"] == GENESIS


@pytest.mark.parametrize(
    ("method", "params", "code", "message"),
    [
        ("engine_getPayloadV2", ["0x0000000000000009"], -38001, "payload 0x0000000000000009: unknown payload"),
        ("engine_newPayloadV2", [{}], -32602, "engine_newPayloadV2: bad parameters (KeyError)"),
        ("engine_newPayloadV2", [], -32602, "engine_newPayloadV2: bad parameters (IndexError)"),
        ("engine_newPayloadV1", [7], -32602, "engine_newPayloadV1: bad parameters (TypeError)"),
        ("engine_newPayloadV4", [{}], -32601, "engine_newPayloadV4: method not found"),
        ("eth_blockNumber", [], -32601, "eth_blockNumber: method not found"),
    ],
)
def test_refusals(method, params, code, message):
    with pytest.raises(EngineError) as raised:
        Engine().call(method, params)
    assert (raised.value.code, str(raised.value)) == (code, message)


def test_old_payloads_are_forgotten():
    engine = Engine()
    first = engine.call("engine_forkchoiceUpdatedV1", [STATE, attributes()])["payloadId"]
    for number in range(KEPT):
        engine.call("engine_forkchoiceUpdatedV1", [STATE, attributes(timestamp=hex(100 + number))])
    with pytest.raises(EngineError):
        engine.call("engine_getPayloadV1", [first])


def test_over_http():
    with EngineServer() as server, httpx.Client(base_url=server.url, trust_env=False) as client:
        call = {"jsonrpc": "2.0", "id": 5, "method": "engine_exchangeTransitionConfigurationV1", "params": [{"a": "b"}]}
        assert client.post("/", json=call).json() == {"jsonrpc": "2.0", "id": 5, "result": {"a": "b"}}
        unknown = {"jsonrpc": "2.0", "id": 6, "method": "x", "params": []}
        assert client.post("/", json=[call, unknown]).json() == [
            {"jsonrpc": "2.0", "id": 5, "result": {"a": "b"}},
            {"jsonrpc": "2.0", "id": 6, "error": {"code": -32601, "message": "x: method not found"}},
        ]
        assert client.post("/", content=b"{").status_code == 400


def test_a_huge_body_is_not_read():
    with EngineServer() as server:
        connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=5)
        connection.putrequest("POST", "/")
        connection.putheader("Content-Length", "99999999")
        connection.endheaders()
        assert connection.getresponse().status == 413
        connection.close()

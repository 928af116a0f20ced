"""States and blocks that a staking pool reports on, from nodes of several habits."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from ssv_pool.beacon.client import BeaconClient
from ssv_pool.beacon.errors import BeaconError
from ssv_pool.beacon.state_api import ValidatorState
from ssv_pool.protocol.types.primitives import Epoch, PublicKey, Slot

OURS, OTHERS = PublicKey(b"\x01" * 48), PublicKey(b"\x02" * 48)


def entry(key: bytes) -> dict[str, Any]:
    validator = {"pubkey": f"0x{key.hex()}", "activation_epoch": "5", "exit_epoch": str(2**64 - 1)}
    return {"index": "7", "balance": "32000000001", "status": "active_ongoing", "validator": validator}


def client(answer: Callable[[httpx.Request], httpx.Response]) -> BeaconClient:
    return BeaconClient(["http://node"], transport=lambda _: httpx.MockTransport(answer))


def data(value: object) -> httpx.Response:
    return httpx.Response(200, json={"data": value})


STATE = {OURS: ValidatorState(OURS, "active_ongoing", 32_000_000_001, Epoch(5), Epoch(2**64 - 1))}


def test_balances_are_asked_for_by_keys_and_a_node_that_ignores_them_says_too_much() -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append((request.method, request.url.path, json.loads(request.content)))
        return data([entry(OURS), entry(OTHERS)])

    assert client(answer).validator_states("320", [OURS]) == STATE
    assert asked == [("POST", "/eth/v1/beacon/states/320/validators", {"ids": [f"0x{OURS.hex()}"]})]
    assert client(answer).validator_states("head", []) == {}


def test_a_node_without_the_post_is_asked_with_get() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(405) if request.method == "POST" else data([entry(OURS)])

    assert client(answer).validator_states("head", [OURS]) == STATE


def test_a_state_that_the_node_does_not_have_is_an_error() -> None:
    with pytest.raises(BeaconError):
        client(lambda _: httpx.Response(404, json={"message": "no such state"})).validator_states("320", [OURS])


def test_pending_deposits_are_keys_or_not_told() -> None:
    waiting = [{"pubkey": f"0x{OURS.hex()}", "amount": "32000000000"}]
    assert client(lambda _: data(waiting)).pending_deposits() == {OURS}
    for status in (400, 404, 405, 501):
        assert client(lambda _, status=status: httpx.Response(status)).pending_deposits() is None  # type: ignore[misc]
    with pytest.raises(BeaconError):
        client(lambda _: data([{"pubkey": "0x11"}])).pending_deposits()


def test_checkpoint_block_and_period() -> None:
    checkpoints = {"finalized": {"epoch": "9", "root": "0x" + "00" * 32}}
    assert client(lambda _: data(checkpoints)).finalized_epoch() == 9
    block = {"message": {"body": {"execution_payload": {"block_number": "77"}}}}
    assert client(lambda _: data(block)).execution_block(Slot(320)) == 77
    assert client(lambda _: httpx.Response(404)).execution_block(Slot(320)) is None
    assert client(lambda _: data({"SHARD_COMMITTEE_PERIOD": "64"})).shard_committee_period() == 64
    assert client(lambda _: data({})).shard_committee_period() == 256

"""Answers of an execution node that are no answers."""

import json
from collections.abc import Callable

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssv_pool.errors import ConfigError
from ssv_pool.registry import rpc
from ssv_pool.registry.rpc import ExecutionError, ExecutionNode, RefusedError
from ssv_pool.store.cursor import Block

ADDRESS = b"\x12" * 20


def node_that(answer: Callable[[httpx.Request], httpx.Response]) -> ExecutionNode:
    node = ExecutionNode("https://user:secret@node.example:8545/v3/secret")
    node._client = httpx.Client(transport=httpx.MockTransport(answer))
    return node


def answers(status: int, content: bytes) -> ExecutionNode:
    return node_that(lambda request: httpx.Response(status, content=content))


def gives(result: object) -> ExecutionNode:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"jsonrpc": "2.0", "id": json.loads(request.content)["id"], "result": result})

    return node_that(answer)


def fails(error: Exception) -> ExecutionNode:
    def answer(request: httpx.Request) -> httpx.Response:
        raise error

    return node_that(answer)


CASES = {
    "rate-limit": (answers(429, b""), ExecutionError, "refused eth_getLogs, too many requests (status 429)"),
    "too-large-request": (answers(413, b""), RefusedError, "refused eth_getLogs (status 413)"),
    "bad-request": (answers(400, b"no"), RefusedError, "refused eth_getLogs (status 400)"),
    "bad-gateway": (answers(502, b"<html>"), ExecutionError, "answer to eth_getLogs is not JSON-RPC (status 502)"),
    "a-list": (answers(200, b"[]"), ExecutionError, "answer to eth_getLogs is not JSON-RPC (status 200)"),
    "deep-nesting": (
        answers(200, b"[" * 100_000),
        ExecutionError,
        "answer to eth_getLogs is not JSON-RPC (status 200)",
    ),
    "refusal-with-status": (
        answers(400, b'{"error": {"code": -32602, "message": "range\\n too \\u001b[31mlarge"}}'),
        RefusedError,
        "refused eth_getLogs: range  too  [31mlarge (code -32602)",
    ),
    "refusal-without-form": (answers(200, b'{"error": "no"}'), RefusedError, "refused eth_getLogs: no"),
    "long-refusal": (
        answers(200, b'{"error": "' + b"x" * 1000 + b'"}'),
        RefusedError,
        f"refused eth_getLogs: {'x' * 200}…",
    ),
    "other-id": (
        answers(200, b'{"id": 77, "result": []}'),
        ExecutionError,
        "answer cannot be right, eth_getLogs has id 77, expected 1",
    ),
    "slow": (fails(httpx.ReadTimeout("")), RefusedError, "no answer to eth_getLogs in time"),
    "slow-connection": (fails(httpx.ConnectTimeout("")), ExecutionError, "no answer to eth_getLogs in time"),
    "no-connection": (fails(httpx.ConnectError("https://secret")), ExecutionError, "cannot be reached (ConnectError)"),
    "not-logs": (gives("0x"), ExecutionError, "answer cannot be right, eth_getLogs is not a list"),
}


@pytest.mark.parametrize(("node", "kind", "text"), CASES.values(), ids=CASES)
def test_what_is_no_answer(node: ExecutionNode, kind: type[ExecutionError], text: str) -> None:
    node._request_ids = iter([1])
    with pytest.raises(ExecutionError) as caught:
        node.logs(ADDRESS, 1, 2)
    assert (type(caught.value), str(caught.value)) == (kind, f"execution node https://node.example:8545: {text}")


def test_an_endless_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc, "_MAX_ANSWER_BYTES", 1000)
    with pytest.raises(RefusedError, match=r"answer to eth_getLogs is over 1000 bytes$"):
        answers(200, bytes(5000)).logs(ADDRESS, 1, 2)


@pytest.mark.parametrize(
    "changes",
    [
        {"number": "0x8"},
        {"number": None},
        {"hash": "0x12"},
        {"hash": None},
        {"timestamp": 5},
        {"parentHash": "12" * 32},
    ],
)
def test_a_block_that_cannot_be_right(changes: dict[str, object]) -> None:
    block = {"number": "0x7", "hash": "0x" + "12" * 32, "parentHash": "0x" + "34" * 32, "timestamp": "0x9"}
    assert gives(block).block(7) == Block(7, b"\x12" * 32, b"\x34" * 32, 9)
    with pytest.raises(ExecutionError):
        gives(block | changes).block(7)


def test_a_port_that_is_none() -> None:
    with pytest.raises(ConfigError) as caught:
        ExecutionNode("http://node.example:99999/secret")
    assert str(caught.value) == "execution.nodes: bad port in the URL of node.example, expected 1 to 65535"


def test_no_latest_block() -> None:
    with pytest.raises(ExecutionError, match="has no latest block"):
        gives(None).head()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(["0x", "0x1", "0x" + "12" * 32]),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["topics", "data", "address", "number"]), inner),
)


@settings(deadline=None)
@given(JSON)
def test_any_json_gives_a_value_or_our_error(result: object) -> None:
    node = gives(result)
    for call in (
        node.chain_id,
        node.check_synced,
        node.head,
        lambda: node.block(1),
        lambda: node.has_code(ADDRESS),
        lambda: node.logs(ADDRESS, 1, 2),
    ):
        problem = ""
        try:
            call()
        except ExecutionError as error:
            problem = str(error)
        assert "\n" not in problem
        assert "secret" not in problem

"""Logs followed block by block, from nodes that answer anything."""

from typing import Any

import pytest
from web3 import Web3
from web3.providers.base import BaseProvider
from web3.types import RPCEndpoint, RPCResponse

from ssv_pool.errors import UnavailableError
from ssv_pool.pool.logs import SETTLED_BLOCKS, FollowedLogs

CONTRACT = "0x" + "11" * 20
TOPIC = b"\x22" * 32


def entry(block: int) -> dict[str, Any]:
    return {
        "address": CONTRACT,
        "topics": ["0x" + TOPIC.hex()],
        "data": "0x",
        "blockNumber": hex(block),
        "blockHash": "0x" + "33" * 32,
        "transactionHash": "0x" + "44" * 32,
        "transactionIndex": "0x0",
        "logIndex": "0x0",
        "removed": False,
    }


class Node(BaseProvider):
    """Has one log in each block; ``without`` is a field that it leaves out."""

    def __init__(self, without: str = "") -> None:
        super().__init__()
        self.without = without
        self.asked: list[tuple[int, int]] = []

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        assert method == "eth_getLogs"
        low, high = int(params[0]["fromBlock"], 16), int(params[0]["toBlock"], 16)
        self.asked.append((low, high))
        found = [
            {name: value for name, value in entry(n).items() if name != self.without} for n in range(low, high + 1)
        ]
        return {"jsonrpc": "2.0", "id": 1, "result": found}


def follow(node: Node) -> FollowedLogs[int]:
    return FollowedLogs(Web3(node), CONTRACT, [TOPIC], 0, lambda log: int(log["blockNumber"]) + 0 * log["topics"][0][0])


def test_settled_blocks_are_read_once() -> None:
    node = Node()
    logs = follow(node)
    assert logs.up_to(SETTLED_BLOCKS + 4) == list(range(SETTLED_BLOCKS + 5))
    assert logs.up_to(SETTLED_BLOCKS + 5) == list(range(SETTLED_BLOCKS + 6))
    assert node.asked == [(0, 4), (5, SETTLED_BLOCKS + 4), (5, 5), (6, SETTLED_BLOCKS + 5)]


@pytest.mark.parametrize("field", ["blockNumber", "logIndex", "topics"])
def test_a_log_without_a_field_is_one_error_of_ours(field: str) -> None:
    with pytest.raises(UnavailableError, match="something else than JSON-RPC"):
        follow(Node(without=field)).up_to(3)

"""An execution node for tests of clients: a web3 provider that answers JSON-RPC from memory.

It knows one contract, whose calls succeed or revert as told, and refuses transactions as told.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from eth_account import Account
from eth_account.typed_transactions import TypedTransaction
from eth_utils.crypto import keccak
from hexbytes import HexBytes
from web3 import Web3
from web3.providers import BaseProvider

CHAIN_ID = 7
GWEI = 10**9


@dataclass
class FakeNode(BaseProvider):
    """What it answers, and what was sent to it."""

    balance: int = 10**18
    base_fee: int = 5 * GWEI
    tip: int = 1 * GWEI
    gas: int = 50_000
    revert: bytes | None = None
    """Data with which calls and estimates are refused."""
    answer: bytes = bytes(32)
    """What calls return."""
    fails_when_mined: bool = False
    mines: bool = True
    refusals: list[str] = field(default_factory=list)
    """Words with which the next transactions are refused, first come first."""
    keeps_refused: bool = False
    """Whether a refused transaction is known all the same."""
    no_pending: bool = False
    """Whether calls on the pending state are refused."""
    dead: bool = False
    dies_at_send: bool = False
    logs: list[dict[str, Any]] = field(default_factory=list)
    """Logs as JSON-RPC has them; see `make_log`."""
    head: int = 1
    """Number of the newest block."""
    largest_range: int = 10**9
    """Blocks that a query of logs may span."""
    ranges: list[tuple[int, int]] = field(default_factory=list)
    """First and last block of each query of logs that was answered."""
    sent: list[dict[str, Any]] = field(default_factory=list)
    """Transactions that were taken."""
    asked: list[str] = field(default_factory=list)
    called: list[str] = field(default_factory=list)
    """Addresses that were called, in lower case."""

    def __post_init__(self) -> None:
        super().__init__()
        self.count = 0
        self.known: dict[str, int] = {}

    def make_request(self, method: str, params: Any) -> Any:
        self.asked.append(method)
        if self.dead:
            raise ConnectionError("refused: http://user:secret@node/")
        answer = getattr(self, "_" + re.sub(r"(?<=[a-z])([A-Z])", r"_\1", method).lower())(*params)
        return {"jsonrpc": "2.0", "id": 1, **answer}

    def _eth_chain_id(self) -> Any:
        return {"result": hex(CHAIN_ID)}

    def _eth_get_balance(self, address: str, block: str) -> Any:
        return {"result": hex(self.balance)}

    def _eth_get_code(self, address: str, block: str) -> Any:
        return {"result": "0x" if int(address, 16) == 0 else "0x60"}

    def _eth_call(self, call: dict[str, Any], block: str) -> Any:
        self.called.append(call["to"].lower())
        if block == "pending" and self.no_pending:
            return {"error": {"code": -32000, "message": "pending state is not available"}}
        if self.revert is not None or (self.fails_when_mined and block != "pending"):
            data = f"0x{(self.revert or b'').hex()}"
            return {"error": {"code": 3, "message": "execution reverted", "data": data}}
        return {"result": f"0x{self.answer.hex()}"}

    def _eth_block_number(self) -> Any:
        return {"result": hex(self.head)}

    def _eth_get_logs(self, query: dict[str, Any]) -> Any:
        first, last = int(query["fromBlock"], 16), int(query["toBlock"], 16)
        if last - first >= self.largest_range:
            return {"error": {"code": -32005, "message": "range too large"}}
        self.ranges.append((first, last))
        found = [
            log
            for log in self.logs
            if first <= int(log["blockNumber"], 16) <= last
            and len(log["topics"]) >= len(query["topics"])
            and all(topic in wanted for topic, wanted in zip(log["topics"], query["topics"], strict=False))
        ]
        return {"result": found}

    def _eth_estimate_gas(self, call: dict[str, Any], block: str = "latest") -> Any:
        return {"result": hex(self.gas)}

    def _eth_max_priority_fee_per_gas(self) -> Any:
        return {"result": hex(self.tip)}

    def _eth_get_block_by_number(self, block: str, full: bool) -> Any:
        return {"result": {"number": "0x1", "baseFeePerGas": hex(self.base_fee)}}

    def _eth_get_transaction_count(self, address: str, block: str) -> Any:
        assert block == "pending"
        return {"result": hex(self.count)}

    def _eth_send_raw_transaction(self, raw: str) -> Any:
        if self.dies_at_send:
            raise ConnectionError("timed out: http://user:secret@node/")
        decoded = TypedTransaction.from_bytes(HexBytes(raw)).as_dict()
        tx_hash = f"0x{keccak(HexBytes(raw)).hex()}"
        if self.refusals:
            words = self.refusals.pop(0)
            if self.keeps_refused:
                self.known[tx_hash] = decoded["nonce"]
            self.count += 1
            return {"error": {"code": -32000, "message": words}}
        assert decoded["nonce"] == self.count, "a nonce that is not the next"
        self.sent.append(decoded | {"from": Account.recover_transaction(raw)})
        self.known[tx_hash] = decoded["nonce"]
        self.count += 1
        return {"result": tx_hash}

    def _eth_get_transaction_by_hash(self, tx_hash: str) -> Any:
        return {"result": {"hash": tx_hash} if tx_hash in self.known else None}

    def _eth_get_transaction_receipt(self, tx_hash: str) -> Any:
        if not self.mines or tx_hash not in self.known:
            return {"result": None}
        return {
            "result": {
                "transactionHash": tx_hash,
                "blockNumber": "0x9",
                "status": "0x0" if self.fails_when_mined else "0x1",
                "gasUsed": "0x64",
                "effectiveGasPrice": "0x7",
                "logs": [],
                "contractAddress": None,
            }
        }


def make_log(block: int, topics: Sequence[bytes], data: bytes, index: int = 0) -> dict[str, Any]:
    """A log of the contract at 0x5f…5f."""
    return {
        "address": "0x" + "5f" * 20,
        "topics": [f"0x{topic.hex()}" for topic in topics],
        "data": f"0x{data.hex()}",
        "blockNumber": hex(block),
        "blockHash": f"0x{block:064x}",
        "transactionHash": f"0x{block:064x}",
        "transactionIndex": "0x0",
        "logIndex": hex(index),
        "removed": False,
    }


def connected(node: FakeNode) -> Web3:
    """A web3 that talks with the node alone."""
    return Web3(node)

"""Block headers and receipts as a JSON-RPC node gives them, and what they prove.

A header is bound to its block's hash: the hash is computed anew from the header's fields. Its bloom then says which
contracts may have logged something in the block, and its receipts root what exactly they logged.

Sources: the Ethereum yellow paper, sections 4.3 and 4.4; EIP-1559, EIP-2718, EIP-4788, EIP-4844, EIP-4895, EIP-7685,
EIP-7928 and EIP-7843 for the fields that came later.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eth_utils.crypto import keccak

from ssv_pool.registry import rlp
from ssv_pool.store.cursor import Block

BLOOM_BYTES = 256
"""Bytes of a logs bloom."""

_FIXED = (
    ("parentHash", 32),
    ("sha3Uncles", 32),
    ("miner", 20),
    ("stateRoot", 32),
    ("transactionsRoot", 32),
    ("receiptsRoot", 32),
    ("logsBloom", BLOOM_BYTES),
    ("difficulty", 0),
    ("number", 0),
    ("gasLimit", 0),
    ("gasUsed", 0),
    ("timestamp", 0),
    ("extraData", -1),
    ("mixHash", 32),
    ("nonce", 8),
)
"""Header fields in their order, with their bytes; 0 for a number, -1 for any length."""

_LATER = (
    ("baseFeePerGas", 0),
    ("withdrawalsRoot", 32),
    ("blobGasUsed", 0),
    ("excessBlobGas", 0),
    ("parentBeaconBlockRoot", 32),
    ("requestsHash", 32),
    ("blockAccessListHash", 32),
    ("slotNumber", 0),
)
"""Fields that forks appended, in their order: a header has the first few of them."""

_BESIDE = frozenset({"hash", "totalDifficulty", "size", "uncles", "transactions", "withdrawals"})
"""What a node's answer holds beside the header."""


class HeaderError(ValueError):
    """A header or a receipt that cannot be right."""


@dataclass(frozen=True, slots=True)
class Header:
    """A block's header."""

    block: Block
    receipts_root: bytes
    """32 bytes."""
    bloom: bytes
    """256 bytes."""
    transactions: tuple[bytes, ...]
    """Hashes of its transactions, 32 bytes each."""
    bound: bool
    """Whether the hash was computed from the fields. False where the answer has fields of a fork that this client does
    not know: bloom and receipts root are then the node's word."""

    def may_have_logs(self, address: bytes, topics: Iterable[bytes]) -> bool:
        """Whether the bloom allows that ``address`` (20 bytes) logged one of ``topics`` (32 bytes each) first."""
        return bloom_has(self.bloom, address) and any(bloom_has(self.bloom, topic) for topic in topics)


@dataclass(frozen=True, slots=True)
class ReceiptLog:
    """One log of a receipt."""

    address: bytes
    topics: tuple[bytes, ...]
    data: bytes
    transaction_hash: bytes
    transaction_index: int
    log_index: int
    """Place in the block, counted over its receipts."""


def parse_header(fields: Mapping[str, Any]) -> Header:
    """Read a header as ``eth_getBlockByNumber`` without whole transactions gives it.

    Raises:
        HeaderError: a field is missing or malformed, or the hash is not that of the fields.
    """
    values = [_value(fields, name, size) for name, size in _FIXED]
    later = [(name, size) for name, size in _LATER if fields.get(name) is not None]
    values += [_value(fields, name, size) for name, size in later]
    number = hex_number("block number", fields.get("number"))
    claimed = hex_bytes("block hash", fields.get("hash"), 32)
    bound = keccak(rlp.encode(values)) == claimed
    strange = fields.keys() - {name for name, _ in _FIXED + _LATER} - _BESIDE
    if not bound and not strange:
        raise HeaderError(f"header of block {number} does not have the hash 0x{claimed.hex()}")
    transactions = fields.get("transactions")
    if not isinstance(transactions, list):
        raise HeaderError(f"block {number} has no list of transactions")
    block = Block(
        number=number,
        hash=claimed,
        parent_hash=hex_bytes("parent hash", fields.get("parentHash"), 32),
        time=hex_number("block timestamp", fields.get("timestamp")),
    )
    return Header(
        block=block,
        receipts_root=hex_bytes("receipts root", fields.get("receiptsRoot"), 32),
        bloom=hex_bytes("logs bloom", fields.get("logsBloom"), BLOOM_BYTES),
        transactions=tuple(hex_bytes("transaction hash", item, 32) for item in transactions),
        bound=bound,
    )


def receipt_logs(header: Header, receipts: Sequence[Mapping[str, Any]]) -> list[ReceiptLog]:
    """All logs of a block, from its receipts in the order of its transactions.

    Raises:
        HeaderError: a receipt is malformed, or they do not make up the header's receipts root.
    """
    number = header.block.number
    if len(receipts) != len(header.transactions):
        raise HeaderError(f"block {number} has {len(header.transactions)} transactions, found {len(receipts)} receipts")
    encoded = []
    logs: list[ReceiptLog] = []
    for place, (receipt, transaction) in enumerate(zip(receipts, header.transactions, strict=True)):
        items = receipt.get("logs")
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise HeaderError(f"receipt {place} of block {number} has no list of logs")
        for item in items:
            topics = item.get("topics")
            if not isinstance(topics, list) or len(topics) > 4:
                raise HeaderError(f"receipt {place} of block {number} has a log without topics")
            log = ReceiptLog(
                hex_bytes("log address", item.get("address"), 20),
                tuple(hex_bytes("log topic", topic, 32) for topic in topics),
                hex_bytes("log data", item.get("data")),
                transaction,
                place,
                len(logs),
            )
            logs.append(log)
        encoded.append(_encode_receipt(receipt, logs[len(logs) - len(items) :]))
    root = rlp.ordered_root(encoded)
    if root != header.receipts_root:
        raise HeaderError(
            f"receipts of block {number} have the root 0x{root.hex()}, expected 0x{header.receipts_root.hex()}"
        )
    return logs


def bloom_has(bloom: bytes, item: bytes) -> bool:
    """Whether a bloom filter (256 bytes) may hold an item. Source: the yellow paper, function M."""
    digest = keccak(item)
    for start in (0, 2, 4):
        bit = int.from_bytes(digest[start : start + 2], "big") & 0x7FF
        if not bloom[BLOOM_BYTES - 1 - bit // 8] >> bit % 8 & 1:
            return False
    return True


def hex_bytes(what: str, value: object, size: int | None = None) -> bytes:
    """0x and hex digits as bytes. Raises HeaderError for anything else, or for another length than ``size``."""
    if isinstance(value, str) and value.startswith("0x"):
        try:
            raw = bytes.fromhex(value[2:])
        except ValueError:
            raw = None
        if raw is not None and 2 * len(raw) + 2 == len(value) and size in (None, len(raw)):
            return raw
    expected = "hex bytes" if size is None else f"{size} hex bytes"
    raise HeaderError(f"{what} is {str(value)[:100]!r}, expected {expected}")


def hex_number(what: str, value: object) -> int:
    """0x and hex digits as a number below 2**63. Raises HeaderError."""
    number = _number(what, value)
    if number >= 2**63:
        raise HeaderError(f"{what} is {value}, expected a number below 2^63")
    return number


def _number(what: str, value: object) -> int:
    if isinstance(value, str) and value.startswith("0x") and 2 < len(value) <= 66 and value[2:].isalnum():
        try:
            return int(value, 0)
        except ValueError:
            pass
    raise HeaderError(f"{what} is {str(value)[:100]!r}, expected a hex number")


def _value(fields: Mapping[str, Any], name: str, size: int) -> bytes | int:
    value = fields.get(name)
    return _number(name, value) if size == 0 else hex_bytes(name, value, None if size < 0 else size)


def _encode_receipt(receipt: Mapping[str, Any], logs: Sequence[ReceiptLog]) -> bytes:
    kind = _number("receipt type", receipt.get("type", "0x0"))
    # Before Byzantium a receipt had a state root in place of the status.
    root = receipt.get("root")
    outcome: bytes | int
    if receipt.get("status") is not None:
        outcome = _number("receipt status", receipt["status"])
    else:
        outcome = hex_bytes("receipt root", root, 32)
    body = rlp.encode(
        [
            outcome,
            _number("cumulative gas", receipt.get("cumulativeGasUsed")),
            hex_bytes("receipt bloom", receipt.get("logsBloom"), BLOOM_BYTES),
            [[log.address, list(log.topics), log.data] for log in logs],
        ]
    )
    if kind > 0x7F:
        raise HeaderError(f"receipt type is {kind}, expected at most 127")
    return body if kind == 0 else bytes([kind]) + body

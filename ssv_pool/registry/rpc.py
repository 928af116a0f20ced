"""A small Ethereum JSON-RPC client: the few calls that registry sync needs, each answer checked before use."""

import re
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any
from urllib.parse import urlsplit

import httpx

from ssv_pool import bounded_json
from ssv_pool.errors import ConfigError, UnavailableError
from ssv_pool.registry.events import Log
from ssv_pool.registry.headers import Header, HeaderError, parse_header, receipt_logs
from ssv_pool.store.cursor import Block

_MAX_ANSWER_BYTES = 64 * 2**20
_RATE_LIMITED = 429
_SHOWN_CHARACTERS = 200

HEADERS_AT_ONCE = 100
"""Headers asked for in one request (a JSON-RPC batch): more are refused by some providers."""


class ExecutionError(UnavailableError):
    """An execution node cannot be reached, is not synced, or gives answers that cannot be right."""


class RefusedError(ExecutionError):
    """An execution node refused a request, or took too long: perhaps the range of blocks was too large for it."""


class ExecutionNode:
    """One execution node.

    Args:
        url: JSON-RPC address. It may hold an API key: messages show scheme and host only.
        timeout_seconds: time limit of one request.

    Raises:
        ConfigError: the URL has a port that is none.
    """

    def __init__(self, url: str, timeout_seconds: float = 10.0) -> None:
        parts = urlsplit(url)
        try:
            port = f":{parts.port}" if parts.port else ""
        except ValueError:
            raise ConfigError(
                f"execution.nodes: bad port in the URL of {parts.hostname}, expected 1 to 65535"
            ) from None
        self.name = f"execution node {parts.scheme}://{parts.hostname}{port}"
        """For messages."""
        self._url = url
        self._client = httpx.Client(timeout=timeout_seconds)
        self._request_ids = count(1)
        self._takes_batches = True
        self._gives_block_receipts = True

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def chain_id(self) -> int:
        """The chain's id (EIP-155)."""
        return self._quantity("eth_chainId", self._call("eth_chainId"))

    def check_synced(self) -> None:
        """Raises ExecutionError while the node is catching up with its chain."""
        syncing = self._call("eth_syncing")
        if syncing is False:
            return
        progress = syncing if isinstance(syncing, Mapping) else {}
        try:
            current, highest = int(str(progress["currentBlock"]), 16), int(str(progress["highestBlock"]), 16)
        except (KeyError, ValueError):
            raise ExecutionError(f"{self.name}: not synced") from None
        raise ExecutionError(f"{self.name}: not synced, at block {current} of {highest}")

    def has_code(self, address: bytes) -> bool:
        """Whether there is a contract at ``address`` (20 bytes)."""
        return bool(self._bytes("code", self._call("eth_getCode", f"0x{address.hex()}", "latest")))

    def head(self) -> Block:
        """The latest block."""
        block = self._block("latest")
        if block is None:
            raise ExecutionError(f"{self.name}: has no latest block")
        return block

    def block(self, number: int) -> Block | None:
        """The block with this number; None when the node has none."""
        block = self._block(hex(number))
        if block is not None and block.number != number:
            raise ExecutionError(f"{self.name}: gave block {block.number} when asked for {number}")
        return block

    def logs(self, address: bytes, first: int, last: int) -> list[Log]:
        """All logs of a contract in blocks ``first`` to ``last``, in the chain's order.

        Raises:
            RefusedError: the node refused, or its answer took too long or is too large.
            ExecutionError: the node cannot be reached, or its answer cannot be right.
        """
        query = {"address": f"0x{address.hex()}", "fromBlock": hex(first), "toBlock": hex(last)}
        answer = self._call("eth_getLogs", query)
        if not isinstance(answer, list):
            raise self._wrong("eth_getLogs", "is not a list")
        logs: dict[tuple[int, int], Log] = {}
        for item in answer:
            log = self._log(item, address)
            if not first <= log.block_number <= last:
                raise self._wrong("eth_getLogs", f"has a log of block {log.block_number}, not in {first} to {last}")
            known = logs.setdefault((log.block_number, log.log_index), log)
            if known != log:
                raise self._wrong("eth_getLogs", f"has two logs {log.log_index} in block {log.block_number}")
        return sorted(logs.values(), key=lambda log: (log.block_number, log.transaction_index, log.log_index))

    def headers(self, numbers: Sequence[int]) -> list[Header]:
        """The headers of these blocks, in the same order, each checked to have its hash.

        Many go into one request where the node takes such batches.

        Raises:
            RefusedError: the node refused.
            ExecutionError: the node cannot be reached, lacks a block, or its answer cannot be right.
        """
        found: list[Header] = []
        for start in range(0, len(numbers), HEADERS_AT_ONCE):
            asked = numbers[start : start + HEADERS_AT_ONCE]
            answers = self._call_all("eth_getBlockByNumber", [(hex(number), False) for number in asked])
            for number, answer in zip(asked, answers, strict=True):
                if answer is None:
                    raise ExecutionError(f"{self.name}: has no block {number}")
                try:
                    header = parse_header(self._fields("eth_getBlockByNumber", answer))
                except HeaderError as error:
                    raise self._wrong("eth_getBlockByNumber", str(error)) from None
                if header.block.number != number:
                    raise ExecutionError(f"{self.name}: gave block {header.block.number} when asked for {number}")
                found.append(header)
        return found

    def proven_logs(self, header: Header, address: bytes) -> list[Log]:
        """All logs of a contract in one block, from receipts that make up the header's receipts root.

        Raises:
            RefusedError: the node refused.
            ExecutionError: the node cannot be reached, or its receipts are not the header's.
        """
        block = header.block
        receipts = self._receipts(header)
        try:
            logs = receipt_logs(header, [self._fields("receipt", receipt) for receipt in receipts])
        except HeaderError as error:
            raise self._wrong("receipts", str(error)) from None
        return [
            Log(
                log.topics,
                log.data,
                block.number,
                block.hash,
                log.transaction_hash,
                log.transaction_index,
                log.log_index,
            )
            for log in logs
            if log.address == address
        ]

    def _receipts(self, header: Header) -> list[Any]:
        if self._gives_block_receipts:
            try:
                answer = self._call("eth_getBlockReceipts", hex(header.block.number))
            except RefusedError:
                # Not every provider has this call. One that failed for another reason is only asked more slowly.
                self._gives_block_receipts = False
            else:
                if not isinstance(answer, list):
                    raise self._wrong("eth_getBlockReceipts", "is not a list")
                return answer
        found: list[Any] = []
        for start in range(0, len(header.transactions), HEADERS_AT_ONCE):
            hashes = header.transactions[start : start + HEADERS_AT_ONCE]
            found += self._call_all("eth_getTransactionReceipt", [(f"0x{item.hex()}",) for item in hashes])
        return found

    def _block(self, name: str) -> Block | None:
        answer = self._call("eth_getBlockByNumber", name, False)
        if answer is None:
            return None
        fields = self._fields("eth_getBlockByNumber", answer)
        return Block(
            number=self._quantity("block number", fields.get("number")),
            hash=self._bytes("block hash", fields.get("hash"), 32),
            parent_hash=self._bytes("parent hash", fields.get("parentHash"), 32),
            time=self._quantity("block timestamp", fields.get("timestamp")),
        )

    def _log(self, item: object, address: bytes) -> Log:
        fields = self._fields("eth_getLogs", item)
        topics = fields.get("topics")
        if self._bytes("log address", fields.get("address"), 20) != address:
            raise self._wrong("eth_getLogs", f"has a log of another contract than 0x{address.hex()}")
        if fields.get("removed", False) is not False or not isinstance(topics, list) or len(topics) > 4:
            raise self._wrong("eth_getLogs", "has a log that is removed or has no list of topics")
        return Log(
            topics=tuple(self._bytes("log topic", topic, 32) for topic in topics),
            data=self._bytes("log data", fields.get("data")),
            block_number=self._quantity("log block number", fields.get("blockNumber")),
            block_hash=self._bytes("log block hash", fields.get("blockHash"), 32),
            transaction_hash=self._bytes("log transaction hash", fields.get("transactionHash"), 32),
            transaction_index=self._quantity("log transaction index", fields.get("transactionIndex")),
            log_index=self._quantity("log index", fields.get("logIndex")),
        )

    def _call(self, method: str, *params: Any) -> Any:
        """One request. Raises RefusedError for an error that the node answered, ExecutionError for all others."""
        request = self._request(method, params)
        status, answer = self._exchange(method, request)
        return self._result(method, request, status, answer)

    def _call_all(self, method: str, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Several requests of one kind, in one batch where the node takes that; results in the same order."""
        if self._takes_batches and len(calls) > 1:
            requests = [self._request(method, params) for params in calls]
            try:
                status, answers = self._exchange(method, requests)
            except RefusedError:
                answers = None
            if isinstance(answers, list) and len(answers) == len(requests):
                by_id = {
                    answer["id"]: answer
                    for answer in answers
                    if isinstance(answer, dict) and isinstance(answer.get("id"), int)
                }
                return [self._result(method, request, status, by_id.get(request["id"])) for request in requests]
            self._takes_batches = False
        return [self._call(method, *params) for params in calls]

    def _request(self, method: str, params: Sequence[Any]) -> dict[str, Any]:
        return {"jsonrpc": "2.0", "id": next(self._request_ids), "method": method, "params": list(params)}

    def _exchange(self, method: str, content: object) -> tuple[int, object]:
        """Send one request or a batch; status and the answer's JSON (None when it is none)."""
        try:
            status, body = self._post(method, content)
        except httpx.TimeoutException as error:
            kind = ExecutionError if isinstance(error, httpx.ConnectTimeout) else RefusedError
            raise kind(f"{self.name}: no answer to {method} in time") from error
        except httpx.HTTPError as error:
            raise ExecutionError(f"{self.name}: cannot be reached ({type(error).__name__})") from error
        if status == _RATE_LIMITED:
            raise ExecutionError(f"{self.name}: refused {method}, too many requests (status {status})")
        try:
            return status, bounded_json.loads(body)
        except ValueError:
            return status, None

    def _result(self, method: str, request: Mapping[str, Any], status: int, answer: object) -> Any:
        if not isinstance(answer, dict) or ("error" not in answer and "result" not in answer):
            if status in (400, 413):
                raise RefusedError(f"{self.name}: refused {method} (status {status})")
            raise ExecutionError(f"{self.name}: answer to {method} is not JSON-RPC (status {status})")
        if answer.get("error") is not None:
            raise RefusedError(f"{self.name}: refused {method}: {_shown(answer['error'])}")
        if answer.get("id") != request["id"]:
            raise self._wrong(method, f"has id {_shown(answer.get('id'))}, expected {request['id']}")
        return answer.get("result")

    def _post(self, method: str, content: object) -> tuple[int, bytes]:
        with self._client.stream("POST", self._url, json=content) as response:
            body = bytearray()
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > _MAX_ANSWER_BYTES:
                    raise RefusedError(f"{self.name}: answer to {method} is over {_MAX_ANSWER_BYTES} bytes")
            return response.status_code, bytes(body)

    def _fields(self, method: str, item: object) -> Mapping[str, object]:
        if not isinstance(item, dict):
            raise self._wrong(method, "is not an object")
        return item

    def _quantity(self, what: str, value: object) -> int:
        if not isinstance(value, str) or not re.fullmatch("0x[0-9a-fA-F]{1,16}", value):
            raise self._wrong(what, f"is {_shown(value)}, expected a hex number")
        number = int(value, 16)
        if number >= 2**63:
            raise self._wrong(what, f"is {value}, expected a number below 2^63")
        return number

    def _bytes(self, what: str, value: object, size: int | None = None) -> bytes:
        if not isinstance(value, str) or not value.startswith("0x"):
            raise self._wrong(what, f"is {_shown(value)}, expected hex bytes")
        try:
            raw = bytes.fromhex(value[2:])
        except ValueError:
            raw = None
        if raw is None or len(raw) * 2 + 2 != len(value) or (size is not None and len(raw) != size):
            expected = "hex bytes" if size is None else f"{size} hex bytes"
            raise self._wrong(what, f"is {_shown(value)}, expected {expected}")
        return raw

    def _wrong(self, what: str, problem: str) -> ExecutionError:
        return ExecutionError(f"{self.name}: answer cannot be right, {what} {problem}")


def _shown(value: object) -> str:
    """A stranger's value in a message: one line, cut short, nothing that moves a terminal's cursor."""
    if isinstance(value, Mapping) and isinstance(value.get("message"), str):
        value = f"{value['message']} (code {value.get('code')!r})"
    text = value if isinstance(value, str) else repr(value)
    printable = "".join(character if character.isprintable() else " " for character in text)
    return printable if len(printable) <= _SHOWN_CHARACTERS else f"{printable[:_SHOWN_CHARACTERS]}…"

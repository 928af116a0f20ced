"""A stand-in for an execution client: the part of the Engine API that a Capella beacon node calls, over HTTP.

It keeps no chain. Every payload is valid, payloads that it makes are empty, and their hashes are unique for what is in
them. Source: the execution-apis repository, ``src/engine`` (paris.md, shanghai.md). It asks for no token.
"""

import hashlib
import json
import sys
import threading
from collections import OrderedDict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self

from ssv_pool import bounded_json

MAX_BODY_BYTES: Final = 16 << 20
"""Largest request body; a payload here is a few kilobytes."""

KEPT: Final = 4096
"""Payloads and block numbers remembered."""

GAS_LIMIT: Final = 30_000_000

_METHOD_NOT_FOUND, _INVALID_PARAMS, _UNKNOWN_PAYLOAD = -32601, -32602, -38001


class EngineError(Exception):
    """A call that is answered with a JSON-RPC error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        """JSON-RPC error code."""


class Engine:
    """The answers, without any I/O. Safe to call from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers: OrderedDict[str, int] = OrderedDict()
        self._payloads: OrderedDict[str, dict[str, Any]] = OrderedDict()

    def call(self, method: str, params: list[Any]) -> Any:
        """The result of one JSON-RPC call.

        Raises:
            EngineError: an unknown method, parameters that it cannot have, or a payload that was never begun.
        """
        name, version = method[:-2], method[-2:]
        with self._lock:
            try:
                if method == "engine_exchangeTransitionConfigurationV1":
                    return params[0]
                if method == "engine_exchangeCapabilities":
                    return []
                if name == "engine_newPayload" and version in ("V1", "V2"):
                    return self._new_payload(params[0])
                if name == "engine_forkchoiceUpdated" and version in ("V1", "V2"):
                    return self._forkchoice_updated(params[0], params[1] if len(params) > 1 else None)
                if name == "engine_getPayload" and version in ("V1", "V2"):
                    return self._get_payload(params[0], version)
            except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
                raise EngineError(_INVALID_PARAMS, f"{method}: bad parameters ({type(error).__name__})") from error
        raise EngineError(_METHOD_NOT_FOUND, f"{method[:60]}: method not found")

    def _new_payload(self, payload: dict[str, Any]) -> Any:
        _keep(self._numbers, payload["blockHash"], int(payload["blockNumber"], 16))
        return _valid(payload["blockHash"])

    def _forkchoice_updated(self, state: dict[str, Any], attributes: dict[str, Any] | None) -> Any:
        head = state["headBlockHash"]
        payload_id = None
        if attributes is not None:
            payload = self._empty_payload(head, attributes)
            payload_id = payload["blockHash"][:18]
            _keep(self._payloads, payload_id, payload)
        return {"payloadStatus": _valid(head), "payloadId": payload_id}

    def _get_payload(self, payload_id: str, version: str) -> Any:
        payload = self._payloads.get(payload_id)
        if payload is None:
            raise EngineError(_UNKNOWN_PAYLOAD, f"payload {payload_id[:18]}: unknown payload")
        return payload if version == "V1" else {"executionPayload": payload, "blockValue": "0x1"}

    def _empty_payload(self, parent: str, attributes: dict[str, Any]) -> dict[str, Any]:
        payload = {
            "parentHash": parent,
            "feeRecipient": attributes["suggestedFeeRecipient"],
            "stateRoot": "0x" + "00" * 32,
            "receiptsRoot": "0x" + "00" * 32,
            "logsBloom": "0x" + "00" * 256,
            "prevRandao": attributes["prevRandao"],
            "blockNumber": hex(self._numbers.get(parent, 0) + 1),
            "gasLimit": hex(GAS_LIMIT),
            "gasUsed": "0x0",
            "timestamp": attributes["timestamp"],
            "extraData": "0x",
            "baseFeePerGas": "0x7",
            "transactions": [],
        }
        if attributes.get("withdrawals") is not None:
            payload["withdrawals"] = attributes["withdrawals"]
        content = json.dumps(payload, sort_keys=True).encode()
        return payload | {"blockHash": "0x" + hashlib.sha256(content).hexdigest()}


def _keep(table: OrderedDict[str, Any], key: str, value: Any) -> None:
    table[key] = value
    while len(table) > KEPT:
        table.popitem(last=False)


def _valid(block_hash: str) -> dict[str, Any]:
    return {"status": "VALID", "latestValidHash": block_hash, "validationError": None}


class EngineServer:
    """Serves an ``Engine`` on 127.0.0.1 from a thread of this process. A context manager."""

    def __init__(self, port: int = 0) -> None:
        """Listen on ``port``, 0 for a free one. Raises OSError: the port is taken."""
        engine = Engine()

        class Handler(_Handler):
            answer = staticmethod(engine.call)

        self._server = _Server(("127.0.0.1", port), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="engine", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """Stop it; stopping it twice is fine."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that was killed has closed its connection: nothing to tell of that."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    """JSON-RPC over HTTP POST, single calls and batches."""

    protocol_version = "HTTP/1.1"

    @staticmethod
    def answer(method: str, params: list[Any]) -> Any:
        raise NotImplementedError

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
            self.send_error(413)
            return
        try:
            request = bounded_json.loads(self.rfile.read(int(length)).decode())
        except ValueError:
            self.send_error(400)
            return
        calls = request if isinstance(request, list) else [request]
        results = [self._one(call) for call in calls]
        body = json.dumps(results if isinstance(request, list) else results[0]).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _one(self, call: Any) -> dict[str, Any]:
        call = call if isinstance(call, dict) else {}
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": call.get("id")}
        params = call.get("params") or []
        try:
            return answer | {"result": self.answer(str(call.get("method")), params if isinstance(params, list) else [])}
        except EngineError as error:
            return answer | {"error": {"code": error.code, "message": str(error)}}

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
        """Nothing: every slot makes several calls."""

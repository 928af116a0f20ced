"""An HTTP proxy in front of a beacon node that goes away or lies about being synced, as told."""

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}


class BeaconProxy:
    """A context manager; passes everything on, streams of events too, one connection a request."""

    def __init__(self, upstream: str) -> None:
        self._upstream = urlsplit(upstream).netloc
        self._port = 0
        self._server: ThreadingHTTPServer | None = None
        self._open: set[socket.socket] = set()
        self.answers: dict[str, Any] = {}
        """Path → JSON given instead of the node's answer."""

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
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                proxy._pass_on(self)

            do_POST = do_GET  # noqa: N815 - http.server's name

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._server.daemon_threads = True
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Go away: connections are refused from now on, and those that are open are cut."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
        for open_socket in list(self._open):
            with suppress(OSError):
                open_socket.shutdown(socket.SHUT_RDWR)

    @contextmanager
    def away(self) -> Iterator[None]:
        self.stop()
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def before(self, upstream: str) -> Iterator[None]:
        """Stand in front of another node; connections that are open are cut."""
        usual = self._upstream
        try:
            with self.away():
                self._upstream = urlsplit(upstream).netloc
            yield
        finally:
            with self.away():
                self._upstream = usual

    def _pass_on(self, request: BaseHTTPRequestHandler) -> None:
        request.close_connection = True
        self._open.add(request.connection)
        try:
            instead = self.answers.get(urlsplit(request.path).path)
            if instead is not None:
                _answer(request, 200, json.dumps(instead).encode())
                return
            self._fetch(request)
        except OSError:
            pass  # one of the two sides hung up
        finally:
            self._open.discard(request.connection)

    def _fetch(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        upstream = http.client.HTTPConnection(self._upstream, timeout=60)
        try:
            headers = {k: v for k, v in request.headers.items() if k.lower() not in _HOP_BY_HOP}
            upstream.request(request.command, request.path, body or None, headers)
            response = upstream.getresponse()
        except (OSError, http.client.HTTPException):
            _answer(request, 502, b"{}")
            return
        with response:
            request.send_response(response.status)
            for name, value in response.getheaders():
                if name.lower() not in _HOP_BY_HOP:
                    request.send_header(name, value)
            request.send_header("Connection", "close")
            request.end_headers()
            while chunk := response.read1(65536):
                request.wfile.write(chunk)
        upstream.close()


def _answer(request: BaseHTTPRequestHandler, status: int, body: bytes) -> None:
    request.send_response(status)
    request.send_header("Content-Type", "application/json")
    request.send_header("Content-Length", str(len(body)))
    request.end_headers()
    request.wfile.write(body)

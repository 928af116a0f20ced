"""The node's two small HTTP servers: metrics for Prometheus, and the node API with health.

They run on threads of their own and only read, so that a busy event loop still answers. Nothing here signs, starts or
changes anything.
"""

import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest

from ssv_pool.errors import UnavailableError
from ssv_pool.observability.health import Health
from ssv_pool.observability.logs import logger

log = logger("http")

Route = Callable[[], tuple[int, str, bytes]]
"""Answers one path: status, content type, body."""


class StatusServer:
    """A read-only HTTP server on a thread."""

    def __init__(self, host: str, port: int, routes: Mapping[str, Route]) -> None:
        """Bind and start. Port 0 takes one from the operating system.

        Raises:
            UnavailableError: the port cannot be bound.
        """
        try:
            self._server = ThreadingHTTPServer((host, port), _handler(routes))
        except OSError as error:
            raise UnavailableError(f"{host}:{port}: cannot listen ({error.strerror}), expected a free port") from None
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, name=f"http-{self.port}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop answering and free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _handler(routes: Mapping[str, Route]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = 5  # a client that says nothing does not hold its thread

        def do_GET(self) -> None:
            status, content_type, body = _answer(routes, self.path)
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
            """Requests for status are not worth a line."""

    return Handler


def _answer(routes: Mapping[str, Route], path: str) -> tuple[int, str, bytes]:
    route = routes.get(path.partition("?")[0])
    if route is None:
        return _json(404, {"error": f"no path {path[:100]!r}"})
    try:
        return route()
    except Exception:
        log.exception("page failed", path=path[:100])
        return _json(500, {"error": "internal error, the log says which"})


def _json(status: int, value: object) -> tuple[int, str, bytes]:
    return status, "application/json", json.dumps(value).encode()


def metrics_routes() -> dict[str, Route]:
    """``/metrics`` in the Prometheus text format."""
    return {"/metrics": lambda: (200, CONTENT_TYPE_LATEST, generate_latest(REGISTRY))}


def api_routes(health: Health, pages: Mapping[str, Callable[[], object]]) -> dict[str, Route]:
    """The node API: ``/v1/node/health``, ``/livez``, ``/readyz`` and further JSON pages.

    Health answers 200 when every part is good, else 503; either way the body names each part.
    """
    routes: dict[str, Route] = {
        "/v1/node/health": lambda: _json(200 if health.ready else 503, health.snapshot()),
        "/livez": lambda: _json(200, {"status": "alive"}),
        "/readyz": lambda: _json(200 if health.ready else 503, {"ready": health.ready}),
    }
    for path, page in pages.items():
        routes[path] = _page(page)
    return routes


def _page(page: Callable[[], object]) -> Route:
    return lambda: _json(200, page())

"""The status servers: read-only pages over real HTTP, and a clear error for a port in use."""

import socket

import httpx
import pytest

from ssv_pool.errors import UnavailableError
from ssv_pool.observability import metrics
from ssv_pool.observability.health import Health
from ssv_pool.observability.http import Route, StatusServer, api_routes, metrics_routes
from ssv_pool.settings import Settings


def test_health_is_503_until_every_part_is_good() -> None:
    health = Health(("p2p",))
    server = StatusServer("127.0.0.1", 0, api_routes(health, {"/v1/node/status": lambda: {"peers": 3}}))
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", trust_env=False) as client:
            answer = client.get("/v1/node/health")
            assert (answer.status_code, answer.json()) == (503, {"p2p": "bad: starting"})
            assert client.get("/readyz").status_code == 503
            health.report("p2p")
            assert client.get("/v1/node/health").json() == {"p2p": "good"}
            assert client.get("/readyz").status_code == 200
            assert client.get("/livez").json() == {"status": "alive"}
            assert client.get("/v1/node/status?x=1").json() == {"peers": 3}
            assert client.get("/v1/node/sign").status_code == 404
            assert client.post("/v1/node/health").status_code == 501
    finally:
        server.close()


def test_metrics_in_the_prometheus_format() -> None:
    metrics.PEERS_CONNECTED.set(3)
    server = StatusServer("127.0.0.1", 0, metrics_routes())
    try:
        text = httpx.get(f"http://127.0.0.1:{server.port}/metrics", trust_env=False).text
    finally:
        server.close()
    assert "\nssv_p2p_peers_connected 3.0\n" in text


def test_a_port_in_use_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UnavailableError) as caught:
            StatusServer("127.0.0.1", port, {})
    assert str(caught.value) == f"127.0.0.1:{port}: cannot listen (Address already in use), expected a free port"


def test_a_page_that_fails_is_an_answer_too() -> None:
    def page() -> object:
        raise KeyError("a bug")

    server = StatusServer("127.0.0.1", 0, api_routes(Health(()), {"/v1/node/status": page}))
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", trust_env=False) as client:
            answer = client.get("/v1/node/status")
            assert (answer.status_code, answer.json()) == (500, {"error": "internal error, the log says which"})
            assert client.get("/livez").status_code == 200
    finally:
        server.close()


PROFILERS = ("/debug/pprof/", "/debug/pprof/profile?seconds=1", "/debug/vars", "/debug", "/profile", "/_profiler", "/")
DEBUGGERS = ("/console", "/admin", "/shutdown", "/v1/node/config", "/v1/keys", "/../etc/passwd", "/v1/node/sign")


@pytest.mark.parametrize("routes", [metrics_routes(), api_routes(Health(()), {"/v1/node/status": dict})])
def test_nothing_to_profile_or_debug_is_served(routes: dict[str, Route]) -> None:
    server = StatusServer("127.0.0.1", 0, routes)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", trust_env=False) as client:
            found = {path: client.get(path).status_code for path in (*PROFILERS, *DEBUGGERS)}
    finally:
        server.close()
    assert set(found.values()) == {404}


def test_the_ports_are_of_this_machine_unless_somebody_says_otherwise() -> None:
    assert Settings.model_fields["api_host"].default == "127.0.0.1"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT"])
def test_nobody_can_hand_in_anything_to_be_signed(method: str) -> None:
    """Pages are only read: there is no request whose body anybody looks at."""
    pages = {"/v1/node/status": dict}
    server = StatusServer("127.0.0.1", 0, api_routes(Health(()), pages) | metrics_routes())
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", trust_env=False) as client:
            for path in (*api_routes(Health(()), pages), "/metrics", "/v1/node/sign", "/eth/v1/keystores"):
                answer = client.request(method, path, json={"root": "0x" + "11" * 32})
                assert answer.status_code == 501
    finally:
        server.close()

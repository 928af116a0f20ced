"""The status servers: read-only pages over real HTTP, and a clear error for a port in use."""

import socket

import httpx
import pytest

from ssv_pool.errors import UnavailableError
from ssv_pool.observability import metrics
from ssv_pool.observability.health import Health
from ssv_pool.observability.http import StatusServer, api_routes, metrics_routes


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

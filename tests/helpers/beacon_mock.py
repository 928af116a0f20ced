"""Beacon nodes without a network: they answer from a table."""

import httpx

from ssv_pool.beacon.client import BeaconClient

SPEC_ROUTES = {
    "GET /eth/v1/beacon/genesis": (
        200,
        {"data": {"genesis_time": "1000", "genesis_validators_root": "0x" + "09" * 32}},
    ),
}


class Node:
    """Answers by "METHOD path": status and body (bytes or JSON), with headers where there are three; a callable that
    gets the request and gives these; or an exception. What is not in the table is status 404.
    """

    def __init__(self, table=(), **more):
        self.table = dict(table) | more
        self.requests = []

    def __call__(self, request):
        self.requests.append(request)
        no_route = (404, {"code": 404, "message": "no route"})
        answer = self.table.get(f"{request.method} {request.url.path}", no_route)
        if callable(answer):
            answer = answer(request)
        if isinstance(answer, Exception):
            raise answer
        status, body, *headers = answer
        if isinstance(body, bytes):
            return httpx.Response(status, content=body, headers=headers[0] if headers else None)
        return httpx.Response(status, json=body, headers=headers[0] if headers else None)

    def asked(self, path=""):
        """Method and path of the requests so far whose path contains ``path``."""
        return [f"{request.method} {request.url.path}" for request in self.requests if path in request.url.path]


def chain_routes(fork, preset):
    """The routes of a chain's constants: one fork from genesis on, 8 slots an epoch."""
    version = "0x00000001"
    spec = {
        "PRESET_BASE": preset.name,
        "SECONDS_PER_SLOT": "12",
        "SLOTS_PER_EPOCH": "8",
        f"{fork.upper()}_FORK_VERSION": version,
    }
    return SPEC_ROUTES | {
        "GET /eth/v1/config/spec": (200, {"data": spec}),
        "GET /eth/v1/config/fork_schedule": (
            200,
            {"data": [{"previous_version": version, "current_version": version, "epoch": "0"}]},
        ),
    }


def client_of(*nodes, **options):
    """A client of these nodes, ``http://node0`` and so on."""
    table = {f"http://node{number}": node for number, node in enumerate(nodes)}
    return BeaconClient(list(table), transport=lambda url: httpx.MockTransport(table[url]), **options)

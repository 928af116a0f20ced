"""Requests to the HTTP application of a stepped beacon node."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from aiohttp.test_utils import TestClient, TestServer
from beacon_stepper import SteppedNode

from ssv_pool.devnet.beacon.api import application

SSZ = "application/octet-stream"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def message(self) -> str:
        return str(self.json["message"])


def request(
    stepped: SteppedNode, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
) -> Answer:
    """One request; bytes are sent as SSZ, anything else as JSON."""
    kind = SSZ if isinstance(body, bytes) else "application/json"
    data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()

    async def go() -> Answer:
        async with TestClient(TestServer(application(stepped.node))) as client:
            sent = ({"Content-Type": kind} if data is not None else {}) | {"Eth-Consensus-Version": "fulu"}
            response = await client.request(method, path, data=data, headers=sent | (headers or {}))
            return Answer(response.status, dict(response.headers), await response.read())

    return asyncio.run(go())

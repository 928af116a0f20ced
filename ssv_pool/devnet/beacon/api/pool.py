"""Area "beacon", pool: signed objects from outside."""

import asyncio
from typing import Any

from aiohttp import web

from ssv_pool.devnet.beacon.api.common import ApiError, json_body
from ssv_pool.devnet.beacon.codec import JsonError, from_json
from ssv_pool.devnet.beacon.genesis import FORK_NAME
from ssv_pool.devnet.beacon.node import BeaconNode

BATCH = 64
"""Attestations checked in one go: about 20 ms, after which other requests get their turn."""


def routes(node: BeaconNode) -> list[web.RouteDef]:
    """The routes of this area."""

    async def attestations(request: web.Request) -> web.Response:
        if (version := request.headers.get("Eth-Consensus-Version")) != FORK_NAME:
            raise JsonError(f"header Eth-Consensus-Version: found {version}, expected {FORK_NAME}")
        body = await json_body(request)
        if not isinstance(body, list):
            raise JsonError("body: expected an array of SingleAttestation")
        failures: list[tuple[int, str]] = []
        for start in range(0, len(body), BATCH):
            failures += _submit(node, body[start : start + BATCH], start)
            await asyncio.sleep(0)
        if failures:
            raise ApiError(400, f"{len(failures)} of {len(body)} attestations failed", sorted(failures))
        return web.Response()

    return [web.post("/eth/v2/beacon/pool/attestations", attestations)]


def _submit(node: BeaconNode, values: list[Any], offset: int) -> list[tuple[int, str]]:
    """Hand one batch of JSON attestations to the gate; what failed, by place in the whole list."""
    failures: list[tuple[int, str]] = []
    parsed: dict[int, Any] = {}
    for place, value in enumerate(values, offset):
        try:
            parsed[place] = from_json(node.spec.SingleAttestation, value)
        except JsonError as error:
            failures.append((place, str(error)))
    verdicts = node.gate.submit(list(parsed.values()))
    for place, verdict in zip(parsed, verdicts, strict=True):
        if verdict.failed:
            failures.append((place, verdict.text))
    return failures

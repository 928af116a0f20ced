"""Area "beacon", pool: signed objects from outside."""

import asyncio

from aiohttp import web

from ssv_pool.devnet.beacon.api.common import (
    ApiError,
    answer,
    body_list,
    body_object,
    check_version,
    tell_failures,
)
from ssv_pool.devnet.beacon.codec import to_json
from ssv_pool.devnet.beacon.node import BeaconNode

BATCH = 64
"""Attestations checked in one go: about 20 ms, after which other requests get their turn."""


def routes(node: BeaconNode) -> list[web.RouteDef]:
    """The routes of this area."""

    async def attestations(request: web.Request) -> web.Response:
        check_version(request)
        parsed, count, failures = await body_list(request, node.spec.SingleAttestation)
        places = list(parsed)
        for start in range(0, len(places), BATCH):
            batch = places[start : start + BATCH]
            verdicts = node.gate.submit([parsed[place] for place in batch])
            failures += [
                (place, verdict.text) for place, verdict in zip(batch, verdicts, strict=True) if verdict.failed
            ]
            await asyncio.sleep(0)
        return tell_failures(failures, count, "attestations")

    async def voluntary_exits(_request: web.Request) -> web.Response:
        return answer([to_json(signed) for signed in node.exits.all()])

    async def voluntary_exit(request: web.Request) -> web.Response:
        verdict = node.exits.submit(await body_object(request, node.spec.SignedVoluntaryExit))
        if verdict.failed:
            raise ApiError(400, f"voluntary exit {verdict.text}")
        return web.Response()

    return [
        web.post("/eth/v2/beacon/pool/attestations", attestations),
        web.get("/eth/v1/beacon/pool/voluntary_exits", voluntary_exits),
        web.post("/eth/v1/beacon/pool/voluntary_exits", voluntary_exit),
    ]

"""Area "validator", aggregates: fetched, taken back signed; subscriptions that tell of aggregators to come."""

import asyncio
from typing import Any

from aiohttp import web

from ssv_pool.devnet.beacon.api.common import (
    ApiError,
    body_list,
    check_version,
    query_uint,
    required_query_uint,
    ssz_or_json,
    tell_failures,
)
from ssv_pool.devnet.beacon.codec import JsonError, parse_hex
from ssv_pool.devnet.beacon.node import BeaconNode


def routes(node: BeaconNode) -> list[web.RouteDef]:
    """The routes of this area."""
    area = _Aggregates(node)
    return [
        web.get("/eth/v1/validator/aggregate_attestation", area.aggregate),
        web.get("/eth/v2/validator/aggregate_attestation", area.aggregate),
        web.post("/eth/v1/validator/aggregate_and_proofs", area.submit),
        web.post("/eth/v2/validator/aggregate_and_proofs", area.submit),
    ]


class _Aggregates:
    def __init__(self, node: BeaconNode) -> None:
        self._node = node

    async def aggregate(self, request: web.Request) -> web.Response:
        root = parse_hex(request.query.get("attestation_data_root"), "attestation_data_root", 32)
        slot = required_query_uint(request, "slot")
        index = query_uint(request, "committee_index")
        if index is None and request.path.startswith("/eth/v2/"):
            raise JsonError("committee_index: missing")
        found = self._find(root, slot, index)
        if found is None:
            of = f"slot {slot}" if index is None else f"slot {slot}, committee {index}"
            raise ApiError(404, f"{of}: no attestations with data root 0x{root.hex()}")
        return ssz_or_json(request, found)

    def _find(self, root: bytes, slot: int, index: int | None) -> Any:
        pool = self._node.pool
        entry = pool.get(root)
        if entry is None or int(entry.data.slot) != slot:
            return None
        if index is None:
            # The first version knows no committees: the largest aggregate of any.
            index = max(
                entry.committees,
                key=lambda number: sum(len(places) for places, _ in entry.committees[number].disjoint()),
            )
        return pool.aggregate(entry, index) if index in entry.committees else None

    async def submit(self, request: web.Request) -> web.Response:
        check_version(request, required=request.path.startswith("/eth/v2/"))
        parsed, count, failures = await body_list(request, self._node.spec.SignedAggregateAndProof)
        for place, signed in parsed.items():
            verdict = self._node.aggregates.submit(signed)
            if verdict.failed:
                failures.append((place, verdict.text))
            await asyncio.sleep(0)
        return tell_failures(failures, count, "aggregates")

"""Areas "validator" and "beacon", sync committees: messages, contributions, subscriptions."""

import asyncio

from aiohttp import web

from ssv_pool.devnet.beacon.api.common import (
    ApiError,
    answer,
    body_list,
    required_query_uint,
    tell_failures,
)
from ssv_pool.devnet.beacon.codec import JsonError, parse_hex, to_json
from ssv_pool.devnet.beacon.node import BeaconNode

BATCH = 64
"""Messages checked in one go, after which other requests get their turn."""


def routes(node: BeaconNode) -> list[web.RouteDef]:
    """The routes of this area."""
    area = _Sync(node)
    return [
        web.post("/eth/v1/beacon/pool/sync_committees", area.messages),
        web.get("/eth/v1/validator/sync_committee_contribution", area.contribution),
        web.post("/eth/v1/validator/contribution_and_proofs", area.contributions),
    ]


class _Sync:
    def __init__(self, node: BeaconNode) -> None:
        self._node = node

    async def messages(self, request: web.Request) -> web.Response:
        parsed, count, failures = await body_list(request, self._node.spec.SyncCommitteeMessage)
        places = list(parsed)
        for start in range(0, len(places), BATCH):
            batch = places[start : start + BATCH]
            verdicts = self._node.sync_gate.submit([parsed[place] for place in batch])
            failures += [
                (place, verdict.text) for place, verdict in zip(batch, verdicts, strict=True) if verdict.failed
            ]
            await asyncio.sleep(0)
        return tell_failures(failures, count, "sync committee messages")

    async def contribution(self, request: web.Request) -> web.Response:
        node = self._node
        slot = required_query_uint(request, "slot")
        subcommittee = required_query_uint(request, "subcommittee_index")
        root = parse_hex(request.query.get("beacon_block_root"), "beacon_block_root", 32)
        if subcommittee >= int(node.spec.SYNC_COMMITTEE_SUBNET_COUNT):
            raise JsonError(f"subcommittee_index {subcommittee}: expected one below 4")
        found = node.sync_pool.contribution(slot, root, subcommittee)
        if found is None:
            raise ApiError(404, f"slot {slot}, subcommittee {subcommittee}: no messages for block 0x{root.hex()}")
        return answer(to_json(found))

    async def contributions(self, request: web.Request) -> web.Response:
        parsed, count, failures = await body_list(request, self._node.spec.SignedContributionAndProof)
        for place, signed in parsed.items():
            verdict = self._node.sync_gate.contribute(signed)
            if verdict.failed:
                failures.append((place, verdict.text))
            await asyncio.sleep(0)
        return tell_failures(failures, count, "contributions")

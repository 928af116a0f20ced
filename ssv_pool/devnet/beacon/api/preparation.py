"""Area "validator": what validators announce of themselves: fee recipients, builders, subnets."""

import asyncio
from typing import Any

from aiohttp import web

from ssv_pool.devnet.beacon.api.common import ApiError, body_list, json_body, tell_failures
from ssv_pool.devnet.beacon.codec import JsonError, parse_hex, parse_uint
from ssv_pool.devnet.beacon.node import BeaconNode


def routes(node: BeaconNode) -> list[web.RouteDef]:
    """The routes of this area."""
    area = _Preparation(node)
    return [
        web.post("/eth/v1/validator/prepare_beacon_proposer", area.proposers),
        web.post("/eth/v1/validator/register_validator", area.registrations),
        web.post("/eth/v1/validator/beacon_committee_subscriptions", area.committees),
        web.post("/eth/v1/validator/sync_committee_subscriptions", area.sync_committees),
    ]


class _Preparation:
    def __init__(self, node: BeaconNode) -> None:
        self._node = node

    async def proposers(self, request: web.Request) -> web.Response:
        prepared: dict[int, bytes] = {}
        for place, entry in enumerate(await _objects(request, {"validator_index", "fee_recipient"})):
            index = parse_uint(entry["validator_index"], f"body[{place}].validator_index")
            # Whoever is no validator yet may become one; what would never be used need not be kept.
            if index < self._node.options.validators:
                prepared[index] = parse_hex(entry["fee_recipient"], f"body[{place}].fee_recipient", 20)
        self._node.relay.fee_recipients |= prepared
        return web.Response()

    async def registrations(self, request: web.Request) -> web.Response:
        parsed, count, failures = await body_list(request, self._node.containers.signed_registration)
        for place, signed in parsed.items():
            verdict = self._node.relay.register(signed)
            if verdict.failed:
                failures.append((place, verdict.text))
            await asyncio.sleep(0)
        return tell_failures(failures, count, "registrations")

    async def committees(self, request: web.Request) -> web.Response:
        names = ("validator_index", "committee_index", "committees_at_slot", "slot")
        for place, entry in enumerate(await _objects(request, {*names, "is_aggregator"})):
            numbers = {name: parse_uint(entry[name], f"body[{place}].{name}") for name in names}
            if not isinstance(entry["is_aggregator"], bool):
                raise JsonError(f"body[{place}].is_aggregator: expected true or false")
            self._check_validator(numbers["validator_index"], place)
        # This node hears everything, whatever is subscribed to.
        return web.Response()

    async def sync_committees(self, request: web.Request) -> web.Response:
        names = {"validator_index", "sync_committee_indices", "until_epoch"}
        size = int(self._node.spec.SYNC_COMMITTEE_SIZE)
        for place, entry in enumerate(await _objects(request, names)):
            self._check_validator(parse_uint(entry["validator_index"], f"body[{place}].validator_index"), place)
            parse_uint(entry["until_epoch"], f"body[{place}].until_epoch")
            if not isinstance(entry["sync_committee_indices"], list):
                raise JsonError(f"body[{place}].sync_committee_indices: expected an array")
            for value in entry["sync_committee_indices"]:
                if parse_uint(value, f"body[{place}].sync_committee_indices") >= size:
                    raise JsonError(f"body[{place}].sync_committee_indices: found {value}, expected below {size}")
        return web.Response()

    def _check_validator(self, index: int, place: int) -> None:
        if index >= self._node.options.validators:
            raise ApiError(400, f"body[{place}].validator_index: {index} is no validator")


async def _objects(request: web.Request, names: set[str]) -> list[dict[str, Any]]:
    """The request's array of objects, each with exactly these names. Raises JsonError."""
    body = await json_body(request)
    if not isinstance(body, list):
        raise JsonError("body: expected an array")
    for place, entry in enumerate(body):
        if not isinstance(entry, dict) or entry.keys() != names:
            raise JsonError(f"body[{place}]: expected an object with {', '.join(sorted(names))}")
    return body

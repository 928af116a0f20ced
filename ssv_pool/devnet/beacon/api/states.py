"""Area "beacon", states: genesis, forks, finality, validators, committees."""

from collections.abc import Iterable
from typing import Any

from aiohttp import web

from ssv_pool.devnet.beacon.api.common import (
    ApiError,
    answer,
    find_state,
    hex_of,
    is_finalized,
    json_body,
    query_uint,
    query_values,
    versioned,
)
from ssv_pool.devnet.beacon.codec import JsonError, parse_hex, parse_uint, to_json
from ssv_pool.devnet.beacon.node import BeaconNode
from ssv_pool.devnet.beacon.overlay.columns import Columns, read_list

STATUSES = frozenset(
    {
        "pending_initialized",
        "pending_queued",
        "active_ongoing",
        "active_exiting",
        "active_slashed",
        "exited_unslashed",
        "exited_slashed",
        "withdrawal_possible",
        "withdrawal_done",
    }
)
"""Validator states of the Beacon API; a filter may also name the part before the underscore."""

_FAR_FUTURE_EPOCH = 2**64 - 1


def routes(node: BeaconNode) -> list[web.RouteDef]:
    """The routes of this area."""
    area = _States(node)
    return [
        web.get("/eth/v1/beacon/genesis", area.genesis),
        web.get("/eth/v1/beacon/states/{state_id}/root", area.root),
        web.get("/eth/v1/beacon/states/{state_id}/fork", area.fork),
        web.get("/eth/v1/beacon/states/{state_id}/finality_checkpoints", area.finality_checkpoints),
        web.get("/eth/v1/beacon/states/{state_id}/committees", area.committees),
        web.get("/eth/v1/beacon/states/{state_id}/validators", area.validators),
        web.get("/eth/v1/beacon/states/{state_id}/sync_committees", area.sync_committees),
        web.post("/eth/v1/beacon/states/{state_id}/validators", area.post_validators),
        web.get("/eth/v1/beacon/states/{state_id}/validator_balances", area.balances),
        web.post("/eth/v1/beacon/states/{state_id}/validator_balances", area.post_balances),
        web.get("/eth/v1/beacon/states/{state_id}/validators/{validator_id}", area.validator),
        web.get("/eth/v1/beacon/states/{state_id}/pending_deposits", area.pending_deposits),
    ]


class _States:
    def __init__(self, node: BeaconNode) -> None:
        self._node = node

    def _state(self, request: web.Request) -> Any:
        return find_state(self._node, request.match_info["state_id"])

    def _answer(self, state: Any, data: Any) -> web.Response:
        return answer(data, execution_optimistic=False, finalized=is_finalized(self._node, int(state.slot)))

    async def genesis(self, _request: web.Request) -> web.Response:
        node = self._node
        return answer(
            {
                "genesis_time": str(node.clock.genesis_time),
                "genesis_validators_root": hex_of(node.chain.genesis_state.genesis_validators_root),
                "genesis_fork_version": hex_of(node.spec.config.GENESIS_FORK_VERSION),
            }
        )

    async def root(self, request: web.Request) -> web.Response:
        state = self._state(request)
        return self._answer(state, {"root": hex_of(state.hash_tree_root())})

    async def fork(self, request: web.Request) -> web.Response:
        state = self._state(request)
        return self._answer(state, to_json(state.fork))

    async def finality_checkpoints(self, request: web.Request) -> web.Response:
        state = self._state(request)
        checkpoints = {
            "previous_justified": to_json(state.previous_justified_checkpoint),
            "current_justified": to_json(state.current_justified_checkpoint),
            "finalized": to_json(state.finalized_checkpoint),
        }
        return self._answer(state, checkpoints)

    async def committees(self, request: web.Request) -> web.Response:
        node = self._node
        epoch = query_uint(request, "epoch")
        wanted_index, wanted_slot = query_uint(request, "index"), query_uint(request, "slot")
        state = self._state(request) if epoch is None else node.chain.current_state()
        if epoch is None:
            epoch = int(state.slot) // node.clock.slots_per_epoch
        node.chain.tick()
        committees = node.chain.committees(epoch)
        if committees is None:
            raise ApiError(400, f"epoch {epoch}: committees not known, the current epoch is {node.clock.epoch()}")
        first_slot = epoch * node.clock.slots_per_epoch
        found = [
            {"index": str(index), "slot": str(first_slot + offset), "validators": [str(member) for member in members]}
            for offset, slot_committees in enumerate(committees)
            for index, members in enumerate(slot_committees)
            if wanted_index in (None, index) and wanted_slot in (None, first_slot + offset)
        ]
        return self._answer(state, found)

    async def sync_committees(self, request: web.Request) -> web.Response:
        node, spec = self._node, self._node.spec
        state, epoch = self._state(request), query_uint(request, "epoch")
        period = int(spec.EPOCHS_PER_SYNC_COMMITTEE_PERIOD)
        here = int(spec.get_current_epoch(state)) // period
        ahead = 0 if epoch is None else epoch // period - here
        if ahead not in (0, 1):
            raise ApiError(400, f"epoch {epoch}: expected one of sync committee period {here} or {here + 1}")
        committee = state.next_sync_committee if ahead else state.current_sync_committee
        columns = node.chain.fast.columns.of(state)
        members = [str(columns.index_of(bytes(pubkey))) for pubkey in committee.pubkeys]
        size = len(members) // int(spec.SYNC_COMMITTEE_SUBNET_COUNT)
        parts = [members[start : start + size] for start in range(0, len(members), size)]
        return self._answer(state, {"validators": members, "validator_aggregates": parts})

    async def pending_deposits(self, request: web.Request) -> web.Response:
        state = self._state(request)
        fields = {"execution_optimistic": False, "finalized": is_finalized(self._node, int(state.slot))}
        return versioned(to_json(state.pending_deposits), **fields)

    async def balances(self, request: web.Request) -> web.Response:
        return self._balances(self._state(request), query_values(request, "id"))

    async def post_balances(self, request: web.Request) -> web.Response:
        body = await json_body(request)
        if not isinstance(body, list) or not all(isinstance(value, str) for value in body):
            raise JsonError("body: expected an array of strings")
        return self._balances(self._state(request), body)

    def _balances(self, state: Any, identifiers: list[str]) -> web.Response:
        columns = self._node.chain.fast.columns.of(state)
        balances = read_list(state.balances)
        wanted = {_find_validator(columns, identifier) for identifier in identifiers}
        indices = sorted(index for index in wanted if index is not None) if identifiers else range(len(columns))
        return self._answer(state, [{"index": str(index), "balance": str(balances[index])} for index in indices])

    async def validators(self, request: web.Request) -> web.Response:
        return self._validators(self._state(request), query_values(request, "id"), query_values(request, "status"))

    async def post_validators(self, request: web.Request) -> web.Response:
        body = await json_body(request)
        if not isinstance(body, dict) or not body.keys() <= {"ids", "statuses"}:
            raise JsonError("body: expected an object with ids and statuses")
        filters = []
        for name in ("ids", "statuses"):
            values = body.get(name) or []
            if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
                raise JsonError(f"body.{name}: expected an array of strings")
            filters.append(values)
        return self._validators(self._state(request), *filters)

    async def validator(self, request: web.Request) -> web.Response:
        state = self._state(request)
        columns = self._node.chain.fast.columns.of(state)
        index = _find_validator(columns, request.match_info["validator_id"])
        if index is None:
            raise ApiError(404, f"validator {request.match_info['validator_id']}: not found")
        return self._answer(state, self._describe(state, [index])[0])

    def _validators(self, state: Any, identifiers: list[str], statuses: list[str]) -> web.Response:
        columns = self._node.chain.fast.columns.of(state)
        groups = {status.partition("_")[0] for status in STATUSES}
        if unknown := sorted(set(statuses) - STATUSES - groups):
            raise JsonError(f"status {unknown}: expected one of {sorted(STATUSES)}")
        if identifiers:
            found = {_find_validator(columns, identifier) for identifier in identifiers}
            indices: Iterable[int] = sorted(index for index in found if index is not None)
        else:
            indices = range(len(columns))
        described = self._describe(state, indices)
        if statuses:
            described = [
                entry
                for entry in described
                if entry["status"] in statuses or entry["status"].partition("_")[0] in statuses
            ]
        return self._answer(state, described)

    def _describe(self, state: Any, indices: Iterable[int]) -> list[dict[str, Any]]:
        columns = self._node.chain.fast.columns.of(state)
        balances = read_list(state.balances)
        epoch = int(self._node.spec.get_current_epoch(state))
        return [
            {
                "index": str(index),
                "balance": str(balances[index]),
                "status": validator_status(columns, index, epoch, balances[index]),
                "validator": to_json(state.validators[index]),
            }
            for index in indices
        ]


def _find_validator(columns: Columns, identifier: str) -> int | None:
    """The index that an index or a public key names, or None. Raises JsonError: neither of the two."""
    if identifier.startswith("0x"):
        return columns.index_of(parse_hex(identifier, "validator id", 48))
    index = parse_uint(identifier, "validator id")
    return index if index < len(columns) else None


def validator_status(columns: Columns, index: int, epoch: int, balance: int) -> str:
    """The Beacon API's name for a validator's state at ``epoch`` (https://hackmd.io/ofFJ5gOmQpu1jjHilHbdQQ)."""
    if epoch < columns.activation_epochs[index]:
        waiting = columns.eligibility_epochs[index] == _FAR_FUTURE_EPOCH
        return "pending_initialized" if waiting else "pending_queued"
    if epoch < columns.exit_epochs[index]:
        if columns.exit_epochs[index] == _FAR_FUTURE_EPOCH:
            return "active_ongoing"
        return "active_slashed" if columns.slashed[index] else "active_exiting"
    if epoch < columns.withdrawable_epochs[index]:
        return "exited_slashed" if columns.slashed[index] else "exited_unslashed"
    return "withdrawal_possible" if balance else "withdrawal_done"

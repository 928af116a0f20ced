"""Area "validator": duties and what to sign."""

from typing import Any

from aiohttp import web

from ssv_pool.devnet.beacon.api.common import (
    ApiError,
    answer,
    hex_of,
    index_list,
    json_body,
    path_uint,
    required_query_uint,
)
from ssv_pool.devnet.beacon.codec import to_json
from ssv_pool.devnet.beacon.node import BeaconNode


def routes(node: BeaconNode) -> list[web.RouteDef]:
    """The routes of this area."""
    area = _Validator(node)
    return [
        web.post("/eth/v1/validator/duties/attester/{epoch}", area.attester_duties),
        web.get("/eth/v1/validator/duties/proposer/{epoch}", area.proposer_duties),
        web.get("/eth/v2/validator/duties/proposer/{epoch}", area.proposer_duties),
        web.post("/eth/v1/validator/duties/sync/{epoch}", area.sync_duties),
        web.get("/eth/v1/validator/attestation_data", area.attestation_data),
        web.post("/eth/v1/validator/liveness/{epoch}", area.liveness),
    ]


class _Validator:
    def __init__(self, node: BeaconNode) -> None:
        self._node = node

    async def attester_duties(self, request: web.Request) -> web.Response:
        node = self._node
        epoch = path_uint(request, "epoch")
        wanted = set(index_list(await json_body(request)))
        node.chain.tick()
        committees = node.chain.committees(epoch)
        if committees is None:
            raise ApiError(400, f"epoch {epoch}: duties not known, the current epoch is {node.clock.epoch()}")
        pubkeys = node.chain.fast.columns.of(node.chain.current_state()).pubkeys
        first_slot = epoch * node.clock.slots_per_epoch
        duties = [
            {
                "pubkey": hex_of(pubkeys[member]),
                "validator_index": str(member),
                "committee_index": str(index),
                "committee_length": str(len(members)),
                "committees_at_slot": str(len(slot_committees)),
                "validator_committee_index": str(place),
                "slot": str(first_slot + offset),
            }
            for offset, slot_committees in enumerate(committees)
            for index, members in enumerate(slot_committees)
            for place, member in enumerate(members)
            if member in wanted
        ]
        dependent_root = hex_of(node.chain.dependent_root(epoch))
        return answer(duties, dependent_root=dependent_root, execution_optimistic=False)

    async def proposer_duties(self, request: web.Request) -> web.Response:
        node = self._node
        epoch = path_uint(request, "epoch")
        node.chain.tick()
        state = node.chain.current_state()
        current, per_epoch = node.clock.epoch(), node.clock.slots_per_epoch
        if not current <= epoch <= current + 1:
            raise ApiError(400, f"epoch {epoch}: expected {current} or {current + 1}")
        pubkeys = node.chain.fast.columns.of(state).pubkeys
        ahead = (epoch - current) * per_epoch
        proposers = [int(state.proposer_lookahead[ahead + offset]) for offset in range(per_epoch)]
        duties = [
            {
                "pubkey": hex_of(pubkeys[proposer]),
                "validator_index": str(proposer),
                "slot": str(epoch * per_epoch + offset),
            }
            for offset, proposer in enumerate(proposers)
        ]
        # Since Fulu proposers are known an epoch ahead, so they hang on the same block as the attesters (v2). The first
        # version of the endpoint names the last block before the epoch.
        first_version = request.path.startswith("/eth/v1/")
        root = node.chain.dependent_root(epoch + 1 if first_version and epoch > 0 else epoch)
        return answer(duties, dependent_root=hex_of(root), execution_optimistic=False)

    async def sync_duties(self, request: web.Request) -> web.Response:
        node, spec = self._node, self._node.spec
        epoch = path_uint(request, "epoch")
        wanted = index_list(await json_body(request))
        node.chain.tick()
        state = node.chain.current_state()
        period = int(spec.EPOCHS_PER_SYNC_COMMITTEE_PERIOD)
        ahead = epoch // period - node.clock.epoch() // period
        if ahead not in (0, 1):
            raise ApiError(400, f"epoch {epoch}: expected one of the current or next sync committee period")
        committee = state.next_sync_committee if ahead else state.current_sync_committee
        pubkeys = node.chain.fast.columns.of(state).pubkeys
        places: dict[bytes, list[str]] = {}
        for place, pubkey in enumerate(committee.pubkeys):
            places.setdefault(bytes(pubkey), []).append(str(place))
        duties = [
            {
                "pubkey": hex_of(pubkeys[index]),
                "validator_index": str(index),
                "validator_sync_committee_indices": places[pubkeys[index]],
            }
            for index in wanted
            if index < len(pubkeys) and pubkeys[index] in places
        ]
        return answer(duties, execution_optimistic=False)

    async def attestation_data(self, request: web.Request) -> web.Response:
        node = self._node
        slot = required_query_uint(request, "slot")
        required_query_uint(request, "committee_index")
        node.chain.tick()
        current = node.clock.slot()
        if not node.clock.started():
            raise ApiError(400, f"slot {slot}: genesis is at {node.clock.genesis_time}")
        if not current - node.clock.slots_per_epoch <= slot <= current:
            raise ApiError(400, f"slot {slot}: the current slot is {current}")
        return answer(self._data_json(slot))

    def _data_json(self, slot: int) -> Any:
        return to_json(self._node.chain.attestation_data(slot))

    async def liveness(self, request: web.Request) -> web.Response:
        epoch = path_uint(request, "epoch")
        indices = index_list(await json_body(request))
        current = self._node.clock.epoch()
        if not current - 1 <= epoch <= current:
            raise ApiError(400, f"epoch {epoch}: expected {max(0, current - 1)} or {current}")
        gate, intake = self._node.gate, self._node.intake
        live = {index for index in indices if gate.is_live(index, epoch) or intake.is_live(index, epoch)}
        return answer([{"index": str(index), "is_live": index in live} for index in indices])

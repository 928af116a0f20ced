"""Area "beacon", blocks and headers."""

from typing import Any

from aiohttp import web

from ssv_pool.devnet.beacon.api.common import (
    answer,
    find_block,
    hex_of,
    is_finalized,
    query_uint,
    ssz_or_json,
    versioned,
)
from ssv_pool.devnet.beacon.codec import to_json
from ssv_pool.devnet.beacon.containers import blinded
from ssv_pool.devnet.beacon.history import BlockEntry
from ssv_pool.devnet.beacon.node import BeaconNode


def routes(node: BeaconNode) -> list[web.RouteDef]:
    """The routes of this area."""
    area = _Blocks(node)
    return [
        web.get("/eth/v1/beacon/headers", area.headers),
        web.get("/eth/v1/beacon/headers/{block_id}", area.header),
        web.get("/eth/v1/beacon/blocks/{block_id}/root", area.root),
        web.get("/eth/v2/beacon/blocks/{block_id}", area.block),
        web.get("/eth/v1/beacon/blinded_blocks/{block_id}", area.blinded_block),
        web.get("/eth/v2/beacon/blocks/{block_id}/attestations", area.attestations),
    ]


class _Blocks:
    def __init__(self, node: BeaconNode) -> None:
        self._node = node

    def _entry(self, request: web.Request) -> BlockEntry:
        return find_block(self._node, request.match_info["block_id"])

    def _fields(self, entry: BlockEntry) -> dict[str, Any]:
        return {"execution_optimistic": False, "finalized": is_finalized(self._node, entry.slot)}

    def _signed(self, entry: BlockEntry) -> Any:
        return self._node.spec.SignedBeaconBlock.decode_bytes(entry.signed_block)

    def _header(self, entry: BlockEntry) -> dict[str, Any]:
        signed = self._signed(entry)
        return {
            "root": hex_of(entry.root),
            "canonical": self._node.chain.history.is_canonical(entry),
            "header": {
                "message": {
                    "slot": str(entry.slot),
                    "proposer_index": str(signed.message.proposer_index),
                    "parent_root": hex_of(entry.parent_root),
                    "state_root": hex_of(entry.state_root),
                    "body_root": hex_of(signed.message.body.hash_tree_root()),
                },
                "signature": hex_of(signed.signature),
            },
        }

    async def headers(self, request: web.Request) -> web.Response:
        slot = query_uint(request, "slot")
        entry = find_block(self._node, "head" if slot is None else str(slot))
        return answer([self._header(entry)], **self._fields(entry))

    async def header(self, request: web.Request) -> web.Response:
        entry = self._entry(request)
        return answer(self._header(entry), **self._fields(entry))

    async def root(self, request: web.Request) -> web.Response:
        entry = self._entry(request)
        return answer({"root": hex_of(entry.root)}, **self._fields(entry))

    async def block(self, request: web.Request) -> web.Response:
        entry = self._entry(request)
        return ssz_or_json(request, self._signed(entry), **self._fields(entry))

    async def blinded_block(self, request: web.Request) -> web.Response:
        entry, node = self._entry(request), self._node
        signed = self._signed(entry)
        message = blinded(node.spec, node.containers, signed.message)
        view = node.containers.signed_blinded_block(message=message, signature=signed.signature)
        return ssz_or_json(request, view, **self._fields(entry))

    async def attestations(self, request: web.Request) -> web.Response:
        entry = self._entry(request)
        return versioned(to_json(self._signed(entry).message.body.attestations), **self._fields(entry))

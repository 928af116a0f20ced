"""Areas "validator" and "beacon", blocks of outside proposers: made, taken back signed, published."""

from typing import Any

from aiohttp import web

from ssv_pool.devnet.beacon.api.common import (
    SSZ,
    ApiError,
    body_object,
    check_version,
    json_response,
    path_uint,
    query_uint,
    sent_as_ssz,
    wants_ssz,
)
from ssv_pool.devnet.beacon.codec import JsonError, parse_hex, to_json
from ssv_pool.devnet.beacon.containers import blinded
from ssv_pool.devnet.beacon.genesis import FORK_NAME
from ssv_pool.devnet.beacon.intake import Verdict
from ssv_pool.devnet.beacon.node import GRAFFITI, BeaconNode
from ssv_pool.devnet.beacon.proposals import BlockRequest, Proposal, ProposalError
from ssv_pool.devnet.beacon.relay import EVEN_BOOST

VALIDATIONS = frozenset({"gossip", "consensus", "consensus_and_equivocation"})
"""Values of ``broadcast_validation``. This node always checks everything before it takes a block."""


def routes(node: BeaconNode) -> list[web.RouteDef]:
    """The routes of this area."""
    area = _Proposals(node)
    return [
        web.get("/eth/v3/validator/blocks/{slot}", area.block_v3),
        web.get("/eth/v2/validator/blocks/{slot}", area.block_v2),
        web.get("/eth/v1/validator/blinded_blocks/{slot}", area.blinded_block),
        web.post("/eth/v1/beacon/blocks", area.publish),
        web.post("/eth/v2/beacon/blocks", area.publish),
        web.post("/eth/v1/beacon/blinded_blocks", area.publish_blinded),
        web.post("/eth/v2/beacon/blinded_blocks", area.publish_blinded),
    ]


class _Proposals:
    def __init__(self, node: BeaconNode) -> None:
        self._node = node

    # ---- production

    async def block_v3(self, request: web.Request) -> web.Response:
        boost = query_uint(request, "builder_boost_factor")
        proposal = self._produce(request, builder_boost=EVEN_BOOST if boost is None else boost)
        is_blinded = proposal.offer.from_builder
        values = {
            "execution_payload_blinded": is_blinded,
            "execution_payload_value": str(proposal.offer.payload.value),
            "consensus_block_value": str(proposal.consensus_value),
        }
        headers = {
            "Eth-Execution-Payload-Blinded": "true" if is_blinded else "false",
            "Eth-Execution-Payload-Value": str(proposal.offer.payload.value),
            "Eth-Consensus-Block-Value": str(proposal.consensus_value),
        }
        return self._answer(request, proposal, is_blinded, values, headers)

    async def block_v2(self, request: web.Request) -> web.Response:
        return self._answer(request, self._produce(request), False, {}, {})

    async def blinded_block(self, request: web.Request) -> web.Response:
        return self._answer(request, self._produce(request, blinded_only=True), True, {}, {})

    def _produce(self, request: web.Request, builder_boost: int | None = None, blinded_only: bool = False) -> Proposal:
        reveal = parse_hex(request.query.get("randao_reveal"), "randao_reveal", 96)
        graffiti = request.query.get("graffiti")
        if "skip_randao_verification" in request.query:
            raise JsonError("skip_randao_verification: not offered, a RANDAO reveal is always checked")
        wanted = BlockRequest(
            slot=path_uint(request, "slot"),
            randao_reveal=reveal,
            graffiti=GRAFFITI.ljust(32, b"\0") if graffiti is None else parse_hex(graffiti, "graffiti", 32),
            builder_boost=builder_boost,
            blinded_only=blinded_only,
        )
        try:
            return self._node.desk.produce(wanted)
        except ProposalError as error:
            raise ApiError(400, str(error)) from error

    def _answer(
        self,
        request: web.Request,
        proposal: Proposal,
        is_blinded: bool,
        values: dict[str, Any],
        headers: dict[str, str],
    ) -> web.Response:
        node, as_ssz = self._node, wants_ssz(request)
        if is_blinded:
            view = blinded(node.spec, node.containers, proposal.block)
        else:
            bundle = proposal.offer.payload.bundle
            view = node.containers.block_contents(block=proposal.block, kzg_proofs=bundle.proofs, blobs=bundle.blobs)
        headers = {"Eth-Consensus-Version": FORK_NAME, **headers}
        if as_ssz:
            return web.Response(body=view.encode_bytes(), content_type=SSZ, headers=headers)
        return json_response({"version": FORK_NAME, **values, "data": to_json(view)}, headers=headers)

    # ---- publishing

    async def publish(self, request: web.Request) -> web.Response:
        self._check_publishing(request)
        contents = await body_object(request, self._node.containers.signed_block_contents)
        proofs, blobs = ([bytes(entry) for entry in entries] for entries in (contents.kzg_proofs, contents.blobs))
        return _published(self._node.desk.publish(contents.signed_block, proofs, blobs))

    async def publish_blinded(self, request: web.Request) -> web.Response:
        self._check_publishing(request)
        signed = await body_object(request, self._node.containers.signed_blinded_block)
        return _published(self._node.desk.publish_blinded(signed))

    def _check_publishing(self, request: web.Request) -> None:
        # The first version took blocks without the header as long as they were JSON.
        check_version(request, required=request.path.startswith("/eth/v2/") or sent_as_ssz(request))
        validation = request.query.get("broadcast_validation", "gossip")
        if validation not in VALIDATIONS:
            raise JsonError(f"broadcast_validation {validation[:40]}: expected one of {sorted(VALIDATIONS)}")


def _published(verdict: Verdict) -> web.Response:
    if verdict.failed:
        raise ApiError(400, f"block {verdict.text}")
    return web.Response()

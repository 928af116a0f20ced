"""Blocks: asked of one beacon node to be signed, and given back signed."""

from dataclasses import dataclass

from ssv_pool.beacon.answers import AnswerError, already_known, member
from ssv_pool.beacon.duty_api import data_version
from ssv_pool.beacon.errors import BeaconError
from ssv_pool.beacon.node import ABSENT, PREFER_SSZ, Answer, BeaconNode, Request
from ssv_pool.beacon.ssz_json import from_json, to_json
from ssv_pool.observability.logs import logger
from ssv_pool.protocol.types.beacon_schemas import BLOCK_VERSIONS, block_schemas
from ssv_pool.protocol.types.blocks import decode_block
from ssv_pool.protocol.types.errors import ProtocolError
from ssv_pool.protocol.types.presets import Preset
from ssv_pool.protocol.types.primitives import Signature, Slot
from ssv_pool.protocol.types.versions import DataVersion

BLOCK_BYTES = 64 * 2**20
"""Most bytes of a block with its blobs, in JSON: 10 MiB of payload and 72 blobs, twice as long in hex."""

GRAFFITI_BYTES = 32

V3 = "/eth/v3/validator/blocks/{slot}"
V2 = "/eth/v2/validator/blocks/{slot}"
V1_BLINDED = "/eth/v1/validator/blinded_blocks/{slot}"

_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class BlockOrder:
    """A block to be made."""

    slot: Slot
    """Its slot."""
    randao_reveal: Signature
    """The proposer's signature of the epoch, 96 bytes."""
    graffiti: bytes
    """At most 32 bytes; zeros are appended."""
    builder_boost: int | None
    """Percentage of a builder's payment that counts against a block of the node's own: 0 never takes a builder's. None
    leaves it to the node."""
    fork: str
    """Name of the fork at the slot, for nodes that do not say which it is."""
    preset: Preset
    """The chain's preset."""

    @property
    def params(self) -> dict[str, str | list[str]]:
        """The query's parameters that all routes know."""
        graffiti = self.graffiti.ljust(GRAFFITI_BYTES, b"\0")
        return {"randao_reveal": f"0x{self.randao_reveal.hex()}", "graffiti": f"0x{graffiti.hex()}"}


@dataclass(frozen=True, slots=True)
class ProducedBlock:
    """A block that a beacon node made, to be signed."""

    version: int
    """Its data version (5 deneb, 6 electra, 7 fulu)."""
    blinded: bool
    """Whether it has the payload's header only: a builder keeps the payload."""
    ssz: bytes
    """SSZ of the BlindedBeaconBlock, the BlockContents, or before Deneb the BeaconBlock."""
    fork: str
    """Its fork's name in lower case."""


@dataclass(frozen=True, slots=True)
class SignedBlock:
    """A signed block on its way to the beacon nodes."""

    fork: str
    """Its fork's name in lower case."""
    version: int
    """Its data version."""
    blinded: bool
    """Whether it has the payload's header only."""
    ssz: bytes
    """SSZ of the SignedBlindedBeaconBlock, the SignedBlockContents, or before Deneb the SignedBeaconBlock."""
    preset: Preset
    """The chain's preset."""

    def json(self) -> object:
        """Its JSON. Raises ValueError when ``ssz`` is not what the version says."""
        version = DataVersion(self.version)
        schema = block_schemas(version, self.preset).signed(blinded=self.blinded)
        try:
            return to_json(schema, schema.read(self.ssz))
        except ProtocolError as error:
            raise ValueError(str(error)) from None


def produce(order: BlockOrder, node: BeaconNode, until: float) -> ProducedBlock:
    """Have a block made. A node without the newest route is asked for a blinded block first if a builder is wanted.

    Raises:
        BeaconError: there is none.
        ValueError: the graffiti is longer than 32 bytes.
    """
    if len(order.graffiti) > GRAFFITI_BYTES:
        raise ValueError(f"graffiti is {len(order.graffiti)} bytes long, expected at most {GRAFFITI_BYTES}")
    if not node.lacks(V3):
        params = order.params
        if order.builder_boost is not None:
            params["builder_boost_factor"] = str(order.builder_boost)
        answer = _ask(node, V3, order, params, until)
        if answer.status not in ABSENT:
            return _produced(answer, order)
        node.note_absent(V3)
    if order.builder_boost:
        try:
            return _produced(_ask(node, V1_BLINDED, order, order.params, until), order)
        except BeaconError as error:
            _log.debug("no blinded block of a builder: taking the node's own", slot=order.slot, problem=str(error))
    return _produced(_ask(node, V2, order, order.params, until), order)


def publish(block: SignedBlock, node: BeaconNode, until: float) -> None:
    """Hand over a signed block, in SSZ where the node takes it. Raises BeaconError when the node refuses it."""
    kind = "blinded_blocks" if block.blinded else "blocks"
    headers = {"Eth-Consensus-Version": block.fork}
    newer, older = f"/eth/v2/beacon/{kind}", f"/eth/v1/beacon/{kind}"
    if not node.lacks(newer):
        answer = node.tell(Request("POST", newer, ssz=block.ssz, headers=headers), block.json, until)
        if answer.status not in ABSENT:
            _check_published(answer, node)
            return
        node.note_absent(newer)
    _check_published(node.send(Request("POST", older, body=block.json(), headers=headers), until), node)


def _ask(node: BeaconNode, route: str, order: BlockOrder, params: dict[str, str | list[str]], until: float) -> Answer:
    path = route.format(slot=order.slot)
    return node.ask(Request("GET", path, route, params=params, accept=PREFER_SSZ, limit=BLOCK_BYTES), until)


def _produced(answer: Answer, order: BlockOrder) -> ProducedBlock:
    answer.check()
    body = None if answer.is_ssz else answer.json()
    version = data_version(answer, body, order.fork)
    if version not in BLOCK_VERSIONS:
        raise answer.bad(f"version: found {version.name.lower()}, expected capella to fulu")
    try:
        raw = answer.content if body is None else _ssz_of(member(body, "data", dict), version, order.preset)
        block = decode_block(version, raw, order.preset)
    except (AnswerError, ProtocolError) as error:
        raise answer.bad(str(error)) from None
    if block.slot != order.slot:
        raise answer.bad(f"block of slot {block.slot}, expected {order.slot}")
    if block.block.body.randao_reveal != order.randao_reveal:
        raise answer.bad("block with another RANDAO reveal than the one sent")
    return ProducedBlock(int(version), block.blinded, raw, version.name.lower())


def _ssz_of(data: dict[str, object], version: DataVersion, preset: Preset) -> bytes:
    """A block's JSON as SSZ; its fields tell whether it is blinded."""
    content = data.get("body")
    blinded = isinstance(content, dict) and "execution_payload_header" in content
    schema = block_schemas(version, preset).unsigned(blinded=blinded)
    return schema.encode(from_json(schema, "data", data))


def _check_published(answer: Answer, node: BeaconNode) -> None:
    if 200 <= answer.status < 300:
        if answer.status == 202:
            _log.warning("a block was broadcast, but its node does not take it into its chain", node=node.name)
        return
    error = answer.error()
    if not already_known(error.message):
        raise error

import json
import random

import pytest
from beacon_mock import Node, chain_routes, client_of
from schema_values import random_value

from ssv_pool.beacon.block_api import ProducedBlock
from ssv_pool.beacon.errors import BeaconError
from ssv_pool.beacon.ssz_json import to_json
from ssv_pool.protocol.types.beacon_schemas import block_schemas
from ssv_pool.protocol.types.blocks import blinded_of, decode_block
from ssv_pool.protocol.types.presets import MAINNET, MINIMAL
from ssv_pool.protocol.types.versions import DataVersion

RANDAO = bytes([5]) * 96
SLOT = 17
V3, V2, V1 = (
    f"GET /eth/{route}/{SLOT}"
    for route in ("v3/validator/blocks", "v2/validator/blocks", "v1/validator/blinded_blocks")
)
SSZ = "application/octet-stream"


class Block:
    """A block of ``fork`` for SLOT in every form it travels in."""

    def __init__(self, fork, preset, *, blinded=False, slot=SLOT, randao=RANDAO):
        version = DataVersion[fork.upper()]
        schemas = block_schemas(version, preset)
        full = random_value(schemas.full, random.Random(3), most=1)
        full = full._replace(slot=slot, body=full.body._replace(randao_reveal=randao))
        made = schemas.unsigned(blinded=False)
        value = full if schemas.contents is None else schemas.contents.record(full, (bytes(48),), (bytes(131_072),))
        decoded = decode_block(version, made.encode(value), preset)
        if blinded:
            decoded = blinded_of(decoded)
        self.schema, self.decoded = schemas.unsigned(blinded=blinded), decoded
        self.signed = decoded.signed(bytes([7]) * 96)
        signed_schema = schemas.signed(blinded=blinded)
        self.signed_json = to_json(signed_schema, signed_schema.read(self.signed))
        self.produced = ProducedBlock(int(version), blinded, decoded.raw, fork)
        self.fork, self.preset, self.blinded, self.version = fork, preset, blinded, int(version)

    @property
    def json(self):
        return to_json(self.schema, self.decoded.object)

    def submit_to(self, *nodes):
        client_of(*nodes).submit_block(self.fork, self.version, self.blinded, self.signed)


def node_of(block, table):
    return Node(chain_routes(block.fork, block.preset) | table)


def produce(*nodes, graffiti=b"ours", **options):
    return client_of(*nodes).produce_block(SLOT, RANDAO, graffiti, **options)


every_form = pytest.mark.parametrize("blinded", [False, True], ids=["full", "blinded"])
every_fork = pytest.mark.parametrize(
    ("fork", "preset"),
    [("capella", MINIMAL), ("deneb", MAINNET), ("electra", MINIMAL), ("fulu", MAINNET)],
    ids=lambda entry: getattr(entry, "name", entry),
)


class TestProduction:
    @every_form
    @every_fork
    def test_ssz_with_its_version_in_the_header(self, fork, preset, blinded):
        block = Block(fork, preset, blinded=blinded)
        headers = {"content-type": SSZ, "Eth-Consensus-Version": fork, "Eth-Execution-Payload-Blinded": str(blinded)}
        node = node_of(block, {V3: (200, block.decoded.raw, headers)})
        assert produce(node) == block.produced
        request = node.requests[-1]
        assert request.headers["accept"] == "application/octet-stream;q=1,application/json;q=0.9"
        assert dict(request.url.params) == {
            "randao_reveal": "0x" + "05" * 96,
            "graffiti": "0x" + b"ours".hex() + "00" * 28,
        }

    @every_form
    @every_fork
    def test_json_with_its_version_in_the_body(self, fork, preset, blinded):
        block = Block(fork, preset, blinded=blinded)
        body = {"version": fork, "execution_payload_blinded": blinded, "data": block.json}
        assert produce(node_of(block, {V3: (200, body)}), builder_boost=None) == block.produced

    def test_a_node_that_does_not_say_the_version_is_read_by_the_schedule(self):
        block = Block("electra", MINIMAL)
        for answer in ((200, block.decoded.raw, {"content-type": SSZ}), (200, {"data": block.json})):
            assert produce(node_of(block, {V3: answer})) == block.produced

    def test_the_builders_weight_is_told(self):
        block = Block("capella", MINIMAL)
        node = node_of(block, {V3: (200, {"version": "capella", "data": block.json})})
        produce(node, builder_boost=0)
        assert node.requests[-1].url.params["builder_boost_factor"] == "0"

    def test_an_older_node_is_asked_on_its_own_route_and_then_at_once(self):
        block = Block("capella", MINIMAL)
        node = node_of(block, {V2: (200, {"version": "capella", "data": block.json})})
        client = client_of(node)
        for _ in range(2):
            assert client.produce_block(SLOT, RANDAO, b"") == block.produced
        assert node.asked("validator") == [V3, V2, V2]

    def test_an_older_node_is_asked_for_a_builders_block_where_one_is_wanted(self):
        blinded, full = (Block("capella", MINIMAL, blinded=blinded) for blinded in (True, False))
        table = {
            V1: (200, {"version": "capella", "data": blinded.json}),
            V2: (200, {"version": "capella", "data": full.json}),
        }
        assert produce(node_of(full, table), builder_boost=100) == blinded.produced
        assert produce(node_of(full, table), builder_boost=0) == full.produced
        del table[V1]
        assert produce(node_of(full, table), builder_boost=100) == full.produced

    def test_a_node_that_does_not_speak_ssz_is_asked_for_json(self):
        block = Block("capella", MINIMAL)

        def answer(request):
            if "octet-stream" in request.headers["accept"]:
                return 406, {"code": 406, "message": "Not Acceptable"}
            return 200, {"version": "capella", "data": block.json}

        node = node_of(block, {V3: answer})
        client = client_of(node)
        for _ in range(2):
            assert client.produce_block(SLOT, RANDAO, b"") == block.produced
        assert node.asked("validator") == [V3, V3, V3]

    @pytest.mark.parametrize(
        ("change", "problem"),
        [
            ({"slot": SLOT + 1}, f"block of slot {SLOT + 1}, expected {SLOT}"),
            ({"randao": bytes(96)}, "block with another RANDAO reveal than the one sent"),
        ],
    )
    def test_another_block_than_the_one_asked_for_is_refused(self, change, problem):
        block = Block("capella", MINIMAL, **change)
        with pytest.raises(BeaconError) as error:
            produce(node_of(block, {V3: (200, {"version": "capella", "data": block.json})}))
        assert str(error.value) == f"beacon node http://node0: {V3}: status 200: bad answer: {problem}"

    @pytest.mark.parametrize(
        ("answer", "problem"),
        [
            ((503, {"message": "syncing"}), "status 503: syncing"),
            (
                (200, {"version": "gloas", "data": {}}),
                "status 200: bad answer: version: found 'gloas', expected one of",
            ),
            (
                (200, {"version": "altair", "data": {}}),
                "status 200: bad answer: version: found altair, expected capella",
            ),
            ((200, {"version": "fulu", "data": {}}), "status 200: bad answer: data.block: missing"),
            ((200, {"version": "fulu"}), "status 200: bad answer: data: missing"),
            (
                (200, bytes(400), {"content-type": SSZ, "Eth-Consensus-Version": "fulu"}),
                "status 200: bad answer: fulu block data decode neither as blinded",
            ),
        ],
    )
    def test_what_is_no_block_is_one_clear_line(self, answer, problem):
        block = Block("capella", MINIMAL)
        with pytest.raises(BeaconError) as error:
            produce(node_of(block, {V3: answer}))
        assert str(error.value).startswith(f"beacon node http://node0: {V3}: {problem}")
        assert "\n" not in str(error.value)

    def test_an_answer_above_its_bound_is_not_read(self, monkeypatch):
        block = Block("capella", MINIMAL)
        monkeypatch.setattr("ssv_pool.beacon.block_api.BLOCK_BYTES", 1000)
        with pytest.raises(BeaconError, match=r"status 200: answer above 1000 bytes$"):
            produce(node_of(block, {V3: (200, {"version": "capella", "data": block.json})}))

    def test_a_graffiti_that_is_too_long_is_not_sent(self):
        node = node_of(Block("capella", MINIMAL), {})
        with pytest.raises(ValueError, match=r"^graffiti is 33 bytes long, expected at most 32$"):
            produce(node, graffiti=bytes(33))


class TestPublication:
    @every_form
    @every_fork
    def test_in_ssz(self, fork, preset, blinded):
        block = Block(fork, preset, blinded=blinded)
        route = f"POST /eth/v2/beacon/{'blinded_blocks' if blinded else 'blocks'}"
        node = node_of(block, {route: (200, b"")})
        block.submit_to(node)
        request = node.requests[-1]
        assert (request.content, request.headers["content-type"]) == (block.signed, SSZ)
        assert request.headers["eth-consensus-version"] == fork

    @every_form
    def test_in_json_where_a_node_does_not_take_ssz(self, blinded):
        block = Block("deneb", MAINNET, blinded=blinded)
        route = f"POST /eth/v2/beacon/{'blinded_blocks' if blinded else 'blocks'}"

        def answer(request):
            return (415, b"") if request.headers["content-type"] == SSZ else (200, b"")

        node = node_of(block, {route: answer})
        client = client_of(node)
        for _ in range(2):
            client.submit_block(block.fork, block.version, block.blinded, block.signed)
        assert json.loads(node.requests[-1].content) == block.signed_json
        assert len(node.asked("v2")) == 3

    @every_form
    def test_in_json_on_the_older_route(self, blinded):
        block = Block("capella", MINIMAL, blinded=blinded)
        kind = "blinded_blocks" if blinded else "blocks"
        node = node_of(block, {f"POST /eth/v1/beacon/{kind}": (200, b"")})
        client = client_of(node)
        for _ in range(2):
            client.submit_block(block.fork, block.version, block.blinded, block.signed)
        assert node.asked(kind) == [f"POST /eth/v2/beacon/{kind}", *2 * [f"POST /eth/v1/beacon/{kind}"]]
        assert json.loads(node.requests[-1].content) == block.signed_json

    @pytest.mark.parametrize("status", [200, 202, 204])
    def test_broadcast_is_enough(self, status):
        block = Block("fulu", MINIMAL)
        block.submit_to(node_of(block, {"POST /eth/v2/beacon/blocks": (status, b"")}))

    @pytest.mark.parametrize("text", ["block is already known", "BLOCK_ERROR_ALREADY_KNOWN", "Duplicate block"])
    def test_a_block_that_the_node_has_already_is_accepted(self, text):
        block = Block("fulu", MINIMAL)
        block.submit_to(node_of(block, {"POST /eth/v2/beacon/blocks": (500, {"code": 500, "message": text})}))

    def test_a_refusal_comes_with_the_nodes_words(self):
        block = Block("fulu", MINIMAL)
        answer = (400, {"code": 400, "message": "proposer index mismatch"})
        with pytest.raises(BeaconError) as error:
            block.submit_to(node_of(block, {"POST /eth/v2/beacon/blocks": answer}))
        assert str(error.value) == (
            "beacon node http://node0: POST /eth/v2/beacon/blocks: status 400: proposer index mismatch"
        )

    def test_what_is_no_signed_block_is_not_made_json(self):
        block = Block("capella", MINIMAL)
        client = client_of(node_of(block, {}))
        with pytest.raises(ValueError, match=r"^SignedBeaconBlock: "):
            client.submit_block("capella", 4, blinded=False, signed_ssz=b"\0" * 50)

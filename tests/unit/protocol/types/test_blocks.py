"""Blocks against the executable specification's containers: structure, bytes, roots."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from remerkleable.basic import uint
from remerkleable.bitfields import Bitlist as OBitlist
from remerkleable.bitfields import Bitvector as OBitvector
from remerkleable.byte_arrays import ByteList as OByteList
from remerkleable.byte_arrays import ByteVector as OByteVector
from remerkleable.complex import Container as OContainer
from remerkleable.complex import List as OList
from remerkleable.complex import Vector as OVector
from schema_values import random_value
from ssz_oracle import REFUSED, damaged, reencoded

from ssv_pool.protocol.types import ErrorCode, ProtocolError, Signature
from ssv_pool.protocol.types import blocks as b
from ssv_pool.protocol.types import schema as s
from ssv_pool.protocol.types.beacon_schemas import block_schemas
from ssv_pool.protocol.types.presets import MAINNET, MINIMAL
from ssv_pool.protocol.types.versions import DataVersion

VERSIONS = [DataVersion.CAPELLA, DataVersion.DENEB, DataVersion.ELECTRA, DataVersion.FULU]
KZG_PROOF = OByteVector[48]
BLOB = OByteVector[131_072]

every_version = pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name.lower())
every_preset = pytest.mark.parametrize("preset", [MAINNET, MINIMAL], ids=lambda preset: preset.name)


def specification(version, preset=MAINNET):
    """The executable specification of a fork; importing it takes a second."""
    import importlib

    pytest.importorskip("eth_consensus_specs")
    return importlib.import_module(f"eth_consensus_specs.{version.name.lower()}.{preset.name}")


def schemas(version, preset=MAINNET):
    return block_schemas(version, preset)


def shape_of_oracle(kind):
    """A remerkleable type as nested tuples; names of containers are left out."""
    if issubclass(kind, OContainer):
        return tuple((name, shape_of_oracle(field)) for name, field in kind.fields().items())
    if issubclass(kind, OBitlist):
        return ("bits up to", kind.limit())
    if issubclass(kind, OBitvector):
        return ("bits", kind.vector_length())
    if issubclass(kind, OByteList):
        return ("bytes up to", kind.limit())
    if issubclass(kind, OByteVector):
        return ("bytes", kind.vector_length())
    if issubclass(kind, OList):
        return ("list", shape_of_oracle(kind.element_cls()), kind.limit())
    if issubclass(kind, OVector):
        return ("vector", shape_of_oracle(kind.element_cls()), kind.vector_length())
    assert issubclass(kind, uint), kind
    return ("number", kind.type_byte_length())


def shape(kind):
    match kind:
        case s.Container():
            return tuple((name, shape(field)) for name, field in kind.fields.items())
        case s.Bitlist():
            return ("bits up to", kind.limit)
        case s.ByteList():
            return ("bytes up to", kind.limit)
        case s.Bitvector():
            return ("bits", kind.bits)
        case s.Bytes():
            return ("bytes", kind.size)
        case s.U64List():
            return ("list", ("number", 8), kind.limit)
        case s.List():
            return ("list", shape(kind.item), kind.limit)
        case s.Vector():
            return ("vector", shape(kind.item), kind.count)
        case s.Uint():
            return ("number", kind.size)
    raise AssertionError(kind)


@every_preset
@every_version
def test_full_blocks_are_the_specifications(version, preset):
    made, spec = schemas(version, preset), specification(version, preset)
    assert shape(made.full) == shape_of_oracle(spec.BeaconBlock)
    assert shape(made.header) == shape_of_oracle(spec.ExecutionPayloadHeader)


def random_block(version, seed=0, most=2, preset=MAINNET):
    return random_value(schemas(version, preset).full, random.Random(seed), most)


def contents(version, block, blobs=1, preset=MAINNET):
    """A block's bytes as they are proposed: with blobs from Deneb on."""
    made = schemas(version, preset)
    if made.contents is None:
        return made.full.encode(block)
    dice = random.Random(1)
    return made.contents.encode(
        (block, [dice.randbytes(48) for _ in range(blobs)], [dice.randbytes(131_072) for _ in range(blobs)])
    )


@every_preset
@every_version
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_bytes_and_roots_equal_the_specifications(version, preset, seed):
    block = random_block(version, seed, preset=preset)
    raw = schemas(version, preset).full.encode(block)
    expected = specification(version, preset).BeaconBlock.decode_bytes(raw)
    assert expected.encode_bytes() == raw
    decoded = b.decode_block(version, contents(version, block, preset=preset), preset)
    assert (decoded.block, decoded.root) == (block, bytes(expected.hash_tree_root()))


@every_preset
@every_version
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_a_blinded_block_has_its_full_ones_root(version, preset, seed):
    block = random_block(version, seed, preset=preset)
    full = b.decode_block(version, contents(version, block, preset=preset), preset)
    blinded = b.blinded_of(full)
    assert b.decode_block(version, blinded.raw, preset) == blinded
    assert (blinded.blinded, blinded.root, blinded.slot) == (True, full.root, full.slot)
    assert schemas(version, preset).blinded.root(blinded.object) == full.root
    assert b.blinded_of(blinded) is blinded


@every_version
def test_what_is_submitted_equals_the_specifications_signed_block(version):
    block = random_block(version)
    signature = Signature(bytes(range(96)))
    decoded = b.decode_block(version, contents(version, block))
    signed_block = specification(version).SignedBeaconBlock

    if version == DataVersion.CAPELLA:
        oracle = signed_block
    else:

        class SignedBlockContents(OContainer):
            signed_block: specification(version).SignedBeaconBlock
            kzg_proofs: OList[KZG_PROOF, 4096 * (8192 if version == DataVersion.FULU else 1)]
            blobs: OList[BLOB, 4096]

        oracle = SignedBlockContents
    expected = oracle.decode_bytes(decoded.signed(signature))
    assert expected.encode_bytes() == decoded.signed(signature)
    assert bytes(expected.hash_tree_root()) == decoded.signed_root(signature)
    message = expected.message if version == DataVersion.CAPELLA else expected.signed_block.message
    assert bytes(message.hash_tree_root()) == decoded.root

    blinded = b.blinded_of(decoded)
    assert blinded.signed(signature) == (100).to_bytes(4, "little") + signature + blinded.raw
    for block in (decoded, blinded):
        submitted = schemas(version).signed(blinded=block.blinded).read(block.signed(signature))
        assert submitted[0].signature == signature if block.has_contents else submitted.signature == signature
    with pytest.raises(ValueError, match=r"^block signature is 95 bytes long, expected 96$"):
        blinded.signed(Signature(bytes(95)))


@every_version
@settings(max_examples=60, deadline=None)
@given(draw=st.data(), blind=st.booleans())
def test_a_damaged_block_is_refused_or_is_another_block(version, draw, blind):
    raw = contents(version, random_block(version, most=1), blobs=0)
    if blind:
        raw = b.blinded_of(b.decode_block(version, raw)).raw
    changed = draw.draw(damaged(raw))
    assert reencoded(lambda given: Reencoding(b.decode_block(version, given)), changed) in (changed, REFUSED)


class Reencoding:
    """A decoded block, written anew from its fields."""

    def __init__(self, block):
        self.block = block

    def encode(self):
        return self.block.schema.encode(self.block.object)


@pytest.mark.parametrize("version", [0, 1, 2, 3, 8, 2**64 - 1])
def test_other_versions_have_no_blocks(version):
    with pytest.raises(ProtocolError, match=rf"^block data of version {version}, expected 4 to 7$") as raised:
        b.decode_block(version, b"")
    assert raised.value.code == ErrorCode.UNKNOWN_BLOCK_VERSION


@every_version
def test_a_refusal_says_what_either_form_lacks(version):
    other = DataVersion.DENEB if version == DataVersion.CAPELLA else DataVersion.CAPELLA
    raw = contents(other, random_block(other))
    with pytest.raises(
        ProtocolError, match=r"block data decode neither as blinded \(.*\) nor as full \(.*\)$"
    ) as raised:
        b.decode_block(version, raw)
    assert raised.value.outermost_code == ErrorCode.UNMARSHAL_SSZ


def test_numbers_and_vectors_that_do_not_fit_are_not_encoded():
    with pytest.raises(OverflowError):
        s.Uint(8).encode(2**64)
    with pytest.raises(ValueError, match=r"^byte vector of 4 is 5 bytes long, expected 4$"):
        s.Bytes(4).encode(bytes(5))
    with pytest.raises(ValueError, match=r"^vector of 4 bits is 2 bytes long, expected 1$"):
        s.Bitvector(4).encode(bytes(2))
    with pytest.raises(ValueError, match=r"^a vector has 1 items, expected 2$"):
        s.Vector(s.Bytes(32), 2).encode((bytes(32),))
    with pytest.raises(ValueError, match=r"^a vector's items are of variable size, expected a fixed one$"):
        s.Vector(s.ByteList(3), 2)


@pytest.mark.parametrize("version", [DataVersion.PHASE0, DataVersion.BELLATRIX])
def test_there_are_no_tables_of_earlier_blocks(version):
    with pytest.raises(ValueError, match=rf"^blocks of {version.name.lower()}, expected one of capella to fulu$"):
        block_schemas(version)


def test_a_block_of_another_preset_is_refused():
    raw = contents(DataVersion.FULU, random_block(DataVersion.FULU, preset=MINIMAL), preset=MINIMAL)
    with pytest.raises(ProtocolError, match=r"neither as blinded \(.*\) nor as full"):
        b.decode_block(DataVersion.FULU, raw)


def test_bits_beyond_a_vectors_last_are_refused():
    assert s.Bitvector(4).decode("bits", b"\x0f") == b"\x0f"
    with pytest.raises(ProtocolError, match=r"^bits: a bit beyond the last of 4 is set$"):
        s.Bitvector(4).decode("bits", b"\x1f")
    with pytest.raises(ProtocolError, match=r"^bits: 2 bytes, expected 1$"):
        s.Bitvector(4).decode("bits", b"\x0f\0")

"""The beacon chain's objects: small samples of each, and the targets that decode them."""

from typing import Any

from fuzzing.model import Target
from ssv_pool.protocol.types import attestations, blocks, schema
from ssv_pool.protocol.types.beacon_schemas import block_schemas
from ssv_pool.protocol.types.errors import ProtocolError
from ssv_pool.protocol.types.presets import MAINNET, Preset
from ssv_pool.protocol.types.versions import DataVersion


def small(kind: Any, items: int) -> Any:
    """A small value of an SSZ type, whose lists have so many items."""
    match kind:
        case schema.Uint():
            return 1
        case schema.Bytes() | schema.Bitvector():
            return bytes(kind.size)
        case schema.ByteList():
            return b"xyz"[: min(kind.limit, 3 * items)]
        case schema.Bitlist():
            return b"\x03"
        case schema.U64List():
            return tuple(range(items))
        case schema.List():
            return (small(kind.item, items),) * min(items, kind.limit)
        case schema.Vector():
            return (small(kind.item, items),) * kind.count
        case schema.Container():
            return kind.record._make(small(field, items) for field in kind.fields.values())
        case _:
            raise TypeError(f"no value for {kind!r}")


def block_samples(version: DataVersion, preset: Preset = MAINNET) -> tuple[bytes, ...]:
    """Blocks, blinded and full, with nothing in them and with one thing of each kind, but without blobs: large ones."""
    schemas = block_schemas(version, preset)
    samples = []
    for items in (0, 1):
        samples.append(schemas.blinded.encode(small(schemas.blinded, items)))
        whole = schemas.full if schemas.contents is None else schemas.contents
        value = small(whole, items)
        empty = {name: () for name in ("kzg_proofs", "blobs") if name in whole.fields}
        samples.append(whole.encode(value._replace(**empty)))
    return tuple(samples)


def block_target(version: DataVersion, preset: Preset = MAINNET) -> Target:
    """Blocks of one fork of the beacon chain."""

    def feed(raw: bytes) -> None:
        try:
            block = blocks.decode_block(version, raw, preset)
        except ProtocolError:
            return
        if block.schema.encode(block.object) != raw:
            raise AssertionError("accepted, but encodes to other bytes")

    return Target(block_samples(version, preset), feed)


def attestation_target(preset: Preset, *samples: bytes) -> Target:
    """Electra's aggregates, whose bit fields are as long as the preset says."""

    def feed(raw: bytes) -> None:
        try:
            value = attestations.ElectraAttestation.decode(raw, preset)
        except ProtocolError:
            return
        if value.encode() != raw:
            raise AssertionError("accepted, but encodes to other bytes")
        value.hash_tree_root(preset)

    return Target(samples, feed)

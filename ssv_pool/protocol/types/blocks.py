"""Beacon blocks of Capella to Fulu, full and blinded (PROTOCOL 1.10).

What a proposer signs is the block's root, and a blinded block has the root of its full one.
"""

from dataclasses import dataclass, field
from typing import Any

from ssv_pool.protocol.types import ssz
from ssv_pool.protocol.types.beacon_schemas import BLOCK_VERSIONS, BlockSchemas, block_schemas
from ssv_pool.protocol.types.errors import ErrorCode, ProtocolError
from ssv_pool.protocol.types.presets import MAINNET, Preset
from ssv_pool.protocol.types.primitives import Root, Signature, Slot
from ssv_pool.protocol.types.schema import Container
from ssv_pool.protocol.types.versions import DataVersion

_SIGNED_OFFSET = (4 + 96).to_bytes(4, "little")


@dataclass(frozen=True, slots=True)
class DecodedBlock:
    """A block as it was proposed: blinded, full, or full with its blobs."""

    version: DataVersion
    blinded: bool
    """Whether the body holds the payload's header only."""
    root: Root
    """Root of the block, which is what the validator signs; 32 bytes."""
    slot: Slot
    """Slot that the block itself names."""
    object: Any
    """The named tuple that was decoded: BeaconBlock or BlockContents."""
    raw: bytes
    """Its SSZ bytes."""
    preset: Preset = MAINNET
    header: Any = field(default=None, compare=False, repr=False)
    """The payload's header of a full block: its lists are hashed once, for the root and for the blinded form."""

    @property
    def block(self) -> Any:
        """The block without blobs: a named tuple slot, proposer_index, parent_root, state_root, body."""
        return self.object.block if self.has_contents else self.object

    @property
    def has_contents(self) -> bool:
        """Whether proofs and blobs come with the block."""
        return not self.blinded and self.version >= DataVersion.DENEB

    @property
    def schema(self) -> Container:
        """The container that ``object`` is of."""
        return self._schemas.unsigned(blinded=self.blinded)

    def signed(self, signature: Signature) -> bytes:
        """SSZ of what the beacon node takes: SignedBlindedBeaconBlock, SignedBeaconBlock or SignedBlockContents."""
        ssz.check_fixed("block signature", signature, 96)
        if self.has_contents:
            signed = self._schemas.signed_block.record(self.object.block, signature)
            contents = self.object
            return self._signed_contents.encode((signed, contents.kzg_proofs, contents.blobs))
        return b"".join((_SIGNED_OFFSET, signature, self.raw))

    def signed_root(self, signature: Signature) -> Root:
        """SSZ root of what ``signed`` encodes, 32 bytes."""
        signed_block = ssz.container_root(self.root, ssz.bytes_root(signature))
        if not self.has_contents:
            return signed_block
        _, proofs, blobs = self._signed_contents.fields.values()
        return ssz.container_root(signed_block, proofs.root(self.object.kzg_proofs), blobs.root(self.object.blobs))

    @property
    def _schemas(self) -> BlockSchemas:
        return block_schemas(self.version, self.preset)

    @property
    def _signed_contents(self) -> Container:
        schema = self._schemas.signed_contents
        if schema is None:  # has_contents says otherwise
            raise ValueError(f"{self.version.name} has no block contents")
        return schema


def decode_block(version: int, raw: bytes, preset: Preset = MAINNET) -> DecodedBlock:
    """Read a block's SSZ: the blinded form is tried first, then the full one.

    Raises:
        ProtocolError: 11 for a version without rule, 1 where both forms are refused.
    """
    if version not in BLOCK_VERSIONS:
        raise ProtocolError(
            f"block data of version {version}, expected {int(DataVersion.CAPELLA)} to {int(DataVersion.FULU)}",
            ErrorCode.UNKNOWN_BLOCK_VERSION,
        )
    known = DataVersion(version)
    schemas = block_schemas(known, preset)
    try:
        blinded = schemas.blinded.read(raw)
    except ProtocolError as as_blinded:
        return _decode_full(known, preset, raw, as_blinded)
    return DecodedBlock(known, True, schemas.blinded.root(blinded), Slot(blinded.slot), blinded, raw, preset)


def blinded_of(block: DecodedBlock) -> DecodedBlock:
    """The same block with the payload's header in place of the payload, and without blobs; its root is the same."""
    if block.blinded:
        return block
    schemas = block_schemas(block.version, block.preset)
    blinded = _blind(schemas, block.block, block.header)
    raw = schemas.blinded.encode(blinded)
    return DecodedBlock(block.version, True, block.root, block.slot, blinded, raw, block.preset)


def withdrawals_root(block: DecodedBlock) -> Root:
    """SSZ root of a full block's list of withdrawals, 32 bytes."""
    withdrawals = block_schemas(block.version, block.preset).payload.fields["withdrawals"]
    return withdrawals.root(block.block.body.execution_payload.withdrawals)


def _decode_full(version: DataVersion, preset: Preset, raw: bytes, as_blinded: ProtocolError) -> DecodedBlock:
    schemas = block_schemas(version, preset)
    try:
        decoded = schemas.unsigned(blinded=False).read(raw)
    except ProtocolError as as_full:
        raise ProtocolError(
            f"{version.name.lower()} block data decode neither as blinded ({as_blinded}) nor as full ({as_full})",
            ErrorCode.UNMARSHAL_SSZ,
        ) from as_full
    block = decoded.block if schemas.contents else decoded
    header = _header_of(schemas, block.body.execution_payload)
    root = schemas.blinded.root(_blind(schemas, block, header))
    return DecodedBlock(version, False, root, Slot(block.slot), decoded, raw, preset, header)


def _header_of(schemas: BlockSchemas, payload: Any) -> Any:
    lists = schemas.payload.fields
    roots = {
        "transactions_root": lists["transactions"].root(payload.transactions),
        "withdrawals_root": lists["withdrawals"].root(payload.withdrawals),
    }
    return schemas.header.record(
        **{name: roots[name] if name in roots else getattr(payload, name) for name in schemas.header.fields}
    )


def _blind(schemas: BlockSchemas, full: Any, header: Any) -> Any:
    payload = full.body.execution_payload
    body = schemas.blinded_body.record._make(header if item is payload else item for item in full.body)
    return schemas.blinded.record._make((*full[:-1], body))

"""Beacon blocks of Capella to Fulu, full and blinded (PROTOCOL 1.10).

The containers and their limits are those of the beacon chain's specification; block contents are those of the beacon
node's API. What a proposer signs is the block's root, and a blinded block has the root of its full one.
"""

from dataclasses import dataclass
from typing import Any

from ssv_pool.protocol.types import ssz
from ssv_pool.protocol.types.errors import ErrorCode, ProtocolError
from ssv_pool.protocol.types.primitives import Root, Signature, Slot
from ssv_pool.protocol.types.schema import Bitlist, ByteList, Bytes, Container, Kind, List, U64List, Uint, Vector
from ssv_pool.protocol.types.versions import DataVersion


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
        schemas = _SCHEMAS[self.version]
        return schemas.blinded if self.blinded else schemas.contents or schemas.full

    def signed(self, signature: Signature) -> bytes:
        """SSZ of what the beacon node takes: SignedBlindedBeaconBlock, SignedBeaconBlock or SignedBlockContents."""
        ssz.check_fixed("block signature", signature, 96)
        if self.has_contents:
            signed = _SCHEMAS[self.version].signed_block.record(self.object.block, signature)
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
    def _signed_contents(self) -> Container:
        schema = _SCHEMAS[self.version].signed_contents
        if schema is None:  # has_contents says otherwise
            raise ValueError(f"{self.version.name} has no block contents")
        return schema


def decode_block(version: int, raw: bytes) -> DecodedBlock:
    """Read a block's SSZ: the blinded form is tried first, then the full one.

    Raises:
        ProtocolError: 11 for a version without rule, 1 where both forms are refused.
    """
    schemas = _SCHEMAS.get(version)
    if schemas is None:
        raise ProtocolError(
            f"block data of version {version}, expected {int(DataVersion.CAPELLA)} to {int(DataVersion.FULU)}",
            ErrorCode.UNKNOWN_BLOCK_VERSION,
        )
    known = DataVersion(version)
    try:
        blinded = schemas.blinded.read(raw)
    except ProtocolError as as_blinded:
        return _decode_full(known, schemas, raw, as_blinded)
    return DecodedBlock(known, True, schemas.blinded.root(blinded), Slot(blinded.slot), blinded, raw)


def blinded_of(block: DecodedBlock) -> DecodedBlock:
    """The same block with the payload's header in place of the payload, and without blobs; its root is the same."""
    if block.blinded:
        return block
    schemas = _SCHEMAS[block.version]
    full = block.block
    payload = full.body.execution_payload
    roots = {
        "transactions_root": _TRANSACTIONS.root(payload.transactions),
        "withdrawals_root": _WITHDRAWALS.root(payload.withdrawals),
    }
    header = schemas.header.record(
        **{field: roots[field] if field in roots else getattr(payload, field) for field in schemas.header.fields}
    )
    body_schema = schemas.blinded_body
    body = body_schema.record._make(header if item is payload else item for item in full.body)
    blinded = schemas.blinded.record._make((*full[:-1], body))
    return DecodedBlock(block.version, True, block.root, block.slot, blinded, schemas.blinded.encode(blinded))


def withdrawals_root(block: DecodedBlock) -> Root:
    """SSZ root of a full block's list of withdrawals, 32 bytes."""
    return _WITHDRAWALS.root(block.block.body.execution_payload.withdrawals)


def _decode_full(version: DataVersion, schemas: "_Schemas", raw: bytes, as_blinded: ProtocolError) -> DecodedBlock:
    try:
        decoded = (schemas.contents or schemas.full).read(raw)
    except ProtocolError as as_full:
        raise ProtocolError(
            f"{version.name.lower()} block data decode neither as blinded ({as_blinded}) nor as full ({as_full})",
            ErrorCode.UNMARSHAL_SSZ,
        ) from as_full
    block = decoded.block if schemas.contents else decoded
    return DecodedBlock(version, False, schemas.full.root(block), Slot(block.slot), decoded, raw)


_SIGNED_OFFSET = (4 + 96).to_bytes(4, "little")

_U64 = Uint(8)
_ROOT = Bytes(32)
_BLS_KEY = Bytes(48)
_BLS_SIGNATURE = Bytes(96)
_ADDRESS = Bytes(20)


def _signed(name: str, message: Container) -> Container:
    return Container(name, message=message, signature=_BLS_SIGNATURE)


_CHECKPOINT = Container("Checkpoint", epoch=_U64, root=_ROOT)
_ATTESTATION_DATA = Container(
    "AttestationData", slot=_U64, index=_U64, beacon_block_root=_ROOT, source=_CHECKPOINT, target=_CHECKPOINT
)
_ETH1_DATA = Container("Eth1Data", deposit_root=_ROOT, deposit_count=_U64, block_hash=_ROOT)
_HEADER = Container(
    "BeaconBlockHeader", slot=_U64, proposer_index=_U64, parent_root=_ROOT, state_root=_ROOT, body_root=_ROOT
)
_SIGNED_HEADER = _signed("SignedBeaconBlockHeader", _HEADER)
_PROPOSER_SLASHING = Container("ProposerSlashing", signed_header_1=_SIGNED_HEADER, signed_header_2=_SIGNED_HEADER)
_DEPOSIT_DATA = Container(
    "DepositData", pubkey=_BLS_KEY, withdrawal_credentials=_ROOT, amount=_U64, signature=_BLS_SIGNATURE
)
_DEPOSIT = Container("Deposit", proof=Vector(_ROOT, 33), data=_DEPOSIT_DATA)
_EXIT = _signed("SignedVoluntaryExit", Container("VoluntaryExit", epoch=_U64, validator_index=_U64))
_SYNC_AGGREGATE = Container("SyncAggregate", sync_committee_bits=Bytes(64), sync_committee_signature=_BLS_SIGNATURE)
_WITHDRAWAL = Container("Withdrawal", index=_U64, validator_index=_U64, address=_ADDRESS, amount=_U64)
_CREDENTIALS_CHANGE = _signed(
    "SignedBLSToExecutionChange",
    Container("BLSToExecutionChange", validator_index=_U64, from_bls_pubkey=_BLS_KEY, to_execution_address=_ADDRESS),
)
_TRANSACTIONS = List(ByteList(2**30), 2**20)
_WITHDRAWALS = List(_WITHDRAWAL, 16)
_COMMITMENTS = List(_BLS_KEY, 4096)
_BLOBS = List(Bytes(131_072), 4096)
"""4096 field elements of 32 bytes each in a blob."""


def _attestation(name: str, committee_limit: int, **more: Bytes) -> Container:
    return Container(
        name, aggregation_bits=Bitlist(committee_limit), data=_ATTESTATION_DATA, signature=_BLS_SIGNATURE, **more
    )


def _attester_slashing(committee_limit: int) -> Container:
    indexed = Container(
        "IndexedAttestation",
        attesting_indices=U64List(committee_limit),
        data=_ATTESTATION_DATA,
        signature=_BLS_SIGNATURE,
    )
    return Container("AttesterSlashing", attestation_1=indexed, attestation_2=indexed)


_PAYLOAD_HEAD: dict[str, Kind] = {
    "parent_hash": _ROOT,
    "fee_recipient": _ADDRESS,
    "state_root": _ROOT,
    "receipts_root": _ROOT,
    "logs_bloom": Bytes(256),
    "prev_randao": _ROOT,
    "block_number": _U64,
    "gas_limit": _U64,
    "gas_used": _U64,
    "timestamp": _U64,
    "extra_data": ByteList(32),
    "base_fee_per_gas": Uint(32),
    "block_hash": _ROOT,
}
_CAPELLA_PAYLOAD = Container("ExecutionPayload", **_PAYLOAD_HEAD, transactions=_TRANSACTIONS, withdrawals=_WITHDRAWALS)
_CAPELLA_HEADER = Container("ExecutionPayloadHeader", **_PAYLOAD_HEAD, transactions_root=_ROOT, withdrawals_root=_ROOT)
_DENEB_PAYLOAD = _CAPELLA_PAYLOAD.extended("ExecutionPayload", blob_gas_used=_U64, excess_blob_gas=_U64)
_DENEB_HEADER = _CAPELLA_HEADER.extended("ExecutionPayloadHeader", blob_gas_used=_U64, excess_blob_gas=_U64)

_CAPELLA_BODY = Container(
    "BeaconBlockBody",
    randao_reveal=_BLS_SIGNATURE,
    eth1_data=_ETH1_DATA,
    graffiti=_ROOT,
    proposer_slashings=List(_PROPOSER_SLASHING, 16),
    attester_slashings=List(_attester_slashing(2048), 2),
    attestations=List(_attestation("Attestation", 2048), 128),
    deposits=List(_DEPOSIT, 16),
    voluntary_exits=List(_EXIT, 16),
    sync_aggregate=_SYNC_AGGREGATE,
    execution_payload=_CAPELLA_PAYLOAD,
    bls_to_execution_changes=List(_CREDENTIALS_CHANGE, 16),
)
_DENEB_BODY = _CAPELLA_BODY.extended(
    "BeaconBlockBody", execution_payload=_DENEB_PAYLOAD, blob_kzg_commitments=_COMMITMENTS
)
_EXECUTION_REQUESTS = Container(
    "ExecutionRequests",
    deposits=List(
        Container(
            "DepositRequest",
            pubkey=_BLS_KEY,
            withdrawal_credentials=_ROOT,
            amount=_U64,
            signature=_BLS_SIGNATURE,
            index=_U64,
        ),
        8192,
    ),
    withdrawals=List(
        Container("WithdrawalRequest", source_address=_ADDRESS, validator_pubkey=_BLS_KEY, amount=_U64), 16
    ),
    consolidations=List(
        Container("ConsolidationRequest", source_address=_ADDRESS, source_pubkey=_BLS_KEY, target_pubkey=_BLS_KEY), 2
    ),
)
_ELECTRA_BODY = _DENEB_BODY.extended(
    "BeaconBlockBody",
    attester_slashings=List(_attester_slashing(2048 * 64), 1),
    attestations=List(_attestation("Attestation", 2048 * 64, committee_bits=Bytes(8)), 8),
    execution_requests=_EXECUTION_REQUESTS,
)


def _block(name: str, body: Container) -> Container:
    return Container(name, slot=_U64, proposer_index=_U64, parent_root=_ROOT, state_root=_ROOT, body=body)


def _blinded_body(body: Container, header: Container) -> Container:
    fields = {
        ("execution_payload_header" if field == "execution_payload" else field): (
            header if field == "execution_payload" else kind
        )
        for field, kind in body.fields.items()
    }
    return Container("BlindedBeaconBlockBody", **fields)


@dataclass(frozen=True, slots=True)
class _Schemas:
    """The containers of one version."""

    header: Container
    blinded_body: Container
    blinded: Container
    full: Container
    signed_block: Container
    contents: Container | None
    signed_contents: Container | None


def _schemas(body: Container, header: Container, proof_limit: int | None) -> _Schemas:
    full = _block("BeaconBlock", body)
    signed_block = _signed("SignedBeaconBlock", full)
    contents = signed_contents = None
    if proof_limit is not None:
        sidecars = {"kzg_proofs": List(_BLS_KEY, proof_limit), "blobs": _BLOBS}
        contents = Container("BlockContents", block=full, **sidecars)
        signed_contents = Container("SignedBlockContents", signed_block=signed_block, **sidecars)
    blinded_body = _blinded_body(body, header)
    blinded = _block("BlindedBeaconBlock", blinded_body)
    return _Schemas(header, blinded_body, blinded, full, signed_block, contents, signed_contents)


_SCHEMAS: dict[int, _Schemas] = {
    DataVersion.CAPELLA: _schemas(_CAPELLA_BODY, _CAPELLA_HEADER, None),
    DataVersion.DENEB: _schemas(_DENEB_BODY, _DENEB_HEADER, 4096),
    DataVersion.ELECTRA: _schemas(_ELECTRA_BODY, _DENEB_HEADER, 4096),
    DataVersion.FULU: _schemas(_ELECTRA_BODY, _DENEB_HEADER, 4096 * 8192),
}
"""The proofs' limits are the beacon node API's: one a blob, from Fulu on 8192 (extended field elements) a blob."""

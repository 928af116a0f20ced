"""Tables of the beacon chain's containers, Capella to Fulu, in every preset: blocks, aggregates, contributions.

The containers and their limits are those of the beacon chain's specification; block contents are those of the beacon
node's API. ``schema`` has the kinds they are made of; whoever writes a container in another form, such as the API's
JSON, can walk them.
"""

from dataclasses import dataclass
from functools import cache

from ssv_pool.protocol.types.presets import MAINNET, Preset
from ssv_pool.protocol.types.schema import (
    Bitlist,
    Bitvector,
    ByteList,
    Bytes,
    Container,
    Kind,
    List,
    U64List,
    Uint,
    Vector,
)
from ssv_pool.protocol.types.versions import DataVersion

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
_WITHDRAWAL = Container("Withdrawal", index=_U64, validator_index=_U64, address=_ADDRESS, amount=_U64)
_CREDENTIALS_CHANGE = _signed(
    "SignedBLSToExecutionChange",
    Container("BLSToExecutionChange", validator_index=_U64, from_bls_pubkey=_BLS_KEY, to_execution_address=_ADDRESS),
)
_TRANSACTIONS = List(ByteList(2**30), 2**20)
_COMMITMENTS = List(_BLS_KEY, 4096)
_BLOBS = List(Bytes(131_072), 4096)
"""4096 field elements of 32 bytes each in a blob."""

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
_BLOB_GAS: dict[str, Kind] = {"blob_gas_used": _U64, "excess_blob_gas": _U64}
_PROOF_LIMITS = {DataVersion.DENEB: 4096, DataVersion.ELECTRA: 4096, DataVersion.FULU: 4096 * 8192}
"""The proofs' limits are the beacon node API's: one a blob, from Fulu on 8192 (extended field elements) a blob."""

BLOCK_VERSIONS = (DataVersion.CAPELLA, DataVersion.DENEB, DataVersion.ELECTRA, DataVersion.FULU)
"""The forks whose blocks are known."""


@dataclass(frozen=True, slots=True)
class BlockSchemas:
    """The containers of one fork's blocks in one preset."""

    payload: Container
    header: Container
    blinded_body: Container
    blinded: Container
    full: Container
    signed_blinded: Container
    signed_block: Container
    contents: Container | None
    """A block with its blobs; from Deneb on."""
    signed_contents: Container | None

    def unsigned(self, *, blinded: bool) -> Container:
        """What a beacon node gives for signing: BlindedBeaconBlock, BlockContents, or before Deneb BeaconBlock."""
        return self.blinded if blinded else self.contents or self.full

    def signed(self, *, blinded: bool) -> Container:
        """What a beacon node takes: SignedBlindedBeaconBlock, SignedBlockContents, before Deneb SignedBeaconBlock."""
        return self.signed_blinded if blinded else self.signed_contents or self.signed_block


@cache
def block_schemas(version: DataVersion, preset: Preset = MAINNET) -> BlockSchemas:
    """The containers of a fork's blocks. Raises ValueError for a fork that is not of ``BLOCK_VERSIONS``."""
    if version not in BLOCK_VERSIONS:
        raise ValueError(f"blocks of {version.name.lower()}, expected one of capella to fulu")
    payload, header = _payload(version, preset), _payload_header(version)
    body = _body(version, preset, payload)
    full = _block("BeaconBlock", body)
    blinded_body = _blinded_body(body, header)
    blinded = _block("BlindedBeaconBlock", blinded_body)
    signed_block = _signed("SignedBeaconBlock", full)
    contents = signed_contents = None
    if version in _PROOF_LIMITS:
        sidecars: dict[str, Kind] = {"kzg_proofs": List(_BLS_KEY, _PROOF_LIMITS[version]), "blobs": _BLOBS}
        contents = Container("BlockContents", block=full, **sidecars)
        signed_contents = Container("SignedBlockContents", signed_block=signed_block, **sidecars)
    return BlockSchemas(
        payload=payload,
        header=header,
        blinded_body=blinded_body,
        blinded=blinded,
        full=full,
        signed_blinded=_signed("SignedBlindedBeaconBlock", blinded),
        signed_block=signed_block,
        contents=contents,
        signed_contents=signed_contents,
    )


@cache
def attestation_schema(version: DataVersion, preset: Preset = MAINNET) -> Container:
    """An aggregate of attestations as a fork has it."""
    if version < DataVersion.ELECTRA:
        return Container(
            "Attestation",
            aggregation_bits=Bitlist(preset.max_validators_per_committee),
            data=_ATTESTATION_DATA,
            signature=_BLS_SIGNATURE,
        )
    return Container(
        "Attestation",
        aggregation_bits=Bitlist(preset.max_attesters_per_slot),
        data=_ATTESTATION_DATA,
        signature=_BLS_SIGNATURE,
        committee_bits=Bitvector(preset.max_committees_per_slot),
    )


@cache
def signed_aggregate_schema(version: DataVersion, preset: Preset = MAINNET) -> Container:
    """SignedAggregateAndProof as a fork has it."""
    return _signed(
        "SignedAggregateAndProof",
        Container(
            "AggregateAndProof",
            aggregator_index=_U64,
            aggregate=attestation_schema(version, preset),
            selection_proof=_BLS_SIGNATURE,
        ),
    )


@cache
def contribution_schema(preset: Preset = MAINNET) -> Container:
    """SyncCommitteeContribution as beacon nodes have it: with as many bits as a part of the sync committee has places.

    The operators' messages always have mainnet's 128 bits: ``contributions`` is their codec.
    """
    return Container(
        "SyncCommitteeContribution",
        slot=_U64,
        beacon_block_root=_ROOT,
        subcommittee_index=_U64,
        aggregation_bits=Bitvector(preset.subcommittee_size),
        signature=_BLS_SIGNATURE,
    )


@cache
def signed_contribution_schema(preset: Preset = MAINNET) -> Container:
    """SignedContributionAndProof as beacon nodes have it."""
    return _signed(
        "SignedContributionAndProof",
        Container(
            "ContributionAndProof",
            aggregator_index=_U64,
            contribution=contribution_schema(preset),
            selection_proof=_BLS_SIGNATURE,
        ),
    )


def _payload(version: DataVersion, preset: Preset) -> Container:
    withdrawals = List(_WITHDRAWAL, preset.max_withdrawals_per_payload)
    payload = Container("ExecutionPayload", **_PAYLOAD_HEAD, transactions=_TRANSACTIONS, withdrawals=withdrawals)
    return payload if version < DataVersion.DENEB else payload.extended(payload.name, **_BLOB_GAS)


def _payload_header(version: DataVersion) -> Container:
    header = Container("ExecutionPayloadHeader", **_PAYLOAD_HEAD, transactions_root=_ROOT, withdrawals_root=_ROOT)
    return header if version < DataVersion.DENEB else header.extended(header.name, **_BLOB_GAS)


def _body(version: DataVersion, preset: Preset, payload: Container) -> Container:
    electra = version >= DataVersion.ELECTRA
    attesters = preset.max_attesters_per_slot if electra else preset.max_validators_per_committee
    sync_aggregate = Container(
        "SyncAggregate",
        sync_committee_bits=Bitvector(preset.sync_committee_size),
        sync_committee_signature=_BLS_SIGNATURE,
    )
    body = Container(
        "BeaconBlockBody",
        randao_reveal=_BLS_SIGNATURE,
        eth1_data=_ETH1_DATA,
        graffiti=_ROOT,
        proposer_slashings=List(_PROPOSER_SLASHING, 16),
        attester_slashings=List(_attester_slashing(attesters), 1 if electra else 2),
        attestations=List(attestation_schema(version, preset), 8 if electra else 128),
        deposits=List(_DEPOSIT, 16),
        voluntary_exits=List(_EXIT, 16),
        sync_aggregate=sync_aggregate,
        execution_payload=payload,
        bls_to_execution_changes=List(_CREDENTIALS_CHANGE, 16),
    )
    if version >= DataVersion.DENEB:
        body = body.extended(body.name, blob_kzg_commitments=_COMMITMENTS)
    return body.extended(body.name, execution_requests=_EXECUTION_REQUESTS) if electra else body


def _attester_slashing(attesters: int) -> Container:
    indexed = Container(
        "IndexedAttestation",
        attesting_indices=U64List(attesters),
        data=_ATTESTATION_DATA,
        signature=_BLS_SIGNATURE,
    )
    return Container("AttesterSlashing", attestation_1=indexed, attestation_2=indexed)


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

"""Reads the suite's JSON into this package's types (PROTOCOL 6.2).

Go writes nil as null, byte slices as base64, byte arrays as hex (or as a list of ints where it had no address to call a
method on), and the beacon chain's objects as the beacon node's API does.
"""

import base64

from ssv_pool.protocol.types.aggregator_committee import AggregatorCommitteeConsensusData, AssignedAggregator
from ssv_pool.protocol.types.attestations import Attestation, ElectraAttestation
from ssv_pool.protocol.types.beacon import AttestationData, BeaconVote, Checkpoint
from ssv_pool.protocol.types.consensus_data import ProposerConsensusData
from ssv_pool.protocol.types.contributions import SyncCommitteeContribution
from ssv_pool.protocol.types.duties import ValidatorDuty
from ssv_pool.protocol.types.errors import ErrorCode, ProtocolError
from ssv_pool.protocol.types.messages import QBFTMessage, SignedSSVMessage, SSVMessage
from ssv_pool.protocol.types.partial import PartialSignatureMessage, PartialSignatureMessages
from ssv_pool.protocol.types.primitives import (
    CommitteeId,
    DomainType,
    Epoch,
    MessageId,
    OperatorId,
    PublicKey,
    Root,
    Round,
    Signature,
    Slot,
    ValidatorIndex,
)
from ssv_pool.protocol.types.share import CommitteeMember, Operator, Share, ShareMember
from ssv_pool.protocol.types.versions import DataVersion
from ssv_pool.spectests.model import Json


def unbase64(text: str | None) -> bytes:
    """Go's []byte; nil becomes empty."""
    return base64.b64decode(text) if text else b""


def raw_bytes(value: str | list[int]) -> bytes:
    """Go's byte array: hex with or without 0x, or a list of ints."""
    return bytes.fromhex(value.removeprefix("0x")) if isinstance(value, str) else bytes(value)


def data_version(name: str | int) -> int:
    """A DataVersion from its lower-case name; a number is left as it is, and what Go calls unknown becomes 0."""
    if isinstance(name, int):
        return name
    return DataVersion.__members__.get(name.upper(), 0)


def ssv_message(value: Json) -> SSVMessage:
    """An SSVMessage."""
    return SSVMessage(value["MsgType"], MessageId(raw_bytes(value["MsgID"])), unbase64(value["Data"]))


def signed_message(value: Json) -> SignedSSVMessage:
    """A SignedSSVMessage. Raises ProtocolError (14) where the message inside is nil, which no bytes can say."""
    if value["SSVMessage"] is None:
        raise ProtocolError("the signed message has no message inside", ErrorCode.NIL_SSV_MESSAGE)
    return SignedSSVMessage(
        signatures=tuple(unbase64(item) for item in value["Signatures"] or []),
        operator_ids=tuple(OperatorId(item) for item in value["OperatorIDs"] or []),
        ssv_message=ssv_message(value["SSVMessage"]),
        full_data=unbase64(value["FullData"]),
    )


def qbft_message(value: Json) -> QBFTMessage:
    """A QBFT Message."""
    return QBFTMessage(
        msg_type=value["MsgType"],
        height=Slot(value["Height"]),
        round=Round(value["Round"]),
        identifier=unbase64(value["Identifier"]),
        root=Root(raw_bytes(value["Root"])),
        data_round=Round(value["DataRound"]),
        round_change_justification=tuple(unbase64(item) for item in value["RoundChangeJustification"] or []),
        prepare_justification=tuple(unbase64(item) for item in value["PrepareJustification"] or []),
    )


def partial_message(value: Json) -> PartialSignatureMessage:
    """A PartialSignatureMessage."""
    return PartialSignatureMessage(
        Signature(raw_bytes(value["PartialSignature"])),
        Root(raw_bytes(value["SigningRoot"])),
        OperatorId(value["Signer"]),
        ValidatorIndex(int(value["ValidatorIndex"])),
    )


def partial_messages(value: Json) -> PartialSignatureMessages:
    """PartialSignatureMessages."""
    return PartialSignatureMessages(
        value["Type"], Slot(int(value["Slot"])), tuple(map(partial_message, value["Messages"] or []))
    )


def committee_member(value: Json) -> CommitteeMember:
    """A CommitteeMember."""
    return CommitteeMember(
        operator_id=OperatorId(value["OperatorID"]),
        committee_id=CommitteeId(raw_bytes(value["CommitteeID"])),
        operator_pubkey=unbase64(value["SSVOperatorPubKey"]),
        faulty_nodes=value["FaultyNodes"],
        committee=tuple(map(_operator, value["Committee"] or [])),
        domain_type=DomainType(raw_bytes(value["DomainType"])),
    )


def _operator(value: Json) -> Operator:
    return Operator(OperatorId(value["OperatorID"]), unbase64(value["SSVOperatorPubKey"]))


def share(value: Json) -> Share:
    """A Share."""
    return Share(
        validator_index=ValidatorIndex(int(value["ValidatorIndex"])),
        validator_pubkey=PublicKey(raw_bytes(value["ValidatorPubKey"])),
        share_pubkey=PublicKey(unbase64(value["SharePubKey"])),
        committee=tuple(
            ShareMember(PublicKey(unbase64(item["SharePubKey"])), OperatorId(item["Signer"]))
            for item in value["Committee"] or []
        ),
        domain_type=DomainType(raw_bytes(value["DomainType"])),
        fee_recipient=raw_bytes(value["FeeRecipientAddress"]),
        graffiti=unbase64(value["Graffiti"]),
    )


def validator_duty(value: Json) -> ValidatorDuty:
    """A ValidatorDuty."""
    return ValidatorDuty(
        type=value["Type"],
        pubkey=PublicKey(raw_bytes(value["PubKey"])),
        slot=Slot(int(value["Slot"])),
        validator_index=ValidatorIndex(int(value["ValidatorIndex"])),
        committee_index=int(value["CommitteeIndex"]),
        committee_length=int(value["CommitteeLength"]),
        committees_at_slot=int(value["CommitteesAtSlot"]),
        validator_committee_index=int(value["ValidatorCommitteeIndex"]),
        validator_sync_committee_indices=tuple(map(int, value["ValidatorSyncCommitteeIndices"] or [])),
    )


def checkpoint(value: Json) -> Checkpoint:
    """A Checkpoint."""
    return Checkpoint(Epoch(int(value["epoch"])), Root(raw_bytes(value["root"])))


def beacon_vote(value: Json) -> BeaconVote:
    """A BeaconVote."""
    return BeaconVote(Root(raw_bytes(value["BlockRoot"])), checkpoint(value["Source"]), checkpoint(value["Target"]))


def attestation_data(value: Json) -> AttestationData:
    """An AttestationData."""
    return AttestationData(
        Slot(int(value["slot"])),
        int(value["index"]),
        Root(raw_bytes(value["beacon_block_root"])),
        checkpoint(value["source"]),
        checkpoint(value["target"]),
    )


def attestation(value: Json) -> Attestation | ElectraAttestation:
    """An attestation of either form: Electra's has committee bits."""
    bits, data = raw_bytes(value["aggregation_bits"]), attestation_data(value["data"])
    signature = Signature(raw_bytes(value["signature"]))
    if "committee_bits" in value:
        return ElectraAttestation(bits, data, signature, raw_bytes(value["committee_bits"]))
    return Attestation(bits, data, signature)


def proposer_data(value: Json) -> ProposerConsensusData:
    """ProposerConsensusData, in Alan ValidatorConsensusData."""
    return ProposerConsensusData(
        validator_duty(value["Duty"]), data_version(value["Version"]), unbase64(value["DataSSZ"])
    )


def sync_committee_contribution(value: Json) -> SyncCommitteeContribution:
    """A SyncCommitteeContribution."""
    return SyncCommitteeContribution(
        Slot(int(value["slot"])),
        Root(raw_bytes(value["beacon_block_root"])),
        int(value["subcommittee_index"]),
        raw_bytes(value["aggregation_bits"]),
        Signature(raw_bytes(value["signature"])),
    )


def aggregator_committee_data(value: Json) -> AggregatorCommitteeConsensusData:
    """AggregatorCommitteeConsensusData."""
    return AggregatorCommitteeConsensusData(
        version=data_version(value["Version"]),
        aggregators=tuple(map(_assigned, value["Aggregators"] or [])),
        aggregator_committee_indexes=tuple(map(int, value["AggregatorsCommitteeIndexes"] or [])),
        aggregated_attestations=tuple(map(unbase64, value["AggregatedAttestations"] or [])),
        contributors=tuple(map(_assigned, value["Contributors"] or [])),
        sync_committee_contributions=tuple(map(sync_committee_contribution, value["SyncCommitteeContributions"] or [])),
    )


def _assigned(value: Json) -> AssignedAggregator:
    return AssignedAggregator(
        ValidatorIndex(int(value["ValidatorIndex"])),
        Signature(raw_bytes(value["SelectionProof"])),
        int(value["CommitteeIndex"]),
    )

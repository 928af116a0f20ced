"""Sizes of usual messages in a committee of four, from the layout alone, and one whole encoding byte by byte."""

from dataclasses import replace

import pytest

from ssv_pool.protocol import types as t
from ssv_pool.protocol.types.aggregator_committee import AggregatorCommitteeConsensusData, AssignedAggregator
from ssv_pool.protocol.types.consensus_data import MAX_DATA_SSZ_BYTES, ProposerConsensusData
from ssv_pool.protocol.types.contributions import SyncCommitteeContribution

COMMITTEE = t.committee_id(map(t.OperatorId, (1, 2, 3, 4)))
MID = t.committee_message_id(t.DomainType(bytes.fromhex("00000402")), t.RunnerRole.COMMITTEE, COMMITTEE)
PREPARE = t.QBFTMessage(t.QBFTMessageType.PREPARE, t.Slot(77), t.Round(2), MID, t.Root(b"\x0a" * 32))


def signed(message, *signers, full_data=b"", msg_type=t.MsgType.CONSENSUS):
    return t.SignedSSVMessage(
        (b"\xee" * 256,) * len(signers), signers, t.SSVMessage(msg_type, MID, message.encode()), full_data
    )


def test_sizes():
    commit = replace(PREPARE, msg_type=t.QBFTMessageType.COMMIT)
    prepares = tuple(signed(PREPARE, signer).encode() for signer in (1, 2, 3))
    round_change = replace(
        PREPARE, msg_type=t.QBFTMessageType.ROUND_CHANGE, data_round=1, round_change_justification=prepares
    )
    round_changes = tuple(signed(round_change, signer).encode() for signer in (1, 2, 3))
    proposal = replace(
        PREPARE,
        msg_type=t.QBFTMessageType.PROPOSAL,
        round_change_justification=round_changes,
        prepare_justification=prepares,
    )
    partial = t.PartialSignatureMessage(bytes(96), bytes(32), 1, 7)
    partials = t.PartialSignatureMessages(0, t.Slot(77), (partial,))
    sizes = [
        len(message.encode())
        for message in (
            PREPARE,
            signed(PREPARE, 1),
            signed(commit, 1, 2, 3),
            round_change,
            signed(round_change, 1),
            proposal,
            signed(proposal, 1, full_data=bytes(112)),
            partials,
            signed(partials, 1, msg_type=t.MsgType.PARTIAL_SIGNATURE),
        )
    ]
    assert sizes == [132, 484, 1020, 1596, 1948, 7452, 7916, 164, 516]


def test_a_signed_prepare_byte_by_byte():
    expected = "".join(
        [
            "10000000",  # signatures start after the four offsets
            "14010000",  # signers: 16 + 4 + 256
            "1c010000",  # message: + 8
            "e4010000",  # full data, empty: + 68 + 132
            "04000000" + "ee" * 256,  # one signature
            "0100000000000000",  # signer 1
            "0000000000000000",  # consensus
            "0000040200000000" + "00" * 16,  # domain, committee role, padding of the committee id
            "cf97adeedb59e05bfd73a2b4c2a8885708c4f4f70c84c64b27120e72ab733b72",
            "44000000",  # data starts after 68 bytes
            "0100000000000000",  # prepare
            "4d00000000000000",  # height 77
            "0200000000000000",  # round 2
            "4c000000",  # identifier starts after 76 bytes
            "0a" * 32,  # root
            "0000000000000000",  # data round
            "84000000" * 2,  # no justifications: 76 + 56, twice
            "0000040200000000" + "00" * 16,
            "cf97adeedb59e05bfd73a2b4c2a8885708c4f4f70c84c64b27120e72ab733b72",
        ]
    )
    assert signed(PREPARE, 1).encode().hex() == expected


def test_largest_consensus_data():
    """The aggregator committee's largest value is larger than a signed message can carry: the specification's slip."""
    duty = t.ValidatorDuty(2, bytes(48), 5, 7, validator_sync_committee_indices=(0,) * 13)
    assert len(ProposerConsensusData(duty, 7, bytes(MAX_DATA_SSZ_BYTES)).encode()) == t.MAX_FULL_DATA_BYTES == 8_388_836
    aggregator = AssignedAggregator(7, bytes(96), 3)
    contribution = SyncCommitteeContribution(5, bytes(32), 1, bytes(16), bytes(96))
    largest = AggregatorCommitteeConsensusData(
        7,
        (aggregator,) * 3000,
        (0,) * 64,
        (bytes(131_308),) * 64,
        (aggregator,) * 2048,
        (contribution,) * 4,
    )
    assert len(largest.encode()) == 8_970_524
    assert AggregatorCommitteeConsensusData.decode(largest.encode()) == largest


def test_one_item_too_many_is_refused():
    aggregator = AssignedAggregator(7, bytes(96), 3)
    contribution = SyncCommitteeContribution(5, bytes(32), 1, bytes(16), bytes(96))
    for too_many in (
        AggregatorCommitteeConsensusData(7, aggregators=(aggregator,) * 3001),
        AggregatorCommitteeConsensusData(7, aggregator_committee_indexes=(0,) * 65),
        AggregatorCommitteeConsensusData(7, aggregated_attestations=(b"",) * 65),
        AggregatorCommitteeConsensusData(7, aggregated_attestations=(bytes(131_309),)),
        AggregatorCommitteeConsensusData(7, contributors=(aggregator,) * 2049),
        AggregatorCommitteeConsensusData(7, sync_committee_contributions=(contribution,) * 5),
    ):
        with pytest.raises(t.ProtocolError) as raised:
            AggregatorCommitteeConsensusData.decode(too_many.encode())
        assert raised.value.code == t.ErrorCode.UNMARSHAL_SSZ
    duty = t.ValidatorDuty(2, bytes(48), 5, 7)
    with pytest.raises(t.ProtocolError) as raised:
        ProposerConsensusData.decode(ProposerConsensusData(duty, 7, bytes(MAX_DATA_SSZ_BYTES + 1)).encode())
    assert raised.value.code == t.ErrorCode.UNMARSHAL_SSZ

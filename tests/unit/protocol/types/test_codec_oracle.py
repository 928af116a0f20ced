"""Every container against remerkleable: the same bytes, the same root, and nothing non-canonical accepted."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from remerkleable.basic import uint64
from remerkleable.byte_arrays import ByteList, ByteVector
from remerkleable.complex import Container, List
from ssz_oracle import REFUSED, damaged, oracle_value, reencoded, sized, tuples, u64

from ssv_pool.protocol import types as t

Bytes4, Bytes20, Bytes32, Bytes48 = ByteVector[4], ByteVector[20], ByteVector[32], ByteVector[48]


class OSSVMessage(Container):
    msg_type: uint64
    msg_id: ByteVector[56]
    data: ByteList[726_932]


class OSignedSSVMessage(Container):
    signatures: List[ByteList[256], 13]
    operator_ids: List[uint64, 13]
    ssv_message: OSSVMessage
    full_data: ByteList[8_388_836]


class OQBFTMessage(Container):
    msg_type: uint64
    height: uint64
    round: uint64
    identifier: ByteList[56]
    root: Bytes32
    data_round: uint64
    round_change_justification: List[ByteList[51_852], 13]
    prepare_justification: List[ByteList[3_700], 13]


class OPartialSignatureMessage(Container):
    partial_signature: ByteVector[96]
    signing_root: Bytes32
    signer: uint64
    validator_index: uint64


class OPartialSignatureMessages(Container):
    type: uint64
    slot: uint64
    messages: List[OPartialSignatureMessage, 1512]


class OCheckpoint(Container):
    epoch: uint64
    root: Bytes32


class OAttestationData(Container):
    slot: uint64
    index: uint64
    beacon_block_root: Bytes32
    source: OCheckpoint
    target: OCheckpoint


class OBeaconVote(Container):
    block_root: Bytes32
    source: OCheckpoint
    target: OCheckpoint


class OValidatorDuty(Container):
    type: uint64
    pubkey: Bytes48
    slot: uint64
    validator_index: uint64
    committee_index: uint64
    committee_length: uint64
    committees_at_slot: uint64
    validator_committee_index: uint64
    validator_sync_committee_indices: List[uint64, 13]


class OShareMember(Container):
    share_pubkey: Bytes48
    signer: uint64


class OShare(Container):
    validator_index: uint64
    validator_pubkey: Bytes48
    share_pubkey: Bytes48
    committee: List[OShareMember, 13]
    domain_type: Bytes4
    fee_recipient: Bytes20
    graffiti: Bytes32


class OOperator(Container):
    operator_id: uint64
    pubkey: ByteVector[459]


class OCommitteeMember(Container):
    operator_id: uint64
    committee_id: Bytes32
    operator_pubkey: ByteVector[459]
    faulty_nodes: uint64
    committee: List[OOperator, 13]
    domain_type: Bytes4


some_bytes = st.binary(max_size=200)
ssv_messages = st.builds(t.SSVMessage, u64, sized(56), some_bytes)
signed_messages = st.builds(
    t.SignedSSVMessage, tuples(st.binary(max_size=256), 13), tuples(u64, 13), ssv_messages, some_bytes
)
qbft_messages = st.builds(
    t.QBFTMessage, u64, u64, u64, st.binary(max_size=56), sized(32), u64, tuples(some_bytes, 13), tuples(some_bytes, 13)
)
partials = st.builds(t.PartialSignatureMessage, sized(96), sized(32), u64, u64)
partial_messages = st.builds(t.PartialSignatureMessages, u64, u64, tuples(partials, 5))
checkpoints = st.builds(t.Checkpoint, u64, sized(32))
duties = st.builds(t.ValidatorDuty, u64, sized(48), u64, u64, u64, u64, u64, u64, tuples(u64, 13))
share_members = st.builds(t.ShareMember, sized(48), u64)
shares = st.builds(t.Share, u64, sized(48), sized(48), tuples(share_members, 13), sized(4), sized(20), sized(32))
pem = st.binary(min_size=1, max_size=1).map(lambda byte: byte * 459)
operators = st.builds(t.Operator, u64, pem)
members = st.builds(t.CommitteeMember, u64, sized(32), pem, u64, tuples(operators, 13), sized(4))

CONTAINERS = {
    t.SSVMessage: (ssv_messages, OSSVMessage),
    t.SignedSSVMessage: (signed_messages, OSignedSSVMessage),
    t.QBFTMessage: (qbft_messages, OQBFTMessage),
    t.PartialSignatureMessage: (partials, OPartialSignatureMessage),
    t.PartialSignatureMessages: (partial_messages, OPartialSignatureMessages),
    t.Checkpoint: (checkpoints, OCheckpoint),
    t.AttestationData: (st.builds(t.AttestationData, u64, u64, sized(32), checkpoints, checkpoints), OAttestationData),
    t.BeaconVote: (st.builds(t.BeaconVote, sized(32), checkpoints, checkpoints), OBeaconVote),
    t.ValidatorDuty: (duties, OValidatorDuty),
    t.Share: (shares, OShare),
    t.CommitteeMember: (members, OCommitteeMember),
}

every_container = pytest.mark.parametrize("container", CONTAINERS, ids=lambda container: container.__name__)


@every_container
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_bytes_and_root_equal_the_oracles_and_decode_to_the_same_value(container, data):
    strategy, oracle = CONTAINERS[container]
    value = data.draw(strategy)
    expected = oracle_value(value, oracle)
    assert value.encode() == expected.encode_bytes()
    assert value.hash_tree_root() == bytes(expected.hash_tree_root())
    assert container.decode(value.encode()) == value


@every_container
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_what_a_damaged_encoding_decodes_to_encodes_to_the_same_bytes(container, data):
    raw = data.draw(damaged(data.draw(CONTAINERS[container][0]).encode()))
    assert reencoded(container.decode, raw) in (raw, REFUSED)


@every_container
@given(raw=st.binary(max_size=700))
@settings(max_examples=50, deadline=None)
def test_arbitrary_bytes_raise_nothing_but_a_protocol_error(container, raw):
    assert reencoded(container.decode, raw) in (raw, REFUSED)

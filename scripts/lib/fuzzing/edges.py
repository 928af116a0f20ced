"""What comes from elsewhere: the contract's events, messages between workers and node, peers, files."""

from dataclasses import replace
from hashlib import sha256
from random import Random
from typing import Any

from google.protobuf.message import DecodeError
from libp2p.pubsub.pb import rpc_pb2

from fuzzing.messages import traffic
from fuzzing.model import Target, json_function
from fuzzing.mutation import mutate_json
from ssv_pool import bounded_json
from ssv_pool.messaging import commands as c
from ssv_pool.messaging.codec import Codec, CodecError
from ssv_pool.network.errors import FrameError, HandshakeError
from ssv_pool.network.frames import FrameReader, check_rpc, encode_varint
from ssv_pool.network.identity import identity_from_secret
from ssv_pool.network.node_info import NodeInfo, seal, unseal
from ssv_pool.protocol import types as t
from ssv_pool.protocol.events import (
    AskKind,
    DutyRecord,
    Outcome,
    Reason,
    SignedAttestation,
    SignedSyncCommitteeMessage,
    StepTime,
)
from ssv_pool.registry import abi
from ssv_pool.registry.abi import AbiDecodeError
from ssv_pool.signer import interchange
from ssv_pool.simulation import plan as plans
from ssv_pool.simulation import standins

MAX_FRAME = 64 * 1024
"""Largest gossip frame in these runs; the node's is the same rule with another number."""

INFO = NodeInfo("0x00000301", "ssv-pool/1.0", "geth/1.15", "lodestar/1.40", frozenset({3, 77, 127}))


def registry_target() -> Target:
    """Data of the registry contract's events; the first byte says which event."""
    from eth_abi import encode

    events = list(abi.EVENTS.values())
    values = {
        "uint64": 7,
        "uint256": 8,
        "uint32": 9,
        "bool": True,
        "address": "0x" + "11" * 20,
        "bytes": b"some bytes",
        "uint64[]": [1, 2, 3, 4],
        "(uint32,uint64,uint64,bool,uint256)": (1, 2, 3, True, 4),
    }
    samples = [
        bytes([number]) + encode(event.plain, [values[kind] for kind in event.plain])
        for number, event in enumerate(events)
    ]

    def feed(raw: bytes) -> None:
        event = events[raw[0] % len(events) if raw else 0]
        topics = [event.topic, *[sha256(raw[:k]).digest() for k in range(len(event.indexed))]]
        try:
            event.decode(topics, raw[1:])
        except AbiDecodeError:
            return

    return Target(tuple(samples), feed)


def command_target(codec: Codec, samples: tuple[Any, ...]) -> Target:
    """Messages between workers and node; what is accepted encodes to what decodes to the same."""

    def feed(raw: bytes) -> None:
        try:
            value = codec.decode(raw)
        except CodecError:
            return
        if codec.decode(codec.encode(value)) != value:
            raise AssertionError("accepted, but does not come back from its own encoding")

    return Target((*map(codec.encode, samples),), feed, mutate_json)


def commands() -> Target:
    """Everything that workers tell the node."""
    duty = plans.make_duty(640, 2, True).validator_duties[0]
    vote, member = plans.make_vote(0, 19, 20), standins.make_member(4, 1)
    times = (1.5, 2.0, 400.25)
    return command_target(
        c.COMMANDS,
        (
            c.StartCommitteeDuty("k", member.committee_id, duty.slot, (duty, duty), vote, *times),
            c.BeginValidatorDuty("k", member.committee_id, duty, *times),
            c.BeginAggregatorCommitteeDuty("k", member.committee_id, duty.slot, (duty,), *times),
            c.BeaconAnswer("k", member.committee_id, duty.pubkey, "r", bytes(20), 6, "", 4.0),
            c.BeaconAnswer("k", member.committee_id, b"", "r", b"", 0, "no block", 4.0),
            c.RegistryChanged(3),
            c.DutiesPlanned(t.Epoch(7), 1.25),
        ),
    )


def submissions() -> Target:
    """Everything that the node has posted: attestations, sync committee messages and contributions, blocks, exits."""
    slot, signature = t.Slot(640), t.Signature(b"\x09" * 96)
    vote = plans.make_vote(0, 19, 20)
    data = t.AttestationData(slot, 0, vote.block_root, vote.source, vote.target)
    attestation = SignedAttestation(t.ValidatorIndex(3), 2, 64, 7, data, signature)
    message = SignedSyncCommitteeMessage(t.ValidatorIndex(3), vote.block_root, signature)
    block = c.BlockSubmission("k", slot, "electra", 6, True, bytes(40), 4.0)
    return command_target(
        c.SUBMISSIONS,
        (
            c.AttestationSubmission("k", slot, "electra", (attestation, attestation), 4.0),
            c.SyncMessageSubmission("k", slot, (message, message), 4.0),
            block,
            c.StoredBlockSubmission(block, "0f" * 16),
            c.AggregateSubmission("k", slot, "electra", 6, (bytes(40), bytes(41)), 4.0),
            c.ContributionSubmission("k", slot, (bytes(360), bytes(360)), 4.0),
            c.RegistrationSubmission("k", slot, bytes(180), 4.0),
            c.ExitSubmission("k", slot, bytes(112), 4.0),
        ),
    )


def requests() -> Target:
    """What the node asks of the beacon node."""
    member = standins.make_member(4, 1)
    arguments = (("subcommittees", "0,1"), ("selection_proofs", "aa,bb"))
    request = c.BeaconRequest("k", member.committee_id, b"", "r", AskKind.CONTRIBUTIONS, t.Slot(640), arguments, 4.0)
    return command_target(c.REQUESTS, (request, replace(request, kind=AskKind.BLOCK, arguments=())))


def journal() -> Target:
    """Stories of duties."""
    record = DutyRecord(
        "k",
        t.RunnerRole.COMMITTEE,
        t.Slot(640),
        standins.make_member(4, 1).committee_id,
        Outcome.FAILED,
        Reason.NO_COMMIT_QUORUM,
        "why",
        t.Round(3),
        (t.OperatorId(2),),
        4,
        1,
        (StepTime("due", 1.5), StepTime("begun", 1.75)),
    )
    entry = c.JournalEntry(record)
    return command_target(c.JOURNAL, (entry, c.JournalEntries((entry, entry))))


def node_info() -> Target:
    """What a peer says of itself, once its signature was found good."""

    def feed(raw: bytes) -> None:
        try:
            info = NodeInfo.decode(raw)
        except HandshakeError:
            return
        if NodeInfo.decode(info.encode()) != info:
            raise AssertionError("accepted, but does not come back from its own encoding")

    shy = NodeInfo("0x00000301", subnets=None)
    return Target((INFO.encode(), shy.encode(), b'{"Entries":["","0x00000301"]}'), feed, mutate_json)


def node_info_envelope() -> Target:
    """The signed envelope that node info travels in; none but the one that was sealed may be opened."""
    identity = identity_from_secret(bytes(range(1, 33)))
    sealed, peer = seal(INFO, identity), identity.peer_id_bytes

    def feed(raw: bytes) -> None:
        try:
            info = unseal(raw, peer)
        except HandshakeError:
            return
        if info != INFO:
            raise AssertionError("an envelope that nobody sealed was opened")

    return Target((sealed,), feed)


def gossip_frames() -> Target:
    """Gossip frames as peers send them, in pieces: cut, checked, and read as the node reads them."""
    rng = Random(10)

    def framed(rpc: rpc_pb2.RPC) -> bytes:
        raw = rpc.SerializeToString()
        return encode_varint(len(raw)) + raw

    data = traffic()[0].encode()
    message = rpc_pb2.Message(from_id=b"\0\x25" + bytes(37), data=data, seqno=bytes(8), topicIDs=["ssv.v2.9"])
    control = rpc_pb2.ControlMessage(
        ihave=[rpc_pb2.ControlIHave(topicID="ssv.v2.9", messageIDs=[b"a" * 20, b"b" * 20])],
        iwant=[rpc_pb2.ControlIWant(messageIDs=[b"a" * 20])],
        graft=[rpc_pb2.ControlGraft(topicID="ssv.v2.9")],
        prune=[rpc_pb2.ControlPrune(topicID="ssv.v2.9", backoff=60)],
    )
    hello = rpc_pb2.RPC(subscriptions=[rpc_pb2.RPC.SubOpts(subscribe=True, topicid=f"ssv.v2.{i}") for i in range(8)])
    samples = (
        framed(rpc_pb2.RPC(publish=[message])),
        framed(rpc_pb2.RPC(publish=[message, message], control=control)),
        framed(rpc_pb2.RPC(control=control)) + framed(hello),
        framed(hello) + framed(rpc_pb2.RPC()),
    )

    def feed(raw: bytes) -> None:
        reader = FrameReader(MAX_FRAME)
        cut = int(rng.random() * (len(raw) + 1))
        taken = 0
        try:
            for piece in (raw[:cut], raw[cut:]):
                for frame in reader.feed(piece):
                    taken += len(frame) + len(encode_varint(len(frame)))
                    check_rpc(frame)
                    rpc = rpc_pb2.RPC.FromString(frame)
                    for item in rpc.publish:
                        item.DiscardUnknownFields()
        except (FrameError, DecodeError, UnicodeDecodeError):
            return
        if taken > len(raw):
            raise AssertionError("frames are longer than what they were cut from")

    return Target(samples, feed)


def slashing_protection() -> Target:
    """Files of slashing protection (EIP-3076)."""
    root = t.Root(b"\x01" * 32)
    text = (
        b'{"metadata":{"interchange_format_version":"5","genesis_validators_root":"0x' + root.hex().encode() + b'"},'
        b'"data":[{"pubkey":"0x'
        + b"ab" * 48
        + b'","signed_blocks":[{"slot":"3","signing_root":"0x'
        + b"cd" * 32
        + b'"},{"slot":"4"}],"signed_attestations":[{"source_epoch":"1","target_epoch":"2"},'
        b'{"source_epoch":"2","target_epoch":"3","signing_root":"0x' + b"ef" * 32 + b'"}]}]}'
    )

    def read(raw: bytes) -> None:
        try:
            content = bounded_json.loads(raw)
        except ValueError:
            return
        if isinstance(content, dict):
            interchange.from_json(content, root)

    return json_function(read, interchange.InterchangeError, text)

"""What is asked of one beacon node for duties, and what it is told ahead of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ssv_pool.beacon import answers
from ssv_pool.beacon.answers import (
    FORK_NAMES,
    AnswerError,
    AttesterDuties,
    ProposerDuties,
    fork_is_at_least,
    member,
)
from ssv_pool.beacon.chain_api import asking
from ssv_pool.beacon.node import ABSENT, PREFER_SSZ, Answer, Attempt, BeaconNode, Request
from ssv_pool.beacon.ssz_json import from_json
from ssv_pool.protocol.types.attestations import decode_attestation
from ssv_pool.protocol.types.beacon import AttestationData
from ssv_pool.protocol.types.beacon_schemas import attestation_schema, contribution_schema
from ssv_pool.protocol.types.contributions import SyncCommitteeContribution
from ssv_pool.protocol.types.errors import ProtocolError
from ssv_pool.protocol.types.presets import Preset
from ssv_pool.protocol.types.primitives import Epoch, Root, Signature, Slot, ValidatorIndex
from ssv_pool.protocol.types.versions import DataVersion
from ssv_pool.store.duties import SyncMembership

DUTIES_ROUTE = "/eth/v1/validator/duties"
AGGREGATE_V2 = "/eth/v2/validator/aggregate_attestation"
AGGREGATE_V1 = "/eth/v1/validator/aggregate_attestation"

CONTRIBUTION_BITS = 16
"""Bytes of a contribution's bits as operators exchange it; the node's have as many as its preset says."""


@dataclass(frozen=True, slots=True)
class CommitteeSubscription:
    """A beacon committee that a node should listen to."""

    validator_index: ValidatorIndex
    """The validator that attests in it."""
    committee_index: int
    """Index of the committee in its slot."""
    committees_at_slot: int
    """Number of beacon committees in the slot."""
    slot: Slot
    """The slot."""
    is_aggregator: bool
    """Whether the validator aggregates: then the node collects the committee's attestations."""


@dataclass(frozen=True, slots=True)
class SyncSubscription:
    """A member of a sync committee, for whose subcommittees a node should listen."""

    validator_index: ValidatorIndex
    """The member."""
    places: tuple[int, ...]
    """Its places in the committee."""
    until: Epoch
    """First epoch in which this is not needed any more."""


def attester_duties(epoch: Epoch, indices: Sequence[ValidatorIndex]) -> Attempt[AttesterDuties]:
    """The attestation duties of these validators in ``epoch`` (at most the next one)."""
    return asking(_duties("POST", "attester", epoch, indices), lambda body: answers.attester_duties(body, epoch))


def proposer_duties(epoch: Epoch) -> Attempt[ProposerDuties]:
    """All proposers of ``epoch``."""
    return asking(_duties("GET", "proposer", epoch), lambda body: answers.proposer_duties(body, epoch))


def sync_duties(epoch: Epoch, indices: Sequence[ValidatorIndex]) -> Attempt[list[SyncMembership]]:
    """Those of these validators that are in the sync committee of ``epoch``."""
    return asking(_duties("POST", "sync", epoch, indices), answers.sync_duties)


def attestation_data(slot: Slot, committee_index: int) -> Attempt[AttestationData]:
    """What an attestation of ``slot`` should say now."""
    params = {"slot": str(slot), "committee_index": str(committee_index)}
    request = Request("GET", "/eth/v1/validator/attestation_data", params=params)
    return asking(request, lambda body: answers.attestation_data(body, slot))


def aggregate(
    slot: Slot, committee_index: int, data_root: Root, fork: str, preset: Preset
) -> Attempt[tuple[int, bytes]]:
    """The aggregate of a beacon committee's attestations of ``data_root``: data version and SSZ."""
    params = {"attestation_data_root": f"0x{data_root.hex()}", "slot": str(slot)}

    def ask(node: BeaconNode, until: float) -> tuple[int, bytes]:
        if not node.lacks(AGGREGATE_V2):
            request = Request(
                "GET", AGGREGATE_V2, params={**params, "committee_index": str(committee_index)}, accept=PREFER_SSZ
            )
            answer = node.ask(request, until)
            # A node may say 404 as well when it has no such aggregate: only an older one answers the older route.
            if answer.status not in ABSENT or fork_is_at_least(fork, "electra"):
                return read_aggregate(answer, fork, preset, data_root)
            older = node.ask(Request("GET", AGGREGATE_V1, params=params, accept=PREFER_SSZ), until)
            if older.status == 200:
                node.note_absent(AGGREGATE_V2)
            return read_aggregate(older, fork, preset, data_root)
        return read_aggregate(
            node.ask(Request("GET", AGGREGATE_V1, params=params, accept=PREFER_SSZ), until), fork, preset, data_root
        )

    return ask


def read_aggregate(answer: Answer, fork: str, preset: Preset, data_root: Root) -> tuple[int, bytes]:
    """Data version and SSZ of the aggregate in an answer. Raises BeaconError unless it is of ``data_root``."""
    answer.check()
    body = None if answer.is_ssz else answer.json()
    version = data_version(answer, body, fork)
    schema = attestation_schema(version, preset)
    try:
        raw = answer.content if body is None else schema.encode(from_json(schema, "data", member(body, "data", dict)))
        found = decode_attestation(version, raw, preset).data.hash_tree_root()
    except (AnswerError, ProtocolError) as error:
        raise answer.bad(str(error)) from None
    if found != data_root:
        raise answer.bad(f"attestation data root 0x{found.hex()[:16]}…, expected 0x{data_root.hex()[:16]}…")
    return int(version), raw


def sync_contribution(
    slot: Slot, subcommittee: int, block_root: Root, preset: Preset
) -> Attempt[SyncCommitteeContribution]:
    """What the members of a part of the sync committee voted for ``block_root``."""
    params = {
        "slot": str(slot),
        "subcommittee_index": str(subcommittee),
        "beacon_block_root": f"0x{block_root.hex()}",
    }
    request = Request("GET", "/eth/v1/validator/sync_committee_contribution", params=params, accept=PREFER_SSZ)
    schema = contribution_schema(preset)

    def ask(node: BeaconNode, until: float) -> SyncCommitteeContribution:
        answer = node.ask(request, until)
        answer.check()
        try:
            if answer.is_ssz:
                found = schema.read(answer.content)
            else:
                found = from_json(schema, "data", member(answer.json(), "data", dict))
        except (AnswerError, ProtocolError) as error:
            raise answer.bad(str(error)) from None
        if (found.slot, found.subcommittee_index, found.beacon_block_root) != (slot, subcommittee, block_root):
            raise answer.bad(
                f"contribution of slot {found.slot}, subcommittee {found.subcommittee_index}, "
                f"block 0x{found.beacon_block_root.hex()[:16]}…, expected {slot}, {subcommittee}, "
                f"0x{block_root.hex()[:16]}…"
            )
        bits = found.aggregation_bits.ljust(CONTRIBUTION_BITS, b"\0")
        return SyncCommitteeContribution(slot, block_root, subcommittee, bits, Signature(found.signature))

    return ask


def prepare_proposers(fee_recipients: Sequence[tuple[ValidatorIndex, bytes]]) -> Request:
    """Who gets the fees of blocks that these validators propose: index and address of 20 bytes."""
    body = [{"validator_index": str(index), "fee_recipient": f"0x{address.hex()}"} for index, address in fee_recipients]
    return Request("POST", "/eth/v1/validator/prepare_beacon_proposer", body=body)


def subscribe_committees(subscriptions: Sequence[CommitteeSubscription]) -> Request:
    """Which beacon committees to listen to."""
    body = [
        {
            "validator_index": str(subscription.validator_index),
            "committee_index": str(subscription.committee_index),
            "committees_at_slot": str(subscription.committees_at_slot),
            "slot": str(subscription.slot),
            "is_aggregator": subscription.is_aggregator,
        }
        for subscription in subscriptions
    ]
    return Request("POST", "/eth/v1/validator/beacon_committee_subscriptions", body=body)


def subscribe_sync_committees(subscriptions: Sequence[SyncSubscription]) -> Request:
    """Which parts of the sync committee to listen to."""
    body = [
        {
            "validator_index": str(subscription.validator_index),
            "sync_committee_indices": [str(place) for place in subscription.places],
            "until_epoch": str(subscription.until),
        }
        for subscription in subscriptions
    ]
    return Request("POST", "/eth/v1/validator/sync_committee_subscriptions", body=body)


def data_version(answer: Answer, body: Any, fork: str) -> DataVersion:
    """The fork of an answer's object: by its header, else by its JSON, else the one that the schedule says.

    Raises:
        BeaconError: it is none that is known here.
    """
    told = body.get("version") if isinstance(body, dict) else None
    name = answer.fork or (told.lower() if isinstance(told, str) else "") or fork
    if name not in FORK_NAMES or name.upper() not in DataVersion.__members__:
        known = ", ".join(version.name.lower() for version in DataVersion)
        raise answer.bad(f"version: found {name[:32]!r}, expected one of {known}")
    return DataVersion[name.upper()]


def _duties(method: str, kind: str, epoch: Epoch, indices: Sequence[ValidatorIndex] = ()) -> Request:
    body = [str(index) for index in indices] if method == "POST" else None
    path = f"{DUTIES_ROUTE}/{kind}"
    return Request(method, f"{path}/{epoch}", f"{path}/{{epoch}}", body=body)

"""What is posted to one beacon node: signed objects of every kind but blocks."""

from collections.abc import Sequence
from typing import Any

from ssv_pool.beacon import answers
from ssv_pool.beacon.answers import Refusal, already_known, fork_is_at_least
from ssv_pool.beacon.errors import BeaconError
from ssv_pool.beacon.node import ABSENT, Answer, Attempt, BeaconNode, Request
from ssv_pool.beacon.ssz_json import to_json
from ssv_pool.protocol.events import SignedAttestation, SignedSyncCommitteeMessage
from ssv_pool.protocol.types.beacon_schemas import signed_aggregate_schema, signed_contribution_schema
from ssv_pool.protocol.types.errors import ProtocolError
from ssv_pool.protocol.types.presets import MAINNET, Preset
from ssv_pool.protocol.types.primitives import Slot
from ssv_pool.protocol.types.schema import Bytes, Container, Uint
from ssv_pool.protocol.types.versions import DataVersion

_REGISTRATION = Container(
    "SignedValidatorRegistration",
    message=Container(
        "ValidatorRegistration", fee_recipient=Bytes(20), gas_limit=Uint(8), timestamp=Uint(8), pubkey=Bytes(48)
    ),
    signature=Bytes(96),
)
_EXIT = Container(
    "SignedVoluntaryExit",
    message=Container("VoluntaryExit", epoch=Uint(8), validator_index=Uint(8)),
    signature=Bytes(96),
)


def attestations(fork: str, items: Sequence[SignedAttestation]) -> Attempt[list[Refusal]]:
    """Attestations of one fork."""
    single = fork_is_at_least(fork, "electra")
    body = answers.single_attestations(items) if single else answers.phase0_attestations(items)
    return _versioned("/eth/v2/beacon/pool/attestations", "/eth/v1/beacon/pool/attestations", fork, body)


def aggregates(fork: str, version: int, items: Sequence[bytes], preset: Preset) -> Attempt[list[Refusal]]:
    """SSZ of SignedAggregateAndProof of one fork. Raises ValueError when one is not of that form."""
    schema = signed_aggregate_schema(DataVersion(version), preset)
    body = [_json(schema, item) for item in items]
    return _versioned("/eth/v2/validator/aggregate_and_proofs", "/eth/v1/validator/aggregate_and_proofs", fork, body)


def sync_messages(slot: Slot, items: Sequence[SignedSyncCommitteeMessage]) -> Attempt[list[Refusal]]:
    """Sync committee messages of one slot."""
    body = [
        {
            "slot": str(slot),
            "beacon_block_root": f"0x{item.block_root.hex()}",
            "validator_index": str(item.validator_index),
            "signature": f"0x{item.signature.hex()}",
        }
        for item in items
    ]
    return posting(Request("POST", "/eth/v1/beacon/pool/sync_committees", body=body))


def contributions(items: Sequence[bytes], preset: Preset) -> Attempt[list[Refusal]]:
    """SSZ of SignedContributionAndProof, with the 16 bytes of bits that operators exchange.

    Raises:
        ValueError: one is not of that form, or has a bit that the preset's subcommittees have no place for.
    """
    schema = signed_contribution_schema(preset)
    body = [to_json(schema, _contribution(item, preset)) for item in items]
    return posting(Request("POST", "/eth/v1/validator/contribution_and_proofs", body=body))


def registrations(items: Sequence[bytes]) -> Attempt[list[Refusal]]:
    """SSZ of SignedValidatorRegistration, 180 bytes each. Raises ValueError when one is not of that form."""
    body = [_json(_REGISTRATION, item) for item in items]
    return posting(Request("POST", "/eth/v1/validator/register_validator", body=body))


def voluntary_exit(item: bytes) -> Attempt[list[Refusal]]:
    """SSZ of SignedVoluntaryExit, 112 bytes. Raises ValueError when it is not of that form."""
    return posting(Request("POST", "/eth/v1/beacon/pool/voluntary_exits", body=_json(_EXIT, item)))


def posting(request: Request) -> Attempt[list[Refusal]]:
    """An attempt of one request: what of its batch the node refuses."""
    return lambda node, until: _refusals(node.send(request, until))


def merged(results: Sequence[Sequence[Refusal]]) -> list[Refusal]:
    """What every node refused of the same batch, in the words of the first; one node's answer as it is."""
    if len(results) == 1:
        return list(results[0])
    kept = [{refusal.position: refusal for refusal in found if not refusal.already_known} for found in results]
    everywhere = set.intersection(*(set(found) for found in kept)) if kept else set()
    return [kept[0][position] for position in sorted(everywhere)]


def _versioned(newer: str, older: str, fork: str, body: Any) -> Attempt[list[Refusal]]:
    """Post to the newer route, to the older one where a node lacks it and the fork has the form that it takes."""
    headers = {"Eth-Consensus-Version": fork}

    def post(node: BeaconNode, until: float) -> list[Refusal]:
        if not node.lacks(newer):
            answer = node.send(Request("POST", newer, body=body, headers=headers), until)
            if answer.status not in ABSENT or fork_is_at_least(fork, "electra"):
                return _refusals(answer)
            node.note_absent(newer)
        return _refusals(node.send(Request("POST", older, body=body), until))

    return post


def _refusals(answer: Answer) -> list[Refusal]:
    if 200 <= answer.status < 300:
        return []
    try:
        found = answers.refusals(answer.json())
    except BeaconError:
        found = []
    if found:
        return found
    error = answer.error()
    if already_known(error.message):
        return []
    raise error


def _json(schema: Container, raw: bytes) -> Any:
    try:
        return to_json(schema, schema.read(raw))
    except ProtocolError as error:
        raise ValueError(str(error)) from None


def _contribution(raw: bytes, preset: Preset) -> Any:
    try:
        signed = signed_contribution_schema(MAINNET).read(raw)
    except ProtocolError as error:
        raise ValueError(str(error)) from None
    bits = signed.message.contribution.aggregation_bits
    size = (preset.subcommittee_size + 7) // 8
    if any(bits[size:]):
        raise ValueError(f"contribution bits 0x{bits.hex()}, expected {preset.subcommittee_size} of them")
    contribution = signed.message.contribution._replace(aggregation_bits=bits[:size])
    return signed._replace(message=signed.message._replace(contribution=contribution))

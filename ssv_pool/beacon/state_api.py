"""What is asked of one beacon node about states and blocks that a staking pool reports on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ssv_pool.beacon.answers import member, number, octets
from ssv_pool.beacon.chain_api import GET_VALIDATORS, POST_VALIDATORS, asking
from ssv_pool.beacon.node import ABSENT, Attempt, BeaconNode, Request
from ssv_pool.protocol.types.primitives import Epoch, PublicKey, Slot

SHARD_COMMITTEE_PERIOD = 256
"""Epochs between activation and exit where the node does not say (consensus specification, mainnet)."""

NOT_FOUND = 404
"""A slot without a block."""

_VALIDATORS = "/eth/v1/beacon/states/{state}/validators"
_POST_VALIDATORS = f"POST {_VALIDATORS}"
_PENDING = "/eth/v1/beacon/states/{state}/pending_deposits"
_PENDING_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class ValidatorState:
    """One validator in a beacon state."""

    public_key: PublicKey
    """48 bytes."""
    status: str
    """Status by the Beacon API's names."""
    balance: int
    """Gwei."""
    activation_epoch: Epoch
    """FAR_FUTURE_EPOCH when not known yet."""
    exit_epoch: Epoch
    """FAR_FUTURE_EPOCH when no exit is under way."""


def validator_states(state: str, public_keys: Sequence[PublicKey]) -> Attempt[dict[PublicKey, ValidatorState]]:
    """Those of these validators that a state (``head`` or a slot's number) has."""
    names = [f"0x{key.hex()}" for key in public_keys]
    wanted = frozenset(public_keys)
    path = f"/eth/v1/beacon/states/{state}/validators"

    def ask(node: BeaconNode, until: float) -> dict[PublicKey, ValidatorState]:
        found: list[ValidatorState] = []
        for start in range(0, len(names), POST_VALIDATORS):
            part = names[start : start + POST_VALIDATORS]
            found += _posted(node, until, path, part)
        # A node that ignores the filter would answer with all the validators of the chain.
        return {validator.public_key: validator for validator in found if validator.public_key in wanted}

    return ask


def _posted(node: BeaconNode, until: float, path: str, names: list[str]) -> list[ValidatorState]:
    if not node.lacks(_POST_VALIDATORS):
        answer = node.send(Request("POST", path, _VALIDATORS, body={"ids": names}), until)
        # 404 may also mean that the node has no such state; the GET below then says so.
        if answer.status not in ABSENT:
            return answer.read(_read_validators)
    found: list[ValidatorState] = []
    for start in range(0, len(names), GET_VALIDATORS):
        request = Request("GET", path, _VALIDATORS, params={"id": names[start : start + GET_VALIDATORS]})
        found += node.send(request, until).read(_read_validators)
    return found


def pending_deposits(state: str) -> Attempt[frozenset[PublicKey] | None]:
    """Keys of the deposits that wait in a state (since Electra); None where the node does not tell."""
    request = Request("GET", f"/eth/v1/beacon/states/{state}/pending_deposits", _PENDING, limit=_PENDING_BYTES)

    def ask(node: BeaconNode, until: float) -> frozenset[PublicKey] | None:
        if node.lacks(_PENDING):
            return None
        answer = node.send(request, until)
        if answer.status in ABSENT or answer.status == 400:
            node.note_absent(_PENDING)
            return None
        return answer.read(
            lambda body: frozenset(PublicKey(octets(entry, "pubkey", 48)) for entry in member(body, "data", list))
        )

    return ask


def finalized_epoch() -> Attempt[Epoch]:
    """The epoch of the finalized checkpoint."""
    request = Request(
        "GET",
        "/eth/v1/beacon/states/head/finality_checkpoints",
        "/eth/v1/beacon/states/{state}/finality_checkpoints",
    )
    return asking(request, lambda body: Epoch(number(member(member(body, "data", dict), "finalized", dict), "epoch")))


def execution_block(slot: Slot) -> Attempt[int | None]:
    """Number of the execution block in the canonical block of a slot; None where the slot has no block."""
    request = Request("GET", f"/eth/v2/beacon/blocks/{slot}", "/eth/v2/beacon/blocks/{block}")

    def ask(node: BeaconNode, until: float) -> int | None:
        answer = node.send(request, until)
        return None if answer.status == NOT_FOUND else answer.read(_read_execution_block)

    return ask


def shard_committee_period() -> Attempt[int]:
    """Epochs that a validator must have been active before it may exit."""

    def read(body: Any) -> int:
        config: Mapping[str, Any] = member(body, "data", dict)
        name = "SHARD_COMMITTEE_PERIOD"
        return number(config, name) if name in config else SHARD_COMMITTEE_PERIOD

    return asking(Request("GET", "/eth/v1/config/spec"), read)


def _read_execution_block(body: Any) -> int:
    content = member(member(member(body, "data", dict), "message", dict), "body", dict)
    return number(member(content, "execution_payload", dict), "block_number")


def _read_validators(body: Any) -> list[ValidatorState]:
    found = []
    for entry in member(body, "data", list):
        validator = member(entry, "validator", dict)
        found.append(
            ValidatorState(
                public_key=PublicKey(octets(validator, "pubkey", 48)),
                status=member(entry, "status", str),
                balance=number(entry, "balance"),
                activation_epoch=Epoch(number(validator, "activation_epoch")),
                exit_epoch=Epoch(number(validator, "exit_epoch")),
            )
        )
    return found

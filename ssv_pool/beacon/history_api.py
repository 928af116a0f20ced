"""What is asked of one beacon node about slots that are over: their blocks and their beacon committees."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ssv_pool.beacon.answers import AnswerError, member, number
from ssv_pool.beacon.chain_api import asking
from ssv_pool.beacon.node import Attempt, BeaconNode, Request
from ssv_pool.protocol.types.primitives import Epoch, Slot, ValidatorIndex

NOT_FOUND = 404
"""A slot without a block."""

Committees = Mapping[tuple[Slot, int], Sequence[ValidatorIndex]]
"""Members of beacon committees by slot and index, in the order of their places."""


@dataclass(frozen=True, slots=True)
class BlockVote:
    """An attestation in a block; since Electra it may be of several beacon committees."""

    slot: Slot
    """The slot attested."""
    committees: tuple[int, ...]
    """Indices of its beacon committees, ascending."""
    bits: tuple[bool, ...]
    """Who signed: the places of all these committees, one committee after the other."""


@dataclass(frozen=True, slots=True)
class ChainBlock:
    """What counts of a block of the canonical chain."""

    slot: Slot
    """Its slot."""
    proposer: ValidatorIndex
    """Who proposed it."""
    votes: tuple[BlockVote, ...]
    """Its attestations."""
    sync_bits: tuple[bool, ...]
    """Whose sync committee messages of the slot before it counts, by place."""
    exits: frozenset[ValidatorIndex]
    """Whose voluntary exits it has."""


def block_at(slot: Slot) -> Attempt[ChainBlock | None]:
    """The canonical block of a slot; None where there is none."""
    request = Request("GET", f"/eth/v2/beacon/blocks/{slot}", "/eth/v2/beacon/blocks/{block}")

    def ask(node: BeaconNode, until: float) -> ChainBlock | None:
        answer = node.send(request, until)
        return None if answer.status == NOT_FOUND else answer.read(read_block)

    return ask


def committees_at(epoch: Epoch, slot: Slot) -> Attempt[dict[tuple[Slot, int], tuple[ValidatorIndex, ...]]]:
    """The beacon committees of a slot in ``epoch``: the head's, the one before or the one after."""
    request = Request(
        "GET",
        "/eth/v1/beacon/states/head/committees",
        "/eth/v1/beacon/states/{state}/committees",
        params={"epoch": str(epoch), "slot": str(slot)},
    )
    return asking(request, lambda body: _read_committees(body, slot))


def read_block(body: Any) -> ChainBlock:
    """Read the Beacon API's JSON of a block of Altair or later. Raises AnswerError."""
    message = member(member(body, "data", dict), "message", dict)
    content = member(message, "body", dict)
    aggregate = member(content, "sync_aggregate", dict)
    exits = [member(entry, "message", dict) for entry in member(content, "voluntary_exits", list)]
    return ChainBlock(
        slot=Slot(number(message, "slot")),
        proposer=ValidatorIndex(number(message, "proposer_index")),
        votes=tuple(_read_vote(entry) for entry in member(content, "attestations", list)),
        sync_bits=_bits(aggregate, "sync_committee_bits"),
        exits=frozenset(ValidatorIndex(number(entry, "validator_index")) for entry in exits),
    )


def _read_vote(entry: Any) -> BlockVote:
    data = member(entry, "data", dict)
    bits = _bits(entry, "aggregation_bits")
    # A bit list ends with one more bit that is set.
    length = max((place for place, bit in enumerate(bits) if bit), default=-1)
    if length < 0:
        raise AnswerError("aggregation_bits: no bit is set, expected at least the one that ends them")
    committees: tuple[int, ...] = (number(data, "index"),)
    if "committee_bits" in entry:
        committees = tuple(place for place, bit in enumerate(_bits(entry, "committee_bits")) if bit)
    return BlockVote(Slot(number(data, "slot")), committees, bits[:length])


def _bits(body: Any, key: str) -> tuple[bool, ...]:
    text = member(body, key, str)
    try:
        raw = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raise AnswerError(f"{key}: found {text[:60]!r}, expected hex") from None
    return tuple(bool(byte >> place & 1) for byte in raw for place in range(8))


def _read_committees(body: Any, slot: Slot) -> dict[tuple[Slot, int], tuple[ValidatorIndex, ...]]:
    found = {}
    for entry in member(body, "data", list):
        if number(entry, "slot") == slot:
            members = member(entry, "validators", list)
            if not all(isinstance(index, str) and index.isascii() and index.isdecimal() for index in members):
                raise AnswerError("validators: found something else than decimal numbers")
            found[slot, number(entry, "index")] = tuple(ValidatorIndex(int(index)) for index in members)
    return found

"""Everything a run is judged by, gathered from the chain, the beacon nodes' records and the operators' journals."""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from ssv_pool.devnet import participation
from ssv_pool.devnet.config import SLOTS_PER_EPOCH
from ssv_pool.devnet.inclusion import CanonicalBlock, ChainReader, Inclusion
from ssv_pool.devnet.participation import Result, Tally
from ssv_pool.devnet.record import Received, read_record
from ssv_pool.devnet.schedule import expectation
from ssv_pool.devnet.slashcheck import (
    BlockOffence,
    Offence,
    blocks_received,
    canonical_proposals,
    find_double_proposals,
    find_offences,
    votes_of_blocks,
    votes_received,
)
from ssv_pool.devnet.state import Run
from ssv_pool.errors import UnavailableError
from ssv_pool.protocol.types.ids import committee_id
from ssv_pool.protocol.types.primitives import FAR_FUTURE_EPOCH, OperatorId
from ssv_pool.report.figures import of_kind
from ssv_pool.settings import load_settings
from ssv_pool.store.database import Database
from ssv_pool.store.journal import JournalEntry, entries


@dataclass(frozen=True, slots=True)
class Chain:
    """The chain at the end."""

    head_slot: int
    justified_epoch: int
    finalized_epoch: int


@dataclass(frozen=True, slots=True)
class Facts:
    """What was found. Duties are those of the epochs that count."""

    chain: Chain
    inclusion: Inclusion
    results: Mapping[str, Sequence[Result]]
    """Kind of duty → what became of each."""
    blocks: Sequence[CanonicalBlock] = ()
    """The canonical blocks after genesis, in order."""
    offences: Sequence[Offence | BlockOffence] = ()
    wrong_votes: Sequence[str] = ()
    """Validly signed votes that no beacon node accepted and no block holds."""
    journals: Mapping[int, Sequence[JournalEntry]] = field(default_factory=dict)
    """Operator → its duties."""
    exits_included: Mapping[int, int] = field(default_factory=dict)
    """Validator → slot of the block with its exit."""
    exit_epochs: Mapping[int, int] = field(default_factory=dict)
    """Validator → first epoch in which it is not active any more."""
    after_exit: Sequence[str] = ()
    """What was signed for slots after the signer's exit."""

    def tally(self, kind: str, wanted: Callable[[Result], bool] = lambda _: True) -> Tally:
        """Count the duties of one kind."""
        return Tally.of(self.results.get(kind, ()), wanted)

    @property
    def everything(self) -> list[JournalEntry]:
        """All operators' duties."""
        return [entry for found in self.journals.values() for entry in found]


def able(run: Run) -> Callable[[Result], bool]:
    """Whether a duty's committee was able to do it: enough of its operators were up in the whole epoch."""
    known: dict[tuple[tuple[int, ...], int], bool] = {}

    def judge(result: Result) -> bool:
        committee, epoch = run.config.committee_of(result.validator_index), result.slot // SLOTS_PER_EPOCH
        if (committee, epoch) not in known:
            known[committee, epoch] = expectation(committee, run.outages, epoch) == "all"
        return known[committee, epoch]

    return judge


def gather(run: Run) -> Facts:
    """Read everything; the operators have stopped, a beacon node still answers.

    Raises:
        UnavailableError: it does not.
        ValueError: its answers contradict each other, or a record is malformed.
    """
    validators = range(run.config.validators)
    slots = range(SLOTS_PER_EPOCH, (run.last_epoch + 1) * SLOTS_PER_EPOCH)
    watch = run.watch
    received = [item for node in run.beacons if node.record is not None for item in read_record(node.record)]
    with ChainReader(run.beacon.url, SLOTS_PER_EPOCH, committees=watch.committees) as reader:
        inclusion = reader.inclusion(validators, 1, run.last_epoch)
        blocks = reader.blocks(1, reader.head_slot())
        votes = [
            *votes_received(received),
            *votes_of_blocks(blocks, reader.committees(range(run.last_epoch + 1))),
        ]
    proposed = [*blocks_received(received), *canonical_proposals(blocks)]
    journals: dict[int, Sequence[JournalEntry]] = {item.operator_id: _journal(run, item.config) for item in run.files}
    exit_epochs = {index: epoch for index in run.exits_asked if (epoch := _exit_epoch(run, index)) is not None}
    stays = _active(exit_epochs)
    attesters = [(duty.slot, duty.validator_index) for duty in inclusion.duties]
    if any(node.record is not None for node in run.beacons):
        aggregates = participation.taken_aggregates(received)
        contributions = participation.taken_contributions(received)
    else:
        aggregates = _told(run, journals, "aggregator")
        pairs = itertools.product(_told(run, journals, "contribution"), range(participation.SUBCOMMITTEES))
        contributions = {(slot, index, number) for (slot, index), number in pairs}
    results: dict[str, Sequence[Result]] = {
        "attester": [Result(d.validator_index, d.slot, d.included_slot is not None) for d in inclusion.duties],
        "proposer": participation.proposals(validators, watch.proposers, blocks, slots),
        "sync_committee": _kept(
            participation.sync_messages(validators, watch.sync_committees, blocks, slots, SLOTS_PER_EPOCH), stays
        ),
        "aggregator": participation.aggregates(attesters, aggregates),
        "contribution": _kept(
            participation.contributions(validators, watch.sync_committees, contributions, slots, SLOTS_PER_EPOCH), stays
        ),
    }
    exits = participation.exits_included(blocks)
    results["exit"] = [
        Result(index, exits.get(index, int((asked - run.genesis_time) // run.config.slot_seconds)), index in exits)
        for index, asked in run.exits_asked.items()
    ]
    late = participation.late_duties(received, exit_epochs, SLOTS_PER_EPOCH)
    return Facts(
        chain=_chain(run),
        inclusion=inclusion,
        results=results,
        blocks=blocks,
        offences=[*find_offences(votes), *find_double_proposals(proposed)],
        wrong_votes=_wrong_votes(received, blocks),
        journals=journals,
        exits_included=exits,
        exit_epochs=exit_epochs,
        after_exit=[f"validator {item.validator_index}: {item.kind} for slot {item.slot}" for item in late],
    )


def _wrong_votes(received: Iterable[Received], blocks: Iterable[CanonicalBlock]) -> list[str]:
    """Validly signed votes that no beacon node accepted and no block holds: of a view of the chain that nobody has."""
    right = {"0x" + vote.data.hash_tree_root().hex() for block in blocks for vote in block.attestations}
    votes = [item for item in received if item.kind == "attestation"]
    right |= {item.root for item in votes if not item.verdict.startswith(("ignored", "rejected"))}
    return [f"validator {item.validator_index}: {item.verdict}" for item in votes if item.root not in right]


def _active(exit_epochs: Mapping[int, int]) -> Callable[[Result], bool]:
    """A sync committee keeps members that have left; they owe it nothing here."""
    return lambda result: result.slot // SLOTS_PER_EPOCH < exit_epochs.get(result.validator_index, FAR_FUTURE_EPOCH)


def _kept(results: Iterable[Result], wanted: Callable[[Result], bool]) -> list[Result]:
    return [result for result in results if wanted(result)]


def _told(run: Run, journals: Mapping[int, Sequence[JournalEntry]], kind: str) -> set[tuple[int, int]]:
    """Slot and index of what the operators say the beacon node accepted; for beacon nodes that keep no record."""
    indices: dict[bytes, list[int]] = {bytes(key): [index] for index, key in enumerate(run.public_keys)}
    for index in range(run.config.validators):
        committee = committee_id([OperatorId(number) for number in run.config.committee_of(index)])
        indices.setdefault(bytes(committee), []).append(index)
    return {
        (entry.slot, index)
        for found in journals.values()
        for entry in of_kind(found, kind)
        if "accepted" in entry.steps
        for index in indices.get(bytes.fromhex(entry.key.rpartition(":")[2]), ())
    }


def _chain(run: Run) -> Chain:
    head = _beacon(run, "/eth/v1/beacon/headers/head")["header"]["message"]
    finality = _beacon(run, "/eth/v1/beacon/states/head/finality_checkpoints")
    return Chain(int(head["slot"]), int(finality["current_justified"]["epoch"]), int(finality["finalized"]["epoch"]))


def _exit_epoch(run: Run, index: int) -> int | None:
    """The epoch in which a validator leaves; None when it does not."""
    epoch = int(_beacon(run, f"/eth/v1/beacon/states/head/validators/{index}")["validator"]["exit_epoch"])
    return None if epoch == FAR_FUTURE_EPOCH else epoch


def _beacon(run: Run, path: str) -> dict[str, Any]:
    try:
        data = httpx.get(run.beacon.url + path, timeout=10, trust_env=False).raise_for_status().json()["data"]
    except (httpx.HTTPError, ValueError, KeyError) as error:
        raise UnavailableError(f"beacon node: {path}: {error}") from None
    if not isinstance(data, dict):
        raise UnavailableError(f"beacon node: {path}: data is {type(data).__name__}, expected an object")
    return data


def _journal(run: Run, config: Path) -> list[JournalEntry]:
    """An operator's duties in the epochs that count."""
    database = Database(load_settings(config, environment={}).store_url)
    try:
        with database.read() as session:
            return entries(session, from_slot=SLOTS_PER_EPOCH, to_slot=(run.last_epoch + 1) * SLOTS_PER_EPOCH - 1)
    except UnavailableError:
        return []  # it never came so far as to make its tables; the checks say what that means
    finally:
        database.close()

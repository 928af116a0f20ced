"""What became of an epoch's duties on the chain: looked up near the end of the next one, when it is settled.

A beacon node serves blocks, and committees of the epoch before its head's; from these follows whose attestations are in
the chain, who proposed, whose sync committee messages were counted. What was planned and left no trace in the journal
was never started. What is found goes into the journal; the core's reasons stay.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.orm import Session

from ssv_pool.beacon.aggregation import aggregation_commands
from ssv_pool.beacon.client import BeaconClient
from ssv_pool.beacon.history_api import ChainBlock, Committees
from ssv_pool.beacon.planner import CommitteeSlot, aggregations_of_slot, committees_of_slot, proposals_of_slot
from ssv_pool.beacon.window import SlotWindow
from ssv_pool.messaging.commands import BeginValidatorDuty, committee_duty_key, validator_duty_key
from ssv_pool.protocol.chain import BeaconChain
from ssv_pool.protocol.events import Outcome, Reason
from ssv_pool.protocol.forks import ForkSchedule
from ssv_pool.protocol.types.duties import ValidatorDuty
from ssv_pool.protocol.types.primitives import CommitteeId, Epoch, OperatorId, Slot, ValidatorIndex
from ssv_pool.protocol.types.roles import BeaconRole, RunnerRole
from ssv_pool.store import journal
from ssv_pool.store.database import Database
from ssv_pool.store.duties import has_epoch
from ssv_pool.store.journal import REFUSED, JournalEntry
from ssv_pool.store.registry import validators_of_operator

NAMED = 10
"""Validators that a detail names at the most."""


@dataclass(frozen=True, slots=True)
class EpochDuties:
    """What was planned for an epoch."""

    committees: tuple[tuple[Slot, CommitteeSlot], ...]
    """What each committee had to attest and to vote for."""
    proposals: tuple[tuple[CommitteeId, ValidatorDuty], ...]
    """Blocks to propose."""
    aggregations: tuple[tuple[str, RunnerRole, Slot, CommitteeId], ...] = ()
    """Duties of which the chain shows nothing: key, role, slot and committee."""
    exits: tuple[tuple[JournalEntry, ValidatorIndex], ...] = ()
    """Exits that were begun, and whose they are."""


def votes_of(blocks: Iterable[ChainBlock], committees: Committees) -> dict[tuple[ValidatorIndex, Slot], Slot]:
    """Whose attestations of which slots are in which blocks first: (validator, slot attested) → the block's slot.

    Attestations of slots whose committees are not given are left out, as are those whose bits do not fit them.
    """
    found: dict[tuple[ValidatorIndex, Slot], Slot] = {}
    for block in sorted(blocks, key=lambda block: block.slot):
        for vote in block.votes:
            parts = [committees.get((vote.slot, index)) for index in vote.committees]
            if None in parts:
                continue
            members = [index for part in parts if part is not None for index in part]
            if len(members) == len(vote.bits):
                for index, voted in zip(members, vote.bits, strict=True):
                    if voted:
                        found.setdefault((index, vote.slot), block.slot)
    return found


@dataclass(frozen=True, slots=True)
class Noted:
    """What was noted of an epoch's duties."""

    included: int = 0
    """How many were found in the chain."""
    failed: int = 0
    """How many got a reason: not there, or never begun."""


def check_epoch(
    database: Database,
    client: BeaconClient,
    chain: BeaconChain,
    forks: ForkSchedule,
    operator_id: OperatorId,
    epoch: Epoch,
) -> Noted:
    """Look up what became of the duties of ``epoch``, and note it in the journal.

    To be called in the last slots of the next epoch: what is not in the chain then never will be, and nodes still know
    the committees.

    Raises:
        UnavailableError: the store or the beacon nodes do not answer.
    """
    first, end = chain.first_slot(epoch), chain.first_slot(epoch + 1)
    with database.read() as session:
        planned = planned_duties(session, chain, forks, operator_id, epoch)
        known = journal.entries(session, from_slot=first, to_slot=end - 1)
    if not planned.committees and not planned.proposals and not planned.exits:
        return Noted()
    committees: dict[tuple[Slot, int], tuple[ValidatorIndex, ...]] = {}
    for slot in dict.fromkeys(slot for slot, _ in planned.committees):
        committees |= client.committees(epoch, slot)
    answers = (client.block(Slot(slot)) for slot in range(first, end + chain.slots_per_epoch))
    found = findings(chain, planned, known, [block for block in answers if block is not None], committees)
    with database.session() as session:
        for finding in found:
            journal.add_finding(session, finding)
    return Noted(sum(finding.reason is None for finding in found), sum(finding.reason is not None for finding in found))


def note_no_data(database: Database, window: SlotWindow, committees: Sequence[CommitteeSlot], problem: str) -> None:
    """Note in the journal that a slot's duties were not begun: the own beacon node gave no attestation data.

    Raises:
        UnavailableError: the store does not answer.
    """
    with database.session() as session:
        for committee in committees:
            finding = JournalEntry(
                committee_duty_key(window.slot, committee.committee_id),
                int(RunnerRole.COMMITTEE),
                window.slot,
                committee.committee_id,
                Outcome.FAILED.value,
                Reason.NO_BEACON_DATA.value,
                problem,
                steps={"due": window.due, "begun": window.begun},
            )
            journal.add_finding(session, finding)


def planned_duties(
    session: Session, chain: BeaconChain, forks: ForkSchedule, operator_id: OperatorId, epoch: Epoch
) -> EpochDuties:
    """What was planned for an epoch; nothing where it was not planned."""
    first = chain.first_slot(epoch)
    slots = [Slot(slot) for slot in range(first, first + chain.slots_per_epoch)]
    aggregations = []
    for slot in slots if has_epoch(session, epoch) else []:
        start = chain.start_of(slot)
        window = SlotWindow(slot, start, start, start)
        for command in aggregation_commands(
            chain, forks, window, aggregations_of_slot(session, chain, operator_id, slot)
        ):
            role = (
                forks.at_epoch(epoch).runner_role(command.duty.type)
                if isinstance(command, BeginValidatorDuty)
                else RunnerRole.AGGREGATOR_COMMITTEE
            )
            aggregations.append((command.key, role, slot, command.committee_id))
    indices = {v.public_key.hex(): v.index for v in validators_of_operator(session, operator_id)}
    begun = journal.entries(session, role=RunnerRole.VOLUNTARY_EXIT, from_slot=first, to_slot=slots[-1])
    exits = [(entry, indices.get(entry.key.rpartition(":")[2])) for entry in begun]
    return EpochDuties(
        tuple(
            (slot, committee)
            for slot in slots
            for committee in committees_of_slot(session, chain, operator_id, slot) or ()
        ),
        tuple(proposal for slot in slots for proposal in proposals_of_slot(session, chain, operator_id, slot)),
        tuple(aggregations),
        tuple((entry, index) for entry, index in exits if index is not None),
    )


def findings(
    chain: BeaconChain,
    planned: EpochDuties,
    known: Sequence[JournalEntry],
    blocks: Sequence[ChainBlock],
    committees: Committees,
) -> list[JournalEntry]:
    """What is to be added to the journal.

    Args:
        chain: the chain's constants.
        planned: the epoch's duties.
        known: the journal's entries of the epoch's slots.
        blocks: the canonical blocks from the epoch's first slot on.
        committees: the beacon committees of the slots in which own validators attested.
    """
    judge = _Judge(chain, {entry.key: entry for entry in known}, blocks, committees)
    found = [judge.committee(slot, committee) for slot, committee in planned.committees]
    found += [judge.proposal(committee_id, duty) for committee_id, duty in planned.proposals]
    found += [judge.aggregation(*aggregation) for aggregation in planned.aggregations]
    found += [judge.exit(entry, index) for entry, index in planned.exits]
    return [finding for finding in found if finding is not None]


class _Judge:
    """Compares one epoch's duties with the chain."""

    def __init__(
        self,
        chain: BeaconChain,
        journal: Mapping[str, JournalEntry],
        blocks: Sequence[ChainBlock],
        committees: Committees,
    ) -> None:
        self._chain = chain
        self._journal = journal
        self._blocks = {block.slot: block for block in blocks}
        self._votes = votes_of(blocks, committees)
        self._known_slots = {slot for slot, _ in committees}

    def committee(self, slot: Slot, committee: CommitteeSlot) -> JournalEntry | None:
        """A committee's attestations and sync committee messages."""
        attesters = [duty.validator_index for duty in committee.duties if duty.type == BeaconRole.ATTESTER]
        members = [duty for duty in committee.duties if duty.type == BeaconRole.SYNC_COMMITTEE]
        problems, included = [], None
        if attesters and slot in self._known_slots:
            slots = {index: self._votes.get((index, slot)) for index in attesters}
            missing = [index for index, found in slots.items() if found is None]
            if missing:
                problems.append(f"{len(missing)} of {len(attesters)} attestations not in the chain: {_named(missing)}")
            else:
                included = max(found for found in slots.values() if found is not None)
        following = self._blocks.get(Slot(slot + 1))
        if members and following is not None:
            silent = [duty.validator_index for duty in members if not _counted(duty, following.sync_bits)]
            if silent:
                problems.append(
                    f"{len(silent)} of {len(members)} sync committee messages not in the next block: {_named(silent)}"
                )
            elif not attesters:
                included = following.slot
        key = committee_duty_key(slot, committee.committee_id)
        return self._finding(key, RunnerRole.COMMITTEE, slot, committee.committee_id, included, problems)

    def proposal(self, committee_id: CommitteeId, duty: ValidatorDuty) -> JournalEntry | None:
        """A block."""
        block = self._blocks.get(duty.slot)
        there = block is not None and block.proposer == duty.validator_index
        problems = [] if there else [f"no block of validator {duty.validator_index} in the chain"]
        key = validator_duty_key(BeaconRole.PROPOSER, duty.slot, duty.pubkey)
        return self._finding(key, RunnerRole.PROPOSER, duty.slot, committee_id, duty.slot if there else None, problems)

    def exit(self, entry: JournalEntry, index: ValidatorIndex) -> JournalEntry | None:
        """A voluntary exit."""
        included = min((slot for slot, block in self._blocks.items() if index in block.exits), default=None)
        problems = [f"no exit of validator {index} in the chain"] if included is None else []
        committee_id = CommitteeId(entry.executor)
        return self._finding(entry.key, RunnerRole.VOLUNTARY_EXIT, entry.slot, committee_id, included, problems)

    def aggregation(self, key: str, role: RunnerRole, slot: Slot, committee_id: CommitteeId) -> JournalEntry | None:
        """Of an aggregation the chain shows nothing: only whether it was started is known."""
        return None if key in self._journal else _not_started(key, role, slot, committee_id, [])

    def _finding(
        self,
        key: str,
        role: RunnerRole,
        slot: Slot,
        committee_id: CommitteeId,
        included: Slot | None,
        problems: Sequence[str],
    ) -> JournalEntry | None:
        steps = {} if included is None else {"included": self._chain.start_of(included)}
        known = self._journal.get(key)
        if known is None or (known.outcome is None and not {"accepted", REFUSED} & known.steps.keys()):
            return replace(_not_started(key, role, slot, committee_id, problems), steps=steps)
        if problems:
            refused = REFUSED in known.steps and "accepted" not in known.steps
            reason = Reason.SUBMISSION_REFUSED if refused else Reason.NOT_INCLUDED
            return JournalEntry(key, int(role), slot, committee_id, None, reason.value, "; ".join(problems))
        return JournalEntry(key, int(role), slot, committee_id, steps=steps) if steps else None


def _not_started(
    key: str, role: RunnerRole, slot: Slot, committee_id: CommitteeId, problems: Sequence[str]
) -> JournalEntry:
    detail = "; ".join(problems) or "planned, and never begun here"
    return JournalEntry(key, int(role), slot, committee_id, Outcome.FAILED.value, Reason.NOT_STARTED.value, detail)


def _counted(duty: ValidatorDuty, bits: Sequence[bool]) -> bool:
    return all(place < len(bits) and bits[place] for place in duty.validator_sync_committee_indices)


def _named(indices: Sequence[ValidatorIndex]) -> str:
    more = f" and {len(indices) - NAMED} more" if len(indices) > NAMED else ""
    return f"validators {', '.join(map(str, sorted(indices)[:NAMED]))}{more}"

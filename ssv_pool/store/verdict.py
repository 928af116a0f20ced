"""What a person wants to know of a duty in the journal: went it well, late or wrong, and why. Pure."""

from dataclasses import dataclass

from ssv_pool.protocol.chain import BeaconChain
from ssv_pool.protocol.events import Outcome, Reason
from ssv_pool.protocol.types.roles import RunnerRole
from ssv_pool.store.journal import REFUSED, JournalEntry

GOOD, LATE, FAILED, OPEN = "good", "late", "failed", "open"
"""The states: done in time; done, but so late that it is worth less; not done; not known (yet)."""

NEVER_LATE = frozenset({RunnerRole.VALIDATOR_REGISTRATION, RunnerRole.VOLUNTARY_EXIT})
"""Roles whose duties are worth as much in a later slot."""

AGGREGATING = frozenset(
    {RunnerRole.AGGREGATOR, RunnerRole.SYNC_COMMITTEE_CONTRIBUTION, RunnerRole.AGGREGATOR_COMMITTEE}
)
"""Roles that ask the beacon node for something only two thirds into the slot."""

_PHASES = (
    ("begun", Reason.NOT_STARTED, "it began"),
    ("pre_consensus", Reason.NO_SIGNATURE_QUORUM, "the signatures needed beforehand came"),
    ("received", Reason.NO_BEACON_DATA, "the beacon node's answer came"),
    ("consensus_started", Reason.NO_BEACON_DATA, "consensus began"),
    ("decided", Reason.ROUNDS_EXHAUSTED, "the committee decided"),
    ("reconstructed", Reason.NO_SIGNATURE_QUORUM, "a quorum's partial signatures came"),
    ("submitted", Reason.SUBMISSION_REFUSED, "it was handed over"),
    ("accepted", Reason.SUBMISSION_REFUSED, "the beacon node took it"),
)
"""A duty's steps in their order; the reason where the time before one of them is what made it late; its words."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A duty judged."""

    state: str
    """``good``, ``late``, ``failed`` or ``open``."""
    reason: Reason = Reason.NONE
    """Why it is late or failed."""
    detail: str = ""
    """One line for a person; may be empty."""


def judge(entry: JournalEntry, chain: BeaconChain | None) -> Verdict:
    """What is to be said of a duty.

    Args:
        entry: its entry in the journal.
        chain: the chain's constants; None: lateness is not looked at.
    """
    refused = REFUSED in entry.steps and "accepted" not in entry.steps
    if entry.reason is not None:
        return Verdict(FAILED, _reason(entry.reason), entry.detail)
    if entry.outcome is not None and entry.outcome != Outcome.COMPLETED.value:
        return Verdict(FAILED, Reason.NONE, entry.detail)
    if "included" not in entry.steps and refused:
        return Verdict(FAILED, Reason.SUBMISSION_REFUSED, entry.detail)
    if entry.outcome is None and "accepted" not in entry.steps:
        return Verdict(OPEN)
    return _late(entry, chain) or Verdict(GOOD, detail=entry.detail)


def late_after(entry: JournalEntry, chain: BeaconChain) -> float | None:
    """The instant after which a duty's result is worth less; None where there is none.

    A block has to be there before the slot's attestations are made; what is voted or aggregated in a slot belongs into
    the next slot's block.
    """
    if entry.role in NEVER_LATE:
        return None
    if entry.role == RunnerRole.PROPOSER:
        return chain.attestation_due(entry.slot)
    return chain.start_of(entry.slot + 1)


def _late(entry: JournalEntry, chain: BeaconChain | None) -> Verdict | None:
    """The verdict on a duty that was done too late: named is the step that took the most time."""
    if chain is None:
        return None
    limit = late_after(entry, chain)
    end = entry.steps.get("accepted", entry.steps.get("reconstructed"))
    due = entry.steps.get("due")
    if limit is None or end is None or due is None or end <= limit:
        return None
    longest, reason, words, before = 0.0, Reason.NOT_STARTED, "it began", due
    for step, why, what in _PHASES:
        reached = entry.steps.get(step)
        if reached is None:
            continue
        if step == "received" and entry.role in AGGREGATING:
            # Nothing is aggregated before it is due: until then the node holds the request.
            before = max(before, chain.aggregate_due(entry.slot))
        if reached - before > longest:
            longest, reason, words = reached - before, why, what
        before = max(before, reached)
    parts = [f"{end - limit:.3f} s late: {words} only after {longest:.3f} s"]
    if reason is Reason.ROUNDS_EXHAUSTED:
        parts.append(f"in round {entry.round}")
    if entry.detail:
        parts.append(entry.detail)
    return Verdict(LATE, reason, "; ".join(parts))


def _reason(name: str) -> Reason:
    """The reason of a name; NONE for one that a later version wrote."""
    try:
        return Reason(name)
    except ValueError:
        return Reason.NONE

"""Posting what the committees signed: everything the node hands over, whatever kind it is, in one attempt each."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from ssv_pool.beacon.answers import Refusal
from ssv_pool.beacon.attester import sync_deadline
from ssv_pool.beacon.client import BeaconClient
from ssv_pool.beacon.errors import BeaconError
from ssv_pool.messaging.commands import (
    AggregateSubmission,
    AttestationSubmission,
    BlockSubmission,
    ContributionSubmission,
    ExitSubmission,
    RegistrationSubmission,
    Submission,
    SyncMessageSubmission,
)
from ssv_pool.protocol.chain import BeaconChain
from ssv_pool.protocol.types.roles import RunnerRole

SUBMIT_SECONDS = 4.0
"""Time limit of one attempt."""

BLOCK_SECONDS = 8.0
"""Time limit of one attempt to publish a block: the node executes it before it answers."""

NOUNS: dict[type, str] = {
    AttestationSubmission: "attestations",
    SyncMessageSubmission: "sync committee messages",
    BlockSubmission: "block",
    AggregateSubmission: "aggregates",
    ContributionSubmission: "contributions",
    RegistrationSubmission: "registration",
    ExitSubmission: "voluntary exit",
}
"""What the log calls each kind of submission."""

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class SubmissionResult:
    """What became of one attempt to post."""

    accepted: int
    """How many objects the beacon node has now."""
    left: Submission | None
    """What to try again; None when nothing is left."""
    problem: str = ""
    """Why something is left, or was given up, one line; empty when all is accepted."""
    refused: bool = False
    """Whether a beacon node looked at it and refused it; else it could not be asked."""


def post(client: BeaconClient, submission: Submission, now: float) -> SubmissionResult:
    """Post once. What the node refuses, unless it has it already, is left for another attempt.

    A refusal may pass by itself (a head block the node has not seen yet), so all are worth trying until the deadline.
    """
    limit = BLOCK_SECONDS if isinstance(submission, BlockSubmission) else SUBMIT_SECONDS
    timeout = min(limit, max(0.5, submission.deadline - now))
    try:
        refusals = _post(client, submission, timeout)
    except ValueError as error:
        # Not what its kind says: it was made wrong, and no attempt mends that.
        return SubmissionResult(0, None, str(error))
    except BeaconError as error:
        if Refusal(0, error.message).already_known:
            return SubmissionResult(size_of(submission), None)
        return SubmissionResult(0, submission, str(error), refused=_is_refusal(error))
    refused = {refusal.position: refusal for refusal in refusals if not refusal.already_known}
    left = _without_accepted(submission, refused.keys())
    if left is None:
        return SubmissionResult(size_of(submission), None)
    position, first = min(refused.items())
    problem = f"{len(refused)} refused, the first (position {position}): {first.message}"
    return SubmissionResult(size_of(submission) - size_of(left), left, problem, refused=True)


def last_instant(chain: BeaconChain | None, submission: Submission) -> float:
    """When to give up: the deadline, and sooner for what is passed on in its own slot only."""
    if chain is None or not isinstance(submission, SyncMessageSubmission | ContributionSubmission):
        return submission.deadline
    return min(submission.deadline, sync_deadline(chain, submission.slot))


def role_of(submission: Submission) -> RunnerRole:
    """The runner whose duty it is of: the key begins with its name."""
    name = submission.key.partition(":")[0].upper()
    return RunnerRole[name] if name in RunnerRole.__members__ else RunnerRole.COMMITTEE


def size_of(submission: Submission) -> int:
    """How many objects it holds."""
    match submission:
        case AttestationSubmission(attestations=items):
            return len(items)
        case SyncMessageSubmission(messages=items):
            return len(items)
        case AggregateSubmission(aggregates=items):
            return len(items)
        case ContributionSubmission(contributions=items):
            return len(items)
        case _:
            return 1


def _post(client: BeaconClient, submission: Submission, timeout: float) -> Sequence[Refusal]:
    match submission:
        case AttestationSubmission():
            return client.submit_attestations(submission.fork, submission.attestations, timeout=timeout)
        case SyncMessageSubmission():
            return client.submit_sync_messages(submission.slot, submission.messages, timeout=timeout)
        case BlockSubmission():
            client.submit_block(
                submission.fork, submission.version, submission.blinded, submission.signed_block, timeout=timeout
            )
        case AggregateSubmission():
            return client.submit_aggregates(submission.fork, submission.version, submission.aggregates, timeout=timeout)
        case ContributionSubmission():
            return client.submit_contributions(submission.contributions, timeout=timeout)
        case RegistrationSubmission():
            return client.submit_registrations([submission.registration], timeout=timeout)
        case ExitSubmission():
            client.submit_exit(submission.exit, timeout=timeout)
    return ()


def _without_accepted(submission: Submission, refused: Iterable[int]) -> Submission | None:
    """What of it was refused; None when nothing was."""
    positions = frozenset(refused)
    if not positions:
        return None
    match submission:
        case AttestationSubmission():
            kept: Submission = replace(submission, attestations=_kept(submission.attestations, positions))
        case SyncMessageSubmission():
            kept = replace(submission, messages=_kept(submission.messages, positions))
        case AggregateSubmission():
            kept = replace(submission, aggregates=_kept(submission.aggregates, positions))
        case ContributionSubmission():
            kept = replace(submission, contributions=_kept(submission.contributions, positions))
        case _:
            kept = submission
    return kept if size_of(kept) else None


def _kept(items: tuple[_Item, ...], positions: frozenset[int]) -> tuple[_Item, ...]:
    return tuple(item for position, item in enumerate(items) if position in positions)


def _is_refusal(error: BeaconError) -> bool:
    """Whether the node's answer is about what was posted. Some nodes answer 500 to what they refuse."""
    return error.status is not None and error.status not in (404, 405, 408, 429, 501, 502, 503, 504)

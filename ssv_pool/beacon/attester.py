"""The beginning and the end of an attestation duty: start it in every committee, and post what comes out of it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import redis

from ssv_pool.beacon.answers import Refusal
from ssv_pool.beacon.client import BeaconClient
from ssv_pool.beacon.errors import BeaconError
from ssv_pool.beacon.planner import CommitteeSlot
from ssv_pool.messaging.bus import CommandBus
from ssv_pool.messaging.commands import AttestationSubmission, StartCommitteeDuty, committee_duty_key
from ssv_pool.observability.logs import logger
from ssv_pool.protocol.chain import BeaconChain
from ssv_pool.protocol.types.beacon import AttestationData, BeaconVote
from ssv_pool.protocol.types.primitives import Slot

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 1.0
"""Pauses between attempts in seconds, each twice the one before."""

SUBMIT_SECONDS = 4.0
"""Time limit of one attempt to post attestations."""

_log = logger(__name__)

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Clock:
    """Time, to be replaced in tests."""

    now: Callable[[], float] = time.time
    """Seconds since the UNIX epoch."""
    sleep: Callable[[float], None] = time.sleep
    """Wait so many seconds."""


@dataclass(frozen=True, slots=True)
class SlotWindow:
    """When the work of a slot is done."""

    slot: Slot
    """The slot."""
    due: float
    """When it should begin."""
    begun: float
    """When it began."""
    until: float
    """From then on it is not begun any more."""


class Attester:
    """Starts the attestation duties of one operator."""

    def __init__(self, client: BeaconClient, bus: CommandBus, timeout: float, clock: Clock | None = None) -> None:
        """Make one.

        Args:
            client: the own beacon nodes.
            bus: the way to the node.
            timeout: longest wait for attestation data in one attempt, in seconds.
            clock: the time, the real one by default.
        """
        self._client = client
        self._bus = bus
        self._timeout = timeout
        self._clock = clock or Clock()

    def start(self, chain: BeaconChain, window: SlotWindow, committees: Sequence[CommitteeSlot]) -> bool:
        """Get the slot's attestation data once and tell the node to start every committee's duty.

        Tries again until ``window.until`` while the beacon node or the broker does not answer. Returns whether the
        duties were started; writes the slot's one line in the log.
        """
        data = self._attestation_data(chain, window)
        if data is None:
            return False
        fetched = self._clock.now()
        commands = start_commands(chain, window, committees, data)
        if not self._publish(window, commands):
            return False
        published = self._clock.now()
        _log.info(
            "attestations started",
            slot=window.slot,
            committees=len(committees),
            validators=sum(len(committee.duties) for committee in committees),
            delay_ms=round((window.begun - window.due) * 1000, 1),
            data_ms=round((fetched - window.begun) * 1000, 1),
            bus_ms=round((published - fetched) * 1000, 1),
        )
        return True

    def _attestation_data(self, chain: BeaconChain, window: SlotWindow) -> AttestationData | None:
        def fetch() -> AttestationData:
            timeout = max(0.2, min(self._timeout, window.until - self._clock.now()))
            data = self._client.attestation_data(window.slot, timeout=timeout)
            expected = chain.epoch_of(window.slot)
            if data.target.epoch != expected:
                what = f"bad answer: target epoch {data.target.epoch} for slot {window.slot}, expected {expected}"
                raise BeaconError("GET /eth/v1/validator/attestation_data", 200, what)
            return data

        return self._until(window, "no attestation data: trying again", fetch, BeaconError)

    def _publish(self, window: SlotWindow, commands: Sequence[StartCommitteeDuty]) -> bool:
        def publish() -> bool:
            self._bus.publish(*commands)
            return True

        return bool(self._until(window, "the broker does not take commands: trying again", publish, redis.RedisError))

    def _until(
        self, window: SlotWindow, trouble: str, attempt: Callable[[], _Result], expected: type[Exception]
    ) -> _Result | None:
        pause, told = FIRST_PAUSE, False
        while True:
            try:
                return attempt()
            except expected as error:
                problem = str(error).partition("\n")[0]
            late = self._clock.now() + pause >= window.until
            if late:
                _log.error("attestations missed", slot=window.slot, problem=problem)
                return None
            if not told:
                _log.warning(trouble, slot=window.slot, problem=problem)
                told = True
            self._clock.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)


def start_commands(
    chain: BeaconChain, window: SlotWindow, committees: Sequence[CommitteeSlot], data: AttestationData
) -> list[StartCommitteeDuty]:
    """One command for each committee. The deadline is an epoch after the slot: the first inclusion window's end."""
    vote = BeaconVote(data.beacon_block_root, data.source, data.target)
    deadline = chain.start_of(window.slot + chain.slots_per_epoch)
    return [
        StartCommitteeDuty(
            key=committee_duty_key(window.slot, committee.committee_id),
            committee_id=committee.committee_id,
            slot=window.slot,
            validator_duties=committee.duties,
            beacon_vote=vote,
            due=window.due,
            begun=window.begun,
            deadline=deadline,
        )
        for committee in committees
    ]


@dataclass(frozen=True, slots=True)
class SubmissionResult:
    """What became of one attempt to post attestations."""

    accepted: int
    """How many the beacon node has now."""
    left: AttestationSubmission | None
    """What to try again; None when nothing is left."""
    problem: str
    """Why something is left, one line; empty when nothing is."""


def submit(client: BeaconClient, submission: AttestationSubmission, now: float) -> SubmissionResult:
    """Post attestations once. Those the node refuses, unless it has them already, are left for another attempt.

    A refusal may pass by itself (a head block the node has not seen yet), so all are worth trying until the deadline.
    """
    timeout = min(SUBMIT_SECONDS, max(0.5, submission.deadline - now))
    try:
        refusals = client.submit_attestations(submission.fork, submission.attestations, timeout=timeout)
    except BeaconError as error:
        return SubmissionResult(0, submission, str(error))
    refused = {refusal.position: refusal for refusal in refusals if not refusal.already_known}
    left = tuple(a for position, a in enumerate(submission.attestations) if position in refused)
    accepted = len(submission.attestations) - len(left)
    if not left:
        return SubmissionResult(accepted, None, "")
    rest = AttestationSubmission(submission.key, submission.slot, submission.fork, left, submission.deadline)
    return SubmissionResult(accepted, rest, _first(refused))


def _first(refused: dict[int, Refusal]) -> str:
    position, refusal = min(refused.items())
    return f"{len(refused)} refused, the first (position {position}): {refusal.message}"

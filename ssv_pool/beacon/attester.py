"""The beginning of a committee's duty: the attestations and sync committee messages of a slot, in every committee."""

from collections import Counter
from collections.abc import Callable, Sequence

from ssv_pool.beacon.client import BeaconClient
from ssv_pool.beacon.errors import BeaconError
from ssv_pool.beacon.planner import CommitteeSlot
from ssv_pool.beacon.window import Clock, SlotWindow, Work, keep_trying, publish
from ssv_pool.messaging.bus import CommandBus
from ssv_pool.messaging.commands import StartCommitteeDuty, committee_duty_key
from ssv_pool.observability.logs import logger
from ssv_pool.protocol.chain import BeaconChain
from ssv_pool.protocol.types.beacon import AttestationData, BeaconVote
from ssv_pool.protocol.types.primitives import Slot
from ssv_pool.protocol.types.roles import BeaconRole

GOSSIP_SECONDS = 0.5
"""How far clocks may differ by the beacon chain's gossip rules (MAXIMUM_GOSSIP_CLOCK_DISPARITY)."""

_log = logger(__name__)


class Attester:
    """Starts the committee duties of one operator."""

    def __init__(
        self,
        client: BeaconClient,
        bus: CommandBus,
        timeout: float,
        clock: Clock | None = None,
        *,
        keep: Callable[[AttestationData], None] | None = None,
        missed: Callable[[SlotWindow, Sequence[CommitteeSlot], str], None] | None = None,
    ) -> None:
        """Make one.

        Args:
            client: the own beacon nodes.
            bus: the way to the node.
            timeout: longest wait for attestation data in one attempt, in seconds.
            clock: the time, the real one by default.
            keep: is told the attestation data of a slot once its duties are started.
            missed: is told which duties there was no attestation data for, and why.
        """
        self._client = client
        self._bus = bus
        self._timeout = timeout
        self._clock = clock or Clock()
        self._keep = keep
        self._missed = missed

    def start(self, chain: BeaconChain, window: SlotWindow, committees: Sequence[CommitteeSlot]) -> bool:
        """Get the slot's attestation data once and tell the node to start every committee's duty.

        Tries again until ``window.until`` while the beacon node or the broker does not answer. Returns whether the
        duties were started; writes the slot's one line in the log.
        """
        problems: list[str] = []
        data = self._attestation_data(chain, window, problems)
        if data is None:
            if self._missed is not None:
                self._missed(window, committees, problems[-1])
            return False
        fetched = self._clock.now()
        commands = start_commands(chain, window, committees, data)
        if not publish(self._bus, self._clock, window, "attestations", commands):
            return False
        published = self._clock.now()
        kinds = Counter(duty.type for committee in committees for duty in committee.duties)
        _log.info(
            "attestations started",
            slot=window.slot,
            committees=len(committees),
            validators=kinds[BeaconRole.ATTESTER],
            sync_members=kinds[BeaconRole.SYNC_COMMITTEE],
            delay_ms=round((window.begun - window.due) * 1000, 1),
            data_ms=round((fetched - window.begun) * 1000, 1),
            bus_ms=round((published - fetched) * 1000, 1),
        )
        if self._keep is not None:
            self._keep(data)
        return True

    def _attestation_data(self, chain: BeaconChain, window: SlotWindow, problems: list[str]) -> AttestationData | None:
        """The slot's attestation data; None when there was none in time, and ``problems`` says why."""

        def fetch() -> AttestationData:
            try:
                return ask()
            except BeaconError as error:
                problems.append(str(error).partition("\n")[0])
                raise

        def ask() -> AttestationData:
            timeout = max(0.2, min(self._timeout, window.until - self._clock.now()))
            data = self._client.attestation_data(window.slot, timeout=timeout)
            expected = chain.epoch_of(window.slot)
            if data.target.epoch != expected:
                what = f"bad answer: target epoch {data.target.epoch} for slot {window.slot}, expected {expected}"
                raise BeaconError("GET /eth/v1/validator/attestation_data", 200, what)
            return data

        return keep_trying(self._clock, window, Work("attestations", "no attestation data"), fetch, BeaconError)


def start_commands(
    chain: BeaconChain, window: SlotWindow, committees: Sequence[CommitteeSlot], data: AttestationData
) -> list[StartCommitteeDuty]:
    """One command for each committee.

    The deadline is an epoch after the slot, the end of the first inclusion window, and sooner where nobody attests.
    """
    vote = BeaconVote(data.beacon_block_root, data.source, data.target)
    return [
        StartCommitteeDuty(
            key=committee_duty_key(window.slot, committee.committee_id),
            committee_id=committee.committee_id,
            slot=window.slot,
            validator_duties=committee.duties,
            beacon_vote=vote,
            due=window.due,
            begun=window.begun,
            deadline=_deadline(chain, window.slot, committee),
        )
        for committee in committees
    ]


def sync_deadline(chain: BeaconChain, slot: Slot) -> float:
    """When sync committee messages and contributions of ``slot`` are worth nothing any more: at its end.

    Gossip takes them in their own slot only, and the next slot's proposer has them by then or not.
    """
    return chain.start_of(slot + 1) + GOSSIP_SECONDS


def _deadline(chain: BeaconChain, slot: Slot, committee: CommitteeSlot) -> float:
    attests = any(duty.type == BeaconRole.ATTESTER for duty in committee.duties)
    return chain.start_of(slot + chain.slots_per_epoch) if attests else sync_deadline(chain, slot)

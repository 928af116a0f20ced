"""What the beacon nodes are told ahead of duties: who gets the fees of blocks, and which subnets to listen to.

Nodes forget it over a restart and after some epochs, and a node that took over from another was perhaps never told:
all of it is said again every half epoch.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ssv_pool.beacon.client import BeaconClient
from ssv_pool.beacon.duty_api import CommitteeSubscription, SyncSubscription
from ssv_pool.beacon.errors import BeaconError
from ssv_pool.beacon.planner import takes_part, votes_in_sync_committee
from ssv_pool.protocol.chain import BeaconChain
from ssv_pool.protocol.types.primitives import Epoch, OperatorId, Slot, ValidatorIndex
from ssv_pool.store.database import Database
from ssv_pool.store.duties import duties_of_slot, sync_committees
from ssv_pool.store.registry import validators_of_operator


@dataclass(frozen=True, slots=True)
class Preparations:
    """Everything to tell the beacon nodes in one epoch."""

    fee_recipients: tuple[tuple[ValidatorIndex, bytes], ...]
    """Index and address (20 bytes) of each own validator that takes part in this epoch or the next."""
    committees: tuple[CommitteeSubscription, ...]
    """The beacon committees of the own attesters."""
    sync_committees: tuple[SyncSubscription, ...]
    """The own members of this epoch's sync committee and the next one's."""


def preparations(database: Database, chain: BeaconChain, operator_id: OperatorId, epoch: Epoch) -> Preparations:
    """What to tell in ``epoch``. Raises UnavailableError when the store cannot be reached.

    Which attester aggregates shows only when the operators have signed its selection proof together, at the slot's
    start. That is too late to join a subnet, so every attester is announced as one that may.
    """
    following = Epoch(epoch + 1)
    with database.read() as session:
        own = {v.public_key: v for v in validators_of_operator(session, operator_id)}
        slots = range(chain.first_slot(epoch), chain.first_slot(epoch + 2))
        duties = [duty for slot in slots for duty in duties_of_slot(session, Slot(slot))]
        periods = sync_committees(session, epoch, following)
    fees = [
        (validator.index, validator.fee_recipient)
        for validator in own.values()
        if validator.index is not None
        and (takes_part(validator, chain, epoch) or takes_part(validator, chain, following))
    ]
    committees = [
        CommitteeSubscription(
            duty.validator_index, duty.committee_index, duty.committees_at_slot, duty.slot, is_aggregator=True
        )
        for duty in duties
        if duty.pubkey in own and takes_part(own[duty.pubkey], chain, chain.epoch_of(duty.slot))
    ]
    members = [
        SyncSubscription(member.validator_index, member.places, Epoch(period.last + 1))
        for period in periods
        for member in period.members
        if member.public_key in own and votes_in_sync_committee(own[member.public_key], chain, max(epoch, period.first))
    ]
    return Preparations(tuple(sorted(fees)), tuple(committees), tuple(members))


def prepare(
    database: Database, client: BeaconClient, chain: BeaconChain, operator_id: OperatorId, epoch: Epoch
) -> list[str]:
    """Tell the beacon nodes; each kind fails by itself. Returns what failed and why, one line each.

    Raises:
        UnavailableError: the store cannot be reached.
    """
    wanted = preparations(database, chain, operator_id, epoch)
    calls: list[Callable[[], object]] = []
    if wanted.fee_recipients:
        calls.append(lambda: client.prepare_proposers(wanted.fee_recipients))
    if wanted.committees:
        calls.append(lambda: client.subscribe_committees(wanted.committees))
    if wanted.sync_committees:
        calls.append(lambda: client.subscribe_sync_committees(wanted.sync_committees))
    problems = []
    for call in calls:
        try:
            call()
        except BeaconError as error:
            problems.append(str(error))
    return problems

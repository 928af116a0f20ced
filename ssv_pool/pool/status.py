"""A pool at one moment: its books, the queue, validators, clusters, the last report, the pause."""

from dataclasses import dataclass
from typing import Final

from eth_typing import ChecksumAddress
from web3.types import BlockData

from ssv_pool.pool.approvals import Report
from ssv_pool.pool.calls import PoolParameters
from ssv_pool.pool.contract import PauseState, PoolContract, WithdrawalRequest
from ssv_pool.registry.chain import translated
from ssv_pool.registry.history import NEW_CLUSTER
from ssv_pool.registry.views import ClusterStatus

STATES: Final = ("unknown", "registered", "funded", "exit requested", "retired")
"""Names of the contract's validator states, from 0."""

MOST_SHOWN: Final = 100
"""Requests of the queue that are read."""


@dataclass(frozen=True, slots=True)
class ValidatorStatus:
    """A validator of the pool."""

    public_key: bytes
    """48 bytes."""
    state: int
    """See `STATES`."""
    operator_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PoolStatus:
    """The pool after one block; amounts are wei."""

    block: int
    time: int
    """Unix time of the block."""
    owner: ChecksumAddress
    members: tuple[ChecksumAddress, ...]
    quorum: int
    parameters: PoolParameters
    assets: int
    supply: int
    """Shares there are."""
    price: int
    """What 10**18 shares are worth."""
    buffered: int
    reserved: int
    unbooked: int
    beacon_balance: int
    """Of all validators, as last booked."""
    deposited: int
    """All that was ever deposited for validators."""
    pending: int
    """What all open requests are worth at most."""
    fundable: int
    allowance: int
    """What clusters may still be paid in this window."""
    exits_under_way: int
    queue: tuple[WithdrawalRequest, ...]
    """The first that wait, in order."""
    waiting: int
    """How many wait."""
    validators: tuple[ValidatorStatus, ...]
    clusters: tuple[ClusterStatus, ...]
    last_report: Report
    reported: int
    """Unix time of the last report; of the deployment before the first."""
    pause: PauseState


def read_status(pool: PoolContract) -> PoolStatus:
    """Ask the chain for all of it, for one block.

    Raises:
        ContractError: an answer is not what a pool gives.
        UnavailableError: the node does not answer.
    """
    with translated(pool.w3, "read the latest block"):
        head: BlockData = pool.w3.eth.get_block("latest")
    block = head["number"]

    def number(view: str, *values: int) -> int:
        return pool.number(view, *values, block=block)

    registry = pool.registry()
    clusters = [
        registry.views.status(owner, ids, cluster)
        for (owner, ids), cluster in registry.history.clusters(pool.address).items()
        if cluster != NEW_CLUSTER
    ]
    validators = [
        ValidatorStatus(item.public_key, pool.validator_state(item.public_key, block=block), item.operator_ids)
        for item in pool.registrations()
        if item.block_number <= block
    ]
    report, reported = pool.last_report(block=block)
    return PoolStatus(
        block=block,
        time=head["timestamp"],
        owner=pool.owner(),
        members=pool.members(block=block),
        quorum=pool.quorum(block=block),
        parameters=pool.parameters(),
        assets=number("totalAssets"),
        supply=number("totalSupply"),
        price=number("convertToAssets", 10**18),
        buffered=number("buffered"),
        reserved=number("reserved"),
        unbooked=number("unbooked"),
        beacon_balance=number("beaconBalance"),
        deposited=number("depositedTotal"),
        pending=number("pendingWithdrawals"),
        fundable=number("fundable"),
        allowance=number("clusterAllowance"),
        exits_under_way=number("exitsUnderWay"),
        queue=pool.queue(most=MOST_SHOWN, block=block),
        waiting=number("requestCount") + 1 - number("nextToFinalize"),
        validators=tuple(validators),
        clusters=tuple(clusters),
        last_report=report,
        reported=reported,
        pause=pool.pause_state(block=block),
    )

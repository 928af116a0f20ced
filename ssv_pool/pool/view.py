"""What a keeper knows when it decides: one snapshot of chain, beacon state, own store and messages of members.

Nothing here does I/O: `observation` fills it in, `judgement` decides by it.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ssv_pool.pool.approvals import Message, Report, Signed
from ssv_pool.registry.events import Cluster

DEPOSIT: Final = 32 * 10**18
"""What a validator is deposited with, wei."""

WITHDRAWAL_DONE: Final = "withdrawal_done"
"""Status of a validator that has nothing left (Beacon API)."""

_DAY: Final = 86_400


class KeyState(enum.IntEnum):
    """The contract's validatorState."""

    UNKNOWN = 0
    REGISTERED = 1
    FUNDED = 2
    EXIT_REQUESTED = 3
    RETIRED = 4


class Share(enum.Enum):
    """What the own node makes of a registered validator."""

    UNKNOWN = "unknown"
    """It has not read that block yet, or does not answer."""
    ACCEPTED = "accepted"
    """Its registration is well-formed, and the own share, if there is one, can be used."""
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class BeaconFacts:
    """A validator in a beacon state."""

    status: str
    """By the Beacon API's names."""
    balance: int
    """Gwei."""
    activation_epoch: int
    exit_epoch: int


@dataclass(frozen=True, slots=True)
class DepositSignature:
    """A deposit's signature that was found right: for the pool's credentials and 32 ETH."""

    signature: bytes
    """96 bytes."""
    data_root: bytes
    """hash_tree_root of the deposit data, 32 bytes."""


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """One validator of the pool that is not retired."""

    public_key: bytes
    """48 bytes."""
    state: KeyState
    operator_ids: tuple[int, ...]
    registered_block: int
    share: Share = Share.UNKNOWN
    deposit_seen: bool | None = None
    """Whether there is any deposit of this key, made by whomever; None where that was not looked up."""
    deposit: DepositSignature | None = None
    """The deposit to make, from the own inventory or a member's message."""
    beacon: BeaconFacts | None = None
    """The head state's; None where the key is not in it."""


@dataclass(frozen=True, slots=True)
class ClusterFacts:
    """One cluster of the pool in the registry."""

    operator_ids: tuple[int, ...]
    cluster: Cluster
    """The state that calls must bring along."""
    balance: int
    """Wei that are left when all owed by now is paid."""
    rate: int
    """Wei per block that each validator costs."""
    threshold: int
    """Blocks that a cluster must be able to pay for."""
    collateral: int
    """Wei that a cluster must hold at least."""
    liquidatable: bool

    def needed(self, days: float, validators: int, block_seconds: float) -> int:
        """Wei that so many validators need to run for so many days before the cluster can be liquidated."""
        if not validators:
            return 0
        burn = self.rate * validators
        reserve = max(self.collateral, self.threshold * burn)
        return reserve + burn * int(days * _DAY / block_seconds + 1)

    def runway_days(self, block_seconds: float) -> float | None:
        """Days until it can be liquidated; None where it costs nothing."""
        burn = self.rate * self.cluster.validator_count
        if not burn:
            return None
        free = self.balance - max(self.collateral, self.threshold * burn)
        return max(0.0, free / burn * block_seconds / _DAY)


@dataclass(frozen=True, slots=True)
class NextKey:
    """The next validator of the own inventory."""

    public_key: bytes
    """48 bytes."""
    operator_ids: tuple[int, ...]
    shares: bytes
    """The ``shares`` argument of the registration."""


@dataclass(frozen=True, slots=True)
class Marks:
    """What the member's settings say."""

    runway_low_days: float
    runway_high_days: float
    committees: tuple[tuple[int, ...], ...]
    """Sets of operators that the member wants allowed."""


@dataclass(frozen=True, slots=True)
class PoolView:
    """The snapshot. Amounts are wei, addresses 20 bytes."""

    now: float
    """Seconds since the UNIX epoch."""
    block_number: int
    """The execution block that all calls were answered for."""
    epoch: int
    """The beacon chain's present epoch."""
    slot_seconds: float
    shard_committee_period: int
    """Epochs that a validator must have been active before it may exit (SHARD_COMMITTEE_PERIOD)."""
    member: bytes
    """Who decides here."""
    members: tuple[bytes, ...]
    """All members, ascending."""
    quorum: int
    paused: bool
    buffered: int
    unbooked: int
    fundable: int
    pending: int
    """What leavers wait for."""
    exits_under_way: int
    allowance: int
    """What clusters may still be paid in this window."""
    cluster_nonce: int
    deposit_root: bytes
    """The deposit contract's root, 32 bytes."""
    keys: tuple[KeyFacts, ...]
    """Validators that are not retired, in the order of registration."""
    clusters: tuple[ClusterFacts, ...]
    committees: Mapping[tuple[int, ...], bool]
    """Committees that were asked about, and whether they are allowed."""
    next_key: NextKey | None
    report: Report | None
    """The report that is due, by own data."""
    finalizable: bool
    """Whether a withdrawal could be made ready now."""
    marks: Marks
    inventory_problem: str | None = None
    """Why the own inventory has no next key, where there is money for one."""
    messages: tuple[Signed, ...] = ()
    """Own ones and those of other members, all with checked signatures of members."""
    just_signed: tuple[Message, ...] = ()
    """What the member has signed in this round: who completes a quorum sends at once."""

    def cluster_of(self, operator_ids: tuple[int, ...]) -> ClusterFacts | None:
        """The cluster of these operators."""
        return next((cluster for cluster in self.clusters if cluster.operator_ids == operator_ids), None)

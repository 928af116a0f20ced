"""The SSV protocol's forks: what differs between them, in one object a fork, chosen by the slot of the duty or message.

Alan is what runs. Boole's epoch is "never" unless a network names one; what is known of it stands here so that it can
be switched on by epoch. A duty never changes fork midway: whoever starts one keeps the fork it got.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from ssv_pool.protocol.types.ids import alan_subnet, boole_subnet, committee_id
from ssv_pool.protocol.types.partial import MAX_PARTIAL_MESSAGES_ALAN, MAX_PARTIAL_MESSAGES_BOOLE
from ssv_pool.protocol.types.primitives import FAR_FUTURE_EPOCH, DomainType, Epoch, OperatorId, Round, Slot
from ssv_pool.protocol.types.roles import BeaconRole, PartialSignatureType, RunnerRole

LeaderFunction = Callable[[Sequence[OperatorId], Slot, Round], OperatorId]
"""(the committee's operator ids in its order, height, round) → who proposes."""

SubnetFunction = Callable[[Sequence[OperatorId]], int]
"""The committee's operator ids → the subnet its messages travel on, 0 to 127."""

PRIOR_EPOCHS = 1
"""Epochs before a fork in which its topics are already joined."""

SUBSEQUENT_SLOTS = 34
"""Slots after a fork for which the topics before it are kept: the longest time a duty's messages may take."""


@dataclass(frozen=True, slots=True)
class RoleRules:
    """What a fork allows in messages of one runner role (PROTOCOL 4.6, rules 26, 34 and 38)."""

    partial_types: frozenset[PartialSignatureType]
    """Types of partial signature messages the role has."""
    max_round: Round | None
    """Last consensus round that is passed on; None for roles without consensus."""
    late_slots: int | None
    """How many slots after its own a message is still passed on; None for no limit."""


@dataclass(frozen=True, slots=True)
class ProtocolFork:
    """One fork's rules for one SSV network."""

    name: str
    """Lower-case name: ``alan``, ``boole``."""
    domain: DomainType
    """Domain type in every message id, 4 bytes."""
    roles: Mapping[RunnerRole, RoleRules]
    """The runner roles that exist in the fork."""
    max_data_bytes: int
    """SSZ limit of SSVMessage.data."""
    max_partial_messages: int
    """SSZ limit of PartialSignatureMessages.messages."""
    max_partial_data_bytes: int
    """Longest data of a partial signature message that gossip passes on (PROTOCOL 4.5)."""
    leader: LeaderFunction
    """Who proposes in (committee, height, round)."""
    subnet: SubnetFunction
    """The committee's subnet."""
    topic_prefix: str
    """What precedes the subnet's number in a topic's name."""
    strict_types: bool = False
    """Whether duties are checked before they begin, and values that do not decode have error codes of their own."""
    whole_checkpoints: bool = True
    """Whether a beacon vote's source and target must equal the own view in epoch and root, or in epoch only."""

    def runner_role(self, beacon_role: int) -> RunnerRole:
        """The runner that does a beacon chain duty; UNKNOWN for what is no duty."""
        role = _RUNNER_ROLES.get(beacon_role, RunnerRole.UNKNOWN)
        if role not in self.roles and role is not RunnerRole.UNKNOWN:
            return RunnerRole.AGGREGATOR_COMMITTEE
        return role

    def topic_of_subnet(self, subnet: int) -> str:
        """The gossip topic of a subnet."""
        return f"{self.topic_prefix}{subnet}"

    def topic(self, operator_ids: Sequence[OperatorId]) -> str:
        """The gossip topic of a committee."""
        return self.topic_of_subnet(self.subnet(operator_ids))


@dataclass(frozen=True, slots=True)
class ForkSchedule:
    """Which fork is in force when, on one SSV network."""

    alan: ProtocolFork
    boole: ProtocolFork | None = None
    boole_epoch: Epoch = FAR_FUTURE_EPOCH
    """First epoch of Boole; FAR_FUTURE_EPOCH means never, whatever the epoch asked for."""

    def __post_init__(self) -> None:
        """Refuse an epoch without the fork it belongs to, and forks that messages cannot tell. Raises ValueError."""
        if self.boole is None and self.boole_epoch != FAR_FUTURE_EPOCH:
            raise ValueError(f"Boole is set for epoch {self.boole_epoch}, but its rules are not given")
        if self.boole is not None and self.boole.domain == self.alan.domain:
            raise ValueError(f"Boole has Alan's domain type {self.alan.domain.hex()}, expected another")

    @property
    def scheduled(self) -> bool:
        """Whether Boole has an epoch."""
        return self.boole is not None and self.boole_epoch != FAR_FUTURE_EPOCH

    def at_epoch(self, epoch: Epoch) -> ProtocolFork:
        """The fork in force at ``epoch``."""
        if self.boole is not None and self.scheduled and epoch >= self.boole_epoch:
            return self.boole
        return self.alan

    def at_slot(self, slot: Slot, slots_per_epoch: int) -> ProtocolFork:
        """The fork of a duty or message of ``slot``. Epochs are compared, so that "never" is not multiplied."""
        return self.at_epoch(Epoch(slot // slots_per_epoch))

    def served_at(self, slot: Slot, slots_per_epoch: int) -> tuple[ProtocolFork, ...]:
        """The forks whose topics a node is on while ``slot`` runs: around the fork both, the one in force first."""
        if self.boole is None or not self.scheduled:
            return (self.alan,)
        fork_slot = self.boole_epoch * slots_per_epoch
        if slot < fork_slot - PRIOR_EPOCHS * slots_per_epoch:
            return (self.alan,)
        if slot < fork_slot:
            return (self.alan, self.boole)
        return (self.boole, self.alan) if slot < fork_slot + SUBSEQUENT_SLOTS else (self.boole,)

    def acceptable_at(self, slot: Slot, slots_per_epoch: int) -> tuple[ProtocolFork, ...]:
        """The forks that a message which comes while ``slot`` runs may be of; its own slot decides of which it must be.

        These are the fork in force, the next one, and the one before while its last duties may still run.
        """
        served = self.served_at(slot, slots_per_epoch)
        if self.boole is not None and self.scheduled and self.boole not in served:
            return (*served, self.boole)
        return served

    def topics(self, operator_ids: Sequence[OperatorId], slot: Slot, slots_per_epoch: int) -> tuple[str, ...]:
        """The topics a committee is served on while ``slot`` runs."""
        return tuple(fork.topic(operator_ids) for fork in self.served_at(slot, slots_per_epoch))

    def topic_of_message(self, operator_ids: Sequence[OperatorId], slot: Slot, slots_per_epoch: int) -> str:
        """The topic for a committee's message of ``slot``, whenever it is sent."""
        return self.at_slot(slot, slots_per_epoch).topic(operator_ids)


def alan_leader(operator_ids: Sequence[OperatorId], height: Slot, round_: Round) -> OperatorId:
    """Alan's leader: the committee in the order given, from operator number ``height``, one further a round."""
    return operator_ids[(height + round_ - 1) % len(operator_ids)]


def boole_leader(slots_per_epoch: int) -> LeaderFunction:
    """Boole's leader: ascending ids, from operator number ``height`` plus its epoch, one further a round."""

    def leader(operator_ids: Sequence[OperatorId], height: Slot, round_: Round) -> OperatorId:
        return sorted(operator_ids)[(height + height // slots_per_epoch + round_ - 1) % len(operator_ids)]

    return leader


def alan_fork(domain: DomainType) -> ProtocolFork:
    """Alan's rules on the network with this domain type."""
    return ProtocolFork(
        name="alan",
        domain=domain,
        roles=_ALAN_ROLES,
        max_data_bytes=722_412,
        max_partial_messages=MAX_PARTIAL_MESSAGES_ALAN,
        max_partial_data_bytes=151_220,  # 1000 signatures, a twentieth more, and four
        leader=alan_leader,
        subnet=lambda operator_ids: alan_subnet(committee_id(operator_ids)),
        topic_prefix="ssv.v2.",
    )


def boole_fork(domain: DomainType, network: str, slots_per_epoch: int) -> ProtocolFork:
    """Boole's rules.

    Args:
        domain: Boole's domain type on the network, 4 bytes.
        network: lower-case name of the Ethereum network, as it stands in the topics.
        slots_per_epoch: of the beacon chain, for the leader.
    """
    return ProtocolFork(
        name="boole",
        domain=domain,
        roles=_BOOLE_ROLES,
        max_data_bytes=726_932,
        max_partial_messages=MAX_PARTIAL_MESSAGES_BOOLE,
        max_partial_data_bytes=726_932,  # that many signatures
        leader=boole_leader(slots_per_epoch),
        subnet=boole_subnet,
        topic_prefix=f"/ssv/{network}/boole/",
        strict_types=True,
        whole_checkpoints=False,
    )


def _rules(max_round: int | None, late_slots: int | None, *types: PartialSignatureType) -> RoleRules:
    return RoleRules(frozenset(types), None if max_round is None else Round(max_round), late_slots)


_RUNNER_ROLES: Mapping[int, RunnerRole] = MappingProxyType(
    {
        BeaconRole.ATTESTER: RunnerRole.COMMITTEE,
        BeaconRole.SYNC_COMMITTEE: RunnerRole.COMMITTEE,
        BeaconRole.PROPOSER: RunnerRole.PROPOSER,
        BeaconRole.AGGREGATOR: RunnerRole.AGGREGATOR,
        BeaconRole.SYNC_COMMITTEE_CONTRIBUTION: RunnerRole.SYNC_COMMITTEE_CONTRIBUTION,
        BeaconRole.VALIDATOR_REGISTRATION: RunnerRole.VALIDATOR_REGISTRATION,
        BeaconRole.VOLUNTARY_EXIT: RunnerRole.VOLUNTARY_EXIT,
    }
)
"""Alan's; in Boole a committee runner has taken over the two that are not among its roles."""

_COMMON_ROLES = {
    RunnerRole.COMMITTEE: _rules(12, 34, PartialSignatureType.POST_CONSENSUS),
    RunnerRole.PROPOSER: _rules(6, 3, PartialSignatureType.RANDAO, PartialSignatureType.POST_CONSENSUS),
    RunnerRole.VALIDATOR_REGISTRATION: _rules(None, None, PartialSignatureType.VALIDATOR_REGISTRATION),
    RunnerRole.VOLUNTARY_EXIT: _rules(None, None, PartialSignatureType.VOLUNTARY_EXIT),
}

_ALAN_ROLES: Mapping[RunnerRole, RoleRules] = MappingProxyType(
    {
        **_COMMON_ROLES,
        RunnerRole.AGGREGATOR: _rules(
            12, 34, PartialSignatureType.SELECTION_PROOF, PartialSignatureType.POST_CONSENSUS
        ),
        RunnerRole.SYNC_COMMITTEE_CONTRIBUTION: _rules(
            6, 3, PartialSignatureType.CONTRIBUTION_PROOFS, PartialSignatureType.POST_CONSENSUS
        ),
    }
)

_BOOLE_ROLES: Mapping[RunnerRole, RoleRules] = MappingProxyType(
    {
        **_COMMON_ROLES,
        RunnerRole.AGGREGATOR_COMMITTEE: _rules(
            12, 34, PartialSignatureType.AGGREGATOR_COMMITTEE, PartialSignatureType.POST_CONSENSUS
        ),
    }
)

"""What is done to the devnet when, and which epochs therefore count how."""

import enum
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ssv_pool.devnet.config import SLOTS_PER_EPOCH, AtEpoch, DevnetConfig, faulty


@dataclass(frozen=True, slots=True)
class Outage:
    """Operators, or beacon nodes, that are down for one epoch."""

    epoch: int
    operators: tuple[int, ...]
    """Their numbers, ascending."""

    @property
    def first_slot(self) -> int:
        """The slot at whose start they are killed."""
        return self.epoch * SLOTS_PER_EPOCH

    @property
    def return_slot(self) -> int:
        """The slot at whose start they are started again."""
        return (self.epoch + 1) * SLOTS_PER_EPOCH


class Deed(enum.Enum):
    """What is done to the devnet while it runs. The order of those of one instant: who returns may be killed again."""

    RESTART = "restart"
    START_BEACON = "start beacon"
    EXIT = "exit"
    STOP_BEACON = "stop beacon"
    KILL = "kill"


_ORDER = {deed: place for place, deed in enumerate(Deed)}


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that is done at the start of a slot."""

    slot: int
    deed: Deed
    number: int
    """Operator, beacon node or, for an exit, the validator's index."""


def plan_outages(config: DevnetConfig, operator_ids: Sequence[int]) -> tuple[Outage, ...]:
    """Choose the operators of each ``--kill`` by the seed."""
    return _choose(config.kills, operator_ids, random.Random(config.seed))


def plan_beacon_outages(config: DevnetConfig) -> tuple[Outage, ...]:
    """Choose the beacon nodes of each ``--stop-beacon`` by the seed.

    The first node is spared where it runs validators of its own.
    """
    first = 1 if config.whole_chain else 2
    return _choose(config.beacon_stops, range(first, config.beacon_nodes + 1), random.Random(config.seed))


def attacked_operator(config: DevnetConfig, operator_ids: Sequence[int]) -> int | None:
    """Whose beacon node lies; None without ``--attack``."""
    return random.Random(config.seed).choice(list(operator_ids)) if config.attack else None


def _choose(events: Sequence[AtEpoch], numbers: Sequence[int], chooser: random.Random) -> tuple[Outage, ...]:
    return tuple(
        Outage(event.epoch, tuple(sorted(chooser.sample(list(numbers), event.count))))
        for event in sorted(events, key=lambda event: event.epoch)
    )


def plan_actions(config: DevnetConfig, outages: Sequence[Outage], beacon_outages: Sequence[Outage]) -> list[Action]:
    """Everything that is to be done, in order."""
    return sorted(_actions(config, outages, beacon_outages), key=lambda a: (a.slot, _ORDER[a.deed], a.number))


def _actions(config: DevnetConfig, outages: Sequence[Outage], beacon_outages: Sequence[Outage]) -> Iterator[Action]:
    kinds = ((outages, Deed.KILL, Deed.RESTART), (beacon_outages, Deed.STOP_BEACON, Deed.START_BEACON))
    for planned, down, up in kinds:
        for outage in planned:
            for number in outage.operators:
                yield Action(outage.first_slot, down, number)
                yield Action(outage.return_slot, up, number)
    for epoch, validator in config.leaving:
        yield Action(epoch * SLOTS_PER_EPOCH, Deed.EXIT, validator)


def operators_down(outages: Sequence[Outage], epoch: int) -> set[int]:
    """Operators that are down during an epoch."""
    return {operator for outage in outages if outage.epoch == epoch for operator in outage.operators}


def expectation(committee: tuple[int, ...], outages: Sequence[Outage], epoch: int) -> str:
    """What an epoch's duties of a committee must be.

    Returns:
        ``none`` while more than f of its operators are down: nothing may be signed. ``some`` in the epoch in which more
        than f operators return: they start up. ``all`` otherwise.
    """
    members, may_be_down = set(committee), faulty(committee)
    if len(operators_down(outages, epoch) & members) > may_be_down:
        return "none"
    if len(operators_down(outages, epoch - 1) & members) > may_be_down:
        return "some"
    return "all"


def overall_expectation(config: DevnetConfig, outages: Sequence[Outage], epoch: int) -> str:
    """What is expected of all committees together: their common word, or ``some`` where they differ."""
    words = {expectation(committee, outages, epoch) for committee in config.committees}
    return words.pop() if len(words) == 1 else "some"

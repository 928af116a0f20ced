"""Which operators are killed when, and which epochs therefore count how."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from ssv_pool.devnet.config import SLOTS_PER_EPOCH, DevnetConfig


@dataclass(frozen=True, slots=True)
class Outage:
    """Operators that are down for one epoch."""

    epoch: int
    operators: tuple[int, ...]
    """Their ids, ascending."""

    @property
    def first_slot(self) -> int:
        """The slot at whose start they are killed."""
        return self.epoch * SLOTS_PER_EPOCH

    @property
    def return_slot(self) -> int:
        """The slot at whose start they are started again."""
        return (self.epoch + 1) * SLOTS_PER_EPOCH


def plan_outages(config: DevnetConfig, operator_ids: Sequence[int]) -> tuple[Outage, ...]:
    """Choose the operators of each ``--kill`` by the seed."""
    chooser = random.Random(config.seed)
    return tuple(
        Outage(kill.epoch, tuple(sorted(chooser.sample(list(operator_ids), kill.operators))))
        for kill in sorted(config.kills, key=lambda kill: kill.epoch)
    )


def operators_down(outages: Sequence[Outage], epoch: int) -> set[int]:
    """Operators that are down during an epoch."""
    return {operator for outage in outages if outage.epoch == epoch for operator in outage.operators}


def expectation(config: DevnetConfig, outages: Sequence[Outage], epoch: int) -> str:
    """What an epoch's attestations must be.

    Returns:
        ``none`` while more than f operators are down: nothing may be included. ``some`` in the epoch in which more than
        f operators return: they start up. ``all`` otherwise.
    """
    if len(operators_down(outages, epoch)) > config.faulty:
        return "none"
    if len(operators_down(outages, epoch - 1)) > config.faulty:
        return "some"
    return "all"

"""What a devnet run is asked to do."""

import enum
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ssv_pool.errors import ConfigError

COMMITTEE_SIZES = (4, 7, 10, 13)

CHAIN_VALIDATORS = 64
"""Validators of the beacon chain; those that are not on operators are run by the embedded beacon node."""

SLOTS_PER_EPOCH = 8
"""The minimal preset's."""

MAX_OPERATORS = 13
"""Operators of one devnet: each is three processes."""

MAX_BEACON_NODES = 4

LODESTAR_SECONDS = 1
"""How much longer slots are by default beside Lodestar, which takes more of the cores than the embedded node."""

LIFECYCLE_OPERATORS, LIFECYCLE_VALIDATORS = 4, 2
LIFECYCLE_EPOCHS = 32
"""The life cycle's own size: the validators that operators have besides the pool's, and the latest end."""

LIFECYCLE_CHAIN = {"MIN_VALIDATOR_WITHDRAWABILITY_DELAY": 1, "MAX_SEED_LOOKAHEAD": 1, "BASE_REWARD_FACTOR": 1}
"""The life cycle's chain lets validators come and go in epochs instead of a day (256 and 4 elsewhere). Few validators
with short slots earn more in a year than a pool's reports may book, so they earn a 64th (factor 64 elsewhere)."""

CLUSTER_PRESETS = {"overlap": "1-4;4-7;1-7"}
"""Names that ``--clusters`` knows."""


class BeaconKind(enum.Enum):
    """Which program the chain runs on."""

    EMBEDDED = "embedded"
    """The executable specification behind the standard Beacon API."""
    LODESTAR = "lodestar"
    """A real beacon client from npm."""


@dataclass(frozen=True, slots=True)
class AtEpoch:
    """Something happens to so many things at an epoch's start."""

    count: int
    """How many."""
    epoch: int
    """At the start of this epoch."""

    OPTION = ""
    """The option it is written with."""
    LETTER = "K"
    """The count's letter in the help text."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``K@EPOCH``. Raises ConfigError."""
        match = re.fullmatch(r"(\d{1,6})@(\d{1,6})", text)
        if not match or int(match[1]) < 1 or int(match[2]) < 1:
            raise ConfigError(
                f"{cls.OPTION}: found {text!r}, expected {cls.LETTER}@EPOCH with both at least 1, such as 1@2"
            )
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.count}@{self.epoch}"


class Kill(AtEpoch):
    """kill -9 of all processes of some operators; they are started again one epoch later."""

    __slots__ = ()
    OPTION = "--kill"


class BeaconStop(AtEpoch):
    """kill -9 of some beacon nodes; they are started again one epoch later and catch up from the others."""

    __slots__ = ()
    OPTION = "--stop-beacon"


class Exit(AtEpoch):
    """Some validators are asked to leave by a transaction to the registry contract."""

    __slots__ = ()
    OPTION, LETTER = "--exit", "N"


@dataclass(frozen=True, slots=True)
class Attack:
    """One operator has a beacon node of its own that lies to it."""

    mode: str
    """What the node does wrong: a mode of the embedded beacon node."""
    epoch: int = 0
    """From the start of this epoch on."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``MODE`` or ``MODE@EPOCH``. Raises ConfigError."""
        match = re.fullmatch(r"([a-z0-9-]{1,40})(?:@(\d{1,6}))?", text)
        if not match:
            raise ConfigError(f"--attack: found {text!r}, expected MODE or MODE@EPOCH")
        return cls(match[1], int(match[2] or 0))

    def __str__(self) -> str:
        return f"{self.mode}@{self.epoch}" if self.epoch else self.mode


def parse_clusters(text: str) -> tuple[tuple[int, ...], ...]:
    """Committees of operators from ``1,2,3,4;4-7;1-7`` or a preset's name.

    Raises:
        ConfigError: the text is malformed, or a committee has not 4, 7, 10 or 13 different operators from 1 on.
    """
    found: list[tuple[int, ...]] = []
    for part in CLUSTER_PRESETS.get(text, text).split(";"):
        members: list[int] = []
        for piece in part.split(","):
            match = re.fullmatch(r"\s*(\d{1,3})(?:-(\d{1,3}))?\s*", piece)
            if not match:
                names = ", ".join(CLUSTER_PRESETS)
                raise ConfigError(f"--clusters: found {piece!r}, expected operators like 1,2,3,4;4-7;1-7, or {names}")
            members.extend(range(int(match[1]), int(match[2] or match[1]) + 1))
        committee = tuple(sorted(set(members)))
        if len(committee) not in COMMITTEE_SIZES or len(committee) != len(members) or committee[0] < 1:
            raise ConfigError(f"--clusters: found {part!r}, expected 4, 7, 10 or 13 different operators from 1 on")
        found.append(committee)
    return tuple(found)


@dataclass(frozen=True, slots=True)
class DevnetConfig:
    """The options of one run."""

    operators: int
    validators: int
    epochs: int
    """Full epochs to run after epoch 0, in which the operators start up."""
    slot_seconds: int
    report_dir: Path
    kills: tuple[Kill, ...] = ()
    seed: int = 0
    """Chooses which operators and beacon nodes are killed and whose beacon node lies."""
    keep: bool = False
    """Run until Ctrl-C."""
    clusters: tuple[tuple[int, ...], ...] = ()
    """Committees that the validators are spread over in turn; empty: one committee of all operators."""
    boole_epoch: int | None = None
    """First epoch of the next protocol version; None: never."""
    beacon: BeaconKind = BeaconKind.EMBEDDED
    beacon_nodes: int = 1
    beacon_stops: tuple[BeaconStop, ...] = ()
    attack: Attack | None = None
    exits: tuple[Exit, ...] = ()
    lifecycle: bool = False
    """Whether a staking pool's validator lives its whole life; the run ends with it."""

    def __post_init__(self) -> None:
        """Raises ConfigError where the options contradict each other."""
        self._check_operators()
        if not 1 <= self.validators <= CHAIN_VALIDATORS:
            raise ConfigError(f"--validators: found {self.validators}, expected 1 to {CHAIN_VALIDATORS}")
        if self.validators < len(self.committees):
            raise ConfigError(
                f"--validators: found {self.validators}, expected one for each of {len(self.committees)} clusters"
            )
        if self.epochs < 1:
            raise ConfigError(f"--epochs: found {self.epochs}, expected at least 1")
        if self.slot_seconds < 1:
            raise ConfigError(f"--slot-seconds: found {self.slot_seconds}, expected at least 1")
        if self.boole_epoch is not None and self.boole_epoch < 0:
            raise ConfigError(f"--boole-epoch: found {self.boole_epoch}, expected 0 or more")
        for kill in self.kills:
            if kill.count > self.operators:
                raise ConfigError(f"--kill {kill}: found {kill.count} operators, expected at most {self.operators}")
        for event in (*self.kills, *self.beacon_stops, *self.exits):
            if event.epoch >= self.epochs:
                raise ConfigError(
                    f"{event.OPTION} {event}: found epoch {event.epoch}, expected one below the last, {self.epochs}"
                )
        self._check_beacon_nodes()
        if self.lifecycle and (self.troubled or self.exits or self.clusters or self.beacon_nodes > 1 or self.keep):
            raise ConfigError("--lifecycle: found an option that changes the run, expected it alone")
        if self.lifecycle and (self.operators != LIFECYCLE_OPERATORS or self.beacon is not BeaconKind.EMBEDDED):
            raise ConfigError(f"--lifecycle: expected {LIFECYCLE_OPERATORS} operators and the embedded beacon node")
        leaving = sum(item.count for item in self.exits)
        if leaving > self.validators:
            raise ConfigError(f"--exit: found {leaving} validators in all, expected at most {self.validators}")

    def _check_operators(self) -> None:
        if not self.clusters:
            if self.operators not in COMMITTEE_SIZES:
                raise ConfigError(f"--operators: found {self.operators}, expected 4, 7, 10 or 13")
            return
        highest = max(max(committee) for committee in self.clusters)
        if not highest <= self.operators <= MAX_OPERATORS:
            raise ConfigError(
                f"--clusters: found operator {highest} with --operators {self.operators}, "
                f"expected none above it, and at most {MAX_OPERATORS}"
            )

    def _check_beacon_nodes(self) -> None:
        if not 1 <= self.beacon_nodes <= MAX_BEACON_NODES:
            raise ConfigError(f"--beacon-nodes: found {self.beacon_nodes}, expected 1 to {MAX_BEACON_NODES}")
        stopped = Counter[int]()
        for stop in self.beacon_stops:
            stopped[stop.epoch] += stop.count
            if stopped[stop.epoch] >= self.beacon_nodes:
                raise ConfigError(f"--stop-beacon {stop}: expected one of {self.beacon_nodes} beacon nodes to be left")
        if self.beacon is not BeaconKind.EMBEDDED and (self.beacon_nodes > 1 or self.attack):
            raise ConfigError(f"--beacon {self.beacon.value}: found --beacon-nodes or --attack, expected neither")

    @property
    def committees(self) -> tuple[tuple[int, ...], ...]:
        """Operators of each committee, ascending."""
        return self.clusters or (tuple(range(1, self.operators + 1)),)

    def committee_of(self, validator: int) -> tuple[int, ...]:
        """The operators of a validator: the committees take turns."""
        return self.committees[validator % len(self.committees)]

    @property
    def last_epoch(self) -> int:
        """The last epoch whose duties count."""
        return self.epochs

    @property
    def whole_chain(self) -> bool:
        """Whether operators run every validator of the chain."""
        return self.validators == CHAIN_VALIDATORS

    @property
    def troubled(self) -> bool:
        """Whether the run breaks something on purpose."""
        return bool(self.kills or self.beacon_stops or self.attack)

    @property
    def leaving(self) -> tuple[tuple[int, int], ...]:
        """(Epoch, validator) of each exit: the highest indices go first."""
        epochs = [event.epoch for event in self.exits for _ in range(event.count)]
        return tuple((epoch, self.validators - 1 - place) for place, epoch in enumerate(epochs))


def faulty(committee: tuple[int, ...]) -> int:
    """Operators of a committee that may be down: f of 3f+1."""
    return (len(committee) - 1) // 3


def default_slot_seconds(
    validators: int, committees: Sequence[Sequence[int]], beacon: BeaconKind = BeaconKind.EMBEDDED
) -> int:
    """A slot in which two cores can do all duties of so many validators, spread evenly over ``committees``.

    The minimal preset makes every attester an aggregator and every member of the sync committee a contributor, so there
    is a consensus for nearly every validator in every slot, and it costs as the square of its committee's size. What
    is asked for two thirds into a slot has to be done before the slot ends. Measured: see the README.
    """
    cost = sum((len(committee) / 4) ** 2 for committee in committees) / len(committees)
    return round(3 + validators * cost / 7) + LODESTAR_SECONDS * (beacon is BeaconKind.LODESTAR)

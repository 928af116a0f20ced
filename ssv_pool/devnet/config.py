"""What a devnet run is asked to do."""

import re
from dataclasses import dataclass
from pathlib import Path

from ssv_pool.errors import ConfigError

COMMITTEE_SIZES = (4, 7, 10, 13)

CHAIN_VALIDATORS = 64
"""Validators of the beacon chain; those that are not on operators are run by the embedded beacon node."""

SLOTS_PER_EPOCH = 8
"""The minimal preset's."""


@dataclass(frozen=True, slots=True)
class Kill:
    """kill -9 of all processes of some operators at an epoch's start; they are started again one epoch later."""

    operators: int
    """How many."""
    epoch: int
    """At the start of this epoch."""

    @classmethod
    def parse(cls, text: str) -> "Kill":
        """Read ``K@EPOCH``. Raises ConfigError."""
        match = re.fullmatch(r"(\d+)@(\d+)", text)
        if not match or int(match[1]) < 1 or int(match[2]) < 1:
            raise ConfigError(f"--kill: found {text!r}, expected K@EPOCH with both at least 1, such as 1@2")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.operators}@{self.epoch}"


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
    """Chooses which operators are killed."""
    keep: bool = False
    """Run until Ctrl-C."""

    def __post_init__(self) -> None:
        """Raises ConfigError where the options contradict each other."""
        if self.operators not in COMMITTEE_SIZES:
            raise ConfigError(f"--operators: found {self.operators}, expected 4, 7, 10 or 13")
        if not 1 <= self.validators <= CHAIN_VALIDATORS:
            raise ConfigError(f"--validators: found {self.validators}, expected 1 to {CHAIN_VALIDATORS}")
        if self.epochs < 1:
            raise ConfigError(f"--epochs: found {self.epochs}, expected at least 1")
        if self.slot_seconds < 1:
            raise ConfigError(f"--slot-seconds: found {self.slot_seconds}, expected at least 1")
        for kill in self.kills:
            if kill.operators > self.operators:
                raise ConfigError(f"--kill {kill}: found {kill.operators} operators, expected at most {self.operators}")
            if kill.epoch >= self.epochs:
                raise ConfigError(
                    f"--kill {kill}: found epoch {kill.epoch}, expected one below the last, {self.epochs}"
                )

    @property
    def faulty(self) -> int:
        """Operators that may be down: f of 3f+1."""
        return (self.operators - 1) // 3

    @property
    def last_epoch(self) -> int:
        """The last epoch whose duties count."""
        return self.epochs

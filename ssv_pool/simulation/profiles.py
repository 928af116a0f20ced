"""What can go wrong in a run: a profile is a set of probabilities and ranges from which each seed draws its own run."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Profile:
    """The faults of a kind of run. All times are seconds, all probabilities 0 to 1."""

    name: str
    """As it is named on the command line."""
    loss: float = 0.0
    """Largest probability that a copy of a message is lost before the network has healed."""
    duplication: float = 0.0
    """Probability that a copy arrives twice."""
    slow: float = 0.0
    """Probability that a copy takes up to ``slow_seconds`` more before the network has healed, and is overtaken."""
    slow_seconds: float = 3.0
    partition: float = 0.0
    """Probability that the network is split in two, up to three times, until it heals."""
    crash: float = 0.0
    """Probability that a faulty operator crashes; most come back with nothing but their slashing database."""
    stale: float = 0.0
    """Probability that a faulty operator is one whose beacon node is behind: other checkpoints."""
    byzantine: float = 0.0
    """Probability that a faulty operator does what it likes."""
    heads: float = 0.3
    """Probability that honest operators see different heads; this is no fault."""
    trap: float = 0.1
    """Probability of a second duty whose attestation would be slashable."""
    second: float = 0.15
    """Probability of an ordinary second duty, an epoch later."""
    for_good: float = 0.0
    """Probability that what is lost stays lost; nothing is then said about completion, only about safety."""


_ALL = (
    Profile("calm", trap=0.0),
    Profile("lossy", loss=0.4, duplication=0.1, slow=0.2, for_good=0.25),
    Profile("partitioned", duplication=0.03, slow=0.1, partition=1.0),
    Profile("crashing", loss=0.1, slow=0.1, crash=1.0),
    Profile("stale", slow=0.1, stale=1.0, heads=0.8),
    Profile("byzantine", slow=0.2, byzantine=1.0, heads=0.7),
    Profile("slashing", slow=0.2, loss=0.1, crash=0.4, byzantine=0.4, trap=1.0, second=0.0),
    Profile(
        "chaos",
        loss=0.3,
        duplication=0.1,
        slow=0.3,
        partition=0.5,
        crash=0.2,
        stale=0.1,
        byzantine=0.7,
        heads=0.6,
        trap=0.2,
        for_good=0.2,
    ),
)

PROFILES: Mapping[str, Profile] = MappingProxyType({profile.name: profile for profile in _ALL})
"""The profiles by name."""

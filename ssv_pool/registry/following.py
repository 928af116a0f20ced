"""Registry sync as the settings have it, and how far a long one is."""

from dataclasses import dataclass, field

from ssv_pool.registry.reading import Verification
from ssv_pool.registry.sync import RegistrySync, SyncResult
from ssv_pool.settings import Settings
from ssv_pool.store.database import Database

TOLD_EVERY_SECONDS = 10.0
"""Pause between two lines about a long synchronisation."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a synchronisation is."""

    block: int
    """The last block applied."""
    blocks_left: int
    percent: float
    """Of the blocks that were to be applied when it began or grew since."""
    events_per_second: float
    seconds_left: float | None
    """At the pace so far; None before there is one."""


@dataclass(slots=True)
class SyncProgress:
    """Adds up the steps of one synchronisation.

    Args:
        begun: when it began, seconds of a clock that never goes back.
    """

    begun: float
    _blocks: int = field(default=0, init=False)
    _events: int = field(default=0, init=False)
    _told: float | None = field(default=None, init=False)

    def note(self, result: SyncResult) -> None:
        """Take a step in."""
        self._blocks += max(0, result.to_block - result.from_block + 1)
        self._events += result.applied + result.ignored + len(result.malformed)

    def due(self, result: SyncResult, now: float) -> bool:
        """Take a step in; whether the last line is so long ago that another one is due."""
        self.note(result)
        if now - (self.begun if self._told is None else self._told) < TOLD_EVERY_SECONDS:
            return False
        self._told = now
        return True

    def state(self, result: SyncResult, now: float) -> Progress:
        """How far it is after the latest step."""
        seconds = now - self.begun
        total = self._blocks + result.lag
        return Progress(
            block=result.to_block,
            blocks_left=result.lag,
            percent=round(100 * self._blocks / total, 1) if total else 100.0,
            events_per_second=round(self._events / seconds, 1) if seconds > 0 else 0.0,
            seconds_left=round(result.lag * seconds / self._blocks, 1) if self._blocks else None,
        )


def registry_sync(settings: Settings, database: Database, *, check_all: bool = False) -> RegistrySync:
    """The synchronisation that the settings ask for.

    Args:
        settings: the operator's.
        database: the store, with its tables.
        check_all: compare every block with its header, whatever the settings say.

    Raises:
        ConfigError: no contract is known for the network.
    """
    registry = settings.registry
    return RegistrySync(
        settings.execution.nodes,
        database,
        settings.contract_address,
        settings.first_block,
        follow_distance=registry.follow_distance,
        batch_blocks=registry.batch_blocks,
        timeout_seconds=settings.execution.timeout_seconds,
        verification=Verification(
            full_blocks=registry.full_check_blocks,
            one_in=1 if check_all else registry.check_one_in,
            second_node=registry.second_node,
        ),
    )

"""What is known of a run while it lasts, and afterwards for its report."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ssv_pool.devnet.beacon_process import BeaconProcess
from ssv_pool.devnet.cluster import OperatorFiles, Registry
from ssv_pool.devnet.config import DevnetConfig
from ssv_pool.devnet.lifecycle.driver import LifeDriver
from ssv_pool.devnet.processes import OperatorProcess
from ssv_pool.devnet.schedule import Outage
from ssv_pool.devnet.watch import ChainWatch
from ssv_pool.errors import UnavailableError
from ssv_pool.protocol.types.primitives import PublicKey


@dataclass(slots=True)
class Run:
    """Everything that is known of a run."""

    config: DevnetConfig
    files: list[OperatorFiles]
    operators: list[OperatorProcess]
    outages: tuple[Outage, ...]
    beacons: Sequence[BeaconProcess]
    """The beacon nodes in order; behind them the lying one, if there is one."""
    genesis_time: float
    started: float
    last_epoch: int
    """The last epoch that counts; earlier than planned where the run was interrupted."""
    unstoppable: list[int]
    """Operators that had to be killed at the end."""
    registry: Registry
    """The contract on the execution chain."""
    public_keys: list[PublicKey] = field(default_factory=list)
    """The keys of the validators on operators, by validator index."""
    beacon_outages: tuple[Outage, ...] = ()
    attacked: int | None = None
    """The operator whose beacon node lies."""
    watch: ChainWatch = field(default_factory=ChainWatch)
    life: LifeDriver | None = None
    """The life of the pool's validator, where there is one."""
    exits_asked: dict[int, float] = field(default_factory=dict)
    """Validator → when its exit was in a block of the execution chain, seconds since the UNIX epoch."""

    @property
    def beacon(self) -> BeaconProcess:
        """The first beacon node that is running and honest. Raises UnavailableError: there is none."""
        for node in self.beacons:
            if node.alive and not node.lying:
                return node
        raise UnavailableError("beacon nodes: none is running")

    def start_of(self, slot: int) -> float:
        """When a slot starts, seconds since the UNIX epoch."""
        return self.genesis_time + slot * self.config.slot_seconds

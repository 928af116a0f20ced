"""What is known of a run while it lasts, and afterwards for its report."""

from dataclasses import dataclass

from ssv_pool.devnet.beacon_process import BeaconProcess
from ssv_pool.devnet.cluster import OperatorFiles
from ssv_pool.devnet.config import DevnetConfig
from ssv_pool.devnet.processes import OperatorProcess
from ssv_pool.devnet.schedule import Outage


@dataclass(slots=True)
class Run:
    """Everything that is known of a run."""

    config: DevnetConfig
    files: list[OperatorFiles]
    operators: list[OperatorProcess]
    outages: tuple[Outage, ...]
    beacon: BeaconProcess
    genesis_time: float
    started: float
    last_epoch: int
    """The last epoch that counts; earlier than planned where the run was interrupted."""
    unstoppable: list[int]
    """Operators that had to be killed at the end."""

    def start_of(self, slot: int) -> float:
        """When a slot starts, seconds since the UNIX epoch."""
        return self.genesis_time + slot * self.config.slot_seconds

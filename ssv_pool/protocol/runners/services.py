"""What runners are given: ports, constants, and where their effects go."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from ssv_pool.protocol.chain import BeaconChain
from ssv_pool.protocol.events import Effect
from ssv_pool.protocol.forks import ProtocolFork
from ssv_pool.protocol.ports import OperatorKeys, ShareSigner, ThresholdScheme
from ssv_pool.protocol.qbft import RoundTimings
from ssv_pool.protocol.runners.selection import Selection
from ssv_pool.protocol.types.messages import SignedSSVMessage

STORED_INSTANCES = 2
"""How many instances a runner's controller keeps (Go client); the specification's tests keep all."""

DEFAULT_GAS_LIMIT = 36_000_000
"""Gas limit in validator registrations (Go client, on networks past their 36M epoch)."""


class Outbox(Protocol):
    """Takes what a runner wants done."""

    def broadcast(self, message: SignedSSVMessage) -> None:
        """Send a message to the committee, this operator included."""
        ...

    def emit(self, effect: Effect) -> None:
        """Have any other effect done."""
        ...


@dataclass(frozen=True, slots=True)
class Services:
    """What all runners of a committee are given."""

    fork: ProtocolFork
    """The fork of the duty's slot."""
    chain: BeaconChain
    """The beacon chain's constants and slot arithmetic."""
    keys: OperatorKeys
    """RSA keys of the operators."""
    signer: ShareSigner
    """Signs with this operator's shares."""
    threshold: ThresholdScheme
    """Rebuilds and checks BLS signatures."""
    timings: RoundTimings
    """Lengths of QBFT rounds."""
    clock: Callable[[], float]
    """Where the times of steps come from, seconds since the UNIX epoch."""
    selection: Selection = field(default_factory=Selection)
    """Who is an aggregator."""
    stored_instances: int | None = STORED_INSTANCES
    """How many instances a controller keeps; None: all."""
    blinds_blocks: bool = True
    """Whether a full block of the own beacon node is proposed in its blinded form (Go client)."""
    gas_limit: int = DEFAULT_GAS_LIMIT
    """Gas limit in validator registrations; all operators of a committee must have the same."""

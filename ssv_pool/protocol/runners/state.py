"""What a runner knows of the duty it does."""

from dataclasses import dataclass

from ssv_pool.protocol.qbft import Instance
from ssv_pool.protocol.runners.partials import PartialSignatureContainer
from ssv_pool.protocol.types.aggregator_committee import AggregatorCommitteeDuty
from ssv_pool.protocol.types.duties import CommitteeDuty, ValidatorDuty

Duty = CommitteeDuty | ValidatorDuty | AggregatorCommitteeDuty
"""What a runner can be started with."""


@dataclass(slots=True)
class RunnerState:
    """What a runner knows of the duty it does, field by field as the specification has it."""

    duty: Duty
    """The duty it was started with."""
    pre_consensus: PartialSignatureContainer
    """Partial signatures needed before consensus."""
    post_consensus: PartialSignatureContainer
    """Partial signatures over what was decided."""
    instance: Instance | None = None
    """The consensus instance of this duty."""
    decided_value: bytes = b""
    """What was decided, empty before."""
    finished: bool = False
    """Everything was submitted."""

"""The state of one instance, field by field as the specification has it."""

from dataclasses import dataclass, field

from ssv_pool.protocol.qbft.containers import MessageContainer, ProcessingMessage
from ssv_pool.protocol.qbft.context import FIRST_ROUND, NO_ROUND
from ssv_pool.protocol.types.primitives import Round, Slot


@dataclass(slots=True)
class InstanceState:
    """What an instance knows."""

    height: Slot
    """What it decides about: the duty's slot."""
    round: Round = FIRST_ROUND
    """The current round."""
    last_prepared_round: Round = NO_ROUND
    """The last round in which it saw a quorum of prepares; 0: none."""
    last_prepared_value: bytes | None = None
    """The value prepared then."""
    accepted_proposal: ProcessingMessage | None = None
    """The proposal accepted in the current round."""
    decided: bool = False
    """Whether the committee has decided."""
    decided_value: bytes | None = None
    """What it decided."""
    proposals: MessageContainer = field(default_factory=MessageContainer)
    """Valid proposals by round."""
    prepares: MessageContainer = field(default_factory=MessageContainer)
    """Valid prepares by round."""
    commits: MessageContainer = field(default_factory=MessageContainer)
    """Valid commits and decided messages by round."""
    round_changes: MessageContainer = field(default_factory=MessageContainer)
    """Valid round changes by the round they ask for."""

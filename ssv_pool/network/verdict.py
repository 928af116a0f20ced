"""What validation says about a gossip message."""

import enum
from dataclasses import dataclass


class Verdict(enum.Enum):
    """The three answers of GossipSub 1.1's extended validators."""

    ACCEPT = "accept"
    """Deliver and forward."""
    IGNORE = "ignore"
    """Neither deliver nor forward; the sender is not to blame."""
    REJECT = "reject"
    """Neither deliver nor forward; the sender broke a rule and its score pays for it."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict together with what validation decoded on the way, so that nobody decodes the message twice."""

    verdict: Verdict
    decoded: object = None
    """Handed on unchanged as :attr:`GossipMessage.decoded` when the verdict is ACCEPT."""
    blames_peer: bool = True
    """Whether a REJECT lowers the sender's score: not when an honest peer may have judged otherwise."""

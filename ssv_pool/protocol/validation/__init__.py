"""Which gossip messages are delivered and passed on (PROTOCOL 4.6), for all roles of both forks.

``Validator.validate`` answers for one message; ``RegistryView`` is what it must know of the registry and of duties.
"""

from ssv_pool.protocol.validation.rules import Accepted, Refused, Rule, Verdict
from ssv_pool.protocol.validation.state import SeenState
from ssv_pool.protocol.validation.validator import Validator
from ssv_pool.protocol.validation.view import CommitteeView, RegistryView, ValidatorView

__all__ = [
    "Accepted",
    "CommitteeView",
    "Refused",
    "RegistryView",
    "Rule",
    "SeenState",
    "Validator",
    "ValidatorView",
    "Verdict",
]

"""Which gossip messages are delivered and passed on (PROTOCOL 4.6).

``Validator.validate`` answers for one message; ``RegistryView`` is what it must know of the registry. The roles of
single validators are refused as not served; each needs its own view look-up, rules 32 and 33, and its limits.
"""

from ssv_pool.protocol.validation.rules import Accepted, Refused, Rule, Verdict
from ssv_pool.protocol.validation.state import SeenState
from ssv_pool.protocol.validation.validator import Validator
from ssv_pool.protocol.validation.view import CommitteeView, RegistryView

__all__ = ["Accepted", "CommitteeView", "Refused", "RegistryView", "Rule", "SeenState", "Validator", "Verdict"]

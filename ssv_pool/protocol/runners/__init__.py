"""Duty runners: one file a role, on the machinery of ``base``."""

from ssv_pool.protocol.runners.base import Outbox, Runner, RunnerState, Services
from ssv_pool.protocol.runners.committee import CommitteeRunner
from ssv_pool.protocol.runners.partials import PartialSignatureContainer
from ssv_pool.protocol.runners.story import DutyStory

__all__ = [
    "CommitteeRunner",
    "DutyStory",
    "Outbox",
    "PartialSignatureContainer",
    "Runner",
    "RunnerState",
    "Services",
]

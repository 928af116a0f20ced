"""Duty runners: one file a role, on the machinery of ``base``."""

from ssv_pool.protocol.runners.aggregator import AggregatorRunner
from ssv_pool.protocol.runners.aggregator_committee import AggregatorCommitteeRunner
from ssv_pool.protocol.runners.base import Runner
from ssv_pool.protocol.runners.committee import CommitteeRunner
from ssv_pool.protocol.runners.contribution import ContributionRunner
from ssv_pool.protocol.runners.partials import PartialSignatureContainer
from ssv_pool.protocol.runners.proposer import ProposerRunner
from ssv_pool.protocol.runners.registration import RegistrationRunner, VoluntaryExitRunner
from ssv_pool.protocol.runners.selection import Selection
from ssv_pool.protocol.runners.services import Outbox, Services
from ssv_pool.protocol.runners.state import Duty, RunnerState
from ssv_pool.protocol.runners.story import DutyStory
from ssv_pool.protocol.runners.validator import ValidatorRunner

__all__ = [
    "AggregatorCommitteeRunner",
    "AggregatorRunner",
    "CommitteeRunner",
    "ContributionRunner",
    "Duty",
    "DutyStory",
    "Outbox",
    "PartialSignatureContainer",
    "ProposerRunner",
    "RegistrationRunner",
    "Runner",
    "RunnerState",
    "Selection",
    "Services",
    "ValidatorRunner",
    "VoluntaryExitRunner",
]

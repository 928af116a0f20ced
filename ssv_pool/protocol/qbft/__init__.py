"""QBFT consensus: one controller a duty executor, one instance a height. Start reading at ``instance``."""

from ssv_pool.protocol.qbft.containers import MessageContainer, ProcessingMessage, distinct_signers, hash_value
from ssv_pool.protocol.qbft.context import CUTOFF_ROUND, FIRST_ROUND, NO_ROUND, Context, Output
from ssv_pool.protocol.qbft.controller import Controller
from ssv_pool.protocol.qbft.instance import Instance
from ssv_pool.protocol.qbft.state import InstanceState
from ssv_pool.protocol.qbft.timers import RoundTimings

__all__ = [
    "CUTOFF_ROUND",
    "FIRST_ROUND",
    "NO_ROUND",
    "Context",
    "Controller",
    "Instance",
    "InstanceState",
    "MessageContainer",
    "Output",
    "ProcessingMessage",
    "RoundTimings",
    "distinct_signers",
    "hash_value",
]

"""The peer-to-peer network of an operator.

Importing this package does not import libp2p, which takes seconds; running a :class:`Network` does.
"""

from ssv_pool.network.errors import NetworkError
from ssv_pool.network.identity import Identity, load_or_create
from ssv_pool.network.service import Network
from ssv_pool.network.settings import (
    Counters,
    GossipMessage,
    GossipParams,
    Introduction,
    NetworkSettings,
    PeerAddress,
    PeerStatus,
)
from ssv_pool.network.topics import alan_topic
from ssv_pool.network.verdict import Judgement, Verdict

__all__ = [
    "Counters",
    "GossipMessage",
    "GossipParams",
    "Identity",
    "Introduction",
    "Judgement",
    "Network",
    "NetworkError",
    "NetworkSettings",
    "PeerAddress",
    "PeerStatus",
    "Verdict",
    "alan_topic",
    "load_or_create",
]

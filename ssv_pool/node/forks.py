"""The gossip topics of the SSV network's protocol versions, as this operator's settings have them."""

from ssv_pool.network.topics import ALAN_TOPICS, boole_topics
from ssv_pool.protocol.types.primitives import FAR_FUTURE_EPOCH
from ssv_pool.settings import Settings


def known_topics(settings: Settings) -> frozenset[str]:
    """The topics a peer may be on: those of all forks that are scheduled."""
    if settings.boole_epoch is None or settings.boole_epoch == FAR_FUTURE_EPOCH:
        return ALAN_TOPICS
    return ALAN_TOPICS | boole_topics(settings.ssv_network.name)

"""The SSV network's protocol versions, as this operator's settings have them."""

from ssv_pool.network.topics import ALAN_TOPICS, boole_topics
from ssv_pool.protocol.forks import ForkSchedule, alan_fork, boole_fork
from ssv_pool.protocol.types.primitives import FAR_FUTURE_EPOCH, Epoch
from ssv_pool.settings import Settings


def fork_schedule(settings: Settings, slots_per_epoch: int) -> ForkSchedule:
    """Alan, and Boole from the configured epoch on; without one, or with FAR_FUTURE_EPOCH, never.

    Args:
        settings: name the SSV network and the epoch.
        slots_per_epoch: the beacon chain's.
    """
    network = settings.ssv_network
    alan = alan_fork(network.domain_type)
    if settings.boole_epoch is None or settings.boole_epoch == FAR_FUTURE_EPOCH:
        return ForkSchedule(alan)
    boole = boole_fork(network.boole_domain_type, network.name, slots_per_epoch)
    return ForkSchedule(alan, boole, Epoch(settings.boole_epoch))


def known_topics(settings: Settings) -> frozenset[str]:
    """The topics a peer may be on: those of all forks that are scheduled."""
    if settings.boole_epoch is None or settings.boole_epoch == FAR_FUTURE_EPOCH:
        return ALAN_TOPICS
    return ALAN_TOPICS | boole_topics(settings.ssv_network.name)

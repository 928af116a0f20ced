"""When and whence a message came, and what is known then."""

from dataclasses import dataclass

from ssv_pool.protocol.chain import BeaconChain
from ssv_pool.protocol.validation.state import SeenState
from ssv_pool.protocol.validation.view import RegistryView


@dataclass(frozen=True, slots=True)
class Moment:
    """What the rules that depend on memory and clock are judged by."""

    peer: bytes
    """Id of the peer that passed the message on."""
    state: SeenState
    """What each peer has passed on."""
    shared: SeenState | None
    """What all peers together have passed on, under the peer id ``b""``; None in Alan, which has no such rule."""
    view: RegistryView
    chain: BeaconChain
    now: float
    """Seconds since the UNIX epoch."""

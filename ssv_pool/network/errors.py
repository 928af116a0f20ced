"""Errors of the network package."""

from ssv_pool.errors import SsvPoolError


class NetworkError(SsvPoolError):
    """The peer-to-peer network was asked for something it cannot do."""


class FrameError(NetworkError):
    """A peer's bytes break the framing rules; its connection is closed."""


class HandshakeError(NetworkError):
    """A peer's introduction is malformed or not that of a peer for us; its connection is closed."""

"""What is fed: targets."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from fuzzing.mutation import mutate, mutate_json
from ssv_pool.protocol.types.errors import ProtocolError

Feed = Callable[[bytes], None]
"""Takes one input; raises what it finds. Declared errors are caught in it."""


@dataclass(frozen=True, slots=True)
class Target:
    """Something that takes bytes from outside."""

    samples: tuple[bytes, ...]
    """Valid inputs."""
    feed: Feed
    mutate: Callable[[Random, tuple[bytes, ...]], bytes] = mutate
    """Makes an input from the samples."""


def codec(kind: Any, *samples: Any, declared: type[Exception] = ProtocolError) -> Target:
    """A target that decodes, and encodes again what it accepts."""

    def feed(raw: bytes) -> None:
        try:
            value = kind.decode(raw)
        except declared:
            return
        if value.encode() != raw:
            raise AssertionError("accepted, but encodes to other bytes")

    return Target(tuple(sample.encode() for sample in samples), feed)


def function(call: Callable[[bytes], Any], declared: type[Exception], *samples: bytes) -> Target:
    """A target that decodes only."""

    def feed(raw: bytes) -> None:
        try:
            call(raw)
        except declared:
            return

    return Target(samples, feed)


def json_function(call: Callable[[bytes], Any], declared: type[Exception], *samples: bytes) -> Target:
    """As ``function``, for what reads JSON."""
    return Target(samples, function(call, declared).feed, mutate_json)

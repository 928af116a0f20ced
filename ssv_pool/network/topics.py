"""Topic names and message ids of the SSV network's gossip."""

import struct

import xxhash

ALAN_SUBNETS = 128
"""Number of subnets, each with one topic."""

MESSAGE_ID_SIZE = 12
"""Length of a message id in bytes: xxHash64 (8, little-endian), then four zero bytes."""

EMPTY_MESSAGE_ID = b"invalid:empty"
"""The id that stands for a message without data."""

MAX_MESSAGE_SIZE = 9_589_483
"""Largest gossip message in bytes that the network takes: the encoded size limit of a whole SignedSSVMessage."""

_ID = struct.Struct("<QI")


def alan_topic(subnet: int) -> str:
    """Name the gossip topic of a subnet.

    Raises:
        ValueError: the subnet is not in 0 to 127.
    """
    if not 0 <= subnet < ALAN_SUBNETS:
        raise ValueError(f"subnet: {subnet}, expected 0 to {ALAN_SUBNETS - 1}")
    return f"ssv.v2.{subnet}"


ALAN_TOPICS = frozenset(alan_topic(subnet) for subnet in range(ALAN_SUBNETS))
"""Every topic of the Alan fork; subscriptions of peers to anything else are not kept."""


def boole_topics(network: str) -> frozenset[str]:
    """Every topic of the Boole fork on the Ethereum network with this lower-case name."""
    return frozenset(f"/ssv/{network}/boole/{subnet}" for subnet in range(ALAN_SUBNETS))


def subnet_of(topic: str) -> int | None:
    """The subnet that a topic of either fork belongs to, None for a topic of neither."""
    number = topic.removeprefix("ssv.v2.") if topic.startswith("ssv.v2.") else topic.rpartition("/boole/")[2]
    if number == topic or not (number.isascii() and number.isdigit() and len(number) <= 3):
        return None
    subnet = int(number)
    return subnet if subnet < ALAN_SUBNETS else None


def message_id(data: bytes) -> bytes:
    """Return the id under which a message is remembered, offered and asked for.

    It is made from the data alone, so the same message from two publishers is one message.
    """
    if not data:
        return EMPTY_MESSAGE_ID
    return _ID.pack(xxhash.xxh64_intdigest(data), 0)

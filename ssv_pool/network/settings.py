"""What the network needs to know, and what it tells about its peers."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import base58

from ssv_pool.errors import ConfigError
from ssv_pool.network.identity import Identity
from ssv_pool.network.scores import ScoreParams
from ssv_pool.network.topics import ALAN_TOPICS
from ssv_pool.network.verdict import Judgement, Verdict

HOST_PROTOCOLS = ("ip4", "ip6", "dns", "dns4", "dns6")
"""Ways a peer's host may be written in its multiaddress."""

Validate = Callable[[bytes, str, bytes], "Verdict | Judgement | Awaitable[Verdict | Judgement]"]
"""Judges one message: (sending peer's id bytes, topic, data). May be a plain or an async function."""


@dataclass(frozen=True, slots=True)
class GossipParams:
    """GossipSub parameters; the defaults are the SSV network's, so that other clients find what they expect."""

    degree: int = 8
    """D: mesh peers of a topic that are aimed at."""
    degree_low: int = 6
    """Dlo: fewer mesh peers than this and new ones are grafted."""
    degree_high: int = 12
    """Dhi: more mesh peers than this and some are pruned, and grafts of others refused."""
    degree_lazy: int = 6
    """Peers outside the mesh, at least, that hear of recent messages at each heartbeat."""
    heartbeat: float = 0.7
    """Seconds between mesh maintenance and lazy gossip."""
    history_length: int = 6
    """Heartbeats for which a message can be asked for."""
    history_gossip: int = 4
    """Heartbeats for which a message is offered."""
    seen_ttl: float = 385.0
    """Seconds for which a message's id is remembered (550 heartbeats)."""
    seen_limit: int = 500_000
    """Most ids remembered; the oldest go first."""
    max_ihave_ids: int = 1500
    """Ids asked for from one peer in one heartbeat, and ids offered in one IHAVE."""
    max_ihave_messages: int = 32
    """IHAVE messages read from one peer in one heartbeat."""
    flood_limit: int = 16
    """Own messages go straight to every peer of the topic when there are at most this many, else to the mesh.

    One hop instead of two for a committee's members, whoever is in whose mesh.
    """


@dataclass(frozen=True, slots=True)
class PeerAddress:
    """Where a configured peer listens and who it has to prove to be."""

    text: str
    """The whole multiaddress, ending in ``/p2p/<peer id>``."""
    peer_id: str
    """The peer's id in base58."""

    @classmethod
    def parse(cls, text: str) -> "PeerAddress":
        """Read a multiaddress such as ``/ip4/192.0.2.7/tcp/13001/p2p/16Uiu2HA…``.

        Raises:
            ConfigError: it is not of that form.
        """
        parts = text.split("/")
        expected = "expected /ip4/<address>/tcp/<port>/p2p/<peer id>"
        if len(parts) != 7 or parts[0] or parts[1] not in HOST_PROTOCOLS or parts[3] != "tcp" or parts[5] != "p2p":
            raise ConfigError(f"p2p.peers: {text!r}, {expected}")
        if not parts[2] or not (parts[4].isascii() and parts[4].isdigit() and 0 < int(parts[4]) < 65536):
            raise ConfigError(f"p2p.peers: {text!r}, {expected}")
        try:
            raw = base58.b58decode(parts[6])
        except ValueError:
            raise ConfigError(f"p2p.peers: {text!r}: the peer id is not base58, {expected}") from None
        if len(raw) < 34:
            raise ConfigError(f"p2p.peers: {text!r}: the peer id has {len(raw)} bytes, expected at least 34")
        return cls(text, parts[6])


@dataclass(frozen=True, slots=True)
class Introduction:
    """What a node tells of itself in a handshake; its subnets follow from the topics it is on."""

    network_id: Callable[[], str]
    """The present network id: ``0x`` and the domain type in eight hex digits. It changes at a fork."""
    node_version: str
    execution_node: str = ""
    consensus_node: str = ""


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """Everything the network is built from."""

    identity: Identity
    """This node's network key."""
    host: str = "0.0.0.0"  # noqa: S104 - operators dial each other; the setting narrows it
    """IP address to listen on."""
    port: int = 13001
    """TCP port to listen on; 0 takes one from the operating system, and keeps it over rebuilds."""
    peers: tuple[PeerAddress, ...] = ()
    """Peers that are kept connected."""
    introduction: Introduction | None = None
    """How this node introduces itself; None does without handshakes."""
    known_topics: frozenset[str] = ALAN_TOPICS
    """Topics of the network; peers' subscriptions and grafts to others are not kept."""
    gossip: GossipParams = field(default_factory=GossipParams)
    scores: ScoreParams = field(default_factory=ScoreParams)
    max_connections: int = 150
    """Most connections at a time, in and out."""
    delivery_queue: int = 4096
    """Accepted messages waiting for the node; what comes on top is dropped and counted."""
    validation_timeout: float = 5.0
    """Seconds an async validation may take before the message is ignored."""
    dead_after: float = 15.0
    """Seconds a ping may go unanswered before the connection is ended; pings go out every two seconds.

    A process that died is noticed at once, its system ends the connection. This is for a peer without power or route; a
    shorter time lets busy machines take each other for dead, and the handshakes that follow make them busier.
    """
    dial_timeout: float = 10.0
    """Seconds a dial with its handshakes may take."""


@dataclass(frozen=True, slots=True)
class GossipMessage:
    """An accepted message."""

    sender: bytes
    """Id bytes of the peer that sent it to us, which need not be the one that wrote it."""
    topic: str
    data: bytes
    decoded: object
    """What the validation returned with its verdict."""


@dataclass(frozen=True, slots=True)
class PeerStatus:
    """A peer as an operator wants to see it."""

    peer_id: str
    address: str | None
    """Configured multiaddress; None for peers that found us."""
    connected: bool
    since: float | None
    """Unix time at which the present state began; None when it was never connected."""
    rtt: float | None
    """Round trip time in seconds, smoothed; None before the first ping came back."""
    topics: tuple[str, ...]
    """Topics the peer is subscribed to, sorted."""
    last_error: str | None
    """Why the last dial or handshake failed; None once connected."""
    node_version: str | None = None
    """The version it told in the handshake."""


@dataclass(slots=True)
class Counters:
    """Totals since the network was made; they survive rebuilds of the host."""

    published: int = 0
    """Own messages handed to at least one peer's queue."""
    published_to_nobody: int = 0
    """Own messages for which no peer was there."""
    received: int = 0
    """Messages in frames of peers, of subscribed topics."""
    delivered: int = 0
    """Messages handed to the node."""
    dropped_delivery: int = 0
    """Accepted messages lost because the node's queue was full."""
    dropped_outbound: int = 0
    """Messages and control data lost because a peer's queue was full."""
    suppressed: int = 0
    """Copies not sent because the peer showed meanwhile that it has the message."""
    duplicates: int = 0
    ignored: int = 0
    rejected: int = 0
    signed: int = 0
    """Messages refused for carrying a signature or key."""
    from_self: int = 0
    """Messages dropped that claim to be ours but came from a peer."""
    malformed: int = 0
    """Messages dropped for a missing publisher or not exactly one topic, or for their size."""
    validator_errors: int = 0
    """Validations that raised or timed out."""
    bad_frames: int = 0
    """Frames that broke the framing rules; each ended its connection."""
    handler_errors: int = 0
    """Stream handlers that raised; the stream was reset and the host lives."""
    handshakes: int = 0
    """Handshakes that went well."""
    handshakes_refused: int = 0
    """Handshakes after which the peer was disconnected."""
    graylisted: int = 0
    """Frames not read, or not read to their end, because their peer's score is too low."""
    refused_streams: int = 0
    """Streams refused because the peer had too many open."""
    bytes_in: int = 0
    bytes_out: int = 0
    connects: int = 0
    disconnects: int = 0
    dead_connections: int = 0
    """Connections ended because pings did not come back."""
    rebuilds: int = 0
    """Times the host was built anew after a crash."""

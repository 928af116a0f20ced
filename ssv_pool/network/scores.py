"""Peer scores (PROTOCOL 4.3): what peers did for and against the network, and who is listened to. Pure, bounded.

The library's scorer is linear in invalid messages, decays with each heartbeat, forgets a peer that reconnects, and
never forgets a topic. This one counts as the SSV network's other clients do: the square of invalid messages, decay by
epochs, and a memory for those whose score is negative. The rate of messages that a topic should have is not estimated:
first deliveries count up to a fixed number instead.
"""

import ipaddress
import math
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field

DECAY_TO_ZERO = 0.01
"""What a counter has decayed to when it counts as nothing."""

LOWEST = -1e9
"""No score goes below."""


def _decay(epochs: float) -> float:
    """The factor for one epoch with which a counter of 1 decays to nothing in so many epochs."""
    return math.pow(DECAY_TO_ZERO, 1 / epochs)


@dataclass(frozen=True, slots=True)
class ScoreParams:
    """Parameters of the scores; the defaults are the SSV network's."""

    gossip_threshold: float = -4000.0
    """Below it a peer is offered no messages and asked for none."""
    publish_threshold: float = -8000.0
    """Below it a peer gets no own messages."""
    graylist_threshold: float = -16000.0
    """Below it nothing of a peer is read."""
    accept_px_threshold: float = 100.0
    """From it on a peer's addresses of others would be taken; nobody's are here."""
    topic_score_cap: float = 32.72
    """Most that all topics together count for a peer."""
    topic_weight: float = 4.0 / 128
    mesh_quantum: float = 12.0
    """Seconds in the mesh that count one."""
    mesh_quanta_cap: float = 300.0
    mesh_max: float = 10.0
    """What the longest time in the mesh counts."""
    deliveries_cap: float = 80.0
    """First deliveries that count, one each."""
    deliveries_decay: float = _decay(4)
    invalid_to_graylist: float = 20.0
    """Invalid messages on one topic that reach the graylist."""
    invalid_decay: float = _decay(100)
    behaviour_threshold: float = 6.0
    """Breaches of the gossip protocol that cost nothing."""
    behaviour_to_graylist: float = 60.0
    """Breaches that reach the graylist."""
    behaviour_decay: float = _decay(10)
    ip_threshold: int = 10
    """Peers of one address that cost nothing."""
    ip_weight: float = -32.72
    """Cost of the square of those above the threshold."""
    decay_interval: float = 384.0
    """Seconds of one epoch."""
    retained_epochs: float = 100.0
    """How long a peer with a negative score is remembered after it has gone."""
    max_retained: int = 1024
    """How many such peers are remembered."""

    @property
    def invalid_weight(self) -> float:
        """Weight of the square of invalid messages on a topic; what a peer did well does not save it."""
        return (self.graylist_threshold - self.topic_score_cap) / (self.topic_weight * self.invalid_to_graylist**2)

    @property
    def behaviour_weight(self) -> float:
        """Weight of the square of breaches above the threshold."""
        return self.graylist_threshold / (self.behaviour_to_graylist - self.behaviour_threshold) ** 2


@dataclass(slots=True)
class _Topic:
    joined: float | None = None
    """When the peer came into our mesh; None while it is not there."""
    deliveries: float = 0.0
    invalid: float = 0.0


@dataclass(slots=True)
class _Peer:
    decayed: float
    """Until when the counters have decayed."""
    topics: dict[str, _Topic] = field(default_factory=dict)
    behaviour: float = 0.0
    address: str | None = None
    gone: float | None = None
    """When its connection ended; None while it is connected."""


class PeerScores:
    """The scores of all peers. The names of the methods are those that the library's router calls."""

    def __init__(self, params: ScoreParams, clock: Callable[[], float], topics: Iterable[str] = ()) -> None:
        """Make scores of nobody.

        Args:
            params: how is counted.
            clock: seconds from any start.
            topics: those that are counted; others are not.
        """
        self.params = params
        self._clock = clock
        self._known_topics = frozenset(topics)
        self._peers: OrderedDict[Hashable, _Peer] = OrderedDict()
        self._addresses: dict[str, set[Hashable]] = {}
        self.ip_by_peer: dict[Hashable, str] = {}
        """Peer → address, of connected peers."""

    def __len__(self) -> int:
        return len(self._peers)

    # What happens.

    def on_join_mesh(self, peer: Hashable, topic: str) -> None:
        """The peer came into our mesh."""
        if (counters := self._topic(peer, topic)) is not None and counters.joined is None:
            counters.joined = self._clock()

    def on_leave_mesh(self, peer: Hashable, topic: str) -> None:
        """The peer left our mesh."""
        known = self._peers.get(peer)
        if known is not None and topic in known.topics:
            known.topics[topic].joined = None

    def on_first_delivery(self, peer: Hashable, topic: str) -> None:
        """The peer was the first to bring a valid message."""
        if (counters := self._topic(peer, topic)) is not None:
            counters.deliveries = min(counters.deliveries + 1, self.params.deliveries_cap)

    def on_mesh_delivery(self, peer: Hashable, topic: str) -> None:
        """Not counted (P3 is off in the network)."""

    def on_invalid_message(self, peer: Hashable, topic: str) -> None:
        """The peer brought a message that no honest peer passes on."""
        if (counters := self._topic(peer, topic)) is not None:
            counters.invalid += 1

    def penalize_behavior(self, peer: Hashable, amount: float = 1.0) -> None:
        """The peer broke the gossip protocol."""
        self._peer(peer).behaviour += amount

    def penalize_graft_flood(self, peer: Hashable, amount: float = 1.0) -> None:  # noqa: ARG002
        """The peer grafts although it was pruned; the library's own amounts are not the network's."""
        self.penalize_behavior(peer)

    def penalize_iwant_spam(self, peer: Hashable, amount: float = 1.0) -> None:  # noqa: ARG002
        """The peer asks for too much."""
        self.penalize_behavior(peer)

    def penalize_ihave_spam(self, peer: Hashable, amount: float = 1.0) -> None:  # noqa: ARG002
        """The peer offers too much."""
        self.penalize_behavior(peer)

    def penalize_equivocation(self, peer: Hashable, amount: float = 1.0) -> None:
        """Two messages under one sequence number: ids are made of the data here, so that this is no fault."""

    def add_peer_ip(self, peer: Hashable, ip_str: str) -> None:
        """Note a connected peer's address; those of this machine are not counted."""
        known = self._peer(peer)
        known.gone = None
        self.remove_peer_ip(peer)
        known.address = ip_str
        self.ip_by_peer[peer] = ip_str
        if not _is_local(ip_str):
            self._addresses.setdefault(ip_str, set()).add(peer)

    def remove_peer_ip(self, peer: Hashable) -> None:
        """Forget a peer's address."""
        address = self.ip_by_peer.pop(peer, None)
        peers = self._addresses.get(address or "")
        if peers is not None:
            peers.discard(peer)
            if not peers:
                del self._addresses[address or ""]

    def remove_peer(self, peer: Hashable) -> None:
        """The peer is gone: it is remembered if its score is negative, so that a new connection mends nothing."""
        self.remove_peer_ip(peer)
        known = self._peers.get(peer)
        if known is None:
            return
        for counters in known.topics.values():
            counters.joined, counters.deliveries = None, 0.0
        if self.score(peer) >= 0:
            del self._peers[peer]
            return
        known.gone = self._clock()
        self._peers.move_to_end(peer)
        self._forget_oldest()

    def on_heartbeat(self, dt_seconds: float = 1.0) -> None:  # noqa: ARG002
        """Forget those whose time is over. Counters decay when they are looked at."""
        limit = self._clock() - self.params.retained_epochs * self.params.decay_interval
        for name in [name for name, known in self._peers.items() if known.gone is not None and known.gone < limit]:
            del self._peers[name]

    # What follows.

    def score(self, peer: Hashable, topics: Iterable[str] = ()) -> float:  # noqa: ARG002
        """A peer's score over all topics; 0 for one that is not known."""
        known = self._peers.get(peer)
        if known is None:
            return 0.0
        self._age(known)
        params = self.params
        total = sum(self._topic_score(counters) for counters in known.topics.values())
        total = min(total, params.topic_score_cap)
        excess = known.behaviour - params.behaviour_threshold
        if excess > 0:
            total += params.behaviour_weight * excess**2
        crowd = len(self._addresses.get(known.address or "", ())) - params.ip_threshold
        if crowd > 0 and known.gone is None:
            total += params.ip_weight * crowd**2
        return max(total, LOWEST)

    def topic_score(self, peer: Hashable, topic: str) -> float:
        """What one topic counts for a peer."""
        known = self._peers.get(peer)
        if known is None or topic not in known.topics:
            return 0.0
        self._age(known)
        return self._topic_score(known.topics[topic])

    def allow_publish(self, peer: Hashable, topics: Iterable[str] = ()) -> bool:
        """Whether the peer gets own messages."""
        return self.score(peer, topics) >= self.params.publish_threshold

    def allow_gossip(self, peer: Hashable, topics: Iterable[str] = ()) -> bool:
        """Whether the peer is offered messages and asked for them."""
        return self.score(peer, topics) >= self.params.gossip_threshold

    def allow_px_from(self, peer: Hashable, topics: Iterable[str] = ()) -> bool:
        """Whether the peer's addresses of others would be taken."""
        return self.score(peer, topics) >= self.params.accept_px_threshold

    def is_graylisted(self, peer: Hashable, topics: Iterable[str] = ()) -> bool:
        """Whether nothing of the peer is read: at the threshold or below."""
        return peer in self._peers and self.score(peer, topics) <= self.params.graylist_threshold

    def _topic_score(self, counters: _Topic) -> float:
        params = self.params
        total = counters.deliveries + params.invalid_weight * counters.invalid**2
        if counters.joined is not None:
            quanta = (self._clock() - counters.joined) / params.mesh_quantum
            total += params.mesh_max * min(quanta / params.mesh_quanta_cap, 1.0)
        return params.topic_weight * total

    def _topic(self, peer: Hashable, topic: str) -> _Topic | None:
        if topic not in self._known_topics:
            return None
        known = self._peer(peer)
        self._age(known)
        return known.topics.setdefault(topic, _Topic())

    def _peer(self, peer: Hashable) -> _Peer:
        known = self._peers.get(peer)
        if known is None:
            # Whoever is connected gets an address; events of others must not leave records for good.
            known = self._peers[peer] = _Peer(self._clock(), gone=self._clock())
            self._forget_oldest()
        return known

    def _forget_oldest(self) -> None:
        gone = [name for name, known in self._peers.items() if known.gone is not None]
        for name in gone[: max(0, len(gone) - self.params.max_retained)]:
            del self._peers[name]

    def _age(self, known: _Peer) -> None:
        """Let the counters decay by the epochs that have passed."""
        params = self.params
        epochs = int((self._clock() - known.decayed) // params.decay_interval)
        if epochs <= 0:
            return
        known.decayed += epochs * params.decay_interval
        known.behaviour = _decayed(known.behaviour, params.behaviour_decay, epochs)
        for name, counters in list(known.topics.items()):
            counters.deliveries = _decayed(counters.deliveries, params.deliveries_decay, epochs)
            counters.invalid = _decayed(counters.invalid, params.invalid_decay, epochs)
            if counters == _Topic():
                del known.topics[name]


def _decayed(value: float, factor: float, epochs: int) -> float:
    value *= factor**epochs
    return value if value >= DECAY_TO_ZERO else 0.0


def _is_local(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False

"""GossipSub on libp2p 0.8.1, with the parts replaced that lose messages, break rules or trust a peer's bytes.

What stays the library's: mesh selection and degrees, fanout, back-off times, the peer score's counters.
"""

import logging
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

import trio
from libp2p.custom_types import TProtocol
from libp2p.peer.id import ID
from libp2p.pubsub.gossipsub import GossipSub
from libp2p.pubsub.mcache import CacheEntry, MessageCache
from libp2p.pubsub.pb import rpc_pb2

from ssv_pool.network.outbox import Outbox
from ssv_pool.network.scores import PeerScores
from ssv_pool.network.seen import SeenCache
from ssv_pool.network.settings import Counters, GossipParams
from ssv_pool.network.topics import message_id

logger = logging.getLogger(__name__)

MESHSUB = TProtocol("/meshsub/1.1.0")
"""GossipSub 1.1, the version the SSV network speaks."""

MAX_RETRANSMISSIONS = 3
"""Times a peer gets the same message by asking for it."""

GOSSIP_FACTOR = 0.25
"""Share of the peers outside the mesh that hear of recent messages at each heartbeat."""

MAX_GRAFTS = 256
"""GRAFT or PRUNE entries read from one RPC; twice the network's topics."""


class IdMessageCache(MessageCache):  # type: ignore[misc,unused-ignore]
    """Recent messages by the network's message id.

    The library files them under publisher and sequence number whatever id is configured, so that what IHAVE offers and
    IWANT asks for is never found.
    """

    def put(self, msg: rpc_pb2.Message) -> None:
        """Keep a message for the configured number of heartbeats."""
        key = message_id(msg.data)
        if key not in self.msgs:
            self.msgs[key] = msg
            self.history[0].append(CacheEntry(key, list(msg.topicIDs)))


class CommitteeRouter(GossipSub):  # type: ignore[misc,unused-ignore]
    """GossipSub with bounded state, encode-once forwarding and the network's parameters."""

    scorer: PeerScores

    def __init__(
        self, params: GossipParams, known_topics: frozenset[str], counters: Counters, scores: PeerScores
    ) -> None:
        super().__init__(
            protocols=[MESHSUB],
            degree=params.degree,
            degree_low=params.degree_low,
            degree_high=params.degree_high,
            gossip_window=params.history_gossip,
            gossip_history=params.history_length,
            # The library's default is 120 seconds: meshes would take minutes to form.
            heartbeat_interval=params.heartbeat,
            # Changes the degrees and the heartbeat by guesses about the network's health.
            adaptive_gossip_enabled=False,
            # Limits every publisher, ourselves too, to ten messages a second and topic.
            spam_protection_enabled=False,
            # Fills the mesh beyond its degree until it has three different IP addresses, which a devnet never has.
            eclipse_protection_enabled=False,
        )
        # The library's own knows neither the network's rules nor any bound.
        self.scorer = scores
        self.mcache = IdMessageCache(params.history_gossip, params.history_length)
        self.seen = SeenCache(params.seen_ttl, params.seen_limit)
        self.outboxes: dict[ID, Outbox] = {}
        self._params = params
        self._known_topics = known_topics
        self._counters = counters
        self._ihaves: Counter[ID] = Counter()
        self._asked: Counter[ID] = Counter()
        self._sent_again: dict[bytes, Counter[ID]] = {}

    def originate(self, msg: rpc_pb2.Message) -> int:
        """Send an own message to the peers of its topic and return how many there are."""
        topic = msg.topicIDs[0]
        peers = [
            peer
            for peer in self.pubsub.peer_topics.get(topic, ())
            if peer in self.outboxes and self.scorer.allow_publish(peer)
        ]
        if len(peers) > self._params.flood_limit:
            peers = list(self._get_peers_to_send([topic], self.pubsub.my_id, self.pubsub.my_id))
            self.time_since_last_publish[topic] = int(time.time())
        self._send_message(msg, peers)
        return len(peers)

    def forward(self, msg: rpc_pb2.Message, sender: ID) -> None:
        """Pass an accepted message on to the mesh, except to where it came from."""
        self._send_message(msg, (peer for peer in self.mesh.get(msg.topicIDs[0], ()) if peer != sender))

    def _send_message(self, msg: rpc_pb2.Message, peers: Iterable[ID]) -> None:
        self.mcache.put(msg)
        key = message_id(msg.data)
        author = msg.from_id
        rpc: bytes | None = None
        for peer in peers:
            outbox = self.outboxes.get(peer)
            if outbox is None or peer.to_bytes() == author:
                continue
            if rpc is None:
                rpc = rpc_pb2.RPC(publish=[msg]).SerializeToString()
            if not outbox.push_message(rpc, key):
                self._counters.dropped_outbound += 1

    async def publish(self, msg_forwarder: ID, pubsub_msg: rpc_pb2.Message) -> None:
        """Forward a message; the library's name for it."""
        self.forward(pubsub_msg, msg_forwarder)

    def send_rpc(self, peer_id: ID, rpc: rpc_pb2.RPC, priority: bool = False) -> None:  # noqa: ARG002
        """Queue control data or subscriptions for a peer.

        The library copies each RPC for each peer and splits the copy.
        """
        outbox = self.outboxes.get(peer_id)
        if outbox is not None and not outbox.push_control(rpc.SerializeToString()):
            self._counters.dropped_outbound += 1

    async def emit_control_message(self, control_msg: rpc_pb2.ControlMessage, to_peer: ID) -> None:
        """Queue control data for a peer, without the signed address record the library adds to each RPC."""
        self.send_rpc(to_peer, rpc_pb2.RPC(control=control_msg))

    async def flush_pending_messages(self, peer_id: ID) -> None:
        """Nothing: no message is held back for peers whose subscriptions are not known yet."""

    async def send_recent_messages(self, peer_id: ID, topic: str) -> None:
        """Give a peer that joins a topic the last seconds' messages.

        Through its queue: the library writes them to the stream past the queue's task, and two writers may interleave
        the chunks of long messages.
        """
        outbox = self.outboxes.get(peer_id)
        if outbox is None or topic not in self.mesh:
            return
        for key in self.mcache.window(topic):
            rpc = rpc_pb2.RPC(publish=[self.mcache.get(key)]).SerializeToString()
            if not outbox.push_message(rpc, key):
                self._counters.dropped_outbound += 1

    # The heartbeat.

    async def heartbeat(self) -> None:
        """Maintain meshes and gossip lazily, for as long as the router runs."""
        await trio.sleep(self.heartbeat_initial_delay)
        while True:
            self._beat()
            await trio.sleep(self.heartbeat_interval)

    def _beat(self) -> None:
        dropped = self._drop_negative()
        grafts, prunes = self.mesh_heartbeat()
        for peer, topics in dropped.items():
            prunes[peer].extend(topics)
        self.fanout_heartbeat()
        offers = self.gossip_heartbeat()
        # The library collects the grafts of all peers in one list and sends the later peers those of the earlier ones.
        for peer in {*grafts, *prunes, *offers}:
            for topic in prunes.get(peer, ()):
                self._add_back_off(peer, topic, is_unsubscribe=False)
            control = rpc_pb2.ControlMessage(
                graft=[rpc_pb2.ControlGraft(topicID=topic) for topic in grafts.get(peer, ())],
                prune=[
                    rpc_pb2.ControlPrune(topicID=topic, backoff=self.prune_back_off) for topic in prunes.get(peer, ())
                ],
                ihave=[
                    rpc_pb2.ControlIHave(topicID=topic, messageIDs=keys) for topic, keys in offers.get(peer, {}).items()
                ],
            )
            self.send_rpc(peer, rpc_pb2.RPC(control=control))
        self.mcache.shift()
        self._sent_again = {key: peers for key, peers in self._sent_again.items() if key in self.mcache.msgs}
        self._ihaves.clear()
        self._asked.clear()
        self.scorer.on_heartbeat()
        self._expire_back_offs()

    def gossip_heartbeat(self) -> defaultdict[ID, dict[str, list[bytes]]]:
        """Choose who outside the meshes hears of which recent messages.

        The library's selection may pick mesh peers of the topic again, and its count can be negative.
        """
        offers: defaultdict[ID, dict[str, list[bytes]]] = defaultdict(dict)
        for topic in {*self.mesh, *self.fanout}:
            keys = self.mcache.window(topic)
            if not keys:
                continue
            busy = self.mesh.get(topic) or self.fanout.get(topic) or set()
            idle = [
                peer
                for peer in self.pubsub.peer_topics.get(topic, ())
                if peer not in busy and self.scorer.allow_gossip(peer)
            ]
            count = min(len(idle), max(self._params.degree_lazy, int(len(idle) * GOSSIP_FACTOR)))
            for peer in random.sample(idle, count):
                offers[peer][topic] = keys[-self._params.max_ihave_ids :]
        return offers

    def _drop_negative(self) -> dict[ID, list[str]]:
        """Take peers with a negative score out of the meshes; for a while they are not taken in again."""
        dropped: dict[ID, list[str]] = {}
        for topic, peers in self.mesh.items():
            for peer in [peer for peer in peers if self.scorer.score(peer) < 0]:
                peers.discard(peer)
                self.scorer.on_leave_mesh(peer, topic)
                self._add_back_off(peer, topic, is_unsubscribe=False)
                dropped.setdefault(peer, []).append(topic)
        return dropped

    def _notify_mesh_peer_added(self, peer: ID, topic: str) -> None:
        """Count the time in the mesh also of peers that we chose; the library counts those that chose us."""
        super()._notify_mesh_peer_added(peer, topic)
        self.scorer.on_join_mesh(peer, topic)

    def _get_in_topic_gossipsub_peers_from_minus(
        self, topic: str, num_to_select: int, minus: Iterable[ID], backoff_check: bool = False
    ) -> list[ID]:
        """Choose peers of a topic; none with a negative score for a mesh, which is when back-offs are asked for."""
        if backoff_check:
            bad = (peer for peer in self.pubsub.peer_topics.get(topic, ()) if self.scorer.score(peer) < 0)
            minus = {*minus, *bad}
        chosen: list[ID] = super()._get_in_topic_gossipsub_peers_from_minus(topic, num_to_select, minus, backoff_check)
        return chosen

    def _perform_opportunistic_grafting(self, topic: str, peers_to_graft: Any) -> int:  # noqa: ARG002
        """Graft nobody: the library grafts peers of score zero at each heartbeat, until nobody is left to gossip to."""
        return 0

    def _expire_back_offs(self) -> None:
        """Forget what has run out; the library only looks at peers it meets again."""
        now = time.time()
        for topic, peers in list(self.back_off.items()):
            for peer in [peer for peer, until in peers.items() if until <= now]:
                del peers[peer]
            if not peers:
                del self.back_off[topic]

    # What peers ask of us.

    async def handle_rpc(self, rpc: rpc_pb2.RPC, sender_peer_id: ID) -> None:
        """Act on a peer's control data, within bounds.

        The signed address record is not looked at: the library verifies its signature twice for each RPC.
        """
        control = rpc.control
        for graft in control.graft[:MAX_GRAFTS]:
            if graft.topicID in self._known_topics:
                await self.handle_graft(graft, sender_peer_id)
        for prune in control.prune[:MAX_GRAFTS]:
            if prune.topicID in self._known_topics:
                await self.handle_prune(prune, sender_peer_id)
        for ihave in control.ihave:
            await self.handle_ihave(ihave, sender_peer_id)
        wanted = [key for iwant in control.iwant for key in iwant.messageIDs]
        if wanted:
            self._answer_iwant(wanted, sender_peer_id)

    async def handle_graft(self, graft_msg: rpc_pb2.ControlGraft, sender_peer_id: ID) -> None:
        """Take a peer into the mesh if there is room and its score is not negative; the library has no bound here."""
        peers = self.mesh.get(graft_msg.topicID)
        full = peers is not None and len(peers) >= self.degree_high and sender_peer_id not in peers
        if peers is not None and (full or self.scorer.score(sender_peer_id) < 0):
            self._add_back_off(sender_peer_id, graft_msg.topicID, is_unsubscribe=False)
            await self.emit_prune(graft_msg.topicID, sender_peer_id, do_px=False, is_unsubscribe=False)
            return
        await super().handle_graft(graft_msg, sender_peer_id)

    async def handle_ihave(self, ihave_msg: rpc_pb2.ControlIHave, sender_peer_id: ID) -> None:
        """Ask for offered messages that were not seen, up to a number for each peer and heartbeat."""
        topic = ihave_msg.topicID
        self._ihaves[sender_peer_id] += 1
        if topic not in self.mesh or self._ihaves[sender_peer_id] > self._params.max_ihave_messages:
            return
        if not self.scorer.allow_gossip(sender_peer_id):
            return
        room = self._params.max_ihave_ids - self._asked[sender_peer_id]
        offered = dict.fromkeys(ihave_msg.messageIDs[: self._params.max_ihave_ids])
        wanted = [key for key in offered if not self.seen.has(topic, key)][:room]
        if wanted:
            self._asked[sender_peer_id] += len(wanted)
            iwant = rpc_pb2.ControlIWant(messageIDs=wanted)
            self.send_rpc(sender_peer_id, rpc_pb2.RPC(control=rpc_pb2.ControlMessage(iwant=[iwant])))

    def _answer_iwant(self, wanted: list[bytes], peer: ID) -> None:
        outbox = self.outboxes.get(peer)
        if outbox is None or not self.scorer.allow_gossip(peer):
            return
        for key in dict.fromkeys(wanted[: self._params.max_ihave_ids]):
            msg = self.mcache.get(key)
            if msg is None:
                continue
            times = self._sent_again.setdefault(key, Counter())
            times[peer] += 1
            if times[peer] > MAX_RETRANSMISSIONS:
                continue
            if not outbox.push_message(rpc_pb2.RPC(publish=[msg]).SerializeToString()):
                self._counters.dropped_outbound += 1

    async def _do_px(self, px_peers: Any) -> None:
        """Dial nobody: the library connects to whatever addresses a pruning peer names."""

"""The pubsub layer of libp2p 0.8.1: receiving, judging and sending gossip messages.

What stays the library's: subscriptions, opening a stream to each new peer, noticing that peers are gone.
"""

import inspect
import logging
import time
from collections.abc import Callable
from typing import Any

import trio
from google.protobuf.message import DecodeError
from libp2p.io.exceptions import IOException
from libp2p.network.connection.exceptions import RawConnError
from libp2p.network.exceptions import SwarmException
from libp2p.network.stream.exceptions import StreamError
from libp2p.peer.id import ID
from libp2p.pubsub.pb import rpc_pb2
from libp2p.pubsub.pubsub import Pubsub
from libp2p.pubsub.rpc_queue import RpcQueue

from ssv_pool.network.errors import FrameError
from ssv_pool.network.frames import FrameReader, check_rpc, encode_varint
from ssv_pool.network.outbox import Outbox
from ssv_pool.network.router import CommitteeRouter
from ssv_pool.network.settings import Counters, GossipMessage, NetworkSettings, Validate
from ssv_pool.network.topics import MAX_MESSAGE_SIZE, message_id
from ssv_pool.network.verdict import Judgement, Verdict

logger = logging.getLogger(__name__)

READ_SIZE = 64 * 1024
"""Bytes read from a stream at a time."""

MAX_RPC_SIZE = MAX_MESSAGE_SIZE + 64 * 1024
"""Bytes of one RPC: the largest message with its publisher, sequence number and topic, and some control data."""

MAX_SUBSCRIPTIONS = 129
"""Subscription entries one RPC may have."""

MAX_PUBLISHER_SIZE = 64
"""Bytes of a publisher's id; a secp256k1 id has 39."""

TIME_SLICE = 0.005
"""Seconds of messages handled before other tasks get a turn."""

KNOWN_LIMIT = 10_000
"""Message ids remembered for a peer as known to it, for each of two heartbeats."""


class _Known:
    """Which messages a peer showed to have, in this heartbeat and the one before."""

    __slots__ = ("now", "past")

    def __init__(self) -> None:
        self.now: set[bytes] = set()
        self.past: set[bytes] = set()

    def add(self, key: bytes) -> None:
        if len(self.now) >= KNOWN_LIMIT:
            self.turn()
        self.now.add(key)

    def turn(self) -> None:
        self.past, self.now = self.now, set()

    def __contains__(self, key: bytes) -> bool:
        return key in self.now or key in self.past


class CommitteePubsub(Pubsub):  # type: ignore[misc,unused-ignore]
    """Pubsub for unsigned messages with publisher and sequence number, seen before validated, judged in three ways."""

    router: CommitteeRouter

    def __init__(
        self,
        host: Any,
        router: CommitteeRouter,
        settings: NetworkSettings,
        counters: Counters,
        validate: Validate,
        deliver: Callable[[GossipMessage], bool],
    ) -> None:
        """Make the pubsub of a host.

        Args:
            host: the libp2p host.
            router: the router, not attached to a pubsub yet.
            settings: the network's settings.
            counters: where everything is counted.
            validate: judges each message of a peer once.
            deliver: takes an accepted message; False if it was lost.
        """
        super().__init__(
            host,
            router,
            # Messages then carry publisher and sequence number and no signature, as on the SSV network.
            strict_signing=False,
            msg_id_constructor=lambda msg: message_id(msg.data),
            # The library's 100 would cut off peers on all 128 topics; two forks' topics fit.
            max_subscriptions_per_peer=2 * len(settings.known_topics),
            max_subscriptions_per_rpc=MAX_SUBSCRIPTIONS,
            allowed_topics=settings.known_topics,
        )
        # Its cache is unbounded and has a thread; ours is the router's.
        self.seen_messages.stop()
        self._settings = settings
        self._counters = counters
        self._validate = validate
        self._deliver = deliver
        self._my_id_bytes = self.my_id.to_bytes()
        self._inbound: dict[ID, Any] = {}
        self._known: dict[ID, _Known] = {}
        # Sequence numbers grow over restarts; nobody may take a new message for an old one.
        self.counter = time.time_ns()

    # Sending.

    def originate(self, topic: str, data: bytes) -> int:
        """Publish an own message and return the number of peers it goes to; 0 as well if it was published before."""
        if not self.router.seen.add(topic, message_id(data), trio.current_time()):
            return 0
        msg = rpc_pb2.Message(from_id=self._my_id_bytes, data=data, seqno=self._next_seqno(), topicIDs=[topic])
        return self.router.originate(msg)

    async def _handle_new_peer(self, peer_id: ID) -> None:
        """Open the outbound stream to a peer, say hello, and start sending what is queued for it."""
        if peer_id in self.peers or self.is_peer_blacklisted(peer_id):
            return
        try:
            stream = await self.host.new_stream(peer_id, self.protocols)
            if peer_id in self.peers:
                await stream.reset()
                return
            hello = self.get_hello_packet().SerializeToString()
            await stream.write(encode_varint(len(hello)) + hello)
        except Exception as error:
            # The library tries again after this exception only; after others, such as a negotiation that timed out on
            # a busy machine, a connected peer would never hear from us.
            raise SwarmException(f"gossip stream to peer {peer_id}: {error!r}") from error
        self.router.add_peer(peer_id, stream.get_protocol())
        if address := stream.muxed_conn.get_remote_address():
            self.router.scorer.add_peer_ip(peer_id, address[0])
        known = self._known.setdefault(peer_id, _Known())
        outbox = Outbox(take=lambda key: self._is_wanted(known, key))
        self.peers[peer_id] = stream
        self.router.outboxes[peer_id] = outbox
        self.peer_queues[peer_id] = _QueueFacade(outbox)
        self.manager.run_task(self._send, peer_id, stream, outbox)
        await self._send_recent_messages_to_new_peer(peer_id)
        # A subscription that came before this stream was there could not be answered with a graft.
        for topic, peers in list(self.peer_topics.items()):
            if peer_id in peers:
                await self.router.on_peer_subscribed(peer_id, topic)

    def get_hello_packet(self) -> rpc_pb2.RPC:
        """List our subscriptions, without the signed address record the library adds."""
        return rpc_pb2.RPC(subscriptions=[rpc_pb2.RPC.SubOpts(subscribe=True, topicid=t) for t in self.topic_ids])

    async def _send(self, peer: ID, stream: Any, outbox: Outbox) -> None:
        try:
            while (frame := await outbox.pop()) is not None:
                await stream.write(frame)
                self._counters.bytes_out += len(frame)
        except Exception as error:  # noqa: BLE001 - however the stream failed, the peer is gone until it is opened again
            logger.debug("sending to peer %s ended: %r", peer, error)
            if self.peers.get(peer) is stream:
                self._handle_dead_peer(peer)

    def _is_wanted(self, known: _Known, key: bytes) -> bool:
        if key in known:
            self._counters.suppressed += 1
            return False
        return True

    def _handle_dead_peer(self, peer_id: ID) -> None:
        outbox = self.router.outboxes.pop(peer_id, None)
        if outbox is not None:
            outbox.close()
        if peer_id not in self.host.get_network().connections:
            self._known.pop(peer_id, None)
        super()._handle_dead_peer(peer_id)

    def _forget_all_subscriptions(self, peer_id: ID) -> None:
        """Keep a peer's subscriptions for as long as the stream lives on which it tells them.

        The library forgets them when our own stream to the peer fails; the peer does not know, and never repeats them.
        """
        if peer_id not in self._inbound:
            super()._forget_all_subscriptions(peer_id)

    async def handle_dead_peer_queue(self) -> None:
        """Drop peers whose connection ended, and those whose stream was on one of several that ended.

        The library waits in the second case until the next message fails to be written, and that message is lost.
        """
        async with self.dead_peer_receive_channel:
            self.event_handle_dead_peer_queue_started.set()
            async for peer_id in self.dead_peer_receive_channel:
                stream = self.peers.get(peer_id)
                if stream is None or stream.muxed_conn.is_closed or not self._peer_is_connected(peer_id):
                    self._handle_dead_peer(peer_id)

    # Receiving.

    async def stream_handler(self, stream: Any) -> None:
        """Read a peer's RPCs until its stream ends. A new stream replaces the one before."""
        peer = stream.muxed_conn.peer_id
        previous = self._inbound.get(peer)
        self._inbound[peer] = stream
        if previous is not None:
            super()._forget_all_subscriptions(peer)
            await previous.reset()
        frames = FrameReader(MAX_RPC_SIZE)
        sender = peer.to_bytes()
        try:
            while True:
                data = await stream.read(READ_SIZE)
                self._counters.bytes_in += len(data)
                for frame in frames.feed(data):
                    if self.router.scorer.is_graylisted(peer):
                        self._counters.graylisted += 1
                        continue
                    await self._on_rpc(peer, sender, frame)
        except (StreamError, IOException, RawConnError):
            # The end of a stream, which ends every connection: the host's notice of it does the rest.
            return
        except (FrameError, DecodeError, UnicodeDecodeError) as error:
            self._counters.bad_frames += 1
            logger.warning("connection to peer %s closed: bad gossip frame: %s", peer, error)
            await self.host.get_network().close_peer(peer)
        finally:
            if self._inbound.get(peer) is stream:
                del self._inbound[peer]
                super()._forget_all_subscriptions(peer)

    async def _on_rpc(self, peer: ID, sender: bytes, frame: bytes) -> None:
        check_rpc(frame)
        rpc = rpc_pb2.RPC.FromString(frame)
        if len(rpc.subscriptions) > MAX_SUBSCRIPTIONS:
            raise FrameError(f"rpc: {len(rpc.subscriptions)} subscriptions, expected at most {MAX_SUBSCRIPTIONS}")
        for subscription in rpc.subscriptions:
            self.handle_subscription(peer, subscription)
        turn_ends = time.perf_counter() + TIME_SLICE
        for msg in rpc.publish:
            rejected = self._counters.rejected
            await self.push_msg(peer, msg, sender)
            if self._counters.rejected != rejected and self.router.scorer.is_graylisted(peer):
                self._counters.graylisted += 1
                return
            if time.perf_counter() >= turn_ends:
                await trio.lowlevel.checkpoint()
                turn_ends = time.perf_counter() + TIME_SLICE
        if rpc.HasField("control"):
            await self.router.handle_rpc(rpc, peer)

    async def push_msg(self, msg_forwarder: ID, msg: rpc_pb2.Message, sender: bytes = b"") -> None:
        """Judge a message of a peer, deliver it and pass it on.

        The message is remembered as seen before it is judged: the library does so after, and delivers a message as
        often as it comes while the first copy is being judged.
        """
        topic = self._topic_of(msg, msg_forwarder)
        if topic is None:
            return
        key = message_id(msg.data)
        if not self.router.seen.add(topic, key, trio.current_time()):
            self._counters.duplicates += 1
            known = self._known.get(msg_forwarder)
            if known is not None:
                known.add(key)
            return
        sender = sender or msg_forwarder.to_bytes()
        data = msg.data
        judgement = await self._judge(sender, topic, data)
        if judgement.verdict is Verdict.IGNORE:
            self._counters.ignored += 1
        elif judgement.verdict is Verdict.REJECT:
            self._punish(msg_forwarder, topic, blame=judgement.blames_peer)
        else:
            self.router.scorer.on_first_delivery(msg_forwarder, topic)
            if self._deliver(GossipMessage(sender, topic, data, judgement.decoded)):
                self._counters.delivered += 1
            else:
                self._counters.dropped_delivery += 1
            self.router.forward(msg, msg_forwarder)

    def _topic_of(self, msg: rpc_pb2.Message, peer: ID) -> str | None:
        """Check a message's envelope; None if it is not one to judge.

        All this comes before the message is remembered: a spoiled copy must not keep the good one from being taken.
        """
        if len(msg.topicIDs) != 1:
            self._counters.malformed += 1
            return None
        topic: str = msg.topicIDs[0]
        if topic not in self.subscribed_topics_receive:
            return None
        self._counters.received += 1
        if msg.HasField("signature") or msg.HasField("key"):
            self._counters.signed += 1
            self._punish(peer, topic)
            return None
        if msg.from_id == self._my_id_bytes:
            self._counters.from_self += 1
            return None
        if not 0 < len(msg.from_id) <= MAX_PUBLISHER_SIZE or len(msg.data) > MAX_MESSAGE_SIZE:
            self._counters.malformed += 1
            return None
        if not msg.data:
            # All empty messages share one id: remembering it would make the first one's verdict that of all.
            self._punish(peer, topic)
            return None
        msg.DiscardUnknownFields()
        return topic

    async def _judge(self, sender: bytes, topic: str, data: bytes) -> Judgement:
        try:
            result = self._validate(sender, topic, data)
            if inspect.isawaitable(result):
                with trio.fail_after(self._settings.validation_timeout):
                    result = await result
        except Exception as error:
            self._counters.validator_errors += 1
            logger.error("validation of a message on %s failed: %r", topic, error, exc_info=error)
            return Judgement(Verdict.IGNORE)
        return result if isinstance(result, Judgement) else Judgement(result)

    def _punish(self, peer: ID, topic: str, *, blame: bool = True) -> None:
        self._counters.rejected += 1
        if blame:
            self.router.scorer.on_invalid_message(peer, topic)

    def turn_known(self) -> None:
        """Let the memory of what peers have age by one step."""
        for known in self._known.values():
            known.turn()


class _QueueFacade(RpcQueue):  # type: ignore[misc,unused-ignore]
    """An outbox where the library's subscription announcements expect its own queue."""

    def __init__(self, outbox: Outbox) -> None:
        super().__init__()
        self._outbox = outbox

    def push(self, rpc: rpc_pb2.RPC, priority: bool = False) -> bool:  # noqa: ARG002
        rpc.ClearField("senderRecord")
        return self._outbox.push_control(rpc.SerializeToString())

    def close(self) -> None:
        self._outbox.close()

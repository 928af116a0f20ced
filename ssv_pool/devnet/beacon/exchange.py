"""What a node passes on to the nodes that follow it, and how it takes in what they pass on.

Knows frames, not connections. Everything received goes through the gate that it would pass from outside; what a gate
accepts is passed on, so that it reaches nodes that are not connected with the one it came to. What names a block that
is not here yet waits for it.
"""

import hashlib
from collections.abc import Callable, Hashable
from typing import Any

import structlog

from ssv_pool.devnet.beacon.chain import BlockRefusedError
from ssv_pool.devnet.beacon.frames import (
    FrameError,
    FrameKind,
    SentUpTo,
    check_root,
    decode_slot,
    encode_frame,
)
from ssv_pool.devnet.beacon.gossip import check_epoch, justified_of_target
from ssv_pool.devnet.beacon.history import BlockEntry
from ssv_pool.devnet.beacon.intake import ACCEPTED, Verdict
from ssv_pool.devnet.beacon.memo import BoundedMemo
from ssv_pool.devnet.beacon.node import BeaconNode
from ssv_pool.devnet.beacon.record import ObjectKind

KNOWN_FRAMES = 16384
"""Frames remembered, so that none is judged twice: some slots of everything that 64 validators sign."""

WAITING_FRAMES = 2048
"""Frames kept that wait for a block."""

BLOCKS_AT_ONCE = 64
"""Blocks sent for one BLOCKS_WANTED."""

_FRAME_OF = {
    ObjectKind.BLOCK: FrameKind.BLOCK,
    ObjectKind.ATTESTATION: FrameKind.ATTESTATION,
    ObjectKind.AGGREGATE: FrameKind.AGGREGATE,
    ObjectKind.SYNC_MESSAGE: FrameKind.SYNC_MESSAGE,
    ObjectKind.CONTRIBUTION: FrameKind.CONTRIBUTION,
    ObjectKind.VOLUNTARY_EXIT: FrameKind.VOLUNTARY_EXIT,
}

Send = Callable[[bytes, Hashable], None]
"""Sends a frame to all connections but the one given."""


class Exchange:
    """Between one node and its connections."""

    def __init__(self, node: BeaconNode, send: Send) -> None:
        """Listen to what ``node`` accepts and hand it, as frames, to ``send``."""
        self._node = node
        self._spec = node.spec
        self._chain = node.chain
        self._send = send
        self._source: Hashable = None
        self._known: BoundedMemo[bytes, bool] = BoundedMemo(KNOWN_FRAMES)
        self._waiting: dict[bytes, list[tuple[FrameKind, bytes, Hashable]]] = {}
        self._log = structlog.get_logger("beacon")
        node.intake.listeners.append(self._accepted)
        node.gate.own_vote_listeners.append(self._own_votes)
        node.prepare_listeners.append(self._joined_sync_votes)

    # ---- out

    def _accepted(self, kind: ObjectKind, value: Any) -> None:
        frame_kind = _FRAME_OF.get(kind)
        if frame_kind is not None:
            content = bytes(value.encode_bytes())
            self._pass_on(frame_kind, content)
            if kind is ObjectKind.BLOCK:
                self._release(bytes(value.message.hash_tree_root()))

    def _own_votes(self, attestation: Any) -> None:
        self._pass_on(FrameKind.VOTES, bytes(attestation.encode_bytes()))

    def _joined_sync_votes(self, slot: int) -> None:
        """Pass on what the sync committee members that this node runs sign for the block before ``slot``.

        The node itself signs for them when it makes a block; nodes that run none of them cannot.
        """
        spec, size = self._spec, self._node.sync_pool.size
        state = self._chain.state_at(slot)
        if int(state.slot) != slot:
            return
        for subcommittee in range(int(spec.SYNC_COMMITTEE_SUBNET_COUNT)):
            among = range(subcommittee * size, (subcommittee + 1) * size)
            places, signature = self._node.simulated.sync_vote(state, among)
            if places:
                vote = spec.SyncCommitteeContribution(
                    slot=slot - 1,
                    beacon_block_root=spec.get_block_root_at_slot(state, spec.Slot(slot - 1)),
                    subcommittee_index=subcommittee,
                    aggregation_bits=[place in places for place in among],
                    signature=signature,
                )
                self._pass_on(FrameKind.SYNC_VOTES, bytes(vote.encode_bytes()))

    def _pass_on(self, kind: FrameKind, content: bytes) -> None:
        self._known.put(_key(kind, content), True)
        self._send(encode_frame(kind, content), self._source)

    # ---- in

    def receive(self, kind: FrameKind, content: bytes, source: Hashable) -> list[bytes]:
        """Take in a frame of connection ``source``; returns the frames to answer with.

        Raises:
            FrameError: the content is not what its kind says.
        """
        if kind is FrameKind.BLOCKS_WANTED:
            return self._blocks_from(decode_slot(content))
        if kind is FrameKind.BLOCK_WANTED:
            entry = self._chain.history.get(check_root(content))
            return [encode_frame(FrameKind.BLOCK, entry.signed_block)] if entry is not None and entry.slot else []
        key = _key(kind, content)
        if key in self._known:
            return []
        self._known.put(key, True)
        return self._take(kind, content, source)

    def _take(self, kind: FrameKind, content: bytes, source: Hashable) -> list[bytes]:
        before, self._source = self._source, source
        try:
            if kind is FrameKind.BLOCK:
                return self._take_block(content, source)
            return self._take_object(kind, content, source)
        finally:
            self._source = before

    def _take_block(self, content: bytes, source: Hashable) -> list[bytes]:
        signed = self._decode(self._spec.SignedBeaconBlock, content)
        parent = bytes(signed.message.parent_root)
        root = bytes(signed.message.hash_tree_root())
        if self.knows(root) or int(signed.message.slot) < self.first_wanted():
            return []
        if parent not in self._chain.store.blocks:
            return self._wait_for(parent, FrameKind.BLOCK, content, source)
        try:
            self._chain.import_block(signed)
        except BlockRefusedError as error:
            self._log.warning("block of a peer refused", slot=int(signed.message.slot), reason=str(error))
            return []
        self._pass_on(FrameKind.BLOCK, content)
        self._release(root)
        return []

    def _take_object(self, kind: FrameKind, content: bytes, source: Hashable) -> list[bytes]:
        spec, node = self._spec, self._node
        if kind is FrameKind.ATTESTATION:
            attestation = self._decode(spec.SingleAttestation, content)
            if self._unknown(attestation.data):
                return self._wait_for(bytes(attestation.data.beacon_block_root), kind, content, source)
            verdict = node.gate.submit([attestation])[0]
        elif kind is FrameKind.VOTES:
            attestation = self._decode(spec.Attestation, content)
            if self._unknown(attestation.data):
                return self._wait_for(bytes(attestation.data.beacon_block_root), kind, content, source)
            verdict = self._take_votes(attestation)
        elif kind is FrameKind.AGGREGATE:
            signed = self._decode(spec.SignedAggregateAndProof, content)
            data = signed.message.aggregate.data
            if self._unknown(data):
                return self._wait_for(bytes(data.beacon_block_root), kind, content, source)
            verdict = node.aggregates.submit(signed)
        elif kind is FrameKind.SYNC_MESSAGE:
            verdict = node.sync_gate.submit([self._decode(spec.SyncCommitteeMessage, content)])[0]
        elif kind is FrameKind.CONTRIBUTION:
            verdict = node.sync_gate.contribute(self._decode(spec.SignedContributionAndProof, content))
        elif kind is FrameKind.SYNC_VOTES:
            verdict = node.sync_gate.accept_joined(self._decode(spec.SyncCommitteeContribution, content))
            if verdict.text == ACCEPTED:
                self._pass_on(kind, content)
        elif kind is FrameKind.VOLUNTARY_EXIT:
            verdict = node.exits.submit(self._decode(spec.SignedVoluntaryExit, content))
        else:
            raise FrameError(f"frame of kind {kind.name}: not expected here")
        if verdict.text.startswith("rejected"):
            self._log.warning("object of a peer refused", kind=kind.name, reason=verdict.text)
        return []

    def _take_votes(self, attestation: Any) -> Verdict:
        """The joined votes of validators that another node runs."""
        spec, chain = self._spec, self._chain
        data = attestation.data
        committees = [index for index, bit in enumerate(attestation.committee_bits) if bit]
        chain.tick()

        def check() -> None:
            check_epoch(self._node.intake, data)
            state = chain.current_state()
            if len(committees) != 1 or committees[0] >= spec.get_committee_count_per_slot(state, data.target.epoch):
                raise spec.GossipReject("expected one committee of the slot")
            if data.beacon_block_root not in chain.store.blocks:
                raise spec.GossipIgnore("block is older than what fork choice keeps")
            if spec.get_checkpoint_block(chain.store, data.beacon_block_root, data.target.epoch) != data.target.root:
                raise spec.GossipReject("target is not an ancestor of the block")
            if data.source != justified_of_target(chain, data):
                raise spec.GossipReject("source is not the justified checkpoint of the target")

        verdict = self._node.intake.judge(check)
        if verdict.failed:
            return verdict
        members = [int(member) for member in spec.get_beacon_committee(chain.current_state(), data.slot, committees[0])]
        bits = [bool(bit) for bit in attestation.aggregation_bits]
        places = frozenset(place for place, bit in enumerate(bits) if bit)
        if len(bits) != len(members) or not places:
            return Verdict(f"rejected: {len(bits)} bits for a committee of {len(members)}")
        voters = [members[place] for place in sorted(places)]
        if any(self._node.gate.is_live(voter, int(data.target.epoch)) for voter in voters):
            return Verdict("ignored: somebody has voted for this epoch already")
        columns = chain.fast.columns.of(chain.current_state())
        domain = spec.get_domain(chain.current_state(), spec.DOMAIN_BEACON_ATTESTER, data.target.epoch)
        signing_root = spec.compute_signing_root(data, domain)
        pubkeys = [columns.pubkeys[voter] for voter in voters]
        if not spec.bls.FastAggregateVerify(pubkeys, signing_root, attestation.signature):
            return Verdict("rejected: invalid joined signature")
        self._node.gate.accept_own(data, committees[0], members, places, bytes(attestation.signature))
        return Verdict(ACCEPTED)

    def _decode(self, ssz_type: Any, content: bytes) -> Any:
        try:
            view = ssz_type.decode_bytes(content)
            canonical = view.encode_bytes() == content
        except Exception as error:  # the SSZ library raises nothing more precise
            raise FrameError(f"{ssz_type.__name__}: {len(content)} bytes are none ({error})") from error
        if not canonical:
            raise FrameError(f"{ssz_type.__name__}: not the canonical encoding")
        return view

    # ---- what waits for a block

    def _unknown(self, data: Any) -> bool:
        root = data.beacon_block_root
        return root not in self._chain.store.blocks and not self.knows(bytes(root))

    def _wait_for(self, root: bytes, kind: FrameKind, content: bytes, source: Hashable) -> list[bytes]:
        """Keep a frame until block ``root`` is here and ask for that."""
        while sum(map(len, self._waiting.values())) >= WAITING_FRAMES:
            del self._waiting[next(iter(self._waiting))]
        asked = root in self._waiting
        self._waiting.setdefault(root, []).append((kind, content, source))
        return [] if asked else [encode_frame(FrameKind.BLOCK_WANTED, root)]

    def _release(self, root: bytes) -> None:
        """Take in what waited for block ``root``."""
        for kind, content, source in self._waiting.pop(root, []):
            try:
                self._take(kind, content, source)
            except FrameError as error:
                self._log.warning("frame of a peer refused", reason=str(error))

    # ---- blocks asked for

    def first_wanted(self) -> int:
        """The slot from which another node's blocks may be unknown here: everything up to finality is settled."""
        return int(self._chain.store.finalized_checkpoint.epoch) * self._node.clock.slots_per_epoch + 1

    def knows(self, root: bytes) -> bool:
        """Whether block ``root`` is here."""
        return self._chain.history.get(root) is not None

    def _blocks_from(self, slot: int) -> list[bytes]:
        """Canonical blocks from ``slot`` on, and whether these are all."""
        self._chain.tick()
        self._chain.head()
        history = self._chain.history
        entries: list[BlockEntry] = []
        for candidate in range(max(1, slot), history.head.slot + 1):
            entry = history.at(candidate)
            if entry is not None:
                entries.append(entry)
            if len(entries) == BLOCKS_AT_ONCE:
                break
        last = entries[-1].slot if len(entries) == BLOCKS_AT_ONCE else history.head.slot
        frames = [encode_frame(FrameKind.BLOCK, entry.signed_block) for entry in entries]
        return [*frames, encode_frame(FrameKind.SENT_UP_TO, SentUpTo(last, history.head.slot).encode())]


def _key(kind: FrameKind, content: bytes) -> bytes:
    return hashlib.sha256(bytes((kind,)) + content).digest()

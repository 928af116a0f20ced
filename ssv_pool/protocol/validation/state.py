"""What each peer has already passed on: kept a sending peer and a duty executor, in a ring of slots, and bounded.

Only messages that kept every rule are recorded, so a record costs whoever causes it a genuinely signed message. Bounds
hold all the same: a ring of 34 slots for each (peer, executor), at most 32 decided messages a slot, and limits on the
records of one peer and of all. Over a limit the executor longest not heard of is forgotten, from the peer with most.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

from ssv_pool.protocol.types.primitives import OperatorId, Slot

RING_SLOTS = 34
"""Slots remembered for each peer and executor: an epoch of 32 and two."""

MAX_DECIDED = 32
"""Decided messages remembered, and so accepted, for each peer, executor and slot; 13 operators honestly make 13."""

MAX_PEERS = 1024
"""Peers remembered."""

MAX_RECORDS_PER_PEER = 16_384
"""Records (a signer in a slot, or a decided message) remembered of one peer; about 200 bytes each."""

MAX_RECORDS = 131_072
"""Records remembered in all."""


@dataclass(slots=True)
class SignerRecord:
    """What one signer has sent for one slot."""

    round: int = 0
    """Highest round seen; what follows, but for ``partials``, is of this round."""
    proposal_root: bytes | None = None
    """Hash of the value it proposed."""
    types: int = 0
    """Bit n is set when the consensus message of type n was seen."""
    partials: int = 0
    """Bit 0: pre-consensus partial signatures were seen, bit 1: post-consensus ones."""


@dataclass(slots=True)
class SlotRecord:
    """What was seen for one slot of one executor."""

    slot: Slot
    signers: dict[OperatorId, SignerRecord] = field(default_factory=dict)
    decided: set[tuple[int, tuple[OperatorId, ...]]] = field(default_factory=set)
    """(round, signers) of decided messages."""

    @property
    def size(self) -> int:
        """Number of records."""
        return len(self.signers) + len(self.decided)


@dataclass(slots=True)
class _Ring:
    slots: dict[int, SlotRecord] = field(default_factory=dict)
    size: int = 0


@dataclass(slots=True)
class _Peer:
    executors: OrderedDict[bytes, _Ring] = field(default_factory=OrderedDict)
    size: int = 0


class SeenState:
    """The records of all peers. One thread at a time."""

    def __init__(
        self,
        max_records: int = MAX_RECORDS,
        max_records_per_peer: int = MAX_RECORDS_PER_PEER,
        max_peers: int = MAX_PEERS,
    ) -> None:
        self._max_records = max_records
        self._max_records_per_peer = max_records_per_peer
        self._max_peers = max_peers
        self._peers: OrderedDict[bytes, _Peer] = OrderedDict()
        self._size = 0

    @property
    def size(self) -> int:
        """Number of records kept."""
        return self._size

    def find(self, peer: bytes, executor: bytes, slot: Slot) -> SlotRecord | None:
        """What ``peer`` passed on for that slot, None when nothing."""
        ring = self._ring(peer, executor)
        record = None if ring is None else ring.slots.get(slot % RING_SLOTS)
        return record if record is not None and record.slot == slot else None

    def is_past(self, peer: bytes, executor: bytes, slot: Slot) -> bool:
        """Whether the ring has gone past ``slot``: its place is taken by a later one."""
        ring = self._ring(peer, executor)
        record = None if ring is None else ring.slots.get(slot % RING_SLOTS)
        return record is not None and record.slot > slot

    def other_duties(self, peer: bytes, executor: bytes, signer: OperatorId, slot: Slot, slots_per_epoch: int) -> int:
        """For how many other slots of the epoch of ``slot`` the signer was seen."""
        ring = self._ring(peer, executor)
        if ring is None:
            return 0
        epoch = slot // slots_per_epoch
        return sum(
            1
            for record in ring.slots.values()
            if record.slot != slot and record.slot // slots_per_epoch == epoch and signer in record.signers
        )

    def latest_slot(self, peer: bytes, executor: bytes, signer: OperatorId) -> Slot | None:
        """The latest slot that the signer was seen at, None when it was not."""
        ring = self._ring(peer, executor)
        if ring is None:
            return None
        return max((record.slot for record in ring.slots.values() if signer in record.signers), default=None)

    def record_consensus(
        self,
        peer: bytes,
        executor: bytes,
        slot: Slot,
        signers: tuple[OperatorId, ...],
        round_: int,
        message_type: int,
        proposal_root: bytes | None,
    ) -> None:
        """Note a consensus message; ``proposal_root`` is given for a proposal that carries its value."""
        ring, record = self._open(peer, executor, slot)
        before = record.size
        for signer in signers:
            seen = record.signers.setdefault(signer, SignerRecord())
            if round_ > seen.round:
                seen.round, seen.proposal_root, seen.types = round_, None, 0
            if len(signers) == 1:
                seen.types |= 1 << message_type
                if proposal_root is not None:
                    seen.proposal_root = proposal_root
        if len(signers) > 1 and len(record.decided) < MAX_DECIDED:
            record.decided.add((round_, signers))
        self._grow(peer, ring, record.size - before)

    def record_partials(self, peer: bytes, executor: bytes, slot: Slot, signer: OperatorId, bit: int) -> None:
        """Note partial signatures: ``bit`` is 1 for pre-consensus and 2 for post-consensus ones."""
        ring, record = self._open(peer, executor, slot)
        before = record.size
        record.signers.setdefault(signer, SignerRecord()).partials |= bit
        self._grow(peer, ring, record.size - before)

    def _ring(self, peer: bytes, executor: bytes) -> _Ring | None:
        known = self._peers.get(peer)
        return None if known is None else known.executors.get(executor)

    def _open(self, peer: bytes, executor: bytes, slot: Slot) -> tuple[_Ring, SlotRecord]:
        known = self._peers.setdefault(peer, _Peer())
        self._peers.move_to_end(peer)
        ring = known.executors.setdefault(executor, _Ring())
        known.executors.move_to_end(executor)
        record = ring.slots.get(slot % RING_SLOTS)
        if record is None or record.slot != slot:
            if record is not None:
                self._shrink(known, ring, record.size)
            record = ring.slots[slot % RING_SLOTS] = SlotRecord(slot)
        return ring, record

    def _grow(self, peer: bytes, ring: _Ring, by: int) -> None:
        known = self._peers[peer]
        ring.size += by
        known.size += by
        self._size += by
        while known.size > self._max_records_per_peer and len(known.executors) > 1:
            self._forget_executor(peer)
        while len(self._peers) > self._max_peers:
            oldest = next(iter(self._peers))
            self._size -= self._peers.pop(oldest).size
        while self._size > self._max_records and len(self._peers) > 1:
            self._forget_executor(max(self._peers, key=lambda name: self._peers[name].size))

    def _shrink(self, known: _Peer, ring: _Ring, by: int) -> None:
        ring.size -= by
        known.size -= by
        self._size -= by

    def _forget_executor(self, peer: bytes) -> None:
        known = self._peers[peer]
        _, ring = known.executors.popitem(last=False)
        self._shrink(known, ring, ring.size)
        if not known.executors:
            del self._peers[peer]

"""A committee of operators in memory, on a virtual clock, with stand-in signatures that cost nothing.

Nothing here waits: time jumps from one scheduled event to the next. Delays, losses, crashes and two-faced operators are
decided by the test.
"""

import heapq
import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256, sha512

from ssv_pool.protocol.chain import BeaconChain, ForkVersion
from ssv_pool.protocol.committee import Committee
from ssv_pool.protocol.events import (
    ArmTimer,
    Broadcast,
    DutyEnded,
    DutyRecord,
    Effect,
    Event,
    MessageReceived,
    Rejected,
    SignedAttestation,
    SignedSyncCommitteeMessage,
    StartDuty,
    SubmitAttestations,
    SubmitSyncCommitteeMessages,
    TimerFired,
)
from ssv_pool.protocol.forks import ForkSchedule, alan_fork
from ssv_pool.protocol.ports import Reconstruction, SlashableError
from ssv_pool.protocol.types.beacon import BeaconVote, Checkpoint
from ssv_pool.protocol.types.duties import CommitteeDuty, ValidatorDuty
from ssv_pool.protocol.types.ids import committee_id
from ssv_pool.protocol.types.messages import SignedSSVMessage
from ssv_pool.protocol.types.primitives import (
    CommitteeId,
    DomainType,
    Epoch,
    OperatorId,
    PublicKey,
    Root,
    Signature,
    Slot,
    ValidatorIndex,
)
from ssv_pool.protocol.types.roles import BeaconRole
from ssv_pool.protocol.types.share import CommitteeMember, Operator, Share, ShareMember

DOMAIN = DomainType(bytes.fromhex("00000301"))

FORKS = ForkSchedule(alan_fork(DOMAIN))

GENESIS = 1_700_000_000.0


def chain(fork: str = "fulu", slot_ms: int = 12_000) -> BeaconChain:
    return BeaconChain(GENESIS, Root(bytes(32)), slot_ms, 32, (ForkVersion(Epoch(0), b"\x05\0\0\0", fork),))


def root(text: str) -> Root:
    return Root(sha256(text.encode()).digest())


def vote(head: str = "head", source: int = 0, target: int = 1) -> BeaconVote:
    return BeaconVote(
        root(head),
        Checkpoint(Epoch(source), root(f"source {source}")),
        Checkpoint(Epoch(target), root(f"target {target}")),
    )


def operator_pem(operator_id: int) -> bytes:
    return f"operator {operator_id}".encode().ljust(459, b".")


def validator_key(index: int) -> PublicKey:
    return PublicKey(sha512(b"validator %d" % index).digest()[:48])


def share_key(validator: PublicKey, operator_id: int) -> PublicKey:
    return PublicKey(sha512(validator + operator_id.to_bytes(8, "little")).digest()[:48])


def fake_signature(key: bytes, message: bytes) -> Signature:
    return Signature(sha256(key + message).digest() * 3)


def whole_signature(validator: PublicKey, message: Root) -> Signature:
    """What the stand-in threshold scheme rebuilds."""
    return fake_signature(b"whole" + validator, message)


class FakeKeys:
    """OperatorKeys whose signatures are hashes."""

    def __init__(self, operator_id: int) -> None:
        self.public_key = operator_pem(operator_id)

    def sign(self, message: bytes) -> bytes:
        return sha256(self.public_key + message).digest() * 8

    def verify(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        return signature == sha256(public_key + message).digest() * 8


class FakeSigner:
    """ShareSigner with hashes for signatures and real slashing rules. It outlives crashes, as a disk does."""

    def __init__(self) -> None:
        self.attestations: dict[PublicKey, dict[Epoch, tuple[Epoch, Root]]] = defaultdict(dict)
        self.marked: set[PublicKey] = set()
        """Shares for which everything is called slashable."""
        self.batches: list[int] = []

    def slashable_attestations(self, shares: Sequence[PublicKey], source: Epoch, target: Epoch) -> list[PublicKey]:
        return [share for share in shares if self._slashable(share, source, target)]

    def slashable_block(self, share: PublicKey, slot: Slot) -> bool:
        return share in self.marked

    def sign_attestations(
        self, shares: Sequence[PublicKey], roots: Sequence[Root], source: Epoch, target: Epoch
    ) -> list[Signature]:
        for share, signed in zip(shares, roots, strict=True):
            if self._slashable(share, source, target, signed):
                raise SlashableError(f"share 0x{share.hex()}: slashable")
        for share, signed in zip(shares, roots, strict=True):
            self.attestations[share][target] = source, signed
        self.batches.append(len(shares))
        return [fake_signature(share, signed) for share, signed in zip(shares, roots, strict=True)]

    def sign_block(self, share: PublicKey, root: Root, slot: Slot) -> Signature:
        return fake_signature(share, root)

    def sign_roots(self, shares: Sequence[PublicKey], roots: Sequence[Root]) -> list[Signature]:
        return [fake_signature(share, signed) for share, signed in zip(shares, roots, strict=True)]

    def _slashable(self, share: PublicKey, source: Epoch, target: Epoch, signed: Root | None = None) -> bool:
        if share in self.marked:
            return True
        return any(
            (known_target == target and known_root != signed)
            or (source < known_source and known_target < target)
            or (known_source < source and target < known_target)
            for known_target, (known_source, known_root) in self.attestations.get(share, {}).items()
        )


class FakeThreshold:
    """ThresholdScheme for ``fake_signature``; counts its batches."""

    def __init__(self) -> None:
        self.batches: list[int] = []

    def reconstruct(self, items: Sequence[Reconstruction]) -> list[Signature | None]:
        self.batches.append(len(items))
        return [
            whole_signature(item.public_key, item.root)
            if all(
                partial == fake_signature(share_key(item.public_key, operator_id), item.root)
                for operator_id, partial in item.partials.items()
            )
            else None
            for item in items
        ]

    def verify(self, public_key: PublicKey, root: Root, signature: Signature) -> bool:
        return signature == fake_signature(public_key, root)

    def verify_many(self, items: Sequence[tuple[PublicKey, Root, Signature]]) -> list[bool]:
        return [self.verify(*item) for item in items]


def make_member(operator_ids: Sequence[int], own: int) -> CommitteeMember:
    ids = [OperatorId(operator_id) for operator_id in operator_ids]
    return CommitteeMember(
        operator_id=OperatorId(own),
        committee_id=committee_id(ids),
        operator_pubkey=operator_pem(own),
        faulty_nodes=(len(ids) - 1) // 3,
        committee=tuple(Operator(operator_id, operator_pem(operator_id)) for operator_id in ids),
        domain_type=DOMAIN,
    )


def make_shares(operator_ids: Sequence[int], own: int, validators: int) -> dict[ValidatorIndex, Share]:
    shares = {}
    for number in range(1, validators + 1):
        index, key = ValidatorIndex(number), validator_key(number)
        members = tuple(
            ShareMember(share_key(key, operator_id), OperatorId(operator_id)) for operator_id in operator_ids
        )
        shares[index] = Share(index, key, share_key(key, own), members, DOMAIN)
    return shares


def make_duty(slot: int, validators: int, sync: Sequence[int] = ()) -> CommitteeDuty:
    duties = [
        ValidatorDuty(BeaconRole.ATTESTER, validator_key(i), Slot(slot), ValidatorIndex(i), i % 4, 64, 4, i % 64)
        for i in range(1, validators + 1)
    ]
    duties += [ValidatorDuty(BeaconRole.SYNC_COMMITTEE, validator_key(i), Slot(slot), ValidatorIndex(i)) for i in sync]
    return CommitteeDuty(Slot(slot), tuple(duties))


@dataclass
class Node:
    """One operator; a two-faced one is two nodes with one id."""

    operator_id: OperatorId
    make: Callable[[], Committee]
    committee: Committee
    signer: FakeSigner
    threshold: FakeThreshold
    alive: bool = True
    life: int = 0
    """Counts restarts: what was scheduled for an earlier life is void."""
    records: list[DutyRecord] = field(default_factory=list)
    attestations: list[SignedAttestation] = field(default_factory=list)
    sync_messages: list[SignedSyncCommitteeMessage] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    sent: list[SignedSSVMessage] = field(default_factory=list)
    seen: set[SignedSSVMessage] = field(default_factory=set)


Delay = Callable[[float, Node, Node, SignedSSVMessage], float | None]
"""(now, sender, receiver, message) → seconds on the way, None: lost."""


class CommitteeNetwork:
    """Operators 1..n with their committee objects, and the network and clock between them."""

    def __init__(
        self,
        size: int = 4,
        validators: int = 2,
        delay: Delay | None = None,
        beacon_chain: BeaconChain | None = None,
        twins: Sequence[int] = (),
        *,
        gossip: bool = False,
    ) -> None:
        """Make the nodes; each operator in ``twins`` gets a second node with the same keys.

        With ``gossip`` a node passes on what it sees for the first time, as the real network does.
        """
        self.gossip = gossip
        self.chain = beacon_chain or chain()
        self.ids = tuple(range(1, size + 1))
        self.validators = validators
        self.delay: Delay = delay or (lambda now, sender, receiver, message: 0.01)
        self.now = GENESIS
        self.nodes = [self._node(operator_id) for operator_id in (*self.ids, *twins)]
        self.kinds: Counter[str] = Counter()
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._sequence = itertools.count()

    def _node(self, operator_id: int) -> Node:
        signer, threshold = FakeSigner(), FakeThreshold()

        def make() -> Committee:
            return Committee(
                make_member(self.ids, operator_id),
                make_shares(self.ids, operator_id, self.validators),
                FORKS,
                self.chain,
                FakeKeys(operator_id),
                signer,
                threshold,
            )

        return Node(OperatorId(operator_id), make, make(), signer, threshold)

    @property
    def committee_id(self) -> CommitteeId:
        return self.nodes[0].committee.member.committee_id

    def at(self, time: float, action: Callable[[], None]) -> None:
        """Do something at a time."""
        heapq.heappush(self._queue, (max(time, self.now), next(self._sequence), action))

    def start(
        self,
        slot: int,
        votes: Mapping[int, BeaconVote] | None = None,
        skews: Mapping[int, float] | None = None,
        deadline: float | None = None,
        sync: Sequence[int] = (),
    ) -> None:
        """Begin the duty of a slot at every node, by the node's position, at its due time plus a skew."""
        due = self.chain.attestation_due(slot)
        until = self.chain.start_of(slot + 32) if deadline is None else deadline
        for position, node in enumerate(self.nodes):
            begun = due + (skews or {}).get(position, 0.0)
            own = (votes or {}).get(position, vote())
            event = StartDuty(make_duty(slot, self.validators, sync), own, due, begun, until)
            self.at(begun, lambda node=node, event=event: self.handle(node, event))  # type: ignore[misc]

    def handle(self, node: Node, event: Event) -> None:
        """Give a node an event now, and do what it wants done."""
        if node.alive:
            self.perform(node, node.committee.handle(event, self.now))

    def perform(self, node: Node, effects: Sequence[Effect]) -> None:
        """Do what a node wants done."""
        for effect in effects:
            match effect:
                case Broadcast(message=message):
                    node.sent.append(message)
                    self.publish(node, message)
                case ArmTimer(timer=timer, at=at):
                    life = node.life
                    self.at(
                        at,
                        lambda timer=timer, life=life: (  # type: ignore[misc]
                            self.handle(node, TimerFired(timer)) if node.life == life else None
                        ),
                    )
                case SubmitAttestations(attestations=attestations):
                    node.attestations.extend(attestations)
                case SubmitSyncCommitteeMessages(messages=messages):
                    node.sync_messages.extend(messages)
                case DutyEnded(record=record):
                    node.records.append(record)
                case Rejected():
                    node.rejected.append(effect)
                case _:
                    raise AssertionError(f"unexpected effect {effect}")

    def publish(self, sender: Node, message: SignedSSVMessage) -> None:
        """Send a message to all other operators."""
        sender.seen.add(message)
        for receiver in self.nodes:
            if receiver.operator_id == sender.operator_id:
                continue
            seconds = self.delay(self.now, sender, receiver, message)
            if seconds is not None:
                self.at(self.now + seconds, lambda r=receiver: self.receive(r, message))  # type: ignore[misc]

    def receive(self, node: Node, message: SignedSSVMessage) -> None:
        """A message reaches a node."""
        if self.gossip:
            if message in node.seen or not node.alive:
                return
            self.publish(node, message)
        self.handle(node, MessageReceived(message, verified=False))

    def crash(self, node: Node) -> None:
        """Kill a node: it forgets everything but its slashing protection."""
        node.alive = False
        node.life += 1

    def restart(self, node: Node) -> None:
        """Start a killed node again, with nothing in memory."""
        node.committee = node.make()
        node.alive = True

    def run(self, until: float | None = None) -> None:
        """Let time pass until nothing is scheduled any more, or until a time."""
        while self._queue and (until is None or self._queue[0][0] <= until):
            self.now, _, action = heapq.heappop(self._queue)
            action()
        if until is not None:
            self.now = max(self.now, until)

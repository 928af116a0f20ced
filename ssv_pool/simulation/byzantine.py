"""Operators that do what they like. Each seed gives one a few habits; it signs anything, but only with its own keys.

It runs the real code too, to know what is going on, without slashing rules: with two faces it runs it twice, with two
views, each speaking to a part of the others. Its habits change, hold back and add messages.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from hashlib import sha256
from random import Random
from typing import TYPE_CHECKING

from ssv_pool.protocol.forks import alan_leader
from ssv_pool.protocol.types.beacon import BeaconVote
from ssv_pool.protocol.types.errors import ProtocolError
from ssv_pool.protocol.types.ids import committee_message_id
from ssv_pool.protocol.types.messages import QBFTMessage, SignedSSVMessage, SSVMessage
from ssv_pool.protocol.types.partial import PartialSignatureMessages
from ssv_pool.protocol.types.primitives import OperatorId, Root, Round, Signature, Slot
from ssv_pool.protocol.types.roles import MsgType, QBFTMessageType, RunnerRole
from ssv_pool.simulation.plan import DutyPlan, make_vote, root_of
from ssv_pool.simulation.standins import DOMAIN, StandInKeys, make_member

if TYPE_CHECKING:
    from ssv_pool.simulation.simulator import Node, Simulation

HABITS = (
    "two faces",
    "silence",
    "equivocation",
    "conflicting commits",
    "forged proposals",
    "forged round changes",
    "forged decisions",
    "wrong partial signatures",
    "swapped partial signatures",
    "replay",
)
"""What a Byzantine operator may have taken to."""

MAX_INJECTIONS = 14
"""How many messages of its own making one adds in a run."""

_MEMORY = 64


class Adversary:
    """The mind of one Byzantine operator."""

    def __init__(self, simulation: "Simulation", node: "Node", rng: Random) -> None:
        self._simulation = simulation
        self._node = node
        self._rng = rng
        self.habits = frozenset(rng.sample(HABITS, rng.choice((1, 2, 2, 3, 4))))
        self.two_faced = "two faces" in self.habits
        self._silent = frozenset(rng.sample(range(5), rng.choice((1, 2, 5)))) if "silence" in self.habits else ()
        self._size = simulation.plan.size
        self._id = OperatorId(node.position + 1)
        self._keys = StandInKeys(self._id)
        self._identifier = committee_message_id(DOMAIN, RunnerRole.COMMITTEE, make_member(self._size, 1).committee_id)
        self._quorum = 2 * ((self._size - 1) // 3) + 1
        self._seen: list[SignedSSVMessage] = []
        self._injected = 0
        self._faces: dict[Node, frozenset[int]] = {}
        self._values: dict[Slot, list[bytes]] = {}
        self._forgeries: list[Callable[[Slot, Round], SignedSSVMessage | None]] = [
            forgery
            for habit, forgeries in (
                ("conflicting commits", (self._commit, self._prepare)),
                ("forged proposals", (self._bare_proposal, self._stuffed_proposal, self._false_proof, self._usurp)),
                ("forged round changes", (self._false_round_change, self._early_round_change)),
                ("forged decisions", (self._false_decision,)),
            )
            if habit in self.habits
            for forgery in forgeries
        ]
        if simulation.trace is not None:
            simulation.trace.append(f"plan: operator {self._id} has habits {sorted(self.habits)}")

    def vote(self, node: "Node", plan: DutyPlan) -> BeaconVote:
        """The view a face begins with; draws to whom it speaks."""
        own = plan.votes[node.position]
        slot = plan.duty.slot
        values = self._values.setdefault(slot, [own.encode()])
        for head in range(4):
            value = make_vote(head, own.source.epoch, own.target.epoch).encode()
            if value not in values:
                values.append(value)
        if node is not self._node:
            own = BeaconVote.decode(values[-1])
            mine = self._faces.setdefault(self._node, self._some())
            self._faces.setdefault(node, frozenset(range(self._size)) - mine | self._some(0.3))
        return own

    def see(self, message: SignedSSVMessage) -> None:
        """Note what others say, and perhaps answer."""
        if len(self._seen) < _MEMORY:
            self._seen.append(message)
        else:
            self._seen[int(self._rng.random() * _MEMORY)] = message
        if self._rng.random() < 0.12:
            self._provoke()

    def say(self, node: "Node", message: SignedSSVMessage) -> None:
        """What becomes of a message that the real code wanted sent."""
        inner = message.ssv_message
        partial = inner.msg_type == MsgType.PARTIAL_SIGNATURE
        kind = 4 if partial else QBFTMessage.decode(inner.data).msg_type
        if kind in self._silent:
            self._note("keeps to itself", message)
            return
        receivers = self._faces.get(node) or range(self._size)
        if partial:
            message = self._spoil(message)
        elif kind == QBFTMessageType.PROPOSAL and "equivocation" in self.habits:
            self._equivocate(message, receivers)
            return
        self._send(message, receivers)
        if self._rng.random() < 0.3:
            self._provoke()

    def _provoke(self) -> None:
        """Add a message of its own making, at once or later."""
        if self._injected >= MAX_INJECTIONS:
            return
        rng = self._rng
        message = None
        if "replay" in self.habits and self._seen and rng.random() < 0.5:
            message = rng.choice(self._seen)
        elif self._forgeries:
            slot = rng.choice(self._simulation.plan.duties).duty.slot
            if slot in self._values:
                message = rng.choice(self._forgeries)(slot, self._some_round(slot))
        if message is not None:
            self._injected += 1
            self._simulation.inject(self._simulation.now + rng.random() ** 2 * 3, self._node, message)

    def _some_round(self, slot: Slot) -> Round:
        """The current round as far as it can be seen, or one near it."""
        runner = self._node.committee.runners.get((RunnerRole.COMMITTEE, slot))
        current = 1
        if runner is not None and runner.state is not None and runner.state.instance is not None:
            current = runner.state.instance.state.round
        return Round(max(1, current + self._rng.choice((0, 0, 0, 1, 1, 2, 4, -1))))

    def _some(self, probability: float = 0.5) -> frozenset[int]:
        return frozenset([position for position in range(self._size) if self._rng.random() < probability])

    def _value(self, slot: Slot) -> bytes:
        """A value to push: most often one that others would accept."""
        chance = self._rng.random()
        values = self._values[slot]
        if chance < 0.8:
            return self._rng.choice(values)
        vote = BeaconVote.decode(values[0])
        if chance < 0.9:
            return replace(vote, target=replace(vote.target, root=root_of("nowhere"))).encode()
        if chance < 0.95:
            return replace(vote, source=vote.target).encode()
        return values[0][:100]

    def _sign(self, content: QBFTMessage, full_data: bytes = b"") -> SignedSSVMessage:
        message = SSVMessage(MsgType.CONSENSUS, self._identifier, content.encode())
        return SignedSSVMessage((self._keys.sign(message.encode()),), (self._id,), message, full_data)

    def _content(self, kind: QBFTMessageType, slot: Slot, round_: Round, value: bytes) -> QBFTMessage:
        return QBFTMessage(kind, slot, round_, self._identifier, Root(sha256(value).digest()))

    def _send(self, message: SignedSSVMessage, receivers: Collection[int]) -> None:
        self._note("sends", message)
        self._simulation.broadcast_to(self._node.position, receivers, message)

    def _note(self, verb: str, message: SignedSSVMessage) -> None:
        if self._simulation.trace is not None:
            from ssv_pool.simulation.describe import describe_message

            self._simulation.note(self._node.position, f"{verb} {describe_message(message)}")

    def _equivocate(self, message: SignedSSVMessage, receivers: Collection[int]) -> None:
        """Propose one value to some and another to others, perhaps both to a few."""
        content = QBFTMessage.decode(message.ssv_message.data)
        other = self._value(content.height)
        changed = replace(content, root=Root(sha256(other).digest()))
        if self._rng.random() < 0.3:
            changed = replace(changed, prepare_justification=())
        first = self._some()
        second = frozenset(receivers) - first | self._some(0.2)
        self._send(message, first)
        self._send(self._sign(changed, other), second)

    def _spoil(self, message: SignedSSVMessage) -> SignedSSVMessage:
        """Partial signatures that are not what they should be."""
        content = PartialSignatureMessages.decode(message.ssv_message.data)
        items = list(content.messages)
        rng = self._rng
        if "wrong partial signatures" in self.habits:
            which = int(rng.random() * len(items))
            item = items[which]
            if rng.random() < 0.7:
                items[which] = item._replace(partial_signature=Signature(rng.randbytes(96)))
            else:
                items[which] = item._replace(signing_root=root_of("another root"))
        elif "swapped partial signatures" in self.habits and len(items) > 1:
            first, second = items[0], items[-1]
            items[0] = first._replace(partial_signature=second.partial_signature)
            items[-1] = second._replace(partial_signature=first.partial_signature)
        else:
            return message
        inner = replace(message.ssv_message, data=replace(content, messages=tuple(items)).encode())
        return SignedSSVMessage((self._keys.sign(inner.encode()),), (self._id,), inner)

    def _messages_of(
        self, kind: QBFTMessageType, slot: Slot, round_: Round
    ) -> list[tuple[SignedSSVMessage, QBFTMessage]]:
        """What it has seen, one a signer."""
        found = {}
        for message in self._seen:
            if message.ssv_message.msg_type != MsgType.CONSENSUS or len(message.operator_ids) != 1:
                continue
            try:
                content = QBFTMessage.decode(message.ssv_message.data)
            except ProtocolError:
                continue
            if (content.msg_type, content.height, content.round) == (kind, slot, round_):
                found[message.operator_ids[0]] = message, content
        return list(found.values())

    def _commit(self, slot: Slot, round_: Round) -> SignedSSVMessage:
        return self._sign(self._content(QBFTMessageType.COMMIT, slot, round_, self._value(slot)))

    def _prepare(self, slot: Slot, round_: Round) -> SignedSSVMessage:
        return self._sign(self._content(QBFTMessageType.PREPARE, slot, round_, self._value(slot)))

    def _lead(self, slot: Slot, round_: Round) -> Round:
        """The first round from ``round_`` on that it leads itself."""
        ids = make_member(self._size, 1).operator_ids
        return next(
            candidate
            for candidate in (Round(round_ + ahead) for ahead in range(self._size))
            if alan_leader(ids, slot, candidate) == self._id
        )

    def _bare_proposal(self, slot: Slot, round_: Round) -> SignedSSVMessage:
        value = self._value(slot)
        return self._sign(self._content(QBFTMessageType.PROPOSAL, slot, self._lead(slot, round_), value), value)

    def _usurp(self, slot: Slot, round_: Round) -> SignedSSVMessage:
        """Propose in a round that others lead, with all the proof there is."""
        value = self._value(slot)
        proof = [message for message, _ in self._messages_of(QBFTMessageType.ROUND_CHANGE, slot, round_)]
        content = self._content(QBFTMessageType.PROPOSAL, slot, round_, value)
        return self._sign(replace(content, round_change_justification=_encode(proof)), value)

    def _stuffed_proposal(self, slot: Slot, round_: Round) -> SignedSSVMessage:
        """Prove a round with too few round changes: no prepared ones, its own many times, some of another round."""
        round_ = self._lead(slot, round_)
        rng = self._rng
        seen = self._messages_of(QBFTMessageType.ROUND_CHANGE, slot, round_)
        proof = [message for message, content in seen if not content.data_round or rng.random() < 0.2]
        own = self._sign(replace(self._content(QBFTMessageType.ROUND_CHANGE, slot, round_, b""), root=Root(bytes(32))))
        proof.append(own)
        if len(proof) < self._quorum and rng.random() < 0.4:
            earlier = self._messages_of(QBFTMessageType.ROUND_CHANGE, slot, Round(round_ - 1))
            proof.extend(message for message, _ in earlier)
        if len(proof) < self._quorum and rng.random() < 0.4:
            signature = self._keys.sign(b"not this")
            forged = [OperatorId(i) for i in range(1, self._size + 1) if i != self._id]
            proof.extend(replace(own, signatures=(signature,), operator_ids=(i,)) for i in forged)
        while len(proof) < self._quorum:
            proof.append(own)
        value = self._value(slot)
        content = self._content(QBFTMessageType.PROPOSAL, slot, round_, value)
        return self._sign(replace(content, round_change_justification=_encode(proof[:13])), value)

    def _false_proof(self, slot: Slot, round_: Round) -> SignedSSVMessage:
        """Propose another value than the prepared one, with a proof of preparation that is none."""
        round_ = Round(max(2, self._lead(slot, round_)))
        value = self._value(slot)
        prepares = self._false_prepares(slot, Round(round_ - 1), value)
        claim = self._claim(slot, round_, Round(round_ - 1), value, prepares)
        seen = self._messages_of(QBFTMessageType.ROUND_CHANGE, slot, round_)
        proof = [claim, *[message for message, _ in seen]]
        content = self._content(QBFTMessageType.PROPOSAL, slot, round_, value)
        return self._sign(
            replace(content, round_change_justification=_encode(proof[:13]), prepare_justification=_encode(prepares)),
            value,
        )

    def _false_prepares(self, slot: Slot, round_: Round, value: bytes) -> list[SignedSSVMessage]:
        """A quorum of prepares in number, but not in truth."""
        own = self._sign(self._content(QBFTMessageType.PREPARE, slot, round_, value))
        which = int(self._rng.random() * 4)
        if which == 0:
            return [own] * self._quorum
        if which == 1:
            others = [OperatorId(i) for i in range(1, self._size + 1) if i != self._id]
            return [own, *[replace(own, operator_ids=(i,)) for i in others[: self._quorum - 1]]]
        if which == 2:
            seen = self._messages_of(QBFTMessageType.PREPARE, slot, round_)
            return [own, *[message for message, _ in seen]][:13]
        return [own]

    def _claim(
        self, slot: Slot, round_: Round, prepared: Round, value: bytes, prepares: Sequence[SignedSSVMessage]
    ) -> SignedSSVMessage:
        content = self._content(QBFTMessageType.ROUND_CHANGE, slot, round_, value)
        content = replace(content, data_round=prepared, round_change_justification=_encode(prepares))
        return self._sign(content, value)

    def _false_round_change(self, slot: Slot, round_: Round) -> SignedSSVMessage:
        value = self._value(slot)
        prepared = Round(max(1, round_ - self._rng.choice((0, 1, 1, -1))))
        return self._claim(slot, Round(round_ + 1), prepared, value, self._false_prepares(slot, prepared, value))

    def _early_round_change(self, slot: Slot, round_: Round) -> SignedSSVMessage:
        content = self._content(QBFTMessageType.ROUND_CHANGE, slot, Round(min(12, round_ + 2)), b"")
        return self._sign(replace(content, root=Root(bytes(32))))

    def _false_decision(self, slot: Slot, round_: Round) -> SignedSSVMessage | None:
        """A decided message with too few, repeated or false signatures, or with another value than was committed to."""
        seen = self._messages_of(QBFTMessageType.COMMIT, slot, round_)
        value = self._value(slot)
        rng = self._rng
        if seen and rng.random() < 0.5:
            root = seen[0][1].root
            same = [message for message, content in seen if content.root == root][: self._quorum]
            signers = [message.operator_ids[0] for message in same]
            signatures = [message.signatures[0] for message in same]
            inner = same[0].ssv_message
            if self._id not in signers:
                signers.append(self._id)
                signatures.append(self._keys.sign(inner.encode()))
        else:
            own = self._commit(slot, round_)
            inner, signers, signatures = own.ssv_message, [self._id], [own.signatures[0]]
        for other in range(1, self._size + 1):
            if len(signers) >= self._quorum:
                break
            if rng.random() < 0.3:
                signers.append(self._id)
            elif OperatorId(other) not in signers:
                signers.append(OperatorId(other))
            else:
                continue
            signatures.append(self._keys.sign(inner.encode()))
        pairs = sorted(zip(signers, signatures, strict=True))
        return SignedSSVMessage(
            tuple([signature for _, signature in pairs]), tuple([signer for signer, _ in pairs]), inner, value
        )


def _encode(messages: Sequence[SignedSSVMessage]) -> tuple[bytes, ...]:
    return tuple([message.without_full_data().encode() for message in messages])

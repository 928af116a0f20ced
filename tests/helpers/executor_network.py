"""Operators' committee or validator objects in memory, with their beacon nodes, on a virtual clock.

As ``committee_network``, for duties of every role; all messages arrive, a little later.
"""

import heapq
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from committee_network import GENESIS, FakeSigner

from ssv_pool.protocol.events import (
    ArmTimer,
    AskBeacon,
    BeaconReply,
    Broadcast,
    DutyEnded,
    DutyRecord,
    Effect,
    Event,
    MessageReceived,
    Rejected,
    StartEvent,
    TimerFired,
)
from ssv_pool.protocol.executor import DutyExecutor
from ssv_pool.protocol.types import schema
from ssv_pool.protocol.types.beacon_schemas import block_schemas
from ssv_pool.protocol.types.blocks import DecodedBlock, decode_block
from ssv_pool.protocol.types.messages import SignedSSVMessage
from ssv_pool.protocol.types.versions import DataVersion

LATENCY = 0.01
"""Seconds a message takes, and a beacon node for an answer."""


@dataclass
class Operator:
    """One operator and everything it put out."""

    operator_id: int
    executor: DutyExecutor
    signer: FakeSigner
    sent: list[SignedSSVMessage] = field(default_factory=list)
    submissions: list[Any] = field(default_factory=list)
    records: list[DutyRecord] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    asked: list[AskBeacon] = field(default_factory=list)


Beacon = Callable[[Operator, AskBeacon], BeaconReply | None]
"""What an operator's beacon node answers; None: nothing ever."""


class ExecutorNetwork:
    """Operators, their beacon nodes and the network between them."""

    def __init__(
        self, make: Callable[[int, FakeSigner], DutyExecutor], beacon: Beacon, ids: Sequence[int] = (1, 2, 3, 4)
    ) -> None:
        """Make the operators with ``make(operator id, its signer)``."""
        signers = {operator_id: FakeSigner() for operator_id in ids}
        self.operators = [Operator(i, make(i, signer), signer) for i, signer in signers.items()]
        self.beacon = beacon
        self.now = GENESIS
        self.forge: Callable[[Operator, SignedSSVMessage], SignedSSVMessage | None] = lambda sender, message: message
        """What is sent in place of an operator's message; None: nothing."""
        self.hold: Callable[[Operator, SignedSSVMessage], float] = lambda sender, message: 0.0
        """Seconds by which an operator's message is late."""
        self._queue: list[tuple[float, int, Callable[[], object]]] = []
        self._sequence = itertools.count()

    def at(self, time: float, action: Callable[[], object]) -> None:
        """Do something at a time."""
        heapq.heappush(self._queue, (max(time, self.now), next(self._sequence), action))

    def start(self, event: StartEvent, delays: Sequence[float] = (0, 0, 0, 0)) -> None:
        """Begin a duty at every operator, each a little later."""
        for operator, delay in zip(self.operators, delays, strict=True):
            self.at(event.due + delay, partial(self.handle, operator, event))

    def handle(self, operator: Operator, event: Event) -> list[Effect]:
        """Give an operator an event now, and do what it wants done."""
        effects = operator.executor.handle(event, self.now)
        for effect in effects:
            self.perform(operator, effect)
        return effects

    def perform(self, operator: Operator, effect: Effect) -> None:
        """Do one thing that an operator wants done."""
        match effect:
            case Broadcast(message=message):
                operator.sent.append(message)
                self.publish(operator, message)
            case ArmTimer(timer=timer, at=at):
                self.at(at, partial(self.handle, operator, TimerFired(timer)))
            case AskBeacon():
                operator.asked.append(effect)
                reply = self.beacon(operator, effect)
                if reply is not None:
                    self.at(self.now + LATENCY, partial(self.handle, operator, reply))
            case DutyEnded(record=record):
                operator.records.append(record)
            case Rejected():
                operator.rejected.append(effect)
            case _:
                operator.submissions.append(effect)

    def publish(self, sender: Operator, message: SignedSSVMessage) -> None:
        """Send a message to all other operators."""
        forged = self.forge(sender, message)
        if forged is None:
            return
        event = MessageReceived(forged, verified=False)
        for receiver in self.operators:
            if receiver is not sender:
                self.at(self.now + LATENCY + self.hold(sender, message), partial(self.handle, receiver, event))

    def run(self, until: float | None = None) -> None:
        """Let time pass until nothing is scheduled any more, or until a time."""
        while self._queue and (until is None or self._queue[0][0] <= until):
            self.now, _, action = heapq.heappop(self._queue)
            action()


def zero(kind: Any) -> Any:
    """The smallest value of an SSZ type of a block."""
    match kind:
        case schema.Uint():
            return 0
        case schema.Bytes() | schema.Bitvector():
            return bytes(kind.size)
        case schema.ByteList():
            return b""
        case schema.Bitlist():
            return b"\x01"
        case schema.Container():
            return kind.record(*(zero(field) for field in kind.fields.values()))
        case schema.Vector():
            return tuple(zero(kind.item) for _ in range(kind.count))
        case _:
            return ()


def empty_block(slot: int, version: DataVersion = DataVersion.DENEB, proposer: int = 1) -> DecodedBlock:
    """A full block (with contents from Deneb on) in which nothing happens."""
    schemas = block_schemas(version)
    block = zero(schemas.full)._replace(slot=slot, proposer_index=proposer)
    if schemas.contents is None:
        return decode_block(version, schemas.full.encode(block))
    return decode_block(version, schemas.contents.encode(zero(schemas.contents)._replace(block=block)))

"""What an instance is given from outside: who it is, how it signs, which values it accepts, where its output goes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Protocol

from ssv_pool.protocol.ports import OperatorKeys
from ssv_pool.protocol.types.errors import ErrorCode, ProtocolError
from ssv_pool.protocol.types.messages import SignedSSVMessage
from ssv_pool.protocol.types.primitives import MessageId, OperatorId, Round, Slot
from ssv_pool.protocol.types.share import CommitteeMember

FIRST_ROUND = Round(1)
"""Every instance starts in this round."""

NO_ROUND = Round(0)
"""Stands for "never prepared"."""

FIRST_HEIGHT = Slot(0)
"""The height of a controller that has not started anything."""

CUTOFF_ROUND = Round(12)
"""On reaching this round an instance stops working; a decided message still decides it (client; spec tests use 15)."""

MAX_REMEMBERED_SIGNATURES = 2048
"""How many signature checks of justifications a duty remembers; more than thirteen operators can need in one round."""

LeaderFunction = Callable[[Slot, Round], OperatorId]
"""The leader of (height, round)."""

ValueCheck = Callable[[bytes], None]
"""Raises ProtocolError for a value that this operator will not agree to."""


class Output(Protocol):
    """Takes what an instance wants done."""

    def broadcast(self, message: SignedSSVMessage) -> None:
        """Send a message to the committee."""
        ...

    def arm_round_timer(self, height: Slot, round_: Round) -> None:
        """(Re)start the timer of an instance for a round; it replaces the one before."""
        ...


@dataclass(slots=True)
class Context:
    """One duty executor's setting, shared by its controller and instances."""

    member: CommitteeMember
    """This operator in its committee."""
    identifier: MessageId
    """The message id of all its messages, 56 bytes."""
    keys: OperatorKeys
    """Signs its messages and checks those embedded in others."""
    leader: LeaderFunction
    """Leader of (height, round) under the duty's fork."""
    check_value: ValueCheck
    """The runner's value check."""
    output: Output
    """Where messages and timers go."""
    cutoff_round: Round = CUTOFF_ROUND
    """First round in which an instance does nothing any more."""
    _operators: dict[OperatorId, bytes] = field(init=False, repr=False)
    _verified: set[bytes] = field(init=False, repr=False, default_factory=set)

    def __post_init__(self) -> None:
        """Index the committee's public keys by operator."""
        self._operators = {operator.operator_id: operator.pubkey for operator in self.member.committee}

    @property
    def quorum(self) -> int:
        """How many operators decide: 2f + 1."""
        return self.member.quorum

    @property
    def partial_quorum(self) -> int:
        """One more than can be faulty: f + 1."""
        return self.member.partial_quorum

    def in_committee(self, operator_ids: tuple[OperatorId, ...]) -> bool:
        """Whether all of them are members."""
        return all(operator_id in self._operators for operator_id in operator_ids)

    def verify(self, message: SignedSSVMessage) -> None:
        """Check every signer's RSA signature.

        The same round changes and prepares come embedded in many messages, so checks that passed are remembered.

        Raises:
            ProtocolError: MESSAGE_SIGNATURE_INVALID, also for a signer outside the committee.
        """
        encoded = message.ssv_message.encode()
        for operator_id, signature in zip(message.operator_ids, message.signatures, strict=True):
            known = sha256(operator_id.to_bytes(8, "little") + signature + encoded).digest()
            if known in self._verified:
                continue
            public_key = self._operators.get(operator_id)
            if public_key is None or not self.keys.verify(public_key, encoded, signature):
                raise ProtocolError(
                    f"the signature of operator {operator_id} does not verify",
                    ErrorCode.MESSAGE_SIGNATURE_INVALID,
                )
            if len(self._verified) >= MAX_REMEMBERED_SIGNATURES:
                self._verified.clear()
            self._verified.add(known)

"""What was prepared, and what proves the next proposal: the choices that the rules leave to whoever follows them.

A proposal after round 1 brings a quorum of round changes, and each of them that claims a prepared value has to claim
the proposal's. So operators that prepared different values, in different rounds, cannot stand in one proof. Which round
changes a leader takes, and whose proof of preparation an operator sends on, is for them to choose:

* Any quorum of round changes will do. A value that was decided was prepared by a quorum in one round, and nothing else
  can have been prepared after it; each quorum of round changes has an honest operator in common with that one, who says
  so. Hence a leader is free to leave out what does not fit.
* A prepared value with its prepares proves itself, whoever sends it. One round has at most one such value, and one of a
  later round shows that nothing else was decided before: so the later one may take the place of the earlier one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ssv_pool.protocol.qbft.containers import ProcessingMessage
from ssv_pool.protocol.qbft.state import InstanceState
from ssv_pool.protocol.types.primitives import Round


@dataclass(frozen=True, slots=True)
class Prepared:
    """A value that a quorum prepared."""

    round: Round
    """The round they did it in."""
    value: bytes
    """The value."""
    prepares: tuple[ProcessingMessage, ...]
    """Their prepares; none where the proof is not complete any more."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What a leader may propose, with the messages that prove it."""

    value: bytes
    """The value."""
    round_changes: tuple[ProcessingMessage, ...]
    """A quorum that asks for the round."""
    prepares_of: ProcessingMessage | None
    """The round change that brings the prepares of the value; None where nobody had prepared."""

    def prepares(self) -> tuple[ProcessingMessage, ...]:
        """The prepares of the value. Raises ProtocolError where one does not decode."""
        return () if self.prepares_of is None else self.prepares_of.round_changes()


def proofs(round_changes: Sequence[ProcessingMessage], own_value: bytes) -> Iterator[Proof]:
    """What may prove a proposal, the best first; whether it does is for ``check_justification`` to say.

    First, as the specification has it, all round changes with the value of each of them in turn, in order of arrival.
    Then those that fit one prepared value, the one prepared last first. Last those that prepared nothing.

    Args:
        round_changes: all that ask for the round.
        own_value: what to propose where nothing was prepared.
    """
    everything = tuple(round_changes)
    yield from (_proof(everything, message, own_value) for message in everything)
    prepared = [message for message in everything if message.is_prepared_round_change]
    if not prepared:
        return
    latest = sorted(prepared, key=lambda message: -message.content.data_round)
    yield from (_proof(_fitting(everything, message), message, own_value) for message in latest)
    yield Proof(own_value, tuple(message for message in everything if not message.is_prepared_round_change), None)


def _fitting(round_changes: Sequence[ProcessingMessage], best: ProcessingMessage) -> tuple[ProcessingMessage, ...]:
    """The round changes that can stand in one proof with ``best``."""
    root = best.content.root
    return tuple(other for other in round_changes if not other.is_prepared_round_change or other.content.root == root)


def _proof(round_changes: tuple[ProcessingMessage, ...], best: ProcessingMessage, own_value: bytes) -> Proof:
    """The proof of what ``best`` stands for."""
    value = best.signed.full_data if best.is_prepared_round_change else own_value
    return Proof(value, round_changes, best)


def later_prepared(state: InstanceState, adopted: Prepared | None, message: ProcessingMessage) -> Prepared | None:
    """What a valid round change shows to have been prepared later than what is known here; None if nothing.

    Who has prepared nothing fits every proof and keeps to that.
    """
    known = max(state.last_prepared_round, adopted.round if adopted is not None else 0)
    if state.last_prepared_value is None or message.content.data_round <= known:
        return None
    return Prepared(message.content.data_round, message.signed.full_data, message.round_changes())

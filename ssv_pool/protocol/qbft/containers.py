"""Messages as an instance keeps them: decoded once, by round, in the order they came."""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256

from ssv_pool.protocol.types.errors import ProtocolError
from ssv_pool.protocol.types.messages import QBFTMessage, SignedSSVMessage
from ssv_pool.protocol.types.primitives import OperatorId, Root, Round


def hash_value(value: bytes) -> Root:
    """The root that stands for a value in messages: its SHA-256, not an SSZ root."""
    return Root(sha256(value).digest())


class ProcessingMessage:
    """A signed message with its decoded QBFT content (spec: ProcessingMessage)."""

    __slots__ = ("_prepares", "_round_changes", "_validated", "content", "signed")

    def __init__(self, signed: SignedSSVMessage, content: QBFTMessage) -> None:
        self.signed = signed
        self.content = content
        self._round_changes: tuple[ProcessingMessage, ...] | None = None
        self._prepares: tuple[ProcessingMessage, ...] | None = None
        self._validated = False

    @classmethod
    def from_signed(cls, signed: SignedSSVMessage) -> "ProcessingMessage":
        """Decode the content.

        Raises:
            ProtocolError: it is no QBFT message (no code).
        """
        try:
            return cls(signed, QBFTMessage.decode(signed.ssv_message.data))
        except ProtocolError as error:
            raise ProtocolError(f"the message's data is no QBFT message: {error}") from None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ProcessingMessage):
            return NotImplemented
        return self.signed == other.signed

    def __hash__(self) -> int:
        return hash(self.signed)

    def __repr__(self) -> str:
        return f"ProcessingMessage({self.signed!r}, {self.content!r})"

    @property
    def signers(self) -> tuple[OperatorId, ...]:
        """Who signed it."""
        return self.signed.operator_ids

    @property
    def is_prepared_round_change(self) -> bool:
        """Whether it is a round change of an operator that had prepared a value."""
        return self.content.is_prepared_round_change

    def validate(self) -> None:
        """Check the envelope, then the content, once. Raises ProtocolError with the code of what is wrong."""
        if self._validated:
            return
        self.signed.validate()
        self.content.validate()
        self._validated = True

    def round_changes(self) -> "tuple[ProcessingMessage, ...]":
        """What is in the round change justification: a proposal's round changes, a round change's prepares.

        Raises:
            ProtocolError: one of them does not decode.
        """
        if self._round_changes is None:
            self._round_changes = _decode_all(self.content.round_change_justification)
        return self._round_changes

    def prepares(self) -> "tuple[ProcessingMessage, ...]":
        """A proposal's embedded prepares. Raises ProtocolError where one does not decode."""
        if self._prepares is None:
            self._prepares = _decode_all(self.content.prepare_justification)
        return self._prepares


def _decode_all(encoded: Sequence[bytes]) -> tuple[ProcessingMessage, ...]:
    return tuple(ProcessingMessage.from_signed(SignedSSVMessage.decode(raw)) for raw in encoded)


def distinct_signers(messages: Iterable[ProcessingMessage]) -> int:
    """How many different operators signed at least one of the messages: what every quorum is counted in."""
    return len({operator_id for message in messages for operator_id in message.signers})


class MessageContainer:
    """Messages of one type by round, each round's in order of arrival."""

    __slots__ = ("_by_round",)

    def __init__(self) -> None:
        self._by_round: dict[Round, list[ProcessingMessage]] = {}

    def __iter__(self) -> Iterator[ProcessingMessage]:
        for messages in self._by_round.values():
            yield from messages

    @property
    def rounds(self) -> tuple[Round, ...]:
        """The rounds that have messages, in the order of their first message."""
        return tuple(self._by_round)

    def of_round(self, round_: Round) -> Sequence[ProcessingMessage]:
        """The messages of a round."""
        return self._by_round.get(round_, ())

    def add_first(self, message: ProcessingMessage) -> bool:
        """Append unless its round has a message of the same set of signers; whether it was appended."""
        signers = set(message.signers)
        if any(
            len(stored.signers) == len(message.signers) and signers.issuperset(stored.signers)
            for stored in self.of_round(message.content.round)
        ):
            return False
        self.add(message)
        return True

    def add(self, message: ProcessingMessage) -> None:
        """Append whatever it is."""
        self._by_round.setdefault(message.content.round, []).append(message)

    def longest_unique_signers(
        self, round_: Round, root: Root
    ) -> tuple[tuple[OperatorId, ...], tuple[ProcessingMessage, ...]]:
        """The largest collection of messages for a root that share no signer, found greedily from each start.

        Returns:
            The signers and the messages; of equally large collections the one that starts first.
        """
        candidates = [message for message in self.of_round(round_) if message.content.root == root]
        best_signers: tuple[OperatorId, ...] = ()
        best_messages: tuple[ProcessingMessage, ...] = ()
        for start in range(len(candidates)):
            signers: list[OperatorId] = []
            messages: list[ProcessingMessage] = []
            for message in candidates[start:]:
                if not any(operator_id in signers for operator_id in message.signers):
                    signers.extend(message.signers)
                    messages.append(message)
            if len(signers) > len(best_signers):
                best_signers, best_messages = tuple(signers), tuple(messages)
        return best_signers, best_messages

"""The gossip validation itself: a function of message, registry, what was seen before, and time.

The rules run in the order of PROTOCOL 4.6. RSA signatures come last, after every rule that costs less, and only what
keeps all rules is remembered. The data is decoded once; what was decoded goes on with the verdict.
"""

from ssv_pool.protocol.chain import BeaconChain
from ssv_pool.protocol.forks import ForkSchedule, ProtocolFork
from ssv_pool.protocol.ports import OperatorKeys
from ssv_pool.protocol.types.messages import QBFTMessage
from ssv_pool.protocol.types.partial import PartialSignatureMessages
from ssv_pool.protocol.types.roles import MsgType
from ssv_pool.protocol.validation.consensus import (
    check_consensus,
    check_consensus_in_time,
    decode_consensus,
    record_consensus,
)
from ssv_pool.protocol.validation.envelope import Envelope, check_envelope, decode_envelope
from ssv_pool.protocol.validation.partial import (
    check_partials,
    check_partials_in_time,
    decode_partials,
    record_partials,
)
from ssv_pool.protocol.validation.rules import Accepted, Refused, Rule, RuleBrokenError
from ssv_pool.protocol.validation.state import SeenState
from ssv_pool.protocol.validation.view import RegistryView


class Validator:
    """Judges gossip messages. Not for use by several threads at once."""

    def __init__(
        self,
        view: RegistryView,
        forks: ForkSchedule | ProtocolFork,
        chain: BeaconChain,
        keys: OperatorKeys,
        own_sender: bytes | None = None,
        state: SeenState | None = None,
    ) -> None:
        """Make a validator.

        Args:
            view: the registry; asked anew for each message.
            forks: the SSV network's forks, or its only one.
            chain: the beacon chain's clock.
            keys: checks the RSA signatures.
            own_sender: this node's own peer id; its messages are decoded and accepted without any other rule.
            state: memory of what was seen, to limit it otherwise than usual.
        """
        self._view = view
        self._forks = ForkSchedule(forks) if isinstance(forks, ProtocolFork) else forks
        self._chain = chain
        self._keys = keys
        self._own_sender = own_sender
        self._state = SeenState() if state is None else state

    @property
    def state(self) -> SeenState:
        """What was seen."""
        return self._state

    def validate(self, sender: bytes, topic: str, raw: bytes, now: float) -> Accepted | Refused:
        """Judge one message.

        Args:
            sender: peer id of the peer that passed it on (not of the one that made it).
            topic: name of the topic it came on.
            raw: the message's data.
            now: seconds since the UNIX epoch.

        Returns:
            The decoded message, or the first rule that it breaks. Nothing is raised for any ``raw``.
        """
        try:
            return self._validate(sender, topic, raw, now)
        except RuleBrokenError as broken:
            return Refused(broken.rule, broken.detail)

    def _validate(self, sender: bytes, topic: str, raw: bytes, now: float) -> Accepted:
        fork = self._forks.at_epoch(self._chain.epoch_at(now))
        message = decode_envelope(raw)
        if self._own_sender is not None and sender == self._own_sender:
            if message.ssv_message.msg_type == MsgType.PARTIAL_SIGNATURE:
                return Accepted(message, decode_partials(message, fork))
            return Accepted(message, decode_consensus(message))
        envelope = check_envelope(message, topic, fork, self._view)
        if message.ssv_message.msg_type == MsgType.CONSENSUS:
            return Accepted(message, self._consensus(envelope, sender, fork, now))
        return Accepted(message, self._partials(envelope, sender, fork, now))

    def _consensus(self, envelope: Envelope, sender: bytes, fork: ProtocolFork, now: float) -> QBFTMessage:
        content = decode_consensus(envelope.message)
        check_consensus(envelope, content, fork)
        check_consensus_in_time(envelope, content, sender, self._state, self._chain, now)
        self._check_signatures(envelope, Rule.CONSENSUS_SIGNATURE)
        record_consensus(envelope, content, sender, self._state)
        return content

    def _partials(self, envelope: Envelope, sender: bytes, fork: ProtocolFork, now: float) -> PartialSignatureMessages:
        content = decode_partials(envelope.message, fork)
        check_partials(envelope, content)
        check_partials_in_time(envelope, content, sender, self._state, self._chain, now)
        self._check_signatures(envelope, Rule.PARTIAL_SIGNATURE)
        record_partials(envelope, content, sender, self._state)
        return content

    def _check_signatures(self, envelope: Envelope, rule: Rule) -> None:
        message = envelope.message
        signed = message.ssv_message.encode()
        for signer, public_key, signature in zip(
            message.operator_ids, envelope.public_keys, message.signatures, strict=True
        ):
            if not self._keys.verify(public_key, signed, signature):
                raise RuleBrokenError(rule, f"the signature of operator {signer} is not valid")

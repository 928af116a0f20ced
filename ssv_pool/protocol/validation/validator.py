"""The gossip validation itself: a function of message, registry, what was seen before, and time.

The rules run in the order of PROTOCOL 4.6. RSA signatures come last, after every rule that costs less, and only what
keeps all rules is remembered. The data is decoded once; what was decoded goes on with the verdict.
"""

from ssv_pool.protocol.chain import BeaconChain
from ssv_pool.protocol.forks import ForkSchedule, ProtocolFork
from ssv_pool.protocol.ports import OperatorKeys
from ssv_pool.protocol.types.messages import QBFTMessage
from ssv_pool.protocol.types.partial import PartialSignatureMessages
from ssv_pool.protocol.types.primitives import Slot
from ssv_pool.protocol.types.roles import MsgType
from ssv_pool.protocol.validation.consensus import (
    check_consensus,
    check_consensus_in_time,
    decode_consensus,
    record_consensus,
)
from ssv_pool.protocol.validation.envelope import Envelope, check_envelope, decode_envelope, fork_of
from ssv_pool.protocol.validation.moment import Moment
from ssv_pool.protocol.validation.partial import (
    check_partials,
    check_partials_in_time,
    decode_partials,
    record_partials,
)
from ssv_pool.protocol.validation.rules import Accepted, Refused, Rule, RuleBrokenError
from ssv_pool.protocol.validation.state import MAX_RECORDS, SeenState
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
        # All peers are one here, which may fill it alone.
        self._shared = SeenState(max_records_per_peer=MAX_RECORDS)

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
        chain = self._chain
        slot = chain.slot_at(now)
        forks = self._forks.acceptable_at(slot, chain.slots_per_epoch)
        message = decode_envelope(raw)
        inner = message.ssv_message
        if self._own_sender is not None and sender == self._own_sender:
            if inner.msg_type == MsgType.PARTIAL_SIGNATURE:
                return Accepted(message, decode_partials(message, fork_of(inner.msg_id, forks)))
            return Accepted(message, decode_consensus(message))
        envelope = check_envelope(message, topic, forks, self._view, chain.epoch_of(slot))
        # Boole looks at all peers together as well.
        shared = self._shared if envelope.fork is self._forks.boole else None
        moment = Moment(sender, self._state, shared, self._view, chain, now)
        if inner.msg_type == MsgType.CONSENSUS:
            return Accepted(message, self._consensus(envelope, moment))
        return Accepted(message, self._partials(envelope, moment))

    def _consensus(self, envelope: Envelope, moment: Moment) -> QBFTMessage:
        content = decode_consensus(envelope.message)
        self._check_fork(envelope, content.height)
        check_consensus(envelope, content)
        check_consensus_in_time(envelope, content, moment)
        self._check_signatures(envelope, Rule.CONSENSUS_SIGNATURE)
        record_consensus(envelope, content, moment)
        return content

    def _partials(self, envelope: Envelope, moment: Moment) -> PartialSignatureMessages:
        content = decode_partials(envelope.message, envelope.fork)
        self._check_fork(envelope, content.slot)
        check_partials(envelope, content)
        check_partials_in_time(envelope, content, moment)
        self._check_signatures(envelope, Rule.PARTIAL_SIGNATURE)
        record_partials(envelope, content, moment)
        return content

    def _check_fork(self, envelope: Envelope, slot: Slot) -> None:
        """Whether the fork that the domain named, by which role, limits and topic were judged, is that of the slot."""
        expected = self._forks.at_slot(slot, self._chain.slots_per_epoch)
        if envelope.fork is not expected:
            raise RuleBrokenError(
                Rule.WRONG_FORK, f"domain is that of {envelope.fork.name}, expected {expected.name} at slot {slot}"
            )

    def _check_signatures(self, envelope: Envelope, rule: Rule) -> None:
        message = envelope.message
        signed = message.ssv_message.encode()
        for signer, public_key, signature in zip(
            message.operator_ids, envelope.public_keys, message.signatures, strict=True
        ):
            if not self._keys.verify(public_key, signed, signature):
                raise RuleBrokenError(rule, f"the signature of operator {signer} is not valid")

"""The controller: one duty executor's instances by height, and the decided messages that overrule them."""

from ssv_pool.protocol.qbft.containers import ProcessingMessage
from ssv_pool.protocol.qbft.context import FIRST_HEIGHT, Context
from ssv_pool.protocol.qbft.instance import Instance
from ssv_pool.protocol.qbft.justification import check_decided
from ssv_pool.protocol.types.errors import ErrorCode, ProtocolError
from ssv_pool.protocol.types.messages import SignedSSVMessage
from ssv_pool.protocol.types.primitives import Round, Slot
from ssv_pool.protocol.types.roles import QBFTMessageType


class Controller:
    """Starts instances, gives each message to its instance, and takes decided messages in any state."""

    __slots__ = ("_capacity", "context", "height", "instances")

    def __init__(self, context: Context, capacity: int | None = None) -> None:
        """Make a controller without instances.

        Args:
            context: the executor's setting.
            capacity: how many instances to keep, those of the greatest heights; None: all (as the spec tests expect).
        """
        self.context = context
        self.height = FIRST_HEIGHT
        self.instances: list[Instance] = []
        self._capacity = capacity

    def instance(self, height: Slot) -> Instance | None:
        """The stored instance of a height."""
        return next((instance for instance in self.instances if instance.state.height == height), None)

    def start(self, height: Slot, value: bytes) -> Instance:
        """Start deciding about ``height`` with the own value; instances of other heights stop.

        Raises:
            ProtocolError: the value check's code; START_INSTANCE, the height has passed; INSTANCE_ALREADY_RUNNING.
        """
        self.context.check_value(value)
        if height < self.height:
            raise ProtocolError(
                f"cannot start height {height}: the controller is at {self.height}", ErrorCode.START_INSTANCE
            )
        if self.instance(height) is not None:
            raise ProtocolError(f"an instance of height {height} exists already", ErrorCode.INSTANCE_ALREADY_RUNNING)
        self.height = height
        instance = Instance(self.context, height)
        self._store(instance)
        instance.start(value)
        for other in self.instances:
            if other.state.height != height:
                other.force_stop()
        return instance

    def process(self, signed: SignedSSVMessage) -> SignedSSVMessage | None:
        """Take one message whose signatures are verified; decodes it first. See ``process_decoded``."""
        return self.process_decoded(ProcessingMessage.from_signed(signed))

    def process_decoded(self, message: ProcessingMessage) -> SignedSSVMessage | None:
        """Take one message whose signatures are verified.

        Returns:
            The decided message if this message newly decided its height.

        Raises:
            ProtocolError: it was refused; FUTURE_MESSAGE where it comes before its instance was started.
        """
        content = message.content
        if content.identifier != self.context.identifier:
            raise ProtocolError(
                f"identifier 0x{content.identifier.hex()}, expected 0x{self.context.identifier.hex()}",
                ErrorCode.MESSAGE_IDENTIFIER_INVALID,
            )
        if content.msg_type == QBFTMessageType.COMMIT and len(message.signers) >= self.context.quorum:
            return self._on_decided(message)
        instance = self.instance(content.height)
        idle = self.height == FIRST_HEIGHT and self.instance(FIRST_HEIGHT) is None
        if idle or content.height > self.height:
            raise ProtocolError(
                f"height {content.height} has not begun; the controller is at {self.height}", ErrorCode.FUTURE_MESSAGE
            )
        if instance is None:
            raise ProtocolError(f"no instance of height {content.height}")
        if instance.state.decided:
            raise ProtocolError(
                f"height {content.height} is decided",
                ErrorCode.SKIP_CONSENSUS_MESSAGE_AS_INSTANCE_IS_DECIDED,
            )
        decided = instance.process(message)
        if decided is not None:
            self.context.output.broadcast(decided)
        return decided

    def time_out(self, height: Slot, round_: Round) -> None:
        """A round's timer ran out; nothing happens unless that instance is still in this round and undecided.

        Raises:
            ProtocolError: TIMEOUT_INSTANCE, the instance has stopped.
        """
        instance = self.instance(height)
        if instance is None or instance.state.decided or round_ != instance.state.round:
            return
        instance.time_out()

    def _on_decided(self, message: ProcessingMessage) -> SignedSSVMessage | None:
        content = message.content
        check_decided(self.context, message, content.height)
        instance = self.instance(content.height)
        if instance is None:
            instance = Instance(self.context, content.height)
            self._store(instance)
        newly_decided = not instance.state.decided
        if newly_decided:
            instance.state.commits.add(message)
            instance.decide(message.signed.full_data, content.round)
        else:
            signers, _ = instance.state.commits.longest_unique_signers(content.round, content.root)
            if len(message.signers) > len(signers):
                instance.state.commits.add(message)
        self.height = max(self.height, content.height)
        return message.signed if newly_decided else None

    def _store(self, instance: Instance) -> None:
        self.instances.append(instance)
        self.instances.sort(key=lambda stored: stored.state.height, reverse=True)
        if self._capacity is not None:
            del self.instances[self._capacity :]

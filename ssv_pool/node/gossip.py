"""Between the network and the rules of gossip validation: counts verdicts, and ignores all until the chain is known."""

import time
from collections.abc import Callable

from ssv_pool.network import GossipMessage, Judgement
from ssv_pool.network import Verdict as NetworkVerdict
from ssv_pool.node.duty_book import DutyBook
from ssv_pool.node.registry import RegistryState
from ssv_pool.observability import metrics
from ssv_pool.observability.logs import logger
from ssv_pool.protocol.chain import BeaconChain
from ssv_pool.protocol.forks import ForkSchedule
from ssv_pool.protocol.ports import OperatorKeys
from ssv_pool.protocol.types.messages import SignedSSVMessage
from ssv_pool.protocol.types.primitives import CommitteeId, Epoch, OperatorId, PublicKey, Slot, ValidatorIndex
from ssv_pool.protocol.validation import Accepted, CommitteeView, Validator, ValidatorView
from ssv_pool.protocol.validation import Verdict as RuleVerdict

log = logger("node.gossip")

_VERDICTS = {RuleVerdict.IGNORE: NetworkVerdict.IGNORE, RuleVerdict.REJECT: NetworkVerdict.REJECT}


class Gossip:
    """Judges the network's messages by the present registry."""

    def __init__(self, forks: ForkSchedule, keys: OperatorKeys, clock: Callable[[], float] = time.time) -> None:
        self._forks = forks
        self._keys = keys
        self._clock = clock
        self._registry = RegistryState()
        self._chain: BeaconChain | None = None
        self._validator: Validator | None = None
        self.duties = DutyBook()
        """Who proposes and who is in the sync committee, told by whoever fetches these duties."""

    def follow(self, forks: ForkSchedule) -> None:
        """Judge by these forks from the next `update` on."""
        self._forks = forks
        self._chain = None

    def update(self, registry: RegistryState, chain: BeaconChain) -> None:
        """Judge by this registry and chain from now on. What was seen before is kept."""
        self._registry = registry
        if self._validator is None or chain != self._chain:
            seen = None if self._validator is None else self._validator.state
            self._validator = Validator(self, self._forks, chain, self._keys, state=seen)
            self._chain = chain

    def judge(self, sender: bytes, topic: str, data: bytes) -> Judgement:
        """The network's question about one message."""
        if self._validator is None:
            metrics.MESSAGE_VALIDATIONS.labels("ignore", "chain_not_known_yet").inc()
            return Judgement(NetworkVerdict.IGNORE)
        result = self._validator.validate(sender, topic, data, self._clock())
        if isinstance(result, Accepted):
            metrics.MESSAGE_VALIDATIONS.labels("accept", "").inc()
            return Judgement(NetworkVerdict.ACCEPT, result)
        verdict = _VERDICTS[result.verdict]
        metrics.MESSAGE_VALIDATIONS.labels(verdict.value, result.rule.name.lower()).inc()
        log.debug("gossip refused", verdict=verdict.value, rule=result.rule.name.lower(), detail=result.detail)
        return Judgement(verdict, blames_peer=verdict is not NetworkVerdict.REJECT or result.rule.blames_peer)

    # RegistryView, asked for each message: the registry may have changed since the last one.

    def committee(self, committee_id: CommitteeId) -> CommitteeView | None:
        """The committee with this id; None when there is none."""
        return self._registry.committee(committee_id)

    def operator_key(self, operator_id: OperatorId) -> bytes | None:
        """An operator's PEM; None when there is none."""
        return self._registry.operator_key(operator_id)

    def validator(self, public_key: PublicKey) -> ValidatorView | None:
        """The validator with this key; None when there is none."""
        return self._registry.validator(public_key)

    def proposes(self, index: ValidatorIndex, slot: Slot) -> bool | None:
        """Whether the validator proposes in ``slot``; None when that is not known."""
        return None if self._chain is None else self.duties.proposes(index, slot, self._chain.epoch_of(slot))

    def in_sync_committee(self, index: ValidatorIndex, epoch: Epoch) -> bool | None:
        """Whether the validator is in the sync committee; None when that is not known."""
        return self.duties.in_sync_committee(index, epoch)

    def exits(self, public_key: PublicKey, slot: Slot) -> int | None:
        """How many exits of the validator fall on ``slot``."""
        return self._registry.exits(public_key, slot)


def slot_of(message: SignedSSVMessage) -> Slot:
    """The slot of an own message's duty; it stands at the same place in either kind of message."""
    return Slot(int.from_bytes(message.ssv_message.data[8:16], "little"))


def accepted_of(message: GossipMessage) -> Accepted:
    """What the validation decoded. Raises TypeError for a message that was not accepted here."""
    if not isinstance(message.decoded, Accepted):
        raise TypeError(f"message decoded as {type(message.decoded).__name__}, expected Accepted")
    return message.decoded

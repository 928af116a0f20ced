"""What all gates for objects from outside share: verdicts, the record, and who is told of an accepted object."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ssv_pool.devnet.beacon.chain import Chain
from ssv_pool.devnet.beacon.record import ObjectKind, ObjectRecord, RecordEntry

ACCEPTED = "accepted"
DUPLICATE = "duplicate"
COVERED = "covered"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one object."""

    text: str
    """``accepted``, ``duplicate`` (this very object is known), ``covered`` (valid, but one that says at least as much
    is known), ``ignored: …`` or ``rejected: …``."""

    @property
    def failed(self) -> bool:
        """Whether the sender is to be told of a failure."""
        return self.text not in (ACCEPTED, DUPLICATE, COVERED)


_SIGNS_OF_LIFE = frozenset({ObjectKind.BLOCK, ObjectKind.SYNC_MESSAGE, ObjectKind.CONTRIBUTION, ObjectKind.AGGREGATE})

Listener = Callable[[ObjectKind, Any], None]
"""Called with each accepted object, an SSZ object of the specification, as it came in."""


class Intake:
    """The common part of the gates of one node."""

    def __init__(self, chain: Chain, record: ObjectRecord) -> None:
        self.chain = chain
        self.spec: Any = chain.spec
        self.listeners: list[Listener] = []
        """Whoever wants to know of accepted objects (to pass them on, for example)."""
        self._record = record
        self._live: set[tuple[int, int]] = set()

    def judge(self, check: Callable[[], None]) -> Verdict:
        """Run gossip rules; a verdict instead of the specification's exceptions."""
        try:
            check()
        except self.spec.GossipIgnore as error:
            return Verdict(f"ignored: {error}")
        except self.spec.GossipReject as error:
            return Verdict(f"rejected: {error}")
        return Verdict(ACCEPTED)

    def check_slot(self, slot: Any) -> None:
        """Raise GossipIgnore for a slot that is far ahead; what is near is left to the rules."""
        if self.chain.far_ahead(slot):
            raise self.spec.GossipIgnore("slot is far in the future")

    def note(
        self, kind: ObjectKind, verdict: Verdict, value: Any, validator: int, slot: int, details: Mapping[str, Any]
    ) -> Verdict:
        """Record a validly signed object and, if it was accepted, tell the listeners; returns the verdict."""
        received = self.chain.clock.now()
        self._record.write([RecordEntry(kind, validator, slot, received, verdict.text, details)])
        if verdict.text == ACCEPTED and kind in _SIGNS_OF_LIFE:
            self._live.add((validator, slot // self.chain.clock.slots_per_epoch))
        self.announce(kind, verdict, value)
        return verdict

    def is_live(self, validator: int, epoch: int) -> bool:
        """Whether a block, sync message, contribution or aggregate of the validator for ``epoch`` was taken in."""
        return (validator, epoch) in self._live

    def prune(self, first_epoch: int) -> None:
        """Forget who was live in epochs before ``first_epoch``."""
        self._live = {entry for entry in self._live if entry[1] >= first_epoch}

    def write(self, entries: list[RecordEntry]) -> None:
        """Record many objects at once."""
        self._record.write(entries)

    def announce(self, kind: ObjectKind, verdict: Verdict, value: Any) -> None:
        """Tell the listeners of ``value`` if its verdict is ``accepted``."""
        if verdict.text == ACCEPTED:
            for listener in self.listeners:
                listener(kind, value)

    def signed_by(self, validator: int, message: bytes, signature: bytes) -> bool:
        """Whether validator ``validator`` signed the 32-byte signing root ``message``; an unknown one did not."""
        columns = self.chain.fast.columns.of(self.chain.current_state())
        if not 0 <= validator < len(columns):
            return False
        return bool(self.spec.bls.Verify(columns.pubkeys[validator], message, signature))


def hex_root(raw: Any) -> str:
    """``0x`` hex of a root."""
    return "0x" + bytes(raw).hex()

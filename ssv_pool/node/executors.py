"""A committee and its validators as one thing that takes events: what runs on the cores' thread.

The committee's object does its attestations, sync committee messages and, in Boole, its aggregations; a validator's
object its blocks, registrations and exits and, in Alan, its aggregations. Validators' objects are made at first use,
and forgotten when the registry has the validator no more.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ssv_pool.node.registry import OwnCommittee
from ssv_pool.protocol.chain import BeaconChain
from ssv_pool.protocol.events import Effect, Event
from ssv_pool.protocol.types.primitives import PublicKey, ValidatorIndex
from ssv_pool.protocol.types.share import CommitteeMember, Share


class Core(Protocol):
    """What is asked of either object (`ssv_pool.protocol.executor.DutyExecutor`)."""

    @property
    def runners(self) -> Mapping[Any, object]:
        """The duties that run."""
        ...

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Take one event at ``now``, seconds since the UNIX epoch."""
        ...


class CommitteeCore(Core, Protocol):
    """What is asked of a committee (`ssv_pool.protocol.committee.Committee`)."""

    def update(
        self, member: CommitteeMember, shares: Mapping[ValidatorIndex, Share], chain: BeaconChain | None = None
    ) -> list[Effect]:
        """The registry or the beacon chain's constants changed."""
        ...


class ValidatorCore(Core, Protocol):
    """What is asked of a validator (`ssv_pool.protocol.validator.Validator`)."""

    share: Share

    def update(self, member: CommitteeMember, share: Share, chain: BeaconChain | None = None) -> list[Effect]:
        """The registry or the beacon chain's constants changed."""
        ...

    def leave(self) -> list[Effect]:
        """The registry has the validator no more: its duties end."""
        ...


class Cores(Protocol):
    """Makes the objects."""

    def committee(self, own: OwnCommittee, chain: BeaconChain) -> CommitteeCore:
        """The object of a committee."""
        ...

    def validator(self, member: CommitteeMember, share: Share, chain: BeaconChain) -> ValidatorCore:
        """The object of a validator."""
        ...


@dataclass(frozen=True, slots=True)
class Work:
    """An event and whose it is."""

    validator: PublicKey | None
    """The validator, 48 bytes; None: the committee."""
    event: Event
    """What happened."""


@dataclass(frozen=True, slots=True)
class Deed:
    """An effect and whose it is."""

    validator: PublicKey | None
    """The validator, 48 bytes; None: the committee."""
    effect: Effect
    """What is to be done."""


class Executors:
    """One committee with its validators. Not reentrant; any one thread at a time may call it."""

    def __init__(self, own: OwnCommittee, chain: BeaconChain, cores: Cores) -> None:
        self._own = own
        self._chain = chain
        self._cores = cores
        self._shares = {share.validator_pubkey: share for share in own.shares.values()}
        self._committee = cores.committee(own, chain)
        self._validators: dict[PublicKey, ValidatorCore] = {}
        self.running = 0
        """How many duties run."""

    def handle(self, work: Work, now: float) -> list[Deed]:
        """Take one event at ``now``; one of a validator that is not run here does nothing."""
        core = self._committee if work.validator is None else self._validator(work.validator)
        if core is None:
            return []
        before = len(core.runners)
        try:
            return [Deed(work.validator, effect) for effect in core.handle(work.event, now)]
        finally:
            self.running += len(core.runners) - before

    def update(self, own: OwnCommittee, chain: BeaconChain) -> list[Deed]:
        """The registry or the beacon chain's constants changed: running duties go on without what is gone."""
        self._own, self._chain = own, chain
        self._shares = {share.validator_pubkey: share for share in own.shares.values()}
        deeds = [Deed(None, effect) for effect in self._committee.update(own.member, own.shares, chain)]
        for key, core in list(self._validators.items()):
            share = self._shares.get(key)
            if share is not None and _same(share, core.share):
                effects = core.update(own.member, share, chain)
            else:
                effects = core.leave()
                del self._validators[key]
            deeds += [Deed(key, effect) for effect in effects]
        self.running = len(self._committee.runners) + sum(len(core.runners) for core in self._validators.values())
        return deeds

    def _validator(self, key: PublicKey) -> ValidatorCore | None:
        core = self._validators.get(key)
        share = self._shares.get(key)
        if core is None and share is not None:
            core = self._validators[key] = self._cores.validator(self._own.member, share, self._chain)
        return core


def _same(share: Share, other: Share) -> bool:
    """Whether duties of one share can go on with the other: a validator may be registered again with new shares."""
    return (share.validator_index, share.share_pubkey, share.committee) == (
        other.validator_index,
        other.share_pubkey,
        other.committee,
    )

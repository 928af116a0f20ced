"""Duties of other operators' validators too, as far as gossip validation asks for them. Bounded."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping

from ssv_pool.protocol.types.primitives import Epoch, Slot, ValidatorIndex
from ssv_pool.store.duties import DutyBookContent

KEPT_EPOCHS = 8
"""Epochs whose proposers are kept; messages of proposers come three slots late at most."""

KEPT_PERIODS = 3
"""Sync committees that are kept: the present one, the one before, and the next."""


class DutyBook:
    """Who proposes and who is in the sync committee. What was never told is not known, which is not the same as no."""

    def __init__(self) -> None:
        self._proposers: OrderedDict[Epoch, Mapping[Slot, ValidatorIndex]] = OrderedDict()
        self._sync_committees: OrderedDict[tuple[Epoch, Epoch], frozenset[ValidatorIndex]] = OrderedDict()

    def take(self, content: DutyBookContent) -> None:
        """Note what the store knows."""
        for epoch, proposers in content.proposers.items():
            self.set_proposers(epoch, proposers)
        for committee in content.sync_committees:
            members = (member.validator_index for member in committee.members)
            self.set_sync_committee(committee.first, committee.last, members)

    def set_proposers(self, epoch: Epoch, proposers: Mapping[Slot, ValidatorIndex]) -> None:
        """Note the proposers of an epoch, slot → validator; in place of what was noted for it before."""
        self._proposers[epoch] = dict(proposers)
        self._proposers.move_to_end(epoch)
        while len(self._proposers) > KEPT_EPOCHS:
            self._proposers.popitem(last=False)

    def set_sync_committee(self, first: Epoch, last: Epoch, members: Iterable[ValidatorIndex]) -> None:
        """Note the members of the sync committee that serves from epoch ``first`` to ``last``, both included."""
        self._sync_committees[first, last] = frozenset(members)
        self._sync_committees.move_to_end((first, last))
        while len(self._sync_committees) > KEPT_PERIODS:
            self._sync_committees.popitem(last=False)

    def proposes(self, index: ValidatorIndex, slot: Slot, epoch: Epoch) -> bool | None:
        """Whether the validator proposes in ``slot`` of ``epoch``; None when that epoch's proposers are not known."""
        proposers = self._proposers.get(epoch)
        return None if proposers is None else proposers.get(slot) == index

    def in_sync_committee(self, index: ValidatorIndex, epoch: Epoch) -> bool | None:
        """Whether the validator is in the sync committee of ``epoch``; None when that is not known."""
        for (first, last), members in self._sync_committees.items():
            if first <= epoch <= last:
                return index in members
        return None

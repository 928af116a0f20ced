"""The validators that the node runs itself, with the interop keys."""

import enum
from collections.abc import Collection, Sequence
from typing import Any

from ssv_pool.devnet.beacon.chain import Chain
from ssv_pool.devnet.beacon.gossip import AttestationGate
from ssv_pool.devnet.interop import CURVE_ORDER, interop_secret_key


class DutyKind(enum.Enum):
    """What outside clients may do for the external validators; the node does the rest."""

    ATTEST = "attest"
    PROPOSE = "propose"
    SYNC = "sync"


class SimulatedValidators:
    """Signs for all validators except what is left to outside clients."""

    def __init__(
        self, chain: Chain, gate: AttestationGate, external: frozenset[int], external_duties: frozenset[DutyKind]
    ) -> None:
        """Validators that came after genesis have keys of their own: they are never run here."""
        self._chain = chain
        self._spec = chain.spec
        self._gate = gate
        self._external = external
        self._external_duties = external_duties
        self._count = len(chain.genesis_state.validators)

    def runs(self, index: int, kind: DutyKind) -> bool:
        """Whether this node does duties of ``kind`` for validator ``index``."""
        return index < self._count and (index not in self._external or kind not in self._external_duties)

    def randao_reveal(self, state: Any, slot: int, proposer: int) -> bytes:
        """The proposer's RANDAO reveal for the epoch of ``slot``, 96 bytes."""
        spec = self._spec
        epoch = spec.compute_epoch_at_slot(spec.Slot(slot))
        domain = spec.get_domain(state, spec.DOMAIN_RANDAO, epoch)
        return self._sign(state, [proposer], spec.compute_signing_root(epoch, domain))

    def sign_block(self, state: Any, block: Any) -> Any:
        """The SignedBeaconBlock of a block whose proposer this node runs."""
        spec = self._spec
        domain = spec.get_domain(state, spec.DOMAIN_BEACON_PROPOSER, spec.compute_epoch_at_slot(block.slot))
        root = spec.compute_signing_root(block, domain)
        return spec.SignedBeaconBlock(message=block, signature=self._sign(state, [int(block.proposer_index)], root))

    def sync_vote(self, state: Any, among: Collection[int] | None = None) -> tuple[frozenset[int], bytes]:
        """What the members run here sign for a block on ``state`` (already at the block's slot): places, signature.

        The signature is empty if there are none. With ``among``, only the members in these places sign.
        """
        spec = self._spec
        columns = self._chain.fast.columns.of(state)
        members = [columns.index_of(bytes(key)) for key in state.current_sync_committee.pubkeys]
        signers = {
            place: index
            for place, index in enumerate(members)
            if index is not None and self.runs(index, DutyKind.SYNC) and (among is None or place in among)
        }
        if not signers:
            return frozenset(), b""
        previous = max(state.slot, spec.Slot(1)) - spec.Slot(1)
        domain = spec.get_domain(state, spec.DOMAIN_SYNC_COMMITTEE, spec.compute_epoch_at_slot(previous))
        root = spec.compute_signing_root(spec.get_block_root_at_slot(state, previous), domain)
        return frozenset(signers), self._sign(state, list(signers.values()), root)

    def attest(self, slot: int, committee_index: int) -> int:
        """Attest for the members of one committee that run here; returns how many did."""
        spec = self._spec
        data = self._chain.attestation_data(slot)
        state = self._chain.state_at(slot)
        committee = spec.get_beacon_committee(state, data.slot, spec.CommitteeIndex(committee_index))
        members = [int(member) for member in committee]
        places = frozenset(place for place, member in enumerate(members) if self._may_attest(member, data))
        if not places:
            return 0
        voters = [members[place] for place in sorted(places)]
        domain = spec.get_domain(state, spec.DOMAIN_BEACON_ATTESTER, data.target.epoch)
        signature = self._sign(state, voters, spec.compute_signing_root(data, domain))
        self._gate.accept_own(data, committee_index, members, places, signature)
        return len(places)

    def _may_attest(self, member: int, data: Any) -> bool:
        """Whether ``member`` is run here and has not voted in this epoch (a reorganization may move its duty)."""
        return self.runs(member, DutyKind.ATTEST) and not self._gate.is_live(member, int(data.target.epoch))

    def _sign(self, state: Any, indices: Sequence[int], root: bytes) -> bytes:
        """One signature of all ``indices`` over one root: the sum of the keys signs as the sum of signatures would."""
        columns = self._chain.fast.columns.of(state)
        secret = sum(interop_secret_key(index) for index in indices) % CURVE_ORDER
        pubkeys = [columns.pubkeys[index] for index in indices]
        return self._chain.fast.signatures.sign(secret, root, pubkeys)

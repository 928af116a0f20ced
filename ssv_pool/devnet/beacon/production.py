"""Makes blocks: picks operations from the pools and runs the block on the state to get its state root."""

from dataclasses import dataclass
from typing import Any

from ssv_pool.devnet.beacon.chain import Chain
from ssv_pool.devnet.beacon.execution import ExecutionLedger
from ssv_pool.devnet.beacon.exits import ExitPool
from ssv_pool.devnet.beacon.overlay.columns import read_list
from ssv_pool.devnet.beacon.payloads import Payload
from ssv_pool.devnet.beacon.pool import AttestationPool, DataVotes
from ssv_pool.devnet.beacon.simulated import SimulatedValidators
from ssv_pool.devnet.beacon.sync import SyncPool


@dataclass(frozen=True, slots=True)
class BuiltBlock:
    """An unsigned block whose state root is computed."""

    block: Any
    """The BeaconBlock."""
    earned: int
    """What its proposer's balance gains by it, withdrawals aside, in Gwei; 0 at least."""


class BlockBuilder:
    """Builds blocks on the head for whoever proposes them."""

    def __init__(
        self,
        chain: Chain,
        pool: AttestationPool,
        sync_pool: SyncPool,
        exit_pool: ExitPool,
        simulated: SimulatedValidators,
        ledger: ExecutionLedger,
    ) -> None:
        self._chain = chain
        self._spec = chain.spec
        self._pool = pool
        self._sync_pool = sync_pool
        self._exit_pool = exit_pool
        self._simulated = simulated
        self._ledger = ledger

    def state_for(self, slot: int) -> Any:
        """The head's state at ``slot``, on which a block for that slot is built; shared, copy before changing.

        Raises:
            ValueError: the head is already at ``slot`` or later.
        """
        chain = self._chain
        parent = chain.head()
        if chain.history.head.slot >= slot:
            raise ValueError(f"slot {slot}: the head is at slot {chain.history.head.slot}, expected an earlier one")
        return chain.state_at(slot, parent)

    def revision(self, slot: int) -> tuple[bytes, int, int, int, int]:
        """Changes when a block for ``slot`` built now could hold something other than one built before."""
        chain = self._chain
        chain.head()
        return (
            chain.history.head.root,
            self._pool.count(slot),
            self._sync_pool.count(slot - 1),
            self._exit_pool.changes,
            self._ledger.count,
        )

    def build(self, slot: int, randao_reveal: bytes, payload: Payload, graffiti: bytes = b"") -> BuiltBlock:
        """A block for ``slot`` on the head.

        Args:
            slot: a slot after the head's.
            randao_reveal: the proposer's signature over the epoch, 96 bytes, already checked.
            payload: the execution payload, made on the state that ``state_for`` gives.
            graffiti: up to 32 bytes.

        Raises:
            ValueError: the head is already at ``slot`` or later.
            AssertionError: the specification refuses the block.
        """
        spec, chain = self._spec, self._chain
        before, parent = self.state_for(slot), chain.head()
        state = before.copy()
        block = spec.BeaconBlock(
            slot=slot,
            proposer_index=spec.get_beacon_proposer_index(state),
            parent_root=parent,
            body=spec.BeaconBlockBody(
                randao_reveal=randao_reveal,
                eth1_data=state.eth1_data,
                graffiti=graffiti.ljust(32, b"\0"),
                attestations=self.attestations(before),
                voluntary_exits=self._exit_pool.for_block(before),
                sync_aggregate=self.sync_aggregate(before),
                execution_payload=payload.execution,
                blob_kzg_commitments=payload.bundle.commitments,
                execution_requests=self._ledger.requests(bytes(parent)),
            ),
        )
        spec.process_block(state, block)
        block.state_root = state.hash_tree_root()
        parent_state_root = bytes(chain.store.block_states[parent].hash_tree_root())
        chain.fast.blocks.remember_execution(parent_state_root, bytes(block.hash_tree_root()), state)
        return BuiltBlock(block, _earned(block, before, state))

    def sync_aggregate(self, state: Any) -> Any:
        """The SyncAggregate for a block on ``state`` (at the block's slot): all votes for its parent that are known."""
        spec, committee = self._spec, state.current_sync_committee
        previous = max(state.slot, spec.Slot(1)) - spec.Slot(1)
        root = spec.get_block_root_at_slot(state, previous)
        vote = self._sync_pool.whole(
            int(previous), bytes(root), bytes(committee.hash_tree_root()), self._simulated.sync_vote(state)
        )
        if vote is None:
            return spec.SyncAggregate(sync_committee_signature=spec.G2_POINT_AT_INFINITY)
        places, signature = vote
        bits = [place in places for place in range(int(spec.SYNC_COMMITTEE_SIZE))]
        signers = [bytes(pubkey) for pubkey, bit in zip(committee.pubkeys, bits, strict=True) if bit]
        if all(bits):
            # With everybody present the specification checks against the committee's aggregate key alone.
            signers = [bytes(committee.aggregate_pubkey)]
        domain = spec.get_domain(state, spec.DOMAIN_SYNC_COMMITTEE, spec.compute_epoch_at_slot(previous))
        self._chain.fast.signatures.trust(signers, spec.compute_signing_root(root, domain), signature)
        return spec.SyncAggregate(sync_committee_bits=bits, sync_committee_signature=signature)

    def attestations(self, state: Any) -> list[Any]:
        """The attestations for a block on ``state`` (at the block's slot): newest first, only what adds votes."""
        limit = int(self._spec.MAX_ATTESTATIONS_ELECTRA)
        chosen: list[Any] = []
        trial = state.copy()
        for entry in self._pool.newest_first():
            if len(chosen) == limit:
                break
            attestation = self._useful(trial, entry)
            if attestation is None:
                continue
            attempt = trial.copy()
            try:
                self._spec.process_attestation(attempt, attestation)
            except AssertionError:
                continue  # valid when it came in, but not on this branch
            chosen.append(attestation)
            trial = attempt
        return chosen

    def _useful(self, state: Any, entry: DataVotes) -> Any:
        """The on-chain aggregate of ``entry`` if it may go into a block on ``state`` and sets a new flag, else None."""
        spec, data = self._spec, entry.data
        current = spec.get_current_epoch(state)
        if data.target.epoch not in (current, spec.get_previous_epoch(state)) or data.slot >= state.slot:
            return None
        try:
            flags = spec.get_attestation_participation_flag_indices(state, data, state.slot - data.slot)
        except AssertionError:
            return None  # its source is not the one this branch justified
        mask = sum(1 << int(flag) for flag in flags)
        participation = read_list(
            state.current_epoch_participation if data.target.epoch == current else state.previous_epoch_participation
        )
        committees = [index for index in sorted(entry.committees) if self._same_committee(state, entry, index)]
        voters = {index: self._voters(entry, index) for index in committees}
        if not any(mask & ~participation[voter] for members in voters.values() for voter in members):
            return None
        attestation = spec.compute_on_chain_aggregate([self._pool.aggregate(entry, index) for index in committees])
        pubkeys = self._chain.fast.columns.of(state).pubkeys
        everybody = sorted({voter for members in voters.values() for voter in members})
        domain = spec.get_domain(state, spec.DOMAIN_BEACON_ATTESTER, data.target.epoch)
        self._chain.fast.signatures.trust(
            [pubkeys[voter] for voter in everybody], spec.compute_signing_root(data, domain), attestation.signature
        )
        return attestation

    def _same_committee(self, state: Any, entry: DataVotes, index: int) -> bool:
        """Whether the committee on this branch is the one the votes were checked against."""
        spec = self._spec
        if index >= spec.get_committee_count_per_slot(state, entry.data.target.epoch):
            return False
        committee = spec.get_beacon_committee(state, entry.data.slot, spec.CommitteeIndex(index))
        return [int(member) for member in committee] == list(entry.committees[index].members)

    def _voters(self, entry: DataVotes, index: int) -> list[int]:
        committee = entry.committees[index]
        return [committee.members[place] for places, _ in committee.disjoint() for place in places]


def _earned(block: Any, before: Any, after: Any) -> int:
    """What the block's proposer gained between two states, withdrawals aside, in Gwei."""
    proposer = int(block.proposer_index)
    gain = read_list(after.balances)[proposer] - read_list(before.balances)[proposer]
    withdrawals = block.body.execution_payload.withdrawals
    return max(0, gain + sum(int(entry.amount) for entry in withdrawals if int(entry.validator_index) == proposer))

"""Makes blocks: picks attestations from the pool and runs the block on the state to get its state root."""

from typing import Any

from ssv_pool.devnet.beacon.chain import Chain
from ssv_pool.devnet.beacon.overlay.columns import read_list
from ssv_pool.devnet.beacon.pool import AttestationPool, DataVotes


class BlockBuilder:
    """Builds blocks on the head for whoever proposes them."""

    def __init__(self, chain: Chain, pool: AttestationPool) -> None:
        self._chain = chain
        self._spec = chain.spec
        self._pool = pool

    def build(self, slot: int, randao_reveal: bytes, sync_aggregate: Any, graffiti: bytes = b"") -> Any:
        """An unsigned BeaconBlock for ``slot`` on the head, its state root computed.

        Args:
            slot: a slot after the head's.
            randao_reveal: the proposer's signature over the epoch, 96 bytes, already checked.
            sync_aggregate: the SyncAggregate for the parent block, already checked.
            graffiti: up to 32 bytes.

        Raises:
            ValueError: the head is already at ``slot`` or later.
            AssertionError: the specification refuses the block.
        """
        spec, chain = self._spec, self._chain
        parent = chain.head()
        before = chain.state_at(slot, parent)
        if int(before.slot) != slot or chain.history.head.slot >= slot:
            raise ValueError(f"slot {slot}: the head is at slot {chain.history.head.slot}, expected an earlier one")
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
                sync_aggregate=sync_aggregate,
                execution_payload=self._payload(state),
            ),
        )
        spec.process_block(state, block)
        block.state_root = state.hash_tree_root()
        parent_state_root = bytes(chain.store.block_states[parent].hash_tree_root())
        chain.fast.blocks.remember_execution(parent_state_root, bytes(block.hash_tree_root()), state)
        return block

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

    def _payload(self, state: Any) -> Any:
        """An empty execution payload on the latest one: there is no execution chain behind this beacon chain."""
        spec = self._spec
        header = state.latest_execution_payload_header
        payload = spec.ExecutionPayload(
            parent_hash=header.block_hash,
            state_root=header.state_root,
            prev_randao=spec.get_randao_mix(state, spec.get_current_epoch(state)),
            block_number=header.block_number + 1,
            gas_limit=header.gas_limit,
            timestamp=spec.compute_time_at_slot(state, state.slot),
            base_fee_per_gas=header.base_fee_per_gas,
            withdrawals=spec.get_expected_withdrawals(state).withdrawals,
        )
        # A stand-in for the hash of the execution block: unique for the content, which is all the chain needs.
        payload.block_hash = spec.hash(payload.encode_bytes())
        return payload

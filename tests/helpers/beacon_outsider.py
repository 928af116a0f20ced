"""A validator client outside the beacon node, with the interop keys: signs what a test wants signed."""

from typing import Any

from beacon_stepper import SteppedNode

from ssv_pool.devnet.beacon.containers import DOMAIN_APPLICATION_BUILDER
from ssv_pool.devnet.interop import interop_secret_key


class Outsider:
    """Signs for the validators of a stepped node."""

    def __init__(self, stepped: SteppedNode) -> None:
        self.stepped = stepped
        self.node = stepped.node
        self.spec = stepped.node.spec

    def sign(self, validator: int, value: Any, domain_type: bytes, slot: int) -> bytes:
        """The validator's signature over an SSZ object in the domain of the slot's epoch."""
        spec = self.spec
        epoch = spec.compute_epoch_at_slot(spec.Slot(slot))
        domain = spec.get_domain(self.node.chain.current_state(), domain_type, epoch)
        return self.sign_in(validator, value, domain)

    def sign_in(self, validator: int, value: Any, domain: bytes) -> bytes:
        """The validator's signature over an SSZ object in a domain."""
        root = self.spec.compute_signing_root(value, domain)
        return bytes(self.spec.bls.Sign(interop_secret_key(validator), root))

    # ---- blocks

    def proposer(self, slot: int) -> int:
        """Who proposes in ``slot``, seen from the head."""
        return int(self.spec.get_beacon_proposer_index(self.node.chain.state_at(slot)))

    def randao(self, slot: int, validator: int | None = None) -> bytes:
        """The RANDAO reveal for a slot, of its proposer unless another validator is named."""
        spec = self.spec
        epoch = spec.compute_epoch_at_slot(spec.Slot(slot))
        signer = self.proposer(slot) if validator is None else validator
        return self.sign(signer, epoch, spec.DOMAIN_RANDAO, slot)

    def sign_block(self, block: Any) -> bytes:
        """The proposer's signature over a full or blinded block."""
        return self.sign(int(block.proposer_index), block, self.spec.DOMAIN_BEACON_PROPOSER, int(block.slot))

    # ---- sync committees

    def sync_members(self) -> dict[int, list[int]]:
        """Validators of the sync committee that signs in the present slot, each with its places."""
        spec, state = self.spec, self.node.chain.current_state()
        columns = self.node.chain.fast.columns.of(state)
        members: dict[int, list[int]] = {}
        for subcommittee in range(int(spec.SYNC_COMMITTEE_SUBNET_COUNT)):
            pubkeys = spec.get_sync_subcommittee_pubkeys(state, spec.Uint64(subcommittee))
            for place, pubkey in enumerate(pubkeys):
                index = columns.index_of(bytes(pubkey))
                assert index is not None
                members.setdefault(index, []).append(subcommittee * len(pubkeys) + place)
        return members

    def sync_message(self, validator: int, slot: int, root: bytes | None = None) -> Any:
        """The validator's SyncCommitteeMessage for the head or another block."""
        spec = self.spec
        root = spec.Root(root if root is not None else self.node.chain.head())
        return spec.SyncCommitteeMessage(
            slot=slot,
            beacon_block_root=root,
            validator_index=validator,
            signature=self.sign(validator, root, spec.DOMAIN_SYNC_COMMITTEE, slot),
        )

    def contribution(self, validator: int, contribution: Any) -> Any:
        """The validator's SignedContributionAndProof of a contribution."""
        spec, slot = self.spec, int(contribution.slot)
        selection = spec.SyncAggregatorSelectionData(slot=slot, subcommittee_index=contribution.subcommittee_index)
        proof = self.sign(validator, selection, spec.DOMAIN_SYNC_COMMITTEE_SELECTION_PROOF, slot)
        message = spec.ContributionAndProof(
            aggregator_index=validator, contribution=contribution, selection_proof=proof
        )
        signature = self.sign(validator, message, spec.DOMAIN_CONTRIBUTION_AND_PROOF, slot)
        return spec.SignedContributionAndProof(message=message, signature=signature)

    # ---- aggregates

    def aggregate(self, validator: int, aggregate: Any) -> Any:
        """The validator's SignedAggregateAndProof of an aggregate."""
        spec, slot = self.spec, int(aggregate.data.slot)
        proof = self.sign(validator, spec.Slot(slot), spec.DOMAIN_SELECTION_PROOF, slot)
        message = spec.AggregateAndProof(aggregator_index=validator, aggregate=aggregate, selection_proof=proof)
        signature = self.sign(validator, message, spec.DOMAIN_AGGREGATE_AND_PROOF, slot)
        return spec.SignedAggregateAndProof(message=message, signature=signature)

    # ---- exits and registrations

    def voluntary_exit(self, validator: int, epoch: int) -> Any:
        """The validator's SignedVoluntaryExit."""
        spec = self.spec
        message = spec.VoluntaryExit(epoch=epoch, validator_index=validator)
        domain = spec.compute_domain(
            spec.DOMAIN_VOLUNTARY_EXIT,
            spec.config.CAPELLA_FORK_VERSION,
            self.node.chain.genesis_state.genesis_validators_root,
        )
        return spec.SignedVoluntaryExit(message=message, signature=self.sign_in(validator, message, domain))

    def registration(self, validator: int, timestamp: int, **changes: Any) -> Any:
        """The validator's SignedValidatorRegistrationV1."""
        spec, containers = self.spec, self.node.containers
        pubkey = self.node.chain.fast.columns.of(self.node.chain.genesis_state).pubkeys[validator]
        values = {"fee_recipient": b"\x11" * 20, "gas_limit": 36_000_000} | changes
        message = containers.registration(timestamp=timestamp, pubkey=pubkey, **values)
        domain = spec.compute_domain(
            spec.DomainType(DOMAIN_APPLICATION_BUILDER), spec.config.GENESIS_FORK_VERSION, spec.Root()
        )
        return containers.signed_registration(message=message, signature=self.sign_in(validator, message, domain))

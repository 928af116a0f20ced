"""What was handed to the beacon node, as the suite has it: roots."""

from ssv_pool.protocol.events import (
    Effect,
    SubmitAggregates,
    SubmitAttestations,
    SubmitBlock,
    SubmitContributions,
    SubmitExit,
    SubmitRegistration,
    SubmitSyncCommitteeMessages,
)
from ssv_pool.protocol.types.attestations import Attestation, SingleAttestation, one_bit
from ssv_pool.protocol.types.contributions import SyncCommitteeMessage
from ssv_pool.protocol.types.primitives import (
    Root,
)
from ssv_pool.protocol.types.versions import DataVersion
from ssv_pool.spectests import world


def submitted_roots(effect: Effect) -> list[Root]:
    """SSZ roots of the signed objects in an effect; none for effects that submit nothing."""
    match effect:
        case SubmitAttestations(attestations=attestations):
            electra = DataVersion[world.CHAIN.fork_at(world.CHAIN.epoch_of(effect.slot)).name.upper()]
            return [
                SingleAttestation(
                    item.committee_index, item.validator_index, item.data, item.signature
                ).hash_tree_root()
                if electra >= DataVersion.ELECTRA
                else Attestation(
                    one_bit(item.validator_committee_index, item.committee_length), item.data, item.signature
                ).hash_tree_root()
                for item in attestations
            ]
        case SubmitSyncCommitteeMessages(slot=slot, messages=messages):
            return [
                SyncCommitteeMessage(slot, item.block_root, item.validator_index, item.signature).hash_tree_root()
                for item in messages
            ]
        case SubmitBlock(block=block, signature=signature):
            return [block.signed_root(signature)]
        case SubmitRegistration(registration=registration):
            return [registration.hash_tree_root()]
        case SubmitExit(exit=voluntary_exit):
            return [voluntary_exit.hash_tree_root()]
        case SubmitAggregates(aggregates=aggregates):
            return [item.hash_tree_root() for item in aggregates]
        case SubmitContributions(contributions=contributions):
            return [item.hash_tree_root() for item in contributions]
        case _:
            return []

"""What a beacon node says of a pool's validators, and which execution block a slot's state stands on."""

from collections.abc import Sequence
from typing import Final

from ssv_pool.beacon.client import BeaconClient
from ssv_pool.pool.view import BeaconFacts
from ssv_pool.protocol.types.primitives import PublicKey, Slot

SKIPPED_SLOTS: Final = 64
"""So many slots before a slot its last block is looked for."""


def beacon_facts(beacon: BeaconClient, state: str, keys: Sequence[bytes]) -> dict[bytes, BeaconFacts]:
    """What a state (``head`` or a slot) says of those of the public keys (48 bytes) that it has.

    Raises:
        BeaconError: no beacon node answers, or none has the state.
    """
    found = beacon.validator_states(state, [PublicKey(key) for key in keys])
    return {
        bytes(key): BeaconFacts(facts.status, facts.balance, facts.activation_epoch, facts.exit_epoch)
        for key, facts in found.items()
    }


def execution_block(beacon: BeaconClient, slot: Slot) -> int | None:
    """The execution block in the state of a slot: that of the last block up to it; None when none is near.

    Raises:
        BeaconError: no beacon node answers.
    """
    for place in range(slot, max(-1, slot - SKIPPED_SLOTS), -1):
        if (block := beacon.execution_block(Slot(place))) is not None:
            return block
    return None

"""The specification with a development network's configuration, and that network's genesis state."""

import hashlib
from collections.abc import Mapping
from typing import Any

from ssv_pool.devnet.beacon.overlay import FastSpec, fast_spec
from ssv_pool.devnet.interop import interop_secret_key

SPEC_MODULE = "eth_consensus_specs.fulu.minimal"
"""Fork and preset this node runs."""

FORK_NAME = "fulu"
"""What the Beacon API calls the fork (``version`` in answers, ``Eth-Consensus-Version`` in headers)."""

FORKS = ("ALTAIR", "BELLATRIX", "CAPELLA", "DENEB", "ELECTRA", "FULU")
"""The forks after genesis, all in force from epoch 0 on."""
_GENESIS_MIX = b"\xda" * 32
_EXECUTION_GENESIS_HASH = b"\x55" * 32


PRESET_CONSTANTS = ("BASE_REWARD_FACTOR", "MAX_SEED_LOOKAHEAD")
"""Constants that are not in the configuration and that a development network may have otherwise all the same."""


def development_spec(
    slot_duration_ms: int,
    genesis_time: int,
    overrides: Mapping[str, int] | None = None,
    deposit_contract: bytes | None = None,
) -> FastSpec:
    """The fast specification with every fork at epoch 0 and the given slot time.

    Args:
        slot_duration_ms: length of a slot in milliseconds; whole seconds only, since the specification's fork choice
            keeps time in seconds.
        genesis_time: start of slot 0, whole seconds since the UNIX epoch.
        overrides: further numbers of the configuration by name, such as MIN_VALIDATOR_WITHDRAWABILITY_DELAY.
        deposit_contract: its address, 20 bytes.

    Raises:
        ValueError: the slot is not a whole number of seconds, or an override names no number of the configuration.
    """
    if slot_duration_ms <= 0 or slot_duration_ms % 1000:
        raise ValueError(f"slot duration {slot_duration_ms} ms: expected a multiple of 1000")
    fast = fast_spec(SPEC_MODULE)
    spec = fast.spec
    changes = {f"{fork}_FORK_EPOCH": 0 for fork in FORKS}
    changes |= {"SLOT_DURATION_MS": slot_duration_ms, "MIN_GENESIS_TIME": genesis_time}
    # A development network does not live long enough for the 64 epochs that a validator must stay before it may exit.
    changes["SHARD_COMMITTEE_PERIOD"] = 0
    types = spec.Configuration.__annotations__
    for name, value in (overrides or {}).items():
        if name in PRESET_CONSTANTS:
            setattr(spec, name, type(getattr(spec, name))(value))
        elif isinstance(getattr(spec.config, name, None), int):
            changes[name] = value
        else:
            raise ValueError(
                f"--config {name}: expected a number of the configuration or {' or '.join(PRESET_CONSTANTS)}"
            )
    spec.config = spec.config._replace(**{name: types[name](value) for name, value in changes.items()})
    if deposit_contract is not None:
        address = types["DEPOSIT_CONTRACT_ADDRESS"](deposit_contract)
        spec.config = spec.config._replace(DEPOSIT_CONTRACT_ADDRESS=address)
    return fast


def genesis_state(spec: Any, public_keys: list[bytes], genesis_time: int) -> Any:
    """A genesis state in which the validators ``public_keys`` (48 bytes each) are active with 32 ETH each."""
    count = len(public_keys)
    version = spec.config.FULU_FORK_VERSION
    state = spec.BeaconState(
        genesis_time=genesis_time,
        fork=spec.Fork(previous_version=version, current_version=version, epoch=0),
        eth1_data=spec.Eth1Data(deposit_root=b"\x42" * 32, deposit_count=count, block_hash=_GENESIS_MIX),
        eth1_deposit_index=count,
        latest_block_header=spec.BeaconBlockHeader(body_root=spec.hash_tree_root(spec.BeaconBlockBody())),
        randao_mixes=[_GENESIS_MIX] * spec.EPOCHS_PER_HISTORICAL_VECTOR,
        deposit_requests_start_index=count,
    )
    state.validators = [_validator(spec, key) for key in public_keys]
    state.balances = [spec.MIN_ACTIVATION_BALANCE] * count
    state.previous_epoch_participation = [0] * count
    state.current_epoch_participation = [0] * count
    state.inactivity_scores = [0] * count
    state.genesis_validators_root = spec.hash_tree_root(state.validators)
    state.current_sync_committee = spec.get_next_sync_committee(state)
    state.next_sync_committee = state.current_sync_committee
    state.latest_execution_payload_header = spec.ExecutionPayloadHeader(
        block_hash=_EXECUTION_GENESIS_HASH,
        prev_randao=_GENESIS_MIX,
        gas_limit=30_000_000,
        base_fee_per_gas=7,
        timestamp=genesis_time,
        transactions_root=spec.hash_tree_root(spec.ExecutionPayload().transactions),
        withdrawals_root=spec.hash_tree_root(spec.ExecutionPayload().withdrawals),
    )
    state.proposer_lookahead = spec.initialize_proposer_lookahead(state)
    return state


def _validator(spec: Any, public_key: bytes) -> Any:
    return spec.Validator(
        pubkey=public_key,
        withdrawal_credentials=b"\x01" + b"\0" * 11 + hashlib.sha256(public_key).digest()[:20],
        effective_balance=spec.MIN_ACTIVATION_BALANCE,
        slashed=False,
        activation_eligibility_epoch=0,
        activation_epoch=0,
        exit_epoch=spec.FAR_FUTURE_EPOCH,
        withdrawable_epoch=spec.FAR_FUTURE_EPOCH,
    )


def interop_public_keys(fast: FastSpec, count: int) -> list[bytes]:
    """The public keys of the first ``count`` interop validators, 48 bytes each."""
    return [bytes(fast.signatures.module.SkToPk(interop_secret_key(index))) for index in range(count)]

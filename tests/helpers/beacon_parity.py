"""The executable specification twice, as published and with the overlay, and random states to compare them on."""

import functools
import hashlib
import os
import random
from collections.abc import Callable
from typing import Any

from ssv_pool.devnet.beacon.genesis import SPEC_MODULE, genesis_state
from ssv_pool.devnet.beacon.overlay import FastSpec, fast_spec
from ssv_pool.devnet.beacon.overlay.signatures import private_copy
from ssv_pool.devnet.interop import interop_secret_key

EFFORT = int(os.environ.get("SSV_PARITY_EFFORT", "1"))
"""Multiplies the number of random cases: 1 in the suite, 50 for a night."""


@functools.cache
def published() -> Any:
    """The specification as it was published."""
    return private_copy(SPEC_MODULE)


@functools.cache
def fast() -> FastSpec:
    """The specification with the overlay."""
    return fast_spec(SPEC_MODULE)


@functools.cache
def public_key(index: int) -> bytes:
    return bytes(published().bls.SkToPk(interop_secret_key(index)))


@functools.cache
def _genesis_backing(count: int) -> Any:
    return genesis_state(fast().spec, [public_key(index) for index in range(count)], 1_700_000_000).get_backing()


def interop_state(spec: Any, count: int) -> Any:
    """A fresh genesis state with ``count`` validators."""
    return spec.BeaconState(backing=_genesis_backing(count))


def random_state(spec: Any, count: int, rng: random.Random) -> Any:
    """A state that a chain could hardly reach, but that the specification has an answer for."""
    state = interop_state(spec, count)
    epoch = rng.choice([0, 1, 2, 5, 9])
    state.slot = epoch * spec.SLOTS_PER_EPOCH + rng.randrange(spec.SLOTS_PER_EPOCH)
    for place in range(spec.SLOTS_PER_HISTORICAL_ROOT):
        state.block_roots[place] = hashlib.sha256(f"{place} {epoch}".encode()).digest()
    for validator in state.validators:
        _shake(spec, validator, epoch, rng)
    eth = 10**9
    state.balances = [
        rng.choice([0, 1, 32 * eth, rng.randrange(2**36), rng.randrange(40 * eth), 2049 * eth]) for _ in range(count)
    ]
    state.previous_epoch_participation = [rng.randrange(8) for _ in range(count)]
    state.current_epoch_participation = [rng.randrange(8) for _ in range(count)]
    state.inactivity_scores = [rng.choice([0, 1, 3, rng.randrange(1000)]) for _ in range(count)]
    for place in range(8):
        state.slashings[place] = rng.randrange(64 * eth)
    state.finalized_checkpoint = spec.Checkpoint(epoch=rng.randrange(epoch + 1), root=b"\7" * 32)
    state.current_justified_checkpoint = spec.Checkpoint(epoch=max(0, epoch - 1), root=b"\6" * 32)
    state.previous_justified_checkpoint = spec.Checkpoint(epoch=max(0, epoch - 2), root=b"\5" * 32)
    state.justification_bits = [rng.random() < 0.5 for _ in range(4)]
    for _ in range(rng.randrange(4)):
        deposit = spec.PendingDeposit(
            pubkey=public_key(rng.randrange(count)),
            amount=rng.randrange(1, 32) * eth,
            slot=rng.choice([0, 1]),
            signature=b"\xc0" + b"\0" * 95,
        )
        state.pending_deposits.append(deposit)
    for _ in range(rng.randrange(3)):
        source, target = rng.randrange(count), rng.randrange(count)
        state.pending_consolidations.append(spec.PendingConsolidation(source_index=source, target_index=target))
    return state


def _shake(spec: Any, validator: Any, epoch: int, rng: random.Random) -> None:
    """Give one validator an unusual balance, credentials or life."""
    if rng.random() < 0.2:
        validator.effective_balance = rng.choice([16, 17, 31, 32, 33, 64, 2048]) * 10**9
    if rng.random() < 0.2:
        credentials = bytes(validator.withdrawal_credentials)
        validator.withdrawal_credentials = bytes([rng.randrange(3)]) + credentials[1:]
    life = rng.random()
    if life < 0.15:
        validator.slashed = True
        validator.exit_epoch = rng.randrange(epoch + 3)
        half_vector = epoch + spec.EPOCHS_PER_SLASHINGS_VECTOR // 2
        validator.withdrawable_epoch = rng.choice([half_vector, epoch, epoch + 1, epoch + 9])
    elif life < 0.25:
        validator.exit_epoch = rng.randrange(1, epoch + 4)
        validator.withdrawable_epoch = rng.randrange(epoch + 6)
    elif life < 0.35:
        validator.activation_epoch = spec.FAR_FUTURE_EPOCH
        validator.activation_eligibility_epoch = rng.choice([spec.FAR_FUTURE_EPOCH, 0, epoch, epoch + 1])
    elif life < 0.45:
        validator.activation_epoch = rng.randrange(epoch + 3)


def outcome(spec: Any, state: Any, work: Callable[[Any, Any], Any]) -> Any:
    """What ``work(spec, state)`` does to a copy of ``state``: the state root and the result, or that it is refused."""
    copy = spec.BeaconState(backing=state.get_backing())
    try:
        result = work(spec, copy)
    except (AssertionError, ValueError, IndexError, ZeroDivisionError):
        return "refused"
    return copy.hash_tree_root().hex(), result


def assert_same(state: Any, work: Callable[[Any, Any], Any]) -> Any:
    """Run ``work`` on both specifications and require one outcome; returns it."""
    expected = outcome(published(), state, work)
    assert outcome(fast().spec, state, work) == expected
    return expected


def sign(indices: list[int], message: bytes) -> bytes:
    """The aggregate signature of interop validators over one message."""
    order = published().bls.Scalar
    total = order(0)
    for index in indices:
        total = total + order(interop_secret_key(index))
    point = published().bls._hash_to_G2(bytes(message)) * total
    return bytes(point.to_compressed_bytes())

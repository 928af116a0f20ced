"""Execution payloads of blocks, made up here: they hold no transactions, whatever the execution chain does.

Where there is an execution chain, a payload names one of its blocks (``execution``); else they are numbered one by one.
"""

from dataclasses import dataclass
from typing import Any

from ssv_pool.devnet.beacon.blobs import NO_BLOBS, BlobBundle, check_bundle, first_of, make_bundle
from ssv_pool.devnet.beacon.execution import ExecutionSchedule
from ssv_pool.devnet.beacon.memo import BoundedMemo

NO_RECIPIENT = bytes(20)
"""Fee recipient of a proposer that named none."""

GAS_LIMIT_STEP = 1024
"""A block's gas limit differs from its parent's by less than this part of it."""


@dataclass(frozen=True, slots=True)
class Payload:
    """An execution payload and what belongs to it."""

    execution: Any
    """The ExecutionPayload."""
    bundle: BlobBundle
    """Its blobs."""
    value: int
    """What it pays to the proposer, in Wei (a number that somebody claims: nothing is paid here)."""


class PayloadMaker:
    """Makes payloads and remembers them by the root of their header, so that blinded blocks can be completed."""

    def __init__(self, spec: Any, blobs: int = 0, schedule: ExecutionSchedule | None = None) -> None:
        """With ``blobs`` N, the blocks of every N+1 slots carry 0 to N blobs in turn."""
        self._spec = spec
        self._schedule = schedule
        self._bundle = make_bundle(blobs)
        self._made: BoundedMemo[bytes, Payload] = BoundedMemo(256)

    def make(
        self, state: Any, fee_recipient: bytes, value: int, extra_data: bytes = b"", gas_limit: int | None = None
    ) -> Payload:
        """An empty payload.

        Args:
            state: the state that the block is built on, at the block's slot.
            fee_recipient: 20 bytes.
            value: what to claim that it pays, in Wei.
            extra_data: up to 32 bytes.
            gas_limit: the limit that the proposer wants; the parent's if None.
        """
        spec = self._spec
        header = state.latest_execution_payload_header
        payload = spec.ExecutionPayload(
            parent_hash=header.block_hash,
            fee_recipient=fee_recipient,
            state_root=header.state_root,
            prev_randao=spec.get_randao_mix(state, spec.get_current_epoch(state)),
            block_number=self._number(state),
            gas_limit=_towards(int(header.gas_limit), gas_limit),
            timestamp=spec.compute_time_at_slot(state, state.slot),
            extra_data=extra_data,
            base_fee_per_gas=header.base_fee_per_gas,
            withdrawals=spec.get_expected_withdrawals(state).withdrawals,
        )
        # A stand-in for the hash of the execution block: unique for the content, which is all the chain needs.
        payload.block_hash = spec.hash(payload.encode_bytes())
        count = int(state.slot) % (len(self._bundle.blobs) + 1)
        made = Payload(payload, first_of(self._bundle, count) if count else NO_BLOBS, value)
        return self._made.put(bytes(payload.hash_tree_root()), made)

    def _number(self, state: Any) -> int:
        if self._schedule is None:
            return int(state.latest_execution_payload_header.block_number) + 1
        seconds = int(self._spec.config.SLOT_DURATION_MS) // 1000
        return self._schedule.block_of(int(state.slot), int(state.genesis_time), seconds)

    def find(self, root: bytes) -> Payload | None:
        """The payload whose hash tree root (and its header's) is ``root``, if it was made here lately."""
        return self._made.get(root)

    def check_blobs(self, block: Any, proofs: list[bytes], blobs: list[bytes]) -> None:
        """Check what came with a block from outside. Raises ValueError: not the block's proofs and blobs."""
        commitments = tuple(bytes(commitment) for commitment in block.body.blob_kzg_commitments)
        known = self.find(bytes(block.body.execution_payload.hash_tree_root()))
        if known is not None and known.bundle == BlobBundle(commitments, tuple(proofs), tuple(blobs)):
            return
        check_bundle(commitments, proofs, blobs)


def _towards(parent: int, wanted: int | None) -> int:
    """The gas limit nearest to ``wanted`` that may follow ``parent``."""
    if wanted is None:
        return parent
    step = max(0, parent // GAS_LIMIT_STEP - 1)
    return min(max(wanted, parent - step), parent + step)

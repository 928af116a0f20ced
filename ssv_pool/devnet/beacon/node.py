"""Wires the parts and drives them by the clock: propose at the start of a slot, attest a third into it."""

import dataclasses
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import structlog

from ssv_pool.devnet.beacon.aggregates import AggregateGate
from ssv_pool.devnet.beacon.chain import BlockRefusedError, Chain
from ssv_pool.devnet.beacon.clock import SlotClock
from ssv_pool.devnet.beacon.containers import api_containers
from ssv_pool.devnet.beacon.events import EventBroker
from ssv_pool.devnet.beacon.execution import ExecutionLedger, ExecutionSchedule
from ssv_pool.devnet.beacon.exits import ExitPool
from ssv_pool.devnet.beacon.genesis import development_spec, genesis_state, interop_public_keys
from ssv_pool.devnet.beacon.gossip import AttestationGate
from ssv_pool.devnet.beacon.intake import ACCEPTED, Intake, Verdict
from ssv_pool.devnet.beacon.payloads import NO_RECIPIENT, PayloadMaker
from ssv_pool.devnet.beacon.pool import AttestationPool
from ssv_pool.devnet.beacon.production import BlockBuilder
from ssv_pool.devnet.beacon.proposals import ProposalDesk
from ssv_pool.devnet.beacon.record import ObjectKind, ObjectRecord
from ssv_pool.devnet.beacon.relay import LOCAL_VALUE, Relay
from ssv_pool.devnet.beacon.simulated import DutyKind, SimulatedValidators
from ssv_pool.devnet.beacon.sync import KEPT_SLOTS, SyncGate, SyncPool

KEPT_ATTESTATION_EPOCHS = 2
"""Epochs for which attestations stay in the pool: the current and the previous may go into blocks."""

GRAFFITI = b"ssv-pool devnet"
"""What blocks bear whose proposer has no other wish."""


@dataclasses.dataclass(frozen=True, slots=True)
class NodeOptions:
    """What kind of chain the node runs."""

    genesis_time: int
    """Start of slot 0, whole seconds since the UNIX epoch; may be in the future."""
    slot_duration_ms: int = 4000
    """Length of a slot in milliseconds, a multiple of 1000."""
    validators: int = 64
    """Validators at genesis, all with interop keys."""
    external: frozenset[int] = frozenset()
    """Indices of validators that outside clients run."""
    external_duties: frozenset[DutyKind] = frozenset({DutyKind.ATTEST})
    """The duties that outside clients do for them."""
    record: Path | None = None
    """File to which every validly signed object from outside is appended."""
    builder: bool = False
    """Whether a builder offers blinded blocks to registered validators."""
    blobs: int = 0
    """With N above 0, the blocks of every N+1 slots carry 0 to N blobs in turn."""
    overrides: Mapping[str, int] = dataclasses.field(default_factory=dict)
    """Numbers of the chain's configuration that are to be others, by name."""
    deposit_contract: bytes | None = None
    """Address of the execution chain's deposit contract, 20 bytes; None: there is none."""
    execution: ExecutionSchedule | None = None
    """When which block of the execution chain is mined; None: there is no execution chain."""
    history_slots: int = 8192
    """Blocks older than this many slots are forgotten."""


class BeaconNode:
    """A beacon chain and the validators that keep it going."""

    def __init__(self, options: NodeOptions, now: Callable[[], float] = time.time) -> None:
        """Make the genesis state. Raises ValueError for options that no chain can have."""
        fast = development_spec(
            options.slot_duration_ms, options.genesis_time, options.overrides, options.deposit_contract
        )
        self.options = options
        self.spec: Any = fast.spec
        self.clock = SlotClock(options.genesis_time, options.slot_duration_ms, int(self.spec.SLOTS_PER_EPOCH), now)
        if options.validators < self.clock.slots_per_epoch:
            raise ValueError(f"{options.validators} validators: expected at least {self.clock.slots_per_epoch}")
        most_blobs = int(self.spec.get_blob_parameters(self.spec.Epoch(0)).max_blobs_per_block)
        if not 0 <= options.blobs <= most_blobs:
            raise ValueError(f"{options.blobs} blobs: expected 0 to {most_blobs}")
        if unknown := sorted(index for index in options.external if not 0 <= index < options.validators):
            raise ValueError(f"external validators {unknown}: expected indices below {options.validators}")
        keys = interop_public_keys(fast, options.validators)
        self.events = EventBroker()
        genesis = genesis_state(self.spec, keys, options.genesis_time)
        self.chain = Chain(fast, genesis, self.clock, self.events, options.history_slots)
        self.record = ObjectRecord(options.record)
        self.intake = Intake(self.chain, self.record)
        self.pool = AttestationPool(self.spec, fast.signatures.module)
        self.gate = AttestationGate(self.intake, self.pool)
        self.aggregates = AggregateGate(self.intake, self.pool)
        self.sync_pool = SyncPool(self.spec, fast.signatures.module)
        self.sync_gate = SyncGate(self.intake, self.sync_pool)
        self.exits = ExitPool(self.intake)
        self.simulated = SimulatedValidators(self.chain, self.gate, options.external, options.external_duties)
        self.ledger = ExecutionLedger(self.spec, self.chain.history, options.execution)
        self.builder = BlockBuilder(self.chain, self.pool, self.sync_pool, self.exits, self.simulated, self.ledger)
        self.containers = api_containers(self.spec)
        self.payloads = PayloadMaker(self.spec, options.blobs, options.execution)
        self.relay = Relay(self.intake, self.payloads, options.builder)
        self.desk = ProposalDesk(self.intake, self.builder, self.relay, self.payloads)
        self.distance: Callable[[], int] = lambda: 0
        """Slots that this node is behind the nodes it follows."""
        self.prepare_listeners: list[Callable[[int], None]] = []
        """Called late in each slot with the coming one, when its state is ready."""
        self._log = structlog.get_logger("beacon")

    async def run(self) -> None:
        """Do each slot's work at its time, until cancelled."""
        # The genesis block is slot 0's block: nobody proposes there.
        slot = self.clock.slot() if self.clock.started() else 0
        attestation_due = int(self.spec.get_attestation_due_ms())
        while True:
            await self.clock.sleep_until(self.clock.instant(slot))
            if slot > 0 and not self.distance():
                self._guarded(self.propose, slot)
            await self.clock.sleep_until(self.clock.instant(slot, attestation_due))
            for committee in range(0 if self.distance() else self._guarded(self._committees_at, slot) or 0):
                self._guarded(self.simulated.attest, slot, committee)
                await self.clock.sleep_until(self.clock.now() + 0.001)  # requests come first
            self._log_slot(slot)
            await self.clock.sleep_until(self.clock.instant(slot, self.options.slot_duration_ms * 5 // 6))
            self._guarded(self.prepare, slot + 1)
            slot = max(slot + 1, self.clock.slot())  # after a pause of the machine, go on in the present

    def propose(self, slot: int) -> None:
        """Make and import the block of ``slot`` if its proposer is run here."""
        self.chain.tick()
        state = self.chain.state_at(slot)
        proposer = int(self.spec.get_beacon_proposer_index(state))
        if not self.simulated.runs(proposer, DutyKind.PROPOSE):
            return
        reveal = self.simulated.randao_reveal(state, slot, proposer)
        payload = self.payloads.make(state, NO_RECIPIENT, LOCAL_VALUE)
        built = self.builder.build(slot, reveal, payload, GRAFFITI)
        signed = self.simulated.sign_block(state, built.block)
        self.chain.import_block(signed)
        self.intake.announce(ObjectKind.BLOCK, Verdict(ACCEPTED), signed)

    def prepare(self, slot: int) -> None:
        """Compute the state of the coming ``slot`` ahead of time and forget what is too old."""
        self.chain.tick()
        self.chain.state_at(slot)
        epoch = slot // self.clock.slots_per_epoch
        first_slot = (epoch - KEPT_ATTESTATION_EPOCHS) * self.clock.slots_per_epoch
        self.pool.prune(first_slot)
        self.aggregates.prune(first_slot)
        self.gate.prune(epoch - 2 * KEPT_ATTESTATION_EPOCHS)
        self.intake.prune(epoch - 2 * KEPT_ATTESTATION_EPOCHS)
        self.sync_gate.prune(slot - KEPT_SLOTS)
        self.exits.prune()
        for listener in self.prepare_listeners:
            listener(slot)

    def close(self) -> None:
        """End subscriptions and close the record."""
        self.events.close()
        self.record.close()

    def _committees_at(self, slot: int) -> int:
        self.chain.tick()
        epoch = self.spec.compute_epoch_at_slot(self.spec.Slot(slot))
        return int(self.spec.get_committee_count_per_slot(self.chain.current_state(), epoch))

    def _guarded(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Do one piece of a slot's work; if it fails the chain goes on without it, and the result is None."""
        try:
            return work(*arguments)
        except (AssertionError, BlockRefusedError) as error:
            self._log.warning("slot work refused", work=work.__name__, arguments=arguments, reason=str(error))
        except Exception:  # noqa: BLE001 - whatever it is, it is in the log with its trace, and the chain must go on
            self._log.exception("slot work failed", work=work.__name__, arguments=arguments)
        return None

    def _log_slot(self, slot: int) -> None:
        head = self.chain.history.head
        store = self.chain.store
        self._log.info(
            "slot",
            slot=slot,
            head=head.slot,
            justified=int(store.justified_checkpoint.epoch),
            finalized=int(store.finalized_checkpoint.epoch),
            pool=len(self.pool),
        )

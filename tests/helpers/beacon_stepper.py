"""A beacon node on a clock that a test moves, and validators that sign for it."""

from dataclasses import dataclass, replace
from typing import Any

from ssv_pool.devnet.beacon.node import BeaconNode, NodeOptions
from ssv_pool.devnet.interop import interop_secret_key

GENESIS_TIME = 1_700_000_000


@dataclass
class Clock:
    time: float = GENESIS_TIME - 5.0

    def __call__(self) -> float:
        return self.time


class SteppedNode:
    """A node whose slots pass when ``run_slot`` says so."""

    def __init__(self, **options: Any) -> None:
        self.clock = Clock()
        self.node = BeaconNode(
            replace(NodeOptions(genesis_time=GENESIS_TIME, slot_duration_ms=2000), **options), self.clock
        )
        self.slot = 0

    def go_to(self, slot: int, seconds: float = 0.0) -> None:
        """Move the clock to ``seconds`` into ``slot``."""
        self.slot = slot
        self.clock.time = GENESIS_TIME + 2 * slot + seconds
        self.node.chain.tick()

    def propose(self) -> None:
        """The block of the present slot, if its proposer is run by the node."""
        self.node._guarded(self.node.propose, self.slot)

    def attest(self) -> None:
        """A third into the slot: the votes of the simulated validators."""
        self.go_to(self.slot, 0.7)
        for committee in range(self.node._committees_at(self.slot)):
            self.node._guarded(self.node.simulated.attest, self.slot, committee)

    def run_slot(self, slot: int) -> None:
        """One slot as the node's own loop would do it."""
        self.go_to(slot)
        if slot:
            self.propose()
        self.attest()
        self.node._guarded(self.node.prepare, slot + 1)

    def run_slots(self, first: int, last: int) -> None:
        """Slots ``first`` to ``last``, both included."""
        for slot in range(first, last + 1):
            self.run_slot(slot)

    def duty_of(self, validator: int, epoch: int) -> tuple[int, int]:
        """Slot and committee index of a validator's attester duty."""
        committees = self.node.chain.committees(epoch)
        assert committees is not None
        return next(
            (epoch * 8 + offset, index)
            for offset, of_slot in enumerate(committees)
            for index, members in enumerate(of_slot)
            if validator in members
        )

    def sign(self, validator: int, data: Any) -> bytes:
        """The validator's signature over attestation data."""
        spec = self.node.spec
        domain = spec.get_domain(self.node.chain.current_state(), spec.DOMAIN_BEACON_ATTESTER, data.target.epoch)
        return bytes(spec.bls.Sign(interop_secret_key(validator), spec.compute_signing_root(data, domain)))

    def attestation(self, validator: int, epoch: int, **changes: Any) -> Any:
        """The SingleAttestation an honest client would make, or one with other attestation data."""
        spec = self.node.spec
        slot, committee_index = self.duty_of(validator, epoch)
        data = self.node.chain.attestation_data(slot).copy()
        for name, value in changes.items():
            setattr(data, name, value)
        return spec.SingleAttestation(
            committee_index=committee_index, attester_index=validator, data=data, signature=self.sign(validator, data)
        )

    def submit(self, *attestations: Any) -> list[str]:
        """Hand attestations to the gate; its verdicts."""
        return [verdict.text for verdict in self.node.gate.submit(attestations)]

"""What must hold after every step of a run, whatever the faults. Written without the protocol core's own checks.

* Agreement: no two operators that run the real code decide differently.
* Validity: what is decided, at least f+1 honest operators would have accepted: their own view but for the head.
* No operator that runs the real code signs anything but the decided value, nor against its own view.
* No two attestations that together are slashable are signed with one share, nor could be rebuilt for one validator.
* What is submitted is rebuilt right, is the decided value, and is submitted once.
* Every duty ends exactly once, by its deadline; where the plan allows it, completed.
"""

from ssv_pool.protocol.events import DutyRecord, Outcome, SubmitAttestations, SubmitSyncCommitteeMessages
from ssv_pool.protocol.types.beacon import (
    DOMAIN_BEACON_ATTESTER,
    DOMAIN_SYNC_COMMITTEE,
    AttestationData,
    BeaconVote,
    compute_domain,
    signing_root,
)
from ssv_pool.protocol.types.primitives import Epoch, PublicKey, Root, Slot
from ssv_pool.simulation.plan import CHAIN, DutyPlan, Fault, Plan
from ssv_pool.simulation.standins import share_key, validator_key, whole_signature

_FORK = CHAIN.forks[0].version
_ATTESTER = compute_domain(DOMAIN_BEACON_ATTESTER, _FORK, CHAIN.genesis_validators_root)
_SYNC = compute_domain(DOMAIN_SYNC_COMMITTEE, _FORK, CHAIN.genesis_validators_root)

_Attestation = tuple[Epoch, Epoch, Root]


class Violation(Exception):  # noqa: N818
    """An invariant does not hold; the text says which, where and how."""


def are_slashable(one: _Attestation, other: _Attestation) -> bool:
    """Whether two attestations (source, target, signing root) of one validator get it slashed."""
    if one == other:
        return False
    if one[1] == other[1]:
        return True
    inner, outer = (one, other) if one[1] < other[1] else (other, one)
    return outer[0] < inner[0]


class Invariants:
    """Watches one run."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.decided: dict[Slot, bytes] = {}
        """The value of each duty that any operator decided."""
        self.submitted: dict[tuple[int, Slot, int, int], int] = {}
        """(position, slot, beacon role, validator) → how often it was submitted."""
        self.records: dict[tuple[int, Slot], list[tuple[DutyRecord, float]]] = {}
        """(position, slot) → how the duty ended, and when."""
        self._duties = {item.duty.slot: item for item in plan.duties}
        self._faulty = (plan.size - 1) // 3
        self._quorum = 2 * self._faulty + 1
        self._byzantine = sum(kind is Fault.BYZANTINE for kind in plan.faults)
        self._validators = {
            share_key(validator_key(index), operator): index
            for index in range(1, plan.validators + 1)
            for operator in range(1, plan.size + 1)
        }
        self._by_share: dict[PublicKey, list[_Attestation]] = {}
        self._signers: dict[tuple[int, _Attestation], set[int]] = {}
        self._possible: dict[int, list[_Attestation]] = {}
        self._roots: dict[Slot, tuple[BeaconVote, Root, Root]] = {}
        self._new: list[tuple[int, PublicKey, _Attestation]] = []

    def on_decided(self, position: int, slot: Slot, value: bytes) -> None:
        """An operator with the real code decided. Raises Violation."""
        known = self.decided.setdefault(slot, value)
        if known != value:
            raise Violation(
                f"agreement: operator {position + 1} decided {value.hex()} for slot {slot}, "
                f"another one decided {known.hex()}"
            )
        accepting = sum(
            kind is not Fault.BYZANTINE and len(value) == 112 and value[32:] == vote.encode()[32:]
            for kind, vote in zip(self.plan.faults, self._duties[slot].votes, strict=True)
        )
        if accepting <= self._faulty:
            raise Violation(
                f"validity: operator {position + 1} decided {value.hex()} for slot {slot}, which only {accepting} "
                f"honest operators accept, expected at least {self._faulty + 1}"
            )

    def on_signed(self, position: int, share: PublicKey, source: Epoch, target: Epoch, root: Root) -> None:
        """An operator with the real code signs an attestation, in the middle of a step: looked at when that is over."""
        self._new.append((position, share, (source, target, root)))

    def check_signed(self) -> None:
        """Look at what was signed in the step. Raises Violation."""
        for position, share, attestation in self._new:
            self._check_signed(position, share, attestation)
        self._new.clear()

    def _check_signed(self, position: int, share: PublicKey, attestation: _Attestation) -> None:
        who = f"operator {position + 1}"
        source, target, root = attestation
        for earlier in self._by_share.setdefault(share, []):
            if are_slashable(earlier, attestation):
                raise Violation(
                    f"slashing: {who} signed {_show(attestation)} with a share that signed {_show(earlier)} before"
                )
        self._by_share[share].append(attestation)
        slots = [slot for slot, value in self.decided.items() if self._expected(slot, value)[1] == root]
        if not slots:
            raise Violation(f"signing: {who} signed {_show(attestation)}, which is no decided value's")
        vote = self._duties[slots[0]].votes[position]
        if (vote.source.epoch, vote.target.epoch) != (source, target):
            raise Violation(
                f"signing: {who} signed {_show(attestation)}, its own view is {vote.source.epoch} > {vote.target.epoch}"
            )
        index = self._validators[share]
        signers = self._signers.setdefault((index, attestation), set())
        signers.add(position)
        if len(signers) + self._byzantine < self._quorum:
            return
        possible = self._possible.setdefault(index, [])
        for earlier in possible:
            if are_slashable(earlier, attestation):
                raise Violation(
                    f"slashing: enough signed {_show(attestation)} and {_show(earlier)} for validator {index}"
                )
        if attestation not in possible:
            possible.append(attestation)

    def on_attestations(self, position: int, effect: SubmitAttestations) -> None:
        """An operator with the real code submits attestations. Raises Violation."""
        for item in effect.attestations:
            vote, root, _ = self._decided_of(position, effect.slot)
            data = AttestationData(effect.slot, 0, vote.block_root, vote.source, vote.target)
            if item.data != data or item.signature != whole_signature(validator_key(item.validator_index), root):
                raise Violation(
                    f"submission: operator {position + 1} submits a wrong attestation of slot {effect.slot} "
                    f"for validator {item.validator_index}"
                )
            self._count(position, effect.slot, 0, item.validator_index)

    def on_sync_messages(self, position: int, effect: SubmitSyncCommitteeMessages) -> None:
        """An operator with the real code submits sync committee messages. Raises Violation."""
        for item in effect.messages:
            vote, _, root = self._decided_of(position, effect.slot)
            signature = whole_signature(validator_key(item.validator_index), root)
            if item.block_root != vote.block_root or item.signature != signature:
                raise Violation(
                    f"submission: operator {position + 1} submits a wrong sync committee message of slot {effect.slot}"
                )
            self._count(position, effect.slot, 1, item.validator_index)

    def on_end(self, position: int, record: DutyRecord, now: float) -> None:
        """A duty ended. Raises Violation."""
        duty = self._duties[record.slot]
        if now > duty.deadline:
            raise Violation(
                f"termination: operator {position + 1} ended slot {record.slot} {now - duty.deadline:.3f} s late"
            )
        ends = self.records.setdefault((position, record.slot), [])
        ends.append((record, now))
        if len(ends) > 1 and self.plan.faults[position] is not Fault.CRASH:
            raise Violation(f"termination: operator {position + 1} ended slot {record.slot} {len(ends)} times")

    def at_the_end(self) -> None:
        """Every duty has ended, and those of honest operators that had to complete did. Raises Violation."""
        for duty in self.plan.duties:
            slot = duty.duty.slot
            for position, kind in enumerate(self.plan.faults):
                if kind in {Fault.BYZANTINE, Fault.CRASH}:
                    continue
                ends = self.records.get((position, slot))
                if not ends:
                    raise Violation(f"termination: operator {position + 1} never ended slot {slot}")
                record, _ = ends[0]
                if record.outcome is Outcome.COMPLETED:
                    self._check_complete(position, duty)
                elif kind is Fault.NONE and duty.must_complete:
                    raise Violation(
                        f"completion: operator {position + 1} ended slot {slot} {record.outcome.value}: "
                        f"{record.reason.value}, {record.detail}"
                    )

    def _check_complete(self, position: int, duty: DutyPlan) -> None:
        for item in duty.duty.validator_duties:
            role = 0 if item.committee_length else 1
            if self.submitted.get((position, duty.duty.slot, role, item.validator_index)) != 1:
                raise Violation(
                    f"completion: operator {position + 1} completed slot {duty.duty.slot}, but validator "
                    f"{item.validator_index}'s duty of type {item.type} was not submitted"
                )

    def _count(self, position: int, slot: Slot, role: int, index: int) -> None:
        key = position, slot, role, index
        self.submitted[key] = self.submitted.get(key, 0) + 1
        if self.submitted[key] > 1 and self.plan.faults[position] is not Fault.CRASH:
            raise Violation(f"submission: operator {position + 1} submits slot {slot} for validator {index} twice")

    def _decided_of(self, position: int, slot: Slot) -> tuple[BeaconVote, Root, Root]:
        value = self.decided.get(slot)
        if value is None:
            raise Violation(f"submission: operator {position + 1} submits for slot {slot}, which nobody decided")
        return self._expected(slot, value)

    def _expected(self, slot: Slot, value: bytes) -> tuple[BeaconVote, Root, Root]:
        """The decided vote, and the signing roots of its attestation and sync committee message."""
        known = self._roots.get(slot)
        if known is None:
            vote = BeaconVote.decode(value)
            data = AttestationData(slot, 0, vote.block_root, vote.source, vote.target)
            known = vote, signing_root(data.hash_tree_root(), _ATTESTER), signing_root(vote.block_root, _SYNC)
            self._roots[slot] = known
        return known


def _show(attestation: _Attestation) -> str:
    return f"{attestation[0]} > {attestation[1]} root {attestation[2].hex()[:8]}"

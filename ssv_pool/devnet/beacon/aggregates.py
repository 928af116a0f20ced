"""The gate through which aggregates come in."""

from typing import Any

from ssv_pool.devnet.beacon.codec import to_json
from ssv_pool.devnet.beacon.gossip import check_epoch, justified_of_target, vote_details
from ssv_pool.devnet.beacon.intake import COVERED, DUPLICATE, Intake, Verdict
from ssv_pool.devnet.beacon.pool import AttestationPool
from ssv_pool.devnet.beacon.record import ObjectKind

SEEN = "already seen aggregate for this data"
"""What the specification says of an aggregate that adds nothing."""


class AggregateGate:
    """Checks aggregates from outside and hands the good ones to the pool and to fork choice."""

    def __init__(self, intake: Intake, pool: AttestationPool) -> None:
        self._intake = intake
        self._chain = intake.chain
        self._spec = intake.spec
        self._pool = pool
        self._taken: dict[bytes, int] = {}
        self._bits: dict[tuple[bytes, int], int] = {}

    def submit(self, signed: Any) -> Verdict:
        """Check one SignedAggregateAndProof and take it in if it is good."""
        self._chain.tick()
        message = signed.message
        aggregate = message.aggregate
        key = bytes(signed.hash_tree_root())
        if key not in self._taken and not self._signed(signed):
            return Verdict("rejected: invalid aggregator signature")
        verdict = self._judge(signed, key)
        committees = [index for index, bit in enumerate(aggregate.committee_bits) if bit]
        details = vote_details(aggregate.data) | {
            "committee_index": committees[0] if committees else 0,
            "participants": sum(map(bool, aggregate.aggregation_bits)),
        }
        aggregator, slot = int(message.aggregator_index), int(aggregate.data.slot)
        return self._intake.note(ObjectKind.AGGREGATE, verdict, signed, aggregator, slot, details)

    def _signed(self, signed: Any) -> bool:
        spec, message = self._spec, signed.message
        domain = spec.get_domain(
            self._chain.current_state(), spec.DOMAIN_AGGREGATE_AND_PROOF, message.aggregate.data.target.epoch
        )
        root = bytes(spec.compute_signing_root(message, domain))
        return self._intake.signed_by(int(message.aggregator_index), root, signed.signature)

    def _judge(self, signed: Any, key: bytes) -> Verdict:
        if key in self._taken:
            return Verdict(DUPLICATE)
        seen = self._chain.seen
        verdict = self._intake.judge(lambda: self._check_rules(signed, seen))
        if verdict.text.endswith(SEEN):
            # Nothing new, but is it valid? The rules stop before they look.
            fresh = self._chain.nothing_seen()
            verdict = self._intake.judge(lambda: self._check_rules(signed, fresh))
            verdict = verdict if verdict.failed else Verdict(COVERED)
        elif not verdict.failed:
            self._take(signed)
        if not verdict.failed:
            self._taken[key] = int(signed.message.aggregate.data.slot)
        return verdict

    def _check_rules(self, signed: Any, seen: Any) -> None:
        """Raise the specification's GossipIgnore or GossipReject for an aggregate that must not pass."""
        spec, chain = self._spec, self._chain
        data = signed.message.aggregate.data
        check_epoch(self._intake, data)
        now = spec.Uint64(chain.clock.now_ms())
        spec.validate_beacon_aggregate_and_proof_gossip(seen, chain.store, chain.current_state(), signed, now)
        if data.source != justified_of_target(chain, data):
            _unmark(seen, signed)
            raise spec.GossipReject("source is not the justified checkpoint of the target")

    def _take(self, signed: Any) -> None:
        spec, chain = self._spec, self._chain
        aggregate = signed.message.aggregate
        data = aggregate.data
        index = next(index for index, bit in enumerate(aggregate.committee_bits) if bit)
        self._bits[bytes(data.hash_tree_root()), index] = int(data.slot)
        committee = spec.get_beacon_committee(chain.current_state(), data.slot, spec.CommitteeIndex(index))
        members = [int(member) for member in committee]
        places = frozenset(place for place, bit in enumerate(aggregate.aggregation_bits) if bit)
        self._pool.add(data, index, members, places, bytes(aggregate.signature))
        chain.add_vote(data, [members[place] for place in sorted(places)])
        if chain.events.wanted("attestation"):
            chain.events.emit("attestation", to_json(aggregate))

    def prune(self, first_slot: int) -> None:
        """Forget what belongs to slots before ``first_slot``."""
        spec, seen = self._spec, self._chain.seen
        self._taken = {key: slot for key, slot in self._taken.items() if slot >= first_slot}
        for (root, index), slot in list(self._bits.items()):
            if slot < first_slot:
                del self._bits[root, index]
                seen.aggregate_data_roots.pop((spec.Root(root), spec.CommitteeIndex(index)), None)
        first_epoch = first_slot // int(spec.SLOTS_PER_EPOCH)
        old = [entry for entry in seen.aggregator_epochs if int(entry[1]) < first_epoch]
        seen.aggregator_epochs.difference_update(old)


def _unmark(seen: Any, signed: Any) -> None:
    """Forget what the rules marked for an aggregate that is refused after all."""
    aggregate = signed.message.aggregate
    seen.aggregator_epochs.discard((signed.message.aggregator_index, aggregate.data.target.epoch))
    bits = tuple(bool(bit) for bit in aggregate.aggregation_bits)
    for (root, _), known in seen.aggregate_data_roots.items():
        if root == aggregate.data.hash_tree_root():
            known.discard(bits)

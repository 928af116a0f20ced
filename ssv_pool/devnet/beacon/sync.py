"""Sync committee messages and contributions: the gate they pass, and the pool from which blocks are filled."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ssv_pool.devnet.beacon.codec import to_json
from ssv_pool.devnet.beacon.intake import ACCEPTED, COVERED, DUPLICATE, Intake, Verdict, hex_root
from ssv_pool.devnet.beacon.memo import BoundedMemo
from ssv_pool.devnet.beacon.pool import disjoint
from ssv_pool.devnet.beacon.record import ObjectKind

KEPT_SLOTS = 4
"""Slots for which messages are kept: a block needs those of the slot before it."""

SEEN = "already seen contribution for this data"
"""What the specification says of a contribution that adds nothing."""

Vote = tuple[frozenset[int], bytes]
"""Places that signed and their (aggregate) signature of 96 bytes."""


@dataclass(slots=True)
class RootVotes:
    """What the members of one sync committee signed for one block in one slot."""

    committee: bytes
    """Hash tree root of the SyncCommittee, 32 bytes."""
    subcommittees: dict[int, list[Vote]] = field(default_factory=dict)
    """Votes by subcommittee; places count from the subcommittee's first."""


class SyncPool:
    """Checked messages and contributions by slot and block root."""

    def __init__(self, spec: Any, bls: Any) -> None:
        self._spec = spec
        self._bls = bls
        self._entries: dict[tuple[int, bytes], RootVotes] = {}
        self._aggregates: BoundedMemo[tuple[int, bytes, int, int], Vote] = BoundedMemo(256)
        self.size = int(spec.SYNC_COMMITTEE_SIZE) // int(spec.SYNC_COMMITTEE_SUBNET_COUNT)
        """Members of a subcommittee."""

    def add(
        self, slot: int, root: bytes, committee: bytes, subcommittee: int, places: Iterable[int], signature: bytes
    ) -> None:
        """Add the checked signature of ``places`` of a subcommittee over the block ``root``."""
        entry = self._entries.setdefault((slot, root), RootVotes(committee))
        votes = entry.subcommittees.setdefault(subcommittee, [])
        vote = (frozenset(places), signature)
        if entry.committee == committee and vote not in votes:
            votes.append(vote)

    def best(self, slot: int, root: bytes, subcommittee: int) -> Vote | None:
        """The largest aggregate of a subcommittee that the pool can make, or None if there is no vote."""
        entry = self._entries.get((slot, root))
        votes = entry.subcommittees.get(subcommittee) if entry is not None else None
        if not votes:
            return None
        key = (slot, root, subcommittee, len(votes))
        found = self._aggregates.get(key)
        return found if found is not None else self._aggregates.put(key, self._joined(disjoint(votes)))

    def contribution(self, slot: int, root: bytes, subcommittee: int) -> Any:
        """The SyncCommitteeContribution with the most participants, or None if there is none."""
        spec, best = self._spec, self.best(slot, root, subcommittee)
        if best is None:
            return None
        return spec.SyncCommitteeContribution(
            slot=slot,
            beacon_block_root=root,
            subcommittee_index=subcommittee,
            aggregation_bits=[place in best[0] for place in range(self.size)],
            signature=best[1],
        )

    def whole(self, slot: int, root: bytes, committee: bytes, own: Vote | None = None) -> Vote | None:
        """The largest vote of the whole committee (places count from its first member), or None.

        Args:
            slot: the slot in which they signed.
            root: the block that they signed for, 32 bytes.
            committee: hash tree root of the committee that is to have signed.
            own: a vote that is not in the pool, of the whole committee; what overlaps with it is left out.
        """
        parts = [own] if own is not None and own[0] else []
        entry = self._entries.get((slot, root))
        if entry is not None and entry.committee == committee:
            taken = parts[0][0] if parts else frozenset()
            for subcommittee, votes in sorted(entry.subcommittees.items()):
                best = self.best(slot, root, subcommittee)
                shift = subcommittee * self.size
                if best is not None and taken & {place + shift for place in best[0]}:
                    best = self._joined(disjoint(vote for vote in votes if not self._shifted(vote, shift) & taken))
                if best is not None and best[0]:
                    parts.append((self._shifted(best, shift), best[1]))
        return self._joined(parts) if parts else None

    def _shifted(self, vote: Vote, shift: int) -> frozenset[int]:
        return frozenset(place + shift for place in vote[0])

    def _joined(self, votes: Sequence[Vote]) -> Vote:
        if len(votes) == 1:
            return votes[0]
        places: frozenset[int] = frozenset().union(*(vote[0] for vote in votes))
        return places, bytes(self._bls.Aggregate([vote[1] for vote in votes])) if votes else b""

    def count(self, slot: int) -> int:
        """Votes for ``slot``: grows with everything that arrives."""
        return sum(
            len(votes)
            for (of_slot, _), entry in self._entries.items()
            if of_slot == slot
            for votes in entry.subcommittees.values()
        )

    def prune(self, first_slot: int) -> None:
        """Forget votes for slots before ``first_slot``."""
        self._entries = {key: entry for key, entry in self._entries.items() if key[0] >= first_slot}


class SyncGate:
    """Checks messages and contributions from outside and hands the good ones to the pool."""

    def __init__(self, intake: Intake, pool: SyncPool) -> None:
        self._intake = intake
        self._chain = intake.chain
        self._spec = intake.spec
        self._pool = pool
        self._messages: dict[tuple[int, int], bytes] = {}
        self._contributions: dict[bytes, int] = {}

    # ---- messages

    def submit(self, messages: Sequence[Any]) -> list[Verdict]:
        """Check SyncCommitteeMessages and take in the good ones; one verdict each, in order."""
        self._chain.tick()
        signed = self._check_signatures(messages)
        return [
            self._submit(message) if valid else Verdict("rejected: invalid sync committee message signature")
            for message, valid in zip(messages, signed, strict=True)
        ]

    def _check_signatures(self, messages: Sequence[Any]) -> list[bool]:
        """Whether each is signed by the validator it names; signatures over the same root are checked together."""
        spec, state = self._spec, self._chain.current_state()
        columns = self._chain.fast.columns.of(state)
        groups: dict[tuple[int, bytes], list[int]] = {}
        for place, message in enumerate(messages):
            if int(message.validator_index) < len(columns):
                epoch = int(message.slot) // int(spec.SLOTS_PER_EPOCH)
                groups.setdefault((epoch, bytes(message.beacon_block_root)), []).append(place)
        valid = [False] * len(messages)
        for (epoch, root), places in groups.items():
            pubkeys = [columns.pubkeys[int(messages[place].validator_index)] for place in places]
            signatures = [bytes(messages[place].signature) for place in places]
            signing_root = self._message_root(epoch, root)
            results = self._chain.fast.signatures.verify_each(pubkeys, signing_root, signatures)
            for place, result in zip(places, results, strict=True):
                valid[place] = result
        return valid

    def _message_root(self, epoch: int, root: bytes) -> bytes:
        spec = self._spec
        domain = spec.get_domain(self._chain.current_state(), spec.DOMAIN_SYNC_COMMITTEE, spec.Epoch(epoch))
        return bytes(spec.compute_signing_root(spec.Root(root), domain))

    def _submit(self, message: Any) -> Verdict:
        slot, validator = int(message.slot), int(message.validator_index)
        verdict = self._judge(message, slot, validator)
        details = {"root": hex_root(message.beacon_block_root)}
        return self._intake.note(ObjectKind.SYNC_MESSAGE, verdict, message, validator, slot, details)

    def _judge(self, message: Any, slot: int, validator: int) -> Verdict:
        """The gossip rules for a message with a good signature, on every subnet it belongs to."""
        spec, chain = self._spec, self._chain
        root = bytes(message.beacon_block_root)
        if self._messages.get((slot, validator)) == root:
            return Verdict(DUPLICATE)
        state = chain.current_state()
        subnets = sorted(spec.compute_subnets_for_sync_committee(state, message.validator_index))
        if not subnets:
            return Verdict("rejected: validator is not in the sync committee")
        now = spec.Uint64(chain.clock.now_ms())

        def check() -> None:
            self._intake.check_slot(slot)
            for subnet in subnets:
                spec.validate_sync_committee_message_gossip(chain.seen, state, message, now, subnet)

        verdict = self._intake.judge(check)
        if verdict.failed:
            return verdict
        self._messages[slot, validator] = root
        pubkey = chain.fast.columns.of(state).pubkeys[validator]
        committee = self._committee(state)
        for subnet in map(int, subnets):
            members = self._members(state, subnet)
            places = [place for place, member in enumerate(members) if member == pubkey]
            # Who sits in several places signs once and counts once for each.
            signature = bytes(message.signature)
            if len(places) > 1:
                signature = bytes(spec.bls.Aggregate([signature] * len(places)))
            self._pool.add(slot, root, committee, subnet, places, signature)
        return verdict

    def _members(self, state: Any, subcommittee: int) -> list[bytes]:
        """Public keys of a subcommittee in the order of its places."""
        found = self._spec.get_sync_subcommittee_pubkeys(state, self._spec.Uint64(subcommittee))
        return [bytes(pubkey) for pubkey in found]

    def _committee(self, state: Any) -> bytes:
        """Root of the committee that signs in the state's slot (for the next one: it changes a slot early)."""
        spec = self._spec
        period = int(spec.EPOCHS_PER_SYNC_COMMITTEE_PERIOD) * int(spec.SLOTS_PER_EPOCH)
        same = int(state.slot) // period == (int(state.slot) + 1) // period
        committee = state.current_sync_committee if same else state.next_sync_committee
        return bytes(committee.hash_tree_root())

    # ---- joined votes of members that a node runs itself

    def accept_joined(self, contribution: Any) -> Verdict:
        """Take in the joined signatures of members that another node runs, a SyncCommitteeContribution of nobody."""
        spec, chain = self._spec, self._chain
        chain.tick()
        slot, subcommittee = int(contribution.slot), int(contribution.subcommittee_index)
        if slot not in (chain.clock.slot() - 1, chain.clock.slot()):
            return Verdict("ignored: not of the current or the previous slot")
        if subcommittee >= int(spec.SYNC_COMMITTEE_SUBNET_COUNT):
            return Verdict("rejected: subcommittee out of range")
        state = chain.current_state()
        places = [place for place, bit in enumerate(contribution.aggregation_bits) if bit]
        members = self._members(state, subcommittee)
        root, signature = bytes(contribution.beacon_block_root), bytes(contribution.signature)
        message = self._message_root(slot // int(spec.SLOTS_PER_EPOCH), root)
        if not places or not spec.bls.FastAggregateVerify([members[place] for place in places], message, signature):
            return Verdict("rejected: invalid joined signature")
        self._pool.add(slot, root, self._committee(state), subcommittee, places, signature)
        return Verdict(ACCEPTED)

    # ---- contributions

    def contribute(self, signed: Any) -> Verdict:
        """Check one SignedContributionAndProof and take it in if it is good."""
        self._chain.tick()
        contribution = signed.message.contribution
        aggregator, slot = int(signed.message.aggregator_index), int(contribution.slot)
        key = bytes(signed.hash_tree_root())
        if key not in self._contributions and not self._contribution_signed(signed):
            return Verdict("rejected: invalid aggregator signature")
        verdict = self._judge_contribution(signed, key)
        details = {
            "root": hex_root(contribution.beacon_block_root),
            "subcommittee_index": int(contribution.subcommittee_index),
            "participants": sum(map(bool, contribution.aggregation_bits)),
        }
        return self._intake.note(ObjectKind.CONTRIBUTION, verdict, signed, aggregator, slot, details)

    def _contribution_signed(self, signed: Any) -> bool:
        spec, message = self._spec, signed.message
        epoch = spec.compute_epoch_at_slot(message.contribution.slot)
        domain = spec.get_domain(self._chain.current_state(), spec.DOMAIN_CONTRIBUTION_AND_PROOF, epoch)
        root = bytes(spec.compute_signing_root(message, domain))
        return self._intake.signed_by(int(message.aggregator_index), root, signed.signature)

    def _judge_contribution(self, signed: Any, key: bytes) -> Verdict:
        spec, chain = self._spec, self._chain
        if key in self._contributions:
            return Verdict(DUPLICATE)
        state = chain.current_state()
        now = spec.Uint64(chain.clock.now_ms())

        def check(seen: Any) -> None:
            self._intake.check_slot(signed.message.contribution.slot)
            spec.validate_sync_committee_contribution_and_proof_gossip(seen, state, signed, now)

        verdict = self._intake.judge(lambda: check(chain.seen))
        if verdict.text.endswith(SEEN):
            # Nothing new, but is it valid? The rules stop before they look.
            verdict = self._intake.judge(lambda: check(chain.nothing_seen()))
            verdict = verdict if verdict.failed else Verdict(COVERED)
        if verdict.failed:
            return verdict
        contribution = signed.message.contribution
        slot, subcommittee = int(contribution.slot), int(contribution.subcommittee_index)
        self._contributions[key] = slot
        if verdict.text == COVERED:
            return verdict
        places = [place for place, bit in enumerate(contribution.aggregation_bits) if bit]
        root, signature = bytes(contribution.beacon_block_root), bytes(contribution.signature)
        self._pool.add(slot, root, self._committee(state), subcommittee, places, signature)
        if chain.events.wanted("contribution_and_proof"):
            chain.events.emit("contribution_and_proof", to_json(signed))
        return verdict

    def prune(self, first_slot: int) -> None:
        """Forget what belongs to slots before ``first_slot``."""
        seen = self._chain.seen
        self._pool.prune(first_slot)
        self._messages = {key: root for key, root in self._messages.items() if key[0] >= first_slot}
        self._contributions = {key: slot for key, slot in self._contributions.items() if slot >= first_slot}
        for entries, place in ((seen.sync_message_validator_slots, 0), (seen.sync_contribution_aggregator_slots, 1)):
            entries.difference_update([entry for entry in entries if int(entry[place]) < first_slot])
        for key in [key for key in seen.sync_contribution_data if int(key[0]) < first_slot]:
            del seen.sync_contribution_data[key]

"""The gate through which attestations come in: signatures, the specification's gossip rules, the FFG source."""

from collections.abc import Callable, Sequence
from typing import Any

from ssv_pool.devnet.beacon.chain import Chain
from ssv_pool.devnet.beacon.codec import to_json
from ssv_pool.devnet.beacon.intake import ACCEPTED, DUPLICATE, Intake, Verdict, hex_root
from ssv_pool.devnet.beacon.pool import AttestationPool
from ssv_pool.devnet.beacon.record import ObjectKind, RecordEntry


class AttestationGate:
    """Checks attestations from outside and hands the good ones to the pool and to fork choice."""

    def __init__(self, intake: Intake, pool: AttestationPool) -> None:
        self._intake = intake
        self._chain = intake.chain
        self._spec = intake.spec
        self._pool = pool
        self._votes: dict[tuple[int, int], bytes] = {}
        self.own_vote_listeners: list[Callable[[Any], None]] = []
        """Called with each joined vote of validators that this node runs, an Attestation with one committee bit."""

    def submit(self, attestations: Sequence[Any]) -> list[Verdict]:
        """Check SingleAttestations and take in the good ones; one verdict each, in order."""
        self._chain.tick()
        received = self._chain.clock.now()
        roots = [bytes(attestation.data.hash_tree_root()) for attestation in attestations]
        signed = self._check_signatures(attestations, roots)
        verdicts = []
        entries = []
        for attestation, root, valid in zip(attestations, roots, signed, strict=True):
            verdict = self._judge(attestation, root) if valid else Verdict("rejected: invalid attestation signature")
            verdicts.append(verdict)
            if valid:
                validator, slot = int(attestation.attester_index), int(attestation.data.slot)
                details = vote_details(attestation.data)
                entries.append(RecordEntry(ObjectKind.ATTESTATION, validator, slot, received, verdict.text, details))
                self._intake.announce(ObjectKind.ATTESTATION, verdict, attestation)
        self._intake.write(entries)
        return verdicts

    def accept_own(
        self, data: Any, committee_index: int, members: Sequence[int], places: frozenset[int], signature: bytes
    ) -> None:
        """Take in the vote of validators this node runs itself."""
        spec = self._spec
        voters = [members[place] for place in sorted(places)]
        root = bytes(data.hash_tree_root())
        for voter in voters:
            self._votes[voter, int(data.target.epoch)] = root
            self._chain.seen.attestation_validator_epochs.add((spec.ValidatorIndex(voter), data.target.epoch))
        self._pool.add(data, committee_index, members, places, signature)
        self._chain.add_vote(data, voters)
        if self.own_vote_listeners:
            vote = spec.Attestation(
                aggregation_bits=[place in places for place in range(len(members))],
                data=data,
                signature=signature,
                committee_bits=[index == committee_index for index in range(spec.MAX_COMMITTEES_PER_SLOT)],
            )
            for listener in self.own_vote_listeners:
                listener(vote)

    def is_live(self, validator_index: int, epoch: int) -> bool:
        """Whether an attestation of the validator for ``epoch`` was taken in."""
        return (validator_index, epoch) in self._votes

    def prune(self, first_epoch: int) -> None:
        """Forget who voted in epochs before ``first_epoch``."""
        self._votes = {key: root for key, root in self._votes.items() if key[1] >= first_epoch}

    def _check_signatures(self, attestations: Sequence[Any], roots: Sequence[bytes]) -> list[bool]:
        """Whether each is signed by the validator it names; same-data signatures are checked together."""
        columns = self._chain.fast.columns.of(self._chain.current_state())
        groups: dict[bytes, list[int]] = {}
        for place, attestation in enumerate(attestations):
            if int(attestation.attester_index) < len(columns):
                groups.setdefault(roots[place], []).append(place)
        valid = [False] * len(attestations)
        for places in groups.values():
            message = self._signing_root(attestations[places[0]].data)
            pubkeys = [columns.pubkeys[int(attestations[place].attester_index)] for place in places]
            signatures = [bytes(attestations[place].signature) for place in places]
            results = self._chain.fast.signatures.verify_each(pubkeys, message, signatures)
            for place, result in zip(places, results, strict=True):
                valid[place] = result
        return valid

    def _signing_root(self, data: Any) -> bytes:
        spec = self._spec
        domain = spec.get_domain(self._chain.current_state(), spec.DOMAIN_BEACON_ATTESTER, data.target.epoch)
        return bytes(spec.compute_signing_root(data, domain))

    def _judge(self, attestation: Any, root: bytes) -> Verdict:
        """The gossip rules and the FFG source for one attestation whose signature is good."""
        spec, chain = self._spec, self._chain
        data = attestation.data
        key = (int(attestation.attester_index), int(data.target.epoch))
        if self._votes.get(key) == root:
            return Verdict(DUPLICATE)
        verdict = self._intake.judge(lambda: self._check_rules(attestation))
        if verdict.failed:
            return verdict
        members = spec.get_beacon_committee(chain.current_state(), data.slot, attestation.committee_index)
        place = list(members).index(attestation.attester_index)
        indices = [int(member) for member in members]
        signature = bytes(attestation.signature)
        self._votes[key] = root
        self._pool.add(data, int(attestation.committee_index), indices, frozenset({place}), signature)
        chain.add_vote(data, [key[0]])
        if chain.events.wanted("single_attestation"):
            chain.events.emit("single_attestation", to_json(attestation))
        return Verdict(ACCEPTED)

    def _check_rules(self, attestation: Any) -> None:
        """Raise the specification's GossipIgnore or GossipReject for an attestation that must not pass."""
        spec, chain = self._spec, self._chain
        data = attestation.data
        state = chain.current_state()
        check_epoch(self._intake, data)
        per_slot = spec.get_committee_count_per_slot(state, data.target.epoch)
        if attestation.committee_index >= per_slot:
            raise spec.GossipReject("committee index out of range")
        subnet = spec.compute_subnet_for_attestation(per_slot, data.slot, attestation.committee_index)
        now = spec.Uint64(chain.clock.now_ms())
        spec.validate_beacon_attestation_gossip(chain.seen, chain.store, state, attestation, now, spec.SubnetID(subnet))
        if data.source != justified_of_target(chain, data):
            chain.seen.attestation_validator_epochs.discard((attestation.attester_index, data.target.epoch))
            raise spec.GossipReject("source is not the justified checkpoint of the target")


def check_epoch(intake: Intake, data: Any) -> None:
    """Raise GossipIgnore for attestation data of a slot or epoch whose committees the state does not know."""
    current = intake.chain.clock.epoch()
    # One epoch ahead is left to the rules, which allow for clocks that differ.
    if not current - 1 <= int(data.target.epoch) <= current + 1:
        raise intake.spec.GossipIgnore("attestation epoch is not current or previous epoch")
    intake.check_slot(data.slot)


def justified_of_target(chain: Chain, data: Any) -> Any:
    """The only FFG source that a vote for ``data.target`` may have.

    Gossip leaves that to block processing, but a vote that no block can hold is refused on entry.
    """
    chain.spec.store_target_checkpoint_state(chain.store, data.target)
    return chain.store.checkpoint_states[data.target].current_justified_checkpoint


def vote_details(data: Any) -> dict[str, Any]:
    """What a record says of attestation data."""
    return {
        "source_epoch": int(data.source.epoch),
        "target_epoch": int(data.target.epoch),
        "data_root": hex_root(data.hash_tree_root()),
    }

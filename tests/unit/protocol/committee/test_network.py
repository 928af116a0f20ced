"""Whole committees on a virtual clock: agreement and validity always, liveness when the network lets them."""

import random

import pytest
from committee_network import (
    CommitteeNetwork,
    Node,
    chain,
    make_duty,
    validator_key,
    vote,
    whole_signature,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from ssv_pool.protocol.events import Outcome, Reason, SignedAttestation
from ssv_pool.protocol.types.beacon import DOMAIN_BEACON_ATTESTER, AttestationData, compute_domain, signing_root
from ssv_pool.protocol.types.messages import SignedSSVMessage

SLOT = 40


def attestations_of(network: CommitteeNetwork, head: str = "head") -> list[SignedAttestation]:
    """What every operator hands over when ``head`` was decided, after Electra."""
    own = vote(head)
    fork = network.chain.forks[0]
    data = AttestationData(SLOT, 0, own.block_root, own.source, own.target)
    domain = compute_domain(DOMAIN_BEACON_ATTESTER, fork.version, network.chain.genesis_validators_root)
    root = signing_root(data.hash_tree_root(), domain)
    return [
        SignedAttestation(
            duty.validator_index,
            duty.committee_index,
            duty.committee_length,
            duty.validator_committee_index,
            data,
            whole_signature(validator_key(duty.validator_index), root),
        )
        for duty in make_duty(SLOT, network.validators).validator_duties
    ]


def assert_agreement(nodes: list[Node]) -> None:
    """No two operators handed over different attestations, and none signed two for one target."""
    seen: dict[tuple[int, int], AttestationData] = {}
    for node in nodes:
        for attestation in node.attestations:
            key = attestation.validator_index, attestation.data.slot
            assert seen.setdefault(key, attestation.data) == attestation.data


@pytest.mark.parametrize("size", [4, 7, 10, 13])
def test_happy_flow(size: int) -> None:
    network = CommitteeNetwork(size)
    network.start(SLOT)
    network.run()
    due = network.chain.attestation_due(SLOT)
    for node in network.nodes:
        assert node.attestations == attestations_of(network)
        [record] = node.records
        assert (record.outcome, record.reason, record.round) == (Outcome.COMPLETED, Reason.NONE, 1)
        assert (record.validators, record.completed, record.silent_operators) == (2, 2, ())
        assert [step.name for step in record.steps] == [
            "due",
            "begun",
            "consensus_started",
            "proposed",
            "prepared",
            "decided",
            "signed",
            "reconstructed",
        ]
        assert record.steps[-1].time - due == pytest.approx(0.04)
        assert node.threshold.batches == [2]
        assert node.signer.batches == [2]
        assert node.committee.runners == {}


@pytest.mark.parametrize(("size", "down"), [(4, 1), (7, 2), (13, 4)])
def test_leaders_that_are_down_cost_a_round_each(size: int, down: int) -> None:
    network = CommitteeNetwork(size)
    first = SLOT % size  # the leader of round 1 is operator number ``slot``, counted from 0
    for step in range(down):
        network.nodes[(first + step) % size].alive = False
    network.start(SLOT)
    network.run()
    silent = tuple(sorted(node.operator_id for node in network.nodes if not node.alive))
    for node in network.nodes:
        if node.alive:
            assert node.attestations == attestations_of(network)
            [record] = node.records
            assert (record.outcome, record.round, record.silent_operators) == (Outcome.COMPLETED, down + 1, silent)


def test_without_a_quorum_nothing_is_signed_and_the_deadline_ends_the_duty() -> None:
    network = CommitteeNetwork(4)
    network.nodes[1].alive = network.nodes[2].alive = False
    network.start(SLOT, deadline=network.chain.start_of(SLOT + 1))
    network.run()
    for node in (network.nodes[0], network.nodes[3]):
        assert node.attestations == []
        assert node.signer.batches == []
        [record] = node.records
        assert (record.outcome, record.silent_operators) == (Outcome.FAILED, (2, 3))
        assert record.reason in {Reason.NO_PROPOSAL, Reason.NO_PREPARE_QUORUM}
        assert node.committee.runners == {}


@given(
    size=st.sampled_from([4, 7]),
    seed=st.integers(0, 2**32),
    slowest=st.sampled_from([0.05, 0.5, 3.0, 7.0]),
    healed_after=st.floats(0, 12),
    crashed=st.integers(0, 2),
    skew=st.sampled_from([0.0, 0.2, 2.5]),
)
@settings(max_examples=60, deadline=None)
def test_every_live_operator_completes_once_the_network_is_timely(
    size: int, seed: int, slowest: float, healed_after: float, crashed: int, skew: float
) -> None:
    """Messages are late and out of order as long as the network is bad, but arrive when it has healed."""
    rng = random.Random(seed)
    heal = chain().attestation_due(SLOT) + healed_after

    def delay(now: float, sender: Node, receiver: Node, message: SignedSSVMessage) -> float | None:
        return rng.uniform(0, 0.05) if now >= heal else min(rng.uniform(0, slowest), heal - now + 0.05)

    network = CommitteeNetwork(size, delay=delay)
    for node in rng.sample(network.nodes, min(crashed, (size - 1) // 3)):
        at = network.chain.attestation_due(SLOT) + rng.uniform(-1, 6)
        network.at(at, lambda node=node: network.crash(node))
    heads = {position: vote(f"head {rng.randrange(2)}") for position in range(size)}
    network.start(SLOT, votes=heads, skews={position: rng.uniform(0, skew) for position in range(size)})
    network.run()
    assert_agreement(network.nodes)
    for node in network.nodes:
        if node.alive:
            assert node.attestations in (attestations_of(network, "head 0"), attestations_of(network, "head 1"))
            assert [record.outcome for record in node.records] == [Outcome.COMPLETED]
            assert node.committee.runners == {}


@given(
    size=st.sampled_from([4, 7]),
    seed=st.integers(0, 2**32),
    loss=st.sampled_from([0.05, 0.2, 0.5]),
    crashes=st.integers(0, 4),
)
@settings(max_examples=60, deadline=None)
def test_nobody_disagrees_whatever_is_lost(size: int, seed: int, loss: float, crashes: int) -> None:
    """Losses and restarts, as many as you like: they may cost the duty, never agreement."""
    rng = random.Random(seed)

    def delay(now: float, sender: Node, receiver: Node, message: SignedSSVMessage) -> float | None:
        return None if rng.random() < loss else rng.uniform(0, 1.5)

    network = CommitteeNetwork(size, delay=delay)
    due = network.chain.attestation_due(SLOT)
    for _ in range(crashes):
        node, at = rng.choice(network.nodes), due + rng.uniform(0, 10)
        network.at(at, lambda node=node: network.crash(node))
        network.at(at + rng.uniform(0, 3), lambda node=node: network.restart(node))
    heads = {position: vote(f"head {position % 3}") for position in range(size)}
    network.start(SLOT, votes=heads, skews={position: rng.uniform(0, 2) for position in range(size)})
    network.start(SLOT, votes=heads, skews={position: rng.uniform(8, 12) for position in range(size)})  # started again
    network.run()
    assert_agreement(network.nodes)
    for node in network.nodes:
        assert {attestation.validator_index for attestation in node.attestations} <= {1, 2}
        assert node.committee.runners == {}


@given(seed=st.integers(0, 2**32), size=st.sampled_from([4, 7]), leading=st.booleans(), gossip=st.booleans())
@settings(max_examples=60, deadline=None)
def test_two_faced_operators_cannot_split_the_committee(seed: int, size: int, leading: bool, gossip: bool) -> None:
    """Up to f operators run two nodes with one key, which propose, prepare and commit different values to each half."""
    rng = random.Random(seed)
    first = SLOT % size
    faulty = (size - 1) // 3
    twins = [(first + step) % size + 1 for step in range(faulty)] if leading else rng.sample(range(1, size + 1), faulty)
    half = set(rng.sample(range(1, size + 1), size // 2))

    def delay(now: float, sender: Node, receiver: Node, message: SignedSSVMessage) -> float | None:
        faces = [node for node in network.nodes if node.operator_id == sender.operator_id]
        if len(faces) == 2 and (sender is faces[0]) != (receiver.operator_id in half):
            return None
        return rng.uniform(0, 0.5)

    network = CommitteeNetwork(size, delay=delay, twins=twins, gossip=gossip)
    network.start(SLOT, votes={position: vote(f"head {int(position >= size)}") for position in range(size + faulty)})
    network.run()
    honest = [node for node in network.nodes if node.operator_id not in twins]
    assert_agreement(honest)
    if gossip:  # what convinced one honest operator reaches all
        assert {record.outcome for node in honest for record in node.records} == {Outcome.COMPLETED}


def test_many_slots_leave_nothing_behind() -> None:
    network = CommitteeNetwork(4)
    for slot in range(SLOT, SLOT + 40):
        network.start(slot, votes={position: vote(target=2 + slot) for position in range(4)})
    network.run()
    for node in network.nodes:
        committee = node.committee
        assert [record.outcome for record in node.records] == [Outcome.COMPLETED] * 40
        assert (committee.runners, committee._stages, len(committee._early)) == ({}, {}, 0)
        assert len(committee._ended) <= 40


def test_slots_that_overlap_do_not_disturb_one_another() -> None:
    def delay(now: float, sender: Node, receiver: Node, message: SignedSSVMessage) -> float | None:
        return 5.0 if receiver.operator_id == 4 else 0.1

    network = CommitteeNetwork(4, delay=delay)
    for slot in (SLOT, SLOT + 1, SLOT + 2):
        network.start(slot, votes={position: vote(target=2 + slot) for position in range(4)})
    network.run()
    for node in network.nodes:
        assert [record.outcome for record in node.records] == [Outcome.COMPLETED] * 3

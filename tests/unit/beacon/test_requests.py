import threading
from dataclasses import replace

import pytest
from executor_network import empty_block

from ssv_pool.beacon.block_api import ProducedBlock
from ssv_pool.beacon.errors import BeaconError
from ssv_pool.beacon.requests import FAILURE_SECONDS, KEPT_ANSWERS, Asker, BadRequestError, Found
from ssv_pool.messaging.commands import BeaconRequest
from ssv_pool.protocol.chain import BeaconChain, ForkVersion
from ssv_pool.protocol.events import AskKind
from ssv_pool.protocol.types import AttestationData, Checkpoint
from ssv_pool.protocol.types.attestations import AggregateAndProof, Attestation, ElectraAttestation
from ssv_pool.protocol.types.contributions import Contributions, SyncCommitteeContribution
from ssv_pool.protocol.types.versions import DataVersion

# Deneb from the start, Electra from epoch 2, slot 16, on.
CHAIN = BeaconChain(
    1000.0, bytes(32), 1000, 8, (ForkVersion(0, bytes(4), "deneb"), ForkVersion(2, bytes([1]) * 4, "electra"))
)
REVEAL, PROOF = bytes([7]) * 96, bytes([8]) * 96
HEADS = [bytes([1]) * 32, bytes([2]) * 32]
NOTHING = BeaconError("GET /x", 404, "none")


def data(slot, head=HEADS[0], index=0):
    return AttestationData(slot, index, head, Checkpoint(0, bytes(32)), Checkpoint(1, bytes(32)))


class Attested:
    def __init__(self, heads=HEADS):
        self.heads = heads

    def data_of(self, slot, committee_index):
        return [data(slot, head) for head in self.heads]

    def heads_of(self, slot):
        return list(self.heads)


class Node:
    """A beacon client: knows aggregates by (committee, data root) and contributions by (subcommittee, head)."""

    def __init__(self):
        self.calls = []
        self.block = None
        self.aggregates = {}
        self.contributions = {}

    def produce_block(self, *arguments, **named):
        self.calls.append((arguments, named))
        return self.block

    def aggregate(self, slot, committee_index, root, fork):
        self.calls.append((committee_index, root, fork))
        return self._found(self.aggregates.get((committee_index, root), NOTHING))

    def sync_contribution(self, slot, subcommittee, head):
        self.calls.append((subcommittee, head))
        return self._found(self.contributions.get((subcommittee, head), NOTHING))

    def attestation_data(self, slot, index, *, timeout):
        self.calls.append(("data", slot, index))
        return data(slot, index=index)

    def block_root(self, name):
        self.calls.append(("root", name))
        return HEADS[0]

    def _found(self, found):
        if isinstance(found, Exception):
            raise found
        return found


@pytest.fixture
def node():
    return Node()


def asker(node, heads=HEADS, **options):
    return Asker(node, Attested(heads), 4.0, **options)


def request(kind, slot, public_key=bytes(48), **arguments):
    return BeaconRequest("ask:1", bytes(32), public_key, "1", kind, slot, tuple(arguments.items()), 2000.0)


def aggregate_request(slot, committee_index=5, **options):
    arguments = {"validator_index": "9", "committee_length": "32", "selection_proof": PROOF.hex()}
    return request(AskKind.AGGREGATE, slot, committee_index=str(committee_index), **arguments, **options)


def electra(slot, committee_index=5, head=HEADS[0], bits=b"\x07"):
    return ElectraAttestation(bits, data(slot, head), bytes(96), (1 << committee_index).to_bytes(8, "little"))


def contribution(slot, subcommittee, head=HEADS[0], bits=b"\x01"):
    return SyncCommitteeContribution(slot, head, subcommittee, bits.ljust(16, b"\0"), bytes(96))


class TestBlock:
    ORDER = {"randao_reveal": REVEAL.hex(), "graffiti": b"hello".ljust(32, b"\0").hex()}  # noqa: RUF012

    def test_it_is_ordered_as_asked_and_configured(self, node):
        block = empty_block(9, DataVersion.DENEB)
        node.block = ProducedBlock(5, False, block.raw, "deneb")
        found = asker(node, builder_boost=90).answer(CHAIN, request(AskKind.BLOCK, 9, **self.ORDER))
        assert found == Found(block.raw, 5)
        assert node.calls == [((9, REVEAL, b"hello".ljust(32, b"\0")), {"builder_boost": 90, "timeout": 4.0})]

    def test_one_of_another_fork_is_refused(self, node):
        node.block = ProducedBlock(5, False, b"block", "deneb")
        with pytest.raises(BeaconError, match=r"bad answer: fork: found deneb, expected electra$"):
            asker(node).answer(CHAIN, request(AskKind.BLOCK, 16, **self.ORDER))

    def test_an_empty_one_is_refused(self, node):
        node.block = ProducedBlock(5, False, b"", "deneb")
        with pytest.raises(BeaconError, match=r"bad answer: found 0 bytes, expected 1 to \d+$"):
            asker(node).answer(CHAIN, request(AskKind.BLOCK, 9, **self.ORDER))

    @pytest.mark.parametrize(
        ("order", "problem"),
        [
            ({}, "request argument randao_reveal: missing"),
            ({"randao_reveal": "07"}, "request argument randao_reveal: found '07', expected 96 bytes in hex"),
            ({"randao_reveal": REVEAL.hex(), "graffiti": "zz"}, "graffiti: found 'zz', expected 32 bytes in hex"),
        ],
    )
    def test_a_request_without_what_it_needs_is_refused(self, node, order, problem):
        with pytest.raises(BadRequestError, match=problem):
            asker(node).answer(CHAIN, request(AskKind.BLOCK, 9, **order))


class TestAggregate:
    def test_a_validator_gets_it_with_its_proof(self, node):
        node.aggregates[5, data(16).hash_tree_root()] = 6, electra(16).encode()
        found = asker(node).answer(CHAIN, aggregate_request(16))
        assert found == Found(AggregateAndProof(9, electra(16), PROOF).encode(), 6)

    def test_a_committee_gets_the_attestation(self, node):
        node.aggregates[5, data(16).hash_tree_root()] = 6, electra(16).encode()
        assert asker(node).answer(CHAIN, aggregate_request(16, public_key=b"")) == Found(electra(16).encode(), 6)

    def test_before_electra_the_data_have_the_committees_index(self, node):
        attested = data(9, index=5)
        attestation = Attestation(b"\x07", attested, bytes(96))
        node.aggregates[5, attested.hash_tree_root()] = 5, attestation.encode()
        assert asker(node).answer(CHAIN, aggregate_request(9, public_key=b"")) == Found(attestation.encode(), 5)

    def test_the_next_best_data_are_tried_where_there_is_no_aggregate_of_the_best(self, node):
        second = electra(16, head=HEADS[1])
        node.aggregates[5, second.data.hash_tree_root()] = 6, second.encode()
        assert asker(node).answer(CHAIN, aggregate_request(16, public_key=b"")).payload == second.encode()
        assert len(node.calls) == 2

    def test_a_node_that_does_not_answer_is_asked_once(self, node):
        node.aggregates[5, data(16).hash_tree_root()] = BeaconError("GET /x", None, "timeout")
        with pytest.raises(BeaconError, match="no answer: timeout"):
            asker(node).answer(CHAIN, aggregate_request(16))
        assert len(node.calls) == 1

    def test_what_is_not_known_is_asked_for_anew(self, node):
        node.aggregates[5, data(16).hash_tree_root()] = 6, electra(16).encode()
        assert (
            asker(node, heads=[]).answer(CHAIN, aggregate_request(16, public_key=b"")).payload == electra(16).encode()
        )
        assert node.calls[0] == ("data", 16, 0)

    @pytest.mark.parametrize(
        ("attestation", "version", "problem"),
        [
            (electra(16, committee_index=4), 6, "committee bits: found 0x10, expected 0x20"),
            (replace(electra(16), committee_bits=b"\x21" + bytes(7)), 6, "committee bits: found 0x21, expected 0x20"),
            (electra(16, bits=b"\x04"), 6, "nobody attests in the aggregate of slot 16"),
            (electra(16), 7, "version: found 7, expected 6"),
        ],
    )
    def test_a_bad_one_is_refused(self, node, attestation, version, problem):
        node.aggregates[5, data(16).hash_tree_root()] = version, attestation.encode()
        with pytest.raises(BeaconError, match=f"status 200: bad answer: {problem}$"):
            asker(node, heads=HEADS[:1]).answer(CHAIN, aggregate_request(16))

    @pytest.mark.parametrize("index", ["", "-1", "x", "1" * 21, "²"])
    def test_a_committee_index_is_a_number(self, node, index):
        with pytest.raises(BadRequestError, match=r"request argument committee_index: found .*, expected a number$"):
            asker(node).answer(CHAIN, aggregate_request(16, committee_index=index))
        assert node.calls == []


class TestShared:
    def test_one_committees_validators_share_one_fetch(self, node):
        node.aggregates[5, data(16).hash_tree_root()] = 6, electra(16).encode()
        shared = asker(node)
        for _ in range(3):
            shared.answer(CHAIN, aggregate_request(16))
        assert len(node.calls) == 1
        node.aggregates[6, data(16).hash_tree_root()] = 6, electra(16, committee_index=6).encode()
        shared.answer(CHAIN, aggregate_request(16, committee_index=6))
        assert len(node.calls) == 2

    def test_who_comes_while_it_is_fetched_waits_for_it(self, node):
        asked, release, late = threading.Event(), threading.Event(), []
        fetch = node.aggregate
        node.aggregates[5, data(16).hash_tree_root()] = 6, electra(16).encode()

        def slow(*arguments):
            asked.set()
            assert release.wait(10)
            return fetch(*arguments)

        node.aggregate = slow
        shared = asker(node)
        threads = [
            threading.Thread(target=lambda: late.append(shared.answer(CHAIN, aggregate_request(16)))) for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        assert asked.wait(10)
        release.set()
        for thread in threads:
            thread.join(10)
        assert len(late) == 8
        assert len(node.calls) == 1

    def test_a_failure_is_kept_for_a_moment_only(self, node):
        now = [100.0]
        shared = asker(node, heads=HEADS[:1], clock=lambda: now[0])
        for _ in range(3):
            with pytest.raises(BeaconError):
                shared.answer(CHAIN, aggregate_request(16))
        assert len(node.calls) == 1
        now[0] += FAILURE_SECONDS
        node.aggregates[5, data(16).hash_tree_root()] = 6, electra(16).encode()
        assert shared.answer(CHAIN, aggregate_request(16)).version == 6

    def test_old_answers_are_forgotten(self, node):
        shared = asker(node, heads=HEADS[:1])
        for slot in range(16, 17 + KEPT_ANSWERS):
            node.contributions[0, HEADS[0]] = contribution(slot, 0)
            shared.answer(CHAIN, request(AskKind.CONTRIBUTIONS, slot, subcommittees="0", selection_proofs=PROOF.hex()))
        before = len(node.calls)
        for slot in (17, 16):
            shared.answer(CHAIN, request(AskKind.CONTRIBUTIONS, slot, subcommittees="0", selection_proofs=PROOF.hex()))
        assert len(node.calls) == before + 1


class TestContributions:
    def ask(self, subcommittees, proofs, slot=16):
        return request(AskKind.CONTRIBUTIONS, slot, subcommittees=subcommittees, selection_proofs=proofs)

    def test_each_subcommittee_has_its_own(self, node):
        node.contributions = {(0, HEADS[0]): contribution(16, 0), (3, HEADS[1]): contribution(16, 3, HEADS[1])}
        found = asker(node).answer(CHAIN, self.ask("0,3", f"{PROOF.hex()},{REVEAL.hex()}"))
        items = Contributions.decode(found.payload).items
        assert [(item.selection_proof, item.contribution) for item in items] == [
            (PROOF, contribution(16, 0)),
            (REVEAL, contribution(16, 3, HEADS[1])),
        ]
        assert found.version == 6

    def test_without_a_known_vote_the_nodes_head_counts(self, node):
        node.contributions[0, HEADS[0]] = contribution(16, 0)
        asker(node, heads=[]).answer(CHAIN, self.ask("0", PROOF.hex()))
        assert node.calls[0] == ("root", "head")

    def test_an_empty_one_is_refused(self, node):
        node.contributions[0, HEADS[0]] = contribution(16, 0, bits=b"")
        with pytest.raises(BeaconError, match=r"bad answer: nobody of subcommittee 0 takes part in slot 16$"):
            asker(node, heads=HEADS[:1]).answer(CHAIN, self.ask("0", PROOF.hex()))

    @pytest.mark.parametrize(
        ("subcommittees", "proofs", "problem"),
        [
            ("0,1", PROOF.hex(), "found 2 subcommittees and 1 selection proofs, expected as many, at most 13"),
            ("4", PROOF.hex(), "subcommittee 4, expected at most 3"),
            (",".join("0" * 14), ",".join([PROOF.hex()] * 14), "at most 13"),
            ("", PROOF.hex(), "subcommittees: found '', expected a number"),
        ],
    )
    def test_a_senseless_request_is_refused(self, node, subcommittees, proofs, problem):
        with pytest.raises(BadRequestError, match=problem):
            asker(node).answer(CHAIN, self.ask(subcommittees, proofs))
        assert node.calls == []


def test_a_fork_from_the_future_is_an_error_that_names_it(node):
    chain = replace(CHAIN, forks=(ForkVersion(0, bytes(4), "gloas"),))
    node.contributions[0, HEADS[0]] = contribution(16, 0)
    ask = request(AskKind.CONTRIBUTIONS, 16, subcommittees="0", selection_proofs=PROOF.hex())
    with pytest.raises(BadRequestError, match="fork 'gloas' is not known, expected one up to fulu"):
        asker(node).answer(chain, ask)

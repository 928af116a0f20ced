"""What became of duties on the chain: blocks read, attestations taken apart, each kind of duty judged, the journal."""

from dataclasses import replace

import pytest
from servers import FakeBeaconNode

from ssv_pool.beacon.answers import AnswerError
from ssv_pool.beacon.client import BeaconClient
from ssv_pool.beacon.errors import BeaconError
from ssv_pool.beacon.history_api import BlockVote, ChainBlock, read_block
from ssv_pool.beacon.inclusion import EpochDuties, Noted, check_epoch, findings, note_no_data, votes_of
from ssv_pool.beacon.planner import CommitteeSlot
from ssv_pool.beacon.window import SlotWindow
from ssv_pool.protocol.chain import BeaconChain, ForkVersion
from ssv_pool.protocol.forks import ForkSchedule, alan_fork, boole_fork
from ssv_pool.protocol.types import FAR_FUTURE_EPOCH, ValidatorDuty, committee_id
from ssv_pool.protocol.types.presets import MINIMAL
from ssv_pool.protocol.types.roles import BeaconRole, RunnerRole
from ssv_pool.store.database import Database
from ssv_pool.store.duties import (
    Proposal,
    SyncCommittee,
    SyncMembership,
    replace_duties,
    replace_proposals,
    replace_sync_committee,
)
from ssv_pool.store.journal import JournalEntry, add_refusal, entries, record
from ssv_pool.store.records import ValidatorMetadata
from ssv_pool.store.registry_changes import NewValidator, add_validator, update_metadata

CHAIN = BeaconChain(1000.0, bytes(32), 1000, 8, (ForkVersion(0, bytes(4), "fulu"),), MINIMAL)
FORKS = ForkSchedule(alan_fork(bytes(4)))
COMMITTEE = bytes([7]) * 32
SLOT = 9
MEMBERS = {(SLOT, 0): (1, 2, 3), (SLOT, 1): (4, 5), (10, 0): (6, 7)}


def attester(index, slot=SLOT):
    return ValidatorDuty(BeaconRole.ATTESTER, bytes([index]) * 48, slot, index, 0, 3, 1, 0)


def member(index, *places):
    return ValidatorDuty(
        BeaconRole.SYNC_COMMITTEE, bytes([index]) * 48, SLOT, index, validator_sync_committee_indices=places
    )


def block(slot, *votes, proposer=0, sync=(), exits=()):
    return ChainBlock(slot, proposer, votes, tuple(place in sync for place in range(32)), frozenset(exits))


def vote(*committees, slot=SLOT, voters=()):
    indices = [index for committee in committees for index in MEMBERS[slot, committee]]
    return BlockVote(slot, committees, tuple(index in voters for index in indices))


KEY = f"committee:{SLOT}:{COMMITTEE.hex()}"
DONE = JournalEntry(KEY, RunnerRole.COMMITTEE, SLOT, COMMITTEE, "completed", steps={"accepted": 1009.5})


def judge(duties, blocks, known=(DONE,), **planned):
    work = EpochDuties(((SLOT, CommitteeSlot(COMMITTEE, tuple(duties))),) if duties else (), (), **planned)
    return findings(CHAIN, work, known, blocks, MEMBERS)


class TestVotes:
    def test_one_attestation_covers_several_committees(self):
        votes = votes_of([block(10, vote(0, 1, voters={2, 5}))], MEMBERS)
        assert votes == {(2, SLOT): 10, (5, SLOT): 10}

    def test_the_first_block_counts(self):
        blocks = [block(12, vote(0, voters={1, 2})), block(11, vote(0, voters={1}))]
        assert votes_of(blocks, MEMBERS) == {(1, SLOT): 11, (2, SLOT): 12}

    def test_what_does_not_fit_the_committees_is_left_out(self):
        short = BlockVote(SLOT, (0, 1), (True,) * 4)
        unknown = BlockVote(SLOT, (0, 9), (True,) * 3)
        assert votes_of([block(10, short, unknown)], MEMBERS) == {}


class TestCommittee:
    def test_all_in_the_chain(self):
        [found] = judge([attester(1), attester(2)], [block(10, vote(0, voters={1})), block(12, vote(0, voters={2}))])
        assert (found.key, found.reason, found.steps) == (KEY, None, {"included": 1012.0})

    def test_the_missing_are_named(self):
        [found] = judge([attester(1), attester(2), attester(3)], [block(10, vote(0, voters={2}))])
        assert (found.outcome, found.reason) == (None, "not_included")
        assert found.detail == "2 of 3 attestations not in the chain: validators 1, 3"
        assert found.steps == {}

    def test_not_more_than_ten_are_named(self):
        [found] = judge([attester(index) for index in range(20, 32)], [block(10)])
        assert found.detail.endswith("validators 20, 21, 22, 23, 24, 25, 26, 27, 28, 29 and 2 more")

    def test_a_refusal_is_the_reason_where_there_was_one(self):
        refused = replace(DONE, steps={"refused": 1009.6})
        [found] = judge([attester(1)], [block(10)], [refused])
        assert found.reason == "submission_refused"

    def test_never_begun(self):
        for known in ([], [replace(DONE, outcome=None, steps={})]):
            [found] = judge([attester(1)], [block(10)], known)
            assert (found.outcome, found.reason) == ("failed", "not_started")
        [found] = judge([attester(1)], [block(10, vote(0, voters={1}))], [])
        assert (found.reason, found.detail) == ("not_started", "planned, and never begun here")

    def test_slots_of_which_the_committees_are_not_known_are_not_judged(self):
        work = EpochDuties(((11, CommitteeSlot(COMMITTEE, (attester(1, 11),))),), ())
        known = replace(DONE, key=f"committee:11:{COMMITTEE.hex()}")
        assert findings(CHAIN, work, [known], [block(12)], MEMBERS) == []

    def test_sync_committee_messages_are_in_the_next_block_or_nowhere(self):
        duties = [member(4, 3, 17), member(5, 8)]
        [found] = judge(duties, [block(10, sync={3, 17, 8})])
        assert (found.reason, found.steps) == (None, {"included": 1010.0})
        [found] = judge(duties, [block(10, sync={3, 8}), block(11, sync={3, 17, 8})])
        assert found.detail == "1 of 2 sync committee messages not in the next block: validators 4"

    def test_without_a_next_block_nobody_is_blamed_for_sync_committee_messages(self):
        assert judge([member(4, 3)], [block(11)]) == []


class TestOthers:
    def proposal(self, blocks, known):
        duty = ValidatorDuty(BeaconRole.PROPOSER, bytes([8]) * 48, SLOT, 8)
        [found] = findings(CHAIN, EpochDuties((), ((COMMITTEE, duty),)), known, blocks, MEMBERS)
        return found

    def test_a_block(self):
        key = f"proposer:{SLOT}:{'08' * 48}"
        done = replace(DONE, key=key, role=RunnerRole.PROPOSER)
        found = self.proposal([block(SLOT, proposer=8)], [done])
        assert (found.key, found.reason, found.steps) == (key, None, {"included": 1009.0})
        for blocks in ([], [block(SLOT, proposer=9)]):
            found = self.proposal(blocks, [done])
            assert (found.reason, found.detail) == ("not_included", "no block of validator 8 in the chain")
        assert self.proposal([], []).reason == "not_started"

    def test_an_exit(self):
        exit_ = replace(DONE, key=f"voluntary_exit:{SLOT}:aa", role=RunnerRole.VOLUNTARY_EXIT)
        [found] = judge([], [block(10, exits={3}), block(11, exits={4})], [exit_], exits=((exit_, 4),))
        assert (found.key, found.steps) == (exit_.key, {"included": 1011.0})
        [found] = judge([], [block(10, exits={3})], [exit_], exits=((exit_, 4),))
        assert (found.reason, found.detail) == ("not_included", "no exit of validator 4 in the chain")

    def test_of_an_aggregation_only_its_beginning_is_known(self):
        planned = (("aggregator:9:aa", RunnerRole.AGGREGATOR, SLOT, COMMITTEE),)
        [found] = judge([], [], [], aggregations=planned)
        assert (found.key, found.role, found.reason) == ("aggregator:9:aa", RunnerRole.AGGREGATOR, "not_started")
        assert judge([], [], [replace(DONE, key="aggregator:9:aa")], aggregations=planned) == []


def signed_block(slot, *, electra=True):
    """The Beacon API's JSON of a block with one attestation: bits 0 and 2 of three, of committee 1."""
    attestation = {"aggregation_bits": "0x0d", "data": {"slot": "9", "index": "1" if not electra else "0"}}
    if electra:
        attestation["committee_bits"] = "0x0200000000000000"
    body = {
        "attestations": [attestation],
        "sync_aggregate": {"sync_committee_bits": "0x05000000"},
        "voluntary_exits": [{"message": {"epoch": "1", "validator_index": "77"}, "signature": "0x"}],
    }
    return {"data": {"message": {"slot": str(slot), "proposer_index": "5", "body": body}, "signature": "0x"}}


@pytest.mark.parametrize("electra", [True, False])
def test_a_block_is_read(electra):
    found = read_block(signed_block(10, electra=electra))
    assert (found.slot, found.proposer, found.exits) == (10, 5, {77})
    assert found.votes == (BlockVote(9, (1,), (True, False, True)),)
    assert [place for place, bit in enumerate(found.sync_bits) if bit] == [0, 2]


@pytest.mark.parametrize("bits", ["0x", "0x00", "zz", 5, None])
def test_bits_that_are_none_are_refused(bits):
    broken = signed_block(10)
    broken["data"]["message"]["body"]["attestations"][0]["aggregation_bits"] = bits
    with pytest.raises(AnswerError, match="aggregation_bits"):
        read_block(broken)


def test_the_client_asks_for_blocks_and_committees():
    entries = [{"slot": "9", "index": "1", "validators": ["4", "5"]}, {"slot": "8", "index": "0", "validators": []}]
    table = {
        "GET /eth/v1/node/syncing": {"data": {"head_slot": "9", "sync_distance": "0", "is_syncing": False}},
        "GET /eth/v2/beacon/blocks/10": signed_block(10),
        "GET /eth/v1/beacon/states/head/committees": {"data": entries},
    }
    with FakeBeaconNode(table) as node:
        client = BeaconClient([node.url], 10.0)
        try:
            assert client.committees(1, 9) == {(9, 1): (4, 5)}
            found = client.block(10)
            assert found is not None
            assert found.proposer == 5
            assert client.block(11) is None
            entries[0]["validators"] = [4, "x"]
            with pytest.raises(BeaconError, match="something else than decimal numbers"):
                client.committees(1, 9)
        finally:
            client.close()


OWN = (1, 2, 3, 4)


def key(index):
    return index.to_bytes(48, "big")


@pytest.fixture
def database(tmp_path):
    """Epoch 1 is planned: validator 1 attests in slot 9, 2 in slot 10 and proposes slot 12; 1 is a sync member."""
    opened = Database(tmp_path / "store.sqlite")
    opened.create_schema()
    with opened.session() as session:
        for index in (1, 2):
            shares = tuple(bytes([operator]) * 48 for operator in OWN)
            encrypted = tuple(bytes(256) for _ in OWN)
            add_validator(session, NewValidator(key(index), bytes(20), OWN, shares, encrypted, 1, 1001))
        metadata = {key(index): ValidatorMetadata(index, "active_ongoing", 0, FAR_FUTURE_EPOCH) for index in (1, 2)}
        update_metadata(session, metadata)
        duties = [ValidatorDuty(0, key(index), 8 + index, index, 0, 3, 1, 1) for index in (1, 2)]
        replace_duties(session, 1, bytes(32), duties)
        replace_proposals(session, 1, bytes(32), [Proposal(12, 2, key(2))])
        replace_sync_committee(session, SyncCommittee(0, 7, 0, (SyncMembership(1, key(1), (4, 5)),)))
    yield opened
    opened.close()


class Chain:
    """A beacon node that knows epochs 1 and 2: everything happened but for validator 2's attestation."""

    def __init__(self, fails=False):
        self.fails = fails
        self.asked = []

    def committees(self, epoch, slot):
        if self.fails:
            raise BeaconError("GET committees", 503, "syncing", "http://node")
        self.asked.append((epoch, slot))
        return {(slot, 0): (9, 1 if slot == 9 else 2, 8)}

    def block(self, slot):
        votes = (BlockVote(9, (0,), (True, True, False)),) if slot == 10 else ()
        sync = {4, 5} if slot != 14 else {4}
        return None if slot == 15 else block(slot, *votes, proposer=2 if slot == 12 else 3, sync=sync)


def journal_of(database):
    with database.read() as session:
        return {entry.key: entry for entry in entries(session)}


def own_key(slot):
    return f"committee:{slot}:{committee_id(OWN).hex()}"


def test_an_epoch_is_looked_up(database):
    own = committee_id(OWN)
    with database.session() as session:
        for slot in range(8, 15):
            # Slot 11's duty was never begun, slot 15 follows.
            if slot != 11:
                done = JournalEntry(own_key(slot), 0, slot, own, "completed", steps={"accepted": 1.0})
                record(session, done)
        add_refusal(session, own_key(15), 0, 15, 1.0, "400 not this one")
        record(session, JournalEntry(own_key(15), 0, 15, own, "completed"))
        key_ = f"proposer:12:{key(2).hex()}"
        record(session, JournalEntry(key_, 2, 12, own, "completed", steps={"accepted": 1.0}))
    chain = Chain()
    noted = check_epoch(database, chain, CHAIN, FORKS, 1, 1)
    assert sorted(set(chain.asked)) == [(1, slot) for slot in range(8, 16)]
    found = journal_of(database)
    assert found[own_key(9)].steps["included"] == 1010.0
    assert found[own_key(10)].reason == "not_included"
    assert found[own_key(10)].outcome == "completed"
    assert found[own_key(10)].detail == "1 of 1 attestations not in the chain: validators 2"
    assert (found[own_key(11)].outcome, found[own_key(11)].reason) == ("failed", "not_started")
    assert found[own_key(12)].steps["included"] == 1013.0
    assert found[own_key(13)].detail == "1 of 1 sync committee messages not in the next block: validators 1"
    assert found[own_key(14)].reason is None  # no next block: nothing to be said
    assert "included" in found[own_key(15)].steps
    assert found[key_].steps["included"] == 1012.0
    aggregations = [entry for name, entry in found.items() if name.startswith(("aggregator:", "sync_committee_c"))]
    assert {entry.reason for entry in aggregations} == {"not_started"}
    assert len(aggregations) == 10  # two attesters, and a sync committee member in eight slots
    assert (noted.included, noted.failed) == (5, 3 + 10)
    # The same again changes nothing.
    check_epoch(database, chain, CHAIN, FORKS, 1, 1)
    assert journal_of(database) == found


def test_in_boole_a_committee_aggregates(database):
    forks = ForkSchedule(alan_fork(bytes(4)), boole_fork(bytes((0, 0, 0, 1)), "net", 8), 1)
    check_epoch(database, Chain(), CHAIN, forks, 1, 1)
    names = {name.partition(":")[0] for name in journal_of(database)}
    assert names == {"committee", "aggregator_committee", "proposer"}


def test_an_epoch_that_was_not_planned_asks_nothing(database):
    chain = Chain(fails=True)
    assert check_epoch(database, chain, CHAIN, FORKS, 2, 30) == Noted()
    assert journal_of(database) == {}


def test_a_beacon_node_in_trouble_leaves_the_journal_alone(database):
    with pytest.raises(BeaconError):
        check_epoch(database, Chain(fails=True), CHAIN, FORKS, 1, 1)
    assert journal_of(database) == {}


def test_exits_are_found_by_the_validators_key(database):
    name = f"voluntary_exit:9:{key(2).hex()}"
    with database.session() as session:
        record(session, JournalEntry(name, RunnerRole.VOLUNTARY_EXIT, 9, COMMITTEE, "completed", steps={"accepted": 1}))

    class Exited(Chain):
        def block(self, slot):
            return block(slot, exits={2} if slot == 11 else ())

    check_epoch(database, Exited(), CHAIN, FORKS, 1, 1)
    assert journal_of(database)[name].steps["included"] == 1011.0


def test_missing_data_are_noted_at_once(database):
    duties = [CommitteeSlot(bytes([number]) * 32, (attester(number),)) for number in (1, 2)]
    note_no_data(database, SlotWindow(9, 1009.25, 1009.3, 1010.25), duties, "GET /x: refused")
    found = list(journal_of(database).values())
    assert [(entry.reason, entry.detail, entry.outcome) for entry in found] == [
        ("no_beacon_data", "GET /x: refused", "failed")
    ] * 2
    assert found[0].steps == {"due": 1009.25, "begun": 1009.3}

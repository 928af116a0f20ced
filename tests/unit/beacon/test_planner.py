import functools
from dataclasses import replace

import pytest

from ssv_pool.beacon.answers import AttesterDuties, BeaconValidator, ProposerDuties
from ssv_pool.beacon.errors import BeaconError
from ssv_pool.beacon.planner import (
    CommitteeSlot,
    PlanResult,
    aggregations_of_slot,
    committees_of_slot,
    plan_epoch,
    plan_is_stale,
    proposals_of_slot,
    refresh_metadata,
    stale_epochs,
    sync_period,
    takes_part,
    votes_in_sync_committee,
)
from ssv_pool.protocol.chain import BeaconChain, ForkVersion
from ssv_pool.protocol.types import FAR_FUTURE_EPOCH, ValidatorDuty, committee_id
from ssv_pool.protocol.types.presets import MINIMAL
from ssv_pool.protocol.types.roles import BeaconRole
from ssv_pool.store.database import Database
from ssv_pool.store.duties import (
    DutyBookContent,
    Proposal,
    SyncCommittee,
    SyncMembership,
    load_duty_book,
    plan_of,
    proposals_of_epoch,
    replace_duties,
    sync_committees,
)
from ssv_pool.store.registry import load_registry, validators_of_operator
from ssv_pool.store.registry_changes import NewValidator, add_validator, bump_version, set_liquidated

CHAIN = BeaconChain(1000.0, bytes(32), 1000, 8, (ForkVersion(0, bytes(4), "fulu"),), MINIMAL)
OWN, OTHER = (1, 2, 3, 4), (2, 3, 4, 5)


def key(index):
    return index.to_bytes(48, "big")


class FakeClient:
    """Every active validator attests in slot ``index mod 8`` of the epoch."""

    def __init__(self):
        self.root = bytes([1]) * 32
        self.asked = []
        self.proposers = {}
        self.members = {}
        self.sync_asked = []
        self.broken = set()
        self.change = lambda duty: duty

    def attester_duties(self, epoch, indices):
        self._maybe_fail("attester")
        self.asked.append((epoch, list(indices)))
        duties = [self.change(ValidatorDuty(0, key(i), epoch * 8 + i % 8, i, 0, 9, 1, i)) for i in indices]
        return AttesterDuties(epoch, self.root, tuple(duties))

    def proposer_duties(self, epoch):
        self._maybe_fail("proposer")
        slots = range(8 * epoch, 8 * epoch + 8)
        proposals = [Proposal(s, self.proposers[s], key(self.proposers[s])) for s in slots if s in self.proposers]
        return ProposerDuties(epoch, self.root, tuple(proposals))

    def sync_duties(self, epoch, indices):
        self._maybe_fail("sync")
        self.sync_asked.append((epoch, list(indices)))
        return [SyncMembership(i, key(i), places) for i, places in self.members.items() if i in indices]

    def _maybe_fail(self, kind):
        if kind in self.broken:
            raise BeaconError(f"GET {kind}", 503, "syncing", "http://node")

    def validators(self, keys):
        return [
            BeaconValidator(int.from_bytes(k, "big"), k, "active_ongoing", 0, FAR_FUTURE_EPOCH)
            for k in keys
            if k != key(9)
        ]


@pytest.fixture
def client():
    return FakeClient()


@pytest.fixture
def database(tmp_path):
    made = Database(tmp_path / "store.sqlite")
    made.create_schema()
    with made.session() as session:
        for index, operators in ((1, OWN), (2, OWN), (3, OTHER), (9, OWN)):
            shares = tuple(bytes([n]) * 48 for n in operators)
            add_validator(
                session,
                NewValidator(key(index), bytes(20), operators, shares, tuple(bytes(256) for _ in operators), 1, 1001),
            )
        bump_version(session)
    yield made
    made.close()


@pytest.fixture
def known(database, client):
    """The store once the beacon node was asked for the validators: it does not know number 9."""
    assert refresh_metadata(database, client) == 3
    return database


def own(database, index):
    with database.read() as session:
        return next(v for v in validators_of_operator(session, 1) if v.public_key == key(index))


class TestTakesPart:
    def test_from_the_epoch_after_registration_on(self, known):
        validator = own(known, 1)
        assert [takes_part(validator, CHAIN, epoch) for epoch in (0, 1, 2)] == [False, True, True]
        later = replace(validator, active_since=1000 + 8 * 5)
        assert [takes_part(later, CHAIN, epoch) for epoch in (5, 6)] == [False, True]

    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            ({"liquidated": True}, False),
            ({"index": None}, False),
            ({"status": None}, False),
            ({"status": "active_exiting"}, True),
            ({"status": "exited_unslashed"}, False),
            ({"status": "pending_initialized"}, False),
            ({"status": "pending_queued", "activation_epoch": 3}, True),
            ({"status": "pending_queued", "activation_epoch": 4}, False),
            ({"exit_epoch": 3}, False),
            ({"exit_epoch": 4}, True),
        ],
    )
    def test_only_what_is_active_then(self, known, change, expected):
        assert takes_part(replace(own(known, 1), **change), CHAIN, 3) is expected


class TestPlan:
    def test_own_active_validators_are_planned_once(self, known, client):
        assert plan_epoch(known, client, CHAIN, 1, 1) == PlanResult(1, 2, 2, changed=True)
        assert plan_epoch(known, client, CHAIN, 1, 1) == PlanResult(1, 2, 2, changed=False)
        assert client.asked == [(1, [1, 2])] * 2

    def test_another_dependent_root_or_registry_plans_again(self, known, client):
        plan_epoch(known, client, CHAIN, 1, 1)
        client.root = bytes([2]) * 32
        with known.read() as session:
            assert plan_is_stale(session, 1, client.root)
            assert not plan_is_stale(session, 2, client.root)
        assert plan_epoch(known, client, CHAIN, 1, 1).changed
        with known.session() as session:
            bump_version(session)
        assert plan_epoch(known, client, CHAIN, 1, 1).changed
        assert not plan_epoch(known, client, CHAIN, 1, 1).changed

    def test_a_node_that_mixes_things_up_is_not_believed(self, known, client):
        client.change = lambda duty: replace(duty, slot=duty.slot + 8)
        result = plan_epoch(known, client, CHAIN, 1, 1)
        assert result == PlanResult(
            1,
            2,
            changed=True,
            problems=(
                (
                    "beacon node: POST /eth/v1/validator/duties/attester/1: status 200: bad answer: validator 1: "
                    "found key 0x0000000000000000… at slot 17, expected 0x0000000000000000… in epoch 1"
                ),
            ),
        )
        with known.read() as session:
            assert committees_of_slot(session, CHAIN, 1, 9) is None

    def test_duties_nobody_asked_for_are_left_out(self, known, client):
        client.change = lambda duty: replace(duty, validator_index=77) if duty.validator_index == 2 else duty
        assert plan_epoch(known, client, CHAIN, 1, 1).duties == 1


class TestProposers:
    def test_all_of_the_chain_are_kept(self, known, client):
        client.proposers = {8: 1, 9: 77, 11: 3}
        assert plan_epoch(known, client, CHAIN, 1, 1) == PlanResult(1, 2, 2, proposals=1, changed=True)
        with known.read() as session:
            assert proposals_of_epoch(session, 1) == [Proposal(s, i, key(i)) for s, i in ((8, 1), (9, 77), (11, 3))]

    def test_others_without_another_dependent_root_are_noticed(self, known, client):
        client.proposers = {8: 1}
        plan_epoch(known, client, CHAIN, 1, 1)
        assert not plan_epoch(known, client, CHAIN, 1, 1).changed
        client.proposers = {9: 1}
        assert plan_epoch(known, client, CHAIN, 1, 1).changed
        with known.read() as session:
            assert proposals_of_epoch(session, 1) == [Proposal(9, 1, key(1))]

    def test_planned_ahead_they_are_settled_when_their_epoch_begins(self, known, client):
        client.proposers = {8: 1}
        plan_epoch(known, client, CHAIN, 1, 1, lambda: CHAIN.start_of(7))
        heads = [bytes([number]) * 32 for number in (1, 2, 3)]
        with known.read() as session:
            assert plan_of(session, 1, BeaconRole.PROPOSER).dependent_root == bytes(32)
            # The root of the head at that time says nothing of the epoch: it is no reason to plan again.
            assert stale_epochs(session, CHAIN, 8, heads[0], heads[1]) == []
        # Other proposers are a change, the root that is known now is none.
        assert not plan_epoch(known, client, CHAIN, 1, 1, lambda: CHAIN.start_of(8)).changed
        with known.read() as session:
            assert plan_of(session, 1, BeaconRole.PROPOSER).dependent_root == heads[0]
            assert stale_epochs(session, CHAIN, 8, heads[0], heads[1]) == []
            assert stale_epochs(session, CHAIN, 8, heads[1], heads[2]) == [1]

    def test_an_own_block_comes_with_its_committee(self, known, client):
        client.proposers = {8: 1, 9: 77, 11: 3, 12: 9}
        plan_epoch(known, client, CHAIN, 1, 1)
        with known.read() as session:
            found = [proposals_of_slot(session, CHAIN, 1, slot) for slot in range(8, 13)]
        assert found == [[(committee_id(OWN), ValidatorDuty(2, key(1), 8, 1))], [], [], [], []]

    def test_who_was_liquidated_meanwhile_proposes_nothing(self, known, client):
        client.proposers = {8: 1}
        plan_epoch(known, client, CHAIN, 1, 1)
        with known.session() as session:
            set_liquidated(session, own(known, 1).cluster_id, liquidated=True, block_time=1002)
            assert proposals_of_slot(session, CHAIN, 1, 8) == []

    def test_a_node_that_mixes_things_up_is_not_believed(self, known, client):
        client.proposers = {8: 1}
        client.proposer_duties = lambda epoch: ProposerDuties(epoch, client.root, (Proposal(8, 1, key(2)),))
        [problem] = plan_epoch(known, client, CHAIN, 1, 1).problems
        assert problem == (
            "beacon node: GET /eth/v1/validator/duties/proposer/1: status 200: bad answer: validator 1: "
            "found key 0x0000000000000000… at slot 8, expected 0x0000000000000000… in epoch 1"
        )


class TestSyncCommittees:
    def test_periods(self):
        assert [sync_period(CHAIN, epoch) for epoch in (0, 7, 8, 15)] == [(0, 7), (0, 7), (8, 15), (8, 15)]

    def test_registered_members_of_every_operator_are_kept(self, known, client):
        client.members = {1: (0, 5), 3: (9,), 77: (1,)}
        assert plan_epoch(known, client, CHAIN, 1, 1) == PlanResult(1, 2, 2, sync_members=1, changed=True)
        with known.read() as session:
            version = known.version()
            assert sync_committees(session, 0, 20) == [
                SyncCommittee(0, 7, version, (SyncMembership(1, key(1), (0, 5)), SyncMembership(3, key(3), (9,))))
            ]
        assert client.sync_asked == [(1, [1, 2, 3])]

    def test_are_asked_for_once_and_again_for_more_validators(self, known, client):
        for _ in range(2):
            plan_epoch(known, client, CHAIN, 1, 1)
        assert client.sync_asked == [(1, [1, 2, 3])]
        with known.session() as session:
            bump_version(session)
        assert plan_epoch(known, client, CHAIN, 1, 1).changed
        assert client.sync_asked == [(1, [1, 2, 3])] * 2

    def test_the_next_ones_members_are_known_before_it_begins_and_looked_at_again_then(self, known, client):
        plan_epoch(known, client, CHAIN, 1, 7)
        assert [epoch for epoch, _ in client.sync_asked] == [7, 8]
        client.members = {2: (4,)}
        assert plan_epoch(known, client, CHAIN, 1, 8) == PlanResult(8, 2, 2, sync_members=1, changed=True)
        assert [epoch for epoch, _ in client.sync_asked] == [7, 8, 8]

    @pytest.mark.parametrize(
        ("member", "what"),
        [
            (SyncMembership(1, key(2), (0,)), "found key 0x0000000000000000…, expected 0x0000000000000000…"),
            (SyncMembership(1, key(1), ()), "found places [], expected some below 32"),
            (SyncMembership(1, key(1), (0, 32)), "found places [0, 32], expected some below 32"),
        ],
    )
    def test_a_node_that_mixes_things_up_is_not_believed(self, known, client, member, what):
        client.sync_duties = lambda epoch, indices: [member]
        [problem] = plan_epoch(known, client, CHAIN, 1, 1).problems
        assert problem == (
            f"beacon node: POST /eth/v1/validator/duties/sync/1: status 200: bad answer: validator 1: {what}"
        )


def test_each_kind_of_duty_fails_by_itself(known, client):
    client.members, client.proposers = {1: (0,)}, {8: 1}
    client.broken = {"attester", "proposer"}
    failed = tuple(f"beacon node http://node: GET {kind}: status 503: syncing" for kind in ("attester", "proposer"))
    assert plan_epoch(known, client, CHAIN, 1, 1) == PlanResult(1, 2, sync_members=1, changed=True, problems=failed)
    client.broken = {"sync"}
    assert plan_epoch(known, client, CHAIN, 1, 1) == PlanResult(1, 2, 2, proposals=1, sync_members=1, changed=True)


class TestStale:
    OLD, NEW = bytes([1]) * 32, bytes([2]) * 32

    @pytest.fixture
    def planned(self, known, client):
        """Epochs 1 and 2, made when every root was OLD."""
        for epoch in (1, 2):
            plan_epoch(known, client, CHAIN, 1, epoch)
        return known

    @pytest.mark.parametrize(
        ("slot", "previous", "current", "expected"),
        [
            (9, OLD, OLD, []),
            (9, NEW, OLD, [1]),
            (9, OLD, NEW, [2]),
            (9, NEW, NEW, [1, 2]),
            (17, OLD, NEW, []),
            (17, NEW, OLD, [2]),
            (25, NEW, NEW, []),
        ],
    )
    def test_a_head_tells_which_epochs_moved(self, planned, slot, previous, current, expected):
        with planned.read() as session:
            assert stale_epochs(session, CHAIN, slot, previous, current) == expected

    def test_proposers_may_depend_on_either_root(self, planned, client):
        client.root = self.NEW
        plan_epoch(planned, client, CHAIN, 1, 1)
        with planned.session() as session:
            # The attesters' plan is of OLD, the proposers' of NEW.
            replace_duties(session, 1, self.OLD, [])
            other = bytes([3]) * 32
            assert stale_epochs(session, CHAIN, 9, self.OLD, self.NEW) == [2]
            assert stale_epochs(session, CHAIN, 9, self.OLD, other) == [1, 2]


class TestVotes:
    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            ({}, True),
            ({"status": "exited_unslashed", "exit_epoch": 2}, True),
            ({"status": "withdrawal_possible", "exit_epoch": 2}, True),
            ({"status": "pending_queued"}, False),
            ({"status": "withdrawal_done"}, False),
            ({"status": None}, False),
            ({"index": None}, False),
            ({"liquidated": True}, False),
            ({"active_since": 1000 + 8 * 3}, False),
        ],
    )
    def test_to_the_end_of_the_period_after_an_exit_too(self, known, change, expected):
        assert votes_in_sync_committee(replace(own(known, 1), **change), CHAIN, 3) is expected


def vote(index, slot, places, kind=3):
    return ValidatorDuty(kind, key(index), slot, index, validator_sync_committee_indices=places)


class TestSyncDuties:
    def test_come_after_the_attestations(self, known, client):
        client.members = {2: (4,), 1: (0, 5), 3: (9,)}
        plan_epoch(known, client, CHAIN, 1, 1)
        with known.read() as session:
            assert committees_of_slot(session, CHAIN, 1, 10) == [
                CommitteeSlot(
                    committee_id(OWN),
                    (ValidatorDuty(0, key(2), 10, 2, 0, 9, 1, 2), vote(1, 10, (0, 5)), vote(2, 10, (4,))),
                )
            ]
            assert committees_of_slot(session, CHAIN, 1, 11) == [
                CommitteeSlot(committee_id(OWN), (vote(1, 11, (0, 5)), vote(2, 11, (4,))))
            ]

    def test_the_last_slot_of_a_period_is_the_next_committees(self, known, client):
        client.members = {1: (0,)}
        plan_epoch(known, client, CHAIN, 1, 6)
        client.members = {2: (4,)}
        plan_epoch(known, client, CHAIN, 1, 7)
        with known.read() as session:
            voters = [
                [
                    duty.validator_index
                    for committee in committees_of_slot(session, CHAIN, 1, slot)
                    for duty in committee.duties
                    if duty.type == 3
                ]
                for slot in (61, 62, 63)
            ]
        assert voters == [[1], [1], [2]]

    def test_a_duty_has_room_for_thirteen_places(self, known, client):
        client.members = {1: tuple(range(20))}
        plan_epoch(known, client, CHAIN, 1, 1)
        with known.read() as session:
            [committee] = committees_of_slot(session, CHAIN, 1, 11)
        assert committee.duties == (vote(1, 11, tuple(range(13))),)


def test_aggregations_are_of_attesters_and_members(known, client):
    client.members = {2: (4,), 1: (0, 5), 3: (9,)}
    plan_epoch(known, client, CHAIN, 1, 1)
    with known.read() as session:
        assert aggregations_of_slot(session, CHAIN, 1, 10) == [
            (committee_id(OWN), ValidatorDuty(1, key(2), 10, 2, 0, 9, 1, 2)),
            (committee_id(OWN), vote(1, 10, (0, 5), kind=4)),
            (committee_id(OWN), vote(2, 10, (4,), kind=4)),
        ]
        assert aggregations_of_slot(session, CHAIN, 1, 16) == [
            (committee_id(OWN), vote(index, 16, places, kind=4)) for index, places in ((1, (0, 5)), (2, (4,)))
        ]
        assert aggregations_of_slot(session, CHAIN, 5, 10) == [(committee_id(OTHER), vote(3, 10, (9,), kind=4))]


def test_the_duty_book_has_the_proposers_of_planned_epochs_and_the_serving_committees(known, client):
    client.members, client.proposers = {1: (0,)}, {8: 1, 9: 77}
    for epoch in (1, 2):
        plan_epoch(known, client, CHAIN, 1, epoch)
    with known.read() as session:
        committee = SyncCommittee(0, 7, known.version(), (SyncMembership(1, key(1), (0,)),))
        assert load_duty_book(session, 1, 3) == DutyBookContent({1: {8: 1, 9: 77}, 2: {}}, (committee,))
        assert load_duty_book(session, 2, 3) == DutyBookContent({2: {}}, (committee,))
        assert load_duty_book(session, 8, 9) == DutyBookContent({}, ())


def test_an_older_node_names_the_present_epochs_slots_for_the_next_epoch(known, client):
    client.proposers = dict.fromkeys(range(8, 24), 1)
    client.proposer_duties = functools.partial(earlier_slots, client.proposer_duties)
    ahead = plan_epoch(known, client, CHAIN, 1, 2, now=lambda: CHAIN.start_of(9))
    assert (ahead.problems, ahead.proposals) == ((), 0)
    with known.read() as session:
        assert plan_of(session, 2, BeaconRole.PROPOSER) is None
        assert plan_of(session, 2, BeaconRole.ATTESTER) is not None
    begun = plan_epoch(known, client, CHAIN, 1, 2, now=lambda: CHAIN.start_of(16))
    assert begun.problems, "once the epoch has begun it is a wrong answer"


def earlier_slots(duties, epoch):
    found = duties(epoch)
    return replace(found, proposals=tuple(replace(item, slot=item.slot - 8) for item in found.proposals))


class TestSlot:
    def test_duties_come_by_committee(self, known, client):
        plan_epoch(known, client, CHAIN, 1, 1)
        with known.read() as session:
            assert committees_of_slot(session, CHAIN, 1, 9) == [
                CommitteeSlot(committee_id(OWN), (ValidatorDuty(0, key(1), 9, 1, 0, 9, 1, 1),))
            ]
            assert committees_of_slot(session, CHAIN, 1, 11) == []
            assert committees_of_slot(session, CHAIN, 1, 16) is None

    def test_who_was_liquidated_meanwhile_is_left_out(self, known, client):
        plan_epoch(known, client, CHAIN, 1, 1)
        with known.session() as session:
            set_liquidated(session, own(known, 1).cluster_id, liquidated=True, block_time=1002)
        with known.read() as session:
            assert committees_of_slot(session, CHAIN, 1, 9) == []


def test_metadata_of_all_validators_is_kept(known, client):
    with known.read() as session:
        found = {v.index: v.status for v in load_registry(session).validators}
    assert found == {1: "active_ongoing", 2: "active_ongoing", 3: "active_ongoing", None: None}
    assert refresh_metadata(known, client) == 0

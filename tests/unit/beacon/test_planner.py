from dataclasses import replace

import pytest

from ssv_pool.beacon.answers import AttesterDuties, BeaconValidator, ProposerDuties
from ssv_pool.beacon.errors import BeaconError
from ssv_pool.beacon.planner import (
    CommitteeSlot,
    PlanResult,
    committees_of_slot,
    plan_epoch,
    plan_is_stale,
    refresh_metadata,
    takes_part,
)
from ssv_pool.protocol.chain import BeaconChain, ForkVersion
from ssv_pool.protocol.types import FAR_FUTURE_EPOCH, ValidatorDuty, committee_id
from ssv_pool.store.database import Database
from ssv_pool.store.duties import Proposal, SyncMembership
from ssv_pool.store.registry import load_registry, validators_of_operator
from ssv_pool.store.registry_changes import NewValidator, add_validator, bump_version, set_liquidated

CHAIN = BeaconChain(1000.0, bytes(32), 1000, 8, (ForkVersion(0, bytes(4), "fulu"),))
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

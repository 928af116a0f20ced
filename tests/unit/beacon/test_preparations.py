import pytest

from ssv_pool.beacon.duty_api import CommitteeSubscription, SyncSubscription
from ssv_pool.beacon.errors import BeaconError
from ssv_pool.beacon.preparations import prepare
from ssv_pool.protocol.chain import BeaconChain, ForkVersion
from ssv_pool.protocol.types import BeaconRole, ValidatorDuty
from ssv_pool.protocol.types.primitives import FAR_FUTURE_EPOCH
from ssv_pool.store.database import Database
from ssv_pool.store.duties import SyncCommittee, SyncMembership, replace_duties, replace_sync_committee
from ssv_pool.store.records import ValidatorMetadata
from ssv_pool.store.registry_changes import NewValidator, add_validator, set_fee_recipient, update_metadata

CHAIN = BeaconChain(1_000_000.0, bytes(32), 10_000, 8, (ForkVersion(0, bytes(4), "fulu"),))
ALICE, BOB = b"a" * 20, b"b" * 20


def key(index):
    return index.to_bytes(48, "big")


@pytest.fixture
def database(tmp_path):
    """Validators 1 and 2 of operator 1, of which 2 leaves with epoch 10, and validator 3 of others."""
    database = Database(f"sqlite:///{tmp_path / 'store.sqlite'}")
    database.create_schema()
    with database.session() as session:
        for index, owner, operators in ((1, ALICE, (1, 2, 3, 4)), (2, BOB, (1, 2, 3, 4)), (3, BOB, (2, 3, 4, 5))):
            shares, encrypted = tuple(bytes(48) for _ in operators), tuple(bytes(256) for _ in operators)
            add_validator(session, NewValidator(key(index), owner, operators, shares, encrypted, 1, 0))
            status, exit_epoch = ("active_exiting", 11) if index == 2 else ("active_ongoing", FAR_FUTURE_EPOCH)
            update_metadata(session, {key(index): ValidatorMetadata(index, status, 0, exit_epoch)})
        set_fee_recipient(session, ALICE, b"f" * 20, 0)
        for epoch in (9, 10, 11, 12):
            duties = [
                ValidatorDuty(int(BeaconRole.ATTESTER), key(index), 8 * epoch + index, index, index, 32, 4, 0)
                for index in (1, 2, 3)
            ]
            replace_duties(session, epoch, bytes(32), duties)
        members = tuple(SyncMembership(index, key(index), (index, 20 + index)) for index in (1, 3))
        replace_sync_committee(session, SyncCommittee(8, 15, 1, members))
    yield database
    database.close()


class Node:
    def __init__(self, failing=()):
        self.told = []
        self.failing = failing

    def __getattr__(self, name):
        def call(what):
            self.told.append((name, what))
            if name in self.failing:
                raise BeaconError(f"POST /{name}", 500, "no")

        return call


def test_the_nodes_are_told_of_this_epoch_and_the_next(database):
    node = Node()
    assert prepare(database, node, CHAIN, 1, 10) == []
    assert node.told == [
        ("prepare_proposers", ((1, b"f" * 20), (2, BOB))),
        (
            "subscribe_committees",
            (
                CommitteeSubscription(1, 1, 4, 81, is_aggregator=True),
                CommitteeSubscription(2, 2, 4, 82, is_aggregator=True),
                CommitteeSubscription(1, 1, 4, 89, is_aggregator=True),
            ),
        ),
        ("subscribe_sync_committees", (SyncSubscription(1, (1, 21), 16),)),
    ]


def test_who_is_gone_is_not_announced_any_more(database):
    node = Node()
    assert prepare(database, node, CHAIN, 1, 11) == []
    assert dict(node.told)["prepare_proposers"] == ((1, b"f" * 20),)
    assert [entry.validator_index for entry in dict(node.told)["subscribe_committees"]] == [1, 1]


def test_each_kind_fails_by_itself(database):
    node = Node(failing=("prepare_proposers", "subscribe_sync_committees"))
    assert prepare(database, node, CHAIN, 1, 10) == [
        "beacon node: POST /prepare_proposers: status 500: no",
        "beacon node: POST /subscribe_sync_committees: status 500: no",
    ]
    assert [name for name, _ in node.told] == ["prepare_proposers", "subscribe_committees", "subscribe_sync_committees"]


def test_an_operator_without_validators_tells_nothing(database):
    node = Node()
    assert prepare(database, node, CHAIN, 9, 10) == []
    assert node.told == []

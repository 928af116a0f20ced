"""The registry's state as gossip validation asks for it."""

import pytest

from ssv_pool.node.gossip import Gossip
from ssv_pool.node.registry import RegistryState, _view_of
from ssv_pool.protocol import types as t
from ssv_pool.protocol.chain import BeaconChain, ForkVersion
from ssv_pool.protocol.forks import ForkSchedule, alan_fork
from ssv_pool.protocol.validation import CommitteeView, ValidatorView
from ssv_pool.store.records import ValidatorRecord

CHAIN = BeaconChain(1000.0, t.Root(bytes(32)), 12_000, 32, (ForkVersion(t.Epoch(0), bytes(4), "electra"),))
FORKS = ForkSchedule(alan_fork(t.DomainType(bytes.fromhex("00000402"))))
COMMITTEE = CommitteeView((1, 2, 3, 4), 1, in_sync_committee=True)
KEY = t.PublicKey(b"\xaa" * 48)


def record(**changes):
    fields = {
        "public_key": KEY,
        "owner": bytes(20),
        "fee_recipient": bytes(20),
        "operator_ids": (1, 2, 3, 4),
        "share_public_keys": (bytes(48),) * 4,
        "committee_id": t.CommitteeId(bytes(32)),
        "cluster_id": bytes(32),
        "liquidated": False,
        "registered_block": 1,
        "registered_time": 1,
        "active_since": 1,
        "index": 7,
        "status": "active_ongoing",
        "activation_epoch": 5,
        "exit_epoch": 2**64 - 1,
    }
    return ValidatorRecord(**fields | changes)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ValidatorView(COMMITTEE, 7, liquidated=False, attesting_from=0)),
        ({"status": "active_exiting"}, ValidatorView(COMMITTEE, 7, liquidated=False, attesting_from=0)),
        ({"status": "active_slashed"}, ValidatorView(COMMITTEE, 7, liquidated=False, attesting_from=0)),
        ({"status": "pending_queued"}, ValidatorView(COMMITTEE, 7, liquidated=False, attesting_from=5)),
        ({"status": "pending_initialized"}, ValidatorView(COMMITTEE, 7, liquidated=False, attesting_from=None)),
        ({"status": "exited_unslashed"}, ValidatorView(COMMITTEE, 7, liquidated=False, attesting_from=None)),
        (
            {"status": None, "index": None, "activation_epoch": None},
            ValidatorView(COMMITTEE, None, liquidated=False, attesting_from=None),
        ),
        ({"liquidated": True}, ValidatorView(COMMITTEE, 7, liquidated=True, attesting_from=0)),
    ],
    ids=str,
)
def test_a_record_as_validation_sees_it(changes, expected):
    assert _view_of(record(**changes), {t.CommitteeId(bytes(32)): COMMITTEE}) == expected


def test_what_validation_asks_is_answered_from_registry_and_duties():
    gossip = Gossip(FORKS, keys=None)
    view = ValidatorView(COMMITTEE, 7, liquidated=False, attesting_from=0)
    assert gossip.validator(KEY) is None
    assert gossip.proposes(7, 33) is None
    gossip.update(RegistryState(validators_by_key={KEY: view}, exit_counts={(KEY, 40): 2}), CHAIN)
    gossip.duties.set_proposers(1, {33: 7})
    gossip.duties.set_sync_committee(0, 255, [7])
    assert gossip.validator(KEY) is view
    assert [gossip.exits(KEY, slot) for slot in (40, 41)] == [2, 0]
    assert [gossip.proposes(7, slot) for slot in (33, 34, 65)] == [True, False, None]
    assert [gossip.in_sync_committee(7, epoch) for epoch in (1, 256)] == [True, None]

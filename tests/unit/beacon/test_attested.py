from dataclasses import replace

import pytest
import redis

from ssv_pool.beacon.attested import Attested
from ssv_pool.messaging.commands import AttestationSubmission, SyncMessageSubmission
from ssv_pool.protocol.events import SignedAttestation, SignedSyncCommitteeMessage
from ssv_pool.protocol.types import AttestationData, Checkpoint

OWN = AttestationData(9, 0, bytes([1]) * 32, Checkpoint(0, bytes(32)), Checkpoint(1, bytes(32)))
DECIDED = replace(OWN, beacon_block_root=bytes([2]) * 32)
OTHER = replace(OWN, beacon_block_root=bytes([3]) * 32)


class Broker:
    """As much of a redis client as is used; ``gone`` makes it fail."""

    def __init__(self):
        self.hashes = {}
        self.kept = {}
        self.gone = False

    def pipeline(self, transaction):
        assert transaction
        return self

    def __enter__(self):
        return self

    def __exit__(self, *raised):
        pass

    def hset(self, key, mapping):
        self.pending = (key, mapping)

    def expire(self, key, seconds):
        self.kept[key] = seconds

    def execute(self):
        self._answer()
        self.hashes.setdefault(self.pending[0], {}).update(self.pending[1])

    def hgetall(self, key):
        self._answer()
        return dict(self.hashes.get(key, {}))

    def _answer(self):
        if self.gone:
            raise redis.ConnectionError("gone")


def signed(committee_index, data):
    return SignedAttestation(1, committee_index, 32, 0, data, bytes(96))


@pytest.fixture
def broker():
    return Broker()


@pytest.fixture
def attested(broker):
    return Attested(broker, "op1", 900.0)


def test_the_own_view_serves_until_something_is_decided(attested, broker):
    assert attested.data_of(9, 5) == []
    assert attested.heads_of(9) == []
    attested.keep_own(replace(OWN, index=4))
    assert attested.data_of(9, 5) == [OWN]
    assert attested.heads_of(9) == [OWN.beacon_block_root]
    assert attested.data_of(8, 5) == []
    assert broker.kept == {"op1:attested:9": 901}


def test_what_was_decided_for_the_committee_comes_first(attested):
    attested.keep_own(OWN)
    entries = (signed(5, replace(DECIDED, index=5)), signed(6, replace(OTHER, index=6)))
    attested.keep_decided(AttestationSubmission("key", 9, "deneb", entries, 100.0))
    assert attested.data_of(9, 5) == [DECIDED, OTHER, OWN]
    assert attested.data_of(9, 6) == [OTHER, DECIDED, OWN]
    assert attested.data_of(9, 7) == [DECIDED, OTHER, OWN]
    assert attested.heads_of(9) == [data.beacon_block_root for data in (DECIDED, OTHER, OWN)]


def test_the_sync_committees_head_comes_first(attested):
    attested.keep_own(OWN)
    message = SignedSyncCommitteeMessage(1, bytes([7]) * 32, bytes(96))
    attested.keep_decided(SyncMessageSubmission("key", 9, (message,), 100.0))
    assert attested.heads_of(9) == [bytes([7]) * 32, OWN.beacon_block_root]
    assert attested.data_of(9, 0) == [OWN]


def test_what_is_no_attestation_data_is_no_view(attested, broker):
    broker.hashes["op1:attested:9"] = {b"own": b"short", b"head": b"short"}
    assert attested.data_of(9, 0) == []
    assert attested.heads_of(9) == []


def test_a_broker_that_is_away_is_no_error(attested, broker):
    broker.gone = True
    attested.keep_own(OWN)
    assert attested.data_of(9, 0) == []
    assert attested.heads_of(9) == []

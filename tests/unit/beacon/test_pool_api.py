import json
import random

import pytest
from beacon_mock import Node, chain_routes, client_of
from schema_values import random_value

from ssv_pool.beacon.answers import Refusal
from ssv_pool.beacon.errors import BeaconError
from ssv_pool.beacon.pool_api import merged
from ssv_pool.beacon.ssz_json import to_json
from ssv_pool.protocol.events import SignedSyncCommitteeMessage
from ssv_pool.protocol.types.beacon_schemas import signed_aggregate_schema
from ssv_pool.protocol.types.contributions import (
    ContributionAndProof,
    SignedContributionAndProof,
    SyncCommitteeContribution,
)
from ssv_pool.protocol.types.operations import (
    SignedValidatorRegistration,
    SignedVoluntaryExit,
    ValidatorRegistration,
    VoluntaryExit,
)
from ssv_pool.protocol.types.presets import MAINNET, MINIMAL
from ssv_pool.protocol.types.versions import DataVersion

ROOT, SIGNATURE = bytes([9]) * 32, bytes([1]) * 96
HEX_ROOT, HEX_SIGNATURE = "0x" + "09" * 32, "0x" + "01" * 96
OK = (200, b"")
AGGREGATES_V1, AGGREGATES_V2 = (f"POST /eth/{version}/validator/aggregate_and_proofs" for version in ("v1", "v2"))


def sent(node):
    return json.loads(node.requests[-1].content)


def test_sync_committee_messages():
    node = Node({"POST /eth/v1/beacon/pool/sync_committees": OK})
    assert client_of(node).submit_sync_messages(17, [SignedSyncCommitteeMessage(4, ROOT, SIGNATURE)]) == []
    assert sent(node) == [
        {"slot": "17", "beacon_block_root": HEX_ROOT, "validator_index": "4", "signature": HEX_SIGNATURE}
    ]


class TestAggregates:
    @pytest.mark.parametrize(
        ("fork", "preset"),
        [("deneb", MAINNET), ("fulu", MINIMAL)],
        ids=lambda entry: getattr(entry, "name", entry),
    )
    def test_with_their_fork(self, fork, preset):
        version = DataVersion[fork.upper()]
        schema = signed_aggregate_schema(version, preset)
        value = random_value(schema, random.Random(1))
        node = Node(chain_routes(fork, preset), **{AGGREGATES_V2: OK})
        assert client_of(node).submit_aggregates(fork, int(version), [schema.encode(value)]) == []
        assert sent(node) == [to_json(schema, value)]
        assert node.requests[-1].headers["eth-consensus-version"] == fork

    def test_on_the_older_route_before_electra_only(self):
        node = Node(chain_routes("capella", MINIMAL), **{AGGREGATES_V1: OK})
        client = client_of(node)
        assert client.submit_aggregates("capella", 4, []) == client.submit_aggregates("capella", 4, []) == []
        assert node.asked("aggregate") == [AGGREGATES_V2, AGGREGATES_V1, AGGREGATES_V1]
        with pytest.raises(BeaconError, match=r"POST /eth/v2/validator/aggregate_and_proofs: status 404: no route$"):
            client_of(node).submit_aggregates("electra", 6, [])

    def test_bytes_that_are_none_are_not_sent(self):
        client = client_of(Node(chain_routes("fulu", MINIMAL)))
        with pytest.raises(ValueError, match=r"^SignedAggregateAndProof: 3 bytes, expected at least 100$"):
            client.submit_aggregates("fulu", 7, [b"abc"])


class TestContributions:
    def contribution(self, bits):
        contribution = SyncCommitteeContribution(17, ROOT, 2, bits, SIGNATURE)
        return SignedContributionAndProof(ContributionAndProof(4, contribution, SIGNATURE), SIGNATURE).encode()

    @pytest.mark.parametrize(("preset", "length"), [(MAINNET, 16), (MINIMAL, 1)], ids=["mainnet", "minimal"])
    def test_with_as_many_bits_as_the_preset_says(self, preset, length):
        node = Node(chain_routes("fulu", preset), **{"POST /eth/v1/validator/contribution_and_proofs": OK})
        assert client_of(node).submit_contributions([self.contribution(b"\x81".ljust(16, b"\0"))]) == []
        contribution = {
            "slot": "17",
            "beacon_block_root": HEX_ROOT,
            "subcommittee_index": "2",
            "aggregation_bits": "0x81" + "00" * (length - 1),
            "signature": HEX_SIGNATURE,
        }
        message = {"aggregator_index": "4", "contribution": contribution, "selection_proof": HEX_SIGNATURE}
        assert sent(node) == [{"message": message, "signature": HEX_SIGNATURE}]

    def test_bits_without_a_place_are_not_sent(self):
        client = client_of(Node(chain_routes("fulu", MINIMAL)))
        with pytest.raises(ValueError, match=r"^contribution bits 0x8101(00)*, expected 8 of them$"):
            client.submit_contributions([self.contribution(b"\x81\x01".ljust(16, b"\0"))])
        with pytest.raises(ValueError, match=r"^SignedContributionAndProof: 359 bytes, expected 360$"):
            client.submit_contributions([self.contribution(bytes(16))[:-1]])


def test_registrations():
    registration = ValidatorRegistration(bytes([2]) * 20, 36_000_000, 1000, bytes([7]) * 48)
    node = Node({"POST /eth/v1/validator/register_validator": OK})
    raw = SignedValidatorRegistration(registration, SIGNATURE).encode()
    assert client_of(node).submit_registrations([raw]) == []
    message = {
        "fee_recipient": "0x" + "02" * 20,
        "gas_limit": "36000000",
        "timestamp": "1000",
        "pubkey": "0x" + "07" * 48,
    }
    assert sent(node) == [{"message": message, "signature": HEX_SIGNATURE}]
    with pytest.raises(ValueError, match=r"^SignedValidatorRegistration: 179 bytes, expected 180$"):
        client_of(node).submit_registrations([raw[:-1]])


class TestExit:
    RAW = SignedVoluntaryExit(VoluntaryExit(3, 4), SIGNATURE).encode()

    def test_is_posted(self):
        node = Node({"POST /eth/v1/beacon/pool/voluntary_exits": OK})
        client_of(node).submit_exit(self.RAW)
        assert sent(node) == {"message": {"epoch": "3", "validator_index": "4"}, "signature": HEX_SIGNATURE}

    def test_one_that_is_known_is_accepted(self):
        answer = (400, {"code": 400, "message": "VOLUNTARY_EXIT_ERROR_ALREADY_EXISTS"})
        client_of(Node({"POST /eth/v1/beacon/pool/voluntary_exits": answer})).submit_exit(self.RAW)

    def test_a_refusal_is_an_error(self):
        answer = (400, {"code": 400, "message": "validator is not active"})
        with pytest.raises(BeaconError, match=r"voluntary_exits: status 400: validator is not active$"):
            client_of(Node({"POST /eth/v1/beacon/pool/voluntary_exits": answer})).submit_exit(self.RAW)


class TestSeveralNodes:
    def test_refused_is_only_what_every_node_refuses(self):
        first = [Refusal(0, "bad"), Refusal(1, "unknown head"), Refusal(2, "already known")]
        second = [Refusal(0, "wrong"), Refusal(2, "bad")]
        assert merged([first, second]) == [Refusal(0, "bad")]
        assert merged([first]) == first

    def test_one_node_that_takes_the_batch_is_enough(self):
        refusal = {"code": 400, "message": "", "failures": [{"index": "0", "message": "unknown head"}]}
        path = "POST /eth/v1/beacon/pool/sync_committees"
        nodes = [Node({path: (400, refusal)}), Node({path: OK})]
        assert client_of(*nodes).submit_sync_messages(17, [SignedSyncCommitteeMessage(4, ROOT, SIGNATURE)]) == []

    def test_what_all_refuse_comes_back(self):
        path = "POST /eth/v1/beacon/pool/sync_committees"

        def refusing(*positions):
            failures = [{"index": str(position), "message": f"no {position}"} for position in positions]
            return Node({path: (400, {"code": 400, "message": "", "failures": failures})})

        messages = [SignedSyncCommitteeMessage(index, ROOT, SIGNATURE) for index in range(3)]
        found = client_of(refusing(0, 1), refusing(1, 2)).submit_sync_messages(17, messages)
        assert found == [Refusal(1, "no 1")]

import json
import random

import pytest
from beacon_mock import Node, chain_routes, client_of
from schema_values import random_value

from ssv_pool.beacon.answers import ProposerDuties
from ssv_pool.beacon.duty_api import CommitteeSubscription, SyncSubscription
from ssv_pool.beacon.errors import BeaconError
from ssv_pool.beacon.ssz_json import to_json
from ssv_pool.protocol.types.attestations import decode_attestation
from ssv_pool.protocol.types.beacon_schemas import attestation_schema, contribution_schema
from ssv_pool.protocol.types.contributions import SyncCommitteeContribution
from ssv_pool.protocol.types.presets import MAINNET, MINIMAL
from ssv_pool.protocol.types.versions import DataVersion
from ssv_pool.store.duties import Proposal, SyncMembership

KEY, ROOT = bytes([7]) * 48, bytes([9]) * 32
HEX_KEY, HEX_ROOT = "0x" + "07" * 48, "0x" + "09" * 32
SSZ = "application/octet-stream"
AGGREGATE_V1, AGGREGATE_V2 = (f"GET /eth/{version}/validator/aggregate_attestation" for version in ("v1", "v2"))
CONTRIBUTION = "GET /eth/v1/validator/sync_committee_contribution"


class TestDuties:
    def test_proposers_come_by_slot(self):
        duties = [
            {"pubkey": HEX_KEY, "validator_index": index, "slot": slot} for index, slot in (("4", "18"), ("5", "17"))
        ]
        node = Node({"GET /eth/v1/validator/duties/proposer/2": (200, {"dependent_root": HEX_ROOT, "data": duties})})
        assert client_of(node).proposer_duties(2) == ProposerDuties(
            2, ROOT, (Proposal(17, 5, KEY), Proposal(18, 4, KEY))
        )

    def test_sync_members_have_places(self, monkeypatch):
        monkeypatch.setattr("ssv_pool.beacon.client.SYNC_DUTY_INDICES", 2)
        member = {"pubkey": HEX_KEY, "validator_index": "41", "validator_sync_committee_indices": ["12", "3", "12"]}

        def answer(request):
            return 200, {"data": [member] if "41" in json.loads(request.content) else []}

        node = Node({"POST /eth/v1/validator/duties/sync/2": answer})
        assert client_of(node).sync_duties(2, [39, 40, 41]) == [SyncMembership(41, KEY, (3, 12))]
        assert [json.loads(request.content) for request in node.requests] == [["39", "40"], ["41"]]

    @pytest.mark.parametrize("places", ["3", [3], ["-3"], [["3"]]])
    def test_places_that_are_no_numbers_are_refused(self, places):
        member = {"pubkey": HEX_KEY, "validator_index": "41", "validator_sync_committee_indices": places}
        node = Node({"POST /eth/v1/validator/duties/sync/2": (200, {"data": [member]})})
        with pytest.raises(
            BeaconError, match=r"status 200: bad answer: (validator_sync_committee_indices|place): found"
        ):
            client_of(node).sync_duties(2, [41])


def aggregate_of(fork, preset):
    """An aggregate: its JSON, its SSZ, and the root of its data."""
    version = DataVersion[fork.upper()]
    schema = attestation_schema(version, preset)
    value = random_value(schema, random.Random(2))
    raw = schema.encode(value)
    return to_json(schema, value), raw, decode_attestation(version, raw, preset).data.hash_tree_root()


def fetch(client, root, fork):
    return client.aggregate(17, 3, root, fork)


class TestAggregate:
    @pytest.mark.parametrize(
        ("fork", "preset"),
        [("deneb", MAINNET), ("fulu", MAINNET), ("electra", MINIMAL)],
        ids=lambda entry: getattr(entry, "name", entry),
    )
    def test_in_both_forms(self, fork, preset):
        body, raw, root = aggregate_of(fork, preset)
        expected = (int(DataVersion[fork.upper()]), raw)
        for answer in (
            (200, {"version": fork, "data": body}),
            (200, {"data": body}),
            (200, raw, {"content-type": SSZ, "eth-consensus-version": fork}),
            (200, raw, {"content-type": f"{SSZ}; charset=binary"}),
        ):
            node = Node(chain_routes(fork, preset), **{AGGREGATE_V2: answer})
            assert fetch(client_of(node), root, fork) == expected
            assert dict(node.requests[-1].url.params) == {
                "attestation_data_root": f"0x{root.hex()}",
                "slot": "17",
                "committee_index": "3",
            }

    def test_of_an_older_node_before_electra(self):
        body, raw, root = aggregate_of("capella", MINIMAL)
        node = Node(chain_routes("capella", MINIMAL), **{AGGREGATE_V1: (200, {"data": body})})
        client = client_of(node)
        for _ in range(2):
            assert fetch(client, root, "capella") == (4, raw)
        assert node.asked("aggregate") == [AGGREGATE_V2, AGGREGATE_V1, AGGREGATE_V1]

    def test_one_that_is_not_there_is_an_error_and_asked_for_anew(self):
        node = Node(chain_routes("capella", MINIMAL))
        client = client_of(node)
        for _ in range(2):
            with pytest.raises(
                BeaconError, match=r"GET /eth/v1/validator/aggregate_attestation: status 404: no route$"
            ):
                fetch(client, ROOT, "capella")
        with pytest.raises(BeaconError, match=r"GET /eth/v2/validator/aggregate_attestation: status 404: no route$"):
            fetch(client, ROOT, "electra")
        assert node.asked("aggregate") == [AGGREGATE_V2, AGGREGATE_V1] * 2 + [AGGREGATE_V2]

    def test_one_of_other_data_is_refused(self):
        body, _, _ = aggregate_of("fulu", MAINNET)
        node = Node(chain_routes("fulu", MAINNET), **{AGGREGATE_V2: (200, {"version": "fulu", "data": body})})
        with pytest.raises(
            BeaconError, match=r"bad answer: attestation data root 0x.*…, expected 0x0909090909090909…$"
        ):
            fetch(client_of(node), ROOT, "fulu")


class TestContribution:
    def answer(self, preset, **change):
        schema = contribution_schema(preset)
        fields = {"slot": 17, "beacon_block_root": ROOT, "subcommittee_index": 2, "signature": bytes([4]) * 96} | change
        bits = b"\x81".ljust((preset.subcommittee_size + 7) // 8, b"\0")
        value = schema.record(**{"aggregation_bits": bits} | fields)
        return to_json(schema, value), schema.encode(value)

    @pytest.mark.parametrize("preset", [MAINNET, MINIMAL], ids=lambda preset: preset.name)
    def test_in_both_forms_with_sixteen_bytes_of_bits(self, preset):
        body, raw = self.answer(preset)
        expected = SyncCommitteeContribution(17, ROOT, 2, b"\x81".ljust(16, b"\0"), bytes([4]) * 96)
        for answer in ((200, {"data": body}), (200, raw, {"content-type": SSZ})):
            node = Node(chain_routes("fulu", preset), **{CONTRIBUTION: answer})
            assert client_of(node).sync_contribution(17, 2, ROOT) == expected
        assert dict(node.requests[-1].url.params) == {
            "slot": "17",
            "subcommittee_index": "2",
            "beacon_block_root": HEX_ROOT,
        }

    @pytest.mark.parametrize("change", [{"slot": 18}, {"subcommittee_index": 3}, {"beacon_block_root": bytes(32)}])
    def test_another_one_than_asked_for_is_refused(self, change):
        body, _ = self.answer(MINIMAL, **change)
        node = Node(chain_routes("fulu", MINIMAL), **{CONTRIBUTION: (200, {"data": body})})
        with pytest.raises(
            BeaconError, match=r"bad answer: contribution of slot .* expected 17, 2, 0x0909090909090909…$"
        ):
            client_of(node).sync_contribution(17, 2, ROOT)


class TestPreparation:
    def test_fee_recipients(self):
        node = Node({"POST /eth/v1/validator/prepare_beacon_proposer": (200, b"")})
        client_of(node).prepare_proposers([(4, bytes([1]) * 20)])
        assert json.loads(node.requests[0].content) == [{"validator_index": "4", "fee_recipient": "0x" + "01" * 20}]

    def test_subscriptions(self):
        node = Node(
            {
                "POST /eth/v1/validator/beacon_committee_subscriptions": (200, b""),
                "POST /eth/v1/validator/sync_committee_subscriptions": (200, b""),
            }
        )
        client_of(node).subscribe_committees([CommitteeSubscription(4, 1, 2, 17, is_aggregator=True)])
        client_of(node).subscribe_sync_committees([SyncSubscription(4, (3, 12), 8)])
        assert [json.loads(request.content) for request in node.requests] == [
            [
                {
                    "validator_index": "4",
                    "committee_index": "1",
                    "committees_at_slot": "2",
                    "slot": "17",
                    "is_aggregator": True,
                }
            ],
            [{"validator_index": "4", "sync_committee_indices": ["3", "12"], "until_epoch": "8"}],
        ]

    def test_a_refusal_is_an_error(self):
        node = Node({"POST /eth/v1/validator/prepare_beacon_proposer": (500, {"message": "no"})})
        with pytest.raises(BeaconError, match=r"POST /eth/v1/validator/prepare_beacon_proposer: status 500: no$"):
            client_of(node).prepare_proposers([(4, bytes(20))])


class TestChain:
    def test_liveness(self):
        body = {"data": [{"index": "4", "is_live": True}, {"index": "5", "is_live": False}]}
        node = Node({"POST /eth/v1/validator/liveness/2": (200, body)})
        assert client_of(node).liveness(2, [4, 5]) == {4: True, 5: False}
        assert json.loads(node.requests[0].content) == ["4", "5"]

    def test_a_node_without_liveness_is_not_asked_again(self):
        node = Node()
        client = client_of(node)
        assert (client.liveness(2, [4]), client.liveness(3, [4])) == (None, None)
        assert node.asked() == ["POST /eth/v1/validator/liveness/2"]

    def test_block_root(self):
        node = Node({"GET /eth/v1/beacon/blocks/17/root": (200, {"data": {"root": HEX_ROOT}})})
        assert client_of(node).block_root("17") == ROOT
        with pytest.raises(BeaconError) as error:
            client_of(node).block_root("18")
        assert error.value.status == 404

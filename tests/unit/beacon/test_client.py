import json

import httpx
import pytest
from beacon_mock import Node, client_of

from ssv_pool.beacon.answers import AttesterDuties, BeaconValidator, Refusal, SyncStatus, fork_is_at_least
from ssv_pool.beacon.errors import BeaconError
from ssv_pool.beacon.events import BeaconEvent
from ssv_pool.protocol.chain import BeaconChain, ForkVersion
from ssv_pool.protocol.events import SignedAttestation
from ssv_pool.protocol.types import FAR_FUTURE_EPOCH, AttestationData, Checkpoint, ValidatorDuty
from ssv_pool.protocol.types.presets import MINIMAL

KEY = bytes([7]) * 48
ROOT = bytes([9]) * 32
FAR = str(2**64 - 1)


def attestation(place=2, length=9):
    data = AttestationData(5, 0, ROOT, Checkpoint(1, bytes(32)), Checkpoint(2, ROOT))
    return SignedAttestation(40, 3, length, place, data, bytes([1]) * 96)


DATA = {
    "slot": "5",
    "index": "0",
    "beacon_block_root": "0x" + "09" * 32,
    "source": {"epoch": "1", "root": "0x" + "00" * 32},
    "target": {"epoch": "2", "root": "0x" + "09" * 32},
}


class TestReads:
    def test_syncing(self):
        body = {"data": {"head_slot": "9", "sync_distance": "3", "is_syncing": True}}
        status = client_of(Node(**{"GET /eth/v1/node/syncing": (200, body)})).syncing()
        assert status == SyncStatus(9, 3, True, False, False)
        assert status.problem == "syncing, 3 slots behind"

    def test_chain(self):
        spec = {
            "SLOT_DURATION_MS": "4000",
            "SECONDS_PER_SLOT": "12",
            "SLOTS_PER_EPOCH": "8",
            "GENESIS_FORK_VERSION": "0x00000001",
            "ALTAIR_FORK_VERSION": "0x01000001",
            "ELECTRA_FORK_VERSION": "0x05000001",
        }
        schedule = [
            {"previous_version": "0x00000001", "current_version": "0x00000001", "epoch": "0"},
            {"previous_version": "0x00000001", "current_version": "0x01000001", "epoch": "0"},
            {"previous_version": "0x01000001", "current_version": "0x05000001", "epoch": "9"},
            {"previous_version": "0x05000001", "current_version": "0x06000001", "epoch": FAR},
        ]
        genesis = {"genesis_time": "1000", "genesis_validators_root": "0x" + "09" * 32}
        node = Node(
            **{
                "GET /eth/v1/beacon/genesis": (200, {"data": genesis}),
                "GET /eth/v1/config/spec": (200, {"data": spec}),
                "GET /eth/v1/config/fork_schedule": (200, {"data": schedule}),
            }
        )
        forks = (
            ForkVersion(0, bytes.fromhex("00000001"), "phase0"),
            ForkVersion(0, bytes.fromhex("01000001"), "altair"),
            ForkVersion(9, bytes.fromhex("05000001"), "electra"),
        )
        chain = client_of(node).chain()
        assert chain == BeaconChain(1000.0, ROOT, 4000, 8, forks)
        assert chain.fork_at(3).name == "altair"
        del spec["SLOT_DURATION_MS"]
        assert client_of(node).chain().slot_duration_ms == 12000
        spec["PRESET_BASE"] = "minimal"
        assert client_of(node).chain().preset is MINIMAL
        spec["PRESET_BASE"] = "gnosis"
        with pytest.raises(BeaconError, match="spec: preset 'gnosis', expected one of mainnet, minimal"):
            client_of(node).chain()

    def test_validators(self):
        def entry(key):
            validator = {"pubkey": "0x" + key.hex(), "activation_epoch": "4", "exit_epoch": FAR}
            return {"index": "40", "balance": "1", "status": "active_ongoing", "validator": validator}

        def post(request):
            assert json.loads(request.content) == {"ids": ["0x" + KEY.hex()]}
            return 200, {"data": [entry(KEY), entry(bytes(48))]}

        found = client_of(Node(**{"POST /eth/v1/beacon/states/head/validators": post})).validators([KEY])
        assert found == [BeaconValidator(40, KEY, "active_ongoing", 4, FAR_FUTURE_EPOCH)]

    def test_validators_of_a_node_without_the_post_route_are_asked_with_repeated_parameters(self):
        node = Node(**{"GET /eth/v1/beacon/states/head/validators": (200, {"data": []})})
        keys = [bytes([n]) * 48 for n in range(51)]
        assert client_of(node).validators(keys) == []
        asked = [request.url.params.get_list("id") for request in node.requests[1:]]
        assert asked == [["0x" + key.hex() for key in keys[:50]], ["0x" + keys[50].hex()]]

    def test_attester_duties(self):
        duty = {
            "pubkey": "0x" + KEY.hex(),
            "validator_index": "40",
            "committee_index": "1",
            "committee_length": "9",
            "committees_at_slot": "2",
            "validator_committee_index": "3",
            "slot": "17",
        }
        body = {"dependent_root": "0x" + "09" * 32, "execution_optimistic": False, "data": [duty]}
        node = Node(**{"POST /eth/v1/validator/duties/attester/2": (200, body)})
        found = client_of(node).attester_duties(2, [40, 41])
        assert found == AttesterDuties(2, ROOT, (ValidatorDuty(0, KEY, 17, 40, 1, 9, 2, 3),))
        assert json.loads(node.requests[0].content) == ["40", "41"]

    def test_attestation_data(self):
        node = Node(**{"GET /eth/v1/validator/attestation_data": (200, {"data": DATA})})
        assert client_of(node).attestation_data(5) == attestation().data
        with pytest.raises(BeaconError) as error:
            client_of(node).attestation_data(6)
        assert str(error.value) == (
            "beacon node http://node0: GET /eth/v1/validator/attestation_data: "
            "status 200: bad answer: slot: found 5, expected 6"
        )

    @pytest.mark.parametrize(
        ("answer", "text"),
        [
            ((503, {"code": 503, "message": "syncing\nnow"}), "status 503: syncing now"),
            ((500, b"oops"), "status 500: oops"),
            ((200, b"{"), "status 200: bad answer: Expecting property name"),
            ((200, {"data": {**DATA, "index": 0}}), "status 200: bad answer: index: found '0', expected a str"),
            ((200, {"data": {**DATA, "index": "-1"}}), "status 200: bad answer: index: found '-1', expected a decimal"),
            (
                (200, {"data": {**DATA, "beacon_block_root": "0x09"}}),
                "status 200: bad answer: beacon_block_root: found",
            ),
            ((200, {}), "status 200: bad answer: data: missing"),
            ((200, []), "status 200: bad answer: data: missing"),
            (httpx.ConnectError("refused"), "no answer: refused"),
            (httpx.ReadTimeout("x"), "no answer: timed out (ReadTimeout)"),
        ],
    )
    def test_bad_answers_are_one_clear_line(self, answer, text):
        with pytest.raises(BeaconError) as error:
            client_of(Node(**{"GET /eth/v1/validator/attestation_data": answer})).attestation_data(5)
        assert str(error.value).startswith(f"beacon node http://node0: GET /eth/v1/validator/attestation_data: {text}")
        assert "\n" not in str(error.value)

    def test_a_connection_the_node_closed_is_tried_once_more(self):
        answers = [httpx.RemoteProtocolError("closed"), (200, {"data": DATA})]
        node = Node(**{"GET /eth/v1/validator/attestation_data": lambda request: answers.pop(0)})
        assert client_of(node).attestation_data(5) == attestation().data

    def test_the_next_node_is_asked_when_the_first_fails(self):
        bad = Node(**{"GET /eth/v1/validator/attestation_data": httpx.ConnectError("refused")})
        good = Node(**{"GET /eth/v1/validator/attestation_data": (200, {"data": DATA})})
        assert client_of(bad, good).attestation_data(5) == attestation().data


class TestSubmission:
    def test_from_electra_on_single_attestations(self):
        node = Node(**{"POST /eth/v2/beacon/pool/attestations": (200, b"")})
        assert client_of(node).submit_attestations("fulu", [attestation()]) == []
        [request] = node.requests
        assert request.headers["eth-consensus-version"] == "fulu"
        assert json.loads(request.content) == [
            {"committee_index": "3", "attester_index": "40", "data": DATA, "signature": "0x" + "01" * 96}
        ]

    @pytest.mark.parametrize(("place", "length", "bits"), [(2, 9, "0x0402"), (0, 1, "0x03"), (7, 8, "0x8001")])
    def test_before_electra_attestations_with_one_bit_on_the_older_route_too(self, place, length, bits):
        node = Node(**{"POST /eth/v1/beacon/pool/attestations": (200, b"")})
        assert client_of(node).submit_attestations("deneb", [attestation(place, length)]) == []
        assert [request.url.path[:7] for request in node.requests] == ["/eth/v2", "/eth/v1"]
        assert json.loads(node.requests[1].content) == [
            {"aggregation_bits": bits, "data": DATA, "signature": "0x" + "01" * 96}
        ]

    def test_single_refusals_come_back_with_their_place(self):
        failures = [
            {"index": "1", "message": "bad signature"},
            {"index": 0, "message": "ATTESTATION_ERROR_ATTESTATION_ALREADY_KNOWN"},
        ]
        body = {"code": 400, "message": "some failed", "failures": failures}
        node = Node(**{"POST /eth/v2/beacon/pool/attestations": (400, body)})
        found = client_of(node).submit_attestations("electra", [attestation(), attestation()])
        assert found == [Refusal(1, "bad signature"), Refusal(0, "ATTESTATION_ERROR_ATTESTATION_ALREADY_KNOWN")]
        assert [refusal.already_known for refusal in found] == [False, True]

    def test_a_refused_batch_is_an_error(self):
        node = Node(**{"POST /eth/v2/beacon/pool/attestations": (503, {"code": 503, "message": "syncing"})})
        with pytest.raises(BeaconError) as error:
            client_of(node).submit_attestations("electra", [attestation()])
        assert (
            str(error.value) == "beacon node http://node0: POST /eth/v2/beacon/pool/attestations: status 503: syncing"
        )


def test_forks_have_an_order():
    names = [fork_is_at_least(name, "electra") for name in ("phase0", "deneb", "electra", "fulu", "0x99")]
    assert names == [False, False, True, True, True]


def test_events():
    stream = (
        b': hello\n\nevent: head\ndata: {"slot": "5"}\n\nevent: other\ndata: {}\n\nevent:head\ndata:{"slot":"6"}\n\n'
    )
    node = Node(**{"GET /eth/v1/events": (200, stream)})
    events = client_of(node).events(["head", "block"])
    assert [next(events), next(events)] == [
        BeaconEvent("head", {"slot": "5"}, "http://node0"),
        BeaconEvent("head", {"slot": "6"}, "http://node0"),
    ]
    events.close()
    assert node.requests[0].url.params.get_list("topics") == ["head", "block"]


def test_after_its_end_a_client_says_so():
    client = client_of(Node(**{"GET /eth/v1/validator/attestation_data": (200, {"data": DATA})}))
    client.close()
    with pytest.raises(BeaconError, match=r"attestation_data: no answer: closed: "):
        client.attestation_data(5)

import json

import pytest
from beacon_http import SSZ, request
from beacon_outsider import Outsider
from beacon_stepper import SteppedNode

from ssv_pool.devnet.beacon.codec import from_json, to_json
from ssv_pool.devnet.beacon.relay import BUILDER_VALUES, LOCAL_VALUE
from ssv_pool.devnet.beacon.simulated import DutyKind

ALL = frozenset(range(64))
GRAFFITI = b"outside".ljust(32, b"\0")


def outside(tmp_path, **options):
    duties = frozenset({DutyKind.PROPOSE})
    return SteppedNode(external=ALL, external_duties=duties, record=tmp_path / "record.jsonl", **options)


@pytest.fixture
def stepped(tmp_path):
    """A node in slot 1 whose proposers are all outside."""
    stepped = outside(tmp_path)
    stepped.run_slot(0)
    stepped.go_to(1)
    yield stepped
    stepped.node.close()


@pytest.fixture
def client(stepped):
    return Outsider(stepped)


def path(client, slot, version="v3", kind="blocks", randao=None, **query):
    reveal = client.randao(slot) if randao is None else randao
    query = {"randao_reveal": "0x" + reveal.hex(), "graffiti": "0x" + GRAFFITI.hex()} | query
    return f"/eth/{version}/validator/{kind}/{slot}?" + "&".join(f"{name}={value}" for name, value in query.items())


def produced(client, slot, **query):
    """The BlockContents that version 3 of the endpoint gives."""
    answer = request(client.stepped, "GET", path(client, slot, **query))
    assert answer.status == 200, answer.json
    return from_json(client.node.containers.block_contents, answer.json["data"])


def signed(client, contents):
    block = client.spec.SignedBeaconBlock(message=contents.block, signature=client.sign_block(contents.block))
    return client.node.containers.signed_block_contents(
        signed_block=block, kzg_proofs=contents.kzg_proofs, blobs=contents.blobs
    )


def publish(client, view, version="v2", kind="blocks", **options):
    return request(client.stepped, "POST", f"/eth/{version}/beacon/{kind}", to_json(view), **options)


def register(stepped, client, **changes):
    """Register the proposer of the present slot for builders."""
    registration = client.registration(client.proposer(stepped.slot), int(stepped.clock.time), **changes)
    assert stepped.node.relay.register(registration).text == "accepted"
    return registration


def records(tmp_path):
    lines = [json.loads(line) for line in (tmp_path / "record.jsonl").read_text().splitlines()]
    return [entry for entry in lines if entry["kind"] == "block"]


def test_a_block_is_made_signed_and_published(stepped, client, tmp_path):
    answer = request(stepped, "GET", path(client, 1))
    assert answer.status == 200
    assert {name: answer.headers[name] for name in answer.headers if name.startswith("Eth-")} == {
        "Eth-Consensus-Version": "fulu",
        "Eth-Execution-Payload-Blinded": "false",
        "Eth-Execution-Payload-Value": str(LOCAL_VALUE),
        "Eth-Consensus-Block-Value": answer.json["consensus_block_value"],
    }
    assert answer.json["execution_payload_blinded"] is False
    assert answer.json["execution_payload_value"] == str(LOCAL_VALUE)
    # Attestations of slot 0 and the node's own sync committee members are in it.
    assert int(answer.json["consensus_block_value"]) > 10**9
    contents = from_json(client.node.containers.block_contents, answer.json["data"])
    assert bytes(contents.block.body.graffiti) == GRAFFITI
    assert len(contents.block.body.attestations) == 1
    events = stepped.node.events.subscribe({"head", "block"})
    assert publish(client, signed(client, contents)).status == 200
    assert [events.queue.get_nowait()[0] for _ in range(2)] == ["block", "head"]
    root = contents.block.hash_tree_root()
    assert stepped.node.chain.head() == root
    assert publish(client, signed(client, contents)).status == 200
    entry = {"kind": "block", "validator_index": int(contents.block.proposer_index), "slot": 1, "blinded": False}
    found = [{name: line[name] for name in (*entry, "verdict", "root")} for line in records(tmp_path)]
    expected = entry | {"root": "0x" + root.hex()}
    assert found == [expected | {"verdict": "accepted"}, expected | {"verdict": "duplicate"}]


def test_ssz_both_ways(stepped, client):
    accept = {"Accept": f"{SSZ};q=1.0,application/json;q=0.9"}
    for version in ("v3", "v2"):
        answer = request(stepped, "GET", path(client, 1, version=version), headers=accept)
        assert (answer.status, answer.headers["Content-Type"]) == (200, SSZ)
        assert answer.headers["Eth-Consensus-Version"] == "fulu"
        contents = client.node.containers.block_contents.decode_bytes(answer.body)
        assert contents == produced(client, 1)
    view = signed(client, contents)
    wrong = request(stepped, "POST", "/eth/v2/beacon/blocks", bytes(view.encode_bytes()) + b"\0")
    assert wrong.status == 400
    answer = request(stepped, "POST", "/eth/v2/beacon/blocks", bytes(view.encode_bytes()))
    assert answer.status == 200
    assert stepped.node.chain.head() == contents.block.hash_tree_root()
    answer = request(stepped, "GET", "/eth/v2/beacon/blocks/head", headers=accept)
    assert client.spec.SignedBeaconBlock.decode_bytes(answer.body) == view.signed_block
    answer = request(stepped, "GET", "/eth/v1/beacon/blinded_blocks/head", headers=accept)
    hidden = client.node.containers.signed_blinded_block.decode_bytes(answer.body)
    assert hidden.message.hash_tree_root() == contents.block.hash_tree_root()


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("application/json", "json"),
        ("*/*", "json"),
        (f"application/json;q=0.5, {SSZ};q=0.4", "json"),
        (f"{SSZ}", "ssz"),
        (f"{SSZ};q=0.9, */*;q=0.1", "ssz"),
        ("text/html", None),
        (f"{SSZ};q=0", None),
    ],
)
def test_the_accept_header_decides_the_form(stepped, client, accept, kind):
    answer = request(stepped, "GET", path(client, 1), headers={"Accept": accept})
    if kind is None:
        assert (answer.status, answer.json["code"]) == (406, 406)
    else:
        assert answer.headers["Content-Type"].startswith(SSZ if kind == "ssz" else "application/json")


def test_the_same_request_gets_the_same_block_until_something_changes(stepped, client):
    first = produced(client, 1)
    assert produced(client, 1) == first
    stepped.node.relay.fee_recipients[client.proposer(1)] = b"\x22" * 20
    second = produced(client, 1)
    assert bytes(second.block.body.execution_payload.fee_recipient) == b"\x22" * 20
    assert bytes(produced(client, 1, graffiti="0x" + "33" * 32).block.body.graffiti) == b"\x33" * 32
    # What was offered before can still be published, and is still offered to who asks after it is on the chain.
    reveal = client.randao(1)
    assert publish(client, signed(client, first)).status == 200
    answer = request(stepped, "GET", path(client, 1, randao=reveal))
    assert from_json(client.node.containers.block_contents, answer.json["data"]) == second


def test_refused_requests(stepped, client):
    other = (client.proposer(1) + 1) % 64
    for query, message in (
        (path(client, 1, randao=client.randao(1, other)), "randao_reveal: not the signature of validator"),
        (path(client, 1, randao=b"\0" * 96), "randao_reveal: not the signature of validator"),
        (path(client, 1, randao=b"\0" * 95), "randao_reveal: found 95 bytes, expected 96"),
        (path(client, 1, graffiti="0x00"), "graffiti: found 1 bytes, expected 32"),
        (path(client, 1, skip_randao_verification=""), "skip_randao_verification: not offered"),
        (path(client, 1, builder_boost_factor="-1"), "builder_boost_factor: found"),
        (path(client, 3), "slot 3: the current slot is 1"),
        (path(client, 0, randao=b"\0" * 96), "slot 0: it has the genesis block"),
        ("/eth/v3/validator/blocks/1", "randao_reveal: found null"),
    ):
        answer = request(stepped, "GET", query)
        assert answer.status == 400
        assert answer.message.startswith(message), answer.message
    reveal = client.randao(1)
    assert publish(client, signed(client, produced(client, 1))).status == 200
    answer = request(stepped, "GET", path(client, 1, randao=reveal, graffiti="0x" + "00" * 32))
    assert (answer.status, answer.message) == (400, "slot 1: the head is at slot 1, expected an earlier one")


def test_refused_blocks(stepped, client, tmp_path):
    contents = produced(client, 1)
    good = signed(client, contents)

    def changed(change):
        view = good.copy()
        change(view)
        return view

    def resigned(change):
        block = contents.block.copy()
        change(block)
        return changed(
            lambda view: setattr(
                view, "signed_block", client.spec.SignedBeaconBlock(message=block, signature=client.sign_block(block))
            )
        )

    cases = [
        (changed(lambda v: setattr(v.signed_block, "signature", b"\xc0" + bytes(95))), "invalid proposer signature"),
        (resigned(lambda b: setattr(b, "state_root", b"\1" * 32)), "state transition failed"),
        (resigned(lambda b: setattr(b, "parent_root", b"\1" * 32)), "parent has not been seen"),
        (resigned(lambda b: setattr(b, "slot", 5)), "block is from a future slot"),
        (changed(lambda v: v.kzg_proofs.append(b"\0" * 48)), "kzg_proofs: found 1, expected 0"),
        (resigned(lambda b: b.body.blob_kzg_commitments.append(b"\0" * 48)), "blobs: found 0, expected 1"),
    ]
    for view, message in cases:
        answer = publish(client, view)
        assert answer.status == 400
        assert message in answer.message, answer.message
    assert stepped.node.chain.history.head.slot == 0
    assert {entry["verdict"].split(":")[0] for entry in records(tmp_path)} == {"rejected", "ignored"}
    answer = publish(client, good, headers={"Eth-Consensus-Version": "electra"})
    assert (answer.status, answer.message) == (
        400,
        "header Eth-Consensus-Version: found electra, expected fulu",
    )
    answer = request(stepped, "POST", "/eth/v2/beacon/blocks?broadcast_validation=none", to_json(good))
    assert answer.status == 400
    answer = publish(client, good, headers={"Content-Type": "text/plain"})
    assert answer.status == 415
    assert publish(client, good, version="v1").status == 200
    # A second block of the proposer for the slot is an offence: it is recorded, not taken.
    answer = publish(client, resigned(lambda b: setattr(b.body, "graffiti", b"\1" * 32)))
    assert (answer.status, answer.message) == (
        400,
        "block ignored: block is not the first valid block for this proposer and slot",
    )
    assert len({entry["root"] for entry in records(tmp_path)}) >= 2
    answer = publish(client, cases[0][0])
    assert (answer.status, answer.message) == (400, "block rejected: invalid proposer signature")


def test_an_unknown_proposer_is_no_signer(stepped, client):
    good = signed(client, produced(client, 1))
    good.signed_block.message.proposer_index = 64
    assert publish(client, good).message == "block rejected: invalid proposer signature"


def test_the_builder_is_asked_for_registered_validators_only(tmp_path):
    stepped = outside(tmp_path, builder=True)
    stepped.go_to(1)
    client = Outsider(stepped)
    answer = request(stepped, "GET", path(client, 1))
    assert answer.headers["Eth-Execution-Payload-Blinded"] == "false"
    register(stepped, client, fee_recipient=b"\x44" * 20)
    for boost, blinded in (("100", "true"), ("50", "false"), ("51", "true"), ("0", "false"), (str(2**64 - 1), "true")):
        answer = request(stepped, "GET", path(client, 1, builder_boost_factor=boost))
        assert answer.headers["Eth-Execution-Payload-Blinded"] == blinded
    answer = request(stepped, "GET", path(client, 1))
    assert answer.json["execution_payload_blinded"] is True
    assert answer.headers["Eth-Execution-Payload-Value"] == str(BUILDER_VALUES[1])
    block = from_json(client.node.containers.blinded_block, answer.json["data"])
    header = block.body.execution_payload_header
    assert bytes(header.fee_recipient) == b"\x44" * 20
    assert bytes(header.extra_data) == b"ssv-pool devnet builder"
    assert int(header.gas_limit) > 30_000_000
    # Version 2 has no way to ask a builder.
    answer = request(stepped, "GET", path(client, 1, version="v2"))
    assert "execution_payload" in answer.json["data"]["block"]["body"]
    view = client.node.containers.signed_blinded_block(message=block, signature=client.sign_block(block))
    answer = publish(client, view, kind="blinded_blocks")
    assert answer.status == 200, answer.json
    assert stepped.node.chain.head() == block.hash_tree_root()
    assert [(entry["blinded"], entry["verdict"]) for entry in records(tmp_path)] == [(True, "accepted")]
    # In even slots the builder pays half of what the node's own payload does.
    stepped.go_to(2)
    register(stepped, client)
    for boost, blinded in (("100", "false"), ("200", "false"), ("201", "true")):
        answer = request(stepped, "GET", path(client, 2, builder_boost_factor=boost))
        assert answer.headers["Eth-Execution-Payload-Blinded"] == blinded


def test_blinded_blocks_without_a_builder_hide_the_local_payload(stepped, client, tmp_path):
    accept = {"Accept": SSZ}
    query = path(client, 1, version="v1", kind="blinded_blocks")
    answer = request(stepped, "GET", query, headers=accept)
    block = client.node.containers.blinded_block.decode_bytes(answer.body)
    assert from_json(type(block), request(stepped, "GET", query).json["data"]) == block
    view = client.node.containers.signed_blinded_block(message=block, signature=client.sign_block(block))
    unknown = view.copy()
    unknown.message.body.execution_payload_header.gas_used = 1
    unknown.signature = client.sign_block(unknown.message)
    answer = publish(client, unknown, kind="blinded_blocks")
    assert answer.status == 400
    assert answer.message.startswith("block rejected: nobody here made a payload with the header 0x")
    root = "0x" + unknown.message.hash_tree_root().hex()
    assert [(entry["root"], entry["blinded"]) for entry in records(tmp_path)] == [(root, True)]
    raw = bytes(view.encode_bytes())
    assert request(stepped, "POST", "/eth/v1/beacon/blinded_blocks", raw).status == 200
    assert stepped.node.chain.head() == block.hash_tree_root()


def test_the_builder_completes_a_block_that_it_offered_through_another_node(tmp_path):
    nodes = [SteppedNode(external=ALL, external_duties=frozenset(DutyKind), builder=True) for _ in range(2)]
    clients = [Outsider(stepped) for stepped in nodes]
    for stepped, client in zip(nodes, clients, strict=True):
        stepped.go_to(1)
        register(stepped, client)
    answer = request(nodes[0], "GET", path(clients[0], 1))
    block = from_json(clients[0].node.containers.blinded_block, answer.json["data"])
    view = clients[1].node.containers.signed_blinded_block(message=block, signature=clients[0].sign_block(block))
    forged = view.copy()
    forged.signature = clients[0].randao(1)
    assert publish(clients[1], forged, kind="blinded_blocks").message == "block rejected: invalid proposer signature"
    assert publish(clients[1], view, kind="blinded_blocks").status == 200
    assert nodes[1].node.chain.head() == block.hash_tree_root()


def test_blocks_with_blobs(tmp_path):
    stepped = outside(tmp_path, blobs=1)
    stepped.go_to(1)
    client = Outsider(stepped)
    answer = request(stepped, "GET", path(client, 1), headers={"Accept": SSZ})
    contents = client.node.containers.block_contents.decode_bytes(answer.body)
    assert (len(contents.blobs), len(contents.kzg_proofs)) == (1, 128)
    assert len(contents.block.body.blob_kzg_commitments) == 1
    view = signed(client, contents)
    swapped = view.copy()
    swapped.kzg_proofs[0], swapped.kzg_proofs[1] = view.kzg_proofs[1], view.kzg_proofs[0]
    answer = publish(client, swapped)
    assert (answer.status, answer.message) == (
        400,
        "block rejected: kzg_proofs: they do not prove the blobs against the block's commitments",
    )
    nonsense = view.copy()
    nonsense.blobs[0] = b"\xff" * 131072
    assert publish(client, nonsense).status == 400
    empty = view.copy()
    empty.blobs.pop()
    assert publish(client, empty).message == "block rejected: blobs: found 0, expected 1 as the block has commitments"
    assert len(records(tmp_path)) == 3
    assert request(stepped, "POST", "/eth/v2/beacon/blocks", bytes(view.encode_bytes())).status == 200
    stepped.go_to(2)
    assert len(produced(client, 2).blobs) == 0

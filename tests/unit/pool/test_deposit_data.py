"""Deposit data against py_ecc, the deposit contract's own hashing, and the field's file format."""

import copy
import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from py_ecc.bls import G2ProofOfPossession as Reference

from ssv_pool.crypto import bls
from ssv_pool.pool.deposit_data import (
    DEPOSIT_GWEI,
    NETWORKS,
    DepositData,
    DepositDataError,
    deposit_data_json,
    parse_deposit_data,
    pool_credentials,
    read_deposit_data,
    sign_deposit,
    write_deposit_data,
)

# As tools of the field wrote them, for networks that everybody knows.
RECORDED = (
    {
        "pubkey": "85a84321189579ec2a20138f8ee11a2192285cf81012c4b375afd3817b33b0a10695e0f9c74c8db6b3fe79cabc51ea8e",
        "withdrawal_credentials": "01000000000000000000000081592c3de184a3e2c0dcb5a261bc107bfa91f494",
        "amount": 32_000_000_000,
        "signature": "a4510deacb8815aaec7f3f877287c45beb4a0b96dbbd7b72561b19d58393c417"
        "386d4d529e9809eb8a308459ee733de018e32dd48d66e03c47bcdb86bec389fa"
        "10a852bf0a3efa562f33697bead475dbf73880c000bc7f92da0daad4860fdd26",
        "deposit_message_root": "e9ea570d92bb1d576cdc30fd93e2b6b8e2d5f08225de469111bb4e19938706ad",
        "deposit_data_root": "cb466425c0721700bfbbed913d0008077aedbfeac85e9f8eaace91ef487d30f5",
        "fork_version": "01017000",
        "network_name": "holesky",
        "deposit_cli_version": "2.7.0",
    },
    {
        "pubkey": "8844cebb34d10e0e57f3c29ada375dafe14762ab85b2e408c3d6d55ce6d03317660bca9f2c2d17d8fbe14a2529ada1ea",
        "withdrawal_credentials": "0045b91b2f60b88e7392d49ae1364b55e713d06f30e563f9f99e10994b26221d",
        "amount": 32_000_000_000,
        "signature": "96ebebf92967a2b187e031062f5cb5128a2bfc42559bd9dfdd1e481a056b3ef2"
        "cfddf1a0381530286013e3893e097b02129113e62a94bedd250253eb766f0108"
        "24d0be7616f51b9f7609972695231bcda1cabf7a6a2d60a07e14237f2b6096ab",
        "deposit_message_root": "bfd9d2c616eb570ad3fd4d4caf169b88f80490d8923537474bf1f6c5cec5e56d",
        "deposit_data_root": "7ac103cb959b55dff155f7406393c3e6f1ba0011baee2b61bca00fdc3b2cb2c2",
        "fork_version": "00000000",
        "network_name": "mainnet",
        "deposit_cli_version": "2.7.0",
    },
)
RECORDED_SECRET = 0x6D446CA271EB229044B9039354ECDFA6244D1A11615EC1A46FC82A800367DE5D
"""The second one's key; published with it."""

POOL = "0x81592c3DE184A3E2c0DCB5a261BC107Bfa91f494"
CREDENTIALS = bytes.fromhex("010000000000000000000000" + POOL[2:].lower())
SECRET = 0x2B9C1D


def node(left: bytes, right: bytes) -> bytes:
    return sha256(left + right).digest()


def message_root(key: bytes, credentials: bytes, gwei: int) -> bytes:
    """hash_tree_root of a DepositMessage by the definition: three fields, four leaves."""
    return node(node(node(key[:32], key[32:] + bytes(16)), credentials), node(gwei.to_bytes(32, "little"), bytes(32)))


def data_root(key: bytes, credentials: bytes, gwei: int, signature: bytes) -> bytes:
    """As the deposit contract computes it."""
    signed = node(node(signature[:32], signature[32:64]), node(signature[64:], bytes(32)))
    return node(node(node(key[:32], key[32:] + bytes(16)), credentials), node(gwei.to_bytes(32, "little"), signed))


@pytest.fixture(scope="module")
def made() -> DepositData:
    return sign_deposit(SECRET, CREDENTIALS, NETWORKS[560_048].fork_version)


def entries(item: DepositData) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = json.loads(deposit_data_json([item], "hoodi"))
    return content


def test_credentials_are_those_of_the_pools_address() -> None:
    assert pool_credentials(POOL) == CREDENTIALS


def test_another_implementation_signs_the_same_bytes_and_takes_ours(made: DepositData) -> None:
    # compute_domain(DOMAIN_DEPOSIT, hoodi's genesis fork version, a root of zeros), by the specification's definition.
    domain = bytes.fromhex("03000000") + node(bytes.fromhex("10000910").ljust(32, b"\0"), bytes(32))[:28]
    root = node(message_root(made.public_key, CREDENTIALS, 32 * 10**9), domain)

    assert made.public_key == Reference.SkToPk(SECRET)
    assert made.signature == Reference.Sign(SECRET, root)
    assert made.signed()
    assert made.message_root == message_root(made.public_key, CREDENTIALS, 32 * 10**9)


@settings(max_examples=50, deadline=None)
@given(st.binary(min_size=48, max_size=48), st.binary(min_size=32, max_size=32), st.integers(0, 2**64 - 1), st.data())
def test_roots_of_any_fields(key: bytes, credentials: bytes, gwei: int, data: st.DataObject) -> None:
    signature = data.draw(st.binary(min_size=96, max_size=96))
    item = DepositData(key, credentials, gwei, signature, bytes(4))  # type: ignore[arg-type]

    assert item.message_root == message_root(key, credentials, gwei)
    assert item.data_root == data_root(key, credentials, gwei, signature)


def test_recorded_deposits_are_read_and_written_alike() -> None:
    for entry in RECORDED:
        (item,) = parse_deposit_data([entry])
        assert json.loads(deposit_data_json([item], str(entry["network_name"]))) == [entry]


def test_a_recorded_key_signs_the_recorded_signature() -> None:
    (recorded,) = parse_deposit_data([RECORDED[1]])

    assert sign_deposit(RECORDED_SECRET, recorded.withdrawal_credentials, NETWORKS[1].fork_version) == recorded


def test_a_file_has_the_fields_of_the_fields_tool_and_is_read_again(made: DepositData, tmp_path: Path) -> None:
    path = tmp_path / "deposit_data-1.json"
    write_deposit_data(path, [made], "hoodi")

    assert read_deposit_data(path) == (made,)
    (entry,) = json.loads(path.read_text())
    assert entry == {
        "pubkey": made.public_key.hex(),
        "withdrawal_credentials": CREDENTIALS.hex(),
        "amount": 32_000_000_000,
        "signature": made.signature.hex(),
        "deposit_message_root": message_root(made.public_key, CREDENTIALS, DEPOSIT_GWEI).hex(),
        "deposit_data_root": data_root(made.public_key, CREDENTIALS, DEPOSIT_GWEI, made.signature).hex(),
        "fork_version": "10000910",
        "network_name": "hoodi",
        "deposit_cli_version": "2.7.0",
    }


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("pubkey", "ab" * 48, "[0].pubkey: 0xabab"),
        ("pubkey", "c0" + "00" * 47, "expected a BLS public key"),
        ("pubkey", 7, "[0].pubkey: '7', expected 96 hex digits"),
        ("withdrawal_credentials", "01" * 31, "[0].withdrawal_credentials: "),
        ("amount", "32000000000", "[0].amount: 32000000000, expected Gwei, at least 1000000000"),
        ("amount", True, "[0].amount: True"),
        ("amount", 31 * 10**9, "[0].deposit_message_root: "),
        ("deposit_message_root", "00" * 32, "of the other fields"),
        ("deposit_data_root", "00" * 32, "[0].deposit_data_root: "),
        ("fork_version", "00000000", "[0].signature: not that of key"),
        ("fork_version", None, "[0].fork_version: 'None', expected 8 hex digits"),
    ],
)
def test_a_bad_entry_is_named(made: DepositData, field: str, value: object, said: str) -> None:
    content = copy.deepcopy(entries(made))
    content[0][field] = value

    with pytest.raises(DepositDataError) as caught:
        parse_deposit_data(content)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_keys_signature_is_refused(made: DepositData) -> None:
    forged = bls.sign(SECRET + 1, b"another message" * 2 + b"..")
    item = DepositData(made.public_key, made.withdrawal_credentials, made.amount, forged, made.fork_version)

    with pytest.raises(DepositDataError, match="not that of key"):
        parse_deposit_data(entries(item))


@pytest.mark.parametrize("content", [None, {}, [], ["x"], [7]])
def test_what_is_no_list_of_deposits(content: object) -> None:
    with pytest.raises(DepositDataError, match="expected"):
        parse_deposit_data(content)


def test_a_good_signature_for_others_is_not_good_for_the_pool(made: DepositData) -> None:
    fork = NETWORKS[560_048].fork_version
    made.check(CREDENTIALS, fork)

    with pytest.raises(DepositDataError, match=r"^x: withdrawal credentials 0x0100.*its ETH would go to somebody else"):
        made.check(pool_credentials("0x" + "aa" * 20), fork, "x")
    with pytest.raises(DepositDataError, match="fork version 0x10000910, expected 0x00000000 of this network"):
        made.check(CREDENTIALS, NETWORKS[1].fork_version)
    small = sign_deposit(SECRET, CREDENTIALS, fork, 10**9)
    with pytest.raises(DepositDataError, match="1000000000 Gwei, expected 32000000000"):
        small.check(CREDENTIALS, fork)

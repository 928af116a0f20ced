"""What members sign: the digests are the contract's, the wire form loses nothing and takes nothing else."""

import json
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_account import Account
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from ssv_pool.pool.approvals import (
    ClusterPayment,
    ClusterReactivation,
    ClusterRefund,
    Committee,
    Domain,
    Funding,
    Message,
    MessageError,
    Removal,
    Report,
    body_of,
    checked,
    digest,
    read_message,
    sign,
    values_of,
)

DOMAIN = Domain(31337, "0x5FbDB2315678afecb367f032d93F642f64180aa3")
ACCOUNT = Account.from_key("0x" + "17" * 32)
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141

uint64, uint256 = st.integers(0, 2**64 - 1), st.integers(0, 2**256 - 1)
ids = st.sets(st.integers(1, 2**64 - 1), min_size=1, max_size=13).map(lambda found: tuple(sorted(found)))
key = st.binary(min_size=48, max_size=48)
word = st.binary(min_size=32, max_size=32)
messages = st.one_of(
    st.builds(Report, uint64, uint64, uint64, uint256, uint256, uint256, uint64),
    st.builds(Funding, key, st.binary(min_size=96, max_size=96), word, word),
    st.builds(ClusterPayment, ids, uint256, uint256),
    st.builds(ClusterRefund, ids, uint256, uint256),
    st.builds(ClusterReactivation, ids, uint256, uint256),
    st.builds(Committee, ids, st.booleans(), uint256),
    st.builds(Removal, key),
)


def contract_digest(message: Message) -> bytes:
    """As the contract computes it, from the type's text: contracts/_pool."""
    fields = ",".join(f"{solidity} {name}" for name, solidity in message.FIELDS)
    words = [keccak(text=f"{message.TYPE}({fields})")]
    for (_, solidity), value in zip(message.FIELDS, values_of(message), strict=True):
        if solidity == "bytes":
            words.append(keccak(value))
        elif solidity == "uint64[]":
            words.append(keccak(b"".join(number.to_bytes(32, "big") for number in value)))
        else:
            words.append(encode([solidity], [value]))
    domain = keccak(
        encode(
            ["bytes32", "bytes32", "bytes32", "uint256", "address"],
            [
                keccak(text="EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak(text="SSV Staking Pool"),
                keccak(text="1"),
                DOMAIN.chain_id,
                DOMAIN.contract,
            ],
        )
    )
    return keccak(b"\x19\x01" + domain + keccak(b"".join(words)))


@given(messages)
def test_what_is_signed_is_what_the_contract_checks(message: Message) -> None:
    assert digest(DOMAIN, message) == contract_digest(message)
    assert digest(Domain(1, DOMAIN.contract), message) != digest(DOMAIN, message)


@given(messages)
def test_the_wire_form_loses_nothing(message: Message) -> None:
    assert read_message(message.KIND, json.loads(json.dumps(body_of(message)))) == message


@given(messages)
def test_a_signature_names_its_signer_and_no_other_message(message: Message) -> None:
    signed = sign(DOMAIN, message, ACCOUNT)
    assert signed.signer == bytes.fromhex(ACCOUNT.address[2:])
    assert checked(DOMAIN, message, signed.signature) == signed
    elsewhere = checked(Domain(1, DOMAIN.contract), message, signed.signature)
    assert elsewhere.signer != signed.signer


def test_a_signature_has_one_form() -> None:
    message = Removal(b"\x01" * 48)
    good = sign(DOMAIN, message, ACCOUNT).signature
    high = ORDER - int.from_bytes(good[32:64], "big")
    twin = good[:32] + high.to_bytes(32, "big") + bytes([55 - good[64]])
    for bad, text in (
        (good[:64], "signature: 64 bytes, expected 65 that end in 27 or 28"),
        (good[:64] + b"\x00", "signature: 65 bytes, expected 65 that end in 27 or 28"),
        (twin, "signature: s is in the upper half of its range, expected the lower one"),
        (bytes(64) + b"\x1b", "signature: no public key fits it"),
        (b"\xff" * 32 + good[32:], "signature: no public key fits it"),
    ):
        with pytest.raises(MessageError) as caught:
            checked(DOMAIN, message, bad)
        assert str(caught.value) == text


GOOD = body_of(ClusterPayment((1, 2, 3, 4), 5, 6))


@pytest.mark.parametrize(
    ("kind", "body", "text"),
    [
        ("transfer", GOOD, "kind: 'transfer', expected one of cluster-payment, "),
        (["report"], GOOD, "kind: \"['report']\", expected one of"),
        ("cluster-payment", [], "cluster-payment: expected the fields operatorIds, amount, nonce alone"),
        ("cluster-payment", {**GOOD, "to": "0x"}, "cluster-payment: expected the fields operatorIds, amount, nonce"),
        ("cluster-payment", {**GOOD, "amount": 5}, "amount: '5', expected a decimal number as text"),
        ("cluster-payment", {**GOOD, "amount": "-5"}, "amount: '-5', expected a decimal number as text"),
        ("cluster-payment", {**GOOD, "amount": "٣"}, "amount: '٣', expected a decimal number as text"),
        ("cluster-payment", {**GOOD, "amount": "9" * 5000}, "amount: '9999999999999999999999999999999999999999', exp"),
        ("cluster-payment", {**GOOD, "amount": str(2**256)}, f"amount: {2**256}, expected a number below 2**256"),
        ("cluster-payment", {**GOOD, "operatorIds": []}, "operatorIds: expected a list of 1 to 13 operator ids"),
        ("cluster-payment", {**GOOD, "operatorIds": ["2", "1"]}, "operatorIds: 2,1, expected ascending ids"),
        ("cluster-payment", {**GOOD, "operatorIds": ["1"] * 14}, "operatorIds: expected a list of 1 to 13"),
        ("removal", {"publicKey": "0x" + "11" * 47}, "publicKey: expected 0x and 96 hex digits"),
        ("removal", {"publicKey": "0x" + "zz" * 48}, "publicKey: expected 0x and 96 hex digits"),
        ("removal", {"publicKey": 7}, "publicKey: expected 0x and 96 hex digits"),
        (
            "committee",
            {"operatorIds": ["1"], "allowed": "true", "nonce": "0"},
            "allowed: 'true', expected true or false",
        ),
    ],
)
def test_what_is_malformed_is_refused_in_a_line(kind: object, body: object, text: str) -> None:
    with pytest.raises(MessageError) as caught:
        read_message(kind, body)
    assert str(caught.value).startswith(text)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


junk: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9), lambda inner: st.lists(inner, max_size=3)
)


@given(st.sampled_from(["report", "funding", "removal", "committee", "cluster-refund"]) | junk, junk)
def test_junk_is_refused(kind: object, value: object) -> None:
    for body in (value, {"publicKey": value}, dict.fromkeys(("operatorIds", "amount", "nonce"), value)):
        with pytest.raises(MessageError):
            read_message(kind, body)

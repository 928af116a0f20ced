import copy
import json
import stat
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from vector_archives import json_members, needs

from ssv_pool.crypto import bls, operator_keys
from ssv_pool.crypto.operator_keys import OperatorKeyring
from ssv_pool.crypto.shamir import recover, threshold_of
from ssv_pool.crypto.shares_data import SharesData, SharesDataError, registration_root, shares_make_up
from ssv_pool.pool.keyshares import (
    KeyShares,
    KeySharesError,
    ShareOperator,
    key_shares_json,
    parse_item,
    parse_key_shares,
    read_key_shares,
    split_key,
    write_key_shares,
)
from ssv_pool.protocol.types.primitives import OperatorId

ARCHIVE = "ssv-keys-mock-keyshares.tar.xz"
OWNER = "0x81592c3DE184A3E2c0DCB5a261BC107Bfa91f494"
MISTYPED = "0x81592c3De184A3E2c0DCB5a261BC107Bfa91f494"
CREATED = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


@pytest.fixture(scope="module")
def keyrings() -> dict[OperatorId, OperatorKeyring]:
    return {OperatorId(i): OperatorKeyring(operator_keys.generate()) for i in (2, 3, 11, 40, 41, 50, 60)}


@pytest.fixture(scope="module")
def operators(keyrings: dict[OperatorId, OperatorKeyring]) -> list[ShareOperator]:
    return [ShareOperator(i, keyring.public_key) for i, keyring in keyrings.items()]


@pytest.fixture(scope="module")
def made(operators: list[ShareOperator]) -> KeyShares:
    return split_key(77, operators[:4], OWNER, 5)


@pytest.mark.parametrize("size", [4, 7])
def test_a_split_key_can_be_decrypted_and_put_together(
    keyrings: dict[OperatorId, OperatorKeyring], operators: list[ShareOperator], size: int
) -> None:
    secret = bls.random_secret()
    made = split_key(secret, list(reversed(operators[:size])), OWNER.lower(), 9)
    assert made.operator_ids == tuple(operator.operator_id for operator in operators[:size])
    assert (made.owner, made.owner_nonce, made.public_key) == (OWNER, 9, bls.secret_to_public(secret))
    shares = {
        operator_id: keyrings[operator_id].decrypt_share(encrypted, public)
        for operator_id, public, encrypted in zip(
            made.operator_ids, made.shares.share_public_keys, made.shares.encrypted_shares, strict=True
        )
    }
    assert recover(dict(list(shares.items())[: threshold_of(size)])) == secret
    assert bls.verify(made.public_key, registration_root(OWNER, 9), made.shares.signature)
    assert len(made.shares_data) == 96 + 304 * size
    assert SharesData.decode(made.shares_data, size) == made.shares


@pytest.mark.parametrize("version", ["1.1.0", "1.2.0"])
def test_files_written_are_read(tmp_path: Path, made: KeyShares, operators: list[ShareOperator], version: str) -> None:
    items = (made, split_key(78, operators, OWNER, 6))
    path = tmp_path / "keyshares.json"
    write_key_shares(path, items, CREATED, version=version)
    assert read_key_shares(path) == items
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    content = json.loads(path.read_text())
    assert (content["version"], content["createdAt"]) == (f"v{version}", "2026-01-02T03:04:05.678Z")


def test_the_owner_signs_with_the_checksummed_address() -> None:
    assert (
        registration_root(OWNER, 1)
        == registration_root(OWNER.lower(), 1)
        == registration_root(bytes.fromhex(OWNER[2:]), 1)
    )
    assert registration_root(OWNER, 1) != registration_root(OWNER, 10)


def test_shares_data_of_another_length() -> None:
    with pytest.raises(SharesDataError, match=r"^shares: 1311 bytes, expected 1312 for 4 operators$"):
        SharesData.decode(bytes(1311), 4)


def test_shares_that_do_not_fit_together(made: KeyShares) -> None:
    keys = list(made.shares.share_public_keys)
    assert shares_make_up(made.public_key, made.operator_ids, keys)
    for position in range(4):
        wrong = [*keys[:position], bls.secret_to_public(5), *keys[position + 1 :]]
        assert not shares_make_up(made.public_key, made.operator_ids, wrong)
    assert not shares_make_up(made.public_key, made.operator_ids, keys[::-1])
    assert not shares_make_up(bls.secret_to_public(5), made.operator_ids, keys)
    assert not shares_make_up(bytes(48), made.operator_ids, keys)


def changed(made: KeyShares, change: Callable[[dict[str, Any]], object]) -> str:
    content = json.loads(key_shares_json([made], CREATED))
    change(content)
    with pytest.raises(KeySharesError) as caught:
        parse_key_shares(content)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def item(content: dict[str, Any]) -> dict[str, Any]:
    return content["shares"][0]


def test_refusals_name_the_field_the_value_and_what_was_expected(made: KeyShares) -> None:
    key = f"0x{made.public_key.hex()}"
    other = f"0x{bls.secret_to_public(5).hex()}"
    cases: list[tuple[Callable[[dict[str, Any]], object], str]] = [
        (lambda c: c.update(version="v4"), "version: 'v4', expected one of v1.1.0, v1.2.0"),
        (lambda c: c.update(version=None), "version: None, expected one of v1.1.0, v1.2.0"),
        (lambda c: c.update(version="v1.20.0"), "version: 'v1.20.0', expected one of v1.1.0, v1.2.0"),
        (lambda c: c.update(shares=[]), "shares: missing, expected a list of at least one validator"),
        (lambda c: c.update(shares=[5]), "shares[0]: expected an object"),
        (lambda c: item(c).pop("payload"), "shares[0].payload: missing, expected an object"),
        (
            lambda c: item(c)["data"].update(ownerNonce=-1),
            "shares[0].data.ownerNonce: -1, expected a number from 0 to 65535",
        ),
        (
            lambda c: item(c)["data"].update(ownerNonce="5"),
            "shares[0].data.ownerNonce: '5', expected a number from 0 to 65535",
        ),
        (
            lambda c: item(c)["data"].update(ownerNonce=6),
            f"shares[0].payload.sharesData: its signature is not the validator's over owner {OWNER} and nonce 6",
        ),
        (
            lambda c: item(c)["data"].update(ownerAddress="0x12"),
            "shares[0].data.ownerAddress: '0x12', expected an address: 0x and 40 hex digits",
        ),
        (
            lambda c: item(c)["data"].update(ownerAddress=MISTYPED),
            f"shares[0].data.ownerAddress: {MISTYPED}, its mixed case is not the address's EIP-55 checksum",
        ),
        (
            lambda c: item(c)["data"].update(publicKey="0x" + "00" * 48),
            f"shares[0].data.publicKey: 0x{'00' * 48}, expected a BLS public key",
        ),
        (lambda c: item(c)["data"].update(publicKey="0xzz"), "shares[0].data.publicKey: expected 0x and hex digits"),
        (
            lambda c: item(c)["payload"].update(publicKey=other),
            f"shares[0].payload.publicKey: {other}, expected {key} as in data",
        ),
        (
            lambda c: item(c)["payload"].update(operatorIds=[2, 3, 11, 41]),
            "shares[0].payload.operatorIds: [2, 3, 11, 41], expected [2, 3, 11, 40] as in data",
        ),
        (
            lambda c: item(c)["payload"].update(sharesData="0x00"),
            "shares[0].payload.sharesData: shares: 1 bytes, expected 1312 for 4 operators",
        ),
        (
            lambda c: item(c)["payload"].update(
                sharesData=item(c)["payload"]["sharesData"].replace(
                    made.shares.share_public_keys[2].hex(), bls.secret_to_public(5).hex()
                )
            ),
            "shares[0].payload.sharesData: the share public keys do not make up the validator's key",
        ),
        (
            lambda c: item(c)["data"]["operators"].pop(),
            "shares[0].data.operators: 3 operators, expected 4, 7, 10 or 13",
        ),
        (
            lambda c: item(c)["data"]["operators"].reverse(),
            "shares[0].data.operators: ids [40, 11, 3, 2], expected ascending and no id twice",
        ),
        (
            lambda c: item(c)["data"]["operators"][0].update(id=0),
            "shares[0].data.operators[0].id: 0, expected a number from 1 to 18446744073709551615",
        ),
        (
            lambda c: item(c)["data"].update(operators=[1, 2, 3, 4]),
            "shares[0].data.operators[0]: expected an object with id and operatorKey",
        ),
        (lambda c: item(c)["data"].pop("operators"), "shares[0].data.operators: missing, expected a list of operators"),
        (
            lambda c: item(c)["data"]["operators"][1].update(operatorKey="AAAA"),
            "shares[0].data.operators[1].operatorKey: operator public key: not PEM text labelled RSA PUBLIC KEY",
        ),
    ]
    assert [changed(made, change) for change, _ in cases] == [text for _, text in cases]


def test_bad_input_to_a_split(operators: list[ShareOperator]) -> None:
    with pytest.raises(KeySharesError, match=r"^operators: 5 operators, expected 4, 7, 10 or 13$"):
        split_key(5, operators[:5], OWNER, 0)
    with pytest.raises(KeySharesError, match=r"^operators: ids \[2, 2, 3, 11\], expected ascending and no id twice$"):
        split_key(5, [*operators[:3], operators[0]], OWNER, 0)
    twice = [*operators[:3], ShareOperator(OperatorId(99), operators[0].public_key)]
    with pytest.raises(KeySharesError, match=r"^operators: two operators have the same public key"):
        split_key(5, twice, OWNER, 0)
    with pytest.raises(KeySharesError, match=r"^owner nonce: 65536, expected a number from 0 to 65535$"):
        split_key(5, operators[:4], OWNER, 65536)
    with pytest.raises(KeySharesError, match=r"^owner: 'me', expected an address"):
        split_key(5, operators[:4], "me", 0)


def test_nothing_of_the_key_is_in_the_file(made: KeyShares, operators: list[ShareOperator]) -> None:
    secret = bls.random_secret()
    text = key_shares_json([split_key(secret, operators[:4], OWNER, 0)], CREATED).decode()
    assert f"{secret:064x}" not in text
    assert str(secret) not in text


VERDICTS = {
    "item-empty.json": "data.ownerAddress: None, expected an address: 0x and 40 hex digits",
    "item-with-duplicated-operator-key.json": (
        "data.operators: two operators have the same public key, expected different ones"
    ),
    "item-with-missed-operator-key.json": (
        "data.operators[0].operatorKey: missing, expected the operator's public key in base64"
    ),
    "item-with-operators.json": [5, 6, 7, 8],
    "item-with-wrong-operator-id.json": (
        "data.operators[0].id: 'aaa', expected a number from 1 to 18446744073709551615"
    ),
    "multi-shares-invalid-struct.json": "shares: missing, expected a list of at least one validator",
    "multi-shares.json": [123, 456, 777, 789],
    "old-shares.json": [5, 6, 7, 8],
}


@needs(ARCHIVE)
def test_files_of_the_ssv_keys_tool_are_judged_rightly() -> None:
    verdicts: dict[str, object] = {}
    for path, content in json_members(ARCHIVE).items():
        name = path.rsplit("/", 1)[-1]
        try:
            found = (parse_item(content),) if name.startswith("item-") else parse_key_shares(content)
        except KeySharesError as error:
            verdicts[name] = str(error)
        else:
            (entry,) = found
            assert (entry.owner, entry.owner_nonce) == (OWNER, 1)
            verdicts[name] = list(entry.operator_ids)
            rewritten = json.loads(key_shares_json([entry], CREATED))["shares"][0]
            original = copy.deepcopy(content if "data" in content else content["shares"][0])
            original = {"data": original["data"], "payload": original["payload"]}
            original["data"]["ownerAddress"] = OWNER
            assert rewritten == original
    assert verdicts == VERDICTS

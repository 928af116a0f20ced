"""Custom errors as sentences."""

import json
from pathlib import Path

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from ssv_pool.registry import reverts
from ssv_pool.registry.artifacts import contracts_folder
from ssv_pool.registry.reverts import Revert, describe_revert

CALLER = "0x" + "aa" * 20
OWNER = "0x" + "bb" * 20
VALUES = {
    "address": OWNER,
    "bytes": b"\x01",
    "bytes32": bytes(32),
    "int256": -5,
    "uint256": 5,
    "uint64": 5,
    "uint8": 5,
}


def reverted(signature: str, types: list[str], *values: object) -> bytes:
    return keccak(text=signature)[:4] + encode(types, values)


def test_error_with_values() -> None:
    data = reverted("CallerNotOwnerWithData(address,address)", ["address", "address"], CALLER, OWNER)
    assert describe_revert(data) == Revert(
        "CallerNotOwnerWithData",
        (CALLER, OWNER),
        f"the sender {CALLER} is not the owner, {OWNER} is: sign with the owner's account",
    )


def test_error_with_bytes() -> None:
    data = reverted("ValidatorAlreadyExistsWithData(bytes)", ["bytes"], b"\x01\x02")
    assert describe_revert(data).sentence == "the sender has registered validator 0x0102 already: leave it out"


def test_error_without_values() -> None:
    data = reverted("UnsortedOperatorsList()", [])
    assert describe_revert(data) == Revert(
        "UnsortedOperatorsList", (), "the operator ids are not in ascending order: sort them"
    )


def test_text_and_panic() -> None:
    text = reverted("Error(string)", ["string"], "because")
    panic = reverted("Panic(uint256)", ["uint256"], 0x11)
    assert describe_revert(text).sentence == "the contract refused it: because"
    assert describe_revert(panic).sentence == "the contract stopped with panic code 17"


def test_nothing_unknown_and_damaged() -> None:
    assert describe_revert(b"").sentence == (
        "the contract refused it without a reason (a field is too long, or there is no contract)"
    )
    assert describe_revert(bytes.fromhex("deadbeef00")).sentence == (
        "the contract refused it with an unknown error (0xdeadbeef)"
    )
    cut = reverted("ExceedValidatorLimitWithData(uint64)", ["uint64"], 7)[:-1]
    assert describe_revert(cut).sentence == (
        f"the contract refused it with a damaged ExceedValidatorLimitWithData error (0x{cut.hex()})"
    )


@given(
    st.sampled_from(
        ["Error(string)", "ValidatorAlreadyExistsWithData(bytes)", "CallerNotOwnerWithData(address,address)"]
    ),
    st.binary(max_size=200),
)
def test_any_bytes_are_described(signature: str, rest: bytes) -> None:
    assert describe_revert(keccak(text=signature)[:4] + rest).sentence
    assert describe_revert(rest).sentence


def test_every_published_error_has_a_sentence() -> None:
    for path in sorted((contracts_folder() / "abi").glob("*.json")):
        for entry in json.loads(path.read_text()):
            if entry["type"] != "error":
                continue
            types = [field["type"] for field in entry["inputs"]]
            values = [VALUES[kind] for kind in types]
            revert = describe_revert(reverted(f"{entry['name']}({','.join(types)})", types, *values))
            assert revert.name == entry["name"]
            assert not revert.sentence.startswith("the contract refused it"), entry["name"]


def test_amounts_and_times_are_readable() -> None:
    small = reverted("StakeTooSmall(uint256,uint256)", ["uint256", "uint256"], 10**15, 10**16)
    assert describe_revert(small).sentence == "the stake is 0.001 ETH, and 0.01 are the least: stake more"
    early = reverted("TooEarly(uint256)", ["uint256"], 1_800_000_000)
    assert describe_revert(early).sentence == "the change can be put into force from 2027-01-15 08:00 UTC on: wait"
    never = reverted("TooEarly(uint256)", ["uint256"], 2**256 - 1)
    assert str(2**256 - 1) in describe_revert(never).sentence


def test_a_published_error_without_a_sentence_is_shown_by_its_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "abi").mkdir()
    inputs = [{"type": "uint256", "name": "found"}, {"type": "bytes", "name": "key"}]
    (tmp_path / "abi" / "Other.json").write_text(json.dumps([{"type": "error", "name": "Odd", "inputs": inputs}]))
    monkeypatch.setattr(reverts, "contracts_folder", lambda: tmp_path)
    reverts._published.cache_clear()
    try:
        data = reverted("Odd(uint256,bytes)", ["uint256", "bytes"], 5, b"\x01")
        assert describe_revert(data).sentence == "the contract refused it: Odd (found 5, key 0x01)"
        assert describe_revert(data[:40]).sentence.startswith("the contract refused it with a damaged Odd error")
    finally:
        reverts._published.cache_clear()

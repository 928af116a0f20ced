"""Custom errors as sentences."""

from eth_abi.abi import encode
from eth_utils.crypto import keccak
from hypothesis import given
from hypothesis import strategies as st

from ssv_pool.registry.reverts import Revert, describe_revert

CALLER = "0x" + "aa" * 20
OWNER = "0x" + "bb" * 20


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

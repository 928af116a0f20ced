"""The deposit contract beside the consensus specification: roots, events, refusals."""

from typing import Any

import pytest
from contract_vm import ContractVM, event
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.contracts

DEPOSIT = "deposit(bytes,bytes,bytes,bytes32)"
ROOT, COUNT = "get_deposit_root()", "get_deposit_count()"
SUPPORTS = "supportsInterface(bytes4)"
DEPOSIT_EVENT = "DepositEvent(bytes,bytes,bytes,bytes,bytes)"
EMPTY_ROOT = bytes.fromhex("d70a234731285c6804c2a4f56711ddb8c82c99740f207854891028af34e27e5e")
"""Root of the mainnet contract before its first deposit."""

GWEI, ETHER = 10**9, 10**18
PUBLIC_KEY, CREDENTIALS, SIGNATURE = b"\x0a" * 48, b"\x01" + b"\x00" * 11 + b"\x0b" * 20, b"\x0c" * 96

spec = pytest.importorskip("eth_consensus_specs.phase0.mainnet", reason="the consensus specification is not installed")

deposits = st.lists(
    st.tuples(
        st.binary(min_size=48, max_size=48),
        st.binary(min_size=32, max_size=32),
        st.integers(GWEI, 2048 * GWEI),
        st.binary(min_size=96, max_size=96),
    ),
    max_size=9,
)


@pytest.fixture
def contract() -> ContractVM:
    return ContractVM("DepositContract")


def data_of(public_key: bytes, credentials: bytes, gwei: int, signature: bytes) -> Any:
    return spec.DepositData(pubkey=public_key, withdrawal_credentials=credentials, amount=gwei, signature=signature)


def reason(text: str) -> bytes:
    """What a call reverts with for a reason in words."""
    return keccak(text="Error(string)")[:4] + encode(["string"], [text])


def answer(raw: bytes) -> bytes:
    """The bytes that a call answered with."""
    length = int.from_bytes(raw[32:64], "big")
    return raw[64 : 64 + length]


def test_empty_tree_has_the_known_root(contract: ContractVM) -> None:
    sender = contract.account()
    assert contract.call(ROOT, sender=sender) == EMPTY_ROOT
    assert answer(contract.call(COUNT, sender=sender)) == bytes(8)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(deposits)
def test_roots_and_events_are_the_specifications(entries: list[tuple[bytes, bytes, int, bytes]]) -> None:
    contract = ContractVM("DepositContract")
    sender = contract.account()
    leaves = []
    for number, (public_key, credentials, gwei, signature) in enumerate(entries):
        data = data_of(public_key, credentials, gwei, signature)
        leaves.append(data)
        contract.call(
            DEPOSIT,
            *(public_key, credentials, signature, bytes(data.hash_tree_root())),
            sender=sender,
            value=gwei * GWEI,
        )
        amount, place = gwei.to_bytes(8, "little"), number.to_bytes(8, "little")
        assert contract.logs == [event(DEPOSIT_EVENT, public_key, credentials, amount, signature, place, indexed=0)]
        expected = spec.List[spec.DepositData, 2**32](*leaves).hash_tree_root()
        assert contract.call(ROOT, sender=sender) == bytes(expected)
        assert answer(contract.call(COUNT, sender=sender)) == (number + 1).to_bytes(8, "little")


@pytest.mark.parametrize(
    ("change", "value", "text"),
    [
        ({0: b"\x0a" * 47}, 32 * ETHER, "DepositContract: invalid pubkey length"),
        ({1: b"\x01" * 33}, 32 * ETHER, "DepositContract: invalid withdrawal_credentials length"),
        ({2: b""}, 32 * ETHER, "DepositContract: invalid signature length"),
        ({}, ETHER - GWEI, "DepositContract: deposit value too low"),
        ({}, 32 * ETHER + 1, "DepositContract: deposit value not multiple of gwei"),
        ({}, 2**64 * GWEI, "DepositContract: deposit value too high"),
        (
            {3: b"\x01" * 32},
            32 * ETHER,
            "DepositContract: reconstructed DepositData does not match supplied deposit_data_root",
        ),
        (
            {},
            31 * ETHER,
            "DepositContract: reconstructed DepositData does not match supplied deposit_data_root",
        ),
    ],
)
def test_bad_deposits_are_refused_with_the_known_reasons(
    contract: ContractVM, change: dict[int, bytes], value: int, text: str
) -> None:
    root = bytes(data_of(PUBLIC_KEY, CREDENTIALS, 32 * GWEI, SIGNATURE).hash_tree_root())
    arguments = [PUBLIC_KEY, CREDENTIALS, SIGNATURE, root]
    for place, wrong in change.items():
        arguments[place] = wrong
    sender = contract.account(10**30)
    assert contract.refused(DEPOSIT, *arguments, sender=sender, value=value) == reason(text)
    assert contract.call(ROOT, sender=sender) == EMPTY_ROOT


@pytest.mark.parametrize(("interface", "supported"), [("01ffc9a7", 1), ("85640907", 1), ("ffffffff", 0)])
def test_interfaces(contract: ContractVM, interface: str, supported: int) -> None:
    raw = contract.call(SUPPORTS, bytes.fromhex(interface), sender=contract.account())
    assert int.from_bytes(raw, "big") == supported

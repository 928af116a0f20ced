"""The registry contract: every event, check and custom error, byte for byte."""

import json
from typing import Any

import boa
import pytest
from contract_vm import event, refusal
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from registry_vm import (
    BULK_EXIT,
    BULK_REGISTER,
    BULK_REMOVE,
    CLUSTER_WITHDRAWN,
    EXIT,
    FEE_RECIPIENT,
    FEE_RECIPIENT_UPDATED,
    NEW_CLUSTER,
    OPERATOR_ADDED,
    OPERATOR_REMOVED,
    PRIVACY_UPDATED,
    REGISTER,
    REGISTER_OPERATOR,
    REMOVE,
    REMOVE_OPERATOR,
    VALIDATOR_ADDED,
    VALIDATOR_EXITED,
    VALIDATOR_REMOVED,
    WITHDRAW,
    RegistryVM,
)

from ssv_pool.registry.artifacts import compile_contract, contracts_folder, main, published_abi
from ssv_pool.registry.reverts import describe_revert

pytestmark = pytest.mark.contracts

ZERO = "0x" + "00" * 20
KEYS = [bytes([number]) * 48 for number in range(1, 30)]
NOTHING = b""
"""What a call reverts with when its arguments exceed the contract's bounds."""


@pytest.fixture
def registry() -> RegistryVM:
    return RegistryVM()


@pytest.fixture
def owner(registry: RegistryVM) -> str:
    return registry.account()


@pytest.fixture
def stranger(registry: RegistryVM) -> str:
    return registry.account()


@pytest.fixture
def ids(registry: RegistryVM, stranger: str) -> list[int]:
    """Four operators, which do not belong to the validators' owner."""
    return registry.operators(stranger, 4)


# Operators


def test_operator_added(registry: RegistryVM, owner: str) -> None:
    key = bytes(range(256)) + bytes(448)
    fee = 1_000_000_000
    assert registry.call(REGISTER_OPERATOR, key, fee, False, sender=owner) == (1).to_bytes(32, "big")
    assert registry.logs == [
        event(OPERATOR_ADDED, 1, owner, key, fee, indexed=2),
        event(PRIVACY_UPDATED, [1], False, indexed=0),
    ]
    assert registry.operator(1) == (owner.lower(), fee, 0, ZERO, False, True)


def test_operator_ids_count_up_and_are_not_used_again(registry: RegistryVM, owner: str) -> None:
    assert registry.operators(owner, 2) == [1, 2]
    registry.call(REMOVE_OPERATOR, 2, sender=owner)
    assert registry.logs == [event(OPERATOR_REMOVED, 2, indexed=1)]
    assert registry.operator(2) == (owner.lower(), 0, 0, ZERO, False, False)
    assert registry.operator(3) == (ZERO, 0, 0, ZERO, False, False)
    assert registry.call(REGISTER_OPERATOR, b"other", 0, True, sender=owner) == (3).to_bytes(32, "big")
    assert registry.logs[1] == event(PRIVACY_UPDATED, [3], True, indexed=0)
    assert registry.operator(3) == (owner.lower(), 0, 0, ZERO, True, True)


def test_operator_key_names_one_operator_for_ever(registry: RegistryVM, owner: str, stranger: str) -> None:
    registry.call(REGISTER_OPERATOR, b"key", 0, False, sender=owner)
    taken = refusal("OperatorAlreadyExists()")
    assert registry.refused(REGISTER_OPERATOR, b"key", 0, False, sender=stranger) == taken
    registry.call(REMOVE_OPERATOR, 1, sender=owner)
    assert registry.refused(REGISTER_OPERATOR, b"key", 0, False, sender=owner) == taken


@pytest.mark.parametrize(
    ("fee", "error"),
    [
        (1, "MaxPrecisionExceeded()"),
        (1_000_000_001, "MaxPrecisionExceeded()"),
        (100_000, "FeeTooLow()"),
        (999_900_000, "FeeTooLow()"),
        (2**32 * 100_000, "FeeTooHigh()"),
        ((2**256 - 1) // 100_000 * 100_000, "FeeTooHigh()"),
    ],
)
def test_operator_fee_out_of_range(registry: RegistryVM, owner: str, fee: int, error: str) -> None:
    assert registry.refused(REGISTER_OPERATOR, b"key", fee, False, sender=owner) == refusal(error)


def test_largest_fee_leaves_the_neighbouring_fields_alone(registry: RegistryVM, owner: str) -> None:
    fee = (2**32 - 1) * 100_000
    registry.call(REGISTER_OPERATOR, b"key", fee, False, sender=owner)
    assert registry.operator(1) == (owner.lower(), fee, 0, ZERO, False, True)


def test_only_its_owner_removes_an_operator(registry: RegistryVM, owner: str, ids: list[int], stranger: str) -> None:
    assert registry.refused(REMOVE_OPERATOR, ids[0], sender=owner) == refusal(
        "CallerNotOwnerWithData(address,address)", owner, stranger
    )
    registry.call(REMOVE_OPERATOR, ids[0], sender=stranger)
    for missing in (ids[0], 0, 5, 2**64 - 1):
        assert registry.refused(REMOVE_OPERATOR, missing, sender=stranger) == refusal("OperatorDoesNotExist()")


# Registration


@pytest.mark.parametrize("size", [4, 7, 10, 13])
def test_validator_added(registry: RegistryVM, owner: str, stranger: str, size: int) -> None:
    ids = registry.operators(stranger, size)
    shares = bytes(index % 251 for index in range(96 + 304 * size))

    registry.call(REGISTER, KEYS[0], ids, shares, NEW_CLUSTER, sender=owner, value=17)

    assert registry.logs == [event(VALIDATOR_ADDED, owner, ids, KEYS[0], shares, (1, 0, 0, True, 17), indexed=1)]
    assert [registry.operator(number)[2] for number in ids] == [1] * size
    assert registry.call("getValidator(address,bytes)", owner, KEYS[0], sender=owner)[-1] == 1
    assert registry.call("getValidator(address,bytes)", stranger, KEYS[0], sender=owner)[-1] == 0


@pytest.mark.parametrize("count", [1, 2, 20])
def test_bulk_of_validators_added(registry: RegistryVM, owner: str, ids: list[int], count: int) -> None:
    shares = [bytes([number]) * (96 + 304 * 13 - number) for number in range(count)]

    registry.call(BULK_REGISTER, KEYS[:count], ids, shares, NEW_CLUSTER, sender=owner, value=9)

    after = (count, 0, 0, True, 9)
    assert registry.logs == [
        event(VALIDATOR_ADDED, owner, ids, key, share, after, indexed=1)
        for key, share in zip(KEYS[:count], shares, strict=True)
    ]
    assert [registry.operator(number)[2] for number in ids] == [count] * 4


def test_shares_are_not_looked_into(registry: RegistryVM, owner: str, ids: list[int]) -> None:
    registry.call(REGISTER, KEYS[0], ids, b"", NEW_CLUSTER, sender=owner)
    assert registry.logs == [event(VALIDATOR_ADDED, owner, ids, KEYS[0], b"", (1, 0, 0, True, 0), indexed=1)]


def test_cluster_state_goes_from_call_to_call(registry: RegistryVM, owner: str, ids: list[int]) -> None:
    first = registry.register(owner, KEYS[:1], ids, NEW_CLUSTER, value=5)
    second = registry.register(owner, KEYS[1:3], ids, first, value=6)
    assert (first, second) == ((1, 0, 0, True, 5), (3, 0, 0, True, 11))
    for stale in (NEW_CLUSTER, first, (3, 0, 0, True, 12), (3, 0, 0, False, 11), (3, 1, 0, True, 11)):
        assert registry.refused(REGISTER, KEYS[4], ids, b"", stale, sender=owner) == refusal("IncorrectClusterState()")


@pytest.mark.parametrize(
    "cluster", [(1, 0, 0, True, 0), (0, 1, 0, True, 0), (0, 0, 1, True, 0), (0, 0, 0, False, 0), (0, 0, 0, True, 1)]
)
def test_new_cluster_begins_empty(registry: RegistryVM, owner: str, ids: list[int], cluster: Any) -> None:
    assert registry.refused(REGISTER, KEYS[0], ids, b"", cluster, sender=owner) == refusal("IncorrectClusterState()")


def test_owners_and_operator_sets_have_clusters_of_their_own(
    registry: RegistryVM, owner: str, stranger: str, ids: list[int]
) -> None:
    more = [*ids[:3], *registry.operators(owner, 1)]
    registry.register(owner, KEYS[:1], ids, NEW_CLUSTER)
    registry.register(stranger, KEYS[:1], ids, NEW_CLUSTER)
    assert registry.register(owner, KEYS[1:2], more, NEW_CLUSTER) == (1, 0, 0, True, 0)


def test_key_is_registered_once_per_owner(registry: RegistryVM, owner: str, ids: list[int]) -> None:
    cluster = registry.register(owner, KEYS[:1], ids, NEW_CLUSTER)
    again = refusal("ValidatorAlreadyExistsWithData(bytes)", KEYS[0])
    assert registry.refused(REGISTER, KEYS[0], ids, b"", cluster, sender=owner) == again
    twice = refusal("ValidatorAlreadyExistsWithData(bytes)", KEYS[1])
    keys = [KEYS[1], KEYS[1]]
    assert registry.refused(BULK_REGISTER, keys, ids, [b"", b""], cluster, sender=owner) == twice


@pytest.mark.parametrize("length", [0, 1, 47, 49, 96, 98])
def test_public_key_of_wrong_length(registry: RegistryVM, owner: str, ids: list[int], length: int) -> None:
    wrong = refusal("InvalidPublicKeyLength()")
    assert registry.refused(REGISTER, bytes(length), ids, b"", NEW_CLUSTER, sender=owner) == wrong
    keys = [KEYS[0], bytes(length)]
    assert registry.refused(BULK_REGISTER, keys, ids, [b"", b""], NEW_CLUSTER, sender=owner) == wrong


@pytest.mark.parametrize("size", [0, 1, 3, 5, 6, 8, 9, 11, 12, 14, 16, 32])
def test_number_of_operators(registry: RegistryVM, owner: str, stranger: str, size: int) -> None:
    ids = registry.operators(stranger, size)
    assert registry.refused(REGISTER, KEYS[0], ids, b"", NEW_CLUSTER, sender=owner) == refusal(
        "InvalidOperatorIdsLength()"
    )


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        ([1, 2, 4, 3], "UnsortedOperatorsList()"),
        ([2, 1, 3, 4], "UnsortedOperatorsList()"),
        ([1, 2, 3, 0], "UnsortedOperatorsList()"),
        ([1, 2, 3, 3], "OperatorsListNotUnique()"),
        ([1, 1, 2, 3], "OperatorsListNotUnique()"),
        ([0, 1, 2, 3], "OperatorDoesNotExist()"),
        ([0, 0, 1, 2], "OperatorDoesNotExist()"),
        ([1, 2, 3, 5], "OperatorDoesNotExist()"),
        ([1, 2, 3, 2**64 - 1], "OperatorDoesNotExist()"),
    ],
)
def test_operators_ascend_and_exist(
    registry: RegistryVM, owner: str, ids: list[int], wanted: list[int], error: str
) -> None:
    assert ids == [1, 2, 3, 4]
    assert registry.refused(REGISTER, KEYS[0], wanted, b"", NEW_CLUSTER, sender=owner) == refusal(error)
    bulk = registry.refused(BULK_REGISTER, KEYS[:2], wanted, [b"", b""], NEW_CLUSTER, sender=owner)
    assert bulk == refusal(error)


def test_removed_operator_takes_no_more_validators(
    registry: RegistryVM, owner: str, stranger: str, ids: list[int]
) -> None:
    cluster = registry.register(owner, KEYS[:2], ids, NEW_CLUSTER)
    registry.call(REMOVE_OPERATOR, ids[2], sender=stranger)
    assert registry.refused(REGISTER, KEYS[2], ids, b"", cluster, sender=owner) == refusal("OperatorDoesNotExist()")
    registry.call(REMOVE, KEYS[0], ids, cluster, sender=owner)
    assert [registry.operator(number)[2] for number in ids] == [1, 1, 0, 1]


def test_private_operator_takes_no_stranger(registry: RegistryVM, owner: str, ids: list[int]) -> None:
    registry.call(REGISTER_OPERATOR, b"private", 0, True, sender=owner)
    wanted = [*ids[:3], 5]
    assert registry.refused(REGISTER, KEYS[0], wanted, b"", NEW_CLUSTER, sender=owner) == refusal(
        "CallerNotWhitelistedWithData(uint64)", 5
    )


def test_limit_of_validators_per_operator(owner: str) -> None:
    registry = RegistryVM(limit=3)
    ids = registry.operators(owner, 5)
    cluster = registry.register(owner, KEYS[:2], ids[1:], NEW_CLUSTER)
    exceeded = refusal("ExceedValidatorLimitWithData(uint64)", 2)
    keys, shares = KEYS[2:4], [b"", b""]
    assert registry.refused(BULK_REGISTER, keys, ids[1:], shares, cluster, sender=owner) == exceeded
    registry.register(owner, KEYS[2:3], ids[1:], cluster)
    assert registry.refused(REGISTER, KEYS[5], ids[:4], b"", NEW_CLUSTER, sender=owner) == exceeded
    assert registry.call("getValidatorsPerOperatorLimit()", sender=owner)[-1] == 3


def test_lists_of_a_bulk_call(registry: RegistryVM, owner: str, ids: list[int]) -> None:
    empty = refusal("EmptyPublicKeysList()")
    assert registry.refused(BULK_REGISTER, [], ids, [], NEW_CLUSTER, sender=owner) == empty
    unequal = refusal("PublicKeysSharesLengthMismatch()")
    assert registry.refused(BULK_REGISTER, KEYS[:2], ids, [b""], NEW_CLUSTER, sender=owner) == unequal
    assert registry.refused(BULK_REGISTER, KEYS[:1], ids, [b"", b""], NEW_CLUSTER, sender=owner) == unequal


def test_calls_beyond_the_bounds_revert_without_data(registry: RegistryVM, owner: str, ids: list[int]) -> None:
    beyond = [
        (REGISTER, KEYS[0], ids, bytes(4_049), NEW_CLUSTER),
        (REGISTER, bytes(129), ids, b"", NEW_CLUSTER),
        (REGISTER, KEYS[0], list(range(33)), b"", NEW_CLUSTER),
        (BULK_REGISTER, KEYS[:21], ids, [b""] * 21, NEW_CLUSTER),
        (REGISTER_OPERATOR, bytes(1_025), 0, False),
    ]
    for signature, *values in beyond:
        assert registry.refused(str(signature), *values, sender=owner) == NOTHING


def test_a_refused_bulk_changes_nothing(registry: RegistryVM, owner: str, ids: list[int]) -> None:
    keys, shares = [KEYS[0], KEYS[1], KEYS[0]], [b""] * 3
    registry.refused(BULK_REGISTER, keys, ids, shares, NEW_CLUSTER, sender=owner, value=5)
    assert registry.operator(1)[2] == 0
    assert registry.register(owner, KEYS[:2], ids, NEW_CLUSTER) == (2, 0, 0, True, 0)


# Removal, exit, fee recipient


def test_validator_removed(registry: RegistryVM, owner: str, ids: list[int]) -> None:
    cluster = registry.register(owner, KEYS[:3], ids, NEW_CLUSTER, value=8)

    registry.call(REMOVE, KEYS[1], ids, cluster, sender=owner)

    left = (2, 0, 0, True, 8)
    assert registry.logs == [event(VALIDATOR_REMOVED, owner, ids, KEYS[1], left, indexed=1)]
    registry.call(BULK_REMOVE, [KEYS[2], KEYS[0]], ids, left, sender=owner)
    none = (0, 0, 0, True, 8)
    assert registry.logs == [
        event(VALIDATOR_REMOVED, owner, ids, KEYS[2], none, indexed=1),
        event(VALIDATOR_REMOVED, owner, ids, KEYS[0], none, indexed=1),
    ]
    assert [registry.operator(number)[2] for number in ids] == [0] * 4
    assert registry.register(owner, KEYS[1:2], ids, none) == (1, 0, 0, True, 8)


def test_removal_checks(registry: RegistryVM, owner: str, stranger: str, ids: list[int]) -> None:
    other = [*ids[:3], *registry.operators(owner, 1)]
    cluster = registry.register(owner, KEYS[:2], ids, NEW_CLUSTER)
    in_other = registry.register(owner, KEYS[2:3], other, NEW_CLUSTER)

    def wrong_key(key: bytes) -> bytes:
        return refusal("IncorrectValidatorStateWithData(bytes)", key)

    missing, stale = refusal("ClusterDoesNotExist()"), refusal("IncorrectClusterState()")
    assert registry.refused(REMOVE, KEYS[0], ids, cluster, sender=stranger) == missing
    assert registry.refused(REMOVE, KEYS[0], ids[::-1], cluster, sender=owner) == missing
    assert registry.refused(REMOVE, KEYS[0], ids, NEW_CLUSTER, sender=owner) == stale
    assert registry.refused(REMOVE, KEYS[2], ids, cluster, sender=owner) == wrong_key(KEYS[2])
    assert registry.refused(REMOVE, KEYS[0], other, in_other, sender=owner) == wrong_key(KEYS[0])
    twice = [KEYS[0], KEYS[0]]
    assert registry.refused(BULK_REMOVE, twice, ids, cluster, sender=owner) == wrong_key(KEYS[0])
    assert registry.refused(BULK_REMOVE, [], ids, cluster, sender=owner) == refusal("ValidatorDoesNotExist()")


def test_validator_exited(registry: RegistryVM, owner: str, ids: list[int]) -> None:
    cluster = registry.register(owner, KEYS[:2], ids, NEW_CLUSTER)
    registry.call(EXIT, KEYS[0], ids, sender=owner)
    assert registry.logs == [event(VALIDATOR_EXITED, owner, ids, KEYS[0], indexed=1)]
    registry.call(BULK_EXIT, KEYS[:2], ids, sender=owner)
    assert registry.logs == [event(VALIDATOR_EXITED, owner, ids, key, indexed=1) for key in KEYS[:2]]
    # It stays registered, and may be exited again.
    registry.call(BULK_REMOVE, KEYS[:2], ids, cluster, sender=owner)


def test_exit_checks(registry: RegistryVM, owner: str, stranger: str, ids: list[int]) -> None:
    registry.register(owner, KEYS[:1], ids, NEW_CLUSTER)
    for sender, key, operators in [(stranger, KEYS[0], ids), (owner, KEYS[1], ids), (owner, KEYS[0], ids[:3])]:
        wrong = refusal("IncorrectValidatorStateWithData(bytes)", key)
        assert registry.refused(EXIT, key, operators, sender=sender) == wrong
        assert registry.refused(BULK_EXIT, [key], operators, sender=sender) == wrong
    assert registry.refused(BULK_EXIT, [], ids, sender=owner) == refusal("ValidatorDoesNotExist()")


def test_fee_recipient(registry: RegistryVM, owner: str) -> None:
    recipient = "0x" + "ab" * 20
    registry.call(FEE_RECIPIENT, recipient, sender=owner)
    assert registry.logs == [event(FEE_RECIPIENT_UPDATED, owner, recipient, indexed=1)]


# Balance


def test_owner_takes_the_balance_back(registry: RegistryVM, owner: str, stranger: str, ids: list[int]) -> None:
    cluster = registry.register(owner, KEYS[:1], ids, NEW_CLUSTER, value=100)
    before = boa.env.get_balance(owner)

    registry.call(WITHDRAW, ids, 60, cluster, sender=owner)

    after = (1, 0, 0, True, 40)
    assert registry.logs == [event(CLUSTER_WITHDRAWN, owner, ids, 60, after, indexed=1)]
    assert boa.env.get_balance(owner) - before == 60
    assert boa.env.get_balance(registry.contract.address) == 40
    assert registry.refused(WITHDRAW, ids, 1, cluster, sender=owner) == refusal("IncorrectClusterState()")
    assert registry.refused(WITHDRAW, ids, 41, after, sender=owner) == refusal("InsufficientBalance()")
    assert registry.refused(WITHDRAW, ids, 1, after, sender=stranger) == refusal("ClusterDoesNotExist()")


def test_plain_payments_and_values_on_free_calls_are_refused(registry: RegistryVM, owner: str, ids: list[int]) -> None:
    assert registry.refused(REGISTER_OPERATOR, b"key", 0, False, sender=owner, value=1) == NOTHING
    payment = boa.env.execute_code(to_address=registry.contract.address, sender=owner, data=b"", value=1)
    assert payment.is_error


REENTERING = """
# pragma version 0.4.3
struct Cluster:
    validatorCount: uint32
    networkFeeIndex: uint64
    index: uint64
    active: bool
    balance: uint256

interface Registry:
    def registerValidator(key: Bytes[48], ids: DynArray[uint64, 4], shares: Bytes[32], cluster: Cluster): payable
    def withdraw(ids: DynArray[uint64, 4], amount: uint256, cluster: Cluster): nonpayable

registry: address
cluster: Cluster
greed: uint256

@external
@payable
def fill(registry: address, key: Bytes[48]):
    self.registry = registry
    new: Cluster = Cluster(validatorCount=0, networkFeeIndex=0, index=0, active=True, balance=0)
    extcall Registry(registry).registerValidator(key, [1, 2, 3, 4], b"", new, value=msg.value)
    new.validatorCount = 1
    new.balance = msg.value
    self.cluster = new

@external
def take(amount: uint256, greed: uint256):
    self.greed = greed
    extcall Registry(self.registry).withdraw([1, 2, 3, 4], amount, self.cluster)

@external
@payable
def __default__():
    if self.greed > 0:
        self.greed -= 1
        extcall Registry(self.registry).withdraw([1, 2, 3, 4], msg.value, self.cluster)
"""


def test_receiver_that_calls_again_gets_nothing_twice(registry: RegistryVM, owner: str, ids: list[int]) -> None:
    registry.register(owner, KEYS[:1], ids, NEW_CLUSTER, value=100)
    receiver = boa.loads(REENTERING)
    boa.env.set_balance(receiver.address, 0)
    receiver.fill(registry.contract.address, KEYS[1], value=50, sender=owner)

    take = keccak(text="take(uint256,uint256)")[:4]
    greedy = boa.env.execute_code(
        to_address=receiver.address, sender=owner, data=take + encode(["uint256"] * 2, [20, 1])
    )
    assert greedy.output == refusal("ETHTransferFailed()")
    assert boa.env.get_balance(registry.contract.address) == 150

    receiver.take(20, 0, sender=owner)
    assert boa.env.get_balance(registry.contract.address) == 130
    assert boa.env.get_balance(receiver.address) == 20


# The published ABI


def test_published_abi_is_the_compilers() -> None:
    assert published_abi() == compile_contract().abi
    assert main(["--check"]) == 0


def test_check_names_a_file_that_differs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "abi").mkdir()
    (tmp_path / "SSVRegistry.vy").write_text((contracts_folder() / "SSVRegistry.vy").read_text())
    (tmp_path / "abi" / "SSVRegistry.json").write_text("[]")
    monkeypatch.setattr("ssv_pool.registry.artifacts.contracts_folder", lambda: tmp_path)
    assert main(["--check"]) == 1
    assert capsys.readouterr().err == "SSVRegistry.json is not the ABI of SSVRegistry.vy: run scripts/abi\n"
    assert main([]) == 0
    assert json.loads((tmp_path / "abi" / "SSVRegistry.json").read_text()) == compile_contract().abi
    assert main(["--check"]) == 0


@pytest.mark.parametrize(
    ("topic", "name"),
    [
        ("d839f31c14bd632f424e307b36abff63ca33684f77f28e35dc13718ef338f7f4", "OperatorAdded"),
        ("0e0ba6c2b04de36d6d509ec5bd155c43a9fe862f8052096dd54f3902a74cca3e", "OperatorRemoved"),
        ("48a3ea0796746043948f6341d17ff8200937b99262a0b48c2663b951ed7114e5", "ValidatorAdded"),
        ("ccf4370403e5fbbde0cd3f13426479dcd8a5916b05db424b7a2c04978cf8ce6e", "ValidatorRemoved"),
        ("259235c230d57def1521657e7c7951d3b385e76193378bc87ef6b56bc2ec3548", "FeeRecipientAddressUpdated"),
        ("b4b20ffb2eb1f020be3df600b2287914f50c07003526d3a9d89a9dd12351828c", "ValidatorExited"),
    ],
)
def test_topics_are_those_of_the_ssv_network(topic: str, name: str) -> None:
    """The constants stand in the SSV protocol's description, section 5.2."""
    (entry,) = [item for item in published_abi() if item["type"] == "event" and item["name"] == name]
    kinds = [
        "(uint32,uint64,uint64,bool,uint256)" if field["type"] == "tuple" else field["type"]
        for field in entry["inputs"]
    ]
    assert keccak(text=f"{name}({','.join(kinds)})").hex() == topic


def test_every_custom_error_has_a_sentence() -> None:
    samples = {"address": ZERO, "uint64": 7, "bytes": KEYS[0]}
    for entry in (entry for entry in published_abi() if entry["type"] == "error"):
        kinds = [field["type"] for field in entry["inputs"]]
        data = refusal(f"{entry['name']}({','.join(kinds)})", *(samples[kind] for kind in kinds))
        assert describe_revert(data).name == entry["name"]

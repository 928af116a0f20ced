"""What the registry contract says when it refuses a call: custom errors turned into sentences.

Knows the errors of this project's contracts, and those that only the SSV network contract has, of either version. An
error of a published ABI without a sentence here is shown with the names of its values.
"""

import json
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils.crypto import keccak

from ssv_pool.registry.artifacts import contracts_folder

_SENTENCES: Final = {
    "AddressIsWhitelistingContract(address)": (
        "{0} is a whitelisting contract and cannot be whitelisted itself: name an owner's account"
    ),
    "ApprovalNotWithinTimeframe()": (
        "the declared fee cannot be executed now, its window has not begun or has passed: look when it begins, or "
        "declare it again"
    ),
    "CallerNotOwner()": "the sender is not the owner: sign with the owner's account",
    "CallerNotOwnerWithData(address,address)": "the sender {0} is not the owner, {1} is: sign with the owner's account",
    "CallerNotWhitelisted()": (
        "a private operator of the cluster has not whitelisted the sender: ask its owner to, or choose another operator"
    ),
    "CallerNotWhitelistedWithData(uint64)": (
        "operator {0} is private and has not whitelisted the sender: ask its owner to, or choose another operator"
    ),
    "ClusterAlreadyEnabled()": "the cluster is active already: deposit to add to its balance",
    "ClusterDoesNotExist()": "the owner has no cluster with these operators: check owner and operator ids",
    "ClusterDoesNotExists()": "the owner has no cluster with these operators: check owner and operator ids",
    "ClusterIsLiquidated()": "the cluster is liquidated: reactivate it first",
    "ClusterNotLiquidatable()": "the cluster has enough balance and cannot be liquidated: its status says when it can",
    "ETHTransferFailed()": "the receiver refused the payment: use an account that takes ETH",
    "EmptyPublicKeysList()": "no validator public keys were given: give at least one",
    "ExceedValidatorLimit(uint64)": "operator {0} has reached its limit of validators: choose another operator",
    "ExceedValidatorLimitWithData(uint64)": "operator {0} has reached its limit of validators: choose another operator",
    "FeeExceedsIncreaseLimit()": "the fee rises by more than one declaration may raise it: declare a lower fee",
    "FeeIncreaseNotAllowed()": (
        "this cannot raise a fee, and that of an operator that serves for free cannot be raised at all: declare a "
        "higher fee, or register a new operator"
    ),
    "FeeTooHigh()": "the fee is above the highest the contract allows: ask for less",
    "FeeTooLow()": "the fee is neither zero nor at least the lowest the contract allows: ask for more, or for nothing",
    "IncorrectClusterState()": "the cluster's state is not the one given: read it again from the cluster's last event",
    "IncorrectClusterVersion()": "the cluster is paid in SSV: migrate it before calls that are paid in ETH",
    "IncorrectValidatorStateWithData(bytes)": (
        "the sender has no validator {0} with these operators: check key, operator ids and account"
    ),
    "InsufficientBalance()": (
        "the balance is too low for this: what validators need must stay or be deposited, and no more than was "
        "earned can be withdrawn"
    ),
    "InvalidOperatorIdsLength()": "the number of operators is not 4, 7, 10 or 13: give as many",
    "InvalidPublicKeyLength()": "a validator public key is not 48 bytes long",
    "InvalidWhitelistAddressesLength()": "no addresses to whitelist were given: give at least one",
    "MaxPrecisionExceeded()": "the amount is not a multiple of 100000 wei: round it",
    "MaxValueExceeded()": "the amount is larger than the contract can hold: ask for less",
    "NewBlockPeriodIsBelowMinimum()": "the number of blocks is below the lowest that the contract allows: ask for more",
    "NoFeeDeclared()": "no fee change was declared: declare one first",
    "NotAuthorized()": "the sender may not do this: sign with the owner's account",
    "OperatorAlreadyExists()": "an operator with this public key is or was registered already: make a new operator key",
    "OperatorDoesNotExist()": "an operator does not exist or was removed: check the ids",
    "OperatorsListNotUnique()": "the operator ids contain one twice: give each once",
    "PublicKeysSharesLengthMismatch()": "there are not as many shares as validator public keys",
    "SameFeeChangeNotAllowed()": "the fee is what it was already: nothing is to be done",
    "UnsortedOperatorsList()": "the operator ids are not in ascending order: sort them",
    "ValidatorAlreadyExistsWithData(bytes)": "the sender has registered validator {0} already: leave it out",
    "ValidatorDoesNotExist()": "no validator public keys were given: give at least one",
    "ZeroAddressNotAllowed()": "the zero address cannot be used here: give another",
}
"""Error signature to sentence; the placeholders are the error's values."""

_STRING_ERROR: Final = "Error(string)"
_PANIC: Final = "Panic(uint256)"


@dataclass(frozen=True, slots=True)
class Revert:
    """A refusal, understood."""

    name: str
    """The custom error's name; empty when the contract gave no reason or one that is not known."""
    values: tuple[Any, ...]
    """The error's values in order."""
    sentence: str
    """The reason in words."""


def describe_revert(data: bytes) -> Revert:
    """Understand the bytes a call reverted with (selector and ABI-encoded values). Never raises."""
    if not data:
        return Revert("", (), "the contract refused it without a reason (a field is too long, or there is no contract)")
    signature = _BY_SELECTOR.get(data[:4])
    if signature is not None:
        name, _, types = signature.rstrip(")").partition("(")
        try:
            values = decode(types.split(",") if types else [], data[4:])
        except (DecodingError, OverflowError):
            return Revert("", (), f"the contract refused it with a damaged {name} error (0x{data.hex()})")
        if signature == _STRING_ERROR:
            return Revert("", values, f"the contract refused it: {values[0]}")
        if signature == _PANIC:
            return Revert("", values, f"the contract stopped with panic code {values[0]}")
        shown = (f"0x{value.hex()}" if isinstance(value, bytes) else value for value in values)
        return Revert(name, values, _SENTENCES[signature].format(*shown))
    if (published := _published().get(data[:4])) is not None:
        return _by_names(published, data)
    return Revert("", (), f"the contract refused it with an unknown error (0x{data[:4].hex()})")


def _by_names(published: tuple[str, tuple[str, ...], tuple[str, ...]], data: bytes) -> Revert:
    """An error that has no sentence: its name and its values' names."""
    name, types, names = published
    try:
        values = decode(types, data[4:])
    except (DecodingError, OverflowError):
        return Revert("", (), f"the contract refused it with a damaged {name} error (0x{data.hex()})")
    shown = (f"0x{value.hex()}" if isinstance(value, bytes) else value for value in values)
    listed = ", ".join(f"{label} {value}" for label, value in zip(names, shown, strict=True))
    return Revert(name, values, f"the contract refused it: {name}" + (f" ({listed})" if listed else ""))


@cache
def _published() -> dict[bytes, tuple[str, tuple[str, ...], tuple[str, ...]]]:
    """Selector → name, types and names of the values, of every custom error in the published ABIs."""
    found = {}
    for path in sorted((contracts_folder() / "abi").glob("*.json")):
        for entry in json.loads(path.read_text()):
            if entry.get("type") == "error":
                types = tuple(field["type"] for field in entry["inputs"])
                selector = keccak(text=f"{entry['name']}({','.join(types)})")[:4]
                found[selector] = (entry["name"], types, tuple(field["name"] for field in entry["inputs"]))
    return found


_BY_SELECTOR: Final = {keccak(text=text)[:4]: text for text in (*_SENTENCES, _STRING_ERROR, _PANIC)}

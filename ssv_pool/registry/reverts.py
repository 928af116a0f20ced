"""What the registry contract says when it refuses a call: custom errors turned into sentences.

Knows the errors of this project's contracts, and those that only the SSV network contract has, of either version. An
error of a published ABI without a sentence here is shown with the names of its values.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils.crypto import keccak

from ssv_pool.registry.amounts import ether
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

_POOL_SENTENCES: Final = {
    "ApprovalOfStranger(address)": "an approval is signed by {0}, who is no member of the pool: leave it out",
    "ApprovalsUnsorted()": "the approvals are not in ascending order of their signers, or one is twice: sort them",
    "BudgetExceeded(uint256,uint256)": (
        "clusters may still get {0:eth} ETH in this window, {1:eth} were asked: ask for less, or wait"
    ),
    "CommitteeNotAllowed()": "a quorum has not allowed this committee: have it allowed, or choose another",
    "DepositRootChanged(bytes32,bytes32)": (
        "the deposit contract's root is {1}, and {0} was approved: somebody has deposited, judge and approve again"
    ),
    "InsufficientAllowance(uint256,uint256)": (
        "the spender may move {0:eth} shares, and {1:eth} are needed: have the holder approve more"
    ),
    "InsufficientShares(uint256,uint256)": "the account holds {0:eth} shares, and {1:eth} are needed: ask for less",
    "InvalidMembers()": "members must be 1 to 13 ascending addresses, and the quorum more than two thirds of them",
    "InvalidParameters()": "a parameter is out of its bounds: docs/contracts.md lists them",
    "InvalidReceiver(address)": "{0} cannot receive shares or payments: name another address",
    "KeyUsed(bytes)": "validator {0} was used before, and a key is used once: take the next one",
    "NoExitNeeded()": "withdrawals are covered by what is free or on its way: no exit is needed",
    "NotAContract()": "the registry's or the deposit contract's address has no code: check both",
    "NotAnnounced()": "nothing was announced: announce the change first",
    "NotEnoughFree(uint256,uint256)": "the pool has {0:eth} ETH free, and {1:eth} are needed: wait for more",
    "NotMember(address)": "the sender {0} is no member of the pool: sign with a member's account",
    "NotPaused()": "the pool is not paused: nothing is to be done",
    "NothingLeft()": "the pool has shares and no assets: staking begins again when a report has booked some",
    "NothingToClaim(uint256)": "request {0} cannot be claimed: it is not finalised, was paid, or does not exist",
    "PauseTooSoon(uint256)": "the pool was paused lately and can be paused again from {0:time} on: wait",
    "PoolPaused(uint256)": "the pool is paused until {0:time} at most: wait, or ask its owner",
    "QuorumMissing(uint256,uint256)": "{0} approvals of members, and {1} are needed: collect more",
    "ReportExceedsBalance(uint256,uint256)": "the report books {0:eth} ETH received, {1:eth} are there: make it anew",
    "ReportFromFuture()": "the report is of a block that is not past: make it anew",
    "ReportOutOfBounds(int256,int256,int256)": (
        "the report changes the assets by {0:eth} ETH, and from {1:eth} to {2:eth} is allowed: judge it"
    ),
    "ReportTooOld()": "the report is not newer than the last in every number: make it anew",
    "RequestTooLarge(uint256,uint256)": "the request is worth {0:eth} ETH, and {1:eth} are the most: split it",
    "RequestTooSmall(uint256,uint256)": "the request is worth {0:eth} ETH, and {1:eth} are the least: ask for more",
    "StakeTooSmall(uint256,uint256)": "the stake is {0:eth} ETH, and {1:eth} are the least: stake more",
    "TooEarly(uint256)": "the change can be put into force from {0:time} on: wait",
    "WrongNonce(uint256)": "the cluster's next nonce is {0}: approve again with it",
    "WrongReportNumber(uint64)": "the next report has number {0}: somebody has reported, make it anew",
    "WrongValidatorState(bytes,uint8)": "validator {0} is in state {1}, which forbids this: look at its state",
}
"""The same for errors that only the staking pool has."""

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
        sentence = _SENTENCES.get(signature) or _POOL_SENTENCES[signature]
        return Revert(name, values, sentence.format(*map(_shown, values)))
    if (published := _published().get(data[:4])) is not None:
        return _by_names(published, data)
    return Revert("", (), f"the contract refused it with an unknown error (0x{data[:4].hex()})")


class _Number(int):
    """A value that a sentence may show as ETH (`:eth`) or as a time (`:time`)."""

    def __format__(self, spec: str) -> str:
        if spec == "eth":
            return ether(self)
        if spec == "time":
            try:
                return datetime.fromtimestamp(self, UTC).strftime("%Y-%m-%d %H:%M UTC")
            except (OverflowError, ValueError, OSError):
                return str(int(self))
        return int(self).__format__(spec)


def _shown(value: Any) -> Any:
    if isinstance(value, bytes):
        return f"0x{value.hex()}"
    return _Number(value) if isinstance(value, int) else value


def _by_names(published: tuple[str, tuple[str, ...], tuple[str, ...]], data: bytes) -> Revert:
    """An error that has no sentence: its name and its values' names."""
    name, types, names = published
    try:
        values = decode(types, data[4:])
    except (DecodingError, OverflowError):
        return Revert("", (), f"the contract refused it with a damaged {name} error (0x{data.hex()})")
    listed = ", ".join(f"{label} {value}" for label, value in zip(names, map(_shown, values), strict=True))
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


_BY_SELECTOR: Final = {keccak(text=text)[:4]: text for text in (*_SENTENCES, *_POOL_SENTENCES, _STRING_ERROR, _PANIC)}

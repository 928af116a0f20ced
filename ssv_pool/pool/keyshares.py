"""Key shares files: ``keyshares.json`` as the field's ssv-keys tool writes it, versions 1.1.0 and 1.2.0.

One file holds any number of validators, each with its owner, nonce, operators and the bytes for the registry contract.
The two versions have one layout; an older form with a single validator at the top level is read too. Reading judges a
file completely: what `parse_key_shares` returns will be accepted by the registry and its operators.
"""

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from eth_utils.address import is_checksum_address, to_checksum_address

from ssv_pool.crypto import bls, operator_keys
from ssv_pool.crypto.files import write_private
from ssv_pool.crypto.keystore import load_json, load_json_object
from ssv_pool.crypto.operator_keys import OperatorKeyError
from ssv_pool.crypto.shamir import COMMITTEE_SIZES, MAX_OPERATOR_ID, split, threshold_of
from ssv_pool.crypto.shares_data import SharesData, SharesDataError, registration_root, shares_make_up
from ssv_pool.errors import KeyFileError
from ssv_pool.protocol.types.primitives import OperatorId, PublicKey, Signature

VERSIONS = ("1.1.0", "1.2.0")
"""Versions that are written; any patch release of these is read."""

_VERSION = re.compile(r"v?1\.[12]\.\d+")
_MAX_NONCE = 2**16 - 1
"""The registry's readers count an owner's registrations in 16 bits."""


class KeySharesError(KeyFileError):
    """A key shares file that is malformed, or whose content the registry or the operators would refuse."""


@dataclass(frozen=True, slots=True)
class ShareOperator:
    """An operator for whom a share is encrypted."""

    operator_id: OperatorId
    """Its id in the registry."""
    public_key: bytes
    """Its RSA public key, PEM, 459 bytes."""


@dataclass(frozen=True, slots=True)
class KeyShares:
    """One validator's key, split among operators and ready to be registered. Holds nothing secret."""

    owner: str
    """The owner's address, EIP-55 mixed case."""
    owner_nonce: int
    """How many registrations the owner has sent before this one."""
    public_key: PublicKey
    """The validator's public key, 48 bytes."""
    operators: tuple[ShareOperator, ...]
    """4, 7, 10 or 13 operators in ascending order of their ids."""
    shares: SharesData
    """The bytes for the registry, taken apart."""

    @property
    def operator_ids(self) -> tuple[OperatorId, ...]:
        """The operators' ids, ascending."""
        return tuple(operator.operator_id for operator in self.operators)

    @property
    def shares_data(self) -> bytes:
        """The ``shares`` argument of the registry contract."""
        return self.shares.encode()


def split_key(secret: int, operators: Sequence[ShareOperator], owner: str, owner_nonce: int) -> KeyShares:
    """Split a validator's key among operators: shares with threshold 2f+1, each encrypted for its operator.

    Args:
        secret: the validator's BLS secret key.
        operators: 4, 7, 10 or 13, in any order.
        owner: the address that will register the validator.
        owner_nonce: how many registrations that address has sent before.

    Raises:
        KeySharesError: the operators, the owner or the nonce would be refused.
    """
    ordered = tuple(sorted(operators, key=lambda operator: operator.operator_id))
    _check_operators(ordered, "operators")
    address = _owner(owner, "owner")
    _number(owner_nonce, "owner nonce", 0, _MAX_NONCE)
    parts = split(secret, [operator.operator_id for operator in ordered], threshold_of(len(ordered)))
    shares = SharesData(
        signature=bls.sign(secret, registration_root(address, owner_nonce)),
        share_public_keys=tuple(bls.secret_to_public(parts[operator.operator_id]) for operator in ordered),
        encrypted_shares=tuple(
            operator_keys.encrypt_share(operator.public_key, parts[operator.operator_id]) for operator in ordered
        ),
    )
    return KeyShares(address, owner_nonce, bls.secret_to_public(secret), ordered, shares)


def read_key_shares(path: Path) -> tuple[KeyShares, ...]:
    """Read and judge a key shares file. Raises KeySharesError (malformed or refused) or KeyFileError (unreadable)."""
    try:
        return parse_key_shares(load_json_object(path))
    except KeySharesError as error:
        raise KeySharesError(f"{path}: {error}") from None


def parse_key_shares(content: Mapping[str, Any]) -> tuple[KeyShares, ...]:
    """Judge a key shares file's JSON object. Raises KeySharesError, which names the first thing that is wrong."""
    version = content.get("version")
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        raise KeySharesError(f"version: {version!r}, expected one of v{', v'.join(VERSIONS)}")
    if "shares" not in content and "data" in content:
        return (parse_item(content, ""),)
    items = content.get("shares")
    if not isinstance(items, list) or not items:
        raise KeySharesError("shares: missing, expected a list of at least one validator")
    return tuple(parse_item(item, f"shares[{index}].") for index, item in enumerate(items))


def parse_item(item: object, name: str = "") -> KeyShares:
    """Judge one validator's entry: an object with ``data`` and ``payload``.

    Args:
        item: the JSON object.
        name: where it stands, to begin the error texts with.

    Raises:
        KeySharesError: names the field, the value and what was expected.
    """
    if not isinstance(item, dict):
        raise KeySharesError(f"{name.rstrip('.')}: expected an object")
    data, payload = (_object(item, part, name) for part in ("data", "payload"))
    owner = _owner(data.get("ownerAddress"), f"{name}data.ownerAddress")
    nonce = _number(data.get("ownerNonce"), f"{name}data.ownerNonce", 0, _MAX_NONCE)
    public_key = PublicKey(_hex(data.get("publicKey"), f"{name}data.publicKey"))
    if not bls.validate_public_key(public_key):
        raise KeySharesError(f"{name}data.publicKey: 0x{public_key.hex()}, expected a BLS public key")
    operators = _operators(data.get("operators"), f"{name}data.operators")
    ids = [operator.operator_id for operator in operators]
    if payload.get("operatorIds") != ids:
        raise KeySharesError(f"{name}payload.operatorIds: {payload.get('operatorIds')!r}, expected {ids} as in data")
    stated = _hex(payload.get("publicKey"), f"{name}payload.publicKey")
    if stated != public_key:
        raise KeySharesError(f"{name}payload.publicKey: 0x{stated.hex()}, expected 0x{public_key.hex()} as in data")
    try:
        shares = SharesData.decode(_hex(payload.get("sharesData"), f"{name}payload.sharesData"), len(operators))
    except SharesDataError as error:
        raise KeySharesError(f"{name}payload.sharesData: {error}") from None
    _check_signature(public_key, owner, nonce, shares.signature, name)
    if not shares_make_up(public_key, ids, shares.share_public_keys):
        raise KeySharesError(f"{name}payload.sharesData: the share public keys do not make up the validator's key")
    return KeyShares(owner, nonce, public_key, operators, shares)


def key_shares_json(items: Sequence[KeyShares], created: datetime, version: str = VERSIONS[-1]) -> bytes:
    """A key shares file's bytes.

    Args:
        items: the validators.
        created: an aware time, written in UTC.
        version: 1.1.0 or 1.2.0.
    """
    if version not in VERSIONS:
        raise KeySharesError(f"version: {version!r}, expected one of {', '.join(VERSIONS)}")
    content = {
        "version": f"v{version}",
        "createdAt": created.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "shares": [_item_json(item) for item in items],
    }
    return json.dumps(content, indent=2).encode() + b"\n"


def write_key_shares(
    path: Path, items: Sequence[KeyShares], created: datetime, *, version: str = VERSIONS[-1], overwrite: bool = False
) -> None:
    """Write a key shares file, mode 0600. Raises KeyFileError if it exists or cannot be written."""
    write_private(path, key_shares_json(items, created, version), overwrite=overwrite)


def read_operators(path: Path) -> tuple[ShareOperator, ...]:
    """The operators in a JSON file: a list of objects with ``id`` and ``operatorKey``, or an object with such a list.

    Raises:
        KeySharesError: malformed, or operators among whom no key can be split.
        KeyFileError: the file cannot be read.
    """
    content = load_json(path)
    if isinstance(content, dict):
        content = content.get("operators")
    if isinstance(content, list) and all(isinstance(entry, dict) for entry in content):
        content = sorted(content, key=lambda entry: entry["id"] if isinstance(entry.get("id"), int) else 0)
    return _operators(content, f"{path}: operators")


def operator_from_text(operator_id: object, public_key: object, name: str) -> ShareOperator:
    """An operator from the id and the base64 public key of a file or an option. Raises KeySharesError."""
    number = OperatorId(_number(operator_id, f"{name}.id", 1, MAX_OPERATOR_ID))
    if not isinstance(public_key, str) or not public_key:
        raise KeySharesError(f"{name}.operatorKey: missing, expected the operator's public key in base64")
    try:
        return ShareOperator(number, operator_keys.public_key_from_base64(public_key))
    except OperatorKeyError as error:
        raise KeySharesError(f"{name}.operatorKey: {error}") from None


def _item_json(item: KeyShares) -> dict[str, Any]:
    public_key = f"0x{item.public_key.hex()}"
    return {
        "data": {
            "ownerNonce": item.owner_nonce,
            "ownerAddress": item.owner,
            "publicKey": public_key,
            "operators": [
                {
                    "id": operator.operator_id,
                    "operatorKey": operator_keys.public_key_to_base64(operator.public_key),
                }
                for operator in item.operators
            ],
        },
        "payload": {
            "publicKey": public_key,
            "operatorIds": list(item.operator_ids),
            "sharesData": f"0x{item.shares_data.hex()}",
        },
    }


def _check_signature(public_key: PublicKey, owner: str, nonce: int, signature: Signature, name: str) -> None:
    if not bls.verify(public_key, registration_root(owner, nonce), signature):
        raise KeySharesError(
            f"{name}payload.sharesData: its signature is not the validator's over owner {owner} and nonce {nonce}",
        )


def _object(item: Mapping[str, Any], part: str, name: str) -> Mapping[str, Any]:
    value = item.get(part)
    if not isinstance(value, dict):
        raise KeySharesError(f"{name}{part}: missing, expected an object")
    return value


def _operators(value: object, name: str) -> tuple[ShareOperator, ...]:
    if not isinstance(value, list):
        raise KeySharesError(f"{name}: missing, expected a list of operators")
    operators = []
    for index, entry in enumerate(value):
        if not isinstance(entry, dict):
            raise KeySharesError(f"{name}[{index}]: expected an object with id and operatorKey")
        operators.append(operator_from_text(entry.get("id"), entry.get("operatorKey"), f"{name}[{index}]"))
    _check_operators(operators, name)
    return tuple(operators)


def _check_operators(operators: Sequence[ShareOperator], name: str) -> None:
    if len(operators) not in COMMITTEE_SIZES:
        raise KeySharesError(f"{name}: {len(operators)} operators, expected 4, 7, 10 or 13")
    ids = [operator.operator_id for operator in operators]
    if any(later <= earlier for earlier, later in itertools.pairwise(ids)):
        raise KeySharesError(f"{name}: ids {ids}, expected ascending and no id twice")
    if len({operator.public_key for operator in operators}) != len(operators):
        raise KeySharesError(f"{name}: two operators have the same public key, expected different ones")


def _owner(value: object, name: str) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"0x[0-9a-fA-F]{40}", value):
        raise KeySharesError(f"{name}: {value!r}, expected an address: 0x and 40 hex digits")
    digits = value[2:]
    if digits not in {digits.lower(), digits.upper()} and not is_checksum_address(value):
        raise KeySharesError(f"{name}: {value}, its mixed case is not the address's EIP-55 checksum")
    return to_checksum_address(value)


def _number(value: object, name: str, low: int, high: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise KeySharesError(f"{name}: {value!r}, expected a number from {low} to {high}")
    return value


def _hex(value: object, name: str) -> bytes:
    if not isinstance(value, str) or not re.fullmatch(r"(?:0x)?(?:[0-9a-fA-F]{2})+", value):
        raise KeySharesError(f"{name}: expected 0x and hex digits")
    return bytes.fromhex(value.removeprefix("0x"))

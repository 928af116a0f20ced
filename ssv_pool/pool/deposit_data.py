"""Deposit data: what a validator's key signs for its deposit, and the field's ``deposit_data-*.json`` files.

Roots and domain are the consensus specification's (DepositMessage, DepositData, DOMAIN_DEPOSIT); the file is a list of
objects as staking-deposit-cli writes them, hex without 0x. Reading judges an entry completely: what is returned will be
accepted by the deposit contract, and by the beacon chain as that of a validator that can be withdrawn to the address
that is named.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ssv_pool.crypto import bls
from ssv_pool.crypto.files import write_private
from ssv_pool.crypto.keystore import load_json
from ssv_pool.errors import KeyFileError
from ssv_pool.protocol.types import ssz
from ssv_pool.protocol.types.beacon import DOMAIN_DEPOSIT, compute_domain, signing_root
from ssv_pool.protocol.types.operations import DepositMessage
from ssv_pool.protocol.types.primitives import PublicKey, Root, Signature

DEPOSIT_GWEI: Final = 32 * 10**9
"""What a pool's validator is deposited with, Gwei."""

CLI_VERSION: Final = "2.7.0"
"""Version of staking-deposit-cli whose file format is written."""

_MOST_ENTRIES: Final = 1_000


@dataclass(frozen=True, slots=True)
class DepositNetwork:
    """A network that validators are deposited on."""

    name: str
    """As deposit data files call it."""
    fork_version: bytes
    """GENESIS_FORK_VERSION, 4 bytes: the one that deposits are signed for, whatever fork is in force."""


NETWORKS: Final[dict[int, DepositNetwork]] = {
    1: DepositNetwork("mainnet", bytes.fromhex("00000000")),
    17_000: DepositNetwork("holesky", bytes.fromhex("01017000")),
    560_048: DepositNetwork("hoodi", bytes.fromhex("10000910")),
    11_155_111: DepositNetwork("sepolia", bytes.fromhex("90000069")),
}
"""Networks by chain id."""


class DepositDataError(KeyFileError):
    """Deposit data that is malformed, or that would be lost or refused."""


@dataclass(frozen=True, slots=True)
class DepositData:
    """A signed deposit."""

    public_key: PublicKey
    """The validator's key, 48 bytes."""
    withdrawal_credentials: bytes
    """32 bytes."""
    amount: int
    """Gwei."""
    signature: Signature
    """By the validator's key over message and domain, 96 bytes."""
    fork_version: bytes
    """Genesis fork version of the network, 4 bytes."""

    @property
    def message_root(self) -> Root:
        """hash_tree_root of the DepositMessage, 32 bytes."""
        return _message(self).hash_tree_root()

    @property
    def data_root(self) -> Root:
        """hash_tree_root of the DepositData, 32 bytes: what the deposit contract is given."""
        return ssz.container_root(
            ssz.bytes_root(self.public_key),
            ssz.bytes_root(self.withdrawal_credentials),
            ssz.u64_root(self.amount),
            ssz.bytes_root(self.signature),
        )

    def signed(self) -> bool:
        """Whether the signature is the validator's."""
        return bls.verify(self.public_key, deposit_signing_root(_message(self), self.fork_version), self.signature)

    def check(self, credentials: bytes, fork_version: bytes, name: str = "deposit data") -> None:
        """Make sure that it is right for a pool, whose signature was checked when it was read or made.

        Args:
            credentials: the pool's withdrawal credentials, 32 bytes.
            fork_version: genesis fork version of the network, 4 bytes.
            name: what to begin the error text with.

        Raises:
            DepositDataError: other credentials, another network, or another amount.
        """
        if self.withdrawal_credentials != credentials:
            raise DepositDataError(
                f"{name}: withdrawal credentials 0x{self.withdrawal_credentials.hex()}, expected the pool's "
                f"0x{credentials.hex()}: its ETH would go to somebody else, make deposit data for this pool"
            )
        if self.fork_version != fork_version:
            raise DepositDataError(
                f"{name}: fork version 0x{self.fork_version.hex()}, expected 0x{fork_version.hex()} of this network: "
                "the beacon chain would not take it, make deposit data for this network"
            )
        if self.amount != DEPOSIT_GWEI:
            raise DepositDataError(f"{name}: {self.amount} Gwei, expected {DEPOSIT_GWEI}: a pool deposits 32 ETH")


def pool_credentials(address: str) -> bytes:
    """Withdrawal credentials of an Ethereum address: 0x01, eleven zero bytes and the address; 32 bytes."""
    return b"\x01" + bytes(11) + bytes.fromhex(address.removeprefix("0x"))


def deposit_signing_root(message: DepositMessage, fork_version: bytes) -> Root:
    """What a validator's key signs for its deposit, 32 bytes."""
    # Deposits are good before genesis and after every fork, so their domain knows neither.
    return signing_root(message.hash_tree_root(), compute_domain(DOMAIN_DEPOSIT, fork_version, Root(bytes(32))))


def sign_deposit(secret: int, credentials: bytes, fork_version: bytes, amount: int = DEPOSIT_GWEI) -> DepositData:
    """Sign a deposit.

    Args:
        secret: the validator's BLS secret key.
        credentials: withdrawal credentials, 32 bytes.
        fork_version: genesis fork version of the network, 4 bytes.
        amount: Gwei.
    """
    message = DepositMessage(bls.secret_to_public(secret), credentials, amount)
    signature = bls.sign(secret, deposit_signing_root(message, fork_version))
    return DepositData(message.pubkey, credentials, amount, signature, fork_version)


def read_deposit_data(path: Path) -> tuple[DepositData, ...]:
    """Read and judge a file. Raises DepositDataError (malformed or refused) or KeyFileError (unreadable)."""
    try:
        return parse_deposit_data(load_json(path))
    except DepositDataError as error:
        raise DepositDataError(f"{path}: {error}") from None


def parse_deposit_data(content: object) -> tuple[DepositData, ...]:
    """Judge a file's JSON list. Raises DepositDataError, which names the first thing that is wrong."""
    if not isinstance(content, list) or not 0 < len(content) <= _MOST_ENTRIES:
        raise DepositDataError(f"expected a list of 1 to {_MOST_ENTRIES} deposits")
    return tuple(_parse_entry(entry, f"[{place}]") for place, entry in enumerate(content))


def deposit_data_json(items: Sequence[DepositData], network_name: str) -> bytes:
    """A file's bytes, as staking-deposit-cli writes it."""
    return json.dumps([_entry(item, network_name) for item in items]).encode() + b"\n"


def write_deposit_data(path: Path, items: Sequence[DepositData], network_name: str) -> None:
    """Write a file. Raises KeyFileError if it exists or cannot be written."""
    write_private(path, deposit_data_json(items, network_name))


def _entry(item: DepositData, network_name: str) -> dict[str, Any]:
    return {
        "pubkey": item.public_key.hex(),
        "withdrawal_credentials": item.withdrawal_credentials.hex(),
        "amount": item.amount,
        "signature": item.signature.hex(),
        "deposit_message_root": item.message_root.hex(),
        "deposit_data_root": item.data_root.hex(),
        "fork_version": item.fork_version.hex(),
        "network_name": network_name,
        "deposit_cli_version": CLI_VERSION,
    }


def _parse_entry(entry: object, name: str) -> DepositData:
    if not isinstance(entry, Mapping):
        raise DepositDataError(f"{name}: expected an object")
    amount = entry.get("amount")
    if not isinstance(amount, int) or isinstance(amount, bool) or not 10**9 <= amount < 2**64:
        raise DepositDataError(f"{name}.amount: {str(amount)[:40]}, expected Gwei, at least 1000000000")
    item = DepositData(
        PublicKey(_hex(entry, "pubkey", 48, name)),
        _hex(entry, "withdrawal_credentials", 32, name),
        amount,
        Signature(_hex(entry, "signature", 96, name)),
        _hex(entry, "fork_version", 4, name),
    )
    if not bls.validate_public_key(item.public_key):
        raise DepositDataError(f"{name}.pubkey: 0x{item.public_key.hex()}, expected a BLS public key")
    for field, root in (("deposit_message_root", item.message_root), ("deposit_data_root", item.data_root)):
        stated = _hex(entry, field, 32, name)
        if stated != root:
            raise DepositDataError(f"{name}.{field}: 0x{stated.hex()}, expected 0x{root.hex()} of the other fields")
    if not item.signed():
        raise DepositDataError(
            f"{name}.signature: not that of key 0x{item.public_key.hex()} over this deposit for fork version "
            f"0x{item.fork_version.hex()}"
        )
    return item


def _hex(entry: Mapping[str, Any], field: str, size: int, name: str) -> bytes:
    value = entry.get(field)
    if not isinstance(value, str) or not re.fullmatch(rf"(?:0x)?[0-9a-fA-F]{{{2 * size}}}", value):
        raise DepositDataError(f"{name}.{field}: {str(value)[:40]!r}, expected {2 * size} hex digits")
    return bytes.fromhex(value.removeprefix("0x"))


def _message(item: DepositData) -> DepositMessage:
    return DepositMessage(item.public_key, item.withdrawal_credentials, item.amount)

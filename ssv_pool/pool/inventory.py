"""A pool's inventory: a folder of validators that are ready to be registered and deposited.

Each has a key shares file (``keyshares-*.json``, for the pool as the owner and one nonce) and a deposit data file
(``deposit_data-*.json``), side by side or in a sub-folder of its own; what belongs together is told by the public key.
Nothing in it is secret. Keys are used in the order of their nonces, which is that of the pool's registrations.
"""

import re
import secrets
import shutil
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Generic, TypeVar

from ssv_pool.crypto import bls
from ssv_pool.crypto.files import refuse_existing, write_private
from ssv_pool.crypto.keystore import validator_keystore_json
from ssv_pool.errors import KeyFileError
from ssv_pool.pool.deposit_data import (
    DepositData,
    DepositDataError,
    DepositNetwork,
    pool_credentials,
    read_deposit_data,
    sign_deposit,
    write_deposit_data,
)
from ssv_pool.pool.keyshares import (
    KeyShares,
    KeySharesError,
    ShareOperator,
    read_key_shares,
    split_key,
    write_key_shares,
)
from ssv_pool.protocol.types.primitives import PublicKey

_MOST_FILES: Final = 20_000
_FILE_NAME: Final = re.compile(r"(keyshares|deposit_data)[-_.].*json|(keyshares|deposit_data)\.json")

_Content = TypeVar("_Content")
_Stamp = tuple[int, int, int]


class InventoryError(KeyFileError):
    """The inventory has nothing that could be registered now; the text says why."""


@dataclass(frozen=True, slots=True)
class InventoryKey:
    """A validator that is ready."""

    shares: KeyShares
    """For the registration."""
    deposit: DepositData
    """For the deposit."""
    folder: Path
    """Where its key shares are."""

    @property
    def public_key(self) -> PublicKey:
        """48 bytes."""
        return self.shares.public_key


class _Judged(Generic[_Content]):
    """The contents of files, each judged once as long as the file stays the same."""

    def __init__(self, reader: Callable[[Path], tuple[_Content, ...]]) -> None:
        self._reader = reader
        self._known: dict[Path, tuple[_Stamp, tuple[_Content, ...], str]] = {}

    def of(self, path: Path, problems: list[str]) -> tuple[_Content, ...]:
        """A file's content; nothing, and a line in `problems`, where it is bad."""
        try:
            stat = path.stat()
            stamp = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
        except OSError as error:
            problems.append(f"{path}: {error.strerror}")
            return ()
        known = self._known.get(path)
        if known is None or known[0] != stamp:
            try:
                known = (stamp, self._reader(path), "")
            except KeyFileError as error:
                known = (stamp, (), str(error))
            self._known[path] = known
        if known[2]:
            problems.append(known[2])
        return known[1]

    def forget_all_but(self, paths: Collection[Path]) -> None:
        """Drop what belongs to files that are gone."""
        kept = set(paths)
        self._known = {path: known for path, known in self._known.items() if path in kept}


class Inventory:
    """The folder, read again when a file has changed.

    Args:
        folder: the folder; it and its sub-folders are looked at, no deeper.
        pool: the pool's address, that key shares and deposit data must be for.
        fork_version: genesis fork version of the network, 4 bytes.
    """

    def __init__(self, folder: Path, pool: str, fork_version: bytes) -> None:
        self.folder = folder
        self.problems: tuple[str, ...] = ()
        """What was wrong with files, one line each, at the last look."""
        self._pool = pool
        self._fork_version = fork_version
        self._shares = _Judged(read_key_shares)
        self._deposits = _Judged(read_deposit_data)

    def keys(self) -> tuple[InventoryKey, ...]:
        """All validators whose two files are good for this pool, by nonce. Files that are not are in `problems`.

        Raises:
            KeyFileError: the folder cannot be read, or holds too many files.
        """
        problems: list[str] = []
        shares: list[tuple[KeyShares, Path]] = []
        deposits: dict[bytes, DepositData] = {}
        credentials = pool_credentials(self._pool)
        files = self._files()
        for path in files:
            if path.name.startswith("keyshares"):
                for item in self._shares.of(path, problems):
                    if item.owner.lower() == self._pool.lower():
                        shares.append((item, path))
                    else:
                        problems.append(
                            f"{path}: key shares of owner {item.owner}, expected the pool {self._pool}: split the key "
                            "for this pool"
                        )
            else:
                for deposit in self._deposits.of(path, problems):
                    try:
                        deposit.check(credentials, self._fork_version, str(path))
                    except DepositDataError as error:
                        problems.append(str(error))
                    else:
                        deposits[deposit.public_key] = deposit
        self._shares.forget_all_but(files)
        self._deposits.forget_all_but(files)
        found = []
        for item, path in shares:
            if (paired := deposits.get(item.public_key)) is None:
                problems.append(f"{path}: no good deposit data for key 0x{item.public_key.hex()} in {self.folder}")
            else:
                found.append(InventoryKey(item, paired, path.parent))
        self.problems = tuple(problems)
        return tuple(sorted(found, key=lambda key: (key.shares.owner_nonce, key.public_key)))

    def next(self, nonce: int, used_keys: Collection[bytes]) -> InventoryKey:
        """The validator to register next.

        Args:
            nonce: the pool's present nonce at the registry.
            used_keys: public keys that were registered before.

        Raises:
            InventoryError: none is ready for this nonce; the text says what there is.
            KeyFileError: the folder cannot be read.
        """
        keys = self.keys()
        unused = [key for key in keys if key.public_key not in used_keys]
        for key in unused:
            if key.shares.owner_nonce == nonce:
                return key
        have = sorted({key.shares.owner_nonce for key in unused})
        what = f"unused keys are for nonce {', '.join(map(str, have[:8]))}" if have else "it has no unused key"
        hint = f"; {self.problems[0]}" if self.problems else ""
        raise InventoryError(
            f"inventory {self.folder}: nothing for the pool's nonce {nonce}, {what}: make keys for it{hint}"
        )

    def deposit_of(self, public_key: bytes) -> DepositData | None:
        """A key's deposit data, good for this pool; None where the inventory has none. Raises KeyFileError."""
        for key in self.keys():
            if key.public_key == public_key:
                return key.deposit
        return None

    def free_nonce(self, nonce: int) -> int:
        """The first nonce from the pool's present one on that no key of the inventory is for. Raises KeyFileError."""
        if not self.folder.exists():
            return nonce
        return max([nonce, *(key.shares.owner_nonce + 1 for key in self.keys())])

    def _files(self) -> list[Path]:
        try:
            children = sorted(self.folder.iterdir())
            folders = [path for path in children if path.is_dir() and not path.name.startswith(".")]
            files = [*children, *(file for folder in folders for file in sorted(folder.iterdir()))]
        except OSError as error:
            raise KeyFileError(f"inventory {self.folder}: {error.strerror}, expected a folder of validators") from None
        named = [path for path in files if _FILE_NAME.fullmatch(path.name) and path.is_file()]
        if len(named) > _MOST_FILES:
            raise KeyFileError(f"inventory {self.folder}: {len(named)} files, expected at most {_MOST_FILES}")
        return named


def make_key(
    folder: Path,
    pool: str,
    nonce: int,
    operators: Sequence[ShareOperator],
    network: DepositNetwork,
    created: datetime,
    *,
    keystore_password: str | None = None,
) -> InventoryKey:
    """Make a validator's key and put its files into a new sub-folder of an inventory, all or none.

    The key itself is forgotten, unless a password is given. Whoever keeps it can sign for the validator alone.

    Args:
        folder: the inventory; made if it is not there.
        pool: the pool's address.
        nonce: which of the pool's registrations it is for, from 0.
        operators: 4, 7, 10 or 13, for whom the key is split.
        network: that the deposit is signed for.
        created: an aware time.
        keystore_password: encrypts a keystore with the whole key (EIP-2335) beside the other files.

    Raises:
        KeySharesError: the operators or the nonce would be refused.
        KeyFileError: the files cannot be written.
    """
    secret = bls.random_secret()
    shares = split_key(secret, operators, pool, nonce)
    deposit = sign_deposit(secret, pool_credentials(pool), network.fork_version)
    short = shares.public_key.hex()[:12]
    place = folder / f"validator-{nonce:05}-{short}"
    refuse_existing(place)
    draft = folder / f".{place.name}.{secrets.token_hex(8)}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        draft.mkdir(mode=0o700)
        write_key_shares(draft / f"keyshares-{short}.json", [shares], created)
        write_deposit_data(draft / f"deposit_data-{short}.json", [deposit], network.name)
        if keystore_password is not None:
            write_private(draft / f"keystore-{short}.json", validator_keystore_json(secret, keystore_password))
        draft.rename(place)
    except OSError as error:
        raise KeyFileError(f"{place}: cannot be written: {error.strerror}") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return InventoryKey(shares, deposit, place)


def check_shares(shares: KeyShares, pool: str, nonce: int, name: str) -> None:
    """Make sure that key shares can be registered by a pool now.

    Args:
        shares: judged already.
        pool: the pool's address.
        nonce: its present nonce at the registry.
        name: what to begin the error text with.

    Raises:
        KeySharesError: for another owner or nonce.
    """
    if shares.owner.lower() != pool.lower():
        raise KeySharesError(
            f"{name}: key shares of owner {shares.owner}, expected the pool {pool}: split the key for this pool"
        )
    if shares.owner_nonce != nonce:
        raise KeySharesError(
            f"{name}: key shares for nonce {shares.owner_nonce}, expected {nonce}, the pool's next registration: "
            + ("it comes later" if shares.owner_nonce > nonce else "the nonce has passed, split the key again")
        )

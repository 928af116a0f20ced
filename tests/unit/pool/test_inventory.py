from datetime import UTC, datetime
from pathlib import Path

import pytest

from ssv_pool.crypto import operator_keys
from ssv_pool.crypto.keystore import ValidatorKeystore
from ssv_pool.crypto.operator_keys import OperatorKeyring
from ssv_pool.errors import KeyFileError
from ssv_pool.pool.deposit_data import DepositNetwork
from ssv_pool.pool.inventory import Inventory, InventoryError, InventoryKey, check_shares, make_key
from ssv_pool.pool.keyshares import KeySharesError, ShareOperator
from ssv_pool.protocol.types.primitives import OperatorId

POOL = "0x81592c3DE184A3E2c0DCB5a261BC107Bfa91f494"
OTHER = "0x" + "aa" * 20
NETWORK = DepositNetwork("devnet", bytes.fromhex("10000038"))
CREATED = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture(scope="module")
def operators() -> tuple[ShareOperator, ...]:
    keys = [OperatorKeyring(operator_keys.generate()) for _ in range(4)]
    return tuple(ShareOperator(OperatorId(place), ring.public_key) for place, ring in enumerate(keys, 1))


@pytest.fixture(scope="module")
def filled(
    operators: tuple[ShareOperator, ...], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[InventoryKey]]:
    """An inventory for nonces 3, 4 and 5; not to be written to."""
    folder = tmp_path_factory.mktemp("filled") / "inventory"
    return folder, [make_key(folder, POOL, nonce, operators, NETWORK, CREATED) for nonce in (3, 4, 5)]


def inventory(folder: Path, pool: str = POOL) -> Inventory:
    return Inventory(folder, pool, NETWORK.fork_version)


def test_keys_are_handed_out_by_nonce(filled: tuple[Path, list[InventoryKey]]) -> None:
    folder, made = filled
    found = inventory(folder)

    assert found.keys() == tuple(made)
    assert found.problems == ()
    assert found.next(4, ()) == made[1]
    assert found.free_nonce(0) == 6
    assert found.free_nonce(9) == 9
    assert found.deposit_of(made[2].public_key) == made[2].deposit
    assert found.deposit_of(bytes(48)) is None
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.glob("*/*"))
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


def test_nothing_for_a_nonce_says_what_there_is(filled: tuple[Path, list[InventoryKey]]) -> None:
    folder, made = filled
    with pytest.raises(InventoryError, match="nothing for the pool's nonce 2, unused keys are for nonce 3, 4, 5"):
        inventory(folder).next(2, ())
    with pytest.raises(InventoryError, match="nonce 4, unused keys are for nonce 3, 5: make keys"):
        inventory(folder).next(4, {made[1].public_key})
    with pytest.raises(InventoryError, match="it has no unused key"):
        inventory(folder).next(4, {key.public_key for key in made})


def test_keys_of_another_pool_are_a_problem(filled: tuple[Path, list[InventoryKey]]) -> None:
    folder, _ = filled
    other = inventory(folder, OTHER)

    assert other.keys() == ()
    assert len([line for line in other.problems if f"key shares of owner {POOL}" in line]) == 3
    assert len([line for line in other.problems if "withdrawal credentials" in line]) == 3
    with pytest.raises(InventoryError, match=r"its ETH would go to somebody else|key shares of owner"):
        other.next(3, ())


def test_bad_files_do_not_hide_good_ones(
    filled: tuple[Path, list[InventoryKey]], operators: tuple[ShareOperator, ...], tmp_path: Path
) -> None:
    good = make_key(tmp_path, POOL, 0, operators, NETWORK, CREATED)
    (tmp_path / "keyshares-bad.json").write_text("{")
    source = next(filled[0].glob("validator-00003-*"))
    (tmp_path / "keyshares-alone.json").write_bytes(next(source.glob("keyshares-*")).read_bytes())
    (tmp_path / "notes.json").write_text("not looked at")
    found = inventory(tmp_path)

    assert found.next(0, ()) == good
    assert len(found.problems) == 2
    assert any("keyshares-bad.json" in line for line in found.problems)
    assert any("no good deposit data for key" in line for line in found.problems)

    # The missing half comes, and the bad file goes.
    (tmp_path / "deposit_data-alone.json").write_bytes(next(source.glob("deposit_data-*")).read_bytes())
    (tmp_path / "keyshares-bad.json").unlink()
    assert found.next(3, ()).public_key == filled[1][0].public_key
    assert found.problems == ()


def test_a_file_that_changes_is_judged_again(operators: tuple[ShareOperator, ...], tmp_path: Path) -> None:
    made = make_key(tmp_path, POOL, 0, operators, NETWORK, CREATED)
    found = inventory(tmp_path)
    assert found.keys() == (made,)

    path = next(tmp_path.glob("*/deposit_data-*"))
    path.write_text(path.read_text().replace("32000000000", "31000000000"))
    assert found.keys() == ()
    assert "deposit_message_root" in found.problems[0]


def test_the_whole_key_is_kept_only_when_asked(operators: tuple[ShareOperator, ...], tmp_path: Path) -> None:
    forgotten = make_key(tmp_path, POOL, 0, operators, NETWORK, CREATED)
    kept = make_key(tmp_path, POOL, 1, operators, NETWORK, CREATED, keystore_password="a password")

    assert sorted(path.name.partition("-")[0] for path in forgotten.folder.iterdir()) == ["deposit_data", "keyshares"]
    keystore = next(kept.folder.glob("keystore-*"))
    assert ValidatorKeystore.read(keystore, "a password").public_key == kept.public_key


def test_folders_that_cannot_be_used(operators: tuple[ShareOperator, ...], tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="expected a folder of validators"):
        inventory(tmp_path / "missing").keys()
    (tmp_path / "file").write_text("")
    with pytest.raises(KeyFileError, match="cannot be written"):
        make_key(tmp_path / "file", POOL, 0, operators, NETWORK, CREATED)
    assert inventory(tmp_path / "missing").free_nonce(7) == 7


def test_shares_for_another_owner_or_nonce(filled: tuple[Path, list[InventoryKey]]) -> None:
    shares = filled[1][0].shares
    check_shares(shares, POOL.lower(), 3, "x")

    with pytest.raises(KeySharesError, match=f"x: key shares of owner {POOL}, expected the pool {OTHER}"):
        check_shares(shares, OTHER, 3, "x")
    with pytest.raises(KeySharesError, match=r"nonce 3, expected 2, the pool's next registration: it comes later"):
        check_shares(shares, POOL, 2, "x")
    with pytest.raises(KeySharesError, match="the nonce has passed, split the key again"):
        check_shares(shares, POOL, 4, "x")

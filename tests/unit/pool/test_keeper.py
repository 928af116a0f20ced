"""What a keeper writes down about rounds that could not be done, and that its key stays where it is."""

from pathlib import Path

from ssv_pool.beacon.client import BeaconClient
from ssv_pool.errors import UnavailableError
from ssv_pool.pool.keeper import Keeper, open_account
from ssv_pool.settings import load_settings
from ssv_pool.store.database import Database
from ssv_pool.store.pool import audit_lines

KEY = "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"


def made(folder: Path) -> tuple[Keeper, Database]:
    file = folder / "account.key"
    file.touch(mode=0o600)
    file.write_text(KEY)
    (folder / "config.yaml").write_text(
        "network: devnet\ndata_dir: data\noperator: {private_key_file: a, password_file: b}\n"
        "pool: {contract: '0x1111111111111111111111111111111111111111', key_file: account.key}\n"
    )
    settings = load_settings(folder / "config.yaml", environment={})
    database = Database(settings.store_url)
    database.create_schema()
    return Keeper(settings, open_account(settings), database, BeaconClient(settings.beacon.nodes)), database


def test_trouble_is_written_when_it_begins_and_when_it_ends(tmp_path: Path) -> None:
    keeper, database = made(tmp_path)
    for _ in range(2):
        keeper.works("fund")
        for _ in range(3):
            keeper.fail("fund", UnavailableError("execution node: no answer"))
        keeper.works("fund")
        keeper.works("fund")
    with database.read() as session:
        lines = audit_lines(session)
    keeper.close()
    database.close()
    once = [("fund", "failed", "execution node: no answer"), ("fund", "noted", "works again")]
    assert [(line.task, line.outcome, line.detail) for line in lines] == 2 * once


def test_a_keeper_does_not_show_its_key(tmp_path: Path) -> None:
    keeper, database = made(tmp_path)
    shown = repr(keeper) + repr(vars(keeper)) + str(keeper._account)
    keeper.close()
    database.close()
    assert KEY not in shown
    assert bytes.fromhex(KEY).hex()[:16] not in shown
    assert str(int(KEY, 16)) not in shown

"""``ssv-pool keeper``: what is wrong with the settings or the key file is one line, and the audit is shown."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from ssv_pool.cli.keeper import keeper
from ssv_pool.errors import ConfigError, KeyFileError
from ssv_pool.node.supervisor import keeper_command
from ssv_pool.settings import load_settings
from ssv_pool.store.database import Database
from ssv_pool.store.pool import AuditLine, add_line

KEY = "59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"


def config(folder: Path, pool: str = "{contract: '0x1111111111111111111111111111111111111111', key_file: k}") -> Path:
    path = folder / "config.yaml"
    path.write_text(
        f"network: devnet\ndata_dir: data\noperator: {{private_key_file: a, password_file: b}}\npool: {pool}\n"
    )
    return path


def failure(path: Path, *arguments: str) -> BaseException | None:
    return CliRunner().invoke(keeper, [*arguments, "--config", str(path)], standalone_mode=False).exception


@pytest.mark.parametrize("command", ["run", "once"])
def test_without_a_pool_there_is_no_keeper(tmp_path: Path, command: str) -> None:
    error = failure(config(tmp_path, "{}"), command)
    assert isinstance(error, ConfigError)
    assert str(error) == "pool.contract: missing, expected the address of the pool that the keeper is to keep"


@pytest.mark.parametrize("command", ["run", "once"])
def test_a_key_that_others_may_read_is_refused_and_not_shown(tmp_path: Path, command: str) -> None:
    file = tmp_path / "k"
    file.write_text(KEY)
    file.chmod(0o644)
    error = failure(config(tmp_path), command)
    assert isinstance(error, KeyFileError)
    assert str(error).startswith(f"{file}: a key that other users may read, expected mode 0600")
    assert KEY[:16] not in str(error)


def test_a_file_that_holds_no_key_is_refused_and_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "k"
    file.touch(mode=0o600)
    file.write_text(KEY[:-2])
    error = failure(config(tmp_path), "once")
    assert isinstance(error, KeyFileError)
    assert KEY[:16] not in str(error)


def test_the_audit_is_shown_oldest_first(tmp_path: Path) -> None:
    path = config(tmp_path)
    database = Database(load_settings(path, environment={}).store_url)
    database.create_schema()
    with database.session() as session:
        add_line(session, AuditLine(0.0, "fund", "0x11", "signed", "funding"))
        add_line(session, AuditLine(60.0, "exits", "0x11", "sent", "exit", b"\xab" * 32))
    database.close()
    shown = CliRunner().invoke(keeper, ["log", "--config", str(path)])
    assert shown.output == (
        "1970-01-01 00:00:00 fund: 0x11: signed: funding\n"
        f"1970-01-01 00:01:00 exits: 0x11: sent: exit, transaction 0x{'ab' * 32}\n"
    )
    listed = CliRunner().invoke(keeper, ["log", "--json", "--task", "exits", "--config", str(path)])
    assert [(line["task"], line["tx_hash"]) for line in json.loads(listed.output)] == [("exits", f"0x{'ab' * 32}")]


def test_the_keeper_is_a_worker_of_a_queue_of_its_own(tmp_path: Path) -> None:
    command = keeper_command(load_settings(config(tmp_path), environment={}))
    assert command[2:8] == ("celery", "--app", "workers.keeper", "worker", "--queues", "keeper")

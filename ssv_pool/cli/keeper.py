"""``ssv-pool keeper``: run a pool's keeper, do one round of it, or show what it did."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from ssv_pool.cli.options import config_option, read_settings

NAMES = ("watch", "committees", "report", "withdrawals", "exits", "clusters", "fund", "register", "removals")
"""The keeper's tasks; a test holds them equal to `ssv_pool.pool.judgement.TASKS`."""


@click.group()
def keeper() -> None:
    """Keep a staking pool as one of its members; what was done."""


@keeper.command()
@config_option
def run(config_path: Path | None) -> int:
    """Run the keeper alone, with an embedded broker unless broker_url is set.

    `operator run` starts it with the rest where pool.contract is set.
    """
    from ssv_pool.node.supervisor import run_keeper
    from ssv_pool.pool.keeper import open_account

    settings = read_settings(config_path)
    # What is wrong with the key file is said once, before anything starts.
    open_account(settings)
    return run_keeper(settings, config_path)


@keeper.command()
@click.option("--task", "tasks", type=click.Choice(NAMES), multiple=True, help="Only this task; may be repeated.")
@click.option("--dry-run", is_flag=True, help="Sign, send and write down nothing; transactions are simulated.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list instead of text.")
@config_option
def once(config_path: Path | None, tasks: tuple[str, ...], *, dry_run: bool, as_json: bool) -> int:
    """Do one round and print what was done, signed, refused or found.

    Exit status 1 when a transaction was refused.
    """
    from ssv_pool.beacon.client import BeaconClient
    from ssv_pool.pool.audit import REFUSED
    from ssv_pool.pool.keeper import Keeper, open_account
    from ssv_pool.store.database import Database

    settings = read_settings(config_path)
    account = open_account(settings)
    database = Database(settings.store_url)
    database.create_schema()
    beacon = BeaconClient(settings.beacon.nodes, settings.beacon.timeout_seconds)
    kept = Keeper(settings, account, database, beacon)
    try:
        done = kept.round(beacon.chain(), tasks or NAMES, dry_run=dry_run)
    finally:
        kept.close()
        beacon.close()
        database.close()
    if as_json:
        click.echo(json.dumps([{**asdict(item), "tx_hash": _hash(item.tx_hash)} for item in done], indent=1))
    else:
        for item in done:
            click.echo(f"{item.task}: {item.subject}: {item.outcome}: {item.detail}{_suffix(item.tx_hash)}")
        if not done:
            click.echo("nothing to do")
    return 1 if any(item.outcome == REFUSED for item in done) else 0


@keeper.command()
@click.option("--task", help="Only this task's lines.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, metavar="N", help="The latest N.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list instead of text.")
@config_option
def log(config_path: Path | None, task: str | None, limit: int, *, as_json: bool) -> None:
    """Show the audit lines, oldest first."""
    from ssv_pool.store.database import Database
    from ssv_pool.store.pool import audit_lines

    database = Database(read_settings(config_path).store_url)
    try:
        database.create_schema()
        with database.read() as session:
            lines = audit_lines(session, task=task, limit=limit)
    finally:
        database.close()
    if as_json:
        shown: list[dict[str, Any]] = [{**asdict(line), "tx_hash": _hash(line.tx_hash)} for line in lines]
        click.echo(json.dumps(shown, indent=1))
        return
    for line in lines:
        when = datetime.fromtimestamp(line.time, UTC).strftime("%Y-%m-%d %H:%M:%S")
        text = f"{when} {line.task}: {line.subject}: {line.outcome}: {line.detail}{_suffix(line.tx_hash)}"
        click.echo(text)
    if not lines:
        click.echo("no such lines in the audit", err=True)


def _hash(tx_hash: bytes | None) -> str | None:
    return None if tx_hash is None else f"0x{tx_hash.hex()}"


def _suffix(tx_hash: bytes | None) -> str:
    return "" if tx_hash is None else f", transaction 0x{tx_hash.hex()}"

"""``ssv-pool registry sync``: read the registry contract's events into the operator's store, now."""

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from ssv_pool.cli.options import config_option, read_settings


@click.command("sync")
@config_option
@click.option("--check-all", is_flag=True, help="Compare every block with its header, old ones too.")
@click.option("--rebuild", is_flag=True, help="Forget what was read before, and read all anew.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def sync(config_path: Path | None, check_all: bool, rebuild: bool, as_json: bool) -> int:
    """Read the registry contract's events into the store, up to the follow distance behind the head.

    Goes on where the last one ended, however that was. Workers do the same by themselves: this shows how far it is.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from ssv_pool.registry.following import SyncProgress, registry_sync
    from ssv_pool.store.database import Database
    from ssv_pool.store.registry import malformed_counts
    from ssv_pool.store.undo import forget_registry, repairs

    settings = read_settings(config_path)
    database = Database(settings.store_url)
    database.create_schema()
    if rebuild:
        with database.session() as session:
            forget_registry(session)
    following = registry_sync(settings, database, check_all=check_all)
    console = Console(stderr=True)
    columns = (
        TextColumn("block {task.fields[block]}"),
        BarColumn(),
        TextColumn("{task.percentage:.1f} %, {task.fields[pace]} events/s"),
        TimeRemainingColumn(),
    )
    begun = time.monotonic()
    made = SyncProgress(begun)
    found: dict[str, Any] = {"applied": 0, "ignored": 0, "malformed": 0, "compared": 0, "gaps": 0, "rollbacks": 0}
    try:
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task("sync", total=100.0, block="?", pace=0)
            while True:
                result = following.step()
                made.note(result)
                state = made.state(result, time.monotonic())
                bar.update(task, completed=state.percent, block=state.block, pace=round(state.events_per_second))
                found["applied"] += result.applied
                found["ignored"] += result.ignored
                found["malformed"] += len(result.malformed)
                found["compared"] += result.compared
                found["gaps"] += len(result.gaps)
                found["rollbacks"] += result.rolled_back is not None
                for gap in result.gaps:
                    console.print(str(gap), markup=False, highlight=False)
                if result.caught_up:
                    break
        with database.read() as session:
            found |= {"block": result.to_block, "head": result.head, "seconds": round(time.monotonic() - begun, 1)}
            found |= {"malformed_by_reason": malformed_counts(session), "repairs_ever": asdict(repairs(session))}
    finally:
        following.close()
        database.close()
    if as_json:
        click.echo(json.dumps(found))
    else:
        click.echo(
            f"block {found['block']} of {found['head']}: {found['applied']} events applied, {found['ignored']} without "
            f"effect, {found['malformed']} malformed; {found['compared']} blocks compared with their headers, "
            f"{found['gaps']} repaired"
        )
    return 0

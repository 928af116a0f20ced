"""``ssv-pool duties``: the duty journal, with the time of every step and the reason of whatever failed or came late."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from ssv_pool.cli.options import config_option, read_settings
from ssv_pool.errors import ConfigError
from ssv_pool.protocol.chain import BeaconChain
from ssv_pool.protocol.events import Reason
from ssv_pool.protocol.types.primitives import Epoch, Slot
from ssv_pool.protocol.types.roles import RunnerRole
from ssv_pool.store.journal import JournalEntry
from ssv_pool.store.verdict import FAILED, LATE, Verdict

ROLES = {role.name.lower(): role for role in RunnerRole if role is not RunnerRole.UNKNOWN}
"""The roles by their names in this command."""

LATEST = 50
"""How many duties are shown where no epoch and no limit is given."""


@dataclass(frozen=True, slots=True)
class _Line:
    """One duty as it is shown."""

    entry: JournalEntry
    verdict: Verdict
    epoch: Epoch | None
    """None where the chain's constants are not known yet."""
    included: Slot | None
    """Slot of the block that it is in; None where that is not known."""


@click.command("duties")
@click.option("--failed", is_flag=True, help="Only duties that failed or came late.")
@click.option("--epoch", type=click.IntRange(min=0), metavar="E", help="Only duties of this epoch.")
@click.option("--role", type=click.Choice(sorted(ROLES)), help="Only duties of this role.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help=f"The latest N (without --epoch: {LATEST}).")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list instead of text.")
@config_option
def duties(
    config_path: Path | None,
    epoch: int | None,
    role: str | None,
    limit: int | None,
    *,
    failed: bool,
    as_json: bool,
) -> None:
    """Show this operator's duties, oldest first: how each went, and when it reached which step.

    Times of steps are seconds after the duty was due. What failed or came late has a reason (docs/reasons.md) and the
    numbers of those members of the committee that said nothing. That something did not come into the chain is known an
    epoch later.
    """
    wanted = limit or (LATEST if epoch is None else None)
    lines = _read(config_path, epoch, None if role is None else ROLES[role], None if failed else wanted)
    if failed:
        lines = [line for line in lines if line.verdict.state in {FAILED, LATE}]
    lines = lines if wanted is None else lines[-wanted:]
    if as_json:
        click.echo(json.dumps([_as_json(line) for line in lines], indent=1))
        return
    for line in lines:
        click.echo("\n".join(_as_text(line)))
    if not lines:
        click.echo("no such duties in the journal", err=True)


def _read(config_path: Path | None, epoch: int | None, role: RunnerRole | None, limit: int | None) -> list[_Line]:
    from ssv_pool.store.chain import load_chain
    from ssv_pool.store.database import Database
    from ssv_pool.store.journal import entries

    database = Database(read_settings(config_path).store_url)
    try:
        database.create_schema()
        with database.read() as session:
            chain = load_chain(session)
            first, last = _slots(chain, epoch)
            found = entries(session, role=role, from_slot=first, to_slot=last, limit=limit)
    finally:
        database.close()
    return [_line(entry, chain) for entry in found]


def _line(entry: JournalEntry, chain: BeaconChain | None) -> _Line:
    from ssv_pool.store.verdict import judge

    if chain is None:
        return _Line(entry, judge(entry, None), None, None)
    included = entry.steps.get("included")
    # The step is the block's slot's start; half a slot later no rounding puts it into the one before.
    slot = None if included is None else chain.slot_at(included + chain.slot_seconds / 2)
    return _Line(entry, judge(entry, chain), chain.epoch_of(entry.slot), slot)


def _slots(chain: BeaconChain | None, epoch: int | None) -> tuple[int, int | None]:
    """The first and the last slot wanted."""
    if epoch is None:
        return 0, None
    if chain is None:
        raise ConfigError(f"--epoch: {epoch}, and the chain's constants are not known yet: no beacon node was asked")
    first = chain.first_slot(epoch)
    return first, first + chain.slots_per_epoch - 1


def _as_json(line: _Line) -> dict[str, Any]:
    entry = line.entry
    return {
        "key": entry.key,
        "role": _role(entry),
        "slot": entry.slot,
        "epoch": line.epoch,
        "executor": f"0x{entry.executor.hex()}",
        "state": line.verdict.state,
        "outcome": entry.outcome,
        "reason": None if line.verdict.reason is Reason.NONE else line.verdict.reason.value,
        "detail": line.verdict.detail,
        "round": entry.round,
        "silent_operators": list(entry.silent_operators),
        "included_slot": line.included,
        "steps": dict(sorted(entry.steps.items(), key=lambda step: step[1])),
    }


def _as_text(line: _Line) -> list[str]:
    entry, verdict = line.entry, line.verdict
    where = f"slot {entry.slot}" + ("" if line.epoch is None else f" of epoch {line.epoch}")
    title = f"{where}: {_role(entry).replace('_', ' ')} {entry.key.rpartition(':')[2][:16]}, {verdict.state}"
    if entry.round:
        title += f", round {entry.round}"
    shown = [title]
    if verdict.state in {FAILED, LATE}:
        name = "reason not known" if verdict.reason is Reason.NONE else verdict.reason.value
        shown.append(f"  {name}{f': {verdict.detail}' if verdict.detail else ''}")
        if entry.silent_operators:
            shown.append(f"  silent: operators {', '.join(map(str, entry.silent_operators))}")
    elif verdict.detail:
        shown.append(f"  {verdict.detail}")
    if entry.steps.keys() - {"included"}:
        steps = sorted(entry.steps.items(), key=lambda step: step[1])
        # The one time that is no step of this operator's: said in slots.
        steps = [step for step in steps if step[0] != "included" or line.included is None]
        due = entry.steps.get("due", steps[0][1])
        began = datetime.fromtimestamp(due, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        rest = ", ".join(f"{name} {time - due:+.3f}" for name, time in steps if name != "due")
        shown.append(f"  {began} UTC{f': {rest}' if rest else ''}")
    if line.included is not None:
        shown[-1] += f"; in the block of slot {line.included}"
    return shown


def _role(entry: JournalEntry) -> str:
    try:
        return RunnerRole(entry.role).name.lower()
    except ValueError:
        return f"role {entry.role}"

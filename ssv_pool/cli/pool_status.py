"""What ``ssv-pool pool status`` prints: lines and tables for people, one object for programs."""

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from ssv_pool.cli.pool_options import short_ids, when

if TYPE_CHECKING:
    from ssv_pool.pool.status import PoolStatus
    from ssv_pool.registry.views import ClusterStatus


def status_json(found: "PoolStatus", block_seconds: float) -> dict[str, Any]:
    """All of it; amounts in wei as decimal text."""
    from ssv_pool.pool.approvals import body_of
    from ssv_pool.pool.status import STATES

    amounts = {
        name: str(getattr(found, name))
        for name in (
            "assets",
            "supply",
            "price",
            "buffered",
            "reserved",
            "unbooked",
            "beacon_balance",
            "deposited",
            "pending",
            "fundable",
            "allowance",
        )
    }
    pause = found.pause
    return amounts | {
        "block": found.block,
        "time": found.time,
        "owner": found.owner,
        "members": list(found.members),
        "quorum": found.quorum,
        "exits_under_way": found.exits_under_way,
        "waiting": found.waiting,
        "queue": [
            {
                "place": place,
                "request": item.number,
                "owner": item.owner,
                "receiver": item.receiver,
                "shares": str(item.shares),
                "assets": str(item.assets),
                "block": item.block_number,
            }
            for place, item in enumerate(found.queue, 1)
        ],
        "validators": [
            {
                "validator": f"0x{item.public_key.hex()}",
                "state": STATES[item.state],
                "operators": list(item.operator_ids),
            }
            for item in found.validators
        ],
        "clusters": [
            {
                "operators": list(item.operator_ids),
                "validators": item.cluster.validator_count,
                "balance": str(item.balance),
                "state": _cluster_state(item),
                "runway_days": item.runway_days(block_seconds),
            }
            for item in found.clusters
        ],
        "last_report": body_of(found.last_report) if found.last_report.number else None,
        "reported": found.reported if found.last_report.number else None,
        "report_age_seconds": found.time - found.reported if found.last_report.number else None,
        "pause": {
            "paused": pause.paused,
            "by": pause.by if pause.since else None,
            "since": pause.since or None,
            "until": pause.until or None,
            "reason": pause.reason,
        },
    }


def show_status(address: str, found: "PoolStatus", block_seconds: float) -> None:
    """Print it for people."""
    from ssv_pool.pool.status import STATES

    lines = [
        ("pool", f"{address} at block {found.block}"),
        ("assets", f"{_ether(found.assets)} ETH"),
        ("shares", f"{_ether(found.supply)} sspETH"),
        ("price", f"{_ether(found.price)} ETH a share"),
        ("buffered", f"{_ether(found.buffered)} ETH, of which {_ether(found.fundable)} are free for validators"),
        ("reserved", f"{_ether(found.reserved)} ETH for withdrawals that can be claimed"),
        ("not booked yet", f"{_ether(found.unbooked)} ETH"),
        (
            "at the beacon chain",
            f"{_ether(found.beacon_balance)} ETH reported, {_ether(found.deposited)} ever deposited",
        ),
        ("cluster budget", f"{_ether(found.allowance)} ETH left in this window of 30 days"),
        (
            "leaving",
            f"{found.waiting} requests, {_ether(found.pending)} ETH at most; {found.exits_under_way} exits under way",
        ),
        ("last report", _report_line(found)),
        ("paused", _pause_line(found)),
        ("validators", _counts(Counter(STATES[item.state] for item in found.validators))),
        ("members", f"{len(found.members)}, {found.quorum} must sign; owner {found.owner}"),
    ]
    width = max(len(name) for name, _ in lines)
    for name, text in lines:
        click.echo(f"{name:{width}}  {text}")
    _table(
        "queue",
        ("place", "request", "owner", "worth at most", "asked in block"),
        [
            (str(place), str(item.number), item.owner, f"{_ether(item.assets)} ETH", str(item.block_number))
            for place, item in enumerate(found.queue, 1)
        ],
    )
    _table(
        "validators",
        ("validator", "state", "operators"),
        [(f"0x{item.public_key.hex()}", STATES[item.state], short_ids(item.operator_ids)) for item in found.validators],
    )
    _table(
        "clusters",
        ("operators", "validators", "balance", "state", "runway"),
        [
            (
                short_ids(item.operator_ids),
                str(item.cluster.validator_count),
                f"{_ether(item.balance)} ETH",
                _cluster_state(item),
                _runway(item, block_seconds),
            )
            for item in found.clusters
        ],
    )


def _table(title: str, heads: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    if not rows:
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        # A pipe has no width; nothing is folded for it.
        widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
        console = Console(width=sum(widths) + 3 * len(heads))
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in rows:
        table.add_row(*row)
    click.echo()
    console.print(table)


def _report_line(found: "PoolStatus") -> str:
    report = found.last_report
    if report.number == 0:
        return f"none since {when(found.reported)}"
    age = found.time - found.reported
    ago = f"{age // 3600} h {age % 3600 // 60} min ago"
    return f"number {report.number} of slot {report.slot}, {ago} ({when(found.reported)})"


def _pause_line(found: "PoolStatus") -> str:
    pause = found.pause
    if not pause.since:
        return "no, and never was"
    by = f"by {pause.by} since {when(pause.since)} until {when(pause.until)}: {pause.reason or 'no reason given'}"
    return by if pause.paused else f"no; last {by}"


def _counts(states: Counter[str]) -> str:
    return ", ".join(f"{count} {state}" for state, count in states.items()) or "none"


def _cluster_state(item: "ClusterStatus") -> str:
    return "liquidated" if item.liquidated else "can be liquidated" if item.liquidatable else "active"


def _runway(item: "ClusterStatus", block_seconds: float) -> str:
    days = item.runway_days(block_seconds)
    return "without end" if days is None else f"{days:.1f} days"


def _ether(wei: int) -> str:
    from ssv_pool.registry.transactions import ether

    return ether(wei)

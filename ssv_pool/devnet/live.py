"""What a person sees while the devnet runs: the chain, and one line for each operator."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from ssv_pool.devnet.config import SLOTS_PER_EPOCH, DevnetConfig
from ssv_pool.devnet.processes import OperatorProcess
from ssv_pool.report.figures import Distribution

POLL_SECONDS = 1.0


@dataclass(slots=True)
class ChainView:
    """The chain as the beacon node last told."""

    slot: int = 0
    head_slot: int = 0
    justified_epoch: int = 0
    finalized_epoch: int = 0


@dataclass(slots=True)
class LiveView:
    """Collects what the operators and the beacon node say, and draws it."""

    config: DevnetConfig
    beacon_url: str
    operators: Sequence[OperatorProcess]
    status_urls: Mapping[int, str]
    genesis_time: float
    chain: ChainView = field(default_factory=ChainView)
    states: dict[int, dict[str, Any]] = field(default_factory=dict)
    down: set[int] = field(default_factory=set)
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=0.8, trust_env=False))

    def poll(self, now: float) -> None:
        """Ask everybody once. Who does not answer keeps what was last known; a dead operator shows as down."""
        self.chain.slot = max(0, int((now - self.genesis_time) // self.config.slot_seconds))
        head = self._get(f"{self.beacon_url}/eth/v1/beacon/headers/head")
        if head:
            self.chain.head_slot = int(head["data"]["header"]["message"]["slot"])
        finality = self._get(f"{self.beacon_url}/eth/v1/beacon/states/head/finality_checkpoints")
        if finality:
            self.chain.justified_epoch = int(finality["data"]["current_justified"]["epoch"])
            self.chain.finalized_epoch = int(finality["data"]["finalized"]["epoch"])
        for operator in self.operators:
            operator.sample()
            state = self._get(self.status_urls[operator.operator_id]) if operator.alive else None
            if state:
                self.states[operator.operator_id] = state
                self.down.discard(operator.operator_id)
            elif not operator.alive:
                self.down.add(operator.operator_id)

    def render(self, now: float) -> RenderableType:
        """The whole picture."""
        return Group(self._chain_panel(now), self._operator_table())

    def _chain_panel(self, now: float) -> RenderableType:
        until = self.genesis_time - now
        if until > 0:
            return Panel(Text(f"genesis in {until:.0f} s: operators are starting"), title="devnet", title_align="left")
        chain, last = self.chain, (self.config.last_epoch + 1) * SLOTS_PER_EPOCH
        line = Table.grid(padding=(0, 3))
        line.add_row(
            f"slot [b]{chain.slot}[/b]",
            f"epoch [b]{chain.slot // SLOTS_PER_EPOCH}[/b] of {self.config.last_epoch}",
            f"head [b]{chain.head_slot}[/b]",
            f"justified [b]{chain.justified_epoch}[/b]",
            f"finalized [b]{chain.finalized_epoch}[/b]",
        )
        bar = ProgressBar(total=last, completed=min(chain.slot, last), width=60)
        return Panel(Group(line, bar), title="devnet", title_align="left")

    def _operator_table(self) -> Table:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for name in ("operator", "peers", "duties", "failed", "slot", "round", "start", "commit", "CPU", "memory", ""):
            table.add_column(name, justify="right" if name not in ("operator", "") else "left")
        for operator in self.operators:
            table.add_row(*self._operator_row(operator))
        return table

    def _operator_row(self, operator: OperatorProcess) -> tuple[str, ...]:
        usage = (f"{operator.usage.cpu_seconds:.0f} s", f"{operator.usage.rss_mb:.0f} MB")
        state = self.states.get(operator.operator_id)
        note = "[red]down[/red]" if operator.operator_id in self.down else ""
        if operator.restarts:
            note += f" [yellow]restarted {operator.restarts}x[/yellow]"
        if state is None:
            return (str(operator.operator_id), *("-",) * 7, *usage, note or "[dim]starting[/dim]")
        last = state["last"] or {}
        peers = f"{state['peers']['connected']}/{state['peers']['configured']}"
        failed = state["duties"]["failed"] + state["duties"]["expired"]
        return (
            str(operator.operator_id),
            peers,
            str(state["duties"]["completed"]),
            f"[red]{failed}[/red]" if failed else "0",
            str(last.get("slot", "-")),
            str(last.get("round", "-")),
            _ms(last.get("start_delay_ms")),
            _ms(last.get("commit_delay_ms")),
            *usage,
            note,
        )

    def _get(self, url: str) -> dict[str, Any] | None:
        try:
            reply = self.client.get(url)
            value = reply.json() if reply.status_code in (200, 503) else None
        except (httpx.HTTPError, ValueError):
            return None
        return value if isinstance(value, dict) else None


def distribution_text(distribution: Distribution | None) -> str:
    """``p50 3.1  p99 12.0  max 15.2 ms``."""
    if distribution is None:
        return "none measured"
    return f"p50 {distribution.p50:.1f}  p99 {distribution.p99:.1f}  max {distribution.maximum:.1f} ms"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} ms"

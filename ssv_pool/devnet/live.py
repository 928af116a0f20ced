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

POLL_SECONDS = 1.0

COLUMNS = (
    *("operator", "peers", "attest", "blocks", "aggregate", "sync", "failed"),
    *("slot", "round", "start", "commit", "CPU", "memory", ""),
)

ROLES = (
    ("committee",),
    ("proposer",),
    ("aggregator", "aggregator_committee"),
    ("sync_committee_contribution", "aggregator_committee"),
)
"""Runner roles whose completed duties are in the columns from ``attest`` to ``sync``."""


@dataclass(slots=True)
class ChainView:
    """The chain as the beacon node last told."""

    slot: int = 0
    head_slot: int = 0
    justified_epoch: int = 0
    finalized_epoch: int = 0
    made: dict[int, int] = field(default_factory=dict)
    """Slot → sync committee signatures in its block, of the blocks that were the head when it was asked for."""
    sync_size: int = 0
    """Places in the sync committee."""


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
            self._note_head()
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

    def _note_head(self) -> None:
        """Look into the head block once: a slot whose block was never the head when asked counts as without one."""
        if self.chain.head_slot in self.chain.made:
            return
        block = self._get(f"{self.beacon_url}/eth/v2/beacon/blocks/{self.chain.head_slot}")
        if block:
            bits = block["data"]["message"]["body"]["sync_aggregate"]["sync_committee_bits"].removeprefix("0x")
            self.chain.made[self.chain.head_slot] = int(bits, 16).bit_count()
            self.chain.sync_size = 4 * len(bits)

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
        recent = [slot for slot in chain.made if chain.slot - SLOTS_PER_EPOCH < slot <= chain.slot and slot > 0]
        signed, places = sum(chain.made[slot] for slot in recent), chain.sync_size * len(recent)
        latest = Table.grid(padding=(0, 3))
        latest.add_row(
            "last epoch:",
            f"blocks [b]{len(recent)}[/b] of {min(SLOTS_PER_EPOCH, chain.slot)}",
            f"sync [b]{signed / places:.0%}[/b]" if places else "",
        )
        bar = ProgressBar(total=last, completed=min(chain.slot, last), width=60)
        return Panel(Group(line, latest, bar), title="devnet", title_align="left")

    def _operator_table(self) -> Table:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for name in COLUMNS:
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
            return (str(operator.operator_id), *("-",) * 10, *usage, note or "[dim]starting[/dim]")
        last = state["last"] or {}
        peers = f"{state['peers']['connected']}/{state['peers']['configured']}"
        done = state["duties"].get("completed_by_role", {})
        failed = state["duties"]["failed"] + state["duties"]["expired"]
        return (
            str(operator.operator_id),
            peers,
            *(str(sum(done.get(role, 0) for role in roles)) for roles in ROLES),
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


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} ms"

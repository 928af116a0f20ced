"""The node's status page: what an operator, or the devnet's live view, wants to see at a glance.

It is made on a thread of the HTTP server, so it reads only values that are replaced as a whole.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ssv_pool import __version__
from ssv_pool.protocol.events import DutyRecord, Outcome

if TYPE_CHECKING:
    from ssv_pool.node.process import Node


@dataclass(slots=True)
class DutyStatus:
    """How duties went since the start, and the last one."""

    outcomes: Counter[str] = field(default_factory=Counter)
    completed: Counter[str] = field(default_factory=Counter)
    """Runner role, in lower case → duties that completed."""
    last: DutyRecord | None = None

    def note(self, record: DutyRecord) -> None:
        """Count a duty that ended."""
        self.outcomes[record.outcome.value] += 1
        if record.outcome is Outcome.COMPLETED:
            self.completed[record.role.name.lower()] += 1
        self.last = record


def status_page(node: "Node") -> dict[str, Any]:
    """The page as JSON. Holds nothing secret."""
    view, counts = node.view, node.duties.outcomes
    peers = node.peers
    return {
        "version": __version__,
        "operator_id": view.operator_id,
        "registry": {
            "version": view.version,
            "block": view.block_number,
            "malformed_events": dict(node.malformed_events),
        },
        "committees": len(view.own),
        "validators": view.validators,
        "bad_shares": {f"0x{key.hex()}": why for key, why in view.bad_shares.items()},
        "peers": {
            "configured": len(peers),
            "connected": sum(peer.connected for peer in peers),
            "list": [
                {
                    "id": peer.peer_id,
                    "address": peer.address,
                    "connected": peer.connected,
                    "since": peer.since,
                    "rtt_seconds": peer.rtt,
                    "last_error": peer.last_error,
                }
                for peer in peers
            ],
        },
        "duties": {
            "running": node.running_duties,
            "completed": counts["completed"],
            "failed": counts["failed"],
            "expired": counts["expired"],
            "completed_by_role": dict(node.duties.completed),
        },
        "last": None if node.duties.last is None else _last(node.duties.last),
    }


def _last(record: DutyRecord) -> dict[str, Any]:
    steps = {step.name: step.time for step in record.steps}

    def span(start: str, end: str) -> float | None:
        return round((steps[end] - steps[start]) * 1000, 1) if start in steps and end in steps else None

    return {
        "key": record.key,
        "slot": record.slot,
        "outcome": record.outcome.value,
        "reason": record.reason.value,
        "detail": record.detail,
        "round": record.round,
        "start_delay_ms": span("due", "begun"),
        "commit_delay_ms": span("consensus_started", "decided"),
    }

"""The status page: what it says before anything is known, and with everything there is; never a secret."""

import json
from types import SimpleNamespace
from typing import Any

from ssv_pool import __version__
from ssv_pool.network import PeerStatus
from ssv_pool.node.registry import OwnCommittee, RegistryState
from ssv_pool.node.status import DutyStatus, status_page
from ssv_pool.protocol.events import DutyRecord, Outcome, Reason, StepTime
from ssv_pool.protocol.types.primitives import CommitteeId, OperatorId, PublicKey, Round, Slot, ValidatorIndex
from ssv_pool.protocol.types.roles import RunnerRole


def node(**facts: Any) -> Any:
    values: dict[str, Any] = {
        "view": RegistryState(),
        "duties": DutyStatus(),
        "peers": (),
        "running_duties": 0,
        "malformed_events": {},
    }
    return SimpleNamespace(**{**values, **facts})


def record(outcome: Outcome, *steps: tuple[str, float]) -> DutyRecord:
    return DutyRecord(
        key="committee:9:ab",
        role=RunnerRole.COMMITTEE,
        slot=Slot(9),
        committee_id=CommitteeId(bytes(32)),
        outcome=outcome,
        reason=Reason.NONE if outcome is Outcome.COMPLETED else Reason.NO_PROPOSAL,
        detail="why",
        round=Round(2),
        silent_operators=(),
        validators=1,
        completed=0,
        steps=tuple(StepTime(*step) for step in steps),
    )


def test_a_node_that_has_just_started() -> None:
    page = status_page(node())
    assert page == {
        "version": __version__,
        "operator_id": None,
        "registry": {"version": 0, "block": -1, "malformed_events": {}},
        "committees": 0,
        "validators": 0,
        "bad_shares": {},
        "peers": {"configured": 0, "connected": 0, "list": []},
        "duties": {"running": 0, "completed": 0, "failed": 0, "expired": 0, "completed_by_role": {}},
        "last": None,
    }


def test_a_node_at_work() -> None:
    duties = DutyStatus()
    duties.note(record(Outcome.FAILED))
    duties.note(record(Outcome.EXPIRED))
    duties.note(
        record(Outcome.COMPLETED, ("due", 5.0), ("begun", 5.0123), ("consensus_started", 5.1), ("decided", 5.2))
    )
    peer = PeerStatus("16Uiu2", "/ip4/…", connected=True, since=3.0, rtt=0.01, topics=(), last_error=None)
    lost = PeerStatus("16Uiu3", "/ip4/…", connected=False, since=None, rtt=None, topics=(), last_error="refused")
    own = OwnCommittee(None, {ValidatorIndex(1): None, ValidatorIndex(2): None})  # type: ignore[arg-type, dict-item]
    view = RegistryState(
        version=7,
        block_number=99,
        operator_id=OperatorId(3),
        own={CommitteeId(bytes(32)): own},
        bad_shares={PublicKey(b"\xab" * 48): "does not decrypt"},
    )
    facts = node(view=view, duties=duties, peers=(peer, lost), running_duties=1, malformed_events={"signature": 2})
    page = json.loads(json.dumps(status_page(facts)))
    assert page["registry"] == {"version": 7, "block": 99, "malformed_events": {"signature": 2}}
    assert (page["operator_id"], page["committees"], page["validators"]) == (3, 1, 2)
    assert page["bad_shares"] == {"0x" + "ab" * 48: "does not decrypt"}
    assert (page["peers"]["configured"], page["peers"]["connected"]) == (2, 1)
    assert page["peers"]["list"][1] == {
        "id": "16Uiu3",
        "address": "/ip4/…",
        "connected": False,
        "since": None,
        "rtt_seconds": None,
        "last_error": "refused",
    }
    assert page["duties"] == {
        "running": 1,
        "completed": 1,
        "failed": 1,
        "expired": 1,
        "completed_by_role": {"committee": 1},
    }
    assert page["last"] == {
        "key": "committee:9:ab",
        "slot": 9,
        "outcome": "completed",
        "reason": "none",
        "detail": "why",
        "round": 2,
        "start_delay_ms": 12.3,
        "commit_delay_ms": 100.0,
    }


def test_a_duty_that_never_began_has_no_delays() -> None:
    duties = DutyStatus()
    duties.note(record(Outcome.EXPIRED, ("due", 5.0)))
    last = status_page(node(duties=duties))["last"]
    assert (last["start_delay_ms"], last["commit_delay_ms"]) == (None, None)

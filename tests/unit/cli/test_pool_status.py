"""What `pool status` shows of a pool, for people and for programs."""

import json
from dataclasses import replace
from typing import Any

import pytest

from ssv_pool.cli.pool_status import show_status, status_json
from ssv_pool.pool.approvals import Report
from ssv_pool.pool.calls import PoolParameters
from ssv_pool.pool.contract import PauseState, WithdrawalRequest
from ssv_pool.pool.status import PoolStatus, ValidatorStatus
from ssv_pool.protocol.types.primitives import OperatorId
from ssv_pool.registry.events import Cluster
from ssv_pool.registry.views import ClusterStatus

ETHER = 10**18
ALICE: Any = "0x81592c3DE184A3E2c0DCB5a261BC107Bfa91f494"
IDS = tuple(map(OperatorId, (1, 2, 3, 4)))

STATUS = PoolStatus(
    block=77,
    time=1_800_000_000,
    owner=ALICE,
    members=(ALICE,) * 4,
    quorum=3,
    parameters=PoolParameters(ALICE),
    assets=40 * ETHER,
    supply=39 * ETHER,
    price=ETHER + 1,
    buffered=8 * ETHER,
    reserved=0,
    unbooked=5,
    beacon_balance=32 * ETHER,
    deposited=32 * ETHER,
    pending=3 * ETHER,
    fundable=5 * ETHER,
    allowance=ETHER // 10,
    exits_under_way=1,
    queue=(WithdrawalRequest(6, ALICE, ALICE, 2 * ETHER, 3 * ETHER, 70, 1),),
    waiting=1,
    validators=(ValidatorStatus(b"\xab" * 48, 2, IDS), ValidatorStatus(b"\xcd" * 48, 3, IDS)),
    clusters=(
        ClusterStatus(
            owner=ALICE,
            operator_ids=IDS,
            cluster=Cluster(2, 0, 0, True, ETHER),
            balance=ETHER,
            burn_rate=10**12,
            liquidatable=False,
            reserve=ETHER - 72_000 * 10**12,
            block=77,
        ),
    ),
    last_report=Report(4, 1_000, 60, 32 * ETHER, 32 * ETHER, 7, 0),
    reported=1_800_000_000 - 7_380,
    pause=PauseState(True, ALICE, 1_799_999_000, 1_800_500_000, "a reason"),
)


def lines_of(status: PoolStatus, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """The first lines by their names, and under "" all of the output."""
    show_status(ALICE, status, 12.0)
    output = capsys.readouterr().out
    found = {"": output}
    for line in output.partition("\n\n")[0].splitlines():
        name, _, text = line.partition("  ")
        found[name] = text.strip()
    return found


def test_lines_and_tables_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    found = lines_of(STATUS, capsys)

    assert found["assets"] == "40 ETH"
    assert found["price"] == "1.000000000000000001 ETH a share"
    assert found["buffered"] == "8 ETH, of which 5 are free for validators"
    assert found["not booked yet"] == "0.000000000000000005 ETH"
    assert found["last report"] == "number 4 of slot 1000, 2 h 3 min ago (2027-01-15 05:57:00 UTC)"
    assert found["paused"] == f"by {ALICE} since 2027-01-15 07:43:20 UTC until 2027-01-21 02:53:20 UTC: a reason"
    assert found["validators"] == "1 funded, 1 exit requested"
    rows = [line.split() for line in found[""].splitlines()]
    assert ["1", "6", ALICE, "3", "ETH", "70"] in rows
    assert ["0x" + "cd" * 48, "exit", "requested", "1,2,3,4"] in rows
    assert ["1,2,3,4", "2", "1", "ETH", "active", "10.0", "days"] in rows


def test_a_new_pool_has_no_tables(capsys: pytest.CaptureFixture[str]) -> None:
    new = replace(
        STATUS,
        queue=(),
        waiting=0,
        validators=(),
        clusters=(),
        last_report=Report(0, 0, 0, 0, 0, 0, 0),
        pause=PauseState(False, ALICE, 0, 0, ""),
    )
    found = lines_of(new, capsys)

    assert found["paused"] == "no, and never was"
    assert found["last report"] == "none since 2027-01-15 05:57:00 UTC"
    assert found["validators"] == "none"
    assert "\n\n" not in found[""]


def test_a_pause_that_is_over(capsys: pytest.CaptureFixture[str]) -> None:
    over = replace(STATUS, pause=replace(STATUS.pause, paused=False, reason=""))

    assert lines_of(over, capsys)["paused"].startswith(f"no; last by {ALICE} since ")


def test_one_object_for_programs() -> None:
    found = json.loads(json.dumps(status_json(STATUS, 12.0)))

    assert (found["assets"], found["price"], found["waiting"]) == (str(40 * ETHER), str(ETHER + 1), 1)
    assert found["queue"][0] | {"receiver": None} == {
        "place": 1,
        "request": 6,
        "owner": ALICE,
        "receiver": None,
        "shares": str(2 * ETHER),
        "assets": str(3 * ETHER),
        "block": 70,
    }
    assert [item["state"] for item in found["validators"]] == ["funded", "exit requested"]
    assert found["clusters"][0]["runway_days"] == pytest.approx(10, abs=0.01)
    assert (found["last_report"]["slot"], found["report_age_seconds"]) == ("1000", 7_380)
    assert found["pause"] == {
        "paused": True,
        "by": ALICE,
        "since": 1_799_999_000,
        "until": 1_800_500_000,
        "reason": "a reason",
    }

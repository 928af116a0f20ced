"""The keeper's clock: every task of every period, none always last."""

from types import SimpleNamespace
from typing import Any

from workers.keeper_clock import QUEUE, KeeperClock, turns

TASKS = ("watch", "report", "fund")


def test_each_period_has_every_task_once_and_begins_with_another() -> None:
    periods = [[turn.task for turn in turns(TASKS, 12.0, number)] for number in range(3, 7)]
    assert periods == [
        ["watch", "report", "fund"],
        ["report", "fund", "watch"],
        ["fund", "watch", "report"],
        ["watch", "report", "fund"],
    ]
    keys = [turn.key for number in range(9) for turn in turns(TASKS, 12.0, number)]
    assert len(set(keys)) == len(keys)
    assert {turn.until for turn in turns(TASKS, 12.0, 5)} == {84.0}


def test_tasks_go_to_the_queue_of_the_process_that_has_the_key() -> None:
    sent: list[tuple[str, Any, str]] = []
    app = SimpleNamespace(send_task=lambda name, arguments, **options: sent.append((name, arguments, options["queue"])))
    KeeperClock(app, TASKS, 12.0).publish(3)  # type: ignore[arg-type]
    assert sent == [(f"ssv.keeper.{task}", (f"keeper:{task}:3", 60.0), QUEUE) for task in TASKS]

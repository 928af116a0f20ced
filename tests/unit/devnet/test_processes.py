"""An operator's processes: real ones, small, that stand in for the programs."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from ssv_pool.devnet.processes import OperatorProcess, stop_all

PARENT = """
import signal, subprocess, sys, time
while time.process_time() < 0.05:  # more than one tick of the system's clock of CPU time
    pass
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]])
{handler}
print(child.pid, flush=True)
signal.pause()
"""
ENDS = "signal.signal(signal.SIGTERM, lambda *_: (child.terminate(), child.wait(), sys.exit(0)))"
ENDS_ALONE = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))"
STAYS = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"
CHILD = "import signal; signal.pause()"


class Tree(OperatorProcess):
    """Two processes, the second below the first."""

    child: int

    def begin(self, handler: str) -> "Tree":
        command = [sys.executable, "-c", PARENT.format(handler=handler), CHILD]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
        assert self.process.stdout is not None
        with self.process.stdout as told:
            self.child = int(told.readline())
        return self


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[Tree]:
    made = Tree(1, tmp_path / "operator.yaml", tmp_path / "operator.log")
    yield made
    if made.alive:
        made.kill()


def runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def test_a_kill_takes_the_whole_tree(tree: Tree) -> None:
    tree.begin(STAYS)
    tree.kill()
    assert (tree.alive, runs(tree.child)) == (False, False)
    tree.kill()


def test_time_and_memory_of_all_processes_are_added_up(tree: Tree) -> None:
    tree.begin(ENDS)
    tree.sample()
    first = tree.usage.rss_mb
    assert first > 5
    tree.kill()
    assert tree.usage.cpu_seconds > 0
    tree.sample()
    assert tree.usage.rss_mb >= first, "the largest, not the last"


def test_one_that_ends_when_asked(tree: Tree) -> None:
    tree.begin(ENDS)
    assert stop_all([tree]) == []
    assert (tree.alive, runs(tree.child), tree.ended_early) == (False, False, False)
    assert stop_all([tree]) == []
    assert not tree.ended_early, "the second request finds it ended as asked"


def test_one_that_does_not_end_in_time_is_killed(tree: Tree) -> None:
    tree.begin(STAYS)
    tree.ask_to_stop()
    assert not tree.wait_stopped(time.monotonic())
    assert (tree.alive, runs(tree.child)) == (False, False)


def test_one_that_leaves_a_child_behind_is_named_and_the_child_killed(tree: Tree) -> None:
    tree.begin(ENDS_ALONE)
    assert stop_all([tree]) == [1]
    deadline = time.monotonic() + 30
    while runs(tree.child):
        assert time.monotonic() < deadline
        os.sched_yield()


def test_one_that_ended_before_it_was_asked(tree: Tree) -> None:
    tree.begin(ENDS)
    tree.kill()
    tree.ask_to_stop()
    assert tree.ended_early


def test_one_that_never_started(tree: Tree) -> None:
    tree.sample()
    tree.kill()
    assert stop_all([tree]) == []
    assert not tree.ended_early


def test_deaths_are_counted_from_the_log(tree: Tree) -> None:
    assert tree.deaths == 0
    tree.log.write_bytes(b"x part died part=node\n\xff\nfine\nx part died part=worker\n")
    assert tree.deaths == 2


def test_an_operator_is_started_with_its_file_and_without_the_callers_settings(
    tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[dict[str, Any]] = []

    class Popen:
        def __init__(self, command: tuple[str, ...], **options: Any) -> None:
            started.append({"command": command, **options})

        def poll(self) -> int:
            return 0

    monkeypatch.setattr(subprocess, "Popen", Popen)
    for name in ("CONFIG_PATH", "BROKER_URL", "NETWORK", "DATA_DIR", "LOG_LEVEL"):
        monkeypatch.setenv(name, "caller's")
    monkeypatch.setenv("KEPT", "yes")
    tree.restart()
    assert tree.restarts == 1
    assert started[0]["command"] == (
        *(sys.executable, "-m", "ssv_pool", "operator", "run", "--config", str(tree.config)),
    )
    environment = started[0]["env"]
    assert environment["KEPT"] == "yes"
    assert "caller's" not in environment.values()

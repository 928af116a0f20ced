"""The operators' processes: started as a real operator would be, watched, killed without mercy, stopped with it."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from ssv_pool.settings import ENVIRONMENT

STOP_SECONDS = 75.0
"""How long an operator may take to stop before it is killed: its supervisor gives its parts a minute of that."""


@dataclass(slots=True)
class Usage:
    """What an operator's processes used."""

    cpu_seconds: float = 0.0
    """User and system time of all its processes, living and dead."""
    rss_mb: float = 0.0
    """Largest resident memory of all its processes together, MiB."""


@dataclass(slots=True)
class OperatorProcess:
    """One operator: ``ssv-pool operator run --config FILE`` and everything below it."""

    operator_id: int
    config: Path
    log: Path
    process: subprocess.Popen[bytes] | None = None
    restarts: int = 0
    ended_early: bool = False
    """Whether its supervisor had ended before it was asked to."""
    usage: Usage = field(default_factory=Usage)
    _cpu: dict[int, float] = field(default_factory=dict)
    _asked: bool = False
    _before: list[psutil.Process] = field(default_factory=list)
    """All of its processes when it was asked to stop: those of a supervisor that ends at once cannot be found later."""

    def start(self) -> None:
        """Start it; output is appended to its log."""
        # Whatever the caller's environment configures is not for these operators: it would win over their files.
        environment = {key: value for key, value in os.environ.items() if key not in {*ENVIRONMENT, "CONFIG_PATH"}}
        self.ended_early, self._asked, self._before = False, False, []
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                (sys.executable, "-m", "ssv_pool", "operator", "run", "--config", str(self.config)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )

    @property
    def alive(self) -> bool:
        """Whether its supervisor runs."""
        return self.process is not None and self.process.poll() is None

    def sample(self) -> None:
        """Add up CPU time and memory of its processes."""
        rss = 0
        for process in self._tree():
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                self._cpu[process.pid] = times.user + times.system
                rss += process.memory_info().rss
        self.usage.cpu_seconds = sum(self._cpu.values())
        self.usage.rss_mb = max(self.usage.rss_mb, rss / 2**20)

    def kill(self) -> None:
        """Send SIGKILL to every process of the operator at once."""
        self.sample()
        victims = self._tree()
        for process in victims:
            with contextlib.suppress(psutil.Error):
                process.suspend()  # none may notice another's death before its own
        for process in victims:
            with contextlib.suppress(psutil.Error):
                process.kill()
        if self.process is not None:
            self.process.wait(STOP_SECONDS)
        # Orphans are reaped by whoever adopts them, at leisure: one that is a zombie runs no more.
        deadline = time.monotonic() + STOP_SECONDS
        while any(_runs(process) for process in victims) and time.monotonic() < deadline:
            time.sleep(0.01)

    def restart(self) -> None:
        """Start it again after a kill."""
        self.restarts += 1
        self.start()

    def ask_to_stop(self) -> None:
        """SIGTERM to the supervisor."""
        self.sample()
        if self.process is None:
            return
        if self.alive:
            self._before = self._tree()
            self.process.send_signal(signal.SIGTERM)
        elif not self._asked:
            self.ended_early = True
        self._asked = True

    @property
    def deaths(self) -> int:
        """How often a part of it died by itself and was started again, by its log."""
        try:
            return self.log.read_text(encoding="utf-8", errors="replace").count("part died")
        except OSError:
            return 0

    def wait_stopped(self, deadline: float) -> bool:
        """Wait until ``deadline`` (monotonic); what still lives is killed. True when it stopped by itself."""
        if self.process is None:
            return True
        tree = {*self._before, *self._tree()}
        try:
            self.process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.kill()
            return False
        end = time.monotonic() + 2
        while any(_runs(process) for process in tree) and time.monotonic() < end:
            time.sleep(0.01)
        left = [process for process in tree if _runs(process)]
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        return not left

    def _tree(self) -> list[psutil.Process]:
        if self.process is None or self.process.poll() is not None:
            return []
        try:
            root = psutil.Process(self.process.pid)
            return [root, *root.children(recursive=True)]
        except psutil.Error:
            return []


def _runs(process: psutil.Process) -> bool:
    """Whether a process still runs; a zombie does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def stop_all(operators: list[OperatorProcess]) -> list[int]:
    """Stop all at once. Returns the ids of those that had to be killed."""
    for operator in operators:
        operator.ask_to_stop()
    deadline = time.monotonic() + STOP_SECONDS
    return [operator.operator_id for operator in operators if not operator.wait_stopped(deadline)]

"""``operator run``: starts the parts of one operator, starts a dead one again, and ends them in order.

The supervisor holds no secret and does no work of its own, so that it has nothing to crash on.
"""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Protocol

from ssv_pool.errors import ConfigError, KeyFileError, UnavailableError
from ssv_pool.messaging.valkey import EmbeddedValkey
from ssv_pool.observability.logs import configure_logging, logger
from ssv_pool.settings import Settings

log = logger("supervisor")

GRACE_SECONDS = 60.0
"""How long all parts together may take to finish their work after SIGTERM."""

LEAST_GRACE_SECONDS = 5.0
"""What a part gets of that even if those before it used up everything."""

FIRST_PAUSE, LONGEST_PAUSE, HEALTHY_AFTER = 0.5, 30.0, 60.0
"""Pause before a restart, doubled up to the longest; a part that lived HEALTHY_AFTER seconds starts afresh."""

LOOK_SECONDS = 1.0
"""Pause between two looks at the broker."""

POLL_SECONDS = 0.25
"""Pause between two looks at the parts."""

PERMANENT = (ConfigError.exit_code, KeyFileError.exit_code)
"""Exit statuses that a restart cannot mend."""

PR_SET_PDEATHSIG = 1


class Child(Protocol):
    """What is asked of a process (`subprocess.Popen`)."""

    pid: int

    def poll(self) -> int | None:
        """The exit status; None while it runs."""
        ...

    def terminate(self) -> None:
        """Send SIGTERM."""
        ...

    def kill(self) -> None:
        """Send SIGKILL."""
        ...

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end. Raises subprocess.TimeoutExpired."""
        ...


class Broker(Protocol):
    """What is asked of the embedded broker (`ssv_pool.messaging.valkey.EmbeddedValkey`)."""

    def start(self) -> bool:
        """Make sure that it runs; returns whether it had to be started. Raises UnavailableError."""
        ...


@dataclass(frozen=True, slots=True)
class Command:
    """How a part is started."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str]

    def spawn(self) -> Child:
        """Start it. Raises OSError.

        In a session of its own: Ctrl-C at a terminal reaches the supervisor alone, which ends the parts in order. It
        gets SIGTERM when the supervisor dies, so that a kill -9 leaves no orphan.
        """
        return subprocess.Popen(
            self.arguments,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_die_with(os.getpid()),  # noqa: PLW1509 - the supervisor has one thread
        )


@dataclass(slots=True)
class Part:
    """One child process and its history."""

    name: str
    spawn: Callable[[], Child]
    clock: Callable[[], float] = time.monotonic
    vital: bool = True
    """Whether the operator ends with it when no restart can mend it; else it is tried again after the longest pause."""
    process: Child | None = None
    restarts: int = 0
    _started: float = 0.0
    _pause: float = FIRST_PAUSE
    _not_before: float = field(default=0.0)

    def look(self) -> int | None:
        """Start the process if it is time to, and note its death. Returns a status that no restart can mend."""
        if self.process is None:
            if self.clock() >= self._not_before:
                self._start()
            return None
        status = self.process.poll()
        if status is None:
            return None
        self.process = None
        if status in PERMANENT and self.vital:
            log.error("part ended for good, see its last line", part=self.name, status=status)
            return status
        self._died(status=status, lived_seconds=round(self.clock() - self._started, 1))
        return None

    def stop(self, seconds: float) -> None:
        """Ask it to end, and kill it when it takes longer."""
        process, self.process = self.process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            log.error("part outlived the grace, killing it", part=self.name)
            process.kill()
            process.wait()

    def _start(self) -> None:
        self._started = self.clock()
        try:
            self.process = self.spawn()
        except OSError as error:
            self._died(problem=str(error))
        else:
            log.info("part started", part=self.name, pid=self.process.pid, restarts=self.restarts)

    def _died(self, **facts: object) -> None:
        if self.clock() - self._started >= HEALTHY_AFTER:
            self._pause = FIRST_PAUSE
        if facts.get("status") in PERMANENT:
            self._pause = LONGEST_PAUSE
        self._not_before = self.clock() + self._pause
        log.error("part died", part=self.name, restart_in=self._pause, **facts)
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
        self.restarts += 1


def run_operator(settings: Settings, config_path: Path | None) -> int:
    """Run all parts of one operator until SIGTERM or Ctrl-C.

    Returns:
        Exit status: 0, or that of a part that ended in a way that a restart cannot mend. The part has said why in a
        line of its own.

    Raises:
        UnavailableError: the broker cannot be started.
    """
    commands = {"node": (sys.executable, "-m", "ssv_pool", "node"), "worker": worker_command(settings)}
    if settings.pool.contract is not None:
        commands["keeper"] = keeper_command(settings)
    # Duties do not wait for a keeper whose key file is gone.
    return _run(settings, config_path, commands, spare=("keeper",))


def run_keeper(settings: Settings, config_path: Path | None) -> int:
    """Run a keeper alone, with an embedded broker unless one is named; returns and raises as ``run_operator``."""
    return _run(settings, config_path, {"keeper": keeper_command(settings)})


def _run(
    settings: Settings, config_path: Path | None, commands: Mapping[str, tuple[str, ...]], spare: Sequence[str] = ()
) -> int:
    configure_logging(settings.log.level, settings.log.format, process="supervisor")
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    environment = dict(os.environ)
    if config_path is not None:
        environment["CONFIG_PATH"] = str(config_path.absolute())
    with stop_signals() as stopping, contextlib.ExitStack() as stack:
        broker = None
        if settings.broker_url is None:
            broker = EmbeddedValkey(settings.broker_dir)
            stack.callback(broker.stop)
            broker.start()
        parts = [
            Part(name, Command(command, environment).spawn, vital=name not in spare)
            for name, command in commands.items()
        ]
        stack.callback(stop_all, parts)
        return supervise(parts, broker, stopping)


def worker_command(settings: Settings) -> tuple[str, ...]:
    """The command line of a Celery worker for these settings; CONFIG_PATH tells it where they are."""
    return (
        *(sys.executable, "-m", "celery", "--app", "workers.app", "worker"),
        *("--pool", "threads", "--concurrency", str(settings.worker.concurrency)),
        *("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", settings.log.level),
    )


def keeper_command(settings: Settings) -> tuple[str, ...]:
    """The command line of the keeper, a Celery worker of its own queue that alone reads the member's Ethereum key."""
    return (
        *(sys.executable, "-m", "celery", "--app", "workers.keeper", "worker", "--queues", "keeper"),
        *("--pool", "threads", "--concurrency", "1", "--hostname", "keeper@%h"),
        *("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", settings.log.level),
    )


def supervise(
    parts: Sequence[Part],
    broker: Broker | None,
    stopping: Callable[[float], bool],
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Keep the parts and the broker running.

    Args:
        parts: what to run.
        broker: the embedded broker, if there is one.
        stopping: waits for so many seconds, less when it is time to stop, and returns whether it is.
        clock: seconds from any start.

    Returns:
        0 when it is time to stop; the status of a part that no restart can mend.
    """
    next_look = clock() + LOOK_SECONDS
    while True:
        for part in parts:
            if status := part.look():
                return status
        if broker is not None and clock() >= next_look:
            next_look = clock() + LOOK_SECONDS
            _revive(broker)
        if stopping(POLL_SECONDS):
            log.info("stopping")
            return 0


def stop_all(parts: Sequence[Part], clock: Callable[[], float] = time.monotonic) -> None:
    """End the parts one after the other: the node first, whose last results the worker still hands on."""
    deadline = clock() + GRACE_SECONDS
    for part in parts:
        part.stop(max(LEAST_GRACE_SECONDS, deadline - clock()))


def _revive(broker: Broker) -> None:
    """Start the broker again when it died. A failure is tried again at the next round."""
    try:
        if broker.start():
            log.error("part died and was started again", part="broker")
    except (UnavailableError, OSError) as error:
        log.error("broker does not start", problem=str(error))


@contextlib.contextmanager
def stop_signals() -> Iterator[Callable[[float], bool]]:
    """A function that waits for up to so many seconds and says whether SIGTERM or SIGINT has come."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    stopped = False

    def stop(_signum: int, _frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = True
        with contextlib.suppress(BlockingIOError):
            os.write(writer, b"x")

    def wait(seconds: float) -> bool:
        if not stopped:
            select.select([reader], [], [], seconds)
        return stopped

    old = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield wait
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)


_LIBC = ctypes.CDLL(None, use_errno=True)


def _die_with(parent: int) -> Callable[[], None]:
    """Runs in the child before exec: ask Linux for SIGTERM when the parent dies, also if it has died just now."""

    def tie() -> None:
        if sys.platform == "linux":
            _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return tie

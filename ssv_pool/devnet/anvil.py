"""The devnet's execution chain: anvil, started as a child process."""

import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import httpx

from ssv_pool.errors import UnavailableError

MNEMONIC: Final = "test test test test test test test test test test test junk"
"""The seed phrase of anvil's funded accounts: public, so worth nothing outside a devnet."""

CHAIN_ID: Final = 31337
"""anvil's default chain id."""

_LISTENING = re.compile(r"^Listening on \S+:(\d+)$", flags=re.MULTILINE)
_POLL_SECONDS = 0.02
_STOP_SECONDS = 10.0


def find_binary(root: Path | None = None) -> Path:
    """The anvil program: the npm package's native binary, else one on PATH.

    The package's own start script is passed over, so that the child's process id is anvil's.

    Args:
        root: folder that holds `node_modules`; the checkout's by default.

    Raises:
        UnavailableError: there is none.
    """
    folder = root or Path(__file__).resolve().parent.parent.parent
    for path in sorted((folder / "node_modules" / "@foundry-rs").glob("anvil-*/bin/anvil*")):
        return path
    if on_path := shutil.which("anvil"):
        return Path(on_path)
    raise UnavailableError(f"anvil is not installed: no @foundry-rs/anvil in {folder / 'node_modules'}, run npm ci")


def account_key(index: int) -> bytes:
    """The 32-byte private key of anvil's funded account number `index` (from 0, ten of them by default)."""
    from eth_account import Account

    Account.enable_unaudited_hdwallet_features()
    return bytes(Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{index}").key)


class Anvil:
    """A running anvil; a context manager that starts it and stops it.

    Args:
        block_time: seconds between blocks; None mines each transaction at once.
        port: TCP port on 127.0.0.1; 0 lets the operating system choose.
        slots_in_epoch: N, where `safe` is head - N and `finalized` is head - 2N.
        log_file: where its output goes; a temporary file that is removed at the end by default.
        binary: the program; found by `find_binary` by default.
        arguments: further command line arguments.
        start_timeout: seconds until it must answer.
    """

    def __init__(
        self,
        *,
        block_time: float | None = None,
        port: int = 0,
        slots_in_epoch: int = 8,
        log_file: Path | None = None,
        binary: Path | None = None,
        arguments: tuple[str, ...] = (),
        start_timeout: float = 20.0,
    ) -> None:
        self.port = 0
        """The port it listens on; 0 until started."""
        self._command = ["--host", "127.0.0.1", "--port", str(port), "--slots-in-an-epoch", str(slots_in_epoch)]
        if block_time is not None:
            self._command += ["--block-time", f"{block_time:g}"]
        self._command += arguments
        self._binary = binary
        self._log_file = log_file
        self._keep_log = log_file is not None
        self._start_timeout = start_timeout
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its HTTP JSON-RPC address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def websocket_url(self) -> str:
        """Its WebSocket JSON-RPC address."""
        return f"ws://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> None:
        """Start it and wait until it listens.

        Raises:
            UnavailableError: not installed, ended at once (a port in use), or silent for too long.
        """
        binary = self._binary or find_binary()
        if self._log_file is None:
            with tempfile.NamedTemporaryFile(prefix="anvil-", suffix=".log", delete=False) as log:
                self._log_file = Path(log.name)
        with self._log_file.open("wb") as output:
            self._process = subprocess.Popen(
                [str(binary), *self._command], stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )
        try:
            self.port = self._wait_for_port(self._process, self._log_file)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop it; nothing happens when it does not run."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if self._log_file is not None and not self._keep_log:
            self._log_file.unlink(missing_ok=True)
            self._log_file = None

    def mine_every(self, seconds: int) -> None:
        """From now on mine one block every so many seconds, whatever `block_time` it was started with.

        A chain is set up faster with short blocks. Mining each transaction at once is not for that: blocks of one
        second then have timestamps ahead of the clock.

        Raises:
            UnavailableError: it does not answer or refuses.
        """
        request = {"jsonrpc": "2.0", "id": 1, "method": "evm_setIntervalMining", "params": [seconds]}
        try:
            answer = httpx.post(self.url, json=request, timeout=self._start_timeout).raise_for_status().json()
        except httpx.HTTPError as error:
            raise UnavailableError(f"anvil on port {self.port} does not answer: {error}") from error
        if "error" in answer:
            raise UnavailableError(f"anvil refuses to mine every {seconds} s: {answer['error'].get('message')}")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _wait_for_port(self, process: subprocess.Popen[bytes], log_file: Path) -> int:
        deadline = time.monotonic() + self._start_timeout
        while time.monotonic() < deadline:
            # Ended before the text is read: the text is then complete.
            ended = process.poll()
            text = log_file.read_text(errors="replace")
            if match := _LISTENING.search(text):
                return int(match[1])
            if ended is not None:
                last = text.strip().splitlines()[-1:] or ["no output"]
                raise UnavailableError(f"anvil ended with status {ended}: {last[0]}")
            time.sleep(_POLL_SECONDS)
        raise UnavailableError(f"anvil did not listen within {self._start_timeout:g} s, its log is {log_file}")

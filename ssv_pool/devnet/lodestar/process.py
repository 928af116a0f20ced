"""Lodestar as a child process that stands where the embedded beacon node stands."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from ssv_pool.devnet.lodestar.engine import EngineServer
from ssv_pool.devnet.lodestar.install import ensure_installed
from ssv_pool.errors import ConfigError, UnavailableError

START_SECONDS: Final = 90.0
"""How long it may take until it answers: three seconds of CPU, more where others compete for it."""

POLL_SECONDS: Final = 0.1

STALL_SLOTS: Final = 8
"""After so many empty slots in a row (one epoch of the minimal preset) Lodestar calls itself unsynced and refuses
duties for ever, so it needs proposers of its own unless outside clients are sure to propose from the start."""


@dataclass(frozen=True, slots=True)
class LodestarOptions:
    """The chain it makes: the Capella fork, the minimal preset, interop validators."""

    genesis_time: int
    """Start of slot 0, whole seconds since the UNIX epoch; may be in the future."""
    slot_seconds: int = 4
    """Length of a slot; below 4 the first slot of an epoch suffers."""
    validators: int = 64
    """Validators at genesis."""
    external: int = 0
    """The first so many of them are left to outside clients, with all their duties."""
    port: int = 0
    """TCP port of its Beacon API; 0 takes a free one."""

    def __post_init__(self) -> None:
        """Raises ConfigError where no chain can be made."""
        if self.slot_seconds < 1:
            raise ConfigError(f"Lodestar: slot of {self.slot_seconds} s, expected at least 1")
        if not 0 <= self.external <= self.validators:
            raise ConfigError(
                f"Lodestar: {self.external} external of {self.validators} validators, expected at most all"
            )


@dataclass(slots=True)
class LodestarProcess:
    """A running Lodestar with the interface of ``beacon_process.BeaconProcess``."""

    process: subprocess.Popen[bytes]
    url: str
    """Base URL of its Beacon API."""
    record: Path
    """Always empty: Lodestar drops a second vote of a validator without a word, so votes are seen in blocks alone."""
    genesis_time: int
    """Start of slot 0, seconds since the UNIX epoch."""
    log: Path
    engine: EngineServer

    def stop(self) -> None:
        """Kill it (its own shutdown can hang) and its engine; stopping it twice is fine."""
        self.process.kill()
        self.process.wait()
        self.engine.close()


def start_lodestar(
    options: LodestarOptions, folder: Path, progress: Callable[[str], None] = lambda _text: None
) -> LodestarProcess:
    """Install it if need be, start it and wait until it answers.

    Args:
        options: the chain it makes.
        folder: where its data and its log go.
        progress: told what takes long.

    Raises:
        LodestarUnavailableError: this machine cannot install it (see ``install``).
        UnavailableError: it ended at once or was silent for too long; the text names its log.
    """
    script, folder = ensure_installed(progress), folder.absolute()
    record, log = folder / "attestations.jsonl", folder / "lodestar.log"
    record.touch()
    engine = EngineServer()
    with contextlib.ExitStack() as undo:
        undo.callback(engine.close)
        with free_ports(2) as (api_port, p2p_port):
            port = options.port or api_port
        with log.open("wb") as output:
            process = subprocess.Popen(
                (
                    shutil.which("node") or "node",
                    str(script),
                    *arguments(options, folder / "lodestar", port, p2p_port, engine.url),
                ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=folder,  # it leaves its genesis state in the working directory
                env=os.environ | {"LODESTAR_PRESET": "minimal", "NODE_BACKEND": "js"},
            )
        undo.callback(process.wait)
        undo.callback(process.kill)
        url = f"http://127.0.0.1:{port}"
        _wait_until_it_answers(process, url, log)
        undo.pop_all()
    return LodestarProcess(process, url, record, options.genesis_time, log, engine)


def arguments(options: LodestarOptions, data: Path, port: int, p2p_port: int, engine_url: str) -> list[str]:
    """Its command line after the script's name."""
    own = ["--startValidators", f"{options.external}..{options.validators - 1}"]
    forks = [f"--params.{fork}_FORK_EPOCH=0" for fork in ("ALTAIR", "BELLATRIX", "CAPELLA")]
    return [
        "dev",
        *("--genesisValidators", str(options.validators), "--genesisTime", str(options.genesis_time)),
        *(own if options.external < options.validators else ()),
        *("--rest", "--rest.address", "127.0.0.1", "--rest.port", str(port), "--rest.namespace", "*"),
        *("--beaconNodes", f"http://127.0.0.1:{port}", "--eth1", "false", "--execution.urls", engine_url),
        *("--listenAddress", "127.0.0.1", "--port", str(p2p_port), "--discoveryPort", str(p2p_port)),
        *("--dataDir", str(data), "--reset"),
        f"--params.SECONDS_PER_SLOT={options.slot_seconds}",
        # Validators may leave at once; elsewhere only after 64 epochs (256 on mainnet).
        "--params.SHARD_COMMITTEE_PERIOD=0",
        *forks,
    ]


def _wait_until_it_answers(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    with httpx.Client(base_url=url, timeout=2, trust_env=False) as client:
        while process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(httpx.HTTPError):
                if client.get("/eth/v1/beacon/genesis").status_code == 200:
                    return
            time.sleep(POLL_SECONDS)
    ended = f"ended with status {process.returncode}" if process.returncode is not None else "does not answer"
    raise UnavailableError(f"Lodestar: {ended}, its log is {log}")


@contextlib.contextmanager
def free_ports(count: int) -> Iterator[list[int]]:
    """Ports that are free for TCP and for UDP, held until the block ends so that none is given out twice."""
    with contextlib.ExitStack() as held:
        ports: list[int] = []
        while len(ports) < count:
            with contextlib.ExitStack() as attempt:
                stream = attempt.enter_context(socket.socket())
                stream.bind(("127.0.0.1", 0))
                port = stream.getsockname()[1]
                datagram = attempt.enter_context(socket.socket(type=socket.SOCK_DGRAM))
                with contextlib.suppress(OSError):
                    datagram.bind(("127.0.0.1", port))
                    held.enter_context(attempt.pop_all())
                    ports.append(port)
        yield ports

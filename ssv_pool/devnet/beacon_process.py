"""The beacon nodes as child processes."""

import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ssv_pool.devnet.config import CHAIN_VALIDATORS, LIFECYCLE_CHAIN, DevnetConfig
from ssv_pool.devnet.lodestar.process import LodestarOptions, LodestarProcess, start_lodestar
from ssv_pool.errors import UnavailableError

BEACON_START_SECONDS = 60.0
"""How long a beacon node may take until it answers; it imports the executable specification."""

STOP_SECONDS = 10.0

EXTERNAL_DUTIES = "attest,propose,sync"


class BeaconProcess(Protocol):
    """A beacon node as a child process."""

    name: str
    url: str
    record: Path | None
    """Every validly signed object it was sent, one JSON object a line; None where the program keeps none."""
    lying: bool
    """Whether it tells its operator what is not so."""

    @property
    def log(self) -> Path:
        """Where it writes."""

    @property
    def alive(self) -> bool:
        """Whether it runs."""

    @property
    def died(self) -> bool:
        """Whether it ended without having been told to."""

    @property
    def pid(self) -> int | None:
        """Its process id, None before it is started and after it was stopped."""

    def start(self) -> None:
        """Start it; `wait_ready` waits until it answers."""

    def wait_ready(self) -> None:
        """Wait until it answers. Raises UnavailableError."""

    def stop(self) -> None:
        """Stop it."""

    def kill(self) -> None:
        """End it at once (SIGKILL)."""


@dataclass(slots=True)
class EmbeddedNode:
    """The embedded beacon node as a child process."""

    name: str
    command: tuple[str, ...]
    url: str
    log: Path
    record: Path | None
    lying: bool = False
    process: subprocess.Popen[bytes] | None = None

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.process is not None and self.process.poll() is None

    @property
    def died(self) -> bool:
        """Whether it ended without having been told to."""
        return self.process is not None and self.process.poll() is not None

    @property
    def pid(self) -> int | None:
        """Its process id."""
        return self.process.pid if self.process is not None else None

    def start(self) -> None:
        """Start it; `wait_ready` waits until it answers."""
        with self.log.open("ab") as errors:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors
            )

    def wait_ready(self) -> None:
        """Wait until it listens. Raises UnavailableError."""
        if self.process is None:
            raise UnavailableError(f"{self.name}: was not started")
        try:
            json.loads(_first_line(self.process, BEACON_START_SECONDS) or b"nothing")
        except ValueError:
            self.kill()
            raise UnavailableError(f"{self.name}: did not start, its log is {self.log}") from None

    def stop(self) -> None:
        """Stop it."""
        process, self.process = self.process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.wait()


@dataclass(slots=True)
class LodestarNode:
    """Lodestar as a child process."""

    options: LodestarOptions
    folder: Path
    name: str = "lodestar"
    url: str = ""
    record: Path | None = None
    lying: bool = False
    running: LodestarProcess | None = None

    @property
    def log(self) -> Path:
        """Where it writes."""
        return self.running.log if self.running is not None else self.folder

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.running is not None and self.running.process.poll() is None

    @property
    def died(self) -> bool:
        """Whether it ended without having been told to."""
        return self.running is not None and self.running.process.poll() is not None

    @property
    def pid(self) -> int | None:
        """Its process id."""
        return self.running.process.pid if self.running is not None else None

    def start(self) -> None:
        """Start it and wait until it answers. Raises UnavailableError."""
        self.running = start_lodestar(self.options, self.folder)
        self.url = self.running.url

    def wait_ready(self) -> None:
        """Does nothing: it answers once it is started."""

    def stop(self) -> None:
        """Kill it: its own shutdown can hang."""
        running, self.running = self.running, None
        if running is not None:
            running.stop()

    kill = stop


@dataclass(frozen=True, slots=True)
class ExecutionPart:
    """The execution chain as a beacon node needs to know it."""

    url: str
    deposit_contract: str
    """Address, 0x hex."""
    number: int
    """Its head when the beacon node takes over."""
    time: int
    """When that is, whole seconds since the UNIX epoch."""

    def arguments(self) -> list[str]:
        """For the node's command line."""
        return [
            *("--execution", self.url, "--execution-start", f"{self.number}@{self.time}"),
            *("--deposit-contract", self.deposit_contract),
        ]


def embedded_nodes(
    config: DevnetConfig,
    folder: Path,
    genesis_time: float,
    ports: Sequence[int],
    execution: ExecutionPart | None = None,
) -> list[EmbeddedNode]:
    """The embedded beacon nodes of a run, not started: the honest ones in order, then the lying one if there is one.

    Args:
        config: how many, and how the chain is.
        folder: for records and logs.
        genesis_time: whole seconds since the UNIX epoch.
        ports: one for each node.
        execution: the execution chain that the first node drives, if it does.
    """
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    nodes = []
    for place, (port, url) in enumerate(zip(ports, urls, strict=True)):
        lying = place >= config.beacon_nodes
        name = "beacon" if place == 0 else f"beacon-{'lying' if lying else place + 1}"
        record = folder / ("attestations.jsonl" if place == 0 else f"{name}.jsonl")
        # The first node runs the validators that are not on operators; the others run none.
        external = config.validators if place == 0 else CHAIN_VALIDATORS
        command = [
            *(sys.executable, "-m", "ssv_pool.devnet.beacon", "--port", str(port)),
            *("--genesis-time", str(int(genesis_time)), "--slot-ms", str(config.slot_seconds * 1000)),
            *("--validators", str(CHAIN_VALIDATORS), "--external", f"0-{external - 1}"),
            *("--external-duties", EXTERNAL_DUTIES, "--record", str(record), "--builder"),
        ]
        for other in urls[: config.beacon_nodes] if not lying else urls[:1]:
            command += ["--peer", other] if other != url else []
        if config.lifecycle:
            for number, value in LIFECYCLE_CHAIN.items():
                command += ["--config", f"{number}={value}"]
        if execution is not None and place == 0:
            command += execution.arguments()
        if lying and config.attack is not None:
            command += ["--attack", config.attack.mode, "--attack-epoch", str(config.attack.epoch)]
        nodes.append(EmbeddedNode(name, tuple(command), url, folder / f"{name}.log", record, lying))
    return nodes


def _first_line(process: subprocess.Popen[bytes], seconds: float) -> bytes | None:
    """The first line a child prints; None when it ends or is silent for too long. Later output is read and dropped."""
    found: list[bytes] = []
    ready = threading.Event()

    def read() -> None:
        for line in process.stdout or ():
            if not found:
                found.append(line)
                ready.set()
        ready.set()

    threading.Thread(target=read, name="beacon-output", daemon=True).start()
    ready.wait(seconds)
    return found[0] if found else None

"""The embedded beacon node as a child process."""

import json
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

from ssv_pool.devnet.config import CHAIN_VALIDATORS, DevnetConfig
from ssv_pool.errors import UnavailableError

BEACON_START_SECONDS = 60.0
"""How long the beacon node may take until it answers; it imports the executable specification."""


@dataclass(slots=True)
class BeaconProcess:
    """The embedded beacon node as a child process."""

    process: subprocess.Popen[bytes]
    url: str
    record: Path
    """Every validly signed attestation it was sent, one JSON object a line."""

    def stop(self) -> None:
        """Stop it."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start_beacon(config: DevnetConfig, folder: Path, genesis_time: float, port: int) -> BeaconProcess:
    """Start it and wait until it answers. Raises UnavailableError."""
    record, log = folder / "attestations.jsonl", folder / "beacon.log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            (
                *(sys.executable, "-m", "ssv_pool.devnet.beacon", "--port", str(port)),
                *("--genesis-time", str(int(genesis_time)), "--slot-ms", str(config.slot_seconds * 1000)),
                *("--validators", str(CHAIN_VALIDATORS), "--external", f"0-{config.validators - 1}"),
                *("--record", str(record)),
            ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
    try:
        port = int(json.loads(_first_line(process, BEACON_START_SECONDS) or b"{}")["port"])
    except (ValueError, KeyError, TypeError):
        process.kill()
        process.wait()
        raise UnavailableError(f"beacon node: did not start, its log is {log}") from None
    return BeaconProcess(process, f"http://127.0.0.1:{port}", record)


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

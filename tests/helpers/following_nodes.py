"""Embedded beacon nodes as processes that follow each other, to be killed, frozen and started again."""

import contextlib
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx

from ssv_pool.devnet.lodestar.process import free_ports

START_SECONDS = 15
"""From the start of the processes to genesis: importing the specification takes seconds of CPU for each."""


class Node:
    """One of them."""

    def __init__(self, folder: Path, port: int, genesis_time: int, slot_seconds: int, *arguments: str) -> None:
        self.log = folder / f"beacon-{port}.log"
        self.record = folder / f"record-{port}.jsonl"
        self.command = [
            *(sys.executable, "-m", "ssv_pool.devnet.beacon", "--port", str(port)),
            *("--genesis-time", str(genesis_time), "--slot-ms", str(1000 * slot_seconds)),
            *("--external-duties", "attest,propose,sync", "--log-file", str(self.log)),
            *("--record", str(self.record), *arguments),
        ]
        self.process: subprocess.Popen[bytes] | None = None
        self._listen_at(port)

    def _listen_at(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.client = httpx.Client(base_url=self.url, timeout=30, trust_env=False)

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def wait_ready(self) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        self._listen_at(json.loads(line)["port"])

    def kill(self) -> None:
        """As ``kill -9``; killing it twice is fine."""
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.communicate()

    def freeze(self) -> None:
        """It keeps its connections and answers nothing until ``thaw``."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def get(self, path: str) -> Any:
        return self.client.get(path).raise_for_status().json()["data"]

    def synced(self) -> bool:
        """Whether it answers and has what the others have."""
        try:
            return not self.get("/eth/v1/node/syncing")["is_syncing"]
        except httpx.HTTPError:
            return False

    def head(self) -> tuple[int, str]:
        """Slot and root of the head."""
        header = self.get("/eth/v1/beacon/headers/head")
        return int(header["header"]["message"]["slot"]), header["root"]

    def complaints(self) -> list[str]:
        """Lines of its log about something that it refused or that failed."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line for line in lines if json.loads(line)["level"] in ("warning", "error")]


@contextlib.contextmanager
def following_nodes(
    folder: Path, slot_seconds: int, externals: Sequence[str], arguments: Sequence[Sequence[str]] = ()
) -> Iterator[tuple[list[Node], int]]:
    """Running nodes that all dial each other, and their genesis time.

    Args:
        folder: for logs and records.
        slot_seconds: length of a slot.
        externals: for each node the validators that it does not run.
        arguments: for each node what else it is told.
    """
    with free_ports(len(externals)) as ports:
        pass
    genesis_time = int(time.time()) + START_SECONDS
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    nodes = []
    for place, (port, external) in enumerate(zip(ports, externals, strict=True)):
        peers = [word for other in urls if other != urls[place] for word in ("--peer", other)]
        more = arguments[place] if arguments else ()
        nodes.append(Node(folder, port, genesis_time, slot_seconds, "--external", external, *peers, *more))
    with contextlib.ExitStack() as stack:
        for node in nodes:
            stack.callback(node.client.close)
            stack.callback(node.kill)
            node.start()
        for node in nodes:
            node.wait_ready()
        yield nodes, genesis_time


def wait_for(condition: Callable[[], object], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, what
        pause.wait(0.05)

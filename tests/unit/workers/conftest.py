import importlib
import os
from types import SimpleNamespace

import pytest

from ssv_pool.messaging.claims import ClaimState
from ssv_pool.protocol.chain import BeaconChain, ForkVersion

CONFIG = """
network: devnet
data_dir: data
operator: {private_key_file: absent.json, password_file: absent.txt}
"""


@pytest.fixture(scope="session")
def worker_app(tmp_path_factory):
    """The workers' application, which is configured where it is imported; nothing is connected."""
    path = tmp_path_factory.mktemp("worker") / "config.yaml"
    path.write_text(CONFIG)
    before = os.environ.get("CONFIG_PATH")
    os.environ["CONFIG_PATH"] = str(path)
    try:
        return importlib.import_module("workers.app")
    finally:
        if before is None:
            del os.environ["CONFIG_PATH"]
        else:
            os.environ["CONFIG_PATH"] = before


class Context:
    """What tasks share, without servers: claims are free unless told otherwise, the clock is set."""

    def __init__(self):
        self.now = 1_000_000.0 + 36.0
        self.known = BeaconChain(1_000_000.0, bytes(32), 4000, 8, (ForkVersion(0, bytes(4), "fulu"),))
        self.claim = ClaimState.FREE
        self.done = []
        self.said = set()
        self.beacon = SimpleNamespace()
        self.payloads = None
        self.attested = SimpleNamespace(keep_decided=lambda submission: None)

    def chain(self):
        return self.known

    def time(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds

    def first_time(self, *what):
        return what not in self.said and not self.said.add(what)

    def run_claimed(self, key, lease, keep, work):
        if isinstance(self.claim, Exception):
            raise self.claim
        if self.claim is not ClaimState.FREE:
            return False
        done = work()
        if done:
            self.done.append(key)
        return done


@pytest.fixture
def context():
    return Context()

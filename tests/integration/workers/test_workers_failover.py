"""Workers with two beacon nodes, one of which is killed and comes back."""

import json
import socket
import urllib.request

import pytest

pytestmark = pytest.mark.integration

LATE_MS = 1500
"""A start may be late by this in tests: machines in use are slow, and a killed node costs a request."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class TwoNodes:
    """The operator's worker knows both; the fixture's own node is the first."""

    def __init__(self, operator):
        operator.prepare(slot_seconds=2)
        self.operator = operator
        self.first = operator.beacon_port
        operator.beacon_port = 0
        self.second_process = operator.run_beacon()
        self.second = operator.beacon_port
        operator.beacon_port = self.first
        self.metrics_port = free_port()
        path = operator.folder / "config.yaml"
        config = json.loads(path.read_text())
        config["beacon"]["nodes"] = [f"http://127.0.0.1:{port}" for port in (self.first, self.second)]
        config["worker"] = {"metrics_port": self.metrics_port}
        path.write_text(json.dumps(config))

    def metrics(self):
        url = f"http://127.0.0.1:{self.metrics_port}/metrics"
        with urllib.request.urlopen(url, timeout=10) as page:
            lines = page.read().decode().splitlines()
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}

    def asked(self, port, endpoint):
        name = "ssv_cl_request_duration_seconds_count"
        return self.metrics().get(f'{name}{{endpoint="{endpoint}",node="127.0.0.1:{port}"}}', 0)

    def standing(self, port):
        return self.metrics().get(f'ssv_cl_sync_status{{node="127.0.0.1:{port}"}}')


def test_no_slot_is_lost_when_the_first_of_two_nodes_is_killed_and_comes_back(operator, wait_until):
    nodes = TwoNodes(operator)
    [worker], first = operator.start_workers(1)
    operator.wait_for_slot(first)
    data = "GET /eth/v1/validator/attestation_data"
    assert nodes.asked(nodes.first, data) > 0
    wait_until(lambda: [nodes.standing(port) for port in (nodes.first, nodes.second)] == [3, 3])

    operator.kill(operator.beacon)
    killed = operator.slot()
    operator.wait_for_slot(killed + 3)
    before = nodes.asked(nodes.second, data)
    assert before > 0
    wait_until(lambda: nodes.standing(nodes.first) == 0)

    operator.restart_beacon()
    wait_until(lambda: nodes.standing(nodes.first) == 3)
    # The first one is in use again; it may be a while until nothing speaks against it.
    asked = nodes.asked(nodes.first, data)
    wait_until(lambda: nodes.asked(nodes.first, data) > asked, 30)
    last = operator.slot() - 1
    operator.wait_for_slot(last)
    assert {slot: operator.starts_by_slot()[slot] for slot in range(first, last + 1)} == dict.fromkeys(
        range(first, last + 1), 2
    )
    assert operator.delays(range(first, last + 1))[-1] < LATE_MS
    assert worker.poll() is None


def test_what_was_signed_reaches_both_nodes_and_one_of_them_is_enough(operator, wait_until):
    nodes = TwoNodes(operator)
    operator.start_workers(1)
    sender = operator.sender()

    def accepted(port):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/log", timeout=10) as page:
            return sorted(index for index, _ in json.load(page)["submitted"])

    sender.submit(operator.submission("both", [1, 2]))
    wait_until(lambda: [accepted(port) for port in (nodes.first, nodes.second)] == [[1, 2], [1, 2]])
    operator.kill(operator.beacon)
    sender.submit(operator.submission("one", [3, 4]))
    wait_until(lambda: accepted(nodes.second) == [1, 2, 3, 4])
    entry = wait_until(lambda: (found := operator.journal().get("one")) and "accepted" in found.steps and found)
    assert entry.steps["submitted"] <= entry.steps["accepted"]
    sender.close()

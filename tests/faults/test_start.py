"""What keeps an operator from starting: one clear line, a status of its own, nothing tried in vain."""

import json
import re
import socket
import subprocess
import sys

import pytest
from live_cluster import (
    change_config,
    clean_environment,
    free_port,
    lone_operator,
    node_command,
    operator_command,
    read_config,
    running,
    until,
)

pytestmark = pytest.mark.integration

ERROR = re.compile(r"^(?:ssv-pool|worker): error: (.+)$", flags=re.MULTILINE)


def outcome(command, **environment):
    """Exit status and the one error line of a command that must end by itself; no traceback anywhere."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180,
        env=clean_environment(**environment),
        check=False,
    )
    said = done.stdout + done.stderr
    assert "Traceback" not in said, said
    lines = ERROR.findall(said)
    assert len(lines) == 1, said
    return done.returncode, lines[0], said


def damage_cipher(folder):
    path = folder / "key.json"
    content = json.loads(path.read_text())
    message = content["cipher"]["message"]
    content["cipher"]["message"] = ("00" if message[:2] != "00" else "11") + message[2:]
    path.write_text(json.dumps(content))


def cut_short(folder):
    path = folder / "key.json"
    path.write_bytes(path.read_bytes()[:200])


def wrong_password(folder):
    (folder / "password.txt").write_text("battery staple\n")


KEY_FAULTS = {
    "wrong password": (wrong_password, "wrong password, or the file is damaged"),
    "damaged": (damage_cipher, "wrong password, or the file is damaged"),
    "cut short": (cut_short, "not a JSON file"),
}


@pytest.mark.parametrize("fault", ["wrong password", "damaged"])
def test_a_key_file_that_cannot_be_used_ends_the_node_with_status_3(tmp_path, fault):
    config = lone_operator(tmp_path / "operator")
    do, words = KEY_FAULTS[fault]
    do(config.parent)

    status, line, said = outcome(node_command(config))

    assert status == 3
    assert str(config.parent / "key.json") in line
    assert words in line
    assert "correct horse" not in said
    assert "battery staple" not in said


@pytest.mark.parametrize("fault", ["wrong password", "cut short"])
def test_a_key_file_that_cannot_be_used_ends_the_operator_at_once(tmp_path, fault):
    config = lone_operator(tmp_path / "operator")
    do, words = KEY_FAULTS[fault]
    do(config.parent)

    status, line, said = outcome(operator_command(config))

    assert status == 3
    assert str(config.parent / "key.json") in line
    assert words in line
    assert said.count("part=node pid=") == 1, "the node was started once, not again and again"


CONFIG_FAULTS = {
    "unknown key": ({"beacon.node": "http://127.0.0.1:1"}, "beacon.node: unknown key"),
    "bad value": ({"p2p.tcp_port": 70000}, "p2p.tcp_port: found 70000, expected"),
    "bad peer": ({"p2p.peers": ["/ip4/127.0.0.1/tcp/1"]}, "p2p.peers"),
}


@pytest.mark.parametrize("fault", CONFIG_FAULTS)
def test_a_bad_configuration_ends_with_status_2(tmp_path, fault):
    config = lone_operator(tmp_path / "operator")
    changes, words = CONFIG_FAULTS[fault]
    change_config(config, changes)

    status, line, _said = outcome(node_command(config))

    assert status == 2
    assert words in line


def test_operator_and_worker_refuse_a_bad_configuration_alike(tmp_path):
    config = lone_operator(tmp_path / "operator")
    change_config(config, {"execution.nodes": ["localhost:8545"]})

    for command in (operator_command(config), (sys.executable, "-m", "celery", "--app", "workers.app", "worker")):
        status, line, _said = outcome(command, CONFIG_PATH=str(config))
        assert status == 2
        assert "execution.nodes: found ['localhost:8545'], expected" in line


def test_a_file_that_is_no_configuration(tmp_path):
    config = lone_operator(tmp_path / "operator")
    config.write_text("network: [devnet\n")
    status, line, _said = outcome(node_command(config))
    assert status == 2
    assert f"{config}: not valid YAML at line 2" in line


@pytest.mark.parametrize("key", ["p2p.tcp_port", "api_port", "metrics_port"])
def test_a_port_in_use_ends_the_node_with_status_4(tmp_path, key):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        config = lone_operator(tmp_path / "operator", **{key.replace(".", "__"): port})

        status, line, _said = outcome(node_command(config))

    assert status == 4
    assert f"127.0.0.1:{port}" in line
    assert "in use" in line


def test_an_operator_waits_for_a_port_and_nodes_that_come_later(tmp_path):
    """Port taken at first: the supervisor tries again with growing pauses and succeeds when the port is free."""
    config = lone_operator(tmp_path / "operator")
    port = read_config(config)["api_port"]
    log = tmp_path / "log"
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
        with running(operator_command(config), log) as process:
            until(lambda: log.read_text().count("in use") >= 2, 120, log.read_text)
            assert process.poll() is None
            listener.close()
            health = until(lambda: page(port, "/v1/node/health"), 120, log.read_text)
            health = until(lambda: told(port), 60, lambda: page(port, "/v1/node/health"))
            process.terminate()
            assert process.wait(90) == 0
    assert re.fullmatch(r"bad: .*127\.0\.0\.1:\d+.*", health["beacon_node"])
    assert re.fullmatch(r"bad: .*127\.0\.0\.1:\d+.*cannot be reached.*", health["execution_node"])
    assert "Traceback" not in log.read_text()


def told(port):
    """Health once the broker is there and the workers have said how both nodes are."""
    health = page(port, "/v1/node/health")
    parts = [health.get(part, "") for part in ("beacon_node", "execution_node")]
    return health if health.get("broker") == "good" and all("127.0.0.1" in part for part in parts) else None


def page(port, path):
    import httpx

    try:
        return httpx.get(f"http://127.0.0.1:{port}{path}", timeout=5, trust_env=False).json()
    except (httpx.HTTPError, ValueError):
        return {}


def test_a_second_node_on_the_same_data_is_refused(tmp_path):
    """Two nodes that sign with one slashing protection each for itself would be the end of a validator."""
    config = lone_operator(tmp_path / "operator")
    second = config.parent / "second.yaml"
    second.write_text(config.read_text())
    change_config(second, {"p2p.tcp_port": free_port(), "api_port": free_port(), "metrics_port": free_port()})
    log = tmp_path / "log"
    with running(node_command(config), log):
        until(lambda: page(read_config(config)["api_port"], "/v1/node/health"), 120, log.read_text)
        status, line, _said = outcome(node_command(second))
    assert status != 0
    assert "slashing.sqlite" in line

"""The parts of a run that need no processes: who gets which beacon node, what an action does, when it ends."""

from dataclasses import replace
from typing import Any

import httpx
import pytest
from devnet_runs import GENESIS, make_run

from ssv_pool.devnet import run as run_module
from ssv_pool.devnet.beacon_process import ExecutionPart, embedded_nodes
from ssv_pool.devnet.config import Attack, Exit
from ssv_pool.devnet.run import _beacon_urls, _whole_epochs, perform
from ssv_pool.devnet.schedule import Action, Deed
from ssv_pool.devnet.watch import ChainWatch
from ssv_pool.errors import ConfigError, UnavailableError


@pytest.mark.parametrize(
    ("seconds", "keep", "epoch"),
    [(-50, False, 0), (0, False, 0), (63.9, False, 0), (64, False, 1), (999, False, 5), (999, True, 30)],
)
def test_an_interrupted_run_counts_its_whole_epochs(seconds: float, keep: bool, epoch: int) -> None:
    run = make_run()
    run.config = replace(run.config, keep=keep)
    assert _whole_epochs(run, GENESIS + seconds) == epoch


def test_operators_prefer_different_beacon_nodes() -> None:
    config = make_run(beacon_nodes=2).config
    one, two = "http://127.0.0.1:1", "http://127.0.0.1:2"
    assert _beacon_urls(config, [1, 2, 3], [1, 2], None) == {1: [one, two], 2: [two, one], 3: [one, two]}
    attacked = make_run(attack=Attack("slow")).config
    assert _beacon_urls(attacked, [1, 2, 3], [1, 2], 2) == {1: [one], 2: [two], 3: [one]}


def test_beacon_nodes_follow_each_other_and_the_first_runs_the_other_validators(tmp_path: Any) -> None:
    config = make_run(beacon_nodes=2, attack=Attack("stale-head", 3)).config
    first, second, lying = embedded_nodes(config, tmp_path, 1e6, [1, 2, 3])

    def options(node: Any) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        assert "--builder" in node.command
        pairs = [part for part in node.command[3:] if part != "--builder"]
        for name, value in zip(pairs[::2], pairs[1::2], strict=True):
            found.setdefault(name, []).append(value)
        return found

    assert options(first)["--external"] == ["0-7"]
    assert options(second)["--external"] == options(lying)["--external"] == ["0-63"]
    assert [options(node)["--peer"] for node in (first, second, lying)] == [
        ["http://127.0.0.1:2"],
        ["http://127.0.0.1:1"],
        ["http://127.0.0.1:1"],
    ]
    assert options(lying)["--attack"] == ["stale-head"]
    assert options(lying)["--attack-epoch"] == ["3"]
    assert "--attack" not in options(second)
    assert (first.lying, second.lying, lying.lying) == (False, False, True)
    assert len({node.record for node in (first, second, lying)}) == 3


class Recorder:
    """Notes what is done to it."""

    def __init__(self, number: int) -> None:
        self.operator_id, self.done, self.alive, self.lying = number, [], True, False

    def kill(self) -> None:
        self.done.append("kill")
        self.alive = False

    def restart(self) -> None:
        self.done.append("restart")

    def start(self) -> None:
        self.done.append("start")


def test_what_is_planned_is_done_to_whom_it_is_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    operators, beacons = [Recorder(1), Recorder(2)], [Recorder(0), Recorder(0)]
    run = make_run(exits=(Exit(1, 1),), operators=4, public_keys=[b"key"] * 8)
    run = replace(run, operators=operators, beacons=beacons)
    asked: list[int] = []
    monkeypatch.setattr(run_module, "exit_validator", lambda _config, _registry, index, _key: asked.append(index))
    for deed, number in ((Deed.KILL, 2), (Deed.STOP_BEACON, 1), (Deed.EXIT, 7), (Deed.RESTART, 2)):
        perform(run, Action(8, deed, number))
    assert [operator.done for operator in operators] == [[], ["kill", "restart"]]
    assert [beacon.done for beacon in beacons] == [["kill"], []]
    assert asked == list(run.exits_asked) == [7]
    assert run.beacon is beacons[1], "the first that runs"
    perform(run, Action(16, Deed.START_BEACON, 1))
    assert beacons[0].done == ["kill", "start"]
    beacons[1].lying = True
    with pytest.raises(UnavailableError, match="none is running"):
        _ = run.beacon


def client(answers: dict[str, Any], asked: list[str]) -> httpx.Client:
    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        found = answers.get(request.url.path + (f"?{request.url.query.decode()}" if request.url.query else ""))
        return httpx.Response(503) if found is None else httpx.Response(200, json={"data": found})

    return httpx.Client(transport=httpx.MockTransport(answer))


def committees(first: int) -> list[dict[str, Any]]:
    return [{"slot": str(slot), "index": "0", "validators": ["3", "4"]} for slot in range(first, first + 8)]


def test_duties_are_noted_once_and_asked_for_again_until_they_are_told() -> None:
    answers: dict[str, Any] = {
        "/eth/v1/validator/duties/proposer/1": [{"slot": "8", "validator_index": "5"}],
        "/eth/v1/beacon/states/head/committees?epoch=1": committees(8),
        "/eth/v1/beacon/states/head/committees?epoch=2": committees(16),
    }
    asked: list[str] = []
    watch = ChainWatch()
    with client(answers, asked) as http:
        watch.look(http, "http://node", 11)
        assert (watch.proposers, watch.sync_committees) == ({8: 5}, {})
        members = [
            {"validator_index": "6", "validator_sync_committee_indices": ["0", "2"]},
            {"validator_index": "7", "validator_sync_committee_indices": ["1"]},
        ]
        answers["/eth/v1/validator/duties/sync/1"] = answers["/eth/v1/validator/duties/sync/2"] = members
        watch.look(http, "http://node", 12)
        assert watch.sync_committees == {1: (6, 7, 6)}
        assert watch.committees == {1: {(slot, 0): (3, 4) for slot in range(8, 16)}}
        del asked[:]
        watch.look(http, "http://node", 13)
        assert asked == []
        # In the first slots of an epoch its proposers may still change.
        watch.look(http, "http://node", 18)
        assert not any("proposer" in url for url in asked)
        answers["/eth/v1/validator/duties/proposer/2"] = [{"slot": "x"}]
        with pytest.raises(UnavailableError, match="duties at slot 19: malformed"):
            watch.look(http, "http://node", 19)


def test_a_folder_that_holds_something_is_no_place_for_a_report(tmp_path: Any) -> None:
    (tmp_path / "report.json").write_text("{}")
    config = replace(make_run().config, report_dir=tmp_path)
    with pytest.raises(ConfigError, match="not empty, expected a new or an empty folder"):
        run_module.run_devnet(config, as_json=True)


def test_the_life_cycle_has_a_chain_and_an_execution_node_of_its_own(tmp_path: Any) -> None:
    config = make_run(lifecycle=True, validators=2).config
    part = ExecutionPart("http://127.0.0.1:8545", "0x" + "0d" * 20, 31, 1_000)
    (node,) = embedded_nodes(config, tmp_path, 1e6, [1], part)
    command = " ".join(node.command)
    for option in (
        "--config MIN_VALIDATOR_WITHDRAWABILITY_DELAY=1",
        "--config MAX_SEED_LOOKAHEAD=1",
        "--config BASE_REWARD_FACTOR=1",
        f"--execution http://127.0.0.1:8545 --execution-start 31@1000 --deposit-contract 0x{'0d' * 20}",
    ):
        assert option in command
    (plain,) = embedded_nodes(make_run().config, tmp_path, 1e6, [1])
    assert not {"--config", "--execution"} & set(plain.command)


@pytest.mark.parametrize(
    "changes",
    [{"exits": (Exit(1, 1),)}, {"beacon_nodes": 2}, {"clusters": ((1, 2, 3, 4),)}, {"operators": 7}, {"keep": True}],
)
def test_the_life_cycle_stands_alone(changes: dict[str, Any]) -> None:
    config = make_run(lifecycle=True).config
    with pytest.raises(ConfigError, match=r"--lifecycle: .*expected"):
        replace(config, **changes)

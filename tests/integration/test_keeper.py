"""Keepers on a real chain: from a stake to a funded validator and a report, by three of four members."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pool_members import ETH, PoolWorld, until

from ssv_pool.messaging.valkey import EmbeddedValkey
from ssv_pool.pool import audit, exchange
from ssv_pool.pool.contract import CLAIMABLE
from ssv_pool.registry.transactions import TransactionSender

pytestmark = pytest.mark.integration

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[PoolWorld]:
    made = PoolWorld(tmp_path)
    try:
        yield made
    finally:
        made.close()


def test_three_of_four_keepers_bring_a_stake_to_a_validator_and_a_report(world: PoolWorld, tmp_path: Path) -> None:
    """Processes of their own, one broker; the fourth member is away, and one of the three is killed on the way."""
    pool, key = world.pool, world.make_key(0).public_key
    broker = EmbeddedValkey(tmp_path / "broker")
    broker.start()
    running: list[subprocess.Popen[bytes]] = []

    def start(number: int) -> subprocess.Popen[bytes]:
        member = world.members[number]
        member.configure()
        environment = {
            **os.environ,
            "CONFIG_PATH": str(member.folder / "config.yaml"),
            "BROKER_URL": f"unix://{broker.socket}",
            "INSTANCE": f"op{number}",
            "XDG_STATE_HOME": str(tmp_path / "state"),
        }
        command = [sys.executable, "-m", "celery", "--app", "workers.keeper", "worker", "--queues", "keeper"]
        with (member.folder / "keeper.log").open("ab") as log:
            process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=REPOSITORY)
        running.append(process)
        return process

    def reached(state: int) -> bool:
        world.sync()
        return pool.validator_state(key) >= state

    try:
        first = start(0)
        start(1)
        start(2)
        pool.send(world.staker, pool.calls.stake(34 * ETH))
        until(lambda: reached(1), "the key is registered", 240)
        first.kill()
        first.wait()
        start(0)
        until(lambda: reached(2), "the validator is funded", 240)

        world.beacon.put(key, "active_ongoing", 32_010_000_000)
        world.beacon.blocks[39] = world.w3.eth.block_number
        world.w3.provider.make_request("evm_increaseTime", [30 * 86_400])  # type: ignore[arg-type]
        world.w3.provider.make_request("evm_mine", [])  # type: ignore[arg-type]
        world.beacon.finalized_epoch = 5
        until(lambda: pool.number("reportCount") == 1, "the report is booked", 240)
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(20)
        broker.stop()

    report, _ = pool.last_report()
    assert (report.slot, report.beacon_balance, report.deposits_counted) == (40, 32_010 * ETH // 1000, 32 * ETH)
    sent = [line for member in world.members for line in member.audit() if line.outcome == audit.SENT]
    assert sorted(line.task for line in sent) == ["committees", "fund", "register", "report"]
    assert len({line.tx_hash for line in sent}) == 4
    assert pool.number("validatorCount") == 1
    # The key is nowhere but in its file.
    secrets = [bytes(member.account.key).hex() for member in world.members]
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.name != "account.key":
            content = path.read_bytes()
            assert not [secret for secret in secrets if secret.encode() in content or bytes.fromhex(secret) in content]


def test_a_key_that_somebody_deposited_for_is_never_funded_and_leaves_the_registry(world: PoolWorld) -> None:
    """The deposit attack: one member registers the key, its deposit is there before the pool's."""
    pool, key = world.pool, world.make_key(0)
    keepers = [member.keeper() for member in world.members[:3]]
    pool.send(world.staker, pool.calls.stake(34 * ETH))
    until(lambda: world.did(keepers, "committees", "register") and pool.validator_state(key.public_key) == 1, "1")
    world.beacon.pending = [f"0x{key.public_key.hex()}"]

    until(lambda: world.did(keepers, "fund", "removals") and pool.validator_state(key.public_key) == 4, "retired")

    lines = [line for member in world.members[:3] for line in member.audit()]
    assert not [line for line in lines if line.task == "fund"]
    assert {line.detail for line in lines if line.task == "removals" and line.outcome == audit.WARNED} == {
        "somebody has deposited for this key: it is not funded and leaves the registry"
    }
    assert pool.number("validatorCount") == 0
    for keeper in keepers:
        keeper.close()


def test_a_dry_run_leaves_nothing(world: PoolWorld) -> None:
    world.make_key(0)
    member = world.members[0]
    member.configure()
    world.pool.send(world.staker, world.pool.calls.stake(34 * ETH))
    before = world.w3.eth.block_number
    command = [sys.executable, "-m", "ssv_pool", "keeper", "once", "--dry-run", "--json"]
    environment = {**os.environ, "CONFIG_PATH": str(member.folder / "config.yaml")}
    done = subprocess.run(command, env=environment, capture_output=True, check=True, cwd=REPOSITORY)
    assert [(item["task"], item["outcome"]) for item in json.loads(done.stdout)] == [
        ("committees", "planned"),
        ("register", "warned"),
    ]
    assert (member.audit(), world.w3.eth.block_number) == ([], before)


class Killed(BaseException):
    """What a kill -9 looks like to those who are still there."""


def test_a_keeper_killed_after_any_step_does_nothing_twice(world: PoolWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time something was stored or sent the keeper dies, before it can write that down; another one goes on."""
    pool, key = world.pool, world.make_key(0).public_key
    pool.send(world.staker, pool.calls.stake(34 * ETH))
    done: dict[object, int] = {}

    def die_after(owner: object, name: str, what: Callable[..., object]) -> None:
        original = getattr(owner, name)

        def dying(*given: Any, **named: Any) -> Any:
            found = original(*given, **named)
            step = (name, what(*given))
            done[step] = done.get(step, 0) + 1
            if done[step] == 1:
                raise Killed
            return found

        monkeypatch.setattr(owner, name, dying)

    die_after(exchange, "publish", lambda database, domain, signed, now: (signed.signer, signed.message))
    die_after(TransactionSender, "submit", lambda sender, action, *_: action)

    def one_more(number: int) -> bool:
        keeper = world.members[number % 3].keeper()
        try:
            world.rounds([keeper])
        except Killed:
            pass
        finally:
            keeper.close()
        return pool.validator_state(key) == 2

    rounds = iter(range(60))
    until(lambda: one_more(next(rounds)), "the validator is funded", 240)
    assert {count for (name, _), count in done.items() if name == "submit"} == {1}
    assert pool.number("validatorCount") == 1
    assert pool.number("depositedTotal") == 32 * ETH
    assert len(pool.registrations()) == 1


def test_a_life_ends_with_the_books_in_order(world: PoolWorld) -> None:
    """Top-up, exit, report of what came back, withdrawal, removal, refund: all of it by keepers, on a real chain."""
    pool, key = world.pool, world.make_key(0).public_key
    keepers = [member.keeper(report_epochs=1) for member in world.members[:3]]
    request = world.w3.provider.make_request
    world.pool.send(world.staker, pool.calls.stake(40 * ETH))
    until(lambda: world.did(keepers) and pool.validator_state(key) == 2, "funded")
    world.beacon.put(key, "active_ongoing", 32_000_000_000)

    registry, operators = pool.registry(), [operator.operator_id for operator in world.operators]
    careful = [member.keeper(runway_low_days=50, runway_high_days=60) for member in world.members[:3]]
    until(lambda: world.did(careful, "clusters") and _paid(world), "the cluster is topped up")
    # The fake beacon node's slots are of one second, and so are the keepers' blocks.
    runway = registry.status(pool.address, operators).runway_days(1.0)
    assert runway is not None
    assert 59 < runway < 60.1

    shares = pool.number("balanceOf", world.staker.address)
    pool.send(world.staker, pool.calls.request_withdrawal(shares, world.staker.address))
    until(lambda: world.did(keepers, "exits") and pool.validator_state(key) == 3, "the exit is asked for")

    world.beacon.put(key, "withdrawal_done", 0)
    request("anvil_setBalance", [pool.address, hex(world.w3.eth.get_balance(pool.address) + 32 * ETH)])  # type: ignore[arg-type]
    request("anvil_mine", ["0x2"])  # type: ignore[arg-type]
    world.beacon.blocks[39] = world.w3.eth.block_number
    request("anvil_mine", ["0x2"])  # type: ignore[arg-type]
    world.beacon.finalized_epoch = 5
    until(lambda: world.did(keepers, "report") and pool.number("reportCount") == 1, "the report is booked")
    until(lambda: world.did(keepers, "removals") and pool.validator_state(key) == 4, "the validator is removed")
    until(lambda: world.did(keepers, "clusters") and _refunded(world), "the cluster's rest is back")

    assert pool.number("exitsUnderWay") == 0
    assert registry.cluster(pool.address, operators).balance == 0
    assert pool.withdrawal(1).state == CLAIMABLE
    assert pool.number("totalAssets") + pool.number("reserved") + pool.number("unbooked") == world.w3.eth.get_balance(
        pool.address
    )
    for keeper in [*keepers, *careful]:
        keeper.close()


def _paid(world: PoolWorld) -> bool:
    return any(line.task == "clusters" and line.outcome == audit.SENT for m in world.members for line in m.audit())


def _refunded(world: PoolWorld) -> bool:
    lines = [line for m in world.members for line in m.audit() if line.task == "clusters"]
    return any(line.outcome == audit.SENT and line.detail.startswith("refund") for line in lines)

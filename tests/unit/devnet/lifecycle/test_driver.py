"""The driver against made-up chains: what it notes when, what stakers do and when they do not."""

from types import SimpleNamespace
from typing import Any, Self

import httpx
import pytest

from ssv_pool.devnet.lifecycle import driver as driver_module
from ssv_pool.devnet.lifecycle.driver import DEPOSIT, GAINS, LifeDriver, eth
from ssv_pool.devnet.lifecycle.outcome import life_lines, life_report
from ssv_pool.devnet.lifecycle.pool import STAKES, Event
from ssv_pool.devnet.lifecycle.steps import STEPS, StepLog
from ssv_pool.errors import UnavailableError
from ssv_pool.registry.chain import ContractError

KEY = b"\xab" * 48
FAR = str(2**64 - 1)
GAIN = 5 * 10**12
PAYMENT = 10**17
ADDRESS = "0x" + "0a" * 20


class Calls:
    def __getattr__(self, name: str) -> Any:
        return lambda *values: (name, *values)


class World:
    """A pool's contract and a beacon chain, moved on by the test."""

    def __init__(self) -> None:
        self.address, self.deposit_contract, self.treasury = ADDRESS, "0x" + "0d" * 20, "0x" + "0e" * 20
        self.members = tuple(SimpleNamespace(address=f"0x{number:040x}") for number in range(1, 5))
        self.stakers = tuple(SimpleNamespace(address=f"0x{number:040x}") for number in range(5, 8))
        self.receivers = tuple(f"0x{number:040x}" for number in range(15, 18))
        self.contract: Any = SimpleNamespace(
            first_block=1, calls=Calls(), send=self.send, number=self.number, last_report=lambda: (self.report, 0)
        )
        self.report = SimpleNamespace(exited=0)
        self.block = 1
        self.happened: list[Event] = []
        self.sent: list[tuple[Any, ...]] = []
        self.balances: dict[str, int] = {ADDRESS: 0}
        self.values: dict[str, int] = {"unbooked": 0, "receivedTotal": 0, "reserved": 0, "pendingWithdrawals": 0}
        self.status, self.exit_epoch, self.withdrawals = "", FAR, 0
        self.pending: list[dict[str, str]] = []
        self.slot = 0
        self.broken: Exception | None = None

    # ---- the pool

    def head(self) -> int:
        if self.broken is not None:
            raise self.broken
        return self.block

    def balance(self, address: str) -> int:
        return self.balances.get(address, 0)

    def events(self, first: int, last: int) -> list[Event]:
        return [event for event in self.happened if first <= event.block <= last]

    def send(self, account: Any, call: tuple[Any, ...]) -> None:
        self.sent.append(call)
        if call[0] == "stake":
            self.balances[ADDRESS] += call[1]
            self.values["buffered"] = self.balances[ADDRESS]
        if call[0] == "claim":
            place = call[1][0] - 1
            self.balances[self.receivers[place]] = STAKES[place]
            self.balances[ADDRESS] -= STAKES[place]
            self.values["reserved"] -= STAKES[place]

    def number(self, view: str, *values: Any) -> int:
        if view == "balanceOf":
            return 1 if values[0] in {staker.address for staker in self.stakers} else 0
        return 0 if view == "convertToAssets" else self.values[view]

    def happen(self, name: str, **arguments: Any) -> None:
        self.block += 1
        self.happened.append(Event(name, self.block, arguments))

    # ---- the beacon node

    def answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        data: Any = None
        if path.endswith("/headers/head"):
            data = {"header": {"message": {"slot": str(self.slot)}}}
        elif path.endswith("/pending_deposits"):
            data = self.pending
        elif path.endswith("/validator_balances"):
            data = [{"index": "64", "balance": "0"}]
        elif path.endswith("/blocks/1"):
            items = [{"address": ADDRESS.upper().replace("X", "x"), "amount": str(self.withdrawals)}]
            data = {"message": {"body": {"execution_payload": {"withdrawals": items}}}}
        elif "/validators/" in path and self.status:
            validator = {"activation_epoch": "2", "exit_epoch": self.exit_epoch, "withdrawable_epoch": "9"}
            data = {"index": "64", "balance": "32000000000", "status": self.status, "validator": validator}
        return httpx.Response(404) if data is None else httpx.Response(200, json={"data": data})


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def life(world: World, monkeypatch: pytest.MonkeyPatch) -> LifeDriver:
    class Reader:
        def __init__(self, *_: Any) -> None:
            pass

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def inclusion(self, _validators: Any, first: int, last: int) -> Any:
            return SimpleNamespace(duties=[SimpleNamespace(included_slot=1) for _ in range(first, last + 1)])

    monkeypatch.setattr(driver_module, "ChainReader", Reader)
    pool: Any = world
    driver = LifeDriver(pool, "http://beacon", StepLog(0.0, 3, lambda: 30.0))
    driver._client = httpx.Client(base_url="http://beacon", transport=httpx.MockTransport(world.answer))
    return driver


def live_until_leaving(world: World, life: LifeDriver) -> None:
    life.poll()
    world.happen("ValidatorRegistered", publicKey=KEY, operatorIds=[1, 2, 3, 4], payment=PAYMENT)
    world.happen("ValidatorFunded", publicKey=KEY, index=0)
    life.poll()
    world.pending = [{"pubkey": "0x" + KEY.hex()}]
    life.poll()
    world.status = "pending_queued"
    life.poll()
    world.status, world.slot = "active_ongoing", 8 * 5
    for number in range(1, GAINS + 1):
        assert not life.log.done("report")
        world.happen("Reported", number=number, slot=8 * number, change=GAIN, totalAssets=36 * 10**18)
        life.poll()
    assert life.log.done("report")


def test_every_step_is_seen_and_the_books_are_balanced(world: World, life: LifeDriver) -> None:
    live_until_leaving(world, life)
    assert [call[0] for call in world.sent] == ["stake"] * 3 + ["request_withdrawal"] * 3
    assert life.duties == (2, 2)
    world.happen("ValidatorExitRequested", publicKey=KEY)
    life.poll()
    world.status, world.exit_epoch = "active_exiting", "7"
    life.poll()
    world.status = "exited_unslashed"
    life.poll()
    assert not life.log.done("withdraw")
    world.status = "withdrawal_done"
    life.poll()
    assert not life.log.done("withdraw"), "the money is not on the execution chain yet"
    # Keepers may be that quick: the beacon chain alone says that the validator is gone.
    world.happen("ValidatorRetired", publicKey=KEY)
    life.poll()
    gained = GAIN * GAINS
    world.withdrawals, world.values["receivedTotal"] = (DEPOSIT + gained) // 10**9, DEPOSIT + gained
    world.balances[ADDRESS] += gained - PAYMENT
    life.poll()
    assert life.log.done("withdraw")
    world.happen("Reported", number=9, slot=72, change=0, totalAssets=36 * 10**18)
    life.poll()
    assert not life.log.done("settle"), "a report from before the withdrawal"
    world.report.exited = 1
    world.happen("Reported", number=10, slot=80, change=0, totalAssets=36 * 10**18)
    # Stakers put 36 ETH in and get 36 ETH back here: the cluster's money must come from somewhere.
    world.balances[ADDRESS] += PAYMENT
    world.happen("ClusterRefunded", operatorIds=[1, 2, 3, 4], amount=PAYMENT)
    world.values["reserved"] = sum(STAKES)
    for number in range(1, len(STAKES) + 1):
        world.happen("WithdrawalFinalized", id=number, shares=1, assets=STAKES[number - 1])
    world.values["buffered"] = gained
    world.slot = 1
    life.poll()
    assert life.log.missing == ()
    assert life.finished
    assert life.books is not None
    assert life.books.faults() == []
    assert (life.books.payouts, life.books.rewards, life.books.left) == (sum(STAKES), gained, gained)
    assert [call for call in world.sent if call[0] == "claim"] == [("claim", [1]), ("claim", [2]), ("claim", [3])]
    found = life_report(life)
    assert {step["name"] for step in found["steps"]} == set(STEPS)
    assert found["books"]["balanced"] is True
    assert found["validator"] == {"index": 64, "attestations": 2, "included": 2}
    assert any("= payouts" in line and "36 ETH" in line for line in life_lines(life))


def test_nobody_leaves_before_the_committee_has_done_a_duty(world: World, life: LifeDriver) -> None:
    life.poll()
    for number in range(1, GAINS + 3):
        world.happen("Reported", number=number, slot=8 * number, change=GAIN, totalAssets=1)
    life.poll()
    assert life.log.done("report")
    assert not life.log.done("leave")
    assert any("not seen: leave" in line for line in life_lines(life))


def test_a_node_that_does_not_answer_is_asked_again(world: World, life: LifeDriver) -> None:
    world.broken = UnavailableError("execution node: does not answer")

    def wait(_seconds: float) -> bool:
        assert life.trouble == "execution node: does not answer"
        world.broken = ContractError("stake: refused")
        return False

    life._stop.wait = wait  # type: ignore[assignment]
    life._run()
    assert life.error == "ContractError: stake: refused"
    assert life.finished
    assert life.books is None
    assert life_report(life)["missing"]
    assert len(world.sent) == len(STAKES), "nobody stakes twice"


@pytest.mark.parametrize(
    ("wei", "text"),
    [(0, "0 ETH"), (32 * 10**18, "32 ETH"), (1, "0.000000000000000001 ETH"), (-15 * 10**17, "-1.5 ETH")],
)
def test_amounts_for_people(wei: int, text: str) -> None:
    assert eth(wei) == text

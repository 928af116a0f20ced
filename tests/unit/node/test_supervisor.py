"""The supervisor on a clock of its own, with processes that only pretend; one test with a real one."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from ssv_pool.errors import ConfigError, KeyFileError, UnavailableError
from ssv_pool.node import supervisor
from ssv_pool.node.supervisor import Command, Part, stop_all, stop_signals, supervise


@dataclass
class World:
    """A clock, and everything that happened with its time."""

    now: float = 0.0
    events: list[tuple[float, str]] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    def note(self, text: str) -> None:
        self.events.append((self.now, text))

    def stop_after(self, seconds: float) -> Callable[[float], bool]:
        """A ``stopping`` that lets time pass and says yes after ``seconds``."""

        def stopping(wait: float) -> bool:
            self.now += wait
            return self.now >= seconds

        return stopping


@dataclass
class FakeProcess:
    """Lives for ``life`` seconds; takes ``slow`` seconds to end after SIGTERM."""

    world: World
    name: str
    life: float = 1e9
    status: int = 1
    slow: float = 0.0
    pid: int = 1
    born: float = field(init=False)
    ends: float = field(init=False)

    def __post_init__(self) -> None:
        self.born, self.ends = self.world.now, self.world.now + self.life
        self.world.note(f"{self.name} starts")

    def poll(self) -> int | None:
        return self.status if self.world.now >= self.ends else None

    def terminate(self) -> None:
        self.world.note(f"{self.name} TERM")
        self.ends, self.status = min(self.ends, self.world.now + self.slow), 0

    def kill(self) -> None:
        self.world.note(f"{self.name} KILL")
        self.ends = self.world.now

    def wait(self, timeout: float | None = None) -> int:
        left = max(0.0, self.ends - self.world.now)
        if timeout is not None and left > timeout:
            self.world.now += timeout
            raise subprocess.TimeoutExpired("fake", timeout)
        self.world.now += left
        return self.status


def part(world: World, name: str, *lives: FakeProcess | dict[str, float] | OSError) -> Part:
    """A part whose successive processes are as ``lives`` says; the last one is repeated."""
    coming = list(lives) or [{}]

    def spawn() -> FakeProcess:
        life = coming.pop(0) if len(coming) > 1 else coming[0]
        if isinstance(life, OSError):
            world.note(f"{name} cannot start")
            raise life
        return FakeProcess(world, name, **life)  # type: ignore[arg-type]

    return Part(name, spawn, clock=world.clock)


def starts(world: World, name: str = "node") -> list[float]:
    return [when for when, text in world.events if text == f"{name} starts"]


def test_a_part_that_keeps_dying_is_started_again_after_growing_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "LONGEST_PAUSE", 4.0)
    world = World()
    node = part(world, "node", {"life": 0.25})
    assert supervise([node], None, world.stop_after(17.0), world.clock) == 0
    # It dies 0.25 s after each start.
    assert starts(world) == [0.0, 0.75, 2.0, 4.25, 8.5, 12.75]
    assert node.restarts == 6


def test_a_part_that_lived_long_enough_starts_afresh() -> None:
    world = World()
    node = part(world, "node", {"life": 0.25}, {"life": 0.25}, {"life": 61.0}, {})
    supervise([node], None, world.stop_after(70.0), world.clock)
    assert starts(world) == [0.0, 0.75, 2.0, 63.5]


def test_one_part_dies_and_the_others_go_on() -> None:
    world = World()
    parts = [part(world, "node", {"life": 5.0}, {}), part(world, "worker")]
    supervise(parts, None, world.stop_after(20.0), world.clock)
    assert (len(starts(world, "node")), len(starts(world, "worker"))) == (2, 1)


@pytest.mark.parametrize("status", [ConfigError.exit_code, KeyFileError.exit_code])
def test_a_status_that_no_restart_can_mend_ends_it(status: int) -> None:
    world = World()
    parts = [part(world, "node", {"life": 2.0, "status": status}), part(world, "worker")]
    assert supervise(parts, None, world.stop_after(60.0), world.clock) == status
    assert starts(world) == [0.0]
    stop_all(parts, world.clock)
    assert world.events[-1] == (2.0, "worker TERM")


def test_a_part_that_others_can_do_without_is_tried_again_all_the_same() -> None:
    world = World()
    keeper = part(world, "keeper", {"life": 1.0, "status": KeyFileError.exit_code}, {})
    keeper.vital = False
    assert supervise([part(world, "node"), keeper], None, world.stop_after(60.0), world.clock) == 0
    assert (starts(world), starts(world, "keeper")) == ([0.0], [0.0, 31.0])


@pytest.mark.parametrize("status", [0, 1, UnavailableError.exit_code, -9])
def test_any_other_status_is_tried_again(status: int) -> None:
    world = World()
    supervise([part(world, "node", {"life": 1.0, "status": status}, {})], None, world.stop_after(9.0), world.clock)
    assert len(starts(world)) == 2


def test_a_process_that_cannot_be_started_is_tried_again() -> None:
    world = World()
    node = part(world, "node", OSError("no memory"), {})
    supervise([node], None, world.stop_after(2.0), world.clock)
    assert world.events == [(0.0, "node cannot start"), (0.5, "node starts")]


def test_the_parts_end_one_after_the_other_and_share_the_grace() -> None:
    world = World()
    parts = [part(world, "node", {"slow": 58.0}), part(world, "worker", {"slow": 4.0})]
    supervise(parts, None, world.stop_after(1.0), world.clock)
    world.now = 100.0
    stop_all(parts, world.clock)
    assert world.events[2:] == [(100.0, "node TERM"), (158.0, "worker TERM")]
    assert world.now == 162.0


def test_what_outlives_its_grace_is_killed() -> None:
    world = World()
    parts = [part(world, "node", {"slow": 999.0}), part(world, "worker", {"slow": 999.0})]
    supervise(parts, None, world.stop_after(1.0), world.clock)
    world.now = 100.0
    stop_all(parts, world.clock)
    assert world.events[2:] == [
        (100.0, "node TERM"),
        (160.0, "node KILL"),
        (160.0, "worker TERM"),
        (165.0, "worker KILL"),
    ]


def test_a_part_that_is_down_at_the_end_is_not_waited_for() -> None:
    world = World()
    parts = [part(world, "node", {"life": 1.0}), part(world, "worker")]
    supervise(parts, None, world.stop_after(1.2), world.clock)
    stop_all(parts, world.clock)
    assert [text for _, text in world.events] == ["node starts", "worker starts", "worker TERM"]


@dataclass
class FakeBroker:
    world: World
    answers: list[bool | Exception]

    def start(self) -> bool:
        answer = self.answers.pop(0) if self.answers else False
        self.world.note(f"broker {answer!r}")
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_the_broker_is_looked_after_too_and_its_failure_is_no_end() -> None:
    world = World()
    faults: list[bool | Exception] = [False, True, UnavailableError("no"), OSError("disk full"), True]
    supervise([part(world, "node")], FakeBroker(world, faults), world.stop_after(5.3), world.clock)
    seen = [when for when, text in world.events if text.startswith("broker")]
    assert seen == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_a_signal_ends_the_wait_at_once() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    with stop_signals() as stopping:
        assert not stopping(0)
        sender = threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGTERM))
        sender.start()
        assert stopping(60)
        sender.join()
        os.kill(os.getpid(), signal.SIGINT)
        assert stopping(60)
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


def test_a_real_part_is_in_a_session_of_its_own_and_gets_its_environment() -> None:
    code = "import os, sys; sys.exit(7 if os.getsid(0) == os.getpid() and os.environ['WHO'] == 'me' else 1)"
    command = Command((sys.executable, "-c", code), {**os.environ, "WHO": "me"})
    assert command.spawn().wait(60) == 7


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children that their parent died")
def test_a_real_part_does_not_outlive_its_supervisor() -> None:
    """A supervisor that is killed takes its part along: the part's end closes the pipe that both hold."""
    code = (
        "import os, sys\n"
        "from ssv_pool.node.supervisor import Command\n"
        "sleeper = Command((sys.executable, '-c', 'import sys; print(1, flush=True); sys.stdin = None;"
        " import signal; signal.pause()'), dict(os.environ)).spawn()\n"
        "import signal; signal.pause()\n"
    )
    reader, writer = os.pipe()
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        assert pipe.readline() == b"1\n"
        parent.kill()
        parent.wait(60)
        assert pipe.read() == b""

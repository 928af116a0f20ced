from types import SimpleNamespace

import pytest

from ssv_pool.messaging.claims import ClaimState
from ssv_pool.messaging.tasks import ORDINARY, URGENT
from ssv_pool.protocol.chain import BeaconChain, ForkVersion
from ssv_pool.settings import OperatorSettings, Settings
from workers import schedule, ticker

CHAIN = BeaconChain(1_000_000.0, bytes(32), 4000, 8, (ForkVersion(0, bytes(4), "fulu"),))
SETTINGS = Settings(
    network="devnet", data_dir=".", operator=OperatorSettings(private_key_file="a", password_file="b")
)  # fmt: skip


class World:
    """A ticker's surroundings: a clock that is set, a broker that keeps what is sent, claims that are told."""

    def __init__(self):
        self.now = CHAIN.start_of(9) - 1
        self.sent = []
        self.known = {}
        self.settings = SETTINGS
        self.claims = SimpleNamespace(states=lambda keys: [self.known.get(key, ClaimState.FREE) for key in keys])
        self.stalled = 0.0

    def chain(self):
        return CHAIN

    def send_task(self, name, arguments, **options):
        self.now += self.stalled
        self.sent.append((name, arguments, options))

    def names(self):
        return [name for name, _, _ in self.sent]


@pytest.fixture
def world():
    return World()


@pytest.fixture
def ticking(world):
    """Runs a tick at a time in seconds; returns what was sent in it."""
    made = ticker.Ticker(world, world, lambda: world.now)
    made._listed = made._since = world.now

    def tick(at):
        world.now = at
        before = len(world.sent)
        made._tick()
        return world.sent[before:]

    tick(world.now)
    return tick


def slot_tasks(sent):
    return [name for name, arguments, _ in sent if arguments[0].endswith(":9")]


def test_proposals_leave_first_whatever_else_is_due(ticking, world):
    start = CHAIN.start_of(9)
    sent = ticking(start + 0.01)
    assert slot_tasks(sent) == [schedule.PROPOSE_SLOT, schedule.BEGIN_SLOT, schedule.ATTEST_SLOT]
    assert sent[0][0] == schedule.PROPOSE_SLOT
    priorities = {name: options["priority"] for name, _, options in sent}
    assert priorities.pop(schedule.PROPOSE_SLOT) == URGENT
    assert set(priorities.values()) == {ORDINARY}
    assert sent[0][1] == ("propose:9", start + 4, 9, start)


def test_work_that_nobody_does_is_published_again_and_done_work_is_not(ticking, world):
    start = CHAIN.start_of(9)
    ticking(start + 0.01)
    world.known |= {"propose:9": ClaimState.DONE, "begin:9": ClaimState.HELD}
    assert slot_tasks(ticking(start + 1.2)) == []
    world.known |= {"begin:9": ClaimState.FREE}
    assert slot_tasks(ticking(start + 2.4)) == [schedule.BEGIN_SLOT]


def test_what_expired_while_it_was_sent_is_not_sent(ticking, world):
    # Each send takes so long that what follows is too late.
    world.stalled = 60.0
    assert len(ticking(CHAIN.start_of(9) + 0.01)) == 1


def test_what_was_not_started_is_said_once_for_each_kind(ticking, world, monkeypatch):
    said = []
    monkeypatch.setattr(ticker, "_log", SimpleNamespace(warning=lambda text, key: said.append((text, key))))
    ticking(CHAIN.start_of(9) + 0.01)
    for later in (5.0, 6.0, 7.0):
        ticking(CHAIN.start_of(9) + later)
    assert [text for text, key in said if key.endswith(":9")] == [
        "a slot's proposals were not started in time",
        "a slot's aggregations were not started in time",
        "a slot's attestations were not started in time",
    ]

"""What of the node process needs no sockets: its errors, its health, how it takes the registry over."""

import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing
from committee_network import FORKS
from committee_network import chain as make_chain
from prometheus_client import REGISTRY

from ssv_pool.errors import ConfigError, SsvPoolError, UnavailableError
from ssv_pool.messaging.commands import BeaconAnswer, BeginValidatorDuty, DutiesPlanned
from ssv_pool.network import Counters, NetworkError, PeerStatus
from ssv_pool.networks import network_named
from ssv_pool.node.gossip import Gossip
from ssv_pool.node.process import BOOK_SECONDS, PARTS, SILENT_SECONDS, WORKER_PARTS, Node
from ssv_pool.node.registry import OwnCommittee, RegistryState
from ssv_pool.node.run import _only_ours
from ssv_pool.observability.health import Health
from ssv_pool.protocol.chain import BeaconChain
from ssv_pool.protocol.events import BeaconReply, StartValidatorDuty
from ssv_pool.protocol.types.duties import ValidatorDuty
from ssv_pool.protocol.types.primitives import CommitteeId, Epoch, PublicKey, Slot, ValidatorIndex
from ssv_pool.protocol.types.roles import BeaconRole
from ssv_pool.store.duties import DutyBookContent
from ssv_pool.store.status import Status

CHAIN = make_chain()
KNOWN, UNKNOWN = CommitteeId(b"k" * 32), CommitteeId(b"u" * 32)

PORT, STORE = UnavailableError("port"), ConfigError("store")


@pytest.mark.parametrize(
    ("errors", "shown"),
    [
        ([PORT], PORT),
        ([ExceptionGroup("inner", [ExceptionGroup("innermost", [PORT])])], PORT),
        ([STORE, PORT], STORE),
        ([ExceptionGroup("inner", [PORT]), STORE], PORT),
        ([PORT, ValueError("bug")], None),
        ([ExceptionGroup("inner", [PORT]), ValueError("bug")], None),
        ([ValueError("bug"), ExceptionGroup("inner", [PORT])], None),
    ],
)
def test_a_group_of_our_own_errors_is_one_line_and_a_bug_is_not_hidden(
    errors: list[Exception], shown: SsvPoolError | None
) -> None:
    assert _only_ours(ExceptionGroup("outer", errors)) is shown


class FakeReader:
    """Stands in for the registry reader: what workers told, and what the store holds."""

    def __init__(self) -> None:
        self.told: dict[str, Status] | Exception = {}
        self.found: tuple[int, BeaconChain | None] | Exception = (1, None)
        self.views: list[RegistryState] = []
        self.calls: list[str] = []

    def statuses(self) -> dict[str, Status]:
        if isinstance(self.told, Exception):
            raise self.told
        return self.told

    def look(self) -> tuple[int, BeaconChain | None]:
        if isinstance(self.found, Exception):
            raise self.found
        return self.found

    def load(self, chain: BeaconChain, now: float) -> RegistryState:
        self.calls.append("load")
        return self.views.pop(0)

    def forget(self) -> None:
        self.calls.append("forget")

    def duty_book(self, epoch: int) -> DutyBookContent:
        self.calls.append("duty_book")
        return DutyBookContent({Epoch(epoch): {Slot(33): ValidatorIndex(7)}}, ())


class FakeNetwork:
    def __init__(self) -> None:
        self.topics: list[str] = []
        self.running = True
        self.counters = Counters()
        self.status: list[PeerStatus] = []
        self.fault: Exception | None = None

    async def subscribe(self, topic: str) -> None:
        self.topics.append(topic)

    async def unsubscribe(self, topic: str) -> None:
        self.topics.remove(topic)

    async def publish(self, topic: str, data: bytes) -> int:
        if self.fault:
            raise self.fault
        return 1

    def peers(self) -> list[PeerStatus]:
        return self.status


class FakeProtection:
    def __init__(self) -> None:
        self.roots: list[bytes] = []

    def bind(self, root: bytes) -> None:
        self.roots.append(root)


class FakeDispatcher:
    def __init__(self, calls: list[str]) -> None:
        self.calls = calls
        self.given: list[object] = []

    def start(self, committee_id: CommitteeId, event: object) -> bool:
        self.given.append((committee_id, event))
        return committee_id == KNOWN

    def reply(self, committee_id: CommitteeId, validator: bytes | None, reply: object) -> bool:
        self.given.append((committee_id, validator, reply))
        return committee_id == KNOWN

    async def set_committees(self, own: object, chain: BeaconChain) -> None:
        self.calls.append("set_committees")
        self.given.append((own, chain))


def bare_node(**parts: Any) -> Any:
    """A node without sockets and files."""
    made = object.__new__(Node)
    reader = FakeReader()
    values: dict[str, Any] = {
        "settings": SimpleNamespace(
            registry=SimpleNamespace(poll_seconds=12.0), ssv_network=network_named("devnet"), boole_epoch=None
        ),
        "health": Health(PARTS),
        "view": RegistryState(),
        "chain": None,
        "peers": (),
        "malformed_events": {},
        "_forks": FORKS,
        "_reader": reader,
        "_network": FakeNetwork(),
        "_protection": FakeProtection(),
        "_gossip": Gossip(FORKS, None),  # type: ignore[arg-type]
        "_cores": SimpleNamespace(forks=FORKS),
        "_book_due": 0.0,
        "_dispatcher": FakeDispatcher(reader.calls),
    }
    for name, value in {**values, **parts}.items():
        setattr(made, name, value)
    return made


def peer(*, connected: bool, address: str | None = "/ip4/…") -> PeerStatus:
    return PeerStatus("16U", address, connected=connected, since=None, rtt=None, topics=(), last_error=None)


def worker_parts(node: Any) -> dict[str, str]:
    trio.run(node._report_workers)
    return {part: node.health.snapshot()[part] for part in WORKER_PARTS}


def test_parts_that_no_worker_told_of_are_bad() -> None:
    assert worker_parts(bare_node()) == dict.fromkeys(WORKER_PARTS, "bad: no worker has reported yet")


def test_what_workers_told_is_shown_while_it_is_fresh() -> None:
    node, now = bare_node(), time.time()
    node._reader.told = {
        "beacon_node": Status(None, now, {}),
        "execution_node": Status("its head 7 is 500 s old", now, {}),
        "event_syncer": Status(None, now - 61, {}),
    }
    assert worker_parts(node) == {
        "beacon_node": "good",
        "execution_node": "bad: its head 7 is 500 s old",
        "event_syncer": "bad: last report of a worker is older than 60 s",
    }


def test_nothing_stays_good_when_the_store_does_not_answer() -> None:
    node = bare_node()
    node._reader.told = {part: Status(None, time.time(), {}) for part in WORKER_PARTS}
    assert set(worker_parts(node).values()) == {"good"}
    node._reader.told = UnavailableError("store: away")
    assert worker_parts(node) == dict.fromkeys(WORKER_PARTS, "bad: not known, the store does not answer")


@pytest.mark.parametrize(
    ("peers", "running", "status"),
    [
        ([], True, "good"),
        ([peer(connected=True), peer(connected=False)], True, "good"),
        ([peer(connected=False)], True, "bad: connected to none of 1 configured peers"),
        ([peer(connected=False), peer(connected=True, address=None)], True, "bad: connected to none of 1 "),
        ([peer(connected=True)], False, "bad: the host failed and is being built anew"),
    ],
)
def test_the_network_is_bad_when_nobody_is_connected(peers: list[PeerStatus], running: bool, status: str) -> None:
    node = bare_node()
    node._network.status, node._network.running = peers, running
    node._report_network()
    assert node.health.snapshot()["p2p"].startswith(status)
    assert node.peers == tuple(entry for entry in peers if entry.address)


def test_a_loop_that_hangs_turns_its_part_bad() -> None:
    now = [1000.0]
    node = bare_node(health=Health(PARTS, lambda: now[0]))
    node._report_network()
    assert node.health.snapshot()["p2p"] == "good"
    now[0] += SILENT_SECONDS + 1
    assert node.health.snapshot()["p2p"] == "bad: no report for 21 s, expected one every 20 s"


def test_the_registry_is_taken_over_once_a_version() -> None:
    node = bare_node()
    trio.run(node._take_over)
    assert node._reader.calls == [], "the chain is not known yet"
    node._reader.found = (4, CHAIN)
    node._reader.views = [RegistryState(version=4)]
    trio.run(node._take_over)
    trio.run(node._take_over)
    assert node._reader.calls == ["load", "set_committees", "forget"]
    assert node._protection.roots == [CHAIN.genesis_validators_root]


def test_a_new_fork_schedule_reaches_the_committees() -> None:
    node = bare_node()
    later = replace(CHAIN, forks=(*CHAIN.forks, replace(CHAIN.forks[0], epoch=9)))
    node._reader.views = [RegistryState(version=4), RegistryState(version=4)]
    for chain in (CHAIN, later):
        node._reader.found = (4, chain)
        trio.run(node._take_over)
    assert [chain for _, chain in node._dispatcher.given] == [CHAIN, later]
    assert node.chain == later


def test_topics_follow_the_own_committees() -> None:
    node = bare_node()
    member = SimpleNamespace(operator_ids=(1, 2, 3, 4))
    own = {CommitteeId(bytes(32)): OwnCommittee(member, {})}  # type: ignore[arg-type]
    node._reader.views = [RegistryState(version=2, own=own), RegistryState(version=3)]
    node._reader.found = (2, CHAIN)
    trio.run(node._take_over)
    assert node._network.topics == [FORKS.alan.topic((1, 2, 3, 4))]  # type: ignore[arg-type]
    node._reader.found = (3, CHAIN)
    trio.run(node._take_over)
    assert node._network.topics == []


def test_the_gauge_of_validators_forgets_a_status_that_is_gone() -> None:
    def gauge(status: str) -> float | None:
        return REGISTRY.get_sample_value("ssv_validator_validators_per_status", {"status": status})

    node = bare_node()
    node._reader.views = [
        RegistryState(version=1, statuses={"pending_queued": 2}),
        RegistryState(version=2, statuses={"active_ongoing": 2}),
    ]
    for version in (1, 2):
        node._reader.found = (version, CHAIN)
        trio.run(node._take_over)
    assert (gauge("pending_queued"), gauge("active_ongoing")) == (None, 2)


def test_a_message_that_cannot_be_published_is_no_end() -> None:
    node = bare_node()
    node._network.fault = NetworkError("message: too long")
    own = OwnCommittee(SimpleNamespace(operator_ids=(1, 2, 3, 4)), {})  # type: ignore[arg-type]
    trio.run(node._publish, own, SimpleNamespace(encode=lambda: b""))


@pytest.mark.parametrize(("slot_ms", "seconds"), [(None, 45.0), (12_000, 24.0), (2_000, 4.0), (60_000, 45.0)])
def test_running_duties_get_two_slots_to_end(slot_ms: int | None, seconds: float) -> None:
    assert bare_node(chain=None if slot_ms is None else make_chain(slot_ms=slot_ms))._grace == seconds


def dropped() -> float:
    return REGISTRY.get_sample_value("ssv_duty_commands_dropped_total", {"why": "unknown_committee"}) or 0.0


def test_starts_go_to_their_committee_and_those_of_strangers_are_counted() -> None:
    node, before = bare_node(), dropped()
    duty = ValidatorDuty(BeaconRole.PROPOSER, PublicKey(bytes(48)), Slot(5), ValidatorIndex(1))
    commands = [BeginValidatorDuty("k", committee, duty, 1.0, 2.0, 3.0) for committee in (KNOWN, UNKNOWN)]
    for command in commands:
        node._handle_command(command)
    event = StartValidatorDuty(duty, 1.0, 2.0, 3.0, "k")
    assert node._dispatcher.given == [(KNOWN, event), (UNKNOWN, event)]
    assert dropped() == before + 1


def test_answers_go_to_the_committee_or_the_validator_that_asked() -> None:
    node, before = bare_node(), dropped()
    for committee, key in ((KNOWN, b""), (KNOWN, b"v" * 48), (UNKNOWN, b"")):
        node._handle_command(BeaconAnswer("ask:7", committee, key, "7", b"block", 6, "", 9.0))
    reply = BeaconReply("7", b"block", 6, "")
    assert node._dispatcher.given == [(KNOWN, None, reply), (KNOWN, b"v" * 48, reply), (UNKNOWN, None, reply)]
    assert dropped() == before + 1


def test_others_duties_are_read_when_planned_and_now_and_then() -> None:
    clock = trio.testing.MockClock()
    node = bare_node()

    async def main() -> None:
        await node._read_duty_book()
        assert node._reader.calls == [], "the chain is not known yet"
        node.chain = node._gossip._chain = CHAIN
        for _ in range(2):
            await node._read_duty_book()
        assert node._reader.calls == ["duty_book"]
        node._look = trio.Event()
        node._handle_command(DutiesPlanned(Epoch(3), 1.0))
        assert node._look.is_set()
        await node._read_duty_book()
        assert node._reader.calls == ["duty_book"] * 2
        clock.jump(BOOK_SECONDS)
        await node._read_duty_book()
        assert node._reader.calls == ["duty_book"] * 3

    trio.run(main, clock=clock)
    epoch = CHAIN.epoch_at(time.time())
    assert node._gossip.duties.proposes(ValidatorIndex(7), Slot(33), epoch)

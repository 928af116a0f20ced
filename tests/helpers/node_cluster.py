"""Four real nodes in one process: sockets, gossip rules, stores, keys and signatures are real.

The test plays the workers: it writes the stores, sends the commands, answers requests and takes the submissions.
"""

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import trio
from live_cluster import free_port

from ssv_pool.crypto import operator_keys
from ssv_pool.crypto.operator_keys import OperatorKeyring
from ssv_pool.messaging.bus import ReadCounts
from ssv_pool.messaging.commands import BeaconAnswer, BeaconRequest, Command, JournalEntries, Submission
from ssv_pool.network.identity import load_or_create
from ssv_pool.node import process
from ssv_pool.node.process import Node
from ssv_pool.pool.keyshares import ShareOperator, split_key
from ssv_pool.protocol.chain import BeaconChain, ForkVersion
from ssv_pool.protocol.events import DutyRecord
from ssv_pool.protocol.types.ids import committee_id
from ssv_pool.protocol.types.presets import MINIMAL
from ssv_pool.protocol.types.primitives import Epoch, OperatorId, PublicKey, Root, ValidatorIndex
from ssv_pool.settings import Settings, load_settings
from ssv_pool.signer.slashing import SlashingProtection
from ssv_pool.store import Database
from ssv_pool.store import registry_changes as changes
from ssv_pool.store.chain import save_chain
from ssv_pool.store.records import ValidatorMetadata

OWNER = bytes(19) + b"\x01"
OWNER_TEXT = "0x" + OWNER.hex()
IDS = tuple(map(OperatorId, (1, 2, 3, 4)))
COMMITTEE = committee_id(IDS)
VALIDATORS = 2
SLOT_SECONDS = 3.0
SLOTS_PER_EPOCH = 8


class Bus:
    """Both directions between one node and its workers, in memory."""

    def __init__(self) -> None:
        self.commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self.submissions: list[Submission] = []
        self.requests: list[BeaconRequest] = []
        self.records: list[DutyRecord] = []
        self.answer: Callable[[BeaconRequest], BeaconAnswer] | None = None
        self.counts = ReadCounts()
        self.connected = True
        self._lock = threading.Lock()

    # CommandReader

    def read(self, block_ms: int = 1000) -> list[Command]:
        try:
            return [self.commands.get(timeout=block_ms / 1000)]
        except queue.Empty:
            return []

    # TaskSender

    def submit(self, submission: Submission) -> None:
        self.submissions.append(submission)

    def ask_beacon(self, request: BeaconRequest) -> None:
        self.requests.append(request)
        if self.answer is not None:
            self.commands.put(self.answer(request))

    def record_duties(self, entries: JournalEntries) -> None:
        self.records += [entry.record for entry in entries.entries]

    def close(self) -> None:
        pass


@dataclass
class Operator:
    """One operator's node and what the test needs of it."""

    operator_id: OperatorId
    settings: Settings
    database: Database
    bus: Bus = field(default_factory=Bus)
    node: Node | None = None


class NodeCluster:
    """Operators 1 to 4 with a committee of two validators; genesis is a few epochs ago."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, **overrides: Any) -> None:
        """Make the stores and the settings; ``overrides`` are dotted settings with ``__`` for the dots."""
        self._stack = contextlib.ExitStack()
        self.chain = BeaconChain(
            genesis_time=time.time() - 4 * SLOTS_PER_EPOCH * SLOT_SECONDS,
            genesis_validators_root=Root(b"g" * 32),
            slot_duration_ms=int(SLOT_SECONDS * 1000),
            slots_per_epoch=SLOTS_PER_EPOCH,
            forks=(ForkVersion(Epoch(0), b"\x05\0\0\x01", "electra"),),
            preset=MINIMAL,
        )
        self._keys = [operator_keys.generate() for _ in IDS]
        pems = [operator_keys.public_key_to_pem(key.public_key()) for key in self._keys]
        owners = [ShareOperator(operator_id, pem) for operator_id, pem in zip(IDS, pems, strict=True)]
        self.splits = [split_key(1_000_003 * (number + 1), owners, OWNER_TEXT, 0) for number in range(VALIDATORS)]
        self.operators = self._make_operators(folder, {key.replace("__", "."): v for key, v in overrides.items()})
        for operator in self.operators:
            self._fill(operator.database, pems)
        buses = iter([operator.bus for operator in self.operators for _ in range(2)])
        monkeypatch.setattr(process, "CommandReader", lambda *_: next(buses))
        monkeypatch.setattr(process, "TaskSender", lambda *_: next(buses))
        monkeypatch.setattr(process, "announce_operator", lambda *_: None)

    def key(self, number: int) -> PublicKey:
        """Public key of a validator."""
        return PublicKey(self.splits[number].public_key)

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Make the nodes and close them at the end."""
        with contextlib.ExitStack() as stack:
            for operator, key in zip(self.operators, self._keys, strict=True):
                protection = stack.enter_context(SlashingProtection(operator.settings.slashing_path))
                stack.callback(operator.database.close)
                operator.node = Node(operator.settings, OperatorKeyring(key), protection, operator.database)
                stack.callback(operator.node.close)
            yield

    @contextlib.asynccontextmanager
    async def running(self) -> Any:
        """Run the nodes until the block ends, from when they are connected and have their validators."""
        async with trio.open_nursery() as nursery:
            for operator in self.operators:
                nursery.start_soon(self.node_of(operator).run)
            await self.until(lambda: all(map(self._is_up, self.operators)), "nodes with peers and validators")
            yield
            nursery.cancel_scope.cancel()

    def node_of(self, operator: Operator) -> Node:
        assert operator.node is not None
        return operator.node

    def send(self, command: Command) -> None:
        """Give every node a command."""
        for operator in self.operators:
            operator.bus.commands.put(command)

    def store(self, change: Callable[[Any], None]) -> None:
        """Change every operator's store."""
        for operator in self.operators:
            with operator.database.session() as session:
                change(session)

    async def until(self, condition: Callable[[], Any], what: str, seconds: float = 60) -> None:
        """Wait for a condition, with a deadline."""
        with trio.move_on_after(seconds):
            while not condition():  # noqa: ASYNC110 - it is made true by several threads
                await trio.sleep(0.02)
            return
        raise AssertionError(f"not within {seconds:.0f} s: {what}")

    async def sleep_until(self, instant: float) -> None:
        """Wait for an instant of the wall clock."""
        await trio.sleep(max(0.0, instant - time.time()))

    def _is_up(self, operator: Operator) -> bool:
        node = self.node_of(operator)
        connected = sum(peer.connected for peer in node.peers)
        return node.view.validators == VALIDATORS and connected == len(IDS) - 1

    def _make_operators(self, folder: Path, overrides: dict[str, Any]) -> list[Operator]:
        ports = [free_port() for _ in IDS]
        folders = [folder / f"operator{operator_id}" for operator_id in IDS]
        for place in folders:
            place.mkdir(mode=0o700)
        identities = [load_or_create(place / "p2p.key") for place in folders]
        addresses = [
            f"/ip4/127.0.0.1/tcp/{port}/p2p/{identity.peer_id}"
            for port, identity in zip(ports, identities, strict=True)
        ]
        return [
            Operator(
                operator_id,
                self._settings(
                    folders[place], ports[place], [a for a in addresses if a != addresses[place]], overrides
                ),
                Database(f"sqlite:///{folders[place] / 'store.sqlite'}"),
            )
            for place, operator_id in enumerate(IDS)
        ]

    @staticmethod
    def _settings(folder: Path, port: int, peers: Sequence[str], overrides: dict[str, Any]) -> Settings:
        files = {"operator.private_key_file": folder / "none", "operator.password_file": folder / "none"}
        network = {"p2p.host": "127.0.0.1", "p2p.tcp_port": port, "p2p.peers": tuple(peers)}
        pages = {"metrics_port": free_port(), "api_port": free_port()}
        basic = {"network": "devnet", "data_dir": folder}
        return load_settings(None, environment={}, overrides={**basic, **files, **network, **pages, **overrides})

    def _fill(self, database: Database, pems: Sequence[bytes]) -> None:
        """The registry as workers write it: registered at genesis, active on the beacon chain."""
        database.create_schema()
        with database.session() as session:
            save_chain(session, self.chain)
            for operator_id, pem in zip(IDS, pems, strict=True):
                changes.add_operator(
                    session, operator_id, OWNER, operator_keys.public_key_to_base64(pem).encode(), 0, 1
                )
            for number, split in enumerate(self.splits):
                shares = split.shares
                changes.add_validator(
                    session,
                    changes.NewValidator(
                        public_key=PublicKey(split.public_key),
                        owner=OWNER,
                        operator_ids=IDS,
                        share_public_keys=shares.share_public_keys,
                        encrypted_shares=shares.encrypted_shares,
                        block_number=10 + number,
                        block_time=int(self.chain.genesis_time),
                    ),
                )
            known = {
                self.key(number): ValidatorMetadata(
                    ValidatorIndex(number), "active_ongoing", Epoch(0), Epoch(2**64 - 1)
                )
                for number in range(VALIDATORS)
            }
            changes.update_metadata(session, known)
            changes.bump_version(session)

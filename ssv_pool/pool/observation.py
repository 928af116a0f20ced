"""Gathers what a keeper decides by.

All calls of the pool's contract are answered for one block; beside them count the beacon node's and the own node's
word, and what members have signed.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from eth_typing import BlockNumber
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from ssv_pool.beacon.client import BeaconClient
from ssv_pool.errors import KeyFileError, UnavailableError
from ssv_pool.pool.approvals import Funding, Report, Signed
from ssv_pool.pool.beacon_facts import beacon_facts, execution_block
from ssv_pool.pool.calls import DEPOSIT_CONTRACT, POOL
from ssv_pool.pool.contract import OPEN, PoolContract
from ssv_pool.pool.deposit_data import DEPOSIT_GWEI, DepositData, pool_credentials
from ssv_pool.pool.inventory import Inventory
from ssv_pool.pool.logs import FollowedLogs
from ssv_pool.pool.report import LastReport, ReportFacts, compute_report, reference_epoch
from ssv_pool.pool.view import (
    DEPOSIT,
    ClusterFacts,
    DepositSignature,
    KeyFacts,
    KeyState,
    Marks,
    NextKey,
    PoolView,
    Share,
)
from ssv_pool.protocol.chain import BeaconChain
from ssv_pool.protocol.types.primitives import OperatorId, PublicKey, Signature, Slot
from ssv_pool.registry.artifacts import published_abi
from ssv_pool.registry.chain import read, translated
from ssv_pool.registry.contract import RegistryContract

DEPOSIT_BLOCKS: Final = 216_000
"""So far back the deposit contract's logs are read, 30 days: older deposits are in the beacon state."""

COUNTED_BLOCKS: Final = 96
"""In so many of the latest blocks the deposit contract's own count says how many logs there must be: any node still has
the state before them, and what is older has reached the beacon state."""

MOST_JUDGED: Final = 4_096
"""Deposits' signatures whose judgement is remembered: a member can name a new one in every message."""

PRICES_SECONDS: Final = 300.0
"""How long fees and the registry's parameters are used before they are read again."""


class OwnNode(Protocol):
    """What the own node makes of registrations."""

    def shares(self, blocks: Mapping[bytes, int]) -> Mapping[bytes, Share]:
        """For keys and the blocks of their registration."""
        ...


@dataclass(frozen=True, slots=True)
class _Step:
    """An event of a validator's life."""

    public_key: bytes
    state: KeyState
    block: int
    operator_ids: tuple[int, ...] = ()
    """Of a registration."""


@dataclass(frozen=True, slots=True)
class _Prices:
    """What a committee's validators cost."""

    since: float
    """When that was asked, seconds since the UNIX epoch."""
    rate: int
    threshold: int
    collateral: int


_STEPS: Final = {
    "ValidatorRegistered": KeyState.REGISTERED,
    "ValidatorFunded": KeyState.FUNDED,
    "ValidatorExitRequested": KeyState.EXIT_REQUESTED,
    "ValidatorRetired": KeyState.RETIRED,
}


class PoolObserver:
    """Makes snapshots of one pool. Not for several threads at once.

    Args:
        pool: the pool's contract.
        registry: client of its registry.
        beacon: the own beacon nodes.
        own_node: the own node.
        inventory: folder of validators to come; None where this member registers none.
        member: address of the member, 20 bytes.
        marks: of the member's settings.
        report_epochs: epochs between two reports.
        clock: seconds since the UNIX epoch.
    """

    def __init__(
        self,
        pool: PoolContract,
        *,
        registry: RegistryContract,
        beacon: BeaconClient,
        own_node: OwnNode,
        inventory: Path | None,
        member: bytes,
        marks: Marks,
        report_epochs: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.pool = pool
        self._w3 = pool.w3
        self._contract: Any = pool.w3.eth.contract(address=pool.address, abi=published_abi(POOL))
        self._registry = registry
        self._beacon = beacon
        self._own_node = own_node
        self._inventory_folder = inventory
        self._inventory: Inventory | None = None
        self._member = member
        self._marks = marks
        self._report_epochs = report_epochs
        self._clock = clock
        self._topics = {_topic(self._contract.events[name]): name for name in _STEPS}
        self._events = FollowedLogs(pool.w3, pool.address, list(self._topics), pool.first_block, self._read_event)
        self._deposit_logs: FollowedLogs[tuple[bytes, int]] | None = None
        self._deposit_contract: Any = None
        self._judged: dict[tuple[bytes, bytes], DepositSignature | None] = {}
        self._prices: dict[tuple[int, ...], _Prices] = {}
        self._period: int | None = None
        self._report: Report | None = None

    def view(self, chain: BeaconChain, messages: Sequence[Signed]) -> PoolView:
        """The snapshot.

        Args:
            chain: the beacon chain's constants.
            messages: own ones and members', with checked signatures.

        Raises:
            ContractError, UnavailableError, BeaconError: something could not be asked.
        """
        now = self._clock()
        with translated(self._w3, "ask for the latest block"):
            block = int(self._w3.eth.block_number)
        events = self._events.up_to(block)
        ask = self._at(block)
        self._check_events(events, ask)
        fork_version = chain.forks[0].version
        if self._inventory is None and self._inventory_folder is not None:
            self._inventory = Inventory(self._inventory_folder, self.pool.address, fork_version)
        registered = {event.public_key: event for event in events if event.state is KeyState.REGISTERED}
        states = {event.public_key: event.state for event in events}
        fundable = int(ask("fundable"))
        waiting = sum(state is KeyState.REGISTERED for state in states.values())
        inventory_key, inventory_problem = (None, None)
        if fundable >= DEPOSIT * (waiting + 1):
            inventory_key, inventory_problem = self._next_key(registered)
        deposits = _Deposits(self._inventory, pool_credentials(self.pool.address), fork_version, messages, self._judged)
        keys = self._keys(list(registered.values()), states, deposits, block)
        committees = {*self._marks.committees, *([inventory_key.operator_ids] if inventory_key else [])}
        clusters = {event.operator_ids for event in registered.values()} | committees
        if self._period is None:
            self._period = self._beacon.shard_committee_period()
        return PoolView(
            now=now,
            block_number=block,
            epoch=chain.epoch_at(now),
            slot_seconds=chain.slot_seconds,
            shard_committee_period=self._period,
            member=self._member,
            members=_addresses(ask("members")),
            quorum=int(ask("quorum")),
            paused=bool(ask("paused")),
            buffered=int(ask("buffered")),
            unbooked=int(ask("unbooked")),
            fundable=fundable,
            pending=int(ask("pendingWithdrawals")),
            exits_under_way=int(ask("exitsUnderWay")),
            allowance=int(ask("clusterAllowance")),
            cluster_nonce=int(ask("clusterNonce")),
            deposit_root=self._deposit_root(block) if waiting else bytes(32),
            keys=keys,
            clusters=tuple(self._cluster(ids, now) for ids in sorted(clusters)),
            committees={ids: bool(ask("committeeAllowed", list(ids))) for ids in sorted(committees)},
            next_key=inventory_key,
            inventory_problem=inventory_problem,
            report=self._due_report(chain, block, events),
            finalizable=self._finalizable(block),
            marks=self._marks,
            messages=tuple(messages),
        )

    # The pool's contract

    def _at(self, block: int) -> Callable[..., Any]:
        return lambda view, *values: self.pool.ask(view, *values, block=block)

    def _read_event(self, log: Mapping[str, Any]) -> _Step:
        name = self._topics[bytes(log["topics"][0])]
        found = self._contract.events[name]().process_log(log)["args"]
        ids = tuple(found.get("operatorIds", ()))
        return _Step(bytes(found["publicKey"]), _STEPS[name], int(log["blockNumber"]), ids)

    def _check_events(self, events: Sequence[_Step], ask: Callable[..., Any]) -> None:
        """Raises UnavailableError: the provider left logs out, which would hide a validator."""
        funded, said = sum(event.state is KeyState.FUNDED for event in events), int(ask("validatorCount"))
        if funded != said:
            raise UnavailableError(f"read the pool's logs: {funded} funded validators, the contract says {said}")

    def _keys(
        self,
        events: Sequence[_Step],
        states: Mapping[bytes, KeyState],
        deposits: "_Deposits",
        block: int,
    ) -> tuple[KeyFacts, ...]:
        events = [event for event in events if states[event.public_key] is not KeyState.RETIRED]
        waiting = [event for event in events if states[event.public_key] is KeyState.REGISTERED]
        beacon = beacon_facts(self._beacon, "head", [event.public_key for event in events])
        shares = self._own_node.shares({event.public_key: event.block for event in waiting}) if waiting else {}
        deposited = self._deposited({event.public_key for event in waiting}, block) if waiting else None
        found = []
        for event in events:
            key = event.public_key
            facts = KeyFacts(key, states[key], event.operator_ids, event.block, beacon=beacon.get(key))
            if facts.state is KeyState.REGISTERED:
                facts = KeyFacts(
                    key,
                    facts.state,
                    event.operator_ids,
                    event.block,
                    share=shares.get(key, Share.UNKNOWN),
                    deposit_seen=None if deposited is None else key in deposited,
                    deposit=deposits.of(key),
                    beacon=facts.beacon,
                )
            found.append(facts)
        return tuple(found)

    def _finalizable(self, block: int) -> bool:
        ask = self._at(block)
        place = int(ask("nextToFinalize"))
        if place > int(ask("requestCount")):
            return False
        last, _ = self.pool.last_report(block=block)
        request = self.pool.withdrawal(place, block=block)
        if request.state != OPEN or request.block_number >= last.block_number:
            return False
        return min(request.assets, int(ask("convertToAssets", request.shares))) <= int(ask("buffered"))

    # Deposits

    def _deposits(self) -> Any:
        if self._deposit_contract is None:
            place = self.pool.deposit_contract()
            self._deposit_contract = self._w3.eth.contract(address=place, abi=published_abi(DEPOSIT_CONTRACT))
        return self._deposit_contract

    def _deposit_root(self, block: int) -> bytes:
        call = self._deposits().functions.get_deposit_root()
        return bytes(read(self._w3, "read the deposit root", call, block=block))

    def _deposited(self, keys: set[bytes], block: int) -> frozenset[bytes] | None:
        """Those of the keys that anybody has deposited for: in the state, waiting in it, or in the latest logs.

        None where the beacon node does not tell what waits in its state: a deposit may wait there for weeks.
        """
        pending = self._beacon.pending_deposits()
        if pending is None:
            return None
        contract = self._deposits()
        if self._deposit_logs is None:
            # From before the pool was made: somebody may have deposited for its future keys.
            first = max(0, block - DEPOSIT_BLOCKS)
            self._deposit_logs = FollowedLogs(
                self._w3, contract.address, [_topic(contract.events.DepositEvent)], first, self._read_deposit
            )
        logs = self._deposit_logs.up_to(block)
        count = self._deposit_count(block)
        before = self._deposit_count(block - COUNTED_BLOCKS - 1)
        places = [place for _, place in logs]
        # A provider that leaves logs out would hide the one deposit that counts.
        if len(places) < count - before or places != list(range(count - len(places), count)):
            raise UnavailableError(
                f"read the deposit contract's logs: {len(places)} of {count} deposits, {count - before} of them in the "
                "latest blocks, with gaps: not judged by these"
            )
        return frozenset(keys & ({key for key, _ in logs} | set(pending)))

    def _deposit_count(self, block: int) -> int:
        """How many deposits there were at a block; none before the contract was there."""
        contract = self._deposits()
        if block < 0:
            return 0
        with translated(self._w3, "look for the deposit contract"):
            code = self._w3.eth.get_code(contract.address, block_identifier=BlockNumber(block))
        if not code:
            return 0
        raw = read(self._w3, "count deposits", contract.functions.get_deposit_count(), block=block)
        return int.from_bytes(bytes(raw), "little")

    def _read_deposit(self, log: Mapping[str, Any]) -> tuple[bytes, int]:
        found = self._deposit_contract.events.DepositEvent().process_log(log)["args"]
        return bytes(found["pubkey"]), int.from_bytes(bytes(found["index"]), "little")

    # Registry

    def _next_key(self, used: Collection[bytes]) -> tuple[NextKey | None, str | None]:
        """The key to register, or why there is none."""
        if self._inventory is None:
            return None, None
        nonce = self._registry.owner_nonce(self.pool.address)
        try:
            key = self._inventory.next(nonce, used)
        except KeyFileError as error:
            return None, str(error)
        return NextKey(key.public_key, tuple(key.shares.operator_ids), key.shares.shares_data), None

    def _cluster(self, ids: tuple[int, ...], now: float) -> ClusterFacts:
        state = self._registry.cluster(self.pool.address, [OperatorId(number) for number in ids])
        prices = self._prices_of(ids, now)
        balance, liquidatable = state.balance, False
        if state.active and state.validator_count:
            operators = [OperatorId(number) for number in ids]
            status = self._registry.views.status(self.pool.address, operators, state)
            balance, liquidatable = status.balance, status.liquidatable
        return ClusterFacts(
            operator_ids=ids,
            cluster=state,
            balance=balance,
            rate=prices.rate,
            threshold=prices.threshold,
            collateral=prices.collateral,
            liquidatable=liquidatable,
        )

    def _prices_of(self, ids: tuple[int, ...], now: float) -> "_Prices":
        kept = self._prices.get(ids)
        if kept is None or not 0 <= now - kept.since < PRICES_SECONDS:
            views = self._registry.views
            parameters = views.parameters()
            rate = parameters.network_fee + sum(views.operator(OperatorId(number)).fee for number in ids)
            kept = _Prices(now, rate, parameters.liquidation_threshold, parameters.minimum_collateral)
            self._prices[ids] = kept
        return kept

    # Beacon state and reports

    def _due_report(self, chain: BeaconChain, block: int, events: Sequence[_Step]) -> Report | None:
        report, _ = self.pool.last_report(block=block)
        last = LastReport(report.number, report.slot, report.block_number, report.exited)
        epoch = reference_epoch(self._beacon.finalized_epoch(), self._report_epochs)
        slot = chain.first_slot(epoch)
        if slot <= last.slot:
            return None
        if self._report is None or (self._report.slot, self._report.number) != (slot, last.number + 1):
            self._report = self._computed(last, slot, events)
        return self._report

    def _computed(self, last: LastReport, slot: Slot, events: Sequence[_Step]) -> Report | None:
        block = execution_block(self._beacon, slot)
        if block is None or block < self.pool.first_block:
            return None
        ask = self._at(block)
        funded = self.pool.funded_keys(block=block)
        facts = ReportFacts(
            slot=slot,
            block_number=block,
            funded=funded,
            exit_requested=[
                event.public_key for event in events if event.state is KeyState.EXIT_REQUESTED and event.block <= block
            ],
            state=beacon_facts(self._beacon, str(slot), funded),
            deposited_total=int(ask("depositedTotal")),
            received_total=int(ask("receivedTotal")),
            unbooked=int(ask("unbooked")),
        )
        return compute_report(last, facts)


class _Deposits:
    """The deposits that may be made: of the own inventory, or as members signed them, if the key's signature is right.

    Each is judged once.
    """

    def __init__(
        self,
        inventory: Inventory | None,
        credentials: bytes,
        fork_version: bytes,
        messages: Sequence[Signed],
        judged: dict[tuple[bytes, bytes], DepositSignature | None],
    ) -> None:
        self._inventory = inventory
        self._credentials = credentials
        self._fork_version = fork_version
        self._told: dict[bytes, set[bytes]] = {}
        self._judged = judged
        for signed in messages:
            if isinstance(signed.message, Funding):
                self._told.setdefault(signed.message.public_key, set()).add(signed.message.signature)

    def of(self, key: bytes) -> DepositSignature | None:
        """The deposit of a key; None where no good one is known."""
        own = self._inventory.deposit_of(PublicKey(key)) if self._inventory is not None else None
        for signature in [*([bytes(own.signature)] if own is not None else []), *sorted(self._told.get(key, ()))]:
            name = (key, signature)
            if name not in self._judged:
                if len(self._judged) >= MOST_JUDGED:
                    self._judged.clear()
                self._judged[name] = self._judge(key, signature)
            if (deposit := self._judged[name]) is not None:
                return deposit
        return None

    def _judge(self, key: bytes, signature: bytes) -> DepositSignature | None:
        data = DepositData(PublicKey(key), self._credentials, DEPOSIT_GWEI, Signature(signature), self._fork_version)
        return DepositSignature(signature, bytes(data.data_root)) if data.signed() else None


def _addresses(found: Sequence[str]) -> tuple[bytes, ...]:
    return tuple(bytes.fromhex(to_checksum_address(address)[2:]) for address in found)


def _topic(event: Any) -> bytes:
    abi = event().abi
    kinds = ",".join(field["type"] for field in abi["inputs"])
    return keccak(text=f"{abi['name']}({kinds})")

"""Gathers what a keeper decides by.

All calls of the pool's contract are answered for one block; beside them count the beacon node's and the own node's
word, and what members have signed.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from web3 import Web3

from ssv_pool.beacon.client import BeaconClient
from ssv_pool.errors import UnavailableError
from ssv_pool.pool.approvals import Domain, Funding, Report, Signed
from ssv_pool.pool.logs import FollowedLogs
from ssv_pool.pool.report import LastReport, ReportFacts, compute_report, reference_epoch
from ssv_pool.pool.view import (
    DEPOSIT,
    BeaconFacts,
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
from ssv_pool.protocol.types.primitives import OperatorId, PublicKey, Slot
from ssv_pool.registry.artifacts import published_abi
from ssv_pool.registry.chain import checksummed, read, translated
from ssv_pool.registry.contract import RegistryContract

CONTRACT: Final = "StakingPool"

DEPOSIT_BLOCKS: Final = 216_000
"""So far back the deposit contract's logs are read, 30 days: older deposits are in the beacon state."""

SKIPPED_SLOTS: Final = 64
"""Slots before a reference slot in which its execution block is looked for."""

_OPEN: Final = 1


class Judge(Protocol):
    """Judges a deposit's signature for the pool's credentials and 32 ETH."""

    def __call__(self, public_key: bytes, signature: bytes) -> DepositSignature | None:
        """The deposit; None where the signature is not the key's."""
        ...


class Inventory(Protocol):
    """Validators to come."""

    def next(self, nonce: int, used: Callable[[bytes], bool]) -> NextKey | None:
        """The key whose shares are signed for the registration of this nonce; None where there is none."""
        ...

    def deposit_signature(self, public_key: bytes) -> bytes | None:
        """The deposit's signature of a key, 96 bytes; None where it is not known."""
        ...


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


_STEPS: Final = {
    "ValidatorRegistered": KeyState.REGISTERED,
    "ValidatorFunded": KeyState.FUNDED,
    "ValidatorExitRequested": KeyState.EXIT_REQUESTED,
    "ValidatorRetired": KeyState.RETIRED,
}


class PoolObserver:
    """Makes snapshots of one pool. Not for several threads at once.

    Args:
        w3: connection to the own execution node.
        address: the pool's contract.
        registry: client of its registry.
        beacon: the own beacon nodes.
        own_node: the own node.
        inventory: validators to come; None where this member registers none.
        judge: judges deposits' signatures.
        member: address of the member, 20 bytes.
        marks: of the member's settings.
        report_epochs: epochs between two reports.
        first_block: block of the pool's deployment.
        clock: seconds since the UNIX epoch.
    """

    def __init__(
        self,
        w3: Web3,
        address: str,
        *,
        registry: RegistryContract,
        beacon: BeaconClient,
        own_node: OwnNode,
        inventory: Inventory | None,
        judge: Judge,
        member: bytes,
        marks: Marks,
        report_epochs: int,
        first_block: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.w3 = w3
        self.address = checksummed(address, "pool address")
        self._contract: Any = w3.eth.contract(address=self.address, abi=published_abi(CONTRACT))
        self._registry = registry
        self._beacon = beacon
        self._own_node = own_node
        self._inventory = inventory
        self._judge = judge
        self._member = member
        self._marks = marks
        self._report_epochs = report_epochs
        self._first_block = first_block
        self._clock = clock
        self._topics = {_topic(self._contract.events[name]): name for name in _STEPS}
        self._events = FollowedLogs(w3, self.address, list(self._topics), first_block, self._read_event)
        self._deposit_logs: FollowedLogs[tuple[bytes, int]] | None = None
        self._deposit_contract: Any = None
        self._judged: dict[tuple[bytes, bytes], DepositSignature | None] = {}
        self._period: int | None = None
        self._report: Report | None = None

    def domain(self) -> Domain:
        """What signatures are for."""
        with translated(self.w3, "ask for the chain id"):
            return Domain(self.w3.eth.chain_id, self.address)

    def members(self) -> tuple[bytes, ...]:
        """The members' addresses, ascending."""
        return _addresses(self._call("members"))

    def view(self, chain: BeaconChain, messages: Sequence[Signed]) -> PoolView:
        """The snapshot.

        Args:
            chain: the beacon chain's constants.
            messages: own ones and members', with checked signatures.

        Raises:
            ContractError, UnavailableError, BeaconError: something could not be asked.
        """
        now = self._clock()
        with translated(self.w3, "ask for the latest block"):
            block = int(self.w3.eth.block_number)
        events = self._events.up_to(block)
        ask = self._at(block)
        self._check_events(events, ask)
        registered = {event.public_key: event for event in events if event.state is KeyState.REGISTERED}
        states = {event.public_key: event.state for event in events}
        inventory_key = self._next_key(ask)
        keys = self._keys(list(registered.values()), states, messages, block)
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
            fundable=int(ask("fundable")),
            pending=int(ask("pendingWithdrawals")),
            exits_under_way=int(ask("exitsUnderWay")),
            allowance=int(ask("clusterAllowance")),
            cluster_nonce=int(ask("clusterNonce")),
            deposit_root=bytes(self._deposits().functions.get_deposit_root().call(block_identifier=block)),
            keys=keys,
            clusters=tuple(self._cluster(ids) for ids in sorted(clusters)),
            committees={ids: bool(ask("committeeAllowed", list(ids))) for ids in sorted(committees)},
            next_key=inventory_key,
            report=self._due_report(chain, ask, events),
            finalizable=self._finalizable(ask),
            marks=self._marks,
            messages=tuple(messages),
        )

    # The pool's contract

    def _call(self, name: str, *arguments: Any, block: int | None = None) -> Any:
        call = self._contract.get_function_by_name(name)(*arguments)
        return read(self.w3, f"read {name} of the pool", call, block=block)

    def _at(self, block: int) -> Callable[..., Any]:
        return lambda name, *arguments: self._call(name, *arguments, block=block)

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
        messages: Sequence[Signed],
        block: int,
    ) -> tuple[KeyFacts, ...]:
        events = [event for event in events if states[event.public_key] is not KeyState.RETIRED]
        waiting = [event for event in events if states[event.public_key] is KeyState.REGISTERED]
        beacon = self._beacon_facts("head", [event.public_key for event in events])
        shares = self._own_node.shares({event.public_key: event.block for event in waiting}) if waiting else {}
        deposited = self._deposited({event.public_key for event in waiting}, block) if waiting else frozenset()
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
                    deposit_seen=key in deposited,
                    deposit=self._deposit_of(key, messages),
                    beacon=facts.beacon,
                )
            found.append(facts)
        return tuple(found)

    def _finalizable(self, ask: Callable[..., Any]) -> bool:
        place = int(ask("nextToFinalize"))
        if place > int(ask("requestCount")):
            return False
        last, _ = ask("lastReport")
        _, _, shares, assets, made_in, state = ask("withdrawal", place)
        if state != _OPEN or made_in >= last[2]:
            return False
        return min(int(assets), int(ask("convertToAssets", shares))) <= int(ask("buffered"))

    # Deposits

    def _deposits(self) -> Any:
        if self._deposit_contract is None:
            place = self._call("depositContract")
            self._deposit_contract = self.w3.eth.contract(address=place, abi=published_abi("DepositContract"))
        return self._deposit_contract

    def _deposited(self, keys: set[bytes], block: int) -> frozenset[bytes]:
        """Those of the keys that anybody has deposited for: in the state, waiting in it, or in the latest logs."""
        contract = self._deposits()
        if self._deposit_logs is None:
            first = max(0, self._first_block, block - DEPOSIT_BLOCKS)
            self._deposit_logs = FollowedLogs(
                self.w3, contract.address, [_topic(contract.events.DepositEvent)], first, self._read_deposit
            )
        logs = self._deposit_logs.up_to(block)
        count = int.from_bytes(
            bytes(read(self.w3, "count deposits", contract.functions.get_deposit_count(), block=block)), "little"
        )
        places = [place for _, place in logs]
        # A provider that leaves logs out would hide the one deposit that counts.
        if places and places != list(range(count - len(places), count)):
            raise UnavailableError(
                f"read the deposit contract's logs: {len(places)} of {count} deposits, with gaps: not judged by these"
            )
        pending = self._beacon.pending_deposits() or frozenset()
        seen = {key for key, _ in logs} | set(pending)
        return frozenset(keys & seen)

    def _read_deposit(self, log: Mapping[str, Any]) -> tuple[bytes, int]:
        found = self._deposit_contract.events.DepositEvent().process_log(log)["args"]
        return bytes(found["pubkey"]), int.from_bytes(bytes(found["index"]), "little")

    def _deposit_of(self, key: bytes, messages: Sequence[Signed]) -> DepositSignature | None:
        """The deposit to make: from the own inventory, else as a member signed it, if its signature is right."""
        own = self._inventory.deposit_signature(key) if self._inventory is not None else None
        told = [
            signed.message.signature
            for signed in messages
            if isinstance(signed.message, Funding) and signed.message.public_key == key
        ]
        for signature in [*([own] if own is not None else []), *sorted(set(told))]:
            name = (key, signature)
            if name not in self._judged:
                self._judged[name] = self._judge(key, signature)
            if (deposit := self._judged[name]) is not None:
                return deposit
        return None

    # Registry

    def _next_key(self, ask: Callable[..., Any]) -> NextKey | None:
        if self._inventory is None or int(ask("fundable")) < DEPOSIT:
            return None
        nonce = self._registry.owner_nonce(self.address)
        return self._inventory.next(nonce, lambda key: int(ask("validatorState", key)) != KeyState.UNKNOWN)

    def _cluster(self, ids: tuple[int, ...]) -> ClusterFacts:
        operators = [OperatorId(number) for number in ids]
        state = self._registry.cluster(self.address, operators)
        views = self._registry.views
        parameters = views.parameters()
        rate = parameters.network_fee + sum(views.operator(operator).fee for operator in operators)
        balance, liquidatable = state.balance, False
        if state.active and state.validator_count:
            status = views.status(self.address, operators, state)
            balance, liquidatable = status.balance, status.liquidatable
        return ClusterFacts(
            operator_ids=ids,
            cluster=state,
            balance=balance,
            rate=rate,
            threshold=parameters.liquidation_threshold,
            collateral=parameters.minimum_collateral,
            liquidatable=liquidatable,
        )

    # Beacon state and reports

    def _beacon_facts(self, state: str, keys: Sequence[bytes]) -> dict[bytes, BeaconFacts]:
        found = self._beacon.validator_states(state, [PublicKey(key) for key in keys])
        return {
            bytes(key): BeaconFacts(facts.status, facts.balance, facts.activation_epoch, facts.exit_epoch)
            for key, facts in found.items()
        }

    def _due_report(self, chain: BeaconChain, ask: Callable[..., Any], events: Sequence[_Step]) -> Report | None:
        content, _ = ask("lastReport")
        last = LastReport(number=content[0], slot=content[1], block_number=content[2], exited=content[6])
        epoch = reference_epoch(self._beacon.finalized_epoch(), self._report_epochs)
        slot = chain.first_slot(epoch)
        if slot <= last.slot:
            return None
        if self._report is None or (self._report.slot, self._report.number) != (slot, last.number + 1):
            self._report = self._computed(last, slot, events)
        return self._report

    def _computed(self, last: LastReport, slot: Slot, events: Sequence[_Step]) -> Report | None:
        block = self._execution_block(slot)
        if block is None or block < self._first_block:
            return None
        ask = self._at(block)
        funded = [bytes(ask("validatorAt", place)) for place in range(int(ask("validatorCount")))]
        facts = ReportFacts(
            slot=slot,
            block_number=block,
            funded=funded,
            exit_requested=[
                event.public_key for event in events if event.state is KeyState.EXIT_REQUESTED and event.block <= block
            ],
            state=self._beacon_facts(str(slot), funded),
            deposited_total=int(ask("depositedTotal")),
            received_total=int(ask("receivedTotal")),
            unbooked=int(ask("unbooked")),
        )
        return compute_report(last, facts)

    def _execution_block(self, slot: Slot) -> int | None:
        """The execution block in the state of a slot: that of the last block up to it."""
        for place in range(slot, max(-1, slot - SKIPPED_SLOTS), -1):
            if (block := self._beacon.execution_block(Slot(place))) is not None:
                return block
        return None


def _addresses(found: Sequence[str]) -> tuple[bytes, ...]:
    return tuple(bytes.fromhex(to_checksum_address(address)[2:]) for address in found)


def _topic(event: Any) -> bytes:
    abi = event().abi
    kinds = ",".join(field["type"] for field in abi["inputs"])
    return keccak(text=f"{abi['name']}({kinds})")

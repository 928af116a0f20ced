"""One member's keeper: looks, decides, signs and sends, and writes down what it did.

Every round asks chain, beacon node, own store and the other members anew; nothing is remembered that counts. So a round
may be repeated, come late, or be killed at any step: what was signed is in the store, what was sent is on the chain.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from eth_account.signers.local import LocalAccount
from web3 import HTTPProvider
from web3.types import RPCEndpoint

from ssv_pool.beacon.client import BeaconClient
from ssv_pool.errors import ConfigError, SsvPoolError, UnavailableError
from ssv_pool.pool import audit, exchange
from ssv_pool.pool.approvals import (
    ClusterPayment,
    ClusterReactivation,
    ClusterRefund,
    Committee,
    Domain,
    Funding,
    Removal,
    Report,
    body_of,
    sign,
)
from ssv_pool.pool.audit import Audit
from ssv_pool.pool.calls import PoolCalls
from ssv_pool.pool.contract import PoolContract
from ssv_pool.pool.exchange import Peers
from ssv_pool.pool.judgement import TASKS, Finalize, Intent, Register, RequestExits, Send, Sign, Tell
from ssv_pool.pool.observation import PoolObserver
from ssv_pool.pool.own_node import OwnNode
from ssv_pool.pool.view import Marks, PoolView
from ssv_pool.protocol.chain import BeaconChain
from ssv_pool.registry.accounts import load_account
from ssv_pool.registry.calls import Call
from ssv_pool.registry.chain import ContractError, connect
from ssv_pool.registry.events import Cluster
from ssv_pool.registry.transactions import TransactionSender
from ssv_pool.settings import Settings
from ssv_pool.store.database import Database

MOST_SENT = 8
"""After each transaction what comes next is decided anew, in one round so often at the most."""

_EVERYWHERE = frozenset({"0.0.0.0", "::", ""})  # noqa: S104 - where a server listens, not where it is asked


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one intent."""

    task: str
    subject: str
    outcome: str
    """One of the audit's outcomes, or ``planned`` in a dry run."""
    detail: str
    tx_hash: bytes | None = None
    """The transaction, 32 bytes."""


@dataclass(frozen=True, slots=True)
class _Side:
    """What belongs to one execution node."""

    pool: PoolContract
    domain: Domain
    observer: PoolObserver
    sender: TransactionSender


def open_account(settings: Settings) -> LocalAccount:
    """The member's account. Raises ConfigError: none is named; KeyFileError: its file cannot be read or opened."""
    if settings.pool.contract is None or settings.pool.key_file is None:
        raise ConfigError("pool.contract: missing, expected the address of the pool that the keeper is to keep")
    return load_account(settings.pool.key_file, settings.pool.password_file)


class Keeper:
    """Keeps one pool as one member. Rounds exclude each other.

    Args:
        settings: this operator's.
        account: the member's; its key stays in this process.
        database: the store.
        beacon: the own beacon nodes.
        clock: seconds since the UNIX epoch.
    """

    def __init__(
        self,
        settings: Settings,
        account: LocalAccount,
        database: Database,
        beacon: BeaconClient,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if settings.pool.contract is None:
            raise ConfigError("pool.contract: missing, expected the address of the pool that the keeper is to keep")
        self._settings = settings
        self._contract = settings.pool.contract
        self._account = account
        self._member = bytes.fromhex(str(account.address)[2:])
        self._database = database
        self._beacon = beacon
        self._clock = clock
        self._audit = Audit(database, clock)
        self._peers = Peers(settings.pool.peers, settings.pool.timeout_seconds)
        host = "127.0.0.1" if settings.api_host in _EVERYWHERE else settings.api_host
        owner = bytes.fromhex(self._contract[2:])
        self._own_node = OwnNode(database, f"http://{host}:{settings.api_port}", owner, settings.pool.timeout_seconds)
        self._lock = threading.Lock()
        self._sides: dict[str, _Side] = {}
        self._first_node = 0
        self._failing: set[str] = set()
        self._seen: tuple[float, PoolView] | None = None

    def close(self) -> None:
        """Close all connections."""
        self._peers.close()
        self._own_node.close()

    def round(
        self, chain: BeaconChain, tasks: Sequence[str] = tuple(TASKS), *, dry_run: bool = False, fresh: float = 0.0
    ) -> list[Done]:
        """Do what there is to do.

        Args:
            chain: the beacon chain's constants.
            tasks: which tasks, in this order.
            dry_run: whether to sign, send and write down nothing; transactions are simulated.
            fresh: a look at the chain that is younger than so many seconds is used again.

        Returns:
            What was done, and what could not be.

        Raises:
            ConfigError: the contract's address is not that of a pool, or of another chain than before.
            ContractError, UnavailableError, BeaconError: nothing could be decided.
        """
        with self._lock:
            nodes = self._settings.execution.nodes
            url = nodes[self._first_node % len(nodes)]
            try:
                return self._round(self._side(url), chain, tasks, dry_run=dry_run, fresh=fresh)
            except UnavailableError:
                # Perhaps this node's fault: the next round asks the next one.
                self._first_node += 1
                self._seen = None
                raise

    def fail(self, task: str, error: SsvPoolError) -> None:
        """Write down that a task could not be done at all. Raises UnavailableError: the store does not take it."""
        self._failing.add(task)
        self._audit.write(task, "round", audit.FAILED, str(error))

    def works(self, task: str) -> None:
        """Write down that a task works again, if it did not. Raises UnavailableError: the store does not take it."""
        if task in self._failing:
            self._audit.write(task, "round", audit.NOTED, "works again")
            self._failing.discard(task)

    def _round(
        self, side: _Side, chain: BeaconChain, tasks: Sequence[str], *, dry_run: bool, fresh: float
    ) -> list[Done]:
        found: list[Done] = []
        if self._seen is None or not 0 <= self._clock() - self._seen[0] < fresh:
            self._seen = None
        sent = 0
        for task in tasks:
            # A task goes on while it gets somewhere: what was sent now may be the condition of the next step.
            while sent < MOST_SENT:
                if self._seen is None:
                    # Its age counts from its end: on a busy machine a look takes longer than it is fresh.
                    view = self._look(side, chain, dry_run=dry_run)
                    self._seen = (self._clock(), view)
                done = self._do_all(side, task, self._seen[1], dry_run=dry_run)
                found += done
                if not any(item.outcome == audit.SENT for item in done):
                    break
                sent += 1
                self._seen = None
        return found

    def _do_all(self, side: _Side, task: str, view: PoolView, *, dry_run: bool) -> list[Done]:
        found = []
        intents = TASKS[task](view)
        signed = [intent for intent in intents if isinstance(intent, Sign)]
        if signed:
            for intent in signed:
                done, view = self._sign(side, intent, view, dry_run=dry_run)
                found.append(done)
            if self._seen is not None and not dry_run:
                self._seen = (self._seen[0], replace(view, just_signed=()))
            # With the own signature there may be a quorum.
            intents = [intent for intent in TASKS[task](view) if not isinstance(intent, Sign)]
        return found + [self._do(side, intent, dry_run=dry_run) for intent in intents]

    def _sign(self, side: _Side, intent: Sign, view: PoolView, *, dry_run: bool) -> tuple[Done, PoolView]:
        signed = sign(side.domain, intent.message, self._account)
        detail = f"{intent.message.KIND} {_shown(intent)}"
        if dry_run:
            done = Done(intent.task, intent.subject, audit.PLANNED, f"sign {detail}")
        else:
            exchange.publish(self._database, side.domain, signed, self._clock())
            self._audit.write(intent.task, intent.subject, audit.SIGNED, detail)
            done = Done(intent.task, intent.subject, audit.SIGNED, detail)
        signed_now = (*view.just_signed, intent.message)
        return done, replace(view, messages=(*view.messages, signed), just_signed=signed_now)

    def _do(self, side: _Side, intent: Intent, *, dry_run: bool) -> Done:
        if isinstance(intent, Tell):
            outcome = audit.WARNED if intent.warning else audit.NOTED
            if not dry_run:
                self._audit.write(intent.task, intent.subject, outcome, intent.text)
            return Done(intent.task, intent.subject, outcome, intent.text)
        call = _call(side.pool.calls, intent)
        try:
            sent = side.sender.send(call.action, call.function, value=call.value, dry_run=dry_run)
        except ContractError as error:
            done = Done(intent.task, intent.subject, audit.REFUSED, str(error))
        else:
            if dry_run:
                return Done(intent.task, intent.subject, audit.PLANNED, f"{call.action}, {sent.plan.gas} gas at most")
            receipt = sent.receipt
            detail = f"{call.action}, block {receipt['blockNumber']}, {receipt['gasUsed']} gas"
            done = Done(intent.task, intent.subject, audit.SENT, detail, sent.tx_hash)
        if not dry_run:
            self._audit.write(done.task, done.subject, done.outcome, done.detail, done.tx_hash)
        return done

    def _look(self, side: _Side, chain: BeaconChain, *, dry_run: bool) -> PoolView:
        now = self._clock()
        members = {bytes.fromhex(member[2:]) for member in side.pool.members()}
        messages = list(exchange.own(self._database, side.domain, self._member, now))
        for answer in self._peers.fetch(side.domain, members):
            messages += answer.messages
            if dry_run:
                continue
            if answer.problem is None:
                self._audit.write("exchange", answer.peer, audit.NOTED, "answers")
            else:
                self._audit.write("exchange", answer.peer, audit.WARNED, answer.problem)
        return side.observer.view(chain, tuple(dict.fromkeys(messages)))

    def _side(self, url: str) -> _Side:
        """The clients of one execution node, made and checked at first use."""
        if url not in self._sides:
            settings, pool_settings = self._settings, self._settings.pool
            w3 = connect(url)
            if isinstance(w3.provider, HTTPProvider):
                # web3 asks for the chain id before every call.
                w3.provider.cache_allowed_requests = True
                w3.provider.cacheable_requests = {RPCEndpoint("eth_chainId")}
            pool = PoolContract(w3, self._contract, first_block=settings.pool_first_block)
            pool.check()
            domain = pool.domain()
            others = {side.domain for side in self._sides.values()}
            if others - {domain}:
                raise ConfigError(f"execution.nodes: one follows chain {domain.chain_id}, another one another chain")
            highest = pool_settings.highest_fee_gwei
            observer = PoolObserver(
                pool,
                registry=pool.registry(),
                beacon=self._beacon,
                own_node=self._own_node,
                inventory=pool_settings.inventory,
                member=self._member,
                marks=Marks(
                    pool_settings.runway_low_days, pool_settings.runway_high_days, pool_settings.allowed_committees
                ),
                report_epochs=pool_settings.report_epochs,
                clock=self._clock,
            )
            sender = TransactionSender(w3, self._account, highest_fee=None if highest is None else int(highest * 10**9))
            self._sides[url] = _Side(pool, domain, observer, sender)
        return self._sides[url]


def _call(calls: PoolCalls, intent: Send | Register | RequestExits | Finalize | Sign) -> Call:
    """The transaction of an intent."""
    match intent:
        case Register(key=key, payment=payment, cluster=cluster):
            return calls.register_validator(key.public_key, key.operator_ids, key.shares, payment, cluster)
        case RequestExits(public_keys=keys, operator_ids=ids):
            return calls.exit_validators(keys, ids)
        case Finalize(limit=limit):
            return calls.finalize_withdrawals(limit)
        case Send(message=Report() as message, approvals=approvals):
            return calls.report(message, approvals)
        case Send(message=Funding() as message, approvals=approvals):
            return calls.fund_validator(message, approvals)
        case Send(message=Committee() as message, approvals=approvals):
            return calls.allow_committee(message, approvals)
        case Send(message=Removal() as message, approvals=approvals, cluster=Cluster() as cluster, operator_ids=ids):
            return calls.remove_validator(message, ids, cluster, approvals)
        case Send(message=ClusterPayment() as message, approvals=approvals, cluster=Cluster() as cluster):
            return calls.pay_cluster(message, cluster, approvals)
        case Send(message=ClusterRefund() as message, approvals=approvals, cluster=Cluster() as cluster):
            return calls.refund_cluster(message, cluster, approvals)
        case Send(message=ClusterReactivation() as message, approvals=approvals, cluster=Cluster() as cluster):
            return calls.reactivate_cluster(message, cluster, approvals)
        case _:
            raise ContractError(f"{intent.subject}: its cluster is not known")


def _shown(intent: Sign) -> str:
    """The values of a message that fit into a line."""
    body = body_of(intent.message)
    return ", ".join(f"{name} {value}" for name, value in body.items() if len(str(value)) <= 66)

"""Plays the stakers and watches both chains until every step of the life was seen.

All that operators do in a life their keepers do by themselves; here nobody helps them. A thread of its own, since
transactions take seconds to be mined.
"""

import threading
from typing import Any, Final

import httpx
from eth_account.signers.local import LocalAccount

from ssv_pool.devnet.config import SLOTS_PER_EPOCH
from ssv_pool.devnet.inclusion import ChainReader
from ssv_pool.devnet.lifecycle.books import Books
from ssv_pool.devnet.lifecycle.pool import STAKES, Event, LifePool
from ssv_pool.devnet.lifecycle.steps import StepLog
from ssv_pool.errors import SsvPoolError, UnavailableError
from ssv_pool.pool.calls import PoolCalls
from ssv_pool.protocol.types.primitives import FAR_FUTURE_EPOCH
from ssv_pool.registry.amounts import GWEI, WEI
from ssv_pool.registry.calls import Call

POLL_SECONDS: Final = 1.0
DEPOSIT: Final = 32 * WEI

GAINS: Final = 3
"""Reports with a gain that stakers wait for before they leave: whoever leaves goes without the last one."""

ONGOING, DONE = "active_ongoing", "withdrawal_done"


def eth(wei: int) -> str:
    """An amount for people: ``1.5 ETH``."""
    whole, rest = divmod(abs(wei), WEI)
    text = f"{whole}.{rest:018d}".rstrip("0").rstrip(".")
    return f"{'-' if wei < 0 else ''}{text} ETH"


class LifeDriver:
    """One life: `start` it, look at `log`, stop it; in the end there are `books`."""

    def __init__(self, pool: LifePool, beacon_url: str, log: StepLog) -> None:
        """Watch a pool and a beacon node.

        Args:
            pool: the pool, on a chain that is being mined.
            beacon_url: base URL of the beacon node.
            log: takes the steps.
        """
        self.pool = pool
        self.log = log
        self.books: Books | None = None
        self.error = ""
        """Why the life ended early."""
        self.trouble = ""
        """What went wrong last and was tried again."""
        self.validator: int | None = None
        """Index of the pool's validator."""
        self.duties: tuple[int, int] = (0, 0)
        """Attestations of the pool's validator that are in blocks, and those that it owed."""
        self._beacon_url = beacon_url
        self._client = httpx.Client(base_url=beacon_url, timeout=10, trust_env=False)
        self._next_block = pool.contract.first_block
        self._events: list[Event] = []
        self._active_epoch: int | None = None
        self._counted_epoch = -1
        self._staked = 0
        self._requested = 0
        self._claimed: set[int] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="life", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End it, whatever was seen; waits for a transaction under way."""
        self._stop.set()
        self._thread.join(30)
        self._client.close()

    @property
    def finished(self) -> bool:
        """Whether there is nothing to wait for any more."""
        return self.books is not None or bool(self.error)

    def _run(self) -> None:
        while not self.finished and not self._stop.is_set():
            try:
                self.poll()
            except UnavailableError as error:
                self.trouble = str(error)  # asked again in a second; a run has an end
            except (SsvPoolError, ValueError, KeyError) as error:
                self.error = f"{type(error).__name__}: {error}"
            self._stop.wait(POLL_SECONDS)

    def poll(self) -> None:
        """Look once, and do what stakers do now.

        Raises:
            SsvPoolError: a transaction was refused, or a node does not answer.
        """
        self._stake()
        self._read_events()
        self._look_at_beacon()
        self._leave()
        self._claim()
        if not self.log.missing:
            self.books = self._balance_books()

    # ---- what stakers do

    def _stake(self) -> None:
        while self._staked < len(STAKES):
            staker, amount = self.pool.stakers[self._staked], STAKES[self._staked]
            self._send(staker, self._calls.stake(amount))
            self._staked += 1
            if self._staked == len(STAKES):
                self.log.note("stake", f"{', '.join(map(eth, STAKES))}")

    def _leave(self) -> None:
        if not (self.log.done("report") and self.log.done("duties")):
            return
        while self._requested < len(STAKES):
            place = self._requested
            staker, receiver = self.pool.stakers[place], self.pool.receivers[place]
            shares = self._number("balanceOf", staker.address)
            if shares:
                self._send(staker, self._calls.request_withdrawal(shares, receiver))
            self._requested += 1
            if self._requested == len(STAKES):
                self.log.note("leave", f"{eth(self._number('pendingWithdrawals'))} asked for")

    def _claim(self) -> None:
        ready = {int(event.arguments["id"]) for event in self._of("WithdrawalFinalized")}
        for number in sorted(ready - self._claimed):
            self._send(self.pool.stakers[0], self._calls.claim([number]))
            self._claimed.add(number)
        if len(self._claimed) == len(STAKES):
            self.log.note("payout", f"{eth(self._payouts())} to {len(self._claimed)} stakers")

    # ---- what is seen

    def _read_events(self) -> None:
        last = self.pool.head()
        if last < self._next_block:
            return
        for event in self.pool.events(self._next_block, last):
            self._events.append(event)
            self._note_event(event)
        self._next_block = last + 1

    def _note_event(self, event: Event) -> None:
        arguments = event.arguments
        match event.name:
            case "ValidatorRegistered":
                operators = ",".join(map(str, arguments["operatorIds"]))
                self.log.note("register", f"with operators {operators}, {eth(arguments['payment'])} for the cluster")
            case "ValidatorFunded":
                self.log.note("fund", f"validator 0x{bytes(arguments['publicKey']).hex()[:16]}…")
            case "Reported":
                self._note_report(event)
            case "ValidatorExitRequested":
                self.log.note("request_exit", f"in block {event.block}")
            case "ValidatorRetired":
                self.log.note("retire", f"in block {event.block}")
            case _:
                pass

    def _note_report(self, event: Event) -> None:
        number, change = int(event.arguments["number"]), int(event.arguments["change"])
        text = f"report {number} of slot {event.arguments['slot']}: {eth(change)}"
        gains = sum(int(found.arguments["change"]) > 0 for found in self._of("Reported"))
        if gains >= GAINS:
            self.log.note("report", f"{text}, {eth(event.arguments['totalAssets'])} in all, after {gains} gains")
        report, _time = self.pool.contract.last_report()
        if report.exited:
            self.log.note("settle", text)

    def _look_at_beacon(self) -> None:
        if not self.log.done("fund") or self.log.done("withdraw"):
            return
        key = "0x" + bytes(self._of("ValidatorFunded")[0].arguments["publicKey"]).hex()
        found = self._get(f"/eth/v1/beacon/states/head/validators/{key}")
        if found is None:
            pending = self._get("/eth/v1/beacon/states/head/pending_deposits") or []
            if any(entry["pubkey"] == key for entry in pending):
                self.log.note("deposit", f"one of {len(pending)} that wait")
            return
        self.validator = int(found["index"])
        status, validator = found["status"], found["validator"]
        # Seen late, it has still come all this way.
        self.log.note("deposit", "made a validator at once")
        self.log.note("validator", f"number {self.validator}, {status}")
        if status.startswith("pending"):
            return
        self._active_epoch = int(validator["activation_epoch"])
        self.log.note("activate", f"since epoch {self._active_epoch}, {eth(int(found['balance']) * GWEI)}")
        exit_epoch = int(validator["exit_epoch"])
        self._count_duties(exit_epoch)
        if exit_epoch == FAR_FUTURE_EPOCH:
            return
        self.log.note("sign_exit", f"out in epoch {exit_epoch}")
        if not status.startswith("active"):
            self.log.note("exit", f"since epoch {exit_epoch}, withdrawable in {validator['withdrawable_epoch']}")
        if status == DONE:
            came = self._number("receivedTotal") + self._number("unbooked")
            if came >= DEPOSIT * 9 // 10:
                self.log.note("withdraw", f"{eth(came)} came in")

    def _count_duties(self, exit_epoch: int) -> None:
        """Count attestations of whole epochs, once for each epoch; the votes of an epoch are all in a slot after it."""
        head = self._get("/eth/v1/beacon/headers/head")
        if head is None or self._active_epoch is None or self.validator is None:
            return
        epoch = (int(head["header"]["message"]["slot"]) - SLOTS_PER_EPOCH) // SLOTS_PER_EPOCH - 1
        last = min(epoch, exit_epoch - 1)
        first = max(self._active_epoch, self._counted_epoch + 1)
        if last < first:
            return
        with ChainReader(self._beacon_url, SLOTS_PER_EPOCH) as reader:
            found = reader.inclusion([self.validator], first, last).duties
        done = sum(duty.included_slot is not None for duty in found)
        self._counted_epoch = last
        self.duties = (self.duties[0] + done, self.duties[1] + len(found))
        if self.duties[0]:
            self.log.note("duties", f"{self.duties[0]} of {self.duties[1]} attestations in blocks")

    # ---- books

    def _balance_books(self) -> Books:
        pool = self.pool
        returned = self._withdrawn(pool.address)
        balances = self._get(f"/eth/v1/beacon/states/head/validator_balances?id={self.validator}") or []
        holders = {f"operator {place + 1}": str(member.address) for place, member in enumerate(pool.members)}
        holders["treasury"] = pool.treasury
        paid = sum(int(event.arguments["payment"]) for event in self._of("ValidatorRegistered"))
        paid += sum(int(event.arguments["amount"]) for event in self._of("ClusterPaid"))
        paid -= sum(int(event.arguments["amount"]) for event in self._of("ClusterRefunded"))
        stakers = sum(self._number("balanceOf", staker.address) for staker in pool.stakers)
        return Books(
            deposits=sum(STAKES[: self._staked]),
            validators=DEPOSIT * len(self._of("ValidatorFunded")),
            returned=returned,
            on_beacon=sum(int(entry["balance"]) for entry in balances) * GWEI,
            clusters=paid,
            payouts=self._payouts(),
            balance=pool.balance(pool.address),
            buffered=self._number("buffered"),
            reserved=self._number("reserved"),
            unbooked=self._number("unbooked"),
            reported=sum(int(event.arguments["change"]) for event in self._of("Reported")),
            fee_shares={
                name: self._number("convertToAssets", self._number("balanceOf", address))
                for name, address in holders.items()
            },
            staker_shares=self._number("convertToAssets", stakers),
        )

    def _withdrawn(self, address: str) -> int:
        """Wei that withdrawals of the canonical blocks paid to an address."""
        head = self._get("/eth/v1/beacon/headers/head")
        last = int(head["header"]["message"]["slot"]) if head is not None else 0
        total = 0
        for slot in range(1, last + 1):
            block = self._get(f"/eth/v2/beacon/blocks/{slot}")
            for item in block["message"]["body"]["execution_payload"]["withdrawals"] if block else ():
                if item["address"].lower() == address.lower():
                    total += int(item["amount"]) * GWEI
        return total

    def _payouts(self) -> int:
        return sum(self.pool.balance(receiver) for receiver in self.pool.receivers)

    @property
    def _calls(self) -> PoolCalls:
        return self.pool.contract.calls

    def _send(self, account: LocalAccount, call: Call) -> None:
        self.pool.contract.send(account, call)

    def _number(self, view: str, *values: Any) -> int:
        return self.pool.contract.number(view, *values)

    def _of(self, name: str) -> list[Event]:
        return [event for event in self._events if event.name == name]

    def _get(self, path: str) -> Any:
        """The ``data`` of an answer, None where there is no such thing. Raises UnavailableError."""
        try:
            response = self._client.get(path)
            if response.status_code == httpx.codes.NOT_FOUND:
                return None
            return response.raise_for_status().json()["data"]
        except (httpx.HTTPError, ValueError, KeyError) as error:
            raise UnavailableError(f"beacon node: {path}: {error}") from error

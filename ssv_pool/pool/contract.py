"""The staking pool contract's client: what it answers, what its events tell, and sending its calls.

All views can be asked for the state of one block, so that several answers fit together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_account.signers.local import LocalAccount
from eth_typing import ChecksumAddress
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from web3 import Web3
from web3.types import TxReceipt

from ssv_pool.networks import NETWORKS
from ssv_pool.pool.approvals import Domain, Report
from ssv_pool.pool.calls import DEPOSIT_CONTRACT, POOL, PoolCalls, PoolParameters, deployment
from ssv_pool.registry import chain
from ssv_pool.registry.artifacts import published_abi
from ssv_pool.registry.calls import Call
from ssv_pool.registry.chain import ContractError, translated
from ssv_pool.registry.contract import RegistryContract
from ssv_pool.registry.history import search_logs
from ssv_pool.registry.transactions import Sent, TransactionSender

Account = LocalAccount | TransactionSender
"""Who signs and pays: a sender, or an account alone, which is sent for with a sender's defaults."""

OPEN: Final = 1
"""State of a withdrawal request that waits."""
CLAIMABLE: Final = 2
"""State of a request whose money is set aside."""
CLAIMED: Final = 3
"""State of a request that was paid."""

_VIEWS: Final = ("reportCount", "withdrawalCredentials", "clusterNonce")
_REGISTERED: Final = keccak(text="ValidatorRegistered(bytes,uint64[],uint256)")
_DEPOSITED: Final = keccak(text="DepositEvent(bytes,bytes,bytes,bytes,bytes)")
_EXIT_REQUESTED: Final = keccak(text="ValidatorExitRequested(bytes)")
_REQUESTED: Final = keccak(text="WithdrawalRequested(uint256,address,address,uint256,uint256)")
_STAKED: Final = keccak(text="Staked(address,address,uint256,uint256)")


@dataclass(frozen=True, slots=True)
class WithdrawalRequest:
    """A request in the queue."""

    number: int
    """From 1."""
    owner: ChecksumAddress
    receiver: ChecksumAddress
    shares: int
    assets: int
    """Wei; before it is ready: at most."""
    block_number: int
    """Block it was made in."""
    state: int
    """0 there is none, 1 open, 2 claimable, 3 claimed."""


@dataclass(frozen=True, slots=True)
class PauseState:
    """The last pause."""

    paused: bool
    """Whether it goes on."""
    by: ChecksumAddress
    since: int
    """Unix time; 0 when there never was one."""
    until: int
    """Unix time."""
    reason: str


@dataclass(frozen=True, slots=True)
class RegisteredValidator:
    """A validator that the pool registered, by its event."""

    public_key: bytes
    """48 bytes."""
    operator_ids: tuple[int, ...]
    payment: int
    """Wei that its cluster was given."""
    block_number: int


@dataclass(frozen=True, slots=True)
class Deposit:
    """A deposit in the deposit contract, by its event."""

    public_key: bytes
    """48 bytes."""
    withdrawal_credentials: bytes
    """32 bytes."""
    amount: int
    """Gwei."""
    block_number: int


class PoolContract:
    """One staking pool contract.

    Every method that asks raises ContractError when the answer is not what a pool gives, and UnavailableError when the
    node does not answer.

    Args:
        w3: connection to an execution node.
        address: the contract's.
        first_block: block it was deployed in; searches for events begin there.
        timeout: seconds to wait for a transaction to be mined.
    """

    def __init__(self, w3: Web3, address: str, *, first_block: int = 0, timeout: float = 120.0) -> None:
        self.w3 = w3
        self.address = chain.checksummed(address, "pool address")
        self.first_block = first_block
        self.calls = PoolCalls(w3, self.address)
        """Makes transactions without sending them."""
        self._contract = w3.eth.contract(address=self.address, abi=published_abi(POOL))
        self._timeout = timeout

    @classmethod
    def deploy(
        cls,
        w3: Web3,
        account: Account,
        registry: str,
        deposit_contract: str,
        members: Sequence[str],
        quorum: int,
        parameters: PoolParameters,
    ) -> Self:
        """Compile the contract, deploy it and return its client; see `ssv_pool.pool.calls.deployment`.

        Raises:
            ConfigError: not an address.
            ContractFileError: it cannot be compiled here.
            ContractError: members, quorum or parameters were refused.
            UnavailableError: the node does not answer, or did not mine it in time.
        """
        call = deployment(w3, registry, deposit_contract, members, quorum, parameters)
        sender = account if isinstance(account, TransactionSender) else TransactionSender(w3, account)
        receipt = sender.send(call.action, call.function).receipt
        address = receipt["contractAddress"]
        if address is None:
            raise ContractError("deploy the pool: the transaction made no contract")
        return cls(w3, address, first_block=receipt["blockNumber"])

    def check(self) -> None:
        """Make sure that there is a pool at the address. Raises ContractError, UnavailableError."""
        chain.check_contract(self.w3, self.address, published_abi(POOL), "staking pool", views=_VIEWS)

    def send(self, account: Account, call: Call, *, dry_run: bool = False) -> Sent:
        """Simulate a call, send it and wait until it is mined; a dry run stops after the simulation."""
        sender = account if isinstance(account, TransactionSender) else self.sender(account)
        return sender.send(call.action, call.function, value=call.value, dry_run=dry_run)

    def sender(self, account: LocalAccount) -> TransactionSender:
        """A sender of an account's transactions."""
        return TransactionSender(self.w3, account, timeout=self._timeout)

    def ask(self, view: str, *values: Any, block: int | None = None) -> Any:
        """The answer of a view, as web3 gives it; with `block` for the state after that block."""
        function = self._contract.get_function_by_name(view)(*values)
        return chain.read(self.w3, f"read {view} of the pool", function, block=block)

    def number(self, view: str, *values: Any, block: int | None = None) -> int:
        """The answer of a view that gives a number."""
        return int(self.ask(view, *values, block=block))

    # Who decides

    def domain(self) -> Domain:
        """The contract that members' signatures are for."""
        with translated(self.w3, "ask for the chain id"):
            return Domain(self.w3.eth.chain_id, self.address)

    def members(self, *, block: int | None = None) -> tuple[ChecksumAddress, ...]:
        """Those who sign, in ascending order."""
        return tuple(to_checksum_address(member) for member in self.ask("members", block=block))

    def quorum(self, *, block: int | None = None) -> int:
        """How many must sign."""
        return self.number("quorum", block=block)

    def owner(self) -> ChecksumAddress:
        """Who may announce changes."""
        return to_checksum_address(self.ask("owner"))

    def parameters(self) -> PoolParameters:
        """Fees and bounds."""
        treasury, *rates = self.ask("parameters")
        return PoolParameters(to_checksum_address(treasury), *map(int, rates))

    def pause_state(self, *, block: int | None = None) -> PauseState:
        """The last pause, and whether it goes on."""
        by, since, until, reason = self.ask("pauseState", block=block)
        return PauseState(bool(self.ask("paused", block=block)), to_checksum_address(by), since, until, reason)

    # Contracts beside it

    def registry(self, *, whole: bool = False) -> RegistryContract:
        """The registry that the pool's validators are in.

        Args:
            whole: whether to search all its events, as for operators' keys; by default those since the pool was
                deployed, which has done nothing there before.
        """
        address = to_checksum_address(self.ask("registry"))
        known = next((network for network in NETWORKS.values() if network.contract == address), None)
        start = 0 if known is None else known.first_block
        return RegistryContract(
            self.w3,
            address,
            views=None if known is None else known.views,
            first_block=start if whole else self.first_block,
            timeout=self._timeout,
        )

    def deposit_contract(self) -> ChecksumAddress:
        """The beacon deposit contract."""
        return to_checksum_address(self.ask("depositContract"))

    def deposit_root(self, *, block: int | None = None) -> bytes:
        """The deposit contract's root of all deposits so far, 32 bytes."""
        contract = self.w3.eth.contract(address=self.deposit_contract(), abi=published_abi(DEPOSIT_CONTRACT))
        call = contract.get_function_by_name("get_deposit_root")()
        return bytes(chain.read(self.w3, "read the deposit root", call, block=block))

    def withdrawal_credentials(self) -> bytes:
        """What validators' deposits must name, 32 bytes."""
        return bytes(self.ask("withdrawalCredentials"))

    # Stakers

    def withdrawal(self, number: int, *, block: int | None = None) -> WithdrawalRequest:
        """A request; its state is 0 when there is none."""
        owner, receiver, shares, assets, made, state = self.ask("withdrawal", number, block=block)
        return WithdrawalRequest(
            number, to_checksum_address(owner), to_checksum_address(receiver), shares, assets, made, state
        )

    def queue(self, *, most: int = 1_000, block: int | None = None) -> tuple[WithdrawalRequest, ...]:
        """The requests that wait, in their order, the first `most` of them."""
        first = self.number("nextToFinalize", block=block)
        last = min(self.number("requestCount", block=block), first + most - 1)
        return tuple(self.withdrawal(number, block=block) for number in range(first, last + 1))

    def requests_of(self, owner: str) -> tuple[int, ...]:
        """Numbers of all requests an account has made, by the events."""
        word = bytes.fromhex(chain.checksummed(owner, "owner")[2:]).rjust(32, bytes(1))
        logs = search_logs(
            self.w3,
            self.address,
            [[_REQUESTED], [], [word]],
            first_block=self.first_block,
            what="the pool's events",
        )
        return tuple(int.from_bytes(log["topics"][1], "big") for log in logs)

    def request_of(self, receipt: TxReceipt) -> int:
        """Number of the request that a transaction made. Raises ContractError: it made none."""
        for log in receipt["logs"]:
            if log["address"] == self.address and bytes(log["topics"][0]) == _REQUESTED:
                return int.from_bytes(log["topics"][1], "big")
        raise ContractError(f"unstake: transaction 0x{receipt['transactionHash'].hex()} left no event")

    def shares_of(self, receipt: TxReceipt) -> int:
        """Shares that a stake's transaction gave. Raises ContractError: it gave none."""
        for log in receipt["logs"]:
            if log["address"] == self.address and bytes(log["topics"][0]) == _STAKED:
                return int.from_bytes(bytes(log["data"])[32:64], "big")
        raise ContractError(f"stake: transaction 0x{receipt['transactionHash'].hex()} left no event")

    # Validators

    def validator_state(self, public_key: bytes, *, block: int | None = None) -> int:
        """0 unknown, 1 registered, 2 funded, 3 exit requested, 4 retired."""
        return self.number("validatorState", public_key, block=block)

    def funded_keys(self, *, block: int | None = None) -> tuple[bytes, ...]:
        """Public keys of all validators ever funded, in order; 48 bytes each."""
        count = self.number("validatorCount", block=block)
        return tuple(bytes(self.ask("validatorAt", index, block=block)) for index in range(count))

    def registrations(self) -> tuple[RegisteredValidator, ...]:
        """All validators that the pool ever registered, in order, by the events."""
        found = []
        for log in search_logs(
            self.w3, self.address, [[_REGISTERED]], first_block=self.first_block, what="the pool's events"
        ):
            key, ids, payment = _decoded(("bytes", "uint64[]", "uint256"), bytes(log["data"]), "ValidatorRegistered")
            found.append(RegisteredValidator(key, tuple(ids), payment, log["blockNumber"]))
        return tuple(found)

    def deposits(self) -> tuple[Deposit, ...]:
        """All deposits in the deposit contract since the pool's deployment, whoever made them.

        Older ones are in the beacon state.
        """
        found = []
        for log in search_logs(
            self.w3,
            self.deposit_contract(),
            [[_DEPOSITED]],
            first_block=self.first_block,
            what="the deposit contract's events",
        ):
            key, credentials, amount, _, _ = _decoded(("bytes",) * 5, bytes(log["data"]), "DepositEvent")
            found.append(Deposit(key, credentials, int.from_bytes(amount, "little"), log["blockNumber"]))
        return tuple(found)

    def exit_requests(self, block: int) -> tuple[bytes, ...]:
        """Public keys of all validators that were asked to exit up to a block; 48 bytes each."""
        logs = search_logs(
            self.w3, self.address, [[_EXIT_REQUESTED]], first_block=self.first_block, what="the pool's events"
        )
        return tuple(
            _decoded(("bytes",), bytes(log["data"]), "ValidatorExitRequested")[0]
            for log in logs
            if log["blockNumber"] <= block
        )

    def owner_nonce(self) -> int:
        """The nonce that key shares of the pool's next validator must be signed with."""
        return self.registry().owner_nonce(self.address)

    # Reports

    def last_report(self, *, block: int | None = None) -> tuple[Report, int]:
        """The last report as it was signed, and the Unix time when it was booked; before the first: of deployment."""
        values, time = self.ask("lastReport", block=block)
        return Report(*values), int(time)

    def report_bounds(self) -> tuple[int, int]:
        """The lowest and highest change that a report would book now, wei."""
        lowest, highest = self.ask("reportBounds")
        return int(lowest), int(highest)


def _decoded(types: tuple[str, ...], data: bytes, event: str) -> tuple[Any, ...]:
    try:
        return decode(types, data)
    except (DecodingError, OverflowError) as error:
        raise ContractError(f"event {event} is malformed ({type(error).__name__})") from None

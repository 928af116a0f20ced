"""A staking pool on a real chain (anvil): registry, deposit contract, operators with real keys, four members."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from eth_account import Account
from eth_account.signers.local import LocalAccount
from web3 import HTTPProvider, Web3

from ssv_pool.crypto import operator_keys
from ssv_pool.crypto.operator_keys import OperatorKeyring
from ssv_pool.devnet.anvil import Anvil, account_key
from ssv_pool.pool.approvals import Committee, Message, Report, sign
from ssv_pool.pool.calls import PoolParameters, deposit_contract_deployment, in_order
from ssv_pool.pool.contract import PoolContract
from ssv_pool.pool.deposit_data import DepositNetwork
from ssv_pool.pool.keyshares import ShareOperator
from ssv_pool.registry.contract import RegistryContract
from ssv_pool.registry.transactions import TransactionSender

NETWORK = DepositNetwork("devnet", bytes.fromhex("10000038"))
ETHER = 10**18
TREASURY = "0x" + "77" * 20


@dataclass
class PoolChain:
    """A newly deployed pool; each takes about three seconds."""

    anvil: Anvil
    w3: Web3 = field(init=False)
    owner: LocalAccount = field(init=False)
    members: list[LocalAccount] = field(init=False)
    registry: RegistryContract = field(init=False)
    pool: PoolContract = field(init=False)
    operators: tuple[ShareOperator, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.w3 = Web3(HTTPProvider(self.anvil.url))
        self.owner = Account.from_key(account_key(0))
        self.members = [Account.from_key(account_key(number)) for number in (1, 2, 3, 4)]
        self.registry = RegistryContract.deploy(self.w3, self.owner)
        keys = [OperatorKeyring(operator_keys.generate()).public_key for _ in range(4)]
        texts = [operator_keys.public_key_to_base64(key) for key in keys]
        ids = self.registry.register_operators(self.owner, texts, fee=10**9)
        self.operators = tuple(ShareOperator(number, key) for number, key in zip(ids, keys, strict=True))
        deposits = deposit_contract_deployment(self.w3)
        made = TransactionSender(self.w3, self.owner).send(deposits.action, deposits.function).receipt
        self.pool = PoolContract.deploy(
            self.w3,
            self.owner,
            self.registry.address,
            str(made["contractAddress"]),
            [member.address for member in self.members],
            3,
            PoolParameters(TREASURY),
        )

    @property
    def ids(self) -> tuple[int, ...]:
        """The operators'."""
        return tuple(operator.operator_id for operator in self.operators)

    def account(self, ether: int = 1_000) -> LocalAccount:
        """A new account with money."""
        made = Account.create()
        self.give(made.address, ether * ETHER)
        return made

    def give(self, address: str, wei: int) -> None:
        """Let money appear, as the beacon chain's withdrawals do."""
        balance = self.w3.eth.get_balance(address) + wei  # type: ignore[arg-type]
        self.request("anvil_setBalance", address, hex(balance))

    def request(self, method: str, *parameters: Any) -> Any:
        """Ask anvil for what no real chain does."""
        answer = self.w3.provider.make_request(method, list(parameters))  # type: ignore[arg-type]
        assert "error" not in answer, answer
        return answer["result"]

    def pass_days(self, days: int) -> None:
        """Let time pass, and a block be mined."""
        self.request("evm_increaseTime", days * 86_400)
        self.request("anvil_mine", "0x1")

    def approvals(self, message: Message, signers: Sequence[int] = (3, 0, 2)) -> list[bytes]:
        """Members' signatures as the contract takes them."""
        domain = self.pool.domain()
        return in_order(sign(domain, message, self.members[number]) for number in signers)

    def allow(self) -> None:
        """Let the pool use the operators."""
        message = Committee(self.ids, True, self.pool.number("clusterNonce"))
        self.pool.send(self.members[0], self.pool.calls.allow_committee(message, self.approvals(message)))

    def report(self, slot: int, beacon_balance: int, exited: int = 0) -> None:
        """Let a day pass and book a true report of the block then."""
        self.pass_days(1)
        pool, block = self.pool, int(self.w3.eth.block_number)
        message = Report(
            number=pool.last_report()[0].number + 1,
            slot=slot,
            block_number=block,
            beacon_balance=beacon_balance,
            deposits_counted=pool.number("depositedTotal"),
            received=pool.number("receivedTotal") + pool.number("unbooked"),
            exited=exited,
        )
        pool.send(self.owner, pool.calls.report(message, self.approvals(message)))

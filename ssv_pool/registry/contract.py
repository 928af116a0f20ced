"""The registry contract's client: every transaction and view, with checks before anything is sent.

Transactions are made in `calls`, sent by `transactions`; `views` and `history` answer what is. Here they come together:
a method sends, waits and returns what has become of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import astuple
from typing import Any, Final, Self

from eth_account.signers.local import LocalAccount
from eth_typing import ChecksumAddress
from eth_utils.address import to_checksum_address
from web3 import Web3
from web3.exceptions import ContractLogicError, Web3Exception
from web3.types import TxReceipt

from ssv_pool.protocol.types.primitives import OperatorId, PublicKey
from ssv_pool.registry import chain
from ssv_pool.registry.artifacts import published_abi
from ssv_pool.registry.calls import Call, Registration, RegistryCalls, deployment
from ssv_pool.registry.chain import ContractError, translated
from ssv_pool.registry.events import Cluster
from ssv_pool.registry.history import NEW_CLUSTER, RegistryHistory
from ssv_pool.registry.parameters import VALIDATORS_PER_OPERATOR
from ssv_pool.registry.transactions import ZERO_ADDRESS, Sent, TransactionSender
from ssv_pool.registry.views import ClusterStatus, OperatorRecord, RegistryViews

__all__ = ["MAX_BULK", "NEW_CLUSTER", "Account", "ContractError", "Registration", "RegistryContract"]

MAX_BULK: Final = 20
"""Most validators that one call of the contract takes."""

Account = LocalAccount | TransactionSender
"""Who signs and pays: a sender, or an account alone, which is sent for with a sender's defaults."""

_NO_CLUSTER: Final = {"ClusterDoesNotExist", "ClusterDoesNotExists"}


class RegistryContract:
    """Sends transactions to one registry contract and waits for them.

    Every method that sends raises ContractError when the call is refused or the account holds too little, before
    anything is sent, and UnavailableError when the node does not answer or does not mine it in time.

    Args:
        w3: connection to an execution node.
        address: the contract's.
        views: address of the contract that answers view calls; the same one by default.
        first_block: block it was deployed in; searches for events end there.
        timeout: seconds to wait for a transaction to be mined.
    """

    def __init__(
        self, w3: Web3, address: str, *, views: str | None = None, first_block: int = 0, timeout: float = 120.0
    ) -> None:
        self.w3 = w3
        self.address = chain.checksummed(address, "registry address")
        self.first_block = first_block
        self.calls = RegistryCalls(w3, self.address)
        """Makes transactions without sending them."""
        self.views = RegistryViews(w3, views or self.address)
        """Answers what is."""
        self.history = RegistryHistory(w3, self.address, first_block)
        """Answers what only events tell."""
        self._timeout = timeout

    @classmethod
    def deploy(cls, w3: Web3, account: Account, *, validators_per_operator: int = VALIDATORS_PER_OPERATOR) -> Self:
        """Compile the contract, deploy it and return its client.

        Raises:
            ContractFileError: it cannot be compiled here.
            ContractError: the node refused the transaction.
            UnavailableError: the node does not answer, or did not mine it in time.
        """
        draft = cls(w3, ZERO_ADDRESS)
        receipt = draft.send(account, deployment(w3, validators_per_operator)).receipt
        address = receipt["contractAddress"]
        if address is None:
            raise ContractError("deploy the registry: the transaction made no contract")
        return cls(w3, address, first_block=receipt["blockNumber"])

    def check_code(self) -> None:
        """Make sure that there is a contract at the address. Raises ContractError, UnavailableError."""
        chain.check_code(self.w3, self.address, "registry")

    def check(self) -> None:
        """Make sure that the contract at the address is a registry, ours or the SSV network's.

        Raises:
            ContractError: no contract on this chain, or one of another kind.
            UnavailableError: the node does not answer.
        """
        self.check_code()
        # Both answer the liquidation of a cluster that nobody can own with one error of their own.
        contract: Any = self.w3.eth.contract(address=self.address, abi=published_abi())
        probe = contract.functions.liquidate(ZERO_ADDRESS, [1, 2, 3, 4], astuple(NEW_CLUSTER))
        name = ""
        with translated(self.w3, "ask the registry"):
            try:
                probe.call()
            except ContractLogicError as error:
                name = chain.refusal("", error).name
            except Web3Exception as error:
                raise self._not_a_registry() from error
        if name not in _NO_CLUSTER:
            raise self._not_a_registry()

    def send(self, account: Account, call: Call, *, dry_run: bool = False) -> Sent:
        """Simulate a call, send it and wait until it is mined; a dry run stops after the simulation."""
        return self._sender(account).send(call.action, call.function, value=call.value, dry_run=dry_run)

    # Operators

    def register_operator(
        self, account: Account, public_key: str, *, fee: int = 0, private: bool = False
    ) -> OperatorId:
        """Register one operator; see `register_operators`."""
        return self.register_operators(account, [public_key], fee=fee, private=private)[0]

    def register_operators(
        self, account: Account, public_keys: Sequence[str], *, fee: int = 0, private: bool = False
    ) -> tuple[OperatorId, ...]:
        """Register operators owned by the account. All transactions are sent before the first is awaited.

        Args:
            account: who signs, pays and owns.
            public_keys: base64 text of each RSA public key's PEM.
            fee: wei per block and validator, a multiple of 100,000.
            private: whether only whitelisted owners may use the operators.

        Returns:
            Their ids, in order.
        """
        sender = self._sender(account)
        calls = [self.calls.register_operator(key, fee=fee, private=private) for key in public_keys]
        pending = [sender.submit(call.action, call.function) for call in calls]
        receipts = [sender.wait(item).receipt for item in pending]
        return tuple(self.history.operator_id_of("register operator", receipt) for receipt in receipts)

    def remove_operator(self, account: Account, operator_id: OperatorId) -> TxReceipt:
        """Remove an operator of the account."""
        return self.send(account, self.calls.remove_operator(operator_id)).receipt

    def operator(self, operator_id: OperatorId) -> OperatorRecord:
        """What the contract knows of an operator."""
        return self.views.operator(operator_id)

    # Validators

    def register_validator(
        self,
        account: Account,
        registration: Registration,
        operator_ids: Sequence[OperatorId],
        *,
        value: int = 0,
        cluster: Cluster | None = None,
    ) -> Cluster:
        """Register one validator; see `register_validators`."""
        return self.register_validators(account, [registration], operator_ids, value=value, cluster=cluster)

    def register_validators(
        self,
        account: Account,
        registrations: Sequence[Registration],
        operator_ids: Sequence[OperatorId],
        *,
        value: int = 0,
        cluster: Cluster | None = None,
        on_batch: Callable[[Sent, int], None] | None = None,
    ) -> Cluster:
        """Register validators with one cluster, up to 20 in a transaction.

        Args:
            account: who signs, pays and owns.
            registrations: the validators; their owner signatures must be over consecutive nonces.
            operator_ids: the cluster's 4, 7, 10 or 13 operators, ascending.
            value: wei to put into the cluster's balance, with the first transaction.
            cluster: the cluster's present state; looked up in the chain's events by default.
            on_batch: is told of each transaction that was mined, and how many validators are registered by then.

        Returns:
            The cluster's new state.

        Raises:
            ContractError: a call was refused; validators of earlier transactions stay registered.
            UnavailableError: the node does not answer, or did not mine a transaction in time.
        """
        sender = self._sender(account)
        state = cluster or self.cluster(sender.address, operator_ids)
        for start in range(0, len(registrations), MAX_BULK):
            batch = registrations[start : start + MAX_BULK]
            action = "" if len(registrations) == 1 else f"register validators {start + 1} to {start + len(batch)}"
            call = self.calls.register_validators(
                batch, operator_ids, state, value=value if start == 0 else 0, action=action
            )
            sent = self.send(sender, call)
            state = self.history.cluster_after(call.action, sent.receipt)
            if on_batch is not None:
                on_batch(sent, start + len(batch))
        return state

    def remove_validators(
        self,
        account: Account,
        public_keys: Sequence[PublicKey],
        operator_ids: Sequence[OperatorId],
        *,
        cluster: Cluster | None = None,
    ) -> Cluster:
        """Remove validators of the account from one cluster, up to 20 in a transaction.

        Returns:
            The cluster's new state. Its balance stays in it.
        """
        sender = self._sender(account)
        state = cluster or self.cluster(sender.address, operator_ids)
        for start in range(0, len(public_keys), MAX_BULK):
            batch = public_keys[start : start + MAX_BULK]
            action = "" if len(public_keys) == 1 else f"remove validators {start + 1} to {start + len(batch)}"
            call = self.calls.remove_validators(batch, operator_ids, state, action=action)
            state = self.history.cluster_after(call.action, self.send(sender, call).receipt)
        return state

    def exit_validators(
        self, account: Account, public_keys: Sequence[PublicKey], operator_ids: Sequence[OperatorId]
    ) -> None:
        """Ask the operators to sign voluntary exits of validators of the account, up to 20 in a transaction."""
        for start in range(0, len(public_keys), MAX_BULK):
            self.send(account, self.calls.exit_validators(public_keys[start : start + MAX_BULK], operator_ids))

    def validator_registered(self, owner: str, public_key: PublicKey) -> bool:
        """Whether the owner has the validator registered."""
        return self.views.validator_registered(owner, public_key)

    # Clusters and owners

    def cluster(self, owner: str, operator_ids: Sequence[OperatorId]) -> Cluster:
        """The present state of a cluster, from its last event; that of a new cluster when it has none."""
        return self.history.cluster(owner, operator_ids)

    def status(
        self, owner: str, operator_ids: Sequence[OperatorId], *, cluster: Cluster | None = None
    ) -> ClusterStatus:
        """A cluster's balance, burn rate and runway now. Raises ContractError: there is no such cluster."""
        return self.views.status(owner, operator_ids, cluster or self.cluster(owner, operator_ids))

    def deposit(
        self,
        account: Account,
        owner: str,
        operator_ids: Sequence[OperatorId],
        value: int,
        *,
        cluster: Cluster | None = None,
    ) -> Cluster:
        """Put wei into a cluster's balance, whoever owns it; returns its new state. With none it only settles it."""
        state = cluster or self.cluster(owner, operator_ids)
        return self._changed(account, self.calls.deposit(owner, operator_ids, state, value))

    def withdraw(
        self, account: Account, operator_ids: Sequence[OperatorId], amount: int, *, cluster: Cluster | None = None
    ) -> Cluster:
        """Pay `amount` wei from a cluster's balance to the account that owns it; returns the cluster's new state."""
        sender = self._sender(account)
        state = cluster or self.cluster(sender.address, operator_ids)
        return self._changed(sender, self.calls.withdraw(operator_ids, amount, state))

    def liquidate(
        self, account: Account, owner: str, operator_ids: Sequence[OperatorId], *, cluster: Cluster | None = None
    ) -> Cluster:
        """Stop a cluster that cannot pay for long; the account gets the rest of its balance. Returns its new state."""
        state = cluster or self.cluster(owner, operator_ids)
        return self._changed(account, self.calls.liquidate(owner, operator_ids, state))

    def reactivate(
        self, account: Account, operator_ids: Sequence[OperatorId], value: int, *, cluster: Cluster | None = None
    ) -> Cluster:
        """Start a liquidated cluster of the account again with `value` wei; returns its new state."""
        sender = self._sender(account)
        state = cluster or self.cluster(sender.address, operator_ids)
        return self._changed(sender, self.calls.reactivate(operator_ids, state, value))

    def set_fee_recipient(self, account: Account, recipient: str) -> TxReceipt:
        """Name the address that receives execution rewards of all the account's validators."""
        return self.send(account, self.calls.set_fee_recipient(recipient)).receipt

    def owner_nonce(self, owner: str) -> int:
        """The nonce that the owner's next registration must be signed with: its registrations so far."""
        return self.history.owner_nonce(owner)

    def owner(self) -> ChecksumAddress:
        """Who may set the contract's parameters."""
        return to_checksum_address(self.views.owners()[0])

    # Internals

    def _changed(self, account: Account, call: Call) -> Cluster:
        return self.history.cluster_after(call.action, self.send(account, call).receipt)

    def _sender(self, account: Account) -> TransactionSender:
        if isinstance(account, TransactionSender):
            return account
        return TransactionSender(self.w3, account, timeout=self._timeout)

    def _not_a_registry(self) -> ContractError:
        return ContractError(
            f"the contract at {self.address} is no registry: it does not know clusters, check the registry address"
        )

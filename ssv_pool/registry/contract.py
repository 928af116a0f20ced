"""Transactions to the registry contract: operators, validators, fee recipients.

Every call is simulated before it is sent, and a refusal becomes a sentence.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from typing import Any, Final, Self
from urllib.parse import urlsplit

from eth_account.signers.local import LocalAccount
from eth_typing import BlockNumber, ChecksumAddress
from eth_utils.address import to_checksum_address
from hexbytes import HexBytes
from web3 import HTTPProvider, Web3
from web3.contract.contract import ContractConstructor, ContractFunction
from web3.exceptions import ContractLogicError, TimeExhausted, Web3Exception, Web3RPCError
from web3.types import LogReceipt, TxParams, TxReceipt, Wei

from ssv_pool.errors import SsvPoolError, UnavailableError
from ssv_pool.protocol.types.primitives import OperatorId, PublicKey
from ssv_pool.registry import abi
from ssv_pool.registry.artifacts import compile_contract, published_abi
from ssv_pool.registry.events import Cluster
from ssv_pool.registry.reverts import describe_revert

MAX_BULK: Final = 20
"""Most validators that one call of the contract takes."""

VALIDATORS_PER_OPERATOR: Final = 3_000
"""Default limit of validators per operator of a deployed registry."""

NEW_CLUSTER: Final = Cluster(validator_count=0, network_fee_index=0, index=0, active=True, balance=0)
"""The state that a cluster's first registration brings along."""

_CLUSTER_EVENTS: Final = {
    event.topic: event
    for event in (
        abi.VALIDATOR_ADDED,
        abi.VALIDATOR_REMOVED,
        abi.CLUSTER_LIQUIDATED,
        abi.CLUSTER_REACTIVATED,
        abi.EventAbi("ClusterDeposited", ("address",), ("uint64[]", "uint256", abi.CLUSTER_TYPE)),
        abi.EventAbi("ClusterWithdrawn", ("address",), ("uint64[]", "uint256", abi.CLUSTER_TYPE)),
    )
}
"""Topic to event, for those that carry a cluster's new state: operator ids after the owner, the state at the end."""


class RegistryError(SsvPoolError):
    """The registry contract refused a call, or the node refused its transaction."""

    def __init__(self, text: str, name: str = "") -> None:
        super().__init__(text)
        self.name = name
        """Name of the contract's custom error, empty when it was none."""


@dataclass(frozen=True, slots=True)
class Registration:
    """One validator to register."""

    public_key: PublicKey
    """The validator's key, 48 bytes."""
    shares: bytes
    """Owner's signature, share public keys and encrypted shares: 96 + 304·n bytes."""


@dataclass(frozen=True, slots=True)
class OperatorRecord:
    """An operator as the contract knows it."""

    owner: ChecksumAddress
    fee: int
    """Wei per block and validator."""
    validator_count: int
    private: bool
    active: bool
    """False when there is no such operator or it was removed."""


class RegistryContract:
    """Sends transactions to one registry contract and waits for them.

    Args:
        w3: connection to an execution node.
        address: the contract's.
        first_block: block it was deployed in; searches for events end there.
        timeout: seconds to wait for a transaction to be mined.
    """

    def __init__(self, w3: Web3, address: str, *, first_block: int = 0, timeout: float = 120.0) -> None:
        self.w3 = w3
        self.address = to_checksum_address(address)
        self.first_block = first_block
        self._timeout = timeout
        self._contract = w3.eth.contract(address=self.address, abi=published_abi())
        # Reading the next nonce and sending with it must not be interleaved between threads.
        self._sending = threading.Lock()

    @classmethod
    def deploy(cls, w3: Web3, account: LocalAccount, *, validators_per_operator: int = VALIDATORS_PER_OPERATOR) -> Self:
        """Compile the contract, deploy it and return its client.

        Raises:
            RegistryError: the node refused the transaction.
            UnavailableError: the node does not answer, or did not mine it in time.
        """
        artifact = compile_contract()
        factory = w3.eth.contract(abi=artifact.abi, bytecode=artifact.bytecode)
        draft = cls(w3, "0x" + "00" * 20)
        receipt = draft._transact("deploy the registry", account, factory.constructor(validators_per_operator))
        address = receipt["contractAddress"]
        if address is None:
            raise RegistryError("deploy the registry: the transaction made no contract")
        return cls(w3, address, first_block=receipt["blockNumber"])

    def check_code(self) -> None:
        """Make sure that there is a contract at the address.

        Raises:
            RegistryError: there is none on this chain.
        """
        with self._translated("read the registry's code"):
            code = self.w3.eth.get_code(self.address)
            chain = self.w3.eth.chain_id
        if not code:
            raise RegistryError(f"no contract at {self.address} on chain {chain}: check the registry address")

    # Operators

    def register_operator(
        self, account: LocalAccount, public_key: str, *, fee: int = 0, private: bool = False
    ) -> OperatorId:
        """Register one operator; see `register_operators`."""
        return self.register_operators(account, [public_key], fee=fee, private=private)[0]

    def register_operators(
        self, account: LocalAccount, public_keys: Sequence[str], *, fee: int = 0, private: bool = False
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
        action = "register operator"
        hashes = [
            self._send(
                action, account, self._contract.functions.registerOperator(abi.pack_bytes(key.encode()), fee, private)
            )
            for key in public_keys
        ]
        return tuple(self._operator_id(self._receipt(action, tx_hash)) for tx_hash in hashes)

    def remove_operator(self, account: LocalAccount, operator_id: OperatorId) -> TxReceipt:
        """Remove an operator of the account."""
        call = self._contract.functions.removeOperator(operator_id)
        return self._transact(f"remove operator {operator_id}", account, call)

    def operator(self, operator_id: OperatorId) -> OperatorRecord:
        """What the contract knows of an operator."""
        with self._translated(f"read operator {operator_id}"):
            owner, fee, count, _, private, active = self._contract.functions.getOperatorById(operator_id).call()
        return OperatorRecord(owner, fee, count, private, active)

    # Validators

    def register_validator(
        self,
        account: LocalAccount,
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
        account: LocalAccount,
        registrations: Sequence[Registration],
        operator_ids: Sequence[OperatorId],
        *,
        value: int = 0,
        cluster: Cluster | None = None,
    ) -> Cluster:
        """Register validators with one cluster, up to 20 in a transaction.

        Args:
            account: who signs, pays and owns.
            registrations: the validators; their owner signatures must be over consecutive nonces.
            operator_ids: the cluster's 4, 7, 10 or 13 operators, ascending.
            value: wei to put into the cluster's balance, with the first transaction.
            cluster: the cluster's present state; looked up in the chain's events by default.

        Returns:
            The cluster's new state.

        Raises:
            RegistryError: a call was refused; validators of earlier transactions stay registered.
            UnavailableError: the node does not answer, or did not mine a transaction in time.
        """
        ids = list(operator_ids)
        state = cluster or self.cluster(account.address, ids)
        functions = self._contract.functions
        for start in range(0, len(registrations), MAX_BULK):
            batch = registrations[start : start + MAX_BULK]
            if len(registrations) == 1:
                action = f"register validator 0x{batch[0].public_key.hex()}"
                call = functions.registerValidator(batch[0].public_key, ids, batch[0].shares, astuple(state))
            else:
                action = f"register validators {start + 1} to {start + len(batch)}"
                keys, shares = [item.public_key for item in batch], [item.shares for item in batch]
                call = functions.bulkRegisterValidator(keys, ids, shares, astuple(state))
            receipt = self._transact(action, account, call, value=value if start == 0 else 0)
            state = self._cluster_after(action, receipt)
        return state

    def remove_validators(
        self,
        account: LocalAccount,
        public_keys: Sequence[PublicKey],
        operator_ids: Sequence[OperatorId],
        *,
        cluster: Cluster | None = None,
    ) -> Cluster:
        """Remove validators of the account from one cluster, up to 20 in a transaction.

        Returns:
            The cluster's new state. Its balance stays in it.
        """
        ids = list(operator_ids)
        state = cluster or self.cluster(account.address, ids)
        functions = self._contract.functions
        for start in range(0, len(public_keys), MAX_BULK):
            batch = list(public_keys[start : start + MAX_BULK])
            if len(public_keys) == 1:
                action = f"remove validator 0x{batch[0].hex()}"
                call = functions.removeValidator(batch[0], ids, astuple(state))
            else:
                action = f"remove validators {start + 1} to {start + len(batch)}"
                call = functions.bulkRemoveValidator(batch, ids, astuple(state))
            state = self._cluster_after(action, self._transact(action, account, call))
        return state

    def exit_validators(
        self, account: LocalAccount, public_keys: Sequence[PublicKey], operator_ids: Sequence[OperatorId]
    ) -> None:
        """Ask the operators to sign voluntary exits of validators of the account, up to 20 in a transaction."""
        functions = self._contract.functions
        for start in range(0, len(public_keys), MAX_BULK):
            batch = list(public_keys[start : start + MAX_BULK])
            if len(public_keys) == 1:
                call = functions.exitValidator(batch[0], list(operator_ids))
            else:
                call = functions.bulkExitValidator(batch, list(operator_ids))
            self._transact(f"exit {len(batch)} validators", account, call)

    def validator_registered(self, owner: str, public_key: PublicKey) -> bool:
        """Whether the owner has the validator registered."""
        with self._translated(f"look up validator 0x{public_key.hex()}"):
            return bool(self._contract.functions.getValidator(to_checksum_address(owner), public_key).call())

    # Clusters and owners

    def cluster(self, owner: str, operator_ids: Sequence[OperatorId]) -> Cluster:
        """The present state of a cluster, from its last event; that of a new cluster when it has none."""
        ids = tuple(operator_ids)
        for log in self._logs(list(_CLUSTER_EVENTS), owner, newest_first=True):
            _, operators, *_, state = _decoded(log)
            if operators == ids:
                return Cluster(*state)
        return NEW_CLUSTER

    def withdraw(
        self,
        account: LocalAccount,
        operator_ids: Sequence[OperatorId],
        amount: int,
        *,
        cluster: Cluster | None = None,
    ) -> Cluster:
        """Pay `amount` wei from a cluster's balance to the account that owns it; returns the cluster's new state."""
        ids = list(operator_ids)
        state = cluster or self.cluster(account.address, ids)
        action = f"withdraw {amount} wei"
        call = self._contract.functions.withdraw(ids, amount, astuple(state))
        return self._cluster_after(action, self._transact(action, account, call))

    def set_fee_recipient(self, account: LocalAccount, recipient: str) -> TxReceipt:
        """Name the address that receives execution rewards of all the account's validators."""
        call = self._contract.functions.setFeeRecipientAddress(to_checksum_address(recipient))
        return self._transact(f"set fee recipient {recipient}", account, call)

    def owner_nonce(self, owner: str) -> int:
        """The nonce that the owner's next registration must be signed with: its registrations so far."""
        return sum(1 for _ in self._logs([abi.VALIDATOR_ADDED.topic], owner))

    # Internals

    def _transact(
        self, action: str, account: LocalAccount, call: ContractFunction | ContractConstructor, *, value: int = 0
    ) -> TxReceipt:
        return self._receipt(action, self._send(action, account, call, value=value))

    def _send(
        self, action: str, account: LocalAccount, call: ContractFunction | ContractConstructor, *, value: int = 0
    ) -> HexBytes:
        with self._translated(action), self._sending:
            base: TxParams = {"from": account.address, "value": Wei(value)}
            # The pending state counts this account's transactions that are not mined yet, as the nonce does.
            gas = call.estimate_gas(base, block_identifier="pending")
            tip = self.w3.eth.max_priority_fee
            base_fee = self.w3.eth.get_block("latest").get("baseFeePerGas", 0)
            transaction: Any = call.build_transaction(
                {
                    "from": account.address,
                    "value": Wei(value),
                    "chainId": self.w3.eth.chain_id,
                    "nonce": self.w3.eth.get_transaction_count(account.address, "pending"),
                    # Room for a neighbour's transaction that comes first and makes ours write a new slot.
                    "gas": gas + gas // 5,
                    "maxFeePerGas": Wei(2 * base_fee + tip),
                    "maxPriorityFeePerGas": tip,
                }
            )
            return self.w3.eth.send_raw_transaction(account.sign_transaction(transaction).raw_transaction)

    def _receipt(self, action: str, tx_hash: HexBytes) -> TxReceipt:
        with self._translated(action):
            receipt = self.w3.eth.wait_for_transaction_receipt(tx_hash, timeout=self._timeout, poll_latency=0.1)
            if receipt["status"] == 1:
                return receipt
            transaction = self.w3.eth.get_transaction(tx_hash)
            # Running it again on the state it met tells why it failed; that raises, and is translated above.
            again = TxParams({"from": transaction["from"], "value": transaction["value"], "data": transaction["input"]})
            if "to" in transaction:
                again["to"] = transaction["to"]
            self.w3.eth.call(again, receipt["blockNumber"] - 1)
        raise RegistryError(f"{action}: transaction 0x{tx_hash.hex()} failed in block {receipt['blockNumber']}")

    def _operator_id(self, receipt: TxReceipt) -> OperatorId:
        for log in receipt["logs"]:
            if bytes(log["topics"][0]) == abi.OPERATOR_ADDED.topic and log["address"] == self.address:
                return OperatorId(int.from_bytes(log["topics"][1], "big"))
        raise RegistryError(f"register operator: transaction 0x{receipt['transactionHash'].hex()} left no event")

    def _cluster_after(self, action: str, receipt: TxReceipt) -> Cluster:
        for log in reversed(receipt["logs"]):
            if bytes(log["topics"][0]) in _CLUSTER_EVENTS and log["address"] == self.address:
                return Cluster(*_decoded(log)[-1])
        raise RegistryError(f"{action}: transaction 0x{receipt['transactionHash'].hex()} left no event")

    def _logs(self, events: list[bytes], owner: str, *, newest_first: bool = False) -> Iterator[LogReceipt]:
        """The owner's events since the first block, in ranges that shrink when the node refuses one."""
        topics: list[Any] = [
            [f"0x{topic.hex()}" for topic in events],
            f"0x{bytes.fromhex(owner.removeprefix('0x')).rjust(32, bytes(1)).hex()}",
        ]
        with self._translated("read the registry's events"):
            head = self.w3.eth.block_number
            low, high, size = self.first_block, int(head), 10_000
            while low <= high:
                start, end = (max(low, high - size + 1), high) if newest_first else (low, min(high, low + size - 1))
                try:
                    logs = self.w3.eth.get_logs(
                        {
                            "address": self.address,
                            "topics": topics,
                            "fromBlock": BlockNumber(start),
                            "toBlock": BlockNumber(end),
                        }
                    )
                except Web3RPCError:
                    if size == 1:
                        raise
                    size = max(1, size // 2)
                    continue
                logs.sort(key=lambda log: (log["blockNumber"], log["logIndex"]), reverse=newest_first)
                yield from logs
                low, high = (low, start - 1) if newest_first else (end + 1, high)

    @contextmanager
    def _translated(self, action: str) -> Iterator[None]:
        """Turn what web3 raises into this package's errors."""
        try:
            yield
        except ContractLogicError as error:
            data = error.data if isinstance(error.data, str) and error.data.startswith("0x") else "0x"
            revert = describe_revert(bytes.fromhex(data[2:]))
            raise RegistryError(f"{action}: {revert.sentence}", revert.name) from error
        except TimeExhausted as error:
            raise UnavailableError(f"{action}: not mined within {self._timeout:g} s") from error
        except Web3Exception as error:
            raise RegistryError(f"{action}: {_reason(error)}") from error
        except OSError:
            # The node's address may hold an access key: only its host is named, and the cause is cut off.
            raise UnavailableError(f"{action}: execution node {self._host()} does not answer") from None

    def _host(self) -> str:
        provider = self.w3.provider
        if isinstance(provider, HTTPProvider):
            return urlsplit(str(provider.endpoint_uri)).netloc.rpartition("@")[2]
        return type(provider).__name__


def _decoded(log: LogReceipt) -> tuple[Any, ...]:
    topics = [bytes(topic) for topic in log["topics"]]
    event = _CLUSTER_EVENTS[topics[0]]
    try:
        return event.decode(topics, bytes(log["data"]))
    except abi.AbiDecodeError as error:
        raise RegistryError(f"event {event.name} in block {log['blockNumber']} is malformed: {error}") from error


def _reason(error: Web3Exception) -> str:
    if isinstance(error, Web3RPCError) and error.rpc_response is not None:
        answer: Any = error.rpc_response.get("error")
        if isinstance(answer, dict) and answer.get("message"):
            return f"the node answers: {answer['message']}"
    return (str(error).splitlines() or [type(error).__name__])[0]

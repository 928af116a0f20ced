"""The registry contract's transactions: what each is called, its bound function and what goes along.

Selectors are those of the SSV network contract, so that a call is good for either. A `Call` is sent by
`ssv_pool.registry.transactions`.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

from web3 import Web3
from web3.contract.contract import ContractConstructor, ContractFunction

from ssv_pool.protocol.types.primitives import OperatorId, PublicKey
from ssv_pool.registry import abi
from ssv_pool.registry.artifacts import compile_contract, published_abi
from ssv_pool.registry.chain import checksummed
from ssv_pool.registry.events import Cluster
from ssv_pool.registry.parameters import PARAMETERS, VALIDATORS_PER_OPERATOR


@dataclass(frozen=True, slots=True)
class Call:
    """One transaction, ready to be simulated or sent."""

    action: str
    """What it does; error texts begin with it."""
    function: ContractFunction | ContractConstructor
    value: int = 0
    """Wei that goes along."""


@dataclass(frozen=True, slots=True)
class Registration:
    """One validator to register."""

    public_key: PublicKey
    """The validator's key, 48 bytes."""
    shares: bytes
    """Owner's signature, share public keys and encrypted shares: 96 + 304·n bytes."""


def deployment(w3: Web3, validators_per_operator: int = VALIDATORS_PER_OPERATOR) -> Call:
    """The transaction that makes a registry; compiles it. Raises ContractFileError."""
    artifact = compile_contract()
    factory = w3.eth.contract(abi=artifact.abi, bytecode=artifact.bytecode)
    return Call("deploy the registry", factory.constructor(validators_per_operator))


class RegistryCalls:
    """Makes the calls of one registry contract; asks the node nothing."""

    def __init__(self, w3: Web3, address: str) -> None:
        self._functions: Any = w3.eth.contract(
            address=checksummed(address, "registry address"), abi=published_abi()
        ).functions

    # Operators

    def register_operator(self, public_key: str, *, fee: int = 0, private: bool = False) -> Call:
        """Register an operator of the sender.

        Args:
            public_key: base64 text of the RSA public key's PEM.
            fee: wei per block and validator, a multiple of 100,000.
            private: whether only whitelisted owners may use the operator.
        """
        packed = abi.pack_bytes(public_key.encode())
        return Call("register operator", self._functions.registerOperator(packed, fee, private))

    def remove_operator(self, operator_id: OperatorId) -> Call:
        """Remove an operator of the sender and pay what it has earned."""
        return Call(f"remove operator {operator_id}", self._functions.removeOperator(operator_id))

    def declare_fee(self, operator_id: OperatorId, fee: int) -> Call:
        """Announce a new fee, wei per block and validator."""
        return Call(f"declare the fee of operator {operator_id}", self._functions.declareOperatorFee(operator_id, fee))

    def execute_fee(self, operator_id: OperatorId) -> Call:
        """Put the declared fee into force, inside its window."""
        return Call(f"execute the fee of operator {operator_id}", self._functions.executeOperatorFee(operator_id))

    def cancel_fee(self, operator_id: OperatorId) -> Call:
        """Take a declared fee back."""
        return Call(f"cancel the fee of operator {operator_id}", self._functions.cancelDeclaredOperatorFee(operator_id))

    def reduce_fee(self, operator_id: OperatorId, fee: int) -> Call:
        """Lower the fee at once, to wei per block and validator."""
        return Call(f"reduce the fee of operator {operator_id}", self._functions.reduceOperatorFee(operator_id, fee))

    def withdraw_earnings(self, operator_id: OperatorId, amount: int | None = None) -> Call:
        """Pay the sender what an operator has earned: `amount` wei, a multiple of 100,000, or all of it."""
        action = f"withdraw earnings of operator {operator_id}"
        if amount is None:
            return Call(action, self._functions.withdrawAllOperatorEarnings(operator_id))
        return Call(action, self._functions.withdrawOperatorEarnings(operator_id, amount))

    def set_private(self, operator_ids: Sequence[OperatorId], *, private: bool) -> Call:
        """Close operators of the sender to owners that are not on their lists, or open them to everybody."""
        functions = self._functions
        function = functions.setOperatorsPrivateUnchecked if private else functions.setOperatorsPublicUnchecked
        return Call(f"make operators {_ids(operator_ids)} {'private' if private else 'public'}", function(operator_ids))

    def set_whitelist(self, operator_ids: Sequence[OperatorId], owners: Sequence[str], *, listed: bool) -> Call:
        """Put owners on the lists of operators of the sender, or take them off."""
        accounts = [checksummed(owner, "whitelisted owner") for owner in owners]
        functions = self._functions
        function = functions.setOperatorsWhitelists if listed else functions.removeOperatorsWhitelists
        verb = "whitelist owners at" if listed else "take owners off the list of"
        return Call(f"{verb} operators {_ids(operator_ids)}", function(list(operator_ids), accounts))

    # Validators

    def register_validators(
        self,
        registrations: Sequence[Registration],
        operator_ids: Sequence[OperatorId],
        cluster: Cluster,
        *,
        value: int = 0,
        action: str = "",
    ) -> Call:
        """Register validators of the sender with one cluster: one, or as many as a bulk call takes.

        Args:
            registrations: their owner signatures must be over consecutive nonces.
            operator_ids: the cluster's 4, 7, 10 or 13 operators, ascending.
            cluster: the cluster's present state.
            value: wei to put into the cluster's balance.
            action: what error texts begin with, by default the first key.
        """
        first, ids, state = registrations[0], list(operator_ids), astuple(cluster)
        if len(registrations) == 1:
            function = self._functions.registerValidator(first.public_key, ids, first.shares, state)
            return Call(action or f"register validator 0x{first.public_key.hex()}", function, value)
        keys, shares = [item.public_key for item in registrations], [item.shares for item in registrations]
        function = self._functions.bulkRegisterValidator(keys, ids, shares, state)
        return Call(action or f"register {len(keys)} validators", function, value)

    def remove_validators(
        self,
        public_keys: Sequence[PublicKey],
        operator_ids: Sequence[OperatorId],
        cluster: Cluster,
        *,
        action: str = "",
    ) -> Call:
        """Take validators of the sender from one cluster; its balance stays in it."""
        ids, state = list(operator_ids), astuple(cluster)
        if len(public_keys) == 1:
            function = self._functions.removeValidator(public_keys[0], ids, state)
            return Call(action or f"remove validator 0x{public_keys[0].hex()}", function)
        function = self._functions.bulkRemoveValidator(list(public_keys), ids, state)
        return Call(action or f"remove {len(public_keys)} validators", function)

    def exit_validators(self, public_keys: Sequence[PublicKey], operator_ids: Sequence[OperatorId]) -> Call:
        """Ask the operators to sign voluntary exits of validators of the sender."""
        ids = list(operator_ids)
        if len(public_keys) == 1:
            function = self._functions.exitValidator(public_keys[0], ids)
            return Call(f"exit validator 0x{public_keys[0].hex()}", function)
        return Call(f"exit {len(public_keys)} validators", self._functions.bulkExitValidator(list(public_keys), ids))

    def set_fee_recipient(self, recipient: str) -> Call:
        """Name the address that receives the execution rewards of all validators of the sender."""
        address = checksummed(recipient, "fee recipient")
        return Call(f"set fee recipient {recipient}", self._functions.setFeeRecipientAddress(address))

    # Clusters

    def deposit(self, owner: str, operator_ids: Sequence[OperatorId], cluster: Cluster, value: int) -> Call:
        """Put wei into a cluster's balance, whoever owns it; with none it only settles the cluster."""
        function = self._functions.deposit(checksummed(owner, "cluster owner"), list(operator_ids), astuple(cluster))
        verb = "deposit into" if value else "settle"
        return Call(f"{verb} cluster {_ids(operator_ids)}", function, value)

    def withdraw(self, operator_ids: Sequence[OperatorId], amount: int, cluster: Cluster) -> Call:
        """Pay the sender wei from the balance of a cluster of its own."""
        return Call(
            f"withdraw from cluster {_ids(operator_ids)}",
            self._functions.withdraw(list(operator_ids), amount, astuple(cluster)),
        )

    def liquidate(self, owner: str, operator_ids: Sequence[OperatorId], cluster: Cluster) -> Call:
        """Stop a cluster that cannot pay for long, or an own one; the sender gets the rest of its balance."""
        function = self._functions.liquidate(checksummed(owner, "cluster owner"), list(operator_ids), astuple(cluster))
        return Call(f"liquidate cluster {_ids(operator_ids)} of {owner}", function)

    def reactivate(self, operator_ids: Sequence[OperatorId], cluster: Cluster, value: int) -> Call:
        """Start a liquidated cluster of the sender again with wei for its balance."""
        function = self._functions.reactivate(list(operator_ids), astuple(cluster))
        return Call(f"reactivate cluster {_ids(operator_ids)}", function, value)

    # The contract's owner

    def set_parameter(self, name: str, value: int) -> Call:
        """Set one of `PARAMETERS`. Raises KeyError: no such parameter."""
        function = getattr(self._functions, PARAMETERS[name][0])
        return Call(f"set {name} to {value}", function(value))

    def withdraw_network_earnings(self, amount: int) -> Call:
        """Pay the contract's owner from what the network has earned: wei, a multiple of 100,000."""
        return Call("withdraw the network's earnings", self._functions.withdrawNetworkEarnings(amount))

    def transfer_ownership(self, new_owner: str) -> Call:
        """Offer the contract to a new owner, who has to accept; the zero address withdraws an offer."""
        address = checksummed(new_owner, "new owner")
        return Call(f"offer the registry to {address}", self._functions.transferOwnership(address))

    def accept_ownership(self) -> Call:
        """Accept the contract that was offered to the sender."""
        return Call("accept the registry", self._functions.acceptOwnership())


def _ids(operator_ids: Sequence[OperatorId]) -> str:
    return ",".join(map(str, operator_ids))

"""The staking pool's transactions: what each is called, its bound function and what goes along.

Approvals are signatures of members over what `ssv_pool.pool.approvals` describes, in ascending order of their addresses
(`in_order`). A `Call` is sent by `ssv_pool.registry.transactions`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from typing import Any

from web3 import Web3

from ssv_pool.pool.approvals import (
    ClusterPayment,
    ClusterReactivation,
    ClusterRefund,
    Committee,
    Funding,
    Removal,
    Report,
    Signed,
    values_of,
)
from ssv_pool.registry.artifacts import compile_contract, published_abi
from ssv_pool.registry.calls import Call
from ssv_pool.registry.chain import checksummed
from ssv_pool.registry.events import Cluster

POOL = "StakingPool"
"""Name of the pool contract."""

DEPOSIT_CONTRACT = "DepositContract"
"""Name of the deposit contract."""


@dataclass(frozen=True, slots=True)
class PoolParameters:
    """Who gets fees and how much, and what reports and payments may be at most; all rates in basis points."""

    treasury: str
    """Address that gets the treasury's fee."""
    operator_fee: int = 500
    """Part of a gain, divided among the members. Both fees together at most 2000."""
    treasury_fee: int = 500
    """Part of a gain."""
    max_yearly_gain: int = 2_000
    """Gain per year, of all assets, that reports may book; at most 10,000."""
    max_loss: int = 500
    """Loss in one report, of all assets; at most 5000."""
    cluster_budget: int = 100
    """Part of all assets that clusters may be paid in 30 days; at most 1000."""

    @property
    def values(self) -> tuple[Any, ...]:
        """As the contract takes them."""
        return (checksummed(self.treasury, "treasury"), *astuple(self)[1:])


def in_order(approvals: Iterable[Signed]) -> list[bytes]:
    """Signatures as the contract takes them: one of each signer, in ascending order of addresses."""
    by_signer = {approval.signer: approval.signature for approval in approvals}
    return [by_signer[signer] for signer in sorted(by_signer)]


def deployment(
    w3: Web3, registry: str, deposit_contract: str, members: Sequence[str], quorum: int, parameters: PoolParameters
) -> Call:
    """The transaction that makes a pool; compiles it.

    Args:
        w3: connection to an execution node.
        registry: address of the registry contract.
        deposit_contract: address of the beacon deposit contract.
        members: addresses of those who sign, in any order.
        quorum: how many must sign, more than two thirds.
        parameters: fees and bounds.

    Raises:
        ConfigError: not an address.
        ContractFileError: it cannot be compiled here.
    """
    artifact = compile_contract(POOL)
    factory = w3.eth.contract(abi=artifact.abi, bytecode=artifact.bytecode)
    ordered = sorted((checksummed(member, "member") for member in members), key=lambda member: int(member, 16))
    return Call(
        "deploy the pool",
        factory.constructor(
            checksummed(registry, "registry address"),
            checksummed(deposit_contract, "deposit contract address"),
            ordered,
            quorum,
            parameters.values,
        ),
    )


def deposit_contract_deployment(w3: Web3) -> Call:
    """The transaction that makes a deposit contract, for a chain that has none. Raises ContractFileError."""
    artifact = compile_contract(DEPOSIT_CONTRACT)
    return Call(
        "deploy the deposit contract", w3.eth.contract(abi=artifact.abi, bytecode=artifact.bytecode).constructor()
    )


class PoolCalls:
    """Makes the calls of one pool contract; asks the node nothing."""

    def __init__(self, w3: Web3, address: str) -> None:
        self._functions: Any = w3.eth.contract(
            address=checksummed(address, "pool address"), abi=published_abi(POOL)
        ).functions

    # Stakers

    def stake(self, amount: int, receiver: str | None = None) -> Call:
        """Give `amount` wei for shares, to the sender or another receiver."""
        if receiver is None:
            return Call("stake", self._functions.stake(), amount)
        return Call("stake", self._functions.stakeFor(checksummed(receiver, "receiver")), amount)

    def request_withdrawal(self, shares: int, receiver: str) -> Call:
        """Put shares of the sender into the queue; the receiver will be paid."""
        return Call("unstake", self._functions.requestWithdrawal(shares, checksummed(receiver, "receiver")))

    def redirect_withdrawal(self, request: int, receiver: str) -> Call:
        """Name another receiver for a request of the sender that is not paid yet."""
        place = checksummed(receiver, "receiver")
        return Call(f"redirect request {request}", self._functions.redirectWithdrawal(request, place))

    def finalize_withdrawals(self, limit: int) -> Call:
        """Make up to `limit` requests ready that were reported on and that there is money for."""
        return Call("finalize withdrawals", self._functions.finalizeWithdrawals(limit))

    def claim(self, requests: Sequence[int]) -> Call:
        """Pay the receivers of requests that are ready."""
        if len(requests) == 1:
            return Call(f"claim request {requests[0]}", self._functions.claim(requests[0]))
        listed = ", ".join(map(str, requests))
        return Call(f"claim requests {listed}", self._functions.claimMany(list(requests)))

    def transfer(self, receiver: str, shares: int) -> Call:
        """Give shares of the sender to somebody else (ERC-20)."""
        return Call("transfer shares", self._functions.transfer(checksummed(receiver, "receiver"), shares))

    # Validators

    def allow_committee(self, message: Committee, approvals: Sequence[bytes]) -> Call:
        """Let members register validators with these operators, or no more."""
        verb = "allow" if message.allowed else "forbid"
        return Call(
            f"{verb} committee {_ids(message.operator_ids)}",
            self._functions.allowCommittee(list(message.operator_ids), message.allowed, message.nonce, list(approvals)),
        )

    def register_validator(
        self, public_key: bytes, operator_ids: Sequence[int], shares: bytes, payment: int, cluster: Cluster
    ) -> Call:
        """Register a validator of the pool with `payment` wei of the pool for its cluster."""
        return Call(
            f"register validator 0x{public_key.hex()}",
            self._functions.registerValidator(public_key, list(operator_ids), shares, payment, astuple(cluster)),
        )

    def fund_validator(self, message: Funding, approvals: Sequence[bytes]) -> Call:
        """Deposit 32 ETH for a registered validator."""
        return Call(
            f"fund validator 0x{message.public_key.hex()}",
            self._functions.fundValidator(*values_of(message), list(approvals)),
        )

    def exit_validators(self, public_keys: Sequence[bytes], operator_ids: Sequence[int]) -> Call:
        """Ask one committee to exit validators."""
        return Call(
            f"exit validators {', '.join('0x' + key.hex() for key in public_keys)}",
            self._functions.exitValidators(list(public_keys), list(operator_ids)),
        )

    def remove_validator(
        self, message: Removal, operator_ids: Sequence[int], cluster: Cluster, approvals: Sequence[bytes]
    ) -> Call:
        """Take a validator out of the registry for good."""
        return Call(
            f"remove validator 0x{message.public_key.hex()}",
            self._functions.removeValidator(message.public_key, list(operator_ids), astuple(cluster), list(approvals)),
        )

    # Clusters

    def pay_cluster(self, message: ClusterPayment, cluster: Cluster, approvals: Sequence[bytes]) -> Call:
        """Add wei of the pool to the balance of one of its clusters."""
        return self._of_cluster("pay", self._functions.payCluster, message, cluster, approvals)

    def refund_cluster(self, message: ClusterRefund, cluster: Cluster, approvals: Sequence[bytes]) -> Call:
        """Take wei back from the balance of a cluster."""
        return self._of_cluster("refund", self._functions.refundCluster, message, cluster, approvals)

    def reactivate_cluster(self, message: ClusterReactivation, cluster: Cluster, approvals: Sequence[bytes]) -> Call:
        """Start a liquidated cluster again."""
        return self._of_cluster("reactivate", self._functions.reactivateCluster, message, cluster, approvals)

    def _of_cluster(
        self,
        verb: str,
        function: Any,
        message: ClusterPayment | ClusterRefund | ClusterReactivation,
        cluster: Cluster,
        approvals: Sequence[bytes],
    ) -> Call:
        ids = list(message.operator_ids)
        return Call(
            f"{verb} cluster {_ids(ids)}",
            function(ids, message.amount, astuple(cluster), message.nonce, list(approvals)),
        )

    # Reports, pause, owner

    def report(self, message: Report, approvals: Sequence[bytes]) -> Call:
        """Book a report that a quorum has signed."""
        return Call(f"report {message.number}", self._functions.report(tuple(values_of(message)), list(approvals)))

    def pause(self, reason: str) -> Call:
        """Stop staking, registration, funding, payments to clusters and reports for 7 days at most."""
        return Call("pause the pool", self._functions.pause(reason))

    def unpause(self) -> Call:
        """End a pause; by the owner."""
        return Call("unpause the pool", self._functions.unpause())

    def announce_parameters(self, parameters: PoolParameters) -> Call:
        """Announce new parameters; by the owner."""
        return Call("announce parameters", self._functions.announceParameters(parameters.values))

    def execute_parameters(self) -> Call:
        """Put announced parameters into force; by the owner, 14 days later."""
        return Call("execute parameters", self._functions.executeParameters())

    def announce_members(self, members: Sequence[str], quorum: int) -> Call:
        """Announce all members there shall be; by the owner."""
        ordered = sorted((checksummed(member, "member") for member in members), key=lambda member: int(member, 16))
        return Call("announce members", self._functions.announceMembers(ordered, quorum))

    def execute_members(self) -> Call:
        """Put announced members into office; by the owner, 14 days later."""
        return Call("execute members", self._functions.executeMembers())

    def cancel_announcement(self) -> Call:
        """Take back what was announced; by the owner."""
        return Call("cancel the announcement", self._functions.cancelAnnouncement())

    def transfer_ownership(self, owner: str) -> Call:
        """Offer the pool to another owner, who has to accept it."""
        return Call("offer ownership", self._functions.transferOwnership(checksummed(owner, "new owner")))

    def accept_ownership(self) -> Call:
        """Accept the pool that was offered to the sender."""
        return Call("accept ownership", self._functions.acceptOwnership())


def _ids(operator_ids: Sequence[int]) -> str:
    return ",".join(map(str, operator_ids))

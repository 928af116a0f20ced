"""What the registry contract answers: operators, validators, clusters and their runway, parameters.

The SSV network answers these on a second contract, ours on the registry itself; the calls are the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any, Final

from eth_typing import ChecksumAddress
from web3 import Web3

from ssv_pool.protocol.types.primitives import OperatorId, PublicKey
from ssv_pool.registry.artifacts import published_abi
from ssv_pool.registry.chain import checksummed, read, translated
from ssv_pool.registry.events import Cluster
from ssv_pool.registry.history import ClusterKey

BLOCK_SECONDS: Final = 12.0
"""Seconds between blocks, as on mainnet and the public test networks."""

_DAY: Final = 86_400


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


@dataclass(frozen=True, slots=True)
class DeclaredFee:
    """A fee that was announced."""

    fee: int
    """Wei per block and validator."""
    begin: int
    """Unix time from which on it can be put into force."""
    end: int
    """Unix time until which it can."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """What the contract's owner has set."""

    network_fee: int
    """Wei per block and validator."""
    operator_fee_increase_limit: int
    """Hundredths of a percent by which one declaration may raise a fee."""
    declare_period: int
    """Seconds that a declared fee waits."""
    execute_period: int
    """Seconds for which it can then be put into force."""
    maximum_operator_fee: int
    """Wei per block and validator."""
    liquidation_threshold: int
    """Blocks that a cluster must be able to pay for."""
    minimum_collateral: int
    """Wei that a cluster must hold at least."""


@dataclass(frozen=True, slots=True)
class ClusterStatus:
    """A cluster's money now."""

    owner: ChecksumAddress
    operator_ids: tuple[OperatorId, ...]
    cluster: Cluster
    """The state in its last event."""
    balance: int
    """Wei that are left when all that is owed by now is paid."""
    burn_rate: int
    """Wei that leave with every block."""
    liquidatable: bool
    """Whether anybody may liquidate it now."""
    reserve: int
    """Wei below which it can be liquidated."""
    block: int
    """Number of the block whose state this is."""

    @property
    def liquidated(self) -> bool:
        """Whether it was liquidated and not reactivated."""
        return not self.cluster.active

    @property
    def runway_blocks(self) -> int | None:
        """Blocks until it can be liquidated; None when nothing is paid, 0 when it can be or was."""
        if self.liquidated or self.liquidatable:
            return 0
        if self.burn_rate == 0:
            return None
        # Liquidatable is what holds less than the reserve: with all of it gone but the reserve it is not yet.
        return max(0, self.balance - self.reserve) // self.burn_rate + 1

    def runway_days(self, block_seconds: float = BLOCK_SECONDS) -> float | None:
        """Days until it can be liquidated; None when nothing is paid."""
        blocks = self.runway_blocks
        return None if blocks is None else blocks * block_seconds / _DAY

    def cost_of(self, days: float, block_seconds: float = BLOCK_SECONDS) -> int:
        """Wei to deposit now for a runway of at least `days`; 0 when it has that already."""
        needed = self.reserve + int(days * _DAY / block_seconds + 1) * self.burn_rate
        return max(0, needed - self.balance)


class RegistryViews:
    """Reads one registry contract.

    The SSV network's contract answers a cluster's balance with a second word behind, which is not looked at.

    Args:
        w3: connection to an execution node.
        address: the contract that answers: the registry, or the SSV network's contract of views.
    """

    def __init__(self, w3: Web3, address: str) -> None:
        self.w3 = w3
        self.address = checksummed(address, "address of the registry's views")
        self._functions: Any = w3.eth.contract(address=self.address, abi=published_abi()).functions

    def operator(self, operator_id: OperatorId) -> OperatorRecord:
        """What the contract knows of an operator."""
        call = self._functions.getOperatorById(operator_id)
        owner, fee, count, _, private, active = read(self.w3, f"read operator {operator_id}", call)
        return OperatorRecord(owner, fee, count, private, active)

    def declared_fee(self, operator_id: OperatorId) -> DeclaredFee | None:
        """The fee that an operator has announced; None when there is none."""
        call = self._functions.getOperatorDeclaredFee(operator_id)
        declared, fee, begin, end = read(self.w3, f"read the declared fee of operator {operator_id}", call)
        return DeclaredFee(fee, begin, end) if declared else None

    def earnings(self, operator_id: OperatorId) -> int:
        """Wei that an operator has earned and not withdrawn."""
        call = self._functions.getOperatorEarnings(operator_id)
        return int(read(self.w3, f"read the earnings of operator {operator_id}", call))

    def whitelisted(self, operator_id: OperatorId, owner: str) -> bool:
        """Whether an owner is on an operator's list."""
        call = self._functions.isAddressWhitelisted(operator_id, checksummed(owner, "owner"))
        return bool(read(self.w3, f"read the whitelist of operator {operator_id}", call))

    def validator_registered(self, owner: str, public_key: PublicKey) -> bool:
        """Whether the owner has the validator registered."""
        call = self._functions.getValidator(checksummed(owner, "owner"), public_key)
        return bool(read(self.w3, f"look up validator 0x{public_key.hex()}", call))

    def status(self, owner: str, operator_ids: Sequence[OperatorId], cluster: Cluster) -> ClusterStatus:
        """A cluster's money now.

        Args:
            owner: the cluster's.
            operator_ids: its operators, ascending.
            cluster: its present state, see `ssv_pool.registry.history`.

        Raises:
            ContractError: there is no such cluster, or the state is not its present one.
            UnavailableError: the node does not answer.
        """
        return self.statuses({(checksummed(owner, "cluster owner"), tuple(operator_ids)): cluster})[0]

    def statuses(self, clusters: Mapping[ClusterKey, Cluster]) -> list[ClusterStatus]:
        """The money of several clusters, all at one block, in their order. Raises as `status`."""
        with translated(self.w3, "ask for the newest block"):
            block = int(self.w3.eth.block_number)

        def ask(action: str, name: str, *values: Any) -> Any:
            return read(self.w3, action, getattr(self._functions, name)(*values), block=block)

        collateral = int(ask("read the registry's parameters", "getMinimumLiquidationCollateral"))
        threshold = int(ask("read the registry's parameters", "getLiquidationThresholdPeriod"))
        found = []
        for (owner, ids), cluster in clusters.items():
            action = f"read cluster {','.join(map(str, ids))} of {owner}"
            arguments = (owner, list(ids), astuple(cluster))
            if not cluster.active:
                # Asked as well, because a state that is not the cluster's present one is refused.
                ask(action, "isLiquidated", *arguments)
                found.append(ClusterStatus(owner, ids, cluster, cluster.balance, 0, False, collateral, block))
                continue
            balance, rate, liquidatable = (
                ask(action, name, *arguments) for name in ("getBalance", "getBurnRate", "isLiquidatable")
            )
            reserve = max(collateral, threshold * rate) if cluster.validator_count else 0
            found.append(ClusterStatus(owner, ids, cluster, balance, rate, liquidatable, reserve, block))
        return found

    def needs_of(self, operator_ids: Sequence[OperatorId], validators: int) -> tuple[int, int]:
        """What a cluster of so many validators must hold not to be liquidatable, and pays with every block; wei.

        Raises:
            ContractError: an operator's fee or a parameter cannot be read.
            UnavailableError: the node does not answer.
        """
        parameters = self.parameters()
        fees = parameters.network_fee + sum(self.operator(operator_id).fee for operator_id in operator_ids)
        rate = fees * validators
        reserve = max(parameters.minimum_collateral, parameters.liquidation_threshold * rate) if validators else 0
        return reserve, rate

    def parameters(self) -> Parameters:
        """What the contract's owner has set."""
        names = (
            "getNetworkFee",
            "getOperatorFeeIncreaseLimit",
            "getOperatorFeePeriods",
            "getMaximumOperatorFee",
            "getLiquidationThresholdPeriod",
            "getMinimumLiquidationCollateral",
        )
        fee, limit, periods, highest, threshold, collateral = (
            read(self.w3, "read the registry's parameters", getattr(self._functions, name)()) for name in names
        )
        return Parameters(fee, limit, periods[0], periods[1], highest, threshold, collateral)

    def network_earnings(self) -> int:
        """Wei that the network has earned and not withdrawn."""
        return int(read(self.w3, "read the network's earnings", self._functions.getNetworkEarnings()))

    def owners(self) -> tuple[ChecksumAddress, ChecksumAddress]:
        """The contract's owner, and to whom it is offered (the zero address: to nobody)."""
        functions = self._functions
        owner, pending = (
            read(self.w3, "read the owner", call) for call in (functions.owner(), functions.pendingOwner())
        )
        return owner, pending

"""The staking pool in titanoboa with a real registry and deposit contract, called through Solidity signatures alone.

What members sign is hashed here by eth_account, from the types written down below.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import boa
from contract_vm import ContractVM, types_of
from eth_abi.abi import decode
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from registry_vm import CLUSTER, NEW_CLUSTER, ZERO_ADDRESS, RegistryVM

ETHER = 10**18
DEPOSIT = 32 * ETHER
DAY = 86_400
YEAR = 365 * DAY
PARAMETERS = "(address,uint16,uint16,uint32,uint16,uint16)"
REPORT_FIELDS = "(uint64,uint64,uint64,uint256,uint256,uint256,uint64)"

STAKE = "stake()"
STAKE_FOR = "stakeFor(address)"
REQUEST = "requestWithdrawal(uint256,address)"
REDIRECT = "redirectWithdrawal(uint256,address)"
FINALIZE = "finalizeWithdrawals(uint256)"
CLAIM = "claim(uint256)"
CLAIM_MANY = "claimMany(uint256[])"
ALLOW = "allowCommittee(uint64[],bool,uint256,bytes[])"
REGISTER = f"registerValidator(bytes,uint64[],bytes,uint256,{CLUSTER})"
FUND = "fundValidator(bytes,bytes,bytes32,bytes32,bytes[])"
EXIT = "exitValidators(bytes[],uint64[])"
REMOVE = f"removeValidator(bytes,uint64[],{CLUSTER},bytes[])"
PAY = f"payCluster(uint64[],uint256,{CLUSTER},uint256,bytes[])"
REFUND = f"refundCluster(uint64[],uint256,{CLUSTER},uint256,bytes[])"
REACTIVATE = f"reactivateCluster(uint64[],uint256,{CLUSTER},uint256,bytes[])"
REPORT = f"report({REPORT_FIELDS},bytes[])"
PAUSE = "pause(string)"
UNPAUSE = "unpause()"
ANNOUNCE_PARAMETERS = f"announceParameters({PARAMETERS})"
EXECUTE_PARAMETERS = "executeParameters()"
ANNOUNCE_MEMBERS = "announceMembers(address[],uint8)"
EXECUTE_MEMBERS = "executeMembers()"
CANCEL = "cancelAnnouncement()"

TRANSFER = "Transfer(address,address,uint256)"
STAKED = "Staked(address,address,uint256,uint256)"
REQUESTED = "WithdrawalRequested(uint256,address,address,uint256,uint256)"
FINALIZED = "WithdrawalFinalized(uint256,uint256,uint256)"
CLAIMED = "WithdrawalClaimed(uint256,address,uint256)"
REPORTED = "Reported(uint64,uint64,uint64,int256,uint256,uint256,uint256)"
DEFERRED = "GainDeferred(uint64,uint256)"

TYPES: dict[str, list[tuple[str, str]]] = {
    "Report": [
        ("uint64", "number"),
        ("uint64", "slot"),
        ("uint64", "blockNumber"),
        ("uint256", "beaconBalance"),
        ("uint256", "depositsCounted"),
        ("uint256", "received"),
        ("uint64", "exited"),
    ],
    "Funding": [
        ("bytes", "publicKey"),
        ("bytes", "signature"),
        ("bytes32", "depositDataRoot"),
        ("bytes32", "depositRoot"),
    ],
    "Committee": [("uint64[]", "operatorIds"), ("bool", "allowed"), ("uint256", "nonce")],
    "ClusterPayment": [("uint64[]", "operatorIds"), ("uint256", "amount"), ("uint256", "nonce")],
    "ClusterRefund": [("uint64[]", "operatorIds"), ("uint256", "amount"), ("uint256", "nonce")],
    "ClusterReactivation": [("uint64[]", "operatorIds"), ("uint256", "amount"), ("uint256", "nonce")],
    "Removal": [("bytes", "publicKey")],
}
"""What members sign, as docs/contracts.md gives it."""

MEMBERS = sorted((Account.from_key(keccak(text=f"member {number}")) for number in range(5)), key=lambda a: a.address)
"""Members of the pools of tests, the first four of them, ascending; the fifth is none."""


@dataclass(frozen=True)
class Limits:
    """A pool's parameters, basis points."""

    operator_fee: int = 500
    treasury_fee: int = 500
    yearly_gain: int = 1_000
    loss: int = 1_000
    budget: int = 500

    def encoded(self, treasury: str) -> tuple[Any, ...]:
        """As the contract takes them."""
        return (treasury, self.operator_fee, self.treasury_fee, self.yearly_gain, self.loss, self.budget)


@dataclass(frozen=True)
class Report:
    """What a quorum says about the pool."""

    number: int
    slot: int
    block: int
    beacon: int
    counted: int
    received: int
    exited: int = 0

    @property
    def values(self) -> tuple[int, ...]:
        """As the contract takes them."""
        return (self.number, self.slot, self.block, self.beacon, self.counted, self.received, self.exited)


def key_of(number: int) -> bytes:
    """A validator's public key; no curve is looked at by contracts."""
    return hashlib.sha256(b"validator %d" % number).digest() + number.to_bytes(16, "big")


def deposit_root(key: bytes, credentials: bytes, signature: bytes, gwei: int = 32 * 10**9) -> bytes:
    """SSZ root of a DepositData, by the definition."""

    def node(left: bytes, right: bytes) -> bytes:
        return hashlib.sha256(left + right).digest()

    signed = node(node(signature[:32], signature[32:64]), node(signature[64:], bytes(32)))
    return node(node(node(key[:32], key[32:] + bytes(16)), credentials), node(gwei.to_bytes(32, "little"), signed))


class PoolVM(ContractVM):
    """A newly deployed pool with a registry and a deposit contract of its own, and four operators who cost something.

    Args:
        limits: the parameters.
        fees: the operators', wei per block.
        quorum: of the four members.
    """

    def __init__(self, limits: Limits | None = None, fees: Sequence[int] = (10**9,) * 4, quorum: int = 3) -> None:
        self.registry = RegistryVM(limit=3_000)
        self.deposits = ContractVM("DepositContract")
        self.governor: str = boa.env.eoa
        self.registry.call("updateLiquidationThresholdPeriod(uint64)", 21_480, sender=self.governor)
        self.treasury = self.account(0)
        self.limits = limits or Limits()
        self.members = [member.address for member in MEMBERS[:4]]
        self.quorum = quorum
        self.created = boa.env.timestamp
        super().__init__(
            "StakingPool",
            self.registry.contract.address,
            self.deposits.contract.address,
            self.members,
            quorum,
            self.limits.encoded(self.treasury),
        )
        self.address: str = self.contract.address
        self.provider = self.account()
        self.ids = self.registry.operators(self.provider, len(fees), fees)
        self.cluster: tuple[Any, ...] = NEW_CLUSTER
        """Of the pool with these operators; as the last event told."""
        for member in self.members:
            boa.env.set_balance(member, 10**24)

    # What members sign

    def approvals(
        self, kind: str, values: Mapping[str, Any] | Sequence[Any], signers: Sequence[int] = (0, 1, 2)
    ) -> Any:
        """Signatures of members over a message, in the order of `signers`."""
        fields = TYPES[kind]
        message = (
            dict(zip((name for _, name in fields), values, strict=True)) if not isinstance(values, Mapping) else values
        )
        domain = {
            "name": "SSV Staking Pool",
            "version": "1",
            "chainId": boa.env.evm.chain.chain_id,
            "verifyingContract": to_checksum_address(self.address),
        }
        types = {kind: [{"name": name, "type": type_} for type_, name in fields]}
        signable = encode_typed_data(domain, types, message)
        return [bytes(MEMBERS[signer].sign_message(signable).signature) for signer in signers]

    # Reading

    def number(self, signature: str, *values: Any) -> int:
        """What a view answers with."""
        return int.from_bytes(self.call(signature, *values, sender=ZERO_ADDRESS), "big")

    def read(self, signature: str, types: Sequence[str], *values: Any) -> tuple[Any, ...]:
        """What a view answers with, decoded."""
        return tuple(decode(types, self.call(signature, *values, sender=ZERO_ADDRESS)))

    def shares(self, account: str) -> int:
        """Shares of an account."""
        return self.number("balanceOf(address)", account)

    @property
    def assets(self) -> int:
        """All the pool owns by its books, wei."""
        return self.number("totalAssets()")

    @property
    def supply(self) -> int:
        """Shares there are."""
        return self.number("totalSupply()")

    @property
    def held(self) -> int:
        """What the contract holds, wei."""
        return int(boa.env.get_balance(self.address))

    def withdrawal(self, request: int) -> tuple[Any, ...]:
        """Owner, receiver, shares, assets, block, state of a request."""
        return self.read(
            "withdrawal(uint256)", ["address", "address", "uint256", "uint256", "uint64", "uint8"], request
        )

    def state(self, key: bytes) -> int:
        """A validator's state."""
        return self.number("validatorState(bytes)", key)

    @property
    def credentials(self) -> bytes:
        """What deposits must name."""
        return self.call("withdrawalCredentials()", sender=ZERO_ADDRESS)

    # Doing

    def give(self, wei: int) -> None:
        """Let ether arrive without a call, as from the beacon chain."""
        boa.env.set_balance(self.address, self.held + wei)

    def stake(self, account: str, wei: int) -> int:
        """Stake and return the shares."""
        return int.from_bytes(self.call(STAKE, sender=account, value=wei), "big")

    def request(self, account: str, shares: int, receiver: str | None = None) -> int:
        """Ask for a withdrawal and return its number."""
        return int.from_bytes(self.call(REQUEST, shares, receiver or account, sender=account), "big")

    def registry_cluster(self) -> tuple[Any, ...]:
        """The cluster's state in the registry's log of the last call, or the one known where it left none."""
        for topics, data in self.logs:
            for signature in CLUSTER_EVENTS:
                if topics[0] == keccak(text=signature):
                    return tuple(decode(types_of(signature)[1:], data)[-1])
        return self.cluster

    def in_cluster(self, signature: str, *values: Any, sender: str) -> None:
        """A call of the pool that changes the cluster; its new state is kept."""
        self.call(signature, *values, sender=sender)
        self.cluster = self.registry_cluster()

    def allow(self, ids: Sequence[int] | None = None, allowed: bool = True) -> None:
        """Let members use a committee."""
        chosen = list(self.ids if ids is None else ids)
        nonce = self.number("clusterNonce()")
        approvals = self.approvals("Committee", (chosen, allowed, nonce))
        self.call(ALLOW, chosen, allowed, nonce, approvals, sender=self.members[0])

    def register(self, key: bytes, payment: int = 10**15) -> None:
        """Register a validator with the operators."""
        self.in_cluster(REGISTER, key, self.ids, b"shares", payment, self.cluster, sender=self.members[0])

    def funding(self, key: bytes, signers: Sequence[int] = (0, 1, 2)) -> tuple[Any, ...]:
        """What fundValidator takes for a key."""
        signature = hashlib.sha512(key).digest() + bytes(32)
        data_root = deposit_root(key, self.credentials, signature)
        root = self.deposits.call("get_deposit_root()", sender=ZERO_ADDRESS)
        return key, signature, data_root, root, self.approvals("Funding", (key, signature, data_root, root), signers)

    def fund(self, key: bytes) -> None:
        """Fund a registered validator."""
        self.call(FUND, *self.funding(key), sender=self.provider)

    def next_report(self, beacon: int, *, block: int | None = None, exited: int | None = None) -> Report:
        """A true report of the last block."""
        last, _ = self.read("lastReport()", [REPORT_FIELDS, "uint256"])
        return Report(
            number=last[0] + 1,
            slot=boa.env.evm.patch.block_number,
            block=boa.env.evm.patch.block_number - 1 if block is None else block,
            beacon=beacon,
            counted=self.number("depositedTotal()"),
            received=self.number("receivedTotal()") + self.number("unbooked()"),
            exited=last[6] if exited is None else exited,
        )

    def send(self, report: Report, signers: Sequence[int] = (0, 1, 2)) -> None:
        """Send a report that members have signed."""
        self.call(REPORT, report.values, self.approvals("Report", report.values, signers), sender=self.provider)

    def report(self, beacon: int, *, seconds: int = DAY, exited: int | None = None) -> None:
        """Let a time pass and a true report of the block before be booked."""
        boa.env.time_travel(seconds=seconds)
        self.send(self.next_report(beacon, exited=exited))


CLUSTER_EVENTS = (
    f"ValidatorAdded(address,uint64[],bytes,bytes,{CLUSTER})",
    f"ValidatorRemoved(address,uint64[],bytes,{CLUSTER})",
    f"ClusterWithdrawn(address,uint64[],uint256,{CLUSTER})",
    f"ClusterDeposited(address,uint64[],uint256,{CLUSTER})",
    f"ClusterReactivated(address,uint64[],{CLUSTER})",
)

"""Gas of the staking pool's calls: pools of 4, 7, 10 and 13 members, whose validators as many operators run.

Calls that members approve bring the signatures of a quorum: 3, 5, 7, 9.
"""

import hashlib
from typing import Any

from eth_account import Account
from eth_account.messages import encode_typed_data
from gas_chain import NEW_CLUSTER, Chain, Figures
from web3.types import RPCEndpoint

from ssv_pool.devnet.anvil import account_key

ETHER = 10**18
DAY = 86_400
LEAVERS = 20
"""Open requests before the report that makes sixteen of them ready."""

TYPES = {
    "Report": "uint64 number,uint64 slot,uint64 blockNumber,uint256 beaconBalance,uint256 depositsCounted,"
    "uint256 received,uint64 exited",
    "Funding": "bytes publicKey,bytes signature,bytes32 depositDataRoot,bytes32 depositRoot",
    "Committee": "uint64[] operatorIds,bool allowed,uint256 nonce",
    "ClusterPayment": "uint64[] operatorIds,uint256 amount,uint256 nonce",
    "ClusterRefund": "uint64[] operatorIds,uint256 amount,uint256 nonce",
    "ClusterReactivation": "uint64[] operatorIds,uint256 amount,uint256 nonce",
    "Removal": "bytes publicKey",
}
"""What members sign (EIP-712): name → fields."""

BY_SIZE = (
    "deploy",
    "allow a committee",
    "register, new cluster",
    "register, known cluster",
    "fund",
    "pay a cluster",
    "refund from a cluster",
    "report",
    "report, 16 withdrawals ready",
    "exit",
    "remove",
    "reactivate a cluster",
)
"""What is measured for every size, in the table's order."""


def measure(chain: Chain, sizes: tuple[int, ...]) -> Figures:
    """Deploy pools and call all that moves money."""
    deposits, _ = chain.deploy("DepositContract")
    registry, _ = chain.deploy("SSVRegistry", 3_000)
    for _ in range(max(sizes)):
        chain.send(registry.functions.registerOperator(chain.draw(704), 10**9, False))
    pools = {size: Pool(chain, registry, deposits, size) for size in sizes}
    for pool in pools.values():
        pool.live()
    found: Figures = {name: {size: pool.gas[name] for size, pool in pools.items()} for name in BY_SIZE}
    first = pools[min(sizes)]
    # What does not depend on members or operators.
    return found | {name: gas for name, gas in first.gas.items() if name not in BY_SIZE}


class Pool:
    """One pool with its members; ``live`` goes through everything once."""

    def __init__(self, chain: Chain, registry: Any, deposits: Any, size: int) -> None:
        self.chain, self.registry, self.deposits = chain, registry, deposits
        self.gas: dict[str, int] = {}
        self.ids = list(range(1, size + 1))
        self.state: Any = NEW_CLUSTER
        signers = [Account.from_key(account_key(20 + number)) for number in range(size)]
        self.members = sorted(signers, key=lambda signer: int(signer.address, 16))
        self.quorum = 2 * size // 3 + 1
        addresses = [member.address for member in self.members]
        # Half a percent of fees each, ten percent of gain a year, five of loss, five for clusters.
        parameters = (chain.accounts[9], 500, 500, 1_000, 500, 500)
        self.contract, self.gas["deploy"] = chain.deploy(
            "StakingPool", registry.address, deposits.address, addresses, self.quorum, parameters
        )
        self.call = self.contract.functions
        self.member = addresses[0]
        chain.w3.provider.make_request(RPCEndpoint("anvil_impersonateAccount"), [self.member])
        chain.w3.provider.make_request(RPCEndpoint("anvil_setBalance"), [self.member, hex(100 * ETHER)])

    def approvals(self, kind: str, *values: Any) -> list[bytes]:
        """A quorum's signatures over a message."""
        fields = [dict(zip(("type", "name"), field.split(" "), strict=True)) for field in TYPES[kind].split(",")]
        domain = {
            "name": "SSV Staking Pool",
            "version": "1",
            "chainId": self.chain.w3.eth.chain_id,
            "verifyingContract": self.contract.address,
        }
        message = dict(zip((field["name"] for field in fields), values, strict=True))
        signable = encode_typed_data(domain, {kind: fields}, message)
        return [bytes(member.sign_message(signable).signature) for member in self.members[: self.quorum]]

    def send(self, name: str, call: Any, *, by: str | None = None, value: int = 0) -> None:
        """Send a call; its gas is noted under a name."""
        self.gas[name] = self.chain.send(call, by=by, value=value)

    def in_cluster(self, name: str, kind: str, function: Any, amount: int) -> None:
        """Send an approved call on the pool's cluster."""
        nonce = self.call.clusterNonce().call()
        approvals = self.approvals(kind, self.ids, amount, nonce)
        self.chain.mine(100)
        self.send(name, function(self.ids, amount, self.state, nonce, approvals))
        self.state = self.chain.cluster(self.registry)

    def register(self, name: str) -> bytes:
        """Register a validator and return its key."""
        [key], [shares] = self.chain.keys(1), self.chain.shares(1, len(self.ids))
        self.chain.mine(100)
        self.send(name, self.call.registerValidator(key, self.ids, shares, ETHER // 10, self.state), by=self.member)
        self.state = self.chain.cluster(self.registry)
        return key

    def fund(self, key: bytes) -> None:
        """Deposit for a registered validator."""
        signature = self.chain.draw(96)
        data_root = deposit_root(key, self.call.withdrawalCredentials().call(), signature)
        root = self.deposits.functions.get_deposit_root().call()
        approvals = self.approvals("Funding", key, signature, data_root, root)
        self.send("fund", self.call.fundValidator(key, signature, data_root, root, approvals))

    def report(self, name: str) -> None:
        """Book a day's gain."""
        self.chain.wait(DAY)
        values = (
            self.call.reportCount().call() + 1,
            self.chain.w3.eth.block_number,
            self.chain.w3.eth.block_number,
            self.call.beaconBalance().call() + self.uncounted() + ETHER // 1_000,
            self.call.depositedTotal().call(),
            self.call.receivedTotal().call() + self.call.unbooked().call(),
            0,
        )
        # The block that it speaks of lies behind it.
        self.chain.mine(1)
        self.send(name, self.call.report(values, self.approvals("Report", *values)))

    def uncounted(self) -> int:
        """Deposits that no report has counted, wei."""
        return int(self.call.depositedTotal().call() - self.call.depositsCounted().call())

    def live(self) -> None:
        """Everything once, and what is done often twice: the second time is measured."""
        staker, other = self.chain.accounts[1:3]
        for name in ("stake, first of all", "stake, first of an account", "stake"):
            self.send(name, self.call.stake(), by=staker if name == "stake, first of all" else other, value=80 * ETHER)
        self.send("transfer", self.call.transfer(other, ETHER), by=staker)
        nonce = self.call.clusterNonce().call()
        allowed = self.approvals("Committee", self.ids, True, nonce)
        self.send("allow a committee", self.call.allowCommittee(self.ids, True, nonce, allowed))
        keys = [self.register("register, new cluster"), self.register("register, known cluster")]
        for key in keys:
            self.fund(key)
        self.in_cluster("pay a cluster", "ClusterPayment", self.call.payCluster, ETHER // 10)
        self.in_cluster("refund from a cluster", "ClusterRefund", self.call.refundCluster, ETHER // 10)
        for _ in range(2):
            self.report("report")
        for _ in range(LEAVERS):
            self.send("request a withdrawal", self.call.requestWithdrawal(ETHER, other), by=staker)
        self.report("report, 16 withdrawals ready")
        self.send("make 4 withdrawals ready", self.call.finalizeWithdrawals(LEAVERS - 16))
        for request in (1, 2):
            self.send("claim", self.call.claim(request))
        self.send("claim 10", self.call.claimMany(list(range(3, 13))))
        self.chain.send(self.call.requestWithdrawal(self.call.balanceOf(other).call(), other), by=other)
        self.send("exit", self.call.exitValidators(keys[:1], self.ids), by=self.member)
        removal = self.approvals("Removal", keys[0])
        self.send("remove", self.call.removeValidator(keys[0], self.ids, self.state, removal))
        self.state = self.chain.cluster(self.registry)
        self.liquidate()
        self.in_cluster("reactivate a cluster", "ClusterReactivation", self.call.reactivateCluster, ETHER // 10)
        self.send("pause", self.call.pause("gas is measured"), by=self.member)

    def liquidate(self) -> None:
        """Somebody ends the pool's cluster."""
        registry = self.registry.functions
        self.chain.send(registry.updateMinimumLiquidationCollateral(10**24))
        self.chain.send(registry.liquidate(self.contract.address, self.ids, self.state), by=self.chain.accounts[3])
        self.state = self.chain.cluster(self.registry)
        self.chain.send(registry.updateMinimumLiquidationCollateral(0))


def deposit_root(key: bytes, credentials: bytes, signature: bytes) -> bytes:
    """SSZ root of a deposit of 32 ether."""

    def node(left: bytes, right: bytes) -> bytes:
        return hashlib.sha256(left + right).digest()

    signed = node(node(signature[:32], signature[32:64]), node(signature[64:], bytes(32)))
    amount = (32 * 10**9).to_bytes(32, "little")
    return node(node(node(key[:32], key[32:] + bytes(16)), credentials), node(amount, signed))

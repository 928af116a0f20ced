"""Gas of every call of the registry contract, with operators and a network that take fees."""

from typing import Any

from gas_chain import NEW_CLUSTER, Chain, Figures
from gas_published import SIZES

FEE = 10**9
"""What each operator takes, wei per block and validator; the network takes the same."""

ETHER = 10**18
DAY = 86_400
BLOCKS = 100
"""Blocks between two calls on a cluster, for which it then pays."""

CLUSTER_CALLS = (
    "register, new cluster",
    "register, known cluster, with payment",
    "register, known cluster",
    "register 5 in bulk",
    "register 10 in bulk, new cluster",
    "register 10 in bulk",
    "register 20 in bulk",
    "exit",
    "exit 10 in bulk",
    "remove",
    "remove 10 in bulk",
    "remove 20 in bulk",
    "deposit",
    "withdraw",
    "liquidate",
    "reactivate",
)
"""What is measured for every size of cluster, in the table's order."""


def measure(chain: Chain, sizes: tuple[int, ...]) -> Figures:
    """Deploy a registry and call all of it, with clusters of each of these sizes."""
    registry, deployed = chain.deploy("SSVRegistry", 3_000)
    found: Figures = {"deploy": deployed}
    call = registry.functions
    found["set network fee"] = chain.send(call.updateNetworkFee(FEE))
    # Real operator keys are 612 characters of base64, packed into 704 bytes.
    found["register operator"] = [
        chain.send(call.registerOperator(chain.draw(704), FEE, False)) for _ in range(max(SIZES) + 1)
    ][-1]
    spare = max(SIZES) + 1
    by_size = {size: _cluster(chain, registry, size) for size in sizes}
    found |= {name: {size: by_size[size][name] for size in sizes} for name in CLUSTER_CALLS}
    ten, owners = list(range(1, 11)), [f"0x{number:040x}" for number in range(10**20, 10**20 + 10)]
    owners = [chain.w3.to_checksum_address(owner) for owner in owners]
    chain.mine(BLOCKS)
    found["declare operator fee"] = chain.send(call.declareOperatorFee(spare, FEE + FEE // 10))
    found["cancel declared fee"] = chain.send(call.cancelDeclaredOperatorFee(spare))
    chain.send(call.declareOperatorFee(1, FEE + FEE // 20))
    chain.wait(8 * DAY)
    found["execute operator fee"] = chain.send(call.executeOperatorFee(1))
    found["reduce operator fee"] = chain.send(call.reduceOperatorFee(1, FEE))
    found["withdraw operator earnings"] = chain.send(call.withdrawOperatorEarnings(2, 10**8))
    found["withdraw all operator earnings"] = chain.send(call.withdrawAllOperatorEarnings(3))
    found["whitelist 10 owners for 10 operators"] = chain.send(call.setOperatorsWhitelists(ten, owners))
    found["take 10 owners off 10 operators' lists"] = chain.send(call.removeOperatorsWhitelists(ten, owners))
    found["make 10 operators private"] = chain.send(call.setOperatorsPrivateUnchecked(ten))
    found["make 10 operators public"] = chain.send(call.setOperatorsPublicUnchecked(ten))
    found["remove operator"] = chain.send(call.removeOperator(spare))
    found["set fee recipient"] = chain.send(call.setFeeRecipientAddress(chain.accounts[5]))
    found["withdraw network earnings"] = chain.send(call.withdrawNetworkEarnings(10**8))
    return found


def _cluster(chain: Chain, registry: Any, size: int) -> dict[str, int]:
    """All calls on clusters of one size."""
    call, ids = registry.functions, list(range(1, size + 1))
    owner, other, liquidator = chain.accounts[1:4]

    def register(count: int, state: Any, *, value: int = 0, by: str = owner) -> tuple[int, list[bytes], Any]:
        keys, shares = chain.keys(count), chain.shares(count, size)
        request = (
            call.registerValidator(keys[0], ids, shares[0], state)
            if count == 1
            else call.bulkRegisterValidator(keys, ids, shares, state)
        )
        chain.mine(BLOCKS)
        return chain.send(request, by=by, value=value), keys, chain.cluster(registry)

    found = {}
    # Of somebody else, so that no operator's first validator is among those measured.
    found["register 10 in bulk, new cluster"], _, _ = register(10, NEW_CLUSTER, value=ETHER, by=other)
    found["register, new cluster"], single, state = register(1, NEW_CLUSTER, value=ETHER)
    found["register, known cluster, with payment"], _, state = register(1, state, value=ETHER)
    found["register, known cluster"], _, state = register(1, state)
    found["register 5 in bulk"], _, state = register(5, state)
    found["register 10 in bulk"], ten, state = register(10, state)
    found["register 20 in bulk"], twenty, state = register(20, state)
    found["exit"] = chain.send(call.exitValidator(ten[0], ids), by=owner)
    found["exit 10 in bulk"] = chain.send(call.bulkExitValidator(ten, ids), by=owner)
    for name, function, arguments in (
        ("remove", call.removeValidator, (single[0], ids)),
        ("remove 10 in bulk", call.bulkRemoveValidator, (ten, ids)),
        ("remove 20 in bulk", call.bulkRemoveValidator, (twenty, ids)),
        ("deposit", call.deposit, (owner, ids)),
        ("withdraw", call.withdraw, (ids, ETHER // 10)),
    ):
        chain.mine(BLOCKS)
        found[name] = chain.send(function(*arguments, state), by=owner, value=ETHER if name == "deposit" else 0)
        state = chain.cluster(registry)
    # Asks more collateral than the cluster has: then anybody may end it.
    chain.send(call.updateMinimumLiquidationCollateral(10**24))
    found["liquidate"] = chain.send(call.liquidate(owner, ids, state), by=liquidator)
    state = chain.cluster(registry)
    chain.send(call.updateMinimumLiquidationCollateral(0))
    found["reactivate"] = chain.send(call.reactivate(ids, state), by=owner, value=ETHER)
    return found

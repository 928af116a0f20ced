"""Measure what the registry contract's calls cost: gas used by real transactions on anvil, for each committee size.

Each transaction is alone in its block, so a block's gas is the transaction's: execution, call data and base cost.
"""

import argparse
import json
import secrets
import sys

from eth_account import Account
from rich.console import Console
from rich.table import Table
from web3 import HTTPProvider, Web3

from ssv_pool.devnet.anvil import Anvil, account_key
from ssv_pool.protocol.types.primitives import OperatorId, PublicKey
from ssv_pool.registry.contract import MAX_BULK, Registration, RegistryContract

SIZES = (4, 7, 10, 13)


def registrations(count: int, operators: int) -> list[Registration]:
    """Validators with random bytes for shares, which cost what real ones cost."""
    return [
        Registration(PublicKey(secrets.token_bytes(48)), secrets.token_bytes(96 + 304 * operators))
        for _ in range(count)
    ]


def measure(w3: Web3) -> dict[str, list[int]]:
    """Gas by call and committee size, in the order of SIZES; for operators and fee recipient there is one figure."""
    account = Account.from_key(account_key(0))
    registry = RegistryContract.deploy(w3, account)

    def used() -> int:
        return w3.eth.get_block("latest")["gasUsed"]

    gas = {"deploy": [used()]}
    # Real operator keys are 612 characters of base64.
    registry.register_operators(account, [secrets.token_hex(306) for _ in range(max(SIZES) + 1)])
    gas["register operator"] = [used()]
    registry.remove_operator(account, OperatorId(max(SIZES) + 1))
    gas["remove operator"] = [used()]
    registry.set_fee_recipient(account, account.address)
    gas["set fee recipient"] = [used()]
    for size in SIZES:
        ids = [OperatorId(number) for number in range(1, size + 1)]
        single, bulk = registrations(3, size), registrations(MAX_BULK, size)
        # The first validators of all operators are registered elsewhere, so that no operator's count is new.
        registry.register_validators(Account.from_key(account_key(1)), single[2:], ids)
        cluster = registry.register_validators(account, single[:1], ids, value=10**18)
        gas.setdefault("register, new cluster", []).append(used())
        cluster = registry.register_validators(account, single[1:2], ids, cluster=cluster)
        gas.setdefault("register, known cluster", []).append(used())
        cluster = registry.register_validators(account, bulk, ids, cluster=cluster)
        gas.setdefault(f"register {MAX_BULK} in bulk, each", []).append(used() // MAX_BULK)
        registry.exit_validators(account, [bulk[0].public_key], ids)
        gas.setdefault("exit", []).append(used())
        cluster = registry.remove_validators(account, [single[0].public_key], ids, cluster=cluster)
        gas.setdefault("remove", []).append(used())
        cluster = registry.remove_validators(account, [item.public_key for item in bulk], ids, cluster=cluster)
        gas.setdefault(f"remove {MAX_BULK} in bulk, each", []).append(used() // MAX_BULK)
        registry.withdraw(account, ids, 10**17, cluster=cluster)
        gas.setdefault("withdraw", []).append(used())
    return gas


def main() -> None:
    """Print the table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    as_json = parser.parse_args().json
    with Anvil() as anvil:
        gas = measure(Web3(HTTPProvider(anvil.url)))
    if as_json:
        json.dump({"operators": SIZES, "gas": gas}, sys.stdout, indent=1)
        sys.stdout.write("\n")
        return
    table = Table("gas", *(f"{size} operators" for size in SIZES), title="Registry contract")
    for call, figures in gas.items():
        table.add_row(call, *(f"{figure:,}" for figure in figures))
    Console().print(table)


if __name__ == "__main__":
    main()

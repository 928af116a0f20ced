"""Deploys all contracts: ``scripts/brownie run deploy``. Prints their addresses, and the same as JSON on the last line.

Without ``ETH_1_ADDR`` it does so on an anvil of its own, which ends with it: a rehearsal. What the environment says:

- ``ETH_1_ADDR``: URL of the execution node; Brownie's console and scripts then use that chain.
- ``CHAIN_ID``: the chain id that the node must have, for a node that is not the one meant.
- ``PRIVATE_KEY_FILE``: file with the deployer's private key as hexadecimal text; else the node's first account signs.
- ``VALIDATORS_PER_OPERATOR``: how many validators one operator may serve (3000).
- ``DEPOSIT_CONTRACT``: the chain's beacon deposit contract; without it one is deployed.
- ``POOL_MEMBERS``: comma-separated addresses of who signs for the pool; else the node's second to fifth account.
- ``POOL_QUORUM``: how many of them must sign; by default the fewest that are more than two thirds.
- ``POOL_TREASURY``: who gets the treasury's fee; by default the deployer.
- ``POOL_OPERATOR_FEE`` (500), ``POOL_TREASURY_FEE`` (500), ``POOL_MAX_YEARLY_GAIN`` (1000), ``POOL_MAX_LOSS`` (500),
  ``POOL_CLUSTER_BUDGET`` (100): the pool's rates, basis points.
- ``DEPLOYMENT_FILE``: where the JSON is written too.
"""

import json
import os
from pathlib import Path
from typing import Any

from brownie import DepositContract, SSVRegistry, StakingPool, accounts, web3

RATES = {
    "POOL_OPERATOR_FEE": 500,
    "POOL_TREASURY_FEE": 500,
    "POOL_MAX_YEARLY_GAIN": 1000,
    "POOL_MAX_LOSS": 500,
    "POOL_CLUSTER_BUDGET": 100,
}
"""Name of a rate → basis points; in the order of the pool's parameters."""


def number(name: str, default: int) -> int:
    """A whole number from the environment. Raises SystemExit when it is none."""
    text = os.environ.get(name) or str(default)
    if not text.isdecimal():
        raise SystemExit(f"{name}: found {text!r}, expected a whole number")
    return int(text)


def address(name: str, text: str) -> str:
    """A checksummed address. Raises SystemExit when it is none."""
    if not web3.is_address(text):
        raise SystemExit(f"{name}: found {text!r}, expected an address of 20 bytes")
    return str(web3.to_checksum_address(text))


def deployer() -> Any:
    """Who signs. Raises SystemExit when nobody can."""
    if path := os.environ.get("PRIVATE_KEY_FILE"):
        try:
            return accounts.add(Path(path).read_text().strip())
        except OSError as error:
            raise SystemExit(f"PRIVATE_KEY_FILE {path}: cannot be read ({error.strerror})") from None
        except ValueError:
            raise SystemExit(
                f"PRIVATE_KEY_FILE {path}: no private key, expected 32 bytes of hexadecimal text"
            ) from None
    if not accounts:
        raise SystemExit("the execution node has no account of its own: name a PRIVATE_KEY_FILE")
    return accounts[0]


def members() -> list[str]:
    """The pool's members, in the order in which the contract takes them."""
    if text := os.environ.get("POOL_MEMBERS"):
        found = [address("POOL_MEMBERS", part.strip()) for part in text.split(",")]
    else:
        found = [account.address for account in accounts[1:5]]
    if not 1 <= len(set(found)) == len(found) <= 13:
        raise SystemExit(f"POOL_MEMBERS: {len(found)} addresses, expected 1 to 13 different ones")
    return sorted(found, key=lambda each: int(each, 16))


def check_chain() -> int:
    """The chain's id. Raises SystemExit when it is another than the one meant."""
    chain_id = int(web3.eth.chain_id)
    if (wanted := number("CHAIN_ID", chain_id)) != chain_id:
        raise SystemExit(f"the execution node is of chain {chain_id}, expected chain {wanted}")
    return chain_id


def main() -> None:
    """Deploy registry, deposit contract and pool."""
    chain_id, signer, signers = check_chain(), deployer(), members()
    quorum = number("POOL_QUORUM", 2 * len(signers) // 3 + 1)
    if not 2 * len(signers) < 3 * quorum <= 3 * len(signers):
        raise SystemExit(f"POOL_QUORUM: {quorum} of {len(signers)} members, expected more than two thirds of them")
    treasury = address("POOL_TREASURY", os.environ.get("POOL_TREASURY") or signer.address)
    rates = [number(name, default) for name, default in RATES.items()]
    if existing := os.environ.get("DEPOSIT_CONTRACT"):
        deposit_contract = address("DEPOSIT_CONTRACT", existing)
        if not web3.eth.get_code(deposit_contract):
            raise SystemExit(f"DEPOSIT_CONTRACT {deposit_contract}: there is no contract on chain {chain_id}")
    else:
        deposit_contract = DepositContract.deploy({"from": signer}).address
    registry = SSVRegistry.deploy(number("VALIDATORS_PER_OPERATOR", 3_000), {"from": signer})
    pool = StakingPool.deploy(registry.address, deposit_contract, signers, quorum, (treasury, *rates), {"from": signer})
    deployment = {
        "chain_id": chain_id,
        "deployer": signer.address,
        "registry": registry.address,
        "registry_block": registry.tx.block_number,
        "deposit_contract": deposit_contract,
        "pool": pool.address,
        "pool_block": pool.tx.block_number,
        "members": signers,
        "quorum": quorum,
    }
    print()
    for name in ("deposit_contract", "registry", "pool"):
        print(f"{name.replace('_', ' '):18}{deployment[name]}")
    if path := os.environ.get("DEPLOYMENT_FILE"):
        Path(path).write_text(json.dumps(deployment, indent=1) + "\n")
    print(json.dumps(deployment))

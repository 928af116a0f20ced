"""Brownie on the project's contracts, as a person runs it. The first run makes Brownie's environment."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from web3 import HTTPProvider, Web3

from ssv_pool.devnet.anvil import Anvil, account_key
from ssv_pool.registry.artifacts import published_abi

ROOT = Path(__file__).resolve().parent.parent.parent

pytestmark = [pytest.mark.integration, pytest.mark.slow]


def brownie(*arguments: str, status: int = 0, **environment: str) -> str:
    command = [str(ROOT / "scripts" / "brownie"), *arguments]
    own = {name: value for name, value in os.environ.items() if not name.startswith("POOL_") and name != "ETH_1_ADDR"}
    run = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        env=own | environment,
    )
    assert run.returncode == status, run.stdout + run.stderr
    return run.stdout + run.stderr if status else run.stdout


def test_compile_smoke_suite_and_deployment(tmp_path: Path) -> None:
    """One test, because all write Brownie's build folder."""
    assert "Project has been compiled" in brownie("compile", "--all")
    assert "3 passed" in brownie("test")
    key_file, deployment_file = tmp_path / "key", tmp_path / "deployment.json"
    key_file.write_text(account_key(7).hex())
    with Anvil() as anvil:
        members = Web3(HTTPProvider(anvil.url)).eth.accounts[1:8]
        chosen = {
            "ETH_1_ADDR": anvil.url,
            "CHAIN_ID": "31337",
            "PRIVATE_KEY_FILE": str(key_file),
            "VALIDATORS_PER_OPERATOR": "77",
            "POOL_MEMBERS": ",".join(members),
            "POOL_TREASURY": members[0],
            "POOL_MAX_LOSS": "321",
            "DEPLOYMENT_FILE": str(deployment_file),
        }
        said = json.loads(brownie("run", "deploy", **chosen).splitlines()[-1])
        assert said == json.loads(deployment_file.read_text())
        check_deployment(Web3(HTTPProvider(anvil.url)), said, members)

        again = chosen | {"DEPOSIT_CONTRACT": said["deposit_contract"]}
        second = json.loads(brownie("run", "deploy", **again).splitlines()[-1])
        assert second["deposit_contract"] == said["deposit_contract"]
        assert second["pool"] != said["pool"]

        other_chain = brownie("run", "deploy", status=1, **chosen | {"CHAIN_ID": "1"})
        assert "the execution node is of chain 31337, expected chain 1" in other_chain
        too_few = brownie("run", "deploy", status=1, **chosen | {"POOL_QUORUM": "4"})
        assert "POOL_QUORUM: 4 of 7 members, expected more than two thirds of them" in too_few


def check_deployment(w3: Web3, said: dict[str, str], members: list[str]) -> None:
    """What lies at the printed addresses is what was asked for."""
    assert said["deployer"] == w3.eth.accounts[7]
    registry = w3.eth.contract(said["registry"], abi=published_abi("SSVRegistry")).functions
    assert (registry.getValidatorsPerOperatorLimit().call(), registry.owner().call()) == (77, said["deployer"])
    pool = w3.eth.contract(said["pool"], abi=published_abi("StakingPool")).functions
    assert pool.registry().call() == said["registry"]
    assert pool.depositContract().call() == said["deposit_contract"]
    assert pool.members().call() == sorted(members, key=lambda member: int(member, 16))
    assert (pool.quorum().call(), pool.owner().call()) == (5, said["deployer"])
    assert tuple(pool.parameters().call()) == (members[0], 500, 500, 1000, 321, 100)
    deposits = w3.eth.contract(said["deposit_contract"], abi=published_abi("DepositContract")).functions
    assert deposits.get_deposit_count().call() == bytes(8)

"""The deposit contract and who reads and makes deposits, against a deposit recorded on mainnet."""

import json
from pathlib import Path

import boa
import pytest
from contract_vm import ContractVM
from eth_abi.abi import decode

from ssv_pool.devnet.beacon.execution import read_deposit
from ssv_pool.pool.deposit_data import NETWORKS, DepositData
from ssv_pool.protocol.types.primitives import PublicKey, Signature

pytestmark = pytest.mark.contracts

RECORD = json.loads((Path(__file__).parent / "records" / "deposit_contract.json").read_text())
TOPIC, LOGGED, REQUEST = (bytes.fromhex(text[2:]) for text in (RECORD["topics"][0], RECORD["data"], RECORD["request"]))
KEY, CREDENTIALS, AMOUNT, SIGNATURE, INDEX = decode(["bytes"] * 5, LOGGED)
GWEI = int.from_bytes(AMOUNT, "little")


@pytest.fixture
def deposit() -> DepositData:
    return DepositData(PublicKey(KEY), CREDENTIALS, GWEI, Signature(SIGNATURE), NETWORKS[1].fork_version)


def test_its_signature_is_found_good_for_mainnet_alone(deposit: DepositData) -> None:
    assert deposit.signed()
    for chain_id in NETWORKS.keys() - {1}:
        elsewhere = DepositData(
            PublicKey(KEY), CREDENTIALS, GWEI, Signature(SIGNATURE), NETWORKS[chain_id].fork_version
        )
        assert not elsewhere.signed()


def test_our_contract_emits_it_byte_for_byte_with_our_root(deposit: DepositData) -> None:
    contract = ContractVM("DepositContract")
    layout = contract.contract.compiler_data.storage_layout["storage_layout"]
    # As many deposits as mainnet's contract had: only the event's index is looked at, not the tree.
    boa.env.set_storage(contract.contract.address, layout["count"]["slot"], int.from_bytes(INDEX, "little"))
    contract.call(
        "deposit(bytes,bytes,bytes,bytes32)",
        *(KEY, CREDENTIALS, SIGNATURE, deposit.data_root),
        sender=contract.account(),
        value=GWEI * 10**9,
    )
    assert contract.logs == [((TOPIC,), LOGGED)]


def test_the_request_made_of_it_is_the_recorded_one() -> None:
    found = read_deposit(LOGGED)
    assert found.pubkey + found.withdrawal_credentials + AMOUNT + found.signature + INDEX == REQUEST
    assert (found.amount, found.index) == (GWEI, int.from_bytes(INDEX, "little"))

"""The embedded beacon node and anvil: deposits of the contract get into the beacon state, withdrawals are paid once."""

import json
import subprocess
import sys
import time
from contextlib import contextmanager

import httpx
import pytest
from eth_account import Account
from live_cluster import until
from web3 import HTTPProvider, Web3

from ssv_pool.devnet.anvil import Anvil, account_key
from ssv_pool.devnet.beacon.execution import ExecutionSchedule
from ssv_pool.devnet.beacon.execution_link import PAYER_KEY
from ssv_pool.registry.artifacts import compile_contract
from ssv_pool.registry.transactions import TransactionSender

pytestmark = pytest.mark.integration

SLOT_SECONDS = 1
GWEI = 10**9
KEY, SIGNATURE = b"\xaa" * 48, b"\xbb" * 96
CREDENTIALS = b"\x01" + bytes(31)


@contextmanager
def beacon_node(*arguments):
    command = [sys.executable, "-m", "ssv_pool.devnet.beacon", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline()
            assert line, process.stderr.read()
            yield f"http://127.0.0.1:{json.loads(line)['port']}"
        finally:
            process.kill()


def get(url, path):
    response = httpx.get(url + path)
    assert response.status_code == 200, response.text
    return response.json()["data"]


def chunk_root(left, right):
    from hashlib import sha256

    return sha256(left + right).digest()


def deposit_root(amount):
    """hash_tree_root of DepositData."""
    key = chunk_root(KEY, bytes(16))
    signature = chunk_root(chunk_root(SIGNATURE[:32], SIGNATURE[32:64]), chunk_root(SIGNATURE[64:], bytes(32)))
    return chunk_root(chunk_root(key, CREDENTIALS), chunk_root((amount // GWEI).to_bytes(32, "little"), signature))


def withdrawn(url, last_slot):
    """What the chain's payloads up to a slot withdrew, Wei by receiver, and the execution block of the last."""
    sums, number = {}, 0
    for slot in range(1, last_slot + 1):
        response = httpx.get(f"{url}/eth/v2/beacon/blocks/{slot}")
        if response.status_code == 200:
            payload = response.json()["data"]["message"]["body"]["execution_payload"]
            number = int(payload["block_number"])
            for item in payload["withdrawals"]:
                sums[item["address"]] = sums.get(item["address"], 0) + int(item["amount"]) * GWEI
    return sums, number


def test_deposits_and_withdrawals_over_a_real_execution_chain():
    with Anvil(block_time=1) as anvil:
        w3 = Web3(HTTPProvider(anvil.url))
        sender = TransactionSender(w3, Account.from_key(account_key(0)))
        artifact = compile_contract("DepositContract")
        receipt = sender.send("deploy", w3.eth.contract(abi=artifact.abi, bytecode=artifact.bytecode).constructor())
        contract = w3.eth.contract(address=receipt.receipt["contractAddress"], abi=artifact.abi)
        anvil.mine_every(0)
        schedule = ExecutionSchedule(w3.eth.block_number, int(time.time()))
        genesis_time = schedule.time + 8
        arguments = [
            *("--genesis-time", str(genesis_time), "--slot-ms", str(SLOT_SECONDS * 1000), "--execution", anvil.url),
            *("--execution-start", f"{schedule.number}@{schedule.time}", "--deposit-contract", contract.address),
        ]
        with beacon_node(*arguments) as url:
            call = contract.functions.deposit(KEY, CREDENTIALS, SIGNATURE, deposit_root(GWEI * GWEI))
            sender.send("deposit", call, value=GWEI * GWEI)
            pending = "/eth/v1/beacon/states/head/pending_deposits"
            until(lambda: get(url, pending), 60, "the deposit is in the beacon state")
            entry = get(url, pending)[0]
            assert (entry["pubkey"], entry["amount"]) == ("0x" + KEY.hex(), str(GWEI))
            assert get(url, "/eth/v1/config/deposit_contract")["address"] == contract.address.lower()

            slot = 18  # after two epochs everybody has been rewarded, and each block withdraws what is above 32 ETH
            last = schedule.block_of(slot, genesis_time, SLOT_SECONDS)
            until(lambda: w3.eth.block_number >= last, 60, f"block {last} is mined")
            sums, number = withdrawn(url, slot)
            assert sums
            assert schedule.block_of(slot, genesis_time, SLOT_SECONDS) >= number
            for receiver, amount in sums.items():
                assert w3.eth.get_balance(Web3.to_checksum_address(receiver), number) == amount
        assert w3.eth.get_transaction_count(Account.from_key(PAYER_KEY).address) >= len(sums)

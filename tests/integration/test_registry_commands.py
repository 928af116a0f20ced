"""`ssv-pool registry` and the registry's client on a real chain (anvil)."""

import json
import multiprocessing
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount
from web3 import Web3

from ssv_pool.cli.main import main
from ssv_pool.crypto import bls, operator_keys
from ssv_pool.crypto.operator_keys import public_key_from_base64, public_key_to_base64
from ssv_pool.devnet.anvil import CHAIN_ID, Anvil, account_key
from ssv_pool.pool.keyshares import KeyShares, ShareOperator, split_key, write_key_shares
from ssv_pool.protocol.types.primitives import OperatorId, PublicKey
from ssv_pool.registry.chain import ContractError, connect
from ssv_pool.registry.contract import MAX_BULK, Registration, RegistryContract
from ssv_pool.registry.transactions import TransactionSender

pytestmark = pytest.mark.integration

OPERATORS = tuple(OperatorId(number) for number in (1, 2, 3, 4))
GWEI = 10**9
ETHER = 10**18


@pytest.fixture(scope="module")
def anvil() -> Iterator[Anvil]:
    with Anvil() as running:
        yield running


@pytest.fixture(scope="module")
def w3(anvil: Anvil) -> Web3:
    return connect(anvil.url)


def funded(w3: Web3) -> LocalAccount:
    account: LocalAccount = Account.create()
    w3.provider.make_request("anvil_setBalance", [account.address, hex(1_000 * ETHER)])  # type: ignore[arg-type]
    return account


def mine(w3: Web3, blocks: int) -> None:
    w3.provider.make_request("anvil_mine", [hex(blocks)])  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class World:
    """A registry with four operators of proper keys, and who owns them."""

    contract: RegistryContract
    deployer: LocalAccount
    keys: tuple[bytes, ...]


@pytest.fixture(scope="module")
def world(w3: Web3, anvil: Anvil) -> World:
    deployer = Account.from_key(account_key(0))
    contract = RegistryContract.deploy(w3, deployer)
    keys = tuple(operator_keys.public_key_to_pem(operator_keys.generate().public_key()) for _ in OPERATORS)
    contract.register_operators(deployer, [public_key_to_base64(key) for key in keys], fee=1_000 * GWEI)
    return World(contract, deployer, keys)


@pytest.fixture
def owner(w3: Web3) -> LocalAccount:
    return funded(w3)


class Commands:
    """Runs `ssv-pool` in this process, as one account, and knows what it printed."""

    def __init__(
        self, world: World, anvil: Anvil, account: LocalAccount, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self._capsys = capsys
        self._reading = ["--execution-node", anvil.url, "--registry", world.contract.address]
        key_file = folder / f"{account.address}.key"
        key_file.touch(mode=0o600)
        key_file.write_text(account.key.hex())
        self._sending = [*self._reading, "--key-file", str(key_file)]

    def send(self, *arguments: str) -> dict[str, Any]:
        """A command that must be done; its JSON."""
        return self._done([*arguments, *self._sending, "--json"])

    def read(self, *arguments: str) -> dict[str, Any]:
        return self._done([*arguments, *self._reading, "--json"])

    def refused(self, *arguments: str) -> tuple[int, str]:
        """A command that must be refused; exit status and its one line without the prefix."""
        code, _, err = self._run([*arguments, *self._sending, "--json"])
        lines = err.strip().splitlines()
        assert len([line for line in lines if line.startswith(("ssv-pool: error: ", "Error: "))]) == 1, err
        return code, lines[-1].removeprefix("ssv-pool: error: ").removeprefix("Error: ")

    def _done(self, arguments: list[str]) -> dict[str, Any]:
        code, out, err = self._run(arguments)
        assert code == 0, err
        answer: dict[str, Any] = json.loads(out)
        return answer

    def _run(self, arguments: list[str]) -> tuple[int, str, str]:
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main(["registry", *arguments])
        captured = self._capsys.readouterr()
        return int(caught.value.code or 0), captured.out, captured.err


@pytest.fixture
def run(
    world: World, anvil: Anvil, owner: LocalAccount, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Commands:
    """As the validators' owner."""
    return Commands(world, anvil, owner, tmp_path, capsys)


def shares_of(world: World, owner: str, nonce: int) -> KeyShares:
    members = [ShareOperator(number, key) for number, key in zip(OPERATORS, world.keys, strict=True)]
    return split_key(bls.random_secret(), members, owner, nonce)


def written(path: Path, *items: KeyShares) -> str:
    write_key_shares(path, items, datetime(2026, 1, 1, tzinfo=UTC))
    return str(path)


AMOUNT = ("--amount", "50", "--yes")


def test_bad_input_is_one_sentence_and_nothing_is_sent(
    run: Commands, world: World, w3: Web3, anvil: Anvil, owner: LocalAccount, tmp_path: Path, capsys: Any
) -> None:
    address = owner.address
    first, second = shares_of(world, address, 0), shares_of(world, address, 1)
    one, two = written(tmp_path / "one.json", first), written(tmp_path / "two.json", second)
    late = written(tmp_path / "late.json", shares_of(world, address, 5))
    foreign = written(tmp_path / "foreign.json", shares_of(world, world.deployer.address, 1))
    wrong_keys = replace(world, keys=world.keys[1:] + world.keys[:1])
    encrypted = written(tmp_path / "encrypted.json", shares_of(wrong_keys, address, 1))
    run.send("validators", "register", one, *AMOUNT)
    # A contract that answers everything with the number one.
    other = "0x" + "0b" * 20
    w3.provider.make_request("anvil_setCode", [other, "0x600160005260206000f3"])  # type: ignore[arg-type]
    poor = Commands(world, anvil, Account.create(), tmp_path, capsys)
    before = w3.eth.block_number
    nothing = "0x" + "0a" * 20
    key = f"0x{first.public_key.hex()}"

    register = ("validators", "register", two, *AMOUNT)
    assert run.refused(*register, "--chain-id", "1") == (
        2,
        (
            f"execution node 127.0.0.1:{anvil.port} follows chain {CHAIN_ID}, expected chain 1: name a node of that "
            "chain or the other chain id"
        ),
    )
    assert run.refused(*register, "--network", "hoodi")[0] == 2
    assert replaced(run, register, nothing) == (
        1,
        f"no contract at {Web3.to_checksum_address(nothing)} on chain {CHAIN_ID}: check the registry address",
    )
    assert replaced(run, register, other) == (
        1,
        (
            f"the contract at {Web3.to_checksum_address(other)} is no registry: it does not know clusters, check the "
            "registry address"
        ),
    )
    code, sentence = run.refused("validators", "register", two, "--amount", "2000", "--yes")
    assert (code, sentence.partition(" holds ")[0]) == (
        1,
        f"register validator 0x{second.public_key.hex()}: account {address}",
    )
    assert sentence.endswith("expected at least 2000 ETH (the amount that goes along): send it the difference first")
    assert poor.refused("operators", "register", "--public-key", public_key_to_base64(other_key()))[0] == 1
    assert run.refused("operators", "fee", "reduce", "1", "1") == (
        1,
        f"operator 1 belongs to {world.deployer.address}, and this account is {address}: sign with the owner's",
    )
    assert run.refused("operators", "remove", "99") == (
        1,
        "operator 99: not in this registry, check the id and the registry address",
    )
    assert run.refused("parameters", "set", "network-fee", "0") == (
        1,
        (
            f"set network-fee: the registry belongs to {world.deployer.address}, and this account is {address}: sign "
            "with the owner's"
        ),
    )
    assert run.refused("validators", "register", one, *AMOUNT) == (
        1,
        f"validator {key[:18]}… is registered already: nothing is to be done",
    )
    assert run.refused("validators", "register", one, two, *AMOUNT) == (
        1,
        f"validator {key[:18]}… is registered already: leave it out, or give --skip-registered",
    )
    assert run.refused("validators", "register", late, *AMOUNT)[1].endswith(
        "was split for nonce 5, and the owner's next is 1: split the key again with --owner-nonce 1"
    )
    assert run.refused("validators", "register", foreign, *AMOUNT)[1].endswith(
        f"was split for owner {world.deployer.address}, and this account is {address}: sign with that account, or "
        f"split the key again with --owner {address}"
    )
    assert (
        "is encrypted for another key than the operator registered"
        in run.refused("validators", "register", encrypted, *AMOUNT)[1]
    )
    assert run.refused("validators", "register", two, "--amount", "50") == (
        2,
        "register 1 validators takes 50 ETH from the account: agree with --yes",
    )
    assert run.refused("validators", "exit", key, "--operators", "4,3,2,1")[0] == 2
    assert run.refused("validators", "exit", f"0x{second.public_key.hex()}", "--operators", "1,2,3,4") == (
        1,
        f"validator 0x{second.public_key.hex()}: not registered by {address}, check the key and sign with its owner",
    )
    assert run.refused("cluster", "liquidate", "--operators", "1,2,3,4", "--owner", nothing) == (
        1,
        (
            f"cluster 1,2,3,4: {Web3.to_checksum_address(nothing)} has none with these operators, check --owner and "
            "--operators"
        ),
    )
    code, sentence = run.refused("cluster", "withdraw", "--operators", "1,2,3,4", "--amount", "50")
    assert (code, sentence.startswith("withdraw from cluster 1,2,3,4: it has 49.7")) == (1, True), sentence
    assert run.refused("cluster", "reactivate", "--operators", "1,2,3,4") == (
        1,
        "reactivate cluster 1,2,3,4: it is active already: deposit to add to its balance",
    )
    assert w3.eth.block_number == before, "nothing was sent"


def other_key() -> bytes:
    return operator_keys.public_key_to_pem(operator_keys.generate().public_key())


def replaced(run: Commands, arguments: tuple[str, ...], registry: str) -> tuple[int, str]:
    """Refused with another registry address: of an option given twice the last counts."""
    sending = run._sending
    run._sending = [*sending, "--registry", registry]
    try:
        return run.refused(*arguments)
    finally:
        run._sending = sending


def test_bulk_goes_on_where_it_stopped(run: Commands, world: World, owner: LocalAccount, tmp_path: Path) -> None:
    items = [shares_of(world, owner.address, nonce) for nonce in range(MAX_BULK + 2)]
    part = written(tmp_path / "part.json", *items[:MAX_BULK])
    rest = written(tmp_path / "rest.json", *items[MAX_BULK - 1 :])

    planned = run.send("validators", "register", part, *AMOUNT, "--dry-run")
    assert [entry["dry_run"] for entry in planned["transactions"]] == [True]
    assert run.send("validators", "register", part, *AMOUNT)["cluster_validators"] == MAX_BULK
    done = run.send("validators", "register", rest, "--skip-registered")
    assert done["validators"] == [f"0x{item.public_key.hex()}" for item in items[MAX_BULK:]]
    assert done["cluster_validators"] == MAX_BULK + 2
    assert run.read("validators", "nonce", owner.address)["nonce"] == MAX_BULK + 2

    keys = [f"0x{item.public_key.hex()}" for item in items]
    assert len(run.send("validators", "exit", *keys, "--operators", "1,2,3,4")["transactions"]) == 2
    assert len(run.send("validators", "remove", *keys, "--operators", "1,2,3,4")["transactions"]) == 2
    assert run.read("cluster", "status", "--operators", "1,2,3,4", "--owner", owner.address)["validators"] == 0


def test_runway_ends_at_the_very_block(world: World, w3: Web3, owner: LocalAccount) -> None:
    contract = world.contract
    registration = Registration(PublicKey(b"\x07" * 48), bytes(96 + 304 * 4))
    reserve, rate = contract.views.needs_of(OPERATORS, 1)
    assert rate == 4_000 * GWEI
    contract.register_validator(owner, registration, OPERATORS, value=reserve + 50 * rate + 1)

    status = contract.status(owner.address, OPERATORS)
    assert (status.reserve, status.burn_rate, status.runway_blocks) == (reserve, rate, 51)
    mine(w3, 50)
    assert not contract.status(owner.address, OPERATORS).liquidatable
    liquidator = funded(w3)
    mine(w3, 1)
    assert contract.status(owner.address, OPERATORS).liquidatable
    left = contract.status(owner.address, OPERATORS).balance
    before = w3.eth.get_balance(liquidator.address)
    call = contract.calls.liquidate(owner.address, OPERATORS, contract.cluster(owner.address, OPERATORS))
    receipt = contract.send(liquidator, call).receipt
    paid = receipt["gasUsed"] * receipt["effectiveGasPrice"]
    assert w3.eth.get_balance(liquidator.address) - before + paid == left - rate

    assert contract.status(owner.address, OPERATORS).runway_blocks == 0
    contract.reactivate(owner, OPERATORS, reserve + 10 * rate)
    assert contract.status(owner.address, OPERATORS).runway_blocks == 11
    contract.deposit(liquidator, owner.address, OPERATORS, 5 * rate)
    # The deposit's own block has cost one of them.
    assert contract.status(owner.address, OPERATORS).runway_blocks == 15


def test_fees_lists_and_earnings(world: World, w3: Web3, owner: LocalAccount) -> None:
    contract, calls, views = world.contract, world.contract.calls, world.contract.views
    number = contract.register_operator(owner, "of this test", fee=10 * GWEI)
    send = lambda call: contract.send(owner, call)  # noqa: E731 - shorter than a function with its types

    send(calls.declare_fee(number, 11 * GWEI))
    declared = views.declared_fee(number)
    assert declared is not None
    assert (declared.fee, declared.end - declared.begin) == (11 * GWEI, views.parameters().execute_period)
    with pytest.raises(ContractError, match="look when it begins, or declare it again"):
        send(calls.execute_fee(number))
    send(calls.cancel_fee(number))
    assert views.declared_fee(number) is None
    send(calls.reduce_fee(number, 9 * GWEI))
    assert views.operator(number).fee == 9 * GWEI

    send(calls.set_private([number], private=True))
    send(calls.set_whitelist([number], [world.deployer.address], listed=True))
    assert views.whitelisted(number, world.deployer.address)
    send(calls.set_whitelist([number], [world.deployer.address], listed=False))
    assert not views.whitelisted(number, world.deployer.address)
    assert views.operator(number).private
    send(calls.set_private([number], private=False))
    with pytest.raises(ContractError) as caught:
        send(calls.withdraw_earnings(number))
    assert caught.value.name == "InsufficientBalance"
    assert contract.history.operator_keys([OperatorId(1), number]) == {
        1: public_key_to_base64(public_key_from_base64(public_key_to_base64(world.keys[0]))).encode(),
        number: b"of this test",
    }


def test_owner_and_parameters(w3: Web3, owner: LocalAccount) -> None:
    contract = RegistryContract.deploy(w3, owner)
    heir = funded(w3)
    values = {
        "network-fee": 7 * GWEI,
        "operator-fee-increase-limit": 500,
        "declare-period": 60,
        "execute-period": 120,
        "maximum-operator-fee": 50 * GWEI,
        "liquidation-threshold": 30_000,
        "minimum-collateral": 5,
    }
    for name, value in values.items():
        contract.send(owner, contract.calls.set_parameter(name, value))
    found = contract.views.parameters()
    assert [
        found.network_fee,
        found.operator_fee_increase_limit,
        found.declare_period,
        found.execute_period,
        found.maximum_operator_fee,
        found.liquidation_threshold,
        found.minimum_collateral,
    ] == list(values.values())

    contract.send(owner, contract.calls.transfer_ownership(heir.address))
    assert contract.views.owners() == (owner.address, heir.address)
    contract.send(heir, contract.calls.accept_ownership())
    assert contract.owner() == heir.address


def test_views_on_a_contract_of_their_own(world: World, w3: Web3, owner: LocalAccount) -> None:
    """As on the SSV network: here a contract that passes every call on to the registry."""
    views = "0x" + "0c" * 20
    passing_on = f"365f5f375f5f365f73{world.contract.address[2:]}5afa3d5f5f3e3d5ff3"
    w3.provider.make_request("anvil_setCode", [views, f"0x{passing_on}"])  # type: ignore[arg-type]
    contract = RegistryContract(w3, world.contract.address, views=views)
    contract.check()
    assert contract.operator(OperatorId(1)) == world.contract.operator(OperatorId(1))
    assert contract.views.parameters() == world.contract.views.parameters()


def submit_some(url: str, address: str, key: bytes, name: str, count: int, hashes: Any) -> None:
    """In a process of its own: send without waiting."""
    w3 = connect(url)
    contract = RegistryContract(w3, address)
    sender = TransactionSender(w3, Account.from_key(key))
    for place in range(count):
        call = contract.calls.register_operator(f"{name} {place}")
        hashes.put(sender.submit(call.action, call.function).tx_hash)


def test_processes_send_from_one_account(world: World, anvil: Anvil, w3: Web3, owner: LocalAccount) -> None:
    """Their transactions wait in the pool together and are mined in one block: no nonce is used twice or left out."""
    context = multiprocessing.get_context("spawn")
    hashes = context.Queue()
    set_mining: Callable[[bool], Any] = lambda on: w3.provider.make_request("evm_setAutomine", [on])  # type: ignore[arg-type]  # noqa: E731
    set_mining(False)
    try:
        children = [
            context.Process(
                target=submit_some, args=(anvil.url, world.contract.address, bytes(owner.key), f"child {i}", 6, hashes)
            )
            for i in range(3)
        ]
        for child in children:
            child.start()
        found = [hashes.get(timeout=90) for _ in range(18)]
        for child in children:
            child.join(30)
            assert child.exitcode == 0
        mine(w3, 1)
    finally:
        set_mining(True)
    receipts = [w3.eth.wait_for_transaction_receipt(tx_hash, timeout=30) for tx_hash in found]
    assert [receipt["status"] for receipt in receipts] == [1] * 18
    assert sorted(w3.eth.get_transaction(tx_hash)["nonce"] for tx_hash in found) == list(range(18))

"""The registry contract's client against a real chain (anvil)."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount
from web3 import HTTPProvider, Web3

from ssv_pool.devnet.anvil import Anvil, account_key, find_binary
from ssv_pool.errors import UnavailableError
from ssv_pool.protocol.types.primitives import OperatorId, PublicKey
from ssv_pool.registry.contract import MAX_BULK, NEW_CLUSTER, ContractError, Registration, RegistryContract

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def chain() -> Iterator[Anvil]:
    with Anvil() as anvil:
        yield anvil


@pytest.fixture(scope="module")
def w3(chain: Anvil) -> Web3:
    return Web3(HTTPProvider(chain.url))


@pytest.fixture
def owner(w3: Web3) -> LocalAccount:
    """A new funded account, so that tests that share the chain do not share clusters."""
    account = Account.create()
    w3.eth.wait_for_transaction_receipt(
        w3.eth.send_transaction({"from": w3.eth.accounts[0], "to": account.address, "value": 10**19})
    )
    return account


@pytest.fixture(scope="module")
def registry(w3: Web3) -> RegistryContract:
    contract = RegistryContract.deploy(w3, Account.from_key(account_key(0)))
    contract.register_operators(Account.from_key(account_key(0)), [f"key {index}" for index in range(13)])
    return contract


def validators(first: int, count: int, operators: int = 4) -> list[Registration]:
    return [
        Registration(PublicKey(bytes([index]) * 48), bytes([index]) * (96 + 304 * operators))
        for index in range(first, first + count)
    ]


OPERATORS = tuple(OperatorId(number) for number in (1, 2, 3, 4))


def test_operators_get_consecutive_ids_and_are_removed(w3: Web3, owner: LocalAccount) -> None:
    registry = RegistryContract.deploy(w3, owner)
    registry.check_code()

    assert registry.register_operators(owner, ["a", "b"], fee=1_000_000_000) == (1, 2)
    assert registry.register_operator(owner, "c", private=True) == 3
    registry.remove_operator(owner, OperatorId(2))

    assert [registry.operator(OperatorId(number)).active for number in range(5)] == [False, True, False, True, False]
    assert registry.operator(OperatorId(1)).fee == 1_000_000_000
    assert registry.operator(OperatorId(3)).private


def test_whole_life_of_a_cluster(registry: RegistryContract, owner: LocalAccount) -> None:
    batch = validators(1, MAX_BULK + 1)

    assert registry.cluster(owner.address, OPERATORS) == NEW_CLUSTER
    after_one = registry.register_validator(owner, validators(99, 1)[0], OPERATORS, value=7)
    assert after_one == replace(NEW_CLUSTER, validator_count=1, balance=7)
    after_many = registry.register_validators(owner, batch, OPERATORS, value=5)
    assert after_many == replace(NEW_CLUSTER, validator_count=MAX_BULK + 2, balance=12)
    assert registry.cluster(owner.address, OPERATORS) == after_many
    assert registry.owner_nonce(owner.address) == MAX_BULK + 2
    assert registry.validator_registered(owner.address, batch[-1].public_key)

    registry.exit_validators(owner, [batch[0].public_key], OPERATORS)
    registry.exit_validators(owner, [item.public_key for item in batch[:2]], OPERATORS)
    registry.remove_validators(owner, [item.public_key for item in batch], OPERATORS)
    left = registry.remove_validators(owner, [validators(99, 1)[0].public_key], OPERATORS)
    assert left == replace(NEW_CLUSTER, balance=12)
    assert not registry.validator_registered(owner.address, batch[-1].public_key)
    assert registry.withdraw(owner, OPERATORS, 12) == NEW_CLUSTER == registry.cluster(owner.address, OPERATORS)
    registry.set_fee_recipient(owner, "0x" + "ab" * 20)


@pytest.mark.parametrize("size", [4, 7, 10, 13])
def test_largest_bulk_of_each_committee_size(registry: RegistryContract, owner: LocalAccount, size: int) -> None:
    ids = [OperatorId(number) for number in range(1, size + 1)]
    assert registry.register_validators(owner, validators(1, MAX_BULK, size), ids) == replace(
        NEW_CLUSTER, validator_count=MAX_BULK
    )


def test_refusals_are_sentences(registry: RegistryContract, owner: LocalAccount, w3: Web3) -> None:
    one = validators(1, 1)
    registry.register_validators(owner, one, OPERATORS)

    def refusal(call: Callable[[], object]) -> tuple[str, str]:
        with pytest.raises(ContractError) as caught:
            call()
        return caught.value.name, str(caught.value)

    key = f"0x{one[0].public_key.hex()}"
    assert refusal(lambda: registry.register_validators(owner, one, OPERATORS)) == (
        "ValidatorAlreadyExistsWithData",
        f"register validator {key}: the sender has registered validator {key} already: leave it out",
    )
    assert refusal(lambda: registry.register_validators(owner, validators(2, 1), OPERATORS, cluster=NEW_CLUSTER)) == (
        "IncorrectClusterState",
        (
            f"register validator 0x{'02' * 48}: the cluster's state is not the one given: read it again from the "
            "cluster's last event"
        ),
    )
    assert refusal(lambda: registry.remove_operator(owner, OperatorId(1)))[1] == (
        f"remove operator 1: the sender {owner.address.lower()} is not the owner, {w3.eth.accounts[0].lower()} is: "
        "sign with the owner's account"
    )
    assert refusal(lambda: registry.remove_operator(owner, OperatorId(99))) == (
        "OperatorDoesNotExist",
        "remove operator 99: an operator does not exist or was removed: check the ids",
    )
    too_long = Registration(PublicKey(bytes(48)), bytes(5_000))
    assert refusal(lambda: registry.register_validator(owner, too_long, OPERATORS)) == (
        "",
        (
            f"register validator 0x{'00' * 48}: the contract refused it without a reason "
            "(a field is too long, or there is no contract)"
        ),
    )


def test_account_without_ether(registry: RegistryContract) -> None:
    poor = Account.create()
    with pytest.raises(ContractError) as caught:
        registry.register_operator(poor, "poor")
    assert re.fullmatch(
        rf"register operator: account {poor.address} holds 0 ETH, expected at least 0\.\d+ ETH \(the amount and the "
        r"most that gas can cost\): send it the difference first",
        str(caught.value),
    )


def test_address_without_contract(w3: Web3) -> None:
    address = "0x" + "11" * 20
    with pytest.raises(ContractError) as caught:
        RegistryContract(w3, address).check_code()
    assert str(caught.value) == f"no contract at {address} on chain 31337: check the registry address"


def test_node_that_does_not_answer_is_named_without_its_key(chain: Anvil) -> None:
    with Anvil() as other:
        port = other.port
    w3 = Web3(HTTPProvider(f"http://user:secret@127.0.0.1:{port}/v3/secret"))
    with pytest.raises(UnavailableError) as caught:
        RegistryContract(w3, "0x" + "11" * 20).check_code()
    assert str(caught.value) == f"read the registry's code: execution node 127.0.0.1:{port} does not answer"


def test_threads_of_one_client_do_not_share_nonces(registry: RegistryContract, owner: LocalAccount) -> None:
    ids: list[OperatorId] = []
    threads = [
        threading.Thread(target=lambda name=name: ids.append(registry.register_operator(owner, name)))
        for name in ("x", "y", "z")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(set(ids)) == 3


def test_pending_transactions_are_sent_together() -> None:
    """With seconds between blocks many operators still take one block, not one block each."""
    with Anvil(block_time=1) as slow:
        slow_w3 = Web3(HTTPProvider(slow.url))
        account = Account.from_key(account_key(0))
        registry = RegistryContract.deploy(slow_w3, account)
        before = slow_w3.eth.block_number
        assert registry.register_operators(account, [str(index) for index in range(13)]) == tuple(range(1, 14))
        assert slow_w3.eth.block_number - before <= 3


def test_anvil_port_in_use(chain: Anvil) -> None:
    with pytest.raises(UnavailableError, match=r"^anvil ended with status 1: .*in use"):
        Anvil(port=chain.port).start()


def test_anvil_changes_its_pace() -> None:
    with Anvil() as anvil:
        w3 = Web3(HTTPProvider(anvil.url))
        anvil.mine_every(1)
        deadline = time.monotonic() + 20
        while w3.eth.block_number < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    with pytest.raises(UnavailableError, match=rf"^anvil on port {anvil.port} does not answer: "):
        anvil.mine_every(1)


def test_anvil_is_gone_after_stop() -> None:
    anvil = Anvil()
    anvil.start()
    assert anvil.pid is not None
    anvil.stop()
    anvil.stop()
    assert anvil.pid is None


def test_missing_npm_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UnavailableError) as caught:
        find_binary(tmp_path)
    assert str(caught.value) == (f"anvil is not installed: no @foundry-rs/anvil in {tmp_path}/node_modules, run npm ci")

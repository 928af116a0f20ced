"""Registry sync from a real chain (anvil, the real contract), also through a provider that misbehaves."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount
from servers import PostgresServer, RpcProxy
from web3 import HTTPProvider, Web3
from web3.types import RPCEndpoint

from ssv_pool.crypto import operator_keys
from ssv_pool.crypto.operator_keys import OperatorKeyring
from ssv_pool.devnet.anvil import Anvil, account_key
from ssv_pool.errors import UnavailableError
from ssv_pool.pool.keyshares import KeyShares, ShareOperator, split_key
from ssv_pool.registry.abi import EVENTS
from ssv_pool.registry.contract import Registration, RegistryContract
from ssv_pool.registry.rpc import ExecutionError
from ssv_pool.registry.sync import RegistrySync, SyncResult
from ssv_pool.store import Database, RegistrySnapshot
from ssv_pool.store.registry import event_counts, exit_requests, load_registry, own_shares

pytestmark = pytest.mark.integration

IDS = (1, 2, 3, 4)


@pytest.fixture(scope="module")
def anvil() -> Iterator[Anvil]:
    with Anvil() as anvil:
        yield anvil


@pytest.fixture(scope="module")
def w3(anvil: Anvil) -> Web3:
    return Web3(HTTPProvider(anvil.url))


@pytest.fixture(scope="module")
def alice() -> LocalAccount:
    return Account.from_key(account_key(0))


@pytest.fixture(scope="module")
def keyrings() -> list[OperatorKeyring]:
    return [OperatorKeyring(operator_keys.generate()) for _ in IDS]


@pytest.fixture(scope="module")
def registry(w3: Web3, alice: LocalAccount, keyrings: list[OperatorKeyring]) -> RegistryContract:
    """The contract with four operators, five validators of which one is malformed, and one event of each other kind."""
    contract = RegistryContract.deploy(w3, alice)
    assert contract.register_operators(alice, [keyring.public_key_base64 for keyring in keyrings]) == IDS
    mine(w3, 30)
    good = [shares_of(secret, nonce, alice, keyrings) for nonce, secret in enumerate((101, 102, 103))]
    wrong_nonce = shares_of(104, 77, alice, keyrings)
    contract.register_validators(alice, [registration(item) for item in (*good, wrong_nonce)], IDS)
    mine(w3, 40)
    contract.register_validator(alice, registration(shares_of(105, 4, alice, keyrings)), IDS)
    contract.register_operator(alice, "not base64")
    contract.remove_operator(alice, contract.register_operator(alice, "short-lived"))
    contract.set_fee_recipient(alice, "0x" + "fe" * 20)
    contract.exit_validators(alice, [good[0].public_key], IDS)
    contract.remove_validators(alice, [good[1].public_key], IDS)
    mine(w3, 10)
    return contract


@pytest.fixture(scope="module")
def expected(registry: RegistryContract, anvil: Anvil, tmp_path_factory: pytest.TempPathFactory) -> RegistrySnapshot:
    """The registry as it is read from the chain without any disturbance."""
    database = Database(tmp_path_factory.mktemp("undisturbed") / "store.sqlite")
    database.create_schema()
    finish(sync_of(anvil.url, database, registry))
    return snapshot(database)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "store.sqlite")
    database.create_schema()
    yield database
    database.close()


@pytest.fixture
def proxy(anvil: Anvil) -> Iterator[RpcProxy]:
    with RpcProxy(anvil.url) as proxy:
        yield proxy


def shares_of(secret: int, nonce: int, owner: LocalAccount, keyrings: list[OperatorKeyring]) -> KeyShares:
    operators = [
        ShareOperator(operator_id, operator_keys.public_key_from_base64(keyring.public_key_base64))
        for operator_id, keyring in zip(IDS, keyrings, strict=True)
    ]
    return split_key(secret, operators, owner.address, nonce)


def registration(shares: KeyShares) -> Registration:
    return Registration(shares.public_key, shares.shares_data)


def mine(w3: Web3, blocks: int) -> None:
    w3.provider.make_request(RPCEndpoint("anvil_mine"), [hex(blocks)])


def sync_of(url: str | list[str], database: Database, registry: RegistryContract, **options: int) -> RegistrySync:
    urls = [url] if isinstance(url, str) else url
    return RegistrySync(urls, database, registry.address, registry.first_block, **options)


def finish(sync: RegistrySync) -> list[SyncResult]:
    results = [sync.step()]
    while not results[-1].caught_up:
        results.append(sync.step())
    return results


def snapshot(database: Database) -> RegistrySnapshot:
    with database.read() as session:
        return load_registry(session)


def test_the_registry_is_as_the_chain_has_it(
    registry: RegistryContract,
    anvil: Anvil,
    w3: Web3,
    database: Database,
    alice: LocalAccount,
    keyrings: list[OperatorKeyring],
) -> None:
    sync = sync_of(anvil.url, database, registry)
    (result,) = finish(sync)

    head = w3.eth.get_block("latest")
    assert (result.from_block, result.to_block) == (registry.first_block, head["number"] - 8)
    assert (result.head, result.head_time, result.lag) == (head["number"], head["timestamp"], 0)
    # Operators 7, one of them removed; validators 3 + 1, one removed; fee recipient; exit.
    assert (result.applied, result.ignored, result.overtaken) == (6 + 1 + 4 + 1 + 1 + 1, 0, False)
    (malformed,) = result.malformed
    assert (malformed.event, malformed.reason) == ("ValidatorAdded", "signature")

    found = snapshot(database)
    assert [record.pem for record in found.operators.values()][:4] == [
        operator_keys.public_key_from_base64(keyring.public_key_base64) for keyring in keyrings
    ]
    assert sorted(found.operators) == [1, 2, 3, 4, 5]
    assert [record.fee_recipient.hex() for record in found.validators] == ["fe" * 20] * 3
    assert found.block_number == result.to_block
    for validator in found.validators:
        block = w3.eth.get_block(validator.registered_block)
        assert validator.registered_time == validator.active_since == block["timestamp"]
        assert registry.validator_registered(alice.address, validator.public_key)
    with database.read() as session:
        (request,) = exit_requests(session)
        assert request.public_key in {validator.public_key for validator in found.validators}
        shares = own_shares(session, IDS[1])
    # What is in the store is enough for the operator to get its shares.
    for share in shares:
        keyrings[1].decrypt_share(share.encrypted, share.share_public_key)
    assert {share.validator for share in shares} == {validator.public_key for validator in found.validators}

    idle = sync.step()
    assert (idle.from_block, idle.to_block, idle.lag, idle.applied) == (result.to_block + 1, result.to_block, 0, 0)
    sync.close()


def test_nothing_younger_than_the_follow_distance_is_applied(
    registry: RegistryContract, anvil: Anvil, w3: Web3, tmp_path: Path
) -> None:
    for distance in (0, 1, 50):
        database = Database(tmp_path / f"{distance}.sqlite")
        database.create_schema()
        result = finish(sync_of(anvil.url, database, registry, follow_distance=distance))[-1]
        assert result.to_block == w3.eth.block_number - distance
    with pytest.raises(UnavailableError):
        sync_of("http://127.0.0.1:1", database, registry).step()


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_any_range_gives_the_same_registry(
    registry: RegistryContract, anvil: Anvil, database: Database, expected: RegistrySnapshot, batch: int
) -> None:
    finish(sync_of(anvil.url, database, registry, batch_blocks=batch))
    assert snapshot(database) == expected


def test_ranges_shrink_as_far_as_a_provider_demands_and_grow_again(
    registry: RegistryContract, proxy: RpcProxy, database: Database, expected: RegistrySnapshot
) -> None:
    proxy.largest_range = 5
    sync = sync_of(proxy.url, database, registry)
    sync.step()
    sizes = [last - first + 1 for first, last in proxy.ranges]
    assert len(sizes) > 3
    assert sizes[1:] == [size // 2 for size in sizes[:-1]]
    assert sync.range_blocks == sizes[-1] <= 5
    proxy.largest_range = None
    finish(sync)
    assert sync.range_blocks > 5
    assert snapshot(database) == expected


def test_a_provider_that_refuses_everything_loses_nothing(
    registry: RegistryContract, proxy: RpcProxy, database: Database, expected: RegistrySnapshot
) -> None:
    proxy.largest_range = 0
    sync = sync_of(proxy.url, database, registry)
    before = snapshot(database)
    with pytest.raises(ExecutionError) as caught:
        sync.step()
    host = proxy.url.rpartition("/")[0]
    assert str(caught.value) == f"execution node {host}: refused eth_getLogs: query exceeds limit (code -32005)"
    assert snapshot(database) == before
    proxy.largest_range = None
    finish(sync)
    assert snapshot(database) == expected


def test_errors_and_garbage_are_survived(
    registry: RegistryContract, proxy: RpcProxy, database: Database, expected: RegistrySnapshot
) -> None:
    sync = sync_of(proxy.url, database, registry, batch_blocks=20)
    problems = []
    for number in range(200):
        proxy.errors_left, proxy.garbage_left = int(number % 3 == 0), int(number % 4 == 1)
        try:
            if sync.step().caught_up:
                break
        except ExecutionError as error:
            problems.append(str(error))
    assert len(problems) > 2
    assert all("is not JSON-RPC (status" in problem for problem in problems)
    assert snapshot(database) == expected


def test_a_provider_goes_away_and_comes_back(
    registry: RegistryContract, proxy: RpcProxy, database: Database, expected: RegistrySnapshot
) -> None:
    sync = sync_of(proxy.url, database, registry, batch_blocks=20)
    sync.step()
    with proxy.away():
        before = snapshot(database)
        with pytest.raises(ExecutionError) as caught:
            sync.step()
        host = proxy.url.rpartition("/")[0]
        assert str(caught.value).startswith(f"execution node {host}: cannot be reached (")
        assert "key-that-nobody-may-see" not in str(caught.value)
        assert snapshot(database) == before
    finish(sync)
    assert snapshot(database) == expected


def test_the_next_node_is_asked_when_the_first_cannot(
    registry: RegistryContract, proxy: RpcProxy, anvil: Anvil, database: Database, expected: RegistrySnapshot
) -> None:
    proxy.overrides["eth_syncing"] = {"currentBlock": "0x5", "highestBlock": "0x64"}
    finish(sync_of(["http://127.0.0.1:1", proxy.url, anvil.url], database, registry))
    assert snapshot(database) == expected


def problem_of(sync: RegistrySync, proxy: RpcProxy) -> str:
    with pytest.raises(ExecutionError) as caught:
        sync.step()
    return str(caught.value).replace(f"execution node {proxy.url.rpartition('/')[0]}", "node")


def test_a_node_that_is_not_synced(registry: RegistryContract, proxy: RpcProxy, database: Database) -> None:
    sync = sync_of(proxy.url, database, registry)
    proxy.overrides["eth_syncing"] = {"currentBlock": "0x5", "highestBlock": "0x64"}
    assert problem_of(sync, proxy) == "node: not synced, at block 5 of 100"
    proxy.overrides["eth_syncing"] = True
    assert problem_of(sync, proxy) == "node: not synced"
    proxy.overrides.clear()
    sync.step()


def test_a_contract_that_is_not_there(registry: RegistryContract, proxy: RpcProxy, database: Database) -> None:
    sync = RegistrySync([proxy.url], database, "0x" + "12" * 20, 0)
    assert problem_of(sync, proxy) == f"node: no contract at 0x{'12' * 20} on chain 31337"
    assert snapshot(database).block_number == -1


def test_a_node_of_another_chain(registry: RegistryContract, proxy: RpcProxy, database: Database) -> None:
    sync_of(proxy.url, database, registry, batch_blocks=5).step()
    proxy.overrides["eth_chainId"] = "0x1"
    address = registry.address.lower()
    assert problem_of(sync_of(proxy.url, database, registry), proxy) == (
        f"node: chain 1; store: holds the registry {address} of chain 31337, expected {address} of chain 1; "
        "give each network a data folder of its own"
    )


def test_a_node_that_is_behind(registry: RegistryContract, proxy: RpcProxy, database: Database) -> None:
    sync = sync_of(proxy.url, database, registry, batch_blocks=5)
    number = proxy.missing_block = sync.step().to_block
    assert problem_of(sync, proxy) == f"node: behind, has no block {number} (applied already)"


BAD_LOGS: dict[str, Callable[[dict[str, object]], object]] = {
    "no-list": lambda log: {},
    "no-object": lambda log: ["log"],
    "other-contract": lambda log: [log | {"address": "0x" + "12" * 20}],
    "outside-the-range": lambda log: [log | {"blockNumber": "0xfffff"}],
    "other-block": lambda log: [log | {"blockHash": "0x" + "12" * 32}],
    "removed": lambda log: [log | {"removed": True}],
    "pending": lambda log: [log | {"blockNumber": None}],
    "odd-data": lambda log: [log | {"data": "0x123"}],
    "spaces-in-data": lambda log: [log | {"data": "0x12 34"}],
    "short-topic": lambda log: [log | {"topics": ["0x12"]}],
    "five-topics": lambda log: [log | {"topics": ["0x" + "12" * 32] * 5}],
    "huge-index": lambda log: [log | {"logIndex": "0x" + "f" * 16}],
    "negative-index": lambda log: [log | {"logIndex": "-0x1"}],
    "two-of-one-index": lambda log: [log, log | {"data": "0x"}],
}


@pytest.mark.parametrize("change", BAD_LOGS.values(), ids=BAD_LOGS)
def test_logs_that_cannot_be_right_are_refused(
    registry: RegistryContract,
    proxy: RpcProxy,
    database: Database,
    w3: Web3,
    expected: RegistrySnapshot,
    change: Callable[[dict[str, object]], object],
) -> None:
    query = {"address": registry.address, "fromBlock": hex(registry.first_block), "toBlock": hex(w3.eth.block_number)}
    logs = w3.provider.make_request(RPCEndpoint("eth_getLogs"), [query])["result"]
    # Events that nobody acts upon are not looked into: the first log is of the contract's deployment.
    log = next(log for log in logs if bytes.fromhex(log["topics"][0][2:]) in EVENTS)
    sync = sync_of(proxy.url, database, registry)
    proxy.overrides["eth_getLogs"] = change(log)
    with pytest.raises(ExecutionError, match=r"answer cannot be right|are not of the block that is in the chain"):
        sync.step()
    assert snapshot(database).validators == ()
    proxy.overrides.clear()
    finish(sync)
    assert snapshot(database) == expected


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_two_workers_at_once_apply_each_block_once(
    registry: RegistryContract, anvil: Anvil, tmp_path: Path, expected: RegistrySnapshot, kind: str
) -> None:
    server = PostgresServer() if kind == "postgresql" else None
    if server is not None:
        server.__enter__()
    url = f"sqlite:///{tmp_path / 'store.sqlite'}" if server is None else server.new_database()
    try:
        race(registry, anvil, url, expected)
    finally:
        if server is not None:
            server.__exit__(None, None, None)


def race(registry: RegistryContract, anvil: Anvil, url: str, expected: RegistrySnapshot) -> None:
    databases = [Database(url) for _ in range(3)]
    databases[0].create_schema()
    start = threading.Barrier(len(databases))
    results: list[SyncResult] = []
    errors: list[BaseException] = []

    def work(database: Database, batch: int) -> None:
        sync = sync_of(anvil.url, database, registry, batch_blocks=batch)
        try:
            start.wait()
            results.extend(finish(sync))
        except BaseException as error:  # noqa: BLE001 - handed to the test
            errors.append(error)
        finally:
            sync.close()

    threads = [
        threading.Thread(target=work, args=(database, batch))
        for database, batch in zip(databases, (10, 10, 7), strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert snapshot(databases[0]) == expected
    with databases[0].read() as session:
        counts = event_counts(session)
    assert sum(count for (_, outcome), count in counts.items() if outcome == "applied") == sum(
        result.applied for result in results
    )
    for database in databases:
        database.close()

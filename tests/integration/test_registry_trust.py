"""Registry sync when the chain is reorganised deeply, or a provider leaves events out: it ends as a fresh sync does."""

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from eth_account import Account
from eth_account.signers.local import LocalAccount
from registry_rows import registry_rows
from servers import RpcProxy
from sqlalchemy import delete, update
from web3 import HTTPProvider, Web3
from web3.types import RPCEndpoint

from ssv_pool.cli.registry_sync import sync
from ssv_pool.crypto import bls
from ssv_pool.crypto.shares_data import registration_root
from ssv_pool.devnet.anvil import Anvil, account_key
from ssv_pool.registry.contract import Registration, RegistryContract
from ssv_pool.registry.reading import Verification
from ssv_pool.registry.rpc import ExecutionError
from ssv_pool.registry.sync import RegistrySync, SyncResult
from ssv_pool.store import Database
from ssv_pool.store.models import RegistryBlock, RegistryUndo, SyncCursor
from ssv_pool.store.registry import event_counts
from ssv_pool.store.undo import Repairs, latest_repairs, repairs

pytestmark = pytest.mark.integration

IDS = (1, 2, 3, 4)


class Chain:
    """An anvil with a registry; every call is a block."""

    def __init__(self, anvil: Anvil) -> None:
        self.url = anvil.url
        self.w3 = Web3(HTTPProvider(anvil.url))
        self.alice: LocalAccount = Account.from_key(account_key(0))
        self.contract = RegistryContract.deploy(self.w3, self.alice)
        self.contract.register_operators(self.alice, [f"key of {operator_id}" for operator_id in IDS])

    @property
    def head(self) -> int:
        return self.w3.eth.block_number

    def mine(self, blocks: int) -> None:
        self.w3.provider.make_request(RPCEndpoint("anvil_mine"), [hex(blocks)])

    def register(self, secret: int, nonce: int) -> bytes:
        shares = [sha256(b"%d" % operator_id).digest() for operator_id in IDS]
        signature = bls.sign(secret, registration_root(bytes.fromhex(self.alice.address[2:]), nonce))
        data = signature + b"".join(item[:24] * 2 for item in shares) + b"".join(item * 8 for item in shares)
        key = bls.secret_to_public(secret)
        self.contract.register_validator(self.alice, Registration(key, data), IDS)
        return key

    def events(self) -> None:
        """One of each kind, and a registration with a bad signature."""
        first = self.register(201, 0)
        self.register(202, 1)
        self.register(203, 9)
        self.contract.set_fee_recipient(self.alice, "0x" + "fe" * 20)
        self.contract.exit_validators(self.alice, [first], IDS)
        self.contract.remove_validators(self.alice, [first], IDS)
        self.contract.remove_operator(self.alice, self.contract.register_operator(self.alice, "short-lived"))

    def reorganise(self, depth: int) -> None:
        """Replace the last ``depth`` blocks; what they held is gone."""
        transaction = {"from": self.w3.eth.accounts[1], "to": self.w3.eth.accounts[2], "value": "0x1"}
        answer = self.w3.provider.make_request(RPCEndpoint("anvil_reorg"), [depth, [[transaction, 0]]])
        assert "error" not in answer, answer


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "store.sqlite")
    database.create_schema()
    yield database
    database.close()


def sync_of(urls: list[str], database: Database, chain: Chain, **options: object) -> RegistrySync:
    options.setdefault("follow_distance", 0)
    return RegistrySync(urls, database, chain.contract.address, chain.contract.first_block, **options)  # type: ignore[arg-type]


def finish(sync: RegistrySync) -> list[SyncResult]:
    results = [sync.step()]
    while not results[-1].caught_up:
        results.append(sync.step())
    return results


def fresh(chain: Chain, folder: Path) -> dict[str, list[tuple[object, ...]]]:
    """What a store holds that is filled from the chain as it is now, undisturbed."""
    database = Database(folder / f"fresh-{chain.head}.sqlite")
    database.create_schema()
    sync = sync_of([chain.url], database, chain)
    finish(sync)
    rows = registry_rows(database)
    sync.close()
    database.close()
    return rows


def test_reorganisations_of_1_8_and_64_blocks_are_rolled_back(tmp_path: Path, database: Database) -> None:
    with Anvil() as anvil:
        chain = Chain(anvil)
        sync = sync_of([chain.url], database, chain, batch_blocks=5)
        finish(sync)
        chain.mine(60)
        for times, depth in enumerate((1, 8, 64), 1):
            if depth == 1:
                chain.register(300, 0)
            else:
                chain.events()
                chain.mine(depth - 8)
            lowest = chain.head - depth + 1
            finish(sync)
            before = registry_rows(database)
            assert before == fresh(chain, tmp_path)
            version = database.version()
            chain.reorganise(depth)
            # The new chain goes another way: another validator takes the nonce.
            chain.register(400 + depth, 0)
            (first, *_) = finish(sync)
            assert first.rolled_back is not None
            assert first.rolled_back.to_block < lowest
            rows = registry_rows(database)
            assert rows == fresh(chain, tmp_path)
            assert rows != before
            assert bls.secret_to_public(400 + depth) in {row[0] for row in rows["validators"]}
            assert database.version() > version
            with database.read() as session:
                assert repairs(session) == Repairs(0, times)
                assert latest_repairs(session, 1)[0].block_number == first.rolled_back.to_block
            chain.reorganise(1)
            finish(sync)
            # The nonce is free again for the next depth; that rollback is not counted below.
            with database.session() as session:
                session.delete(latest_repairs(session, 1)[0])
        sync.close()


@pytest.fixture(scope="module")
def chain() -> Iterator[Chain]:
    with Anvil() as anvil:
        chain = Chain(anvil)
        chain.mine(20)
        chain.events()
        chain.mine(20)
        yield chain


@pytest.fixture(scope="module")
def expected(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[object, ...]]]:
    return fresh(chain, tmp_path_factory.mktemp("fresh"))


@pytest.fixture
def proxy(chain: Chain) -> Iterator[RpcProxy]:
    with RpcProxy(chain.url) as proxy:
        yield proxy


def test_a_chain_that_cannot_be_gone_back_from_is_said(chain: Chain, proxy: RpcProxy, database: Database) -> None:
    sync = sync_of([proxy.url], database, chain)
    finish(sync)
    with database.session() as session:
        session.execute(delete(RegistryUndo))
        session.execute(update(SyncCursor).values(block_hash=bytes(32)))
        session.execute(update(RegistryBlock).values(hash=bytes(32)))
    before = registry_rows(database)
    with pytest.raises(ExecutionError, match="read all anew with `ssv-pool registry sync --rebuild`"):
        sync.step()
    assert registry_rows(database) == before
    sync.close()


def test_another_node_that_still_has_the_block_is_followed(
    chain: Chain, proxy: RpcProxy, database: Database, expected: dict[str, object]
) -> None:
    finish(sync_of([chain.url], database, chain))
    genesis = chain.w3.provider.make_request(RPCEndpoint("eth_getBlockByNumber"), ["latest", False])["result"]
    proxy.overrides["eth_getBlockByNumber"] = genesis | {"hash": "0x" + "12" * 32}
    sync = sync_of([proxy.url, chain.url], database, chain)
    assert sync.step().rolled_back is None
    first, second = sync.nodes
    assert "was applied: another chain, or one reorganised" in (first.problem or "")
    assert second.problem is None
    assert registry_rows(database) == expected
    sync.close()


def drop(chain: Chain, proxy: RpcProxy, every: int) -> int:
    """Let the provider leave out each ``every``-th log; how many of the events that count are gone."""
    query = {"address": chain.contract.address, "fromBlock": hex(chain.contract.first_block), "toBlock": "latest"}
    logs = chain.w3.provider.make_request(RPCEndpoint("eth_getLogs"), [query])["result"]
    gone = logs[::every]
    proxy.dropped = {(int(log["blockNumber"], 16), int(log["logIndex"], 16)) for log in gone}
    return len({block for block, _ in proxy.dropped})


@pytest.mark.parametrize("every", [1, 2, 3])
@pytest.mark.parametrize("refused", [set(), {"eth_getBlockReceipts"}], ids=["block-receipts", "single-receipts"])
def test_events_that_a_provider_leaves_out_are_found(
    chain: Chain, proxy: RpcProxy, database: Database, expected: dict[str, object], every: int, refused: set[str]
) -> None:
    assert drop(chain, proxy, every)
    proxy.refused, proxy.takes_batches = refused, not refused
    sync = sync_of([proxy.url], database, chain, batch_blocks=10)
    results = finish(sync)
    gaps = [gap for result in results for gap in result.gaps]
    assert gaps
    assert all(gap.missing and not gap.false for gap in gaps)
    assert {gap.block_number for gap in gaps} <= {block for block, _ in proxy.dropped}
    assert registry_rows(database) == expected
    with database.read() as session:
        assert repairs(session) == Repairs(len(gaps), 0)
        assert {row.block_number for row in latest_repairs(session)} == {gap.block_number for gap in gaps}
        if every == 1:
            assert sum(event_counts(session).values()) == sum(gap.missing for gap in gaps)
    assert sync.nodes[0].gaps == len(gaps)
    sync.close()


def test_a_provider_that_cuts_its_answers_short(
    chain: Chain, proxy: RpcProxy, database: Database, expected: dict[str, object]
) -> None:
    proxy.most_logs, proxy.largest_range = 2, 20
    sync = sync_of([proxy.url], database, chain)
    assert any(result.gaps for result in finish(sync))
    assert registry_rows(database) == expected
    sync.close()


@pytest.mark.parametrize("one_in", [1, 3])
def test_old_blocks_are_compared_as_far_as_is_asked(
    chain: Chain, proxy: RpcProxy, database: Database, expected: dict[str, object], one_in: int
) -> None:
    drop(chain, proxy, 1)
    sync = sync_of([proxy.url], database, chain, verification=Verification(full_blocks=0, one_in=one_in))
    (result,) = finish(sync)
    # One gap that the sample meets has the whole range compared.
    looked_at_all = result.compared == result.to_block - result.from_block + 1
    assert looked_at_all == bool(result.gaps)
    assert (registry_rows(database) == expected) == looked_at_all
    if one_in == 1:
        assert looked_at_all
    sync.close()


def test_a_second_node_shows_what_the_first_leaves_out(
    chain: Chain, proxy: RpcProxy, database: Database, expected: dict[str, object]
) -> None:
    drop(chain, proxy, 2)
    sync = sync_of([proxy.url, chain.url], database, chain, verification=Verification(full_blocks=0, one_in=0))
    (result,) = finish(sync)
    assert result.gaps
    assert registry_rows(database) == expected
    # From now on the one that told the truth comes first.
    chain.mine(1)
    sync.step()
    assert [node.gaps > 0 for node in sync.nodes] == [True, False]
    sync.close()


def test_receipts_that_are_not_the_blocks_are_refused(
    chain: Chain, proxy: RpcProxy, database: Database, expected: dict[str, object]
) -> None:
    sync = sync_of([proxy.url], database, chain)
    proxy.overrides["eth_getBlockReceipts"] = []
    with pytest.raises(ExecutionError, match="transactions, found 0 receipts"):
        sync.step()
    with database.read() as session:
        assert event_counts(session) == {}
    # The next node can.
    both = sync_of([proxy.url, chain.url], database, chain)
    finish(both)
    assert registry_rows(database) == expected
    both.close()
    sync.close()


def test_a_node_that_lags_is_asked_last(chain: Chain, proxy: RpcProxy, database: Database) -> None:
    head = chain.w3.provider.make_request(RPCEndpoint("eth_getBlockByNumber"), [hex(chain.head - 9), False])["result"]
    proxy.overrides["eth_getBlockByNumber"] = head
    sync = sync_of([proxy.url, chain.url], database, chain)
    assert sync.step().head == chain.head
    assert [node.lag for node in sync.nodes] == [9, 0]
    sync.close()


def test_the_command_reads_goes_on_and_reads_anew(
    chain: Chain, proxy: RpcProxy, database: Database, expected: dict[str, object], tmp_path: Path
) -> None:
    drop(chain, proxy, 2)
    settings = {
        "network": "devnet",
        "data_dir": str(tmp_path),
        "operator": {"private_key_file": "key.json", "password_file": "password"},
        "execution": {"nodes": [proxy.url]},
        "registry": {
            "contract": chain.contract.address,
            "first_block": chain.contract.first_block,
            "follow_distance": 0,
            "full_check_blocks": 0,
            "check_one_in": 0,
        },
    }
    config = tmp_path / "operator.yaml"
    config.write_text(json.dumps(settings))

    def run(*options: str) -> dict[str, Any]:
        done = CliRunner().invoke(sync, ["--config", str(config), "--json", *options], catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return dict(json.loads(done.stdout))

    # Nothing is compared here, and so nothing is noticed.
    first = run()
    assert (first["gaps"], first["block"]) == (0, chain.head)
    assert registry_rows(database) != expected
    assert run("--check-all")["applied"] == 0
    anew = run("--check-all", "--rebuild")
    assert anew["gaps"] == anew["repairs_ever"]["gaps"] > 0
    assert anew["compared"] == chain.head - chain.contract.first_block + 1
    assert registry_rows(database) == expected

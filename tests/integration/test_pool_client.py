"""The staking pool's client and commands against the real contracts on a real chain (anvil)."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from beacon_mock import Node, chain_routes, client_of
from click.testing import CliRunner
from eth_account.signers.local import LocalAccount
from pool_chain import ETHER, NETWORK, TREASURY, PoolChain

from ssv_pool.cli.main import cli
from ssv_pool.crypto.files import write_private
from ssv_pool.devnet.anvil import Anvil
from ssv_pool.errors import SsvPoolError
from ssv_pool.pool.approvals import ClusterRefund, Funding, Removal
from ssv_pool.pool.deposit_data import sign_deposit, write_deposit_data
from ssv_pool.pool.inventory import InventoryKey, make_key
from ssv_pool.pool.status import read_status
from ssv_pool.protocol.types.presets import MINIMAL
from ssv_pool.registry.artifacts import published_abi

pytestmark = pytest.mark.integration

NOW = datetime(2026, 1, 2, tzinfo=UTC)
STRANGER = "0x" + "ee" * 20


@pytest.fixture(scope="module")
def anvil() -> Iterator[Anvil]:
    with Anvil() as running:
        yield running


@pytest.fixture
def world(anvil: Anvil) -> PoolChain:
    return PoolChain(anvil)


def register(world: PoolChain, key: InventoryKey, payment: int) -> None:
    cluster = world.pool.registry().cluster(world.pool.address, key.shares.operator_ids)
    call = world.pool.calls.register_validator(
        key.public_key, key.shares.operator_ids, key.shares.shares_data, payment, cluster
    )
    world.pool.send(world.members[1], call)


def funding_of(world: PoolChain, key: InventoryKey) -> Funding:
    deposit = key.deposit
    return Funding(key.public_key, deposit.signature, deposit.data_root, world.pool.deposit_root())


def leave(world: PoolChain, account: LocalAccount) -> int:
    """Ask for all that an account has; the request's number."""
    shares = world.pool.number("balanceOf", account.address)
    sent = world.pool.send(account, world.pool.calls.request_withdrawal(shares, account.address))
    return world.pool.request_of(sent.receipt)


def test_a_life_with_books_to_the_wei(world: PoolChain, tmp_path: Path) -> None:
    pool, w3 = world.pool, world.w3
    first, second = world.account(), world.account()

    stakes = {first.address: 40 * ETHER, second.address: 2 * ETHER + 7}
    for account in (first, second):
        sent = pool.send(account, pool.calls.stake(stakes[account.address]))
        assert pool.shares_of(sent.receipt) == stakes[account.address]
    world.allow()
    key = make_key(tmp_path, pool.address, pool.owner_nonce(), world.operators, NETWORK, NOW)
    payment = ETHER // 10
    register(world, key, payment)
    funding = funding_of(world, key)
    pool.send(world.owner, pool.calls.fund_validator(funding, world.approvals(funding)))

    (deposit,) = pool.deposits()
    assert (deposit.public_key, deposit.withdrawal_credentials) == (key.public_key, pool.withdrawal_credentials())
    assert deposit.amount == 32 * 10**9
    assert w3.eth.get_balance(pool.deposit_contract()) == 32 * ETHER
    assert pool.funded_keys() == (key.public_key,)
    assert pool.owner_nonce() == 1
    staked = sum(stakes.values())
    assert pool.number("totalAssets") == staked - payment

    # Rewards at the beacon chain, and a tip that nobody announced.
    world.report(100, 32 * ETHER + 5 * 10**15)
    tip = 3 * 10**15 + 1
    world.give(pool.address, tip)
    assert pool.number("unbooked") == tip
    world.report(200, 32 * ETHER + 9 * 10**15)
    assets = staked - payment + 9 * 10**15 + tip
    assert (pool.number("totalAssets"), pool.number("unbooked")) == (assets, 0)

    # The first wants more than is there: a validator has to go.
    request = leave(world, first)
    world.report(300, 32 * ETHER + 9 * 10**15)
    assert [item.number for item in pool.queue()] == [request]
    pool.send(world.members[2], pool.calls.exit_validators([key.public_key], key.shares.operator_ids))
    assert pool.validator_state(key.public_key) == 3
    status = read_status(pool)
    assert (status.exits_under_way, status.waiting, status.queue[0].number) == (1, 1, request)
    assert status.validators[0].operator_ids == world.ids
    assert status.clusters[0].cluster.validator_count == 1
    world.give(pool.address, 32 * ETHER + 9 * 10**15)
    world.report(400, 0, exited=1)
    assert (pool.exit_requests(int(w3.eth.block_number)), pool.number("exitsUnderWay")) == ((key.public_key,), 0)
    assert pool.withdrawal(request).state == 2

    removal = Removal(key.public_key)
    cluster = pool.registry().cluster(pool.address, key.shares.operator_ids)
    call = pool.calls.remove_validator(removal, key.shares.operator_ids, cluster, world.approvals(removal))
    pool.send(world.owner, call)
    cluster = pool.registry().cluster(pool.address, key.shares.operator_ids)
    refund = ClusterRefund(world.ids, cluster.balance, pool.number("clusterNonce"))
    pool.send(world.owner, pool.calls.refund_cluster(refund, cluster, world.approvals(refund)))
    spent = payment - refund.amount
    assert 0 < spent < payment

    # Everybody leaves.
    for account in (second, *world.members):
        leave(world, account)
    world.report(500, 0, exited=1)
    assert pool.requests_of(second.address) == (request + 1,)
    requests = [pool.withdrawal(number) for number in range(1, pool.number("requestCount") + 1)]
    assert {item.state for item in requests} == {2}
    before = {item.receiver: w3.eth.get_balance(item.receiver) for item in requests}
    pool.send(world.owner, pool.calls.claim([item.number for item in requests]))
    paid = {item.receiver: w3.eth.get_balance(item.receiver) - before[item.receiver] for item in requests}

    assert paid == {item.receiver: item.assets for item in requests}
    assert all(paid[address] > stakes[address] - payment for address in stakes)
    assert all(paid[member.address] > 0 for member in world.members)
    treasury = pool.number("convertToAssets", pool.number("balanceOf", TREASURY))
    assert pool.number("balanceOf", TREASURY) == pool.number("totalSupply")
    assert treasury == pool.number("buffered") == w3.eth.get_balance(pool.address)
    assert sum(paid.values()) + treasury == staked + 9 * 10**15 + tip - spent


@dataclass
class Shell:
    """The command line in this process, with accounts in files."""

    world: PoolChain
    folder: Path

    def key_file(self, account: LocalAccount) -> str:
        path = self.folder / f"{account.address}.key"
        if not path.exists():
            write_private(path, f"0x{bytes(account.key).hex()}\n".encode())
        return str(path)

    def run(self, *arguments: object, by: LocalAccount | None = None) -> dict[str, Any]:
        """What a command prints with --json."""
        world = self.world
        sender = [] if by is None else ["--key-file", self.key_file(by), "--yes"]
        environment = {
            "ETH_1_ADDR": world.anvil.url,
            "POOL_CONTRACT": world.pool.address,
            "POOL_FIRST_BLOCK": str(world.pool.first_block),
            "POOL_FORK_VERSION": NETWORK.fork_version.hex(),
            "REGISTRY_CONTRACT": world.registry.address,
        }
        result = CliRunner().invoke(
            cli,
            ["pool", *map(str, arguments), *sender, "--json"],
            env=environment,
            standalone_mode=False,
        )
        if result.exception is not None:
            raise result.exception
        found: dict[str, Any] = json.loads(result.stdout)
        return found

    def refused(self, *arguments: object, by: LocalAccount | None = None) -> str:
        """The sentence of a command that must have sent nothing."""
        before = self.world.w3.eth.block_number
        with pytest.raises(SsvPoolError) as caught:
            self.run(*arguments, by=by)
        assert self.world.w3.eth.block_number == before
        assert "\n" not in str(caught.value)
        return str(caught.value)


@pytest.fixture
def shell(world: PoolChain, tmp_path: Path) -> Shell:
    return Shell(world, tmp_path)


def files(folder: Path, make: Callable[[Path, int], object], members: tuple[int, ...]) -> list[str]:
    """Options with the signatures that members write."""
    options: list[str] = []
    for member in members:
        path = folder / f"approval-{len(list(folder.iterdir()))}-{member}.json"
        make(path, member)
        options += ["--approval", str(path)]
    return options


def test_wrong_places_accounts_and_amounts(shell: Shell, tmp_path: Path) -> None:
    world = shell.world
    member, poor = world.members[0], world.account(1)

    assert "follows chain 31337, expected chain 1" in shell.refused("status", "--chain-id", 1)
    assert "no contract at" in shell.refused("status", "--pool", STRANGER)
    assert "is no staking pool: it does not answer" in shell.refused("status", "--pool", world.registry.address)
    assert "holds 1 ETH, expected at least 5 ETH" in shell.refused("stake", 5, by=poor)
    assert "0.001 ETH" in shell.refused("stake", "0.001", by=poor)
    assert "holds 0 shares, expected an amount above zero" in shell.refused("unstake", "all", by=poor)
    assert "holds 0 shares, expected at least 3: ask for less" in shell.refused("unstake", 3, by=poor)
    assert "claim request 1: there is none, the last is 0" in shell.refused("claim", 1, by=poor)
    assert "has no request that is ready, and 0 that wait" in shell.refused("claim", by=poor)
    assert "is no member of the pool" in shell.refused("register-validator", "--inventory", tmp_path, by=poor)
    assert "is no member of the pool" in shell.refused("pause", "because", by=poor)
    assert "the pool belongs to" in shell.refused("unpause", by=member)

    deploying = ("deploy", "--treasury", TREASURY, "--member", member.address)
    assert "no deposit contract is known for chain 31337" in shell.refused(*deploying, by=world.owner)
    assert "no contract at" in shell.refused(*deploying, "--deposit-contract", STRANGER, by=world.owner)
    other = shell.refused(*deploying, "--deposit-contract", world.registry.address, by=world.owner)
    assert "is no beacon deposit contract" in other
    assert "is no registry" in shell.refused(*deploying, "--registry", world.pool.address, by=world.owner)


def test_committees_keys_and_deposits(shell: Shell, tmp_path: Path) -> None:
    world = shell.world
    pool, member, staker, poor = world.pool, world.members[0], world.account(100), world.account(1)
    inventory = tmp_path / "inventory"
    ids = ",".join(map(str, world.ids))
    allowing = ("committee", "allow", "--operators", ids)
    signed = files(
        tmp_path, lambda path, number: shell.run(*allowing, "--sign", path, by=world.members[number]), (1, 2)
    )
    assert "2 approvals of members, expected 3: let others of" in shell.refused(*allowing, *signed, by=world.owner)
    forbidding = shell.refused("committee", "allow", "--forbid", "--operators", ids, *signed, by=member)
    assert "not allowed already, nothing is to be done" in forbidding
    assert "is no member of the pool" in shell.refused(*allowing, "--sign", tmp_path / "x.json", by=poor)
    damaged = tmp_path / "damaged.json"
    damaged.write_text(Path(signed[1]).read_text().replace('"allowed": true', '"allowed": false'))
    assert "the file was changed" in shell.refused(*allowing, "--approval", damaged, by=member)
    assert shell.run(*allowing, *signed, "--dry-run", by=member)["transactions"][0]["dry_run"] is True
    assert shell.run(*allowing, *signed, by=member)["approvals"] == 3
    assert "allowed already" in shell.refused(*allowing, *signed, by=member)
    paying = shell.refused("cluster", "pay", "--operators", ids, "--amount", 1, by=member)
    assert "the pool has no cluster with these operators" in paying

    registering = ("register-validator", "--inventory", inventory)
    made = shell.run("keys", "make", "--operators", ids, "--inventory", inventory, "--count", 2)["keys"]
    assert [key["nonce"] for key in made] == [0, 1]
    assert "and the pool may pay 0 in this window of 30 days" in shell.refused(*registering, by=member)
    shell.run("stake", 70, by=staker)
    later = next(Path(made[1]["folder"]).glob("keyshares-*"))
    registering_file = ("register-validator", "--key-shares")
    assert "key shares for nonce 1, expected 0" in shell.refused(*registering_file, later, by=member)
    stranger = make_key(tmp_path / "stranger", STRANGER, 0, world.operators, NETWORK, NOW)
    foreign = next(stranger.folder.glob("keyshares-*"))
    assert "expected the pool" in shell.refused(*registering_file, foreign, by=member)
    assert "and the pool may pay 0.7 in this window" in shell.refused(*registering, "--amount", 2, by=member)
    registered = shell.run(*registering, by=member)
    assert registered["validator"] == made[0]["validator"]
    first = next(Path(made[0]["folder"]).glob("keyshares-*"))
    assert "registered already by the pool, a key is used once" in shell.refused(*registering_file, first, by=member)

    validator = made[0]["validator"]
    funding = ("fund-validator", validator, "--deposit-data")
    secret = 0x1234
    wrong = sign_deposit(secret, bytes(32), NETWORK.fork_version)
    write_deposit_data(tmp_path / "wrong.json", [wrong], "devnet")
    assert "no deposit of key" in shell.refused(*funding, tmp_path / "wrong.json", by=member)
    assert "never registered, expected registered" in shell.refused(
        "fund-validator", f"0x{wrong.public_key.hex()}", "--deposit-data", tmp_path / "wrong.json", by=member
    )
    good = next(Path(made[0]["folder"]).glob("deposit_data-*"))
    assert "expected 0x00000001 of this network" in shell.refused(
        *funding, good, "--fork-version", "00000001", by=member
    )
    signed = files(
        tmp_path, lambda path, number: shell.run(*funding, good, "--sign", path, by=world.members[number]), (1, 3)
    )
    # Somebody deposits for this key first: with this change of the root the signatures are worthless.
    deposits = world.w3.eth.contract(address=pool.deposit_contract(), abi=published_abi("DepositContract"))
    attack = sign_deposit(secret, bytes(32), NETWORK.fork_version, 10**9)
    arguments = (attack.public_key, attack.withdrawal_credentials, attack.signature, attack.data_root)
    sent = deposits.functions.deposit(*arguments).transact({"from": world.w3.eth.accounts[9], "value": ETHER})
    world.w3.eth.wait_for_transaction_receipt(sent)
    assert "depositRoot 0x" in shell.refused(*funding, good, *signed, by=member)
    signed = files(
        tmp_path, lambda path, number: shell.run(*funding, good, "--sign", path, by=world.members[number]), (1, 3)
    )
    shell.run(*funding, good, *signed, by=member)
    assert "funded, expected registered: nothing is to be done" in shell.refused(*funding, good, by=member)
    assert "no exit is needed" in shell.refused("exit-validators", validator, by=member)


def test_reports_and_the_pause(shell: Shell, tmp_path: Path) -> None:
    world = shell.world
    member, staker, poor = world.members[0], world.account(100), world.account(1)
    shell.run("stake", 70, by=staker)
    world.allow()
    key = make_key(tmp_path / "inventory", world.pool.address, 0, world.operators, NETWORK, NOW)
    register(world, key, ETHER // 10)
    funding = funding_of(world, key)
    world.pool.send(world.owner, world.pool.calls.fund_validator(funding, world.approvals(funding)))
    world.pass_days(1)
    block = world.w3.eth.block_number
    reporting = ("report", "--slot", 9, "--block", block, "--beacon-balance")
    assert "the pool books none below -" in shell.refused(*reporting, "20", by=member)
    signed = files(
        tmp_path, lambda path, number: shell.run(*reporting, "32.001", "--sign", path, by=world.members[number]), (1, 2)
    )
    assert "is over something else: beaconBalance 32001" in shell.refused(*reporting, "32.002", *signed, by=member)
    assert "2 approvals of members, expected 3" in shell.refused("report", *signed, by=world.owner)
    assert shell.run(*reporting, "32.001", *signed, by=member)["change"] == str(10**15)
    assert "and the chain says number 2" in shell.refused("report", *signed, by=world.owner)

    status = shell.run("status")
    assert (status["validators"][0]["state"], status["last_report"]["number"]) == ("funded", "1")
    assert status["pause"]["paused"] is False
    shell.run("pause", "a test", by=member)
    status = shell.run("status")
    assert (status["pause"]["by"], status["pause"]["reason"]) == (member.address, "a test")
    paused = shell.refused("stake", 1, by=staker)
    assert f"the pool is paused by {member.address} since" in paused
    assert "(a test): wait, or ask its owner" in paused
    request = shell.run("unstake", 1, by=staker)
    assert (request["request"], request["place_in_queue"]) == (1, 1)
    assert "not ready, 0 requests are before it" in shell.refused("claim", 1, by=staker)
    shell.run("redirect", 1, poor.address, by=staker)
    assert "only its owner can" in shell.refused("redirect", 1, poor.address, by=poor)
    shell.run("unpause", by=world.owner)
    assert "it is not paused" in shell.refused("unpause", by=world.owner)
    assert shell.run("balance", staker.address)["requests"][0]["receiver"] == poor.address


def test_a_key_that_somebody_has_deposited_for_is_never_funded(shell: Shell, tmp_path: Path) -> None:
    world = shell.world
    staker = world.account(100)
    shell.run("stake", 40, by=staker)
    world.allow()
    key = make_key(tmp_path / "inventory", world.pool.address, 0, world.operators, NETWORK, NOW)
    register(world, key, ETHER // 10)
    deposits = world.w3.eth.contract(address=world.pool.deposit_contract(), abi=published_abi("DepositContract"))
    # The contract looks at no signature; the beacon chain does, and takes the first that is right.
    stolen = sign_deposit(0x77, b"\x01" + bytes(11) + bytes.fromhex("ee" * 20), NETWORK.fork_version, 10**9)
    stolen = type(stolen)(key.public_key, stolen.withdrawal_credentials, 10**9, stolen.signature, stolen.fork_version)
    arguments = (stolen.public_key, stolen.withdrawal_credentials, stolen.signature, stolen.data_root)
    sent = deposits.functions.deposit(*arguments).transact({"from": world.w3.eth.accounts[9], "value": ETHER})
    world.w3.eth.wait_for_transaction_receipt(sent)

    validator = f"0x{key.public_key.hex()}"
    said = shell.refused(
        "fund-validator",
        validator,
        "--inventory",
        tmp_path / "inventory",
        "--sign",
        tmp_path / "no.json",
        by=world.members[0],
    )
    assert "somebody has deposited 1000000000 Gwei for this key" in said
    assert "never fund it" in said
    removing = ("remove-validator", validator)
    signed = files(
        tmp_path, lambda path, number: shell.run(*removing, "--sign", path, by=world.members[number]), (0, 1)
    )
    assert shell.run(*removing, *signed, by=world.members[2])["removed"] == validator
    assert "retired already" in shell.refused(*removing, *signed, by=world.members[2])


def test_reports_and_deposits_by_a_beacon_node(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world, member = shell.world, shell.world.members[0]
    shell.run("stake", 70, by=world.account(100))
    world.allow()
    keys = [
        make_key(tmp_path / "inventory", world.pool.address, nonce, world.operators, NETWORK, NOW) for nonce in (0, 1)
    ]
    for key in keys:
        register(world, key, ETHER // 10)
    funding = funding_of(world, keys[0])
    world.pool.send(world.owner, world.pool.calls.fund_validator(funding, world.approvals(funding)))
    world.pass_days(1)
    entry = {
        "index": "7",
        "balance": "32001000000",
        "status": "active_ongoing",
        "validator": {
            "pubkey": f"0x{keys[0].public_key.hex()}",
            "activation_epoch": "1",
            "exit_epoch": str(2**64 - 1),
        },
    }
    block = {"data": {"message": {"body": {"execution_payload": {"block_number": str(world.w3.eth.block_number)}}}}}
    node = Node(
        chain_routes("fulu", MINIMAL),
        **{
            "GET /eth/v1/beacon/states/head/finality_checkpoints": (200, {"data": {"finalized": {"epoch": "3"}}}),
            # Slots 23 and 24 have no block: the state has that of slot 22.
            "GET /eth/v2/beacon/blocks/22": (200, block),
            "POST /eth/v1/beacon/states/24/validators": (200, {"data": [entry]}),
            "POST /eth/v1/beacon/states/head/validators": (200, {"data": [entry]}),
        },
    )
    monkeypatch.setattr("ssv_pool.beacon.client.BeaconClient", lambda _urls, _timeout: client_of(node))
    reporting = ("report", "--beacon-node", "http://node0")

    early = shell.refused(*reporting, "--slot", 25, by=member)
    assert "slot 25, and slot 24 is the last that is final: give an earlier one" in early
    signed = files(
        tmp_path, lambda path, number: shell.run(*reporting, "--sign", path, by=world.members[number]), (1, 2)
    )
    found = shell.run(*reporting, *signed, by=member)
    assert (found["slot"], found["change"], found["exited"]) == (24, str(10**15), 0)
    assert found["deposits_counted"] == str(32 * ETHER)
    assert "slot 24 and block" in shell.refused(*reporting, by=member)

    shell.run("stake", 32, by=world.account(100))
    funding_second = ("fund-validator", f"0x{keys[1].public_key.hex()}", "--inventory", tmp_path / "inventory")
    approval = ("--beacon-node", "http://node0", "--sign")
    shell.run(*funding_second, *approval, tmp_path / "good.json", by=member)
    entry["validator"]["pubkey"] = f"0x{keys[1].public_key.hex()}"  # type: ignore[index]
    said = shell.refused(*funding_second, *approval, tmp_path / "bad.json", by=member)
    assert "the beacon chain knows this key already" in said
    assert not (tmp_path / "bad.json").exists()


def test_the_owner_announces_and_hands_over(shell: Shell) -> None:
    world = shell.world
    owner, heir = world.owner, world.account(1)
    rates = ("--treasury", TREASURY, "--operator-fee", 100, "--treasury-fee", 200)

    announcing = ("announce", "parameters", *rates)
    assert "the pool belongs to" in shell.refused(*announcing, by=heir)
    assert "nothing is, nothing is to be done" in shell.refused("announce", "execute", by=owner)
    executable = shell.run(*announcing, by=owner)["executable_at"]
    assert executable - int(world.w3.eth.get_block("latest")["timestamp"]) == 14 * 86_400
    assert "possible from" in shell.refused("announce", "execute", by=owner)
    world.pass_days(14)
    assert shell.run("announce", "execute", by=owner)["executed"] == "parameters"
    assert (world.pool.parameters().operator_fee, world.pool.parameters().treasury_fee) == (100, 200)

    members = ("announce", "members", "--member", heir.address, "--member", owner.address)
    shell.run(*members, by=owner)
    shell.run("announce", "cancel", by=owner)
    assert world.pool.ask("announcement")[0] == 0
    shell.run(*members, by=owner)
    world.pass_days(14)
    assert shell.run("announce", "execute", by=owner)["executed"] == "members"
    assert (set(world.pool.members()), world.pool.quorum()) == ({heir.address, owner.address}, 2)

    shell.run("owner", "offer", heir.address, by=owner)
    assert shell.run("owner", "accept", by=heir)["owner"] == world.pool.owner() == heir.address


def test_clusters_are_paid_and_refunded(shell: Shell, tmp_path: Path) -> None:
    world = shell.world
    pool, staker = world.pool, world.account(100)
    shell.run("stake", 40, by=staker)
    world.allow()
    key = make_key(tmp_path / "inventory", pool.address, 0, world.operators, NETWORK, NOW)
    register(world, key, ETHER // 10)
    ids = ",".join(map(str, world.ids))

    def approved(verb: str, amount: object) -> dict[str, Any]:
        command = ("cluster", verb, "--operators", ids, "--amount", amount)
        signed = files(
            tmp_path, lambda path, number: shell.run(*command, "--sign", path, by=world.members[number]), (0, 3)
        )
        return shell.run(*command, *signed, by=world.members[1])

    approved("pay", "0.05")
    (status,) = shell.run("status")["clusters"]
    assert 0 < int(status["balance"]) <= 15 * 10**16
    before = pool.number("buffered")
    approved("refund", "0.02")
    assert pool.number("buffered") == before + 2 * 10**16
    reactivating = ("cluster", "reactivate", "--operators", ids, "--amount", "0.01")
    assert "it is active already, use `pool cluster pay`" in shell.refused(*reactivating, by=world.members[0])
    paying = ("cluster", "pay", "--operators", ids, "--amount", 3)
    assert "in this window of 30 days: give less, or wait" in shell.refused(*paying, by=world.members[0])

    # Nothing is ready before a report of a later block, which then makes it ready itself.
    assert "no request waits" in shell.refused("finalize", by=staker)
    shell.run("unstake", 1, by=staker)
    assert shell.run("finalize", by=staker)["ready"] == []
    world.report(100, 0)
    assert shell.run("claim", by=staker)["requests"] == [1]

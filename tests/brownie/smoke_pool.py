"""The staking pool and the deposit contract through Brownie, on anvil: run by scripts/brownie test."""

import hashlib

import brownie
import pytest
from eth_abi import encode
from eth_account import Account
from eth_utils import keccak

KEY, SIGNATURE = b"\x01" * 48, b"\x02" * 96
NEW_CLUSTER = (0, 0, 0, True, 0)
OPERATORS = [1, 2, 3, 4]
ETHER = 10**18


@pytest.fixture
def deposit_contract(DepositContract, accounts):  # noqa: N803
    return DepositContract.deploy({"from": accounts[0]})


@pytest.fixture
def signers():
    return sorted((Account.create() for _ in range(4)), key=lambda signer: int(signer.address, 16))


@pytest.fixture
def pool(SSVRegistry, StakingPool, deposit_contract, signers, accounts):  # noqa: N803
    registry = SSVRegistry.deploy(3_000, {"from": accounts[0]})
    for number in OPERATORS:
        registry.registerOperator(bytes([number]), 0, False, {"from": accounts[0]})
    members = [signer.address for signer in signers]
    for member in members:
        accounts[9].transfer(member, ETHER)
    rates = (accounts[0], 500, 500, 1000, 500, 100)
    return StakingPool.deploy(registry, deposit_contract, members, 3, rates, {"from": accounts[0]})


def deposit_root(key, credentials, signature, gwei):
    """The hash tree root of DepositData, from the consensus specification's rules for containers."""

    def both(left, right):
        return hashlib.sha256(left + right).digest()

    public_key = both(key[:32], key[32:] + bytes(16))
    signed = both(both(signature[:32], signature[32:64]), both(signature[64:], bytes(32)))
    return both(both(public_key, credentials), both(gwei.to_bytes(8, "little") + bytes(24), signed))


def approvals(pool, signers, kind, *fields):
    """EIP-712 signatures of three members over a struct whose fields are words."""
    struct = keccak(encode(["bytes32"] * (1 + len(fields)), [keccak(text=kind), *fields]))
    digest = keccak(b"\x19\x01" + bytes(pool.DOMAIN_SEPARATOR()) + struct)
    signed = [Account.unsafe_sign_hash(digest, signer.key) for signer in signers[:3]]
    return [each.signature for each in signed]


def test_a_deposit_changes_the_root(deposit_contract, accounts):
    before = deposit_contract.get_deposit_root()
    credentials = b"\x01" + bytes(11) + bytes.fromhex(accounts[1].address[2:])
    root = deposit_root(KEY, credentials, SIGNATURE, 32 * 10**9)
    wrong = bytes(32)
    with brownie.reverts():
        deposit_contract.deposit(KEY, credentials, SIGNATURE, wrong, {"from": accounts[1], "value": 32 * ETHER})
    deposited = deposit_contract.deposit(KEY, credentials, SIGNATURE, root, {"from": accounts[1], "value": 32 * ETHER})
    assert bytes(deposited.events["DepositEvent"]["pubkey"]) == KEY
    assert deposit_contract.get_deposit_root() != before
    assert int.from_bytes(deposit_contract.get_deposit_count(), "little") == 1


def test_stake_fund_and_leave(pool, deposit_contract, signers, accounts):
    staked = pool.stake({"from": accounts[1], "value": 40 * ETHER})
    assert staked.events["Staked"]["shares"] == pool.balanceOf(accounts[1]) == 40 * ETHER

    ids = keccak(encode(["uint64"] * 4, OPERATORS))
    nonce = (0).to_bytes(32, "big")
    kind = "Committee(uint64[] operatorIds,bool allowed,uint256 nonce)"
    allowed = approvals(pool, signers, kind, ids, (1).to_bytes(32, "big"), nonce)
    pool.allowCommittee(OPERATORS, True, 0, allowed, {"from": accounts[5]})
    brownie.accounts.add(signers[0].key.hex())
    member = brownie.accounts.at(signers[0].address)
    pool.registerValidator(KEY, OPERATORS, b"\x03" * 1312, 0, NEW_CLUSTER, {"from": member})

    data_root = deposit_root(KEY, bytes(pool.withdrawalCredentials()), SIGNATURE, 32 * 10**9)
    seen = bytes(deposit_contract.get_deposit_root())
    kind = "Funding(bytes publicKey,bytes signature,bytes32 depositDataRoot,bytes32 depositRoot)"
    signed = approvals(pool, signers, kind, keccak(KEY), keccak(SIGNATURE), data_root, seen)
    with brownie.reverts():
        pool.fundValidator(KEY, SIGNATURE, data_root, seen, signed[:2], {"from": accounts[5]})
    pool.fundValidator(KEY, SIGNATURE, data_root, seen, signed, {"from": accounts[5]})
    assert (pool.validatorState(KEY), pool.buffered(), pool.totalAssets()) == (2, 8 * ETHER, 40 * ETHER)
    assert deposit_contract.balance() == 32 * ETHER

    asked = pool.requestWithdrawal(ETHER, accounts[2], {"from": accounts[1]})
    assert asked.events["WithdrawalRequested"]["assets"] == ETHER
    with brownie.reverts():
        pool.claim(1, {"from": accounts[1]})

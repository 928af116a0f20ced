"""Malformed events that the real contract lets through: ignored, counted, visible, and nothing else is lost."""

import secrets

import pytest
from eth_account import Account
from live_cluster import until

from ssv_pool.crypto import bls, operator_keys
from ssv_pool.crypto.shares_data import registration_root
from ssv_pool.devnet.anvil import account_key
from ssv_pool.devnet.interop import interop_secret_key
from ssv_pool.pool.keyshares import ShareOperator, split_key
from ssv_pool.registry.artifacts import published_abi
from ssv_pool.registry.calls import Call
from ssv_pool.registry.contract import Registration, RegistryContract
from ssv_pool.store.database import Database
from ssv_pool.store.registry import load_registry, malformed_events

pytestmark = pytest.mark.integration


def test_malformed_events(live):
    """Each kind that the contract does not refuse, by one owner, and a good registration of the same owner after it."""
    contract: RegistryContract = live.cluster.registry.contract
    owner = Account.from_key(account_key(1))
    members = [
        ShareOperator(o.operator_id, operator_keys.public_key_from_base64(o.files.public_key)) for o in live.operators
    ]
    ids = [member.operator_id for member in members]
    before = [operator.status()["registry"] for operator in live.operators]

    def shares_for(secret, nonce):
        return split_key(secret, members, owner.address, nonce)

    secrets_ = [secrets.randbits(250) + 1 for _ in range(4)]
    keys = [bls.secret_to_public(secret) for secret in secrets_]
    taken = interop_secret_key(0)
    foreign_key = bls.secret_to_public(taken)
    registry = contract.w3.eth.contract(address=contract.address, abi=published_abi())
    call = Call("register", registry.functions.registerOperator(b"\x01" * 40, 0, False))
    no_key = contract.history.operator_id_of(call.action, contract.send(owner, call).receipt)
    good = shares_for(secrets_[3], 5)
    registrations = [
        Registration(keys[0], shares_for(secrets_[0], 0).shares_data[:-1]),
        Registration(keys[1], shares_for(secrets_[1], 0).shares_data),
        Registration(b"\x11" * 48, shares_for(secrets_[1], 2).shares_data),
        Registration(foreign_key, shares_for(taken, 3).shares_data),
    ]
    contract.register_validators(owner, registrations, ids)
    contract.register_validators(owner, [Registration(keys[2], good.shares_data)], [*ids[:3], no_key])
    contract.register_validators(owner, [Registration(good.public_key, good.shares_data)], ids)
    contract.exit_validators(owner, [keys[0]], ids)
    contract.exit_validators(owner, [foreign_key], ids)
    contract.remove_validators(owner, [keys[1]], ids)
    contract.remove_operator(owner, no_key)
    assert bls.verify(good.public_key, registration_root(owner.address, 5), good.shares.signature)

    expected = {
        "undecodable": 1,
        "shares-length": 1,
        "signature": 1,
        "public-key": 1,
        "other-owner": 2,
        "unregistered-operator": 1,
        "unknown-validator": 2,
        "unknown-operator": 1,
    }

    def counted():
        return [
            {reason: count - old["malformed_events"].get(reason, 0) for reason, count in now.items()}
            for now, old in zip(
                (operator.status()["registry"]["malformed_events"] for operator in live.operators), before, strict=True
            )
        ]

    until(lambda: counted() == [expected] * 4, what=counted)
    second = live.operator(2)
    for reason, count in expected.items():
        assert second.metric("ssv_event_syncer_malformed_events_count", reason=reason) >= count
    assert len(second.log_lines("malformed registry event")) == sum(expected.values())

    for url in filter(None, (f"sqlite:///{second.data / 'store.sqlite'}", live.store_url)):
        database = Database(url)
        with database.read() as session:
            details = {event.detail for event in malformed_events(session)}
            known = {validator.public_key for validator in load_registry(session).validators}
        database.close()
        assert all(details), "each says what is wrong"
        assert good.public_key in known, "the registration after them counted their nonces"
        assert not {keys[0], keys[1], keys[2]} & known
        assert foreign_key in known, "it stays its first owner's"
    assert all(operator.healthy() for operator in live.operators), live.cluster.healths()
    live.cluster.wait_attesting(1)

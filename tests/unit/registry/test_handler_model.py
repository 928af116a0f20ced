"""Random sequences of events, against a model of the rules that is written as plainly as can be."""

import tempfile
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from registry_chain import (
    ALICE,
    BOB,
    Chain,
    Content,
    cluster_liquidated,
    cluster_reactivated,
    fee_recipient_updated,
    make_block,
    operator_added,
    operator_removed,
    operators_added,
    validator_added,
    validator_exited,
    validator_removed,
)
from sqlalchemy import select

from ssv_pool.crypto.shares_data import registration_root
from ssv_pool.registry.handler import EventHandler
from ssv_pool.store import Database
from ssv_pool.store.models import CommitteeMembership, Owner, Validator
from ssv_pool.store.registry import exit_requests, load_registry, validators_of_operator

OWNERS = (ALICE, BOB)
KEYS = tuple(sha256(bytes([number])).digest() + bytes(16) for number in range(4))
COMMITTEES = (*((1, 2, 3, 4),) * 3, (2, 3, 4, 5), (1, 2, 3, 4, 5, 6, 7), (1, 2, 3), (1, 1, 2, 3), ())
OPERATORS = tuple(range(1, 9))


def sign(key: bytes, message: bytes) -> bytes:
    """In place of BLS: cheap, and as bound to key and message."""
    return (sha256(key + message).digest() * 3)[:96]


@dataclass
class ModelValidator:
    owner: bytes
    ids: tuple[int, ...]
    registered: int
    since: int
    liquidated: bool = False


@dataclass
class Model:
    operators: dict[int, bytes] = field(default_factory=dict)
    validators: dict[bytes, ModelValidator] = field(default_factory=dict)
    nonces: dict[bytes, int] = field(default_factory=dict)
    recipients: dict[bytes, bytes] = field(default_factory=dict)
    exits: list[bytes] = field(default_factory=list)

    def add_operator(self, operator_id: int, key: bytes) -> None:
        if operator_id not in self.operators and key not in self.operators.values():
            self.operators[operator_id] = key

    def add_validator(self, owner: bytes, key: bytes, ids: tuple[int, ...], nonce: int, whole: bool, time: int) -> None:
        expected = self.nonces.get(owner, 0)
        self.nonces[owner] = expected + 1
        good_ids = len(ids) in (4, 7, 10, 13) and len(set(ids)) == len(ids) and set(ids) <= set(self.operators)
        if good_ids and whole and nonce == expected and key not in self.validators:
            self.validators[key] = ModelValidator(owner, ids, time, time)

    def remove_validator(self, owner: bytes, key: bytes) -> None:
        if key in self.validators and self.validators[key].owner == owner:
            del self.validators[key]

    def set_cluster(self, owner: bytes, ids: tuple[int, ...], liquidated: bool, time: int) -> None:
        for validator in self.validators.values():
            if (validator.owner, validator.ids) == (owner, ids) and validator.liquidated != liquidated:
                validator.liquidated = liquidated
                if not liquidated:
                    validator.since = time

    def exit(self, owner: bytes, key: bytes) -> None:
        if key in self.validators and self.validators[key].owner == owner:
            self.exits.append(key)


@st.composite
def event(draw: st.DrawFn, model: Model, time: int) -> Content:
    """Draw an event and apply it to the model."""
    owner, key = draw(st.sampled_from(OWNERS)), draw(st.sampled_from(KEYS))
    ids = draw(st.sampled_from(COMMITTEES))
    kinds = ["add", "op", "unop", "remove", "fee"]
    if model.validators:
        kinds += ["add", "liquidate", "liquidate", "reactivate", "reactivate", "reactivate", "exit"]
    kind = draw(st.sampled_from(kinds))
    if kind != "add" and model.validators and draw(st.integers(0, 3)):
        # Mostly about a validator that is there: else hardly any event would have an effect.
        key = draw(st.sampled_from(sorted(model.validators)))
        owner, ids = model.validators[key].owner, model.validators[key].ids
    match kind:
        case "add":
            # Mostly the right nonce: else hardly any registration would pass.
            nonce = max(0, model.nonces.get(owner, 0) + draw(st.sampled_from((0, 0, 0, 0, -1, 1))))
            whole = draw(st.integers(0, 7)) > 0
            shares = sign(key, registration_root(owner, nonce)) + bytes(304 * len(ids) + (0 if whole else 1))
            model.add_validator(owner, key, ids, nonce, whole, time)
            return validator_added(key, shares, owner, ids)
        case "remove":
            model.remove_validator(owner, key)
            return validator_removed(key, owner, ids)
        case "liquidate":
            model.set_cluster(owner, ids, True, time)
            return cluster_liquidated(owner, ids)
        case "reactivate":
            model.set_cluster(owner, ids, False, time)
            return cluster_reactivated(owner, ids)
        case "fee":
            recipient = draw(st.sampled_from((b"x" * 20, b"y" * 20)))
            model.recipients[owner] = recipient
            return fee_recipient_updated(recipient, owner)
        case "exit":
            model.exit(owner, key)
            return validator_exited(key, owner, ids)
        case "op":
            operator_id, number = draw(st.sampled_from(OPERATORS)), draw(st.sampled_from(OPERATORS))
            model.add_operator(operator_id, b"key of %d" % number)
            return operator_added(operator_id, key=b"key of %d" % number)
        case _:
            operator_id = draw(st.sampled_from(OPERATORS))
            model.operators.pop(operator_id, None)
            return operator_removed(operator_id)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_the_store_follows_the_model(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        database = Database(Path(folder) / "store.sqlite")
        database.create_schema()
        handler = EventHandler(
            verify=lambda key, message, signature: sign(key, message) == signature, valid_key=KEYS.__contains__
        )
        chain = Chain(database, handler)
        chain.mine(*operators_added(7))
        model = Model(operators={i: b"key of %d" % i for i in range(1, 8)})
        for _ in range(data.draw(st.integers(1, 10), "blocks")):
            time = make_block(chain.number + 1).time
            chain.mine(*[data.draw(event(model, time)) for _ in range(data.draw(st.integers(1, 6), "events"))])
            check(database, model)
        database.close()


def check(database: Database, model: Model) -> None:
    with database.read() as session:
        registry = load_registry(session)
        assert {i: record.public_key for i, record in registry.operators.items()} == model.operators
        found = {record.public_key: record for record in registry.validators}
        assert {
            key: ModelValidator(it.owner, it.operator_ids, it.registered_time, it.active_since, it.liquidated)
            for key, it in found.items()
        } == model.validators
        assert all(it.fee_recipient == model.recipients.get(it.owner, it.owner) for it in found.values())
        nonces = session.execute(select(Owner.owner, Owner.nonce)).all()
        assert {owner: nonce for owner, nonce in nonces if nonce} == model.nonces
        assert [request.public_key for request in exit_requests(session)] == model.exits
        for operator_id in OPERATORS:
            assert {record.public_key for record in validators_of_operator(session, operator_id)} == {
                key for key, wanted in model.validators.items() if operator_id in wanted.ids
            }
        committees = set(session.scalars(select(Validator.committee_id)))
        assert set(session.scalars(select(CommitteeMembership.committee_id))) == committees

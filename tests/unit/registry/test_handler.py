"""Every rule of the registry's events, one test each, with real BLS signatures."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest
from eth_abi.abi import encode
from eth_utils.address import to_checksum_address
from registry_chain import (
    ALICE,
    BOB,
    CHAIN_ID,
    CONTRACT,
    Chain,
    ciphertext,
    cluster_liquidated,
    cluster_reactivated,
    fee_recipient_updated,
    make_block,
    make_logs,
    operator_added,
    operator_removed,
    registration,
    share_key,
    validator_added,
    validator_exited,
    validator_removed,
)
from sqlalchemy import select

from ssv_pool.crypto import bls
from ssv_pool.errors import ConfigError
from ssv_pool.protocol.types.ids import cluster_id, committee_id
from ssv_pool.registry.handler import EventHandler, Malformed
from ssv_pool.store import Database, OperatorRecord, OwnShare, RegistrySnapshot, ValidatorRecord
from ssv_pool.store.cursor import Block, EventRecord, advance, open_cursor, record_block
from ssv_pool.store.models import Owner
from ssv_pool.store.registry import (
    event_counts,
    exit_requests,
    fee_recipient_changes_since,
    load_registry,
    malformed_events,
    own_shares,
    validators_of_operator,
)

SECRET, OTHER_SECRET = 1001, 1002
KEY, OTHER_KEY = bls.secret_to_public(SECRET), bls.secret_to_public(OTHER_SECRET)
APPLIED = ("applied", None, None)


def state(chain: Chain) -> RegistrySnapshot:
    with chain.database.read() as session:
        return load_registry(session)


def nonce(chain: Chain, owner: bytes = ALICE) -> int:
    with chain.database.read() as session:
        return session.scalar(select(Owner.nonce).where(Owner.owner == owner)) or 0


def assert_malformed(chain: Chain, content: tuple[tuple[bytes, ...], bytes], reason: Malformed, detail: str) -> None:
    """The event is malformed for this reason, the registry is as before, and the block goes on."""
    before = state(chain)
    after_it = fee_recipient_updated(sha256(bytes([chain.number])).digest()[:20], BOB)
    assert chain.outcome(content, after_it) == [("malformed", reason.value, detail), APPLIED]
    after = state(chain)
    assert replace(after, version=0, block_number=0) == replace(before, version=0, block_number=0)


# OperatorAdded, OperatorRemoved


def test_an_operator_is_added(chain: Chain) -> None:
    assert chain.outcome(operator_added(14, BOB, b"its key", fee=2**256 - 1)) == [APPLIED]
    assert state(chain).operators[14] == OperatorRecord(14, BOB, b"its key")
    assert state(chain).operator_with_key(b"its key") == 14


def test_an_operator_with_the_largest_id_is_added(chain: Chain) -> None:
    assert chain.outcome(operator_added(2**64 - 1)) == [APPLIED]
    assert 2**64 - 1 in state(chain).operators


def test_operator_id_zero_is_malformed(chain: Chain) -> None:
    assert_malformed(chain, operator_added(0), Malformed.OPERATOR_ID_ZERO, "operator id 0, expected 1 or more")


def test_an_operator_id_that_is_taken_is_malformed(chain: Chain) -> None:
    content = operator_added(3, key=b"another key")
    assert_malformed(chain, content, Malformed.OPERATOR_ID_TAKEN, "operator 3 is registered already")


def test_an_operator_key_that_is_taken_is_malformed(chain: Chain) -> None:
    content = operator_added(14, key=b"key of 3")
    assert_malformed(chain, content, Malformed.OPERATOR_KEY_TAKEN, "operator 14 has the public key of operator 3")


def test_an_operator_key_that_is_not_packed_is_malformed(chain: Chain) -> None:
    topics, _ = operator_added(14)
    content = (topics, encode(["bytes", "uint256"], [b"bare key", 0]))
    detail = "packed bytes: 8 bytes, expected at least 64"
    assert_malformed(chain, content, Malformed.UNDECODABLE, detail)


def test_any_bytes_do_as_an_operator_key(chain: Chain) -> None:
    """Nobody checks them: a committee with a nonsense operator still works without it."""
    assert chain.outcome(operator_added(14, key=b"\xff\x00"), operator_added(15, key=bytes(10_000))) == [APPLIED] * 2
    assert state(chain).operators[14].pem is None
    assert chain.outcome(operator_added(16, key=b"")) == [APPLIED]
    assert chain.outcome(operator_added(17, key=b""))[0][:2] == ("malformed", "operator-key-taken")


def test_an_operator_is_removed_and_its_key_is_free_again(chain: Chain) -> None:
    assert chain.outcome(operator_removed(3)) == [APPLIED]
    assert 3 not in state(chain).operators
    assert chain.outcome(operator_added(14, key=b"key of 3")) == [APPLIED]


def test_removing_an_unknown_operator_is_malformed(chain: Chain) -> None:
    assert_malformed(chain, operator_removed(99), Malformed.UNKNOWN_OPERATOR, "operator 99 is not registered")


def test_removing_an_operator_twice_is_malformed(chain: Chain) -> None:
    chain.mine(operator_removed(3))
    assert_malformed(chain, operator_removed(3), Malformed.UNKNOWN_OPERATOR, "operator 3 is not registered")


def test_validators_go_on_listing_a_removed_operator(chain: Chain) -> None:
    chain.mine(registration(SECRET, 0))
    chain.mine(operator_removed(3))
    assert state(chain).validators[0].operator_ids == (1, 2, 3, 4)
    with chain.database.read() as session:
        assert [validator.public_key for validator in validators_of_operator(session, 3)] == [KEY]


# ValidatorAdded


@pytest.mark.parametrize("size", [4, 7, 10, 13])
def test_a_validator_is_added(chain: Chain, size: int) -> None:
    ids = tuple(range(1, size + 1))
    assert chain.outcome(registration(SECRET, 0, ids=ids)) == [APPLIED]
    block = make_block(chain.number)
    validator = ValidatorRecord(
        public_key=KEY,
        owner=ALICE,
        fee_recipient=ALICE,
        operator_ids=ids,
        share_public_keys=tuple(share_key(i) for i in ids),
        committee_id=committee_id(ids),
        cluster_id=cluster_id(ALICE, ids),
        liquidated=False,
        registered_block=block.number,
        registered_time=block.time,
        active_since=block.time,
        index=None,
        status=None,
        activation_epoch=None,
        exit_epoch=None,
    )
    assert state(chain).validators == (validator,)
    assert validator.share_of(2) == share_key(2)
    assert validator.share_of(99) is None
    with chain.database.read() as session:
        assert validators_of_operator(session, size) == [validator]
        assert validators_of_operator(session, 14) == []
        assert own_shares(session, 2) == [OwnShare(KEY, share_key(2), ciphertext(2))]
        assert own_shares(session, 2, [KEY]) == own_shares(session, 2)
        assert own_shares(session, 2, [OTHER_KEY]) == []
        assert own_shares(session, 14) == []


def test_nonces_count_up_per_owner(chain: Chain) -> None:
    contents = [registration(SECRET, 0), registration(OTHER_SECRET, 1), registration(1003, 0, BOB)]
    assert chain.outcome(*contents) == [APPLIED] * 3
    assert (nonce(chain, ALICE), nonce(chain, BOB)) == (2, 1)


def test_the_nonce_is_a_16_bit_counter(chain: Chain) -> None:
    with chain.database.session() as session:
        session.add(Owner(owner=ALICE, nonce=65535))
    assert chain.outcome(registration(SECRET, 65535), registration(OTHER_SECRET, 0)) == [APPLIED] * 2


def test_no_operators_is_malformed(chain: Chain) -> None:
    content = registration(SECRET, 0, ids=())
    assert_malformed(chain, content, Malformed.NO_OPERATORS, "no operators, expected 4, 7, 10 or 13")
    assert nonce(chain) == 1


def test_too_many_operators_is_malformed(chain: Chain) -> None:
    content = registration(SECRET, 0, ids=range(1, 17))
    assert_malformed(chain, content, Malformed.TOO_MANY_OPERATORS, "16 operators, expected 4, 7, 10 or 13")
    assert nonce(chain) == 1


def test_a_repeated_operator_is_malformed(chain: Chain) -> None:
    content = registration(SECRET, 0, ids=(1, 2, 2, 3))
    assert_malformed(chain, content, Malformed.REPEATED_OPERATOR, "operator 2 occurs twice")
    assert nonce(chain) == 1


@pytest.mark.parametrize("size", [1, 2, 3, 5, 6, 8, 9, 11, 12])
def test_another_committee_size_is_malformed(chain: Chain, size: int) -> None:
    content = registration(SECRET, 0, ids=range(1, size + 1))
    assert_malformed(chain, content, Malformed.COMMITTEE_SIZE, f"{size} operators, expected 4, 7, 10 or 13")
    assert nonce(chain) == 1


def test_operators_that_are_not_registered_are_malformed(chain: Chain) -> None:
    content = registration(SECRET, 0, ids=(0, 1, 2, 2**64 - 1))
    detail = f"operators 0, {2**64 - 1} are not registered"
    assert_malformed(chain, content, Malformed.UNREGISTERED_OPERATOR, detail)
    assert nonce(chain) == 1


def test_a_removed_operator_is_not_registered(chain: Chain) -> None:
    chain.mine(operator_removed(3))
    detail = "operators 3 are not registered"
    assert_malformed(chain, registration(SECRET, 0), Malformed.UNREGISTERED_OPERATOR, detail)


@pytest.mark.parametrize("length", [0, 96, 1311, 1313, 96 + 304 * 7])
def test_shares_of_another_length_are_malformed(chain: Chain, length: int) -> None:
    detail = f"shares: {length} bytes, expected 1312 for 4 operators"
    assert_malformed(chain, validator_added(KEY, bytes(length)), Malformed.SHARES_LENGTH, detail)
    assert nonce(chain) == 1


BAD_KEYS = {
    "empty": b"",
    "short": KEY[:47],
    "long": KEY + b"\x00",
    "identity": b"\xc0" + bytes(47),
    "zeros": bytes(48),
    "not-on-curve": b"\x80" + b"\x01" * 47,
    "not-in-subgroup": bytes.fromhex(
        "8123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    ),
}


@pytest.mark.parametrize("key", BAD_KEYS.values(), ids=BAD_KEYS)
def test_a_key_that_is_none_is_malformed(chain: Chain, key: bytes) -> None:
    shown = key.hex() if len(key) <= 48 else f"{key[:48].hex()}… ({len(key)} bytes)"
    content = validator_added(key, bytes(1312))
    assert_malformed(chain, content, Malformed.PUBLIC_KEY, f"validator 0x{shown} is not a BLS public key")
    assert nonce(chain) == 1


def bad_signature(owner: bytes, nonce: int) -> str:
    return (
        f"validator 0x{KEY.hex()}: signature over owner {to_checksum_address(owner)} and nonce {nonce} does not verify"
    )


def test_a_signature_over_another_nonce_is_malformed(chain: Chain) -> None:
    assert_malformed(chain, registration(SECRET, 1), Malformed.SIGNATURE, bad_signature(ALICE, 0))
    assert nonce(chain) == 1
    # The malformed one used nonce 0 up.
    assert chain.outcome(registration(SECRET, 1)) == [APPLIED]


def test_a_signature_by_another_key_is_malformed(chain: Chain) -> None:
    content = registration(SECRET, 0, signed_by=OTHER_SECRET)
    assert_malformed(chain, content, Malformed.SIGNATURE, bad_signature(ALICE, 0))
    assert nonce(chain) == 1


def test_somebody_elses_registration_sent_first_is_malformed(chain: Chain) -> None:
    """Front-running: Bob copies Alice's registration; its signature names her."""
    topics, data = registration(SECRET, 0, ALICE)
    copied = ((topics[0], bytes(12) + BOB), data)
    assert_malformed(chain, copied, Malformed.SIGNATURE, bad_signature(BOB, 0))
    assert chain.outcome((topics, data)) == [APPLIED]


def test_a_signature_that_is_no_point_is_malformed(chain: Chain) -> None:
    content = validator_added(KEY, b"\xff" * 1312)
    assert_malformed(chain, content, Malformed.SIGNATURE, bad_signature(ALICE, 0))


def test_a_validator_of_another_owner_is_malformed(chain: Chain) -> None:
    chain.mine(registration(SECRET, 0, ALICE))
    detail = f"validator 0x{KEY.hex()} belongs to {to_checksum_address(ALICE)}, not to {to_checksum_address(BOB)}"
    assert_malformed(chain, registration(SECRET, 0, BOB), Malformed.OTHER_OWNER, detail)
    assert (nonce(chain, ALICE), nonce(chain, BOB)) == (1, 1)


def test_a_validator_registered_again_by_its_owner_is_ignored(chain: Chain) -> None:
    chain.mine(registration(SECRET, 0))
    before = state(chain)
    assert chain.outcome(registration(SECRET, 1, ids=(4, 5, 6, 7))) == [("ignored", "already-registered", None)]
    assert replace(state(chain), block_number=0) == replace(before, block_number=0)
    assert nonce(chain) == 2


def test_an_undecodable_registration_does_not_use_the_nonce_up(chain: Chain) -> None:
    topics, data = registration(SECRET, 0)
    detail = f"{len(data) - 32} bytes of data do not decode (InsufficientDataBytes)"
    assert_malformed(chain, (topics, data[:-32]), Malformed.UNDECODABLE, detail)
    assert nonce(chain) == 0
    assert chain.outcome(registration(SECRET, 0)) == [APPLIED]


# ValidatorRemoved, clusters, fee recipient, exit


def test_a_validator_is_removed(chain: Chain) -> None:
    chain.mine(registration(SECRET, 0), registration(OTHER_SECRET, 1))
    assert chain.outcome(validator_removed(KEY)) == [APPLIED]
    assert [validator.public_key for validator in state(chain).validators] == [OTHER_KEY]
    assert chain.outcome(validator_removed(OTHER_KEY)) == [APPLIED]
    with chain.database.read() as session:
        assert validators_of_operator(session, 1) == []
    assert state(chain).validators == ()


def test_a_removed_validator_comes_back_with_the_next_nonce(chain: Chain) -> None:
    chain.mine(registration(SECRET, 0), validator_removed(KEY))
    assert chain.outcome(registration(SECRET, 0))[0][:2] == ("malformed", "signature")
    assert chain.outcome(registration(SECRET, 2)) == [APPLIED]


@pytest.mark.parametrize("event", [validator_removed, validator_exited], ids=["removed", "exited"])
def test_an_unknown_validator_is_malformed(chain: Chain, event: object) -> None:
    detail = f"validator 0x{KEY.hex()} is not registered"
    assert_malformed(chain, event(KEY), Malformed.UNKNOWN_VALIDATOR, detail)  # type: ignore[operator]


@pytest.mark.parametrize("event", [validator_removed, validator_exited], ids=["removed", "exited"])
def test_a_validator_of_somebody_else_is_malformed(chain: Chain, event: object) -> None:
    chain.mine(registration(SECRET, 0))
    detail = f"validator 0x{KEY.hex()} belongs to {to_checksum_address(ALICE)}, not to {to_checksum_address(BOB)}"
    assert_malformed(chain, event(KEY, BOB), Malformed.OTHER_OWNER, detail)  # type: ignore[operator]
    with chain.database.read() as session:
        assert exit_requests(session) == []


def test_a_very_long_unknown_key_is_shown_cut_short(chain: Chain) -> None:
    detail = f"validator 0x{'00' * 48}… (5000 bytes) is not registered"
    assert_malformed(chain, validator_removed(bytes(5000)), Malformed.UNKNOWN_VALIDATOR, detail)


def test_a_cluster_is_liquidated_and_reactivated(chain: Chain) -> None:
    chain.mine(
        registration(SECRET, 0),
        registration(OTHER_SECRET, 1),
        registration(1003, 2, ids=(4, 5, 6, 7)),
        registration(1004, 0, BOB),
        time=1_000,
    )
    assert chain.outcome(cluster_liquidated()) == [APPLIED]
    flags = {validator.public_key: validator.liquidated for validator in state(chain).validators}
    others = {bls.secret_to_public(1003): False, bls.secret_to_public(1004): False}
    assert flags == {KEY: True, OTHER_KEY: True, **others}
    assert chain.outcome(cluster_liquidated()) == [("ignored", "no-change", None)]

    chain.mine(cluster_reactivated(), time=9_000)
    times = {validator.public_key: validator.active_since for validator in state(chain).validators}
    assert times == {KEY: 9_000, OTHER_KEY: 9_000, **dict.fromkeys(others, 1_000)}
    assert not any(validator.liquidated for validator in state(chain).validators)
    assert {validator.registered_time for validator in state(chain).validators} == {1_000}


def test_a_cluster_without_validators_is_ignored(chain: Chain) -> None:
    assert chain.outcome(cluster_liquidated(), cluster_reactivated()) == [("ignored", "no-change", None)] * 2


def test_the_fee_recipient_holds_for_all_validators_of_the_owner(chain: Chain) -> None:
    chain.mine(fee_recipient_updated(b"f" * 20))
    changed = make_block(chain.number).time
    chain.mine(registration(SECRET, 0), registration(OTHER_SECRET, 1, ids=(4, 5, 6, 7)), registration(1003, 0, BOB))
    recipients = {validator.public_key: validator.fee_recipient for validator in state(chain).validators}
    assert recipients == {KEY: b"f" * 20, OTHER_KEY: b"f" * 20, bls.secret_to_public(1003): BOB}
    assert chain.outcome(fee_recipient_updated(b"f" * 20)) == [("ignored", "no-change", None)]
    # When it last changed is known: its validators are registered anew some slots later.
    with chain.database.read() as session:
        assert fee_recipient_changes_since(session, changed) == [(ALICE, changed)]
        assert fee_recipient_changes_since(session, changed + 1) == []


def test_an_exit_is_kept_as_a_request(chain: Chain) -> None:
    chain.mine(registration(SECRET, 0))
    assert chain.outcome(validator_exited(KEY)) == [APPLIED]
    with chain.database.read() as session:
        found = [
            (request.public_key, request.owner, request.block_number, request.block_time)
            for request in exit_requests(session)
        ]
        assert found == [(KEY, ALICE, chain.number, 1_000 * chain.number)]
        assert exit_requests(session, chain.number) == []
    assert [validator.public_key for validator in state(chain).validators] == [KEY]


# Blocks


def test_events_of_no_interest_are_left_out(chain: Chain) -> None:
    before = state(chain)
    assert chain.mine(((b"x" * 32,), b"whatever"), ((), b"")) == []
    assert replace(state(chain), block_number=0) == replace(before, block_number=0)


def test_order_inside_a_block_counts(chain: Chain) -> None:
    outcomes = chain.outcome(operator_removed(3), registration(SECRET, 0), operator_added(3), registration(SECRET, 1))
    assert [outcome for outcome, _, _ in outcomes] == ["applied", "malformed", "applied", "applied"]


def test_the_same_block_twice_changes_nothing(chain: Chain) -> None:
    contents = [registration(SECRET, 0), registration(SECRET, 5), fee_recipient_updated(b"f" * 20)]
    chain.mine(*contents)
    before = state(chain)
    with chain.database.session() as session:
        assert not advance(session, chain.number - 1, make_block(chain.number))
    assert state(chain) == before
    assert nonce(chain) == 2


def test_a_block_that_fails_half_way_leaves_no_trace(database: Database) -> None:
    """The database goes away, or the program is killed, between two events."""

    class CutOffError(Exception):
        pass

    def verify(key: bytes, message: bytes, signature: bytes) -> bool:
        raise CutOffError

    chain = Chain(database, EventHandler(verify=verify))
    chain.mine(operator_added(1), operator_added(2), operator_added(3), operator_added(4))
    before = state(chain)
    with pytest.raises(CutOffError):
        chain.mine(operator_added(5), registration(SECRET, 0))
    assert state(chain) == before
    chain.handler = EventHandler()
    assert chain.outcome(operator_added(5), registration(SECRET, 0)) == [APPLIED] * 2


def test_what_became_of_each_event_is_kept(chain: Chain) -> None:
    chain.mine(registration(SECRET, 9), registration(SECRET, 1), operator_removed(99))
    with chain.database.read() as session:
        assert event_counts(session) == {
            ("OperatorAdded", "applied"): 13,
            ("ValidatorAdded", "malformed"): 1,
            ("ValidatorAdded", "applied"): 1,
            ("OperatorRemoved", "malformed"): 1,
        }
        latest, earlier = malformed_events(session)
        assert (latest.block_number, latest.log_index, latest.reason) == (chain.number, 2, "unknown-operator")
        assert (earlier.block_number, earlier.log_index, earlier.reason) == (chain.number, 0, "signature")
        assert [row.log_index for row in malformed_events(session, limit=1)] == [2]


def test_the_version_rises_with_each_block_that_changed_something(chain: Chain) -> None:
    version = chain.database.version()
    chain.mine(registration(SECRET, 0), fee_recipient_updated(b"f" * 20))
    chain.mine(operator_removed(99))
    chain.mine()
    assert chain.database.version() == version + 1


def test_a_store_of_another_contract_is_refused(chain: Chain) -> None:
    with pytest.raises(ConfigError) as caught, chain.database.session() as session:
        open_cursor(session, 1, bytes(20), 0)
    assert str(caught.value) == (
        f"store: holds the registry 0x{CONTRACT.hex()} of chain {CHAIN_ID}, expected 0x{'00' * 20} of chain 1; "
        "give each network a data folder of its own"
    )


def test_records_name_log_and_transaction(chain: Chain) -> None:
    block = Block(chain.number + 1, b"h" * 32, b"p" * 32, 5)
    logs = make_logs(block, [((), b""), operator_removed(1)])
    with chain.database.session() as session:
        records = chain.handler.apply(session, block, logs)
        record_block(session, block, records)
    assert records == [EventRecord(1, logs[1].transaction_hash, "OperatorRemoved", "applied", None, None)]


def test_every_reason_is_met_by_a_test() -> None:
    text = Path(__file__).read_text()
    assert [reason.name for reason in Malformed if f"Malformed.{reason.name}" not in text] == []

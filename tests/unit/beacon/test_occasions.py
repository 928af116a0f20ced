import pytest

from ssv_pool.beacon.occasions import (
    EXIT_SECONDS,
    REGISTRATION_SECONDS,
    Occasions,
    occasion_commands,
    occasions_of_slot,
)
from ssv_pool.beacon.window import SlotWindow
from ssv_pool.messaging.commands import BeginValidatorDuty
from ssv_pool.protocol.chain import BeaconChain, ForkVersion
from ssv_pool.protocol.types import BeaconRole, ValidatorDuty
from ssv_pool.protocol.types.ids import committee_id
from ssv_pool.protocol.types.primitives import FAR_FUTURE_EPOCH
from ssv_pool.store.database import Database
from ssv_pool.store.records import ValidatorMetadata
from ssv_pool.store.registry_changes import (
    NewValidator,
    add_exit_request,
    add_validator,
    set_fee_recipient,
    set_liquidated,
    update_metadata,
)

CHAIN = BeaconChain(1_000_000.0, bytes(32), 10_000, 8, (ForkVersion(0, bytes(4), "fulu"),))
OWN = (1, 2, 3, 4)
OTHERS = (2, 3, 4, 5)
ALICE, BOB = b"a" * 20, b"b" * 20


def key(index):
    return index.to_bytes(48, "big")


@pytest.fixture
def database(tmp_path):
    """Validators 0 to 3 of operator 1, 0 and 1 of Alice; validator 80 of other operators."""
    database = Database(f"sqlite:///{tmp_path / 'store.sqlite'}")
    database.create_schema()
    with database.session() as session:
        for index, owner, operators in (
            (0, ALICE, OWN),
            (1, ALICE, OWN),
            (2, BOB, OWN),
            (3, BOB, OWN),
            (80, BOB, OTHERS),
        ):
            share = tuple(bytes(48) for _ in operators)
            encrypted = tuple(bytes(256) for _ in operators)
            add_validator(session, NewValidator(key(index), owner, operators, share, encrypted, 1, 0))
        known = ValidatorMetadata(0, "active_ongoing", 0, FAR_FUTURE_EPOCH)
        for index in (0, 1, 2, 3, 80):
            metadata = ValidatorMetadata(index, known.status, known.activation_epoch, known.exit_epoch)
            update_metadata(session, {key(index): metadata})
    yield database
    database.close()


def occasions(database, slot):
    with database.read() as session:
        return occasions_of_slot(session, CHAIN, 1, slot)


def duties(entries):
    assert {committee for committee, _ in entries} <= {committee_id(OWN)}
    return [(BeaconRole(duty.type).name, duty.validator_index, duty.slot) for _, duty in entries]


def test_each_validator_is_registered_once_in_ten_epochs(database):
    turns = {slot: duties(occasions(database, slot).regular) for slot in range(800, 960)}
    assert {slot: found for slot, found in turns.items() if found} == {
        slot: [("VALIDATOR_REGISTRATION", slot % 80, slot)] for slot in (800, 801, 802, 803, 880, 881, 882, 883)
    }


def test_an_exit_is_due_four_slots_after_its_block(database):
    with database.session() as session:
        add_exit_request(session, key(2), BOB, 7, 0, int(CHAIN.start_of(100)) + 3)
    assert occasions(database, 103).once == ()
    # Whoever comes to know of it later begins it then; the slot is the same for all.
    for slot in (104, 105, 130):
        assert duties(occasions(database, slot).once) == [("VOLUNTARY_EXIT", 2, 104)]
    assert occasions(database, 101 + EXIT_SECONDS // 10).once == ()


def test_an_exit_is_asked_for_once_of_own_validators_that_are_not_leaving(database):
    when = int(CHAIN.start_of(100))
    with database.session() as session:
        for place, index in enumerate((2, 2, 3, 80)):
            add_exit_request(session, key(index), BOB, 7, place, when + 10 * place)
        update_metadata(session, {key(3): ValidatorMetadata(3, "active_exiting", 0, 40)})
    assert duties(occasions(database, 120).once) == [("VOLUNTARY_EXIT", 2, 104)]


def test_a_new_fee_recipient_has_the_owners_validators_registered(database):
    with database.session() as session:
        set_fee_recipient(session, ALICE, b"f" * 20, int(CHAIN.start_of(100)))
    assert occasions(database, 103).once == ()
    expected = [("VALIDATOR_REGISTRATION", 0, 104), ("VALIDATOR_REGISTRATION", 1, 104)]
    assert duties(occasions(database, 110).once) == expected
    assert occasions(database, 101 + REGISTRATION_SECONDS // 10).once == ()
    with database.session() as session:
        # The same again is no change; another one is.
        assert not set_fee_recipient(session, ALICE, b"f" * 20, int(CHAIN.start_of(105)))
        assert set_fee_recipient(session, ALICE, b"g" * 20, int(CHAIN.start_of(106)))
    assert duties(occasions(database, 111).once) == [(name, index, 110) for name, index, _ in expected]


def test_who_does_not_take_part_has_no_occasions(database):
    when = int(CHAIN.start_of(100))
    with database.session() as session:
        add_exit_request(session, key(0), ALICE, 7, 0, when)
        set_fee_recipient(session, ALICE, b"f" * 20, when)
        from ssv_pool.protocol.types.ids import cluster_id

        set_liquidated(session, cluster_id(ALICE, OWN), liquidated=True, block_time=when)
    assert occasions(database, 160) == Occasions()
    with database.read() as session:
        assert occasions_of_slot(session, CHAIN, 9, 160) == Occasions()


def test_a_command_keeps_the_duties_slot_and_is_due_now():
    window = SlotWindow(120, CHAIN.start_of(120), CHAIN.start_of(120) + 0.1, CHAIN.start_of(121))
    exit_, registration = (
        ValidatorDuty(int(role), key(2), 104, 2)
        for role in (BeaconRole.VOLUNTARY_EXIT, BeaconRole.VALIDATOR_REGISTRATION)
    )
    assert occasion_commands(CHAIN, window, [(bytes(32), exit_), (bytes(32), registration)]) == [
        BeginValidatorDuty(
            f"voluntary_exit:104:{key(2).hex()}", bytes(32), exit_, window.due, window.begun, CHAIN.start_of(136)
        ),
        BeginValidatorDuty(
            f"validator_registration:104:{key(2).hex()}",
            bytes(32),
            registration,
            window.due,
            window.begun,
            CHAIN.start_of(128),
        ),
    ]

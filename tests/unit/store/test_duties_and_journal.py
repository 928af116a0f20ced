import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from ssv_pool.protocol.chain import BeaconChain, ForkVersion
from ssv_pool.protocol.types.duties import ValidatorDuty
from ssv_pool.protocol.types.presets import MINIMAL
from ssv_pool.protocol.types.primitives import Epoch, OperatorId, PublicKey, Root, Slot, ValidatorIndex
from ssv_pool.protocol.types.roles import BeaconRole
from ssv_pool.store import Database
from ssv_pool.store.chain import load_chain, save_chain
from ssv_pool.store.duties import (
    DutyBookContent,
    Plan,
    Proposal,
    SyncCommittee,
    SyncMembership,
    duties_of_slot,
    has_epoch,
    load_duty_book,
    plan_of,
    proposal_of_slot,
    proposals_of_epoch,
    prune_duties,
    replace_duties,
    replace_proposals,
    replace_sync_committee,
    sync_committee_of,
)
from ssv_pool.store.journal import JournalEntry, add_finding, add_refusal, add_steps, entries, prune_journal, record
from ssv_pool.store.records import ValidatorMetadata
from ssv_pool.store.registry import load_registry
from ssv_pool.store.registry_changes import NewValidator, add_validator, update_metadata

ROOT, OTHER_ROOT = Root(b"r" * 32), Root(b"s" * 32)


def duty(index: int, slot: int) -> ValidatorDuty:
    key = PublicKey(index.to_bytes(48, "big"))
    return ValidatorDuty(0, key, Slot(slot), ValidatorIndex(index), 1, 128, 64, index % 128)


def test_duties_are_replaced_as_a_whole(database: Database) -> None:
    with database.session() as session:
        replace_duties(session, Epoch(4), ROOT, [duty(7, 33), duty(2**64 - 1, 33), duty(8, 34)], store_version=3)
    with database.read() as session:
        assert duties_of_slot(session, Slot(33)) in (
            [duty(7, 33), duty(2**64 - 1, 33)],
            [duty(2**64 - 1, 33), duty(7, 33)],
        )
        assert duties_of_slot(session, Slot(35)) == []
        assert plan_of(session, Epoch(4)) == Plan(ROOT, 3)
        assert not has_epoch(session, Epoch(5))
    for _ in range(2):
        with database.session() as session:
            replace_duties(session, Epoch(4), OTHER_ROOT, [duty(8, 33)])
        with database.read() as session:
            assert (duties_of_slot(session, Slot(33)), duties_of_slot(session, Slot(34))) == ([duty(8, 33)], [])
            assert plan_of(session, Epoch(4)) == Plan(OTHER_ROOT, 0)


def test_an_epoch_without_duties_is_planned_too(database: Database) -> None:
    with database.session() as session:
        replace_duties(session, Epoch(4), ROOT, [])
        assert has_epoch(session, Epoch(4))


def test_a_duty_given_twice_is_kept_once(database: Database) -> None:
    with database.session() as session:
        replace_duties(session, Epoch(4), ROOT, [duty(7, 33), duty(7, 33)])
        assert duties_of_slot(session, Slot(33)) == [duty(7, 33)]


def test_old_duties_are_pruned(database: Database) -> None:
    with database.session() as session:
        replace_duties(session, Epoch(4), ROOT, [duty(7, 33)])
        replace_duties(session, Epoch(5), ROOT, [duty(7, 41)])
        prune_duties(session, Epoch(5))
        assert (has_epoch(session, Epoch(4)), has_epoch(session, Epoch(5))) == (False, True)
        assert (duties_of_slot(session, Slot(33)), duties_of_slot(session, Slot(41))) == ([], [duty(7, 41)])


def proposal(slot: int, index: int) -> Proposal:
    return Proposal(Slot(slot), ValidatorIndex(index), PublicKey(bytes(40) + index.to_bytes(8, "big")))


def committee(first: int, *members: tuple[int, tuple[int, ...]], version: int = 3) -> SyncCommittee:
    """A committee of eight epochs."""
    return SyncCommittee(
        Epoch(first),
        Epoch(first + 7),
        version,
        tuple(
            SyncMembership(ValidatorIndex(index), PublicKey(bytes(40) + index.to_bytes(8, "big")), places)
            for index, places in members
        ),
    )


def test_proposers_are_replaced_as_a_whole(database: Database) -> None:
    with database.session() as session:
        replace_proposals(session, Epoch(4), ROOT, [proposal(33, 2**64 - 1), proposal(32, 7)], store_version=3)
        replace_proposals(session, Epoch(5), ROOT, [proposal(40, 7)])
    with database.read() as session:
        assert proposals_of_epoch(session, Epoch(4)) == [proposal(32, 7), proposal(33, 2**64 - 1)]
        assert proposal_of_slot(session, Epoch(4), Slot(33)) == proposal(33, 2**64 - 1)
        assert proposal_of_slot(session, Epoch(4), Slot(34)) is None
        assert plan_of(session, Epoch(4), BeaconRole.PROPOSER) == Plan(ROOT, 3)
        assert not has_epoch(session, Epoch(4))
    with database.session() as session:
        replace_proposals(session, Epoch(4), OTHER_ROOT, [proposal(34, 8), proposal(34, 8)])
    with database.read() as session:
        assert proposals_of_epoch(session, Epoch(4)) == [proposal(34, 8)]
        assert proposals_of_epoch(session, Epoch(5)) == [proposal(40, 7)]
        assert plan_of(session, Epoch(4), BeaconRole.PROPOSER) == Plan(OTHER_ROOT, 0)


def test_sync_committees_are_replaced_as_a_whole(database: Database) -> None:
    first, second = committee(8, (7, (1, 5)), (9, (0,))), committee(16, (9, (2,)))
    with database.session() as session:
        for stored in (first, second):
            replace_sync_committee(session, stored)
    with database.read() as session:
        found = [sync_committee_of(session, Epoch(epoch)) for epoch in (7, 8, 15, 16, 24)]
        assert found == [None, first, first, second, None]
    changed = committee(8, (8, (3,)), version=4)
    with database.session() as session:
        replace_sync_committee(session, changed)
    with database.read() as session:
        assert [sync_committee_of(session, Epoch(epoch)) for epoch in (8, 16)] == [changed, second]


def test_the_duty_book_is_read_for_a_range_of_epochs(database: Database) -> None:
    with database.session() as session:
        for epoch in (7, 8, 9):
            replace_proposals(session, Epoch(epoch), ROOT, [proposal(8 * epoch, epoch)])
        replace_proposals(session, Epoch(10), ROOT, [])
        for first in (0, 8, 16):
            replace_sync_committee(session, committee(first, (7, (1,))))
    with database.read() as session:
        found = load_duty_book(session, Epoch(8), Epoch(10))
    assert found == DutyBookContent({8: {64: 8}, 9: {72: 9}, 10: {}}, (committee(8, (7, (1,))),))


def test_old_proposers_and_sync_committees_are_pruned(database: Database) -> None:
    with database.session() as session:
        for epoch in (7, 8):
            replace_proposals(session, Epoch(epoch), ROOT, [proposal(8 * epoch, epoch)])
        for first in (0, 8):
            replace_sync_committee(session, committee(first, (7, (1,))))
        prune_duties(session, Epoch(8))
        assert load_duty_book(session, Epoch(0), Epoch(20)) == DutyBookContent({8: {64: 8}}, (committee(8, (7, (1,))),))
        # A committee that still serves is kept, however long ago it began.
        prune_duties(session, Epoch(15))
        assert sync_committee_of(session, Epoch(15)) == committee(8, (7, (1,)))


def test_several_processes_plan_one_epoch(database: Database, open_database: Callable[[], Database]) -> None:
    errors: list[BaseException] = []

    def plan(store: Database) -> None:
        try:
            for _ in range(5):
                with store.session() as session:
                    replace_duties(session, Epoch(4), ROOT, [duty(index, 33) for index in range(20)])
        except BaseException as error:  # noqa: BLE001 - handed to the test
            errors.append(error)

    threads = [threading.Thread(target=plan, args=(open_database(),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    with database.read() as session:
        assert duties_of_slot(session, Slot(33)) == [duty(index, 33) for index in range(20)]


ENTRY = JournalEntry(
    key="attester/33/abc",
    role=0,
    slot=Slot(33),
    executor=b"c" * 32,
    outcome="success",
    round=2,
    silent_operators=(OperatorId(3), OperatorId(2**64 - 1)),
    steps={"due": 1.0, "decided": 1.25},
)


@pytest.mark.parametrize("recorded_first", [True, False])
def test_an_entry_is_put_together_in_any_order(database: Database, recorded_first: bool) -> None:
    steps = {"submitted": 1.5, "accepted": 1.75}
    calls = [
        lambda session: record(session, ENTRY),
        lambda session: add_steps(session, ENTRY.key, 0, Slot(33), steps),
    ]
    for call in calls if recorded_first else calls[::-1]:
        for _ in range(2):
            with database.session() as session:
                call(session)
    with database.read() as session:
        (found,) = entries(session)
    assert found == JournalEntry(**{**{n: getattr(ENTRY, n) for n in ENTRY.__slots__}, "steps": ENTRY.steps | steps})


def test_a_duty_that_completed_stays_so_when_it_is_done_again(database: Database) -> None:
    failed = JournalEntry("key", 0, Slot(1), outcome="failed", reason="no_proposal", steps={"begun": 1.0})
    completed = JournalEntry("key", 0, Slot(1), outcome="completed", round=1, steps={"begun": 2.0, "decided": 2.5})
    with database.session() as session:
        record(session, failed)
        record(session, completed)
        record(session, failed)
        (found,) = entries(session)
    assert found == JournalEntry("key", 0, Slot(1), outcome="completed", round=1, steps={"begun": 1.0, "decided": 2.5})


def test_a_step_keeps_the_time_told_first(database: Database) -> None:
    with database.session() as session:
        add_steps(session, "key", 0, Slot(1), {"accepted": 2.0})
        add_steps(session, "key", 0, Slot(1), {"accepted": 3.0})
        assert entries(session) == [JournalEntry("key", 0, Slot(1), steps={"accepted": 2.0})]


@pytest.mark.parametrize("recorded_first", [True, False])
def test_what_the_beacon_node_said_to_a_refused_duty_is_kept(database: Database, recorded_first: bool) -> None:
    done = JournalEntry("key", 2, Slot(1), b"validator", "completed", steps={"decided": 1.0})
    actions = [
        lambda session: record(session, done),
        lambda session: add_refusal(session, "key", 2, Slot(1), 2.0, "bad state root"),
        lambda session: add_refusal(session, "key", 2, Slot(1), 3.0, "still bad"),
    ]
    for action in actions if recorded_first else actions[::-1]:
        with database.session() as session:
            action(session)
    with database.read() as session:
        [entry] = entries(session)
    first = ("bad state root", 2.0) if recorded_first else ("still bad", 3.0)
    assert (entry.outcome, entry.executor, (entry.detail, entry.steps["refused"])) == ("completed", b"validator", first)


def test_what_is_found_out_afterwards_does_not_change_what_is_known(database: Database) -> None:
    done = JournalEntry("k", 0, Slot(3), b"c" * 32, "completed", steps={"decided": 2.0})
    failed = JournalEntry("f", 0, Slot(3), b"c" * 32, "failed", "no_proposal", "round 3")
    lost = JournalEntry("k", 0, Slot(3), b"x" * 32, "failed", "not_included", "2 of 3", steps={"decided": 9.0})
    with database.session() as session:
        record(session, done)
        record(session, failed)
        for finding in (
            lost,
            lost,
            replace(lost, reason="not_started"),
            replace(lost, key="f"),
            replace(lost, key="n"),
        ):
            add_finding(session, finding)
        # The node tells its story once more.
        record(session, done)
        of_k, of_f, of_n = (next(e for e in entries(session) if e.key == key) for key in "kfn")
    assert of_k == replace(done, reason="not_included", detail="2 of 3")
    assert of_f == replace(failed, steps={"decided": 9.0})
    assert of_n == replace(lost, key="n")


def test_no_step_is_lost_between_writers(database: Database, open_database: Callable[[], Database]) -> None:
    def write(store: Database, name: str) -> None:
        for number in range(10):
            with store.session() as session:
                add_steps(session, "key", 0, Slot(1), {f"{name}{number}": 1.0})

    threads = [threading.Thread(target=write, args=(open_database(), name)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as session:
        assert len(entries(session)[0].steps) == 30


def test_entries_are_chosen_and_pruned_by_slot(database: Database) -> None:
    with database.session() as session:
        for slot in range(10):
            for key in "ab":
                record(session, JournalEntry(f"{slot}{key}", int(key == "b"), Slot(slot)))
    with database.session() as session:
        assert [entry.key for entry in entries(session, role=1, from_slot=3, to_slot=5)] == ["3b", "4b", "5b"]
        assert [entry.key for entry in entries(session, limit=3)] == ["8b", "9a", "9b"]
        assert prune_journal(session, keep=100) == 0
        assert prune_journal(session, keep=5) == 14
        assert [entry.key for entry in entries(session)] == ["7a", "7b", "8a", "8b", "9a", "9b"]


CHAIN = BeaconChain(
    genesis_time=1_700_000_000.5,
    genesis_validators_root=ROOT,
    slot_duration_ms=4000,
    slots_per_epoch=8,
    forks=(ForkVersion(Epoch(0), b"\x01\x02\x03\x04", "fulu"), ForkVersion(Epoch(2**64 - 1), bytes(4), "later")),
    preset=MINIMAL,
)


def test_the_chain_is_kept_as_it_is(database: Database) -> None:
    with database.session() as session:
        assert load_chain(session) is None
        assert [save_chain(session, CHAIN), save_chain(session, CHAIN)] == [True, False]
    with database.read() as session:
        assert load_chain(session) == CHAIN


def test_metadata_of_registered_validators_is_kept(database: Database) -> None:
    key, other = PublicKey(b"v" * 48), PublicKey(b"w" * 48)
    ids = tuple(OperatorId(number) for number in (1, 2, 3, 4))
    with database.session() as session:
        add_validator(session, NewValidator(key, b"o" * 20, ids, (key,) * 4, (b"e" * 256,) * 4, 5, 50))
    version = database.version()
    new = ValidatorMetadata(ValidatorIndex(9), "pending_queued", Epoch(2**64 - 1), Epoch(2**64 - 1))
    with database.session() as session:
        assert update_metadata(session, {key: new, other: new}) == 1
    assert database.version() == version + 1
    with database.session() as session:
        assert update_metadata(session, {key: new}) == 0
    assert database.version() == version + 1
    with database.read() as session:
        (validator,) = load_registry(session).validators
    found = (validator.index, validator.status, validator.activation_epoch, validator.exit_epoch)
    assert found == (9, "pending_queued", 2**64 - 1, 2**64 - 1)

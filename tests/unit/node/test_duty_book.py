"""What is known, what is known not to be, and what is not known."""

from ssv_pool.node.duty_book import KEPT_EPOCHS, KEPT_PERIODS, DutyBook
from ssv_pool.store.duties import DutyBookContent, SyncCommittee, SyncMembership


def test_proposers_of_an_epoch_are_known_once_told():
    book = DutyBook()
    assert book.proposes(7, 33, 1) is None
    book.set_proposers(1, {33: 7})
    assert [book.proposes(7, 33, 1), book.proposes(8, 33, 1), book.proposes(7, 34, 1)] == [True, False, False]
    assert book.proposes(7, 65, 2) is None
    book.set_proposers(1, {33: 8})
    assert book.proposes(7, 33, 1) is False


def test_a_sync_committee_serves_from_its_first_to_its_last_epoch():
    book = DutyBook()
    book.set_sync_committee(256, 511, [7, 9])
    assert [book.in_sync_committee(7, epoch) for epoch in (255, 256, 511, 512)] == [None, True, True, None]
    assert book.in_sync_committee(8, 300) is False


def test_the_oldest_go_first():
    book = DutyBook()
    for epoch in range(100):
        book.set_proposers(epoch, {epoch * 32: 7})
        book.set_sync_committee(epoch, epoch, [7])
    assert [epoch for epoch in range(100) if book.proposes(7, epoch * 32, epoch)] == list(range(100 - KEPT_EPOCHS, 100))
    assert [epoch for epoch in range(100) if book.in_sync_committee(7, epoch)] == list(range(100 - KEPT_PERIODS, 100))


def test_what_the_store_knows_is_noted():
    book = DutyBook()
    book.set_proposers(1, {33: 8})
    member = SyncMembership(7, bytes(48), (3, 400))
    book.take(DutyBookContent({1: {33: 7}, 2: {}}, (SyncCommittee(0, 255, 1, (member,)),)))
    assert [book.proposes(7, 33, 1), book.proposes(7, 64, 2), book.proposes(7, 96, 3)] == [True, False, None]
    assert [book.in_sync_committee(index, 9) for index in (7, 8)] == [True, False]

"""A keeper's audit lines in both databases."""

import pytest

from ssv_pool.store import Database
from ssv_pool.store import pool as store
from ssv_pool.store.pool import MAX_DETAIL, AuditLine, SignedRecord, add_line, audit_lines, keep_message, own_messages


def line(number: int, task: str = "fund", outcome: str = "sent", detail: str = "done") -> AuditLine:
    return AuditLine(float(number), task, "0x11", outcome, detail, bytes([number]) * 32)


def test_lines_come_back_in_order_and_by_task(database: Database) -> None:
    with database.session() as session:
        for number in range(1, 6):
            assert add_line(session, line(number, "fund" if number % 2 else "exits"))
    with database.read() as session:
        assert [found.time for found in audit_lines(session)] == [1, 2, 3, 4, 5]
        assert [found.time for found in audit_lines(session, limit=2)] == [4, 5]
        assert [found.time for found in audit_lines(session, task="exits")] == [2, 4]
        [last] = audit_lines(session, limit=1)
    assert (last.task, last.subject, last.outcome, last.detail, last.tx_hash) == (
        "fund",
        "0x11",
        "sent",
        "done",
        b"\5" * 32,
    )


def test_what_is_found_again_is_one_line_until_it_changes(database: Database) -> None:
    long = "x" * (2 * MAX_DETAIL)
    with database.session() as session:
        written = [
            add_line(session, line(number, outcome="warned", detail=detail), repeat=False)
            for number, detail in enumerate(("a", "a", long, long, "a"))
        ]
        assert add_line(session, line(9, "exits", "warned", "a"), repeat=False)
    assert written == [True, False, True, False, True]


def test_old_lines_go(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "KEPT_LINES", 3)
    with database.session() as session:
        for number in range(6):
            add_line(session, line(number))
    with database.read() as session:
        assert [found.time for found in audit_lines(session)] == [3, 4, 5]


def test_a_message_is_kept_once_as_it_was_first(database: Database) -> None:
    first = SignedRecord("removal", {"publicKey": "0x11"}, b"\1" * 32, b"\2" * 20, b"\3" * 65, 5.0)
    again = SignedRecord("removal", {"publicKey": "0x11"}, b"\1" * 32, b"\2" * 20, b"\4" * 65, 6.0)
    for message in (first, again):
        with database.session() as session:
            keep_message(session, message)
    with database.read() as session:
        assert own_messages(session, 7.0) == [first]

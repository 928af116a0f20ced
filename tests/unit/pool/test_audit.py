"""The audit: what is done is always a line, what is found is one when it changes."""

from pathlib import Path

from ssv_pool.pool import audit
from ssv_pool.pool.audit import Audit
from ssv_pool.store.database import Database
from ssv_pool.store.pool import audit_lines


def test_lines_are_written_when_they_say_something_new(tmp_path: Path) -> None:
    database = Database(tmp_path / "store.sqlite")
    database.create_schema()
    ours, another = (Audit(database, lambda: 5.0) for _ in range(2))
    found = [
        ours.write("watch", "0x11", audit.NOTED, "pending_queued"),
        ours.write("watch", "0x11", audit.NOTED, "pending_queued"),
        another.write("watch", "0x11", audit.NOTED, "pending_queued"),
        ours.write("watch", "0x11", audit.NOTED, "active_ongoing"),
        ours.write("watch", "0x22", audit.WARNED, "active\n  slashed"),
        ours.write("fund", "0x11", audit.SENT, "fund", b"\1" * 32),
        ours.write("fund", "0x11", audit.SENT, "fund", b"\2" * 32),
        ours.write("watch", "0x11", audit.NOTED, "pending_queued"),
    ]
    assert found == [True, False, False, True, True, True, True, True]
    with database.read() as session:
        lines = audit_lines(session)
    assert [line.detail for line in lines] == [
        *("pending_queued", "active_ongoing", "active slashed", "fund", "fund", "pending_queued")
    ]
    assert {line.time for line in lines} == {5.0}
    database.close()

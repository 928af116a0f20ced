"""Blocks that are taken back leave what a store holds that never saw them."""

import tempfile
from hashlib import sha256
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from registry_chain import (
    ALICE,
    BOB,
    CHAIN_ID,
    CONTRACT,
    Content,
    cluster_liquidated,
    cluster_reactivated,
    fee_recipient_updated,
    make_block,
    make_logs,
    operator_added,
    operator_removed,
    operators_added,
    validator_added,
    validator_exited,
    validator_removed,
)
from registry_rows import registry_rows

from ssv_pool.crypto.shares_data import registration_root
from ssv_pool.protocol.types.primitives import Epoch, PublicKey, ValidatorIndex
from ssv_pool.registry.handler import EventHandler
from ssv_pool.store import Database
from ssv_pool.store.cursor import advance, open_cursor, read_cursor, record_blocks
from ssv_pool.store.pending import flush_pending
from ssv_pool.store.records import ValidatorMetadata
from ssv_pool.store.registry_changes import update_metadata
from ssv_pool.store.undo import can_go_back, forget_registry, go_back, prune_undo, recorded

KEYS = tuple(sha256(bytes([number])).digest() + bytes(16) for number in range(3))
COMMITTEES = ((1, 2, 3, 4), (2, 3, 4, 5))


def sign(key: bytes, message: bytes) -> bytes:
    """In place of BLS: cheap, and as bound to key and message."""
    return (sha256(key + message).digest() * 3)[:96]


def registration(owner: bytes, key: bytes, ids: tuple[int, ...], nonce: int) -> Content:
    return validator_added(key, sign(key, registration_root(owner, nonce)) + bytes(304 * len(ids)), owner, ids)


def contents() -> st.SearchStrategy[Content]:
    owner, key, ids = st.sampled_from((ALICE, BOB)), st.sampled_from(KEYS), st.sampled_from(COMMITTEES)
    return st.one_of(
        st.builds(registration, owner, key, ids, st.integers(0, 3)),
        st.builds(validator_removed, key, owner, ids),
        st.builds(cluster_liquidated, owner, ids),
        st.builds(cluster_reactivated, owner, ids),
        st.builds(validator_exited, key, owner, ids),
        st.builds(
            lambda owner, letter: fee_recipient_updated(letter * 20, owner), owner, st.sampled_from((b"x", b"y"))
        ),
        st.builds(operator_added, st.integers(5, 7), key=st.just(b"the one key")),
        st.builds(operator_removed, st.integers(4, 7)),
    )


START: list[list[Content]] = [operators_added(5), [registration(ALICE, KEYS[0], COMMITTEES[0], 0)]]
BLOCKS = st.lists(st.lists(contents(), max_size=4), max_size=5)


class Store:
    """A store, and how the sync applies blocks to it: all of one call in one transaction."""

    def __init__(self, path: Path) -> None:
        self.database = Database(path)
        self.database.create_schema()
        self.handler = EventHandler(
            lambda key, message, signature: sign(key, message) == signature,
            lambda _: True,
            lambda items: all(sign(key, message) == signature for key, message, signature in items),
        )
        self.number = 0

    def apply(self, blocks: list[list[Content]], *, undoable: bool = True) -> None:
        if not blocks:
            return
        made = [make_block(self.number + place) for place, _ in enumerate(blocks, 1)]
        logs = [make_logs(block, content) for block, content in zip(made, blocks, strict=True)]
        with self.database.read() as session:
            self.handler.prepare(session, [log for its in logs for log in its])
        with self.database.session() as session:
            open_cursor(session, CHAIN_ID, CONTRACT, 1)
            assert advance(session, self.number, made[-1])
            records = []
            with session.no_autoflush:
                self.handler.preload(session)
                for block, its in zip(made, logs, strict=True):
                    if undoable:
                        with recorded(session, block.number):
                            records.append((block, self.handler.apply(session, block, its)))
                    else:
                        records.append((block, self.handler.apply(session, block, its)))
                flush_pending(session)
            record_blocks(session, records)
        self.number = made[-1].number

    def go_back(self, number: int) -> int | None:
        with self.database.session() as session:
            assert can_go_back(session, number)
            cursor = read_cursor(session)
            assert cursor is not None
            undone = go_back(session, cursor, make_block(number) if number else None, 1)
        self.number = number
        return undone


def fresh(folder: Path, blocks: list[list[Content]]) -> dict[str, list[tuple[object, ...]]]:
    """One block a transaction, as a store that follows the chain does."""
    store = Store(folder / "fresh.sqlite")
    for block in blocks:
        store.apply([block], undoable=False)
    rows = registry_rows(store.database)
    store.database.close()
    return rows


@given(BLOCKS, BLOCKS, BLOCKS, st.booleans())
@settings(max_examples=40, deadline=None)
def test_another_chain_gives_what_a_fresh_store_has(
    common: list[list[Content]], lost: list[list[Content]], new: list[list[Content]], at_once: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "store.sqlite")
        if at_once:
            store.apply(START + common + lost)
        else:
            for block in START + common + lost:
                store.apply([block])
        store.go_back(len(START) + len(common))
        store.apply(new)
        assert registry_rows(store.database) == fresh(Path(folder), START + common + new)
        store.database.close()


def test_back_to_nothing_and_forgetting_all(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.sqlite")
    store.apply(START)
    version = store.database.version()
    assert store.go_back(0)
    assert not any(registry_rows(store.database).values())
    assert store.database.version() > version
    store.apply(START)
    rows = registry_rows(store.database)
    with store.database.session() as session:
        forget_registry(session)
        assert read_cursor(session) is None
    store.number = 0
    store.apply(START)
    assert registry_rows(store.database) == rows
    store.database.close()


def test_what_the_beacon_node_said_meanwhile_stays(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.sqlite")
    store.apply(START)
    store.apply([[cluster_liquidated(ALICE, COMMITTEES[0])]])
    with store.database.session() as session:
        told = ValidatorMetadata(ValidatorIndex(7), "active_ongoing", Epoch(1), Epoch(2**64 - 1))
        update_metadata(session, {PublicKey(KEYS[0]): told})
    store.go_back(2)
    (row,) = registry_rows(store.database)["validators"]
    assert row[7] is False
    assert row[-4:] == (7, "active_ongoing", 1, 2**64 - 1)
    store.database.close()


def test_nothing_happens_when_the_cursor_is_elsewhere(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.sqlite")
    store.apply(START)
    with store.database.read() as session:
        seen = read_cursor(session)
    assert seen is not None
    store.apply([[operator_removed(1)]])
    rows = registry_rows(store.database)
    with store.database.session() as session:
        assert go_back(session, seen, make_block(1), 1) is None
    assert registry_rows(store.database) == rows
    store.database.close()


def test_blocks_that_were_not_recorded_or_are_too_old_cannot_be_taken_back(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.sqlite")
    store.apply(START, undoable=False)
    store.apply([[operator_removed(1)], []])
    with store.database.session() as session:
        assert can_go_back(session, 2)
        assert not can_go_back(session, 1)
        prune_undo(session, 3 + 4096)
        assert not can_go_back(session, 2)
        assert can_go_back(session, 3)
    store.database.close()

"""What the own node makes of registrations: nothing is taken for good before it was looked at."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ssv_pool.pool.own_node import OwnNode
from ssv_pool.pool.view import Share
from ssv_pool.store.cursor import Block, advance, open_cursor
from ssv_pool.store.database import Database
from ssv_pool.store.registry_changes import NewValidator, add_validator

POOL = bytes.fromhex("11" * 20)
GOOD, BAD, OTHERS, MALFORMED, LATER = (bytes([number]) * 48 for number in range(1, 6))
BLOCKS = {GOOD: 5, BAD: 5, OTHERS: 5, MALFORMED: 5, LATER: 9}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(tmp_path / "store.sqlite")
    made.create_schema()
    with made.session() as session:
        open_cursor(session, 1, bytes(20), 8)
        assert advance(session, 7, Block(8, bytes(32), bytes(32), 100))
        for key, owner in ((GOOD, POOL), (BAD, POOL), (OTHERS, bytes(20))):
            operators = (1, 2, 3, 4)
            shares = tuple(bytes([number]) * 48 for number in operators)
            add_validator(session, NewValidator(key, owner, operators, shares, (bytes(256),) * 4, 5, 0))  # type: ignore[arg-type]
    yield made
    made.close()


def shares(database: Database, response: httpx.Response | None) -> dict[bytes, Share]:
    def answer(_: httpx.Request) -> httpx.Response:
        if response is None:
            raise httpx.ConnectError("away")
        return response

    node = OwnNode(database, "http://127.0.0.1:16000", POOL, 1.0, httpx.MockTransport(answer))
    found = dict(node.shares(BLOCKS))
    node.close()
    return found


def status(block: int) -> httpx.Response:
    return httpx.Response(200, json={"registry": {"block": block}, "bad_shares": {f"0x{BAD.hex()}": "not decrypted"}})


def test_a_share_is_good_when_store_and_node_say_so(database: Database) -> None:
    refused = {BAD: Share.REFUSED, OTHERS: Share.REFUSED, MALFORMED: Share.REFUSED}
    assert shares(database, status(8)) == {GOOD: Share.ACCEPTED, **refused, LATER: Share.UNKNOWN}


@pytest.mark.parametrize(
    "response",
    [
        None,
        status(4),
        httpx.Response(503),
        httpx.Response(200, content=b"{"),
        httpx.Response(200, json=[]),
        httpx.Response(200, json={"registry": {"block": 8}, "bad_shares": ["0xzz"]}),
    ],
)
def test_a_node_that_has_not_said_so_leaves_it_open(database: Database, response: httpx.Response | None) -> None:
    found = shares(database, response)
    assert found[GOOD] is Share.UNKNOWN
    assert found[LATER] is Share.UNKNOWN
    assert found[MALFORMED] is Share.REFUSED

"""The exchange of signatures: bounded, strict, and only what members have signed."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from eth_account import Account

from ssv_pool.pool import exchange
from ssv_pool.pool.approvals import ClusterPayment, Domain, Removal, body_of, sign
from ssv_pool.pool.exchange import MAX_BYTES, Fetched, Peers
from ssv_pool.store.database import Database
from ssv_pool.store.pool import MESSAGES_PATH, SERVED_MESSAGES, SERVED_SECONDS, messages_page

DOMAIN = Domain(31337, "0x5FbDB2315678afecb367f032d93F642f64180aa3")
ACCOUNTS = [Account.from_key("0x" + f"{number:02x}" * 32) for number in (1, 2, 3)]
MEMBERS = [bytes.fromhex(account.address[2:]) for account in ACCOUNTS[:2]]
REMOVAL = Removal(b"\x01" * 48)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(tmp_path / "store.sqlite")
    made.create_schema()
    yield made
    made.close()


def served(*entries: object) -> httpx.Response:
    return httpx.Response(200, json={"messages": list(entries)})


def entry(number: int, message: Any = REMOVAL, domain: Domain = DOMAIN) -> dict[str, Any]:
    signed = sign(domain, message, ACCOUNTS[number])
    return {"kind": message.KIND, "body": body_of(message), "signature": f"0x{signed.signature.hex()}"}


def fetch(answer: Callable[[httpx.Request], httpx.Response]) -> Fetched:
    peers = Peers(["http://user:secret@peer:16000"], 1.0, transport=httpx.MockTransport(answer))
    [found] = peers.fetch(DOMAIN, MEMBERS)
    peers.close()
    return found


def test_what_one_member_signs_another_fetches(database: Database) -> None:
    signed = [sign(DOMAIN, message, ACCOUNTS[0]) for message in (REMOVAL, ClusterPayment((1, 2, 3, 4), 5, 6))]
    for number, message in enumerate([*signed, *signed]):
        exchange.publish(database, DOMAIN, message, 1000.0 + number)
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(200, content=json.dumps(messages_page(database, 2000.0)).encode())

    assert fetch(answer) == Fetched("peer:16000", tuple(signed[::-1]), None)
    assert asked == [f"http://user:secret@peer:16000{MESSAGES_PATH}"]
    assert exchange.own(database, DOMAIN, MEMBERS[0], 2000.0) == tuple(signed[::-1])


def test_own_messages_are_those_of_this_key_and_this_contract(database: Database) -> None:
    other = Domain(31337, "0x" + "11" * 20)
    exchange.publish(database, DOMAIN, sign(DOMAIN, REMOVAL, ACCOUNTS[1]), 1.0)
    exchange.publish(database, other, sign(other, REMOVAL, ACCOUNTS[0]), 1.0)
    assert exchange.own(database, DOMAIN, MEMBERS[0], 2.0) == ()


def test_what_is_served_is_bounded_and_forgotten(database: Database) -> None:
    for number in range(SERVED_MESSAGES + 5):
        message = ClusterPayment((1, 2, 3, 4), number, 0)
        exchange.publish(database, DOMAIN, sign(DOMAIN, message, ACCOUNTS[0]), float(number))
    page = messages_page(database, 200.0)["messages"]
    assert [item["body"]["amount"] for item in page] == [str(number) for number in range(132, 4, -1)]
    assert messages_page(database, SERVED_SECONDS + 200.0) == {"messages": []}


@pytest.mark.parametrize(
    ("response", "problem"),
    [
        (httpx.Response(503), "answers with status 503"),
        (httpx.Response(301, headers={"location": "http://elsewhere"}), "answers with status 301"),
        (httpx.Response(200, content=b"{"), "its answer is not JSON"),
        (httpx.Response(200, content=b"[" * 100_000), "its answer is not JSON"),
        (httpx.Response(200, content=b"[]"), "its answer has no list of messages"),
        (httpx.Response(200, content=b" " * (MAX_BYTES + 1)), f"answers with more than {MAX_BYTES} bytes"),
    ],
)
def test_a_bad_answer_is_a_line_without_the_address(response: httpx.Response, problem: str) -> None:
    assert fetch(lambda _: response) == Fetched("peer:16000", (), problem)


def test_a_peer_that_is_away_is_a_line_without_the_address() -> None:
    def refuse(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("cannot connect to http://user:secret@peer:16000")

    assert fetch(refuse) == Fetched("peer:16000", (), "ConnectError")


def test_a_peer_that_drips_is_cut_off() -> None:
    ticks = iter(range(100))

    class Drip(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            while True:
                yield b" "

    transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=Drip()))
    peers = Peers(["http://peer"], 5.0, transport=transport, clock=lambda: float(next(ticks)))
    [found] = peers.fetch(DOMAIN, MEMBERS)
    assert found == Fetched("peer", (), "takes longer than 5 s to answer")


def test_one_bad_message_does_not_spoil_the_others() -> None:
    good = entry(1)
    for bad in (
        None,
        {},
        {**good, "extra": 1},
        {**good, "signature": "0x" + "zz" * 65},
        {**good, "signature": 5},
        {**good, "kind": "transfer"},
        {**good, "body": {"publicKey": "0x"}},
    ):
        found = fetch(lambda _, bad=bad: served(bad, good))  # type: ignore[misc]
        assert [signed.signer for signed in found.messages] == [MEMBERS[1]]
        assert found.problem


def test_only_members_count() -> None:
    found = fetch(lambda _: served(entry(2), entry(0)))
    assert [signed.signer for signed in found.messages] == [MEMBERS[0]]
    assert found.problem == f"a removal is signed by {ACCOUNTS[2].address.lower()}, who is no member"


def test_a_signature_for_another_contract_is_a_strangers() -> None:
    assert fetch(lambda _: served(entry(0, domain=Domain(31337, "0x" + "11" * 20)))).messages == ()


def test_what_was_checked_once_is_not_checked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    content = [entry(0), entry(1)]
    checks: list[object] = []
    checked = exchange.checked
    monkeypatch.setattr(exchange, "checked", lambda *given: checks.append(given) or checked(*given))
    peers = Peers(["http://peer"], 1.0, transport=httpx.MockTransport(lambda _: served(*content)))
    first = peers.fetch(DOMAIN, MEMBERS)
    assert peers.fetch(DOMAIN, MEMBERS) == first
    assert len(checks) == 2

"""What another member's node answers is bounded, whatever it is."""

import gzip
import itertools
import json
from collections.abc import Iterator

import httpx
import pytest
from eth_account import Account
from eth_utils.crypto import keccak

from ssv_pool.pool.approvals import Domain, Removal, Signed, body_of, sign
from ssv_pool.pool.exchange import MAX_BYTES, Fetched, Peers
from ssv_pool.store.pool import SERVED_MESSAGES

DOMAIN = Domain(31337, "0x" + "11" * 20)
MEMBER, STRANGER = (Account.from_key(keccak(text=name)) for name in ("member", "stranger"))
MEMBERS = frozenset({bytes.fromhex(MEMBER.address[2:])})


def signed(number: int, account: object = MEMBER) -> Signed:
    return sign(DOMAIN, Removal(number.to_bytes(48, "big")), account)  # type: ignore[arg-type]


def entry(message: Signed) -> dict[str, object]:
    return {
        "kind": message.message.KIND,
        "body": body_of(message.message),
        "signature": f"0x{message.signature.hex()}",
    }


def fetched(answer: httpx.Response, clock: Iterator[float] | None = None) -> Fetched:
    ticks = clock or itertools.repeat(0.0)
    transport = httpx.MockTransport(lambda request: answer)
    peers = Peers(["http://user:secret@peer:16000"], 5.0, transport=transport, clock=lambda: next(ticks))
    [found] = peers.fetch(DOMAIN, MEMBERS)
    assert "secret" not in f"{found.peer} {found.problem}"
    return found


def test_a_members_messages_are_taken() -> None:
    messages = [signed(number) for number in range(3)]
    found = fetched(httpx.Response(200, json={"messages": [entry(message) for message in messages]}))
    assert (found.messages, found.problem) == (tuple(messages), None)


def test_a_strangers_message_is_left_out() -> None:
    mine, other = signed(1), signed(2, STRANGER)
    found = fetched(httpx.Response(200, json={"messages": [entry(other), entry(mine)]}))
    assert found.messages == (mine,)
    assert "who is no member" in str(found.problem)


def test_no_more_are_read_than_a_member_serves() -> None:
    messages = [entry(signed(number)) for number in range(SERVED_MESSAGES + 5)]
    assert len(fetched(httpx.Response(200, json={"messages": messages})).messages) == SERVED_MESSAGES


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (httpx.Response(200, content=b" " * (MAX_BYTES + 1)), f"answers with more than {MAX_BYTES} bytes"),
        (
            httpx.Response(200, content=gzip.compress(bytes(10**8)), headers={"content-encoding": "gzip"}),
            "answers in a packed form",
        ),
        (httpx.Response(302, headers={"location": "http://elsewhere/"}), "answers with status 302"),
        (httpx.Response(200, content=b"no"), "its answer is not JSON"),
        (httpx.Response(200, content=b"[" * 100_000), "its answer is not JSON"),
        (httpx.Response(200, json=[]), "its answer has no list of messages"),
        (httpx.Response(200, json={"messages": {}}), "its answer has no list of messages"),
    ],
    ids=["long", "bomb", "redirect", "text", "deep", "list", "object"],
)
def test_what_is_no_answer_is_one_line(answer: httpx.Response, problem: str) -> None:
    found = fetched(answer)
    assert (found.messages, found.problem) == ((), problem)


def test_an_answer_that_trickles_ends() -> None:
    content = (b" " for _ in range(1000))
    found = fetched(httpx.Response(200, content=content), clock=itertools.count(0.0, 0.5))
    assert found.problem == "takes longer than 5 s to answer"


@pytest.mark.parametrize("bad", [None, 7, {}, {"kind": "Removal"}, {"kind": "Nothing", "body": {}, "signature": "0x"}])
def test_a_bad_message_spoils_no_other(bad: object) -> None:
    good = signed(1)
    found = fetched(httpx.Response(200, content=json.dumps({"messages": [bad, entry(good)]}).encode()))
    assert found.messages == (good,)
    assert found.problem

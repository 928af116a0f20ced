"""The live view: asks everybody, keeps what is known of those who do not answer, and draws it."""

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
from rich.console import Console

from ssv_pool.devnet.config import DevnetConfig
from ssv_pool.devnet.live import LiveView

GENESIS = 1_000_000.0

STATE = {
    "peers": {"connected": 3, "configured": 3},
    "duties": {
        "completed": 26,
        "failed": 1,
        "expired": 1,
        "completed_by_role": {"committee": 12, "proposer": 3, "aggregator": 4, "sync_committee_contribution": 7},
    },
    "last": {"slot": 17, "round": 2, "start_delay_ms": 0.6, "commit_delay_ms": 58.4},
}


def operator(operator_id: int, *, alive: bool = True, restarts: int = 0) -> Any:
    usage = SimpleNamespace(cpu_seconds=12.3, rss_mb=331.0)
    return SimpleNamespace(operator_id=operator_id, alive=alive, restarts=restarts, usage=usage, sample=lambda: None)


def view(answers: dict[str, Any], *operators: Any) -> LiveView:
    def answer(request: httpx.Request) -> httpx.Response:
        found = answers.get(str(request.url))
        if isinstance(found, Exception):
            raise found
        return httpx.Response(404) if found is None else httpx.Response(200, json=found)

    config = DevnetConfig(4, 8, 4, 4, Path("r"))
    urls = {item.operator_id: f"http://op/{item.operator_id}" for item in operators}
    client = httpx.Client(transport=httpx.MockTransport(answer))
    return LiveView(config, "http://beacon", operators, urls, GENESIS, client=client)


CHAIN = {
    "http://beacon/eth/v1/beacon/headers/head": {"data": {"header": {"message": {"slot": "18"}}}},
    "http://beacon/eth/v2/beacon/blocks/18": {
        "data": {"message": {"body": {"sync_aggregate": {"sync_committee_bits": "0xffff0f01"}}}}
    },
    "http://beacon/eth/v1/beacon/states/head/finality_checkpoints": {
        "data": {"current_justified": {"epoch": "2"}, "finalized": {"epoch": "1"}}
    },
}


def drawn(live: LiveView, now: float) -> str:
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(live.render(now))
    return console.export_text()


def test_before_genesis_it_says_how_long() -> None:
    live = view({}, operator(1))
    live.poll(GENESIS - 5)
    text = drawn(live, GENESIS - 5)
    assert "genesis in 5 s: operators are starting" in text
    assert live.chain.slot == 0


def test_a_running_network() -> None:
    live = view({**CHAIN, "http://op/1": STATE, "http://op/2": {**STATE, "last": None}}, operator(1), operator(2))
    live.poll(GENESIS + 75)
    text = drawn(live, GENESIS + 75)
    assert "slot 18   epoch 2 of 4   head 18   justified 2   finalized 1" in text
    assert "last epoch:   blocks 1 of 8   sync 66%" in text
    rows = [line.split() for line in text.splitlines() if line[:1] in "12"]
    common = ["12", "s", "331", "MB"]
    assert rows == [
        ["1", "3/3", "12", "3", "4", "7", "2", "17", "2", "1", "ms", "58", "ms", *common],
        ["2", "3/3", "12", "3", "4", "7", "2", "-", "-", "-", "-", *common],
    ]


def test_who_does_not_answer_keeps_what_was_known_and_who_is_dead_is_down() -> None:
    answers: dict[str, Any] = {**CHAIN, "http://op/1": STATE, "http://op/2": STATE}
    first, second = operator(1), operator(2, restarts=1)
    live = view(answers, first, second, operator(3))
    live.poll(GENESIS + 75)
    for url in ("http://op/1", *CHAIN):
        answers[url] = httpx.ReadTimeout("slow")
    second.alive = False
    live.poll(GENESIS + 76)
    text = drawn(live, GENESIS + 76)
    assert live.chain.head_slot == 18
    assert live.down == {2}
    assert "down restarted 1x" in text
    assert "starting" in text
    second.alive = True
    live.poll(GENESIS + 77)
    assert live.down == set()


def test_garbage_instead_of_a_page_is_no_answer() -> None:
    live = view({"http://op/1": ["not", "a", "page"], **dict.fromkeys(CHAIN, 5)}, operator(1))
    live.poll(GENESIS + 1)
    assert (live.states, live.chain.head_slot) == ({}, 0)

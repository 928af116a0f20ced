"""The report's page: whole HTML, nothing of the data is taken for markup, empty runs are drawn too."""

import re
from collections.abc import Mapping
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from ssv_pool.report import plots
from ssv_pool.report.page import PHASE_MEANINGS, Plotted, render

EMPTY = Plotted(slots=[], included=[], missed=[], down=[], delays={"start delay": [], "duty": []})

VOID = {"meta"}


FIGURES = {"p50": 1.0, "p99": 2.0, "max": 1234.5, "n": 9}


def duty(**changes: object) -> dict[str, Any]:
    return {"delay_ms": FIGURES, "rounds": {"1": 10, "2": 3, "4": 1}, "reasons": {"no_proposal": 3}, **changes}


def report(**changes: object) -> dict[str, Any]:
    values: dict[str, Any] = {
        "config": {
            "operators": 4,
            "validators": 8,
            "chain_validators": 64,
            "clusters": [[1, 2, 3, 4]],
            "epochs": 2,
            "slots_per_epoch": 8,
            "slot_seconds": 4,
            "kill": ["1@1"],
            "boole_epoch": None,
            "beacon": "embedded",
            "beacon_nodes": 1,
            "stop_beacon": [],
            "attack": None,
            "exit": [],
            "seed": 0,
        },
        "attacked_operator": None,
        "duties": {
            "attester": duty(assigned=16, included=12, rate=0.75, correct_head=0.5, effectiveness=0.625),
            "proposer": duty(assigned=4, included=3, rate=0.75, phases_ms=dict.fromkeys(PHASE_MEANINGS, FIGURES)),
            "sync_committee": duty(assigned=64, included=63, rate=0.9844),
            "aggregator": duty(assigned=16, delivered=16, rate=1.0, reasons={}),
            "contribution": duty(assigned=0, delivered=0, rate=1.0, delay_ms=None, rounds={}, reasons={}),
            "exit": duty(assigned=0, included=0, rate=1.0, delay_ms=None, rounds={}, reasons={}),
        },
        "latency_ms": {
            "start_delay": FIGURES,
            "commit_delay": None,
            "signature": None,
            "duty": None,
        },
        "rounds": {"1": 10, "3": 1},
        "slashable": 0,
        "chain": {"head_slot": 30, "justified_epoch": 2, "finalized_epoch": 1, "slots": 16, "blocks": 15},
        "operators": [
            {"id": 1, "cpu_seconds": 3.21, "rss_mb": 99.6, "restarts": 1, "deaths": 0, "missed_start": 2, "failed": 9},
        ],
        "epochs": [epoch_row()],
        "offences": [],
        "checks": [{"name": "nothing slashable", "ok": True, "detail": "0 found"}],
        "seconds": 61.4,
        "ok": True,
    }
    return {**values, **changes}


def epoch_row(**changes: object) -> dict[str, Any]:
    values = {"assigned": 8, "included": 4, "proposals": 8, "blocks": 7, "sync_participation": 0.875}
    return {"epoch": 1, **values, "expected": "all", "down": [1, 3], **changes}


class Outline(HTMLParser):
    """Checks that every element is closed in order, and collects tags and text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip() and "style" not in self.open:
            self.words.append(" ".join(data.split()))


def read(page: str) -> Outline:
    outline = Outline()
    outline.feed(page)
    outline.close()
    assert outline.open == []
    return outline


PLOTTED = Plotted(
    [8, 9],
    [3, 0],
    [0, 1],
    [(8, 16, "1 down")],
    {"start delay": [(8, 1.5)], "duty": [(9, 250.0)]},
    duties={"attester": [(8, 200.0)], "proposer": [(9, 300.0)]},
    phases={"randao": [(9, 30.0)], "consensus": [(9, 50.0)]},
    sync={8: (30, 2), 9: (32, 0)},
    blocks={8: (1, 0), 9: (0, 1)},
)


def test_the_page_says_what_the_report_says() -> None:
    found = read(render(report(), PLOTTED))
    for words in (
        (
            "4 operators, 8 of the chain's 64 validators, 2 epochs of 8 slots of 4 s, embedded beacon node, "
            "killed 1@1 (operators@epoch); 61 s in all"
        ),
        *("75.0%", "15/16", "0.625", "50.0%", "1,234.5 ms", "3.2 s", "100 MB", "1, 3", "no proposal"),
        *("4 of 8", "7 of 8", "87.5%", "98.4%", "75.00%", "sync committee", "delivered", "block fetch"),
        *("holds", "good", "1 down", "missed", "no block", "block proposed", "missing"),
    ):
        assert words in found.words
    assert found.tags.count("svg") == 6
    assert "script" not in found.tags
    assert "contribution" not in found.words, "nobody had that duty"


def test_all_that_was_done_to_the_run_is_said() -> None:
    changes = {
        "clusters": [[1, 2, 3, 4], [4, 5, 6, 7]],
        "boole_epoch": 3,
        "beacon_nodes": 2,
        "stop_beacon": ["1@2"],
        "attack": "stale-head",
        "exit": ["1@1"],
        "kill": [],
    }
    page = render(report(config=report()["config"] | changes, attacked_operator=3), PLOTTED)
    for words in (
        "committees 1,2,3,4; 4,5,6,7",
        "2 embedded beacon nodes",
        "Boole from epoch 3",
        "beacon nodes stopped 1@2 (nodes@epoch)",
        "operator 3&#x27;s beacon node lies (stale-head)",
        "exits 1@1 (validators@epoch)",
    ):
        assert words in page
    assert "killed" not in page


def test_a_failed_check_stands_out() -> None:
    checks = [{"name": "attestations included", "ok": False, "detail": "1 of 9, at least 98% wanted"}]
    page = render(report(checks=checks, ok=False), EMPTY)
    assert "<span class='verdict bad'>not good</span>" in page
    assert "<td class='fails'>FAILS</td>" in page


def test_nothing_in_the_data_is_taken_for_markup() -> None:
    evil = "<script>alert('x')</script>&amp;\"'"
    hostile = report(
        checks=[{"name": evil, "ok": False, "detail": evil}],
        duties={**report()["duties"], "exit": duty(assigned=1, included=0, rate=0.0, reasons={evil: 1})},
        offences=[evil],
        epochs=[epoch_row(expected=evil)],
        config={**report()["config"], "kill": [evil]},
        ok=False,
    )
    found = read(render(hostile, Plotted([8], [1], [0], [(8, 16, evil)], {evil: [(8, 1.0)]})))
    assert "script" not in found.tags
    assert found.words.count(evil) >= 5


def test_a_run_without_anything_is_drawn_too() -> None:
    empty = duty(assigned=0, included=0, rate=1.0, delay_ms=None, rounds={}, reasons={})
    attester = empty | {"correct_head": 1.0, "effectiveness": 1.0}
    proposer = empty | {"phases_ms": dict.fromkeys(PHASE_MEANINGS)}
    nothing = report(
        duties={**dict.fromkeys(report()["duties"], empty), "attester": attester, "proposer": proposer},
        latency_ms=dict.fromkeys(report()["latency_ms"]),
        rounds={},
        operators=[],
        epochs=[],
        checks=[],
    )
    found = read(render(nothing, EMPTY))
    assert found.tags.count("svg") == 5
    assert "Why duties did not complete, as the operators saw it" not in found.words


def test_nothing_is_fetched_from_elsewhere() -> None:
    page = render(report(), EMPTY)
    loaded = re.findall(r"(?:src|href)=[\"']([^\"'#][^\"']*)", page) + re.findall(r"url\(([^#)][^)]*)\)", page)
    assert loaded == []


@pytest.mark.parametrize(
    "svg",
    [
        plots.inclusion([], [], [], [], 8),
        plots.inclusion([8], [0], [0], [(8, 16, "1 down")], 8),
        plots.inclusion(list(range(8, 800)), [1] * 792, [0] * 792, [], 8),
        plots.blocks_and_sync({}, {}, [], 8),
        plots.blocks_and_sync({8: (0, 1)}, {}, [(8, 16, "1 down")], 8),
        plots.blocks_and_sync({8: (1, 0)}, {8: (0, 0), 9: (32, 0)}, [], 8),
        plots.delay_distributions({name: [1.0] for name in "abcdefgh"}, wide=True),
        plots.delays_by_slot({}, 8),
        plots.delays_by_slot({"a": [(8, -5.0)], "b": [], "c": [(8, 0.0)]}, 8),
        plots.delay_distributions({}),
        plots.delay_distributions({"a": [], "b": [-1.0, 0.0], "c": [7.0]}),
        plots.rounds({}),
        plots.rounds({1: 3, 12: 1}),
    ],
)
def test_every_input_gives_one_whole_svg(svg: str) -> None:
    assert ET.fromstring(svg).tag.endswith("svg")


def test_the_same_data_give_the_same_picture() -> None:
    data: Mapping[str, list[tuple[int, float]]] = {"duty": [(8, 3.0), (9, 5.0)]}
    assert plots.delays_by_slot(data, 8) == plots.delays_by_slot(data, 8)


def life(**changes: Any) -> dict[str, Any]:
    step = {"name": "stake", "by": "stakers", "meaning": "stakers deposit", "slot": 3, "epoch": 0, "seconds": 9.4}
    fund = {"name": "fund", "by": "keepers", "meaning": "32 ETH go", "slot": 9, "epoch": 1, "seconds": 27.6}
    values = {
        "steps": [{**step, "detail": "20 ETH"}, {**fund, "detail": "validator <b>"}],
        "missing": [],
        "error": "",
        "validator": {"index": 64, "attestations": 5, "included": 4},
        "books": {
            "deposits": str(36 * 10**18),
            "rewards": "-1",
            "fees": {"clusters": "5", "operator 1": "7", "all": "12"},
            "payouts": str(35 * 10**18),
            "left": {"staker_shares": "0", "dust": "4"},
            "balanced": True,
            "faults": [],
        },
    }
    return {**values, **changes}


def test_a_life_is_drawn_and_told() -> None:
    page = render(report(lifecycle=life()), EMPTY)
    Outline().feed(page)
    for text in (
        "A validator's life",
        "Validator 64 of the staking pool: 4 of 5 attestations in blocks.",
        "9\N{NO-BREAK SPACE}s",
        "validator &lt;b&gt;",
        "36.000000000000000000",
        "-0.000000000000000001",
        "fee shares of operator 1",
        "balanced to the wei",
    ):
        assert text in page
    assert "1 epochs of 8 slots" in page, "so many as there were, not as there may be"
    assert "<b>" not in page.split("<h2>Duties", maxsplit=1)[0].split("A validator", maxsplit=1)[1]


def test_a_life_that_was_cut_short_says_what_is_missing() -> None:
    cut = life(
        steps=[],
        missing=["stake", "payout"],
        error="no <money>",
        books=None,
        validator={"index": None, "attestations": 0, "included": 0},
    )
    page = render(report(lifecycle=cut), EMPTY)
    Outline().feed(page)
    assert "The pool has no validator." in page
    assert "Not seen: stake, payout" in page
    assert "no &lt;money&gt;" in page
    wrong = life()
    wrong["books"] |= {"balanced": False, "faults": ["payouts: 1, expected 2"]}
    assert "not balanced: payouts: 1, expected 2" in render(report(lifecycle=wrong), EMPTY)


def test_a_timeline_names_each_actor_once() -> None:
    svg = plots.timeline([("deposit", "stakers", 0), ("fund", "keepers", 4), ("pay", "stakers", 30)], 8)
    ET.fromstring(svg)
    assert svg.count(">stakers<") == 1
    assert svg.count(">keepers<") == 1

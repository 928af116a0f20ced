"""A life in the report: ``report.json.lifecycle`` and the lines of the summary."""

from collections.abc import Iterator
from typing import Any

from ssv_pool.devnet.lifecycle.driver import LifeDriver, eth


def life_report(life: LifeDriver) -> dict[str, Any]:
    """The steps with the slots in which they were seen, the duties of the pool's validator, the books in wei."""
    done, owed = life.duties
    return {
        "steps": [step.as_json() for step in life.log.steps],
        "missing": list(life.log.missing),
        "error": life.error,
        "validator": {"index": life.validator, "attestations": owed, "included": done},
        "books": life.books.as_json() if life.books is not None else None,
    }


def life_lines(life: LifeDriver) -> Iterator[str]:
    """The life for a terminal: one line a step, then the books."""
    yield "LIFE"
    for step in life.log.steps:
        yield f"  {step}"
    for name in life.log.missing:
        yield f"  not seen: {name}"
    books = life.books
    if books is None:
        return
    yield "BOOKS"
    for name, value in (
        ("deposits", books.deposits),
        ("+ rewards", books.rewards),
        ("- clusters", books.clusters),
        ("- fee shares", sum(books.fee_shares.values())),
        ("- stakers' shares", books.staker_shares),
        ("- dust", books.dust),
        ("= payouts", books.payouts),
    ):
        yield f"  {name:<22} {eth(value)}"

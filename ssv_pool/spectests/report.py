"""The report: a row per test type, then what failed."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.table import Table

from ssv_pool.spectests.model import Failure, FileResult

REPORT_WIDTH = 140
"""Columns that hold the longest test type's row, also where the output is no terminal."""


@dataclass(slots=True)
class Row:
    """The sums of one test type in one release."""

    fork: str
    module: str
    type: str
    files: int = 0
    tests: int = 0
    failed: int = 0
    seconds: float = 0.0
    """Of one core, files in parallel counted apart."""

    def add(self, result: FileResult) -> None:
        """Count a file. One that could not be run counts as a failed test."""
        self.files += 1
        self.tests += max(result.tests, len(result.failures))
        self.failed += len(result.failures)
        self.seconds = round(self.seconds + result.seconds, 3)

    @property
    def passed(self) -> int:
        """Tests that passed."""
        return self.tests - self.failed


def rows_of(results: Iterable[FileResult]) -> list[Row]:
    """Sums per release, module and type, in the order of the results."""
    rows: dict[tuple[str, str, str], Row] = {}
    for result in results:
        key = (result.fork, result.module, result.go_type)
        rows.setdefault(key, Row(*key)).add(result)
    return list(rows.values())


def failures_of(results: Iterable[FileResult]) -> list[Failure]:
    """All failures."""
    return [failure for result in results for failure in result.failures]


def as_json(results: Sequence[FileResult], seconds: float) -> str:
    """Sums, rows and failures; ``seconds`` is the time of the whole run."""
    rows = rows_of(results)
    report = {
        "files": sum(row.files for row in rows),
        "tests": sum(row.tests for row in rows),
        "passed": sum(row.passed for row in rows),
        "failed": sum(row.failed for row in rows),
        "seconds": round(seconds, 2),
        "types": [asdict(row) | {"passed": row.passed} for row in rows],
        "failures": [asdict(failure) for failure in failures_of(results)],
    }
    return json.dumps(report, indent=2)


def print_report(results: Sequence[FileResult], seconds: float, console: Console) -> None:
    """The failures, then the table, then one line."""
    for failure in failures_of(results):
        console.print(
            f"FAILED {failure.fork} {failure.module} {failure.file}: {failure.test}\n    {failure.text}",
            style="red",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    rows = rows_of(results)
    table = Table()
    for column in ("fork", "module", "test type"):
        table.add_column(column, no_wrap=True)
    for column in ("files", "tests", "passed", "failed", "core s"):
        table.add_column(column, justify="right")
    for row in rows:
        figures = (str(row.files), str(row.tests), str(row.passed), str(row.failed), f"{row.seconds:.1f}")
        table.add_row(row.fork, row.module, row.type, *figures, style="red" if row.failed else None)
    console.print(table)
    failed = sum(row.failed for row in rows)
    console.print(
        f"{sum(row.files for row in rows)} files, {sum(row.passed for row in rows)} tests passed, "
        f"{failed} failed in {seconds:.1f} s",
        style="red" if failed else "green",
        highlight=False,
    )

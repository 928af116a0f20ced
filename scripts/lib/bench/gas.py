"""Measure what the contracts' calls cost: gas used by real transactions on anvil, for each committee size.

Beside ours stands what the SSV network publishes of its own contract, where it does.
"""

import argparse
import json
import sys
from collections.abc import Iterator

import gas_pool
import gas_registry
from gas_chain import Chain, Figures
from gas_published import BOUND, MEASURED, SIZES
from rich.console import Console
from rich.table import Table
from web3 import HTTPProvider, Web3

from ssv_pool.devnet.anvil import Anvil

COLUMNS = ("call", "operators", "ours", "SSV network, measured (paid in SSV)", "SSV network, bound (paid in ETH)")
UNPUBLISHED = "not published"


def rows(figures: Figures, *, published: bool) -> Iterator[tuple[str, ...]]:
    """The table's rows; with or without the columns of published figures."""
    for call, gas in figures.items():
        for size, used in gas.items() if isinstance(gas, dict) else (("", gas),):
            beside = (_cell(MEASURED, call, size), _cell(BOUND, call, size)) if published else ()
            yield (call, str(size), f"{used:,}", *beside)


def _cell(source: Figures, call: str, size: int | str) -> str:
    found = source.get(call)
    if isinstance(found, dict):
        found = found.get(size) if isinstance(size, int) else None
    return UNPUBLISHED if found is None else f"{found:,}"


def print_markdown(columns: tuple[str, ...], lines: Iterator[tuple[str, ...]]) -> None:
    """The table as the documentation has it."""
    for line in (columns, ("---", *["---:"] * (len(columns) - 1)), *lines):
        sys.stdout.write(f"| {' | '.join(line)} |\n")


def print_table(title: str, columns: tuple[str, ...], lines: Iterator[tuple[str, ...]]) -> None:
    """The table as a person reads it on a terminal."""
    table = Table(*columns, title=title)
    for column in table.columns[1:]:
        column.justify = "right"
    for line in lines:
        table.add_row(*line)
    Console().print(table)


def _sizes(text: str) -> tuple[int, ...]:
    sizes = tuple(int(part) for part in text.split(","))
    if not set(sizes) <= set(SIZES):
        raise argparse.ArgumentTypeError(f"{text}: expected some of {', '.join(map(str, SIZES))}")
    return sizes


def main() -> None:
    """Print the tables, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--json", action="store_true", help="print JSON instead of tables")
    how.add_argument("--markdown", action="store_true", help="print the tables as the documentation has them")
    parser.add_argument(
        "--sizes", type=_sizes, default=SIZES, metavar="N[,N]", help="operators of a cluster: some of 4, 7, 10, 13"
    )
    options = parser.parse_args()
    with Anvil() as anvil:
        chain = Chain(Web3(HTTPProvider(anvil.url)))
        found = {
            "SSVRegistry": gas_registry.measure(chain, options.sizes),
            "StakingPool": gas_pool.measure(chain, options.sizes),
        }
    if options.json:
        json.dump(
            {"operators": options.sizes, "gas": found, "measured": MEASURED, "bound": BOUND}, sys.stdout, indent=1
        )
        sys.stdout.write("\n")
        return
    for name, figures in found.items():
        published = name == "SSVRegistry"
        columns = COLUMNS if published else COLUMNS[:3]
        if options.markdown:
            sys.stdout.write(f"\n### {name}\n\n")
            print_markdown(columns, rows(figures, published=published))
        else:
            print_table(name, columns, rows(figures, published=published))


if __name__ == "__main__":
    main()

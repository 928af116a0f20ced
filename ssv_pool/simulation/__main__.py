"""The command line of the simulator: ``scripts/simulate``."""

import argparse
import json
import sys
import time

from ssv_pool.simulation.batch import Summary, run_batch
from ssv_pool.simulation.profiles import PROFILES
from ssv_pool.simulation.simulator import SeedResult, Settings, run_seed

SHOWN_VIOLATIONS = 3
"""How many failing seeds of a setting are shown with their trace."""


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the arguments."""
    parser = argparse.ArgumentParser(
        prog="simulate",
        description="Runs committees of the real protocol code on a virtual clock and network, with faults, and checks "
        "that they agree, are never slashable, and finish. Exit status 1: an invariant did not hold.",
    )
    parser.add_argument("--seeds", type=int, default=1000, metavar="N", help="how many for each profile and size")
    parser.add_argument("--first", type=int, default=0, metavar="S", help="the first seed (default 0)")
    parser.add_argument("--operators", type=int, nargs="+", default=[4], metavar="n", help="4, 7, 10 or 13 (default 4)")
    parser.add_argument("--faults", type=int, metavar="f", help="faulty operators, at most (default) (n - 1) / 3")
    parser.add_argument(
        "--profile", nargs="+", default=["lossy"], metavar="NAME", help=f"{', '.join(PROFILES)}, or all (default lossy)"
    )
    parser.add_argument("--seed", type=int, metavar="S", help="play this one seed only")
    parser.add_argument("--trace", action="store_true", help="with --seed: print what happened, event by event")
    parser.add_argument("--processes", type=int, default=2, help="(default 2)")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of a table")
    options = parser.parse_args(arguments)
    if "all" in options.profile:
        options.profile = list(PROFILES)
    try:
        options.settings = [
            Settings(size, (size - 1) // 3 if options.faults is None else options.faults, profile)
            for size in options.operators
            for profile in options.profile
        ]
    except ValueError as error:
        parser.error(str(error))
    if options.seeds < 1 or options.processes < 1:
        parser.error("--seeds and --processes have to be 1 or more")
    return options


def command_of(settings: Settings, seed: int) -> str:
    """The command that replays a seed."""
    return (
        f"scripts/simulate --profile {settings.profile} --operators {settings.operators} --faults {settings.faults} "
        f"--seed {seed} --trace"
    )


def show_one(options: argparse.Namespace) -> int:
    """Play a single seed."""
    status = 0
    results = [(each, run_seed(each, options.seed, trace=options.trace)) for each in options.settings]
    if options.json:
        json.dump([_one_as_json(*item) for item in results], sys.stdout, indent=1)
        print()  # noqa: T201
    for settings, result in results:
        if result.violation:
            status = 1
        if not options.json:
            for line in result.trace:
                print(line)  # noqa: T201
            verdict = result.violation or "no violation"
            print(f"seed {result.seed}, {settings.profile}, {settings.operators} operators: {verdict}")  # noqa: T201
    return status


def _one_as_json(settings: Settings, result: SeedResult) -> dict[str, object]:
    return {
        "profile": settings.profile,
        "operators": settings.operators,
        "faults": settings.faults,
        "seed": result.seed,
        "violation": result.violation,
        "steps": result.steps,
        "messages": result.messages,
        "trace": result.trace,
    }


def show_many(options: argparse.Namespace) -> int:
    """Play many seeds and sum up."""
    started = time.monotonic()
    summaries = run_batch(options.settings, options.first, options.seeds, options.processes)
    wall = time.monotonic() - started
    violations = sum(len(summary.violations) for summary in summaries)
    if options.json:
        document = {
            "first": options.first,
            "processes": options.processes,
            "wall_seconds": round(wall, 2),
            "violation_count": violations,
            "runs": [summary.as_json() for summary in summaries],
        }
        json.dump(document, sys.stdout, indent=1)
        print()  # noqa: T201
    else:
        _print_table(summaries, wall)
    for summary in summaries:
        for seed, _ in summary.violations[:SHOWN_VIOLATIONS]:
            result = run_seed(summary.settings, seed, trace=True)
            print(f"\nseed {seed}: {result.violation}\n{command_of(summary.settings, seed)}", file=sys.stderr)  # noqa: T201
            print("\n".join(result.trace), file=sys.stderr)  # noqa: T201
    return 1 if violations else 0


def _print_table(summaries: list[Summary], wall: float) -> None:
    print("profile      n  f    seeds  violations      steps  completed  last round  seeds/s of one core")  # noqa: T201
    for summary in summaries:
        settings = summary.settings
        print(  # noqa: T201
            f"{settings.profile:<11}{settings.operators:>3}{settings.faults:>3}{summary.seeds:>9}"
            f"{len(summary.violations):>12}{summary.steps:>11}{summary.completed:>11}"
            f"{max(summary.rounds, default=0):>12}{summary.seeds / max(summary.cpu_seconds, 1e-9):>21.0f}"
        )
    seeds = sum(summary.seeds for summary in summaries)
    violations = sum(len(summary.violations) for summary in summaries)
    print(f"{seeds} seeds in {wall:.1f} s, {violations} violations")  # noqa: T201


def main(arguments: list[str] | None = None) -> int:
    """Run; returns the exit status."""
    options = parse(arguments)
    return show_many(options) if options.seed is None else show_one(options)


if __name__ == "__main__":
    sys.exit(main())

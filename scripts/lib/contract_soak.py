"""Random calls over the registry and the staking pool, each beside a model in plain Python that predicts it.

Calls are made in worlds of newly deployed contracts. After every call the books are compared with the model's, and at
the end of every world of the pool everybody leaves and must be paid. Each world has a seed of its own, so a finding is
repeated with `--world` alone, however many processes run. Counted are calls that change state, refused ones too; views
are not. See docs/contracts.md.
"""

import argparse
import gc
import json
import multiprocessing
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Self, TypeVar

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests" / "helpers"), str(ROOT / "tests" / "contracts")]

from contract_vm import ContractVM, RefusedError  # noqa: E402 - found by the path above
from eth_utils.crypto import keccak  # noqa: E402
from pool_vm import Limits, PoolVM  # noqa: E402
from pool_world import PoolWorld  # noqa: E402
from registry_vm import ZERO_ADDRESS, RegistryVM  # noqa: E402
from test_registry_accounting_states import GWEI, OPERATORS, SETS, THRESHOLD, UNIT, AccountingModel  # noqa: E402

from ssv_pool.registry.artifacts import published_abi  # noqa: E402

T = TypeVar("T")
ACTIONS_OF_A_WORLD = 400
BEGINNING = 10
"""How many of them bring a pool to life: stakes, and committees that are allowed."""
THOROUGH = 20
"""After how many actions all accounts are compared, not the books alone."""

Count = tuple[str, str, str]
"""Contract, call, and what came of it: accepted, or the error's name."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one world."""

    number: int
    contract: str
    counts: Counter[Count]
    finding: str = ""
    actions: list[str] = field(default_factory=list)
    """The last ones before a finding."""


class Chance:
    """A seeded source of what Hypothesis draws elsewhere."""

    def __init__(self, seed: str) -> None:
        self.random = Random(seed)

    def number(self, low: int, high: int) -> int:
        """A number of the range, ends included."""
        return self.random.randint(low, high)

    def choice(self, values: Sequence[T]) -> T:
        """One of the values."""
        return self.random.choice(values)


class Counted:
    """Counts the calls of contracts while it lasts; views are made from the zero address and do not count."""

    def __init__(self) -> None:
        self.counts: Counter[Count] = Counter()
        self.names: dict[bytes, str] = {}
        for contract in ("SSVRegistry", "StakingPool"):
            for entry in published_abi(contract):
                if entry["type"] == "error":
                    text = f"{entry['name']}({','.join(part['type'] for part in entry['inputs'])})"
                    self.names[keccak(text=text)[:4]] = entry["name"]

    def __enter__(self) -> Self:
        self.call = ContractVM.call
        counted = self

        def call(vm: ContractVM, signature: str, *values: Any, sender: str, value: int = 0) -> bytes:
            contract = "pool" if isinstance(vm, PoolVM) else "registry" if isinstance(vm, RegistryVM) else "deposits"
            name = signature.partition("(")[0] or "plain ether"
            try:
                result = counted.call(vm, signature, *values, sender=sender, value=value)
            except RefusedError as error:
                counted.counts[contract, name, counted.names.get(error.data[:4], "without a reason")] += 1
                raise
            if sender != ZERO_ADDRESS:
                counted.counts[contract, name, "accepted"] += 1
            return result

        ContractVM.call = call  # type: ignore[method-assign]
        return self

    def __exit__(self, *_: object) -> None:
        ContractVM.call = self.call  # type: ignore[method-assign]


def pool_world(chance: Chance, actions: list[str]) -> None:
    """The pool among all who deal with it."""
    limits = Limits(chance.number(0, 1_000), chance.number(0, 1_000), budget=chance.choice((100, 500, 1_000)))
    world = PoolWorld(limits, THOROUGH)
    names = [name for name, weight in PoolWorld.ACTIONS for _ in range(weight)]
    for number in range(ACTIONS_OF_A_WORLD):
        actions.append(chance.choice(("stake", "allow") if number < BEGINNING else names))
        world.step(getattr(world, actions[-1]), chance)
    world.check_all()
    actions.append("leave_all")
    world.leave_all()


def registry_world(chance: Chance, actions: list[str]) -> None:
    """Operators, owners of clusters and liquidators."""

    def wei() -> int:
        low, high = chance.choice(((0, 10**6), (10**14, 4 * 10**15), (10**15, 10**17)))
        return chance.number(low, high)

    def fee() -> int:
        return chance.choice((GWEI, 0, 2 * GWEI, 7 * GWEI + 3 * UNIT))

    model = AccountingModel()
    model.deploy([fee() for _ in range(OPERATORS)], fee())
    place = lambda: chance.number(0, 5)  # noqa: E731
    owner = lambda: chance.number(0, 1)  # noqa: E731
    steps: dict[str, tuple[int, Callable[[], tuple[Any, ...]]]] = {
        "register": (3, lambda: (owner(), chance.choice(SETS), chance.number(1, 3), wei())),
        "remove": (2, lambda: (place(),)),
        "deposit": (3, lambda: (place(), wei())),
        "withdraw": (3, lambda: (place(), chance.number(0, 100))),
        "liquidate": (2, lambda: (place(), owner())),
        "reactivate": (2, lambda: (place(), wei())),
        "take_earnings": (2, lambda: (chance.number(1, OPERATORS),)),
        "reduce_fee": (1, lambda: (chance.number(1, OPERATORS), fee())),
        "raise_fee": (1, lambda: (chance.number(1, OPERATORS),)),
        "set_network_fee": (1, lambda: (fee(),)),
        "take_network_earnings": (1, tuple),
        "pass_blocks": (2, lambda: (chance.choice((chance.number(1, 50), chance.number(1, 3) * THRESHOLD // 2)),)),
    }
    names = [name for name, (weight, _) in steps.items() for _ in range(weight)]
    removals = {chance.number(ACTIONS_OF_A_WORLD // 2, ACTIONS_OF_A_WORLD) for _ in range(2)}
    for number in range(ACTIONS_OF_A_WORLD):
        name = "remove_operator" if number in removals else chance.choice(names)
        if name in ("remove", "deposit", "withdraw", "liquidate", "reactivate") and not model.books:
            name = "register"
        actions.append(name)
        values = (chance.number(5, OPERATORS),) if name == "remove_operator" else steps[name][1]()
        getattr(model, name)(*values)
        model.holds_to_the_wei_what_it_owes()
        if number % THOROUGH == 0:
            model.earnings_are_the_models()
            model.balances_are_the_models()


def run(job: tuple[int, int]) -> Outcome:
    """One world."""
    number, seed = job
    # Registry worlds are a third: the pool's worlds call the registry too.
    contract, world = ("registry", registry_world) if number % 3 == 2 else ("pool", pool_world)
    actions: list[str] = []
    with Counted() as counted:
        try:
            world(Chance(f"{seed}/{number}"), actions)
        except Exception as error:  # noqa: BLE001 - whatever is raised here is the finding
            finding = f"{type(error).__name__}: {error}"
            return Outcome(number, contract, counted.counts, finding[:1_000], actions[-10:])
    return Outcome(number, contract, counted.counts)


def prepare() -> None:
    """What a process does before its world. Who stops the run stops the first process, which ends the others."""
    gc.disable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def compile_first() -> None:
    """Compile in the parent: worlds are forked and find the contracts ready."""
    PoolVM()


def table(counts: Counter[Count]) -> list[str]:
    """Accepted and refused calls, by contract and call."""
    lines = [f"{'contract':<10}{'call':<28}{'accepted':>9}{'refused':>9}  refused with"]
    for contract, call in sorted({(contract, call) for contract, call, _ in counts}):
        results = {
            result: count for (where, name, result), count in counts.items() if (where, name) == (contract, call)
        }
        accepted = results.pop("accepted", 0)
        reasons = ", ".join(f"{name} {count}" for name, count in sorted(results.items(), key=lambda item: -item[1]))
        lines.append(f"{contract:<10}{call:<28}{accepted:>9}{sum(results.values()):>9}  {reasons}".rstrip())
    return lines


def soak(
    calls: int, seed: int, processes: int, minutes: float, show: Callable[[str], None]
) -> tuple[Counter[Count], list[Outcome], int]:
    """Run worlds until so many calls were made or the time is over; their counts, the findings, how many worlds."""
    compile_first()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    counts: Counter[Count] = Counter()
    findings: list[Outcome] = []
    done = 0
    started = time.monotonic()
    jobs = ((number, seed) for number in range(calls))
    with multiprocessing.get_context("fork").Pool(processes, prepare, maxtasksperchild=1) as workers:
        try:
            for outcome in workers.imap_unordered(run, jobs, chunksize=1):
                done += 1
                counts += outcome.counts
                if outcome.finding:
                    findings.append(outcome)
                    show(f"\nworld {outcome.number} ({outcome.contract}): {outcome.finding}; after {outcome.actions}\n")
                made = counts.total()
                show(f"\r{made:>9} of {calls} calls, {done} worlds, {time.monotonic() - started:.0f} s ")
                if made >= calls or findings or time.monotonic() - started > minutes * 60:
                    break
        except KeyboardInterrupt:
            show("\nstopped: what was done until here")
        workers.terminate()
    show("\n")
    return counts, findings, done


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and sum up; the exit status is 1 if anything was found."""
    parser = argparse.ArgumentParser(prog="contract-soak", description=__doc__)
    parser.add_argument("--calls", type=int, default=100_000, metavar="N", help="at least so many (default 100,000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2, help="(default 2)")
    parser.add_argument("--minutes", type=float, default=float("inf"), metavar="M", help="stop after so long")
    parser.add_argument("--world", type=int, metavar="NUMBER", help="only this world, to repeat a finding")
    parser.add_argument("--json", action="store_true", help="the summary as JSON")
    options = parser.parse_args(arguments)
    if options.calls < 1 or options.processes < 1:
        parser.error("--calls and --processes are at least 1")
    started = time.monotonic()
    if options.world is not None:
        outcome = run((options.world, options.seed))
        counts, findings, worlds = outcome.counts, [outcome] if outcome.finding else [], 1
    else:
        counts, findings, worlds = soak(
            options.calls,
            options.seed,
            options.processes,
            options.minutes,
            lambda text: print(text, end="", file=sys.stderr, flush=True),
        )
    accepted = sum(count for (_, _, result), count in counts.items() if result == "accepted")
    summary = {
        "seed": options.seed,
        "calls": counts.total(),
        "accepted": accepted,
        "refused": counts.total() - accepted,
        "worlds": worlds,
        "seconds": round(time.monotonic() - started, 1),
        "findings": [
            {
                "world": outcome.number,
                "contract": outcome.contract,
                "finding": outcome.finding,
                "actions": outcome.actions,
            }
            for outcome in findings
        ],
    }
    if options.json:
        rows = [
            {"contract": contract, "call": call, "result": result, "count": count}
            for (contract, call, result), count in sorted(counts.items())
        ]
        print(json.dumps({**summary, "counts": rows}, indent=1))
    else:
        print("\n".join(table(counts)))
        print(
            f"{summary['calls']} calls in {worlds} worlds, seed {options.seed}: {accepted} accepted, "
            f"{summary['refused']} refused as predicted, {len(findings)} findings, {summary['seconds']} s"
        )
        for outcome in findings:
            print(f"world {outcome.number} ({outcome.contract}): {outcome.finding}; last actions {outcome.actions}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())

"""Applies small faults to the protocol code, one at a time, and sees to it that the tests notice each of them.

Every mutant is made in a copy of the package and the tests, in a temporary folder. It is killed when one of its killers
fails: a few unit tests or vectors, or seeds of the simulator. See docs/simulation.md.
"""

import argparse
import concurrent.futures
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mutations import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parents[2]

TIMEOUT_SECONDS = 900
"""How long one killer may take; a mutant that makes the tests hang is noticed too."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a mutant."""

    mutant: Mutant
    killer: str
    """What noticed it; empty if nothing did."""
    seconds: float
    problem: str = ""
    """Why it could not be made."""


class Workshop:
    """A copy of the package and its tests, in which mutants are made one after the other."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for name in ("ssv_pool", "workers", "tests", "contracts"):
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "README.md"):
            shutil.copy(ROOT / name, folder / name)
        vectors = os.environ.get("SSV_VECTORS") or ROOT.parent / "shared" / "vectors"
        self._environment = {
            **os.environ,
            "PYTHONPATH": str(folder),
            "PYTHONDONTWRITEBYTECODE": "1",
            "SSV_VECTORS": str(vectors),
        }
        self._has_vectors = any(Path(vectors).glob("ssv-spec-alan*"))

    def usable(self, killers: Sequence[str]) -> list[str]:
        """The killers without those that need vectors which are not there."""
        return [killer for killer in killers if self._has_vectors or not killer.startswith("spec ")]

    def run(self, killer: str) -> int:
        """The exit status of a killer."""
        kind, *arguments = killer.split()
        if kind == "test":
            command = ["-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *arguments]
        elif kind == "seeds":
            profile, count = arguments
            command = ["-m", "ssv_pool.simulation", "--processes", "1", "--profile", profile, "--seeds", count]
        else:
            module, fork = (*arguments, "alan")[:2]
            command = ["-m", "ssv_pool.spectests", "--fork", fork, "--jobs", "1", "--module", module]
        try:
            done = subprocess.run(
                [sys.executable, *command],
                cwd=self._folder,
                env=self._environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=TIMEOUT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return -1
        return done.returncode

    def judge(self, mutant: Mutant) -> Verdict:
        """Make a mutant, try its killers, and undo it."""
        started = time.monotonic()
        path = self._folder / mutant.path
        source = path.read_text()
        count = source.count(mutant.old)
        if count != 1:
            return Verdict(mutant, "", 0.0, f"its text occurs {count} times in {mutant.path}, expected once")
        path.write_text(source.replace(mutant.old, mutant.new))
        try:
            killer = next((killer for killer in self.usable(mutant.killers) if self.run(killer)), "")
        finally:
            path.write_text(source)
        return Verdict(mutant, killer, time.monotonic() - started)


def healthy(workshop: Workshop, mutants: list[Mutant]) -> list[str]:
    """The killers that fail without any mutant: they would prove nothing."""
    killers = dict.fromkeys(killer for mutant in mutants for killer in mutant.killers)
    return [killer for killer in workshop.usable(list(killers)) if workshop.run(killer)]


def work(folder: str, mutants: list[Mutant]) -> list[Verdict]:
    """Judge some mutants in a workshop of their own."""
    workshop = Workshop(Path(folder))
    verdicts = []
    for mutant in mutants:
        verdicts.append(workshop.judge(mutant))
        show(verdicts[-1])
    return verdicts


def show(verdict: Verdict) -> None:
    """Print one line of the table."""
    killer = verdict.killer.replace("test tests/", "").split(" tests/")[0]
    state = killer or (f"NOT MADE: {verdict.problem}" if verdict.problem else "SURVIVED")
    file = verdict.mutant.path.removeprefix("ssv_pool/")
    print(f"{verdict.mutant.name:<62} {file:<36} {state:<42} {verdict.seconds:6.1f} s", flush=True)


def main() -> int:
    """Judge all mutants; the exit status is 1 if one survives or cannot be made."""
    parser = argparse.ArgumentParser(prog="mutants", description=__doc__)
    parser.add_argument("--only", metavar="TEXT", default="", help="mutants with this in their name")
    parser.add_argument("--list", action="store_true", help="list them and do nothing")
    parser.add_argument("--no-baseline", action="store_true", help="do not try the killers on the unchanged code first")
    parser.add_argument("--processes", type=int, default=2, help="(default 2)")
    options = parser.parse_args()
    mutants = [mutant for mutant in MUTANTS if options.only in mutant.name]
    if options.list:
        for mutant in mutants:
            print(f"{mutant.name:<62} {mutant.path}")
        return 0
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        if not options.no_baseline and (failing := healthy(Workshop(Path(folder) / "healthy"), mutants)):
            print("these fail without any mutant: " + "; ".join(failing), file=sys.stderr)
            return 1
        with concurrent.futures.ProcessPoolExecutor(options.processes) as pool:
            shares = [mutants[number :: options.processes] for number in range(options.processes)]
            folders = [str(Path(folder) / f"workshop{number}") for number in range(options.processes)]
            verdicts = [verdict for part in pool.map(work, folders, shares) for verdict in part]
    alive = [verdict for verdict in verdicts if not verdict.killer]
    print(f"{len(verdicts)} mutants, {len(verdicts) - len(alive)} killed")
    for verdict in alive:
        print(f"  {verdict.problem or 'survived'}: {verdict.mutant.name}")
    return 1 if alive else 0


if __name__ == "__main__":
    sys.exit(main())

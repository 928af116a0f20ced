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

ROOT = Path(__file__).resolve().parents[2]

TIMEOUT_SECONDS = 900
"""How long one killer may take; a mutant that makes the tests hang is noticed too."""

PROTOCOL = "ssv_pool/protocol/"
QBFT = PROTOCOL + "qbft/"
RUNNERS = PROTOCOL + "runners/"
VALIDATION = PROTOCOL + "validation/"

UNIT_QBFT = "test tests/unit/protocol/qbft"
UNIT_COMMITTEE = "test tests/unit/protocol/committee"
UNIT_RUNNERS = "test tests/unit/protocol/runners"
UNIT_VALIDATION = "test tests/unit/protocol/validation"
UNIT_TYPES = "test tests/unit/protocol/types/test_codec_refusals.py tests/unit/protocol/types/test_validate.py"
UNIT_FORKS = "test tests/unit/protocol/test_forks.py"
UNIT_SLASHING = "test tests/unit/signer/test_slashing.py"
UNIT_CRYPTO = "test tests/unit/crypto/test_threshold.py"
VECTORS = "spec qbft"
LOSSY = "seeds lossy 60"
PARTITIONED = "seeds partitioned 150"
BYZANTINE = "seeds byzantine 300"
STALE = "seeds stale 100"
CHAOS = "seeds chaos 300"


@dataclass(frozen=True, slots=True)
class Mutant:
    """One fault."""

    name: str
    path: str
    """File, from the project's root."""
    old: str
    """Text that occurs there exactly once."""
    new: str
    """What it becomes."""
    killers: tuple[str, ...]
    """What is tried in turn: ``test <pytest arguments>``, ``spec <module>``, ``seeds <profile> <count>``."""


MUTANTS = (
    Mutant(
        "quorum one lower",
        PROTOCOL + "types/share.py",
        "return 2 * self.faulty_nodes + 1",
        "return 2 * self.faulty_nodes",
        (LOSSY, UNIT_QBFT),
    ),
    Mutant(
        "partial quorum one lower",
        PROTOCOL + "types/share.py",
        "return self.faulty_nodes + 1",
        "return self.faulty_nodes",
        (VECTORS, UNIT_QBFT),
    ),
    Mutant(
        "commit quorum one lower",
        QBFT + "instance.py",
        "if len(signers) < self.context.quorum:",
        "if len(signers) < self.context.quorum - 1:",
        (VECTORS, UNIT_QBFT),
    ),
    Mutant(
        "prepare quorum one lower",
        QBFT + "instance.py",
        "return distinct_signers(self.state.prepares.of_round(self.state.round)) >= self.context.quorum",
        "return distinct_signers(self.state.prepares.of_round(self.state.round)) >= self.context.quorum - 1",
        (VECTORS, UNIT_QBFT),
    ),
    Mutant(
        "round change quorum one lower in a proposal's proof",
        QBFT + "justification.py",
        "if distinct_signers(round_changes) < context.quorum:",
        "if distinct_signers(round_changes) < context.quorum - 1:",
        (VECTORS, UNIT_QBFT),
    ),
    Mutant(
        "prepare quorum one lower in a round change's proof",
        QBFT + "justification.py",
        """    if distinct_signers(prepares) < context.quorum:
        raise ProtocolError(
            f"{distinct_signers(prepares)} operators prepared""",
        """    if distinct_signers(prepares) < context.quorum - 1:
        raise ProtocolError(
            f"{distinct_signers(prepares)} operators prepared""",
        (VECTORS, UNIT_QBFT),
    ),
    Mutant(
        "prepare quorum one lower in a proposal's proof",
        QBFT + "justification.py",
        """    if distinct_signers(prepares) < context.quorum:
        raise ProtocolError(f"prepares of""",
        """    if distinct_signers(prepares) < context.quorum - 1:
        raise ProtocolError(f"prepares of""",
        (VECTORS, UNIT_QBFT),
    ),
    Mutant(
        "quorums count messages, not operators",
        QBFT + "containers.py",
        "return len({operator_id for message in messages for operator_id in message.signers})",
        "return len([operator_id for message in messages for operator_id in message.signers])",
        (VECTORS, UNIT_QBFT),
    ),
    Mutant(
        "signers of commits may overlap",
        QBFT + "containers.py",
        "if not any(operator_id in signers for operator_id in message.signers):",
        "if message.signers:",
        (VECTORS, UNIT_QBFT),
    ),
    Mutant(
        "a second message of an operator in a round counts",
        QBFT + "containers.py",
        """            return False
        self.add(message)
        return True""",
        """            pass
        self.add(message)
        return True""",
        (VECTORS, UNIT_QBFT),
    ),
    Mutant(
        "proposals after round 1 need no proof",
        QBFT + "justification.py",
        "if round_ == FIRST_ROUND:\n        return",
        "if round_ >= FIRST_ROUND:\n        return",
        (VECTORS, UNIT_QBFT),
    ),
    Mutant(
        "a round change's value need not be what was prepared",
        QBFT + "justification.py",
        "    _check_value_root(full_data, message)\n    if distinct_signers(prepares)",
        "    if distinct_signers(prepares)",
        (VECTORS, UNIT_QBFT),
    ),
    Mutant(
        "prepares of any round prove a proposal",
        QBFT + "justification.py",
        "check_prepare(context, prepare, height, highest.content.data_round, highest.content.root)",
        "check_prepare(context, prepare, height, prepare.content.round, highest.content.root)",
        (VECTORS, UNIT_QBFT),
    ),
    Mutant(
        "the value prepared first counts, not the last",
        QBFT + "justification.py",
        "highest = max(prepared,",
        "highest = min(prepared,",
        (VECTORS, UNIT_QBFT, CHAOS),
    ),
    Mutant(
        "signatures of round changes in a proposal are not checked",
        QBFT + "justification.py",
        """        check_round_change(context, message, height, round_, value)
        context.verify(message.signed)""",
        """        check_round_change(context, message, height, round_, value)""",
        (VECTORS, UNIT_QBFT),
    ),
    Mutant(
        "signatures of prepares in a round change are not checked",
        QBFT + "justification.py",
        """        check_prepare(context, prepare, height, content.data_round, content.root)
        context.verify(prepare.signed)""",
        """        check_prepare(context, prepare, height, content.data_round, content.root)""",
        (VECTORS, UNIT_QBFT),
    ),
    Mutant(
        "signatures of prepares in a proposal are not checked",
        QBFT + "justification.py",
        """            check_prepare(context, prepare, height, highest.content.data_round, highest.content.root)
            context.verify(prepare.signed)""",
        """            check_prepare(context, prepare, height, highest.content.data_round, highest.content.root)""",
        (VECTORS, UNIT_QBFT),
    ),
    Mutant(
        "signatures of a decided message are not checked",
        QBFT + "justification.py",
        """    check_commit_base(context, message, height)
    context.verify(message.signed)""",
        """    check_commit_base(context, message, height)""",
        (VECTORS, UNIT_QBFT),
    ),
    Mutant(
        "a decided message's value need not be what was committed to",
        QBFT + "justification.py",
        """    context.verify(message.signed)
    _check_value_root(message.signed.full_data, message)""",
        """    context.verify(message.signed)""",
        (VECTORS, BYZANTINE, UNIT_QBFT),
    ),
    Mutant(
        "anybody may propose",
        QBFT + "justification.py",
        "if message.signers != (leader,):",
        "if not message.signers:",
        (VECTORS, UNIT_QBFT),
    ),
    Mutant(
        "the value check is off in proposals",
        QBFT + "justification.py",
        "    context.check_value(value)\n    if round_ == FIRST_ROUND:",
        "    if round_ == FIRST_ROUND:",
        (VECTORS, UNIT_QBFT),
    ),
    Mutant(
        "the value check is off at the start",
        QBFT + "controller.py",
        "        self.context.check_value(value)\n",
        "",
        (VECTORS, UNIT_QBFT, UNIT_COMMITTEE),
    ),
    Mutant(
        "messages of past rounds are taken",
        QBFT + "instance.py",
        "if message.content.round < self.state.round:",
        "if message.content.round < 0:",
        (VECTORS, UNIT_QBFT),
    ),
    Mutant(
        "a second proposal of a round is accepted",
        QBFT + "justification.py",
        "if not (first_of_this_round or content.round > state.round):",
        "if content.round < state.round:",
        (VECTORS, UNIT_QBFT),
    ),
    Mutant(
        "prepares for another root count",
        QBFT + "justification.py",
        "    message.validate()\n    _check_proposed_root(message, root)",
        "    message.validate()",
        (VECTORS, UNIT_QBFT, CHAOS),
    ),
    Mutant(
        "commits of another round count",
        QBFT + "justification.py",
        """    _check_one_signer(message)
    _check_round(message, round_)
    _check_proposed_root(message, root)""",
        """    _check_one_signer(message)
    _check_proposed_root(message, root)""",
        (VECTORS, UNIT_QBFT),
    ),
    Mutant(
        "a round change does not say what was prepared",
        QBFT + "messages.py",
        "data_round=state.last_prepared_round if prepared else NO_ROUND,",
        "data_round=NO_ROUND,",
        (VECTORS, UNIT_QBFT),
    ),
    Mutant(
        "the last round is one too many",
        QBFT + "instance.py",
        "self.state.round < self.context.cutoff_round",
        "self.state.round <= self.context.cutoff_round",
        (VECTORS, UNIT_QBFT),
    ),
    Mutant(
        "a round that runs out leaves the accepted proposal in place",
        QBFT + "instance.py",
        "        self.state.round = round_\n        self.state.accepted_proposal = None\n",
        "        self.state.round = round_\n",
        (VECTORS, UNIT_QBFT),
    ),
    Mutant(
        "followers go to the latest round asked for",
        QBFT + "instance.py",
        "earliest = min(stored.content.round for stored in later)",
        "earliest = max(stored.content.round for stored in later)",
        (VECTORS, UNIT_QBFT, BYZANTINE),
    ),
    Mutant(
        "a stale timer changes the round",
        QBFT + "controller.py",
        "if instance is None or instance.state.decided or round_ != instance.state.round:",
        "if instance is None or instance.state.decided:",
        (VECTORS, UNIT_QBFT, UNIT_COMMITTEE),
    ),
    Mutant(
        "a message of another identifier is taken",
        QBFT + "controller.py",
        "if content.identifier != self.context.identifier:",
        "if not content.identifier:",
        (VECTORS, UNIT_QBFT),
    ),
    Mutant(
        "Alan's leader is one further",
        PROTOCOL + "forks.py",
        "return operator_ids[(height + round_ - 1) % len(operator_ids)]",
        "return operator_ids[(height + round_) % len(operator_ids)]",
        (UNIT_FORKS,),
    ),
    Mutant(
        "Boole's leader forgets the epoch",
        PROTOCOL + "forks.py",
        "(height + height // slots_per_epoch + round_ - 1)",
        "(height + round_ - 1)",
        (UNIT_FORKS,),
    ),
    Mutant(
        "rounds are counted from when the duty began",
        RUNNERS + "committee.py",
        "self.services.chain.attestation_due(slot) + self.services.timings.elapsed_after(round_)",
        "self.services.clock() + self.services.timings.elapsed_after(round_)",
        (UNIT_RUNNERS, UNIT_COMMITTEE),
    ),
    Mutant(
        "the checkpoints of a vote are not compared",
        RUNNERS + "committee.py",
        "if found.epoch != wanted.epoch or (whole_checkpoints and found.root != wanted.root):",
        "if False:",
        (UNIT_RUNNERS, STALE),
    ),
    Mutant(
        "a slashable vote passes the value check",
        RUNNERS + "committee.py",
        "        if slashable:\n            raise ProtocolError(",
        "        if False:\n            raise ProtocolError(",
        (UNIT_RUNNERS, UNIT_COMMITTEE),
    ),
    Mutant(
        "what was decided is not checked again",
        RUNNERS + "base.py",
        "            self.check_value(decided.full_data)\n",
        "            pass\n",
        (STALE, UNIT_COMMITTEE),
    ),
    Mutant(
        "signatures are rebuilt below the threshold",
        RUNNERS + "partials.py",
        ">= self.quorum",
        ">= self.quorum - 1",
        (UNIT_RUNNERS, UNIT_COMMITTEE, LOSSY),
    ),
    Mutant(
        "a later partial signature replaces the first",
        RUNNERS + "partials.py",
        "if operator_id in partials or self._counts[operator_id] >= self._limit:",
        "if self._counts[operator_id] >= self._limit:",
        (UNIT_RUNNERS, UNIT_COMMITTEE),
    ),
    Mutant(
        "an operator's partial signatures are not limited",
        RUNNERS + "partials.py",
        "if operator_id in partials or self._counts[operator_id] >= self._limit:",
        "if operator_id in partials:",
        (UNIT_RUNNERS, UNIT_COMMITTEE),
    ),
    Mutant(
        "invalid partial signatures stay",
        RUNNERS + "base.py",
        """            if not valid:
                container.remove(""",
        """            if valid:
                container.remove(""",
        (UNIT_RUNNERS, BYZANTINE),
    ),
    Mutant(
        "partial signatures of another slot are taken",
        RUNNERS + "base.py",
        "        if partials.slot > slot:\n",
        "        if False:\n",
        (UNIT_RUNNERS, UNIT_COMMITTEE),
    ),
    Mutant(
        "partial signatures may name another signer",
        PROTOCOL + "types/partial.py",
        "if self.messages[0].signer != signer:",
        "if not signer:",
        (UNIT_TYPES, UNIT_COMMITTEE),
    ),
    Mutant(
        "early messages are thrown away",
        PROTOCOL + "early.py",
        "        self._messages.setdefault(where, []).append(delivery)\n",
        "",
        (LOSSY, UNIT_COMMITTEE),
    ),
    Mutant(
        "the RSA signature of a message is not checked",
        PROTOCOL + "executor.py",
        "if operator is None or not self._keys.verify(operator.pubkey, encoded, signature):",
        "if operator is None:",
        (UNIT_COMMITTEE,),
    ),
    Mutant(
        "duplicate signers are allowed",
        PROTOCOL + "types/messages.py",
        "            if signer in seen:\n",
        "            if False:\n",
        (UNIT_TYPES,),
    ),
    Mutant(
        "offsets may go back",
        PROTOCOL + "types/ssz.py",
        "        if offset < previous:",
        "        if False:",
        (UNIT_TYPES,),
    ),
    Mutant(
        "lists may be too long",
        PROTOCOL + "types/ssz.py",
        "    check_limit(name, count, limit)\n    check_size(name, raw, first)",
        "    check_size(name, raw, first)",
        (UNIT_TYPES,),
    ),
    Mutant(
        "a decided message with few signers passes on",
        VALIDATION + "consensus.py",
        "if count < envelope.committee.quorum:",
        "if count < 2:",
        (UNIT_VALIDATION,),
    ),
    Mutant(
        "full data is not held against its hash",
        VALIDATION + "consensus.py",
        "if sha256(message.full_data).digest() != content.root:",
        "if not content.root:",
        (UNIT_VALIDATION,),
    ),
    Mutant(
        "proposals of others than the leader pass on",
        VALIDATION + "consensus.py",
        "if envelope.message.operator_ids[0] != leader:",
        "if not leader:",
        (UNIT_VALIDATION,),
    ),
    Mutant(
        "a repeated message passes on",
        VALIDATION + "consensus.py",
        "if seen.types >> content.msg_type & 1:\n        raise RuleBrokenError(\n            Rule.REPEATED_TYPE",
        "if False:\n        raise RuleBrokenError(\n            Rule.REPEATED_TYPE",
        (UNIT_VALIDATION,),
    ),
    Mutant(
        "rounds far ahead pass on",
        VALIDATION + "timing.py",
        "if round_ > allowed:",
        "if round_ > allowed + 1:",
        (UNIT_VALIDATION,),
    ),
    Mutant(
        "late messages pass on",
        VALIDATION + "timing.py",
        "if late > CLOCK_TOLERANCE:",
        "if late > 100:",
        (UNIT_VALIDATION,),
    ),
    Mutant(
        "one duty too many passes on",
        VALIDATION + "timing.py",
        "if duties > allowed:",
        "if duties > allowed + 1:",
        (UNIT_VALIDATION,),
    ),
    Mutant(
        "signers outside the committee pass on",
        VALIDATION + "envelope.py",
        "signers_in(committee.operator_ids):",
        "signers_in(message.operator_ids):",
        (UNIT_VALIDATION,),
    ),
    Mutant(
        "surrounding votes are signed",
        "ssv_pool/signer/slashing.py",
        "(source < ? AND target > ?) OR (source > ? AND target < ?)",
        "(source < ? AND target > ? AND 0) OR (source > ? AND target < ?)",
        (UNIT_SLASHING, "test tests/spec/test_interchange_vectors.py"),
    ),
    Mutant(
        "a source before the highest one is not doubtful",
        "ssv_pool/signer/slashing.py",
        "elif source < entry[1].top_source or target <= entry[1].top_target:",
        "elif target <= entry[1].top_target:",
        (UNIT_SLASHING, "test tests/spec/test_interchange_vectors.py"),
    ),
    Mutant(
        "a second vote for a target is not doubtful",
        "ssv_pool/signer/slashing.py",
        "elif source < entry[1].top_source or target <= entry[1].top_target:",
        "elif source < entry[1].top_source or target < entry[1].top_target:",
        (UNIT_SLASHING, "test tests/spec/test_interchange_vectors.py"),
    ),
)
"""All the mutants."""


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
            command = ["-m", "ssv_pool.spectests", "--fork", "alan", "--jobs", "1", "--module", *arguments]
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

"""A small slice of what scripts/simulate plays, and proof that its invariants bite."""

import itertools
import json
import os
import subprocess
import sys
from dataclasses import replace
from random import Random

import pytest

from ssv_pool.protocol.qbft import instance, prepared
from ssv_pool.protocol.qbft.context import Context
from ssv_pool.protocol.runners.partials import PartialSignatureContainer
from ssv_pool.protocol.types.primitives import Epoch, Root, Slot
from ssv_pool.simulation import PROFILES, Settings, run_seed
from ssv_pool.simulation.__main__ import main
from ssv_pool.simulation.batch import Summary, run_batch, run_chunk
from ssv_pool.simulation.invariants import Invariants, Violation, are_slashable
from ssv_pool.simulation.plan import FIRST_EPOCH, draw, make_vote, root_of
from ssv_pool.simulation.standins import share_key, validator_key


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(("operators", "seeds"), [(4, 30), (7, 6)])
def test_no_violation(profile, operators, seeds):
    summary = run_chunk((Settings(operators, (operators - 1) // 3, profile), range(seeds)))
    assert (summary.seeds, summary.violations) == (seeds, [])
    assert summary.completed > seeds


def test_a_seed_replays_exactly():
    settings = Settings(4, 1, "chaos")
    first, second = (run_seed(settings, 5, trace=True) for _ in range(2))
    assert first == second
    assert len(first.trace) > 50


@pytest.mark.parametrize(("profile", "seed"), [("lossy", 737), ("lossy", 13396), ("byzantine", 8111), ("stale", 2810)])
def test_two_prepared_values_do_not_stall_a_duty(profile, seed):
    assert run_seed(Settings(4, 1, profile), seed).violation == ""


def test_a_stall_is_found(monkeypatch):
    """By the specification's algorithm alone the same seed does not come to an end."""
    monkeypatch.setattr(
        instance,
        "proofs",
        lambda round_changes, own_value: itertools.islice(
            prepared.proofs(round_changes, own_value), len(round_changes)
        ),
    )
    monkeypatch.setattr(instance, "later_prepared", lambda *_: None)
    assert run_seed(Settings(4, 1, "lossy"), 737).violation.startswith("completion: operator 1 ended slot 655 failed")


def test_a_run_does_not_depend_on_hash_randomisation():
    code = (
        "from ssv_pool.simulation import *; import hashlib;"
        "print(hashlib.sha256('|'.join(line for seed in range(8) for line in"
        " run_seed(Settings(4, 1, 'chaos'), seed, trace=True).trace).encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


def test_processes_and_pieces_do_not_change_the_sum():
    settings = [Settings(4, 1, "byzantine")]
    [alone], [shared] = run_batch(settings, 0, 60, 1), run_batch(settings, 0, 60, 2)
    assert replace(alone, cpu_seconds=0.0) == replace(shared, cpu_seconds=0.0)


def test_a_quorum_too_low_is_found(monkeypatch):
    monkeypatch.setattr(Context, "quorum", property(lambda self: self.member.quorum - 1))
    summary = run_chunk((Settings(4, 1, "chaos"), range(300)))
    assert any("agreement" in text or "validity" in text or "slashing" in text for _, text in summary.violations)


def test_rebuilding_below_the_threshold_is_found(monkeypatch):
    real = PartialSignatureContainer.__init__
    monkeypatch.setattr(
        PartialSignatureContainer, "__init__", lambda self, quorum, limit: real(self, quorum - 1, limit)
    )
    summary = run_chunk((Settings(4, 1, "calm"), range(5)))
    assert [text.split(":")[0] for _, text in summary.violations] == ["completion"] * 5


def test_what_the_core_raises_is_a_violation_and_its_trace_is_shown(monkeypatch, capsys):
    def broken(self, *_):
        raise KeyError("lost")

    monkeypatch.setattr(PartialSignatureContainer, "add", broken)
    assert main(["--seeds", "1", "--profile", "calm", "--processes", "1"]) == 1
    shown = capsys.readouterr()
    assert "1 violations" in shown.out
    assert "seed 0: the core raised KeyError: 'lost'" in shown.err
    assert "scripts/simulate --profile calm --operators 4 --faults 1 --seed 0 --trace" in shown.err
    assert "sends" in shown.err


def test_json_of_many_and_of_one(capsys):
    assert main(["--seeds", "3", "--profile", "calm", "stale", "--json", "--processes", "1"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [(run["profile"], run["seeds"], run["violations"]) for run in document["runs"]] == [
        ("calm", 3, []),
        ("stale", 3, []),
    ]
    assert main(["--seed", "3", "--profile", "calm", "--json", "--trace"]) == 0
    [one] = json.loads(capsys.readouterr().out)
    assert (one["seed"], one["violation"], bool(one["trace"])) == (3, "", True)


@pytest.mark.parametrize("arguments", [["--operators", "5"], ["--faults", "2"], ["--profile", "x"], ["--seeds", "0"]])
def test_nonsense_is_refused(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2


def test_the_summary_adds_up():
    one, other = Summary(Settings()), Summary(Settings())
    one.add(run_seed(Settings(), 1))
    other.add(run_seed(Settings(), 2))
    one.merge(other)
    assert (one.seeds, sum(one.rounds.values())) == (2, 2)
    assert one.as_json()["seeds"] == 2


def invariants(profile="calm", size=4):
    return Invariants(draw(PROFILES[profile], size, 1, Random(1)))


VALUE = make_vote(0, FIRST_EPOCH - 1, FIRST_EPOCH).encode()
OTHER = make_vote(1, FIRST_EPOCH - 1, FIRST_EPOCH).encode()


def test_two_decisions_violate_agreement():
    watch = invariants()
    [slot] = watch._duties
    watch.on_decided(0, slot, VALUE)
    watch.on_decided(1, slot, VALUE)
    with pytest.raises(Violation, match=r"^agreement: operator 3 decided"):
        watch.on_decided(2, slot, OTHER)


@pytest.mark.parametrize("value", [VALUE[:-1], make_vote(0, 3, 4).encode(), b""])
def test_a_value_that_honest_operators_refuse_violates_validity(value):
    watch = invariants()
    [slot] = watch._duties
    with pytest.raises(Violation, match=r"^validity: operator 1 decided .* only 0 honest operators accept"):
        watch.on_decided(0, slot, value)


def test_a_signature_for_what_nobody_decided_is_found():
    watch = invariants()
    watch.on_signed(0, share_key(validator_key(1), 1), Epoch(FIRST_EPOCH - 1), Epoch(FIRST_EPOCH), root_of("x"))
    with pytest.raises(Violation, match=r"no decided value's$"):
        watch.check_signed()


def test_a_slashable_signature_of_one_share_is_found():
    watch = invariants()
    [slot] = watch._duties
    watch.on_decided(0, slot, VALUE)
    share = share_key(validator_key(1), 1)
    right = watch._expected(slot, VALUE)[1]
    watch.on_signed(0, share, Epoch(FIRST_EPOCH - 1), Epoch(FIRST_EPOCH), right)
    watch.check_signed()
    watch.on_signed(0, share, Epoch(FIRST_EPOCH - 1), Epoch(FIRST_EPOCH), root_of("x"))
    with pytest.raises(Violation, match=r"^slashing: operator 1 signed"):
        watch.check_signed()


@pytest.mark.parametrize(
    ("one", "other", "slashable"),
    [
        ((1, 2), (2, 3), False),
        ((1, 3), (1, 3), False),
        ((1, 3), (2, 3), True),
        ((1, 4), (2, 3), True),
        ((2, 3), (1, 4), True),
        ((1, 3), (1, 4), False),
        ((1, 3), (2, 4), False),
    ],
)
def test_slashable_pairs(one, other, slashable):
    root = Root(bytes(32))
    assert are_slashable((*one, root), (*other, root)) is slashable
    if one[1] == other[1]:
        assert are_slashable((*one, root), (*other, Root(bytes([1]) * 32)))


def test_a_duty_that_never_ends_is_found():
    with pytest.raises(Violation, match=r"^termination: operator 1 never ended slot"):
        invariants().at_the_end()


def test_no_submission_without_a_decision():
    with pytest.raises(Violation, match=r"^submission: operator 1 submits for slot 3"):
        invariants()._decided_of(0, Slot(3))

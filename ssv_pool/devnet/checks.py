"""What a good run is: conditions on the facts, each with what was found."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ssv_pool.devnet.config import SLOTS_PER_EPOCH, BeaconKind
from ssv_pool.devnet.facts import Facts, able
from ssv_pool.devnet.lifecycle.driver import eth
from ssv_pool.devnet.participation import Tally
from ssv_pool.devnet.schedule import Outage, expectation, operators_down
from ssv_pool.devnet.state import Run
from ssv_pool.store.journal import JournalEntry

RATE_GOAL, RATE_GOAL_TROUBLED = 0.99, 0.97
"""Lowest rate of a good run over the epochs in which the committees were able to work; the second where something is
broken on purpose, or where the beacon node is a client that has a chain to run beside."""

MISSED_BLOCKS_TROUBLED = 0.05
"""Largest share of proposals that may be missed where something is broken on purpose; else none may."""

NEVER = "not any more"
"""Said of an operator that did nothing after its return."""

FINALITY_LAG = 3
"""A healthy chain finalizes an epoch at most so many epochs later."""

EXIT_SLOTS = 24
"""Slots within which an exit that was asked for is in a block: the registry is followed at a distance."""

HARMLESS = frozenset({"stale-head", "dropped-streams"})
"""Attacks that need not fail any duty: the committee decides between views of the head, and polls without a stream."""


@dataclass(frozen=True, slots=True)
class Check:
    """One condition of a good run."""

    name: str
    ok: bool
    detail: str
    """What was found."""


def judge(run: Run, facts: Facts) -> list[Check]:
    """What a good run has to be."""
    return [
        *_duties(run, facts),
        *_exits(run, facts),
        Check("nothing slashable", not facts.offences, f"{len(facts.offences)} found"),
        _finality(run, facts),
        *_attack(run, facts),
        *_life(run),
        *_processes(run, facts),
    ]


def rate_goal(run: Run) -> float:
    """Lowest rate of attestations, sync messages, aggregates and contributions."""
    troubled = run.config.troubled or run.config.lifecycle or run.config.beacon is not BeaconKind.EMBEDDED
    return RATE_GOAL_TROUBLED if troubled else RATE_GOAL


def dead_epochs(run: Run) -> list[int]:
    """Epochs in which a committee had no quorum, or was just starting up."""
    return [
        epoch
        for epoch in range(1, run.last_epoch + 1)
        if any(expectation(committee, run.outages, epoch) != "all" for committee in run.config.committees)
    ]


def _duties(run: Run, facts: Facts) -> Iterator[Check]:
    goal, up = rate_goal(run), able(run)
    attester = facts.tally("attester", up)
    yield _rate("attestations included", attester, goal)
    forged = [
        result.slot // SLOTS_PER_EPOCH
        for result in facts.results.get("attester", ())
        if result.done and _without_quorum(run, result.validator_index, result.slot)
    ]
    if any(expectation(c, run.outages, e) == "none" for c in run.config.committees for e in dead_epochs(run)):
        yield Check("nothing included without a quorum", not forged, f"{len(forged)} in epochs {sorted(set(forged))}")
    # A chain whose validators had no quorum stood still: what others did then could not get into blocks either.
    stood_still = run.config.whole_chain and bool(dead_epochs(run))
    if stood_still:
        return
    proposer = facts.tally("proposer", up)
    if proposer.assigned:
        allowed = MISSED_BLOCKS_TROUBLED if run.config.troubled or run.config.lifecycle else 0.0
        detail = f"{proposer.done} of {proposer.assigned}, at most {allowed:.0%} missed wanted"
        yield Check("proposed blocks on the chain", proposer.missed <= allowed * proposer.assigned, detail)
    for kind, name in (
        ("sync_committee", "sync committee signatures in blocks"),
        ("aggregator", "aggregates delivered"),
        ("contribution", "sync contributions delivered"),
    ):
        tally = facts.tally(kind, up)
        if tally.assigned:
            yield _rate(name, tally, goal)


def _rate(name: str, tally: Tally, goal: float) -> Check:
    enough = tally.assigned > 0 and tally.rate >= goal
    return Check(name, enough, f"{tally.done} of {tally.assigned}, at least {goal:.0%} wanted")


def _without_quorum(run: Run, validator: int, slot: int) -> bool:
    return expectation(run.config.committee_of(validator), run.outages, slot // SLOTS_PER_EPOCH) == "none"


def _exits(run: Run, facts: Facts) -> Iterator[Check]:
    if not run.exits_asked:
        return
    late = []
    for index, asked in run.exits_asked.items():
        slot = facts.exits_included.get(index)
        if slot is None or run.start_of(slot) > asked + EXIT_SLOTS * run.config.slot_seconds:
            late.append(f"validator {index} {'not' if slot is None else f'in slot {slot}'}")
    slots = sorted(facts.exits_included.values())
    yield Check("exits on the chain", not late, ", ".join(late) or f"in slots {', '.join(map(str, slots))}")
    epochs = sorted(facts.exit_epochs.values())
    detail = "; ".join(facts.after_exit[:5]) or f"none; out in epochs {', '.join(map(str, epochs)) or 'not known'}"
    yield Check("nothing signed after an exit", not facts.after_exit, detail)


def _finality(run: Run, facts: Facts) -> Check:
    chain = facts.chain
    lag = chain.head_slot // SLOTS_PER_EPOCH - chain.finalized_epoch
    # A chain that stood still for an epoch finalizes again two epochs after its validators are back.
    allowed = FINALITY_LAG + (2 * len(dead_epochs(run)) if run.config.whole_chain else 0)
    advancing = lag <= allowed or run.last_epoch < FINALITY_LAG
    return Check("finality advances", advancing, f"epoch {chain.finalized_epoch} at head slot {chain.head_slot}")


def _attack(run: Run, facts: Facts) -> Iterator[Check]:
    """A lying beacon node must not get a wrong vote signed, and a journal must name what it did."""
    attack = run.config.attack
    if run.attacked is None or attack is None:
        return
    detail = "; ".join(facts.wrong_votes[:3]) or "none"
    yield Check("no vote of a view that nobody has", not facts.wrong_votes, f"{len(facts.wrong_votes)}: {detail}")
    journal = facts.journals.get(run.attacked, ())
    named = [entry for entry in journal if entry.outcome != "completed"]
    if attack.mode not in HARMLESS:
        detail = f"operator {run.attacked}, {attack.mode}: {len(named)} of {len(journal)} duties named"
        yield Check("the lied-to operator's journal says so", bool(named), detail)


def _life(run: Run) -> Iterator[Check]:
    """Every step of the pool's validator was seen, and no wei is missing or too much."""
    life = run.life
    if life is None:
        return
    missing = life.log.missing
    seen = f"{len(life.log.steps)} seen" + (f", not: {', '.join(missing)}" if missing else "")
    yield Check("every step of the life", not missing, f"{seen}; {life.error}" if life.error else seen)
    if life.books is None:
        yield Check("the pool's books are balanced", ok=False, detail="the life did not come to its end")
        return
    faults = life.books.faults()
    detail = "; ".join(faults) or f"{eth(life.books.payouts)} paid out, {eth(life.books.left)} left"
    yield Check("the pool's books are balanced", not faults, detail)


def _processes(run: Run, facts: Facts) -> Iterator[Check]:
    returns = {
        f"operator {operator} {_first_duty(facts.journals.get(operator, ()), outage)}"
        for outage in run.outages
        for operator in _returning(run, outage)
    }
    if returns:
        again = not any(text.endswith(NEVER) for text in returns)
        yield Check("restarted operators take part again", again, ", ".join(sorted(returns)))
    died = [f"operator {operator.operator_id}: {operator.deaths}" for operator in run.operators if operator.deaths]
    yield Check("no process died by itself", not died, ", ".join(died) or "none")
    early = [str(operator.operator_id) for operator in run.operators if operator.ended_early]
    yield Check("operators ran to the end", not early, f"not {', '.join(early)}" if early else "all")
    stuck = [str(operator) for operator in run.unstoppable]
    yield Check("operators stopped by themselves", not stuck, f"not {', '.join(stuck)}" if stuck else "all")


def _returning(run: Run, outage: Outage) -> list[int]:
    """Operators of an outage that are up in the whole epoch after it, if that counts."""
    after = outage.epoch + 1
    return sorted(set(outage.operators) - operators_down(run.outages, after)) if after <= run.last_epoch else []


def _first_duty(journal: Sequence[JournalEntry], outage: Outage) -> str:
    """When an operator completed a duty again after an outage."""
    slots = [entry.slot for entry in journal if entry.slot >= outage.return_slot and entry.outcome == "completed"]
    return f"in slot {min(slots)}, started in {outage.return_slot}" if slots else NEVER

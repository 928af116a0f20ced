"""What is to be done when: pure, from the clock and the chain's constants. The ticker publishes what is listed here.

Each piece of work has a key, so that all workers list the same pieces and one of them does each.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from ssv_pool.protocol.chain import BeaconChain
from ssv_pool.settings import Settings

REFRESH_BEACON = "ssv.refresh_beacon"
SYNC_REGISTRY = "ssv.sync_registry"
REFRESH_VALIDATORS = "ssv.refresh_validators"
PLAN_DUTIES = "ssv.plan_duties"
PREPARE_NODES = "ssv.prepare_nodes"
PROPOSE_SLOT = "ssv.propose_slot"
BEGIN_SLOT = "ssv.begin_slot"
ATTEST_SLOT = "ssv.attest_slot"
PRUNE = "ssv.prune"
CHECK_INCLUSION = "ssv.check_inclusion"

DUTIES = {PROPOSE_SLOT: "proposals", BEGIN_SLOT: "aggregations", ATTEST_SLOT: "attestations"}
"""The tasks that begin a slot's duties, and what the log calls those."""

LEAD_SECONDS = 0.5
"""How long before its due time the work of a slot is published, at the most."""

LONGEST_LEAD_SECONDS = 5.0
"""The same for attestations, which a head event may start at any time of the slot's first third: half of the time
after which the broker takes the waiting task for lost."""

PLAN_SECONDS = 0.3
"""Into an epoch its duties are planned, at the latest; the epoch's first block is on its way then."""

MIN_LEASE, MAX_LEASE = 0.5, 2.0
"""Bounds of the time after which a dead worker's slot is taken over, in seconds."""

MAX_HEAD_START = 1.0
"""Longest time that a proposal has for itself, in seconds."""

BEACON_SECONDS = 4.0
"""Pause between two looks at the beacon node's state."""

RETRY_SECONDS = 2.0
"""Pause before work that failed is published again, and lease of a claim on it."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One piece of work at one time."""

    key: str
    """Names it; what its claim is for."""
    task: str
    """The task that does it."""
    arguments: tuple[object, ...]
    """The task's arguments after key and ``until``."""
    publish: float
    """When to publish it first."""
    begin: float
    """When it begins; not before this is it missed."""
    until: float
    """From then on it is not begun any more."""
    again: float
    """Seconds after which work that nobody does or did is published again."""


def slot_lease(chain: BeaconChain) -> float:
    """After how many seconds a dead worker's slot is taken over: a quarter of a slot, within bounds."""
    return min(MAX_LEASE, max(MIN_LEASE, chain.slot_seconds / 4))


def head_start(chain: BeaconChain) -> float:
    """How long an own proposal has the slot for itself, in seconds: a twelfth of it, a second at the most.

    The operators make the RANDAO reveal together in this time, and have their beacon nodes make blocks. What begins
    with the slot besides is needed only when two thirds of it are over.
    """
    return min(MAX_HEAD_START, chain.slot_seconds / 12)


def slot_pieces(chain: BeaconChain, after: float, to: float) -> Iterator[Piece]:
    """What begins in slots, published in (after, to], proposals first; until one slot after it is due it may begin."""
    slot = int(chain.slot_at(after - chain.slot_seconds))
    found: list[Piece] = []
    while chain.start_of(slot) - LEAD_SECONDS <= to:
        found += [piece for piece in _pieces_of(chain, slot) if after < piece.publish <= to]
        slot += 1
    # The sort keeps the order of what is published at one instant.
    yield from sorted(found, key=lambda piece: piece.publish)


def _pieces_of(chain: BeaconChain, slot: int) -> Iterator[Piece]:
    start, attest = chain.start_of(slot), chain.attestation_due(slot)
    lead = min(LEAD_SECONDS, chain.slot_seconds / 4)
    for name, task, due, publish in (
        ("propose", PROPOSE_SLOT, start, start - lead),
        ("begin", BEGIN_SLOT, start, start - lead),
        ("attest", ATTEST_SLOT, attest, max(start, attest - LONGEST_LEAD_SECONDS)),
    ):
        if name == "propose" and slot == 0:
            # Its block is the genesis.
            continue
        until = due + chain.slot_seconds
        yield Piece(f"{name}:{slot}", task, (slot, due), publish, due, until, 1.1 * slot_lease(chain))


def epoch_pieces(chain: BeaconChain, after: float, to: float) -> Iterator[Piece]:
    """What is done in each half of an epoch: plan, prepare the beacon nodes; at its start also metadata and pruning.

    In an epoch's last slot it is looked up what became of the duties of the epoch before: nothing of them comes into
    the chain later, and beacon nodes still know that epoch's committees.
    """
    half = chain.slots_per_epoch * chain.slot_seconds / 2
    number = max(0, int((after - chain.genesis_time) // half))
    while (start := chain.genesis_time + number * half) <= to:
        if start > after:
            until = start + half
            if number % 2 == 0:
                yield Piece(f"validators:{number}", REFRESH_VALIDATORS, (), start, start, until, RETRY_SECONDS)
                yield Piece(f"prune:{number}", PRUNE, (), start, start, until, RETRY_SECONDS)
            publish = start + min(PLAN_SECONDS, chain.slot_seconds / 10)
            yield Piece(f"plan:{number}", PLAN_DUTIES, (), publish, publish, until, RETRY_SECONDS)
            # Between attestations and aggregates, when workers and node have nothing else to do.
            publish = start + chain.slot_seconds / 2
            yield Piece(f"prepare:{number}", PREPARE_NODES, (), publish, publish, until, RETRY_SECONDS)
            if number % 2 == 1 and number > 1:
                publish = until - chain.slot_seconds / 2
                checked = number // 2 - 1
                yield Piece(
                    f"inclusion:{checked}", CHECK_INCLUSION, (checked,), publish, publish, until + half, RETRY_SECONDS
                )
        number += 1


def steady_pieces(settings: Settings, after: float, to: float) -> Iterator[Piece]:
    """What is done at a steady pace whether or not a beacon node was ever there."""
    steady = ((REFRESH_BEACON, BEACON_SECONDS), (SYNC_REGISTRY, settings.registry.poll_seconds))
    for task, period in steady:
        number = int(after // period) + 1
        while (publish := number * period) <= to:
            # Work that fails is due again at the next period, not before.
            yield Piece(f"{task}:{number}", task, (), publish, publish, publish + period, 2 * period)
            number += 1


def first_pieces(settings: Settings, now: float) -> Iterator[Piece]:
    """What a worker does at once when it starts: what is steadily done, if nobody did it in this period."""
    for task, period in ((REFRESH_BEACON, BEACON_SECONDS), (SYNC_REGISTRY, settings.registry.poll_seconds)):
        number = int(now // period)
        yield Piece(f"{task}:{number}", task, (), now, now, (number + 1) * period, 2 * period)


def chain_start_pieces(chain: BeaconChain, now: float) -> Iterator[Piece]:
    """What is done at once when the chain's constants become known: metadata, plan, and what is under way."""
    half = chain.slots_per_epoch * chain.slot_seconds / 2
    number = max(0, int((now - chain.genesis_time) // half))
    until = max(now, chain.genesis_time) + half
    yield Piece(f"validators:first:{number}", REFRESH_VALIDATORS, (), now, now, until, RETRY_SECONDS)
    yield Piece(f"plan:first:{number}", PLAN_DUTIES, (), now, now, until, RETRY_SECONDS)
    if now > chain.genesis_time:
        for piece in slot_pieces(chain, now - 2 * chain.slot_seconds, now):
            if piece.until > now:
                yield piece

"""The keeper's rules: when something is done, by whom, and that it is done once."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssv_pool.cli.keeper import NAMES
from ssv_pool.pool.approvals import (
    ClusterPayment,
    ClusterReactivation,
    ClusterRefund,
    Committee,
    Funding,
    Message,
    Removal,
    Report,
    Signed,
)
from ssv_pool.pool.judgement import (
    EXITS_A_CALL,
    TASKS,
    Finalize,
    Register,
    RequestExits,
    Send,
    Sign,
    Tell,
    decide_clusters,
    decide_committees,
    decide_exits,
    decide_funding,
    decide_register,
    decide_removals,
    decide_report,
    decide_watch,
    decide_withdrawals,
    quorum_of,
)
from ssv_pool.pool.view import (
    DEPOSIT,
    BeaconFacts,
    ClusterFacts,
    DepositSignature,
    KeyFacts,
    KeyState,
    Marks,
    NextKey,
    PoolView,
    Share,
)
from ssv_pool.registry.events import Cluster

MEMBERS = tuple(bytes([number]) * 20 for number in range(1, 5))
ME = MEMBERS[0]
IDS, OTHER_IDS = (1, 2, 3, 4), (5, 6, 7, 8)
ETHER = 10**18
FAR = 2**64 - 1
TURN = 3 * 12.0
DAY = 86_400

CLUSTER = ClusterFacts(
    operator_ids=IDS,
    cluster=Cluster(1, 0, 0, True, 2 * ETHER),
    balance=2 * ETHER,
    rate=10**10,
    threshold=21_480,
    collateral=10**12,
    liquidatable=False,
)
NEXT = NextKey(b"\x11" * 48, IDS, b"shares")
VIEW = PoolView(
    now=0.0,
    block_number=1_000,
    epoch=400,
    slot_seconds=12.0,
    shard_committee_period=256,
    member=ME,
    members=MEMBERS,
    quorum=3,
    paused=False,
    buffered=0,
    unbooked=0,
    fundable=0,
    pending=0,
    exits_under_way=0,
    allowance=ETHER,
    cluster_nonce=0,
    deposit_root=b"\x0a" * 32,
    keys=(),
    clusters=(CLUSTER,),
    committees={IDS: True},
    next_key=None,
    report=None,
    finalizable=False,
    marks=Marks(14.0, 28.0, (IDS,)),
)


def key(number: int, state: KeyState, ids: tuple[int, ...] = IDS, **facts: object) -> KeyFacts:
    made = KeyFacts(bytes([number]) * 48, state, ids, number, **facts)  # type: ignore[arg-type]
    if state is KeyState.REGISTERED and not facts:
        deposit = DepositSignature(bytes([number]) * 96, bytes([number]) * 32)
        made = replace(made, share=Share.ACCEPTED, deposit_seen=False, deposit=deposit)
    return made


def running(number: int, ids: tuple[int, ...] = IDS, activation: int = 0, status: str = "active_ongoing") -> KeyFacts:
    return key(number, KeyState.FUNDED, ids, beacon=BeaconFacts(status, 32 * 10**9, activation, FAR))


def signed_by(message: Message, *signers: bytes) -> tuple[Signed, ...]:
    return tuple(Signed(message, signer, signer[:1] * 65) for signer in signers)


def funding(known: KeyFacts) -> Funding:
    assert known.deposit is not None
    return Funding(known.public_key, known.deposit.signature, known.deposit.data_root, VIEW.deposit_root)


def at_my_turn(view: PoolView, task: str) -> list[object]:
    """What comes of a task in the four turns that follow each other; each but one is another member's."""
    found = [TASKS[task](replace(view, now=view.now + turn * TURN)) for turn in range(len(MEMBERS))]
    assert sum(bool(intents) for intents in found) == 1
    return [intent for intents in found for intent in intents]


# Quorums and turns


@given(st.sets(st.integers(0, 7)), st.integers(1, 4))
def test_a_quorum_is_of_distinct_members_in_ascending_order(signers: set[int], quorum: int) -> None:
    message = Removal(b"\x01" * 48)
    everybody = [*MEMBERS, *(bytes([number]) * 20 for number in range(100, 104))]
    told = signed_by(message, *[everybody[number] for number in signers] * 2)
    found = quorum_of(replace(VIEW, quorum=quorum, messages=told[::-1]), message)
    members = sorted(everybody[number] for number in signers if number < 4)
    assert found == (tuple(member[:1] * 65 for member in members[:quorum]) if len(members) >= quorum else None)


def test_a_message_is_signed_once_and_sent_by_whose_turn_it_is() -> None:
    view = replace(VIEW, report=Report(1, 40, 11, ETHER, 0, 0, 0))
    assert view.report is not None
    assert decide_report(view) == [Sign("report", view.report)]
    alone = replace(view, messages=signed_by(view.report, ME))
    assert decide_report(alone) == []
    complete = replace(view, messages=signed_by(view.report, *MEMBERS[:3]))
    approvals = tuple(member[:1] * 65 for member in MEMBERS[:3])
    assert at_my_turn(complete, "report") == [Send("report", view.report, approvals)]


def test_who_completes_a_quorum_sends_whosever_turn_it_is() -> None:
    report = Report(1, 40, 11, ETHER, 0, 0, 0)
    view = replace(VIEW, report=report, messages=signed_by(report, *MEMBERS[:3]), just_signed=(report,))
    for turn in range(4):
        assert [type(intent) for intent in decide_report(replace(view, now=turn * TURN))] == [Send]


def test_every_turn_is_exactly_one_members() -> None:
    for turn in range(8):
        view = replace(VIEW, finalizable=True, now=turn * TURN)
        assert [member for member in MEMBERS if decide_withdrawals(replace(view, member=member))] == [MEMBERS[turn % 4]]


# Registration and funding


def test_the_next_key_is_registered_when_32_eth_wait_for_it_and_what_its_cluster_is_paid() -> None:
    new = replace(CLUSTER, cluster=Cluster(0, 0, 0, True, 0), balance=0)
    payment = new.needed(28.0, 1, 12.0)
    view = replace(VIEW, next_key=NEXT, clusters=(new,), fundable=DEPOSIT + payment)
    assert at_my_turn(view, "register") == [Register("register", NEXT, payment, new.cluster)]
    for turn in range(4):
        short = replace(view, fundable=DEPOSIT + payment - 1, now=turn * TURN)
        assert decide_register(short) == [], "or the payment would take from the deposit's 32 ETH"


def test_keys_that_wait_for_their_deposit_count_first() -> None:
    payment = max(0, CLUSTER.needed(28.0, 2, 12.0) - CLUSTER.balance)
    waiting = (key(1, KeyState.REGISTERED),)
    view = replace(VIEW, next_key=NEXT, keys=waiting, fundable=2 * DEPOSIT + payment)
    assert [type(intent) for intent in at_my_turn(view, "register")] == [Register]
    assert decide_register(replace(view, fundable=2 * DEPOSIT + payment - 1)) == []


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"committees": {IDS: False}}, "waits until a quorum allows the committee 1,2,3,4"),
        (
            {"clusters": (replace(CLUSTER, cluster=Cluster(1, 0, 0, False, 0)),)},
            "waits until its cluster is reactivated",
        ),
        (
            {"clusters": (replace(CLUSTER, balance=0),), "allowance": 7},
            f"waits: its cluster needs {CLUSTER.needed(14.0, 2, 12.0)} wei, and the window's budget has 7 left",
        ),
    ],
)
def test_why_a_key_is_not_registered_is_told(change: dict[str, object], text: str) -> None:
    view = replace(VIEW, next_key=NEXT, fundable=2 * DEPOSIT, **change)  # type: ignore[arg-type]
    assert decide_register(view) == [Tell("register", f"0x{'11' * 48}", text, warning=True)]


def test_deposits_are_signed_oldest_first_as_far_as_the_money_goes() -> None:
    keys = tuple(key(number, KeyState.REGISTERED) for number in (1, 2, 3))
    view = replace(VIEW, keys=keys, fundable=3 * DEPOSIT - 1)
    assert decide_funding(view) == [Sign("fund", funding(keys[0])), Sign("fund", funding(keys[1]))]
    assert decide_funding(replace(view, paused=True)) == []


def test_a_deposit_is_signed_anew_when_there_were_other_deposits() -> None:
    known = key(1, KeyState.REGISTERED)
    old = signed_by(funding(known), *MEMBERS)
    view = replace(VIEW, keys=(known,), fundable=DEPOSIT, messages=old, deposit_root=b"\x0b" * 32)
    assert decide_funding(view) == [Sign("fund", replace(funding(known), deposit_root=b"\x0b" * 32))]


def test_a_key_without_a_known_deposit_does_not_hold_up_the_next() -> None:
    first = replace(key(1, KeyState.REGISTERED), deposit=None)
    second = key(2, KeyState.REGISTERED)
    view = replace(VIEW, keys=(first, second), fundable=DEPOSIT)
    assert decide_funding(view) == [Sign("fund", funding(second))]


# Clusters


def test_a_cluster_is_topped_up_below_the_low_mark_to_the_high_one() -> None:
    low = CLUSTER.needed(14.0, 1, 12.0)
    fine = replace(CLUSTER, balance=low + CLUSTER.rate)
    poor = replace(CLUSTER, balance=low - 2 * CLUSTER.rate)
    for turn in range(4):
        assert decide_clusters(replace(VIEW, clusters=(fine,), now=turn * TURN)) == []
    [intent] = at_my_turn(replace(VIEW, clusters=(poor,)), "clusters")
    assert isinstance(intent, Sign)
    payment = intent.message
    assert payment == ClusterPayment(IDS, poor.needed(28.0, 1, 12.0) - poor.balance, 0)
    paid = replace(poor, balance=poor.balance + payment.amount)
    assert paid.runway_days(12.0) == pytest.approx(28.0, abs=0.01)


def test_a_payment_is_never_above_the_budget_and_an_empty_one_is_told() -> None:
    poor = replace(CLUSTER, balance=CLUSTER.needed(1.0, 1, 12.0))
    few = replace(VIEW, clusters=(poor,), allowance=10**15)
    [intent] = at_my_turn(few, "clusters")
    assert intent == Sign("clusters", ClusterPayment(IDS, 10**15, 0))
    [told] = decide_clusters(replace(few, allowance=0))
    assert isinstance(told, Tell)
    assert told.warning


@given(st.integers(0, 3 * 10**16), st.integers(1, 60), st.floats(0.01, 365), st.sampled_from([1.0, 3.0, 12.0]))
def test_runway_and_need_are_one_sum(balance: int, validators: int, days: float, block_seconds: float) -> None:
    cluster = replace(CLUSTER, balance=balance, cluster=Cluster(validators, 0, 0, True, balance))
    needed = cluster.needed(days, validators, block_seconds)
    runway = cluster.runway_days(block_seconds)
    assert runway is not None
    assert (balance >= needed) <= (runway >= days)
    enough = replace(cluster, balance=needed).runway_days(block_seconds)
    assert enough is not None
    assert days <= enough <= days + 2 * block_seconds / DAY


def test_a_liquidated_cluster_is_told_and_started_again() -> None:
    stopped = replace(CLUSTER, cluster=Cluster(1, 0, 0, False, 0), balance=0)
    view = replace(VIEW, clusters=(stopped,))
    told = Tell("clusters", "cluster 1,2,3,4", "liquidated: its validators do no duties", warning=True)
    assert all(told in decide_clusters(replace(view, now=turn * TURN)) for turn in range(4))
    message = ClusterReactivation(IDS, stopped.needed(28.0, 1, 12.0), 0)
    complete = replace(view, messages=signed_by(message, *MEMBERS), just_signed=(message,))
    assert decide_clusters(complete)[1:] == [
        Send("clusters", message, tuple(member[:1] * 65 for member in MEMBERS[:3]), stopped.cluster, IDS)
    ]


def test_what_a_cluster_without_validators_holds_is_taken_back_unless_one_comes() -> None:
    empty = replace(CLUSTER, cluster=Cluster(0, 0, 0, True, ETHER), balance=ETHER)
    view = replace(VIEW, clusters=(empty,))
    assert decide_clusters(view) == [Sign("clusters", ClusterRefund(IDS, ETHER, 0))]
    assert decide_clusters(replace(view, next_key=NEXT, fundable=DEPOSIT)) == []


# Leaving


def test_as_many_of_the_oldest_exit_as_leavers_lack() -> None:
    keys = (running(1), running(2), running(3), running(4))
    view = replace(VIEW, keys=keys, pending=50 * ETHER, buffered=10 * ETHER, unbooked=ETHER)
    assert at_my_turn(view, "exits") == [RequestExits("exits", (b"\x01" * 48, b"\x02" * 48), IDS)]


@given(st.integers(0, 200), st.integers(0, 100), st.integers(0, 100), st.integers(0, 6), st.integers(0, 12))
def test_exits_never_free_more_than_one_validator_too_much(
    pending: int, buffered: int, unbooked: int, under_way: int, validators: int
) -> None:
    keys = tuple(running(number) for number in range(1, validators + 1))
    view = replace(
        VIEW,
        keys=keys,
        pending=pending * ETHER,
        buffered=buffered * ETHER,
        unbooked=unbooked * ETHER,
        exits_under_way=under_way,
    )
    asked = 0
    for turn in range(4):
        for intent in decide_exits(replace(view, now=turn * TURN)):
            asked += len(intent.public_keys) if isinstance(intent, RequestExits) else 0
    missing = pending - buffered - unbooked - 32 * under_way
    assert asked == min(validators, EXITS_A_CALL, max(0, -(-missing // 32)))


def test_only_validators_that_may_exit_are_asked_and_those_of_one_committee_at_a_time() -> None:
    keys = (
        running(1, activation=145),
        running(2, status="pending_queued"),
        running(3, OTHER_IDS, activation=144),
        running(4),
        key(5, KeyState.FUNDED),
    )
    view = replace(VIEW, keys=keys, pending=100 * ETHER)
    assert at_my_turn(view, "exits") == [RequestExits("exits", (b"\x03" * 48,), OTHER_IDS)]
    [told] = decide_exits(replace(view, keys=keys[:2]))
    assert told == Tell("exits", "withdrawals", f"{100 * ETHER} wei are missing, and no validator may exit yet", True)


def test_withdrawals_that_a_report_left_over_are_made_ready() -> None:
    assert at_my_turn(replace(VIEW, finalizable=True), "withdrawals") == [Finalize("withdrawals")]
    assert decide_withdrawals(VIEW) == []


def test_a_validator_leaves_the_registry_when_nothing_of_it_is_left() -> None:
    left = key(1, KeyState.EXIT_REQUESTED, beacon=BeaconFacts("withdrawal_done", 0, 0, 300))
    assert decide_removals(replace(VIEW, keys=(left,))) == [Sign("removals", Removal(left.public_key))]
    for status, balance in (("withdrawal_possible", 32 * 10**9), ("withdrawal_done", 1), ("exited_unslashed", 0)):
        still = replace(left, beacon=BeaconFacts(status, balance, 0, 300))
        assert decide_removals(replace(VIEW, keys=(still,))) == []


# The rest


def test_a_committee_of_the_settings_is_asked_for_until_it_is_allowed() -> None:
    view = replace(VIEW, committees={IDS: False})
    assert decide_committees(view) == [Sign("committees", Committee(IDS, True, 0))]
    assert decide_committees(VIEW) == []


def test_a_validators_way_is_told() -> None:
    keys = (key(1, KeyState.REGISTERED), key(2, KeyState.FUNDED), running(3), running(4, status="active_slashed"))
    assert decide_watch(replace(VIEW, keys=keys, paused=True)) == [
        Tell("watch", "pool", "paused", warning=True),
        Tell("watch", f"0x{'02' * 48}", "deposited, not in the beacon state yet"),
        Tell("watch", f"0x{'03' * 48}", "active_ongoing"),
        Tell("watch", f"0x{'04' * 48}", "active_slashed", warning=True),
    ]


def test_nothing_to_do_is_nothing_done() -> None:
    assert [intent for task in TASKS.values() for intent in task(VIEW)] == []


def test_the_commands_tasks_are_the_keepers() -> None:
    assert tuple(TASKS) == NAMES

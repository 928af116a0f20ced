"""A member signs what its own data say: what all the others have signed is no reason to."""

from dataclasses import replace

import pytest

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
from ssv_pool.pool.judgement import TASKS, Intent, Send, Sign
from ssv_pool.pool.view import (
    DEPOSIT,
    BeaconFacts,
    ClusterFacts,
    DepositSignature,
    KeyFacts,
    KeyState,
    Marks,
    PoolView,
    Share,
)
from ssv_pool.registry.events import Cluster

MEMBERS = tuple(bytes([number]) * 20 for number in range(1, 5))
IDS = (1, 2, 3, 4)
ETHER = 10**18
ROOT, OTHER_ROOT = b"\x0a" * 32, b"\x0b" * 32
SIGNATURE, DATA_ROOT = b"\x0c" * 96, b"\x0d" * 32
WAITING = KeyFacts(
    public_key=b"\x01" * 48,
    state=KeyState.REGISTERED,
    operator_ids=IDS,
    registered_block=5,
    share=Share.ACCEPTED,
    deposit_seen=False,
    deposit=DepositSignature(SIGNATURE, DATA_ROOT),
)
"""A registered key with which all is well."""

RUNNING = replace(
    WAITING,
    public_key=b"\x02" * 48,
    state=KeyState.FUNDED,
    beacon=BeaconFacts("active_ongoing", 32 * 10**9, 3, 2**64 - 1),
)
CLUSTER = ClusterFacts(
    operator_ids=IDS,
    cluster=Cluster(2, 0, 0, True, ETHER),
    balance=ETHER,
    rate=10**10,
    threshold=21_480,
    collateral=0,
    liquidatable=False,
)
REPORT = Report(3, 320, 900, 64 * ETHER, 64 * ETHER, 0, 0)
VIEW = PoolView(
    now=1_000_000.0,
    block_number=1_000,
    epoch=400,
    slot_seconds=12.0,
    shard_committee_period=256,
    member=MEMBERS[0],
    members=MEMBERS,
    quorum=3,
    paused=False,
    buffered=40 * ETHER,
    unbooked=0,
    fundable=40 * ETHER,
    pending=0,
    exits_under_way=0,
    allowance=ETHER,
    cluster_nonce=7,
    deposit_root=ROOT,
    keys=(WAITING, RUNNING),
    clusters=(CLUSTER,),
    committees={IDS: True},
    next_key=None,
    report=REPORT,
    finalizable=False,
    marks=Marks(30.0, 60.0, (IDS,)),
)
FUNDING = Funding(WAITING.public_key, SIGNATURE, DATA_ROOT, ROOT)
POOR = replace(CLUSTER, balance=21_480 * 2 * 10**10)
STOPPED = replace(CLUSTER, cluster=Cluster(2, 0, 0, False, 0), balance=0)


def needed(view: PoolView) -> int:
    """What the member itself would pay for its cluster."""
    [cluster] = view.clusters
    whole = cluster.needed(view.marks.runway_high_days, cluster.cluster.validator_count, view.slot_seconds)
    return whole - cluster.balance


def decided(view: PoolView, message: Message, signers: tuple[bytes, ...] = MEMBERS[1:]) -> list[Intent]:
    """What the member means to do about a message that these have signed."""
    told = tuple(Signed(message, signer, b"\x0e" * 65) for signer in signers)
    intents = [intent for task in TASKS.values() for intent in task(replace(view, messages=told))]
    return [intent for intent in intents if isinstance(intent, Sign | Send) and intent.message == message]


AGREED = {
    "a deposit": (VIEW, FUNDING),
    "a report": (VIEW, REPORT),
    "a payment": (replace(VIEW, clusters=(POOR,)), ClusterPayment(IDS, needed(replace(VIEW, clusters=(POOR,))), 7)),
    "a reactivation": (replace(VIEW, clusters=(STOPPED,)), ClusterReactivation(IDS, 9 * 10**15, 7)),
    "a removal": (replace(VIEW, keys=(replace(WAITING, share=Share.REFUSED),)), Removal(WAITING.public_key)),
    "a committee": (replace(VIEW, committees={IDS: False}), Committee(IDS, True, 7)),
}
"""What own data say too."""


@pytest.mark.parametrize("what", AGREED)
def test_what_own_data_say_too_is_signed(what: str) -> None:
    """Else the refusals below would show nothing."""
    view, message = AGREED[what]
    [intent] = decided(view, message)
    assert isinstance(intent, Sign)


KEY = VIEW.keys[0]
ASKED: dict[str, tuple[PoolView, Message]] = {
    "a deposit for shares that cannot be used": (replace(VIEW, keys=(replace(KEY, share=Share.REFUSED),)), FUNDING),
    "a deposit for shares not looked at": (replace(VIEW, keys=(replace(KEY, share=Share.UNKNOWN),)), FUNDING),
    "a deposit after somebody's": (replace(VIEW, keys=(replace(KEY, deposit_seen=True),)), FUNDING),
    "a deposit whose past is not known": (replace(VIEW, keys=(replace(KEY, deposit_seen=None),)), FUNDING),
    "a deposit of a key in the beacon state": (replace(VIEW, keys=(replace(KEY, beacon=RUNNING.beacon),)), FUNDING),
    "a deposit of a key that is not registered": (replace(VIEW, keys=(RUNNING,)), FUNDING),
    "a deposit without the money": (replace(VIEW, fundable=DEPOSIT - 1), FUNDING),
    "a deposit at another root": (VIEW, replace(FUNDING, deposit_root=OTHER_ROOT)),
    "a deposit with another signature": (VIEW, replace(FUNDING, signature=b"\x0f" * 96)),
    "a deposit with other credentials": (VIEW, replace(FUNDING, deposit_data_root=OTHER_ROOT)),
    "a report of a higher balance": (VIEW, replace(REPORT, beacon_balance=65 * ETHER)),
    "a report of a lower balance": (VIEW, replace(REPORT, beacon_balance=63 * ETHER)),
    "a report of what did not come in": (VIEW, replace(REPORT, received=1)),
    "a report that is not due": (replace(VIEW, report=None), REPORT),
    "a payment that no cluster needs": (VIEW, ClusterPayment(IDS, ETHER, 7)),
    "a payment of too much": (
        replace(VIEW, clusters=(POOR,)),
        ClusterPayment(IDS, 2 * needed(replace(VIEW, clusters=(POOR,))), 7),
    ),
    "a payment that helps nothing": (replace(VIEW, clusters=(POOR,)), ClusterPayment(IDS, 1, 7)),
    "a reactivation for a day": (replace(VIEW, clusters=(STOPPED,)), ClusterReactivation(IDS, 10**15, 7)),
    "a payment for others' clusters": (replace(VIEW, clusters=(POOR,)), ClusterPayment((5, 6, 7, 8), 10**15, 7)),
    "a payment once more": (replace(VIEW, clusters=(POOR,)), ClusterPayment(IDS, 10**15, 6)),
    "a refund from a cluster in use": (VIEW, ClusterRefund(IDS, 10**15, 7)),
    "a reactivation of an active cluster": (VIEW, ClusterReactivation(IDS, 10**15, 7)),
    "a removal of an active validator": (VIEW, Removal(RUNNING.public_key)),
    "a removal of a key in order": (VIEW, Removal(WAITING.public_key)),
    "a committee that nobody here named": (VIEW, Committee((5, 6, 7, 8), True, 7)),
    "an end of the committee": (VIEW, Committee(IDS, False, 7)),
}
"""What all others have signed, and own data do not say."""


@pytest.mark.parametrize("what", ASKED)
def test_what_own_data_do_not_say_is_neither_signed_nor_sent(what: str) -> None:
    view, message = ASKED[what]
    for minute in range(10):
        assert decided(replace(view, now=view.now + 36.0 * minute), message) == []


@pytest.mark.parametrize("what", AGREED)
def test_who_is_no_member_signs_nothing(what: str) -> None:
    view, message = AGREED[what]
    assert decided(replace(view, member=b"\x99" * 20), message, MEMBERS) == []

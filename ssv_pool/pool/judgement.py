"""What a keeper does about what it knows: a snapshot in, intended actions out. No I/O, no clock.

Each rule asks the state and nothing else, so that doing the same twice, late or by several members at once changes
nothing. A member signs what its own data say, never what it is asked to: another member's message can only tell a
value that is free to choose (an amount, within bounds that the own data give). What a quorum has signed may be sent by
anybody; turns only save the fees of calls that come second.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ssv_pool.pool.approvals import (
    ClusterPayment,
    ClusterReactivation,
    ClusterRefund,
    Committee,
    Funding,
    Message,
    Removal,
)
from ssv_pool.pool.view import (
    DEPOSIT,
    WITHDRAWAL_DONE,
    ClusterFacts,
    KeyFacts,
    KeyState,
    NextKey,
    PoolView,
    Share,
)
from ssv_pool.registry.events import Cluster

TURN_SLOTS: Final = 3
"""Length of a member's turn: time enough for its transaction to be in a block."""

EXITS_A_CALL: Final = 16
"""Most validators that one call asks to exit."""

FINALIZED_A_CALL: Final = 64
"""Withdrawals that one call makes ready at the most."""

AMOUNT_SLACK: Final = 10
"""Percent by which another member's amount may be out of the bounds that the own data give: its block is another."""

ACTIVE: Final = "active_ongoing"


@dataclass(frozen=True, slots=True)
class Sign:
    """Sign a message and let the other members have it."""

    task: str
    message: Message

    @property
    def subject(self) -> str:
        """What it is about."""
        return self.message.subject


@dataclass(frozen=True, slots=True)
class Send:
    """Send what a quorum has signed."""

    task: str
    message: Message
    approvals: tuple[bytes, ...]
    """A quorum's signatures, by ascending address of the signer."""
    cluster: Cluster | None = None
    """The state that the call brings along, where it needs one."""
    operator_ids: tuple[int, ...] = ()
    """Of the cluster, where the message does not name them."""

    @property
    def subject(self) -> str:
        """What it is about."""
        return self.message.subject


@dataclass(frozen=True, slots=True)
class Register:
    """Register the next key of the inventory."""

    task: str
    key: NextKey
    payment: int
    """Wei for the cluster."""
    cluster: Cluster

    @property
    def subject(self) -> str:
        """What it is about."""
        return f"0x{self.key.public_key.hex()}"


@dataclass(frozen=True, slots=True)
class RequestExits:
    """Ask a committee to exit validators."""

    task: str
    public_keys: tuple[bytes, ...]
    operator_ids: tuple[int, ...]

    @property
    def subject(self) -> str:
        """What it is about."""
        return ", ".join(f"0x{key.hex()}" for key in self.public_keys)


@dataclass(frozen=True, slots=True)
class Finalize:
    """Make withdrawals ready that there is money for."""

    task: str
    limit: int = FINALIZED_A_CALL
    subject: str = "withdrawals"


@dataclass(frozen=True, slots=True)
class Tell:
    """Write down what somebody should know; once, until it changes."""

    task: str
    subject: str
    text: str
    warning: bool = False


Intent = Sign | Send | Register | RequestExits | Finalize | Tell
"""What a keeper means to do."""


def decide_committees(view: PoolView) -> list[Intent]:
    """Have the committees allowed that the own settings name."""
    found: list[Intent] = []
    for ids in view.marks.committees:
        if not view.committees.get(ids, False):
            found += _pursue(view, "committees", Committee(ids, True, view.cluster_nonce))
    return found


def decide_register(view: PoolView) -> list[Intent]:
    """Register the next key of the inventory when 32 ETH wait for it beside those for keys already registered."""
    key = view.next_key
    if view.inventory_problem is not None:
        return [Tell("register", "inventory", view.inventory_problem, warning=True)]
    if key is None or view.paused or not _is_member(view):
        return []
    waiting = sum(known.state is KeyState.REGISTERED for known in view.keys)
    needed = DEPOSIT * (waiting + 1)
    cluster = view.cluster_of(key.operator_ids)
    if view.fundable < needed or cluster is None:
        return []
    subject = f"0x{key.public_key.hex()}"
    if not view.committees.get(key.operator_ids, False):
        ids = ",".join(map(str, key.operator_ids))
        return [Tell("register", subject, f"waits until a quorum allows the committee {ids}", warning=True)]
    if not cluster.cluster.active:
        return [Tell("register", subject, "waits until its cluster is reactivated", warning=True)]
    validators = cluster.cluster.validator_count + 1
    payment = max(0, cluster.needed(view.marks.runway_high_days, validators, view.slot_seconds) - cluster.balance)
    if payment > view.allowance:
        payment = max(0, cluster.needed(view.marks.runway_low_days, validators, view.slot_seconds) - cluster.balance)
    if payment > view.allowance:
        text = f"waits: its cluster needs {payment} wei, and the window's budget has {view.allowance} left"
        return [Tell("register", subject, text, warning=True)]
    # What the cluster is paid comes out of the same money that the deposit is made of.
    if view.fundable < needed + payment or not _my_turn(view, waiting + len(view.keys)):
        return []
    return [Register("register", key, payment, cluster.cluster)]


def decide_funding(view: PoolView) -> list[Intent]:
    """Approve and send the deposits of registered keys that are in order, oldest first, as far as the money goes."""
    if view.paused:
        return []
    found: list[Intent] = []
    left = view.fundable // DEPOSIT
    for key in view.keys:
        if key.state is KeyState.REGISTERED and key.deposit_seen is None:
            text = "waits: the beacon node does not tell which deposits wait in its state (pending_deposits)"
            found.append(Tell("fund", f"0x{key.public_key.hex()}", text, warning=True))
        if left and key.state is KeyState.REGISTERED and may_be_funded(key) and key.deposit is not None:
            left -= 1
            deposit = key.deposit
            message = Funding(key.public_key, deposit.signature, deposit.data_root, view.deposit_root)
            found += _pursue(view, "fund", message)
    return found


def may_be_funded(key: KeyFacts) -> bool:
    """Whether own data say that a registered key is in order: its shares are, and nobody has deposited for it.

    Whoever deposits first for a key decides who may withdraw; an existing deposit loses the pool's 32 ETH.
    """
    return key.share is Share.ACCEPTED and key.deposit_seen is False and key.beacon is None


def decide_clusters(view: PoolView) -> list[Intent]:
    """Keep clusters paid; take back what clusters without validators hold."""
    found: list[Intent] = []
    for cluster in view.clusters:
        count, subject = cluster.cluster.validator_count, _cluster_name(cluster)
        if not count:
            if cluster.cluster.active and cluster.balance and not _still_used(view, cluster):
                refund = ClusterRefund(cluster.operator_ids, cluster.balance, view.cluster_nonce)
                found += _pursue(view, "clusters", refund, cluster)
            continue
        if not cluster.cluster.active:
            found.append(Tell("clusters", subject, "liquidated: its validators do no duties", warning=True))
            found += _pay(view, cluster, ClusterReactivation)
            continue
        if cluster.liquidatable:
            found.append(Tell("clusters", subject, "anybody may liquidate it now", warning=True))
        runway = cluster.runway_days(view.slot_seconds)
        if runway is not None and runway < view.marks.runway_low_days:
            found += _pay(view, cluster, ClusterPayment)
    return found


def decide_report(view: PoolView) -> list[Intent]:
    """Sign the report that own data make, and send the one that a quorum made alike."""
    if view.report is None or view.paused:
        return []
    return _pursue(view, "report", view.report)


def decide_exits(view: PoolView) -> list[Intent]:
    """Have the oldest validators exit while leavers wait for more than what is there and on its way."""
    missing = view.pending - view.buffered - view.unbooked - DEPOSIT * view.exits_under_way
    if missing <= 0 or not _is_member(view):
        return []
    able = [key for key in view.keys if key.state is KeyState.FUNDED and _may_exit(view, key)]
    if not able:
        text = f"{missing} wei are missing, and no validator may exit yet"
        return [Tell("exits", "withdrawals", text, warning=True)]
    if not _my_turn(view, view.exits_under_way):
        return []
    ids = able[0].operator_ids
    wanted = min(EXITS_A_CALL, -(-missing // DEPOSIT))
    chosen = [key.public_key for key in able if key.operator_ids == ids][:wanted]
    return [RequestExits("exits", tuple(chosen), ids)]


def decide_withdrawals(view: PoolView) -> list[Intent]:
    """Make withdrawals ready that a report has left over."""
    if view.finalizable and _is_member(view) and _my_turn(view, 0):
        return [Finalize("withdrawals")]
    return []


def decide_removals(view: PoolView) -> list[Intent]:
    """Take validators out of the registry that are withdrawn, or that must never be funded."""
    found: list[Intent] = []
    for key in view.keys:
        problem = _never_funded(key)
        if problem is not None:
            found.append(Tell("removals", f"0x{key.public_key.hex()}", problem, warning=True))
        withdrawn = key.beacon is not None and key.beacon.status == WITHDRAWAL_DONE and not key.beacon.balance
        if problem is not None or (key.state in (KeyState.FUNDED, KeyState.EXIT_REQUESTED) and withdrawn):
            found += _pursue(view, "removals", Removal(key.public_key), view.cluster_of(key.operator_ids))
    return found


def decide_watch(view: PoolView) -> list[Intent]:
    """Tell how validators come and go, and what stands still."""
    found: list[Intent] = []
    if not _is_member(view):
        found.append(Tell("watch", "member", f"0x{view.member.hex()} is no member of the pool", warning=True))
    if view.paused:
        found.append(Tell("watch", "pool", "paused", warning=True))
    for key in view.keys:
        if key.state is KeyState.REGISTERED:
            continue
        status = "deposited, not in the beacon state yet" if key.beacon is None else key.beacon.status
        found.append(Tell("watch", f"0x{key.public_key.hex()}", status, warning="slashed" in status))
    return found


TASKS: Final[Mapping[str, Callable[[PoolView], list[Intent]]]] = {
    "watch": decide_watch,
    "committees": decide_committees,
    "report": decide_report,
    "withdrawals": decide_withdrawals,
    "exits": decide_exits,
    "clusters": decide_clusters,
    "fund": decide_funding,
    "register": decide_register,
    "removals": decide_removals,
}
"""The keeper's tasks in the order of a round."""


def quorum_of(view: PoolView, message: Message) -> tuple[bytes, ...] | None:
    """A quorum's signatures of a message, by ascending address; None while there are fewer."""
    signatures = {
        signed.signer: signed.signature
        for signed in view.messages
        if signed.message == message and signed.signer in view.members
    }
    if len(signatures) < view.quorum:
        return None
    return tuple(signatures[signer] for signer in sorted(signatures)[: view.quorum])


def _pursue(view: PoolView, task: str, message: Message, cluster: ClusterFacts | None = None) -> list[Intent]:
    """Bring about what own data say is right: sign it, then send it once a quorum has signed."""
    if not _is_member(view):
        return []
    if not any(signed.message == message and signed.signer == view.member for signed in view.messages):
        return [Sign(task, message)]
    approvals = quorum_of(view, message)
    if approvals is None or not (message in view.just_signed or _my_turn(view, len(message.subject))):
        return []
    if cluster is None:
        return [Send(task, message, approvals)]
    return [Send(task, message, approvals, cluster.cluster, cluster.operator_ids)]


def _pay(view: PoolView, cluster: ClusterFacts, kind: type[ClusterPayment] | type[ClusterReactivation]) -> list[Intent]:
    """Agree on an amount for a cluster: whose turn it is proposes one, the others take what is within bounds."""
    needed = cluster.needed(view.marks.runway_high_days, cluster.cluster.validator_count, view.slot_seconds)
    held = cluster.balance if cluster.cluster.active else 0
    own = max(0, min(needed - held, view.allowance))
    if not own:
        text = f"needs {needed - held} wei, and the window's budget has nothing left"
        return [Tell("clusters", _cluster_name(cluster), text, warning=True)]
    most = min(view.allowance, own + own * AMOUNT_SLACK // 100)
    # What does not lift it to the low mark does not help: one member could keep it poor with payments of a wei.
    lifting = cluster.needed(view.marks.runway_low_days, cluster.cluster.validator_count, view.slot_seconds) - held
    least = max(1, min(own, lifting) * (100 - AMOUNT_SLACK) // 100)
    proposed = {
        signed.message
        for signed in view.messages
        if isinstance(signed.message, kind)
        and (signed.message.operator_ids, signed.message.nonce) == (cluster.operator_ids, view.cluster_nonce)
        and least <= signed.message.amount <= most
    }
    if not proposed and _my_turn(view, view.cluster_nonce):
        proposed = {kind(cluster.operator_ids, own, view.cluster_nonce)}
    found: list[Intent] = []
    # All that is acceptable is signed: the nonce lets only one be executed, and so no split vote can last.
    for message in sorted(proposed, key=lambda message: -message.amount):
        found += _pursue(view, "clusters", message, cluster)
    sends = [intent for intent in found if isinstance(intent, Send)]
    return [intent for intent in found if not isinstance(intent, Send)] + list(sends[:1])


def _never_funded(key: KeyFacts) -> str | None:
    """Why a registered key must not get its deposit; None where nothing speaks against it."""
    if key.state is not KeyState.REGISTERED:
        return None
    if key.deposit_seen or key.beacon is not None:
        return "somebody has deposited for this key: it is not funded and leaves the registry"
    if key.share is Share.REFUSED:
        return "its key shares cannot be used: it is not funded and leaves the registry"
    return None


def _may_exit(view: PoolView, key: KeyFacts) -> bool:
    beacon = key.beacon
    return (
        beacon is not None
        and beacon.status == ACTIVE
        and beacon.activation_epoch + view.shard_committee_period <= view.epoch
    )


def _still_used(view: PoolView, cluster: ClusterFacts) -> bool:
    """Whether a cluster without validators gets one soon."""
    return view.next_key is not None and view.next_key.operator_ids == cluster.operator_ids and view.fundable >= DEPOSIT


def _is_member(view: PoolView) -> bool:
    return view.member in view.members


def _my_turn(view: PoolView, salt: int) -> bool:
    turn = int(view.now // (TURN_SLOTS * view.slot_seconds))
    return view.members[(turn + salt) % len(view.members)] == view.member


def _cluster_name(cluster: ClusterFacts) -> str:
    return f"cluster {','.join(map(str, cluster.operator_ids))}"


def subjects(intents: Sequence[Intent]) -> list[str]:
    """One line for each intent, for dry runs."""
    return [f"{intent.task}: {type(intent).__name__.lower()} {intent.subject}" for intent in intents]

"""``ssv-pool registry cluster``: balance and runway, deposit, withdraw, liquidate, reactivate."""

import json
from typing import TYPE_CHECKING, Any

import click

from ssv_pool.cli.chain_options import ChainAccess, Ether, chain_options, sending_options
from ssv_pool.cli.registry_options import Address, RegistryTarget, cluster_option, registry_options
from ssv_pool.errors import SsvPoolError
from ssv_pool.protocol.types.primitives import OperatorId

if TYPE_CHECKING:
    from ssv_pool.registry.contract import RegistryContract
    from ssv_pool.registry.views import ClusterStatus

_BLOCK_SECONDS = click.option(
    "--block-seconds",
    type=click.FloatRange(0.1, 3600),
    default=12.0,
    show_default=True,
    help="Seconds between blocks, to count days by.",
)


@click.group("cluster")
def cluster_group() -> None:
    """Clusters: the validators that one owner runs with one set of operators, and the balance that pays for them."""


@cluster_group.command()
@cluster_option
@click.option("--owner", required=True, type=Address(), help="The cluster's owner.")
@_BLOCK_SECONDS
@registry_options
@chain_options
def status(
    operator_ids: tuple[OperatorId, ...], owner: str, block_seconds: float, target: RegistryTarget, access: ChainAccess
) -> None:
    """Show a cluster's balance, what it pays, and for how many days that lasts before anybody may liquidate it."""
    contract = target.open(access)
    access.show(_shown(_status(contract, owner, operator_ids), block_seconds, access))


@cluster_group.command("list")
@click.option("--owner", type=Address(), help="Only this owner's.")
@click.option("--liquidatable", is_flag=True, help="Only those that anybody may liquidate now.")
@click.option("--below-days", type=click.FloatRange(0), help="Only those whose runway is shorter than so many days.")
@_BLOCK_SECONDS
@registry_options
@chain_options
def list_clusters(
    owner: str | None,
    liquidatable: bool,
    below_days: float | None,
    block_seconds: float,
    target: RegistryTarget,
    access: ChainAccess,
) -> None:
    """List the active clusters with validators, the shortest runway first."""
    contract = target.open(access)
    found = contract.views.statuses(
        {
            key: cluster
            for key, cluster in contract.history.clusters(owner).items()
            if cluster.active and cluster.validator_count
        }
    )
    days = {id(item): item.runway_days(block_seconds) for item in found}
    wanted = [
        item
        for item in found
        if (not liquidatable or item.liquidatable)
        and (below_days is None or (days[id(item)] is not None and (days[id(item)] or 0) < below_days))
    ]
    wanted.sort(key=lambda item: float("inf") if days[id(item)] is None else (days[id(item)] or 0.0))
    shown = [_shown(item, block_seconds, access) for item in wanted]
    if access.as_json:
        click.echo(json.dumps({"clusters": shown}))
        return
    if not shown:
        click.echo("no such cluster")
    for values in shown:
        access.show(values)
        if values is not shown[-1]:
            click.echo()


@cluster_group.command()
@cluster_option
@click.option("--owner", type=Address(), help="The cluster's owner. Default: the account.")
@click.option("--amount", type=Ether(), help="ETH to put in. Default: none, which only settles what the cluster owes.")
@click.option("--days", type=click.FloatRange(0.01, 36_500), help="Instead put in what makes the runway so long.")
@_BLOCK_SECONDS
@registry_options
@sending_options
def deposit(
    operator_ids: tuple[OperatorId, ...],
    owner: str | None,
    amount: int | None,
    days: float | None,
    block_seconds: float,
    target: RegistryTarget,
    access: ChainAccess,
) -> None:
    """Put ETH into a cluster's balance, whoever owns it."""
    if amount is not None and days is not None:
        raise click.UsageError("give either --amount ETH or --days DAYS")
    contract = target.open(access)
    sender = access.sender(contract.w3)
    place = owner or sender.address
    before = _status(contract, place, operator_ids)
    value = (amount or 0) if days is None else before.cost_of(days, block_seconds)
    access.agree(value, f"deposit into cluster {_ids(operator_ids)}")
    call = contract.calls.deposit(place, operator_ids, before.cluster, value)
    sent = contract.send(sender, call, dry_run=access.dry_run)
    after = (
        before
        if sent.mined is None
        else contract.views.status(place, operator_ids, contract.history.cluster_after(call.action, sent.receipt))
    )
    access.show({"deposited": access.amount(value)} | _shown(after, block_seconds, access), sent)


@cluster_group.command()
@cluster_option
@click.option("--amount", required=True, type=Ether(), help="ETH to take out.")
@_BLOCK_SECONDS
@registry_options
@sending_options
def withdraw(
    operator_ids: tuple[OperatorId, ...],
    amount: int,
    block_seconds: float,
    target: RegistryTarget,
    access: ChainAccess,
) -> None:
    """Pay the account from the balance of a cluster of its own; what its validators need stays."""
    from ssv_pool.registry.transactions import ether

    contract = target.open(access)
    sender = access.sender(contract.w3)
    before = _status(contract, sender.address, operator_ids)
    free = max(0, before.balance - before.reserve)
    if not before.liquidated and amount > free:
        raise SsvPoolError(
            f"withdraw from cluster {_ids(operator_ids)}: it has {ether(free)} ETH above what its validators need, "
            f"expected at least {ether(amount)}: ask for less, or remove validators first"
        )
    call = contract.calls.withdraw(operator_ids, amount, before.cluster)
    sent = contract.send(sender, call, dry_run=access.dry_run)
    after = (
        before
        if sent.mined is None
        else contract.views.status(
            sender.address, operator_ids, contract.history.cluster_after(call.action, sent.receipt)
        )
    )
    access.show({"paid": access.amount(amount)} | _shown(after, block_seconds, access), sent)


@cluster_group.command()
@cluster_option
@click.option("--owner", type=Address(), help="The cluster's owner. Default: the account, which may stop its own.")
@registry_options
@sending_options
def liquidate(
    operator_ids: tuple[OperatorId, ...], owner: str | None, target: RegistryTarget, access: ChainAccess
) -> None:
    """Stop a cluster that cannot pay for long; the account gets the rest of its balance.

    Its operators stop signing for its validators until the owner reactivates it.
    """
    from ssv_pool.registry.transactions import ether

    contract = target.open(access)
    sender = access.sender(contract.w3)
    place = owner or sender.address
    before = _status(contract, place, operator_ids)
    if before.liquidated:
        raise SsvPoolError(f"liquidate cluster {_ids(operator_ids)} of {place}: it is liquidated already")
    if not before.liquidatable and place != sender.address:
        raise SsvPoolError(
            f"liquidate cluster {_ids(operator_ids)} of {place}: it holds {ether(before.balance)} ETH and cannot be "
            f"liquidated before it is below {ether(before.reserve)}: wait"
        )
    if place == sender.address and not access.yes and not access.dry_run:
        raise click.UsageError("this stops the account's own validators: agree with --yes")
    call = contract.calls.liquidate(place, operator_ids, before.cluster)
    sent = contract.send(sender, call, dry_run=access.dry_run)
    values: dict[str, Any] = {"owner": place, "operators": list(operator_ids)}
    if sent.mined is not None:
        values["received"] = access.amount(_received(sent.mined["blockNumber"], before))
    access.show(values, sent)


@cluster_group.command()
@cluster_option
@click.option("--amount", type=Ether(), help="ETH to start with. Default: what --days takes.")
@click.option(
    "--days", type=click.FloatRange(0.01, 36_500), default=30.0, show_default=True, help="Runway to start with."
)
@_BLOCK_SECONDS
@registry_options
@sending_options
def reactivate(
    operator_ids: tuple[OperatorId, ...],
    amount: int | None,
    days: float,
    block_seconds: float,
    target: RegistryTarget,
    access: ChainAccess,
) -> None:
    """Start a liquidated cluster of the account again."""
    from ssv_pool.registry.transactions import ether

    contract = target.open(access)
    sender = access.sender(contract.w3)
    before = _status(contract, sender.address, operator_ids)
    action = f"reactivate cluster {_ids(operator_ids)}"
    if not before.liquidated:
        raise SsvPoolError(f"{action}: it is active already: deposit to add to its balance")
    reserve, rate = contract.views.needs_of(operator_ids, before.cluster.validator_count)
    value = (
        max(0, reserve + rate * int(days * 86_400 / block_seconds + 1) - before.balance) if amount is None else amount
    )
    if before.balance + value < reserve:
        raise SsvPoolError(
            f"{action}: its validators need at least {ether(reserve - before.balance)} ETH, found --amount "
            f"{ether(value)}: give more"
        )
    access.agree(value, action)
    call = contract.calls.reactivate(operator_ids, before.cluster, value)
    sent = contract.send(sender, call, dry_run=access.dry_run)
    after = (
        before
        if sent.mined is None
        else contract.views.status(
            sender.address, operator_ids, contract.history.cluster_after(call.action, sent.receipt)
        )
    )
    access.show({"deposited": access.amount(value)} | _shown(after, block_seconds, access), sent)


def _received(block: int, before: "ClusterStatus") -> int:
    """What a liquidation in a block paid: the balance that was left then."""
    return max(0, before.balance - before.burn_rate * max(0, block - before.block))


def _status(contract: "RegistryContract", owner: str, operator_ids: tuple[OperatorId, ...]) -> "ClusterStatus":
    """A cluster's money now. Raises SsvPoolError where the owner has no such cluster."""
    from ssv_pool.registry.history import NEW_CLUSTER

    cluster = contract.cluster(owner, operator_ids)
    if cluster == NEW_CLUSTER:
        # That is also the state of one that was emptied.
        known = contract.history.clusters(owner)
        if (owner, operator_ids) not in known:
            raise SsvPoolError(
                f"cluster {_ids(operator_ids)}: {owner} has none with these operators, check --owner and --operators"
            )
    return contract.status(owner, operator_ids, cluster=cluster)


def _shown(item: "ClusterStatus", block_seconds: float, access: ChainAccess) -> dict[str, Any]:
    days = item.runway_days(block_seconds)
    state = "liquidated" if item.liquidated else "can be liquidated by anybody" if item.liquidatable else "active"
    values: dict[str, Any] = {
        "owner": item.owner,
        "operators": list(item.operator_ids),
        "state": state,
        "validators": item.cluster.validator_count,
        "balance": access.amount(item.balance),
        "burn_rate": access.amount(item.burn_rate) + ("" if access.as_json else " a block"),
        "reserve": access.amount(item.reserve),
    }
    if access.as_json:
        values |= {"liquidatable": item.liquidatable, "runway_blocks": item.runway_blocks, "runway_days": days}
    else:
        values["runway"] = "without end: nothing is paid" if days is None else f"{days:.1f} days"
    return values


def _ids(operator_ids: tuple[OperatorId, ...]) -> str:
    return ",".join(map(str, operator_ids))

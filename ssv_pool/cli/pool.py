"""``ssv-pool pool``: a staking pool's commands; here deployment, status, pause and what its owner does."""

import json
from typing import TYPE_CHECKING, Any

import click

from ssv_pool.cli.chain_options import ChainAccess, chain_options, sending_options
from ssv_pool.cli.pool_keys import keys
from ssv_pool.cli.pool_options import PoolTarget, pool_options, require_member, when
from ssv_pool.cli.pool_reports import report
from ssv_pool.cli.pool_staking import balance, claim, finalize, redirect, stake, unstake
from ssv_pool.cli.pool_status import show_status, status_json
from ssv_pool.cli.pool_validators import (
    cluster,
    committee,
    exit_validators,
    fund_validator,
    register_validator,
    remove_validator,
)
from ssv_pool.cli.registry_options import Address, RegistryTarget, registry_options
from ssv_pool.errors import SsvPoolError

if TYPE_CHECKING:
    from ssv_pool.pool.calls import PoolParameters
    from ssv_pool.pool.contract import PoolContract
    from ssv_pool.registry.transactions import Sent, TransactionSender

_DEPOSIT_CONTRACTS = {
    1: "0x00000000219ab540356cBB839Cbe05303d7705Fa",
    17_000: "0x4242424242424242424242424242424242424242",
    560_048: "0x00000000219ab540356cBB839Cbe05303d7705Fa",
    11_155_111: "0x7f02C3E3c98b133055B8B348B2Ac625669Ed295D",
}
"""Beacon deposit contracts by chain id."""

_LONGEST_REASON = 96


@click.group("pool")
def pool() -> None:
    """A staking pool: stake and leave, make validators, report, look after it.

    Every command that sends is simulated first; what the contract would refuse is said in words and nothing is sent.
    What moves the pool's money takes the signatures of a quorum of its members: each writes one into a file by --sign,
    and whoever has enough gives them by --approval.
    """


for _command in (stake, unstake, claim, finalize, redirect, balance, committee, cluster, keys, report):
    pool.add_command(_command)
for _command in (register_validator, fund_validator, exit_validators, remove_validator):
    pool.add_command(_command)


def _rates(command: Any) -> Any:
    for name, default, text in reversed(
        (
            ("operator-fee", 500, "Part of a gain for the members, basis points; both fees together at most 2000."),
            ("treasury-fee", 500, "Part of a gain for the treasury, basis points."),
            ("max-yearly-gain", 2_000, "Gain of a year that reports may book, basis points of all assets."),
            ("max-loss", 500, "Loss that one report may book, basis points of all assets."),
            ("cluster-budget", 100, "What clusters may be paid in 30 days, basis points of all assets."),
        )
    ):
        command = click.option(
            f"--{name}", type=click.IntRange(0, 10_000), default=default, show_default=True, help=text
        )(command)
    return click.option("--treasury", required=True, type=Address(), help="Who gets the treasury's fee.")(command)


def _members(command: Any) -> Any:
    command = click.option(
        "--quorum", type=click.IntRange(1, 13), help="How many must sign. Default: over two thirds."
    )(command)
    return click.option(
        "--member", "members", type=Address(), multiple=True, required=True, help="Who signs; repeat for 1 to 13."
    )(command)


@pool.command()
@click.option("--deposit-contract", type=Address(), help="The beacon deposit contract. Default: the network's.")
@click.option("--with-deposit-contract", is_flag=True, help="Deploy one first, on a chain that has none.")
@_members
@_rates
@registry_options
@sending_options
def deploy(
    deposit_contract: str | None,
    with_deposit_contract: bool,
    members: tuple[str, ...],
    quorum: int | None,
    target: RegistryTarget,
    access: ChainAccess,
    **rates: Any,
) -> None:
    """Compile the pool's contract and deploy it; the account becomes its owner.

    The owner can announce changes of members and parameters, which take 14 days, and end a pause; never take money.
    """
    from ssv_pool.pool.calls import DEPOSIT_CONTRACT, deployment, deposit_contract_deployment
    from ssv_pool.registry.artifacts import published_abi
    from ssv_pool.registry.chain import check_contract

    registry = target.open(access)
    w3 = registry.w3
    sender = access.sender(w3)
    needed = _quorum(members, quorum)
    parameters = _parameters(rates)
    chain_id = int(w3.eth.chain_id)
    if with_deposit_contract and (deposit_contract is not None or chain_id in _DEPOSIT_CONTRACTS):
        raise SsvPoolError(
            f"deploy the pool: chain {chain_id} has the deposit contract "
            f"{deposit_contract or _DEPOSIT_CONTRACTS[chain_id]}, and validators come from that one alone: leave "
            "--with-deposit-contract out"
        )
    place = deposit_contract or _DEPOSIT_CONTRACTS.get(chain_id)
    sent: list[Sent] = []
    if with_deposit_contract:
        call = deposit_contract_deployment(w3)
        sent.append(sender.send(call.action, call.function, dry_run=access.dry_run))
        if access.dry_run:
            # The pool's own deployment is refused without the other contract, so it cannot be tried.
            access.show({"pool": None, "deposit_contract": None, "owner": sender.address, "quorum": needed}, sent)
            return
        place = sent[0].receipt["contractAddress"]
    if place is None:
        raise SsvPoolError(
            f"deploy the pool: no deposit contract is known for chain {chain_id}, give --deposit-contract ADDRESS, or "
            "--with-deposit-contract to make one"
        )
    check_contract(w3, place, published_abi(DEPOSIT_CONTRACT), "beacon deposit contract", views=("get_deposit_root",))
    call = deployment(w3, registry.address, place, members, needed, parameters)
    sent.append(sender.send(call.action, call.function, dry_run=access.dry_run))
    mined = sent[-1].mined
    access.show(
        {
            "pool": None if mined is None else mined["contractAddress"],
            "first_block": None if mined is None else mined["blockNumber"],
            "deposit_contract": place,
            "registry": registry.address,
            "owner": sender.address,
            "members": list(members),
            "quorum": needed,
        },
        sent,
    )


@pool.command()
@click.option(
    "--block-seconds",
    type=click.FloatRange(0.1, 3600),
    default=12.0,
    show_default=True,
    help="Seconds between blocks, to count days of runway by.",
)
@pool_options
@chain_options
def status(block_seconds: float, target: PoolTarget, access: ChainAccess) -> None:
    """Show the pool: assets, price, the queue, validators, clusters with their runway, the last report, the pause."""
    from ssv_pool.pool.status import read_status

    contract = target.open(access)
    found = read_status(contract)
    if access.as_json:
        click.echo(json.dumps({"pool": contract.address} | status_json(found, block_seconds)))
    else:
        show_status(contract.address, found, block_seconds)


@pool.command()
@click.argument("reason")
@pool_options
@sending_options
def pause(reason: str, target: PoolTarget, access: ChainAccess) -> None:
    """Stop staking, new validators, payments to clusters and reports for 7 days at most, and say the REASON.

    By any member or the owner. Who leaves is not stopped: requests, and claims of what is ready, go on.
    """
    if not 0 < len(reason.encode()) <= _LONGEST_REASON:
        raise click.UsageError(f"the reason has {len(reason.encode())} bytes, expected 1 to {_LONGEST_REASON}")
    contract = target.open(access)
    sender = access.sender(contract.w3)
    if contract.owner() != sender.address:
        require_member(contract, sender, "pause the pool")
    sent = contract.send(sender, contract.calls.pause(reason), dry_run=access.dry_run)
    values: dict[str, Any] = {"paused_by": sender.address, "reason": reason}
    if sent.mined is not None:
        until = contract.pause_state().until
        values["until"] = until if access.as_json else when(until)
    access.show(values, sent)


@pool.command()
@pool_options
@sending_options
def unpause(target: PoolTarget, access: ChainAccess) -> None:
    """End a pause. By the owner."""
    contract, sender = _as_owner(target, access, "unpause the pool")
    if not contract.pause_state().paused:
        raise SsvPoolError("unpause the pool: it is not paused, nothing is to be done")
    access.show({"paused": False}, contract.send(sender, contract.calls.unpause(), dry_run=access.dry_run))


@pool.group()
def announce() -> None:
    """What the owner changes: announced first, put into force 14 days later."""


@announce.command("parameters")
@_rates
@pool_options
@sending_options
def announce_parameters(target: PoolTarget, access: ChainAccess, **rates: Any) -> None:
    """Announce new parameters, all of them."""
    contract, sender = _as_owner(target, access, "announce parameters")
    call = contract.calls.announce_parameters(_parameters(rates))
    _announced(contract, access, contract.send(sender, call, dry_run=access.dry_run))


@announce.command("members")
@_members
@pool_options
@sending_options
def announce_members(members: tuple[str, ...], quorum: int | None, target: PoolTarget, access: ChainAccess) -> None:
    """Announce all members there shall be."""
    contract, sender = _as_owner(target, access, "announce members")
    call = contract.calls.announce_members(members, _quorum(members, quorum))
    _announced(contract, access, contract.send(sender, call, dry_run=access.dry_run))


@announce.command("execute")
@pool_options
@sending_options
def announce_execute(target: PoolTarget, access: ChainAccess) -> None:
    """Put into force what was announced, when its 14 days are over."""
    contract, sender = _as_owner(target, access, "execute what was announced")
    kind, executable_at, *_ = contract.ask("announcement")
    if kind == 0:
        raise SsvPoolError("execute what was announced: nothing is, nothing is to be done")
    now = int(contract.w3.eth.get_block("latest")["timestamp"])
    if now < executable_at:
        raise SsvPoolError(f"execute what was announced: possible from {when(executable_at)} on, wait")
    call = contract.calls.execute_parameters() if kind == 1 else contract.calls.execute_members()
    sent = contract.send(sender, call, dry_run=access.dry_run)
    access.show({"executed": "parameters" if kind == 1 else "members"}, sent)


@announce.command("cancel")
@pool_options
@sending_options
def announce_cancel(target: PoolTarget, access: ChainAccess) -> None:
    """Take back what was announced."""
    contract, sender = _as_owner(target, access, "cancel the announcement")
    access.show(
        {"cancelled": True}, contract.send(sender, contract.calls.cancel_announcement(), dry_run=access.dry_run)
    )


@pool.group()
def owner() -> None:
    """Hand the pool to another owner, in two steps."""


@owner.command("offer")
@click.argument("new_owner", type=Address())
@pool_options
@sending_options
def owner_offer(new_owner: str, target: PoolTarget, access: ChainAccess) -> None:
    """Offer the pool to NEW_OWNER, who has to accept it."""
    contract, sender = _as_owner(target, access, "offer ownership")
    sent = contract.send(sender, contract.calls.transfer_ownership(new_owner), dry_run=access.dry_run)
    access.show({"offered_to": new_owner}, sent)


@owner.command("accept")
@pool_options
@sending_options
def owner_accept(target: PoolTarget, access: ChainAccess) -> None:
    """Accept the pool that was offered to the account."""
    contract = target.open(access)
    sender = access.sender(contract.w3)
    access.show(
        {"owner": sender.address},
        contract.send(sender, contract.calls.accept_ownership(), dry_run=access.dry_run),
    )


def _as_owner(target: PoolTarget, access: ChainAccess, action: str) -> "tuple[PoolContract, TransactionSender]":
    """The pool and a sender whose account owns it. Raises SsvPoolError."""
    contract = target.open(access)
    sender = access.sender(contract.w3)
    if (found := contract.owner()) != sender.address:
        raise SsvPoolError(f"{action}: the pool belongs to {found}, and this account is {sender.address}")
    return contract, sender


def _announced(contract: "PoolContract", access: ChainAccess, sent: "Sent") -> None:
    values: dict[str, Any] = {"announced": True}
    if sent.mined is not None:
        executable_at = int(contract.ask("announcement")[1])
        values["executable_at"] = executable_at if access.as_json else when(executable_at)
    access.show(values, sent)


def _parameters(rates: dict[str, Any]) -> "PoolParameters":
    from ssv_pool.pool.calls import PoolParameters

    fees = rates["operator_fee"] + rates["treasury_fee"]
    for name, found, most in (
        ("--operator-fee and --treasury-fee", fees, 2_000),
        ("--max-loss", rates["max_loss"], 5_000),
        ("--cluster-budget", rates["cluster_budget"], 1_000),
    ):
        if found > most:
            raise click.UsageError(f"{name}: {found} basis points, expected at most {most}")
    return PoolParameters(**rates)


def _quorum(members: tuple[str, ...], quorum: int | None) -> int:
    """How many must sign, by default the least that is more than two thirds. Raises click.UsageError."""
    if len(set(members)) != len(members) or len(members) > 13:
        raise click.UsageError(f"{len(members)} members, expected 1 to 13 different ones")
    least = 2 * len(members) // 3 + 1
    needed = least if quorum is None else quorum
    if not least <= needed <= len(members):
        raise click.UsageError(f"--quorum {needed}: of {len(members)} members expected {least} to {len(members)}")
    return needed

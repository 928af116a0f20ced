"""``ssv-pool registry validators``: register out of key shares files, remove, exit, look up."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ssv_pool.cli.chain_options import FILE, ChainAccess, Ether, chain_options, sending_options
from ssv_pool.cli.registry_options import Address, RegistryTarget, ValidatorKey, cluster_option, registry_options
from ssv_pool.errors import SsvPoolError
from ssv_pool.protocol.types.primitives import OperatorId, PublicKey

if TYPE_CHECKING:
    from ssv_pool.pool.keyshares import KeyShares
    from ssv_pool.registry.contract import RegistryContract
    from ssv_pool.registry.events import Cluster
    from ssv_pool.registry.transactions import Sent, TransactionSender

_KEYS = click.argument("public_keys", nargs=-1, required=True, type=ValidatorKey(), metavar="KEY...")


@click.group("validators")
def validators_group() -> None:
    """Validators: register them with their operators, remove them, ask for their exit."""


@validators_group.command()
@click.argument("key_shares", nargs=-1, required=True, type=FILE, metavar="KEYSHARES...")
@click.option("--amount", type=Ether(), default=0, help="ETH to put into the cluster's balance. Default: none.")
@click.option("--skip-registered", is_flag=True, help="Go on with the others where some are registered already.")
@registry_options
@sending_options
def register(
    key_shares: tuple[Path, ...], amount: int, skip_registered: bool, target: RegistryTarget, access: ChainAccess
) -> None:
    """Register the validators in the key shares files KEYSHARES..., up to 20 in a transaction.

    All of them go to one cluster, the operators of the files. The files must have been made for this account as the
    owner, with the nonces that are its next; before anything is sent they are judged as the operators will judge them.
    A dry run simulates the first transaction.
    """
    from ssv_pool.pool.keyshares import read_key_shares

    found = [item for path in key_shares for item in read_key_shares(path)]
    contract = target.open(access)
    sender = access.sender(contract.w3)
    items = _acceptable(found, contract, sender.address, skip_registered=skip_registered)
    operator_ids = items[0].operator_ids
    cluster = contract.cluster(sender.address, operator_ids)
    _check_balance(contract, sender.address, operator_ids, cluster, len(items), amount)
    access.agree(amount, f"register {len(items)} validators")
    sent, state = _register(contract, sender, access, items, cluster, amount)
    access.show(
        {
            "owner": sender.address,
            "operators": list(operator_ids),
            "validators": [f"0x{item.public_key.hex()}" for item in items],
            "deposited": access.amount(amount),
            "cluster_validators": state.validator_count,
        },
        sent,
    )


@validators_group.command()
@_KEYS
@cluster_option
@registry_options
@sending_options
def remove(
    public_keys: tuple[PublicKey, ...],
    operator_ids: tuple[OperatorId, ...],
    target: RegistryTarget,
    access: ChainAccess,
) -> None:
    """Take validators of the account out of the registry: their operators stop signing for them at once.

    A validator that is active on the beacon chain then misses its duties: ask for its exit first. The cluster's
    balance stays in it.
    """
    from ssv_pool.registry.contract import MAX_BULK

    contract, sender = _registered(public_keys, target, access)
    state = contract.cluster(sender.address, operator_ids)
    sent: list[Sent] = []
    for start in range(0, len(public_keys), MAX_BULK):
        call = contract.calls.remove_validators(public_keys[start : start + MAX_BULK], operator_ids, state)
        sent.append(contract.send(sender, call, dry_run=access.dry_run))
        if access.dry_run:
            break
        state = contract.history.cluster_after(call.action, sent[-1].receipt)
    access.show({"removed": [f"0x{key.hex()}" for key in public_keys]}, sent)


@validators_group.command("exit")
@_KEYS
@cluster_option
@registry_options
@sending_options
def exit_(
    public_keys: tuple[PublicKey, ...],
    operator_ids: tuple[OperatorId, ...],
    target: RegistryTarget,
    access: ChainAccess,
) -> None:
    """Ask the operators to sign and send voluntary exits of validators of the account. That cannot be taken back."""
    from ssv_pool.registry.contract import MAX_BULK

    contract, sender = _registered(public_keys, target, access)
    calls = [
        contract.calls.exit_validators(public_keys[start : start + MAX_BULK], operator_ids)
        for start in range(0, len(public_keys), MAX_BULK)
    ]
    sent = [contract.send(sender, call, dry_run=access.dry_run) for call in calls]
    access.show({"exits": [f"0x{key.hex()}" for key in public_keys]}, sent)


@validators_group.command()
@_KEYS
@click.option("--owner", required=True, type=Address(), help="Whose validators.")
@registry_options
@chain_options
def show(public_keys: tuple[PublicKey, ...], owner: str, target: RegistryTarget, access: ChainAccess) -> None:
    """Whether an owner has the validators KEY... registered."""
    contract = target.open(access)
    access.show({f"0x{key.hex()}": contract.validator_registered(owner, key) for key in public_keys})


@validators_group.command()
@click.argument("owner", type=Address())
@registry_options
@chain_options
def nonce(owner: str, target: RegistryTarget, access: ChainAccess) -> None:
    """Show the nonce for which OWNER's next validator key is to be split (`keys split --owner-nonce`)."""
    number = target.open(access).owner_nonce(owner)
    click.echo(json.dumps({"owner": owner, "nonce": number}) if access.as_json else number)


def _acceptable(
    found: Sequence["KeyShares"], contract: "RegistryContract", owner: str, *, skip_registered: bool
) -> list["KeyShares"]:
    """The key shares to register, in the order of their nonces. Raises SsvPoolError, which says what to do."""
    for item in found:
        if item.owner != owner:
            raise SsvPoolError(
                f"validator {_short(item)}: its key was split for owner {item.owner}, and this account is {owner}: "
                f"sign with that account, or split the key again with --owner {owner}"
            )
    if len({item.operator_ids for item in found}) != 1:
        raise SsvPoolError(
            "the key shares are for different operators: register each committee by a command of its own"
        )
    if len({item.public_key for item in found}) != len(found):
        raise SsvPoolError("the key shares name a validator twice: give each once")
    registered = [item for item in found if contract.validator_registered(owner, item.public_key)]
    if registered and (not skip_registered or len(registered) == len(found)):
        raise SsvPoolError(
            f"validator {_short(registered[0])} is registered already"
            + (f", and {len(registered) - 1} others" if len(registered) > 1 else "")
            + (
                ": leave it out, or give --skip-registered"
                if len(registered) < len(found)
                else ": nothing is to be done"
            )
        )
    items = sorted((item for item in found if item not in registered), key=lambda item: item.owner_nonce)
    first = contract.owner_nonce(owner)
    for place, item in enumerate(items):
        if item.owner_nonce != first + place:
            raise SsvPoolError(
                f"validator {_short(item)}: its key was split for nonce {item.owner_nonce}, and the owner's next is "
                f"{first + place}: split the key again with --owner-nonce {first + place}"
            )
    check_operators(contract, items)
    return items


def check_operators(contract: "RegistryContract", items: Sequence["KeyShares"]) -> None:
    """Make sure that the shares are encrypted for the keys that the operators registered."""
    from ssv_pool.crypto import operator_keys

    known = contract.history.operator_keys(items[0].operator_ids)
    for operator_id in items[0].operator_ids:
        if operator_id not in known:
            raise SsvPoolError(f"operator {operator_id}: not in this registry, choose another and split the key again")
    for item in items:
        for operator in item.operators:
            try:
                same = operator_keys.public_key_from_base64(known[operator.operator_id].decode("ascii", "replace"))
            except operator_keys.OperatorKeyError:
                same = b""
            if same != operator.public_key:
                raise SsvPoolError(
                    f"validator {_short(item)}: its share of operator {operator.operator_id} is encrypted for another "
                    f"key than the operator registered: split the key again with the registered one"
                )


def _check_balance(
    contract: "RegistryContract",
    owner: str,
    operator_ids: Sequence[OperatorId],
    cluster: "Cluster",
    added: int,
    amount: int,
) -> None:
    """Make sure that the cluster will hold enough not to be liquidated at once. Raises SsvPoolError."""
    from ssv_pool.registry.history import NEW_CLUSTER
    from ssv_pool.registry.transactions import ether

    count = cluster.validator_count + added
    reserve, _ = contract.views.needs_of(operator_ids, count)
    held = 0 if cluster == NEW_CLUSTER else contract.status(owner, operator_ids, cluster=cluster).balance
    if held + amount < reserve:
        raise SsvPoolError(
            f"cluster {','.join(map(str, operator_ids))}: with {count} validators it must hold {ether(reserve)} ETH, "
            f"and it holds {ether(held)}: give --amount {ether(reserve - held)} or more"
        )


def _register(
    contract: "RegistryContract",
    sender: "TransactionSender",
    access: ChainAccess,
    items: Sequence["KeyShares"],
    cluster: "Cluster",
    amount: int,
) -> "tuple[list[Sent], Cluster]":
    from ssv_pool.registry.calls import Registration
    from ssv_pool.registry.contract import MAX_BULK

    registrations = [Registration(item.public_key, item.shares_data) for item in items]
    operator_ids = items[0].operator_ids
    if access.dry_run:
        # What a later transaction does depends on the state that the first leaves.
        call = contract.calls.register_validators(registrations[:MAX_BULK], operator_ids, cluster, value=amount)
        return [contract.send(sender, call, dry_run=True)], cluster
    sent: list[Sent] = []

    def batch(done: "Sent", count: int) -> None:
        sent.append(done)
        if not access.as_json and len(registrations) > MAX_BULK:
            click.echo(f"registered {count} of {len(registrations)} validators", err=True)

    state = contract.register_validators(
        sender, registrations, operator_ids, value=amount, cluster=cluster, on_batch=batch
    )
    return sent, state


def _registered(
    public_keys: Sequence[PublicKey], target: RegistryTarget, access: ChainAccess
) -> "tuple[RegistryContract, TransactionSender]":
    """The contract and a sender, whose account has all the validators. Raises SsvPoolError when it has not."""
    if len(set(public_keys)) != len(public_keys):
        raise click.UsageError("a validator is named twice: give each once")
    contract = target.open(access)
    sender = access.sender(contract.w3)
    for key in public_keys:
        if not contract.validator_registered(sender.address, key):
            raise SsvPoolError(
                f"validator 0x{key.hex()}: not registered by {sender.address}, check the key and sign with its owner"
            )
    return contract, sender


def _short(item: Any) -> str:
    return f"0x{item.public_key.hex()[:16]}…"

"""``ssv-pool registry``: the registry contract's commands, and what its owner sets."""

import click

from ssv_pool.cli.chain_options import ChainAccess, chain_options, sending_options
from ssv_pool.cli.registry_clusters import cluster_group
from ssv_pool.cli.registry_operators import operators_group
from ssv_pool.cli.registry_options import Address, RegistryTarget, registry_options
from ssv_pool.cli.registry_sync import sync
from ssv_pool.cli.registry_validators import validators_group
from ssv_pool.errors import SsvPoolError
from ssv_pool.registry.parameters import PARAMETERS, VALIDATORS_PER_OPERATOR


@click.group("registry")
def registry() -> None:
    """The registry contract: operators, validators, clusters and their balance.

    Every command that sends is simulated first; what the contract would refuse is said in words and nothing is sent.
    """


registry.add_command(operators_group)
registry.add_command(validators_group)
registry.add_command(cluster_group)
registry.add_command(sync)


@registry.command()
@click.option(
    "--validators-per-operator",
    type=click.IntRange(1, 2**32 - 1),
    default=VALIDATORS_PER_OPERATOR,
    show_default=True,
    help="How many validators one operator may serve.",
)
@sending_options
def deploy(validators_per_operator: int, access: ChainAccess) -> None:
    """Compile the registry contract and deploy it; the account becomes its owner.

    The network takes no fee and asks no collateral until the owner says so by `registry parameters set`.
    """
    from ssv_pool.registry.calls import deployment

    w3 = access.connect()
    sender = access.sender(w3)
    call = deployment(w3, validators_per_operator)
    sent = sender.send(call.action, call.function, dry_run=access.dry_run)
    mined = sent.mined
    access.show(
        {
            "registry": None if mined is None else mined["contractAddress"],
            "first_block": None if mined is None else mined["blockNumber"],
            "owner": sender.address,
        },
        sent,
    )


@registry.command("fee-recipient")
@click.argument("recipient", type=Address())
@registry_options
@sending_options
def fee_recipient(recipient: str, target: RegistryTarget, access: ChainAccess) -> None:
    """Let RECIPIENT receive the execution rewards of all validators of the account."""
    contract = target.open(access)
    sender = access.sender(contract.w3)
    sent = contract.send(sender, contract.calls.set_fee_recipient(recipient), dry_run=access.dry_run)
    access.show({"owner": sender.address, "fee_recipient": recipient}, sent)


@registry.group()
def parameters() -> None:
    """What the contract's owner sets for all."""


@parameters.command("show")
@registry_options
@chain_options
def parameters_show(target: RegistryTarget, access: ChainAccess) -> None:
    """Show the parameters, what the network has earned, and who owns the contract."""
    contract = target.open(access)
    found = contract.views.parameters()
    owner, pending = contract.views.owners()
    access.show(
        {
            "network_fee": access.amount(found.network_fee),
            "operator_fee_increase_limit": found.operator_fee_increase_limit,
            "declare_period": found.declare_period,
            "execute_period": found.execute_period,
            "maximum_operator_fee": access.amount(found.maximum_operator_fee),
            "liquidation_threshold": found.liquidation_threshold,
            "minimum_collateral": access.amount(found.minimum_collateral),
            "network_earnings": access.amount(contract.views.network_earnings()),
            "owner": owner,
            "offered_to": pending if int(pending, 16) else None,
        }
    )


@parameters.command("set")
@click.argument("name", type=click.Choice(list(PARAMETERS)))
@click.argument("value", type=click.IntRange(0, 2**256 - 1))
@registry_options
@sending_options
def parameters_set(name: str, value: int, target: RegistryTarget, access: ChainAccess) -> None:
    """Set the parameter NAME to VALUE; only the contract's owner may.

    \b
    network-fee                  wei per block and validator
    operator-fee-increase-limit  hundredths of a percent, for one declaration
    declare-period               seconds that a declared fee waits
    execute-period               seconds for which it can then be executed
    maximum-operator-fee         wei per block and validator
    liquidation-threshold        blocks that a cluster must be able to pay for
    minimum-collateral           wei that a cluster must hold at least
    """  # noqa: D301 - click wants the backspace character itself
    contract = target.open(access)
    sender = access.sender(contract.w3)
    owner = contract.owner()
    if owner != sender.address:
        raise SsvPoolError(
            f"set {name}: the registry belongs to {owner}, and this account is {sender.address}: sign with the owner's"
        )
    sent = contract.send(sender, contract.calls.set_parameter(name, value), dry_run=access.dry_run)
    access.show({name.replace("-", "_"): str(value) if access.as_json else f"{value} ({PARAMETERS[name][1]})"}, sent)


@registry.group()
def owner() -> None:
    """Hand the contract to another owner, in two steps."""


@owner.command("offer")
@click.argument("new_owner", type=Address())
@registry_options
@sending_options
def owner_offer(new_owner: str, target: RegistryTarget, access: ChainAccess) -> None:
    """Offer the contract to NEW_OWNER, who has to accept it; the zero address withdraws an offer."""
    contract = target.open(access)
    sent = contract.send(
        access.sender(contract.w3), contract.calls.transfer_ownership(new_owner), dry_run=access.dry_run
    )
    access.show({"offered_to": new_owner}, sent)


@owner.command("accept")
@registry_options
@sending_options
def owner_accept(target: RegistryTarget, access: ChainAccess) -> None:
    """Accept the contract that was offered to the account."""
    contract = target.open(access)
    sender = access.sender(contract.w3)
    sent = contract.send(sender, contract.calls.accept_ownership(), dry_run=access.dry_run)
    access.show({"owner": sender.address}, sent)


@owner.command("withdraw")
@click.argument("amount", type=click.IntRange(1), metavar="WEI")
@registry_options
@sending_options
def owner_withdraw(amount: int, target: RegistryTarget, access: ChainAccess) -> None:
    """Pay the contract's owner WEI, a multiple of 100,000, of what the network has earned."""
    contract = target.open(access)
    sent = contract.send(
        access.sender(contract.w3), contract.calls.withdraw_network_earnings(amount), dry_run=access.dry_run
    )
    access.show({"paid": access.amount(amount)}, sent)

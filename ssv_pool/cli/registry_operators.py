"""``ssv-pool registry operators``: register, fees, earnings, who may use them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ssv_pool.cli.chain_options import FILE, ChainAccess, Ether, amount_in, chain_options, sending_options
from ssv_pool.cli.registry_options import Address, OperatorIds, RegistryTarget, registry_options
from ssv_pool.errors import ConfigError, SsvPoolError
from ssv_pool.protocol.types.primitives import OperatorId

if TYPE_CHECKING:
    from ssv_pool.registry.calls import Call
    from ssv_pool.registry.contract import RegistryContract
    from ssv_pool.registry.transactions import TransactionSender

_BLOCKS_A_YEAR = 365 * 86_400 // 12
_STEP = 100_000
"""Wei: fees and withdrawals of operators are multiples of it."""

_ID = click.IntRange(1, 2**64 - 1)


class Fee(click.ParamType[int]):
    """A fee in gwei per block and validator, as wei."""

    name = "GWEI"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Wei from the text."""
        if isinstance(value, int):
            return value
        wei = amount_in(str(value), 9, "" if param is None else param.opts[0])
        if wei % _STEP:
            self.fail(f"{value}, expected at most 4 decimals: fees are multiples of 0.0001 gwei", param, ctx)
        return wei


_FEE_HELP = "Gwei per block and validator; 1 gwei is about 0.0026 ETH a year."


@click.group("operators")
def operators_group() -> None:
    """Operators: register, fees, earnings, who may use them."""


@operators_group.command()
@click.option("--operator-key", "key_files", type=FILE, multiple=True, help="An operator's encrypted_private_key.json.")
@click.option(
    "--public-key",
    "public_keys",
    multiple=True,
    metavar="BASE64",
    help="An operator's public key instead, as `operator keys show` prints it.",
)
@click.option("--fee", type=Fee(), default=0, help=f"{_FEE_HELP} Default: none.")
@click.option("--private", is_flag=True, help="Only owners on an operator's list may use it.")
@registry_options
@sending_options
def register(
    key_files: tuple[Path, ...],
    public_keys: tuple[str, ...],
    fee: int,
    private: bool,
    target: RegistryTarget,
    access: ChainAccess,
) -> None:
    """Register an operator, owned by the account, or several; prints their ids.

    A public key can be registered once, for ever. The fee cannot be raised from zero later.
    """
    texts = _public_keys(key_files, public_keys)
    contract = target.open(access)
    sender = access.sender(contract.w3)
    calls = [contract.calls.register_operator(text, fee=fee, private=private) for text in texts]
    if access.dry_run:
        sent = [contract.send(sender, call, dry_run=True) for call in calls]
    else:
        # All are sent before the first is awaited.
        pending = [sender.submit(call.action, call.function) for call in calls]
        sent = [sender.wait(item) for item in pending]
    ids = [contract.history.operator_id_of(item.plan.action, item.receipt) for item in sent if item.mined is not None]
    values = {"operators": ids, "owner": sender.address, "fee": _fee(fee, access), "private": private}
    access.show(values, sent)


@operators_group.command()
@click.argument("operator_id", type=_ID)
@registry_options
@sending_options
def remove(operator_id: int, target: RegistryTarget, access: ChainAccess) -> None:
    """Remove operator OPERATOR_ID and pay what it has earned. It cannot be registered again with the same key."""
    contract, sender = _own(operator_id, target, access)
    _send(contract, sender, access, contract.calls.remove_operator(OperatorId(operator_id)), {"operator": operator_id})


@operators_group.command()
@click.argument("operator_ids", type=OperatorIds())
@click.option(
    "--operators-file",
    type=FILE,
    help="Also write ids and public keys to this new file, as `keys split --operators-file` reads them.",
)
@registry_options
@chain_options
def show(
    operator_ids: tuple[OperatorId, ...], operators_file: Path | None, target: RegistryTarget, access: ChainAccess
) -> None:
    """Show what the registry knows of the operators OPERATOR_IDS, such as 1,2,3,4."""
    from ssv_pool.crypto.files import refuse_existing, write_private

    if operators_file is not None:
        refuse_existing(operators_file)
    contract = target.open(access)
    records = {number: contract.views.operator(number) for number in operator_ids}
    keys = contract.history.operator_keys(operator_ids)
    shown = []
    for number, record in records.items():
        declared = contract.views.declared_fee(number)
        shown.append(
            {
                "id": number,
                "active": record.active,
                "owner": record.owner,
                "fee": _fee(record.fee, access),
                "declared_fee": None if declared is None else _declared(declared, access),
                "validators": record.validator_count,
                "private": record.private,
                "earnings": access.amount(contract.views.earnings(number)),
                "operatorKey": keys[number].decode("ascii", "backslashreplace") if number in keys else None,
            }
        )
    if operators_file is not None:
        if missing := [number for number in operator_ids if not records[number].active or number not in keys]:
            raise ConfigError(f"operators {', '.join(map(str, missing))}: not registered, expected active operators")
        listed = [{"id": entry["id"], "operatorKey": entry["operatorKey"]} for entry in shown]
        write_private(operators_file, json.dumps(listed, indent=2).encode() + b"\n")
    if access.as_json:
        click.echo(json.dumps({"operators": shown}))
        return
    for entry in shown:
        access.show({"operator" if name == "id" else name: value for name, value in entry.items()})
        if entry is not shown[-1]:
            click.echo()


@operators_group.command()
@click.argument("operator_id", type=_ID)
@click.option("--amount", type=Ether(), help="ETH to withdraw. Default: all that was earned.")
@registry_options
@sending_options
def withdraw(operator_id: int, amount: int | None, target: RegistryTarget, access: ChainAccess) -> None:
    """Pay the account what operator OPERATOR_ID has earned.

    Clusters pay when something is done with them. To get what one owes, settle it first: `registry cluster deposit`
    with no amount.
    """
    from ssv_pool.registry.transactions import ether

    contract, sender = _own(operator_id, target, access)
    earned = contract.views.earnings(OperatorId(operator_id))
    if amount is not None and amount % _STEP:
        raise ConfigError(f"--amount: {ether(amount)} ETH, expected at most 13 decimals")
    if earned == 0 or (amount or 0) > earned:
        raise SsvPoolError(
            f"withdraw earnings of operator {operator_id}: it has earned {ether(earned)} ETH, "
            f"expected {'more than nothing' if amount is None else f'at least {ether(amount)}'}: settle its clusters "
            "first, or ask for less"
        )
    call = contract.calls.withdraw_earnings(OperatorId(operator_id), amount)
    paid = earned if amount is None else amount
    _send(contract, sender, access, call, {"operator": operator_id, "paid": access.amount(paid)})


@operators_group.group()
def fee() -> None:
    """Change an operator's fee: lower it at once, or declare a higher one and put it into force when it has waited."""


@fee.command("declare")
@click.argument("operator_id", type=_ID)
@click.argument("new_fee", type=Fee(), metavar="GWEI")
@registry_options
@sending_options
def declare(operator_id: int, new_fee: int, target: RegistryTarget, access: ChainAccess) -> None:
    """Announce a fee of GWEI per block and validator; `fee execute` puts it into force in its window."""
    contract, sender = _own(operator_id, target, access)
    call = contract.calls.declare_fee(OperatorId(operator_id), new_fee)
    sent = contract.send(sender, call, dry_run=access.dry_run)
    declared = None if access.dry_run else contract.views.declared_fee(OperatorId(operator_id))
    shown = None if declared is None else _declared(declared, access)
    access.show({"operator": operator_id, "declared_fee": shown}, sent)


@fee.command("execute")
@click.argument("operator_id", type=_ID)
@registry_options
@sending_options
def execute(operator_id: int, target: RegistryTarget, access: ChainAccess) -> None:
    """Put the declared fee of operator OPERATOR_ID into force."""
    contract, sender = _own(operator_id, target, access)
    _send(contract, sender, access, contract.calls.execute_fee(OperatorId(operator_id)), {"operator": operator_id})


@fee.command("cancel")
@click.argument("operator_id", type=_ID)
@registry_options
@sending_options
def cancel(operator_id: int, target: RegistryTarget, access: ChainAccess) -> None:
    """Take the declared fee of operator OPERATOR_ID back."""
    contract, sender = _own(operator_id, target, access)
    _send(contract, sender, access, contract.calls.cancel_fee(OperatorId(operator_id)), {"operator": operator_id})


@fee.command("reduce")
@click.argument("operator_id", type=_ID)
@click.argument("new_fee", type=Fee(), metavar="GWEI")
@registry_options
@sending_options
def reduce(operator_id: int, new_fee: int, target: RegistryTarget, access: ChainAccess) -> None:
    """Lower the fee of operator OPERATOR_ID to GWEI per block and validator, at once."""
    contract, sender = _own(operator_id, target, access)
    call = contract.calls.reduce_fee(OperatorId(operator_id), new_fee)
    _send(contract, sender, access, call, {"operator": operator_id, "fee": _fee(new_fee, access)})


@operators_group.group()
def whitelist() -> None:
    """Who may use private operators."""


@whitelist.command("add")
@click.argument("operator_ids", type=OperatorIds())
@click.argument("owners", nargs=-1, required=True, type=Address(), metavar="ADDRESS...")
@registry_options
@sending_options
def whitelist_add(
    operator_ids: tuple[OperatorId, ...], owners: tuple[str, ...], target: RegistryTarget, access: ChainAccess
) -> None:
    """Let the owners ADDRESS... use the operators OPERATOR_IDS while they are private."""
    _whitelist(operator_ids, owners, target, access, listed=True)


@whitelist.command("remove")
@click.argument("operator_ids", type=OperatorIds())
@click.argument("owners", nargs=-1, required=True, type=Address(), metavar="ADDRESS...")
@registry_options
@sending_options
def whitelist_remove(
    operator_ids: tuple[OperatorId, ...], owners: tuple[str, ...], target: RegistryTarget, access: ChainAccess
) -> None:
    """Take the owners ADDRESS... off the lists of the operators OPERATOR_IDS; their clusters there stay."""
    _whitelist(operator_ids, owners, target, access, listed=False)


@whitelist.command("show")
@click.argument("operator_ids", type=OperatorIds())
@click.argument("owners", nargs=-1, required=True, type=Address(), metavar="ADDRESS...")
@registry_options
@chain_options
def whitelist_show(
    operator_ids: tuple[OperatorId, ...], owners: tuple[str, ...], target: RegistryTarget, access: ChainAccess
) -> None:
    """Whether the owners ADDRESS... are on the lists of the operators OPERATOR_IDS."""
    contract = target.open(access)
    access.show(
        {
            f"operator_{number}_{owner}": contract.views.whitelisted(number, owner)
            for number in operator_ids
            for owner in owners
        }
    )


@operators_group.command("private")
@click.argument("operator_ids", type=OperatorIds())
@registry_options
@sending_options
def make_private(operator_ids: tuple[OperatorId, ...], target: RegistryTarget, access: ChainAccess) -> None:
    """Close the operators OPERATOR_IDS to owners that are not on their lists; clusters there are stay."""
    _privacy(operator_ids, target, access, private=True)


@operators_group.command("public")
@click.argument("operator_ids", type=OperatorIds())
@registry_options
@sending_options
def make_public(operator_ids: tuple[OperatorId, ...], target: RegistryTarget, access: ChainAccess) -> None:
    """Open the operators OPERATOR_IDS to everybody."""
    _privacy(operator_ids, target, access, private=False)


def _whitelist(
    operator_ids: tuple[OperatorId, ...],
    owners: tuple[str, ...],
    target: RegistryTarget,
    access: ChainAccess,
    *,
    listed: bool,
) -> None:
    contract, sender = _own(operator_ids[0], target, access)
    call = contract.calls.set_whitelist(operator_ids, owners, listed=listed)
    _send(contract, sender, access, call, {"operators": operator_ids, "owners": owners, "listed": listed})


def _privacy(
    operator_ids: tuple[OperatorId, ...], target: RegistryTarget, access: ChainAccess, *, private: bool
) -> None:
    contract, sender = _own(operator_ids[0], target, access)
    call = contract.calls.set_private(operator_ids, private=private)
    _send(contract, sender, access, call, {"operators": operator_ids, "private": private})


def _own(operator_id: int, target: RegistryTarget, access: ChainAccess) -> "tuple[RegistryContract, TransactionSender]":
    """The contract and a sender, whose account owns the operator. Raises SsvPoolError when another does."""
    contract = target.open(access)
    sender = access.sender(contract.w3)
    owner = contract.views.operator(OperatorId(operator_id)).owner
    if int(owner, 16) == 0:
        raise SsvPoolError(f"operator {operator_id}: not in this registry, check the id and the registry address")
    if owner != sender.address:
        raise SsvPoolError(
            f"operator {operator_id} belongs to {owner}, and this account is {sender.address}: sign with the owner's"
        )
    return contract, sender


def _send(
    contract: "RegistryContract",
    sender: "TransactionSender",
    access: ChainAccess,
    call: "Call",
    values: dict[str, Any],
) -> None:
    sent = contract.send(sender, call, dry_run=access.dry_run)
    access.show(values, sent)


def _public_keys(key_files: tuple[Path, ...], texts: tuple[str, ...]) -> list[str]:
    """The base64 texts to register, judged to be operators' keys."""
    from ssv_pool.crypto import key_file, operator_keys

    found = [key_file.read_public_key(path) for path in key_files]
    for text in texts:
        try:
            found.append(operator_keys.public_key_from_base64(text))
        except operator_keys.OperatorKeyError as error:
            raise click.BadParameter(str(error), param_hint="--public-key") from None
    if not found:
        raise click.UsageError("give the operator's key by --operator-key FILE or by --public-key BASE64")
    if len(set(found)) != len(found):
        raise click.UsageError("an operator's key is given twice: give each once")
    return [operator_keys.public_key_to_base64(key) for key in found]


def _fee(wei: int, access: ChainAccess) -> Any:
    if access.as_json:
        return str(wei)
    from ssv_pool.registry.transactions import ether

    return f"{wei / 10**9:g} gwei per block and validator, {ether(wei * _BLOCKS_A_YEAR)} ETH a year"


def _declared(declared: Any, access: ChainAccess) -> Any:
    if access.as_json:
        return {"fee": str(declared.fee), "begin": declared.begin, "end": declared.end}
    from datetime import UTC, datetime

    begin, end = (
        datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M") for time in (declared.begin, declared.end)
    )
    return f"{_fee(declared.fee, access)}, can be executed from {begin} to {end} UTC"

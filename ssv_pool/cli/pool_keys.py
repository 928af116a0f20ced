"""``ssv-pool pool keys``: a pool's inventory of validators that are ready to be registered and deposited."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ssv_pool.cli.chain_options import FILE, ChainAccess, chain_options
from ssv_pool.cli.passwords import password
from ssv_pool.cli.pool_options import FOLDER, PoolTarget, fork_option, network_of, pool_options, short_ids
from ssv_pool.cli.registry_options import cluster_option
from ssv_pool.errors import SsvPoolError
from ssv_pool.protocol.types.primitives import OperatorId

if TYPE_CHECKING:
    from ssv_pool.pool.contract import PoolContract
    from ssv_pool.pool.keyshares import ShareOperator


@click.group()
def keys() -> None:
    """Validators to come: key shares for the pool and deposit data with its withdrawal credentials."""


@keys.command()
@cluster_option
@click.option("--inventory", required=True, type=FOLDER, help="Folder to put them into, made if it is not there.")
@click.option("--count", type=click.IntRange(1, 100), default=1, show_default=True, help="How many validators.")
@click.option("--keep-keystore", is_flag=True, help="Keep each whole key too, encrypted (EIP-2335).")
@click.option("--keystore-password-file", type=FILE, help="File with the password of these keystores.")
@fork_option
@pool_options
@chain_options
def make(
    operator_ids: tuple[OperatorId, ...],
    inventory: Path,
    count: int,
    keep_keystore: bool,
    keystore_password_file: Path | None,
    fork_version: str | None,
    target: PoolTarget,
    access: ChainAccess,
) -> None:
    """Make validator keys for the pool's next registrations, split for the operators as the registry knows them.

    The whole key is forgotten unless --keep-keystore is given: whoever has it can sign for the validator alone and
    can deposit for it first, with other withdrawal credentials. Nonces go on where the pool and the inventory are.
    """
    from ssv_pool.pool.inventory import Inventory, make_key

    if keystore_password_file is not None and not keep_keystore:
        raise click.UsageError("--keystore-password-file goes with --keep-keystore")
    contract = target.open(access)
    network = network_of(contract, fork_version)
    operators = registered_operators(contract, operator_ids)
    secret = (
        password(keystore_password_file, "Password for the keystores", "--keystore-password-file", new=True)
        if keep_keystore
        else None
    )
    first = Inventory(inventory, contract.address, network.fork_version).free_nonce(contract.owner_nonce())
    now = datetime.now(UTC)
    made = [
        make_key(inventory, contract.address, first + place, operators, network, now, keystore_password=secret)
        for place in range(count)
    ]
    if access.as_json:
        shown = [
            {"validator": f"0x{key.public_key.hex()}", "nonce": key.shares.owner_nonce, "folder": str(key.folder)}
            for key in made
        ]
        click.echo(json.dumps({"pool": contract.address, "operators": list(operator_ids), "keys": shown}))
        return
    for key in made:
        click.echo(f"nonce {key.shares.owner_nonce}  0x{key.public_key.hex()}  {key.folder}")


@keys.command("list")
@click.option("--inventory", required=True, type=FOLDER, help="The folder.")
@fork_option
@pool_options
@chain_options
def list_keys(inventory: Path, fork_version: str | None, target: PoolTarget, access: ChainAccess) -> int:
    """Judge an inventory: which validators are ready, which were used, what is wrong with files.

    Exit status 1 when something is wrong.
    """
    from ssv_pool.pool.inventory import Inventory

    contract = target.open(access)
    folder = Inventory(inventory, contract.address, network_of(contract, fork_version).fork_version)
    nonce = contract.owner_nonce()
    rows = []
    ready = folder.keys()
    for key in ready:
        used = contract.validator_state(key.public_key) != 0
        late = not used and key.shares.owner_nonce < nonce
        state = "used" if used else "its nonce has passed" if late else "ready"
        rows.append((key, state))
    if access.as_json:
        shown = [
            {
                "validator": f"0x{key.public_key.hex()}",
                "nonce": key.shares.owner_nonce,
                "operators": list(key.shares.operator_ids),
                "state": state,
                "folder": str(key.folder),
            }
            for key, state in rows
        ]
        click.echo(json.dumps({"pool_nonce": nonce, "keys": shown, "problems": list(folder.problems)}))
    else:
        click.echo(f"the pool's next registration has nonce {nonce}")
        for key, state in rows:
            click.echo(
                f"nonce {key.shares.owner_nonce}  0x{key.public_key.hex()}  operators "
                f"{short_ids(key.shares.operator_ids)}  {state}"
            )
        for line in folder.problems:
            click.echo(f"problem: {line}")
    return 1 if folder.problems else 0


def registered_operators(contract: "PoolContract", operator_ids: tuple[OperatorId, ...]) -> "tuple[ShareOperator, ...]":
    """Operators with the keys they registered. Raises SsvPoolError: one is not there, or has no good key."""
    from ssv_pool.pool.keyshares import operator_from_text

    registry = contract.registry(whole=True)
    known = registry.history.operator_keys(operator_ids)
    for operator_id in operator_ids:
        if operator_id not in known or not registry.operator(operator_id).active:
            raise SsvPoolError(f"operator {operator_id}: not in the pool's registry or removed, choose another")
    return tuple(
        operator_from_text(operator_id, known[operator_id].decode("ascii", "replace"), f"operator {operator_id}")
        for operator_id in operator_ids
    )

"""``ssv-pool account``: the Ethereum accounts that sign transactions."""

import json
from pathlib import Path

import click

from ssv_pool.cli.chain_options import FILE, ChainAccess, chain_options
from ssv_pool.cli.passwords import password
from ssv_pool.cli.registry_options import Address


@click.group()
def account() -> None:
    """Ethereum accounts that sign and pay for transactions."""


@account.command()
@click.option("--out", required=True, type=FILE, help="Keystore to write; an existing file is never overwritten.")
@click.option("--password-file", type=FILE, help="File with the password that is to encrypt it; asked for without it.")
@click.option("--light", is_flag=True, help="Opened with little work: quick, and only for accounts on test chains.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def new(out: Path, password_file: Path | None, light: bool, as_json: bool) -> None:
    """Make a new account and write its key encrypted (JSON keystore, version 3, mode 0600); prints its address."""
    from ssv_pool.crypto.files import refuse_existing
    from ssv_pool.registry.accounts import LIGHT_SCRYPT_COST, SCRYPT_COST, new_account, write_keystore

    refuse_existing(out)
    secret = password(password_file, "Password for the new keystore", "--password-file", new=True)
    made = new_account()
    write_keystore(out, made, secret, cost=LIGHT_SCRYPT_COST if light else SCRYPT_COST)
    click.echo(json.dumps({"address": made.address, "keystore": str(out)}) if as_json else made.address)


@account.command()
@click.argument("file", type=FILE)
@click.option("--password-file", type=FILE, help="File with the keystore's password; asked for without it.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def address(file: Path, password_file: Path | None, as_json: bool) -> None:
    """Show the address of the account in FILE, a keystore or a bare key. The key is never shown."""
    from ssv_pool.registry.accounts import load_account

    found = load_account(file, password_file, ask=lambda: password(None, f"Password of {file}", "--password-file"))
    click.echo(json.dumps({"address": found.address, "file": str(file)}) if as_json else found.address)


@account.command()
@click.argument("holder", type=Address(), metavar="ADDRESS")
@chain_options
def balance(holder: str, access: ChainAccess) -> None:
    """Show how much ETH ADDRESS holds."""
    from ssv_pool.registry.chain import checksummed, translated

    w3 = access.connect()
    with translated(w3, f"read the balance of {holder}"):
        wei = w3.eth.get_balance(checksummed(holder, "address"))
    access.show({"address": holder, "balance": access.amount(wei)})

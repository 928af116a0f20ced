"""``ssv-pool operator keys``: make and show the operator's key."""

import json
from pathlib import Path

import click

from ssv_pool.cli.passwords import password

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group()
def operator_keys_group() -> None:
    """The operator's RSA key: it signs consensus messages and opens the key shares sent to this operator."""


@operator_keys_group.command()
@click.option("--out", required=True, type=_FILE, help="Key file to write; an existing file is never overwritten.")
@click.option(
    "--password-file",
    type=_FILE,
    help="File with the password that is to encrypt the key. Without it the password is asked for.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object instead of text.")
def generate(out: Path, password_file: Path | None, as_json: bool) -> None:
    """Make a new operator key (RSA-2048) and write it encrypted.

    The file is readable by its owner only. Keep it and its password safe, and apart: without them the operator's
    validators cannot be run; with them anybody can run them.

    The public key printed is what the operator is registered with in the contract.
    """
    from ssv_pool.crypto import key_file, operator_keys
    from ssv_pool.crypto.files import refuse_existing

    refuse_existing(out)
    secret = password(password_file, "Password for the new key file", "--password-file", new=True)
    public_key = key_file.write_key_file(out, operator_keys.generate(), secret)
    _print(out, public_key, as_json=as_json)


@operator_keys_group.command()
@click.argument("file", type=_FILE)
@click.option(
    "--password-file",
    type=_FILE,
    help="Decrypt the file with the password in this one, to be sure that both are good.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object instead of text.")
def show(file: Path, password_file: Path | None, as_json: bool) -> None:
    """Show the public key of an operator's key FILE.

    Without a password the public key is what the file states; with one the file is decrypted and the two compared.
    The private key is never shown.
    """
    from ssv_pool.crypto import key_file, operator_keys
    from ssv_pool.crypto.files import read_password

    if password_file is None:
        public_key = operator_keys.public_key_to_base64(key_file.read_public_key(file))
    else:
        public_key = key_file.read_key_file(file, read_password(password_file)).public_key_base64
    _print(file, public_key, as_json=as_json, checked=password_file is not None)


def _print(file: Path, public_key: str, *, as_json: bool, checked: bool = True) -> None:
    if as_json:
        click.echo(json.dumps({"file": str(file), "publicKey": public_key, "decrypted": checked}))
        return
    click.echo(f"key file    {file}")
    click.echo(f"public key  {public_key}")
    if not checked:
        click.echo("The public key is what the file states; give --password-file to check it.", err=True)

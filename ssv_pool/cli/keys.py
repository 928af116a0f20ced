"""``ssv-pool keys``: split a validator's key among operators."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from ssv_pool.cli.passwords import password

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group()
def keys_group() -> None:
    """Validator keys: split them into encrypted shares, one for each operator."""


@keys_group.command()
@click.option("--keystore", type=_FILE, help="EIP-2335 keystore with the validator's key.")
@click.option("--new", is_flag=True, help="Make a new validator key instead of reading one.")
@click.option("--out-keystore", type=_FILE, help="With --new: EIP-2335 keystore to write the new key to.")
@click.option(
    "--keystore-password-file",
    type=_FILE,
    help="File with the keystore's password. Without it the password is asked for.",
)
@click.option(
    "--operator",
    "operators",
    multiple=True,
    metavar="ID:KEY",
    help="An operator: its id, and its public key in base64 as registered. Repeat for 4, 7, 10 or 13 operators.",
)
@click.option(
    "--operators-file",
    type=_FILE,
    help='JSON file with the operators instead: [{"id": 1, "operatorKey": "LS0t…"}, …].',
)
@click.option("--owner", required=True, metavar="ADDRESS", help="Address that will register the validator.")
@click.option(
    "--owner-nonce",
    required=True,
    type=click.IntRange(0),
    help="How many validators that address has registered before, failed ones included.",
)
@click.option("--out", required=True, type=_FILE, help="Key shares file to write; never overwritten.")
@click.option(
    "--version",
    type=click.Choice(["1.1.0", "1.2.0"]),
    default="1.2.0",
    show_default=True,
    help="Version of the key shares file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object instead of text.")
def split(
    keystore: Path | None,
    new: bool,
    out_keystore: Path | None,
    keystore_password_file: Path | None,
    operators: Sequence[str],
    operators_file: Path | None,
    owner: str,
    owner_nonce: int,
    out: Path,
    version: str,
    as_json: bool,
) -> None:
    """Split a validator's key among operators, so that none of them holds it and a quorum can sign with it.

    Of 4, 7, 10 or 13 operators any 3, 5, 7 or 9 can sign. Each share is encrypted for its operator; the key shares
    file holds nothing secret and goes into the registration of the validator, by the owner and with the nonce given
    here: a registration with another owner or nonce is refused by the operators.

    Use a key in one place only: a validator that also runs elsewhere with the whole key will be slashed.

    For example:

    \b
      ssv-pool keys split --keystore keystore-m_12381_3600_0_0_0.json --keystore-password-file password.txt \\
          --operators-file operators.json --owner 0x… --owner-nonce 0 --out keyshares.json
      ssv-pool keys split --new --out-keystore keystore.json --operator 1:LS0t… --operator 2:LS0t… \\
          --operator 3:LS0t… --operator 4:LS0t… --owner 0x… --owner-nonce 1 --out keyshares.json
    """  # noqa: D301 - click wants the backspace character itself
    from ssv_pool.crypto import bls
    from ssv_pool.crypto.files import refuse_existing, write_private
    from ssv_pool.crypto.keystore import ValidatorKeystore, validator_keystore_json
    from ssv_pool.pool.keyshares import read_key_shares, split_key, write_key_shares

    if new == (keystore is not None):
        raise click.UsageError("give either --keystore FILE or --new")
    if new != (out_keystore is not None):
        raise click.UsageError("--new and --out-keystore FILE go together")
    committee = _operators(operators, operators_file)
    refuse_existing(out)
    if keystore is not None:
        secret = password(keystore_password_file, f"Password of {keystore}", "--keystore-password-file")
        key = ValidatorKeystore.read(keystore, secret).secret
        shares = split_key(key, committee, owner, owner_nonce)
    else:
        assert out_keystore is not None  # noqa: S101 - checked above, which the type checker does not see
        refuse_existing(out_keystore)
        secret = password(keystore_password_file, "Password for the new keystore", "--keystore-password-file", new=True)
        key = bls.random_secret()
        # First everything that can be refused, then the key, then the shares: no file of shares without a key.
        shares = split_key(key, committee, owner, owner_nonce)
        write_private(out_keystore, validator_keystore_json(key, secret))
    write_key_shares(out, [shares], datetime.now(UTC), version=version)
    # What stands on the disk is judged as the operators will judge it.
    read_key_shares(out)
    summary: dict[str, Any] = {
        "publicKey": f"0x{shares.public_key.hex()}",
        "operatorIds": list(shares.operator_ids),
        "owner": shares.owner,
        "ownerNonce": shares.owner_nonce,
        "keyShares": str(out),
        "keystore": str(keystore or out_keystore),
    }
    if as_json:
        click.echo(json.dumps(summary))
        return
    click.echo(f"validator   {summary['publicKey']}")
    click.echo(f"operators   {', '.join(map(str, shares.operator_ids))}")
    click.echo(f"owner       {shares.owner}, nonce {shares.owner_nonce}")
    click.echo(f"key shares  {out}")
    if new:
        click.echo(f"keystore    {out_keystore}")


def _operators(texts: Sequence[str], file: Path | None) -> list[Any]:
    from ssv_pool.pool.keyshares import operator_from_text, read_operators

    if bool(texts) == (file is not None):
        raise click.UsageError("give the operators either by --operator ID:KEY or by --operators-file FILE")
    if file is not None:
        return list(read_operators(file))
    found = []
    for text in texts:
        number, colon, key = text.partition(":")
        if not colon or not number.isascii() or not number.isdecimal():
            raise click.BadParameter(f"{text[:40]!r}, expected ID:KEY", param_hint="--operator")
        found.append(operator_from_text(int(number), key, f"--operator {number}"))
    return found

"""``ssv-pool slashing-protection``: carry the signing history between clients, as EIP-3076 interchange files."""

import json
import re
from pathlib import Path

import click

from ssv_pool.cli.options import config_option, read_settings
from ssv_pool.errors import ConfigError
from ssv_pool.protocol.types.primitives import Root

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group("slashing-protection")
def slashing_protection() -> None:
    """Import and export the signing history (EIP-3076). The node must not run meanwhile: it holds the file."""


@slashing_protection.command("import")
@click.argument("file", type=_FILE)
@config_option
@click.option(
    "--genesis-validators-root",
    metavar="0x…",
    help="Root of the chain the history belongs to, 32 bytes. Without it the file must be tied to a chain already.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object instead of text.")
def import_(file: Path, config_path: Path | None, genesis_validators_root: str | None, *, as_json: bool) -> None:
    """Merge an interchange FILE into this operator's signing history.

    Nothing is ever lowered: after the import nothing is signed that either history forbids. A malformed file or one of
    another chain changes nothing.
    """
    from ssv_pool.signer.interchange import import_file
    from ssv_pool.signer.slashing import SlashingProtection

    path = _history_path(config_path)
    with SlashingProtection(path) as protection:
        root = _root(genesis_validators_root) or protection.genesis_validators_root()
        if root is None:
            raise ConfigError(f"{path}: not tied to a chain yet, expected --genesis-validators-root")
        keys = import_file(protection, file, root)
    _print("imported", keys, file, as_json=as_json)


@slashing_protection.command("export")
@click.argument("file", type=_FILE)
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object instead of text.")
def export(file: Path, config_path: Path | None, *, as_json: bool) -> None:
    """Write this operator's whole signing history to a new interchange FILE, readable by its owner only."""
    from ssv_pool.signer.interchange import export_file
    from ssv_pool.signer.slashing import SlashingProtection

    with SlashingProtection(_history_path(config_path)) as protection:
        keys = export_file(protection, file)
    _print("exported", keys, file, as_json=as_json)


def _history_path(config_path: Path | None) -> Path:
    settings = read_settings(config_path)
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    return settings.slashing_path


def _root(text: str | None) -> Root | None:
    if text is None:
        return None
    if not re.fullmatch(r"0x[0-9a-fA-F]{64}", text):
        raise ConfigError(f"--genesis-validators-root: found {text!r}, expected 0x and 64 hex digits")
    return Root(bytes.fromhex(text[2:]))


def _print(verb: str, keys: int, file: Path, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"action": verb, "file": str(file), "share_keys": keys}))
    else:
        click.echo(f"{verb} the history of {keys} share keys: {file}")

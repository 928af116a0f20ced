"""Where commands get passwords from: a file, or a hidden prompt; never an argument, which every process could see."""

import sys
from pathlib import Path

import click

from ssv_pool.crypto.files import read_password


def password(file: Path | None, what: str, option: str, *, new: bool = False) -> str:
    """A password.

    Args:
        file: the file that holds it; without one it is asked for, if there is a terminal.
        what: what the prompt asks for.
        option: the option that names the file, for the error text.
        new: whether to ask twice, for a password that is being set.

    Raises:
        KeyFileError: the file cannot be read or is empty.
        click.UsageError: neither a file nor a terminal.
    """
    if file is not None:
        return read_password(file)
    if not sys.stdin.isatty():
        raise click.UsageError(f"no password: give {option} FILE, or run it in a terminal")
    answer: str = click.prompt(what, hide_input=True, confirmation_prompt=new, err=True)
    return answer

"""Options of the commands that read or send to a chain, and what they all do first and last.

`chain_options` for commands that only read, `sending_options` for those that send. Both put one object in the place of
their options: `ChainAccess`.
"""

import functools
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from ssv_pool.cli.passwords import password
from ssv_pool.errors import ConfigError
from ssv_pool.networks import NETWORKS

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount
    from web3 import Web3

    from ssv_pool.registry.transactions import Progress, Sent, TransactionSender

Command = TypeVar("Command", bound=Callable[..., Any])

FILE = click.Path(path_type=Path, dir_okay=False)
"""A file's path."""

_LARGEST_ETHER = 10**12


@dataclass(frozen=True, slots=True)
class ChainAccess:
    """What a command was told of the chain and of who sends."""

    node: str
    """Address of the execution node; may hold an access key, so never shown."""
    chain_id: int | None
    """The chain that is meant; None takes the node's."""
    as_json: bool
    account_file: Path | None = None
    password_file: Path | None = None
    dry_run: bool = False
    yes: bool = False
    """Whether amounts that leave the account were agreed to beforehand."""
    highest_fee: int | None = None
    """Most wei per gas."""
    timeout: float = 120.0
    """Seconds that a transaction is waited for."""

    def connect(self) -> "Web3":
        """A connection to the node, of the right chain. Raises ConfigError, UnavailableError."""
        from ssv_pool.registry.chain import check_chain, connect

        w3 = connect(self.node)
        if self.chain_id is not None:
            check_chain(w3, self.chain_id)
        return w3

    def account(self) -> "LocalAccount":
        """The account that sends. Raises KeyFileError."""
        from ssv_pool.registry.accounts import load_account

        if self.account_file is None:
            raise click.UsageError("no account: give --keystore FILE or --key-file FILE")
        file = self.account_file
        return load_account(
            file, self.password_file, ask=lambda: password(None, f"Password of {file}", "--password-file")
        )

    def sender(self, w3: "Web3") -> "TransactionSender":
        """A sender of the account's transactions, which tells on stderr how they stand. Raises KeyFileError."""
        from ssv_pool.registry.transactions import TransactionSender

        return TransactionSender(
            w3, self.account(), timeout=self.timeout, highest_fee=self.highest_fee, on_progress=self._progress()
        )

    def agree(self, wei: int, what: str) -> None:
        """Ask before money leaves, where a person can answer; ``--yes``, a dry run and no amount need no answer.

        Raises:
            click.UsageError: there is nobody to ask.
            click.Abort: the answer was no.
        """
        from ssv_pool.registry.transactions import ether

        if self.yes or self.dry_run or wei == 0:
            return
        if not sys.stdin.isatty():
            raise click.UsageError(f"{what} takes {ether(wei)} ETH from the account: agree with --yes")
        click.confirm(f"{what}: {ether(wei)} ETH leave the account. Go on?", abort=True, err=True)

    def amount(self, wei: int) -> str:
        """An amount as the output shows it: wei in JSON, ETH for people."""
        from ssv_pool.registry.transactions import ether

        return str(wei) if self.as_json else f"{ether(wei)} ETH"

    def show(self, values: Mapping[str, Any], sent: "Sent | list[Sent] | None" = None) -> None:
        """Print the outcome: ``name  value`` lines, or one JSON object with the transactions in it."""
        listed = [] if sent is None else sent if isinstance(sent, list) else [sent]
        if self.as_json:
            content = dict(values)
            if sent is not None:
                content["transactions"] = [item.as_json() for item in listed]
            click.echo(json.dumps(content))
            return
        lines = [(name.replace("_", " "), _text(value)) for name, value in values.items()]
        lines += [line for item in listed for line in _transaction_lines(item)]
        width = max((len(name) for name, _ in lines), default=0)
        for name, text in lines:
            click.echo(f"{name:{width}}  {text}")

    def _progress(self) -> "Callable[[Progress], None] | None":
        """Who is told how transactions stand: nobody, a line for each step, or a moving line on a terminal."""
        if self.as_json:
            return None
        from rich.console import Console
        from rich.markup import escape

        console = Console(stderr=True)
        if not console.is_terminal:
            return lambda progress: click.echo(str(progress), err=True)
        waiting = console.status("")
        # Whatever ends the command, the terminal gets its cursor back.
        click.get_current_context().call_on_close(waiting.stop)

        def tell(progress: "Progress") -> None:
            if progress.stage == "mined":
                waiting.stop()
                console.print(str(progress), highlight=False, markup=False, soft_wrap=True)
            else:
                waiting.update(escape(str(progress)))
                waiting.start()

        return tell


def _transaction_lines(sent: "Sent") -> list[tuple[str, str]]:
    from ssv_pool.registry.transactions import ether

    plan = sent.plan
    if sent.mined is None:
        return [
            ("dry run", f"{plan.action}: would be accepted, nothing was sent"),
            ("costs at most", f"{ether(plan.highest_cost)} ETH, gas {plan.gas}"),
        ]
    cost = sent.mined["gasUsed"] * sent.mined.get("effectiveGasPrice", 0)
    return [
        ("transaction", f"0x{bytes(sent.mined['transactionHash']).hex()} in block {sent.mined['blockNumber']}"),
        ("gas paid", f"{ether(cost)} ETH, gas {sent.mined['gasUsed']}"),
    ]


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


_READING = (
    click.option(
        "--execution-node",
        "node",
        envvar="ETH_1_ADDR",
        default="http://127.0.0.1:8545",
        show_default=True,
        metavar="URL",
        help="JSON-RPC address of an execution node, also from ETH_1_ADDR; of a list the first.",
    ),
    click.option("--chain-id", type=click.IntRange(1), help="The chain that is meant; any other is refused."),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON object; amounts in wei."),
)
_SENDING = (
    click.option("--keystore", type=FILE, help="Encrypted account (JSON keystore, version 3) that signs and pays."),
    click.option("--key-file", type=FILE, help="File of mode 0600 with the account's bare key in hex instead."),
    click.option("--password-file", type=FILE, help="File with the keystore's password; asked for without it."),
    click.option("--dry-run", is_flag=True, help="Only simulate: nothing is sent."),
    click.option("--yes", "-y", is_flag=True, help="Do not ask before money leaves the account."),
    click.option("--max-fee", metavar="GWEI", help="Most gwei per gas that is paid. Default: twice the base fee."),
    click.option(
        "--timeout",
        type=click.FloatRange(1, 86_400),
        default=120.0,
        show_default=True,
        help="Seconds that a transaction is waited for.",
    ),
)


def chain_options(command: Command) -> Command:
    """Options of a command that only reads; it is called with ``access``, a `ChainAccess`."""

    @functools.wraps(command)
    def wrapped(*args: Any, node: str, chain_id: int | None, as_json: bool, **rest: Any) -> Any:
        access = ChainAccess(_first(node), chain_id, as_json)
        return command(*args, access=access, **rest)

    return cast("Command", _with(wrapped, _READING))


def sending_options(command: Command) -> Command:
    """Options of a command that sends; it is called with ``access``, a `ChainAccess`."""

    @functools.wraps(command)
    def wrapped(
        *args: Any,
        node: str,
        chain_id: int | None,
        as_json: bool,
        keystore: Path | None,
        key_file: Path | None,
        password_file: Path | None,
        dry_run: bool,
        yes: bool,
        max_fee: str | None,
        timeout: float,
        **rest: Any,
    ) -> Any:
        if (keystore is None) == (key_file is None):
            raise click.UsageError("give the account either by --keystore FILE or by --key-file FILE")
        access = ChainAccess(
            _first(node),
            chain_id,
            as_json,
            keystore or key_file,
            password_file,
            dry_run,
            yes,
            None if max_fee is None else amount_in(max_fee, 9, "--max-fee"),
            timeout,
        )
        return command(*args, access=access, **rest)

    return cast("Command", _with(wrapped, (*_READING, *_SENDING)))


def amount_in(text: str, decimals: int, name: str) -> int:
    """A decimal number of ETH (18 decimals) or gwei (9) as wei, exact.

    Raises:
        click.BadParameter: not such a number.
    """
    whole, point, part = text.partition(".")
    digits = whole + part
    if not digits.isascii() or not digits.isdecimal() or (point and not (whole and part)) or len(part) > decimals:
        raise click.BadParameter(
            f"{text[:40]!r}, expected a number with at most {decimals} decimals such as 0.5", param_hint=name
        )
    if int(whole or 0) > _LARGEST_ETHER:
        raise click.BadParameter(f"{text[:40]}, more than there is", param_hint=name)
    return int(digits) * int(10 ** (decimals - len(part)))


class Ether(click.ParamType[int]):
    """An amount in ETH, as wei."""

    name = "ETH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ARG002
        """Wei from the text; a number is a default that is wei already."""
        if isinstance(value, int):
            return value
        return amount_in(str(value), 18, "" if param is None else param.opts[0])


def network_names() -> list[str]:
    """Networks that have a registry of their own."""
    return [network.name for network in NETWORKS.values() if network.contract is not None]


def _with(command: Any, options: tuple[Callable[[Any], Any], ...]) -> Any:
    for option in reversed(options):
        command = option(command)
    return command


def _first(nodes: str) -> str:
    """The first of a list in the environment's form."""
    found = nodes.split(";", maxsplit=1)[0].strip()
    if not found:
        raise ConfigError("execution node: empty, expected an address that begins with http:// or https://")
    return found

"""Entry point of ``ssv-pool``: the nouns, and what an error looks like."""

import sys
from collections.abc import Sequence

import click

from ssv_pool import __version__
from ssv_pool.errors import SsvPoolError


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called, so that ``--help`` and small commands start at once."""

    lazy: dict[str, tuple[str, str]] = {  # noqa: RUF012 - a table, never changed
        "account": ("ssv_pool.cli.account:account", "Ethereum accounts that sign and pay for transactions."),
        "duties": ("ssv_pool.cli.duties:duties", "Show what became of duties, and why one failed."),
        "keeper": ("ssv_pool.cli.keeper:keeper", "Keep a staking pool as one of its members; what was done."),
        "keys": ("ssv_pool.cli.keys:keys_group", "Split a validator key into encrypted shares."),
        "node": ("ssv_pool.cli.node:node", "Run the node alone, on a machine of its own."),
        "operator": ("ssv_pool.cli.operator:operator", "Run an operator; its key."),
        "pool": ("ssv_pool.cli.pool:pool", "A staking pool: stake and leave, make validators, report."),
        "registry": (
            "ssv_pool.cli.registry:registry",
            "The registry contract: operators, validators, clusters.",
        ),
        "slashing-protection": (
            "ssv_pool.cli.slashing:slashing_protection",
            "Import and export the signing history (EIP-3076).",
        ),
    }

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands, in alphabetical order."""
        return sorted({*super().list_commands(ctx), *self.lazy})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command called ``cmd_name``, imported now; None when there is none."""
        if cmd_name not in self.lazy:
            return super().get_command(ctx, cmd_name)
        import importlib

        module, _, name = self.lazy[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands with the table's texts, importing none."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.lazy[name][1]) for name in self.list_commands(ctx)])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="ssv-pool")
def cli() -> None:
    """Operator client for Ethereum's secret shared validators (SSV)."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit.

    Exit status: 0 done, 1 failed, 2 bad configuration or usage, 3 key file, 4 something needed is unavailable.
    An error a user can cause is one line on stderr.
    """
    try:
        status = cli.main(args=arguments, prog_name="ssv-pool", standalone_mode=False)
    except SsvPoolError as error:
        click.echo(f"ssv-pool: error: {error}", err=True)
        sys.exit(error.exit_code)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(2)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        click.echo("ssv-pool: interrupted", err=True)
        sys.exit(130)
    sys.exit(status if isinstance(status, int) else 0)

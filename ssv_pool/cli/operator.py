"""``ssv-pool operator``: run a whole operator on one machine, and its key."""

from pathlib import Path

import click

from ssv_pool.cli.operator_keys import operator_keys_group
from ssv_pool.cli.options import config_option, read_settings


@click.group()
def operator() -> None:
    """Run an operator; its key."""


@operator.command()
@config_option
def run(config_path: Path | None) -> int:
    """Run everything one operator needs: node, Celery worker and, unless broker_url is set, an embedded broker.

    A part that dies is started again. SIGTERM or Ctrl-C lets running duties finish, then stops all parts.
    """
    from ssv_pool.node.supervisor import run_operator

    return run_operator(read_settings(config_path), config_path)


operator.add_command(operator_keys_group, "keys")

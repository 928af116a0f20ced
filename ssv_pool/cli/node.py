"""``ssv-pool node``: the node on its own."""

from pathlib import Path

import click

from ssv_pool.cli.options import config_option, read_settings


@click.command()
@config_option
def node(config_path: Path | None) -> None:
    """Run the node alone.

    It needs the store and the broker that its workers use (database_url, broker_url), and takes work from them.
    SIGTERM lets running duties finish first, for a minute at most.
    """
    from ssv_pool.node.run import run_node

    run_node(read_settings(config_path))

"""Options that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from ssv_pool.settings import Settings, load_settings

Command = TypeVar("Command", bound=Callable[..., Any])


def config_option(command: Command) -> Command:
    """``--config FILE``, also from CONFIG_PATH; without it everything comes from the environment."""
    return click.option(
        "--config",
        "config_path",
        type=click.Path(path_type=Path, dir_okay=False),
        envvar="CONFIG_PATH",
        help="YAML configuration; every key has an environment twin.",
    )(command)


def read_settings(config_path: Path | None) -> Settings:
    """The settings of ``config_path`` and the environment. Raises ConfigError."""
    return load_settings(config_path)

"""``python -m ssv_pool.devnet``: what ``scripts/devnet`` runs."""

import sys
import time
from pathlib import Path

import click

from ssv_pool.devnet.config import DevnetConfig, Kill
from ssv_pool.errors import SsvPoolError


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--operators", type=int, default=4, show_default=True, help="Operators: 4, 7, 10 or 13.")
@click.option(
    "--validators", type=int, default=8, show_default=True, help="Validators on operators, of the chain's 64."
)
@click.option("--epochs", type=int, default=4, show_default=True, help="Full epochs after epoch 0.")
@click.option("--slot-seconds", type=int, default=4, show_default=True, help="Length of a slot.")
@click.option(
    "--report",
    "report_dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of report.json, report.html and all logs; reports/<time> by default.",
)
@click.option("--json", "as_json", is_flag=True, help="Print report.json instead of the live view and the summary.")
@click.option(
    "--kill",
    "kills",
    multiple=True,
    metavar="K@EPOCH",
    help="kill -9 all processes of K operators at that epoch's start; they return one epoch later. May be repeated.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Chooses the operators that are killed.")
@click.option("--keep", is_flag=True, help="Leave it running; Ctrl-C ends it.")
def devnet(
    *,
    operators: int,
    validators: int,
    epochs: int,
    slot_seconds: int,
    report_dir: Path | None,
    as_json: bool,
    kills: tuple[str, ...],
    seed: int,
    keep: bool,
) -> int:
    """Run a whole devnet on this machine: chain, beacon node, operators; then report on it.

    Exit status 0 only if the run was good: attestations included as they should, nothing slashable, finality advancing.
    """
    from ssv_pool.devnet.run import run_devnet

    config = DevnetConfig(
        operators=operators,
        validators=validators,
        epochs=epochs,
        slot_seconds=slot_seconds,
        report_dir=report_dir or Path("reports") / time.strftime("%Y%m%d-%H%M%S"),
        kills=tuple(Kill.parse(text) for text in kills),
        seed=seed,
        keep=keep,
    )
    return 0 if run_devnet(config, as_json=as_json) else 1


def main() -> None:
    """Run and exit: 0 a good run, 1 not a good one, 2 bad options, 4 something needed is unavailable."""
    try:
        status = devnet.main(prog_name="devnet", standalone_mode=False)
    except SsvPoolError as error:
        click.echo(f"devnet: error: {error}", err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("devnet: interrupted", err=True)
        sys.exit(130)
    sys.exit(status if isinstance(status, int) else 0)


main()

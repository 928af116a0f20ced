"""``python -m ssv_pool.devnet``: what ``scripts/devnet`` runs."""

import sys
import time
from pathlib import Path

import click

from ssv_pool.devnet.config import (
    LIFECYCLE_EPOCHS,
    LIFECYCLE_VALIDATORS,
    Attack,
    BeaconKind,
    BeaconStop,
    DevnetConfig,
    Exit,
    Kill,
    default_slot_seconds,
    parse_clusters,
)
from ssv_pool.errors import SsvPoolError

VALIDATORS, EPOCHS = 8, 4
"""What a run has by default."""


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("--operators", type=int, help="Operators: 4, 7, 10 or 13; 4 or as many as --clusters names by default.")
@click.option(
    "--validators",
    type=int,
    help="Validators on operators, of the chain's 64; the beacon node runs the rest. 8, with --lifecycle 2.",
)
@click.option(
    "--clusters",
    metavar="SPEC",
    help="Committees that the validators are spread over, such as 1-4;4,5,6,7;1-7 (named: overlap).",
)
@click.option("--epochs", type=int, help="Full epochs after epoch 0; 4 by default, at most 32 with --lifecycle.")
@click.option("--slot-seconds", type=int, help="Length of a slot; by the number of duties by default.")
@click.option(
    "--boole-epoch", type=int, metavar="E", help="First epoch of the next protocol version; never by default."
)
@click.option(
    "--beacon",
    type=click.Choice([kind.value for kind in BeaconKind]),
    default=BeaconKind.EMBEDDED.value,
    show_default=True,
    help="The chain's beacon node. lodestar is installed from npm and needs a C++ compiler.",
)
@click.option("--beacon-nodes", type=int, default=1, show_default=True, help="Embedded beacon nodes, 1 to 4.")
@click.option(
    "--stop-beacon",
    "beacon_stops",
    multiple=True,
    metavar="K@EPOCH",
    help="kill -9 K beacon nodes at that epoch's start; they return one epoch later. May be repeated.",
)
@click.option(
    "--attack",
    metavar="MODE[@EPOCH]",
    help="One operator has a beacon node of its own that is wrong from that epoch on: stale-head, wrong-justified, "
    "wrong-target, slow, errors or dropped-streams.",
)
@click.option(
    "--kill",
    "kills",
    multiple=True,
    metavar="K@EPOCH",
    help="kill -9 all processes of K operators at that epoch's start; they return one epoch later. May be repeated.",
)
@click.option(
    "--exit",
    "exits",
    multiple=True,
    metavar="N@EPOCH",
    help="N validators are asked at that epoch's start, on the registry contract, to leave. May be repeated.",
)
@click.option(
    "--lifecycle",
    is_flag=True,
    help="A staking pool and a validator's whole life: stakers' deposits, registration, activation, duties, rewards, "
    "exit, withdrawal, payout. Ends when the stakers are paid and the books are balanced.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Chooses who is killed, stopped, attacked.")
@click.option("--keep", is_flag=True, help="Leave it running; Ctrl-C ends it.")
@click.option(
    "--report",
    "report_dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of report.json, report.html and all logs; reports/<time> by default.",
)
@click.option("--json", "as_json", is_flag=True, help="Print report.json instead of the live view and the summary.")
def devnet(
    *,
    operators: int | None,
    validators: int | None,
    clusters: str | None,
    epochs: int | None,
    slot_seconds: int | None,
    boole_epoch: int | None,
    beacon: str,
    beacon_nodes: int,
    beacon_stops: tuple[str, ...],
    attack: str | None,
    kills: tuple[str, ...],
    exits: tuple[str, ...],
    lifecycle: bool,
    seed: int,
    keep: bool,
    report_dir: Path | None,
    as_json: bool,
) -> int:
    """Run a whole devnet on this machine: chain, beacon node, operators; then report on it.

    Exit status 0 only if the run was good: duties done as they should be, nothing slashable, finality advancing.
    """
    from ssv_pool.devnet.run import run_devnet

    committees = parse_clusters(clusters) if clusters else ()
    count = max(map(max, committees), default=4) if operators is None else operators
    if validators is None:
        validators = LIFECYCLE_VALIDATORS if lifecycle else VALIDATORS
    if epochs is None:
        epochs = LIFECYCLE_EPOCHS if lifecycle else EPOCHS
    seconds = default_slot_seconds(validators, committees or (range(count),), BeaconKind(beacon))
    config = DevnetConfig(
        operators=count,
        validators=validators,
        epochs=epochs,
        slot_seconds=seconds if slot_seconds is None else slot_seconds,
        report_dir=report_dir or Path("reports") / time.strftime("%Y%m%d-%H%M%S"),
        kills=tuple(Kill.parse(text) for text in kills),
        seed=seed,
        keep=keep,
        clusters=committees,
        boole_epoch=boole_epoch,
        beacon=BeaconKind(beacon),
        beacon_nodes=beacon_nodes,
        beacon_stops=tuple(BeaconStop.parse(text) for text in beacon_stops),
        attack=Attack.parse(attack) if attack else None,
        exits=tuple(Exit.parse(text) for text in exits),
        lifecycle=lifecycle,
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

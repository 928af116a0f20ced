"""Command line: ``python -m ssv_pool.devnet.beacon``."""

import asyncio
import json
import logging
import os
import re
import signal
import sys
import time
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import structlog
from aiohttp import web

from ssv_pool.devnet.beacon.api import application
from ssv_pool.devnet.beacon.attacks import SLOW_SECONDS, Attacker, AttackMode, AttackOptions, parse_mode
from ssv_pool.devnet.beacon.execution import ExecutionSchedule
from ssv_pool.devnet.beacon.follow import PATH as PEER_PATH
from ssv_pool.devnet.beacon.follow import Following
from ssv_pool.devnet.beacon.node import BeaconNode, NodeOptions
from ssv_pool.devnet.beacon.simulated import DutyKind
from ssv_pool.errors import ConfigError, SsvPoolError, UnavailableError

if TYPE_CHECKING:
    from ssv_pool.devnet.beacon.execution_link import ExecutionLink

SHUTDOWN_SECONDS = 2.0
"""How long open connections get when the node stops."""

MAX_DIGITS = 20
"""Of a number of the configuration: a uint64 has no more."""


def parse_indices(text: str) -> frozenset[int]:
    """Validator indices from a list of numbers and ranges: ``0-7,12``. Raises ConfigError."""
    found: set[int] = set()
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()) or (dash and int(last) < int(first)):
            raise ConfigError(f"--external {part}: expected an index or a range like 0-7")
        found.update(range(int(first), int(last if dash else first) + 1))
    return frozenset(found)


def parse_duties(text: str) -> frozenset[DutyKind]:
    """Duty kinds from a comma list. Raises ConfigError."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    known = {kind.value: kind for kind in DutyKind}
    if unknown := [name for name in names if name not in known]:
        raise ConfigError(f"--external-duties {unknown[0]}: expected some of {', '.join(known)}")
    return frozenset(known[name] for name in names)


def parse_config(entries: Sequence[str]) -> dict[str, int]:
    """Numbers of the configuration from ``NAME=VALUE``. Raises ConfigError."""
    found = {}
    for entry in entries:
        name, equals, value = entry.partition("=")
        if not name.isidentifier() or not equals or not value.isdecimal() or len(value) > MAX_DIGITS:
            raise ConfigError(f"--config {entry}: expected NAME=NUMBER, such as SHARD_COMMITTEE_PERIOD=0")
        found[name] = int(value)
    return found


def parse_address(text: str | None) -> bytes | None:
    """20 bytes from 0x hex. Raises ConfigError."""
    if text is None:
        return None
    if not re.fullmatch(r"0x[0-9a-fA-F]{40}", text):
        raise ConfigError(f"--deposit-contract {text}: expected 0x and 40 hex digits")
    return bytes.fromhex(text[2:])


def parse_schedule(text: str | None) -> ExecutionSchedule | None:
    """Number and time of the execution chain's head from ``NUMBER@TIME``. Raises ConfigError."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,10})@(\d{1,12})", text)
    if not match:
        raise ConfigError(f"--execution-start {text}: expected NUMBER@TIME")
    return ExecutionSchedule(int(match[1]), int(match[2]))


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=0, show_default=True, help="TCP port; 0 takes a free one.")
@click.option("--genesis-time", type=int, help="Start of slot 0, seconds since the UNIX epoch.")
@click.option("--genesis-delay", default=2, show_default=True, help="Seconds from now to genesis, if no time is given.")
@click.option("--slot-ms", default=4000, show_default=True, help="Length of a slot, a multiple of 1000.")
@click.option("--validators", default=64, show_default=True, help="Validators at genesis, with interop keys.")
@click.option("--external", default="", help="Validators that outside clients run: 0-7,12.")
@click.option(
    "--external-duties", default="attest", show_default=True, help="What they do there: attest, propose, sync."
)
@click.option("--builder", is_flag=True, help="Offer blinded blocks to proposers that registered for a builder.")
@click.option("--blobs", default=0, show_default=True, help="With N, blocks carry 0 to N blobs in turn.")
@click.option(
    "--record", type=click.Path(path_type=Path), help="Append every validly signed object from outside to this file."
)
@click.option("--peer", "peers", multiple=True, metavar="URL", help="Follow this beacon node and be followed by it.")
@click.option("--attack", help=f"Be wrong on purpose: {', '.join(mode.value for mode in AttackMode)}.")
@click.option("--attack-epoch", default=0, show_default=True, help="The attack begins with this epoch.")
@click.option("--attack-seconds", default=SLOW_SECONDS, show_default=True, help="Delay of a slow node's answers.")
@click.option(
    "--config", "overrides", multiple=True, metavar="NAME=NUMBER", help="Change a number of the chain's configuration."
)
@click.option("--deposit-contract", metavar="ADDRESS", help="The execution chain's deposit contract.")
@click.option("--execution", metavar="URL", help="Drive this anvil: mine its blocks, pay withdrawals, read deposits.")
@click.option(
    "--execution-start", metavar="NUMBER@TIME", help="The execution chain's head and when it was that, before genesis."
)
@click.option("--log-file", type=click.Path(path_type=Path), help="Log there instead of standard error.")
def main(
    host: str,
    port: int,
    genesis_time: int | None,
    genesis_delay: int,
    slot_ms: int,
    validators: int,
    external: str,
    external_duties: str,
    builder: bool,
    blobs: int,
    record: Path | None,
    peers: tuple[str, ...],
    attack: str | None,
    attack_epoch: int,
    attack_seconds: float,
    overrides: tuple[str, ...],
    deposit_contract: str | None,
    execution: str | None,
    execution_start: str | None,
    log_file: Path | None,
) -> None:
    """Run a beacon node for development until SIGTERM or SIGINT.

    When it listens, it prints one line of JSON: {"port": …, "genesis_time": …}.
    """
    try:
        _configure_log(log_file)
        options = NodeOptions(
            genesis_time=genesis_time if genesis_time is not None else int(time.time()) + genesis_delay,
            slot_duration_ms=slot_ms,
            validators=validators,
            external=parse_indices(external),
            external_duties=parse_duties(external_duties),
            builder=builder,
            blobs=blobs,
            record=record,
            overrides=parse_config(overrides),
            deposit_contract=parse_address(deposit_contract),
            execution=parse_schedule(execution_start),
        )
        planned = AttackOptions(parse_mode(attack), attack_epoch, attack_seconds) if attack is not None else None
        asyncio.run(serve(options, host, port, [peer.rstrip("/") for peer in peers], planned, execution))
    except SsvPoolError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)


async def serve(
    options: NodeOptions,
    host: str,
    port: int,
    peers: Sequence[str] = (),
    attack: AttackOptions | None = None,
    execution: str | None = None,
) -> None:
    """Run a node until SIGTERM or SIGINT, with connections to its ``peers`` and as wrong as ``attack`` wants it.

    With ``execution``, the URL of an anvil, it drives that chain.

    Raises:
        ConfigError: options that no chain can have.
        UnavailableError: the port is taken.
    """
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        node = BeaconNode(options)
        chains = [_execution_link(node, execution).run()] if execution is not None else []
    except (ValueError, OSError) as error:
        raise ConfigError(str(error)) from error
    following, attacker = Following(node, peers), Attacker(node, attack)
    app = application(node)
    app.middlewares.insert(0, attacker.middleware)
    app.add_routes([*attacker.routes(), web.get(PEER_PATH, following.serve)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise UnavailableError(f"port {port} on {host}: cannot listen ({_reason(error)})") from error
        print(json.dumps({"port": runner.addresses[0][1], "genesis_time": options.genesis_time}), flush=True)  # noqa: T201
        await _run_until(stop, node.run(), following.run(), *chains)
    finally:
        node.close()
        await following.close()
        await runner.cleanup()


def _execution_link(node: BeaconNode, url: str) -> "ExecutionLink":
    from ssv_pool.devnet.beacon.execution_link import ExecutionLink  # eth-account: seconds that most nodes do not need

    return ExecutionLink(node, url)


def _reason(error: OSError) -> str:
    # asyncio wraps the text of the error in an account of what it did; the number tells all.
    return os.strerror(error.errno) if error.errno else str(error)


async def _run_until(stop: asyncio.Event, *work: Coroutine[None, None, None]) -> None:
    """Do all of ``work`` until ``stop``; the first failure ends it too."""
    tasks = {asyncio.create_task(part) for part in work}
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({*tasks, stopped}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    for task in tasks:
        if task.done():
            task.result()
        task.cancel()


def _configure_log(path: Path | None) -> None:
    """One JSON line per event."""
    file = path.open("a", encoding="utf-8", buffering=1) if path is not None else sys.stderr
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=file),
    )


if __name__ == "__main__":
    main()

"""One devnet run from nothing to its report.

Every process started here is stopped here, by process id, whatever happens in between.
"""

import contextlib
import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.live import Live

from ssv_pool.devnet.anvil import Anvil
from ssv_pool.devnet.beacon_process import start_beacon
from ssv_pool.devnet.cluster import (
    deploy_registry,
    free_ports,
    make_operators,
    register_validators,
    write_configurations,
)
from ssv_pool.devnet.config import SLOTS_PER_EPOCH, DevnetConfig
from ssv_pool.devnet.live import POLL_SECONDS, LiveView
from ssv_pool.devnet.outcome import collect, print_summary, write_report
from ssv_pool.devnet.processes import OperatorProcess, stop_all
from ssv_pool.devnet.readiness import wait_until_up
from ssv_pool.devnet.schedule import plan_outages
from ssv_pool.devnet.state import Run
from ssv_pool.errors import UnavailableError

ANVIL_BLOCK_SECONDS = 1.0
"""The execution chain's block time: registrations pass the follow distance in seconds."""

GENESIS_DELAY = 12
"""Seconds from the beacon node's start to genesis: time for the operators to notice it and to plan their duties."""

EXTRA_SLOTS = 3
"""Slots after the last epoch in which its late attestations may still be included."""


def run_devnet(config: DevnetConfig, *, as_json: bool) -> bool:
    """Run a devnet and write its report. Returns whether the run was good.

    Raises:
        SsvPoolError: a part could not be started.
    """
    console = Console(stderr=True, quiet=as_json)
    config.report_dir.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        stopped = stack.enter_context(_interrupt())
        run = _start(config, console, stack)
        watch(run, console, stopped)
        console.print("[dim]stopping the operators[/dim]")
        run.unstoppable = stop_all(run.operators)
        outcome = collect(run)
    write_report(run, outcome)
    if as_json:
        sys.stdout.write(json.dumps(outcome.report, indent=2) + "\n")
    else:
        print_summary(Console(), run, outcome)
    return outcome.ok


def _start(config: DevnetConfig, console: Console, stack: contextlib.ExitStack) -> Run:
    started = time.time()
    with console.status("starting the execution chain") as status:
        folder = config.report_dir.absolute()
        anvil = stack.enter_context(Anvil(block_time=ANVIL_BLOCK_SECONDS, log_file=folder / "anvil.log"))
        status.update("compiling and deploying the registry contract")
        registry = deploy_registry(anvil.url)
        files = make_operators(config, folder, registry, status.update)
        register_validators(config, registry, files, status.update)
        with free_ports(1) as ports:
            beacon_port = next(ports)
        write_configurations(config, files, registry, anvil.url, f"http://127.0.0.1:{beacon_port}")
        operators = [OperatorProcess(item.operator_id, item.config, item.log) for item in files]
        stack.callback(stop_all, operators)
        for operator in operators:
            operator.start()
        wait_until_up(operators, files, status.update)
        status.update("starting the beacon node")
        genesis_time = float(int(time.time()) + GENESIS_DELAY)
        beacon = start_beacon(config, folder, genesis_time, beacon_port)
        stack.callback(beacon.stop)
    outages = plan_outages(config, [item.operator_id for item in files])
    return Run(config, files, operators, outages, beacon, genesis_time, started, config.last_epoch, [])


def watch(run: Run, console: Console, stopped: Callable[[float], bool]) -> None:
    """Show the run live, kill and restart as planned, and return at its end."""
    urls: dict[int, str] = {item.operator_id: item.status_url for item in run.files}
    view = LiveView(run.config, run.beacon.url, run.operators, urls, run.genesis_time)
    by_id = {operator.operator_id: operator for operator in run.operators}
    planned = plan(run)
    end = run.start_of((run.last_epoch + 1) * SLOTS_PER_EPOCH + EXTRA_SLOTS)
    with Live(console=console, refresh_per_second=2, transient=True) as live, view.client:
        while run.config.keep or time.time() < end:
            while planned and planned[0][0] <= time.time():
                _when, operator_id, action = planned.pop(0)
                if action == "kill":
                    by_id[operator_id].kill()
                else:
                    by_id[operator_id].restart()
            view.poll(time.time())
            live.update(view.render(time.time()))
            if run.beacon.process.poll() is not None:
                raise UnavailableError(f"beacon node: ended with status {run.beacon.process.returncode} during the run")
            pause = planned[0][0] - time.time() if planned else POLL_SECONDS
            if stopped(min(POLL_SECONDS, max(0.0, pause))):
                run.last_epoch = _whole_epochs(run, time.time())
                return


def _whole_epochs(run: Run, now: float) -> int:
    """The last epoch that counts when the run is ended now: the current one is not over."""
    past = int((now - run.genesis_time) // (run.config.slot_seconds * SLOTS_PER_EPOCH)) - 1
    return max(0, past if run.config.keep else min(past, run.last_epoch))


def plan(run: Run) -> list[tuple[float, int, str]]:
    """When (seconds since the UNIX epoch) which operator is to be killed or restarted, in order."""
    entries = [
        (run.start_of(slot), operator, action)
        for outage in run.outages
        for operator in outage.operators
        for slot, action in ((outage.first_slot, "kill"), (outage.return_slot, "restart"))
    ]
    # Who returns and is down in that epoch too has to end up down.
    return sorted(entries, key=lambda entry: (entry[0], entry[2] == "kill", entry[1]))


@contextlib.contextmanager
def _interrupt() -> Iterator[Callable[[float], bool]]:
    """A function that waits for so many seconds and says whether Ctrl-C or SIGTERM has come."""
    event = threading.Event()
    old = {
        number: signal.signal(number, lambda _number, _frame: event.set()) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield event.wait
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)

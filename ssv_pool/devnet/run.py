"""One devnet run from nothing to its report.

Every process started here is stopped here, by process id, whatever happens in between.
"""

import contextlib
import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.live import Live

from ssv_pool.devnet.anvil import Anvil
from ssv_pool.devnet.beacon_process import BeaconProcess, ExecutionPart, LodestarNode, embedded_nodes
from ssv_pool.devnet.cluster import (
    deploy_registry,
    exit_validator,
    free_ports,
    make_operators,
    register_validators,
    write_configurations,
)
from ssv_pool.devnet.config import CHAIN_VALIDATORS, SLOTS_PER_EPOCH, BeaconKind, DevnetConfig
from ssv_pool.devnet.lifecycle.driver import LifeDriver
from ssv_pool.devnet.lifecycle.pool import (
    CLUSTER_DEPOSIT,
    OPERATOR_FEE,
    LifePool,
    deploy_pool,
    keeper_sections,
    members,
    prepare_registry,
)
from ssv_pool.devnet.lifecycle.steps import StepLog
from ssv_pool.devnet.live import POLL_SECONDS, LiveView
from ssv_pool.devnet.lodestar.install import ensure_installed
from ssv_pool.devnet.lodestar.process import LodestarOptions
from ssv_pool.devnet.outcome import collect, write_report
from ssv_pool.devnet.processes import OperatorProcess, stop_all
from ssv_pool.devnet.readiness import wait_until_up
from ssv_pool.devnet.schedule import Action, Deed, attacked_operator, plan_actions, plan_beacon_outages, plan_outages
from ssv_pool.devnet.state import Run
from ssv_pool.devnet.summary import print_summary
from ssv_pool.errors import ConfigError, UnavailableError

ANVIL_BLOCK_SECONDS = 1.0
"""The execution chain's block time: registrations pass the follow distance in seconds."""

GENESIS_DELAY = {BeaconKind.EMBEDDED: 12, BeaconKind.LODESTAR: 30}
"""Seconds from the beacon node's start to genesis: time for the operators to notice it and to plan their duties."""

NODE_DELAY = 6
"""The same for each further beacon node."""

EXTRA_SLOTS = 3
"""Slots after the last epoch in which its late attestations may still be included."""


def run_devnet(config: DevnetConfig, *, as_json: bool) -> bool:
    """Run a devnet and write its report. Returns whether the run was good.

    Raises:
        ConfigError: the report's folder is not empty.
        SsvPoolError: a part could not be started.
    """
    console = Console(stderr=True, quiet=as_json)
    config.report_dir.mkdir(parents=True, exist_ok=True)
    if any(config.report_dir.iterdir()):
        raise ConfigError(f"--report {config.report_dir}: not empty, expected a new or an empty folder")
    with contextlib.ExitStack() as stack:
        stopped = stack.enter_context(_interrupt())
        run = _start(config, console, stack)
        watch(run, console, stopped)
        console.print("[dim]stopping the operators[/dim]")
        run.unstoppable = stop_all(run.operators)
        if run.life is not None:
            run.life.stop()
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
        if config.beacon is BeaconKind.LODESTAR:
            ensure_installed(status.update)
        anvil = stack.enter_context(Anvil(block_time=ANVIL_BLOCK_SECONDS, log_file=folder / "anvil.log"))
        status.update("compiling and deploying the registry contract")
        registry = deploy_registry(anvil.url)
        pool: LifePool | None = None
        if config.lifecycle:
            prepare_registry(registry)
            owners = members(config.operators)
            files = make_operators(config, folder, registry, status.update, owners, OPERATOR_FEE)
            public_keys = register_validators(config, registry, files, status.update, CLUSTER_DEPOSIT)
            status.update("compiling and deploying the staking pool")
            pool = deploy_pool(registry, [item.operator_id for item in files])
        else:
            files = make_operators(config, folder, registry, status.update)
            public_keys = register_validators(config, registry, files, status.update)
        ids = [item.operator_id for item in files]
        attacked = attacked_operator(config, ids)
        nodes = config.beacon_nodes + (attacked is not None)
        with free_ports(nodes) as held:
            ports = list(held)
        sections = keeper_sections(pool, files, folder) if pool is not None else None
        write_configurations(config, files, registry, anvil.url, _beacon_urls(config, ids, ports, attacked), sections)
        operators = [OperatorProcess(item.operator_id, item.config, item.log) for item in files]
        stack.callback(stop_all, operators)
        for operator in operators:
            operator.start()
        wait_until_up(operators, files, status.update)
        status.update("starting the beacon node" if nodes == 1 else f"starting {nodes} beacon nodes")
        genesis_time = float(int(time.time()) + GENESIS_DELAY[config.beacon] + NODE_DELAY * (nodes - 1))
        execution = _hand_over(anvil, pool) if pool is not None else None
        beacons = _beacon_nodes(config, folder, genesis_time, ports, execution)
        for beacon in beacons:
            stack.callback(beacon.stop)
            beacon.start()
        for beacon in beacons:
            beacon.wait_ready()
        life = None
        if pool is not None:
            life = LifeDriver(pool, beacons[0].url, StepLog(genesis_time, config.slot_seconds))
            stack.callback(life.stop)
            life.start()
    return Run(
        config=config,
        files=files,
        operators=operators,
        outages=plan_outages(config, ids),
        beacons=beacons,
        genesis_time=genesis_time,
        started=started,
        last_epoch=config.last_epoch,
        unstoppable=[],
        public_keys=public_keys,
        beacon_outages=plan_beacon_outages(config),
        attacked=attacked,
        registry=registry,
        life=life,
    )


def _hand_over(anvil: Anvil, pool: LifePool) -> ExecutionPart:
    """Let the beacon node mine the execution chain from now on."""
    anvil.mine_every(0)
    return ExecutionPart(anvil.url, pool.deposit_contract, pool.head(), int(time.time()))


def _beacon_urls(
    config: DevnetConfig, operator_ids: Sequence[int], ports: Sequence[int], attacked: int | None
) -> dict[int, list[str]]:
    """Operator → its beacon nodes, best first: the honest ones in an order that differs from operator to operator."""
    urls = [f"http://127.0.0.1:{port}" for port in ports]
    honest = urls[: config.beacon_nodes]
    found = {}
    for place, operator in enumerate(operator_ids):
        first = place % len(honest)
        found[operator] = [*honest[first:], *honest[:first]]
    if attacked is not None:
        found[attacked] = [urls[-1]]
    return found


def _beacon_nodes(
    config: DevnetConfig,
    folder: Path,
    genesis_time: float,
    ports: Sequence[int],
    execution: ExecutionPart | None,
) -> Sequence[BeaconProcess]:
    if config.beacon is BeaconKind.EMBEDDED:
        return embedded_nodes(config, folder, genesis_time, ports, execution)
    options = LodestarOptions(
        genesis_time=int(genesis_time),
        slot_seconds=config.slot_seconds,
        validators=CHAIN_VALIDATORS,
        external=config.validators,
        port=ports[0],
    )
    return [LodestarNode(options, folder)]


def watch(run: Run, console: Console, stopped: Callable[[float], bool]) -> None:
    """Show the run live, do what is planned when it is due, and return at its end.

    Raises:
        UnavailableError: a beacon node ended by itself, or gives malformed answers.
    """
    urls: dict[int, str] = {item.operator_id: item.status_url for item in run.files}
    view = LiveView(run.config, run.beacon.url, run.operators, urls, run.genesis_time)
    told = 0
    planned = plan_actions(run.config, run.outages, run.beacon_outages)
    end = run.start_of((run.last_epoch + 1) * SLOTS_PER_EPOCH + EXTRA_SLOTS)
    with Live(console=console, refresh_per_second=2, transient=True) as live, view.client:
        while run.config.keep or time.time() < end:
            while planned and run.start_of(planned[0].slot) <= time.time():
                perform(run, planned.pop(0))
            for beacon in run.beacons:
                if beacon.died:
                    raise UnavailableError(f"{beacon.name}: ended by itself during the run, its log is {beacon.log}")
            view.beacon_url = run.beacon.url
            view.poll(time.time())
            run.watch.look(view.client, run.beacon.url, view.chain.slot)
            live.update(view.render(time.time()))
            if run.life is not None:
                steps = run.life.log.steps
                for step in steps[told:]:
                    console.print(str(step), highlight=False, markup=False, soft_wrap=True)
                told = len(steps)
            if run.life is not None and run.life.finished:
                run.last_epoch = _whole_epochs(run, time.time() - EXTRA_SLOTS * run.config.slot_seconds)
                return
            pause = run.start_of(planned[0].slot) - time.time() if planned else POLL_SECONDS
            if stopped(min(POLL_SECONDS, max(0.0, pause))):
                run.last_epoch = _whole_epochs(run, time.time())
                return


def perform(run: Run, action: Action) -> None:
    """Do one of the things that were planned. Raises SsvPoolError: the registry contract refused an exit."""
    operators = {operator.operator_id: operator for operator in run.operators}
    match action.deed:
        case Deed.KILL:
            operators[action.number].kill()
        case Deed.RESTART:
            operators[action.number].restart()
        case Deed.STOP_BEACON:
            run.beacons[action.number - 1].kill()
        case Deed.START_BEACON:
            run.beacons[action.number - 1].start()
        case Deed.EXIT:
            exit_validator(run.config, run.registry, action.number, run.public_keys[action.number])
            run.exits_asked[action.number] = time.time()


def _whole_epochs(run: Run, now: float) -> int:
    """The last epoch that counts when the run is ended now: the current one is not over."""
    past = int((now - run.genesis_time) // (run.config.slot_seconds * SLOTS_PER_EPOCH)) - 1
    return max(0, past if run.config.keep else min(past, run.last_epoch))


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

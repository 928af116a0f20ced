#!/usr/bin/env python3
"""Time the registry's synchronisation over a long history: ``scripts/bench registry``.

A synthetic history is made once (see ``registry_history``), served by a process that answers JSON-RPC as an execution
node does, and read into an empty SQLite store by another process, along the whole path that the workers use: fetching,
comparing with headers and receipts, decoding, checking signatures, storing. What is printed is of that process alone.
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from registry_history import CONTRACT, FIRST_BLOCK, Shape, history
from sqlalchemy import select

from ssv_pool.crypto import bls
from ssv_pool.registry.handler import EventHandler
from ssv_pool.registry.reading import Verification
from ssv_pool.registry.sync import RegistrySync
from ssv_pool.store import Database
from ssv_pool.store.models import (
    CommitteeMembership,
    ExitRequest,
    FeeRecipientChange,
    Operator,
    Owner,
    RegistryEvent,
    Validator,
)

HERE = Path(__file__).parent


class Stopwatch:
    """CPU seconds spent in a function."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def around(self, function: Callable[..., bool]) -> Callable[..., bool]:
        """The function, with its CPU time added up here."""

        def timed(*arguments: Any) -> bool:
            begun = time.thread_time()
            try:
                return function(*arguments)
            finally:
                self.seconds += time.thread_time() - begun

        return timed


def sync(url: str, store: str, one_in: int, batch_blocks: int) -> dict[str, Any]:
    """Read everything that ``url`` serves into a store; what it took."""
    watch = Stopwatch()
    handler = EventHandler(watch.around(bls.verify), batch_verify=watch.around(bls.batch_verify))
    database = Database(store)
    database.create_schema()
    registry = RegistrySync(
        [url],
        database,
        f"0x{CONTRACT.hex()}",
        FIRST_BLOCK,
        batch_blocks=batch_blocks,
        handler=handler,
        verification=Verification(one_in=one_in),
    )
    begun, cpu = time.monotonic(), time.process_time()
    events = malformed = compared = 0
    while True:
        result = registry.step()
        events += result.applied + result.ignored + len(result.malformed)
        malformed += len(result.malformed)
        compared += result.compared
        if result.caught_up:
            break
    seconds, cpu = time.monotonic() - begun, time.process_time() - cpu
    registry.close()
    database.close()
    return {
        "events": events,
        "malformed": malformed,
        "blocks": result.to_block - FIRST_BLOCK + 1,
        "blocks_compared": compared,
        "seconds": round(seconds, 1),
        "events_per_second": round(events / seconds),
        "cpu_seconds": round(cpu, 1),
        "cpu_bls_seconds": round(watch.seconds, 1),
        "cpu_rest_seconds": round(cpu - watch.seconds, 1),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def digest(store: str) -> str:
    """A hash over all rows of the registry's tables."""
    database, total = Database(store), sha256()
    with database.read() as session:
        for model in (Operator, Owner, FeeRecipientChange, CommitteeMembership, Validator, ExitRequest, RegistryEvent):
            table = model.__table__
            for row in session.execute(select(table).order_by(*table.primary_key.columns)).yield_per(1000):
                total.update(repr(tuple(row)).encode())
    database.close()
    return total.hexdigest()


@contextmanager
def served(path: Path) -> Iterator[str]:
    """The URL at which a process serves the history."""
    command = [sys.executable, str(HERE / "registry_history.py"), str(path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        port = process.stdout.readline() if process.stdout is not None else ""
        yield f"http://127.0.0.1:{int(port)}"
    finally:
        process.kill()
        process.communicate()


def child(url: str, store: str, options: argparse.Namespace) -> subprocess.Popen[str]:
    """A process that reads the history into a store, and prints what it took."""
    command = [sys.executable, str(HERE / "registry.py"), "--sync", url, "--store", store]
    command += ["--one-in", str(options.one_in), "--batch-blocks", str(options.batch_blocks)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ))


def finished(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What the process printed. Raises SystemExit when it failed."""
    output, _ = process.communicate()
    if process.returncode:
        raise SystemExit(f"registry bench: the process that reads the history ended with status {process.returncode}")
    return dict(json.loads(output))


def killed_again_and_again(url: str, store: str, options: argparse.Namespace) -> int:
    """Read the history with a process that is killed (SIGKILL) every so often; how many times it was."""
    choice, kills = random.Random(2), 0
    database = Database(store)
    database.create_schema()
    while True:
        before = cursor(database)
        process = child(url, store, options)
        done = threading.Event()
        waiter = threading.Thread(target=lambda p=process, d=done: (p.wait(), d.set()), daemon=True)
        waiter.start()
        # The time runs from the first progress on, or a slow machine would kill it before it has done anything.
        while cursor(database) == before and not done.wait(0.02):
            pass
        if kills < options.most_kills and not done.wait(choice.uniform(0, options.kill_every)):
            process.kill()
            kills += 1
            done.wait()
            process.communicate()
            continue
        done.wait()
        finished(process)
        database.close()
        return kills


def cursor(database: Database) -> int | None:
    """The last block applied; None before the first."""
    from ssv_pool.store.cursor import read_cursor

    with database.read() as session:
        found = read_cursor(session)
    return None if found is None else found.block_number


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the history, serve it, read it, print one JSON line."""
    parser = argparse.ArgumentParser(prog="scripts/bench registry", description=__doc__)
    parser.add_argument("--validators", type=int, default=100_000)
    parser.add_argument("--operators", type=int, default=1_500)
    parser.add_argument("--one-in", type=int, default=64, help="old blocks of which one is compared with its header")
    parser.add_argument("--batch-blocks", type=int, default=200, help="blocks read in one step")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "ssv-pool-bench")
    parser.add_argument("--kill-every", type=float, metavar="SECONDS", help="also kill it again and again, and compare")
    parser.add_argument("--most-kills", type=int, default=100, help="so often at the most")
    parser.add_argument("--sync", metavar="URL", help=argparse.SUPPRESS)
    parser.add_argument("--store", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.sync:
        print(json.dumps(sync(options.sync, options.store, options.one_in, options.batch_blocks)))
        return
    begun = time.monotonic()
    shape = Shape(options.validators, options.operators, owners=max(1, options.validators // 50))
    path = history(shape, options.folder)
    figures: dict[str, Any] = {
        "validators": options.validators,
        "operators": options.operators,
        "history_mb": round(path.stat().st_size / 2**20),
        "making_seconds": round(time.monotonic() - begun, 1),
    }
    with tempfile.TemporaryDirectory() as folder, served(path) as url:
        store = f"sqlite:///{Path(folder) / 'store.sqlite'}"
        figures |= finished(child(url, store, options))
        figures["store_mb"] = round((Path(folder) / "store.sqlite").stat().st_size / 2**20)
        if options.kill_every:
            other = f"sqlite:///{Path(folder) / 'killed.sqlite'}"
            figures["kills"] = killed_again_and_again(url, other, options)
            figures["same_store"] = digest(other) == digest(store)
    print(json.dumps(figures))
    if figures.get("same_store") is False:
        raise SystemExit("registry bench: the store of the process that was killed differs")


if __name__ == "__main__":
    main()

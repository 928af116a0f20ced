"""The task that follows the registry contract."""

import threading
import time
from dataclasses import asdict
from typing import Any

from ssv_pool.errors import UnavailableError
from ssv_pool.observability.logs import logger
from ssv_pool.registry.following import SyncProgress, registry_sync
from ssv_pool.registry.rpc import ExecutionError
from ssv_pool.registry.sync import RegistrySync, SyncResult
from ssv_pool.store.registry import malformed_counts
from ssv_pool.store.undo import repairs
from workers import schedule
from workers.app import app, context
from workers.changes import registry_changed

EXECUTION_PART = "execution_node"
SYNC_PART = "event_syncer"

STUCK_SECONDS = 120.0
"""A head older than this means that the execution node stands still."""

_log = logger(__name__)
_lock = threading.Lock()
_sync: list[RegistrySync] = []


@app.task(name=schedule.SYNC_REGISTRY)
def sync_registry(key: str, until: float) -> None:
    """Apply all events that are settled. The claim is renewed for as long as that takes."""
    context.run_periodic(key, until, _run)


def _run() -> bool:
    # One sync at a time in a process: it keeps the range that the node accepts. A long one makes the next ones wait.
    if not _lock.acquire(blocking=False):
        return True
    try:
        _follow()
    finally:
        _lock.release()
    return True


def _follow() -> None:
    try:
        before = context.database.version()
        try:
            result = _catch_up()
        finally:
            # Also what was applied before a node failed is news.
            if context.database.version() != before:
                registry_changed(app, context, validators=True)
    except ExecutionError as error:
        context.report(EXECUTION_PART, str(error), nodes=_nodes())
        context.report(SYNC_PART, "waits for the execution node", **_known())
    except UnavailableError as error:
        context.report(SYNC_PART, str(error))
    else:
        context.report(EXECUTION_PART, _stuck(result), head=result.head, nodes=_nodes())
        context.report(SYNC_PART, None, block=result.to_block, lag=result.lag, **_known())


def _catch_up() -> SyncResult:
    progress = SyncProgress(time.monotonic())
    while True:
        result = _registry_sync().step()
        _tell(result)
        if result.caught_up or result.overtaken:
            return result
        if progress.due(result, time.monotonic()):
            _log.info("registry sync goes on", **asdict(progress.state(result, time.monotonic())))
            context.report(SYNC_PART, f"reads the chain, {result.lag} blocks to go", lag=result.lag, **_known())


def _known() -> dict[str, Any]:
    """Figures for health and metrics that the store has counted."""
    with context.database.read() as session:
        return {"malformed": malformed_counts(session), "repairs": asdict(repairs(session))}


def _nodes() -> dict[str, int]:
    """Execution node → blocks behind the best one, -1 when it failed."""
    return {
        node.name.removeprefix("execution node ").partition("://")[2]: -1 if node.problem is not None else node.lag
        for node in _registry_sync().nodes
    }


def _tell(result: SyncResult) -> None:
    if result.rolled_back is not None:
        _log.warning("the chain was reorganised, blocks were taken back", **asdict(result.rolled_back))
    for gap in result.gaps:
        _log.warning("an execution node gave wrong logs, receipts were used", **asdict(gap))
    if result.unbound:
        _log.debug("headers of an unknown fork, taken at the node's word", headers=result.unbound)
    if result.applied or result.malformed:
        _log.info("registry events", to_block=result.to_block, applied=result.applied, lag=result.lag)
    for event in result.malformed:
        _log.warning(
            "malformed registry event",
            block=event.block_number,
            log_index=event.log_index,
            registry_event=event.event,
            reason=event.reason,
            detail=event.detail,
        )


def _stuck(result: SyncResult) -> str | None:
    age = time.time() - result.head_time
    return f"its head {result.head} is {age:.0f} s old" if age > STUCK_SECONDS else None


def _registry_sync() -> RegistrySync:
    if not _sync:
        made = registry_sync(context.settings, context.database)
        _sync.append(made)
    return _sync[0]

"""The task that follows the registry contract."""

import threading
import time

from ssv_pool.errors import UnavailableError
from ssv_pool.observability.logs import logger
from ssv_pool.registry.rpc import ExecutionError
from ssv_pool.registry.sync import RegistrySync, SyncResult
from ssv_pool.store.registry import malformed_counts
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
        context.report(EXECUTION_PART, str(error))
        context.report(SYNC_PART, "waits for the execution node")
    except UnavailableError as error:
        context.report(SYNC_PART, str(error))
    else:
        context.report(EXECUTION_PART, _stuck(result), head=result.head)
        with context.database.read() as session:
            malformed = malformed_counts(session)
        context.report(SYNC_PART, None, block=result.to_block, lag=result.lag, malformed=malformed)


def _catch_up() -> SyncResult:
    while True:
        result = _registry_sync().step()
        _tell(result)
        if result.caught_up or result.overtaken:
            return result


def _tell(result: SyncResult) -> None:
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
        settings = context.settings
        made = RegistrySync(
            settings.execution.nodes,
            context.database,
            settings.contract_address,
            settings.first_block,
            follow_distance=settings.registry.follow_distance,
            batch_blocks=settings.registry.batch_blocks,
            timeout_seconds=settings.execution.timeout_seconds,
        )
        _sync.append(made)
    return _sync[0]

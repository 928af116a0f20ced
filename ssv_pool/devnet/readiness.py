"""Waits until the operators are up: their machines differ in speed, and genesis should find them all at work.

They are started before their beacon node, as after a power cut, and have to live with that.
"""

import time
from collections.abc import Callable, Sequence

import httpx

from ssv_pool.devnet.cluster import OperatorFiles
from ssv_pool.devnet.processes import OperatorProcess
from ssv_pool.errors import UnavailableError

PARTS = ("broker", "execution_node", "event_syncer")
"""Parts whose health does not need a beacon node: node, broker and worker run once these are good."""

BASE_SECONDS, SECONDS_PER_OPERATOR = 60.0, 15.0
"""How long the start may take; importing the libraries takes seconds of CPU for each of the processes."""

POLL_SECONDS = 0.5


def wait_until_up(
    operators: Sequence[OperatorProcess], files: Sequence[OperatorFiles], progress: Callable[[str], None]
) -> None:
    """Wait until every operator's node and worker run.

    Raises:
        UnavailableError: an operator ended, or did not come up in time; the text names its log.
    """
    deadline = time.monotonic() + BASE_SECONDS + SECONDS_PER_OPERATOR * len(files)
    waiting = {item.operator_id: item for item in files}
    with httpx.Client(timeout=2, trust_env=False) as client:
        while waiting:
            progress(f"operators: {len(files) - len(waiting)} of {len(files)} are up")
            for operator in operators:
                if operator.operator_id in waiting and not operator.alive:
                    raise UnavailableError(f"operator {operator.operator_id}: ended, its log is {operator.log}")
            waiting = {number: item for number, item in waiting.items() if not _is_up(client, item)}
            if waiting and time.monotonic() > deadline:
                slow = min(waiting)
                raise UnavailableError(f"operator {slow}: not up in time, its log is {waiting[slow].log}")
            time.sleep(POLL_SECONDS if waiting else 0)


def _is_up(client: httpx.Client, files: OperatorFiles) -> bool:
    try:
        health = client.get(files.health_url).json()
    except (httpx.HTTPError, ValueError):
        return False
    return isinstance(health, dict) and all(health.get(part) == "good" for part in PARTS)

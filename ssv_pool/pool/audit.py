"""The keeper's audit: one line for each thing done, refused or found, in the store and in the log."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from ssv_pool.observability.logs import logger
from ssv_pool.store.database import Database
from ssv_pool.store.pool import AuditLine, add_line

SIGNED: Final = "signed"
SENT: Final = "sent"
PLANNED: Final = "planned"
REFUSED: Final = "refused"
FAILED: Final = "failed"
WARNED: Final = "warned"
NOTED: Final = "noted"

_ALWAYS: Final = frozenset({SIGNED, SENT})
_BAD: Final = frozenset({REFUSED, FAILED, WARNED})

_REMEMBERED: Final = 10_000

_log = logger(__name__)


class Audit:
    """Writes audit lines. What is done is always a line; what is found is one when it changes.

    Args:
        database: where to.
        clock: seconds since the UNIX epoch.
    """

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self._found: OrderedDict[tuple[str, str], tuple[str, str]] = OrderedDict()
        """What was found last, by task and subject: the store is not asked whether that is new."""

    def write(self, task: str, subject: str, outcome: str, detail: str, tx_hash: bytes | None = None) -> bool:
        """Write a line; returns whether it was new. Raises UnavailableError: the store does not take it.

        Args:
            task: the keeper's task.
            subject: what it is about.
            outcome: one of this module's constants.
            detail: one line.
            tx_hash: the transaction, 32 bytes.
        """
        text = " ".join(detail.split())
        if outcome not in _ALWAYS and self._found.get((task, subject)) == (outcome, text):
            return False
        line = AuditLine(self._clock(), task, subject, outcome, text, tx_hash)
        with self._database.session() as session:
            written = add_line(session, line, repeat=outcome in _ALWAYS)
        self._found[task, subject] = (outcome, text)
        if len(self._found) > _REMEMBERED:
            self._found.popitem(last=False)
        if written:
            tell = _log.warning if outcome in _BAD else _log.info
            facts = {} if tx_hash is None else {"transaction": f"0x{tx_hash.hex()}"}
            tell("keeper", task=task, about=subject, outcome=outcome, detail=text, **facts)
        return written

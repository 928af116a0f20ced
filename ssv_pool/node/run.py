"""``node``: opens what the node process needs, runs it until it is told to end, and shows a failure as one line."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack

import trio

from ssv_pool.crypto.files import read_password
from ssv_pool.crypto.key_file import read_key_file
from ssv_pool.errors import SsvPoolError
from ssv_pool.node.process import Node
from ssv_pool.observability.logs import configure_logging
from ssv_pool.settings import Settings
from ssv_pool.signer.slashing import SlashingProtection
from ssv_pool.store.database import Database

SWITCH_SECONDS = 0.001
"""How long the committees' thread may hold the interpreter while the event loop wants it."""


def run_node(settings: Settings) -> None:
    """Run the node until SIGTERM or Ctrl-C.

    Raises:
        SsvPoolError: a key file, port or database that cannot be used.
    """
    configure_logging(settings.log.level, settings.log.format, process="node")
    sys.setswitchinterval(SWITCH_SECONDS)
    password = read_password(settings.operator.password_file)
    keyring = read_key_file(settings.operator.private_key_file, password)
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with ExitStack() as stack:
        protection = stack.enter_context(SlashingProtection(settings.slashing_path))
        database = Database(settings.store_url)
        stack.callback(database.close)
        node = Node(settings, keyring, protection, database)
        stack.callback(node.close)
        try:
            trio.run(node.run)
        except BaseExceptionGroup as group:
            known = _only_ours(group)
            if known is None:
                raise
            raise known from None


def _only_ours(group: BaseExceptionGroup[BaseException]) -> SsvPoolError | None:
    """The first error of a group that consists of errors of ours, so that it can be shown as one line."""
    first, *others = _leaves(group)
    return first if isinstance(first, SsvPoolError) and all(isinstance(o, SsvPoolError) for o in others) else None


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error

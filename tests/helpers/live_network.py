"""The network that fault and growth tests share, and which operator is special in which way.

- Operator 1 runs as separate commands: a node and two workers, on a Valkey server by TCP and, where there is one, on a
  PostgreSQL server.
- Operator 2 is run the default way.
- Operator 3 reaches its chain and its beacon node through proxies.
- Operator 4 has two validators more, whose shares for it are bad; the others run them without it.
"""

import contextlib
from pathlib import Path
from typing import Self

import pytest
from live_cluster import LiveCluster, LiveOperator, SplitOperator, Tampering, ValkeyServer, other_ciphertext
from servers import PostgresServer

from ssv_pool.crypto import operator_keys
from ssv_pool.crypto.shares_data import SharesData

GARBAGE_SHARE = 8
"""Index of the validator whose share for operator 4 does not decrypt."""

FOREIGN_SHARE = 9
"""Index of the validator whose share for operator 4 is another key's."""


class LiveNetwork:
    """A context manager; see above."""

    def __init__(self, folder: Path) -> None:
        self._stack = contextlib.ExitStack()
        garbage = Tampering(
            GARBAGE_SHARE, 4, lambda shares, place, _pem: other_ciphertext(shares, place, b"\x5a" * 256)
        )
        foreign = Tampering(
            FOREIGN_SHARE,
            4,
            lambda shares, place, pem: other_ciphertext(shares, place, operator_keys.encrypt_share(pem, 4711)),
        )
        self.cluster = LiveCluster(folder / "network", tampering=(garbage, foreign))
        self.valkey = ValkeyServer(folder / "valkey")
        self.store_url = ""
        """The PostgreSQL database of operator 1; empty where there is no server."""
        self.no_postgres = ""
        """Why there is none."""
        self.operators: list[LiveOperator] = []

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def operator(self, number: int) -> LiveOperator:
        return self.operators[number - 1]

    @property
    def separate(self) -> SplitOperator:
        """Operator 1."""
        operator = self.operators[0]
        assert isinstance(operator, SplitOperator)
        return operator

    def _start(self) -> None:
        urls: dict[str, str] = {}
        try:
            self.store_url = self._stack.enter_context(PostgresServer()).new_database()
            urls["database_url"] = self.store_url
        except pytest.skip.Exception as reason:
            self.no_postgres = str(reason)
        self.valkey.start()
        self._stack.callback(self.valkey.stop)
        self._stack.enter_context(self.cluster)
        self.cluster.split(self.cluster.operators[0], 2, broker_url=self.valkey.url, **urls)
        self.operators = self.cluster.operators
        self.execution_proxy, self.beacon_proxy = self.cluster.put_behind_proxies(self.operators[2])
        self.cluster.start()
        self.cluster.wait_attesting()


def _garbage(shares: SharesData, place: int, _pem: bytes) -> SharesData:
    return other_ciphertext(shares, place, b"\x5a" * 256)


def _of_another_key(shares: SharesData, place: int, pem: bytes) -> SharesData:
    return other_ciphertext(shares, place, operator_keys.encrypt_share(pem, 4711))

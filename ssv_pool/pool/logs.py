"""Logs of a contract followed block by block: what is settled is read once, the latest blocks at every look."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Generic, TypeVar

from eth_typing import BlockNumber
from web3 import Web3
from web3.exceptions import Web3RPCError
from web3.types import LogReceipt

from ssv_pool.registry.chain import checksummed, translated

SETTLED_BLOCKS: Final = 96
"""Blocks behind the head from which on logs are taken as settled: three epochs."""

_FIRST_RANGE: Final = 2_000
_LARGEST_RANGE: Final = 500_000

_Read = TypeVar("_Read")


class FollowedLogs(Generic[_Read]):
    """The logs of one contract with one of some topics, read into something else. Not for several threads at once.

    Args:
        w3: connection to an execution node.
        address: the contract's.
        topics: first topics, 32 bytes each.
        first_block: no earlier logs are wanted.
        reader: makes of a log what is kept; None drops it.
    """

    def __init__(
        self,
        w3: Web3,
        address: str,
        topics: Sequence[bytes],
        first_block: int,
        reader: Callable[[Mapping[str, Any]], _Read | None],
    ) -> None:
        self._w3 = w3
        self._address = checksummed(address, "contract")
        self._topics: list[Any] = [[f"0x{topic.hex()}" for topic in topics]]
        self._next = first_block
        self._reader = reader
        self._settled: list[_Read] = []

    def up_to(self, block: int) -> list[_Read]:
        """All there is up to a block, in the chain's order.

        Raises:
            ContractError: the node refuses.
            UnavailableError: it does not answer.
        """
        settled = block - SETTLED_BLOCKS
        if settled >= self._next:
            self._settled += self._read(self._next, settled)
            self._next = settled + 1
        return self._settled + self._read(self._next, block)

    def _read(self, low: int, high: int) -> list[_Read]:
        found: list[_Read] = []
        size, refused = _FIRST_RANGE, False
        with translated(self._w3, f"read the logs of {self._address}"):
            while low <= high:
                end = min(high, low + size - 1)
                try:
                    logs = self._ask(low, end)
                except Web3RPCError:
                    if size == 1:
                        raise
                    size, refused = max(1, size // 2), True
                    continue
                logs.sort(key=lambda log: (log["blockNumber"], log["logIndex"]))
                read = [self._reader(log) for log in logs if not log.get("removed", False)]
                found += [item for item in read if item is not None]
                low = end + 1
                if not refused:
                    size = min(2 * size, _LARGEST_RANGE)
        return found

    def _ask(self, low: int, high: int) -> list[LogReceipt]:
        return self._w3.eth.get_logs(
            {
                "address": self._address,
                "topics": self._topics,
                "fromBlock": BlockNumber(low),
                "toBlock": BlockNumber(high),
            }
        )

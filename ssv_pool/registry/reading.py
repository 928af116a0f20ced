"""Reading a range of blocks so that nothing is missing: logs compared with what headers and receipts say.

A node answers ``eth_getLogs`` from an index, and an index may lack blocks without anybody noticing. A header cannot: it
is bound to its hash, and its bloom says whether a block can have events of the contract. Where it can, the block's
receipts are fetched; they must make up the header's receipts root, and their logs are what counts.

Blocks near the head are all compared. Of older ones this is done for a random sample, for those with logs that the
bloom does not allow, and for those where a second node says something else; all of a range once one block of it was
wrong.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ssv_pool.registry.abi import EVENTS
from ssv_pool.registry.events import Log, event_of
from ssv_pool.registry.headers import Header
from ssv_pool.registry.rpc import ExecutionError, ExecutionNode
from ssv_pool.store.cursor import Block

FULL_CHECK_BLOCKS = 7_200
"""So many blocks up to the head, a day's, are all compared with their headers by default."""

SAMPLE_ONE_IN = 64
"""One of so many older blocks is compared with its header by default."""


@dataclass(frozen=True, slots=True)
class Verification:
    """How closely logs are compared with headers."""

    full_blocks: int = FULL_CHECK_BLOCKS
    """So many blocks up to the head are all compared."""
    one_in: int = SAMPLE_ONE_IN
    """Of older blocks one in so many is; 1 compares all, 0 none."""
    second_node: bool = True
    """Whether the logs of older blocks are compared with another node's, where there is one."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A block whose logs a node gave wrongly; what was applied are those of its receipts."""

    block_number: int
    node: str
    missing: int
    """Events that the receipts have and the answer lacked."""
    false: int
    """Events that the answer had and the receipts have not."""

    def __str__(self) -> str:
        return f"block {self.block_number}: {self.node} left out {self.missing} events and made up {self.false}"


@dataclass(slots=True)
class ReadRange:
    """The events of a range of blocks."""

    blocks: list[tuple[Block, list[Log]]] = field(default_factory=list)
    """The blocks that have events, with them, and the last block of the range."""
    gaps: list[Gap] = field(default_factory=list)
    """What was wrong at first."""
    compared: int = 0
    """Blocks that were compared with their headers."""
    receipts: int = 0
    """Blocks whose receipts were fetched, because the bloom allows events."""
    unbound: int = 0
    """Headers with fields of an unknown fork: what they say is the node's word."""
    second: str | None = None
    """The other node whose logs were compared."""


class RangeReader:
    """Reads ranges of blocks.

    Args:
        contract: the contract's address, 20 bytes.
        verification: how closely logs are compared with headers.
        choice: draws the sample.
    """

    def __init__(self, contract: bytes, verification: Verification, choice: random.Random | None = None) -> None:
        self._contract = contract
        self._verification = verification
        # A sample that a node could foresee would prove nothing about a node that wants to hide something.
        self._random = choice or random.SystemRandom()

    def read(
        self,
        node: ExecutionNode,
        start: int,
        end: int,
        head: int,
        *,
        parent: bytes | None = None,
        second: ExecutionNode | None = None,
        trusted: bool = True,
    ) -> ReadRange:
        """The events of blocks ``start`` to ``end``.

        Args:
            node: whom to ask.
            start: the first block.
            end: the last block.
            head: the latest block: how far from it a block is says how closely it is looked at.
            parent: hash of the block before ``start``, 32 bytes, where it is known.
            second: another node, to compare old blocks with.
            trusted: whether the node never gave logs wrongly; if it did, all blocks are compared.

        Raises:
            RefusedError: the node refused: perhaps the range is too large.
            ExecutionError: the node cannot be reached, or its answers cannot be right or do not fit together.
        """
        reading = _Reading(self._contract, node, start, end, parent)
        reading.fetch_logs()
        recent = max(start, head - self._verification.full_blocks + 1)
        old = range(start, min(recent, end + 1))
        chosen = set(range(recent, end + 1))
        if self._verification.one_in == 1 or not trusted:
            chosen.update(old)
        elif self._verification.one_in:
            chosen.update(self._random.sample(old, -(-len(old) // self._verification.one_in)))
        if old and second is not None and self._verification.second_node and len(chosen) < end - start + 1:
            chosen |= reading.differing(second, old)
        reading.compare(chosen)
        if reading.result.gaps and len(chosen) < end - start + 1:
            reading.compare(set(range(start, end + 1)) - chosen)
        reading.finish()
        return reading.result


class _Reading:
    """One range while it is read."""

    def __init__(self, contract: bytes, node: ExecutionNode, start: int, end: int, parent: bytes | None) -> None:
        self.result = ReadRange()
        self._contract = contract
        self._node = node
        self._start = start
        self._end = end
        self._parent = parent
        self._headers: dict[int, Header] = {}
        self._logs: dict[int, list[Log]] = {}

    def fetch_logs(self) -> None:
        # The chain under the range must not change while it is read: the last block's hash is compared at the end.
        self._fetch_headers([self._end])
        self._logs = _by_block(self._node.logs(self._contract, self._start, self._end))

    def differing(self, second: ExecutionNode, old: range) -> set[int]:
        """The blocks of ``old`` about which another node says something else; none when it cannot be asked."""
        try:
            other = _by_block(second.logs(self._contract, old[0], old[-1]))
        except ExecutionError:
            return set()
        self.result.second = second.name
        mine = self._logs
        return {
            number
            for number in mine.keys() | other.keys()
            if number in old and _contents(mine.get(number, ())) != _contents(other.get(number, ()))
        }

    def compare(self, numbers: Iterable[int]) -> None:
        """Compare these blocks, and those whose logs cannot be theirs, with their headers."""
        chosen = set(numbers)
        self._fetch_headers(sorted((chosen | self._logs.keys()) - self._headers.keys()))
        self.result.compared += len(chosen)
        impossible = {number for number in self._logs if not self._allowed(number)}
        for number in sorted(chosen | impossible):
            header = self._headers[number]
            given = self._logs.get(number, [])
            proven: list[Log] = []
            if self._allowed(number):
                self.result.receipts += 1
                proven = _known(self._node.proven_logs(header, self._contract))
            if _contents(proven) == _contents(given):
                continue
            found, said = set(_contents(proven)), set(_contents(given))
            self.result.gaps.append(Gap(number, self._node.name, len(found - said), len(said - found)))
            self._logs.pop(number, None)
            if proven:
                self._logs[number] = proven

    def finish(self) -> None:
        """Put the blocks together. Raises ExecutionError when they are not of one chain."""
        for number, header in self._headers.items():
            before = self._headers.get(number - 1)
            parent = self._parent if number == self._start else None if before is None else before.block.hash
            if parent is not None and header.block.parent_hash != parent:
                raise ExecutionError(f"{self._node.name}: block {number} does not follow the block before it")
        if self._node.block(self._end) != self._headers[self._end].block:
            raise ExecutionError(f"{self._node.name}: block {self._end} changed while its logs were read")
        self._logs.setdefault(self._end, [])
        for number, logs in sorted(self._logs.items()):
            block = self._headers[number].block
            if any(log.block_hash != block.hash for log in logs):
                raise ExecutionError(
                    f"{self._node.name}: logs of block {number} are not of the block that is in the chain"
                )
            self.result.blocks.append((block, logs))
        self.result.unbound = sum(not header.bound for header in self._headers.values())

    def _allowed(self, number: int) -> bool:
        return self._headers[number].may_have_logs(self._contract, EVENTS)

    def _fetch_headers(self, numbers: Sequence[int]) -> None:
        self._headers.update(
            (header.block.number, header) for header in (self._node.headers(numbers) if numbers else ())
        )


def _known(logs: Iterable[Log]) -> list[Log]:
    return [log for log in logs if event_of(log) is not None]


def _by_block(logs: Iterable[Log]) -> dict[int, list[Log]]:
    """The logs that this client acts upon, by block."""
    found: dict[int, list[Log]] = {}
    for log in _known(logs):
        found.setdefault(log.block_number, []).append(log)
    return found


def _contents(logs: Sequence[Log]) -> list[tuple[int, tuple[bytes, ...], bytes]]:
    """What must be equal: the place in the block, topics and data."""
    return [(log.log_index, log.topics, log.data) for log in logs]

"""Following the registry contract: block by block, from the execution node into the store.

One step reads one range of blocks. Each block's events and the cursor go into the store in one transaction, which the
cursor's old place must allow: two processes may sync at once, a block is applied once. A step that fails has applied
whole blocks or nothing; the next one goes on from there.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

from ssv_pool.errors import ConfigError
from ssv_pool.registry.events import Log, event_of
from ssv_pool.registry.handler import EventHandler
from ssv_pool.registry.rpc import ExecutionError, ExecutionNode, RefusedError
from ssv_pool.store.cursor import (
    Block,
    Cursor,
    EventRecord,
    advance,
    note_head,
    open_cursor,
    prune_blocks,
    read_cursor,
    record_block,
)
from ssv_pool.store.database import Database

FOLLOW_DISTANCE = 8
"""Blocks behind the head that the field's clients take as settled."""

BATCH_BLOCKS = 200
"""Blocks asked for at once, at the most."""

_GRANTED_BEFORE_GROWTH = 4
"""A provider's limit seldom moves: trying a larger range at every turn would have every second query refused."""


@dataclass(frozen=True, slots=True)
class MalformedEvent:
    """An event that breaks a rule."""

    block_number: int
    log_index: int
    event: str
    reason: str
    """One of the values of ``ssv_pool.registry.handler.Malformed``."""
    detail: str
    """One line for a person."""


@dataclass(frozen=True, slots=True)
class SyncResult:
    """What one step did."""

    from_block: int
    """First block that was looked at."""
    to_block: int
    """Last block applied now, by this process or another; ``from_block`` - 1 when there was nothing to do."""
    head: int
    """The chain's latest block."""
    head_time: int
    """Its timestamp, seconds since the UNIX epoch: an old one means that the execution node is stuck."""
    lag: int
    """Blocks that may be applied but are not yet: head - follow distance - ``to_block``, at least 0."""
    applied: int = 0
    """Events that changed the registry."""
    ignored: int = 0
    """Events without effect."""
    malformed: tuple[MalformedEvent, ...] = field(default=())
    """Events that break a rule."""
    overtaken: bool = False
    """Another process applied blocks of this range meanwhile."""

    @property
    def caught_up(self) -> bool:
        """Whether there is nothing left to apply for now."""
        return self.lag == 0


class RegistrySync:
    """Brings one registry contract's events into the store.

    Args:
        nodes: JSON-RPC URLs of execution nodes, best first; each step is done with the first that can.
        database: the store, with its tables.
        contract: the contract's address, 0x and 40 hex digits.
        first_block: the first block that may have events: that of the contract's deployment.
        follow_distance: blocks behind the head that are taken as settled.
        batch_blocks: blocks asked for at once, at the most. Halved while a node refuses, doubled again later.
        timeout_seconds: time limit of one request.
        handler: what applies the events.

    Raises:
        ConfigError: the address is none.
    """

    def __init__(
        self,
        nodes: Sequence[str],
        database: Database,
        contract: str,
        first_block: int,
        *,
        follow_distance: int = FOLLOW_DISTANCE,
        batch_blocks: int = BATCH_BLOCKS,
        timeout_seconds: float = 10.0,
        handler: EventHandler | None = None,
    ) -> None:
        self._nodes = [ExecutionNode(url, timeout_seconds) for url in nodes]
        self._database = database
        self._contract = _address(contract)
        self._first_block = first_block
        self._follow_distance = follow_distance
        self._batch_blocks = batch_blocks
        self._range = batch_blocks
        self._granted = 0
        self._handler = handler or EventHandler()
        self._checked: set[ExecutionNode] = set()

    @property
    def range_blocks(self) -> int:
        """Blocks that the next step asks for at the most."""
        return self._range

    def close(self) -> None:
        """Close the connections to the execution nodes."""
        for node in self._nodes:
            node.close()

    def step(self) -> SyncResult:
        """Apply the next range of blocks, if there is one. To be called again at once until ``caught_up``.

        Raises:
            UnavailableError: no execution node could do it, or the store cannot be reached; to be tried again later.
        """
        problems = []
        for node in self._nodes:
            try:
                return self._step(node)
            except ExecutionError as error:
                # Whatever was checked of it may hold no longer: it may come back as another chain.
                self._checked.discard(node)
                problems.append(str(error))
        raise ExecutionError("; ".join(problems) or "execution node: none configured")

    def _step(self, node: ExecutionNode) -> SyncResult:
        node.check_synced()
        cursor = self._open_cursor(node)
        head = node.head()
        self._check_chain(node, cursor)
        start = cursor.block_number + 1
        settled = head.number - self._follow_distance
        if start > settled:
            if head.number != cursor.head_number:
                with self._database.session() as session:
                    note_head(session, head.number)
            return SyncResult(start, start - 1, head.number, head.time, lag=0)
        end, logs = self._read_range(node, start, settled)
        blocks = self._blocks(node, logs, end)
        return self._apply(start, head, blocks, settled)

    def _open_cursor(self, node: ExecutionNode) -> Cursor:
        if node in self._checked:
            with self._database.read() as session:
                cursor = read_cursor(session)
            if cursor is not None:
                return cursor
        chain_id = node.chain_id()
        if not node.has_code(self._contract):
            raise ExecutionError(f"{node.name}: no contract at 0x{self._contract.hex()} on chain {chain_id}")
        try:
            with self._database.session() as session:
                cursor = open_cursor(session, chain_id, self._contract, self._first_block)
        except ConfigError as error:
            # The node may be the one that is wrong: another may serve the right chain.
            raise ExecutionError(f"{node.name}: chain {chain_id}; {error}") from error
        self._checked.add(node)
        return cursor

    def _check_chain(self, node: ExecutionNode, cursor: Cursor) -> None:
        """The last block applied must still be in the chain."""
        if cursor.block_hash is None:
            return
        block = node.block(cursor.block_number)
        if block is None:
            raise ExecutionError(f"{node.name}: behind, has no block {cursor.block_number} (applied already)")
        if block.hash != cursor.block_hash:
            raise ExecutionError(
                f"{node.name}: block {block.number} is 0x{block.hash.hex()}, but 0x{cursor.block_hash.hex()} was "
                f"applied: another chain, or one reorganised deeper than {self._follow_distance} blocks"
            )

    def _read_range(self, node: ExecutionNode, start: int, settled: int) -> tuple[int, list[Log]]:
        """The logs from block ``start`` on, up to the block that is returned with them: as far as the node lets us."""
        while True:
            end = min(start + self._range - 1, settled)
            try:
                before = node.block(end)
                logs = node.logs(self._contract, start, end)
            except RefusedError:
                asked = end - start + 1
                if asked == 1:
                    raise
                self._range = max(1, asked // 2)
                self._granted = 0
                continue
            # The chain under the range must not have changed while the logs were read.
            if before is None or node.block(end) != before:
                raise ExecutionError(f"{node.name}: block {end} changed while its logs were read")
            self._let_range_grow(end - start + 1)
            return end, logs

    def _let_range_grow(self, blocks: int) -> None:
        """Double the range after some ranges in a row that the node gave in full; one refusal starts the count anew."""
        if blocks == self._range < self._batch_blocks:
            self._granted += 1
            if self._granted >= _GRANTED_BEFORE_GROWTH:
                self._range = min(self._range * 2, self._batch_blocks)
                self._granted = 0

    def _blocks(self, node: ExecutionNode, logs: Sequence[Log], end: int) -> list[tuple[Block, list[Log]]]:
        """The blocks that have events of ours, with them, and the last block of the range."""
        known = (log for log in logs if event_of(log) is not None)
        grouped = {number: list(group) for number, group in groupby(known, key=lambda log: log.block_number)}
        grouped.setdefault(end, [])
        blocks = []
        for number, its_logs in grouped.items():
            block = node.block(number)
            if block is None or any(log.block_hash != block.hash for log in its_logs):
                raise ExecutionError(f"{node.name}: logs of block {number} are not of the block that is in the chain")
            blocks.append((block, its_logs))
        return blocks

    def _apply(self, start: int, head: Block, blocks: Sequence[tuple[Block, list[Log]]], settled: int) -> SyncResult:
        done = start - 1
        records: list[tuple[Block, EventRecord]] = []
        overtaken = False
        for block, logs in blocks:
            with self._database.session() as session:
                overtaken = not advance(session, done, block)
                if overtaken:
                    cursor = read_cursor(session)
                    done = cursor.block_number if cursor is not None else done
                    break
                events = self._handler.apply(session, block, logs)
                record_block(session, block, events)
                note_head(session, head.number)
                prune_blocks(session, block.number)
            records += [(block, event) for event in events]
            done = block.number
        return SyncResult(
            from_block=start,
            to_block=done,
            head=head.number,
            head_time=head.time,
            lag=max(0, settled - done),
            applied=sum(event.outcome == "applied" for _, event in records),
            ignored=sum(event.outcome == "ignored" for _, event in records),
            malformed=tuple(
                MalformedEvent(block.number, event.log_index, event.name, event.reason or "", event.detail or "")
                for block, event in records
                if event.outcome == "malformed"
            ),
            overtaken=overtaken,
        )


def _address(text: str) -> bytes:
    try:
        raw = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raw = b""
    if len(raw) != 20:
        raise ConfigError(f"registry.contract: found {text!r}, expected 0x and 40 hex digits")
    return raw

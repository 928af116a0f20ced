"""Following the registry contract: block by block, from the execution node into the store.

One step reads one range of blocks. Events and the cursor go into the store in one transaction, which the cursor's old
place must allow: two processes may sync at once, a block is applied once. A step that fails has applied whole blocks or
nothing; the next one goes on from there, also after ``kill -9``.

Where the last block applied is in the chain no more, on any node that can be asked, the blocks that were lost are taken
back.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy.orm import Session

from ssv_pool.errors import ConfigError
from ssv_pool.registry.events import Log
from ssv_pool.registry.handler import EventHandler
from ssv_pool.registry.nodes import NodeRanking, NodeState
from ssv_pool.registry.reading import Gap, RangeReader, ReadRange, Verification
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
    record_blocks,
)
from ssv_pool.store.database import Database
from ssv_pool.store.pending import flush_pending
from ssv_pool.store.undo import UNDO_BLOCKS, can_go_back, go_back, kept_blocks, note_repair, prune_undo, recorded

FOLLOW_DISTANCE = 8
"""Blocks behind the head that the field's clients take as settled."""

BATCH_BLOCKS = 200
"""Blocks asked for at once, at the most."""

_GRANTED_BEFORE_GROWTH = 4
"""A provider's limit seldom moves: trying a larger range at every turn would have every second query refused."""


_EVENTS_AT_ONCE = 1000
"""Events of a transaction, unless one block has more: the store's other writers wait for its end."""


class ReorganisedError(ExecutionError):
    """The last block applied is not in this node's chain."""


@dataclass(frozen=True, slots=True)
class Rollback:
    """Applied blocks that were taken back."""

    from_block: int
    """The last block applied before."""
    to_block: int
    """The last one that stayed."""
    changes: int
    """Changes of the registry that were undone."""


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
    gaps: tuple[Gap, ...] = field(default=())
    """Blocks whose logs the node gave wrongly; what was applied is what their receipts hold."""
    compared: int = 0
    """Blocks that were compared with their headers."""
    unbound: int = 0
    """Headers of a fork that this client does not know: what they say is the node's word."""
    rolled_back: Rollback | None = None
    """What was taken back first, because the chain was reorganised."""

    @property
    def caught_up(self) -> bool:
        """Whether there is nothing left to apply for now."""
        return self.lag == 0


class RegistrySync:
    """Brings one registry contract's events into the store.

    Args:
        nodes: JSON-RPC URLs of execution nodes, best first; each step is done with the best that can.
        database: the store, with its tables.
        contract: the contract's address, 0x and 40 hex digits.
        first_block: the first block that may have events: that of the contract's deployment.
        follow_distance: blocks behind the head that are taken as settled.
        batch_blocks: blocks asked for at once, at the most. Halved while a node refuses, doubled again later.
        timeout_seconds: time limit of one request.
        handler: what applies the events.
        verification: how closely logs are compared with the headers.

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
        verification: Verification | None = None,
    ) -> None:
        self._nodes = [ExecutionNode(url, timeout_seconds) for url in nodes]
        self._ranking = NodeRanking(self._nodes)
        self._database = database
        self._contract = _address(contract)
        self._first_block = first_block
        self._follow_distance = follow_distance
        self._batch_blocks = batch_blocks
        self._range = batch_blocks
        self._granted = 0
        self._handler = handler or EventHandler()
        self._reader = RangeReader(self._contract, verification or Verification())
        self._checked: set[ExecutionNode] = set()

    @property
    def nodes(self) -> tuple[NodeState, ...]:
        """How the execution nodes are, in the order in which they are configured."""
        return self._ranking.states()

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
        reorganised = []
        for node in self._ranking.ranked():
            try:
                return self._step(node)
            except ExecutionError as error:
                self._note_failure(node, error)
                problems.append(str(error))
                if isinstance(error, ReorganisedError):
                    reorganised.append(node)
        # Only now: a node that still has the block would have been followed.
        for node in reorganised:
            try:
                rolled_back = self._roll_back(node)
                return replace(self._step(node), rolled_back=rolled_back)
            except ExecutionError as error:
                self._note_failure(node, error)
                problems.append(str(error))
        raise ExecutionError("; ".join(dict.fromkeys(problems)) or "execution node: none configured")

    def _note_failure(self, node: ExecutionNode, error: ExecutionError) -> None:
        # Whatever was checked of it may hold no longer: it may come back as another chain.
        self._checked.discard(node)
        self._ranking.failed(node, str(error))

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
            self._ranking.answered(node, head.number)
            return SyncResult(start, start - 1, head.number, head.time, lag=0)
        found = self._read_range(node, cursor, settled, head)
        self._ranking.answered(node, head.number)
        if found.gaps:
            self._ranking.told_falsehood(node, len(found.gaps))
        return self._apply(start, head, found, settled)

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
            raise ReorganisedError(
                f"{node.name}: block {block.number} is 0x{block.hash.hex()}, but 0x{cursor.block_hash.hex()} was "
                f"applied: another chain, or one reorganised deeper than {self._follow_distance} blocks"
            )

    def _roll_back(self, node: ExecutionNode) -> Rollback | None:
        """Take back what is not in this node's chain; None when another process did so meanwhile."""
        with self._database.read() as session:
            cursor = read_cursor(session)
            kept = kept_blocks(session, self._first_block - 1)
        if cursor is None or cursor.block_hash is None:
            return None
        # Blocks up to the fork are the same, all later ones are not.
        low, high = 0, len(kept)
        ancestor: Block | None = None
        while low < high:
            middle = (low + high) // 2
            number, block_hash = kept[middle]
            block = node.block(number)
            if block is not None and block.hash == block_hash:
                low, ancestor = middle + 1, block
            else:
                high = middle
        stays = self._first_block - 1 if ancestor is None else ancestor.number
        with self._database.session() as session:
            if not can_go_back(session, stays):
                raise ExecutionError(
                    f"{node.name}: its chain and what was applied have no block after {stays} in common, and only "
                    f"{UNDO_BLOCKS} blocks can be taken back; if it is the right chain, read all anew with "
                    "`ssv-pool registry sync --rebuild`"
                )
            undone = go_back(session, cursor, ancestor, self._first_block)
            if undone is None:
                return None
            note_repair(
                session, "rollback", stays, f"from block {cursor.block_number} to {stays}, {undone} changes undone"
            )
        return Rollback(cursor.block_number, stays, undone)

    def _read_range(self, node: ExecutionNode, cursor: Cursor, settled: int, head: Block) -> ReadRange:
        """The blocks from the cursor on, as many as the node lets us have."""
        start = cursor.block_number + 1
        second = next((other for other in self._ranking.ranked() if other is not node), None)
        while True:
            end = min(start + self._range - 1, settled)
            try:
                found = self._reader.read(
                    node,
                    start,
                    end,
                    head.number,
                    parent=cursor.block_hash,
                    second=second,
                    trusted=self._ranking.trusted(node),
                )
            except RefusedError:
                asked = end - start + 1
                if asked == 1:
                    raise
                self._range = max(1, asked // 2)
                self._granted = 0
                continue
            self._let_range_grow(end - start + 1)
            return found

    def _let_range_grow(self, blocks: int) -> None:
        """Double the range after some ranges in a row that the node gave in full; one refusal starts the count anew."""
        if blocks == self._range < self._batch_blocks:
            self._granted += 1
            if self._granted >= _GRANTED_BEFORE_GROWTH:
                self._range = min(self._range * 2, self._batch_blocks)
                self._granted = 0

    def _apply(self, start: int, head: Block, found: ReadRange, settled: int) -> SyncResult:
        done = start - 1
        records: list[tuple[Block, EventRecord]] = []
        gaps: list[Gap] = []
        overtaken = False
        for part in _parts(found.blocks):
            with self._database.read() as session:
                # The expensive checks come first, so that the store is not held while they run.
                self._handler.prepare(session, [log for _, logs in part for log in logs])
            last = part[-1][0]
            repaired = [gap for gap in found.gaps if done < gap.block_number <= last.number]
            with self._database.session() as session:
                overtaken = not advance(session, done, last)
                if overtaken:
                    cursor = read_cursor(session)
                    done = cursor.block_number if cursor is not None else done
                    break
                with session.no_autoflush:
                    self._handler.preload(session)
                    made = [(block, self._apply_block(session, head, block, logs)) for block, logs in part]
                    flush_pending(session)
                record_blocks(session, made)
                for gap in repaired:
                    note_repair(session, "gap", gap.block_number, str(gap))
                note_head(session, head.number)
                prune_blocks(session, last.number)
                prune_undo(session, last.number)
            records += [(block, event) for block, events in made for event in events]
            gaps += repaired
            done = last.number
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
            gaps=tuple(gaps),
            compared=found.compared,
            unbound=found.unbound,
        )

    def _apply_block(self, session: Session, head: Block, block: Block, logs: list[Log]) -> list[EventRecord]:
        if not logs or block.number <= head.number - UNDO_BLOCKS:
            return self._handler.apply(session, block, logs)
        with recorded(session, block.number):
            return self._handler.apply(session, block, logs)


def _parts(blocks: Sequence[tuple[Block, list[Log]]]) -> Iterator[list[tuple[Block, list[Log]]]]:
    """Blocks that go into one transaction."""
    part: list[tuple[Block, list[Log]]] = []
    events = 0
    for block, logs in blocks:
        if part and events + len(logs) > _EVENTS_AT_ONCE:
            yield part
            part, events = [], 0
        part.append((block, logs))
        events += len(logs)
    if part:
        yield part


def _address(text: str) -> bytes:
    try:
        raw = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raw = b""
    if len(raw) != 20:
        raise ConfigError(f"registry.contract: found {text!r}, expected 0x and 40 hex digits")
    return raw

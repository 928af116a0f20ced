"""What all areas of the API share: answers, errors, and how requests name states, blocks, epochs and validators."""

import json
from typing import Any

from aiohttp import web

from ssv_pool.devnet.beacon.codec import JsonError, parse_hex, parse_json, parse_uint
from ssv_pool.devnet.beacon.genesis import FORK_NAME
from ssv_pool.devnet.beacon.history import BlockEntry
from ssv_pool.devnet.beacon.node import BeaconNode


class ApiError(Exception):
    """An answer other than success: HTTP status, text, and for lists of objects which of them failed."""

    def __init__(self, status: int, message: str, failures: list[tuple[int, str]] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.failures = failures

    def response(self) -> web.Response:
        """The Beacon API's error object (ErrorMessage or IndexedErrorMessage)."""
        body: dict[str, Any] = {"code": self.status, "message": self.message}
        if self.failures is not None:
            body["failures"] = [{"index": index, "message": text} for index, text in self.failures]
        return json_response(body, status=self.status)


def json_response(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """An answer with compact JSON."""
    raw = json.dumps(body, separators=(",", ":")).encode()
    return web.Response(body=raw, status=status, headers=headers, content_type="application/json")


def answer(data: Any, **fields: Any) -> web.Response:
    """A successful answer: ``data`` with the fields that stand beside it."""
    return json_response({**fields, "data": data})


def versioned(data: Any, **fields: Any) -> web.Response:
    """A successful answer whose form depends on the fork."""
    body = {"version": FORK_NAME, **fields, "data": data}
    return json_response(body, headers={"Eth-Consensus-Version": FORK_NAME})


def hex_of(raw: Any) -> str:
    """``0x`` hex of bytes."""
    return "0x" + bytes(raw).hex()


async def json_body(request: web.Request) -> Any:
    """The request's JSON. Raises JsonError."""
    return parse_json(await request.read())


def query_values(request: web.Request, name: str) -> list[str]:
    """The values of a query parameter that may be repeated or hold a comma list; empty if it is absent."""
    return [value for text in request.query.getall(name, []) for value in text.split(",") if value]


def query_uint(request: web.Request, name: str) -> int | None:
    """An optional numeric query parameter. Raises JsonError."""
    text = request.query.get(name)
    return None if text is None else parse_uint(text, name)


def required_query_uint(request: web.Request, name: str) -> int:
    """A numeric query parameter. Raises JsonError: missing or no number."""
    return parse_uint(request.query.get(name), name)


def path_uint(request: web.Request, name: str) -> int:
    """A numeric part of the path. Raises JsonError."""
    return parse_uint(request.match_info[name], name)


def index_list(value: Any) -> list[int]:
    """Validator indices from a JSON array of decimal strings. Raises JsonError."""
    if not isinstance(value, list):
        raise JsonError("body: expected an array of validator indices")
    return [parse_uint(entry, f"body[{place}]") for place, entry in enumerate(value)]


def find_block(node: BeaconNode, identifier: str) -> BlockEntry:
    """The block that ``head``, ``genesis``, ``justified``, ``finalized``, a slot or a root means.

    Raises:
        ApiError: 404, there is none.
        JsonError: the identifier is malformed.
    """
    chain = node.chain
    chain.tick()
    chain.head()
    history = chain.history
    if identifier == "head":
        return history.head
    if identifier == "genesis":
        return history.genesis
    entry: BlockEntry | None
    if identifier in ("justified", "finalized"):
        entry = history.get(bytes(getattr(chain.store, f"{identifier}_checkpoint").root))
    elif identifier.startswith("0x"):
        entry = history.get(parse_hex(identifier, "block_id", 32))
    else:
        entry = history.at(parse_uint(identifier, "block_id"))
    if entry is None:
        raise ApiError(404, f"block {identifier}: not found")
    return entry


def find_state(node: BeaconNode, identifier: str) -> Any:
    """The state that ``head``, ``genesis``, ``justified``, ``finalized``, a slot or a state root means.

    The head state is the head's at the current slot. States from before finality are not kept.

    Raises:
        ApiError: 404, there is none.
        JsonError: the identifier is malformed.
    """
    chain = node.chain
    chain.tick()
    if identifier == "head":
        return chain.current_state()
    if identifier == "genesis":
        return chain.genesis_state
    entry: BlockEntry | None
    if identifier.startswith("0x"):
        entry = chain.history.find_state(parse_hex(identifier, "state_id", 32))
    elif identifier in ("justified", "finalized"):
        entry = find_block(node, identifier)
    else:
        chain.head()
        slot = parse_uint(identifier, "state_id")
        if slot > node.clock.slot():
            raise ApiError(404, f"state {identifier}: the current slot is {node.clock.slot()}")
        entry = chain.history.at_or_before(slot)
        if node.spec.Root(entry.root) in chain.store.block_states:
            return chain.state_at(slot, entry.root)
    if entry is None or node.spec.Root(entry.root) not in chain.store.block_states:
        raise ApiError(404, f"state {identifier}: not found")
    return chain.store.block_states[node.spec.Root(entry.root)]


def is_finalized(node: BeaconNode, slot: int) -> bool:
    """Whether everything at ``slot`` is final."""
    epoch = int(node.chain.store.finalized_checkpoint.epoch)
    return slot <= epoch * node.clock.slots_per_epoch

"""What all areas of the API share: answers, errors, and how requests name states, blocks, epochs and validators."""

import asyncio
import json
from typing import Any

from aiohttp import web
from remerkleable.complex import List

from ssv_pool.devnet.beacon.codec import JsonError, from_json, parse_hex, parse_json, parse_uint, to_json
from ssv_pool.devnet.beacon.genesis import FORK_NAME
from ssv_pool.devnet.beacon.history import BlockEntry
from ssv_pool.devnet.beacon.node import BeaconNode

MAX_OBJECTS = 1 << 16
"""Most objects in one request."""

PARSED_AT_ONCE = 64
"""Objects made of JSON in one go: some 10 ms."""


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


SSZ = "application/octet-stream"
"""Media type of SSZ in the Beacon API."""

_JSON = "application/json"


def wants_ssz(request: web.Request) -> bool:
    """Whether the request's Accept header prefers SSZ to JSON.

    Raises:
        ApiError: 406, it accepts neither.
    """
    header = request.headers.get("Accept", "*/*")
    best: dict[str, float] = {}
    for part in header.split(","):
        media, *parameters = (piece.strip() for piece in part.split(";"))
        weight = next((_weight(entry[2:]) for entry in parameters if entry.startswith("q=")), 1.0)
        for kind in (SSZ, _JSON):
            if media.lower() == kind or (kind == _JSON and media in ("*/*", "application/*")):
                best[kind] = max(best.get(kind, 0.0), weight)
    if not any(best.values()):
        raise ApiError(406, f"Accept {header[:100]}: expected {_JSON} or {SSZ}")
    return best.get(SSZ, 0.0) > best.get(_JSON, 0.0) or (SSZ in best and _JSON not in best)


def _weight(text: str) -> float:
    try:
        return min(1.0, max(0.0, float(text)))
    except ValueError:
        return 0.0


def ssz_or_json(request: web.Request, view: Any, **fields: Any) -> web.Response:
    """A successful answer whose form depends on the fork, as SSZ if the request prefers that."""
    if wants_ssz(request):
        return web.Response(body=view.encode_bytes(), content_type=SSZ, headers={"Eth-Consensus-Version": FORK_NAME})
    return versioned(to_json(view), **fields)


def check_version(request: web.Request, required: bool = True) -> None:
    """Check that Eth-Consensus-Version names this chain's fork. Raises JsonError."""
    version = request.headers.get("Eth-Consensus-Version")
    if version != FORK_NAME and (required or version is not None):
        raise JsonError(f"header Eth-Consensus-Version: found {version}, expected {FORK_NAME}")


def sent_as_ssz(request: web.Request) -> bool:
    """Whether the request's body is SSZ. Raises ApiError: 415, it is neither SSZ nor JSON."""
    kind = request.content_type.lower()
    # Without a header a body is taken for JSON; the HTTP library then says application/octet-stream.
    if "Content-Type" not in request.headers or kind == _JSON:
        return False
    if kind != SSZ:
        raise ApiError(415, f"Content-Type {kind}: expected {_JSON} or {SSZ}")
    return True


async def body_object(request: web.Request, ssz_type: Any) -> Any:
    """The object in the request's body, JSON or SSZ.

    Raises:
        JsonError: the body is no such object.
        ApiError: 415, an unknown media type.
    """
    if sent_as_ssz(request):
        return _decode(ssz_type, await request.read())
    return from_json(ssz_type, await json_body(request))


async def body_list(request: web.Request, ssz_type: Any) -> tuple[dict[int, Any], int, list[tuple[int, str]]]:
    """The objects of an array in the request's body by their place, its length, and what was malformed at which place.

    Raises:
        JsonError: the body is no array of up to ``MAX_OBJECTS``.
        ApiError: 415, an unknown media type.
    """
    if sent_as_ssz(request):
        decoded = list(_decode(List[ssz_type, MAX_OBJECTS], await request.read()))
        return dict(enumerate(decoded)), len(decoded), []
    body = await json_body(request)
    if not isinstance(body, list) or len(body) > MAX_OBJECTS:
        raise JsonError(f"body: expected an array of at most {MAX_OBJECTS} {ssz_type.__name__}")
    parsed: dict[int, Any] = {}
    failures: list[tuple[int, str]] = []
    for place, value in enumerate(body):
        try:
            parsed[place] = from_json(ssz_type, value)
        except JsonError as error:
            failures.append((place, str(error)))
        if place % PARSED_AT_ONCE == PARSED_AT_ONCE - 1:
            await asyncio.sleep(0)  # other requests get their turn
    return parsed, len(body), failures


def _decode(ssz_type: Any, raw: bytes) -> Any:
    try:
        view = ssz_type.decode_bytes(raw)
        canonical = view.encode_bytes() == raw
    except Exception as error:  # the SSZ library raises nothing more precise
        raise JsonError(f"body: {len(raw)} bytes are no {ssz_type.__name__} ({error})") from error
    if not canonical:
        raise JsonError(f"body: not the canonical encoding of a {ssz_type.__name__}")
    return view


def tell_failures(failures: list[tuple[int, str]], count: int, what: str) -> web.Response:
    """The answer to a list of objects: success, or ApiError 400 with what failed by place."""
    if failures:
        raise ApiError(400, f"{len(failures)} of {count} {what} failed", sorted(failures))
    return web.Response()


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

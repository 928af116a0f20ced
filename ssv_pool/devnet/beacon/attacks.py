"""A beacon node that is wrong on purpose: what an operator's own node can do to it, to be switched on and off.

Only what the node says is wrong; what it keeps, checks and passes on to other nodes stays right.
"""

import asyncio
import enum
import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import structlog
from aiohttp import web

from ssv_pool.devnet.beacon.api.common import ApiError, answer, json_body
from ssv_pool.devnet.beacon.codec import JsonError
from ssv_pool.devnet.beacon.node import BeaconNode
from ssv_pool.errors import ConfigError

PATH = "/devnet/attack"
"""GET says which attack goes on; POST ``{"mode": "slow"}`` begins one, ``{"mode": null}`` ends it, both at once (a
stale head from the next slot on)."""

STALE_SLOTS = 4
"""How far the head of a node with a stale head is behind: what it says is attestable, and wrong."""

SLOW_SECONDS = 5.0
"""Delay of every answer unless another is asked for; requests of an operator give up sooner."""

MOST_SECONDS = 3600

STREAM_SECONDS = 1.0
"""How long an event stream lives before it is dropped."""

_OWN_PATHS = "/devnet/"

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class AttackMode(enum.Enum):
    """What a node does wrong."""

    STALE_HEAD = "stale-head"
    """Its head, and all that follows from it (attestation data, roots, blocks it makes, events), is some slots old."""
    WRONG_JUSTIFIED = "wrong-justified"
    """Attestation data name a source checkpoint one epoch too old (the epoch itself at the start) that does not exist,
    and so do the finality checkpoints."""
    WRONG_TARGET = "wrong-target"
    """Attestation data name a target checkpoint of the right epoch that does not exist."""
    SLOW = "slow"
    """Every answer comes late."""
    ERRORS = "errors"
    """Every answer is status 500."""
    DROPPED_STREAMS = "dropped-streams"
    """Event streams break after a moment."""


@dataclass(frozen=True, slots=True)
class AttackOptions:
    """An attack that begins by itself."""

    mode: AttackMode
    epoch: int = 0
    """It begins with this epoch and does not end by itself."""
    seconds: float = SLOW_SECONDS
    """How slow a slow node is."""

    def __post_init__(self) -> None:
        """Raises ConfigError for an epoch or a delay that cannot be."""
        if self.epoch < 0:
            raise ConfigError(f"--attack-epoch: found {self.epoch}, expected 0 or more")
        if not 0 < self.seconds <= MOST_SECONDS:
            raise ConfigError(f"--attack-seconds: found {self.seconds:g}, expected above 0 and at most {MOST_SECONDS}")


def parse_mode(text: str) -> AttackMode:
    """An attack's name. Raises ConfigError."""
    try:
        return AttackMode(text)
    except ValueError:
        raise ConfigError(
            f"--attack: found {text!r}, expected one of {', '.join(m.value for m in AttackMode)}"
        ) from None


class Attacker:
    """Makes a node lie as long as an attack goes on."""

    def __init__(self, node: BeaconNode, options: AttackOptions | None = None) -> None:
        self._node = node
        self._planned = options
        self._seconds = options.seconds if options is not None else SLOW_SECONDS
        self._mode: AttackMode | None = None
        self._log = structlog.get_logger("beacon")
        node.chain.view = self._view

    @property
    def mode(self) -> AttackMode | None:
        """The attack that goes on now."""
        planned = self._planned
        if planned is not None and self._node.clock.epoch() >= planned.epoch:
            self._planned = None
            self.switch(planned.mode)
        return self._mode

    def switch(self, mode: AttackMode | None) -> None:
        """Begin an attack, or end the one that goes on; a planned one that has not begun is called off."""
        self._planned = None
        self._mode = mode
        self._log.warning("attack", mode=mode.value if mode else None, slot=self._node.clock.slot())

    def _view(self, head: Any) -> Any:
        """The block that the node calls its head: ``head`` or, under attack, an ancestor of it."""
        if self.mode is not AttackMode.STALE_HEAD:
            return head
        blocks = self._node.chain.store.blocks
        latest = self._node.clock.slot() - STALE_SLOTS
        while int(blocks[head].slot) > latest and blocks[head].parent_root in blocks:
            head = blocks[head].parent_root
        return head

    def routes(self) -> list[web.RouteDef]:
        """The routes that switch attacks."""

        async def get(_request: web.Request) -> web.Response:
            return answer({"mode": self.mode.value if self.mode else None})

        async def post(request: web.Request) -> web.Response:
            body = await json_body(request)
            if not isinstance(body, dict) or body.keys() != {"mode"}:
                raise JsonError('body: expected {"mode": name or null}')
            try:
                self.switch(None if body["mode"] is None else parse_mode(str(body["mode"])))
            except ConfigError as error:
                raise JsonError(str(error)) from error
            return await get(request)

        return [web.get(PATH, get), web.post(PATH, post)]

    @property
    def middleware(self) -> Any:
        """What stands before every handler of the API."""

        @web.middleware
        async def attack(request: web.Request, handler: Handler) -> web.StreamResponse:
            mode = None if request.path.startswith(_OWN_PATHS) else self.mode
            if mode is AttackMode.SLOW:
                await asyncio.sleep(self._seconds)
            if mode is AttackMode.ERRORS:
                return ApiError(500, "this node is out of order").response()
            if mode is AttackMode.DROPPED_STREAMS and request.path == "/eth/v1/events":
                return await _drop(request, handler)
            response = await handler(request)
            if mode in _LIES and isinstance(response, web.Response):
                lie = _LIES[mode].get(request.path.rpartition("/")[2])
                if lie is not None and response.status == 200:
                    return _changed(response, lie)
            return response

        return attack


async def _drop(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        async with asyncio.timeout(STREAM_SECONDS):
            return await handler(request)
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError("stream dropped") from None


def _changed(response: web.Response, lie: Callable[[dict[str, Any]], None]) -> web.Response:
    body = json.loads(response.body if isinstance(response.body, bytes) else b"{}")
    lie(body["data"])
    return web.Response(body=json.dumps(body).encode(), content_type="application/json")


def _invented(checkpoint: dict[str, str]) -> str:
    """A root that no block has, the same for everybody who asks."""
    return "0x" + hashlib.sha256(f"invented {checkpoint['epoch']}".encode()).hexdigest()


def _move_back(checkpoint: dict[str, str]) -> None:
    checkpoint["epoch"] = str(max(0, int(checkpoint["epoch"]) - 1))
    checkpoint["root"] = _invented(checkpoint)


def _wrong_source(data: dict[str, Any]) -> None:
    _move_back(data["source"])


def _wrong_finality(data: dict[str, Any]) -> None:
    _move_back(data["current_justified"])


def _wrong_target(data: dict[str, Any]) -> None:
    data["target"]["root"] = _invented(data["target"])


_LIES: dict[AttackMode | None, dict[str, Callable[[dict[str, Any]], None]]] = {
    AttackMode.WRONG_JUSTIFIED: {"attestation_data": _wrong_source, "finality_checkpoints": _wrong_finality},
    AttackMode.WRONG_TARGET: {"attestation_data": _wrong_target},
}

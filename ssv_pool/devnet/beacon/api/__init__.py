"""The standard Beacon API over HTTP, one module for each of its areas (https://ethereum.github.io/beacon-APIs)."""

from collections.abc import Awaitable, Callable

import structlog
from aiohttp import web

from ssv_pool.devnet.beacon.api import (
    aggregates,
    blocks,
    configuration,
    event_stream,
    pool,
    preparation,
    proposals,
    server,
    states,
    sync,
    validator,
)
from ssv_pool.devnet.beacon.api.common import ApiError
from ssv_pool.devnet.beacon.codec import JsonError
from ssv_pool.devnet.beacon.node import BeaconNode

MAX_BODY_BYTES = 8 << 20
"""Largest request body."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_AREAS = (
    server,
    configuration,
    states,
    blocks,
    pool,
    validator,
    proposals,
    aggregates,
    sync,
    preparation,
    event_stream,
)


def application(node: BeaconNode) -> web.Application:
    """The HTTP application that serves ``node``."""
    app = web.Application(middlewares=[_errors_as_json], client_max_size=MAX_BODY_BYTES)
    for area in _AREAS:
        app.add_routes(area.routes(node))
    return app


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ApiError as error:
        return error.response()
    except JsonError as error:
        return ApiError(400, str(error)).response()
    except web.HTTPException as error:
        return ApiError(error.status, f"{request.method} {request.path}: {error.reason}").response()
    except (ConnectionError, TimeoutError):
        raise  # the client went away
    except Exception:  # noqa: BLE001 - an answer and a trace in the log, whatever it is
        structlog.get_logger("beacon").exception("request failed", method=request.method, path=request.path)
        return ApiError(500, "internal error; the node's log has it").response()

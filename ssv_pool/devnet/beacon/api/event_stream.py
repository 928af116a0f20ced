"""Area "events": server-sent events."""

import asyncio
import json

from aiohttp import web

from ssv_pool.devnet.beacon.api.common import query_values
from ssv_pool.devnet.beacon.codec import JsonError
from ssv_pool.devnet.beacon.events import TOPICS
from ssv_pool.devnet.beacon.node import BeaconNode

KEEP_ALIVE_SECONDS = 10.0
"""Pause after which a comment is sent, so that both ends notice a broken connection."""


def routes(node: BeaconNode) -> list[web.RouteDef]:
    """The routes of this area."""

    async def events(request: web.Request) -> web.StreamResponse:
        topics = set(query_values(request, "topics"))
        if not topics or not topics <= TOPICS:
            raise JsonError(f"topics {sorted(topics)}: expected some of {sorted(TOPICS)}")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
        subscription = node.events.subscribe(topics)
        try:
            await response.prepare(request)
            while True:
                try:
                    event = await asyncio.wait_for(subscription.queue.get(), KEEP_ALIVE_SECONDS)
                except TimeoutError:
                    await response.write(b":\n\n")
                    continue
                if event is None:
                    break
                topic, data = event
                text = json.dumps(data, separators=(",", ":"))
                await response.write(f"event: {topic}\ndata: {text}\n\n".encode())
        except ConnectionResetError:
            pass  # the client hung up: how a stream of events always ends
        finally:
            node.events.unsubscribe(subscription)
        return response

    return [web.get("/eth/v1/events", events)]

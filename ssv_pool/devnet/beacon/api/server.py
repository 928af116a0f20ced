"""Area "node": what this server is and whether it is in order."""

from aiohttp import web

from ssv_pool import __version__ as PACKAGE_VERSION  # noqa: N812
from ssv_pool.devnet.beacon.api.common import answer
from ssv_pool.devnet.beacon.node import BeaconNode


def routes(node: BeaconNode) -> list[web.RouteDef]:
    """The routes of this area."""

    async def version(_request: web.Request) -> web.Response:
        return answer({"version": f"ssv-pool-devnet/{PACKAGE_VERSION}"})

    async def health(_request: web.Request) -> web.Response:
        return web.Response(status=206 if node.distance() else 200)

    async def syncing(_request: web.Request) -> web.Response:
        node.chain.tick()
        node.chain.head()
        # What the nodes it follows have is the chain, also when blocks are missing; alone it is the chain itself.
        distance = node.distance()
        return answer(
            {
                "head_slot": str(node.chain.history.head.slot),
                "sync_distance": str(distance),
                "is_syncing": distance > 0,
                "is_optimistic": False,
                "el_offline": False,
            }
        )

    return [
        web.get("/eth/v1/node/version", version),
        web.get("/eth/v1/node/health", health),
        web.get("/eth/v1/node/syncing", syncing),
    ]

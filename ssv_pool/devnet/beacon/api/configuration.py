"""Area "config": the constants of the chain."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from ssv_pool.devnet.beacon.api.common import answer, hex_of
from ssv_pool.devnet.beacon.genesis import FORKS
from ssv_pool.devnet.beacon.node import BeaconNode


def routes(node: BeaconNode) -> list[web.RouteDef]:
    """The routes of this area."""
    constants, forks = _constants(node), _fork_schedule(node)

    async def spec(_request: web.Request) -> web.Response:
        return answer(constants)

    async def fork_schedule(_request: web.Request) -> web.Response:
        return answer(forks)

    async def deposit_contract(_request: web.Request) -> web.Response:
        config = node.spec.config
        return answer(
            {
                "chain_id": str(config.DEPOSIT_CHAIN_ID),
                "address": hex_of(config.DEPOSIT_CONTRACT_ADDRESS),
            }
        )

    return [
        web.get("/eth/v1/config/spec", spec),
        web.get("/eth/v1/config/fork_schedule", fork_schedule),
        web.get("/eth/v1/config/deposit_contract", deposit_contract),
    ]


def _fork_schedule(node: BeaconNode) -> list[dict[str, str]]:
    """Every fork, each at epoch 0: the last one is in force, but some signatures name an older one."""
    config = node.spec.config
    versions = [hex_of(getattr(config, f"{fork}_FORK_VERSION")) for fork in ("GENESIS", *FORKS)]
    before = [versions[0], *versions[:-1]]
    return [
        {"previous_version": previous, "current_version": current, "epoch": "0"}
        for previous, current in zip(before, versions, strict=True)
    ]


def _constants(node: BeaconNode) -> dict[str, Any]:
    """Configuration and preset as the API writes them: decimal strings and hex."""
    spec = node.spec
    values = {name: value for name, value in vars(spec).items() if name.isupper() and not name.startswith("_")}
    values |= spec.config._asdict()
    constants = {name: _constant(value) for name, value in values.items()}
    constants["SECONDS_PER_SLOT"] = str(node.clock.slot_duration_ms // 1000)
    return {name: value for name, value in sorted(constants.items()) if value is not None}


def _constant(value: Any) -> Any:
    """One constant's JSON value; None for what is no constant (a class, a function)."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, bytes):
        return hex_of(value)
    if isinstance(value, str):
        return value
    if isinstance(value, tuple) and all(isinstance(entry, Mapping) for entry in value):
        return [{name: _constant(field) for name, field in entry.items()} for entry in value]
    return None

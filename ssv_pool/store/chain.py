"""The beacon chain's constants in the store: workers learn them from the beacon node, the node needs them too."""

from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from ssv_pool.protocol.chain import BeaconChain, ForkVersion
from ssv_pool.protocol.types.presets import MAINNET, preset_named
from ssv_pool.protocol.types.primitives import Epoch, Root
from ssv_pool.store.models import ChainInfo


def save_chain(session: Session, chain: BeaconChain) -> bool:
    """Store the constants. Returns whether they are new or changed."""
    content = _encode(chain)
    if session.scalar(select(ChainInfo.content)) == content:
        return False
    session.execute(delete(ChainInfo))
    session.add(ChainInfo(id=1, content=content))
    return True


def load_chain(session: Session) -> BeaconChain | None:
    """The constants last stored; None before any worker could ask the beacon node."""
    content = session.scalar(select(ChainInfo.content))
    return None if content is None else _decode(content)


def _encode(chain: BeaconChain) -> dict[str, Any]:
    return {
        "genesis_time": chain.genesis_time,
        "genesis_validators_root": chain.genesis_validators_root.hex(),
        "slot_duration_ms": chain.slot_duration_ms,
        "slots_per_epoch": chain.slots_per_epoch,
        "preset": chain.preset.name,
        "forks": [[str(fork.epoch), fork.version.hex(), fork.name] for fork in chain.forks],
    }


def _decode(content: dict[str, Any]) -> BeaconChain:
    return BeaconChain(
        genesis_time=content["genesis_time"],
        genesis_validators_root=Root(bytes.fromhex(content["genesis_validators_root"])),
        slot_duration_ms=content["slot_duration_ms"],
        slots_per_epoch=content["slots_per_epoch"],
        # What was stored before presets were known is a public network's.
        preset=preset_named(content.get("preset", MAINNET.name)),
        forks=tuple(
            ForkVersion(Epoch(int(epoch)), bytes.fromhex(version), name) for epoch, version, name in content["forks"]
        ),
    )

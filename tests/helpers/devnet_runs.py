"""Made-up runs of the devnet and made-up facts about them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ssv_pool.devnet.config import DevnetConfig, Kill
from ssv_pool.devnet.facts import Chain, Facts
from ssv_pool.devnet.inclusion import Inclusion
from ssv_pool.devnet.participation import Result
from ssv_pool.devnet.schedule import Outage
from ssv_pool.devnet.state import Run
from ssv_pool.store.journal import JournalEntry

GENESIS = 1_000_000.0
EPOCHS = range(1, 6)


def make_run(*outages: Outage, **changes: Any) -> Run:
    names = {"validators", "clusters", "attack", "exits", "beacon", "beacon_stops", "beacon_nodes", "operators"}
    names |= {"lifecycle"}
    options = {name: changes.pop(name) for name in names & changes.keys()}
    kills = tuple(Kill(len(outage.operators), outage.epoch) for outage in outages)
    config = DevnetConfig(
        **{
            "operators": 4,
            "validators": 8,
            "epochs": changes.pop("epochs", 5),
            "slot_seconds": 4,
            "report_dir": Path("r"),
            "kills": kills,
            **options,
        }
    )
    processes: list[Any] = [
        SimpleNamespace(operator_id=i, deaths=0, ended_early=False) for i in range(1, config.operators + 1)
    ]
    values: dict[str, Any] = {
        "config": config,
        "files": [],
        "operators": processes,
        "outages": outages,
        "beacons": [],
        "genesis_time": GENESIS,
        "started": 0.0,
        "last_epoch": config.epochs,
        "unstoppable": [],
        "registry": None,
    }
    return Run(**{**values, **changes})


def epoch_of_duties(epoch: int, done: int = 8, assigned: int = 8) -> list[Result]:
    """Duties of validators 0, 1, … in an epoch, the first ones of them done."""
    return [Result(index, 8 * epoch + index % 8, index < done) for index in range(assigned)]


def duties(by_epoch: Mapping[int, tuple[int, int]]) -> list[Result]:
    """Duties from epoch → assigned and done."""
    return [result for epoch, (assigned, done) in by_epoch.items() for result in epoch_of_duties(epoch, done, assigned)]


ALL_IN = dict.fromkeys(EPOCHS, (8, 8))


def make_facts(
    attester: Mapping[int, tuple[int, int]] | None = None,
    *,
    finalized: int = 4,
    journals: Mapping[int, Sequence[JournalEntry]] | None = None,
    **changes: Any,
) -> Facts:
    results = {"attester": duties(ALL_IN if attester is None else attester), **changes.pop("results", {})}
    return Facts(Chain(50, finalized + 1, finalized), Inclusion(()), results, journals=journals or {}, **changes)

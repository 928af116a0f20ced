#!/usr/bin/env python3
"""Time what the node and the workers ask of the store: ``scripts/bench store [validators] [url]``.

Prints one JSON line; times in milliseconds, the best of several runs.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from ssv_pool.protocol.types.duties import ValidatorDuty
from ssv_pool.protocol.types.primitives import Epoch, OperatorId, PublicKey, Root, Slot, ValidatorIndex
from ssv_pool.store import Database
from ssv_pool.store.duties import duties_of_slot, replace_duties
from ssv_pool.store.records import ValidatorMetadata
from ssv_pool.store.registry import load_registry, own_shares, validators_of_operator
from ssv_pool.store.registry_changes import NewValidator, add_validator, update_metadata

OWN = OperatorId(1)


def main(count: int, url: str) -> None:
    """Fill a store with ``count`` validators of 4 operators, a tenth of them with operator 1, and time it."""
    database = Database(url)
    database.create_schema()
    keys = [PublicKey(number.to_bytes(48, "big")) for number in range(count)]
    figures: dict[str, float] = {"validators": count}

    def fill() -> None:
        with database.session() as session:
            for number, key in enumerate(keys):
                first = OWN if number % 10 == 0 else 2 + number % 40 * 4
                ids = tuple(OperatorId(first + step) for step in range(4))
                new = NewValidator(key, number.to_bytes(20, "big"), ids, (key,) * 4, (bytes(256),) * 4, 1, 1)
                add_validator(session, new)

    def enrich(status: str) -> None:
        with database.session() as session:
            far = Epoch(2**64 - 1)
            metadata = {
                key: ValidatorMetadata(ValidatorIndex(number), status, Epoch(0), far) for number, key in enumerate(keys)
            }
            update_metadata(session, metadata)

    def plan() -> None:
        duties = [
            ValidatorDuty(0, key, Slot(number % 32), ValidatorIndex(number)) for number, key in enumerate(keys[:500])
        ]
        with database.session() as session:
            replace_duties(session, Epoch(0), Root(bytes(32)), duties)

    def read(function: Callable[..., object], *arguments: object) -> Callable[[], None]:
        def run() -> None:
            with database.read() as session:
                function(session, *arguments)

        return run

    figures["add_all"] = best(fill, 1)
    figures["metadata_first"] = best(lambda: enrich("pending_queued"), 1)
    figures["metadata_same"] = best(lambda: enrich("pending_queued"), 3)
    figures["replace_500_duties"] = best(plan, 5)
    figures["load_registry"] = best(read(load_registry), 5)
    figures["validators_of_operator"] = best(read(validators_of_operator, OWN), 5)
    figures["own_shares"] = best(read(own_shares, OWN), 5)
    figures["duties_of_slot"] = best(read(duties_of_slot, Slot(3)), 20)
    figures["version"] = best(lambda: database.version() and None, 50)
    print(json.dumps({name: round(value, 2) for name, value in figures.items()}))
    database.close()


def best(run: Callable[[], None], times: int) -> float:
    """The shortest of ``times`` runs, in milliseconds."""
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        run()
        taken.append(time.perf_counter() - begun)
    return min(taken) * 1000


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        default = f"sqlite:///{Path(folder) / 'store.sqlite'}"
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 500, sys.argv[2] if len(sys.argv) > 2 else default)

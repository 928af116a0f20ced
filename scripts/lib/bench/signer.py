"""Time what the signer and the threshold scheme do for one slot with many validators.

The slashing protection file lies in a temporary folder, so `record` includes its disk's sync. Each figure is the
median of several slots in milliseconds.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ssv_pool.crypto import bls
from ssv_pool.crypto.shamir import split, threshold_of
from ssv_pool.crypto.threshold import BlsThreshold
from ssv_pool.protocol.ports import Reconstruction
from ssv_pool.protocol.types.primitives import Epoch, OperatorId, PublicKey, Root, Slot
from ssv_pool.signer.local import LocalSigner
from ssv_pool.signer.slashing import SlashingProtection

Result = TypeVar("Result")


class Stopwatch:
    """Times named steps, each as often as it is run."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}

    def time(self, name: str, step: Callable[[], Result]) -> Result:
        """Run a step and note how long it took."""
        begun = time.perf_counter()
        result = step()
        self.seconds.setdefault(name, []).append(time.perf_counter() - begun)
        return result

    def medians(self) -> dict[str, float]:
        """Step → median in milliseconds."""
        return {name: statistics.median(times) * 1000 for name, times in self.seconds.items()}


def run(validators: int, operators: int, slots: int, folder: Path) -> dict[str, float]:
    """Sign, check and rebuild the attestations of several slots."""
    ids = [OperatorId(i) for i in range(1, operators + 1)]
    quorum = threshold_of(operators)
    secrets = [bls.random_secret() for _ in range(validators)]
    public_keys = [bls.secret_to_public(secret) for secret in secrets]
    shares = [split(secret, ids, quorum) for secret in secrets]
    own: list[PublicKey] = [bls.secret_to_public(parts[ids[0]]) for parts in shares]
    scheme, watch = BlsThreshold(), Stopwatch()
    with SlashingProtection(folder / "slashing.sqlite") as protection:
        signer = LocalSigner(protection)
        for share, parts in zip(own, shares, strict=True):
            signer.add(share, parts[ids[0]])
        watch.time("raise_to", lambda: signer.raise_protection(own, Epoch(0), Epoch(0), Slot(0)))
        for slot in range(1, slots + 1):
            root = Root(slot.to_bytes(32, "big"))
            roots, source, target = [root] * validators, Epoch(slot - 1), Epoch(slot)
            watch.time("value_check", lambda: signer.slashable_attestations(own, source, target))  # noqa: B023
            watch.time("record", lambda: protection.record_attestations(own, roots, source, target))  # noqa: B023
            # Recorded already: what is left of the time is the signing.
            signatures = watch.time("sign", lambda: signer.sign_attestations(own, roots, source, target))  # noqa: B023
            items = [
                Reconstruction(key, root, {i: bls.sign(parts[i], root) for i in ids[:quorum]})
                for key, parts in zip(public_keys, shares, strict=True)
            ]
            rebuilt = watch.time("reconstruct", lambda: scheme.reconstruct(items))  # noqa: B023
            if None in rebuilt:
                raise RuntimeError("a signature was not rebuilt")
            spoiled = dict(items[0].partials) | {ids[0]: bls.sign(1, root)}
            items[0] = Reconstruction(items[0].public_key, root, spoiled)
            watch.time("reconstruct_one_bad", lambda: scheme.reconstruct(items))  # noqa: B023
            checks = [(share, root, signature) for share, signature in zip(own, signatures, strict=True)]
            watch.time("verify_partials_of_one", lambda: scheme.verify_many(checks))  # noqa: B023
    return watch.medians()


def main() -> None:
    """Print the figures, as text or as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--validators", type=int, default=500, help="validators with a duty in one slot (500)")
    parser.add_argument("--operators", type=int, default=4, choices=(4, 7, 10, 13), help="committee size (4)")
    parser.add_argument("--slots", type=int, default=5, help="slots of which the median counts (5)")
    parser.add_argument("--folder", type=Path, help="where the slashing protection file is put (a temporary folder)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        figures = run(arguments.validators, arguments.operators, arguments.slots, Path(folder))
    if arguments.json:
        print(json.dumps({"validators": arguments.validators, "operators": arguments.operators, "ms": figures}))
        return
    print(f"{arguments.validators} validators, {arguments.operators} operators, milliseconds a slot")
    for name, value in figures.items():
        print(f"{name:24} {value:10.2f}")


if __name__ == "__main__":
    main()

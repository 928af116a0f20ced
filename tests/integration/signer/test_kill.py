"""Slashing protection survives kill -9 at any point: nothing released is forgotten, no batch recorded in part."""

import random
import signal
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from ssv_pool.crypto import bls
from ssv_pool.protocol.types.primitives import Epoch
from ssv_pool.signer.slashing import SlashingProtection

pytestmark = pytest.mark.integration

CHILD = Path(__file__).with_name("signing_child.py")
SHARES = [bls.secret_to_public(secret) for secret in (11, 12, 13)]
POINTS_OF_A_DUTY = 8 + 2 * 3 + 1
"""BEGIN, an attestation and a mark for each of three shares, COMMIT; two around each signature; the release."""


class Witness:
    """Keeps everything that left the children, and judges it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.released: dict[tuple[int, int], set[str]] = defaultdict(set)

    def start(self, run: int, first: int, die_at: int = 0) -> subprocess.Popen[str]:
        arguments = [sys.executable, str(CHILD), str(self.path), str(run), str(first), str(die_at)]
        return subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)

    def note(self, line: str) -> int:
        share, target, root, signature = line.split()
        assert bls.verify(SHARES[int(share)], bytes.fromhex(root), bytes.fromhex(signature))
        self.released[int(share), int(target)].add(root)
        return int(target)

    def judge(self) -> int:
        """Open the file as a restarted node would; returns the last recorded target."""
        assert all(len(roots) == 1 for roots in self.released.values())
        with SlashingProtection(self.path) as protection:
            histories = {history.share: history for history in protection.export_history()}
            recorded = [
                {(target, root.hex()) for _, target, root in histories[share].attestations if target}
                for share in SHARES
            ]
            assert recorded[0] == recorded[1] == recorded[2]
            for (share, target), (root,) in self.released.items():
                assert (target, root) in recorded[share]
                assert protection.slashable_attestations(SHARES, Epoch(target - 1), Epoch(target)) == SHARES
        return max((target for target, _ in recorded[0]), default=1)


def test_killed_at_every_point_of_its_way(tmp_path: Path) -> None:
    witness = Witness(tmp_path / "slashing.sqlite")
    last = 1
    unreleased = 0
    for die_at in range(1, 2 * POINTS_OF_A_DUTY + 1):
        # It starts with the target that its predecessor may have recorded or signed already.
        child = witness.start(run=die_at, first=last, die_at=die_at)
        output, _ = child.communicate(timeout=60)
        assert child.returncode == -signal.SIGKILL
        for line in output.splitlines():
            witness.note(line)
        last = witness.judge()
        unreleased += (0, last) not in witness.released
    # The way holds both: deaths between the record and the release, and deaths after it.
    assert unreleased >= 7
    assert len(witness.released) >= 7 * len(SHARES)


def test_killed_from_outside_at_any_time(tmp_path: Path) -> None:
    witness = Witness(tmp_path / "slashing.sqlite")
    chance = random.Random(20)
    last = 1
    for run in range(12):
        child = witness.start(run, first=last)
        assert child.stdout is not None
        for _ in range(chance.randrange(1, 60)):
            witness.note(child.stdout.readline())
        child.kill()
        # What was in the pipe when it died has left the process, too; the last line may be cut short.
        for line in child.stdout:
            if line.endswith("\n"):
                witness.note(line)
        child.stdout.close()
        assert child.wait(timeout=60) == -signal.SIGKILL
        last = witness.judge()


def test_a_second_process_on_the_same_file_is_refused(tmp_path: Path) -> None:
    witness = Witness(tmp_path / "slashing.sqlite")
    first = witness.start(0, first=1)
    try:
        assert first.stdout is not None
        witness.note(first.stdout.readline())
        second = subprocess.run(
            [sys.executable, str(CHILD), str(witness.path), "1", "1", "0"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert second.returncode == 1
        assert second.stdout == ""
        assert f"in use by another process (pid {first.pid}); two must never sign" in second.stderr
    finally:
        first.kill()
        first.communicate(timeout=60)
    witness.judge()

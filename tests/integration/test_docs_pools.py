"""docs/pools.md, followed as printed: the shell blocks of each part run one after the other, on anvil.

A part is the section "A chain to try it on" and one or two others, in a folder and on a chain of its own. The parts
run at the same time, and `ssv-pool` is one that has imported everything already (`warm_command`): starting small
programs is what takes the time.
"""

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from warm_command import WarmCommand

from ssv_pool.devnet.anvil import Anvil

ROOT = Path(__file__).resolve().parent.parent.parent
DOCUMENT = ROOT / "docs" / "pools.md"
SETUP = "A chain to try it on"
PARTS = {
    "An operator": ("An operator",),
    "A liquidator": ("A liquidator",),
    "A staker": ("Running a pool", "A staker"),
}
"""Each part's sections: a staker needs a pool, which somebody runs."""

pytestmark = [pytest.mark.integration, pytest.mark.slow]


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[str]]]:
    """What the commands of each part print, as soon as it has come to its end."""
    # A socket's path must be short.
    with (
        tempfile.TemporaryDirectory() as folder,
        WarmCommand(Path(folder)) as command,
        ThreadPoolExecutor(len(PARTS)) as pool,
    ):
        yield {
            part: pool.submit(follow, sections, tmp_path_factory.mktemp("pools"), command)
            for part, sections in PARTS.items()
        }


def blocks(section: str) -> list[str]:
    """The contents of a section's ``sh`` fences, in order."""
    found = re.search(rf"^## {re.escape(section)}\n(.*?)(?=^## |\Z)", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    assert found, f"docs/pools.md has no section {section!r}"
    listed = re.findall(r"^```sh\n(.*?)^```$", found[1], re.MULTILINE | re.DOTALL)
    assert listed, f"section {section!r} has no commands"
    return listed


def follow(sections: Sequence[str], folder: Path, command: WarmCommand) -> str:
    """Run the blocks of the set-up and of sections in one shell; what they print, or a failure with the block."""
    listed = [text for section in (SETUP, *sections) for text in blocks(section)]
    script = "set -euo pipefail\n" + "\n".join(f"echo '# block {place}'\n{text}" for place, text in enumerate(listed))
    with Anvil() as anvil:
        environment = {
            "PATH": f"{command.folder}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(folder),
            "ETH_1_ADDR": anvil.url,
            "LANG": "C.UTF-8",
        }
        run = subprocess.run(
            ["bash", "-c", script],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
    if run.returncode:
        place = int(re.findall(r"^# block (\d+)$", run.stdout, re.MULTILINE)[-1])
        raise AssertionError(
            f"status {run.returncode} in this block:\n{listed[place]}\n{run.stdout[-2000:]}\n{run.stderr[-2000:]}"
        )
    return run.stdout


def test_every_section_is_followed() -> None:
    """A part without a test here could rot."""
    assert re.findall(r"^## (.*)$", DOCUMENT.read_text(), re.MULTILINE) == [
        SETUP,
        *(section for sections in PARTS.values() for section in sections),
    ]


def test_an_operator(followed: dict[str, Future[str]]) -> None:
    output = followed["An operator"].result()

    # 1000 gwei a block: a hundred that were mined, and the settlement's own.
    assert re.search(r"^earnings +0\.000101 ETH$", output, re.MULTILINE)
    assert re.search(r"^paid +0\.000101 ETH$", output, re.MULTILINE)
    assert re.search(r"^declared fee +950 gwei per block and validator, ", output, re.MULTILINE)
    assert re.search(r"^removed +0x[0-9a-f]{96}$", output, re.MULTILINE)


def test_a_liquidator(followed: dict[str, Future[str]]) -> None:
    output = followed["A liquidator"].result()

    assert re.search(r"^state +can be liquidated by anybody$", output, re.MULTILINE)
    # 0.21 ETH at 4000 gwei a block: 2200 that were mined, and the liquidation's own.
    assert re.search(r"^received +0\.201196 ETH$", output, re.MULTILINE)
    assert re.search(r"^state +liquidated$", output, re.MULTILINE)
    assert re.search(r"^runway +30\.0 days$", output, re.MULTILINE)
    balance = re.search(r"^balance +(1\.\d+) ETH$", output, re.MULTILINE)
    assert balance, "the liquidator has more than the one ETH it began with"
    assert float(balance[1]) > 1.2


def test_a_staker_and_who_runs_the_pool(followed: dict[str, Future[str]]) -> None:
    output = followed["A staker"].result()

    assert re.search(r"^paused +by 0x[0-9a-fA-F]{40} since .* until .*: a report looks wrong$", output, re.MULTILINE)
    assert re.search(r"^validators +1 funded$", output, re.MULTILINE)
    worth = [float(text) for text in re.findall(r"^worth +(\d+(?:\.\d+)?) ETH$", output, re.MULTILINE)]
    paid = re.search(r"^paid +(10\.\d+) ETH$", output, re.MULTILINE)
    assert paid, "the staker is paid more than the 10 ETH that were staked"
    assert worth[-1] == 0
    assert re.search(rf"^request 1 +{re.escape(paid[1])} ETH, paid$", output, re.MULTILINE)

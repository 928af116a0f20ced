"""The devnet's command as a child: whatever ends a test early, the devnet is asked to stop all that it started."""

import subprocess
import sys
from dataclasses import dataclass

from live_cluster import clean_environment

STOP_SECONDS = 90.0
"""How long a devnet may take to stop its operators."""


@dataclass(frozen=True, slots=True)
class Finished:
    """How a run ended."""

    returncode: int
    stdout: str
    stderr: str


def run_devnet(*arguments: str, timeout: float, **environment: str) -> Finished:
    """Run ``scripts/devnet`` to its end. Raises subprocess.TimeoutExpired; then it was stopped before its end."""
    with subprocess.Popen(
        (sys.executable, "-m", "ssv_pool.devnet", *arguments),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(**environment),
    ) as process:
        try:
            stdout, stderr = process.communicate(timeout=timeout)
        except BaseException:
            # Killed at once it would leave its operators behind.
            process.terminate()
            try:
                process.communicate(timeout=STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
            raise
    return Finished(process.returncode, stdout, stderr)

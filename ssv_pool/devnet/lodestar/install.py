"""Installs Lodestar from its npm lock file, the first time it is wanted.

One of its packages (snappy) is native code without a prebuilt binary for every machine, so this needs a C++ compiler
and make; nothing else of the project does.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ssv_pool.errors import UnavailableError

FOLDER: Final = Path(__file__).resolve().parents[3] / "scripts" / "lodestar"
"""The npm package that pins Lodestar and everything below it."""

NEEDED: Final = {
    "node": "Node.js 20 or later",
    "npm": "Node.js with npm",
    "make": "GNU make",
    "c++|g++|clang++": "a C++ compiler",
}
"""Programs that have to be on PATH (any of those between bars), and what to install for them."""

INSTALL_SECONDS: Final = 900.0
"""How long one npm command may take: 240 MB come through the network."""

_ENTRY = Path("node_modules", "@chainsafe", "lodestar", "lib", "index.js")
_UNREACHABLE = re.compile(
    r"\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|ERR_SOCKET_TIMEOUT|network)\b"
)


class LodestarUnavailableError(UnavailableError):
    """This machine cannot install Lodestar: a program is missing, or the npm registry is not reachable."""


def ensure_installed(progress: Callable[[str], None] = lambda _text: None, folder: Path = FOLDER) -> Path:
    """Install Lodestar unless it is there already; returns the script that ``node`` runs.

    Args:
        progress: told what is being done, when it takes long.
        folder: where ``package.json`` and ``package-lock.json`` are and ``node_modules`` is made.

    Raises:
        LodestarUnavailableError: node, npm, make or a C++ compiler is not on PATH, or npm cannot reach its registry.
        UnavailableError: npm failed for another reason; the text has its last line.
    """
    stamp, entry = folder / "node_modules" / ".stamp", folder / _ENTRY
    wanted = _fingerprint(folder)
    with (folder / ".install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _read(stamp) != wanted:
            check_programs()
            progress("installing Lodestar from npm (240 MB, once)")
            _npm(folder, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
            progress("compiling Lodestar's one native package")
            _npm(folder, "rebuild", "snappy", "--ignore-scripts=false")
            stamp.write_text(wanted, encoding="utf-8")
        elif shutil.which("node") is None:
            raise _missing("node", NEEDED["node"])
    return entry


def check_programs(which: Callable[[str], str | None] = shutil.which) -> None:
    """Raise LodestarUnavailableError for the first program of ``NEEDED`` that ``which`` does not find."""
    for names, install in NEEDED.items():
        if not any(which(name) for name in names.split("|")):
            raise _missing(names.replace("|", " or "), install)


def _missing(program: str, install: str) -> LodestarUnavailableError:
    return LodestarUnavailableError(
        f"Lodestar: {program} is not on PATH, install {install} (the embedded beacon node needs no compiler)"
    )


def _fingerprint(folder: Path) -> str:
    content = b"".join((folder / name).read_bytes() for name in ("package.json", "package-lock.json"))
    return hashlib.sha256(content).hexdigest()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


def _npm(folder: Path, *arguments: str) -> None:
    command = ("npm", *arguments, "--loglevel=error")
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=os.environ | _compiler_settings(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=INSTALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise LodestarUnavailableError(
            f"Lodestar: npm {arguments[0]} did not end within {INSTALL_SECONDS:.0f} s"
        ) from None
    if done.returncode:
        raise npm_failure(arguments[0], done.returncode, done.stdout.decode(errors="replace"))


def npm_failure(verb: str, status: int, output: str) -> UnavailableError:
    """The error for an npm command that failed, by what it printed."""
    lines = [line.strip() for line in output.splitlines() if "error" in line.lower()] or ["no output"]
    first = re.sub(r"^npm (?:error|ERR!)\s*", "", lines[0])
    unreachable = _UNREACHABLE.search(output)
    if unreachable:
        return LodestarUnavailableError(f"Lodestar: npm {verb}: the npm registry cannot be reached ({unreachable[1]})")
    return UnavailableError(f"Lodestar: npm {verb} ended with status {status}: {first[:200]}")


def _compiler_settings() -> dict[str, str]:
    """Node's own headers where its package brought them (else the compiler's driver fetches them), and this Python."""
    settings = {"npm_config_python": sys.executable}
    node = shutil.which("node")
    if node is not None and "npm_config_nodedir" not in os.environ:
        prefix = Path(node).resolve().parent.parent
        if (prefix / "include" / "node" / "node.h").is_file():
            settings["npm_config_nodedir"] = str(prefix)
    return settings

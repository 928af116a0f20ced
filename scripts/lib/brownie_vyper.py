"""Runs Brownie 1.22 on Vyper 0.4 sources; `scripts/brownie` starts it with the command line arguments.

Three things of Vyper 0.4 stop Brownie as shipped: the compiler's source map is an object where Brownie wants the string
in it; modules that a contract imports must be in the compiler's input although Brownie passes only the files that
changed; and this form of input takes no two files of one name, whatever folders they are in. A module cannot be
compiled alone; Brownie passes by what lies in a folder whose name begins with ``_``.
"""

import os
import socket
import sys
from pathlib import Path, PurePath
from typing import Any

from vyper.cli import vyper_json

ROOT = Path(__file__).resolve().parent.parent.parent

compile_json = vyper_json.compile_json


def compile_for_brownie(request: dict[str, Any], *arguments: Any, **options: Any) -> dict[str, Any]:
    """Compile what Brownie asked for, with all modules at hand, and answer in the form it knows."""
    wanted = request["settings"]["outputSelection"]["*"]
    modules = {
        path.relative_to(ROOT).as_posix(): {"content": path.read_text()} for path in (ROOT / "contracts").rglob("*.vy")
    }
    answer = compile_json(
        {
            **request,
            "sources": modules | request["sources"],
            "settings": {**request["settings"], "outputSelection": dict.fromkeys(request["sources"], wanted)},
        },
        *arguments,
        **options,
    )
    for contracts in answer.get("contracts", {}).values():
        for contract in contracts.values():
            for kind in ("bytecode", "deployedBytecode"):
                code = contract.get("evm", {}).get(kind, {})
                if isinstance(code.get("sourceMap"), dict):
                    code["sourceMap"] = code["sourceMap"]["pc_pos_map_compressed"]
    return answer


def sources_of(request: dict[str, Any]) -> dict[PurePath, Any]:
    """The sources of a request by path; that two in different folders have one name is no harm."""
    return {PurePath(path): source for path, source in request["sources"].items()}


def use_chain() -> None:
    """Make the chain that ETH_1_ADDR names the default network of scripts; else this checkout's anvil, on a free port.

    Tests always run on the latter: they mine, travel in time and spend what is there.
    """
    from brownie._config import CONFIG

    node = os.environ.get("ETH_1_ADDR", "").partition(";")[0]
    if node and sys.argv[1:2] != ["test"]:
        CONFIG.networks["chain"] = {"id": "chain", "name": "ETH_1_ADDR", "host": node, "chainid": 0}
        CONFIG.settings["networks"]["default"] = "chain"
        keep_no_memory()
        return
    CONFIG.settings["networks"]["default"] = "anvil"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        CONFIG.networks["anvil"]["cmd_settings"]["port"] = free.getsockname()[1]
    # Brownie knows a chain's kind by its command's first letters, so the program is found by name.
    for folder in (ROOT / "node_modules" / "@foundry-rs").glob("anvil-*/bin"):
        os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"


def keep_no_memory() -> None:
    """Neither note deployments nor keep contracts' code from run to run: a devnet's chain begins anew with both."""
    from brownie.network import contract
    from brownie.network.middlewares.caching import RequestCachingMiddleware
    from brownie.project.main import Project

    Project._load_deployments = lambda _self: None  # noqa: SLF001
    contract.ProjectContract._save_deployment = lambda _self: None  # noqa: SLF001
    contract._add_deployment = lambda *_: None  # noqa: SLF001
    RequestCachingMiddleware.get_layer = classmethod(lambda *_: None)


def main() -> None:
    """Run Brownie's command line."""
    # Brownie keeps networks and deployments in its user's home folder: it gets a home of its own.
    home = ROOT / ".brownie" / "home"
    home.mkdir(parents=True, exist_ok=True)
    os.environ["HOME"] = str(home)
    # It makes the folders of the project structure itself, but not their parents.
    (ROOT / "build" / "brownie").mkdir(parents=True, exist_ok=True)
    vyper_json.compile_json = compile_for_brownie
    vyper_json.get_inputs = sources_of

    from brownie._cli.__main__ import main as brownie_main

    use_chain()
    sys.argv[0] = "brownie"
    sys.exit(brownie_main())


if __name__ == "__main__":
    main()

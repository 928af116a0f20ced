"""The contracts as files: where sources and published ABIs are, compiling one, writing the ABIs anew.

`python -m ssv_pool.registry.artifacts [--check]` is what `scripts/abi` runs.
"""

import json
import re
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from ssv_pool.errors import SsvPoolError

REGISTRY: Final = "SSVRegistry"
"""Name of the registry contract."""

Abi = list[dict[str, Any]]
"""A contract's ABI as the JSON files hold it."""


class ContractFileError(SsvPoolError):
    """A contract's source or ABI is missing, or does not compile."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A compiled contract."""

    abi: Abi
    """Functions, events and custom errors."""
    bytecode: bytes
    """Creation code, without constructor arguments."""


def contracts_folder() -> Path:
    """The folder of contract sources: inside the package when it was installed, else the checkout's `contracts`."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "contracts"
    return installed if installed.is_dir() else package.parent / "contracts"


@cache
def published_abi(name: str = REGISTRY) -> Abi:
    """The published ABI of a contract, custom errors included.

    Raises:
        ContractFileError: there is no such file.
    """
    path = contracts_folder() / "abi" / f"{name}.json"
    try:
        abi: Abi = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise ContractFileError(f"no ABI for contract {name}: {path} does not exist") from error
    return abi


@cache
def compile_contract(name: str = REGISTRY) -> Artifact:
    """Compile a contract; needs the Vyper compiler (the package's `devnet` extra).

    Raises:
        ContractFileError: no source, no compiler, or the source does not compile.
    """
    path = contracts_folder() / f"{name}.vy"
    try:
        source = path.read_text()
    except FileNotFoundError as error:
        raise ContractFileError(f"no source for contract {name}: {path} does not exist") from error
    try:
        import vyper
    except ImportError as error:
        raise ContractFileError(f"compiling {name} needs vyper: install ssv-pool with its devnet extra") from error
    try:
        output = vyper.compile_code(source, contract_path=path, output_formats=["abi", "bytecode"])
    except vyper.exceptions.VyperException as error:
        raise ContractFileError(f"{path.name} does not compile: {error}") from error
    errors = declared_errors(source, *_modules_of(path, source))
    return Artifact(abi=output["abi"] + errors, bytecode=bytes.fromhex(output["bytecode"][2:]))


def _modules_of(path: Path, source: str) -> list[str]:
    """The sources of the modules that a contract is put together from: `from folder import module`."""
    imports = re.findall(r"^from (\w+) import (\w+)$", source, flags=re.MULTILINE)
    return [(path.parent / folder / f"{module}.vy").read_text() for folder, module in imports]


def declared_errors(source: str, *modules: str) -> Abi:
    """ABI entries for the `# error Name(type name, …)` lines of a contract's source.

    Vyper 0.4 has no custom error declarations, so those comments are where they are written down.

    Args:
        source: the contract's.
        modules: those of its modules, which use errors and declare none.

    Raises:
        ContractFileError: the lines and the selectors that the code uses are not the same set.
    """
    entries: Abi = []
    for name, parameters in re.findall(r"^# error (\w+)\((.*)\)$", source, flags=re.MULTILINE):
        inputs = [dict(zip(("type", "name"), text.split(), strict=True)) for text in parameters.split(", ") if text]
        entries.append({"type": "error", "name": name, "inputs": inputs})
    declared = {f"{entry['name']}({','.join(field['type'] for field in entry['inputs'])})" for entry in entries}
    used = {name for text in (source, *modules) for name in re.findall(r'method_id\("([^"]+)"\)', text)}
    if declared != used:
        raise ContractFileError(
            f"custom errors declared but not used: {sorted(declared - used)}, used but not declared: "
            f"{sorted(used - declared)}"
        )
    return entries


def main(arguments: list[str]) -> int:
    """Write every contract's ABI, or with `--check` compare; the number of files that differ is the exit status."""
    if arguments not in ([], ["--check"]):
        sys.stderr.write("usage: abi [--check]\n")
        return 2
    differing = 0
    for source in sorted(contracts_folder().glob("*.vy")):
        text = json.dumps(compile_contract(source.stem).abi, indent=1) + "\n"
        path = source.parent / "abi" / f"{source.stem}.json"
        if path.is_file() and path.read_text() == text:
            continue
        if arguments:
            sys.stderr.write(f"{path.name} is not the ABI of {source.name}: run scripts/abi\n")
            differing += 1
        else:
            path.write_text(text)
            sys.stdout.write(f"wrote {path.name}\n")
    return differing


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Where the contract files are, and what is read from them."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from ssv_pool.registry.artifacts import (
    ContractFileError,
    compile_contract,
    contracts_folder,
    declared_errors,
    main,
    published_abi,
)

ROOT = Path(__file__).resolve().parent.parent.parent.parent


def test_declared_errors_become_abi_entries() -> None:
    source = (
        '# error Odd()\n# error Wrong(bytes publicKey, uint64 id)\nmethod_id("Odd()") method_id("Wrong(bytes,uint64)")'
    )
    assert declared_errors(source) == [
        {"type": "error", "name": "Odd", "inputs": []},
        {
            "type": "error",
            "name": "Wrong",
            "inputs": [{"type": "bytes", "name": "publicKey"}, {"type": "uint64", "name": "id"}],
        },
    ]


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (
            "# error Unused()",
            "custom errors declared but not used: ['Unused()'], used but not declared: []",
        ),
        (
            'method_id("Unknown(uint64)")',
            "custom errors declared but not used: [], used but not declared: ['Unknown(uint64)']",
        ),
    ],
)
def test_errors_declared_and_used_are_the_same(source: str, text: str) -> None:
    with pytest.raises(ContractFileError) as caught:
        declared_errors(source)
    assert str(caught.value) == text


def test_missing_contract_is_named() -> None:
    folder = contracts_folder()
    with pytest.raises(ContractFileError) as caught:
        published_abi("Nothing")
    assert str(caught.value) == f"no ABI for contract Nothing: {folder}/abi/Nothing.json does not exist"
    with pytest.raises(ContractFileError) as caught:
        compile_contract("Nothing")
    assert str(caught.value) == f"no source for contract Nothing: {folder}/Nothing.vy does not exist"


def test_unknown_argument() -> None:
    assert main(["--chekc"]) == 2


def test_wheel_carries_the_contracts(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).parent / "hatchling"), "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {"ssv_pool/contracts/SSVRegistry.vy", "ssv_pool/contracts/abi/SSVRegistry.json"} <= set(names)

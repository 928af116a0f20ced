"""What the commands around the chain take and refuse before they ask anybody."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssv_pool.cli.chain_options import ChainAccess, amount_in
from ssv_pool.cli.main import main
from ssv_pool.cli.registry_options import OperatorIds
from ssv_pool.registry.amounts import ether

ACCOUNT = ["--key-file", "missing.key"]
NOWHERE = ["--execution-node", "http://127.0.0.1:1"]


def run(arguments: Sequence[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit status and the last line on stderr."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    lines = capsys.readouterr().err.strip().splitlines()
    return int(caught.value.code or 0), lines[-1] if lines else ""


@given(st.integers(0, 10**24))
def test_amounts_are_read_as_they_are_shown(wei: int) -> None:
    assert amount_in(ether(wei), 18, "--amount") == wei


@pytest.mark.parametrize(
    "text", ["", ".", "1.", ".5", "-1", "1e3", "0x1", "1,5", "٣", "1.0000000000000000001", "9" * 13]
)
def test_other_amounts_are_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        amount_in(text, 18, "--amount")


@pytest.mark.parametrize(
    ("ids", "sentence"),
    [
        ("4,3,2,1", "4,3,2,1, expected ascending ids, none twice: 1,2,3,4"),
        ("1,2,2,3", "1,2,2,3, expected ascending ids, none twice: 1,2,3"),
        ("1,2,3", "3 operators, expected 4, 7, 10 or 13"),
        ("1,2,3,x", "'1,2,3,x', expected operator ids with commas between them such as 1,2,3,4"),
        ("0,1,2,3", "'0,1,2,3', expected operator ids with commas between them such as 1,2,3,4"),
        ("1,2,3," + "9" * 30, "expected operator ids with commas between them such as 1,2,3,4"),
    ],
)
def test_committees_that_the_contract_would_refuse(ids: str, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["registry", "cluster", "status", "--operators", ids, "--owner", "0x" + "5f" * 20]
    code, line = run(arguments, capsys)
    assert code == 2
    assert sentence in line


def test_ids_with_spaces() -> None:
    assert OperatorIds(committee=True).convert("1, 2,3 ,4", None, None) == (1, 2, 3, 4)


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["registry", "deploy"], 2, "give the account either by --keystore FILE or by --key-file FILE"),
        (
            ["registry", "deploy", *ACCOUNT, "--keystore", "k.json"],
            2,
            "give the account either by --keystore FILE or by --key-file FILE",
        ),
        (["registry", "deploy", *ACCOUNT, *NOWHERE], 3, "missing.key: cannot be read: No such file or directory"),
        (
            ["registry", "parameters", "show", *NOWHERE],
            2,
            "registry: missing, expected --registry ADDRESS (or REGISTRY_CONTRACT), or --network NAME for the SSV",
        ),
        (
            ["registry", "parameters", "show", *NOWHERE, "--network", "hoodi"],
            4,
            "ask for the chain id: execution node 127.0.0.1:1 does not answer",
        ),
        (
            ["registry", "parameters", "show", "--registry", "0x12", *NOWHERE],
            2,
            "registry address: '0x12', expected an address: 0x and 40 hex digits",
        ),
        (
            ["account", "balance", "0x" + "5F" * 19 + "aA", *NOWHERE],
            2,
            "its mixed case is not the address's EIP-55 checksum: check each digit",
        ),
        (
            ["account", "balance", "0x" + "5f" * 20, "--execution-node", "ftp://user:secret@host"],
            2,
            "execution node: expected an address that begins with http:// or https://",
        ),
        (
            ["registry", "validators", "show", "0x12", "--owner", "0x" + "5f" * 20],
            2,
            "'0x12', expected a validator's public key: 0x and 96 hex digits",
        ),
        (
            ["registry", "operators", "register", "--operator-key", "missing.json", *ACCOUNT, *NOWHERE],
            3,
            "missing.json: cannot be read: No such file or directory",
        ),
        (
            ["registry", "operators", "register", *ACCOUNT],
            2,
            "give the operator's key by --operator-key FILE or by --public-key BASE64",
        ),
        (
            ["registry", "operators", "register", "--fee", "1.00001", *ACCOUNT],
            2,
            "expected at most 4 decimals: fees are multiples of 0.0001 gwei",
        ),
        (["registry", "operators", "register", "--public-key", "AAAA", *ACCOUNT], 2, "--public-key"),
    ],
)
def test_one_line_for_each_mistake(
    arguments: list[str],
    code: int,
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("REGISTRY_CONTRACT", raising=False)
    found, line = run(arguments, capsys)
    assert (found, sentence in line) == (code, True), line
    assert "secret" not in line


def test_money_leaves_only_by_agreement(monkeypatch: pytest.MonkeyPatch) -> None:
    def access(**options: Any) -> ChainAccess:
        return ChainAccess("http://127.0.0.1:1", None, False, **options)

    access(yes=True).agree(5, "deposit")
    access(dry_run=True).agree(5, "deposit")
    access().agree(0, "deposit")
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    with pytest.raises(click.UsageError) as caught:
        access().agree(5 * 10**17, "deposit")
    assert str(caught.value) == "deposit takes 0.5 ETH from the account: agree with --yes"


def test_accounts_are_made_and_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    password = tmp_path / "password.txt"
    password.write_text("secret word\n")
    keystore = tmp_path / "account.json"
    for arguments in (["new", "--light", "--out", str(keystore)], ["address", str(keystore)]):
        with pytest.raises(SystemExit) as caught:
            main(["account", *arguments, "--password-file", str(password)])
        assert not caught.value.code
    first, second = capsys.readouterr().out.split()
    assert first == second
    assert keystore.stat().st_mode & 0o777 == 0o600

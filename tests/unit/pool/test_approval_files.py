import json
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount

from ssv_pool.errors import KeyFileError
from ssv_pool.pool.approval_files import ApprovalError, collect, read_approval, write_approval
from ssv_pool.pool.approvals import ClusterPayment, Domain, Removal, Signed, sign

DOMAIN = Domain(31337, "0x81592c3DE184A3E2c0DCB5a261BC107Bfa91f494")
PAYMENT = ClusterPayment((1, 2, 3, 4), 10**17, 5)
ACCOUNTS: list[LocalAccount] = [Account.from_key(bytes([number]) * 32) for number in (1, 2, 3, 4)]
MEMBERS = sorted((account.address for account in ACCOUNTS[:3]), key=lambda address: int(address, 16))


def approval(number: int, message: Any = PAYMENT) -> tuple[str, Signed]:
    return f"file {number}", sign(DOMAIN, message, ACCOUNTS[number])


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    _, signed = approval(0)
    path = tmp_path / "approval.json"
    write_approval(path, DOMAIN, signed)

    assert read_approval(path, DOMAIN) == signed
    with pytest.raises(KeyFileError, match="exists already"):
        write_approval(path, DOMAIN, signed)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("chainId", 1, "chainId 1, expected 31337: it is for another pool"),
        ("chainId", "31337" * 100, "expected 31337"),
        ("pool", "0x" + "00" * 20, "expected 0x81592c3DE184A3E2c0DCB5a261BC107Bfa91f494"),
        ("pool", None, "pool None, expected"),
        ("signer", ACCOUNTS[1].address, "the file was changed"),
        ("signature", "0x" + "11" * 64, "signature"),
        ("signature", "zz", "approval"),
        ("signature", 5, "signature: 0 bytes"),
        ("kind", "removal", "removal: expected the fields publicKey alone"),
        ("body", {}, "cluster-payment: expected the fields"),
    ],
)
def test_a_file_that_was_changed_is_refused(tmp_path: Path, field: str, value: object, said: str) -> None:
    path = tmp_path / "approval.json"
    write_approval(path, DOMAIN, approval(0)[1])
    content = json.loads(path.read_text())
    content[field] = value
    path.write_text(json.dumps(content))

    with pytest.raises((ApprovalError, KeyFileError)) as caught:
        read_approval(path, DOMAIN)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400 + len(str(path))


def test_signatures_are_given_in_the_order_of_addresses_and_each_once() -> None:
    found = collect("pay", PAYMENT, MEMBERS, 3, [approval(2), approval(0), approval(1), approval(0)])

    by_address = {account.address: sign(DOMAIN, PAYMENT, account).signature for account in ACCOUNTS}
    assert found == [by_address[member] for member in MEMBERS]


def test_what_is_missing_or_wrong_is_named() -> None:
    missing = next(member for member in MEMBERS if member not in {ACCOUNTS[0].address, ACCOUNTS[1].address})
    with pytest.raises(ApprovalError, match=f"pay: 2 approvals of members, expected 3: let others of {missing} sign"):
        collect("pay", PAYMENT, MEMBERS, 3, [approval(0), approval(1)])
    with pytest.raises(ApprovalError, match="2 approvals of members, expected 3"):
        collect("pay", PAYMENT, MEMBERS, 3, [approval(0), approval(1), approval(0)])
    with pytest.raises(ApprovalError, match=f"file 3 is signed by {ACCOUNTS[3].address}, who is no member"):
        collect("pay", PAYMENT, MEMBERS, 1, [approval(0), approval(3)])
    other = ClusterPayment((1, 2, 3, 4), 10**18, 4)
    with pytest.raises(
        ApprovalError,
        match="file 1 is over something else: amount 1000000000000000000, expected 100000000000000000, nonce 4",
    ):
        collect("pay", PAYMENT, MEMBERS, 1, [approval(0), approval(1, other)])
    with pytest.raises(ApprovalError, match="a removal, expected a cluster-payment"):
        collect("pay", PAYMENT, MEMBERS, 1, [approval(1, Removal(bytes(48)))])

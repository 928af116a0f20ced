"""The transaction sender against a node in memory: what it asks first, what it sends, what it says when it cannot."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_utils.crypto import keccak
from fake_node import CHAIN_ID, GWEI, FakeNode, connected
from hypothesis import given
from hypothesis import strategies as st

from ssv_pool.errors import ConfigError, SsvPoolError, UnavailableError
from ssv_pool.registry.amounts import ether
from ssv_pool.registry.artifacts import published_abi
from ssv_pool.registry.chain import ContractError, check_chain, check_contract, checksummed, connect, read
from ssv_pool.registry.transactions import Progress, TransactionSender, state_folder

CONTRACT = "0x" + "5f" * 20
ACCOUNT = Account.from_key(b"\x01" * 32)
NOT_OWNER = keccak(text="UnsortedOperatorsList()")[:4]


@pytest.fixture
def node() -> FakeNode:
    return FakeNode()


def sender(node: FakeNode, folder: Path, **options: Any) -> TransactionSender:
    return TransactionSender(connected(node), ACCOUNT, locks=folder, timeout=0.3, **options)


def call(node: FakeNode) -> Any:
    return (
        connected(node)
        .eth.contract(address=checksummed(CONTRACT, "it"), abi=published_abi())
        .functions.removeOperator(3)
    )


def refusal(node: FakeNode, folder: Path, *, value: int = 0, **options: Any) -> SsvPoolError:
    with pytest.raises(SsvPoolError) as caught:
        sender(node, folder, **options).send("remove operator 3", call(node), value=value)
    return caught.value


def test_sends_what_was_simulated(node: FakeNode, tmp_path: Path) -> None:
    steps: list[Progress] = []
    sent = sender(node, tmp_path, on_progress=steps.append).send("remove operator 3", call(node), value=9)

    assert len(node.sent) == 1
    transaction = node.sent[0]
    assert {name: transaction[name] for name in ("chainId", "nonce", "value", "gas", "from")} == {
        "chainId": CHAIN_ID,
        "nonce": 0,
        "value": 9,
        "gas": 60_000,
        "from": ACCOUNT.address,
    }
    assert (transaction["maxFeePerGas"], transaction["maxPriorityFeePerGas"]) == (11 * GWEI, GWEI)
    assert [step.stage for step in steps] == ["simulated", "sent", "mined"]
    assert str(steps[2]) == f"remove operator 3: mined 0x{sent.tx_hash.hex()} in block 9"
    assert sent.as_json() == {
        "action": "remove operator 3",
        "dry_run": False,
        "from": ACCOUNT.address,
        "to": checksummed(CONTRACT, "it"),
        "value": "9",
        "gas": 60_000,
        "max_fee_per_gas": str(11 * GWEI),
        "max_priority_fee_per_gas": str(GWEI),
        "transaction": f"0x{sent.tx_hash.hex()}",
        "block": 9,
        "gas_used": 100,
        "cost": "700",
    }


def test_dry_run_sends_nothing(node: FakeNode, tmp_path: Path) -> None:
    planned = sender(node, tmp_path).send("remove operator 3", call(node), dry_run=True)

    assert node.sent == []
    assert planned.as_json()["dry_run"] is True
    assert planned.plan.highest_cost == 60_000 * 11 * GWEI
    with pytest.raises(ContractError) as caught:
        _ = planned.receipt
    assert str(caught.value) == "remove operator 3: a dry run sends nothing and has no receipt"


def test_refused_call_is_not_sent(node: FakeNode, tmp_path: Path) -> None:
    node.revert = NOT_OWNER
    error = refusal(node, tmp_path)

    assert str(error) == "remove operator 3: the operator ids are not in ascending order: sort them"
    assert isinstance(error, ContractError)
    assert error.name == "UnsortedOperatorsList"
    assert "eth_sendRawTransaction" not in node.asked


def test_too_little_for_the_amount_is_said_before_the_call_is_tried(node: FakeNode, tmp_path: Path) -> None:
    node.balance = 5
    assert str(refusal(node, tmp_path, value=6)) == (
        f"remove operator 3: account {ACCOUNT.address} holds 0.000000000000000005 ETH, expected at least "
        "0.000000000000000006 ETH (the amount that goes along): send it the difference first"
    )
    assert "eth_call" not in node.asked


def test_too_little_for_gas(node: FakeNode, tmp_path: Path) -> None:
    node.balance = 60_000 * 11 * GWEI
    assert str(refusal(node, tmp_path, value=1)) == (
        f"remove operator 3: account {ACCOUNT.address} holds 0.00066 ETH, expected at least 0.000660000000000001 ETH "
        "(the amount and the most that gas can cost): send it the difference first"
    )
    assert sender(node, tmp_path).send("remove operator 3", call(node)).mined is not None


def test_highest_fee(node: FakeNode, tmp_path: Path) -> None:
    sender(node, tmp_path, highest_fee=5 * GWEI + 7).send("remove operator 3", call(node))
    assert (node.sent[0]["maxFeePerGas"], node.sent[0]["maxPriorityFeePerGas"]) == (5 * GWEI + 7, 7)

    assert str(refusal(node, tmp_path, highest_fee=5 * GWEI - 1)) == (
        "remove operator 3: the chain asks 5 gwei per gas, which is above the limit of 5: try later, or raise the limit"
    )


@pytest.mark.parametrize("words", ["nonce too low: next nonce 1", "replacement transaction underpriced"])
def test_a_nonce_that_somebody_took_is_read_again(node: FakeNode, tmp_path: Path, words: str) -> None:
    node.refusals = [words, words]
    sender(node, tmp_path).send("remove operator 3", call(node))
    assert [transaction["nonce"] for transaction in node.sent] == [2]


def test_a_transaction_that_the_node_has_already_is_not_sent_twice(node: FakeNode, tmp_path: Path) -> None:
    node.refusals, node.keeps_refused = ["already known"], True
    assert sender(node, tmp_path).send("remove operator 3", call(node)).mined is not None
    node.refusals = ["nonce too low"]
    assert sender(node, tmp_path).send("remove operator 3", call(node)).mined is not None
    assert node.sent == []


def test_gives_up_when_nonces_are_taken_all_the_time(node: FakeNode, tmp_path: Path) -> None:
    node.refusals = ["nonce too low"] * 100
    assert str(refusal(node, tmp_path)) == (
        "remove operator 3: the node answers: nonce too low; 20 tries: another program sends from "
        f"{ACCOUNT.address} all the time"
    )


def test_another_refusal_of_the_node_is_final(node: FakeNode, tmp_path: Path) -> None:
    node.refusals = ["intrinsic gas too low"]
    assert str(refusal(node, tmp_path)) == "remove operator 3: the node answers: intrinsic gas too low"


def test_failed_when_mined(node: FakeNode, tmp_path: Path) -> None:
    node.fails_when_mined = True
    assert str(refusal(node, tmp_path)) == (
        "remove operator 3: the contract refused it without a reason (a field is too long, or there is no contract)"
    )


def test_not_mined_in_time(node: FakeNode, tmp_path: Path) -> None:
    node.mines = False
    error = refusal(node, tmp_path)
    assert isinstance(error, UnavailableError)
    assert str(error) == (
        f"remove operator 3: transaction {next(iter(node.known))} is not mined after 0.3 s and still may be: look it "
        "up before sending again"
    )


def test_node_without_a_pending_state(node: FakeNode, tmp_path: Path) -> None:
    node.no_pending = True
    assert sender(node, tmp_path).send("remove operator 3", call(node)).mined is not None


def test_node_that_is_gone_is_not_named_with_its_key(node: FakeNode, tmp_path: Path) -> None:
    node.dies_at_send = True
    error = refusal(node, tmp_path)
    assert isinstance(error, UnavailableError)
    assert "secret" not in str(error)
    assert "may have been sent: look it up before sending again" in str(error)
    node.dead = True
    assert str(refusal(node, tmp_path)) == "remove operator 3: execution node FakeNode does not answer"


def test_threads_never_use_one_nonce(node: FakeNode, tmp_path: Path) -> None:
    """Each has a sender of its own, as two parts of a program would; the node refuses any nonce but the next."""
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(5):
                sender(node, tmp_path).submit("remove operator 3", call(node))
        except BaseException as error:  # noqa: BLE001 - shown by the assertion
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert [transaction["nonce"] for transaction in node.sent] == list(range(20))


def test_lock_file_that_cannot_be_made(node: FakeNode, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    error = refusal(node, tmp_path / "file")
    assert isinstance(error, ConfigError)
    assert "expected a folder that can be written: name one by XDG_STATE_HOME" in str(error)


def test_state_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert state_folder() == Path("/state/ssv-pool")
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/home/x")
    assert state_folder() == Path("/home/x/.local/state/ssv-pool")


def test_checks_of_chain_and_contract(node: FakeNode) -> None:
    w3 = connected(node)
    check_chain(w3, CHAIN_ID)
    check_contract(w3, CONTRACT, published_abi(), "registry", views=("getNetworkFee",))

    def refused(run: Any) -> str:
        with pytest.raises(SsvPoolError) as caught:
            run()
        return str(caught.value)

    assert refused(lambda: check_chain(w3, 1)) == (
        "execution node FakeNode follows chain 7, expected chain 1: name a node of that chain or the other chain id"
    )
    zero = "0x" + "00" * 20
    assert refused(lambda: check_contract(w3, zero, published_abi(), "registry", views=("owner",))) == (
        f"no contract at {zero} on chain 7: check the registry address"
    )
    node.revert = b""
    place = checksummed(CONTRACT, "it")
    assert refused(lambda: check_contract(w3, CONTRACT, published_abi(), "registry", views=("owner",))) == (
        f"the contract at {place} is no registry: it does not answer owner(), check the registry address"
    )


def test_answer_that_does_not_fit_the_abi(node: FakeNode) -> None:
    w3 = connected(node)
    functions = w3.eth.contract(address=checksummed(CONTRACT, "it"), abi=published_abi()).functions
    with pytest.raises(ContractError) as caught:
        read(w3, "read operator 1", functions.getOperatorById(1))
    assert str(caught.value) == "read operator 1: the contract's answer is not what the ABI says: check its address"


class Page(BaseHTTPRequestHandler):
    """Answers every request with its server's page."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        status, body = self.server.page  # type: ignore[attr-defined]
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Not on the test's output."""


@pytest.mark.parametrize(
    ("status", "body", "sentence"),
    [
        (200, b"<html></html>", "{} answers something else than JSON-RPC: check the execution node's address"),
        (200, b"\xff\xfe", "{} answers something else than JSON-RPC: check the execution node's address"),
        (
            200,
            b'{"jsonrpc":"2.0","id":0,"result":"zz"}',
            "{} answers something else than JSON-RPC: check the execution node's address",
        ),
        (200, b"{}", "{} answers something else than JSON-RPC: check the execution node's address"),
        (403, b"", "execution node {} answers with HTTP status 403: check its address and key"),
    ],
)
def test_address_of_something_else(status: int, body: bytes, sentence: str) -> None:
    with HTTPServer(("127.0.0.1", 0), Page) as server:
        server.page = (status, body)  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            place = f"127.0.0.1:{server.server_port}"
            with pytest.raises(UnavailableError) as caught:
                check_chain(connect(f"http://user:secret@{place}/secret"), 1)
        finally:
            server.shutdown()
            thread.join()
    assert str(caught.value) == f"ask for the chain id: {sentence.format(place)}"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("0x12", "owner: '0x12', expected an address: 0x and 40 hex digits"),
        ("5f" * 20, f"owner: '{'5f' * 20}', expected an address: 0x and 40 hex digits"),
        (
            "0xF39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
            (
                "owner: 0xF39Fd6e51aad88F6F4ce6aB8827279cffFb92266, its mixed case is not the address's EIP-55 "
                "checksum: check each digit"
            ),
        ),
    ],
)
def test_bad_addresses(text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        checksummed(text, "owner")
    assert str(caught.value) == sentence


def test_address_of_the_node() -> None:
    with pytest.raises(ConfigError) as caught:
        connect("ws://user:secret@host")
    assert str(caught.value) == "execution node: expected an address that begins with http:// or https://"


@given(st.integers(-(10**30), 10**30))
def test_ether_is_exact(wei: int) -> None:
    text = ether(wei)
    whole, _, part = text.removeprefix("-").partition(".")
    assert (-1 if text.startswith("-") else 1) * (int(whole) * 10**18 + int(part.ljust(18, "0"))) == wei
    assert not part.endswith("0")

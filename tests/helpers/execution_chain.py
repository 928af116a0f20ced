"""An execution chain for a stepped beacon node: what the node uses of anvil's JSON-RPC, and a deposit contract."""

from dataclasses import dataclass, field
from typing import Any

from eth_account import Account
from eth_account.typed_transactions import TypedTransaction
from hexbytes import HexBytes

from ssv_pool.devnet.beacon.execution import DEPOSIT_TOPIC
from ssv_pool.devnet.beacon.execution_link import ExecutionError

CHAIN_ID = 31337
CONTRACT = bytes.fromhex("4242424242424242424242424242424242424242")


def deposit_data(pubkey: bytes, credentials: bytes, amount: int, signature: bytes, index: int) -> bytes:
    """The data of a DepositEvent (EIP-6110's layout); the amount in Gwei."""
    parts = (pubkey, credentials, amount.to_bytes(8, "little"), signature, index.to_bytes(8, "little"))
    heads, tails = b"", b""
    for part in parts:
        heads += (32 * len(parts) + len(tails)).to_bytes(32, "big")
        tails += len(part).to_bytes(32, "big") + part + bytes(-len(part) % 32)
    return heads + tails


@dataclass
class ExecutionChain:
    """Blocks are mined when told; a block takes all payments that wait in the order of their nonces."""

    number: int = 5
    nonce: int = 0
    payer_balance: int = 0
    balances: dict[bytes, int] = field(default_factory=dict)
    """Receiver → Wei that it was paid."""
    paid_at: dict[int, dict[bytes, int]] = field(default_factory=dict)
    """Block → balances after it."""
    logs: list[tuple[int, bytes]] = field(default_factory=list)
    """Block and data of each deposit event."""
    waiting: dict[int, tuple[bytes, int]] = field(default_factory=dict)
    refusals: list[str] = field(default_factory=list)
    """Methods that fail the next time they are called."""

    def deposit(self, pubkey: bytes, credentials: bytes, amount: int, signature: bytes) -> None:
        """A deposit in the block that is mined next."""
        data = deposit_data(pubkey, credentials, amount, signature, len(self.logs))
        self.logs.append((self.number + 1, data))

    async def __call__(self, method: str, *parameters: Any) -> Any:
        if method in self.refusals:
            self.refusals.remove(method)
            raise ExecutionError(f"{method}: refused: not now")
        return getattr(self, "_" + method)(*parameters)

    def _eth_blockNumber(self) -> str:  # noqa: N802
        return hex(self.number)

    def _eth_chainId(self) -> str:  # noqa: N802
        return hex(CHAIN_ID)

    def _eth_getTransactionCount(self, _account: str, _block: str) -> str:  # noqa: N802
        return hex(self.nonce)

    def _eth_getBalance(self, _account: str, _block: str) -> str:  # noqa: N802
        return hex(self.payer_balance)

    def _anvil_setBalance(self, _account: str, balance: str) -> None:  # noqa: N802
        self.payer_balance = int(balance, 16)

    def _eth_sendRawTransaction(self, raw: str) -> str:  # noqa: N802
        fields = TypedTransaction.from_bytes(HexBytes(raw)).as_dict()
        Account.recover_transaction(raw)
        code = bytes(fields["data"])
        assert (code[:1], code[21:], bytes(fields["to"])) == (b"\x73", b"\xff", b"")
        if fields["nonce"] < self.nonce:
            raise ExecutionError("eth_sendRawTransaction: refused: nonce too low")
        if fields["nonce"] in self.waiting:
            raise ExecutionError("eth_sendRawTransaction: refused: transaction already imported")
        self.waiting[fields["nonce"]] = (code[1:21], fields["value"])
        return "0x"

    def _evm_mine(self) -> str:
        self.number += 1
        while self.nonce in self.waiting:
            receiver, value = self.waiting.pop(self.nonce)
            self.balances[receiver] = self.balances.get(receiver, 0) + value
            self.payer_balance -= value
            self.nonce += 1
        self.paid_at[self.number] = dict(self.balances)
        return "0x0"

    def _eth_getLogs(self, query: dict[str, Any]) -> list[dict[str, str]]:  # noqa: N802
        assert query["topics"] == [DEPOSIT_TOPIC]
        assert query["address"] == "0x" + CONTRACT.hex()
        blocks = range(int(query["fromBlock"], 16), int(query["toBlock"], 16) + 1)
        return [{"data": "0x" + data.hex()} for number, data in self.logs if number in blocks]

"""What the gas measurements share: contracts on anvil, called by its own accounts, each transaction alone in a block.

So a figure is what a receipt says: execution, call data and base cost. All bytes that stand for keys and ciphertexts
are a hash of a counter: two runs find the same gas.
"""

import hashlib
from typing import Any

from web3 import Web3
from web3.types import RPCEndpoint

from ssv_pool.registry.artifacts import compile_contract, published_abi

Figures = dict[str, int | dict[int, int]]
"""Call → gas: one figure, or one by number of operators."""

NEW_CLUSTER = (0, 0, 0, True, 0)
"""The state of a cluster that is not there yet."""

GAS_LIMIT = 10_000_000
"""More than any call here needs, less than a block has."""


class Chain:
    """Deploys, calls and waits on one anvil."""

    def __init__(self, w3: Web3) -> None:
        self.w3 = w3
        self.accounts = w3.eth.accounts
        """Funded accounts whose keys anvil has."""
        self._drawn = 0

    def deploy(self, name: str, *arguments: Any) -> tuple[Any, int]:
        """Compile and deploy a contract: the contract, and the gas that it took."""
        artifact = compile_contract(name)
        draft = self.w3.eth.contract(abi=published_abi(name), bytecode=artifact.bytecode)
        hash_ = draft.constructor(*arguments).transact({"from": self.accounts[0], "gas": GAS_LIMIT})
        receipt = self.w3.eth.wait_for_transaction_receipt(hash_)
        return self.w3.eth.contract(receipt["contractAddress"], abi=published_abi(name)), receipt["gasUsed"]

    def send(self, call: Any, *, by: str | None = None, value: int = 0) -> int:
        """Send a call and return the gas it used.

        Raises:
            RuntimeError: it was refused.
        """
        sender = by or self.accounts[0]
        hash_ = call.transact({"from": sender, "value": value, "gas": GAS_LIMIT})
        receipt = self.w3.eth.wait_for_transaction_receipt(hash_)
        if not receipt["status"]:
            # Says why.
            call.call({"from": sender, "value": value})
            raise RuntimeError(f"{call.fn_name} was refused")
        self.last = receipt
        return receipt["gasUsed"]

    def cluster(self, contract: Any) -> tuple[Any, ...]:
        """The cluster's state as the last transaction's last event of it tells."""
        states = []
        for log in self.last["logs"]:
            for event in contract.events:
                if "cluster" not in [each["name"] for each in event.abi["inputs"]]:
                    continue
                if bytes(log["topics"][0]) == Web3.keccak(text=event.signature):
                    states.append(tuple(event().process_log(log)["args"]["cluster"].values()))
        return states[-1]

    def mine(self, blocks: int) -> None:
        """Let blocks pass."""
        self.w3.provider.make_request(RPCEndpoint("anvil_mine"), [hex(blocks)])

    def wait(self, seconds: int) -> None:
        """Let time pass."""
        self.w3.provider.make_request(RPCEndpoint("evm_increaseTime"), [seconds])
        self.mine(1)

    def draw(self, count: int) -> bytes:
        """Bytes without a pattern, never the same twice in a run, always the same in the same place of a run."""
        self._drawn += 1
        return hashlib.shake_256(self._drawn.to_bytes(8, "big")).digest(count)

    def keys(self, count: int) -> list[bytes]:
        """Validator public keys, 48 bytes each."""
        return [self.draw(48) for _ in range(count)]

    def shares(self, count: int, operators: int) -> list[bytes]:
        """As long as a validator's real signature, share keys and encrypted shares."""
        return [self.draw(96 + 304 * operators) for _ in range(count)]

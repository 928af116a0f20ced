"""What only the registry contract's events tell: clusters' present states, owners' nonces, operators' keys.

The contract keeps no more of a cluster than the hash of its state; whoever calls brings the state along.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from eth_typing import BlockNumber, ChecksumAddress
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak
from web3 import Web3
from web3.exceptions import Web3RPCError
from web3.types import LogReceipt, TxReceipt

from ssv_pool.protocol.types.primitives import OperatorId
from ssv_pool.registry import abi
from ssv_pool.registry.chain import ContractError, checksummed, translated
from ssv_pool.registry.events import Cluster

NEW_CLUSTER: Final = Cluster(validator_count=0, network_fee_index=0, index=0, active=True, balance=0)
"""The state that a cluster's first registration brings along."""

_CLUSTER_EVENTS: Final = {
    event.topic: event
    for event in (
        abi.VALIDATOR_ADDED,
        abi.VALIDATOR_REMOVED,
        abi.CLUSTER_LIQUIDATED,
        abi.CLUSTER_REACTIVATED,
        abi.EventAbi("ClusterDeposited", ("address",), ("uint64[]", "uint256", abi.CLUSTER_TYPE)),
        abi.EventAbi("ClusterWithdrawn", ("address",), ("uint64[]", "uint256", abi.CLUSTER_TYPE)),
        # This and the next are the SSV network's alone: a cluster that was paid in SSV before, and one whose
        # validators' effective balance has changed.
        abi.EventAbi(
            "ClusterMigratedToETH", ("address",), ("uint64[]", "uint256", "uint256", "uint32", abi.CLUSTER_TYPE)
        ),
    )
} | {
    # Its second indexed argument stands behind the operator ids in the signature, and before them in the log.
    keccak(text=f"ClusterBalanceUpdated(address,uint64[],uint64,uint32,{abi.CLUSTER_TYPE})"): abi.EventAbi(
        "ClusterBalanceUpdated", ("address", "uint64"), ("uint64[]", "uint32", abi.CLUSTER_TYPE)
    )
}
"""Topic to event, for those that carry a cluster's new state: its owner first, the state at the end."""

_FIRST_RANGE: Final = 10_000
_LARGEST_RANGE: Final = 640_000
_MOST_IDS: Final = 100
"""Operator ids that one query of logs names."""

ClusterKey = tuple[ChecksumAddress, tuple[OperatorId, ...]]
"""Owner and operator ids."""


class RegistryHistory:
    """Searches one registry contract's events.

    Args:
        w3: connection to an execution node.
        address: the contract's.
        first_block: block it was deployed in; searches end there.
    """

    def __init__(self, w3: Web3, address: str, first_block: int = 0) -> None:
        self.w3 = w3
        self.address = checksummed(address, "registry address")
        self.first_block = first_block

    def cluster(self, owner: str, operator_ids: Sequence[OperatorId]) -> Cluster:
        """The present state of a cluster, from its last event; that of a new cluster when it has none."""
        ids = tuple(operator_ids)
        for log in self._logs([list(_CLUSTER_EVENTS), [_word(owner)]], newest_first=True):
            _, operators, state = _decoded(log)
            if operators == ids:
                return state
        return NEW_CLUSTER

    def clusters(self, owner: str | None = None) -> dict[ClusterKey, Cluster]:
        """The present states of all clusters, or of one owner's, in the order of their first registration."""
        found: dict[ClusterKey, Cluster] = {}
        topics: list[list[bytes]] = [list(_CLUSTER_EVENTS)]
        if owner is not None:
            topics.append([_word(owner)])
        for log in self._logs(topics):
            address, operators, state = _decoded(log)
            found[to_checksum_address(address), operators] = state
        return found

    def owner_nonce(self, owner: str) -> int:
        """The nonce that the owner's next registration must be signed with: its registrations so far."""
        return sum(1 for _ in self._logs([[abi.VALIDATOR_ADDED.topic], [_word(owner)]]))

    def operator_keys(self, operator_ids: Sequence[OperatorId]) -> dict[OperatorId, bytes]:
        """The public keys with which operators were registered: for a proper one the base64 of the RSA key's PEM.

        Ids that were never given are left out, and keys that are not packed as the field packs them.
        """
        found: dict[OperatorId, bytes] = {}
        for start in range(0, len(operator_ids), _MOST_IDS):
            words = [number.to_bytes(32, "big") for number in operator_ids[start : start + _MOST_IDS]]
            for log in self._logs([[abi.OPERATOR_ADDED.topic], words], newest_first=True):
                try:
                    operator_id, _, packed, _ = abi.OPERATOR_ADDED.decode(
                        [bytes(topic) for topic in log["topics"]], bytes(log["data"])
                    )
                    found[OperatorId(operator_id)] = abi.unpack_bytes(packed)
                except abi.AbiDecodeError:
                    continue
                if len(found) == len(set(operator_ids)):
                    return found
        return found

    def operator_id_of(self, action: str, receipt: TxReceipt) -> OperatorId:
        """The id that a registration's transaction gave. Raises ContractError: its event is missing."""
        for log in receipt["logs"]:
            if log["address"] == self.address and bytes(log["topics"][0]) == abi.OPERATOR_ADDED.topic:
                return OperatorId(int.from_bytes(log["topics"][1], "big"))
        raise ContractError(f"{action}: transaction 0x{receipt['transactionHash'].hex()} left no event")

    def cluster_after(self, action: str, receipt: TxReceipt) -> Cluster:
        """The state that a transaction left a cluster in. Raises ContractError: its event is missing."""
        for log in reversed(receipt["logs"]):
            if log["address"] == self.address and bytes(log["topics"][0]) in _CLUSTER_EVENTS:
                return _decoded(log)[2]
        raise ContractError(f"{action}: transaction 0x{receipt['transactionHash'].hex()} left no event")

    def _logs(self, topics: Sequence[Sequence[bytes]], *, newest_first: bool = False) -> Iterator[LogReceipt]:
        return search_logs(
            self.w3,
            self.address,
            topics,
            first_block=self.first_block,
            newest_first=newest_first,
            what="the registry's events",
        )


def search_logs(
    w3: Web3,
    address: ChecksumAddress,
    topics: Sequence[Sequence[bytes]],
    *,
    first_block: int,
    newest_first: bool = False,
    what: str,
) -> Iterator[LogReceipt]:
    """A contract's logs, in order, in ranges of blocks that grow until the node refuses one, and then shrink.

    Args:
        w3: connection to an execution node.
        address: the contract's.
        topics: for each place the topics that are wanted, 32 bytes each; none for any.
        first_block: where the search begins, or ends when it goes backwards.
        newest_first: whether to begin at the chain's head.
        what: what is read, for error texts.

    Raises:
        ContractError: the node refuses even a range of one block.
        UnavailableError: the node does not answer.
    """
    wanted: list[Any] = [[f"0x{topic.hex()}" for topic in place] or None for place in topics]
    with translated(w3, f"read {what}"):
        head = int(w3.eth.block_number)
        low, high, size, refused = first_block, head, _FIRST_RANGE, False
        while low <= high:
            start, end = (max(low, high - size + 1), high) if newest_first else (low, min(high, low + size - 1))
            try:
                logs = w3.eth.get_logs(
                    {
                        "address": address,
                        "topics": wanted,
                        "fromBlock": BlockNumber(start),
                        "toBlock": BlockNumber(end),
                    }
                )
            except Web3RPCError:
                if size == 1:
                    raise
                size, refused = max(1, size // 2), True
                continue
            logs.sort(key=lambda log: (log["blockNumber"], log["logIndex"]), reverse=newest_first)
            yield from logs
            low, high = (low, start - 1) if newest_first else (end + 1, high)
            if not refused:
                size = min(2 * size, _LARGEST_RANGE)


def _word(address: str) -> bytes:
    return bytes.fromhex(checksummed(address, "owner")[2:]).rjust(32, bytes(1))


def _decoded(log: LogReceipt) -> tuple[bytes, tuple[OperatorId, ...], Cluster]:
    """Owner (20 bytes), operator ids and the cluster's new state of an event of `_CLUSTER_EVENTS`."""
    topics = [bytes(topic) for topic in log["topics"]]
    event = _CLUSTER_EVENTS[topics[0]]
    try:
        values = event.decode(topics, bytes(log["data"]))
    except abi.AbiDecodeError as error:
        raise ContractError(f"event {event.name} in block {log['blockNumber']} is malformed: {error}") from error
    return values[0], values[len(event.indexed)], Cluster(*values[-1])

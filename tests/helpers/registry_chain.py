"""Registry events for tests without a chain: ABI-encoded logs, registrations with real signatures, blocks of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from eth_abi.abi import encode

from ssv_pool.crypto import bls
from ssv_pool.crypto.shares_data import registration_root
from ssv_pool.registry import abi
from ssv_pool.registry.events import Log
from ssv_pool.registry.handler import EventHandler
from ssv_pool.store import Database
from ssv_pool.store.cursor import Block, EventRecord, advance, open_cursor, record_block

CHAIN_ID = 31337
CONTRACT = bytes.fromhex("5f" * 20)
ALICE = bytes.fromhex("81592c3de184a3e2c0dcb5a261bc107bfa91f494")
BOB = bytes.fromhex("aa" * 20)
CLUSTER = (1, 2, 3, True, 10**18)

Content = tuple[tuple[bytes, ...], bytes]
"""Topics and data of a log."""


@dataclass
class Chain:
    """A store, and blocks that are applied to it one after the other."""

    database: Database
    handler: EventHandler
    number: int = 0

    def mine(self, *contents: Content, time: int | None = None) -> list[EventRecord]:
        """Apply one block with these logs, as the sync does."""
        block = make_block(self.number + 1, time)
        with self.database.session() as session:
            open_cursor(session, CHAIN_ID, CONTRACT, 1)
            assert advance(session, self.number, block)
            records = self.handler.apply(session, block, make_logs(block, contents))
            record_block(session, block, records)
        self.number = block.number
        return records

    def outcome(self, *contents: Content) -> list[tuple[str, str | None, str | None]]:
        """Apply one block; outcome, reason and detail of each event."""
        return [(record.outcome, record.reason, record.detail) for record in self.mine(*contents)]


def make_block(number: int, time: int | None = None) -> Block:
    return Block(number, block_hash(number), block_hash(number - 1), 1_000 * number if time is None else time)


def block_hash(number: int) -> bytes:
    return sha256(f"block {number}".encode()).digest()


def make_logs(block: Block, contents: Sequence[Content]) -> list[Log]:
    return [
        Log(topics, data, block.number, block.hash, sha256(bytes([place])).digest(), place, place)
        for place, (topics, data) in enumerate(contents)
    ]


def address_topic(address: bytes) -> bytes:
    return bytes(12) + address


def operator_added(operator_id: int, owner: bytes = ALICE, key: bytes | None = None, fee: int = 0) -> Content:
    packed = abi.pack_bytes(key if key is not None else f"key of {operator_id}".encode())
    topics = (abi.OPERATOR_ADDED.topic, operator_id.to_bytes(32, "big"), address_topic(owner))
    return topics, encode(["bytes", "uint256"], [packed, fee])


def operators_added(count: int) -> list[Content]:
    return [operator_added(operator_id) for operator_id in range(1, count + 1)]


def operator_removed(operator_id: int) -> Content:
    return (abi.OPERATOR_REMOVED.topic, operator_id.to_bytes(32, "big")), b""


def validator_added(
    public_key: bytes, shares: bytes, owner: bytes = ALICE, ids: Sequence[int] = (1, 2, 3, 4)
) -> Content:
    types = ["uint64[]", "bytes", "bytes", abi.CLUSTER_TYPE]
    return (abi.VALIDATOR_ADDED.topic, address_topic(owner)), encode(types, [ids, public_key, shares, CLUSTER])


def registration(
    secret: int, nonce: int, owner: bytes = ALICE, ids: Sequence[int] = (1, 2, 3, 4), signed_by: int | None = None
) -> Content:
    """A registration with a real signature; the shares are placeholders, nobody here can decrypt them."""
    signature = bls.sign(secret if signed_by is None else signed_by, registration_root(owner, nonce))
    shares = signature + b"".join(share_key(i) for i in ids) + b"".join(ciphertext(i) for i in ids)
    return validator_added(bls.secret_to_public(secret), shares, owner, ids)


def share_key(operator_id: int) -> bytes:
    return sha256(b"share key %d" % operator_id).digest() + bytes(16)


def ciphertext(operator_id: int) -> bytes:
    return sha256(b"ciphertext %d" % operator_id).digest() * 8


def validator_removed(public_key: bytes, owner: bytes = ALICE, ids: Sequence[int] = (1, 2, 3, 4)) -> Content:
    types = ["uint64[]", "bytes", abi.CLUSTER_TYPE]
    return (abi.VALIDATOR_REMOVED.topic, address_topic(owner)), encode(types, [ids, public_key, CLUSTER])


def validator_exited(public_key: bytes, owner: bytes = ALICE, ids: Sequence[int] = (1, 2, 3, 4)) -> Content:
    return (abi.VALIDATOR_EXITED.topic, address_topic(owner)), encode(["uint64[]", "bytes"], [ids, public_key])


def cluster_liquidated(owner: bytes = ALICE, ids: Sequence[int] = (1, 2, 3, 4)) -> Content:
    return (abi.CLUSTER_LIQUIDATED.topic, address_topic(owner)), encode(["uint64[]", abi.CLUSTER_TYPE], [ids, CLUSTER])


def cluster_reactivated(owner: bytes = ALICE, ids: Sequence[int] = (1, 2, 3, 4)) -> Content:
    return (abi.CLUSTER_REACTIVATED.topic, address_topic(owner)), encode(["uint64[]", abi.CLUSTER_TYPE], [ids, CLUSTER])


def fee_recipient_updated(recipient: bytes, owner: bytes = ALICE) -> Content:
    return (abi.FEE_RECIPIENT_UPDATED.topic, address_topic(owner)), address_topic(recipient)

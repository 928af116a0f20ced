"""The node's view of the registry: a real store, real RSA keys and shares, a real slashing protection file."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from committee_network import chain
from cryptography.hazmat.primitives.asymmetric import rsa

from ssv_pool.crypto import bls, operator_keys
from ssv_pool.crypto.operator_keys import OperatorKeyring
from ssv_pool.crypto.shares_data import SharesData
from ssv_pool.node.registry import RegistryReader, RegistryState
from ssv_pool.pool.keyshares import KeyShares, ShareOperator, split_key
from ssv_pool.protocol.types.ids import cluster_id, committee_id
from ssv_pool.protocol.types.primitives import DomainType, Epoch, OperatorId, PublicKey, Root, Slot, ValidatorIndex
from ssv_pool.protocol.validation import CommitteeView
from ssv_pool.signer.local import LocalSigner
from ssv_pool.signer.slashing import Marks, SlashingProtection
from ssv_pool.store import Database
from ssv_pool.store import registry_changes as changes
from ssv_pool.store.chain import save_chain
from ssv_pool.store.cursor import Block, advance, open_cursor, read_cursor
from ssv_pool.store.duties import Proposal, SyncCommittee, SyncMembership, replace_proposals, replace_sync_committee
from ssv_pool.store.records import ValidatorMetadata
from ssv_pool.store.undo import go_back, recorded

OWNER = bytes(19) + b"\x01"
OWNER_TEXT = "0x0000000000000000000000000000000000000001"
IDS = tuple(map(OperatorId, (1, 2, 3, 4)))
COMMITTEE = committee_id(IDS)
DOMAIN = DomainType(bytes.fromhex("00000402"))
CHAIN = chain()
EPOCH = 100
"""The present epoch of the tests."""


def time_of(epoch: float) -> float:
    return CHAIN.genesis_time + epoch * CHAIN.slots_per_epoch * CHAIN.slot_seconds


NOW = time_of(EPOCH)


@pytest.fixture(scope="session")
def rsa_keys() -> list[rsa.RSAPrivateKey]:
    return [operator_keys.generate() for _ in IDS]


@pytest.fixture(scope="session")
def pems(rsa_keys: list[rsa.RSAPrivateKey]) -> list[bytes]:
    return [operator_keys.public_key_to_pem(key.public_key()) for key in rsa_keys]


@pytest.fixture(scope="session")
def split(pems: list[bytes]) -> Callable[[int], KeyShares]:
    """The key shares of validator number ``index``; the same at each call."""
    made: dict[int, KeyShares] = {}
    operators = [ShareOperator(operator_id, pem) for operator_id, pem in zip(IDS, pems, strict=True)]

    def key_shares(index: int) -> KeyShares:
        if index not in made:
            made[index] = split_key(1_000_003 * (index + 1), operators, OWNER_TEXT, 0)
        return made[index]

    return key_shares


class Registry:
    """A store with four operators, and the node of operator 1 on it."""

    def __init__(self, folder: Path, key: rsa.RSAPrivateKey, pems: list[bytes], split: Callable[[int], KeyShares]):
        self.database = Database(f"sqlite:///{folder / 'store.sqlite'}")
        self.database.create_schema()
        self.protection_path = folder / "slashing.sqlite"
        self.keyring = OperatorKeyring(key)
        self.split = split
        self.block = 10
        with self.database.session() as session:
            for operator_id, pem in zip(IDS, pems, strict=True):
                text = operator_keys.public_key_to_base64(pem).encode()
                changes.add_operator(session, operator_id, OWNER, text, 0, 1)
            changes.bump_version(session)
        self.open()

    def open(self) -> None:
        """What a start of the node does."""
        self.protection = SlashingProtection(self.protection_path)
        self.signer = LocalSigner(self.protection)
        graffiti = b"hello".ljust(32, b"\0")
        self.reader = RegistryReader(self.database, self.keyring, self.signer, self.protection, DOMAIN, graffiti)

    def close(self) -> None:
        self.protection.close()

    def restart(self) -> None:
        self.close()
        self.open()

    def register(self, number: int, shares: SharesData | None = None, *, since: float = NOW, status: str = "") -> None:
        """Register validator ``number``, with other shares than its own if given, known to the beacon node if asked."""
        self.block += 1
        with self.database.session() as session:
            changes.add_validator(session, self.registration(number, shares, since))
            changes.bump_version(session)
        if status:
            self.learn(number, status)

    def registration(self, number: int, shares: SharesData | None, since: float) -> changes.NewValidator:
        key_shares = self.split(number)
        data = shares or key_shares.shares
        return changes.NewValidator(
            public_key=PublicKey(key_shares.public_key),
            owner=OWNER,
            operator_ids=IDS,
            share_public_keys=data.share_public_keys,
            encrypted_shares=data.encrypted_shares,
            block_number=self.block,
            block_time=int(since),
        )

    def learn(self, number: int, status: str = "active_ongoing") -> None:
        """What the beacon node says of a validator."""
        known = ValidatorMetadata(ValidatorIndex(number), status, Epoch(0), Epoch(2**64 - 1))
        with self.database.session() as session:
            changes.update_metadata(session, {PublicKey(self.split(number).public_key): known})

    def remove(self, number: int) -> None:
        with self.database.session() as session:
            changes.remove_validator(session, PublicKey(self.split(number).public_key))
            changes.bump_version(session)

    def liquidate(self, *, liquidated: bool = True, when: float = NOW) -> None:
        with self.database.session() as session:
            cluster = cluster_id(OWNER, IDS)
            changes.set_liquidated(session, cluster, liquidated=liquidated, block_time=int(when))
            changes.bump_version(session)

    def remove_operator(self, operator_id: int) -> None:
        with self.database.session() as session:
            changes.remove_operator(session, OperatorId(operator_id))
            changes.bump_version(session)

    def load(self, now: float = NOW) -> RegistryState:
        return self.reader.load(CHAIN, now)

    def share(self, number: int) -> PublicKey:
        """Operator 1's share key of a validator."""
        return self.split(number).shares.share_public_keys[0]

    def key(self, number: int) -> PublicKey:
        return PublicKey(self.split(number).public_key)

    def running(self, state: RegistryState) -> list[int]:
        """Numbers of the validators that are run."""
        return sorted(index for own in state.own.values() for index in own.shares)


@pytest.fixture
def registry(
    tmp_path: Path, rsa_keys: list[rsa.RSAPrivateKey], pems: list[bytes], split: Callable[[int], KeyShares]
) -> Iterator[Registry]:
    made = Registry(tmp_path, rsa_keys[0], pems, split)
    yield made
    made.close()
    made.database.close()


def marks(epoch: int, slot: int) -> Marks:
    return Marks(epoch - 1, epoch, slot, epoch - 1, epoch, slot)


def test_own_shares_are_decrypted_and_sign(registry: Registry, pems: list[bytes]) -> None:
    registry.register(0, status="active_ongoing")
    registry.register(1, status="active_ongoing")
    state = registry.load()

    assert (state.operator_id, state.validators, state.bad_shares) == (1, 2, {})
    assert state.statuses == {"active_ongoing": 2}
    assert dict(state.operator_keys) == dict(zip(IDS, pems, strict=True))
    assert dict(state.committees) == {COMMITTEE: CommitteeView(IDS, 2, in_sync_committee=True)}
    own = state.own[COMMITTEE]
    assert (own.member.operator_id, own.member.quorum, own.member.operator_pubkey) == (1, 3, pems[0])
    assert [share.share_pubkey for share in own.shares.values()] == [registry.share(0), registry.share(1)]
    assert {share.graffiti for share in own.shares.values()} == {b"hello" + bytes(27)}
    root = bytes(32)
    signature = registry.signer.sign_roots([registry.share(0)], [root])[0]  # type: ignore[list-item]
    assert bls.verify(registry.share(0), root, signature)


def test_a_validator_the_beacon_node_does_not_know_waits_with_its_share_ready(registry: Registry) -> None:
    registry.register(0)
    state = registry.load()
    assert (registry.running(state), state.statuses) == ([], {"unknown_to_beacon_node": 1})
    assert registry.signer.shares == {registry.share(0)}
    registry.learn(0)
    assert registry.running(registry.load()) == [0]


def test_without_a_registered_key_there_is_nothing_to_run(registry: Registry) -> None:
    registry.remove_operator(1)
    registry.register(0, status="active_ongoing")
    state = registry.load()
    assert (state.operator_id, state.own, state.bad_shares, registry.signer.shares) == (None, {}, {}, frozenset())
    assert state.committee(COMMITTEE) is not None


@pytest.mark.parametrize("fault", ["ciphertext", "share of another validator", "encrypted for another operator"])
def test_a_bad_share_is_reported_and_its_validator_not_run(registry: Registry, fault: str) -> None:
    good, other = registry.split(0).shares, registry.split(1).shares
    ciphertext = {
        "ciphertext": bytes(256),
        "share of another validator": other.encrypted_shares[0],
        "encrypted for another operator": good.encrypted_shares[1],
    }[fault]
    registry.register(0, replace(good, encrypted_shares=(ciphertext, *good.encrypted_shares[1:])), status="active")
    registry.register(2, status="active")
    state = registry.load()

    assert registry.running(state) == [2]
    assert state.bad_shares == {
        registry.key(0): f"share 0x{registry.share(0).hex()}: the encrypted share does not decrypt to its secret key "
        "with this operator's key"
    }
    assert registry.protection.marks(registry.share(0)) is None
    assert registry.load() == state


def test_a_bad_share_registered_again_gets_another_chance(registry: Registry) -> None:
    good = registry.split(0).shares
    registry.register(0, replace(good, encrypted_shares=(bytes(256), *good.encrypted_shares[1:])), status="active")
    assert registry.load().bad_shares
    registry.remove(0)
    registry.register(0, status="active")
    state = registry.load()
    assert (registry.running(state), state.bad_shares) == ([0], {})


def test_copied_shares_are_not_run_beside_their_owner(registry: Registry) -> None:
    """The copy would use up the epochs that the owner's share may sign for."""
    registry.register(1, registry.split(0).shares, status="active")
    assert registry.running(registry.load()) == [1], "who is alone takes nobody's place"
    registry.register(0, status="active")
    state = registry.load()
    assert registry.running(state) == [0]
    assert state.bad_shares == {registry.key(1): "its shares are those of another validator"}
    registry.remove(1)
    state = registry.load()
    registry.reader.forget()
    assert (registry.running(state), registry.signer.shares) == ([0], {registry.share(0)})


def test_a_removed_share_is_forgotten_when_nobody_signs_with_it_and_its_protection_stays(registry: Registry) -> None:
    registry.register(0, status="active")
    registry.register(1, status="active")
    registry.load()
    registry.remove(0)
    state = registry.load()
    assert registry.running(state) == [1]
    assert registry.share(0) in registry.signer.shares, "a running duty may still need it"
    registry.reader.forget()
    assert registry.signer.shares == {registry.share(1)}
    assert registry.protection.marks(registry.share(0)) == marks(EPOCH, EPOCH * 32)


def test_a_rollback_that_takes_a_share_away_and_brings_it_back_allows_no_second_signature(registry: Registry) -> None:
    registry.register(1, status="active")
    with registry.database.session() as session:
        open_cursor(session, 1, bytes(20), 1)
        advance(session, 0, Block(12, b"\x01" * 32, bytes(32), int(NOW)))
        seen = read_cursor(session)
        assert seen is not None
        with recorded(session, 12):
            changes.add_validator(session, registry.registration(0, None, NOW - 10 * 384))
    registry.learn(0)
    assert registry.running(registry.load()) == [0, 1]
    share, later = registry.share(0), NOW + 5 * 384
    # It signs for later epochs than that of its registration.
    registry.protection.raise_to([share], Epoch(EPOCH + 4), Epoch(EPOCH + 5), Slot((EPOCH + 5) * 32))
    signed = registry.protection.marks(share)
    with registry.database.session() as session:
        assert go_back(session, seen, None, 1) == 5
    state = registry.load(later)
    registry.reader.forget()
    assert registry.running(state) == [1]
    assert share not in registry.signer.shares
    assert registry.protection.marks(share) == signed
    # The other chain has the same registration, at another time.
    registry.register(0, since=NOW - 9 * 384, status="active")
    assert registry.running(registry.load(later)) == [0, 1]
    assert registry.protection.marks(share) == signed


def test_all_shares_are_forgotten_when_the_own_operator_is_removed(registry: Registry) -> None:
    registry.register(0, status="active")
    registry.load()
    registry.remove_operator(1)
    state = registry.load()
    registry.reader.forget()
    assert (state.own, registry.signer.shares) == ({}, frozenset())


def test_a_removed_operator_has_no_key_and_nothing_verifies_under_none(registry: Registry) -> None:
    registry.register(0, status="active")
    registry.remove_operator(3)
    state = registry.load()
    assert state.operator_key(OperatorId(3)) is None
    member = state.own[COMMITTEE].member
    assert [operator.operator_id for operator in member.committee] == list(IDS)
    assert member.committee[2].pubkey == b""
    assert not registry.keyring.verify(b"", b"message", bytes(256))


def test_an_operator_that_registered_no_key_at_all(registry: Registry) -> None:
    with registry.database.session() as session:
        changes.add_operator(session, OperatorId(9), OWNER, b"\xff no base64", 0, 5)
    assert registry.load().operator_key(OperatorId(9)) is None


def test_new_shares_sign_nothing_up_to_the_present_epoch(registry: Registry) -> None:
    registry.register(0, since=time_of(40), status="active")
    registry.load(time_of(100.5))
    assert registry.protection.marks(registry.share(0)) == marks(100, 3216)


def test_a_share_of_the_first_epoch_has_no_epoch_before_it(registry: Registry) -> None:
    """The source is the epoch before the target, but in epoch 0, which would make it 2^64 - 1."""
    registry.register(0, since=time_of(0), status="active")
    state = registry.load(time_of(0))
    assert registry.running(state) == [0]
    assert registry.protection.marks(registry.share(0)) == Marks(*[0] * 6)


def test_a_restart_raises_nothing(registry: Registry) -> None:
    registry.register(0, status="active")
    registry.load()
    before = registry.protection.marks(registry.share(0))
    for later in (EPOCH + 1, EPOCH + 50):
        registry.restart()
        state = registry.load(time_of(later))
        assert registry.running(state) == [0]
        assert registry.protection.marks(registry.share(0)) == before


def test_a_change_of_the_registry_raises_nothing_of_other_shares(registry: Registry) -> None:
    registry.register(0, status="active")
    registry.load()
    before = registry.protection.marks(registry.share(0))
    registry.register(1, since=time_of(EPOCH + 5), status="active")
    registry.load(time_of(EPOCH + 5))
    assert registry.protection.marks(registry.share(0)) == before
    assert registry.protection.marks(registry.share(1)) == marks(EPOCH + 5, (EPOCH + 5) * 32)


@pytest.mark.parametrize("down_meanwhile", [False, True])
def test_a_reactivated_share_signs_nothing_up_to_the_epoch_of_its_return(
    registry: Registry, down_meanwhile: bool
) -> None:
    registry.register(0, status="active")
    registry.load()
    registry.liquidate(when=time_of(EPOCH + 10))
    state = registry.load(time_of(EPOCH + 10))
    assert (registry.running(state), state.statuses) == ([], {"liquidated": 1})
    assert state.committees[COMMITTEE].validator_count == 0
    assert registry.protection.marks(registry.share(0)) == marks(EPOCH, EPOCH * 32)

    if down_meanwhile:
        registry.restart()
    registry.liquidate(liquidated=False, when=time_of(EPOCH + 20))
    state = registry.load(time_of(EPOCH + 30))
    assert registry.running(state) == [0]
    assert registry.protection.marks(registry.share(0)) == marks(EPOCH + 20, (EPOCH + 20) * 32)


def test_a_share_registered_again_signs_nothing_up_to_that_epoch(registry: Registry) -> None:
    registry.register(0, status="active")
    registry.load()
    registry.remove(0)
    registry.register(0, since=time_of(EPOCH + 7), status="active")
    registry.load(time_of(EPOCH + 8))
    assert registry.protection.marks(registry.share(0)) == marks(EPOCH + 7, (EPOCH + 7) * 32)


def test_block_times_of_the_future_and_before_genesis_do_no_harm(registry: Registry) -> None:
    registry.register(0, since=0, status="active")
    registry.load()
    registry.liquidate()
    registry.liquidate(liquidated=False, when=time_of(EPOCH + 1000))
    registry.load(time_of(EPOCH + 1))
    assert registry.protection.marks(registry.share(0)) == marks(EPOCH + 1, (EPOCH + 1) * 32)


def test_a_share_that_starts_liquidated_is_protected_when_it_starts(registry: Registry) -> None:
    registry.register(0, status="active")
    registry.liquidate()
    registry.load()
    assert registry.protection.marks(registry.share(0)) is None
    registry.liquidate(liquidated=False, when=time_of(EPOCH + 3))
    registry.load(time_of(EPOCH + 4))
    assert registry.protection.marks(registry.share(0)) == marks(EPOCH + 4, (EPOCH + 4) * 32)


def test_version_and_chain_are_read_together(registry: Registry) -> None:
    version, nothing = registry.reader.look()
    assert nothing is None
    with registry.database.session() as session:
        save_chain(session, CHAIN)
    assert registry.reader.look() == (version, CHAIN)
    registry.register(0)
    assert registry.reader.look() == (version + 1, CHAIN)
    assert registry.load().version == version + 1


def test_slot_arithmetic_of_these_tests() -> None:
    assert CHAIN.slot_at(NOW) == Slot(EPOCH * 32)


def test_others_duties_are_read_around_an_epoch(registry: Registry) -> None:
    with registry.database.session() as session:
        for epoch in (Epoch(3), Epoch(4), Epoch(5), Epoch(6)):
            proposal = Proposal(Slot(epoch * 32), ValidatorIndex(7), PublicKey(bytes(48)))
            replace_proposals(session, epoch, Root(bytes(32)), [proposal])
        member = SyncMembership(ValidatorIndex(9), PublicKey(bytes(48)), (1,))
        replace_sync_committee(session, SyncCommittee(Epoch(0), Epoch(255), 1, (member,)))
    content = registry.reader.duty_book(Epoch(5))
    assert content.proposers == {4: {128: 7}, 5: {160: 7}, 6: {192: 7}}
    assert [(found.first, found.last, found.members) for found in content.sync_committees] == [(0, 255, (member,))]
    assert list(registry.reader.duty_book(Epoch(0)).proposers) == []

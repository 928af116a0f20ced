"""The node's view of the registry: which committees there are, and which of them this operator is in.

Read from the store, which workers write. Here, and only here, shares are decrypted and checked; a share that is not
what the registry says is reported and its validator is not run.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from ssv_pool.crypto.operator_keys import OperatorKeyring, ShareError
from ssv_pool.crypto.shares_data import shares_make_up
from ssv_pool.observability import metrics
from ssv_pool.observability.logs import logger
from ssv_pool.protocol.chain import BeaconChain
from ssv_pool.protocol.types.primitives import (
    CommitteeId,
    DomainType,
    Epoch,
    OperatorId,
    PublicKey,
    Slot,
    ValidatorIndex,
)
from ssv_pool.protocol.types.share import CommitteeMember, Operator, Share, ShareMember
from ssv_pool.protocol.validation import CommitteeView, ValidatorView
from ssv_pool.signer.local import LocalSigner
from ssv_pool.signer.slashing import SlashingProtection
from ssv_pool.store.chain import load_chain
from ssv_pool.store.database import Database
from ssv_pool.store.duties import DutyBookContent, load_duty_book
from ssv_pool.store.records import OwnShare, RegistrySnapshot, ValidatorRecord
from ssv_pool.store.registry import exit_requests, load_registry, own_shares
from ssv_pool.store.status import Status, statuses

log = logger("node.registry")

QUERY_LIMIT = 500
"""Most validators named in one query; where more are wanted, all are read."""

EXIT_BLOCKS = 7_200
"""Execution blocks, a day's, whose exit requests gossip validation knows."""

EXIT_POSTPONEMENT = 4
"""Slots from the one of the event's block to the one that the exit's duty bears."""


@dataclass(frozen=True, slots=True)
class OwnCommittee:
    """A committee that this operator is in, with the validators it can act for."""

    member: CommitteeMember
    shares: Mapping[ValidatorIndex, Share]


@dataclass(frozen=True, slots=True)
class RegistryState:
    """The registry at one version of the store; what gossip validation asks of it (RegistryView)."""

    version: int = 0
    block_number: int = -1
    operator_id: OperatorId | None = None
    """This operator's number; None until it is registered."""
    operator_keys: Mapping[OperatorId, bytes] = field(default_factory=dict)
    """Operator id → PEM of its key, 459 bytes."""
    committees: Mapping[CommitteeId, CommitteeView] = field(default_factory=dict)
    """All committees of the registry."""
    validators_by_key: Mapping[PublicKey, ValidatorView] = field(default_factory=dict)
    """All validators of the registry."""
    exit_counts: Mapping[tuple[PublicKey, Slot], int] = field(default_factory=dict)
    """Exits that the contract's events of the last day ask for: (validator, slot of the duty) → how many."""
    own: Mapping[CommitteeId, OwnCommittee] = field(default_factory=dict)
    statuses: Mapping[str, int] = field(default_factory=dict)
    """Own validators by status."""
    bad_shares: Mapping[PublicKey, str] = field(default_factory=dict)
    """Own validators that are not run, and why."""

    @property
    def validators(self) -> int:
        """How many validators this operator runs."""
        return sum(len(own.shares) for own in self.own.values())

    def committee(self, committee_id: CommitteeId) -> CommitteeView | None:
        """The committee with this id; None when there is none."""
        return self.committees.get(committee_id)

    def operator_key(self, operator_id: OperatorId) -> bytes | None:
        """An operator's PEM; None when it is not registered or registered something else than a key."""
        return self.operator_keys.get(operator_id)

    def validator(self, public_key: PublicKey) -> ValidatorView | None:
        """The validator with this key; None when it is not registered."""
        return self.validators_by_key.get(public_key)

    def exits(self, public_key: PublicKey, slot: Slot) -> int:
        """How many exits of the validator fall on ``slot``."""
        return self.exit_counts.get((public_key, slot), 0)


@dataclass(frozen=True, slots=True)
class _Own:
    """A validator in whose committee this operator is."""

    validator: ValidatorRecord
    share: PublicKey
    """This operator's share public key, 48 bytes."""

    def same(self, other: "_Own") -> bool:
        """Whether both are one registration: a validator may be removed and registered again with other shares."""
        return (self.share, self.validator.registered_block) == (other.share, other.validator.registered_block)


@dataclass(frozen=True, slots=True)
class _Bad:
    """A registration whose share is refused."""

    own: _Own
    why: str


class RegistryReader:
    """Reads the store. Its methods block: call them from a thread, one at a time."""

    def __init__(
        self,
        database: Database,
        keyring: OperatorKeyring,
        signer: LocalSigner,
        protection: SlashingProtection,
        domain: DomainType,
        graffiti: bytes = bytes(32),
    ) -> None:
        """Make a reader; nothing is read yet.

        Args:
            database: the store.
            keyring: decrypts this operator's shares.
            signer: takes them over.
            protection: the slashing protection, which learns of new shares.
            domain: the SSV network's domain type, 4 bytes.
            graffiti: what own validators' blocks say, 32 bytes.
        """
        self._graffiti = graffiti
        self._database = database
        self._keyring = keyring
        self._signer = signer
        self._protection = protection
        self._domain = domain
        self._bad: dict[PublicKey, _Bad] = {}
        self._wanted: frozenset[PublicKey] = frozenset()

    def look(self) -> tuple[int, BeaconChain | None]:
        """The store's version, and the beacon chain's constants: None until a worker has asked the beacon node.

        Raises:
            UnavailableError: the store does not answer, or nobody has made its tables yet.
        """
        version = self._database.version()
        with self._database.read() as session:
            return version, load_chain(session)

    def statuses(self) -> dict[str, Status]:
        """What workers found of the parts they look after. Raises UnavailableError."""
        with self._database.read() as session:
            return statuses(session)

    def duty_book(self, epoch: Epoch) -> DutyBookContent:
        """Who proposes and who is in the sync committee around an epoch, as planned. Raises UnavailableError."""
        with self._database.read() as session:
            return load_duty_book(session, Epoch(max(0, epoch - 1)), Epoch(epoch + 1))

    def load(self, chain: BeaconChain, now: float) -> RegistryState:
        """Read the registry, and take over new shares of this operator.

        Shares that are gone stay until ``forget``: a duty may be signing with them.

        Args:
            chain: the beacon chain's constants.
            now: seconds since the UNIX epoch: new shares sign nothing up to the present epoch.

        Raises:
            UnavailableError: the store does not answer.
            SlashingProtectionError: the slashing protection cannot be written.
        """
        with self._database.read() as session:
            snapshot = load_registry(session)
            operator_id = snapshot.operator_with_key(self._keyring.public_key_base64.encode())
            mine = _own_validators(snapshot, operator_id)
            encrypted = self._new_shares(session, operator_id, mine)
            exits = Counter(
                (PublicKey(request.public_key), Slot(chain.slot_at(request.block_time) + EXIT_POSTPONEMENT))
                for request in exit_requests(session, snapshot.block_number - EXIT_BLOCKS)
            )
        for share in encrypted:
            self._decrypt(share, mine[share.validator])
        self._raise_protection(mine.values(), chain, now)
        self._wanted = frozenset(own.share for own in mine.values())
        metrics.SHARES_BAD.set(len(self._bad))
        metrics.LAST_BLOCK.set(snapshot.block_number)
        keys = {i: pem for i, record in snapshot.operators.items() if (pem := record.pem) is not None}
        committees = _known_committees(snapshot)
        return RegistryState(
            version=snapshot.version,
            block_number=snapshot.block_number,
            operator_id=operator_id,
            operator_keys=keys,
            committees=committees,
            validators_by_key={
                validator.public_key: _view_of(validator, committees) for validator in snapshot.validators
            },
            exit_counts=exits,
            own={} if operator_id is None else self._own_committees(mine.values(), operator_id, keys),
            statuses=Counter(_status(own.validator) for own in mine.values()),
            bad_shares={validator: bad.why for validator, bad in self._bad.items()},
        )

    def forget(self) -> None:
        """Forget shares that the last ``load`` did not find any more. Their slashing protection always stays."""
        for gone in self._signer.shares - self._wanted:
            self._signer.remove(gone)

    def _new_shares(
        self, session: Session, operator_id: OperatorId | None, mine: Mapping[PublicKey, _Own]
    ) -> list[OwnShare]:
        """The encrypted shares that are neither held nor known to be bad."""
        self._bad = {key: bad for key, bad in self._bad.items() if key in mine and bad.own.same(mine[key])}
        for own in _borrowers(mine.values()):
            self._refuse(own, "its shares are those of another validator")
        held = self._signer.shares
        missing = [key for key, own in mine.items() if own.share not in held and key not in self._bad]
        if operator_id is None or not missing:
            return []
        found = own_shares(session, operator_id, missing if len(missing) <= QUERY_LIMIT else None)
        wanted = set(missing)
        return [share for share in found if share.validator in wanted]

    def _decrypt(self, share: OwnShare, own: _Own) -> None:
        try:
            secret = self._keyring.decrypt_share(share.encrypted, share.share_public_key)
        except ShareError as error:
            self._refuse(own, str(error))
        else:
            self._signer.add(share.share_public_key, secret)

    def _refuse(self, own: _Own, why: str) -> None:
        key = own.validator.public_key
        if key not in self._bad:
            self._bad[key] = _Bad(own, why)
            log.error("share refused, its validator is not run", validator=f"0x{key.hex()}", why=why)

    def _raise_protection(self, mine: Iterable[_Own], chain: BeaconChain, now: float) -> None:
        """Forbid the past to shares that start here, or start again.

        A share that the slashing protection does not know signs nothing up to the present epoch, whatever it may have
        signed elsewhere. One that it knows signs nothing up to the epoch in which its validator was registered or
        reactivated last. Both follow from what is on disk, so that a restart raises nothing.
        """
        present = chain.epoch_at(now)
        held = self._signer.shares
        raised: dict[tuple[Epoch, Slot], set[PublicKey]] = {}
        for own in mine:
            if own.share not in held or own.validator.liquidated:
                continue
            marks = self._protection.marks(own.share)
            since = now if marks is None else min(now, own.validator.active_since)
            epoch = chain.epoch_at(since)
            if marks is None or marks.floor_target < epoch:
                raised.setdefault((epoch, chain.slot_at(since)), set()).add(own.share)
        for (epoch, slot), shares in sorted(raised.items()):
            self._protection.raise_to(sorted(shares), Epoch(max(0, epoch - 1)), epoch, slot)
            log.info("shares taken over", count=len(shares), signing_from_epoch=epoch + 1, present_epoch=present)

    def _own_committees(
        self, mine: Iterable[_Own], operator_id: OperatorId, keys: Mapping[OperatorId, bytes]
    ) -> dict[CommitteeId, OwnCommittee]:
        shares: dict[CommitteeId, dict[ValidatorIndex, Share]] = {}
        members: dict[CommitteeId, CommitteeMember] = {}
        held = self._signer.shares
        for entry in mine:
            validator = entry.validator
            if (
                validator.index is None
                or validator.liquidated
                or entry.share not in held
                or validator.public_key in self._bad
            ):
                continue
            committee_id = validator.committee_id
            if committee_id not in members:
                members[committee_id] = self._member(validator, operator_id, keys)
            pairs = zip(validator.share_public_keys, validator.operator_ids, strict=True)
            shares.setdefault(committee_id, {})[validator.index] = Share(
                validator_index=validator.index,
                validator_pubkey=validator.public_key,
                share_pubkey=entry.share,
                committee=tuple(ShareMember(key, member) for key, member in pairs),
                domain_type=self._domain,
                fee_recipient=validator.fee_recipient,
                graffiti=self._graffiti,
            )
        return {committee_id: OwnCommittee(members[committee_id], own) for committee_id, own in shares.items()}

    def _member(
        self, validator: ValidatorRecord, operator_id: OperatorId, keys: Mapping[OperatorId, bytes]
    ) -> CommitteeMember:
        # An operator that was removed has no key any more: nothing verifies under an empty one.
        operators = tuple(Operator(member, keys.get(member, b"")) for member in validator.operator_ids)
        return CommitteeMember(
            operator_id=operator_id,
            committee_id=validator.committee_id,
            operator_pubkey=self._keyring.public_key,
            faulty_nodes=(len(operators) - 1) // 3,
            committee=operators,
            domain_type=self._domain,
        )


def _own_validators(snapshot: RegistrySnapshot, operator_id: OperatorId | None) -> dict[PublicKey, _Own]:
    if operator_id is None:
        return {}
    return {
        validator.public_key: _Own(validator, share)
        for validator in snapshot.validators
        if (share := validator.share_of(operator_id)) is not None
    }


def _borrowers(mine: Iterable[_Own]) -> list[_Own]:
    """Validators that name a share which is another one's.

    Anybody may copy published shares under a validator key of his own. Were it run, its duties would use up what the
    share's slashing protection allows, and the true owner's would be refused. The true owner is whom the shares fit;
    where somebody made them fit several, it is whoever registered first.
    """
    by_share: dict[PublicKey, list[_Own]] = {}
    for own in mine:
        by_share.setdefault(own.share, []).append(own)
    borrowers: list[_Own] = []
    for several in by_share.values():
        if len(several) > 1:
            fitting = [own for own in several if _shares_fit(own.validator)]
            owner = min(fitting, key=lambda own: own.validator.registered_block, default=None)
            borrowers += [own for own in several if own is not owner]
    return borrowers


def _shares_fit(validator: ValidatorRecord) -> bool:
    return shares_make_up(validator.public_key, validator.operator_ids, validator.share_public_keys)


def _known_committees(snapshot: RegistrySnapshot) -> dict[CommitteeId, CommitteeView]:
    operators = {validator.committee_id: validator.operator_ids for validator in snapshot.validators}
    counts = Counter(validator.committee_id for validator in snapshot.validators if not validator.liquidated)
    # Sync committees are not known here, so the wider limit holds: a duty in each slot.
    return {
        committee_id: CommitteeView(ids, counts[committee_id], in_sync_committee=True)
        for committee_id, ids in operators.items()
    }


def _view_of(validator: ValidatorRecord, committees: Mapping[CommitteeId, CommitteeView]) -> ValidatorView:
    status = validator.status or ""
    attesting_from: Epoch | None = None
    if status.startswith("active"):
        attesting_from = Epoch(0)
    elif status == "pending_queued":
        attesting_from = validator.activation_epoch
    return ValidatorView(committees[validator.committee_id], validator.index, validator.liquidated, attesting_from)


def _status(validator: ValidatorRecord) -> str:
    return "liquidated" if validator.liquidated else validator.status or "unknown_to_beacon_node"

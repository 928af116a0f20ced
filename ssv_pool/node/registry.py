"""The node's view of the registry: which committees there are, and which of them this operator is in.

Read from the store, which workers write. Here, and only here, shares are decrypted and checked; a share that is not
what the registry says is reported and its validator is not run.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from ssv_pool.crypto.operator_keys import OperatorKeyring, ShareError
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
from ssv_pool.protocol.validation import CommitteeView
from ssv_pool.signer.local import LocalSigner
from ssv_pool.signer.slashing import SlashingProtection
from ssv_pool.store.chain import load_chain
from ssv_pool.store.database import Database
from ssv_pool.store.records import RegistrySnapshot, ValidatorRecord
from ssv_pool.store.registry import load_registry, own_shares
from ssv_pool.store.status import Status, statuses

log = logger("node.registry")


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
    own: Mapping[CommitteeId, OwnCommittee] = field(default_factory=dict)
    statuses: Mapping[str, int] = field(default_factory=dict)
    """Own validators by status."""
    bad_shares: Mapping[PublicKey, str] = field(default_factory=dict)
    """Own validators that are not run, and why."""

    def committee(self, committee_id: CommitteeId) -> CommitteeView | None:
        """The committee with this id; None when there is none."""
        return self.committees.get(committee_id)

    def operator_key(self, operator_id: OperatorId) -> bytes | None:
        """An operator's PEM; None when it is not registered or registered something else than a key."""
        return self.operator_keys.get(operator_id)


class RegistryReader:
    """Reads the store. Its methods block: call them from a thread, one at a time."""

    def __init__(
        self,
        database: Database,
        keyring: OperatorKeyring,
        signer: LocalSigner,
        protection: SlashingProtection,
        domain: DomainType,
    ) -> None:
        self._database = database
        self._keyring = keyring
        self._signer = signer
        self._protection = protection
        self._domain = domain
        self._bad: dict[PublicKey, str] = {}
        self._dormant: set[PublicKey] = set()
        self._fresh: set[PublicKey] = set()

    def chain(self) -> BeaconChain | None:
        """The beacon chain's constants; None until a worker has asked the beacon node for them."""
        with self._database.read() as session:
            return load_chain(session)

    def version(self) -> int:
        """The store's version; raises UnavailableError."""
        return self._database.version()

    def statuses(self) -> dict[str, Status]:
        """What workers found of the parts they look after."""
        with self._database.read() as session:
            return statuses(session)

    def load(self, epoch: Epoch, slot: Slot) -> RegistryState:
        """Read the registry, and take over new shares of this operator.

        Args:
            epoch: the present epoch: what a new share's slashing protection is raised to.
            slot: the present slot, likewise.
        """
        with self._database.read() as session:
            snapshot = load_registry(session)
        operator_id = snapshot.operator_with_key(self._keyring.public_key_base64.encode())
        if operator_id is not None:
            self._take_shares(snapshot, operator_id)
            self._raise_protection(epoch, slot)
        metrics.SHARES_BAD.set(len(self._bad))
        metrics.LAST_BLOCK.set(snapshot.block_number)
        keys = {i: pem for i, record in snapshot.operators.items() if (pem := record.pem) is not None}
        mine = [] if operator_id is None else [v for v in snapshot.validators if operator_id in v.operator_ids]
        return RegistryState(
            version=snapshot.version,
            block_number=snapshot.block_number,
            operator_id=operator_id,
            operator_keys=keys,
            committees=_known_committees(snapshot),
            own={} if operator_id is None else self._own_committees(mine, operator_id, keys),
            statuses=Counter(_status(validator) for validator in mine),
            bad_shares=dict(self._bad),
        )

    def _take_shares(self, snapshot: RegistrySnapshot, operator_id: OperatorId) -> None:
        """Decrypt shares that are new, forget those that are gone. Their slashing protection always stays."""
        mine = {v.public_key: v for v in snapshot.validators if operator_id in v.operator_ids}
        wanted = {share: v.public_key for v in mine.values() if (share := v.share_of(operator_id)) is not None}
        for gone in self._signer.shares - wanted.keys():
            self._signer.remove(gone)
        for gone_validator in self._bad.keys() - mine.keys():
            del self._bad[gone_validator]
        liquidated = {share for share, key in wanted.items() if mine[key].liquidated}
        self._fresh |= (self._dormant & wanted.keys()) - liquidated
        self._dormant = liquidated
        missing = [wanted[share] for share in wanted.keys() - self._signer.shares if wanted[share] not in self._bad]
        if not missing:
            return
        with self._database.read() as session:
            found = own_shares(session, operator_id, missing if len(missing) < 500 else None)
        for encrypted in found:
            if encrypted.share_public_key in self._signer.shares or encrypted.validator in self._bad:
                continue
            try:
                secret = self._keyring.decrypt_share(encrypted.encrypted, encrypted.share_public_key)
            except ShareError as error:
                self._bad[encrypted.validator] = str(error)
                log.error(
                    "share refused, its validator is not run", validator=encrypted.validator.hex(), why=str(error)
                )
                continue
            self._signer.add(encrypted.share_public_key, secret)
            if not self._protection.knows(encrypted.share_public_key):
                self._fresh.add(encrypted.share_public_key)

    def _raise_protection(self, epoch: Epoch, slot: Slot) -> None:
        """Nothing up to the present may be signed by a share that is new here, came back, or lost its protection."""
        if self._fresh:
            self._protection.raise_to(sorted(self._fresh), Epoch(max(0, epoch - 1)), epoch, slot)
            log.info("shares taken over", count=len(self._fresh), signing_from_epoch=epoch + 1)
            self._fresh.clear()

    def _own_committees(
        self, mine: list[ValidatorRecord], operator_id: OperatorId, keys: Mapping[OperatorId, bytes]
    ) -> dict[CommitteeId, OwnCommittee]:
        shares: dict[CommitteeId, dict[ValidatorIndex, Share]] = {}
        members: dict[CommitteeId, CommitteeMember] = {}
        for validator in mine:
            own_share = validator.share_of(operator_id)
            if (
                validator.index is None
                or validator.liquidated
                or own_share is None
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
                share_pubkey=own_share,
                committee=tuple(ShareMember(key, member) for key, member in pairs),
                domain_type=self._domain,
                fee_recipient=validator.fee_recipient,
            )
        return {committee_id: OwnCommittee(members[committee_id], held) for committee_id, held in shares.items()}

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


def _known_committees(snapshot: RegistrySnapshot) -> dict[CommitteeId, CommitteeView]:
    operators = {validator.committee_id: validator.operator_ids for validator in snapshot.validators}
    counts = Counter(validator.committee_id for validator in snapshot.validators if not validator.liquidated)
    # Sync committees are not known here, so the wider limit holds: a duty in each slot.
    return {
        committee_id: CommitteeView(ids, counts[committee_id], in_sync_committee=True)
        for committee_id, ids in operators.items()
    }


def _status(validator: ValidatorRecord) -> str:
    return "liquidated" if validator.liquidated else validator.status or "unknown_to_beacon_node"

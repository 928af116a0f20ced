"""What each event of the registry contract does to the store.

The contract is open to everybody and does not look at keys and shares: an event may hold anything. An event that breaks
a rule is malformed: it is recorded with its reason, changes nothing (but for the nonce, see below) and the block goes
on. All operators must come to the same registry, so the rules are exactly those of the field's clients, no stricter.

The own share is not looked at here: whoever syncs the registry holds no key. The node decrypts it and checks it.
"""

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TypeAlias

from eth_utils.address import to_checksum_address
from sqlalchemy.orm import Session

from ssv_pool.crypto import bls
from ssv_pool.crypto.shamir import COMMITTEE_SIZES
from ssv_pool.crypto.shares_data import SharesData, SharesDataError, registration_root
from ssv_pool.protocol.types.ids import cluster_id
from ssv_pool.protocol.types.primitives import OperatorId, PublicKey
from ssv_pool.registry.abi import AbiDecodeError
from ssv_pool.registry.events import (
    ClusterLiquidated,
    ClusterReactivated,
    FeeRecipientUpdated,
    Log,
    OperatorAdded,
    OperatorRemoved,
    RegistryEvent,
    ValidatorAdded,
    ValidatorExited,
    ValidatorRemoved,
    decode_event,
    event_of,
)
from ssv_pool.store import registry_changes as changes
from ssv_pool.store.cursor import Block, EventRecord
from ssv_pool.store.models import Operator
from ssv_pool.store.pending import preload
from ssv_pool.store.registry import operator_with_key, owner_nonces

Signed: TypeAlias = tuple[bytes, bytes, bytes]
"""Public key 48, message 32, signature 96 bytes."""

_SIGNATURES_AT_ONCE = 64
"""Signatures checked together: of more, one bad one would cost more; fewer cost more each."""


class Malformed(StrEnum):
    """Why an event is malformed. The values are stored."""

    UNDECODABLE = "undecodable"
    """Topics or data are not what the event's signature says."""
    OPERATOR_ID_ZERO = "operator-id-zero"
    OPERATOR_ID_TAKEN = "operator-id-taken"
    OPERATOR_KEY_TAKEN = "operator-key-taken"
    UNKNOWN_OPERATOR = "unknown-operator"
    """An operator is removed that is not registered."""
    NO_OPERATORS = "no-operators"
    TOO_MANY_OPERATORS = "too-many-operators"
    REPEATED_OPERATOR = "repeated-operator"
    COMMITTEE_SIZE = "committee-size"
    UNREGISTERED_OPERATOR = "unregistered-operator"
    """A validator names an operator that is not registered."""
    SHARES_LENGTH = "shares-length"
    PUBLIC_KEY = "public-key"
    """The validator's public key is not a point of G1, or is the identity."""
    SIGNATURE = "signature"
    """The owner does not hold the validator's key, or signed another nonce."""
    OTHER_OWNER = "other-owner"
    """The validator belongs to somebody else."""
    UNKNOWN_VALIDATOR = "unknown-validator"


class Ignored(StrEnum):
    """Why an event that is not malformed has no effect. The values are stored."""

    ALREADY_REGISTERED = "already-registered"
    """The owner registered this validator before."""
    NO_CHANGE = "no-change"
    """It was so already, or no validator is concerned."""


class MalformedEventError(Exception):
    """An event breaks a rule."""

    def __init__(self, reason: Malformed, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class EventHandler:
    """Applies events to the store. Not to be shared between threads.

    Args:
        verify: whether a BLS signature is valid: (public key 48, message 32, signature 96 bytes) → bool.
        valid_key: whether 48 bytes are a public key.
        batch_verify: whether all of many such signatures are valid, for less than checking each.
    """

    def __init__(
        self,
        verify: Callable[[bytes, bytes, bytes], bool] = bls.verify,
        valid_key: Callable[[bytes], bool] = bls.validate_public_key,
        batch_verify: Callable[[Sequence[Signed]], bool] = bls.batch_verify,
    ) -> None:
        self._verify = verify
        self._valid_key = valid_key
        self._batch_verify = batch_verify
        self._decoded: dict[tuple[int, int], tuple[Log, RegistryEvent]] = {}
        self._valid: set[Signed] = set()

    def prepare(self, session: Session, logs: Sequence[Log]) -> None:
        """Do what is expensive for logs that are applied next: decode them, check registrations' signatures together.

        Nothing depends on it: what is not valid here, or turns out to be signed over another nonce, is checked by
        itself when it is applied.

        Args:
            session: a transaction that only reads.
            logs: logs of blocks that follow the cursor, in order.
        """
        self._decoded, self._valid = {}, set()
        for log in logs:
            if event_of(log) is not None:
                try:
                    self._decoded[log.block_number, log.log_index] = (log, decode_event(log))
                except AbiDecodeError:
                    continue
        added = [event for _, event in self._decoded.values() if isinstance(event, ValidatorAdded)]
        nonces = owner_nonces(session, {event.owner for event in added})
        signed = []
        for event in added:
            nonce = nonces.get(event.owner, 0)
            nonces[event.owner] = (nonce + 1) % changes.NONCE_MODULUS
            signature = event.shares[: bls.SIGNATURE_SIZE]
            signed.append((event.public_key, registration_root(event.owner, nonce), signature))
        for start in range(0, len(signed), _SIGNATURES_AT_ONCE):
            batch = signed[start : start + _SIGNATURES_AT_ONCE]
            if self._batch_verify(batch):
                self._valid.update(batch)

    def preload(self, session: Session) -> None:
        """Load at once what the logs given to ``prepare`` will ask of the store, for the rest of the transaction.

        Args:
            session: the writing transaction in which they are applied; ``flush_pending`` must end it.
        """
        events = [event for _, event in self._decoded.values()]
        preload(
            session,
            (event.owner for event in events if isinstance(event, ValidatorAdded)),
            (event.public_key for event in events if isinstance(event, ValidatorAdded | ValidatorRemoved)),
        )

    def apply(self, session: Session, block: Block, logs: Sequence[Log]) -> list[EventRecord]:
        """Apply one block's logs, all inside the caller's transaction.

        Args:
            session: a writing transaction.
            block: the block.
            logs: its logs of the registry contract, in order.

        Returns:
            What became of each event; logs of other events are left out.
        """
        records = [self._apply_log(session, block, log) for log in logs if event_of(log) is not None]
        if any(record.outcome == "applied" for record in records):
            changes.bump_version(session)
        return records

    def _apply_log(self, session: Session, block: Block, log: Log) -> EventRecord:
        event = event_of(log)
        name = event.name if event is not None else "unknown"
        outcome, reason, detail = "applied", None, None
        try:
            prepared = self._decoded.get((log.block_number, log.log_index))
            event_values = prepared[1] if prepared is not None and prepared[0] == log else decode_event(log)
            ignored = self._apply_event(session, block, log, event_values)
        except AbiDecodeError as error:
            outcome, reason, detail = "malformed", Malformed.UNDECODABLE.value, str(error)
        except MalformedEventError as error:
            outcome, reason, detail = "malformed", error.reason.value, error.detail
        else:
            if ignored is not None:
                outcome, reason = "ignored", ignored.value
        return EventRecord(log.log_index, log.transaction_hash, name, outcome, reason, detail)

    def _apply_event(self, session: Session, block: Block, log: Log, event: RegistryEvent) -> Ignored | None:
        match event:
            case OperatorAdded():
                _operator_added(session, block, event)
            case OperatorRemoved():
                _operator_removed(session, event)
            case ValidatorAdded():
                return self._validator_added(session, block, event)
            case ValidatorRemoved():
                _validator_removed(session, event)
            case ClusterLiquidated() | ClusterReactivated():
                return _cluster_changed(session, block, event)
            case FeeRecipientUpdated():
                changed = changes.set_fee_recipient(session, event.owner, event.recipient, block.time)
                return None if changed else Ignored.NO_CHANGE
            case ValidatorExited():
                _validator_exited(session, block, log, event)
        return None

    def _validator_added(self, session: Session, block: Block, event: ValidatorAdded) -> Ignored | None:
        # First of all and whatever follows: all clients count every registration of an owner, good or bad.
        nonce = changes.take_nonce(session, event.owner)
        _check_operators(session, event.operator_ids)
        try:
            shares = SharesData.decode(event.shares, len(event.operator_ids))
        except SharesDataError as error:
            raise MalformedEventError(Malformed.SHARES_LENGTH, str(error)) from None
        key = event.public_key
        if not self._valid_key(key):
            raise MalformedEventError(Malformed.PUBLIC_KEY, f"validator 0x{_short(key)} is not a BLS public key")
        signed = (key, registration_root(event.owner, nonce), shares.signature)
        if signed not in self._valid and not self._verify(*signed):
            raise MalformedEventError(
                Malformed.SIGNATURE,
                f"validator 0x{key.hex()}: signature over owner {to_checksum_address(event.owner)} and nonce {nonce} "
                f"does not verify",
            )
        registered_by = changes.validator_owner(session, key)
        if registered_by is not None:
            _check_owner(key, registered_by, event.owner)
            return Ignored.ALREADY_REGISTERED
        changes.add_validator(
            session,
            changes.NewValidator(
                public_key=PublicKey(key),
                owner=event.owner,
                operator_ids=event.operator_ids,
                share_public_keys=shares.share_public_keys,
                encrypted_shares=shares.encrypted_shares,
                block_number=block.number,
                block_time=block.time,
            ),
        )
        return None


def _operator_added(session: Session, block: Block, event: OperatorAdded) -> None:
    operator_id = event.operator_id
    if operator_id == 0:
        raise MalformedEventError(Malformed.OPERATOR_ID_ZERO, "operator id 0, expected 1 or more")
    if session.get(Operator, operator_id) is not None:
        raise MalformedEventError(Malformed.OPERATOR_ID_TAKEN, f"operator {operator_id} is registered already")
    holder = operator_with_key(session, event.public_key)
    if holder is not None:
        raise MalformedEventError(
            Malformed.OPERATOR_KEY_TAKEN, f"operator {operator_id} has the public key of operator {holder}"
        )
    changes.add_operator(session, operator_id, event.owner, event.public_key, event.fee, block.number)


def _operator_removed(session: Session, event: OperatorRemoved) -> None:
    if not changes.remove_operator(session, event.operator_id):
        raise MalformedEventError(Malformed.UNKNOWN_OPERATOR, f"operator {event.operator_id} is not registered")


def _check_operators(session: Session, ids: tuple[OperatorId, ...]) -> None:
    if not ids:
        raise MalformedEventError(Malformed.NO_OPERATORS, "no operators, expected 4, 7, 10 or 13")
    if len(ids) > COMMITTEE_SIZES[-1]:
        raise MalformedEventError(Malformed.TOO_MANY_OPERATORS, f"{len(ids)} operators, expected 4, 7, 10 or 13")
    repeated = next((i for place, i in enumerate(ids) if i in ids[:place]), None)
    if repeated is not None:
        raise MalformedEventError(Malformed.REPEATED_OPERATOR, f"operator {repeated} occurs twice")
    if len(ids) not in COMMITTEE_SIZES:
        raise MalformedEventError(Malformed.COMMITTEE_SIZE, f"{len(ids)} operators, expected 4, 7, 10 or 13")
    missing = changes.missing_operators(session, ids)
    if missing:
        raise MalformedEventError(
            Malformed.UNREGISTERED_OPERATOR, f"operators {', '.join(map(str, missing))} are not registered"
        )


def _check_validator(session: Session, public_key: bytes, owner: bytes) -> None:
    registered_by = changes.validator_owner(session, public_key)
    if registered_by is None:
        raise MalformedEventError(Malformed.UNKNOWN_VALIDATOR, f"validator 0x{_short(public_key)} is not registered")
    _check_owner(public_key, registered_by, owner)


def _check_owner(public_key: bytes, registered_by: bytes, owner: bytes) -> None:
    if registered_by != owner:
        raise MalformedEventError(
            Malformed.OTHER_OWNER,
            f"validator 0x{_short(public_key)} belongs to {to_checksum_address(registered_by)}, "
            f"not to {to_checksum_address(owner)}",
        )


def _validator_removed(session: Session, event: ValidatorRemoved) -> None:
    _check_validator(session, event.public_key, event.owner)
    changes.remove_validator(session, event.public_key)


def _cluster_changed(session: Session, block: Block, event: ClusterLiquidated | ClusterReactivated) -> Ignored | None:
    count = changes.set_liquidated(
        session,
        cluster_id(event.owner, event.operator_ids),
        liquidated=isinstance(event, ClusterLiquidated),
        block_time=block.time,
    )
    return None if count else Ignored.NO_CHANGE


def _validator_exited(session: Session, block: Block, log: Log, event: ValidatorExited) -> None:
    _check_validator(session, event.public_key, event.owner)
    changes.add_exit_request(session, event.public_key, event.owner, block.number, log.log_index, block.time)


def _short(raw: bytes) -> str:
    """Hex of a public key; of anything longer only the beginning, since details are stored."""
    return raw.hex() if len(raw) <= bls.PUBLIC_KEY_SIZE else f"{raw[: bls.PUBLIC_KEY_SIZE].hex()}… ({len(raw)} bytes)"

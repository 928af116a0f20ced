"""Rules 1 to 18: what can be said of a message without looking at its content."""

from collections.abc import Sequence
from dataclasses import dataclass

from ssv_pool.protocol.forks import ProtocolFork, RoleRules
from ssv_pool.protocol.types.errors import ProtocolError
from ssv_pool.protocol.types.ids import committee_of, message_domain, message_executor, message_role
from ssv_pool.protocol.types.messages import MAX_SIGNATURE_BYTES, SignedSSVMessage
from ssv_pool.protocol.types.primitives import CommitteeId, Epoch, MessageId, OperatorId, PublicKey
from ssv_pool.protocol.types.roles import COMMITTEE_ROLES, MsgType, RunnerRole
from ssv_pool.protocol.validation.rules import Rule, RuleBrokenError
from ssv_pool.protocol.validation.view import CommitteeView, RegistryView, ValidatorView

MAX_MESSAGE_BYTES = 9_589_483
"""Longest gossip message (PROTOCOL 4.5): the largest encoding, a twentieth more, and four."""

_ROLES = frozenset(map(int, RunnerRole))


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message whose envelope is in order, and what was looked up for it."""

    message: SignedSSVMessage
    fork: ProtocolFork
    """The fork whose domain the message bears; its slot is not known yet."""
    committee: CommitteeView
    validator: ValidatorView | None
    """The validator, for roles of one."""
    role: RunnerRole
    role_rules: RoleRules
    executor: bytes
    """Role and committee id or validator key: the key under which the message is remembered. The padding before a
    committee's id does not count."""
    public_keys: tuple[bytes, ...]
    """The signers' RSA keys in the order of the signers."""

    @property
    def of_committee(self) -> bool:
        """Whether the role is one of a whole committee."""
        return self.validator is None

    @property
    def validator_key(self) -> PublicKey:
        """The validator's public key, 48 bytes; for roles of one validator."""
        return PublicKey(self.executor[1:])


def decode_envelope(raw: bytes) -> SignedSSVMessage:
    """Rules 1 to 3. Raises RuleBrokenError."""
    if not raw:
        raise RuleBrokenError(Rule.EMPTY, "the message has 0 bytes")
    if len(raw) > MAX_MESSAGE_BYTES:
        raise RuleBrokenError(Rule.TOO_LONG, f"the message has {len(raw)} bytes, expected at most {MAX_MESSAGE_BYTES}")
    try:
        return SignedSSVMessage.decode(raw)
    except ProtocolError as error:
        raise RuleBrokenError(Rule.UNDECODABLE, str(error)) from error


def check_envelope(
    message: SignedSSVMessage, topic: str, forks: Sequence[ProtocolFork], view: RegistryView, epoch: Epoch
) -> Envelope:
    """Rules 4 to 18. Raises RuleBrokenError.

    Args:
        message: the decoded message.
        topic: the topic it came on.
        forks: those it may be of; its domain says of which it is.
        view: the registry.
        epoch: the present epoch, in which its validator has to attest.
    """
    public_keys = _check_signers(message, view)
    fork = _check_message(message, forks)
    role, role_rules = _check_role(message, fork)
    validator: ValidatorView | None = None
    if role in COMMITTEE_ROLES:
        committee_id = committee_of(message.ssv_message.msg_id)
        committee = _find_committee(committee_id, view)
        executor: bytes = committee_id
    else:
        executor = message_executor(message.ssv_message.msg_id)
        validator = _find_validator(PublicKey(executor), view, epoch)
        committee = validator.committee
    if not message.signers_in(committee.operator_ids):
        raise RuleBrokenError(
            Rule.SIGNER_NOT_IN_COMMITTEE,
            f"signers are {message.operator_ids}, expected operators of the committee {committee.operator_ids}",
        )
    if topic != (expected := fork.topic(committee.operator_ids)):
        raise RuleBrokenError(Rule.WRONG_TOPIC, f"topic is {topic[:64]!r}, expected {expected!r}")
    executor = role.to_bytes(1, "little") + executor
    return Envelope(message, fork, committee, validator, role, role_rules, executor, public_keys)


def fork_of(message_id: MessageId, forks: Sequence[ProtocolFork]) -> ProtocolFork:
    """Rule 14: the fork whose domain the message bears. Raises RuleBrokenError."""
    domain = message_domain(message_id)
    for fork in forks:
        if fork.domain == domain:
            return fork
    expected = " or ".join(fork.domain.hex() for fork in forks)
    raise RuleBrokenError(Rule.WRONG_DOMAIN, f"domain is {domain.hex()}, expected {expected}")


def _find_committee(committee_id: CommitteeId, view: RegistryView) -> CommitteeView:
    committee = view.committee(committee_id)
    if committee is None:
        raise RuleBrokenError(Rule.UNKNOWN_COMMITTEE, f"committee {committee_id.hex()} is not registered")
    if committee.validator_count < 1:
        raise RuleBrokenError(
            Rule.COMMITTEE_WITHOUT_VALIDATORS, f"committee {committee_id.hex()} has no validators, expected one or more"
        )
    return committee


def _find_validator(public_key: PublicKey, view: RegistryView, epoch: Epoch) -> ValidatorView:
    validator = view.validator(public_key)
    if validator is None:
        raise RuleBrokenError(Rule.UNKNOWN_VALIDATOR, f"validator {public_key.hex()} is not registered")
    if validator.liquidated:
        raise RuleBrokenError(Rule.LIQUIDATED, f"validator {public_key.hex()} is of a liquidated cluster")
    if validator.index is None:
        raise RuleBrokenError(Rule.NO_METADATA, f"validator {public_key.hex()} has no index yet")
    if validator.attesting_from is None or validator.attesting_from > epoch:
        raise RuleBrokenError(Rule.NOT_ATTESTING, f"validator {public_key.hex()} does not attest in epoch {epoch}")
    return validator


def _check_signers(message: SignedSSVMessage, view: RegistryView) -> tuple[bytes, ...]:
    signers, signatures = message.operator_ids, message.signatures
    if not signers:
        raise RuleBrokenError(Rule.NO_SIGNERS, "the message has no signers")
    if not signatures:
        raise RuleBrokenError(Rule.NO_SIGNATURES, "the message has no signatures")
    for signature in signatures:
        if len(signature) != MAX_SIGNATURE_BYTES:
            raise RuleBrokenError(
                Rule.SIGNATURE_LENGTH, f"a signature has {len(signature)} bytes, expected {MAX_SIGNATURE_BYTES}"
            )
    if any(signers[i] > signers[i + 1] for i in range(len(signers) - 1)):
        raise RuleBrokenError(Rule.SIGNERS_NOT_SORTED, f"signers are {signers}, expected ascending ids")
    if len(signers) != len(signatures):
        raise RuleBrokenError(Rule.SIGNATURE_COUNT, f"{len(signatures)} signatures, expected {len(signers)} as signers")
    public_keys = []
    previous = OperatorId(0)
    for signer in signers:
        if signer == 0:
            raise RuleBrokenError(Rule.ZERO_SIGNER, "a signer is 0, expected 1 or more")
        if signer == previous:
            raise RuleBrokenError(Rule.REPEATED_SIGNER, f"signer {signer} occurs twice")
        if (public_key := view.operator_key(signer)) is None:
            raise RuleBrokenError(Rule.UNKNOWN_OPERATOR, f"operator {signer} is not registered")
        public_keys.append(public_key)
        previous = signer
    return tuple(public_keys)


def _check_message(message: SignedSSVMessage, forks: Sequence[ProtocolFork]) -> ProtocolFork:
    inner = message.ssv_message
    if not inner.data:
        raise RuleBrokenError(Rule.NO_DATA, "the message has 0 bytes of data")
    _check_data_size(len(inner.data), max(fork.max_data_bytes for fork in forks))
    if inner.msg_type not in (MsgType.CONSENSUS, MsgType.PARTIAL_SIGNATURE):
        raise RuleBrokenError(Rule.MESSAGE_TYPE, f"message type is {inner.msg_type}, expected 0 or 1")
    fork = fork_of(inner.msg_id, forks)
    _check_data_size(len(inner.data), fork.max_data_bytes)
    return fork


def _check_data_size(size: int, allowed: int) -> None:
    if size > allowed:
        raise RuleBrokenError(Rule.DATA_TOO_LONG, f"the message has {size} bytes of data, expected at most {allowed}")


def _check_role(message: SignedSSVMessage, fork: ProtocolFork) -> tuple[RunnerRole, RoleRules]:
    number = message_role(message.ssv_message.msg_id)
    role = RunnerRole(number) if number in _ROLES else RunnerRole.UNKNOWN
    role_rules = fork.roles.get(role)
    if role_rules is None:
        raise RuleBrokenError(Rule.WRONG_ROLE, f"role is {number}, expected one of {sorted(map(int, fork.roles))}")
    return role, role_rules

"""Rules 1 to 18: what can be said of a message without looking at its content."""

from dataclasses import dataclass

from ssv_pool.protocol.forks import ProtocolFork, RoleRules
from ssv_pool.protocol.types.errors import ProtocolError
from ssv_pool.protocol.types.ids import committee_of, message_domain, message_role
from ssv_pool.protocol.types.messages import MAX_SIGNATURE_BYTES, SignedSSVMessage
from ssv_pool.protocol.types.primitives import OperatorId
from ssv_pool.protocol.types.roles import MsgType, RunnerRole
from ssv_pool.protocol.validation.rules import Rule, RuleBrokenError
from ssv_pool.protocol.validation.view import CommitteeView, RegistryView

MAX_MESSAGE_BYTES = 9_589_483
"""Longest gossip message (PROTOCOL 4.5): the largest encoding, a twentieth more, and four."""

_ROLES = frozenset(map(int, RunnerRole))


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message whose envelope is in order, and what was looked up for it."""

    message: SignedSSVMessage
    committee: CommitteeView
    role: RunnerRole
    role_rules: RoleRules
    executor: bytes
    """Role and committee id: the key under which the message is remembered. The padding in its id does not count."""
    public_keys: tuple[bytes, ...]
    """The signers' RSA keys in the order of the signers."""


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


def check_envelope(message: SignedSSVMessage, topic: str, fork: ProtocolFork, view: RegistryView) -> Envelope:
    """Rules 4 to 18. Raises RuleBrokenError."""
    public_keys = _check_signers(message, view)
    _check_message(message, fork)
    role, role_rules = _check_role(message, fork)
    committee_id = committee_of(message.ssv_message.msg_id)
    committee = view.committee(committee_id)
    if committee is None:
        raise RuleBrokenError(Rule.UNKNOWN_COMMITTEE, f"committee {committee_id.hex()} is not registered")
    if committee.validator_count < 1:
        raise RuleBrokenError(
            Rule.COMMITTEE_WITHOUT_VALIDATORS, f"committee {committee_id.hex()} has no validators, expected one or more"
        )
    if not message.signers_in(committee.operator_ids):
        raise RuleBrokenError(
            Rule.SIGNER_NOT_IN_COMMITTEE,
            f"signers are {message.operator_ids}, expected operators of the committee {committee.operator_ids}",
        )
    if topic != (expected := fork.topic(committee.operator_ids)):
        raise RuleBrokenError(Rule.WRONG_TOPIC, f"topic is {topic[:64]!r}, expected {expected!r}")
    executor = role.to_bytes(1, "little") + committee_id
    return Envelope(message, committee, role, role_rules, executor, public_keys)


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


def _check_message(message: SignedSSVMessage, fork: ProtocolFork) -> None:
    inner = message.ssv_message
    if not inner.data:
        raise RuleBrokenError(Rule.NO_DATA, "the message has 0 bytes of data")
    if len(inner.data) > fork.max_data_bytes:
        raise RuleBrokenError(
            Rule.DATA_TOO_LONG,
            f"the message has {len(inner.data)} bytes of data, expected at most {fork.max_data_bytes}",
        )
    if inner.msg_type not in (MsgType.CONSENSUS, MsgType.PARTIAL_SIGNATURE):
        raise RuleBrokenError(Rule.MESSAGE_TYPE, f"message type is {inner.msg_type}, expected 0 or 1")
    if (domain := message_domain(inner.msg_id)) != fork.domain:
        raise RuleBrokenError(Rule.WRONG_DOMAIN, f"domain is {domain.hex()}, expected {fork.domain.hex()}")


def _check_role(message: SignedSSVMessage, fork: ProtocolFork) -> tuple[RunnerRole, RoleRules]:
    number = message_role(message.ssv_message.msg_id)
    role = RunnerRole(number) if number in _ROLES else RunnerRole.UNKNOWN
    role_rules = fork.roles.get(role)
    if role_rules is None:
        raise RuleBrokenError(Rule.WRONG_ROLE, f"role is {number}, expected one of {sorted(map(int, fork.roles))}")
    if role is not RunnerRole.COMMITTEE:
        raise RuleBrokenError(Rule.ROLE_NOT_SERVED, f"messages of role {role.name} are not served")
    return role, role_rules

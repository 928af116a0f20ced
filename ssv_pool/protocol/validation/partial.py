"""Rules 32 to 35 and 38 to 42 for partial signature messages."""

from collections import Counter

from ssv_pool.protocol.forks import ProtocolFork
from ssv_pool.protocol.types.errors import ProtocolError
from ssv_pool.protocol.types.messages import SignedSSVMessage
from ssv_pool.protocol.types.partial import PartialSignatureMessages
from ssv_pool.protocol.types.roles import PartialSignatureType, RunnerRole
from ssv_pool.protocol.validation.envelope import Envelope
from ssv_pool.protocol.validation.moment import Moment
from ssv_pool.protocol.validation.rules import Rule, RuleBrokenError
from ssv_pool.protocol.validation.timing import (
    check_duty_count,
    check_duty_known,
    check_no_later_slot,
    check_time,
)

SYNC_COMMITTEE_SIZE = 512
"""Members of the sync committee: most signatures of a committee for them beyond one a validator."""

MAX_CONTRIBUTIONS = 13
"""Most signatures of one validator for its places in the sync committee."""

SYNC_SUBCOMMITTEES = 4
"""Subcommittees of the sync committee: a validator may sign once for each, and for its own aggregate."""

_PRE_CONSENSUS, _POST_CONSENSUS = 1, 2
_TYPES = frozenset(map(int, PartialSignatureType))


def decode_partials(message: SignedSSVMessage, fork: ProtocolFork) -> PartialSignatureMessages:
    """Rule 38, as far as decoding. Raises RuleBrokenError."""
    data = message.ssv_message.data
    if len(data) > fork.max_partial_data_bytes:
        raise RuleBrokenError(
            Rule.PARTIAL_DATA_TOO_LONG,
            f"partial signatures of {len(data)} bytes, expected at most {fork.max_partial_data_bytes}",
        )
    try:
        return PartialSignatureMessages.decode(data, fork.max_partial_messages)
    except ProtocolError as error:
        raise RuleBrokenError(Rule.PARTIAL_UNDECODABLE, str(error)) from error


def check_partials(envelope: Envelope, content: PartialSignatureMessages) -> None:
    """The rest of rule 38. Raises RuleBrokenError."""
    message = envelope.message
    if len(message.operator_ids) != 1:
        raise RuleBrokenError(Rule.PARTIAL_SIGNER_COUNT, f"{len(message.operator_ids)} signers, expected 1")
    if message.full_data:
        raise RuleBrokenError(
            Rule.PARTIAL_FULL_DATA, f"{len(message.full_data)} bytes of full data beside partial signatures"
        )
    if content.type not in _TYPES:
        raise RuleBrokenError(Rule.PARTIAL_TYPE, f"partial signature type is {content.type}, expected 0 to 6")
    if content.type not in envelope.role_rules.partial_types:
        raise RuleBrokenError(
            Rule.PARTIAL_TYPE_OF_ROLE,
            f"partial signature type is {content.type}, expected one of "
            f"{sorted(map(int, envelope.role_rules.partial_types))} for role {envelope.role.name}",
        )
    if not content.messages:
        raise RuleBrokenError(Rule.NO_PARTIALS, "the message has no partial signatures")
    signer = message.operator_ids[0]
    for item in content.messages:
        if item.signer != signer:
            raise RuleBrokenError(
                Rule.PARTIAL_SIGNER, f"partial signature of operator {item.signer}, expected {signer}"
            )
        if envelope.validator is not None and item.validator_index != envelope.validator.index:
            raise RuleBrokenError(
                Rule.PARTIAL_VALIDATOR,
                f"partial signature for validator {item.validator_index}, expected {envelope.validator.index}",
            )


def check_partials_in_time(envelope: Envelope, content: PartialSignatureMessages, moment: Moment) -> None:
    """Rules 39 (with 32 to 35) and 40. Raises RuleBrokenError."""
    if not envelope.of_committee:
        check_no_later_slot(envelope, content.slot, moment)
        check_duty_known(envelope, content.slot, moment, randao=content.type == PartialSignatureType.RANDAO)
    _check_seen(envelope, content, moment)
    check_time(content.slot, envelope.role_rules.late_slots, moment)
    check_duty_count(envelope, content.slot, moment)
    _check_items(envelope, content)


def record_partials(envelope: Envelope, content: PartialSignatureMessages, moment: Moment) -> None:
    """Rule 42."""
    signer = envelope.message.operator_ids[0]
    moment.state.record_partials(moment.peer, envelope.executor, content.slot, signer, _phase(content))
    if moment.shared is not None:
        moment.shared.record_partials(b"", envelope.executor, content.slot, signer, _phase(content))


def _check_seen(envelope: Envelope, content: PartialSignatureMessages, moment: Moment) -> None:
    signer = envelope.message.operator_ids[0]
    views = [(moment.state, moment.peer, Rule.REPEATED_PARTIALS)]
    if moment.shared is not None:
        views.append((moment.shared, b"", Rule.PARTIALS_BY_OTHER))
    for state, peer, rule in views:
        record = state.find(peer, envelope.executor, content.slot)
        seen = None if record is None else record.signers.get(signer)
        if seen is not None and seen.partials & _phase(content):
            raise RuleBrokenError(rule, f"operator {signer} sent partial signatures for slot {content.slot} before")


def _check_items(envelope: Envelope, content: PartialSignatureMessages) -> None:
    count = len(content.messages)
    if not envelope.of_committee:
        allowed = MAX_CONTRIBUTIONS if envelope.role is RunnerRole.SYNC_COMMITTEE_CONTRIBUTION else 1
        if count > allowed:
            raise RuleBrokenError(
                Rule.TOO_MANY_PARTIALS,
                f"{count} partial signatures, expected at most {allowed} for role {envelope.role.name}",
            )
        return
    validators = envelope.committee.validator_count
    if envelope.role is RunnerRole.AGGREGATOR_COMMITTEE:
        each = 1 + SYNC_SUBCOMMITTEES
        allowed = min(each * validators, validators + SYNC_SUBCOMMITTEES * SYNC_COMMITTEE_SIZE)
    else:
        each = 2
        allowed = min(each * validators, validators + SYNC_COMMITTEE_SIZE)
    if count > allowed:
        raise RuleBrokenError(
            Rule.TOO_MANY_PARTIALS,
            f"{count} partial signatures, expected at most {allowed} of {validators} validators",
        )
    counts = Counter(item.validator_index for item in content.messages)
    index, most = max(counts.items(), key=lambda entry: entry[1])
    if most > each:
        raise RuleBrokenError(
            Rule.REPEATED_VALIDATOR, f"{most} partial signatures for validator {index}, expected at most {each}"
        )


def _phase(content: PartialSignatureMessages) -> int:
    return _POST_CONSENSUS if content.type == PartialSignatureType.POST_CONSENSUS else _PRE_CONSENSUS

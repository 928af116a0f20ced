"""Rules 34, 35 and 38 to 40 for partial signature messages."""

from collections import Counter

from ssv_pool.protocol.chain import BeaconChain
from ssv_pool.protocol.forks import ProtocolFork
from ssv_pool.protocol.types.errors import ProtocolError
from ssv_pool.protocol.types.messages import SignedSSVMessage
from ssv_pool.protocol.types.partial import PartialSignatureMessages
from ssv_pool.protocol.types.roles import PartialSignatureType
from ssv_pool.protocol.validation.envelope import Envelope
from ssv_pool.protocol.validation.rules import Rule, RuleBrokenError
from ssv_pool.protocol.validation.state import SeenState
from ssv_pool.protocol.validation.timing import check_duty_count, check_time

MAX_PARTIAL_DATA_BYTES = 151_220
"""Longest data of a partial signature message (PROTOCOL 4.5): 1000 signatures, a twentieth more, and four."""

SYNC_COMMITTEE_SIZE = 512
"""Most signatures of a committee beyond one a validator: the members of the sync committee."""

_PRE_CONSENSUS, _POST_CONSENSUS = 1, 2
_TYPES = frozenset(map(int, PartialSignatureType))


def decode_partials(message: SignedSSVMessage, fork: ProtocolFork) -> PartialSignatureMessages:
    """Rule 38, as far as decoding. Raises RuleBrokenError."""
    data = message.ssv_message.data
    if len(data) > MAX_PARTIAL_DATA_BYTES:
        raise RuleBrokenError(
            Rule.PARTIAL_DATA_TOO_LONG,
            f"partial signatures of {len(data)} bytes, expected at most {MAX_PARTIAL_DATA_BYTES}",
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


def check_partials_in_time(
    envelope: Envelope, content: PartialSignatureMessages, peer: bytes, state: SeenState, chain: BeaconChain, now: float
) -> None:
    """Rules 39, 34, 35 and 40. Raises RuleBrokenError."""
    signer = envelope.message.operator_ids[0]
    record = state.find(peer, envelope.executor, content.slot)
    seen = None if record is None else record.signers.get(signer)
    if seen is not None and seen.partials & _phase(content):
        raise RuleBrokenError(
            Rule.REPEATED_PARTIALS, f"operator {signer} sent partial signatures for slot {content.slot} before"
        )
    check_time(content.slot, envelope.role_rules.late_slots, chain, now)
    check_duty_count(envelope, peer, content.slot, state, chain.slots_per_epoch)
    _check_items(envelope, content)


def record_partials(envelope: Envelope, content: PartialSignatureMessages, peer: bytes, state: SeenState) -> None:
    """Rule 42."""
    state.record_partials(peer, envelope.executor, content.slot, envelope.message.operator_ids[0], _phase(content))


def _check_items(envelope: Envelope, content: PartialSignatureMessages) -> None:
    validators = envelope.committee.validator_count
    allowed = min(2 * validators, validators + SYNC_COMMITTEE_SIZE)
    if len(content.messages) > allowed:
        raise RuleBrokenError(
            Rule.TOO_MANY_PARTIALS,
            f"{len(content.messages)} partial signatures, expected at most {allowed} of {validators} validators",
        )
    counts = Counter(item.validator_index for item in content.messages)
    index, count = max(counts.items(), key=lambda entry: entry[1])
    if count > 2:
        raise RuleBrokenError(
            Rule.REPEATED_VALIDATOR, f"{count} partial signatures for validator {index}, expected at most 2"
        )


def _phase(content: PartialSignatureMessages) -> int:
    return _POST_CONSENSUS if content.type == PartialSignatureType.POST_CONSENSUS else _PRE_CONSENSUS

"""The gossip rules by name and number (PROTOCOL 4.6), and what validation answers."""

import enum
from dataclasses import dataclass

from ssv_pool.protocol.types.messages import QBFTMessage, SignedSSVMessage
from ssv_pool.protocol.types.partial import PartialSignatureMessages


class Verdict(enum.Enum):
    """What becomes of a message that broke a rule; one that broke none is delivered and passed on."""

    IGNORE = "ignore"
    """Dropped; an honest peer may have sent it."""
    REJECT = "reject"
    """Dropped, and held against the peer: no honest peer passes it on."""


class Rule(enum.Enum):
    """Every rule a message can break; the value is (name in metrics and logs, number, verdict).

    Rule 10 (message missing) has no entry: the strict decoder refuses such bytes by rule 3. Rule 19 is rule 12 here, as
    both compare the same field, with the fork's own limit that lies below the client's. Rules 37 and 42 record what was
    accepted and refuse nothing. Partial signatures meet rules 32 to 35 under their consensus numbers.
    """

    EMPTY = ("empty", 1, Verdict.REJECT)
    TOO_LONG = ("too_long", 2, Verdict.IGNORE)
    UNDECODABLE = ("undecodable", 3, Verdict.REJECT)
    NO_SIGNERS = ("no_signers", 4, Verdict.REJECT)
    NO_SIGNATURES = ("no_signatures", 5, Verdict.REJECT)
    SIGNATURE_LENGTH = ("signature_length", 6, Verdict.REJECT)
    SIGNERS_NOT_SORTED = ("signers_not_sorted", 7, Verdict.REJECT)
    SIGNATURE_COUNT = ("signature_count", 8, Verdict.REJECT)
    ZERO_SIGNER = ("zero_signer", 9, Verdict.REJECT)
    REPEATED_SIGNER = ("repeated_signer", 9, Verdict.REJECT)
    UNKNOWN_OPERATOR = ("unknown_operator", 9, Verdict.IGNORE)
    """Not registered, or removed."""
    NO_DATA = ("no_data", 11, Verdict.REJECT)
    DATA_TOO_LONG = ("data_too_long", 12, Verdict.REJECT)
    MESSAGE_TYPE = ("message_type", 13, Verdict.REJECT)
    WRONG_DOMAIN = ("wrong_domain", 14, Verdict.IGNORE)
    WRONG_ROLE = ("wrong_role", 15, Verdict.REJECT)
    WRONG_FORK = ("wrong_fork", 14, Verdict.IGNORE)
    """The domain is that of another fork than the one in force at the message's slot."""
    UNKNOWN_COMMITTEE = ("unknown_committee", 16, Verdict.IGNORE)
    COMMITTEE_WITHOUT_VALIDATORS = ("committee_without_validators", 16, Verdict.REJECT)
    UNKNOWN_VALIDATOR = ("unknown_validator", 16, Verdict.IGNORE)
    LIQUIDATED = ("liquidated", 16, Verdict.IGNORE)
    NO_METADATA = ("no_metadata", 16, Verdict.IGNORE)
    """The beacon node has not told the validator's index yet."""
    NOT_ATTESTING = ("not_attesting", 16, Verdict.IGNORE)
    SIGNER_NOT_IN_COMMITTEE = ("signer_not_in_committee", 17, Verdict.REJECT)
    WRONG_TOPIC = ("wrong_topic", 18, Verdict.IGNORE)

    CONSENSUS_UNDECODABLE = ("consensus_undecodable", 20, Verdict.REJECT)
    SEVERAL_SIGNERS_NO_COMMIT = ("several_signers_no_commit", 21, Verdict.REJECT)
    DECIDED_WITHOUT_QUORUM = ("decided_without_quorum", 21, Verdict.REJECT)
    UNEXPECTED_FULL_DATA = ("unexpected_full_data", 22, Verdict.REJECT)
    FULL_DATA_HASH = ("full_data_hash", 22, Verdict.REJECT)
    CONSENSUS_TYPE = ("consensus_type", 23, Verdict.REJECT)
    ZERO_ROUND = ("zero_round", 24, Verdict.REJECT)
    ROLE_WITHOUT_CONSENSUS = ("role_without_consensus", 25, Verdict.REJECT)
    ROUND_TOO_HIGH = ("round_too_high", 26, Verdict.IGNORE)
    WRONG_IDENTIFIER = ("wrong_identifier", 27, Verdict.REJECT)
    PREPARE_JUSTIFICATION_UNDECODABLE = ("prepare_justification_undecodable", 28, Verdict.REJECT)
    UNEXPECTED_PREPARE_JUSTIFICATION = ("unexpected_prepare_justification", 28, Verdict.REJECT)
    ROUND_CHANGE_JUSTIFICATION_UNDECODABLE = ("round_change_justification_undecodable", 28, Verdict.REJECT)
    UNEXPECTED_ROUND_CHANGE_JUSTIFICATION = ("unexpected_round_change_justification", 28, Verdict.REJECT)
    NOT_THE_LEADER = ("not_the_leader", 29, Verdict.REJECT)
    PAST_ROUND = ("past_round", 30, Verdict.IGNORE)
    OTHER_PROPOSAL = ("other_proposal", 30, Verdict.REJECT)
    REPEATED_TYPE = ("repeated_type", 30, Verdict.REJECT)
    REPEATED_DECIDED = ("repeated_decided", 30, Verdict.IGNORE)
    TOO_MANY_DECIDED = ("too_many_decided", 30, Verdict.IGNORE)
    """Ours: whoever has all commits can make a thousand decided messages with different signers out of them."""
    REPEATED_BY_OTHER = ("repeated_by_other", 30, Verdict.IGNORE)
    """Boole: another peer has passed on a message of this signer, round and type."""
    NOT_MORE_SIGNERS = ("not_more_signers", 30, Verdict.IGNORE)
    """Boole: a decided message with as many signers was passed on before, by whomever."""
    ROUND_TOO_EARLY = ("round_too_early", 31, Verdict.IGNORE)
    LATER_SLOT_SEEN = ("later_slot_seen", 32, Verdict.IGNORE)
    NO_DUTY = ("no_duty", 33, Verdict.IGNORE)
    """The validator has no such duty at that slot, or duties of that time are not known."""
    EARLY = ("early", 34, Verdict.IGNORE)
    LATE = ("late", 34, Verdict.IGNORE)
    TOO_MANY_DUTIES = ("too_many_duties", 35, Verdict.IGNORE)
    CONSENSUS_SIGNATURE = ("consensus_signature", 36, Verdict.REJECT)

    PARTIAL_DATA_TOO_LONG = ("partial_data_too_long", 38, Verdict.REJECT)
    PARTIAL_UNDECODABLE = ("partial_undecodable", 38, Verdict.REJECT)
    PARTIAL_SIGNER_COUNT = ("partial_signer_count", 38, Verdict.REJECT)
    PARTIAL_FULL_DATA = ("partial_full_data", 38, Verdict.REJECT)
    PARTIAL_TYPE = ("partial_type", 38, Verdict.REJECT)
    PARTIAL_TYPE_OF_ROLE = ("partial_type_of_role", 38, Verdict.REJECT)
    NO_PARTIALS = ("no_partials", 38, Verdict.REJECT)
    PARTIAL_SIGNER = ("partial_signer", 38, Verdict.REJECT)
    PARTIAL_VALIDATOR = ("partial_validator", 38, Verdict.IGNORE)
    REPEATED_PARTIALS = ("repeated_partials", 39, Verdict.REJECT)
    PARTIALS_BY_OTHER = ("partials_by_other", 39, Verdict.IGNORE)
    """Boole: another peer has passed on such partial signatures of this signer."""
    TOO_MANY_PARTIALS = ("too_many_partials", 40, Verdict.REJECT)
    REPEATED_VALIDATOR = ("repeated_validator", 40, Verdict.REJECT)
    PARTIAL_SIGNATURE = ("partial_signature", 41, Verdict.REJECT)

    @property
    def label(self) -> str:
        """Short name for metrics and logs."""
        return self.value[0]

    @property
    def number(self) -> int:
        """Number in PROTOCOL 4.6."""
        return self.value[1]

    @property
    def verdict(self) -> Verdict:
        """What becomes of a message that breaks the rule."""
        return self.value[2]

    @property
    def blames_peer(self) -> bool:
        """Whether the message proves that the peer which passed it on is to blame: every honest one would refuse it.

        Not so where it takes the same memory or registry to see it. An operator that says two things to different peers
        would else have honest ones refuse each other, and so would a registry that is some blocks behind.
        """
        return self.verdict is Verdict.REJECT and self not in _BY_OWN_VIEW


_BY_OWN_VIEW = frozenset(
    {
        Rule.COMMITTEE_WITHOUT_VALIDATORS,
        Rule.SIGNER_NOT_IN_COMMITTEE,
        Rule.OTHER_PROPOSAL,
        Rule.REPEATED_TYPE,
        Rule.REPEATED_PARTIALS,
        Rule.TOO_MANY_PARTIALS,
    }
)
"""Rules that reject by what this node has seen or knows of the registry."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The message keeps every rule, signatures included. It carries what was decoded on the way."""

    message: SignedSSVMessage
    content: QBFTMessage | PartialSignatureMessages
    """The decoded data of ``message.ssv_message``."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The message broke a rule; later rules were not looked at."""

    rule: Rule
    detail: str
    """One line: what was found and what was expected."""

    @property
    def verdict(self) -> Verdict:
        """What becomes of the message."""
        return self.rule.verdict


class RuleBrokenError(Exception):
    """Leaves the checks with the rule that failed; never leaves this package."""

    def __init__(self, rule: Rule, detail: str) -> None:
        super().__init__(detail)
        self.rule = rule
        """The broken rule."""
        self.detail = detail
        """What was found and what was expected."""

"""The protocol's numbered errors (PROTOCOL 1.14) and the exception that carries them.

The numbers are those of the specification's HEAD. The Alan release numbers the same errors differently and has two
more; ``ALAN_CODES`` translates.
"""

import enum
from collections.abc import Mapping
from types import MappingProxyType

from ssv_pool.errors import SsvPoolError


class ErrorCode(enum.IntEnum):
    """What a check found wrong; the names are the specification's."""

    UNMARSHAL_SSZ = 1
    FUTURE_MESSAGE = 2
    ZERO_COMMIT_MESSAGES = 3
    NO_RUNNING_DUTY = 4
    COMMIT_MESSAGE_INVALID = 5
    COMMIT_MESSAGE_TYPE_WRONG = 6
    WRONG_MESSAGE_HEIGHT = 7
    SIGNER_IS_NOT_IN_COMMITTEE = 8
    NON_UNIQUE_SIGNER = 9
    UNKNOWN_DUTY_ROLE_DATA = 10
    UNKNOWN_BLOCK_VERSION = 11
    INCORRECT_NUMBER_OF_SIGNATURES = 12
    EMPTY_SIGNATURE = 13
    NIL_SSV_MESSAGE = 14
    NO_SIGNATURES = 15
    NO_SIGNERS = 16
    ZERO_SIGNER_NOT_ALLOWED = 17
    INCONSISTENT_SIGNERS = 18
    NO_PARTIAL_SIG_MESSAGES = 19
    NO_RUNNER_FOR_SLOT = 20
    SKIP_CONSENSUS_MESSAGE_AS_INSTANCE_IS_DECIDED = 21
    SKIP_CONSENSUS_MESSAGE_AS_CONSENSUS_HAS_FINISHED = 22
    DECODE_BEACON_VOTE = 23
    NO_BEACON_DUTIES = 24
    NO_VALIDATOR_SHARES = 25
    ATTESTATION_SOURCE_NOT_LESS_THAN_TARGET = 26
    CHECKPOINT_MISMATCH = 27
    MESSAGE_ID_COMMITTEE_ID_MISMATCH = 28
    MESSAGE_TYPE_INVALID = 29
    MESSAGE_ROUND_INVALID = 30
    MESSAGE_IDENTIFIER_INVALID = 31
    RECONSTRUCT_SIGNATURE = 32
    SLASHABLE_ATTESTATION = 33
    DECIDED_WRONG_INSTANCE = 34
    VALIDATOR_REGISTRATION_NO_CONSENSUS_PHASE = 35
    VALIDATOR_REGISTRATION_NO_POST_CONSENSUS_PHASE = 36
    VALIDATOR_EXIT_NO_CONSENSUS_PHASE = 37
    VALIDATOR_EXIT_NO_POST_CONSENSUS_PHASE = 38
    SSV_MESSAGE_HAS_INVALID_SIGNATURE = 39
    DUTY_ALREADY_PASSED = 40
    WRONG_SIGNING_ROOT = 41
    PARTIAL_SIG_INCONSISTENT_SIGNER = 42
    NO_DECIDED_VALUE = 43
    NO_RUNNING_CONSENSUS_INSTANCE = 44
    CONSENSUS_INSTANCE_NOT_DECIDED = 45
    PARTIAL_SIG_MESSAGE_INVALID_SLOT = 46
    PARTIAL_SIG_MESSAGE_FUTURE_SLOT = 47
    UNKNOWN_VALIDATOR_INDEX = 48
    WRONG_ROOTS_COUNT = 49
    DUTY_EPOCH_TOO_FAR_FUTURE = 50
    WRONG_BEACON_ROLE_TYPE = 51
    WRONG_VALIDATOR_INDEX = 52
    WRONG_VALIDATOR_PUBKEY = 53
    INSTANCE_STOPPED_PROCESSING_MESSAGES = 54
    WRONG_MESSAGE_ROUND = 55
    MESSAGE_ALLOWS_ONE_SIGNER_ONLY = 56
    NO_PROPOSAL_FOR_CURRENT_ROUND = 57
    PAST_ROUND = 58
    PROPOSED_DATA_MISMATCH = 59
    ROUND_CHANGE_NO_QUORUM = 60
    PROPOSAL_INVALID = 61
    ROOT_HASH_INVALID = 62
    MESSAGE_SIGNATURE_INVALID = 63
    QBFT_VALUE_INVALID = 64
    PREPARE_MESSAGE_INVALID = 65
    JUSTIFICATIONS_NO_QUORUM_INVALID = 66
    PROPOSAL_LEADER_INVALID = 67
    INSTANCE_ALREADY_RUNNING = 68
    START_INSTANCE = 69
    TIMEOUT_INSTANCE = 70
    AGG_COMM_AGG_COMM_IDX_CNT_MISMATCH = 71
    AGG_COMM_COMM_IDX_MISMATCH = 72
    AGG_COMM_UNUSED_COMM_IDX = 73
    AGG_COMM_DUPLICATED_COMM_IDX = 74
    AGG_COMM_SUBNET_NOT_IN_SC_SUBNETS = 75
    AGG_COMM_SCC_SUBNET_DUPLICATE = 76
    AGG_COMM_UNUSED_SUBNET = 77
    AGG_COMM_CONSENSUS_DATA_NO_VALIDATOR = 78
    AGG_COMM_CONSENSUS_DATA_DECODE = 79
    PROPOSER_CONSENSUS_DATA_DECODE = 80
    POST_CONSENSUS_QUORUM_WITH_INVALID_SIGNATURES = 81
    INVALID_AGGREGATOR_COMMITTEE_DUTY = 82
    UNKNOWN_VERSION = 83
    AGG_COMM_ATTESTATION_DECODING = 84
    COMMITTEE_WRONG_ROLE = 85
    SSV_MESSAGE_DATA_TOO_LARGE = 86
    SSV_MESSAGE_INVALID_ROLE = 87
    INVALID_SHARE = 88
    INVALID_OPERATOR = 89
    INVALID_COMMITTEE_MEMBER = 90
    INVALID_VALIDATOR_DUTY = 91
    BEACON_VOTE_NIL_CHECKPOINT = 92

    VALIDATOR_REGISTRATION_NO_CONSENSUS_DATA = 1010
    """Alan only (10 there); the number lies outside HEAD's range because HEAD gave 10 away."""
    VALIDATOR_EXIT_NO_CONSENSUS_DATA = 1011
    """Alan only (11 there)."""


def _alan_codes() -> dict[ErrorCode, int]:
    codes = {code: int(code) if code < 10 else code + 2 for code in ErrorCode if code <= 70}
    codes[ErrorCode.VALIDATOR_REGISTRATION_NO_CONSENSUS_DATA] = 10
    codes[ErrorCode.VALIDATOR_EXIT_NO_CONSENSUS_DATA] = 11
    return codes


ALAN_CODES: Mapping[ErrorCode, int] = MappingProxyType(_alan_codes())
"""Every error that exists in Alan → its number there; errors 71 to 92 do not."""

_FROM_ALAN = {number: code for code, number in ALAN_CODES.items()}


def code_of_alan(number: int) -> ErrorCode:
    """The error that Alan calls ``number``; raises ValueError when Alan has no such number."""
    try:
        return _FROM_ALAN[number]
    except KeyError:
        raise ValueError(f"error number {number} does not exist in Alan, expected 1 to 72") from None


class ProtocolError(SsvPoolError):
    """A message, value or step broke a rule of the protocol.

    Raise one ``from`` another to wrap it: the specification compares the outermost code of the chain.
    """

    def __init__(self, text: str, code: ErrorCode | None = None) -> None:
        super().__init__(text)
        self.code = code
        """The error's number, None where the specification gives the error none."""

    @property
    def outermost_code(self) -> ErrorCode | None:
        """The first code met from this error inwards along ``__cause__``, None when no error of the chain has one."""
        error: BaseException | None = self
        while error is not None:
            if isinstance(error, ProtocolError) and error.code is not None:
                return error.code
            error = error.__cause__
        return None
